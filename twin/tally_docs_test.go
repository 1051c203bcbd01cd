package twin

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

// docsShift is the shift of docs/oee.md, as readings.
func docsShift() (*foldScript, *MachineModel, []plant.ShiftInstance) {
	m := foldModel(2 * time.Second)
	m.StartupTime = 10 * time.Minute
	s := &foldScript{machine: "m"}
	s.state(foldClock(6, 0, 0), "run")
	s.state(foldClock(7, 0, 0), "stop")
	s.read(foldClock(7, 0, 1), "fault", plant.Text("jam"))
	s.state(foldClock(7, 20, 0), "run")
	s.state(foldClock(8, 0, 0), "starved")
	s.state(foldClock(8, 1, 0), "run")
	s.state(foldClock(9, 0, 0), "change")
	s.state(foldClock(9, 15, 0), "run")
	s.state(foldClock(10, 0, 0), "clean")
	s.state(foldClock(10, 30, 0), "run")
	s.gap(foldClock(11, 0, 0), foldClock(11, 10, 0))
	s.state(foldClock(11, 10, 0), "run")
	for _, x := range []struct {
		h, m         int
		good, reject int64
	}{
		{6, 0, 1000, 50}, {6, 59, 2500, 60}, {7, 59, 3600, 70}, {8, 59, 5000, 75}, {9, 20, 5100, 95},
		{9, 59, 6100, 100}, {10, 59, 6700, 105}, {11, 10, 6880, 105}, {13, 59, 10500, 130},
	} {
		s.count(foldClock(x.h, x.m, 0), "good", x.good)
		s.count(foldClock(x.h, x.m, 0), "reject", x.reject)
	}
	shift := foldShift(foldClock(6, 0, 0), foldClock(14, 0, 0), plant.Span{From: foldClock(10, 0, 0), To: foldClock(10, 30, 0)})
	return s, m, shift
}

// TestDocs computes the worked example of docs/oee.md: every figure in the
// first of three columns has the value in its last one.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../docs/oee.md")
	if err != nil {
		t.Fatal(err)
	}
	s, m, shift := docsShift()
	rules := TallyRules{SmallStop: 2 * time.Minute, Ideal: m.Ideal}
	segments, pieces, _ := s.fold(m, shift[0].To)
	w := Tally(shift[0].Span, segments, pieces, shift, rules)
	f, iso := w.Figures(), w.ISO22400()
	r := TallyReliability(shift[0].Span, segments, shift, rules)
	mtbf, _ := r.MTBF()
	mttr, _ := r.MTTR()
	minutes := func(seconds float64) string { return fmt.Sprintf("%.2f min", seconds/60) }
	percent := func(x *float64) string { return fmt.Sprintf("%.2f %%", *x*100) }
	for name, want := range map[string]string{
		"all time": minutes(w.All().Seconds()), "PPT": minutes(f.PlannedS), "PPTk": minutes(f.KnownS), "run time": minutes(f.RunS),
		"good": fmt.Sprint(f.Good), "reject": fmt.Sprint(f.Reject), "total": fmt.Sprint(f.Total),
		"coverage": percent(f.Coverage), "availability": percent(f.Availability), "performance": percent(f.Performance), "quality": percent(f.Quality),
		"OEE": percent(f.OEE), "OEE low": percent(f.OEELow), "OEE high": percent(f.OEEHigh), "TEEP": percent(f.TEEP),
		"schedule loss": minutes(f.Losses.Schedule), "unknown": minutes(f.Losses.Unknown), "unplanned stop": minutes(f.Losses.UnplannedStop),
		"planned stop": minutes(f.Losses.PlannedStop), "small stop": minutes(f.Losses.SmallStop), "reduced speed": minutes(f.Losses.ReducedSpeed),
		"production reject": minutes(f.Losses.ProductionReject), "startup reject": minutes(f.Losses.StartupReject), "productive": minutes(f.Losses.Productive),
		"MTBF": minutes(mtbf.Seconds()), "MTTR": minutes(mttr.Seconds()),
		"ISO availability": percent(iso.Availability), "ISO effectiveness": percent(iso.Effectiveness), "ISO quality ratio": percent(iso.QualityRatio),
		"ISO OEE index": percent(iso.OEE), "ISO NEE index": percent(iso.NEE),
	} {
		found := false
		for line := range strings.Lines(string(text)) {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			if len(cells) != 3 || strings.TrimSpace(cells[0]) != name {
				continue
			}
			found = true
			if got := strings.TrimSpace(cells[len(cells)-1]); got != want {
				t.Errorf("docs say %s is %s, it is %s", name, got, want)
			}
		}
		if !found {
			t.Errorf("docs do not have %s (%s)", name, want)
		}
	}
}
