package connectors

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"linetwin/connectors/opcua"
	"linetwin/plant"
)

// historianPeer is npm's node-opcua, a foreign server that keeps history of its
// nodes changing and still; of plain it keeps none, and it refuses that of
// refuse.
type historianPeer struct {
	t    *testing.T
	port int
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	held map[string]map[plant.Time]int64 // what its history has
	last plant.Time
}

func newHistorianPeer(t *testing.T) *historianPeer {
	t.Helper()
	if os.Getenv("LINETWIN_NPM_TESTS") == "" {
		t.Skip("LINETWIN_NPM_TESTS names no folder with npm's node-opcua@2.165.1 installed")
	}
	p := &historianPeer{t: t, port: freePort(t)}
	p.start()
	t.Cleanup(p.stop)
	return p
}

func (p *historianPeer) start() {
	p.t.Helper()
	p.held = map[string]map[plant.Time]int64{}
	p.cmd = exec.Command("node", "opcua/testdata/historian.js", os.Getenv("LINETWIN_NPM_TESTS"), fmt.Sprint(p.port), p.t.TempDir(), "changing", "still", "plain:plain", "refuse:refuse")
	p.cmd.Stderr = io.Discard // warnings about this version of node
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.answer()
}

func (p *historianPeer) stop() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// answer gives the next line of JSON.
func (p *historianPeer) answer() (counts struct{ Pages, Lost int }) {
	p.t.Helper()
	for p.out.Scan() {
		if line := p.out.Text(); strings.HasPrefix(line, "{") {
			if err := json.Unmarshal([]byte(line), &counts); err != nil {
				p.t.Fatal(err)
			}
			return counts
		}
	}
	p.t.Fatalf("node-opcua ended: %v", p.out.Err())
	return counts
}

func (p *historianPeer) ask(command string, args ...any) (counts struct{ Pages, Lost int }) {
	p.t.Helper()
	if _, err := fmt.Fprintf(p.in, command+"\n", args...); err != nil {
		p.t.Fatal(err)
	}
	return p.answer()
}

// set gives a node a value at a time of its own.
func (p *historianPeer) set(node string, value int64) {
	p.t.Helper()
	at := plant.Stamp(time.Now())
	for ; at <= p.last; at = plant.Stamp(time.Now()) {
		time.Sleep(100 * time.Microsecond)
	}
	p.last = at
	if p.held[node] == nil {
		p.held[node] = map[plant.Time]int64{}
	}
	p.held[node][at] = value
	p.ask(`{"set":%q,"value":%d,"at":%d}`, node, value, at.Milli())
}

// historyRig is a device of that peer, with all that it told and learnt.
type historyRig struct {
	*testing.T
	*Supervisor
	peer  *historianPeer
	proxy *proxy
	live  map[string]map[plant.Time]plant.Reading
	past  map[string]map[plant.Time]plant.Reading
	last  map[string]plant.Reading
}

func newHistoryRig(t *testing.T, peer *historianPeer, mode string) *historyRig {
	r := &historyRig{T: t, peer: peer, live: map[string]map[plant.Time]plant.Reading{},
		past: map[string]map[plant.Time]plant.Reading{}, last: map[string]plant.Reading{}}
	r.proxy = newProxy(t, fmt.Sprintf("127.0.0.1:%d", peer.port))
	cfg := Config{Machine: "press", Every: 20 * time.Millisecond,
		OPCUA: &opcua.Config{URL: "opc.tcp://" + r.proxy.address(), Security: "None", Mode: mode, Publishing: 50 * time.Millisecond}}
	for _, name := range []string{"changing", "still", "plain", "refuse"} {
		cfg.Signals = append(cfg.Signals, Signal{Name: name, Node: "ns=1;s=" + name, Type: "int32"})
	}
	opts := Options{Backoff: Backoff{Base: 20 * time.Millisecond, Most: 100 * time.Millisecond}}
	if testing.Verbose() {
		opts.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	all, err := Open([]Config{cfg}, opts)
	if err != nil {
		t.Fatal(err)
	}
	r.Supervisor = all[0]
	t.Cleanup(func() { r.Close() })
	return r
}

func (r *historyRig) look() {
	r.Helper()
	round, err := r.Next(r.Context(), nil)
	if err != nil {
		r.Fatal(err)
	}
	keep := func(to map[string]map[plant.Time]plant.Reading, x plant.Reading) {
		if to[x.Signal] == nil {
			to[x.Signal] = map[plant.Time]plant.Reading{}
		}
		if was, twice := to[x.Signal][x.Time]; twice && !was.Same(&x) {
			r.Errorf("%+v and %+v at one time", was, x)
		}
		to[x.Signal][x.Time] = x
	}
	for _, x := range round.Readings {
		keep(r.live, x)
		r.last[x.Signal] = x
	}
	for _, x := range r.Past(nil) {
		if _, twice := r.past[x.Signal][x.Time]; twice {
			r.Errorf("%+v was told already", x)
		}
		if now, ok := r.live[x.Signal][x.Time]; ok && now.Quality != plant.Bad {
			r.Errorf("%+v in place of %+v", x, now)
		}
		keep(r.past, x)
	}
}

func (r *historyRig) until(what string, ok func() bool) {
	r.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			r.Fatalf("waited in vain for %s; last %+v, %d of the past", what, r.last, len(r.past["changing"]))
		}
		r.look()
	}
}

func (r *historyRig) flows() bool {
	for _, s := range r.Signals() {
		if x, ok := r.last[s.Name]; !ok || x.Quality != plant.Good {
			return false
		}
	}
	return true
}

func (r *historyRig) lost() bool { return r.last["still"].Quality == plant.Bad }

// known gives what a signal was at a time, as a store knows it that holds all.
func (r *historyRig) known(signal string, at plant.Time) plant.Reading {
	var best plant.Reading
	for _, all := range []map[plant.Time]plant.Reading{r.live[signal], r.past[signal]} {
		for t, x := range all {
			if t <= at && (t > best.Time || t == best.Time && x.Quality < best.Quality) {
				best = x
			}
		}
	}
	return best
}

// filled tells whether all is known of a time that the server's history holds.
func (r *historyRig) filled(hole plant.Span) bool {
	for at, v := range r.peer.held["changing"] {
		if x := r.known("changing", at); hole.Has(at) && (x.Quality != plant.Good || x.Value.Integer() != v) {
			return false
		}
	}
	return true
}

// checkHole checks that what the server held in the hole is known, exactly and
// once, and that nothing else is.
func (r *historyRig) checkHole(hole plant.Span) {
	r.Helper()
	for at, x := range r.past["changing"] {
		_, held := r.peer.held["changing"][at]
		_, told := r.live["changing"][at]
		if !held && !told {
			r.Errorf("%+v is not in the server's history", x)
		}
	}
	for at, v := range r.peer.held["changing"] {
		if !hole.Has(at) {
			continue
		}
		x, ok := r.past["changing"][at]
		if now, live := r.live["changing"][at]; !ok && live && now.Value.Integer() == v {
			continue // the first look after the outage found it
		}
		if !ok || x.Value.Integer() != v || x.Quality != plant.Good {
			r.Errorf("at %s the server held %d, known is %+v", at, v, x)
		}
	}
	for _, s := range []string{"changing", "still"} {
		for at, x := range r.live[s] {
			if y := r.known(s, at); hole.Has(at) && x.Quality == plant.Bad && y.Quality != plant.Good {
				r.Errorf("%s is still unknown: %+v", s, y)
			}
		}
	}
	for _, s := range []string{"plain", "refuse"} {
		if len(r.past[s]) > 0 {
			r.Errorf("%s has no history, yet: %+v", s, r.past[s])
		}
	}
}

func TestHistoryFillsOutage(t *testing.T) {
	t.Parallel()
	peer := newHistorianPeer(t)
	for _, mode := range []string{opcua.ModePoll, opcua.ModeSubscribe} {
		t.Run(mode, func(t *testing.T) {
			r := newHistoryRig(t, peer, mode)
			peer.set("still", 7)
			peer.set("changing", 0)
			r.until("flow", r.flows)
			r.until("the value", func() bool { return r.last["still"].Value.Integer() == 7 })
			r.outage(1300, func() {})
			// A server that forgets where it was, and an outage in the middle of what
			// is learnt of another one.
			lost := peer.ask(`{"lose":1}`).Lost
			r.outage(1200, func() {
				r.until("a part of the past", func() bool { return len(r.past["changing"]) > 1300+100 })
				r.proxy.cut()
			})
			if now := peer.ask(`{}`).Lost; now != lost+1 {
				t.Errorf("%d continuation points were lost, want 1", now-lost)
			}
		})
	}
	t.Run("restarted", func(t *testing.T) { testHistoryOfRestarted(t, peer) })
}

// outage changes a node n times while it cannot be read.
func (r *historyRig) outage(n int, meanwhile func()) {
	r.Helper()
	hole := plant.Span{From: plant.Stamp(time.Now())}
	r.proxy.set(refused)
	r.until("known to be lost", r.lost)
	for i := range n {
		r.peer.set("changing", int64(i+1))
		if i%50 == 0 {
			r.look()
		}
	}
	hole.To = plant.Stamp(time.Now())
	r.proxy.set(whole)
	r.until("flow again", r.flows)
	meanwhile()
	r.until("the past", func() bool { return r.filled(hole) && r.flows() })
	for range 5 {
		r.look()
	}
	r.checkHole(hole)
}

// testHistoryOfRestarted: what a server had before it was started anew is not
// trusted, for nobody knows what it lacks.
func testHistoryOfRestarted(t *testing.T, peer *historianPeer) {
	r := newHistoryRig(t, peer, opcua.ModePoll)
	peer.set("changing", 5)
	r.until("flow", r.flows)
	r.proxy.set(refused)
	r.until("known to be lost", r.lost)
	peer.set("changing", 6)
	peer.stop()
	stopped := plant.Stamp(time.Now())
	peer.start()
	for i := range 20 {
		peer.set("changing", int64(i))
	}
	end := plant.Stamp(time.Now())
	r.look()
	r.proxy.set(whole)
	r.until("flow again", r.flows)
	r.until("the past", func() bool { return r.filled(plant.Span{From: stopped, To: end}) })
	for at, x := range r.past["changing"] {
		if v, ok := peer.held["changing"][at]; at < stopped || ok && v != x.Value.Integer() {
			t.Errorf("%+v, while the server holds %d since %s", x, v, stopped)
		}
	}
	for at, x := range r.live["changing"] {
		if y := r.known("changing", at); x.Quality == plant.Bad && at < stopped && y.Quality != plant.Bad {
			t.Errorf("%+v, though the server knows nothing of that time", y)
		}
	}
}
