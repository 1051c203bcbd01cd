package sparkplug

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"

	"linetwin/plant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// testBroker is a real broker that can be stopped and started again on the
// same port. Its only user, where it has one, is "edge" with "secret".
type testBroker struct {
	url     string
	port    int
	run     func() (stop func(), err error)
	stop    func()
	process *os.Process // of Mosquitto
}

func (b *testBroker) start(t testing.TB) {
	t.Helper()
	stop, err := b.run()
	if err != nil {
		t.Fatal(err)
	}
	b.stop = sync.OnceFunc(stop)
	t.Cleanup(b.stop)
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func newNATS(t testing.TB, users bool) *testBroker {
	folder := t.TempDir()
	b := &testBroker{port: server.RANDOM_PORT}
	b.run = func() (func(), error) {
		opts := &server.Options{ServerName: "test", DontListen: true, NoSigs: true, NoLog: true, JetStream: true, StoreDir: folder,
			MaxPayload: 8 << 20, MQTT: server.MQTTOpts{Host: "127.0.0.1", Port: b.port}}
		if users {
			opts.Users = []*server.User{{Username: "edge", Password: "secret"}}
		}
		s, err := server.NewServer(opts)
		if err != nil {
			return nil, err
		}
		s.Start()
		if !s.ReadyForConnections(patience) {
			return nil, fmt.Errorf("nats-server on port %d is not ready", b.port)
		}
		state, err := s.Varz(nil)
		if err != nil {
			return nil, err
		}
		b.port = state.MQTT.Port
		b.url = fmt.Sprintf("tcp://127.0.0.1:%d", b.port)
		return func() { s.Shutdown(); s.WaitForShutdown() }, nil
	}
	return b
}

const mosquitto = "/usr/sbin/mosquitto"

func newMosquitto(t testing.TB, users bool) *testBroker {
	if _, err := os.Stat(mosquitto); err != nil {
		t.Skipf("%s is not installed; make test installs it", mosquitto)
	}
	folder := t.TempDir()
	conf := "allow_anonymous true\n"
	if users {
		passwords := filepath.Join(folder, "passwords")
		if out, err := exec.Command("mosquitto_passwd", "-b", "-c", passwords, "edge", "secret").CombinedOutput(); err != nil {
			t.Fatalf("mosquitto_passwd: %v %s", err, out)
		}
		// As root it gives up its rights first, and must read the file then.
		for file, mode := range map[string]os.FileMode{passwords: 0o644, folder: 0o755, filepath.Dir(folder): 0o755} {
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
		}
		conf = "allow_anonymous false\npassword_file " + passwords + "\n"
	}
	b := &testBroker{}
	b.run = func() (func(), error) {
		known := b.port != 0
		for range 5 {
			if !known {
				b.port = freePort(t) // somebody else may take it meanwhile
			}
			stop, err := b.mosquitto(filepath.Join(folder, "mosquitto.conf"), conf)
			if err == nil || known {
				return stop, err
			}
		}
		return nil, fmt.Errorf("mosquitto does not start")
	}
	return b
}

func (b *testBroker) mosquitto(file, conf string) (stop func(), err error) {
	conf = fmt.Sprintf("listener %d 127.0.0.1\nmax_queued_messages 0\nset_tcp_nodelay true\n%s", b.port, conf)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	cmd := exec.Command(mosquitto, "-c", file)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	b.process, b.url = cmd.Process, fmt.Sprintf("tcp://127.0.0.1:%d", b.port)
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	stop = func() { _ = cmd.Process.Kill(); <-ended }
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		select {
		case <-ended:
			return nil, fmt.Errorf("mosquitto: %s", out.String())
		default:
		}
		if c, err := net.Dial("tcp", b.url[len("tcp://"):]); err == nil {
			c.Close()
			return stop, nil
		}
	}
	stop()
	return nil, fmt.Errorf("mosquitto is not ready: %s", out.String())
}

// overBrokers runs a test over each broker.
func overBrokers(t *testing.T, users bool, test func(t *testing.T, b *testBroker)) {
	for name, make := range map[string]func(testing.TB, bool) *testBroker{"nats": newNATS, "mosquitto": newMosquitto} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := make(t, users)
			b.start(t)
			test(t, b)
		})
	}
}

// testNode is a gateway that writes down what it is told.
type testNode struct {
	mu     sync.Mutex
	birth  plant.GatewayBirth
	births int
	acks   chan plant.Acknowledgement
	linked chan bool
}

func newNode(birth plant.GatewayBirth) *testNode {
	return &testNode{birth: birth, acks: make(chan plant.Acknowledgement, 10000), linked: make(chan bool, 100)}
}

func (n *testNode) Birth() plant.GatewayBirth {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.births++
	return n.birth
}
func (n *testNode) Acknowledge(a plant.Acknowledgement) { n.acks <- a }
func (n *testNode) Linked(online bool)                  { n.linked <- online }
func (n *testNode) Last(machine string) []plant.Reading {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, d := range n.birth.Devices {
		if d.Machine == machine {
			return d.Last
		}
	}
	return nil
}

// event is one call of a Sink.
type event struct {
	birth  *plant.GatewayBirth
	death  string
	status *plant.GatewayStatus
	batch  *plant.Batch
}

type testSink chan event

func (s testSink) Birth(b plant.GatewayBirth)                { s <- event{birth: &b} }
func (s testSink) Death(area, gateway string, at plant.Time) { s <- event{death: area + "/" + gateway} }
func (s testSink) Status(st plant.GatewayStatus)             { s <- event{status: &st} }
func (s testSink) Batch(b *plant.Batch)                      { s <- event{batch: b} }
func newSink() testSink                                      { return make(testSink, 100000) }
func await[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("no %s", what)
	}
	return v
}

// next gives the next event that f accepts; others are passed over.
func (s testSink) next(t testing.TB, what string, f func(event) bool) event {
	t.Helper()
	end := time.After(patience)
	for {
		select {
		case e := <-s:
			if f(e) {
				return e
			}
		case <-end:
			t.Fatalf("no %s", what)
		}
	}
}

func (s testSink) nextBirth(t testing.TB) *plant.GatewayBirth {
	t.Helper()
	return s.next(t, "birth", func(e event) bool { return e.birth != nil }).birth
}

func (s testSink) nextBatch(t testing.TB) *plant.Batch {
	t.Helper()
	return s.next(t, "batch", func(e event) bool { return e.batch != nil }).batch
}

func (s testSink) nextDeath(t testing.TB) string {
	t.Helper()
	return s.next(t, "death", func(e event) bool { return e.death != "" }).death
}

func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func connection(url string) Connection {
	return Connection{Brokers: []string{url}, KeepAlive: 2 * time.Second}
}

func quiet() *slog.Logger {
	if os.Getenv("LINETWIN_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.DiscardHandler)
}

// running is something that runs until stop is called or the test ends.
func running(t testing.TB, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != context.Canceled {
			t.Errorf("Run: %v", err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); await(t, "end of Run", done) })
	t.Cleanup(stop)
	return stop
}

func runEdge(t testing.TB, cfg EdgeConfig, n Node) (*Edge, func()) {
	t.Helper()
	if cfg.Area == "" {
		cfg.Area, cfg.Gateway = "assembly", "edge-1"
	}
	e, err := NewEdge(cfg, n, quiet())
	if err != nil {
		t.Fatal(err)
	}
	return e, running(t, e.Run)
}

func runHost(t testing.TB, cfg HostConfig, s Sink) (*Host, func()) {
	t.Helper()
	h, err := NewHost(cfg, s, quiet())
	if err != nil {
		t.Fatal(err)
	}
	stop := running(t, h.Run)
	until(t, "host online", h.Online)
	return h, stop
}

// peer is a plain MQTT client, for what neither Edge nor Host would send.
type peer struct {
	t        testing.TB
	c        mqtt.Client
	received chan inbound
}

func newPeer(t testing.TB, url, id string, filters ...string) *peer {
	t.Helper()
	p := &peer{t: t, received: make(chan inbound, 100000)}
	opts := mqtt.NewClientOptions().AddBroker(url).SetClientID(id).SetAutoReconnect(false)
	opts.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { p.received <- inbound{m.Topic(), m.Payload(), m.Retained()} })
	p.c = mqtt.NewClient(opts)
	p.do(p.c.Connect())
	t.Cleanup(func() { p.c.Disconnect(250) })
	for _, f := range filters {
		p.do(p.c.Subscribe(f, 1, nil))
	}
	return p
}

func (p *peer) do(token mqtt.Token) {
	p.t.Helper()
	if !token.WaitTimeout(patience) || token.Error() != nil {
		p.t.Fatalf("no success: %v", token.Error())
	}
}

func (p *peer) publish(topic string, payload []byte) {
	p.t.Helper()
	p.do(p.c.Publish(topic, 0, false, payload))
}

// kinds gives the next n messages of edges as "TYPE device".
func (p *peer) kinds(n int) []string {
	p.t.Helper()
	var got []string
	for len(got) < n {
		m := await(p.t, "message", p.received)
		if topic, ok := parseTopic(m.topic); ok {
			got = append(got, strings.TrimSpace(topic.kind.String()+" "+topic.device))
		}
	}
	return got
}
