package twin

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"linetwin/plant"
)

// placesConfig is a site of two areas: a line with machines beside each other
// in one, presses beside each other and a line in series in the other.
func placesConfig(t testing.TB) Config {
	machine := func(id string) MachineConfig {
		return MachineConfig{ID: id, States: "words", Faults: map[string]string{"alone": "no-operator"}, Roles: map[plant.Role]string{
			plant.RoleState: "state", plant.RoleGood: "good", plant.RoleReject: "reject", plant.RoleProduct: "product", plant.RoleFault: "fault"}}
	}
	no := false
	cfg := Config{
		Site: "s", Zone: "UTC",
		Calendars: map[string]plant.Calendar{
			"day": {Shifts: []plant.Shift{{Name: "day", Start: "06:00", Length: 8 * time.Hour}}},
			"two": {Shifts: []plant.Shift{{Name: "day", Start: "06:00", Length: 8 * time.Hour}, {Name: "late", Start: "14:00", Length: 8 * time.Hour}}}},
		StateMaps: map[string]map[string]StateMeaning{"words": foldModel(0).States},
		Reasons:   []plant.Reason{{ID: "jam"}, {ID: "no-operator", Failure: &no}},
		Products: []ProductConfig{
			{ID: "p", IdealCycle: map[string]time.Duration{"a": time.Second, "b1": 2 * time.Second, "b2": 4 * time.Second, "c": time.Second, "x": 10 * time.Second, "y": 20 * time.Second, "s1": 5 * time.Second, "s2": 5 * time.Second}},
			{ID: "q", IdealCycle: map[string]time.Duration{"x": 12 * time.Second, "y": 30 * time.Second, "s1": 6 * time.Second}}},
		Areas: []AreaConfig{
			{ID: "weld", Lines: []LineConfig{{ID: "group", Calendar: "day", Flow: Flow{"a", "b1+b2", "c"}, Bottleneck: "b2", Product: "p",
				Machines: []MachineConfig{machine("c"), machine("b2"), machine("b1"), machine("a")}}}},
			{ID: "press", Lines: []LineConfig{
				{ID: "presses", Calendar: "day", Flow: Flow{"x+y"}, Bottleneck: "x", Product: "p", Machines: []MachineConfig{machine("x"), machine("y")}},
				{ID: "series", Calendar: "two", Flow: Flow{"s1", "s2"}, Bottleneck: "s1", Product: "p", Machines: []MachineConfig{machine("s1"), machine("s2")}}}},
		},
	}
	if faults := cfg.Check(); len(faults) > 0 {
		t.Fatal(faults)
	}
	return cfg
}

// placesTwin is a twin whose machines have folded their scripts up to now. It
// has no stores: all is in memory.
func placesTwin(t testing.TB, cfg Config, now plant.Time, scripts ...*foldScript) *Twin {
	t.Helper()
	w, err := New(cfg, Options{Log: slog.New(slog.DiscardHandler), Clock: func() time.Time { return now.Std() }})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scripts {
		var readings []plant.Reading
		from := foldClock(5, 0, 0)
		k := w.machines[s.machine].track
		for _, e := range SortEvents(s.events) {
			if e.Kind == EventReading {
				readings = append(readings, e.Reading)
				continue
			}
			k.apply(readings, plant.Span{From: from, To: e.Time}, false)
			readings, from = nil, e.Until
		}
		k.apply(readings, plant.Span{From: from, To: now}, false)
	}
	return w
}

// ran is a script of a machine that runs from 6:00 on and has counted nothing.
func ran(machine string) *foldScript {
	s := &foldScript{machine: machine}
	s.state(foldClock(6, 0, 0), "run")
	s.count(foldClock(6, 0, 0), "good", 0)
	s.count(foldClock(6, 0, 0), "reject", 0)
	return s
}

func (s *foldScript) made(at plant.Time, good, reject int64) *foldScript {
	s.count(at, "good", good)
	s.count(at, "reject", reject)
	return s
}

// windowsOf gives the windows of a place.
func windowsOf(t *testing.T, ask func(context.Context, plant.Span, string) ([]plant.Figures, error), span plant.Span, by string, n int) []plant.Figures {
	t.Helper()
	fs, err := ask(context.Background(), span, by)
	if err != nil || len(fs) != n {
		t.Fatalf("by %q: %d windows, want %d: %v %+v", by, len(fs), n, err, fs)
	}
	return fs
}

// of binds the id of a place.
func of(id string, ask func(context.Context, string, plant.Span, string) ([]plant.Figures, error)) func(context.Context, plant.Span, string) ([]plant.Figures, error) {
	return func(ctx context.Context, s plant.Span, by string) ([]plant.Figures, error) {
		return ask(ctx, id, s, by)
	}
}

// dayShift is 6:00 to 14:00.
func dayShift() plant.Span { return plant.Span{From: foldClock(6, 0, 0), To: foldClock(14, 0, 0)} }

// TestPlaces: an area and the plant are the sums of the terms of their lines,
// by whatever they are split, and the overview shows the same.
func TestPlaces(t *testing.T) {
	now := foldClock(16, 0, 0)
	jam := ran("s1").made(foldClock(15, 0, 0), 3000, 30)
	jam.state(foldClock(8, 0, 0), "stop")
	jam.state(foldClock(9, 0, 0), "run")
	w := placesTwin(t, placesConfig(t), now, jam, ran("s2").made(foldClock(15, 0, 0), 2900, 10),
		ran("x").made(foldClock(13, 0, 0), 1440, 0), ran("y").made(foldClock(13, 0, 0), 720, 72),
		ran("a"), ran("b1").made(foldClock(13, 0, 0), 7200, 0), ran("b2").made(foldClock(13, 0, 0), 3600, 0), ran("c").made(foldClock(13, 0, 0), 10800, 0))
	day := plant.Span{From: foldClock(0, 0, 0), To: now}
	whole := windowsOf(t, w.PlantFigures, day, "", 1)[0]

	// Machine-hours planned by 16:00: group 2 x 8, presses 2 x 8, series 10.
	if whole.PlannedS != 42*3600 || whole.Losses.UnplannedStop != 3600 {
		t.Errorf("planned %v h, stopped %v s", whole.PlannedS/3600, whole.Losses.UnplannedStop)
	}
	productive := 7200*2 + 3600*4 + 1440*10 + 720*20 + 2900*5.0
	foldNear(t, "OEE of the plant", whole.OEE, productive/(42*3600))
	today := w.Snapshot().Plant
	if today.PlannedS != whole.PlannedS || today.KnownS != whole.KnownS || today.RunS != whole.RunS || today.Good != whole.Good || today.Reject != whole.Reject ||
		today.Losses != whole.Losses || *today.OEE != *whole.OEE || *today.TEEP != *whole.TEEP {
		t.Errorf("today is %+v, the plant %+v", today, whole)
	}
	// TEEP = OEE x PPT / all time: five machine-days up to 16:00.
	foldNear(t, "TEEP", whole.TEEP, *whole.OEE*42/(5*16))

	var sum float64
	for _, id := range []string{"weld", "press"} {
		a := windowsOf(t, of(id, w.AreaFigures), day, "", 1)[0]
		sum += a.PlannedS
	}
	if sum != whole.PlannedS {
		t.Errorf("areas have %v s planned, the plant %v", sum, whole.PlannedS)
	}
	for by, n := range map[string]int{"hour": 16, "day": 1, "week": 1, "product": 1, "order": 1} {
		var planned float64
		var good int64
		for _, f := range windowsOf(t, w.PlantFigures, day, by, n) {
			planned, good = planned+f.PlannedS, good+f.Good
		}
		if planned != whole.PlannedS || good != whole.Good {
			t.Errorf("by %s: planned %v s, good %d; want %v, %d", by, planned, good, whole.PlannedS, whole.Good)
		}
	}
	shifts := windowsOf(t, w.PlantFigures, day, "shift", 2)
	if s := shifts[0]; s.Shift != "day" || s.Day != "2025-05-05" || s.PlannedS != 40*3600 || s.Span != dayShift() {
		t.Errorf("first shift %+v", s)
	}
	if s := shifts[1]; s.Shift != "late" || s.PlannedS != 2*3600 || !s.Provisional || s.To != now {
		t.Errorf("second shift %+v", s)
	}
	m := windowsOf(t, of("s1", w.MachineFigures), dayShift(), "shift", 1)[0]
	if m.Losses.UnplannedStop != 3600 || m.Shift != "day" || *m.Availability != 7.0/8 || m.Revision != 0 {
		t.Errorf("machine %+v", m)
	}
	if _, err := w.AreaFigures(context.Background(), "paint", day, ""); err == nil {
		t.Error("figures of an area that there is not")
	}
}

// TestBeside: what stands beside OEE, of a machine, its line and the plant.
func TestBeside(t *testing.T) {
	now := foldClock(14, 0, 0)
	s := ran("s1")
	s.read(foldClock(6, 0, 0), "product", plant.Text("p"))
	s.made(foldClock(7, 0, 0), 500, 20)
	s.state(foldClock(8, 0, 0), "stop") // a failure of 30 min
	s.state(foldClock(8, 30, 0), "run")
	s.state(foldClock(9, 0, 0), "stop") // nobody there: no failure
	s.read(foldClock(9, 0, 1), "fault", plant.Text("alone"))
	s.state(foldClock(9, 10, 0), "run")
	s.read(foldClock(9, 10, 1), "fault", plant.Text(""))
	s.state(foldClock(10, 0, 0), "change")
	s.read(foldClock(10, 5, 0), "product", plant.Text("q"))
	s.state(foldClock(10, 20, 0), "run")
	s.made(foldClock(11, 0, 0), 900, 40)
	s.state(foldClock(12, 0, 0), "change")
	s.read(foldClock(12, 5, 0), "product", plant.Text("p"))
	s.state(foldClock(12, 10, 0), "run")
	s.made(foldClock(13, 0, 0), 1000, 40)
	s.state(foldClock(13, 50, 0), "stop") // a failure that is still open
	packed := ran("s2").made(foldClock(13, 0, 0), 990, 10)
	w := placesTwin(t, placesConfig(t), now, s, packed)
	shift := dayShift()

	m := windowsOf(t, of("s1", w.MachineFigures), shift, "", 1)[0]
	// 480 min less 30 and 10 of failures, 10 alone, 30 of changeovers.
	r := m.Reliability
	if r.Failures != 2 || r.Restored != 1 || r.Open != 1 || r.OpenS != 600 || *r.MTBF != 400*60/2 || *r.MTTR != 30*60 {
		t.Errorf("reliability %+v", r)
	}
	foldNear(t, "availability of MTBF and MTTR", r.Availability, 200.0/230)
	c := m.Changes
	if c.Count != 2 || c.Ended != 2 || *c.Mean != 15*60 || len(c.Each) != 2 {
		t.Fatalf("changeovers %+v", c)
	}
	if e := c.Each[0]; e.From != "p" || e.To != "q" || e.Seconds != 20*60 {
		t.Errorf("changeover %+v", e)
	}
	if e := c.Each[1]; e.From != "q" || e.To != "p" || *e.Mean != 10*60 {
		t.Errorf("changeover %+v", e)
	}
	// The same where the window begins after the last piece before the changeover.
	late := windowsOf(t, of("s1", w.MachineFigures), plant.Span{From: foldClock(9, 55, 0), To: now}, "", 1)[0]
	if e := late.Changes.Each; len(e) != 2 || e[0].From != "p" {
		t.Errorf("changeovers of a shorter window %+v", e)
	}
	foldNear(t, "FPY of a machine", m.Yield.FPY, 1000.0/1040)

	line := windowsOf(t, of("series", w.Figures), shift, "", 1)[0]
	foldNear(t, "RTY of the line", line.Yield.RTY, 1000.0/1040*990/1000)
	foldNear(t, "FPY of the line", line.Yield.FPY, 990.0/(990+50))
	if len(line.Yield.Steps) != 2 || line.Yield.Method != "count" || line.Changes.Count != 2 || line.Reliability.Failures != 2 || line.Reliability.OperatingS != (400+480)*60 {
		t.Errorf("line %+v %+v %+v", line.Yield, line.Changes, line.Reliability)
	}
	packer := windowsOf(t, of("s2", w.MachineFigures), shift, "", 1)[0]
	if r := packer.Reliability; r.MTBF != nil || r.Why["mtbf_s"] != "no failure in 8.0 h" || r.MTTR != nil || r.Why["mttr_s"] == "" {
		t.Errorf("without a failure: %+v", r)
	}
	if iso := line.ISO; iso == nil || iso.Availability == nil || *iso.Availability != *line.Availability {
		t.Errorf("ISO 22400 %+v", iso)
	}
	// Lines that begin more pieces weigh more.
	p := windowsOf(t, w.PlantFigures, shift, "", 1)[0]
	foldNear(t, "RTY of the plant", p.Yield.RTY, *line.Yield.RTY)
}

// TestSwitchesHeld: figures tell by which switches they are counted, and since
// when these hold.
func TestSwitchesHeld(t *testing.T) {
	now := foldClock(14, 0, 0)
	w := placesTwin(t, placesConfig(t), now, ran("s1"), ran("s2"), ran("x"), ran("y"), ran("a"), ran("b1"), ran("b2"), ran("c"))
	p := windowsOf(t, w.PlantFigures, dayShift(), "", 1)[0]
	if len(p.Switches) != 1 || len(p.Switches[0].Lines) != 3 || p.Switches[0].Since != 0 || p.Switches[0].SmallStop != plant.Length(2*time.Minute) {
		t.Fatalf("switches of the plant %+v", p.Switches)
	}
	said := plant.Entry{ID: 1, Kind: plant.EntrySwitches, Key: "series", From: foldClock(10, 0, 0), Value: plant.RawJSON(`{"small_stop": "5m", "planned_stops_as_schedule": true}`)}
	w.said.Store(newBook([]plant.Entry{said}))
	s := windowsOf(t, of("series", w.Figures), dayShift(), "", 1)[0].Switches
	if len(s) != 2 || s[0].To != said.From || s[0].Since != 0 || s[1].Span != (plant.Span{From: said.From, To: now}) || s[1].Since != said.From ||
		s[1].SmallStop != plant.Length(5*time.Minute) || !s[1].PlannedStopsAsSchedule || s[0].PlannedStopsAsSchedule {
		t.Errorf("switches of a line %+v", s)
	}
	// The plant has those of all lines: two that did not change, and one that did.
	p = windowsOf(t, w.PlantFigures, dayShift(), "", 1)[0]
	if len(p.Switches) != 3 {
		t.Errorf("switches of the plant %+v", p.Switches)
	}
	for _, l := range w.Snapshot().Lines {
		if len(l.Figures.Switches) == 0 {
			t.Errorf("line %s shows no switches", l.ID)
		}
	}
	hours := windowsOf(t, of("series", w.Figures), dayShift(), "hour", 8)
	if a, b := hours[3].Switches, hours[4].Switches; len(a) != 1 || a[0].Since != 0 || len(b) != 1 || b[0].Since != said.From {
		t.Errorf("switches of hours %+v, %+v", a, b)
	}
}
