package gateway

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"linetwin/plant"
)

// world is a gateway's computer: true time, and a wall clock that may be wrong.
type world struct {
	*Clock
	t      *testing.T
	origin time.Time
	passed time.Duration // true time since origin
	off    time.Duration // wall clock minus true time
	synced bool
}

// newWorld begins with a wall clock that is off.
func newWorld(t *testing.T, off time.Duration) *world {
	w := &world{t: t, origin: start.Std(), off: off}
	w.Clock = ClockOf(w.origin, func() (time.Time, time.Duration) { return w.origin.Add(w.passed + w.off), w.passed }, func() bool { return w.synced }, quiet())
	return w
}

func (w *world) truth() plant.Time { return plant.At(w.origin.Add(w.passed)) }

// wait lets time pass, looking at the clock each second.
func (w *world) wait(d time.Duration) {
	for d > 0 {
		w.passed += min(d, time.Second)
		d -= time.Second
		w.settle()
	}
}

// word is the twin's answer to what was asked a moment ago.
func (w *world) word() {
	w.passed += 20 * time.Millisecond
	w.host(w.truth().Add(-10*time.Millisecond).Floor(time.Millisecond), 20*time.Millisecond)
	w.settle()
}

// wrong is how far own time is from true time.
func (w *world) wrong() time.Duration { return plant.At(w.Now()).Sub(w.truth()) }

func (w *world) mustBe(state string, wrong time.Duration, moves int) {
	w.t.Helper()
	if got := w.wrong(); (got - wrong).Abs() > 15*time.Millisecond {
		w.t.Errorf("own time is wrong by %v, want %v", got, wrong)
	}
	if got := w.account().State; got != state {
		w.t.Errorf("state %q, want %q", got, state)
	}
	if got := w.movesSince(0); len(got) != moves {
		w.t.Errorf("moves %v, want %d", got, moves)
	}
}

func TestClockRules(t *testing.T) {
	const far = 10 * time.Minute
	for _, c := range []struct {
		name string
		off  time.Duration // at the start
		do   func(w *world)
		// afterwards
		state string
		wrong time.Duration
		moves int
	}{
		{"nothing happens", 0, func(w *world) { w.wait(time.Hour) }, plant.ClockSet, 0, 0},
		{"a small step is made up for", 0, func(w *world) { w.off = -time.Second; w.wait(10 * time.Second) }, plant.ClockSet, -time.Second, 0},
		{"half of it after a while", 0, func(w *world) { w.off = time.Second; w.wait(2 * time.Second) }, plant.ClockSet, 500 * time.Millisecond, 0},
		{"a step forward that the twin denies", 0, func(w *world) {
			w.word()
			w.left()
			w.off = far
			w.wait(time.Second)
			w.word()
			w.wait(time.Minute)
		}, plant.ClockOwn, 0, 0},
		{"and back again", 0, func(w *world) {
			w.word()
			w.left()
			w.off = far
			w.wait(time.Second)
			w.word()
			w.wait(time.Minute)
			w.off = 0
			w.wait(time.Second)
			w.word()
		}, plant.ClockSet, 0, 0},
		{"a step back that the twin denies", 0, func(w *world) { w.word(); w.left(); w.off = -far; w.wait(time.Second); w.word() }, plant.ClockOwn, 0, 0},
		{"no word, but the last one holds", 0, func(w *world) { w.word(); w.left(); w.wait(time.Hour); w.off = far; w.wait(10 * time.Second) }, plant.ClockOwn, 0, 0},
		{"nobody vouches: what was set last counts", 0, func(w *world) { w.off = far; w.wait(10 * time.Second) }, plant.ClockSet, far, 1},
		{"and back again without anybody", 0, func(w *world) { w.off = far; w.wait(10 * time.Second); w.off = 0; w.wait(10 * time.Second) }, plant.ClockSet, 0, 2},
		{"forward and back before anybody believed it", 0, func(w *world) { w.off = far; w.wait(time.Second); w.off = 0; w.wait(10 * time.Second) }, plant.ClockSet, 0, 0},
		{"a right correction, by the twin's word", far, func(w *world) {
			w.synced = true
			w.word() // a gateway with NTP does not take the twin's time
			w.left()
			w.synced, w.off = false, 0
			w.wait(time.Second)
			w.word()
		}, plant.ClockSet, 0, 1},
		{"NTP knows better than the twin", far, func(w *world) { w.synced = true; w.word() }, plant.ClockSet, far, 0},
		{"far off, and nothing keeps it", far, func(w *world) { w.word() }, plant.ClockOfTwin, 0, 1},
		{"then NTP comes", far, func(w *world) { w.word(); w.left(); w.off = 0; w.wait(time.Second); w.word() }, plant.ClockSet, 0, 1},
		{"less than a minute off is used as it is", 30 * time.Second, func(w *world) { w.word(); w.left(); w.wait(time.Hour) }, plant.ClockSet, 30 * time.Second, 0},
		{"and set back, which is made up for", 30 * time.Second, func(w *world) {
			w.word()
			w.left()
			w.off = 0
			w.wait(time.Second)
			w.word()
			w.wait(2 * time.Minute)
		}, plant.ClockSet, 0, 0},
		{"1970", -time.Duration(start) + 5*time.Second, func(w *world) { w.wait(time.Hour) }, plant.ClockUnset, -time.Duration(start) + 5*time.Second, 0},
		{"1970, then NTP", -time.Duration(start) + 5*time.Second, func(w *world) { w.wait(time.Hour); w.off = 0; w.wait(time.Second) }, plant.ClockSet, 0, 1},
		{"1970, then the twin", -time.Duration(start) + 5*time.Second, func(w *world) { w.wait(time.Hour); w.word() }, plant.ClockOfTwin, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.off)
			w.wait(3 * time.Second)
			c.do(w)
			w.mustBe(c.state, c.wrong, c.moves)
		})
	}
}

func TestClockNeverGoesBackWhileItMakesUpForAStep(t *testing.T) {
	w := newWorld(t, 0)
	w.word()
	w.left()
	w.off = -50 * time.Second
	w.wait(time.Second)
	w.passed += 10 * time.Millisecond
	w.host(w.truth().Add(w.off), time.Millisecond) // the twin says so too
	w.settle()
	for last := w.stamp(); w.off < 0 && w.passed < 5*time.Minute; {
		w.passed += 100 * time.Millisecond
		if now := w.stamp(); now <= last {
			t.Fatalf("own time went from %s to %s", last, now)
		} else {
			last = now
		}
	}
	if got := w.wrong(); (got - w.off).Abs() > time.Millisecond {
		t.Errorf("own time is wrong by %v after five minutes, want as the wall clock", got)
	}
}

func TestClockBeginsAfterWhatIsKnown(t *testing.T) {
	w := newWorld(t, -time.Hour)
	w.begins(w.truth())
	if w.settled() || w.wrong() != 0 || w.flag() != plant.ReasonClockUnset {
		t.Errorf("a clock that stands before what the buffer knows: settled %t, wrong by %v", w.settled(), w.wrong())
	}
	w.passed += time.Minute
	w.off = 0
	w.settle()
	w.mustBe(plant.ClockSet, 0, 1)
}

func TestClockTellsTheTwinsOffset(t *testing.T) {
	w := newWorld(t, 5*time.Second)
	w.word()
	s := w.account()
	if s.OffsetMs == nil || *s.OffsetMs < 4990 || *s.OffsetMs > 5010 || s.BoundMs < 10 || s.BoundMs > 20 {
		t.Errorf("%+v, want an offset of 5 s to within 10 to 20 ms", s)
	}
	if !w.warned {
		t.Error("five seconds are not warned of")
	}
	w.off = 3600 * time.Millisecond // made up for; the twin's clock differs by 1.8 s then
	for range 10 {
		w.wait(time.Second)
		w.host(w.truth().Add(1800*time.Millisecond), time.Millisecond)
	}
	if !w.warned {
		t.Error("1.8 s after a warning are calm already")
	}
	w.host(w.truth().Add(3*time.Second), time.Millisecond)
	if w.warned {
		t.Error("0.6 s are warned of still")
	}
}

// Whatever the wall clock does: what waits in the gateway until the twin has
// spoken, and what left after that, is within a minute of its true time; own
// time goes back only by moves.
func TestClockPutsEverythingRight(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type stamped struct {
			own, truth plant.Time
			moves      int
			waits      bool
		}
		w := newWorld(t, time.Duration(rapid.Int64Range(-int64(30*24*time.Hour), int64(30*24*time.Hour)).Draw(rt, "start")))
		begin := w.truth()
		var made []stamped
		var last plant.Time
		spoken, moves := false, 0
		look := func() {
			s := stamped{own: plant.At(w.Now()), truth: w.truth(), moves: len(w.movesSince(0))}
			s.waits = !w.settled() || !spoken
			if s.own < last && s.moves == moves {
				rt.Fatalf("own time went from %s to %s without a move", last, s.own)
			}
			last, moves = s.own, s.moves
			made = append(made, s)
		}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0:
				w.off = time.Duration(rapid.SampledFrom([]int64{0, 1, -1, 30, -30, 600, -600, 86400, -86400}).Draw(rt, "off")) * time.Second
			case 1:
				w.word()
				if !spoken {
					spoken = true
					w.left()
				}
			default:
				for range rapid.IntRange(1, 50).Draw(rt, "looks") {
					w.passed += 200 * time.Millisecond
					look()
					w.settle()
				}
			}
			look()
			w.passed += 10 * time.Millisecond
			if spoken {
				w.word() // it comes each second
			}
		}
		w.word()
		for i, s := range made {
			at := s.own
			if s.waits {
				for _, m := range w.movesSince(s.moves) {
					at = m.apply(at)
				}
			}
			if off := at.Sub(s.truth); off.Abs() > time.Minute+100*time.Millisecond {
				rt.Fatalf("stamp %d of %d, made %v after the start, is wrong by %v (waited %t)", i, len(made), s.truth.Sub(begin), off, s.waits)
			}
		}
	})
}
