package twin

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"

	"linetwin/plant"
)

// TestParallelLine: presses beside each other are weighted with their planned
// time, each by its own ideal cycle.
func TestParallelLine(t *testing.T) {
	x, y := ran("x"), ran("y")
	x.read(foldClock(6, 0, 0), "product", plant.Text("p"))
	y.read(foldClock(6, 0, 0), "product", plant.Text("q"))
	x.made(foldClock(13, 0, 0), 2000, 0)
	y.state(foldClock(8, 0, 0), "stop")
	y.state(foldClock(12, 0, 0), "run")
	y.made(foldClock(13, 0, 0), 400, 20)
	w := placesTwin(t, placesConfig(t), foldClock(14, 0, 0), x, y)
	f := windowsOf(t, of("presses", w.Figures), dayShift(), "", 1)[0]
	// 16 machine-hours planned, 12 of them run.
	foldFactors(t, f, 12.0/16, (2000*10+420*30)/(12*3600.0), (2000*10+400*30)/(2000*10+420*30.0), (2000*10+400*30)/(16*3600.0))
	made := windowsOf(t, of("presses", w.Figures), dayShift(), "product", 2)
	if p := made[0]; p.Product != "p" || p.PlannedS != 8*3600 || p.Good != 2000 {
		t.Errorf("product p: %+v", p)
	}
	foldNear(t, "OEE of p", made[0].OEE, 20000.0/(8*3600))
	foldNear(t, "OEE of q", made[1].OEE, 12000.0/(8*3600))
	if q := made[1]; q.Losses.UnplannedStop != 4*3600 || q.Reliability.Failures != 1 || len(q.Yield.Steps) != 1 || q.Reject != 20 {
		t.Errorf("product q: %+v", q)
	}
}

// TestGroupBottleneck: of machines beside each other within a line all time
// counts, pieces come from the end of the flow, and each has the cycle of the
// machine that made it.
func TestGroupBottleneck(t *testing.T) {
	b1, b2, c := ran("b1"), ran("b2"), ran("c")
	// b1 at its ideal for 8 h (14400 of 2 s), b2 for the 4 h that it runs (3600 of 4 s).
	var n1, n2, n3 int64
	for m := 1; m < 8*60; m++ {
		at := foldClock(6, m, 0)
		n1 += 30
		if m > 4*60 {
			n2 += 15
		}
		n3 = n1 + n2
		b1.count(at, "good", n1)
		b2.count(at, "good", n2)
		c.count(at, "good", n3)
	}
	b2.events = nil
	b2.state(foldClock(6, 0, 0), "stop")
	b2.count(foldClock(6, 0, 0), "good", 0)
	b2.state(foldClock(10, 0, 0), "run")
	for m, n := 4*60+1, int64(15); m < 8*60; m, n = m+1, n+15 {
		b2.count(foldClock(6, m, 0), "good", n)
	}
	w := placesTwin(t, placesConfig(t), foldClock(14, 0, 0), ran("a"), b1, b2, c)
	f := windowsOf(t, of("group", w.Figures), dayShift(), "", 1)[0]
	run := 12 * 3600.0
	// A piece of c has the mean cycle of what was made in its minute, in whole
	// nanoseconds: 30 of 2 s and 15 of 4 s are 2.666666666 s.
	productive := float64(n1-n2*2)*2 + float64(n2*3)*2.666666666
	foldNear(t, "A", f.Availability, 12.0/16)
	foldNear(t, "P", f.Performance, productive/run)
	foldNear(t, "OEE", f.OEE, productive/(16*3600))
	if *f.Performance > 1 || *f.Performance < .99 || f.Good != n3 {
		t.Errorf("P %v, good %d of %d", *f.Performance, f.Good, n3)
	}
	l := w.Snapshot().Lines[0]
	if len(l.Bottlenecks) != 2 || len(l.Flow) != 3 || len(l.Flow[1]) != 2 || l.State.Class != plant.ClassRun {
		t.Errorf("snapshot %+v", l)
	}
	// The target is what both make: one in 4/3 s.
	if l.ShiftGoal == nil || int64(*l.ShiftGoal) != 8*3600*3/4 {
		t.Errorf("goal %v", l.ShiftGoal)
	}
}

// TestCauses: the walk from the bottleneck goes through machines beside each
// other, up and down the flow.
func TestCauses(t *testing.T) {
	type is map[string]string
	for _, c := range []struct {
		name  string
		from  string
		class plant.Class
		is    is
		want  string
	}{
		{"starved by the machine before", "b1", plant.ClassStarved, is{"a": "stop"}, "a"},
		{"starved though all before run", "b1", plant.ClassStarved, is{"a": "run"}, ""},
		{"blocked by one machine", "b2", plant.ClassBlocked, is{"c": "change"}, "c"},
		{"starved by one of those beside each other", "c", plant.ClassStarved, is{"b1": "run", "b2": "stop", "a": "run"}, "b2"},
		{"of two the one that stands longest", "c", plant.ClassStarved, is{"b1": "stop@5", "b2": "stop@3", "a": "run"}, "b2"},
		{"through those beside each other", "c", plant.ClassStarved, is{"b1": "starved", "b2": "starved", "a": "clean"}, "a"},
		{"through one of them that waits", "c", plant.ClassStarved, is{"b1": "run", "b2": "starved", "a": "stop"}, "a"},
		{"both run", "c", plant.ClassStarved, is{"b1": "run", "b2": "run", "a": "stop"}, ""},
		{"one is not seen", "c", plant.ClassStarved, is{"b1": "starved", "a": "stop"}, ""},
		{"downstream through them", "a", plant.ClassBlocked, is{"b1": "blocked", "b2": "blocked", "c": "stop"}, "c"},
		{"waiting the other way", "a", plant.ClassBlocked, is{"b1": "starved", "b2": "starved", "c": "stop"}, ""},
		{"by itself", "b2", plant.ClassStop, is{}, "b2"},
		{"runs", "b2", plant.ClassRun, is{"a": "stop"}, ""},
		{"nothing before the first", "a", plant.ClassStarved, is{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := placesTwin(t, placesConfig(t), foldClock(14, 0, 0))
			states := foldModel(0).States
			got := w.lineByID["group"].cause(c.from, c.class, func(m *machine) stands {
				said, ok := c.is[m.cfg.ID]
				if !ok {
					return stands{}
				}
				since := plant.Time(1)
				if i := len(said) - 2; i > 0 && said[i] == '@' {
					since, said = plant.Time(said[i+1]), said[:i]
				}
				return stands{states[said].Class, since, true}
			})
			id := ""
			if got != nil {
				id = got.cfg.ID
			}
			if id != c.want {
				t.Errorf("cause is %q, want %q", id, c.want)
			}
		})
	}
}

// TestCausesInLosses: a stop far up the flow is the cause of what the machines
// of the bottleneck wait for, in stops and in losses.
func TestCausesInLosses(t *testing.T) {
	a, b1, b2, c := ran("a"), ran("b1"), ran("b2"), ran("c")
	a.state(foldClock(8, 0, 0), "stop")
	a.read(foldClock(8, 0, 1), "fault", plant.Text("belt"))
	a.state(foldClock(9, 0, 0), "run")
	for i, s := range []*foldScript{b1, b2, c} {
		s.state(foldClock(8, 1+i, 0), "starved")
		s.state(foldClock(9, 1+i, 0), "run")
	}
	w := placesTwin(t, placesConfig(t), foldClock(14, 0, 0), a, b1, b2, c)
	stops, err := w.Stops(context.Background(), "group", dayShift())
	if err != nil || len(stops) != 4 {
		t.Fatalf("%+v %v", stops, err)
	}
	for _, s := range stops {
		if want := map[bool]string{true: "", false: "a"}[s.Machine == "a"]; s.Cause != want {
			t.Errorf("cause of the stop of %s is %q, want %q", s.Machine, s.Cause, want)
		}
	}
	losses, err := w.Losses(context.Background(), "group", dayShift())
	if err != nil || len(losses) != 1 || losses[0].Machine != "a" || losses[0].Fault != "belt" || losses[0].Seconds != 2*3600 || losses[0].Stops != 2 {
		t.Errorf("losses %+v %v", losses, err)
	}
}

// TestGroupSplits: wherever a window of machines beside each other is cut, its
// parts add up, also where one of them or the end of the flow was not seen; all
// time of each is in it; and another order of arrival changes nothing.
func TestGroupSplits(t *testing.T) {
	cfg := placesConfig(t)
	now := foldClock(14, 0, 0)
	states := []string{"run", "run", "stop", "starved", "blocked", "change", "clean"}
	rapid.Check(t, func(rt *rapid.T) {
		var scripts []*foldScript
		for _, id := range []string{"a", "b1", "b2", "c", "x", "y"} {
			s := ran(id)
			var good, reject int64
			at := 0
			for at < 7*60 {
				at += rapid.IntRange(1, 90).Draw(rt, "minutes")
				when := foldClock(6, at, 0).Add(time.Duration(rapid.IntRange(0, 59).Draw(rt, "second")) * time.Second)
				if rapid.IntRange(0, 4).Draw(rt, "gap") == 0 {
					s.gap(when, when.Add(time.Duration(rapid.IntRange(1, 20).Draw(rt, "long"))*time.Minute))
					at += 21
					when = foldClock(6, at, 0)
				}
				good, reject = good+int64(rapid.IntRange(0, 400).Draw(rt, "good")), reject+int64(rapid.IntRange(0, 3).Draw(rt, "reject"))
				s.state(when, rapid.SampledFrom(states).Draw(rt, "state"))
				s.made(when, good, reject)
			}
			scripts = append(scripts, s)
		}
		w := placesTwin(t, cfg, now, scripts...)
		cut := plant.Time(foldClock(6, rapid.IntRange(1, 479).Draw(rt, "cut"), 0))
		for _, id := range []string{"group", "presses"} {
			l := w.lineByID[id]
			whole := l.window(dayShift())
			parts := l.window(plant.Span{From: dayShift().From, To: cut})
			parts.Add(l.window(plant.Span{From: cut, To: now}))
			if parts.Flags, whole.Flags = 0, 0; parts != whole {
				rt.Fatalf("%s cut at %s:\n%+v\nwhole:\n%+v", id, cut, parts, whole)
			}
			if whole.All() != 16*time.Hour {
				rt.Fatalf("%s: %v of 16 h", id, whole.All())
			}
			var made plant.Window
			for _, f := range l.byMade(live, madeSplit{nil, dayShift(), "product", func(s plant.Span) plant.Account { return l.accountFrom(live, s) }}, now) {
				made.Add(f.Window)
			}
			if made.Flags = 0; made != whole {
				rt.Fatalf("%s by product:\n%+v\nwhole:\n%+v", id, made, whole)
			}
		}
	})
}
