package connectors

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

// patience is how long a condition may take on a very slow machine.
const patience = 30 * time.Second

// site is the peer of one protocol behind a proxy, for all of its tests: the
// OPC UA library's server is too large for one in each.
type site struct {
	protocol
	peer  peer
	proxy *proxy
}

func newSite(t *testing.T, p protocol) *site {
	t.Helper()
	served, address := p.peer(t)
	s := &site{protocol: p, peer: served, proxy: newProxy(t, address)}
	served.advertise(s.proxy.listener.Addr().(*net.TCPAddr).Port)
	served.start(t)
	t.Cleanup(func() {
		s.proxy.set(refused) // the server's end waits for its connections'
		s.peer.stop()
	})
	return s
}

// rig is a device of one protocol, with everything that it reads checked.
type rig struct {
	t *testing.T
	*site
	*Supervisor

	n       int
	last    map[string]plant.Reading
	through plant.Time
}

func (s *site) rig(t *testing.T) *rig {
	t.Helper()
	s.proxy.set(whole)
	r := &rig{t: t, site: s, last: map[string]plant.Reading{}}
	r.Supervisor = r.open(1)[0]
	return r
}

// open makes devices of machines press, press2 and so on behind the proxy.
func (r *rig) open(n int) []*Supervisor {
	r.t.Helper()
	cfgs := make([]Config, n)
	for i := range cfgs {
		cfgs[i] = r.config(r.proxy.address())
		if i > 0 {
			cfgs[i].Machine += strconv.Itoa(i + 1)
		}
	}
	opts := Options{Backoff: Backoff{Base: 20 * time.Millisecond, Most: 100 * time.Millisecond}}
	if testing.Verbose() {
		opts.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	all, err := Open(cfgs, opts)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range all {
		s.connect = 2 * time.Second // what hangs is known sooner than in a plant
		r.t.Cleanup(func() { s.Close() })
	}
	return all
}

// look takes one round and checks every reading of it.
func (r *rig) look() {
	r.t.Helper()
	r.n = (r.n + 1) % 1000
	r.peer.hold(r.n)
	round, err := r.Next(r.t.Context(), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if round.Through < r.through {
		r.t.Errorf("through %v after %v", round.Through, r.through)
	}
	r.through = round.Through
	if past := r.Past(nil); len(past) > 0 {
		r.t.Errorf("a device without history learnt of its past: %+v", past)
	}
	for _, x := range round.Readings {
		r.check(x)
		r.last[x.Signal] = x
	}
}

// check fails the test for a reading that cannot be true.
func (r *rig) check(x plant.Reading) {
	r.t.Helper()
	if x.Machine != "press" || x.Time%plant.Millisecond != 0 || x.Time == 0 || x.Time > r.through {
		r.t.Errorf("reading %+v in a round through %v", x, r.through)
	}
	if before, ok := r.last[x.Signal]; ok && x.Time < before.Time {
		r.t.Errorf("reading %+v after %+v", x, before)
	}
	if x.Quality == plant.Bad {
		if x.Reason == "" || !x.Value.IsNone() {
			r.t.Errorf("bad reading %+v", x)
		}
		return
	}
	if _, bad := r.reasons[x.Signal]; bad {
		r.t.Errorf("reading %+v, which cannot be good", x)
	}
	n := -1
	switch x.Signal {
	case "n":
		n = int(x.Value.Integer())
	case "far":
		n = int(x.Value.Integer()) - 5000
	case "speed":
		n = int(x.Value.Float() * 2)
	case "text":
		text, _ := strings.CutPrefix(x.Value.Text(), "run-")
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			r.t.Errorf("reading %+v", x)
		}
	}
	// What a look gives was there when it began, or was held since.
	if n < 0 || n >= 1000 || r.fresh && n != r.n {
		r.t.Errorf("reading %+v while the device held %d", x, r.n)
	}
}

// until takes rounds until ok.
func (r *rig) until(what string, ok func() bool) time.Duration {
	r.t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > patience {
			r.t.Fatalf("%s: not within %v; status %+v, last readings %+v", what, patience, r.Status(), r.last)
		}
		r.look()
	}
	return time.Since(began)
}

// flows tells whether each signal that can be good has a good reading of the
// latest looks, and each that cannot a bad one with its own reason.
func (r *rig) flows() bool {
	for _, s := range r.Signals() {
		x, ok := r.last[s.Name]
		if !ok {
			return false
		}
		reason, bad := r.reasons[s.Name]
		if bad && (x.Quality != plant.Bad || reason != "" && x.Reason != reason) || !bad && x.Quality != plant.Good {
			return false
		}
	}
	return r.Status().Link == plant.LinkFlowing
}

// lost tells whether every signal is known to be bad.
func (r *rig) lost() bool {
	for _, x := range r.last {
		if x.Quality != plant.Bad {
			return false
		}
	}
	return len(r.last) == len(r.Signals()) && r.Status().Link != plant.LinkFlowing && r.Status().BadNow == len(r.Signals())
}

// rounds takes rounds for a while.
func (r *rig) rounds(d time.Duration) {
	r.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		r.look()
	}
}

// TestContract runs what every connector must do over each of them.
func TestContract(t *testing.T) {
	for _, p := range protocols() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel() // they mostly wait
			s := newSite(t, p)
			for _, c := range []struct {
				name string
				test func(r *rig)
			}{
				{"reads", testReads}, {"absent at start", testAbsent}, {"one connection", testOneConnection}, {"ends at once", testEnds},
				{"cut", testCut}, {"cut in the middle of looks", testCutsInLooks}, {"blip", testBlip},
				{"gone for a while", func(r *rig) { testOutage(r, refused) }},
				{"frozen", func(r *rig) { testOutage(r, frozen) }},
				{"half open", func(r *rig) { testOutage(r, swallows) }},
				{"server restart", testRestart}, {"program replaced", testReplaced},
			} {
				t.Run(c.name, func(t *testing.T) { c.test(s.rig(t)) })
			}
			testMischief(t, s)
		})
	}
}

func testReads(r *rig) {
	r.until("flow", r.flows)
	r.rounds(200 * time.Millisecond)
	if !r.flows() {
		r.t.Errorf("does not flow: %+v, %+v", r.Status(), r.last)
	}
	st := r.Status()
	if st.BadNow != 4 || st.Connects != 1 || st.Failures != 0 || st.Rounds == 0 || st.Reason != "" || st.LastData == 0 {
		r.t.Errorf("status %+v", st)
	}
	// A value that the device holds now arrives.
	want := r.n
	r.until("change", func() bool { return int(r.last["n"].Value.Integer()) > want })
	if err := r.Close(); err != nil {
		r.t.Error(err)
	}
	r.settles("the connection to be closed", func() bool { now, _ := r.proxy.open(); return now == 0 })
}

func testAbsent(r *rig) {
	r.proxy.set(refused)
	r.until("known to be absent", r.lost)
	first := r.last["n"]
	r.rounds(200 * time.Millisecond)
	if st := r.Status(); st.Rounds != 0 || st.LastData != 0 || st.Failures < 2 {
		r.t.Errorf("status %+v", st)
	}
	if r.through <= first.Time {
		r.t.Error("what is known does not advance while the device is absent")
	}
	r.proxy.set(whole)
	r.t.Logf("flows %v after it appeared", r.until("flow", r.flows))
}

// testOneConnection: devices of one endpoint share its connection, and each
// still reads.
func testOneConnection(r *rig) {
	_, before := r.proxy.open()
	all := r.open(3)
	for range 5 {
		for _, s := range all {
			if round, err := s.Next(r.t.Context(), nil); err != nil || s.Status().Link == plant.LinkDown {
				r.t.Fatalf("round %+v, error %v, status %+v", round, err, s.Status())
			}
		}
	}
	if now, ever := r.proxy.open(); now != 1 || ever != before+1 {
		r.t.Errorf("%d connections, %d made, want 1", now, ever-before)
	}
}

// testEnds: the end of the program does not wait for a device that hangs.
func testEnds(r *rig) {
	r.until("flow", r.flows)
	r.proxy.set(swallows)
	ctx, cancel := context.WithTimeout(r.t.Context(), 100*time.Millisecond)
	defer cancel()
	for ctx.Err() == nil {
		if _, err := r.Next(ctx, nil); err != nil && ctx.Err() == nil {
			r.t.Fatalf("error %v though the context goes on", err)
		}
	}
}

func testCut(r *rig) {
	r.until("flow", r.flows)
	r.proxy.cut()
	r.recovers()
}

func testCutsInLooks(r *rig) {
	r.until("flow", r.flows)
	for range 5 {
		done := make(chan struct{})
		go func() { defer close(done); r.proxy.cut() }()
		r.look()
		<-done
	}
	r.recovers()
}

func testBlip(r *rig) {
	r.until("flow", r.flows)
	r.proxy.set(frozen)
	time.Sleep(20 * time.Millisecond)
	r.proxy.set(whole)
	r.recovers()
}

// testOutage makes a fault that lasts until it is known, and a little longer.
func testOutage(r *rig, w wire) {
	r.until("flow", r.flows)
	r.proxy.set(w)
	r.until("known to be lost", r.lost)
	r.rounds(200 * time.Millisecond)
	if st := r.Status(); st.Failures == 0 || st.Link == plant.LinkFlowing {
		r.t.Errorf("status %+v", st)
	}
	r.proxy.set(whole)
	r.recovers()
}

// recovers waits until data flows again for good.
func (r *rig) recovers() {
	r.t.Helper()
	before := r.Status().Rounds
	r.t.Logf("flows %v after the fault", r.until("flow again", func() bool { return r.Status().Rounds > before+3 && r.flows() }))
}

func testRestart(r *rig) {
	r.until("flow", r.flows)
	r.proxy.set(refused)
	r.peer.stop()
	r.until("known to be gone", r.lost)
	r.peer.start(r.t)
	r.proxy.set(whole)
	r.recovers()
}

// TestContractLeaks loses and finds each device many times.
func TestContractLeaks(t *testing.T) {
	for _, p := range protocols() {
		t.Run(p.name, func(t *testing.T) { testLeaks(newSite(t, p).rig(t)) })
	}
}

func testLeaks(r *rig) {
	r.grid.every, r.backoff.Backoff = time.Millisecond, Backoff{Base: time.Millisecond, Most: time.Millisecond}
	r.until("flow", r.flows)
	cycle := func() {
		before := r.Status().Connects
		r.proxy.cut()
		r.until("reconnect", func() bool { return r.Status().Connects > before && r.Status().Link == plant.LinkFlowing })
	}
	for range r.cuts / 10 {
		cycle()
	}
	goroutines, files := resources()
	heap := heapInUse()
	for range r.cuts - r.cuts/10 {
		cycle()
	}
	r.until("flow again", r.flows)
	grown := int64(heapInUse()) - int64(heap)
	r.t.Logf("%d reconnects: heap grew by %d KiB from the tenth part of them on", r.cuts, grown>>10)
	if grown > r.grows {
		r.t.Errorf("heap grew by %d bytes, want at most %d", grown, r.grows)
	}
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		g, f := resources()
		if g <= goroutines+5 && f <= files+5 {
			return
		}
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			r.t.Fatalf("%d goroutines and %d descriptors, were %d and %d:\n%s", g, f, goroutines, files, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// settles waits for what others do.
func (r *rig) settles(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// resources counts goroutines and open descriptors (0 where the system does not
// tell).
func resources() (goroutines, descriptors int) {
	runtime.GC() // the OPC UA library's server leaves connections that ended to it
	files, _ := os.ReadDir("/proc/self/fd")
	return runtime.NumGoroutine(), len(files)
}

// heapInUse gives the bytes that are in use after all garbage is gone.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func ExampleBackoff() {
	b := newBackoff(Backoff{Base: time.Second, Most: 5 * time.Second})
	b.random = func() float64 { return 1 } // the longest that the jitter can give
	for range 6 {
		fmt.Print(b.next(false), " ")
	}
	// Output: 0s 1s 2s 4s 5s 5s
}
