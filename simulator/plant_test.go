package simulator

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua"
	"github.com/simonvetter/modbus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// certificates keeps one server certificate for all tests: keys take long.
var certificates = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "linetwin-simulator")
	if err != nil {
		panic(err)
	}
	if _, err := loadIdentity(dir); err != nil {
		panic(err)
	}
	return dir
})

func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"simulator.der", "simulator.key"} {
		b, err := os.ReadFile(filepath.Join(certificates(), name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// startPlant runs a plant on free ports until the test ends.
func startPlant(t *testing.T, cfg Config) *Plant {
	t.Helper()
	cfg.OPCUA, cfg.Modbus, cfg.Folder = "127.0.0.1:0", "127.0.0.1:0", folder(t)
	if cfg.Anchor.IsZero() {
		cfg.Anchor = time.Now().Add(-time.Hour)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(30 * time.Second):
			t.Error("the plant did not end")
		}
	})
	select {
	case <-p.Ready():
	case err := <-ended:
		t.Fatal("ended early:", err)
	case <-time.After(30 * time.Second):
		t.Fatal("not ready")
	}
	return p
}

func machineOf(t *testing.T, p *Plant, id string) Machine {
	t.Helper()
	for _, m := range p.Describe().Machines {
		if m.ID == id {
			return m
		}
	}
	t.Fatalf("no machine %s", id)
	return Machine{}
}

func modbusClient(t *testing.T, m Machine) *modbus.ModbusClient {
	t.Helper()
	c, err := modbus.NewClient(&modbus.ClientConfiguration{URL: m.URL, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetUnitId(m.Unit)
	return c
}

func opcuaClient(t *testing.T, url string, opts ...opcua.Option) *opcua.Client {
	t.Helper()
	c, err := opcua.NewClient(url, append([]opcua.Option{opcua.AutoReconnect(false)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}
