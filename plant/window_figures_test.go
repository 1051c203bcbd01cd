package plant

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestFiguresNulls(t *testing.T) {
	null := func(f Figures) []string {
		var names []string
		for _, x := range []struct {
			name  string
			value *float64
		}{
			{"availability", f.Availability}, {"performance", f.Performance}, {"quality", f.Quality}, {"oee", f.OEE},
			{"oee_low", f.OEELow}, {"oee_high", f.OEEHigh}, {"teep", f.TEEP}, {"coverage", f.Coverage},
		} {
			if x.value == nil {
				names = append(names, x.name)
				if f.Why[x.name] == "" {
					t.Errorf("%s is null without a reason", x.name)
				}
			} else if f.Why[x.name] != "" {
				t.Errorf("%s is %v, and yet: %s", x.name, *x.value, f.Why[x.name])
			}
		}
		return names
	}
	for _, c := range []struct {
		name  string
		w     Window
		null  []string
		flags []string
	}{
		{"nothing", Window{}, []string{"availability", "performance", "quality", "oee", "oee_low", "oee_high", "teep", "coverage"}, nil},
		{"not planned", Window{ScheduleLoss: time.Hour}, []string{"availability", "performance", "quality", "oee", "oee_low", "oee_high", "teep", "coverage"}, nil},
		{"all unknown", Window{Unknown: time.Hour}, []string{"availability", "performance", "quality", "oee", "teep"}, nil},
		{"did not run", Window{UnplannedStop: time.Hour}, []string{"performance", "quality"}, nil},
		{"pieces without run", Window{UnplannedStop: time.Hour, Good: 5, IdealGood: 5}, []string{"performance"}, []string{"pieces_without_run_time"}},
		{"no pieces", Window{Run: time.Hour}, []string{"quality"}, nil},
		{"no ideal cycle", Window{Run: time.Hour, Good: 9, Reject: 1, Flags: FlagNoIdeal}, []string{"performance", "oee", "oee_low", "oee_high", "teep"}, []string{"no_ideal_cycle"}},
		{"beats ideal", Window{Run: time.Hour, Good: 9, IdealGood: 2 * time.Hour}, nil, []string{"beats_ideal_cycle"}},
		{"all well", Window{Run: time.Hour, Good: 9, IdealGood: time.Hour}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := c.w.Figures()
			if got := null(f); !slices.Equal(got, c.null) {
				t.Errorf("null: %v, want %v", got, c.null)
			}
			if !slices.Equal(f.Flags, c.flags) {
				t.Errorf("flags %v, want %v", f.Flags, c.flags)
			}
		})
	}
}

func TestFiguresValues(t *testing.T) {
	stopped := Window{UnplannedStop: time.Hour}.Figures()
	near(t, "A of a machine that did not run", stopped.Availability, 0, 0)
	near(t, "OEE of a machine that did not run", stopped.OEE, 0, 0)
	unknown := Window{Unknown: time.Hour}.Figures()
	near(t, "low of all unknown", unknown.OEELow, 0, 0)
	near(t, "high of all unknown", unknown.OEEHigh, 1, 0)
	near(t, "coverage of all unknown", unknown.Coverage, 0, 0)
	noIdeal := Window{Run: time.Hour, Good: 9, Reject: 1, Flags: FlagNoIdeal}.Figures()
	near(t, "Q by count where no cycle is known", noIdeal.Quality, .9, 1e-12)
	fast := Window{Run: time.Hour, Good: 9, IdealGood: 2 * time.Hour}.Figures()
	near(t, "P is not clipped", fast.Performance, 2, 0)
	if fast.Losses.ReducedSpeed != -3600 {
		t.Errorf("reduced speed is %v, want -3600", fast.Losses.ReducedSpeed)
	}
	if *fast.OEEHigh < *fast.OEELow {
		t.Errorf("bounds are %v to %v", *fast.OEELow, *fast.OEEHigh)
	}
}

func TestISO22400(t *testing.T) {
	w := Window{Run: 50 * time.Minute, SmallStop: 10 * time.Minute, PlannedStop: 10 * time.Minute, Changeover: 10 * time.Minute,
		Good: 90, Reject: 10, IdealGood: 18 * time.Minute, IdealReject: 2 * time.Minute}
	i := w.ISO22400()
	near(t, "availability", i.Availability, 40.0/60, 1e-12)
	near(t, "effectiveness", i.Effectiveness, .5, 1e-12)
	near(t, "quality ratio", i.QualityRatio, .9, 1e-12)
	near(t, "OEE index", i.OEE, 18.0/60, 1e-12)
	near(t, "NEE index", i.NEE, 50.0/60*.5*.9, 1e-12)
	if i := (Window{}).ISO22400(); i != (ISO22400{}) {
		t.Errorf("of nothing: %+v", i)
	}
}

func TestReliabilityOfAnOpenFailure(t *testing.T) {
	r := Reliability{Operating: time.Hour, Failures: 1, Open: time.Minute}
	if _, ok := r.MTTR(); ok {
		t.Error("an MTTR without a restored failure")
	}
	if r.Availability() != nil {
		t.Error("an availability without a restored failure")
	}
	r.Add(Reliability{Operating: time.Hour, Failures: 1, Restored: 1, Restoring: 6 * time.Minute})
	if mttr, ok := r.MTTR(); !ok || mttr != 6*time.Minute {
		t.Errorf("MTTR %v", mttr)
	}
	if mtbf, _ := r.MTBF(); mtbf != time.Hour {
		t.Errorf("MTBF %v", mtbf)
	}
}

// anyWindow draws windows whose parts fit into each other.
func anyWindow(t *rapid.T) Window {
	part := func(name string, most time.Duration) time.Duration {
		return time.Duration(rapid.Int64Range(0, int64(most)).Draw(t, name))
	}
	w := Window{
		ScheduleLoss: part("schedule", day), Unknown: part("unknown", day), UnplannedStop: part("unplanned", day),
		PlannedStop: part("planned", day), Run: part("run", day),
		Good: rapid.Int64Range(0, 50000).Draw(t, "good"), Reject: rapid.Int64Range(0, 5000).Draw(t, "reject"),
	}
	w.SmallStop = part("small", w.Run)
	ideal := part("ideal", 10*time.Second) + 1
	w.IdealGood, w.IdealReject = time.Duration(w.Good)*ideal, time.Duration(w.Reject)*ideal
	w.IdealStartup = part("startup", w.IdealReject)
	from := Time(rapid.Int64Range(1, 1<<60).Draw(t, "from"))
	w.Span = Span{from, from.Add(w.All())}
	return w
}

func TestFiguresProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyWindow(t), anyWindow(t)
		f := a.Figures()
		l := f.Losses
		leaves := l.Schedule + l.Unknown + l.UnplannedStop + l.PlannedStop + l.SmallStop + l.ReducedSpeed + l.ProductionReject + l.StartupReject + l.Productive
		if all := a.Length().Seconds(); math.Abs(leaves-all) > 1e-9*max(1, all, math.Abs(l.ReducedSpeed)) {
			t.Fatalf("leaves sum to %v, window is %v", leaves, all)
		}
		if f.Performance != nil && f.Quality != nil {
			if product := *f.Availability * *f.Performance * *f.Quality; math.Abs(product-*f.OEE) > 1e-12*max(1, *f.OEE) {
				t.Fatalf("A x P x Q = %v, OEE = %v", product, *f.OEE)
			}
		}
		if f.OEELow != nil && *f.OEELow > *f.OEEHigh {
			t.Fatalf("bounds %v to %v", *f.OEELow, *f.OEEHigh)
		}
		if f.OEE != nil && f.Performance != nil && *f.Performance <= 1 && (*f.OEE < *f.OEELow-1e-12 || *f.OEE > *f.OEEHigh+1e-12) {
			t.Fatalf("OEE %v is outside of %v to %v", *f.OEE, *f.OEELow, *f.OEEHigh)
		}
		ab, ba := a, b
		ab.Add(b)
		ba.Add(a)
		if ab != ba {
			t.Fatal("the order of adding matters")
		}
		if ab.Known() > 0 && *ab.Figures().OEE != float64(a.IdealGood+b.IdealGood)/float64(a.Known()+b.Known()) {
			t.Fatal("two windows together are not the ratio of their sums")
		}
	})
}

func BenchmarkFigures(b *testing.B) {
	w := Window{Run: 7 * time.Hour, UnplannedStop: time.Hour, Good: 12000, Reject: 90, IdealGood: 6 * time.Hour, IdealReject: 3 * time.Minute}
	for b.Loop() {
		_ = w.Figures()
	}
}
