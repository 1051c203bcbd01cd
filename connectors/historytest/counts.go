package historytest

import (
	"reflect"
	"testing"
	"time"

	"linetwin/plant"
)

// counts tells the readings that a store counts, by the minute after start.
func (s *suite) counts(machine string, sp plant.Span) map[int]uint64 {
	s.Helper()
	found, err := s.Counts(s.Context(), machine, sp)
	if err != nil {
		s.Fatalf("count: %v", err)
	}
	got := map[int]uint64{}
	last := plant.Time(0)
	for _, c := range found {
		if c.Minute <= last || c.Minute != c.Minute.Floor(time.Minute) || c.Readings == 0 {
			s.Errorf("minute %s of %d readings after %s", c.Minute, c.Readings, last)
		}
		last = c.Minute
		got[int(c.Minute.Sub(start())/time.Minute)] = c.Readings
	}
	return got
}

// counted holds a store to counting each signal and time once, however often,
// in whatever quality and in which line it was written.
func counted(_ *testing.T, s *suite) {
	const minute = 60_000
	s.write(batch("m",
		good("a", 0, plant.Float(1)), good("b", 0, plant.Text("")), good("c", 0, plant.Boolean(true)), good("a", minute-1, plant.Float(2)),
		good("a", minute, plant.Float(3)), uncertain("a", minute+1, plant.Float(4), "old"), uncertain("b", minute+1, plant.Text("x"), ""),
		bad("a", 3*minute, "timeout"), bad("b", 3*minute, "timeout"), bad("never", 3*minute, "timeout"), good("c", 3*minute+5, plant.Boolean(false)),
		bad("a", 4*minute, "timeout"), good("a", 5*minute, plant.Float(5)), good("x.quality", 6*minute, plant.Integer(1)), good("line", 6*minute, plant.Integer(1))),
		batch("other", good("a", 0, plant.Float(1))))
	s.write(batch("m", good("a", 0, plant.Float(1)), good("a", 3*minute, plant.Float(9)), bad("a", 5*minute, "timeout")))
	moved := batch("m", good("a", 0, plant.Float(1)), good("a", 7*minute, plant.Float(1)))
	moved.Line = "mcb-b"
	s.write(moved)
	for _, c := range []struct {
		what string
		span plant.Span
		want map[int]uint64
	}{
		{"all", span(-minute, 9*minute), map[int]uint64{0: 4, 1: 3, 3: 4, 4: 1, 5: 1, 6: 2, 7: 1}},
		{"from a time on", span(minute, 4*minute), map[int]uint64{1: 3, 3: 4}},
		{"parts of minutes", span(1, minute+1), map[int]uint64{0: 1, 1: 1}},
		{"part of a minute with bad readings", span(3*minute, 3*minute+5), map[int]uint64{3: 3}},
		{"nothing", span(2*minute, 3*minute), map[int]uint64{}},
		{"no span", span(minute, minute), map[int]uint64{}},
	} {
		if got := s.counts("m", c.span); !reflect.DeepEqual(got, c.want) {
			s.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
	if got := s.counts("nobody", span(0, minute)); len(got) != 0 {
		s.Errorf("nobody's: %v", got)
	}
}
