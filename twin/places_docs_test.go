package twin

import (
	"fmt"
	"testing"
	"time"

	"linetwin/plant"
)

// docsArea gives the area of docs/oee.md 3.
func docsArea(t *testing.T) *Twin {
	cfg := placesConfig(t)
	x, y, s1 := ran("x"), ran("y"), ran("s1")
	x.read(foldClock(6, 0, 0), "product", plant.Text("p"))
	y.read(foldClock(6, 0, 0), "product", plant.Text("q"))
	y.state(foldClock(8, 0, 0), "stop")
	y.state(foldClock(12, 0, 0), "run")
	s1.state(foldClock(8, 0, 0), "stop")
	s1.state(foldClock(9, 0, 0), "run")
	at := foldClock(12, 59, 0)
	return placesTwin(t, cfg, foldClock(14, 0, 0), x.made(at, 2000, 0), y.made(at, 400, 20), s1.made(at, 3000, 30), ran("s2").made(at, 2900, 10))
}

// docsPlaces computes the example of docs/oee.md 3.
func docsPlaces(t *testing.T) map[string]string {
	w := docsArea(t)
	one := windowsOf(t, of("presses", w.Figures), dayShift(), "", 1)[0]
	two := windowsOf(t, of("series", w.Figures), dayShift(), "", 1)[0]
	s1 := windowsOf(t, of("s1", w.MachineFigures), dayShift(), "", 1)[0]
	area := windowsOf(t, of("press", w.AreaFigures), dayShift(), "", 1)[0]
	w.said.Store(newBook([]plant.Entry{
		{ID: 1, Kind: plant.EntrySwitches, Key: "series", Value: plant.RawJSON(`{"no_order_as_schedule": true}`)},
		{ID: 2, Kind: plant.EntryOrder, Key: "1", Value: plant.RawJSON(`{"id": "1", "line": "series", "product": "p", "quantity": 1, "from": "2025-05-05T06:00:00Z", "to": "2025-05-05T13:00:00Z"}`)}}))
	ordered := windowsOf(t, of("series", w.Figures), dayShift(), "", 1)[0]
	return map[string]string{
		"PPT of line 1": docsMinutes(one.PlannedS), "availability of line 1": docsPercent(one.Availability), "performance of line 1": docsPercent(one.Performance),
		"quality of line 1": docsPercent(one.Quality), "OEE of line 1": docsPercent(one.OEE), "OEE of line 2": docsPercent(two.OEE), "OEE of s1": docsPercent(s1.OEE),
		"OEE of the area": docsPercent(area.OEE), "TEEP of the area": docsPercent(area.TEEP), "FPY of line 2": docsPercent(two.Yield.FPY),
		"RTY of line 2": docsPercent(two.Yield.RTY), "RTY of the area": docsPercent(area.Yield.RTY),
		"MTBF of the area": docsMinutes(*area.Reliability.MTBF), "MTTR of the area": docsMinutes(*area.Reliability.MTTR),
		"PPT of line 2 with `no_order_as_schedule: true`": docsMinutes(ordered.PlannedS),
	}
}

// docsSwitched computes the example of docs/oee.md 2 with other switches.
func docsSwitched() map[string]string {
	tally := func(events func(*foldScript), r TallyRules) plant.Figures {
		s, m, shift := docsShift()
		events(s)
		segments, pieces, _ := s.fold(m, shift[0].To)
		r.Ideal = m.Ideal
		if r.SmallStop == 0 {
			r.SmallStop = 2 * time.Minute
		}
		return Tally(shift[0].Span, segments, pieces, shift, r).Figures()
	}
	none := func(*foldScript) {}
	// It works through the break, and 300 of the pieces that were counted at
	// 10:59 are counted at 10:29.
	worked := func(s *foldScript) {
		for i := range s.events {
			if e := &s.events[i]; e.Time == foldClock(10, 0, 0) && e.Reading.Signal == "state" {
				e.Reading.Value = plant.Text("run")
			}
		}
		s.count(foldClock(10, 29, 0), "good", 6400)
	}
	maintained := func(s *foldScript) {
		for i := range s.events {
			if e := &s.events[i]; e.Time == foldClock(7, 0, 0) && e.Reading.Signal == "state" {
				e.Reading.Value = plant.Text("clean")
			}
		}
	}
	return map[string]string{
		"availability with `small_stop: 30s`":                  docsPercent(tally(none, TallyRules{SmallStop: 30 * time.Second}).Availability),
		"OEE, 300 pieces made in the break":                    docsPercent(tally(worked, TallyRules{}).OEE),
		"OEE, the same with `breaks_worked: true`":             docsPercent(tally(worked, TallyRules{BreaksWorked: true}).OEE),
		"OEE, the jam is maintenance":                          docsPercent(tally(maintained, TallyRules{}).OEE),
		"OEE, the same with `planned_stops_as_schedule: true`": docsPercent(tally(maintained, TallyRules{PlannedStopsAsSchedule: true}).OEE),
	}
}

func docsMinutes(seconds float64) string { return fmt.Sprintf("%.2f min", seconds/60) }

func docsPercent(x *float64) string {
	if x == nil {
		return "null"
	}
	return fmt.Sprintf("%.2f %%", *x*100)
}
