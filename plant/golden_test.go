package plant

import (
	"math"
	"testing"
	"time"
)

// near fails unless got is want within the tolerance of oee.md 5.
func near(t *testing.T, what string, got *float64, want, tolerance float64) {
	t.Helper()
	if got == nil {
		t.Errorf("%s is null, want %v", what, want)
	} else if math.Abs(*got-want) > tolerance {
		t.Errorf("%s = %.9f, want %v", what, *got, want)
	}
}

// made gives a window of one product.
func made(ideal time.Duration, good, reject int64, w Window) Window {
	w.Good, w.Reject = good, reject
	w.IdealGood, w.IdealReject = time.Duration(good)*ideal, time.Duration(reject)*ideal
	return w
}

// TestGolden holds the figures against the published cases of oee.md 5 that
// are about formulas; those about events are in package twin.
func TestGolden(t *testing.T) {
	const minute = time.Minute
	t.Run("G1", func(t *testing.T) { // oee.com worksheet
		f := made(time.Second, 19271-423, 423, Window{ScheduleLoss: 60 * minute, UnplannedStop: 47 * minute, Run: 373 * minute}).Figures()
		near(t, "A", f.Availability, .888095, 5e-7)
		near(t, "P", f.Performance, .861081, 5e-7)
		near(t, "Q", f.Quality, .978050, 5e-7)
		near(t, "OEE", f.OEE, .747937, 5e-7)
		if f.PlannedS != 420*60 || f.RunS != 373*60 {
			t.Errorf("planned %v s, run %v s", f.PlannedS, f.RunS)
		}
	})
	t.Run("G2", func(t *testing.T) { // waycalculator
		f := made(minute, 380, 20, Window{PlannedStop: 60 * minute, Run: 420 * minute}).Figures()
		near(t, "A", f.Availability, .875, 1e-9)
		near(t, "P", f.Performance, .952381, 5e-7)
		near(t, "Q", f.Quality, .95, 1e-9)
		near(t, "OEE", f.OEE, .791667, 5e-7)
	})
	t.Run("G3", func(t *testing.T) { // worksheet
		ideal := time.Duration(math.Round(float64(minute) / 1.041))
		f := made(ideal, 1618, 8, Window{ScheduleLoss: 460 * minute, UnplannedStop: 960 * minute, Run: 1820 * minute}).Figures()
		near(t, "OEE", f.OEE, .559092, 1e-6)
	})
	t.Run("G5", func(t *testing.T) { // TEEP
		f := made(time.Hour, 0, 0, Window{ScheduleLoss: 24 * time.Hour, Run: 144 * time.Hour, IdealGood: 0})
		f.IdealGood, f.Good = 144*time.Hour*60/100, 1
		got := f.Figures()
		near(t, "OEE", got.OEE, .60, 1e-9)
		near(t, "U", ratio(f.Planned(), f.All()), .857, 5e-4)
		near(t, "TEEP", got.TEEP, .514, 5e-4)
		g := Window{ScheduleLoss: 88 * time.Hour, Run: 80 * time.Hour, Good: 1, IdealGood: 64 * time.Hour}
		near(t, "TEEP", g.Figures().TEEP, .380952, 5e-7)
	})
	t.Run("G6", func(t *testing.T) { // MTBF, MTTR
		for _, c := range []struct {
			r            Reliability
			mtbf         time.Duration
			availability float64
		}{
			{Reliability{Operating: 10000 * time.Hour, Failures: 10, Restored: 10, Restoring: 50 * time.Hour}, 1000 * time.Hour, .995025},
			{Reliability{Operating: 900 * time.Hour, Failures: 1, Restored: 1, Restoring: 100 * time.Hour}, 900 * time.Hour, .9},
		} {
			if mtbf, ok := c.r.MTBF(); !ok || mtbf != c.mtbf {
				t.Errorf("MTBF = %v, want %v", mtbf, c.mtbf)
			}
			near(t, "availability", c.r.Availability(), c.availability, 5e-7)
		}
		if mtbf, ok := (Reliability{Operating: 3600 * time.Hour, Failures: 12}).MTBF(); !ok || mtbf != 300*time.Hour {
			t.Errorf("MTBF = %v, want 300h", mtbf)
		}
		if _, ok := (Reliability{Operating: 3600 * time.Hour}).MTBF(); ok {
			t.Error("an MTBF without a failure")
		}
	})
	t.Run("D4", func(t *testing.T) { // a night shift when clocks change
		for _, c := range []struct {
			zone, day string
			want      time.Duration
		}{
			{"Europe/Prague", "2025-03-29", 25200 * time.Second},
			{"Europe/Prague", "2025-10-25", 32400 * time.Second},
			{"Asia/Shanghai", "2025-03-29", 28800 * time.Second},
			{"Asia/Shanghai", "2025-10-25", 28800 * time.Second},
		} {
			cal := Calendar{Zone: c.zone, Shifts: []Shift{{Name: "night", Start: "22:00", Length: 8 * time.Hour}}}
			if got := instanceOn(t, &cal, c.day); got.Length() != c.want {
				t.Errorf("night of %s in %s: %v, want %v", c.day, c.zone, got.Length(), c.want)
			}
		}
	})
}

// instanceOn gives a calendar's only shift that starts on a local day.
func instanceOn(t *testing.T, c *Calendar, day string) ShiftInstance {
	t.Helper()
	d, err := time.Parse(time.DateOnly, day)
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.Between(Span{At(d.Add(-24 * time.Hour)), At(d.Add(72 * time.Hour))})
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range all {
		if in.Day == day {
			return in
		}
	}
	t.Fatalf("no shift on %s", day)
	return ShiftInstance{}
}
