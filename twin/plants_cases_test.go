package twin

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"linetwin/plant"
)

// caseAt gives a time of the day on which the cases play.
func caseAt(h, m, s int) plant.Time {
	return plant.At(time.Date(2026, 3, 2, h, m, s, 0, time.UTC))
}

// casePlant is one machine that speaks in numbered batches.
func casePlant(t *testing.T, batches ...*plant.Batch) *drawn {
	t.Helper()
	ideal := map[string]time.Duration{"m": 2 * time.Second}
	d := &drawn{span: plant.Span{From: caseAt(6, 0, 0), To: caseAt(12, 0, 0)}, batches: batches, cfg: Config{
		Site: "site", Zone: "UTC", Calendars: map[string]plant.Calendar{"c": {Shifts: []plant.Shift{{Name: "all", Start: "00:00", Length: 24 * time.Hour}}}},
		Products: []ProductConfig{{ID: "P", IdealCycle: ideal}},
		Areas: []AreaConfig{{ID: "area", Lines: []LineConfig{{ID: "line", Calendar: "c", Flow: []string{"m"}, Bottleneck: "m", Product: "P",
			Machines: []MachineConfig{{ID: "m", Roles: map[plant.Role]string{plant.RoleState: "state", plant.RoleGood: "good"}}}}}}}}}
	if faults := d.cfg.Check(); len(faults) > 0 {
		t.Fatal(faults)
	}
	for i, b := range batches {
		b.Sequence = uint64(i + 1)
	}
	return d
}

// looked is a batch of what was seen of the machine up to a time.
func looked(from, to plant.Time, rs ...plant.Reading) *plant.Batch {
	for i := range rs {
		if rs[i].Time == 0 {
			rs[i].Time = to
		}
	}
	return &plant.Batch{Area: "area", Gateway: "edge", Machine: "m", Complete: plant.Span{From: from, To: to}, Readings: rs}
}

func stateIs(n int64) plant.Reading {
	return plant.Reading{Machine: "m", Signal: "state", Value: plant.Integer(n)}
}

func goodIs(n int64) plant.Reading {
	return plant.Reading{Machine: "m", Signal: "good", Value: plant.Integer(n)}
}

func totalIs(n int64) plant.Reading {
	return plant.Reading{Machine: "m", Signal: "total", Value: plant.Integer(n)}
}

func rejectIs(n int64) plant.Reading {
	return plant.Reading{Machine: "m", Signal: "reject", Value: plant.Integer(n)}
}

// counting gives the machine of a case a counter of all pieces, too.
func counting(d *drawn) *drawn {
	d.cfg.Areas[0].Lines[0].Machines[0].Roles[plant.RoleTotal] = "total"
	return d
}

// TestPlantsCases are the shrunk counterexamples that TestPlantsWhateverTheOrder
// found: each way must tell what the straight one tells.
func TestPlantsCases(t *testing.T) {
	learnt := stateIs(2)
	learnt.Time = caseAt(7, 0, 0)
	for _, c := range []struct {
		name  string
		d     *drawn
		other func(w *world, d *drawn)
	}{
		{"late data in the middle of a gap in which there is a checkpoint", casePlant(t,
			looked(caseAt(8, 0, 0), caseAt(8, 0, 0), stateIs(6), goodIs(0)),
			looked(caseAt(8, 20, 0), caseAt(8, 20, 0), stateIs(2), goodIs(9)),
			looked(caseAt(8, 20, 0), caseAt(8, 30, 0), stateIs(6), goodIs(30)),
			looked(caseAt(9, 50, 0), caseAt(9, 50, 0), stateIs(6), goodIs(40)),
			looked(caseAt(9, 50, 0), caseAt(10, 0, 0), goodIs(99)),
		), func(w *world, d *drawn) {
			for _, n := range []int{0, 3, 4, 1, 2} {
				w.deliver(d.batches[n])
				w.settle()
			}
		}},
		{"a controller's memory from before the first look comes first", casePlant(t,
			looked(caseAt(8, 0, 0), caseAt(8, 0, 0), stateIs(6), goodIs(0)),
			looked(caseAt(8, 0, 0), caseAt(8, 10, 0), goodIs(30)),
			looked(caseAt(8, 10, 0), caseAt(8, 10, 0), learnt),
			looked(caseAt(8, 10, 0), caseAt(8, 20, 0), goodIs(60)),
		), func(w *world, d *drawn) {
			for _, n := range []int{2, 0, 1, 3} {
				w.deliver(d.batches[n])
			}
		}},
		{"late data from before the first checkpoint, after a restart", casePlant(t,
			looked(caseAt(8, 1, 0), caseAt(8, 1, 0), stateIs(6), goodIs(0)),
			looked(caseAt(8, 1, 0), caseAt(8, 2, 0), goodIs(30)),
			looked(caseAt(8, 2, 0), caseAt(8, 3, 0), stateIs(2)),
			looked(caseAt(8, 3, 0), caseAt(8, 20, 0), stateIs(6)),
		), func(w *world, d *drawn) {
			for _, n := range []int{0, 1, 3} {
				w.deliver(d.batches[n])
			}
			w.store(9)
			w.settle()
			w.twin.flush(t.Context())
			w.start(&d.cfg)
			w.settle()
			w.deliver(d.batches[2])
		}},
		{"the ledger has a checkpoint that was folded without late data", casePlant(t,
			looked(caseAt(8, 1, 0), caseAt(8, 1, 0), stateIs(6), goodIs(0)),
			looked(caseAt(8, 1, 0), caseAt(8, 2, 0), goodIs(30)),
			looked(caseAt(8, 9, 0), caseAt(8, 9, 0), stateIs(6), goodIs(40)),
			looked(caseAt(8, 9, 0), caseAt(8, 10, 30), goodIs(50)),
			looked(caseAt(8, 10, 30), caseAt(8, 11, 0), goodIs(60)),
		), func(w *world, d *drawn) {
			for _, n := range []int{0, 2} {
				w.deliver(d.batches[n])
			}
			w.settle()
			w.twin.flush(t.Context())
			for _, n := range []int{1, 4, 3} {
				w.deliver(d.batches[n])
				w.settle()
			}
		}},
		{"nobody claims what was read ahead of the claim", casePlant(t,
			looked(caseAt(8, 0, 0), caseAt(8, 0, 0), stateIs(6), goodIs(0)),
			&plant.Batch{Area: "area", Gateway: "edge", Machine: "m", Complete: plant.Span{From: caseAt(8, 0, 0), To: caseAt(8, 10, 0)},
				Readings: []plant.Reading{{Machine: "m", Signal: "good", Time: caseAt(8, 10, 5), Value: plant.Integer(30)}}},
			looked(caseAt(9, 0, 0), caseAt(9, 0, 0), stateIs(6), goodIs(40)),
			looked(caseAt(9, 0, 0), caseAt(9, 10, 0), goodIs(50)),
		), func(w *world, d *drawn) {
			for _, b := range d.batches {
				w.deliver(b)
			}
			w.store(9)
			w.start(&d.cfg)
		}},
		{"a clock that was set back tells of a time once more", casePlant(t,
			looked(caseAt(8, 0, 0), caseAt(8, 0, 0), stateIs(6), goodIs(0)),
			looked(caseAt(8, 0, 0), caseAt(8, 10, 0), goodIs(5)),
			looked(caseAt(8, 5, 1), caseAt(8, 5, 1), stateIs(2), goodIs(7)),
			looked(caseAt(8, 5, 1), caseAt(8, 6, 0), goodIs(9)),
		), func(w *world, d *drawn) {
			for _, b := range d.batches {
				w.deliver(b)
				w.settle()
			}
		}},
		{"late data that nobody claims is in history as the twin ends", casePlant(t,
			looked(caseAt(8, 1, 0), caseAt(8, 1, 0), stateIs(6), goodIs(0)),
			looked(caseAt(9, 0, 0), caseAt(9, 0, 0), stateIs(6), goodIs(5)),
			looked(caseAt(9, 30, 0), caseAt(9, 30, 0), stateIs(6), goodIs(50)),
			looked(caseAt(9, 30, 0), caseAt(10, 0, 0), goodIs(60)),
		), func(w *world, d *drawn) {
			for _, n := range []int{1, 2, 3} {
				w.deliver(d.batches[n])
			}
			w.twin.flush(t.Context())
			w.deliver(d.batches[0])
			w.store(9)
			w.twin.flush(t.Context())
			w.start(&d.cfg)
		}},
		{"a look at a checkpoint, with nobody there before it and after it", counting(casePlant(t,
			looked(caseAt(7, 51, 1), caseAt(7, 51, 1), stateIs(6), goodIs(65535), totalIs(65535)),
			looked(caseAt(7, 55, 0), caseAt(7, 55, 0), stateIs(6), goodIs(65530), totalIs(65530)),
			looked(caseAt(7, 57, 0), caseAt(7, 58, 0)),
			looked(caseAt(9, 1, 1), caseAt(9, 1, 1), stateIs(6), goodIs(65536), totalIs(65536)),
			looked(caseAt(9, 1, 1), caseAt(9, 2, 0), goodIs(65540), totalIs(65541)),
		)), func(w *world, d *drawn) {
			for _, n := range []int{0, 1, 3, 4, 2} {
				w.deliver(d.batches[n])
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := c.d.straight(t).account(c.d.span)
			w := newWorld(t, &c.d.cfg, c.d.nowOf())
			c.other(w, c.d)
			w.settle()
			if diff := differ(want, w.account(c.d.span)); diff != "" {
				t.Errorf("told straight and told otherwise: %s", diff)
			}
			if len(want["line"].Timeline.Machines[0].Segments) < 2 || !slices.ContainsFunc(want["line"].Timeline.Machines[0].Segments, func(s plant.Segment) bool { return s.Class == plant.ClassRun }) {
				t.Errorf("the straight way tells too little: %+v", want["line"].Timeline)
			}
		})
	}
}

// TestPlantsJump: a counter that is set to something absurd makes no pieces.
func TestPlantsJump(t *testing.T) {
	d := casePlant(t,
		looked(caseAt(8, 0, 0), caseAt(8, 0, 0), stateIs(6), goodIs(0)),
		looked(caseAt(8, 0, 0), caseAt(8, 1, 0), goodIs(10)),
		looked(caseAt(8, 1, 0), caseAt(8, 2, 0), goodIs(1<<42)),
		looked(caseAt(8, 2, 0), caseAt(8, 3, 0), goodIs(1<<42+10)),
		looked(caseAt(8, 3, 0), caseAt(8, 4, 0), goodIs(1<<52)),
		looked(caseAt(8, 4, 0), caseAt(8, 5, 0), goodIs(1<<51)),
		looked(caseAt(8, 5, 0), caseAt(8, 6, 0), goodIs(1<<51+5)),
	)
	w := d.straight(t).windows("line", d.span)[0]
	if w.Good != 25 || w.IdealGood != 50*time.Second || w.Flags&plant.FlagReset == 0 {
		t.Errorf("%+v; want 25 good pieces and a reset", w)
	}
}

// TestPlantsUndoneCount: a correction can be taken back also where the machine
// itself told of less than no pieces in a minute, for its total told too many
// before.
func TestPlantsUndoneCount(t *testing.T) {
	d := counting(casePlant(t,
		looked(caseAt(8, 0, 0), caseAt(8, 0, 0), stateIs(6), goodIs(0), totalIs(0)),
		looked(caseAt(8, 0, 0), caseAt(8, 1, 0), goodIs(5)),
		looked(caseAt(8, 1, 0), caseAt(8, 2, 0), goodIs(8), totalIs(8)),
	))
	w := d.straight(t)
	before := w.windows("line", plant.Span{From: caseAt(8, 1, 0), To: caseAt(8, 2, 0)})[1]
	if before.Reject != -5 {
		t.Fatalf("the machine tells of %d rejects, want -5", before.Reject)
	}
	said, err := w.twin.Tell(t.Context(), plant.Entry{By: "li.wei", Kind: plant.EntryCount, Key: plant.AtKey("m", caseAt(8, 1, 0)), Value: plant.RawJSON(`{"good": 5, "reject": 0, "replace": true}`)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.twin.Tell(t.Context(), plant.Entry{By: "li.wei", Undoes: said.ID}); err != nil {
		t.Error(err)
	}
	if _, err := w.twin.Tell(t.Context(), plant.Entry{By: "li.wei", Kind: plant.EntryCount, Key: plant.AtKey("m", caseAt(8, 1, 0)), Value: plant.RawJSON(`{"reject": -1}`)}); err == nil {
		t.Error("one more reject is taken away where there are less than none")
	}
}

// TestPlantsNobodySawTheEnd: what the bottleneck made while nobody saw it tells
// nothing of the line where nobody saw the end of the flow either.
func TestPlantsNobodySawTheEnd(t *testing.T) {
	d := casePlant(t,
		looked(caseAt(8, 0, 0), caseAt(8, 0, 0), stateIs(6), goodIs(0)),
		looked(caseAt(8, 10, 0), caseAt(8, 10, 0), stateIs(6), goodIs(30)),
		looked(caseAt(8, 10, 0), caseAt(8, 20, 0)),
	)
	l := &d.cfg.Areas[0].Lines[0]
	l.Flow = append(l.Flow, "end")
	l.Machines = append(l.Machines, MachineConfig{ID: "end", Roles: l.Machines[0].Roles})
	if w := d.straight(t).windows("line", d.span); w[0].Unknown != d.span.Length() || w[1].Run != 11*time.Minute {
		t.Errorf("unknown of the line %v, run of the bottleneck %v; want %v and 11m", w[0].Unknown, w[1].Run, d.span.Length())
	}
}

// TestPlantsAbsurd: a counter of a machine without an ideal cycle that is set to
// something absurd makes no pieces of a line that has one, for their worth would
// be longer than what sums hold.
func TestPlantsAbsurd(t *testing.T) {
	d := casePlant(t,
		looked(caseAt(8, 0, 0), caseAt(8, 0, 0), stateIs(6), goodIs(0), rejectIs(0)),
		looked(caseAt(8, 0, 0), caseAt(8, 10, 0), goodIs(100), rejectIs(1<<40)),
		looked(caseAt(8, 10, 0), caseAt(8, 11, 0), rejectIs(1<<40+3)),
	)
	l := &d.cfg.Areas[0].Lines[0]
	l.Machines = append(l.Machines, l.Machines[0])
	l.Machines[0].ID, l.Flow, l.Bottleneck = "neck", Flow{"neck", "m"}, "neck"
	l.Machines[1].Roles[plant.RoleReject] = "reject"
	d.cfg.Products[0].IdealCycle = map[string]time.Duration{"neck": time.Minute}
	w := d.straight(t).windows("line", d.span)
	if w[0].Good != 100 || w[0].Reject != 3 || w[0].IdealReject != 3*time.Minute || w[0].Flags&plant.FlagReset == 0 {
		t.Errorf("the line: %+v; want 100 good, 3 rejects and a reset", w[0])
	}
	if w[2].Reject != 1<<40+3 || w[2].Flags&plant.FlagNoIdeal == 0 {
		t.Errorf("the machine: %+v; want as many as it told", w[2])
	}
}

// TestPlantsCalendarAnew: a shift that a new calendar ended stays ended in every
// window.
func TestPlantsCalendarAnew(t *testing.T) {
	d := casePlant(t, looked(caseAt(8, 0, 0), caseAt(8, 0, 0), stateIs(6), goodIs(0)))
	w := d.straight(t)
	c := plant.Calendar{Zone: "UTC", Shifts: []plant.Shift{{Name: "brief", Start: "08:00", Length: time.Hour}}}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.twin.Tell(t.Context(), plant.Entry{By: "li.wei", Kind: plant.EntryCalendar, Key: "c", From: caseAt(7, 0, 0), Value: text}); err != nil {
		t.Fatal(err)
	}
	var sum float64
	for _, f := range w.figures("line", d.span, "hour") {
		sum += f.PlannedS
	}
	if whole := w.figures("line", d.span, "")[0].PlannedS; whole != 3*3600 || sum != whole {
		t.Errorf("planned %v s, its hours %v s; want 3 h: from 6:00 to 8:00 by the old one, to 9:00 by the new one", whole, sum)
	}
}

// TestPlantsRestatedFromItsStart: late data at the end of a time that nobody saw
// restates the shift in which that began, too.
func TestPlantsRestatedFromItsStart(t *testing.T) {
	d := casePlant(t,
		looked(caseAt(8, 0, 0), caseAt(8, 0, 0), stateIs(6), goodIs(0)),
		looked(caseAt(9, 0, 0), caseAt(9, 0, 0), stateIs(6), goodIs(60)),
		looked(caseAt(9, 0, 0), caseAt(11, 0, 0)),
		looked(caseAt(8, 50, 0), caseAt(9, 0, 0), plant.Reading{Machine: "m", Signal: "state", Time: caseAt(8, 50, 0), Value: plant.Integer(6)}),
	)
	d.cfg.Calendars["c"] = plant.Calendar{Zone: "UTC", Shifts: []plant.Shift{{Name: "first", Start: "06:00", Length: 150 * time.Minute}, {Name: "second", Start: "08:30", Length: 2 * time.Hour}}}
	w := newWorld(t, &d.cfg, d.nowOf())
	for _, b := range d.batches[:3] {
		w.deliver(b)
	}
	w.published()
	w.deliver(d.batches[3])
	w.published()
	l := w.twin.lines[0]
	for _, start := range []plant.Time{caseAt(6, 0, 0), caseAt(8, 30, 0)} {
		if p := l.published[start]; p.revision != 1 || p.reason != lateData {
			t.Errorf("the shift of %s has revision %d, %q", start, p.revision, p.reason)
		}
	}
}

// TestPlantsEndedWhereTheNextBegins: a closed shift that a new calendar ends just
// where that begins to hold is restated.
func TestPlantsEndedWhereTheNextBegins(t *testing.T) {
	d := casePlant(t,
		looked(caseAt(7, 0, 0), caseAt(7, 0, 0), stateIs(6), goodIs(0)),
		looked(caseAt(7, 0, 0), caseAt(11, 30, 0), goodIs(60)),
	)
	d.cfg.Calendars["c"] = plant.Calendar{Zone: "UTC", Shifts: []plant.Shift{{Name: "long", Start: "06:00", Length: 5 * time.Hour}}}
	w := d.straight(t)
	w.published()
	text, err := json.Marshal(plant.Calendar{Zone: "UTC", Shifts: []plant.Shift{{Name: "late", Start: "08:30", Length: 2 * time.Hour}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.twin.Tell(t.Context(), plant.Entry{By: "li.wei", Kind: plant.EntryCalendar, Key: "c", From: caseAt(8, 30, 0), Value: text}); err != nil {
		t.Fatal(err)
	}
	w.published()
	if p := w.twin.lines[0].published[caseAt(6, 0, 0)]; p.revision != 1 || p.window.Span.To != caseAt(8, 30, 0) {
		t.Errorf("published to %s with revision %d; want 8:30 and 1", p.window.Span.To, p.revision)
	}
}

// TestMadeTwiceInAMinute: what is made before and after something else in one
// minute is not counted over the time of that.
func TestMadeTwiceInAMinute(t *testing.T) {
	l := newTold(t)
	m, hour := l.machines[0], plant.Span{From: l.day.From, To: l.at(time.Hour)}
	seg := func(from, to time.Duration, c plant.Class) plant.Segment {
		return plant.Segment{Machine: "press", Span: plant.Span{From: l.at(from), To: l.at(to)}, Class: c}
	}
	made := func(minute int, product string) plant.Pieces {
		return plant.Pieces{Machine: "press", Minute: l.at(time.Duration(minute) * time.Minute), Product: product, Good: 3}
	}
	l.told["press"] = plant.Past{Pieces: []plant.Pieces{made(0, "a"), made(1, "b"), made(1, "a"), made(2, "a")},
		Segments: []plant.Segment{seg(0, 118*time.Second, plant.ClassRun), seg(118*time.Second, 119*time.Second, plant.ClassChangeover), seg(119*time.Second, time.Hour, plant.ClassRun)}}
	var sum plant.Window
	split := madeSplit{machine: m, span: hour, by: "product", account: func(s plant.Span) plant.Account { return plant.Account{Window: m.windowFrom(l.source, s)} }}
	for _, c := range l.byMade(l.source, split, hour.To) {
		sum.Add(c.Window)
	}
	if whole := m.windowFrom(l.source, hour); sum.Run != whole.Run || sum.Good != whole.Good {
		t.Errorf("run %v, good %d; want %v, %d", sum.Run, sum.Good, whole.Run, whole.Good)
	}
}

// TestCorrectedBeforeARunningMinute: a correction of counts in a window that ends
// within a minute does not count that minute twice.
func TestCorrectedBeforeARunningMinute(t *testing.T) {
	l := newTold(t)
	m := l.machines[0]
	l.told["press"] = plant.Past{Pieces: []plant.Pieces{{Machine: "press", Minute: l.at(0), Product: "a", Good: 3}, {Machine: "press", Minute: l.at(9 * time.Minute), Product: "a", Good: 5}},
		Segments: []plant.Segment{{Machine: "press", Span: plant.Span{From: l.at(0), To: l.at(10 * time.Minute)}, Class: plant.ClassRun}}}
	b := newBook(nil)
	b.amends = map[string]*amendment{"press": {counts: []recount{{Span: plant.Span{From: l.at(2 * time.Minute), To: l.at(3 * time.Minute)}, good: 2}}}}
	l.book.Store(b)
	w := m.windowFrom(l.amended(l.source), plant.Span{From: l.at(0), To: l.at(9*time.Minute + 35*time.Second)})
	if w.Good != 10 {
		t.Errorf("%d good pieces, want 3 + 2 + 5", w.Good)
	}
}

// TestPlantsGapBeforeTheWindow: of machines beside each other at the end of the
// flow, what one made in a gap is laid on the gap alone, also in a window that
// begins where the gap ends.
func TestPlantsGapBeforeTheWindow(t *testing.T) {
	d := casePlant(t,
		looked(caseAt(8, 0, 0), caseAt(8, 0, 0), stateIs(6), goodIs(0)),
		looked(caseAt(9, 0, 0), caseAt(9, 0, 0), stateIs(6), goodIs(30)),
		looked(caseAt(9, 0, 0), caseAt(9, 10, 0)),
	)
	l := &d.cfg.Areas[0].Lines[0]
	l.Flow, l.Bottleneck = Flow{"neck", "m+other"}, "neck"
	l.Machines = append(l.Machines, MachineConfig{ID: "neck", Roles: l.Machines[0].Roles}, MachineConfig{ID: "other", Roles: l.Machines[0].Roles})
	d.cfg.Products[0].IdealCycle["neck"] = 2 * time.Second
	w := d.straight(t)
	whole := w.windows("line", d.span)[0]
	before, after := w.windows("line", plant.Span{From: d.span.From, To: caseAt(9, 0, 0)})[0], w.windows("line", plant.Span{From: caseAt(9, 0, 0), To: d.span.To})[0]
	if sum := before.Run + after.Run; whole.Run == 0 || sum != whole.Run {
		t.Errorf("run %v before 9:00 and %v after, %v in all", before.Run, after.Run, whole.Run)
	}
}
