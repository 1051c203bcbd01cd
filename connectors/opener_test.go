package connectors

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"linetwin/connectors/modbus"
	"linetwin/connectors/opcua"
	"linetwin/gateway"
	"linetwin/plant"
)

const several = `
- machine: a
  modbus: {url: "tcp://127.0.0.1:5020", unit: 1}
  signals: [{name: n, address: "holding:0", type: uint16, scale: 2}]
- machine: b
  modbus: {url: "tcp://127.0.0.1:5020", unit: 2}
  signals: [{name: n, address: "holding:0", type: uint16, scale: 2}]
- machine: c
  opcua: {url: "opc.tcp://127.0.0.1:4840", security: None, user: {name: u, password: secret}}
  signals: [{name: n, node: "i=1", type: float64}]
- machine: d
  opcua: {url: "opc.tcp://127.0.0.1:4840", security: None, user: {name: u, password: secret}}
  signals: [{name: n, node: "i=1", type: float64}]
`

func TestOpenerKeepsWhatDidNotChange(t *testing.T) {
	machines := []string{"a", "b", "c", "d"}
	for _, c := range []struct {
		name   string
		change func(cfgs []Config) []Config
		same   []string
	}{
		{"nothing", func(c []Config) []Config { return c }, machines},
		{"order", func(c []Config) []Config { slices.Reverse(c); return c }, machines},
		{"a default that is written", func(c []Config) []Config {
			c[0].Every, c[0].Modbus.Timeout = time.Second, 500*time.Millisecond
			return c
		}, machines},
		{"every", func(c []Config) []Config { c[0].Every = 2 * time.Second; return c }, []string{"b", "c", "d"}},
		{"behind a pointer", func(c []Config) []Config { *c[1].Signals[0].Scale = 3; return c }, []string{"a", "c", "d"}},
		{"a pointer is gone", func(c []Config) []Config { c[1].Signals[0].Scale = nil; return c }, []string{"a", "c", "d"}},
		{"a secret", func(c []Config) []Config { c[2].OPCUA.User.Password = "other"; return c }, []string{"a", "b", "d"}},
		{"a description", func(c []Config) []Config { c[3].Signals[0].Description = "x"; return c }, []string{"a", "b", "c"}},
		{"one more signal", func(c []Config) []Config {
			c[3].Signals = append(c[3].Signals, Signal{Name: "m", Node: "i=2", Type: "float64"})
			return c
		}, []string{"a", "b", "c"}},
		{"a machine's name", func(c []Config) []Config { c[0].Machine = "z"; return c }, []string{"b", "c", "d"}},
		{"one fewer", func(c []Config) []Config { return c[1:] }, []string{"b", "c", "d"}},
		{"another server", func(c []Config) []Config { c[0].Modbus.URL = "tcp://127.0.0.1:5021"; return c }, []string{"b", "c", "d"}},
	} {
		o := NewOpener(Options{})
		before, err := o.Open(load(t, several))
		if err != nil {
			t.Fatal(err)
		}
		changed := c.change(load(t, several))
		after, err := o.Open(changed)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var same []string
		for i, s := range after {
			if s.Machine() != changed[i].Machine {
				t.Errorf("%s: device %d is %s, want %s", c.name, i, s.Machine(), changed[i].Machine)
			}
			if slices.Contains(before, s) {
				same = append(same, s.Machine())
			}
		}
		slices.Sort(same)
		if !slices.Equal(same, c.same) {
			t.Errorf("%s: %v are the same, want %v", c.name, same, c.same)
		}
	}
}

func TestOpenerChangesNothingOnAnError(t *testing.T) {
	o := NewOpener(Options{})
	before, err := o.Open(load(t, several))
	if err != nil {
		t.Fatal(err)
	}
	wrong := load(t, several)
	wrong[1].Signals[0].Type = "word"
	if _, err := o.Open(wrong); err == nil {
		t.Error("a wrong type is taken")
	}
	after, err := o.Open(load(t, several))
	if err != nil || !slices.Equal(before, after) {
		t.Errorf("other devices after an error (%v)", err)
	}
}

// TestOpenerCountsTheItemsOfTheNewSet: max_items is about the devices of the
// new settings, not about those that are gone, have shrunk or were refused.
func TestOpenerCountsTheItemsOfTheNewSet(t *testing.T) {
	device := func(machine string, signals int) Config {
		c := Config{Machine: machine, OPCUA: &opcua.Config{URL: "opc.tcp://127.0.0.1:4840", Security: "None", Mode: opcua.ModeSubscribe, Heartbeat: "none", MaxItems: 4}}
		for i := range signals {
			c.Signals = append(c.Signals, Signal{Name: fmt.Sprint("s", i), Node: fmt.Sprint("i=", i+1), Type: "float64"})
		}
		return c
	}
	o := NewOpener(Options{})
	for _, c := range []struct {
		name  string
		cfgs  []Config
		wrong bool
	}{
		{"the first set", []Config{device("a", 2), device("b", 2)}, false},
		{"too many", []Config{device("a", 2), device("c", 3)}, true},
		{"a refused set does not count", []Config{device("a", 2), device("b", 2)}, false},
		{"one is gone", []Config{device("a", 2), device("c", 2)}, false},
		{"a later one has shrunk", []Config{device("a", 3), device("c", 1)}, false},
		{"too many beside one that stays", []Config{device("a", 3), device("d", 2)}, true},
		{"another name", []Config{device("e", 3), device("c", 1)}, false},
	} {
		_, err := o.Open(c.cfgs)
		if wrong := err != nil && strings.Contains(err.Error(), "max_items: found 5 "); wrong != c.wrong || err != nil && !wrong {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
}

// TestOpenerSetsThePauseOfALine: it is the longest that a device of the last
// good settings asks for.
func TestOpenerSetsThePauseOfALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConverter()
		device := func(unit int, pause time.Duration) Config {
			return Config{Machine: fmt.Sprintf("unit-%d", unit), Modbus: &modbus.Config{URL: "tcp://converter", Unit: unit, Pause: pause},
				Signals: []Signal{{Name: "r0", Address: "holding:0", Type: "uint16"}, {Name: "r500", Address: "holding:500", Type: "uint16"}}}
		}
		o := NewOpener(Options{})
		o.newLine = func(cfg modbus.Config) (*modbus.Line, error) { return modbus.NewLineOver(cfg, c.dial) }
		refused := Config{Machine: "z", OPCUA: &opcua.Config{URL: "opc.tcp://127.0.0.1:4840", Security: "None", Mode: opcua.ModeSubscribe, MaxItems: 1},
			Signals: []Signal{{Name: "a", Node: "i=1", Type: "int32"}, {Name: "b", Node: "i=2", Type: "int32"}}}
		var one *Supervisor
		for _, step := range []struct {
			name string
			cfgs []Config
			want time.Duration
		}{
			{"two", []Config{device(1, 20*time.Millisecond), device(2, 100*time.Millisecond)}, 100 * time.Millisecond},
			{"longer", []Config{device(1, 20*time.Millisecond), device(2, 200*time.Millisecond)}, 200 * time.Millisecond},
			{"refused", []Config{device(1, 20*time.Millisecond), device(2, 300*time.Millisecond), refused}, 200 * time.Millisecond},
			{"shorter", []Config{device(1, 20*time.Millisecond), device(2, 50*time.Millisecond)}, 50 * time.Millisecond},
			{"one fewer", []Config{device(1, 20*time.Millisecond)}, 20 * time.Millisecond},
		} {
			all, err := o.Open(step.cfgs)
			if (err != nil) != (step.name == "refused") {
				t.Fatalf("%s: error %v", step.name, err)
			}
			if one == nil {
				one = all[0]
			}
			next(t, one) // two requests of 10 ms
			if got := time.Duration(one.Status().RoundMs) * time.Millisecond; got != 20*time.Millisecond+step.want {
				t.Errorf("%s: a look takes %v, want 20ms and a pause of %v", step.name, got, step.want)
			}
		}
		if err := one.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
	})
}

// listener is a wire that is always there and keeps what it is given.
type listener struct {
	mu      sync.Mutex
	batches map[string][]plant.Batch
}

func (l *listener) Publish(b *plant.Batch) error {
	c := *b
	c.Readings = slices.Clone(b.Readings)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batches[b.Machine] = append(l.batches[b.Machine], c)
	return nil
}
func (l *listener) Status(*plant.GatewayStatus) error { return nil }
func (l *listener) Device(plant.DeviceBirth) error    { return nil }
func (l *listener) Online() bool                      { return true }

// heard counts the readings of a signal.
func (l *listener) heard(machine, signal string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, b := range l.batches[machine] {
		for _, r := range b.Readings {
			if r.Signal == signal && r.Quality == plant.Good {
				n++
			}
		}
	}
	return n
}

// unbroken fails for a bad reading, and for a claim that does not follow the
// one before: the device was never interrupted.
func (l *listener) unbroken(t *testing.T, machine string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	through := plant.Time(0)
	for _, b := range l.batches[machine] {
		if through != 0 && b.Complete.From != through {
			t.Errorf("%s: claim %v after one through %v", machine, b.Complete, through)
		}
		through = b.Complete.To
		for _, r := range b.Readings {
			if r.Quality == plant.Bad {
				t.Errorf("%s: %+v", machine, r)
			}
		}
	}
}

// reloading is a gateway on real servers whose settings change.
type reloading struct {
	t      *testing.T
	opener *Opener
	core   *gateway.Gateway
	wire   *listener
}

func (r *reloading) devices(cfgs []Config) []gateway.Device {
	r.t.Helper()
	all, err := r.opener.Open(cfgs)
	if err != nil {
		r.t.Fatal(err)
	}
	devices := make([]gateway.Device, len(all))
	for i, s := range all {
		devices[i] = gateway.Device{Machine: s.Machine(), Signals: s.Signals(), Deadbands: s.Deadbands(), Source: s}
	}
	return devices
}

func (r *reloading) reload(cfgs []Config) {
	r.t.Helper()
	if err := r.core.Reload(r.t.Context(), r.devices(cfgs)); err != nil {
		r.t.Fatal(err)
	}
}

// flows waits until machines have given n readings more of a signal.
func (r *reloading) flows(signal string, n int, machines ...string) {
	r.t.Helper()
	for _, m := range machines {
		from := r.wire.heard(m, signal)
		for end := time.Now().Add(patience); r.wire.heard(m, signal) < from+n; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				r.t.Fatalf("no new %s of %s", signal, m)
			}
		}
	}
}

func startReloading(t *testing.T, cfgs []Config) *reloading {
	t.Helper()
	r := &reloading{t: t, wire: &listener{batches: map[string][]plant.Batch{}},
		opener: NewOpener(Options{Backoff: Backoff{Base: 20 * time.Millisecond, Most: 100 * time.Millisecond}})}
	cfg := gateway.DefaultConfig()
	cfg.Area, cfg.Gateway, cfg.Buffer.Folder = "assembly", "edge-1", t.TempDir()
	var err error
	if r.core, err = gateway.New(cfg, r.devices(cfgs), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan error, 1)
	go func() { end <- r.core.Run(ctx, r.wire) }()
	t.Cleanup(func() {
		cancel()
		if err := <-end; err != nil {
			t.Error(err)
		}
	})
	return r
}

// TestReloadKeepsConnections changes settings under a running gateway: what did
// not change notices nothing, neither where it shares a line or a session with
// what did.
func TestReloadKeepsConnections(t *testing.T) {
	var proxies []*proxy
	var peers []peer
	for _, make := range []func(testing.TB) (peer, string){newRegisters, newRegisters, newSpace} {
		served, address := make(t)
		p := newProxy(t, address)
		served.advertise(p.listener.Addr().(*net.TCPAddr).Port)
		served.start(t)
		t.Cleanup(func() { p.set(refused); served.stop() })
		proxies, peers = append(proxies, p), append(peers, served)
	}
	changing, stop := context.WithCancel(t.Context())
	var changer sync.WaitGroup
	changer.Go(func() {
		for n := 1; changing.Err() == nil; n = n%1000 + 1 {
			for _, p := range peers {
				p.hold(n)
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	t.Cleanup(func() { stop(); changer.Wait() })

	register := func(name string) Signal { return Signal{Name: name, Address: "holding:0", Type: "uint16"} }
	node := func(name string) Signal {
		return Signal{Name: name, Node: "nsu=urn:linetwin:contract;s=n", Type: "int32"}
	}
	slave := func(machine string, at, unit int, signals ...Signal) Config {
		return Config{Machine: machine, Every: 20 * time.Millisecond, Modbus: &modbus.Config{URL: "tcp://" + proxies[at].address(), Unit: unit, Timeout: 10 * time.Second}, Signals: signals}
	}
	server := func(machine, mode string, signals ...Signal) Config {
		return Config{Machine: machine, Every: 20 * time.Millisecond, Signals: signals,
			OPCUA: &opcua.Config{URL: "opc.tcp://" + proxies[2].address(), Security: "None", Mode: mode, Timeout: 10 * time.Second, Publishing: 50 * time.Millisecond}}
	}
	// line and alone stay; mate shares line's connection, other has one of its
	// own; session stays, guest shares its session.
	settings := func(mate, other, guest string) []Config {
		return []Config{slave("line", 0, 1, register("n")), slave("mate", 0, 2, register(mate)), slave("other", 1, 1, register(other)),
			server("session", "subscribe", node("n")), server("guest", "poll", node(guest))}
	}
	r := startReloading(t, settings("n", "n", "n"))
	r.flows("n", 3, "line", "mate", "other", "session", "guest")

	ever := func(i int) int { _, n := proxies[i].open(); return n }
	connections := func(want ...int) {
		t.Helper()
		for i := range want {
			if n := ever(i); n != want[i] {
				t.Errorf("server %d was connected to %d times, want %d", i, n, want[i])
			}
		}
	}
	connections(1, 1, 1)
	r.reload(settings("n", "m", "n"))
	r.flows("m", 3, "other")
	r.reload(settings("m", "m", "m"))
	r.flows("m", 3, "mate", "guest")
	r.flows("n", 3, "line", "session")
	connections(1, 2, 1)

	// Added on a line that is there, and removed.
	more := append(settings("m", "m", "m")[:4], slave("more", 0, 3, register("n")))
	r.reload(more)
	r.flows("n", 3, "more", "line", "session")
	connections(1, 2, 1)
	if n := len(r.core.Status().Devices); n != 5 {
		t.Errorf("%d devices", n)
	}

	r.reload(settings("m", "m", "m"))
	r.flows("m", 3, "guest", "other")
	before := runtime.NumGoroutine()
	for i := range 50 {
		r.reload(settings(fmt.Sprint("m", i), fmt.Sprint("m", i), fmt.Sprint("m", i)))
	}
	r.flows("m49", 3, "mate", "other", "guest")
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before 50 reloads", runtime.NumGoroutine(), before)
		}
	}
	r.flows("n", 3, "line", "session")
	if ever(0) != 1 || ever(2) != 1 {
		t.Error("a connection that is shared was lost")
	}
	r.wire.unbroken(t, "line")
	r.wire.unbroken(t, "session")
	for _, d := range r.core.Status().Devices {
		if (d.Machine == "line" || d.Machine == "session") && (d.Failures != 0 || d.Connects != 1) {
			t.Errorf("%+v", d)
		}
	}
}
