package twin

import (
	"context"
	"testing"

	"linetwin/plant"
)

// serialHistory has the readings of machines.
type serialHistory struct {
	History
	of map[string][]plant.Reading
}

func (h serialHistory) Record(_ context.Context, machine string, signals []string, span plant.Span) (plant.Record, error) {
	var rec plant.Record
	for _, r := range h.of[machine] {
		for _, s := range signals {
			if r.Signal == s && span.Has(r.Time) {
				rec.Readings = append(rec.Readings, r)
			}
		}
	}
	return rec, nil
}

// serialTwin has a line of which two machines measure serials.
func serialTwin(t *testing.T) *Twin {
	cfg := placesConfig(t)
	low, high := 1.0, 5.0
	ms := cfg.Areas[1].Lines[1].Machines
	ms[0].Characteristics = []CharacteristicConfig{{ID: "force", Signal: "force", LSL: &low, USL: &high, Trigger: "serial"}}
	ms[1].Characteristics = []CharacteristicConfig{{ID: "weight", Signal: "weight", USL: &high, Trigger: "serial"}, {ID: "no-limit", Signal: "x", Trigger: "serial"}}
	s1, s2 := &foldScript{machine: "s1"}, &foldScript{machine: "s2"}
	serial := func(s *foldScript, at plant.Time, n int64) { s.count(at, "serial", n) }
	value := func(s *foldScript, at plant.Time, signal string, x float64) { s.read(at, signal, plant.Float(x)) }
	at := func(n int) plant.Time { return foldClock(6, 0, n) }
	serial(s1, at(-600), 7) // before the window, out of specification
	value(s1, at(-600), "force", 9)
	serial(s1, at(1), 101)
	value(s1, at(1), "force", 3)
	serial(s1, at(2), 102) // of the same value, which is not told again
	value(s1, at(4), "force", 6)
	serial(s1, at(4), 103) // too high
	serial(s1, at(5), 7)   // comes again: no first pass
	value(s1, at(5), "force", 3)
	serial(s1, at(6), 103) // repaired
	serial(s1, at(7), 104)
	s1.bad(at(8), "serial", "timeout")
	value(s1, at(8), "force", 8) // a later value is not the first of it
	serial(s1, at(9), 105)
	value(s1, at(9), "force", 5) // at the limit
	serial(s2, at(20), 101)
	value(s2, at(20), "weight", 4)
	serial(s2, at(21), 102)
	value(s2, at(21), "weight", 5.5)

	w := placesTwin(t, cfg, foldClock(14, 0, 0))
	readings := map[string][]plant.Reading{}
	for _, s := range []*foldScript{s1, s2} {
		for _, e := range s.events {
			readings[s.machine] = append(readings[s.machine], e.Reading)
		}
	}
	w.opts.History = serialHistory{of: readings}
	return w
}

// TestSerialYield: the first measurement of a serial counts, once; one that is
// repaired and comes again is no first pass.
func TestSerialYield(t *testing.T) {
	w := serialTwin(t)
	y, err := w.SerialYield(context.Background(), "series", dayShift())
	if err != nil || len(y.Machines) != 2 {
		t.Fatalf("%+v %v", y, err)
	}
	if m := y.Machines[0]; m.Serials != 5 || m.Passed != 3 || m.Repeated != 2 {
		t.Errorf("first machine %+v", m)
	}
	if m := y.Machines[1]; m.Serials != 2 || m.Passed != 1 || m.Repeated != 0 {
		t.Errorf("second machine %+v", m)
	}
	// 101 and 105 passed wherever they were measured.
	if y.Serials != 5 || y.Passed != 2 || y.Method != "serial" {
		t.Errorf("line %+v", y)
	}
	foldNear(t, "FPY", y.FPY, .4)
	foldNear(t, "RTY", y.RTY, 3.0/5*1/2)

	none, err := w.SerialYield(context.Background(), "series", plant.Span{From: foldClock(9, 0, 0), To: foldClock(10, 0, 0)})
	if err != nil || none.FPY != nil || none.Why["fpy"] != "no serial was measured" {
		t.Errorf("without serials: %+v %v", none, err)
	}
	if y, _ := w.SerialYield(context.Background(), "presses", dayShift()); y.FPY != nil || y.Why["rty"] == "" {
		t.Errorf("without characteristics: %+v", y)
	}
	if _, err := w.SerialYield(context.Background(), "paint", dayShift()); err == nil {
		t.Error("yield of a line that there is not")
	}
}
