package twin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

// segmentTexts gives segments as "class 0s-10s fault n/product".
func segmentTexts(segments []plant.Segment) []string {
	var texts []string
	for _, s := range segments {
		text := fmt.Sprintf("%s %v-%v", s.Class, s.From.Sub(foldDay), s.To.Sub(foldDay))
		if s.Fault != "" {
			text += " " + s.Fault
		}
		if s.Pieces != 0 {
			text += fmt.Sprintf(" %d", s.Pieces)
		}
		texts = append(texts, text)
	}
	return texts
}

func TestFoldSegments(t *testing.T) {
	at := func(s float64) plant.Time { return foldAt(time.Duration(s * float64(time.Second))) }
	for _, c := range []struct {
		name string
		do   func(*foldScript)
		want []string
	}{
		{"nothing", func(*foldScript) {}, nil},
		{"one state", func(s *foldScript) { s.state(at(10), "run") }, []string{"run 10s-10m0s"}},
		{"a state without a class change does not split", func(s *foldScript) {
			s.state(at(0), "stop")
			s.state(at(5), "held")
			s.state(at(9), "run")
		}, []string{"stop 0s-9s", "run 9s-10m0s"}},
		{"repeats", func(s *foldScript) { s.state(at(0), "run"); s.state(at(5), "run"); s.state(at(9), "run") }, []string{"run 0s-10m0s"}},
		{"no meaning", func(s *foldScript) { s.state(at(0), "run"); s.state(at(5), "9"); s.state(at(9), "run") },
			[]string{"run 0s-5s", "unknown 5s-9s", "run 9s-10m0s"}},
		{"bad state", func(s *foldScript) {
			s.state(at(0), "run")
			s.bad(at(5), "state", "timeout")
			s.state(at(9), "run")
		},
			[]string{"run 0s-5s", "unknown 5s-9s", "run 9s-10m0s"}},
		{"gap, then silence", func(s *foldScript) { s.state(at(0), "run"); s.gap(at(5), at(9)) }, []string{"run 0s-5s", "unknown 5s-10m0s"}},
		{"gap, a state inside does not end it", func(s *foldScript) {
			s.state(at(0), "run")
			s.gap(at(5), at(9))
			s.state(at(5), "run")
			s.state(at(7), "stop")
			s.state(at(9), "stop")
		}, []string{"run 0s-5s", "unknown 5s-9s", "stop 9s-10m0s"}},
		{"away and back in one instant", func(s *foldScript) {
			s.state(at(0), "run")
			s.state(at(5), "stop")
			s.state(at(5), "run") // sorted before stop: the last one holds
			s.state(at(8), "run")
		}, []string{"run 0s-5s", "stop 5s-8s", "run 8s-10m0s"}},
		{"gone and back in one instant", func(s *foldScript) {
			s.state(at(0), "run")
			s.state(at(5), "clean") // sorted before run
			s.state(at(5), "run")
		}, []string{"run 0s-10m0s"}},
		{"counters before the first state", func(s *foldScript) { s.count(at(1), "good", 5); s.state(at(4), "run") },
			[]string{"unknown 1s-4s", "run 4s-10m0s"}},
		{"fault after the stop", func(s *foldScript) {
			s.state(at(0), "run")
			s.state(at(5), "stop")
			s.read(at(6.9), "fault", plant.Integer(4711))
			s.read(at(8), "fault", plant.Integer(12))
			s.state(at(9), "run")
		}, []string{"run 0s-5s", "stop 5s-9s 4711", "run 9s-10m0s"}},
		{"fault just before the stop", func(s *foldScript) {
			s.state(at(0), "run")
			s.read(at(4.8), "fault", plant.Text("E1"))
			s.state(at(5), "stop")
			s.read(at(9), "fault", plant.Text(""))
			s.state(at(9), "run")
			s.state(at(12), "stop")
			s.state(at(13), "run")
		}, []string{"run 0s-5s", "stop 5s-9s E1", "run 9s-12s", "stop 12s-13s", "run 13s-10m0s"}},
		{"a stop with the old fault takes the new one of its instant", func(s *foldScript) {
			m := s
			m.read(at(0), "fault", plant.Text("old"))
			m.state(at(0), "run")
			m.state(at(5), "stop")
			m.read(at(5), "fault", plant.Text("new"))
			m.state(at(9), "run")
		}, []string{"run 0s-5s", "stop 5s-9s new", "run 9s-10m0s"}},
		{"pieces across a gap, counter read before the state", func(s *foldScript) {
			s.state(at(0), "run")
			s.count(at(0), "good", 10)
			s.gap(at(100), at(200))
			s.count(at(200), "good", 60)
			s.state(at(200), "run")
		}, []string{"run 0s-1m40s", "unknown 1m40s-3m20s 50", "run 3m20s-10m0s"}},
		{"pieces across a gap, counter read 3 s after the state", func(s *foldScript) {
			s.state(at(0), "run")
			s.count(at(0), "good", 10)
			s.gap(at(100), at(200))
			s.state(at(200), "run")
			s.state(at(201), "stop")
			s.state(at(202), "run")
			s.count(at(203), "good", 63)
		}, []string{"run 0s-1m40s", "unknown 1m40s-3m20s 50", "run 3m20s-3m21s", "stop 3m21s-3m22s", "run 3m22s-10m0s"}},
		{"pieces across a gap, counter read too late", func(s *foldScript) {
			s.state(at(0), "run")
			s.count(at(0), "good", 10)
			s.gap(at(100), at(200))
			s.state(at(200), "run")
			s.count(at(261), "good", 63)
		}, []string{"run 0s-1m40s", "unknown 1m40s-3m20s", "run 3m20s-10m0s"}},
		{"a reset in the gap explains nothing", func(s *foldScript) {
			s.state(at(0), "run")
			s.count(at(0), "good", 100)
			s.gap(at(100), at(200))
			s.count(at(200), "good", 60)
			s.state(at(200), "run")
		}, []string{"run 0s-1m40s", "unknown 1m40s-3m20s", "run 3m20s-10m0s"}},
		{"more pieces than can have been made explain nothing", func(s *foldScript) {
			s.state(at(0), "run")
			s.count(at(99), "good", 100)
			s.gap(at(100), at(200))
			s.count(at(200), "good", 400)
			s.state(at(200), "run")
		}, []string{"run 0s-1m40s", "unknown 1m40s-3m20s", "run 3m20s-10m0s"}},
		{"a reading inside the gap does not end the wait for the counter", func(s *foldScript) {
			s.state(at(0), "run")
			s.count(at(0), "good", 10)
			s.gap(at(100), at(200))
			s.count(at(150), "good", 30)
			s.state(at(200), "run")
			s.count(at(202), "good", 62)
		}, []string{"run 0s-1m40s", "unknown 1m40s-3m20s 50", "run 3m20s-10m0s"}},
		{"a second gap takes the pieces", func(s *foldScript) {
			s.state(at(0), "run")
			s.count(at(0), "good", 10)
			s.gap(at(100), at(200))
			s.state(at(200), "run")
			s.gap(at(210), at(250))
			s.state(at(250), "run")
			s.count(at(251), "good", 41)
		}, []string{"run 0s-1m40s", "unknown 1m40s-3m20s", "run 3m20s-3m30s", "unknown 3m30s-4m10s 30", "run 4m10s-10m0s"}},
		{"the PLC away is a gap too", func(s *foldScript) {
			s.state(at(0), "run")
			s.count(at(0), "good", 10)
			s.count(at(100), "good", 100)
			for _, signal := range []string{"state", "good", "fault"} {
				s.bad(at(100.5), signal, "connection refused")
			}
			s.state(at(200), "stop")
			s.count(at(200), "good", 140)
		}, []string{"run 0s-1m40.5s", "unknown 1m40.5s-3m20s 40", "stop 3m20s-10m0s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &foldScript{machine: "m"}
			c.do(s)
			segments, _, cp := s.fold(foldModel(time.Second), foldAt(10*time.Minute))
			if got := segmentTexts(segments); !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			if open, ok := cp.Segment(); ok != (len(c.want) > 0) || ok && (!open.Open || open.To != cp.Through) {
				t.Errorf("running segment %+v, %v", open, ok)
			}
			if len(c.want) == 0 && cp.ReplaceFrom() != cp.Through {
				t.Errorf("replaces from %v", cp.ReplaceFrom())
			}
		})
	}
}

func TestFoldWithoutState(t *testing.T) {
	m := foldModel(time.Second) // stands after 10 s
	delete(m.Signals, plant.RoleState)
	s := &foldScript{machine: "m"}
	s.count(foldClock(0, 0, 0), "good", 100)
	s.making(foldClock(0, 0, 0), foldClock(0, 1, 0), 100, 30) // every 2 s
	s.count(foldClock(0, 5, 0), "good", 131)                  // one piece alone is no run
	s.making(foldClock(0, 6, 0), foldClock(0, 7, 0), 131, 30)
	s.bad(foldClock(0, 7, 5), "good", "timeout")
	s.count(foldClock(0, 8, 0), "good", 161)
	segments, pieces, cp := s.fold(m, foldClock(0, 10, 0))
	want := []string{"run 0s-1m0s", "stop 1m0s-6m2s", "run 6m2s-7m5s", "unknown 7m5s-8m0s", "stop 8m0s-10m0s"}
	if got := segmentTexts(segments); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if sum := foldSum(pieces); sum.Good != 61 {
		t.Errorf("%d pieces, want 61", sum.Good)
	}
	if now := cp.Now(); now.Class != plant.ClassStop || now.Why != "" {
		t.Errorf("now %+v", now)
	}
}

// TestFoldWithoutStateFlicker: a counter that is bad and good in one instant
// does not end a run.
func TestFoldWithoutStateFlicker(t *testing.T) {
	m := foldModel(time.Second)
	delete(m.Signals, plant.RoleState)
	s := &foldScript{machine: "m"}
	s.making(foldAt(0), foldClock(0, 1, 0), 0, 60)
	s.bad(foldClock(0, 0, 30), "good", "timeout") // sorted before the good reading
	segments, _, _ := s.fold(m, foldClock(0, 2, 0))
	want := []string{"run 1s-1m0s", "stop 1m0s-2m0s"}
	if got := segmentTexts(segments); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func foldSum(pieces []plant.Pieces) plant.Pieces {
	var sum plant.Pieces
	for _, p := range pieces {
		sum.Good += p.Good
		sum.Reject += p.Reject
		sum.Startup += p.Startup
		sum.Resets += p.Resets
		sum.Flags |= p.Flags
	}
	return sum
}

func TestFoldWhy(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*foldScript)
		want string
	}{
		{"never", func(*foldScript) {}, "no data yet"},
		{"no state yet", func(s *foldScript) { s.count(foldAt(0), "good", 1) }, "no state was read yet"},
		{"no meaning", func(s *foldScript) { s.state(foldAt(0), "9") }, `state "9" has no meaning`},
		{"bad", func(s *foldScript) { s.bad(foldAt(0), "state", "timeout") }, "state is bad: timeout"},
		{"gap", func(s *foldScript) {
			s.state(foldAt(0), "run")
			s.gap(foldAt(time.Second), foldAt(2*time.Second))
		}, "no data since 2025-05-05T00:00:01.000Z"},
		{"known", func(s *foldScript) { s.bad(foldAt(0), "state", "timeout"); s.state(foldAt(time.Second), "run") }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &foldScript{machine: "m"}
			c.do(s)
			if _, _, cp := s.fold(foldModel(0), foldAt(time.Minute)); cp.Now().Why != c.want {
				t.Errorf("why %q, want %q", cp.Now().Why, c.want)
			}
		})
	}
}

func TestFoldCounts(t *testing.T) {
	sec := func(n int) plant.Time { return foldAt(time.Duration(n) * time.Second) }
	type sum struct{ good, reject, startup, resets int64 }
	totals := func(roles ...plant.Role) func(*MachineModel) {
		return func(m *MachineModel) {
			m.Signals = map[plant.Role]string{plant.RoleState: "state"}
			for _, r := range roles {
				m.Signals[r] = string(r)
			}
		}
	}
	for _, c := range []struct {
		name  string
		model func(*MachineModel)
		do    func(*foldScript)
		want  sum
	}{
		{"the first value is only a base", nil, func(s *foldScript) { s.count(sec(0), "good", 500) }, sum{}},
		{"a bad reading keeps the base", nil, func(s *foldScript) {
			s.count(sec(0), "good", 500)
			s.bad(sec(1), "good", "timeout")
			s.count(sec(5), "good", 503)
		}, sum{good: 3}},
		{"values that are no counts", nil, func(s *foldScript) {
			s.count(sec(0), "good", 500)
			s.read(sec(1), "good", plant.Float(500.5))
			s.count(sec(2), "good", -7)
			s.read(sec(3), "good", plant.Text("n/a"))
			s.read(sec(4), "good", plant.Float(502))
		}, sum{good: 2}},
		{"pieces per count", func(m *MachineModel) { m.PiecesPerCount = 12 }, func(s *foldScript) {
			s.count(sec(0), "good", 1)
			s.count(sec(30), "good", 3)
		}, sum{good: 24}},
		{"a little back is a reset", nil, func(s *foldScript) {
			s.count(sec(0), "good", 500)
			s.count(sec(1), "good", 499)
		}, sum{good: 499, resets: 1}},
		{"a fall after a long stop is a reset, whatever the width", func(m *MachineModel) { m.Widths = map[plant.Role]int{plant.RoleGood: 16} }, func(s *foldScript) {
			s.count(sec(0), "good", 65000)
			s.state(sec(1), "stop")
			s.state(sec(36001), "run")
			s.count(sec(36001), "good", 2)
		}, sum{good: 2, resets: 1}},
		{"half way round is a reset, however long nobody looked", func(m *MachineModel) { m.Widths = map[plant.Role]int{plant.RoleGood: 16} }, func(s *foldScript) {
			s.count(sec(0), "good", 500)
			s.gap(sec(1), sec(70000))
			s.state(sec(70000), "run")
			s.count(sec(70000), "good", 3)
		}, sum{good: 3, resets: 1}},
		{"total with reject", totals(plant.RoleTotal, plant.RoleReject), func(s *foldScript) {
			s.count(sec(0), "total", 10)
			s.count(sec(0), "reject", 1)
			s.count(sec(5), "total", 15)
			s.count(sec(6), "reject", 3)
		}, sum{good: 3, reject: 2}},
		{"total with good", totals(plant.RoleTotal, plant.RoleGood), func(s *foldScript) {
			s.count(sec(0), "total", 10)
			s.count(sec(0), "good", 9)
			s.count(sec(5), "total", 15)
			s.count(sec(6), "good", 12)
		}, sum{good: 3, reject: 2}},
		{"total while good cannot be read counts as good first", totals(plant.RoleTotal, plant.RoleGood), func(s *foldScript) {
			s.count(sec(0), "total", 10)
			s.count(sec(0), "good", 9)
			s.bad(sec(1), "good", "timeout")
			s.count(sec(5), "total", 15)
		}, sum{good: 5}},
		{"and comes right once it is read", totals(plant.RoleTotal, plant.RoleGood), func(s *foldScript) {
			s.count(sec(0), "total", 10)
			s.count(sec(0), "good", 9)
			s.bad(sec(1), "good", "timeout")
			s.count(sec(5), "total", 15)
			s.count(sec(9), "good", 12)
		}, sum{good: 3, reject: 2}},
		{"total alone", totals(plant.RoleTotal), func(s *foldScript) { s.count(sec(0), "total", 10); s.count(sec(5), "total", 15) }, sum{good: 5}},
		{"total beside both is not counted twice", totals(plant.RoleTotal, plant.RoleGood, plant.RoleReject), func(s *foldScript) {
			for _, signal := range []string{"good", "reject", "total"} {
				s.count(sec(0), signal, 0)
				s.count(sec(9), signal, 4)
			}
		}, sum{good: 4, reject: 4}},
		{"startup by pieces", func(m *MachineModel) { m.StartupPieces = 5 }, func(s *foldScript) {
			s.count(sec(0), "good", 0)
			s.count(sec(0), "reject", 0)
			s.count(sec(1), "reject", 1)
			s.state(sec(10), "change")
			s.count(sec(15), "reject", 2) // while setting up
			s.state(sec(20), "run")
			s.count(sec(21), "good", 3)
			s.count(sec(25), "reject", 5) // 2 of these 3 are among the first 5
			s.count(sec(26), "reject", 6)
		}, sum{good: 3, reject: 6, startup: 3}},
		{"startup by time after a long stop", func(m *MachineModel) { m.StartupTime, m.LongStop = 10*time.Second, time.Minute }, func(s *foldScript) {
			s.count(sec(0), "reject", 0)
			s.state(sec(10), "stop")
			s.state(sec(40), "run")
			s.count(sec(41), "reject", 1) // the stop was short
			s.state(sec(100), "stop")
			s.state(sec(140), "starved") // 40 s and 20 s together are a long stop
			s.state(sec(160), "run")
			s.count(sec(169), "reject", 3)
			s.count(sec(170), "reject", 4)
		}, sum{reject: 4, startup: 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := foldModel(time.Second)
			if c.model != nil {
				c.model(m)
			}
			s := &foldScript{machine: "m"}
			s.state(sec(0), "run")
			c.do(s)
			_, pieces, _ := s.fold(m, foldAt(20*time.Hour))
			got := foldSum(pieces)
			if (sum{got.Good, got.Reject, got.Startup, got.Resets}) != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestFoldNamesWhatIsMade(t *testing.T) {
	m := foldModel(time.Second)
	m.Products = map[string]string{"7": "NB1-C16"}
	s := &foldScript{machine: "m"}
	min := func(n int) plant.Time { return foldAt(time.Duration(n) * time.Minute) }
	s.state(min(0), "run")
	s.count(min(0), "good", 0)
	s.count(min(1), "good", 1) // nobody told anything
	s.events = append(s.events, Event{Time: min(2), Kind: EventOrder, Order: "o1", Product: "C32"})
	s.count(min(2), "good", 2) // the order tells the product
	s.read(min(3), "product", plant.Integer(7))
	s.count(min(4), "good", 3) // the machine tells the product
	s.read(min(5), "order", plant.Text("o2"))
	s.count(min(6), "good", 4) // the machine tells the order
	s.read(min(7), "order", plant.Text(""))
	s.read(min(7), "product", plant.Text(""))
	s.events = append(s.events, Event{Time: min(7), Kind: EventOrder})
	s.bad(min(7), "product", "timeout")
	s.count(min(8), "good", 5)
	_, pieces, cp := s.fold(m, min(9))
	var got []string
	for _, p := range pieces {
		got = append(got, fmt.Sprintf("%s %s %v", p.Product, p.Order, p.Flags.Names()))
	}
	want := []string{"p  [no_order product_assumed]", "C32 o1 []", "NB1-C16 o1 []", "NB1-C16 o2 []", "p  [no_order product_assumed]"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if now := cp.Now(); now.Product != "p" || !now.Assumed || now.Good.Value != 5 || now.Class != plant.ClassRun || now.Since != min(0) {
		t.Errorf("now %+v", now)
	}
}

func TestFoldSaysWhatItLeftOut(t *testing.T) {
	m := foldModel(time.Second)
	s := &foldScript{machine: "m"}
	s.state(foldAt(time.Minute), "run")
	s.count(foldAt(time.Minute), "good", -3)
	_, _, cp := s.fold(m, foldAt(2*time.Minute))
	var out Output
	m.Fold(&cp, s.events[:1], foldAt(time.Minute), &out)
	now := cp.Now()
	if now.OutOfOrder != 1 || now.WrongCounts != 1 || now.WrongCount != "good is -3" {
		t.Errorf("now %+v", now)
	}
	if cp.Through != foldAt(2*time.Minute) {
		t.Errorf("went back to %v", cp.Through)
	}
}

// TestFoldForgetsFlicker: what was true for no time leaves no trace.
func TestFoldForgetsFlicker(t *testing.T) {
	for _, away := range []string{"clean", "9", "blocked"} {
		plain, flicker := &foldScript{machine: "m"}, &foldScript{machine: "m"}
		for _, s := range []*foldScript{plain, flicker} {
			s.state(foldAt(0), "run")
			s.count(foldAt(time.Second), "good", 5)
			s.state(foldAt(2*time.Second), "run")
		}
		flicker.state(foldAt(2*time.Second), away)
		_, _, a := plain.fold(foldModel(time.Second), foldAt(time.Minute))
		_, _, b := flicker.fold(foldModel(time.Second), foldAt(time.Minute))
		b.Why = ""
		x, _ := a.Encode()
		y, _ := b.Encode()
		if string(x) != string(y) {
			t.Errorf("%s:\n%s\n%s", away, x, y)
		}
	}
}

// TestFoldWaitsForFew: a machine that chatters while its counters are awaited
// does not pile segments up.
func TestFoldWaitsForFew(t *testing.T) {
	s := &foldScript{machine: "m"}
	s.state(foldAt(0), "run")
	s.count(foldAt(0), "good", 5)
	s.gap(foldAt(time.Second), foldAt(2*time.Second))
	for i := range 3 * mostWaiting {
		s.state(foldAt(2*time.Second+time.Duration(i)*100*time.Millisecond), []string{"run", "stop"}[i%2])
		if _, _, cp := s.fold(foldModel(time.Second), foldAt(2*time.Second+time.Duration(i)*100*time.Millisecond)); len(cp.Held()) > mostWaiting+1 {
			t.Fatalf("%d segments wait", len(cp.Held()))
		}
	}
}

func TestSortEvents(t *testing.T) {
	s := &foldScript{machine: "m"}
	s.state(foldAt(2), "run")
	s.bad(foldAt(1), "state", "timeout")
	s.state(foldAt(1), "run")
	s.count(foldAt(1), "good", 1)
	s.count(foldAt(1), "good", 1)
	s.events = append(s.events, Event{Time: foldAt(1), Kind: EventOrder, Order: "o"}, Event{Time: foldAt(1), Kind: EventOrder, Order: "o"})
	s.gap(foldAt(1), foldAt(2))
	var got []string
	for _, e := range SortEvents(s.events) {
		got = append(got, fmt.Sprintf("%d %d %s%s %s", e.Time-foldDay, e.Kind, e.Order, e.Reading.Signal, e.Reading.Value))
	}
	want := []string{"1 0  –", "1 1 o –", "1 2 good 1", "1 2 state –", "1 2 state run", "2 2 state run"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestFoldCheckpointIsItsOwn: a copy of a checkpoint does not change while the
// fold goes on from another copy.
func TestFoldCheckpointIsItsOwn(t *testing.T) {
	m := foldModel(time.Second)
	at := func(s int) plant.Time { return foldAt(2*time.Minute + time.Duration(s)*time.Second) }
	s := &foldScript{machine: "m"}
	s.state(foldAt(0), "run")
	s.count(foldAt(0), "good", 0)
	s.gap(foldAt(time.Minute), at(0))
	s.state(at(0), "run")
	s.state(at(1), "stop")
	_, _, kept := s.fold(m, at(1))
	before, err := kept.Encode()
	if err != nil || len(kept.Held()) != 2 || kept.ReplaceFrom() != foldAt(time.Minute) {
		t.Fatalf("%s %v", before, err)
	}
	for _, c := range []struct {
		name string
		do   func(*foldScript)
		want []string
	}{
		{"counted", func(s *foldScript) { s.count(at(3), "good", 30) }, []string{"unknown 1m0s-2m0s 27", "run 2m0s-2m1s"}},
		{"ran on", func(s *foldScript) { s.state(at(2), "run"); s.count(at(3), "good", 13) }, []string{"unknown 1m0s-2m0s 10", "run 2m0s-2m1s", "stop 2m1s-2m2s"}},
		{"changed over", func(s *foldScript) { s.state(at(5), "change"); s.count(at(6), "good", 16) }, []string{"unknown 1m0s-2m0s 10", "run 2m0s-2m1s", "stop 2m1s-2m5s"}},
	} {
		more := &foldScript{machine: "m"}
		c.do(more)
		cp := kept
		other := kept
		var out, unseen Output
		m.Fold(&cp, more.events[:1], more.events[0].Time, &out)
		m.Fold(&other, []Event{{Time: at(2), Kind: EventReading, Reading: plant.Reading{Machine: "m", Signal: "state", Value: plant.Text("blocked")}}}, at(2), &unseen)
		m.Fold(&cp, more.events[1:], foldAt(3*time.Minute), &out)
		if got := segmentTexts(out.Segments); !slices.Equal(got, c.want) {
			t.Errorf("%s: gave %v, want %v", c.name, got, c.want)
		}
		if after, _ := kept.Encode(); string(after) != string(before) {
			t.Errorf("%s: was %s\nis %s", c.name, before, after)
		}
	}
}
