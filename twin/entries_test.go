package twin_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

// worked is a line that made 30 pieces a minute for a whole shift and ten
// minutes more, and is told things afterwards.
type worked struct {
	*rig
	shift plant.Span
}

func newWorked(t *testing.T) *worked {
	w := &worked{rig: newRig(t), shift: plant.Span{From: begin, To: begin.Add(8 * time.Hour)}}
	s := newTeller(w.rig)
	end := w.shift.To.Add(10 * time.Minute)
	w.setClock(end)
	for at := begin; at <= end; at = at.Add(time.Minute) {
		for _, m := range []string{"feed", "press", "pack"} {
			v := map[string]plant.Value{"good": plant.Integer(at.Sub(begin).Milliseconds() / 2000)}
			switch {
			case at == begin:
				v["state"] = plant.Integer(6)
			case m == "press" && at == begin.Add(time.Hour): // held for 3 minutes
				v["state"] = plant.Integer(11)
			case m == "press" && at == begin.Add(time.Hour+3*time.Minute):
				v["state"] = plant.Integer(6)
			}
			w.twin.Batch(s.batch(m, at, v))
			if d := at.Sub(begin); m == "press" && d >= 3*time.Hour && d < 3*time.Hour+4*time.Minute {
				// twice held for 90 s, 30 s after each other
				if d == 3*time.Hour || d == 3*time.Hour+2*time.Minute {
					w.twin.Batch(s.batch(m, at+1e6, state(11)))
				}
				if d == 3*time.Hour+time.Minute || d == 3*time.Hour+3*time.Minute {
					w.twin.Batch(s.batch(m, at.Add(30*time.Second)+1e6, state(6)))
				}
			}
		}
	}
	w.revision(0)
	return w
}

// figures gives those of the shift.
func (w *worked) figures() plant.Figures {
	w.t.Helper()
	fs, err := w.twin.Figures(context.Background(), "line", w.shift, "shift")
	if err != nil || len(fs) != 1 {
		w.t.Fatalf("%v %v", fs, err)
	}
	return fs[0]
}

// revision waits until the shift is published with a revision; the clock goes
// on in steps, for what settles is a matter of its time.
func (w *worked) revision(n int) plant.Figures {
	w.t.Helper()
	var f plant.Figures
	w.eventually("the shift is published", func() bool {
		w.setClock(plant.At(w.clock()).Add(5 * time.Second))
		f = w.figures()
		return !f.Provisional && f.Revision == n
	})
	return f
}

func (w *worked) tell(kind plant.EntryKind, key string, from plant.Time, value string) plant.Entry {
	w.t.Helper()
	e := plant.Entry{By: "li.wei", Why: "told so", Kind: kind, Key: key, From: from, Value: plant.RawJSON(value)}
	effects, err := w.twin.Preview(context.Background(), e)
	if err != nil {
		w.t.Fatal(err)
	}
	before := w.figures()
	kept, err := w.twin.Tell(context.Background(), e)
	if err != nil {
		w.t.Fatal(err)
	}
	after := w.figures()
	// What was foretold of the shift is what came.
	var told *plant.Effect
	for i := range effects {
		if effects[i].Shift == w.shift.From {
			told = &effects[i]
		}
	}
	same := func(a, b plant.Figures) bool {
		a.Span, a.Provisional, a.Revision, a.Shift, a.Day, a.SignedOff = b.Span, b.Provisional, b.Revision, b.Shift, b.Day, b.SignedOff
		for _, f := range []*plant.Figures{&a, &b} { // which a preview does not tell
			f.Switches, f.ISO, f.Reliability, f.Yield, f.Changes = nil, nil, nil, nil, nil
		}
		return reflect.DeepEqual(a, b)
	}
	switch {
	case told == nil && !same(before, after):
		w.t.Errorf("%s: no change was foretold, and there is one", kind)
	case told != nil && (!same(*told.Before, before) || !same(*told.After, after)):
		w.t.Errorf("%s: foretold was %+v, there is %+v", kind, told.After, after)
	}
	return kept
}

// TestEntriesRestate: what somebody says changes the figures from its time on
// and nothing else, closed shifts get a revision with it as the reason, and an
// undo brings back what was.
func TestEntriesRestate(t *testing.T) {
	half := begin.Add(4 * time.Hour)
	for _, c := range []struct {
		name, key, value string
		kind             plant.EntryKind
		from             plant.Time
		revised          bool
		check            func(t *testing.T, before, after plant.Figures)
	}{
		{"ideal cycle from the middle on", "C16/press", `{"cycle": "1s"}`, plant.EntryIdealCycle, half, true, func(t *testing.T, before, after plant.Figures) {
			// 2 s before; 30 pieces a minute for 4 h less the break of 30 min
			if d := before.Losses.Productive - after.Losses.Productive; d != 6300 {
				t.Errorf("productive time is less by %g s, want 6300", d)
			}
			if after.Good != before.Good || *after.Availability != *before.Availability {
				t.Errorf("%+v, was %+v", after, before)
			}
		}},
		{"ideal cycle of what is not made", "C32/press", `{"cycle": "1s"}`, plant.EntryIdealCycle, 0, false, nil},
		{"threshold of small stops", "line", `{"small_stop": "5m"}`, plant.EntrySwitches, 0, true, func(t *testing.T, before, after plant.Figures) {
			if before.Losses.UnplannedStop != 180 || after.Losses.UnplannedStop != 0 || after.Losses.SmallStop != 360 || after.Stops != 0 || after.SmallStops != 3 {
				t.Errorf("stops %+v, were %+v", after.Losses, before.Losses)
			}
		}},
		{"threshold after the stop", "line", `{"small_stop": "5m"}`, plant.EntrySwitches, half, false, nil},
		{"threshold while it lasts", "line", `{"small_stop": "5m"}`, plant.EntrySwitches, begin.Add(time.Hour + time.Minute), false, nil},
		{"time without an order", "line", `{"no_order_as_schedule": true}`, plant.EntrySwitches, half, true, func(t *testing.T, before, after plant.Figures) {
			if after.PlannedS != 4*3600 {
				t.Errorf("planned %v, was %v", after.PlannedS, before.PlannedS)
			}
		}},
		{"an order", "4711", `{"id": "4711", "line": "line", "product": "C16", "quantity": 5000, "from": "2026-03-02T00:00:00Z"}`, plant.EntryOrder, 0, false, nil},
		{"an order of another product", "4712", `{"id": "4712", "line": "line", "product": "C32", "quantity": 5000, "from": "2026-03-02T02:00:00Z", "to": null}`, plant.EntryOrder, 0, true, func(t *testing.T, before, after plant.Figures) {
			if after.Good != before.Good || reflect.DeepEqual(after.OEE, before.OEE) {
				t.Errorf("%+v, was %+v", after, before)
			}
		}},
		{"a reason", "press@2026-03-01T23:00:00.000Z", `{"reason": "jam", "comment": "feeder"}`, plant.EntryStop, 0, false, nil},
		{"a reason of another class", "press@2026-03-01T23:02:00.000Z", `{"reason": "cleaning"}`, plant.EntryStop, 0, true, func(t *testing.T, before, after plant.Figures) {
			if after.Losses.UnplannedStop != 0 || after.Losses.PlannedStop != 180 || after.Stops != 0 {
				t.Errorf("stops %+v, were %+v", after.Losses, before.Losses)
			}
		}},
		{"a stop divided", "press@2026-03-01T23:01:00.000Z", `{"parts": [{"reason": "jam"}, {"from": "2026-03-01T23:01:00Z", "reason": "cleaning"}]}`, plant.EntrySplit, 0, true, func(t *testing.T, before, after plant.Figures) {
			if after.Losses.UnplannedStop != 60 || after.Losses.PlannedStop != 120 || after.Stops != 1 {
				t.Errorf("stops %+v, were %+v", after.Losses, before.Losses)
			}
		}},
		{"stops joined", "press@2026-03-02T01:00:30.000Z", `{"to": "press@2026-03-02T01:02:30Z", "reason": "tool"}`, plant.EntryMerge, 0, true, func(t *testing.T, before, after plant.Figures) {
			// Two stops of 90 s with 30 s of run between: one of 3 minutes, no small ones.
			if after.Losses.UnplannedStop != before.Losses.UnplannedStop+180 || after.RunS != before.RunS-180 || after.Stops != before.Stops+1 || after.SmallStops != before.SmallStops-2 {
				t.Errorf("%d stops %+v, were %d %+v", after.Stops, after.Losses, before.Stops, before.Losses)
			}
		}},
		{"a corrected class", "press@2026-03-01T23:00:00.000Z", `{"to": "2026-03-01T23:03:00Z", "class": "run"}`, plant.EntryState, 0, true, func(t *testing.T, before, after plant.Figures) {
			if after.Losses.UnplannedStop != 0 || after.RunS != before.RunS+180 || after.Stops != 0 || !slices.Contains(after.Flags, "corrected") {
				t.Errorf("%+v, was %+v", after, before)
			}
		}},
		{"a corrected state", "press@2026-03-01T23:03:00.000Z", `{"to": "2026-03-01T23:04:30Z", "state": "aborted"}`, plant.EntryState, 0, true, func(t *testing.T, before, after plant.Figures) {
			if after.Losses.UnplannedStop != 270 || after.Stops != 1 {
				t.Errorf("%+v, was %+v", after, before)
			}
		}},
		{"counts moved", "pack@2026-03-02T00:00:00.000Z", `{"good": -5, "reject": 5}`, plant.EntryCount, 0, true, func(t *testing.T, before, after plant.Figures) {
			if after.Good != before.Good-5 || after.Reject != 5 || after.Total != before.Total {
				t.Errorf("%+v, was %+v", after, before)
			}
		}},
		{"counts of a span", "pack@2026-03-02T00:00:00.000Z", `{"good": 100, "replace": true, "to": "2026-03-02T01:00:00Z"}`, plant.EntryCount, 0, true, func(t *testing.T, before, after plant.Figures) {
			if after.Good != before.Good-1700 {
				t.Errorf("%d pieces, were %d", after.Good, before.Good)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorked(t)
			before := w.figures()
			e := w.tell(c.kind, c.key, c.from, c.value)
			if !c.revised {
				w.setClock(plant.At(w.clock()).Add(time.Minute))
				if after := w.revision(0); !reflect.DeepEqual(after.OEE, before.OEE) {
					t.Errorf("OEE %v, was %v", after.OEE, before.OEE)
				}
				return
			}
			after := w.revision(1)
			c.check(t, before, after)
			w.eventually("the ledger has it", func() bool {
				rs, err := w.ledger.Results(context.Background(), "line", plant.Span{From: begin, To: begin + 1})
				return err == nil && len(rs) == 2 && strings.Contains(rs[1].Reason, "li.wei: "+string(c.kind)+" "+c.key+": told so")
			})
			w.close()
			w.start()
			if again := w.revision(1); !reflect.DeepEqual(again.OEE, after.OEE) {
				t.Errorf("OEE after a restart %v, was %v", again.OEE, after.OEE)
			}
			if _, err := w.twin.Tell(context.Background(), plant.Entry{Undoes: e.ID, By: "li.wei", Why: "was wrong"}); err != nil {
				t.Fatal(err)
			}
			back := w.revision(2)
			if before.Revision = 2; !reflect.DeepEqual(back, before) {
				t.Errorf("after the undo %+v, was %+v", back, before)
			}
			if _, err := w.twin.Tell(context.Background(), plant.Entry{Undoes: e.ID, By: "li.wei"}); !errors.Is(err, plant.ErrConflict) {
				t.Errorf("undone twice: %v", err)
			}
		})
	}
}

func said(kind plant.EntryKind, key, value string) plant.Entry {
	return plant.Entry{Kind: kind, By: "a", Key: key, Value: plant.RawJSON(value)}
}

// TestEntriesAreChecked: what is wrong is refused with what is allowed, and
// nothing of it is kept.
func TestEntriesAreChecked(t *testing.T) {
	r := newRig(t)
	r.eventually("entries are read", func() bool {
		_, err := r.twin.Tell(context.Background(), plant.Entry{})
		return !errors.Is(err, plant.ErrOffline)
	})
	for _, c := range []struct {
		e    plant.Entry
		want string
	}{
		{plant.Entry{}, "kind: missing, allowed: ideal_cycle, calendar, switches, order, stop, split, merge, state, count, signoff"},
		{plant.Entry{Kind: "x", By: "a", Key: "k"}, "kind: found x"},
		{plant.Entry{Kind: plant.EntryStop, Key: "press@x"}, "by: missing"},
		{plant.Entry{Kind: plant.EntryStop, By: "a"}, "key: missing"},
		{plant.Entry{Kind: plant.EntryStop, By: "a", Key: "x"}, "key: found x, allowed: the id of a stop"},
		{plant.Entry{Kind: plant.EntryStop, By: "a", Key: "press@2026-03-01T23:00:00Z", Value: plant.RawJSON(`{"reason": "technical"}`)}, "value.reason: found technical, allowed: a reason without children: cleaning, jam, tool"},
		{plant.Entry{Kind: plant.EntryStop, By: "a", Key: "press@x", Value: plant.RawJSON(`{"reson": "jam"}`)}, `value: found {"reson": "jam"}, allowed: the value of stop: unknown field "reson"`},
		{plant.Entry{Kind: plant.EntryIdealCycle, By: "a", Key: "C16/nobody", Value: plant.RawJSON(`{"cycle": "1s"}`)}, "key: found C16/nobody, allowed: product/machine; products: C16"},
		{plant.Entry{Kind: plant.EntryIdealCycle, By: "a", Key: "C16/press", Value: plant.RawJSON(`{"cycle": "-1s"}`)}, "value.cycle: found -1s"},
		{plant.Entry{Kind: plant.EntryIdealCycle, By: "a", Key: "C16/press", Value: plant.RawJSON(`{"cycle": 1.8}`)}, "value: found"},
		{plant.Entry{Kind: plant.EntryIdealCycle, By: "a", Key: "C16/press", From: begin + 1, Value: plant.RawJSON(`{"cycle": "1s"}`)}, "from: found 2026-03-01T22:00:00.000Z, allowed: a whole minute"},
		{plant.Entry{Kind: plant.EntryCalendar, By: "a", Key: "nobody"}, "key: found nobody, allowed: one of calendars"},
		{plant.Entry{Kind: plant.EntryCalendar, By: "a", Key: "shifts", Value: plant.RawJSON(`{"zone": "Asia/Shanghai", "shifts": [{"name": "x", "start": "25:00", "length": "8h"}]}`)}, `value.shifts[0].start: found "25:00"`},
		{plant.Entry{Kind: plant.EntrySwitches, By: "a", Key: "nobody"}, "key: found nobody, allowed: one of the lines: line"},
		{plant.Entry{Kind: plant.EntryOrder, By: "a", Key: "1", Value: plant.RawJSON(`{"id": "2", "line": "line", "product": "C16", "quantity": -1}`)}, "value.id: found 2"},
		{plant.Entry{Kind: plant.EntryOrder, By: "a", Key: "1", Value: plant.RawJSON(`{"id": "1", "line": "nobody", "product": "C16", "quantity": 1}`)}, "value.line: found nobody"},
		{said(plant.EntrySplit, "press@x", `{}`), "key: found press@x, allowed: an id and a time"},
		{said(plant.EntrySplit, "nobody@2026-03-01T23:00:00Z", `{"parts": [{}, {"from": "2026-03-01T23:00:01Z"}]}`), "key: found nobody@2026-03-01T23:00:00Z, allowed: the id of a stop"},
		{said(plant.EntrySplit, "press@2026-03-01T23:00:00Z", `{"parts": [{}]}`), "value.parts: found 1, allowed: 2 to 20 parts"},
		{said(plant.EntrySplit, "press@2026-03-01T23:00:00Z", `{"parts": [{"from": "2026-03-01T23:00:00Z"}, {"reason": "jam"}]}`), "value.parts[0].from: found 2026-03-01T23:00:00.000Z, allowed: none: the first part begins with the stop; value.parts[1].from: found never, allowed: a time after"},
		{said(plant.EntrySplit, "press@2026-03-01T23:00:00Z", `{"parts": [{"reason": "technical"}, {"from": "2026-03-01T23:00:01Z"}]}`), "value.parts[0].reason: found technical, allowed: a reason without children: cleaning, jam, tool"},
		{said(plant.EntrySplit, "press@2026-03-01T23:00:00Z", `{"parts": [{}, {"from": "2026-03-01T23:00:01Z"}]}`), "key: found press@2026-03-01T23:00:00.000Z, allowed: the id of a stop; nothing is known then"},
		{said(plant.EntryMerge, "press@2026-03-01T23:00:00Z", `{"to": "pack@2026-03-01T23:10:00Z"}`), "value.to: found pack@2026-03-01T23:10:00Z, allowed: the id of a later stop of press"},
		{said(plant.EntryMerge, "press@2026-03-01T21:00:00Z", `{"to": "press@2026-03-01T21:10:00Z"}`), "key: found press@2026-03-01T21:00:00.000Z, allowed: the id of a stop; nothing is known then; value.to: found press@2026-03-01T21:10:00.000Z"},
		{said(plant.EntryState, "press@2026-03-01T21:00:00Z", `{"to": "2026-03-01T21:10:00Z"}`), "value.class: missing, allowed: a class or a state, one of both"},
		{said(plant.EntryState, "press@2026-03-01T21:00:00Z", `{"to": "2026-03-01T21:10:00Z", "class": "not_scheduled"}`), "value.class: found not_scheduled"},
		{said(plant.EntryState, "press@2026-03-01T21:00:00Z", `{"to": "2026-03-01T21:10:00Z", "state": "broken"}`), "value.state: found broken, allowed: stopped, starting"},
		{said(plant.EntryState, "press@2026-03-01T21:00:00Z", `{"to": "2026-03-01T21:10:00Z", "state": "off"}`), "value.state: found off, allowed: a state with a class"},
		{said(plant.EntryState, "press@2026-03-01T21:00:00Z", `{"to": "2026-03-01T21:00:00Z", "class": "run"}`), "value.to: found 2026-03-01T21:00:00.000Z, allowed: a time after the key's"},
		{said(plant.EntryState, "press@2026-03-01T21:00:00Z", `{"to": "2026-03-01T23:00:00Z", "class": "run"}`), "value.to: found 2026-03-01T23:00:00.000Z, allowed: a time that has passed, now is 2026-03-01T22:00:00.000Z"},
		{plant.Entry{Kind: plant.EntryState, By: "a", Key: "press@2026-03-01T21:00:00Z", From: begin}, "from: found 2026-03-01T22:00:00.000Z, allowed: null"},
		{said(plant.EntryCount, "press@2026-03-01T21:00:01Z", `{"good": 0}`), "value.at: found 2026-03-01T21:00:01.000Z, allowed: a key with a whole minute; value.good: found 0, allowed: pieces to add"},
		{said(plant.EntryCount, "press@2026-03-01T21:00:00Z", `{"good": -1, "replace": true, "to": "2026-03-01T21:10:30Z"}`), "value.to: found 2026-03-01T21:10:30.000Z, allowed: a whole minute after the key's, and at most 31 days; value.good: found -1, allowed: 0 pieces or more"},
		{said(plant.EntryCount, "press@2026-03-01T23:00:00Z", `{"good": 1}`), "value.to: found 2026-03-01T23:01:00.000Z, allowed: a minute that has begun"},
		{said(plant.EntrySignOff, "nobody@2026-03-01T22:00:00Z", `{}`), "key: found nobody@2026-03-01T22:00:00Z, allowed: line@start of a shift; lines: line"},
		{said(plant.EntrySignOff, "line@2026-03-01T22:00:00Z", `{"revision": -1, "figures": {"good": 1}}`), "value.revision: found -1, allowed: 0 or more; value.figures: found {\"good\": 1}, allowed: none"},
		{said(plant.EntrySignOff, "line@2026-03-01T22:00:00Z", `{}`), "key: found line@2026-03-01T22:00:00.000Z, allowed: line@start of a shift that is closed and published"},
		{said(plant.EntryCount, "press@2026-03-01T21:00:00Z", `{"good": -1}`), "value.good: found -1, allowed: at least -0: so many were counted"},
	} {
		_, err := r.twin.Tell(context.Background(), c.e)
		if _, foretold := r.twin.Preview(context.Background(), c.e); fmt.Sprint(foretold) != fmt.Sprint(err) {
			t.Errorf("%+v: foretold %v, came %v", c.e, foretold, err)
		}
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.e, err, c.want)
		}
	}
	if n := len(r.twin.Entries("", "")); n != 0 {
		t.Errorf("%d entries are kept", n)
	}
	if _, err := r.twin.Tell(context.Background(), plant.Entry{Undoes: 7, By: "a"}); !errors.Is(err, plant.ErrNotFound) {
		t.Errorf("undo of nothing: %v", err)
	}
}

// TestSplitByOrderAndWeek: splits sum to the whole, and pieces before, between
// and after orders are of none.
func TestSplitByOrderAndWeek(t *testing.T) {
	w := newWorked(t)
	at := func(h time.Duration) string { return begin.Add(h * time.Hour).String() }
	w.tell(plant.EntryOrder, "1", 0, `{"id": "1", "line": "line", "product": "C16", "quantity": 1000, "from": "`+at(1)+`", "to": "`+at(3)+`"}`)
	w.tell(plant.EntryOrder, "2", 0, `{"id": "2", "line": "line", "product": "C32", "quantity": 1000, "from": "`+at(5)+`"}`)
	whole := w.figures()
	good := func(by string) (sum int64, names []string) {
		fs, err := w.twin.Figures(context.Background(), "line", w.shift, by)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fs {
			sum += f.Good
			names = append(names, f.Order+f.Week)
		}
		return sum, names
	}
	if sum, names := good("order"); sum != whole.Good || !reflect.DeepEqual(names, []string{"", "1", "2"}) {
		t.Errorf("by order %d pieces of %q, want %d", sum, names, whole.Good)
	}
	if sum, names := good("week"); sum != whole.Good || !reflect.DeepEqual(names, []string{"2026-W10"}) {
		t.Errorf("by week %d pieces of %q, want %d", sum, names, whole.Good)
	}
	fs, err := w.twin.Figures(context.Background(), "line", plant.Span{From: begin.Add(-200 * time.Hour), To: w.shift.To}, "week")
	if err != nil || len(fs) != 3 || fs[2].From != plant.At(time.Date(2026, 3, 1, 16, 0, 0, 0, time.UTC)) || fs[0].Week != "2026-W08" {
		t.Errorf("three weeks in Shanghai: %+v, %v", fs, err)
	}
}

// TestLosses: the Pareto of a line's stops sums to the stops of its figures, and
// reasons come from people, else from the machine's fault.
func TestLosses(t *testing.T) {
	r := newRig(t)
	s := newTeller(r)
	end := begin.Add(3 * time.Hour)
	r.setClock(end)
	// The press is held with fault 17 for 10 minutes, waits for the feed (which
	// is held with fault 9) for 5, and is held without a fault for 1.
	told := map[string]map[int]map[string]plant.Value{
		"press": {30: {"state": plant.Integer(11), "fault": plant.Integer(17)}, 40: {"state": plant.Integer(6), "fault": plant.Integer(0)},
			60: state(5), 65: state(6), 90: state(11), 91: state(6)},
		"feed": {59: {"state": plant.Integer(11), "fault": plant.Integer(9)}, 66: {"state": plant.Integer(6), "fault": plant.Integer(0)}},
	}
	for n := 0; n <= 180; n++ {
		for _, m := range []string{"feed", "press", "pack"} {
			v := told[m][n]
			if n == 0 {
				v = map[string]plant.Value{"state": plant.Integer(6), "fault": plant.Integer(0)}
			}
			r.twin.Batch(s.batch(m, begin.Add(time.Duration(n)*time.Minute), v))
		}
	}
	span := plant.Span{From: begin, To: end}
	look := func() ([]plant.Loss, plant.Losses) {
		losses, err := r.twin.Losses(context.Background(), "line", span)
		if err != nil {
			t.Fatal(err)
		}
		fs, err := r.twin.Figures(context.Background(), "line", span, "")
		if err != nil {
			t.Fatal(err)
		}
		return losses, fs[0].Losses
	}
	check := func(want []plant.Loss) {
		t.Helper()
		got, sums := look()
		var all float64
		for i := range got {
			all += got[i].Seconds
			got[i].Share = 0
		}
		if !reflect.DeepEqual(got, want) || all != sums.UnplannedStop+sums.PlannedStop+sums.SmallStop {
			t.Errorf("%+v of %g s\nwant %+v of %+v", got, all, want, sums)
		}
	}
	jam := plant.Loss{Class: plant.ClassStop, Machine: "press", Reason: "jam", Stops: 1, Seconds: 600}
	starved := plant.Loss{Class: plant.ClassStarved, Machine: "feed", Fault: "9", Stops: 1, Seconds: 300}
	short := plant.Loss{Class: plant.ClassStop, Small: true, Machine: "press", Stops: 1, Seconds: 60}
	check([]plant.Loss{jam, starved, short})
	say := func(machine string, minute int, value string) {
		t.Helper()
		key := machine + "@" + begin.Add(time.Duration(minute)*time.Minute).String()
		if _, err := r.twin.Tell(context.Background(), plant.Entry{Kind: plant.EntryStop, Key: key, By: "op", Value: plant.RawJSON(value)}); err != nil {
			t.Fatal(err)
		}
	}
	say("feed", 59, `{"reason": "tool"}`) // the cause's reason is the loss's
	say("press", 90, `{"reason": "tool"}`)
	say("press", 35, `{"reason": "cleaning", "comment": "said better"}`)
	starved.Reason, starved.Fault, short.Reason = "tool", "", "tool"
	jam.Class, jam.Reason = plant.ClassPlannedStop, "cleaning"
	check([]plant.Loss{jam, starved, short})
	stops, err := r.twin.Stops(context.Background(), "line", span)
	if err != nil || len(stops) != 4 {
		t.Fatalf("%d stops, %v", len(stops), err)
	}
	if first := stops[3]; first.Reason != "cleaning" || first.Comment != "said better" || first.Fault != "17" || first.Class != plant.ClassPlannedStop {
		t.Errorf("%+v", first)
	}
}

// TestEntriesThatCannotBeRead: while the ledger does not tell what was said,
// nothing is published and nothing more is taken; then all is as before.
func TestEntriesThatCannotBeRead(t *testing.T) {
	w := newWorked(t)
	w.tell(plant.EntryIdealCycle, "C16/press", 0, `{"cycle": "1s"}`)
	told := w.revision(1)
	w.close()
	w.deaf.Store(true)
	w.start()
	if _, err := w.twin.Tell(context.Background(), plant.Entry{By: "a", Undoes: 1}); !errors.Is(err, plant.ErrOffline) {
		t.Errorf("an entry is taken: %v", err)
	}
	w.eventually("the notice tells it", func() bool {
		w.setClock(plant.At(w.clock()).Add(5 * time.Second))
		for _, n := range w.twin.Snapshot().Notices {
			if n.Kind == "ledger" && strings.Contains(n.Text, "the ledger does not answer") && n.Count > 2 {
				return true
			}
		}
		return false
	})
	w.deaf.Store(false)
	w.eventually("what was said holds again", func() bool {
		w.setClock(plant.At(w.clock()).Add(5 * time.Second))
		return reflect.DeepEqual(w.figures().OEE, told.OEE)
	})
	if again := w.revision(1); !reflect.DeepEqual(again.OEE, told.OEE) {
		t.Errorf("OEE %v, was %v", again.OEE, told.OEE)
	}
	if rs, err := w.ledger.Results(context.Background(), "line", plant.Span{From: begin, To: begin + 1}); err != nil || len(rs) != 2 {
		t.Errorf("%d results, %v; want the two from before", len(rs), err)
	}
}
