package connectors

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"linetwin/connectors/modbus"
	"linetwin/plant"
)

// converter is a Modbus TCP converter in the time of a synctest bubble, with a
// bus behind it on which each request takes 10 ms. Units that are silent do not
// answer; of those that are cut off the converter itself says so. Its
// registers hold unit x 1000 + their address.
type converter struct {
	mu          sync.Mutex
	silent, cut map[byte]bool
	off         bool // refuses connections
	dials       int
	asked       map[byte][]int     // how many registers, by unit
	recovered   map[byte]time.Time // when a unit first answered
}

func newConverter() *converter {
	return &converter{silent: map[byte]bool{}, cut: map[byte]bool{}, asked: map[byte][]int{}, recovered: map[byte]time.Time{}}
}

func (c *converter) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (c *converter) dial(context.Context, string, string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off {
		return nil, errors.New("connection refused")
	}
	c.dials++
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		request := make([]byte, 12)
		for {
			if _, err := io.ReadFull(theirs, request); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
			if answer := c.answer(request); answer != nil {
				theirs.Write(answer)
			}
		}
	}()
	return ours, nil
}

func (c *converter) answer(request []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	unit, at, n := request[6], binary.BigEndian.Uint16(request[8:]), binary.BigEndian.Uint16(request[10:])
	c.asked[unit] = append(c.asked[unit], int(n))
	if c.silent[unit] || c.silent[0] {
		return nil
	}
	answer := append([]byte(nil), request[:8]...)
	if c.cut[unit] {
		answer[5] = 3
		answer[7] |= 0x80
		return append(answer, 11)
	}
	if c.recovered[unit].IsZero() {
		c.recovered[unit] = time.Now()
	}
	binary.BigEndian.PutUint16(answer[4:], 3+2*n)
	answer = append(answer, byte(2*n))
	for i := range n {
		answer = binary.BigEndian.AppendUint16(answer, 1000*uint16(unit)+at+i)
	}
	return answer
}

// party are the devices of some units behind one converter, each with two
// requests of several registers each 200 ms.
type party struct {
	*converter
	all []*Supervisor
	log strings.Builder
}

func newParty(t *testing.T, c *converter, units ...int) *party {
	t.Helper()
	p := &party{converter: c}
	opts := Options{Log: slog.New(slog.NewTextHandler(&p.log, nil))}
	var cfgs []Config
	for _, unit := range units {
		cfg := Config{Machine: fmt.Sprintf("unit-%d", unit), Every: 200 * time.Millisecond, Modbus: &modbus.Config{URL: "tcp://converter", Unit: unit}}
		for _, at := range []int{0, 1, 2, 100, 101} {
			cfg.Signals = append(cfg.Signals, Signal{Name: fmt.Sprintf("r%d", at), Address: fmt.Sprintf("holding:%d", at), Type: "uint16"})
		}
		cfgs = append(cfgs, cfg)
	}
	o := NewOpener(opts)
	o.newLine = func(cfg modbus.Config) (*modbus.Line, error) { return modbus.NewLineOver(cfg, c.dial) }
	var err error
	if p.all, err = o.Open(cfgs); err != nil {
		t.Fatal(err)
	}
	return p
}

// run looks at all devices for a while, and fails the test for a wrong value.
func (p *party) run(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, s := range p.all {
		wg.Go(func() {
			var into []plant.Reading
			for {
				round, err := s.Next(ctx, into[:0])
				if err != nil {
					return
				}
				into = round.Readings
				for _, r := range round.Readings {
					var unit, at int
					fmt.Sscanf(r.Machine+" "+r.Signal, "unit-%d r%d", &unit, &at)
					if good := r.Quality == plant.Good; good && r.Value != plant.Integer(int64(1000*unit+at)) || !good && r.Reason == "" {
						t.Errorf("reading %+v", r)
					}
				}
			}
		})
	}
	time.Sleep(d)
	cancel()
	wg.Wait()
}

// close lets go of the line; a look that ended in its middle has done so.
func (p *party) close(t *testing.T) {
	for _, s := range p.all {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	time.Sleep(time.Second)
}

// rounds counts the looks at devices that found them.
func rounds(all []*Supervisor) (n uint64) {
	for _, s := range all {
		n += s.Status().Rounds
	}
	return n
}

// TestDeadUnitSlowsNobody: over two minutes with probes of a dead unit the
// others are looked at at least 95 % as often as without it.
func TestDeadUnitSlowsNobody(t *testing.T) {
	for _, c := range []struct {
		name   string
		kill   func(c *converter)
		reason string
	}{
		{"silent", func(c *converter) { c.silent[1] = true }, "no answer within 500ms"},
		{"cut off behind the converter", func(c *converter) { c.cut[1] = true }, "the unit does not answer its gateway (Modbus exception 11)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				without := newParty(t, newConverter(), 2, 3, 4, 5)
				without.run(t, 2*time.Minute)
				without.close(t)
				before := rounds(without.all)

				with := newParty(t, newConverter(), 1, 2, 3, 4, 5)
				c.kill(with.converter)
				with.run(t, 2*time.Minute)
				after := rounds(with.all[1:])
				share := float64(after) / float64(before)
				t.Logf("%d rounds without the dead unit, %d with it: %.1f %%", before, after, 100*share)
				if share < 0.95 {
					t.Errorf("the others reach %.3f of their rounds", share)
				}
				checkDemoted(t, with, c.reason)
				checkPlan(t, with)
				with.set(func() { clear(with.silent); clear(with.cut) })
				with.run(t, time.Minute+time.Second)
				if st := with.all[0].Status(); st.Link != plant.LinkFlowing || st.Reason != "" || st.NextTry != 0 || st.BadNow != 0 {
					t.Errorf("a probe interval after it came back: %+v", st)
				}
				with.close(t)
			})
		})
	}
}

// checkDemoted checks what is known of a dead first unit after two minutes.
func checkDemoted(t *testing.T, p *party, reason string) {
	t.Helper()
	st := p.all[0].Status()
	if st.Link != plant.LinkDown || st.BadNow != st.Signals || st.Rounds != 0 || st.Reason != "probe unit 1: "+reason+"; demoted, because others on its line answer" {
		t.Errorf("status %+v", st)
	}
	if left := st.NextTry.Sub(plant.At(time.Now())); left <= 0 || left > time.Minute {
		t.Errorf("the next probe is in %v", left)
	}
	// Three looks (within 3 s), then probes after 10, 20 and 40 s; the next 60 s
	// later. Where the dead unit is the first one on the line, its first look is
	// one that nobody else answers.
	got, dials := "", 0
	p.set(func() { got, dials = fmt.Sprint(p.asked[1]), p.dials })
	if got != "[3 3 3 1 1 1]" && got != "[3 3 3 3 1 1 1]" {
		t.Errorf("requests for %s registers of the dead unit, want three of the plan and three probes of one", got)
	}
	if dials != 1 {
		t.Errorf("%d connections, want 1", dials)
	}
	if n := strings.Count(p.log.String(), "is demoted"); n != 1 {
		t.Errorf("told %d times:\n%s", n, p.log.String())
	}
}

// checkPlan checks that each device that was found has told once what was
// predicted and what was measured.
func checkPlan(t *testing.T, p *party) {
	t.Helper()
	for n, s := range p.all[1:] {
		want := fmt.Sprintf("machine=%s protocol=modbus endpoint=\"tcp://converter:502 unit %d\" requests=2 predicted=10ms measured=", s.Machine(), n+2)
		if got := strings.Count(p.log.String(), want); got != 1 {
			t.Errorf("%q is told %d times:\n%s", want, got, p.log.String())
		}
	}
	if !strings.Contains(p.log.String(), `every=200ms devices=5 "line busy"=25%`) {
		t.Errorf("log:\n%s", p.log.String())
	}
}

// TestNotes: a line with too much to carry is a note, with the interval that
// could be reached.
func TestNotes(t *testing.T) {
	device := func(machine, url string, every time.Duration, addresses ...string) Config {
		c := Config{Machine: machine, Every: every, Modbus: &modbus.Config{URL: url}}
		for i, a := range addresses {
			c.Signals = append(c.Signals, Signal{Name: fmt.Sprint("s", i), Address: a, Type: "uint16"})
		}
		return c
	}
	for _, c := range []struct {
		name string
		cfgs []Config
		want string
	}{
		{"room", []Config{device("a", "tcp://a", 10*time.Millisecond, "holding:0"), device("b", "tcp://b", 10*time.Millisecond, "holding:0")}, "[]"},
		{"none", nil, "[]"},
		{"little room", []Config{device("a", "tcp://a", 20*time.Millisecond, "holding:0", "input:0", "holding:100")},
			"[[0].every: found 20ms, allowed: 22ms or more: predicted for a on a:502 are 0.75 s of requests in each second (guessed: 5ms for a round trip), which leaves little room for time-outs and slow answers]"},
		{"too much", []Config{device("a", "tcp://a", time.Second, "holding:0"), device("b", "tcp://a:502", 10*time.Millisecond, "holding:0", "holding:10", "holding:20")},
			"[[1].every: found 10ms, allowed: 22ms or more, and 2.2 times as long for the others, too: predicted for a, b on a:502 are 1.5 s of requests in each second (guessed: 5ms for a round trip), which cannot be: looks would be left out]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := range c.cfgs {
				if faults := c.cfgs[i].Check(); len(faults) > 0 {
					t.Fatal(faults)
				}
			}
			if got := fmt.Sprint(loadNotes(c.cfgs)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestDeadLineDemotesNobody: where no unit answers, the line is dead. All its
// units are tried again as a device on a line of its own, and at once when the
// first one answers.
func TestDeadLineDemotesNobody(t *testing.T) {
	for _, c := range []struct {
		name      string
		die, live func(c *converter)
	}{
		{"refuses", func(c *converter) { c.off = true; c.silent[0] = true }, func(c *converter) { c.off = false; clear(c.silent) }},
		{"silent", func(c *converter) { c.silent[0] = true }, func(c *converter) { clear(c.silent) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newParty(t, newConverter(), 1, 2, 3, 4, 5)
				p.run(t, 10*time.Second)
				p.set(func() { c.die(p.converter) })
				p.run(t, 5*time.Minute)
				for _, s := range p.all {
					if st := s.Status(); st.Link == plant.LinkFlowing || s.demoted.demoted() {
						t.Errorf("status %+v", st)
					}
				}
				p.set(func() { c.live(p.converter); clear(p.recovered) })
				p.run(t, 31*time.Second)
				first, last := time.Now(), time.Time{}
				for _, s := range p.all {
					if st := s.Status(); st.Link != plant.LinkFlowing {
						t.Errorf("status %+v", st)
					}
				}
				p.close(t)
				p.mu.Lock()
				defer p.mu.Unlock()
				for _, at := range p.recovered {
					if at.Before(first) {
						first = at
					}
					if at.After(last) {
						last = at
					}
				}
				if len(p.recovered) != 5 || last.Sub(first) > time.Second {
					t.Errorf("after the first unit came back the last one took %v: %v", last.Sub(first), p.recovered)
				}
			})
		})
	}
}

// TestLookThatAsksNothingIsNoAnswer: on a dead line, a device of which nothing
// is due does not look alive to the others.
func TestLookThatAsksNothingIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConverter()
		var cfgs []Config
		for unit, every := range []time.Duration{1: 200 * time.Millisecond, 2: time.Hour} {
			if unit > 0 {
				cfgs = append(cfgs, Config{Machine: fmt.Sprintf("unit-%d", unit), Every: 200 * time.Millisecond,
					Modbus: &modbus.Config{URL: "tcp://converter", Unit: unit}, Groups: []Group{{Name: "g", Every: every}},
					Signals: []Signal{{Name: "r0", Address: "holding:0", Type: "uint16", Group: "g"}}})
			}
		}
		o := NewOpener(Options{})
		o.newLine = func(cfg modbus.Config) (*modbus.Line, error) { return modbus.NewLineOver(cfg, c.dial) }
		all, err := o.Open(cfgs)
		if err != nil {
			t.Fatal(err)
		}
		p := &party{converter: c, all: all}
		p.run(t, 10*time.Second)
		p.set(func() { p.silent[0] = true })
		p.run(t, time.Minute)
		if st := all[0].Status(); st.Link == plant.LinkFlowing || all[0].demoted.demoted() {
			t.Errorf("status %+v", st)
		}
		p.close(t)
	})
}

// TestAloneOnItsLine: a device that has its line for itself is not demoted.
func TestAloneOnItsLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, newConverter(), 1)
		p.set(func() { p.silent[1] = true })
		p.run(t, 10*time.Minute)
		n := 0
		p.set(func() { n = len(p.asked[1]) })
		if n < 20 || p.all[0].demoted.demoted() {
			t.Errorf("%d requests in ten minutes, status %+v", n, p.all[0].Status())
		}
		p.close(t)
	})
}

func TestDemotionIntervals(t *testing.T) {
	b := newBus()
	s, other := &Supervisor{}, &Supervisor{}
	d := newDemotion(Demotion{}, b)
	now := time.Unix(1000, 0)
	b.answers(other, now)
	for i, want := range []time.Duration{0, 0, 10, 20, 40, 60, 60} {
		now = now.Add(time.Second)
		first := d.failed(s, now)
		if d.wait != want*time.Second || first != (want == 10) {
			t.Errorf("after failure %d: %v (first %v), want %v s", i+1, d.wait, first, int(want))
		}
		b.answers(other, now.Add(time.Millisecond))
	}
	d.succeeded(s, now)
	if d.demoted() {
		t.Error("demoted although it answers")
	}
	for range 10 { // nobody else answers any more
		now = now.Add(time.Second)
		d.failed(s, now)
	}
	if d.demoted() {
		t.Error("demoted on a line where nobody answers")
	}
	short := newDemotion(Demotion{After: 1, Probe: time.Second, Most: 1500 * time.Millisecond}, b)
	b.answers(other, now)
	for _, want := range []time.Duration{time.Second, 1500 * time.Millisecond, 1500 * time.Millisecond} {
		if short.failed(s, now); short.wait != want {
			t.Errorf("short: %v, want %v", short.wait, want)
		}
	}
}
