package twin

import (
	"math"
	"testing"
	"time"

	"linetwin/plant"
)

// goldenMore are further subtests of TestGolden.
var goldenMore = []struct {
	name string
	run  func(t *testing.T)
}{
	{"G2", goldenG2}, {"G3", goldenG3}, {"G5", goldenG5}, {"G6", goldenG6}, {"G7", goldenG7}, {"G8", goldenG8}, {"D4", goldenD4},
}

// goldenShift folds one shift of a machine that stops once, of which all pieces
// are counted near its end.
func goldenShift(ideal, length, stopped time.Duration, good, reject int64, breaks ...plant.Span) plant.Figures {
	m := foldModel(ideal)
	s := &foldScript{machine: "m"}
	s.state(foldAt(0), "run")
	s.made(foldAt(0), 0, 0)
	s.state(foldAt(time.Hour), "stop")
	s.state(foldAt(time.Hour+stopped), "run")
	s.made(foldAt(length-time.Minute), good, reject)
	span := plant.Span{From: foldAt(0), To: foldAt(length)}
	segments, pieces, _ := s.fold(m, span.To)
	return Tally(span, segments, pieces, foldShift(span.From, span.To, breaks...), TallyRules{Ideal: m.Ideal, SmallStop: 2 * time.Minute}).Figures()
}

func goldenG2(t *testing.T) {
	foldFactors(t, goldenShift(time.Minute, 480*time.Minute, 60*time.Minute, 380, 20), .875, .952381, .95, .791667)
}

// goldenG3: of 3240 min breaks take 360 and 100, stops 960.
func goldenG3(t *testing.T) {
	ideal := time.Duration(math.Round(float64(time.Minute) / 1.041))
	minute := func(n int) plant.Time { return foldAt(time.Duration(n) * time.Minute) }
	f := goldenShift(ideal, 3240*time.Minute, 960*time.Minute, 1618, 8, plant.Span{From: minute(1200), To: minute(1560)}, plant.Span{From: minute(2000), To: minute(2100)})
	if f.PlannedS != 2780*60 || f.RunS != 1820*60 {
		t.Errorf("planned %v min, run %v min", f.PlannedS/60, f.RunS/60)
	}
	foldNear(t, "OEE", f.OEE, .559092)
}

// goldenG5 is a week by a calendar.
func goldenG5(t *testing.T) {
	for _, c := range []struct {
		shift     plant.Shift
		days      []string
		good      int64
		oee, teep float64
		tolerance float64 // half the last digit where the source rounded
	}{
		{plant.Shift{Name: "all", Start: "00:00", Length: 24 * time.Hour}, weekdays(6), 144 * 60 * 60 / 100, .60, .514, 5e-4},
		{plant.Shift{Name: "both", Start: "06:00", Length: 16 * time.Hour}, weekdays(5), 80 * 60 * 80 / 100, .80, .380952, 1e-6},
	} {
		cal := plant.Calendar{Zone: "UTC", Shifts: []plant.Shift{c.shift}, Days: c.days}
		span := plant.Span{From: foldAt(0), To: foldAt(7 * 24 * time.Hour)}
		shifts, err := cal.Between(span)
		if err != nil {
			t.Fatal(err)
		}
		m := foldModel(time.Minute)
		s := &foldScript{machine: "m"}
		s.state(span.From, "run")
		s.made(span.From, 0, 0)
		s.made(foldAt(103*time.Hour), c.good, 0)
		segments, pieces, _ := s.fold(m, span.To)
		w := Tally(span, segments, pieces, shifts, TallyRules{Ideal: m.Ideal})
		f := w.Figures()
		foldNear(t, "OEE", f.OEE, c.oee)
		if f.TEEP == nil || math.Abs(*f.TEEP-c.teep) > c.tolerance {
			t.Errorf("TEEP is %v, want %v", f.TEEP, c.teep)
		}
		if u := float64(w.Planned()) / float64(w.All()); c.teep == .514 && math.Abs(u-.857) > 5e-4 {
			t.Errorf("U is %v", u)
		}
	}
}

// weekdays gives the first n days of the week, from Monday.
func weekdays(n int) []string {
	return []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}[:n]
}

func goldenG6(t *testing.T) {
	for _, c := range []struct {
		failures     int
		run, repair  time.Duration // between and of failures
		mtbf         time.Duration
		availability float64
	}{
		{10, 1000 * time.Hour, 5 * time.Hour, 1000 * time.Hour, .995025},
		{1, 900 * time.Hour, 100 * time.Hour, 900 * time.Hour, .9},
		{12, 300 * time.Hour, time.Hour, 300 * time.Hour, 300.0 / 301},
	} {
		s := &foldScript{machine: "m"}
		at := time.Duration(0)
		for range c.failures {
			s.state(foldAt(at), "run")
			s.state(foldAt(at+c.run), "stop")
			at += c.run + c.repair
		}
		s.state(foldAt(at), "change") // after which nothing more runs
		span := plant.Span{From: foldAt(0), To: foldAt(at + time.Minute)}
		segments, _, _ := s.fold(foldModel(time.Second), span.To)
		r := TallyReliability(span, segments, foldShift(span.From, span.To), TallyRules{SmallStop: 2 * time.Minute})
		f := r.Figures()
		foldNear(t, "MTBF", f.MTBF, c.mtbf.Seconds())
		foldNear(t, "MTTR", f.MTTR, c.repair.Seconds())
		foldNear(t, "availability", f.Availability, c.availability)
	}
}

// goldenG7 is a line of three machines, of each of which the next gets the good
// pieces.
func goldenG7(t *testing.T) {
	line := placesConfig(t)
	line.Areas[0].Lines[0].Flow, line.Areas[0].Lines[0].Bottleneck = Flow{"a", "b1", "c"}, "b1"
	now := foldClock(14, 0, 0)
	rty := func(a, b, c [2]int64) plant.Figures {
		at := foldClock(13, 0, 0)
		w := placesTwin(t, line, now, ran("a").made(at, a[0], a[1]), ran("b1").made(at, b[0], b[1]), ran("c").made(at, c[0], c[1]))
		return windowsOf(t, of("group", w.Figures), dayShift(), "", 1)[0]
	}
	y := rty([2]int64{950, 50}, [2]int64{800, 150}, [2]int64{700, 100}).Yield
	for i, want := range []float64{.95, .842105, .875} {
		foldNear(t, "FPY of a step", y.Steps[i].FPY, want)
	}
	foldNear(t, "RTY", y.RTY, .7)

	// 98, 97, 99 and 96 %: four steps, machines in series.
	line.Areas[0].Lines[0].Flow = Flow{"a", "b1", "b2", "c"}
	at := foldClock(13, 0, 0)
	w := placesTwin(t, line, now, ran("a").made(at, 98, 2), ran("b1").made(at, 97, 3), ran("b2").made(at, 99, 1), ran("c").made(at, 96, 4))
	f := windowsOf(t, of("group", w.Figures), dayShift(), "", 1)[0]
	if f.Yield.RTY == nil || math.Abs(*f.Yield.RTY-.9035) > 5e-5 {
		t.Errorf("RTY is %v, want .9035", f.Yield.RTY)
	}
}

// goldenG8: of 1200 pieces 75 are reworked and 35 scrapped; both are rejects at
// the first attempt.
func goldenG8(t *testing.T) {
	s := ran("s1").made(foldClock(13, 0, 0), 1090, 75+35)
	w := placesTwin(t, placesConfig(t), foldClock(14, 0, 0), s)
	f := windowsOf(t, of("s1", w.MachineFigures), dayShift(), "", 1)[0]
	if f.Yield.FPY == nil || math.Abs(*f.Yield.FPY-.9083) > 5e-5 || f.Yield.Method != "count" {
		t.Errorf("FPY %v by %s, want .9083 by count", f.Yield.FPY, f.Yield.Method)
	}
}

// goldenD4 is a night shift when clocks change, from readings to planned time: a
// machine that runs from the evening to noon.
func goldenD4(t *testing.T) {
	for _, c := range []struct {
		zone, day string
		want      time.Duration
	}{
		{"Europe/Prague", "2025-03-29", 25200 * time.Second},
		{"Europe/Prague", "2025-10-25", 32400 * time.Second},
		{"Asia/Shanghai", "2025-03-29", 28800 * time.Second},
		{"Asia/Shanghai", "2025-10-25", 28800 * time.Second},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		day, err := time.ParseInLocation(time.DateOnly, c.day, zone)
		if err != nil {
			t.Fatal(err)
		}
		span := plant.Span{From: plant.At(day).Add(12 * time.Hour), To: plant.At(day).Add(36 * time.Hour)}
		cal := plant.Calendar{Zone: c.zone, Shifts: []plant.Shift{{Name: "night", Start: "22:00", Length: 8 * time.Hour}}}
		shifts, err := cal.Between(span)
		if err != nil {
			t.Fatal(err)
		}
		m := foldModel(2 * time.Second)
		s := &foldScript{machine: "m"}
		s.state(span.From, "run")
		s.made(span.From, 0, 0)
		s.made(plant.At(day).Add(24*time.Hour), 10800, 0)
		segments, pieces, _ := s.fold(m, span.To)
		w := Tally(span, segments, pieces, shifts, TallyRules{Ideal: m.Ideal})
		if w.Planned() != c.want || w.Run != c.want || w.All() != 24*time.Hour {
			t.Errorf("night of %s in %s: planned %v, run %v of %v, want %v", c.day, c.zone, w.Planned(), w.Run, w.All(), c.want)
		}
		foldNear(t, "OEE", w.Figures().OEE, 21600/c.want.Seconds())
	}
}
