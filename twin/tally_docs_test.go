package twin

import (
	"fmt"
	"maps"
	"os"
	"regexp"
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

// TestDocs computes the worked examples of docs/oee.md: every figure in the
// first of three columns has the value in its last one, and no example is
// without a test.
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
	account := plant.Account{Window: w, Reliability: r}
	for _, s := range segments {
		if s.Class == plant.ClassChangeover {
			account.AddChangeover(plant.Changeover{Count: 1, Ended: 1, Time: s.Length()})
		}
	}
	beside := account.Figures()
	examples := map[string]string{
		"all time": docsMinutes(w.All().Seconds()), "PPT": docsMinutes(f.PlannedS), "PPTk": docsMinutes(f.KnownS), "run time": docsMinutes(f.RunS),
		"good": fmt.Sprint(f.Good), "reject": fmt.Sprint(f.Reject), "total": fmt.Sprint(f.Total),
		"coverage": docsPercent(f.Coverage), "availability": docsPercent(f.Availability), "performance": docsPercent(f.Performance), "quality": docsPercent(f.Quality),
		"OEE": docsPercent(f.OEE), "OEE low": docsPercent(f.OEELow), "OEE high": docsPercent(f.OEEHigh), "TEEP": docsPercent(f.TEEP),
		"schedule loss": docsMinutes(f.Losses.Schedule), "unknown": docsMinutes(f.Losses.Unknown), "unplanned stop": docsMinutes(f.Losses.UnplannedStop),
		"planned stop": docsMinutes(f.Losses.PlannedStop), "small stop": docsMinutes(f.Losses.SmallStop), "reduced speed": docsMinutes(f.Losses.ReducedSpeed),
		"production reject": docsMinutes(f.Losses.ProductionReject), "startup reject": docsMinutes(f.Losses.StartupReject), "productive": docsMinutes(f.Losses.Productive),
		"MTBF": docsMinutes(mtbf.Seconds()), "MTTR": docsMinutes(mttr.Seconds()),
		"ISO availability": docsPercent(iso.Availability), "ISO effectiveness": docsPercent(iso.Effectiveness), "ISO quality ratio": docsPercent(iso.QualityRatio),
		"ISO OEE index": docsPercent(iso.OEE), "ISO NEE index": docsPercent(iso.NEE),
		"stops, small stops": fmt.Sprintf("%d, %d", f.Stops, f.SmallStops), "changeovers": fmt.Sprint(f.Changeovers),
		"inherent availability": docsPercent(r.Availability()), "changeover time": docsMinutes(*beside.Changes.Mean), "count FPY": docsPercent(beside.Yield.FPY),
	}
	maps.Copy(examples, docsPlaces(t))
	maps.Copy(examples, docsSwitched())
	maps.Copy(examples, docsOrders(t))
	for name, want := range examples {
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
	// Every row that ends in a value is computed here.
	row := regexp.MustCompile(`(?m)^\| ([^|]+) \| [^|]+ \| [0-9.]+( min| %)? \|$`)
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		if _, ok := examples[m[1]]; !ok {
			t.Errorf("no test computes %s", m[1])
		}
	}
}
