package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"go.uber.org/goleak"

	"linetwin/plant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// serve runs a broker until the test ends.
func serve(t *testing.T, cfg Config) *Broker {
	t.Helper()
	b, stop := start(t, cfg)
	t.Cleanup(stop)
	return b
}

func start(t *testing.T, cfg Config) (*Broker, func()) {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.Folder == "" {
		cfg.Folder = t.TempDir()
	}
	b, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	select {
	case <-b.Ready():
	case err := <-done:
		t.Fatalf("did not start: %v", err)
	case <-time.After(patience):
		t.Fatal("not ready")
	}
	return b, func() {
		began := time.Now()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("took %v to stop", took)
		}
	}
}

// dial connects a client; it gives the error of CONNECT.
func dial(t *testing.T, b *Broker, user, password string, received chan<- string) (mqtt.Client, error) {
	t.Helper()
	opts := mqtt.NewClientOptions().AddBroker("tcp://" + b.Addr()).SetClientID(rand.Text()).
		SetAutoReconnect(false).SetUsername(user).SetPassword(password)
	opts.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { received <- m.Topic() + " " + string(m.Payload()) })
	c := mqtt.NewClient(opts)
	token := c.Connect()
	if !token.WaitTimeout(patience) {
		t.Fatal("no answer to CONNECT")
	}
	if token.Error() == nil {
		t.Cleanup(func() { c.Disconnect(250) })
	}
	return c, token.Error()
}

func do(t *testing.T, token mqtt.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("no success: %v", token.Error())
	}
}

func expect(t *testing.T, received <-chan string, want string) {
	t.Helper()
	select {
	case got := <-received:
		if got != want {
			t.Fatalf("received %q, want %q", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("did not receive %q", want)
	}
}

func TestCarriesSparkplugAndKeepsRetained(t *testing.T) {
	folder := t.TempDir()
	b, stop := start(t, Config{Folder: folder})
	received := make(chan string, 10)
	c, err := dial(t, b, "", "", received)
	if err != nil {
		t.Fatal(err)
	}
	do(t, c.Subscribe("spBv1.0/+/DDATA/+/+", 0, nil))
	do(t, c.Publish("spBv1.0/a/DDATA/g/m", 0, false, "x"))
	expect(t, received, "spBv1.0/a/DDATA/g/m x")
	do(t, c.Publish("spBv1.0/STATE/linetwin", 1, true, "on"))
	c.Disconnect(250)
	stop()

	b = serve(t, Config{Folder: folder})
	c, err = dial(t, b, "", "", received)
	if err != nil {
		t.Fatal(err)
	}
	do(t, c.Subscribe("spBv1.0/STATE/linetwin", 1, nil))
	expect(t, received, "spBv1.0/STATE/linetwin on")
}

func TestUsers(t *testing.T) {
	b := serve(t, Config{Users: []User{
		{Name: "twin", Password: "t"},
		{Name: "edge", Password: "e", Gateway: "assembly/edge-1"},
	}})
	received := make(chan string, 10)
	for _, c := range []struct{ name, user, password string }{{"wrong password", "edge", "x"}, {"unknown user", "nobody", "e"}, {"nobody at all", "", ""}} {
		if _, err := dial(t, b, c.user, c.password, received); err == nil {
			t.Errorf("%s: may connect", c.name)
		}
	}
	user, password := b.Local()
	if _, err := dial(t, b, user, password.Reveal(), received); err != nil {
		t.Errorf("local user: %v", err)
	}
	twin, err := dial(t, b, "twin", "t", received)
	if err != nil {
		t.Fatal(err)
	}
	do(t, twin.Subscribe("spBv1.0/+/DDATA/+/+", 0, nil))
	edge, err := dial(t, b, "edge", "e", received)
	if err != nil {
		t.Fatal(err)
	}
	do(t, edge.Publish("spBv1.0/assembly/DDATA/edge-2/m", 0, false, "as another"))
	do(t, edge.Publish("spBv1.0/assembly/DDATA/edge-1/m", 0, false, "as itself"))
	expect(t, received, "spBv1.0/assembly/DDATA/edge-1/m as itself")

	token := edge.Subscribe("spBv1.0/+/DDATA/+/+", 0, nil).(*mqtt.SubscribeToken)
	token.WaitTimeout(patience)
	if code := token.Result()["spBv1.0/+/DDATA/+/+"]; code != 0x80 {
		t.Errorf("a gateway may hear others: SUBACK code %#x", code)
	}
	do(t, edge.Subscribe("spBv1.0/assembly/NCMD/edge-1", 1, nil))
	do(t, twin.Publish("spBv1.0/assembly/NCMD/edge-1", 1, false, "command"))
	expect(t, received, "spBv1.0/assembly/NCMD/edge-1 command")
}

// TestTwinAloneSpeaks: what is published of lines is for every user to hear,
// and for the process itself to say.
func TestTwinAloneSpeaks(t *testing.T) {
	b := serve(t, Config{Users: []User{
		{Name: "erp", Password: "t"},
		{Name: "edge", Password: "e", Gateway: "assembly/edge-1"},
	}})
	const topic = "linetwin/v1/assembly/line-a/state"
	user, password := b.Local()
	local, err := dial(t, b, user, password.Reveal(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for user, password := range map[string]string{"erp": "t", "edge": "e"} {
		forger, err := dial(t, b, user, password, nil)
		if err != nil {
			t.Fatal(err)
		}
		forger.Publish(topic, 1, true, "forged").WaitTimeout(patience) // the broker may also close the connection
		do(t, local.Publish(topic, 1, true, "for "+user))
		received := make(chan string, 10)
		listener, err := dial(t, b, user, password, received)
		if err != nil {
			t.Fatal(err)
		}
		// The broker acknowledges a retained message before each new subscriber
		// is given it.
		want := topic + " for " + user
		for got, end := "", time.Now().Add(patience); got != want; {
			if time.Now().After(end) {
				t.Fatalf("%s is not given %q", user, want)
			}
			do(t, listener.Subscribe("linetwin/v1/#", 1, nil))
			select {
			case got = <-received:
			case <-time.After(time.Second):
			}
		}
		do(t, local.Publish(topic, 1, true, "then "+user))
		for got := want; got == want; { // it may have come more than once
			select {
			case got = <-received:
			case <-time.After(patience):
				t.Fatalf("%s does not hear what is said then", user)
			}
			if got != want && got != topic+" then "+user {
				t.Fatalf("received %q", got)
			}
		}
	}
}

func TestCannotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"port taken", Config{Listen: taken.Addr().String(), Folder: t.TempDir()}, "address already in use"},
		{"folder is a file", Config{Listen: "127.0.0.1:0", Folder: file}, "not a directory"},
		{"no certificate", Config{Listen: "127.0.0.1:0", Folder: t.TempDir(), TLS: TLS{Cert: "/nowhere", Key: "/nowhere"}}, "broker: tls.cert: found /nowhere, which is not there, allowed: a file that is there"},
	} {
		b, err := New(c.cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Run(context.Background()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		want []string
	}{
		{"defaults", Config{Folder: "x"}, nil},
		{"open to others", Config{Folder: "x", Listen: ":1883"}, []string{"users: missing, allowed: users, or tls.ca, or anonymous: true, because listen :1883 is open to others"}},
		{"open on purpose", Config{Folder: "x", Listen: "0.0.0.0:1883", Anonymous: true}, nil},
		{"nothing", Config{Listen: "1883", MaxBytes: 1}, []string{
			"listen: found 1883, allowed: host:port, as 127.0.0.1:1883 or :1883",
			"folder: missing, allowed: a folder for retained messages",
			"max_bytes: found 1B, allowed: at least 16MiB"}},
		{"users", Config{Folder: "x", Users: []User{{}, {Name: "a", Password: "s"}, {Name: "a", Password: "s", Gateway: "x"}}}, []string{
			"users[0].name: missing, allowed: a name",
			"users[0].password: missing, allowed: a password",
			"users[2].name: found a, allowed: a name that no other user has",
			"users[2].gateway: found x, allowed: area/gateway"}},
	} {
		var got []string
		for _, f := range c.cfg.Check() {
			got = append(got, f.String())
		}
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
	var cfg Config
	cfg.Check()
	if cfg.Listen != "127.0.0.1:1883" || cfg.MaxBytes != plant.Bytes(256<<20) {
		t.Errorf("defaults: %+v", cfg)
	}
}
