package modbus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

// pair is a signal of two registers that tells where it lies.
func pair(at int) Signal {
	return Signal{Name: fmt.Sprintf("r%d", at), Address: fmt.Sprintf("holding:%d", at), Type: "uint32"}
}

// checkPairs fails the test for a good reading that is not the true one of now.
func checkPairs(t testing.TB, unit byte, generation uint16, readings []plant.Reading) {
	t.Helper()
	for _, r := range readings {
		var at uint16
		fmt.Sscanf(r.Signal, "r%d", &at)
		if want := plant.Integer(int64(registerPair(unit, at, generation))); r.Quality == plant.Good && r.Value != want {
			t.Errorf("unit %d, %s reads %x, want %x", unit, r.Signal, r.Value.Integer(), want.Integer())
		}
	}
}

// TestLyingUnit: whatever a unit answers, a poll gives the true values or an
// error, and once the unit tells the truth again, true values.
func TestLyingUnit(t *testing.T) {
	type lie func(s *station, q asked, right []byte) []piece
	cut := func(b []byte, at int, pause time.Duration) []piece { return []piece{{0, b[:at]}, {pause, b[at:]}} }
	for _, c := range []struct {
		name   string
		lie    lie
		reason string // of the error; empty when the answer is right after all
	}{
		{"silent", func(*station, asked, []byte) []piece { return nil }, "no answer within"},
		{"half an answer", func(_ *station, _ asked, right []byte) []piece { return whole(right[:6]) }, "no answer within"},
		{"late", func(_ *station, _ asked, right []byte) []piece { return []piece{{150 * time.Millisecond, right}} }, "no answer within"},
		{"half late", func(_ *station, _ asked, right []byte) []piece { return cut(right, 5, 150*time.Millisecond) }, "no answer within"},
		{"split", func(_ *station, _ asked, right []byte) []piece { return cut(right, 4, 30*time.Millisecond) }, ""},
		{"byte by byte", func(_ *station, _ asked, right []byte) (all []piece) {
			for i := range right {
				all = append(all, piece{time.Millisecond, right[i : i+1]})
			}
			return all
		}, ""},
		{"wrong checksum", func(s *station, q asked, right []byte) []piece {
			at := len(right) - 1
			if s.framing == (ascii{}) {
				at -= 2
			}
			if right[at]++; s.framing == (ascii{}) {
				right[at] = "0123456789ABCDEF0"[strings.IndexByte("0123456789ABCDEF", right[at]-1)+1]
			}
			return whole(right)
		}, "wrong checksum"},
		{"other unit", func(s *station, q asked, _ []byte) []piece { q.unit = 9; return whole(s.right(q)) }, "from unit 9"},
		{"other function", func(s *station, q asked, _ []byte) []piece { q.function = 4; return whole(s.right(q)) }, "function 4"},
		{"exception of another function", func(s *station, q asked, _ []byte) []piece { return whole(s.frame(q.unit, 0x84, 2)) }, "function 132"},
		{"one register too few", func(s *station, q asked, _ []byte) []piece { q.count--; return whole(s.right(q)) }, "want 8"},
		{"one register too many", func(s *station, q asked, _ []byte) []piece { q.count++; return whole(s.right(q)) }, "want 8"},
		{"noise before", func(_ *station, _ asked, right []byte) []piece { return whole(append([]byte{0x55, 0}, right...)) }, "answer "},
		{"a glitch after", func(_ *station, _ asked, right []byte) []piece { return whole(append(right, 0)) }, ""},
		{"twice at once", func(_ *station, _ asked, right []byte) []piece { return whole(append(right, right...)) }, "nobody asked for"},
		{"merged with the next", func(s *station, q asked, right []byte) []piece {
			q.start += 20
			return whole(append(right, s.right(q)...))
		}, "nobody asked for"},
		{"echo", func(s *station, q asked, _ []byte) []piece {
			return whole(s.frame(q.unit, q.function, byte(q.start>>8), byte(q.start), 0, byte(q.count)))
		}, "echoes"},
		{"text", func(*station, asked, []byte) []piece { return whole([]byte("login: \r\n")) }, "answer "},
	} {
		for _, l := range lines {
			t.Run(c.name+"/"+l.name, func(t *testing.T) {
				t.Parallel()
				s := newStation(t, l.framing)
				timeout := 10 * time.Second
				if strings.HasPrefix(c.reason, "no answer") {
					timeout = 100 * time.Millisecond
				}
				d := connect(t, newDevice(t, Config{URL: l.url(t, s), Timeout: timeout}, nil, pair(256), pair(258), pair(300)))
				flow(t, s, d)
				s.set(func() {
					s.script = func(q asked, right []byte) []piece {
						if q.start != 256 {
							return whole(right)
						}
						s.set(func() { s.script = nil })
						return c.lie(s, q, right)
					}
				})
				round, err := d.Poll(t.Context(), nil)
				switch {
				case c.reason == "" && err != nil:
					t.Errorf("error %v, want true readings", err)
				case c.reason != "" && (err == nil || !strings.Contains(err.Error(), c.reason)):
					t.Errorf("the lie gives %+v, error %v; want %q", round.Readings, err, c.reason)
				}
				checkPairs(t, 1, s.generation, round.Readings)
				flow(t, s, d)
			})
		}
	}
}

// flow polls until three polls in a row are good, and checks each of them.
func flow(t testing.TB, s *station, all ...*Device) {
	t.Helper()
	good, last := 0, error(nil)
	for end := time.Now().Add(30 * time.Second); good < 3*len(all); {
		if time.Now().After(end) {
			t.Fatalf("does not flow again: %v", last)
		}
		for _, d := range all {
			s.set(func() { s.generation++ })
			if err := d.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			round, err := d.Poll(t.Context(), nil)
			checkPairs(t, byte(d.config.Unit), s.generation, round.Readings)
			if err != nil {
				good, last = 0, err
				continue
			}
			good++
		}
	}
}

// TestSplitException: an exception is five bytes, however they come.
func TestSplitException(t *testing.T) {
	for _, l := range lines {
		t.Run(l.name, func(t *testing.T) {
			s := newStation(t, l.framing)
			s.limit = 100
			d := connect(t, newDevice(t, Config{URL: l.url(t, s), Timeout: 10 * time.Second}, nil, pair(0), pair(200)))
			s.script = func(q asked, right []byte) []piece {
				return []piece{{0, right[:2]}, {5 * time.Millisecond, right[2:4]}, {5 * time.Millisecond, right[4:]}}
			}
			got := poll(t, d)
			if value(got["r0"]) != fmt.Sprint(registerPair(1, 0, 0)) || value(got["r200"]) != "bad: "+exceptions[2] {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// TestLateAnswerIntoNewConnection: a converter gives the answer that was late
// for one connection to the next one, for a request with the same mark.
func TestLateAnswerIntoNewConnection(t *testing.T) {
	s := newStation(t, rtu{})
	d := newDevice(t, Config{URL: "rtu+tcp://" + s.onTCP(t), Timeout: 50 * time.Millisecond}, nil, pair(0), pair(100), pair(200))
	flow(t, s, d)
	n := 0
	s.set(func() {
		s.script = func(_ asked, right []byte) []piece {
			if n++; n%4 == 0 {
				return []piece{{70 * time.Millisecond, right}}
			}
			return whole(right)
		}
	})
	failed := 0
	for range 40 {
		s.set(func() { s.generation++ })
		connect(t, d)
		round, err := d.Poll(t.Context(), nil)
		checkPairs(t, 1, s.generation, round.Readings)
		if err != nil {
			failed++
			d.Close()
		}
	}
	if failed == 0 {
		t.Error("no poll failed: the unit was never late")
	}
	s.set(func() { s.script = nil })
	flow(t, s, d)
}

// TestAlwaysLate: a unit that answers each request only when the next one has
// been sent never gives a value, and flows when it is right again.
func TestAlwaysLate(t *testing.T) {
	for _, l := range lines[:3] {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			s := newStation(t, l.framing)
			d := connect(t, newDevice(t, Config{URL: l.url(t, s), Timeout: 20 * time.Millisecond}, nil, pair(0), pair(100), pair(200)))
			d.line.carrier.(*multidrop).patience = 200 * time.Millisecond
			var held []byte
			s.set(func() {
				s.script = func(_ asked, right []byte) []piece {
					last := held
					held = right
					return whole(last)
				}
			})
			for range 30 {
				s.set(func() { s.generation++ })
				if round, err := d.Poll(t.Context(), nil); err == nil {
					t.Errorf("readings %+v", round.Readings)
				}
			}
			s.set(func() { s.script = nil })
			flow(t, s, d)
		})
	}
}

// TestRepeatedFrame: an answer that is said again while the next request waits
// is not taken for the answer to it, whether the true answer follows behind, or
// each answer comes one request late from then on.
func TestRepeatedFrame(t *testing.T) {
	for _, l := range lines[:3] {
		for victim := uint16(0); victim <= 200; victim += 100 {
			for _, shifts := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/%v", l.name, victim, shifts), func(t *testing.T) {
					t.Parallel()
					s := newStation(t, l.framing)
					d := connect(t, newDevice(t, Config{URL: l.url(t, s), Timeout: time.Second}, nil, pair(0), pair(100), pair(200)))
					flow(t, s, d)
					var held []byte
					began := false
					s.set(func() {
						s.script = func(q asked, right []byte) []piece {
							last := held
							held = right
							switch {
							case began && shifts:
								return whole(last)
							case began || q.start != victim || last == nil:
								return whole(right)
							}
							if began = true; shifts {
								return whole(last)
							}
							return []piece{{0, last}, {30 * time.Millisecond, right}}
						}
					})
					for range 3 {
						s.set(func() { s.generation++ })
						round, _ := d.Poll(t.Context(), nil)
						checkPairs(t, 1, s.generation, round.Readings)
					}
					if !began {
						t.Error("no answer was repeated")
					}
					s.set(func() { s.script = nil })
					flow(t, s, d)
				})
			}
		}
	}
}

// TestRepeatedFrameOnBrokenWire: an answer in doubt does not count where
// another unit closed the wire before the end of the poll.
func TestRepeatedFrameOnBrokenWire(t *testing.T) {
	for name, again := range map[string]bool{"closed": false, "opened anew": true} {
		t.Run(name, func(t *testing.T) {
			s := newStation(t, rtu{})
			m := newMultidrop(&target{scheme: "rtu+tcp", address: s.onTCP(t)}, new(net.Dialer).DialContext)
			t.Cleanup(func() { m.hangUp() })
			ask := func(start byte) {
				t.Helper()
				var into [largestAnswer]byte
				request := s.frame(1, 3, 0, start, 0, 2)
				if _, err := m.exchange(t.Context(), time.Now().Add(10*time.Second), request, into[:]); err != nil {
					t.Fatal(err)
				}
			}
			open := func() {
				t.Helper()
				if err := m.open(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			confirm := func() error { return m.confirm(t.Context(), time.Now().Add(10*time.Second), 1) }
			open()
			ask(0)
			if err := confirm(); err != nil {
				t.Fatal(err)
			}
			s.set(func() {
				s.script = func(q asked, right []byte) []piece {
					if q.start == 100 {
						q.start = 0
					}
					return whole(s.right(q))
				}
			})
			ask(100)
			m.hangUp()
			if again {
				open()
			}
			if err := confirm(); !errors.Is(err, errRepeated) {
				t.Errorf("error %v, want %v", err, errRepeated)
			}
			if !again && m.units[1].find(mark{3, 4}) < 0 {
				t.Error("nothing is due after a look that could not be confirmed")
			}
		})
	}
}

// TestDeadUnitHarmsNoOther: a unit that does not answer costs the others no
// reading, and does not close the line.
func TestDeadUnitHarmsNoOther(t *testing.T) {
	for _, l := range lines {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			s := newStation(t, l.framing)
			cfg := Config{URL: l.url(t, s), Timeout: 10 * time.Second} // the one that answers is never late
			line, err := NewLine(cfg)
			if err != nil {
				t.Fatal(err)
			}
			live := connect(t, newDevice(t, cfg, line, pair(0), pair(2)))
			cfg.Unit, cfg.Timeout = 2, 30*time.Millisecond
			dead := connect(t, newDevice(t, cfg, line, pair(0), pair(2)))
			s.set(func() { s.dead[2] = true })
			flow(t, s, live)
			for range 10 {
				if _, err := dead.Poll(t.Context(), nil); err == nil || err.Error() != "read holding 0 to 3 of unit 2: no answer within 30ms" {
					t.Errorf("error %v", err)
				}
				dead.Close()
				connect(t, dead)
				flow(t, s, live)
			}
			if n := live.Connects(); n != 1 {
				t.Errorf("%d connections, want 1", n)
			}
			s.set(func() { s.dead[2] = false })
			flow(t, s, live, dead)
		})
	}
}

// TestOneRegister: a unit in doubt of which one register is read is found in
// step by the register beside it, by another table, or at last by time.
func TestOneRegister(t *testing.T) {
	for name, change := range map[string]func(s *station){
		"its neighbour": func(s *station) {}, "another table": func(s *station) { s.limit = 1 },
		"time": func(s *station) { s.limit, s.mute = 1, true },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStation(t, rtu{})
			change(s)
			d := connect(t, newDevice(t, Config{URL: "rtu+tcp://" + s.onTCP(t), Timeout: 50 * time.Millisecond}, nil, register("a", 0)))
			d.line.carrier.(*multidrop).patience = 200 * time.Millisecond
			for n := range 3 {
				s.set(func() { s.dead[1] = true })
				if _, err := d.Poll(t.Context(), nil); err == nil && n > 0 {
					t.Error("a dead unit answers")
				}
				s.set(func() { s.dead[1] = false })
				for end := time.Now().Add(30 * time.Second); ; {
					if connect(t, d); time.Now().After(end) {
						t.Fatal("does not flow again")
					}
					if _, err := d.Poll(t.Context(), nil); err == nil {
						break
					}
					d.Close()
				}
			}
		})
	}
}

// TestSilentUnitEndsWithTheContext: a unit that is silent does not hold up the
// end of the program.
func TestSilentUnitEndsWithTheContext(t *testing.T) {
	for _, l := range lines {
		t.Run(l.name, func(t *testing.T) {
			s := newStation(t, l.framing)
			d := connect(t, newDevice(t, Config{URL: l.url(t, s), Timeout: time.Minute}, nil, pair(0)))
			s.set(func() { s.dead[1] = true })
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(30*time.Millisecond, cancel)
			if _, err := d.Poll(ctx, nil); err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
				t.Errorf("error %v", err)
			}
			s.set(func() { s.dead[1] = false })
			d.Close()
			flow(t, s, d)
		})
	}
}
