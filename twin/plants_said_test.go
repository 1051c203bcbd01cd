package twin

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"linetwin/plant"
)

// sayAny tells the twin up to so many things about a plant that it was told of,
// and gives those that it took.
func (d *drawn) sayAny(t *rapid.T, w *world, most int) []plant.Entry {
	var said []plant.Entry
	for range rapid.IntRange(0, most).Draw(t, "entries") {
		e := d.anyEntry(t, w)
		if n := len(said); n > 0 && chance(t, "about what was said", 4) {
			old := said[rapid.IntRange(0, n-1).Draw(t, "which")]
			e = plant.Entry{By: e.By, Undoes: old.ID}
			if old.Undoes != 0 || rapid.Bool().Draw(t, "nothing any more") {
				e = plant.Entry{By: e.By, Kind: old.Kind, Key: old.Key, From: old.From}
			}
		}
		if kept, ok := w.tell(t, e); ok {
			said = append(said, kept)
		}
		w.settle()
	}
	return said
}

// tell tells the twin something that it may refuse.
func (w *world) tell(t *rapid.T, e plant.Entry) (plant.Entry, bool) {
	kept, err := w.twin.Tell(t.Context(), e)
	if refused := (Refusal{}); err != nil && !errors.As(err, &refused) && !errors.Is(err, plant.ErrConflict) {
		t.Fatal(err)
	}
	return kept, err == nil
}

// anyEntry draws what somebody says about a plant, of any kind but sign-offs.
func (d *drawn) anyEntry(t *rapid.T, w *world) plant.Entry {
	minutes := int(d.span.Length() / time.Minute)
	at := func(what string) plant.Time {
		return d.span.From.Add(time.Duration(rapid.IntRange(0, minutes).Draw(t, what)) * time.Minute)
	}
	l := anyOf(t, "line", w.twin.lines...)
	m := anyOf(t, "machine", l.machines...)
	product := anyOf(t, "of", "P", "Q", "new")
	e := plant.Entry{By: "li.wei", Kind: anyOf(t, "kind", plant.EntryIdealCycle, plant.EntryCalendar, plant.EntrySwitches, plant.EntryOrder, plant.EntryProduct,
		plant.EntryStop, plant.EntrySplit, plant.EntryMerge, plant.EntryState, plant.EntryState, plant.EntryCount, plant.EntryCount)}
	var value any
	switch e.Kind {
	case plant.EntryIdealCycle:
		e.Key, e.From, value = product+"/"+m.cfg.ID, at("since"), plant.CycleSaid{Cycle: plant.Length(anyOf(t, "cycle", time.Second, 5*time.Second, 40*time.Second))}
	case plant.EntryCalendar:
		e.Key, e.From, value = "c", at("since"), anyCalendar(t, d.cfg.Zone, d.span.From.Std())
	case plant.EntrySwitches:
		small := plant.Length(anyOf(t, "threshold", 0, 10*time.Second, time.Hour))
		yes, no := true, false
		e.Key, e.From = l.cfg.ID, at("since")
		value = anyOf(t, "switches", plant.Switches{SmallStop: &small}, plant.Switches{BreaksWorked: &yes}, plant.Switches{BreaksWorked: &no, PlannedStopsAsSchedule: &yes}, plant.Switches{NoOrderAsSchedule: &yes})
	case plant.EntryOrder:
		o := plant.Order{ID: anyOf(t, "order", "A", "B", "4711"), Line: l.cfg.ID, Product: product, Span: plant.Span{From: at("begins")}}
		if o.ID == "4711" && chance(t, "without a time", 3) { // a machine tells it
			o.From = 0
		} else if rapid.Bool().Draw(t, "ends") {
			o.To = o.From.Add(time.Duration(rapid.IntRange(1, 300).Draw(t, "minutes")) * time.Minute)
		}
		e.Key, value = o.ID, o
	case plant.EntryProduct:
		e.Key, value = "new", plant.ProductSaid{Name: plant.Name{En: "new"}}
	case plant.EntryCount:
		from := at("from")
		e.Key, value = plant.AtKey(m.cfg.ID, from), anyCount(t, from)
	default:
		e.Key, value = d.anyOfStop(t, m, e.Kind)
	}
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	e.Value = raw
	return e
}

func anyCount(t *rapid.T, from plant.Time) plant.CountSaid {
	c := plant.CountSaid{Good: rapid.Int64Range(-3, 40).Draw(t, "good"), Reject: rapid.Int64Range(0, 3).Draw(t, "reject")}
	if rapid.Bool().Draw(t, "replace") {
		c.Good, c.Replace = max(c.Good, 0), true
	}
	if rapid.Bool().Draw(t, "of more minutes") {
		c.To = from.Add(time.Duration(rapid.IntRange(1, 200).Draw(t, "so many")) * time.Minute)
	}
	return c
}

// anyOfStop draws what is said of what a machine was at some instant: mostly at
// one at which it began to be something.
func (d *drawn) anyOfStop(t *rapid.T, m *machine, kind plant.EntryKind) (key string, value any) {
	instants := []plant.Time{d.span.From.Add(time.Hour)}
	for _, s := range m.segments(d.span) {
		if idles(s.Class) || kind != plant.EntrySplit && kind != plant.EntryMerge {
			instants = append(instants, s.From, s.From.Add(s.Length()/2).Floor(time.Millisecond))
		}
	}
	at := anyOf(t, "instant", instants...)
	said := plant.StopSaid{Reason: anyOf(t, "reason", "jam", "clean", "setup", "")}
	more := at.Add(anyOf(t, "for", time.Millisecond, 7*time.Second, time.Minute, 40*time.Minute))
	switch kind {
	case plant.EntryStop:
		value = said
	case plant.EntrySplit:
		value = plant.SplitSaid{Parts: []plant.StopPart{{}, {From: more, StopSaid: said}}}
	case plant.EntryMerge:
		value = plant.MergeSaid{To: plant.AtKey(m.cfg.ID, anyOf(t, "last", instants...)), StopSaid: said}
	case plant.EntryState:
		class := anyOf(t, "class", plant.ClassRun, plant.ClassStop, plant.ClassStarved, plant.ClassChangeover, plant.ClassPlannedStop, plant.ClassUnknown)
		value = plant.StateSaid{To: more, Class: &class}
		if rapid.Bool().Draw(t, "as a state") {
			value = plant.StateSaid{To: more, State: plant.StateAborted}
		}
	}
	return plant.AtKey(m.cfg.ID, at), value
}

// TestPlantsEntries: what somebody says restates what a twin tells that knew it
// from the start, and one that hears of it at any time; an undo brings back what
// was.
func TestPlantsEntries(t *testing.T) {
	plantCheck(t, 25, func(t *rapid.T) {
		d := drawPlant(t)
		w := d.straight(t)
		before := w.account(d.span)
		said := d.sayAny(t, w, 4)
		after := w.account(d.span)
		fresh := newWorld(t, &d.cfg, d.nowOf())
		fresh.slate.entries = slices.Clone(said)
		fresh.start(&d.cfg)
		for _, b := range d.batches {
			fresh.deliver(b)
		}
		fresh.settle()
		if diff := differ(fresh.account(d.span), after); diff != "" {
			t.Fatalf("%s%+v\nsaid before and said after: %s", d, said, diff)
		}
		if diff := differ(after, d.deliverSomehow(t, said...).account(d.span)); diff != "" {
			t.Fatalf("%s%+v\nsaid after and said in between: %s", d, said, diff)
		}
		for _, e := range slices.Backward(said) {
			if e.Undoes == 0 && w.twin.said.Load().undone[e.ID] == 0 {
				if _, err := w.twin.Tell(t.Context(), plant.Entry{By: "li.wei", Undoes: e.ID}); err != nil {
					t.Fatalf("%s%+v\nundo of %d: %v", d, said, e.ID, err)
				}
			}
		}
		w.settle()
		if diff := differ(before, w.account(d.span)); diff != "" {
			t.Fatalf("%s%+v\nbefore and after all is undone: %s", d, said, diff)
		}
	})
}
