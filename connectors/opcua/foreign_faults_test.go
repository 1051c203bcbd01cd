package opcua

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"linetwin/plant"
)

// fromFault is how long it may take until what can flow flows again.
const fromFault = 10 * time.Second

// again polls, and connects anew after each failure, until a reading is so,
// and gives the last round. No reading on the way may be wrong.
func again(t *testing.T, d *Device, wrong, so func(map[string]plant.Reading) bool) map[string]plant.Reading {
	t.Helper()
	all := map[string]plant.Reading{}
	waitFor(t, func() bool {
		r, err := d.Poll(t.Context(), nil)
		if err != nil {
			if err := d.Connect(t.Context()); err != nil {
				time.Sleep(20 * time.Millisecond)
			}
			return false
		}
		for name, reading := range latest(r.Readings) {
			all[name] = reading
		}
		if wrong(all) {
			t.Fatalf("a wrong value: %+v", all)
		}
		return so(all)
	})
	return all
}

// A server that is stopped and goes on: the connection stays open meanwhile.
func foreignFrozen(t *testing.T, s *foreignServer) {
	for _, cfg := range []Config{{}, {Mode: ModeSubscribe, Publishing: 50 * time.Millisecond, Sampling: 20 * time.Millisecond}} {
		t.Run(cfg.filled(time.Second).Mode, func(t *testing.T) {
			cfg.Timeout = 300 * time.Millisecond
			s.set(t, "int32", "Int32", 100, nil)
			d := s.device(t, nil, cfg, Signal{Name: "a", Node: foreignNode("int32"), Type: "int32"})
			waitFor(t, func() bool { return d.Connect(t.Context()) == nil })
			if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			waitFor(t, func() bool { _, err := d.Poll(t.Context(), nil); return err != nil })
			noticed := time.Since(began)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := d.Connect(ctx)
			cancel()
			if err := s.cmd.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			if err == nil {
				t.Error("a frozen server took a connection")
			}
			s.set(t, "int32", "Int32", 101, nil)
			began = time.Now()
			again(t, d, func(map[string]plant.Reading) bool { return false }, func(got map[string]plant.Reading) bool { return got["a"].Value == plant.Integer(101) })
			if noticed > fromFault || time.Since(began) > fromFault {
				t.Errorf("noticed after %v, back after %v", noticed, time.Since(began))
			}
		})
	}
	s.set(t, "int32", "Int32", -3, nil)
}

// foreignSmall is a server that holds little: two sessions, and it trusts
// nobody at first. Its certificate is signed by an authority's authority.
func foreignSmall(t *testing.T, p *peerProcess) {
	root := issue(t, "root", nil, authority)
	between := issue(t, "between", root, authority)
	setup := func(names ...string) message {
		var nodes []message
		for i, n := range names {
			nodes = append(nodes, message{"node": n, "type": "Int32", "value": 10 * (i + 1)})
		}
		return message{"mini": true, "users": map[string]string{"edge": "right"}, "sessions": 2, "namespaces": []string{}, "decoys": []string{}, "space": foreignSpace, "nodes": nodes}
	}
	s := p.server(t, "small", []*issued{issue(t, "small", between, nil), between}, setup("int32", "stays", "goes"))
	s.start(t)
	pki := trusting(t, root.x.Raw)
	t.Run("trust", func(t *testing.T) { foreignTrust(t, s, pki) })
	t.Run("sessions", func(t *testing.T) { foreignSessions(t, s, pki) })
	for _, mode := range []string{ModePoll, ModeSubscribe} {
		t.Run("restart "+mode, func(t *testing.T) { foreignRestart(t, s, mode, setup) })
	}
}

// The server has to trust us, and we an authority far above its certificate.
func foreignTrust(t *testing.T, s *foreignServer, pki *PKI) {
	d := s.device(t, pki, Config{Security: "Basic256Sha256/SignAndEncrypt"}, Signal{Name: "a", Node: foreignNode("int32"), Type: "int32"})
	err := d.Connect(t.Context())
	again := d.Connect(t.Context())
	own, oerr := pki.Own()
	if oerr != nil || err == nil || again == nil || err.Error() != again.Error() {
		t.Fatalf("connect: %v, then %v; %v", err, again, oerr)
	}
	for _, want := range []string{"the server says Bad", "trust it on the server", own.Thumbprint, own.File} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("connect: %v, want %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than a line: %v", err)
	}
	s.ask(t, "trust", message{"name": s.name, "pki": s.setup["pki"]})
	if err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := poll(t, d); r.Readings[0].Value != plant.Integer(10) {
		t.Errorf("%+v", r.Readings)
	}
}

func foreignSessions(t *testing.T, s *foreignServer, pki *PKI) {
	signal := Signal{Name: "a", Node: foreignNode("int32"), Type: "int32"}
	open := func() int { return s.number(t, "sessions", "sessions", message{"name": s.name}) }
	t.Run("too many", func(t *testing.T) {
		a, b, c := s.device(t, nil, Config{}, signal), s.device(t, nil, Config{}, signal), s.device(t, nil, Config{}, signal)
		for _, d := range []*Device{a, b} {
			if err := d.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		const want = "create session: the server says BadTooManySessions: all sessions that it allows are in use: close other clients"
		for range 2 {
			if err := c.Connect(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("connect: %v, want %q", err, want)
			}
		}
		a.Close()
		if err := c.Connect(t.Context()); err != nil {
			t.Errorf("with a session free: %v", err)
		}
	})
	for sec, user := range map[string]User{"None": {}, "Basic256Sha256/Sign": {}, "Aes256_Sha256_RsaPss/SignAndEncrypt": {Name: "edge", Password: "right"}} {
		// The same process takes its lost sessions over at once.
		t.Run("cut again and again, "+strings.ReplaceAll(sec, "/", " "), func(t *testing.T) {
			before := open()
			d := s.device(t, pki, Config{Security: sec, User: user}, signal)
			for i := range 5 {
				if err := d.Connect(t.Context()); err != nil {
					t.Fatalf("connection %d: %v", i, err)
				}
				if n := open(); n > before+1 {
					t.Errorf("connection %d: %d sessions are open, %d before", i, n, before)
				}
				d.session.ch.conn.Close()
				waitFor(t, func() bool { return d.session.broken() != nil })
				url := d.link.opt.url
				d.link.opt.url = "opc.tcp://127.0.0.1:1" // the first attempt fails, and must not forget what is left
				if err := d.Connect(t.Context()); err == nil {
					t.Fatal("connected to nobody")
				}
				d.link.opt.url = url
			}
			if err := d.Connect(t.Context()); err != nil { // and leaves nothing
				t.Fatal(err)
			}
		})
	}
	// What was killed can close nothing, and a new process knows nothing of it:
	// the server has to forget it.
	t.Run("killed twice", func(t *testing.T) {
		killed := func() *Device {
			pool := NewPool(nil, quiet())
			pool.lives = time.Second
			d, err := pool.Device("m", time.Second, Config{URL: s.url(), Security: "None", Timeout: 5 * time.Second}, []Signal{signal})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		for range 3 {
			d := killed()
			waitFor(t, func() bool { return d.Connect(t.Context()) == nil })
			d.session.ch.conn.Close()
			d.Close()
		}
	})
}

// A program download: nodes are gone, others are where they were not, and
// namespace indices have moved so that the old ones hold other values.
func foreignRestart(t *testing.T, s *foreignServer, mode string, setup func(...string) message) {
	reset := func(m message) {
		for k, v := range m {
			s.setup[k] = v
		}
		s.start(t)
	}
	if mode == ModeSubscribe { // it still has the moved ones of the test before
		s.ask(t, "stop", message{"name": s.name})
		reset(setup("int32", "stays", "goes"))
	}
	var signals []Signal
	for _, n := range []string{"int32", "stays", "goes"} {
		signals = append(signals, Signal{Name: n, Node: foreignNode(n), Type: "int32"})
	}
	d := s.device(t, nil, Config{Mode: mode, Timeout: 2 * time.Second, Publishing: 50 * time.Millisecond, Sampling: 20 * time.Millisecond}, signals...)
	waitFor(t, func() bool { return d.Connect(t.Context()) == nil })
	right := func(want string) func(map[string]plant.Reading) bool {
		return func(got map[string]plant.Reading) bool {
			return fmt.Sprintf("%v %v %v %s", got["int32"].Value, got["stays"].Value, got["goes"].Value, got["goes"].Reason) == want
		}
	}
	never := func(got map[string]plant.Reading) bool {
		allowed := map[string][]plant.Value{"int32": {plant.Integer(10), plant.Integer(70)}, "stays": {plant.Integer(20), plant.Integer(80)}, "goes": {plant.Integer(30)}}
		for name, r := range got {
			if r.Quality == plant.Good && !slices.Contains(allowed[name], r.Value) {
				return true
			}
		}
		return false
	}
	again(t, d, never, right("10 20 30 "))
	s.ask(t, "stop", message{"name": s.name})
	moved := setup("int32", "stays")
	moved["namespaces"] = []string{"urn:new:1", "urn:new:2"}
	moved["decoys"] = []string{"int32", "stays", "goes"} // in these, with other values
	moved["nodes"] = []message{{"node": "stays", "type": "Int32", "value": 80}, {"node": "int32", "type": "Int32", "value": 70}}
	reset(moved)
	began := time.Now()
	again(t, d, never, right("70 80 – BadNodeIdUnknown"))
	if took := time.Since(began); took > fromFault {
		t.Errorf("back after %v", took)
	}
}
