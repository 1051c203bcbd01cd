package modbus

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"linetwin/plant"
)

// gateway is a Modbus TCP gateway in the time of a synctest bubble: a serial
// bus behind one connection, on which each request takes a while. Its registers
// hold unit x 1000 + their address.
type gateway struct {
	takes    time.Duration
	behaves  func(unit byte, reply []byte) (after time.Duration, answer []byte) // nil: all units are well
	requests [256]atomic.Int64
	dials    atomic.Int64
	single   bool // refuses a second connection
	open     atomic.Int64
	began    []time.Time // of requests, in order
	mu       sync.Mutex
}

func (g *gateway) dial(context.Context, string, string) (net.Conn, error) {
	time.Sleep(time.Millisecond) // the network's
	if g.single && g.open.Load() > 0 {
		return nil, fmt.Errorf("connection refused")
	}
	g.dials.Add(1)
	g.open.Add(1)
	ours, theirs := net.Pipe()
	go g.serve(theirs)
	return ours, nil
}

func (g *gateway) serve(conn net.Conn) {
	answers := make(chan []byte, 1000) // the buffers of a network
	var late sync.WaitGroup
	done := make(chan struct{})
	go func() {
		defer close(done)
		for a := range answers {
			conn.Write(a)
		}
	}()
	for {
		request := make([]byte, 12)
		if _, err := io.ReadFull(conn, request); err != nil {
			break
		}
		g.mu.Lock()
		g.began = append(g.began, time.Now())
		g.mu.Unlock()
		time.Sleep(g.takes)
		unit := request[6]
		g.requests[unit].Add(1)
		answer := rightAnswer(request)
		for i := 9; i < len(answer); i += 2 {
			binary.BigEndian.PutUint16(answer[i:], binary.BigEndian.Uint16(answer[i:])+1000*uint16(unit))
		}
		after := time.Duration(0)
		if g.behaves != nil {
			after, answer = g.behaves(unit, answer)
		}
		if after == 0 {
			answers <- answer
			continue
		}
		late.Go(func() {
			time.Sleep(after)
			answers <- answer
		})
	}
	conn.Close()
	g.open.Add(-1)
	late.Wait()
	close(answers)
	<-done
}

// unit gives a connected device of a unit on a line, with one register at each
// of the addresses.
func (g *gateway) unit(t *testing.T, line *Line, cfg Config, unit int, addresses ...int) *Device {
	t.Helper()
	cfg.URL, cfg.Unit = "tcp://gateway", unit
	var signals []Signal
	for _, a := range addresses {
		signals = append(signals, register(fmt.Sprintf("r%d", a), a))
	}
	d, err := New("press", cfg, signals, line)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func (g *gateway) line(t *testing.T) *Line {
	t.Helper()
	line, err := NewLineOver(Config{URL: "tcp://gateway"}, g.dial)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { time.Sleep(time.Minute) }) // late answers come to nobody
	return line
}

// own fails the test for a reading of another unit or register.
func own(t *testing.T, d *Device, round plant.Round) {
	t.Helper()
	for i, r := range round.Readings {
		if want := int64(1000*d.config.Unit + int(d.points[i].start)); r.Value != plant.Integer(want) {
			t.Errorf("unit %d register %d reads %v %s, want %d", d.config.Unit, d.points[i].start, r.Value, r.Reason, want)
		}
	}
}

// TestUnitsTakeTurns: a unit that has a hundred requests at a time gets no
// larger share of the line than those that have one.
func TestUnitsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{takes: 10 * time.Millisecond}
		line := g.line(t)
		far := make([]int, 100) // each needs a request of its own
		for i := range far {
			far[i] = 100 * i
		}
		var over atomic.Bool
		var wg sync.WaitGroup
		for unit := 1; unit <= 8; unit++ {
			addresses := far[:1]
			if unit == 1 {
				addresses = far
			}
			d := g.unit(t, line, Config{Timeout: time.Second}, unit, addresses...)
			wg.Go(func() {
				defer d.Close()
				// Not ctx's end: that would cut an exchange off, and cost the connection.
				for !over.Load() {
					round, err := d.Poll(t.Context(), nil)
					if err != nil {
						t.Errorf("unit %d: %v", unit, err)
					}
					own(t, d, round)
				}
			})
		}
		time.Sleep(time.Minute)
		var asked [9]int64
		total := int64(0)
		for unit := 1; unit <= 8; unit++ {
			asked[unit] = g.requests[unit].Load()
			total += asked[unit]
		}
		over.Store(true)
		wg.Wait()
		if total < 5900 {
			t.Errorf("%d requests in a minute, want one each 10 ms", total)
		}
		for unit := 1; unit <= 8; unit++ {
			if share := float64(asked[unit]) / float64(total); share < 0.124 || share > 0.126 {
				t.Errorf("unit %d got %.4f of the line, want an eighth", unit, share)
			}
		}
		if g.dials.Load() != 1 {
			t.Errorf("%d connections, want 1", g.dials.Load())
		}
	})
}

// TestPause: between an answer and the next request of any device on a line is
// the line's pause.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{takes: 10 * time.Millisecond}
		line := g.line(t)
		line.SetPause(30 * time.Millisecond)
		a := g.unit(t, line, Config{Pause: 5 * time.Millisecond}, 1, 0)
		b := g.unit(t, line, Config{Pause: 40 * time.Millisecond}, 2, 0)
		defer a.Close()
		defer b.Close()
		for range 10 {
			for _, d := range []*Device{a, b} {
				round, err := d.Poll(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				own(t, d, round)
			}
		}
		for i := 1; i < len(g.began); i++ {
			if got := g.began[i].Sub(g.began[i-1]); got != 40*time.Millisecond {
				t.Errorf("request %d comes %v after the one before it, want 10 ms for that and 30 ms of pause", i, got)
			}
		}
		time.Sleep(time.Second)
		began := time.Now()
		if _, err := a.Poll(t.Context(), nil); err != nil || time.Since(began) != 10*time.Millisecond {
			t.Errorf("after a quiet second a look takes %v (%v), want no pause before it", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := a.Poll(ctx, nil); err == nil {
			t.Error("a look that is called off within the pause is no error")
		}
	})
}

// TestProbeIsOneSmallRequest: it costs the line one time-out at the most, and
// an exception is a sign of life.
func TestProbeIsOneSmallRequest(t *testing.T) {
	s := newSlave(t)
	cfg := Config{URL: "tcp://" + s.address, Unit: 3}
	d := newDevice(t, cfg, nil, Signal{Name: "long", Address: "holding:0", Type: "float64"}, Signal{Name: "text", Address: "holding:4", Type: "string", Length: 99},
		register("short", 200), register("other", 400))
	if err := d.Probe(t.Context()); err == nil {
		t.Error("a closed device answers a probe")
	}
	connect(t, d)
	for _, c := range []struct {
		name    string
		illegal bool
		dead    uint8
		want    string
	}{{"answers", false, 0, ""}, {"refuses", true, 0, ""}, {"gateway cannot reach it", false, 3, "probe unit 3: " + exceptions[11]}} {
		s.mu.Lock()
		s.illegal[200], s.deadUnit = c.illegal, c.dead
		s.mu.Unlock()
		s.asked()
		err := d.Probe(t.Context())
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
		if got := s.asked(); len(got) != 1 || got[0].Addr != 200 || got[0].Quantity != 1 {
			t.Errorf("%s: requests %+v, want one for register 200", c.name, got)
		}
	}
	if d.Connects() != 1 {
		t.Errorf("%d connections: an exception must not close one", d.Connects())
	}
}

// TestDeadUnitKeepsTheConnection: a unit that never answers costs its own
// time-outs and no connection, even at a gateway that takes one only.
func TestDeadUnitKeepsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{takes: 10 * time.Millisecond, single: true, behaves: func(unit byte, answer []byte) (time.Duration, []byte) {
			if unit == 3 {
				return 0, nil
			}
			return 0, answer
		}}
		line := g.line(t)
		dead := g.unit(t, line, Config{}, 3, 0)
		well := g.unit(t, line, Config{}, 1, 0, 5)
		defer well.Close()
		for range mostOwed - 1 {
			if _, err := dead.Poll(t.Context(), nil); err == nil {
				t.Fatal("a dead unit answers")
			}
			dead.Close()
			round, err := well.Poll(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			own(t, well, round)
			if err := dead.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := g.dials.Load(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
		for range 3 * mostOwed { // it is not owed for ever
			dead.Poll(t.Context(), nil)
			if round, err := well.Poll(t.Context(), nil); err != nil {
				t.Errorf("unit 1: %v", err)
			} else {
				own(t, well, round)
			}
		}
		if n := g.dials.Load(); n < 2 || n > 5 {
			t.Errorf("%d connections after %d answers that never came, want one new one for each %d", n, 4*mostOwed, mostOwed)
		}
		dead.Close()
	})
}

// TestLateUnitNeverSwapsValues: units that often answer too late, in another
// order than they were asked, cost nobody else a look, and nobody a connection.
func TestLateUnitNeverSwapsValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		g := &gateway{takes: 5 * time.Millisecond, behaves: func(unit byte, answer []byte) (time.Duration, []byte) {
			if n++; unit == 3 && n%2 == 0 {
				return time.Duration(90+n*37%400) * time.Millisecond, answer
			}
			return 0, answer
		}}
		line := g.line(t)
		var all []*Device
		for unit := 1; unit <= 4; unit++ {
			d := g.unit(t, line, Config{Timeout: 100 * time.Millisecond}, unit, 0, 50, 100, 150)
			defer d.Close()
			all = append(all, d)
		}
		failed := 0
		for range 500 {
			for _, d := range all {
				round, err := d.Poll(t.Context(), nil)
				if err != nil && d.config.Unit == 3 {
					failed++
				} else if err != nil {
					t.Errorf("unit %d: %v", d.config.Unit, err)
				}
				own(t, d, round)
			}
		}
		if failed < 100 {
			t.Errorf("%d looks failed, want many: the unit was never late", failed)
		}
		if dials := g.dials.Load(); dials != 1 {
			t.Errorf("%d connections, want 1", dials)
		}
		if owed := len(line.carrier.(*tcp).owed.requests); owed > 10 {
			t.Errorf("%d answers are owed although all came", owed)
		}
	})
}

// TestSilentLineIsDialledAnew: a connection over which nothing comes any more
// is not kept for ever.
func TestSilentLineIsDialledAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := false
		g := &gateway{takes: time.Millisecond, behaves: func(_ byte, answer []byte) (time.Duration, []byte) {
			if silent {
				return 0, nil
			}
			return 0, answer
		}}
		line := g.line(t)
		a, b := g.unit(t, line, Config{}, 1, 0), g.unit(t, line, Config{}, 2, 0)
		defer a.Close()
		silent = true
		for range mostSilent {
			if _, err := a.Poll(t.Context(), nil); err == nil || err.Error() != "read holding 0 to 0 of unit 1: no answer within 500ms" {
				t.Errorf("error %v", err)
			}
		}
		silent = false
		for _, d := range []*Device{a, b} {
			if round, err := d.Poll(t.Context(), nil); err != nil {
				t.Error(err)
			} else {
				own(t, d, round)
			}
		}
		if n := g.dials.Load(); n != 2 {
			t.Errorf("%d connections, want a second one", n)
		}
		b.Close() // now a is alone on the line
		silent = true
		a.Poll(t.Context(), nil)
		silent = false
		if _, err := a.Poll(t.Context(), nil); err != nil || g.dials.Load() != 3 {
			t.Errorf("error %v, %d connections; want a time-out to close the line of one unit", err, g.dials.Load())
		}
	})
}

// FuzzLateAnswers: whatever lies on a connection that owes answers, what passes
// as late is one of them, whole, and what passes as the answer is one.
func FuzzLateAnswers(f *testing.F) {
	first, second := []byte{0, 7, 0, 0, 0, 6, 1, 3, 0, 0, 0, 2}, []byte{0, 8, 0, 0, 0, 6, 3, 4, 0, 9, 0, 1}
	request := []byte{0, 9, 0, 0, 0, 6, 2, 3, 0, 0, 0, 1}
	a, b, c := []byte{0, 7, 0, 0, 0, 7, 1, 3, 4, 1, 2, 3, 4}, []byte{0, 8, 0, 0, 0, 3, 3, 0x84, 11}, []byte{0, 9, 0, 0, 0, 5, 2, 3, 2, 5, 6}
	join := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	for _, seed := range [][]byte{join(a, b, c), join(b, a, c), join(c, a), join(a, a), join(a[:9]), join(b, c[:4]), c} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, bytes []byte) {
		var o owed
		if !o.add(first) || !o.add(second) {
			t.Fatal("two requests may be owed")
		}
		done, err := o.settle(bytes, request)
		if done < 0 || done > len(bytes) {
			t.Fatalf("took %d of %d bytes", done, len(bytes))
		}
		if settled := 2 - len(o.requests); (done > 0) != (settled > 0) || done > 0 && done != 13 && done != 11 && done != 9 && done != 18 && done != 20 && done != 22 && done != 24 {
			t.Errorf("%d bytes settle %d requests", done, settled)
		}
		if rest := bytes[done:]; err == nil && len(rest) >= headerSize && !sameNumber(rest, request) && o.find(binary.BigEndian.Uint16(rest)) < 0 {
			t.Errorf("% x is neither owed nor asked for", rest)
		}
	})
}
