package twin

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"linetwin/plant"
)

// TestPlantsSums: every nanosecond of a window is in exactly one leaf, the
// factors multiply to OEE, and a window is the sum of its parts, wherever it is
// cut; so two shifts together are the ratio of their summed terms.
func TestPlantsSums(t *testing.T) {
	plantCheck(t, 60, func(t *rapid.T) {
		d := anyWorld(t)
		w := d.world
		all := plant.Span{From: d.span.From, To: d.span.To}
		minutes := int(all.Length() / time.Minute)
		span := plant.Span{From: all.From.Add(time.Duration(rapid.IntRange(0, minutes-2).Draw(t, "from")) * time.Minute)}
		span.To = span.From.Add(time.Duration(rapid.IntRange(2, minutes-int(span.From.Sub(all.From)/time.Minute)).Draw(t, "length")) * time.Minute)
		cut := span.From.Add(time.Duration(rapid.IntRange(1, int(span.Length()/time.Minute)-1).Draw(t, "cut")) * time.Minute)
		for _, id := range w.twin.lineIDs() {
			whole := w.windows(id, span)
			first, second := w.windows(id, plant.Span{From: span.From, To: cut}), w.windows(id, plant.Span{From: cut, To: span.To})
			for i := range whole {
				adds(t, &whole[i])
				sum := first[i]
				sum.Add(second[i])
				if sum != whole[i] {
					t.Fatalf("%s%s %d from %s to %s, cut at %s:\n%+v\nis not\n%+v", d, id, i, span.From, span.To, cut, sum, whole[i])
				}
				if sum := w.byOrder(id, i, span); sum != whole[i] {
					t.Fatalf("%s%s %d from %s to %s, all orders:\n%+v\nare not\n%+v", d, id, i, span.From, span.To, sum, whole[i])
				}
			}
		}
	})
}

// byOrder gives the sum over all orders of the i-th of what windows gives.
func (w *world) byOrder(id string, i int, span plant.Span) (sum plant.Window) {
	l := w.twin.lineByID[id]
	split := madeSplit{by: "order", span: span}
	if i > 0 {
		split.machine = l.machines[i-1]
	}
	for _, c := range l.byMade(l.amended(live), split, span.To) {
		sum.Add(c.Window)
	}
	return sum
}

// told is a plant with a twin that was told all of it.
type told struct {
	*drawn
	world *world
}

func anyWorld(t *rapid.T) told {
	d := drawPlant(t)
	w := d.straight(t)
	for range rapid.IntRange(0, 3).Draw(t, "entries") {
		w.say(t, d.anyEntry(t))
	}
	w.settle()
	return told{d, w}
}

// adds holds a window to the definitions of oee.md.
func adds(t *rapid.T, w *plant.Window) {
	if sum := w.ScheduleLoss + w.Unknown + w.UnplannedStop + w.PlannedStop + w.Run; sum != w.Length() {
		t.Fatalf("leaves are %v of %v: %+v", sum, w.Length(), w)
	}
	if sum := w.SmallStop + w.ReducedSpeed() + w.IdealGood + w.IdealReject; sum != w.Run {
		t.Fatalf("run time is %v of %v: %+v", sum, w.Run, w)
	}
	for _, d := range []time.Duration{w.ScheduleLoss, w.Unknown, w.UnplannedStop, w.PlannedStop, w.Run, w.SmallStop, w.Inferred} {
		if d < 0 {
			t.Fatalf("a negative leaf: %+v", w)
		}
	}
	f := w.Figures()
	if f.OEE != nil && math.Abs(*f.OEE*float64(w.Known())-float64(w.IdealGood)) > 1e-6*float64(time.Second) {
		t.Fatalf("OEE %v of %v known, good pieces are worth %v", *f.OEE, w.Known(), w.IdealGood)
	}
	if f.Performance != nil && f.Quality != nil && f.OEE != nil && w.IdealGood+w.IdealReject != 0 {
		if product := *f.Availability * *f.Performance * *f.Quality; math.Abs(product-*f.OEE) > 1e-9*max(1, math.Abs(*f.OEE)) {
			t.Fatalf("A x P x Q = %v, OEE %v: %+v", product, *f.OEE, w)
		}
	}
	if f.OEE != nil && f.OEELow != nil && w.IdealGood >= 0 && *f.OEE <= 1 && (*f.OEELow > *f.OEE+1e-12 || *f.OEEHigh < *f.OEE-1e-12) {
		t.Fatalf("OEE %v is not within %v and %v: %+v", *f.OEE, *f.OEELow, *f.OEEHigh, w)
	}
}

// anyEntry draws what somebody says about a plant.
func (d *drawn) anyEntry(t *rapid.T) plant.Entry {
	minutes := int(d.span.Length() / time.Minute)
	at := func(what string) plant.Time {
		return d.span.From.Add(time.Duration(rapid.IntRange(0, minutes).Draw(t, what)) * time.Minute)
	}
	l := &d.cfg.Areas[0].Lines[rapid.IntRange(0, len(d.cfg.Areas[0].Lines)-1).Draw(t, "line")]
	m := l.Machines[rapid.IntRange(0, len(l.Machines)-1).Draw(t, "machine")].ID
	product := anyOf(t, "of", "P", "Q")
	e := plant.Entry{By: "li.wei", Kind: anyOf(t, "kind", plant.EntryIdealCycle, plant.EntryCalendar, plant.EntrySwitches, plant.EntryOrder, plant.EntryStop)}
	var value any
	switch e.Kind {
	case plant.EntryIdealCycle:
		e.Key, e.From, value = product+"/"+m, at("since"), plant.CycleSaid{Cycle: plant.Length(anyOf(t, "cycle", time.Second, 5*time.Second, 40*time.Second))}
	case plant.EntryCalendar:
		c := anyCalendar(t, d.span.From.Std())
		c.Zone = d.cfg.Zone
		e.Key, e.From, value = "c", at("since"), c
	case plant.EntrySwitches:
		small := plant.Length(anyOf(t, "threshold", 0, 10*time.Second, time.Hour))
		yes, no := true, false
		e.Key, e.From = l.ID, at("since")
		value = anyOf(t, "switches", plant.Switches{SmallStop: &small}, plant.Switches{BreaksWorked: &yes}, plant.Switches{BreaksWorked: &no, PlannedStopsAsSchedule: &yes}, plant.Switches{NoOrderAsSchedule: &yes})
	case plant.EntryOrder:
		o := plant.Order{ID: anyOf(t, "order", "A", "B", "4711"), Line: l.ID, Product: product, Span: plant.Span{From: at("begins")}}
		if o.ID == "4711" && chance(t, "without a time", 3) { // a machine tells it
			o.From = 0
		} else if rapid.Bool().Draw(t, "ends") {
			o.To = o.From.Add(time.Duration(rapid.IntRange(1, 300).Draw(t, "minutes")) * time.Minute)
		}
		e.Key, value = o.ID, o
	case plant.EntryStop:
		e.Key, value = m+"@"+at("stop").String(), plant.StopSaid{Reason: anyOf(t, "reason", "jam", "clean", "setup")}
	}
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	e.Value = raw
	return e
}

func (w *world) say(t *rapid.T, e plant.Entry) plant.Entry {
	kept, err := w.twin.Tell(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

// TestPlantsEntries: what somebody says restates what a twin tells that knew it
// from the start, and an undo brings back what was.
func TestPlantsEntries(t *testing.T) {
	plantCheck(t, 25, func(t *rapid.T) {
		d := drawPlant(t)
		w := d.straight(t)
		before := w.account(d.span)
		var said []plant.Entry
		for range rapid.IntRange(1, 3).Draw(t, "entries") {
			said = append(said, w.say(t, d.anyEntry(t)))
		}
		w.settle()
		fresh := newWorld(t, &d.cfg, d.nowOf())
		for _, e := range said {
			e.ID = 0
			fresh.say(t, e)
		}
		for _, b := range d.batches {
			fresh.deliver(b)
		}
		fresh.settle()
		if diff := differ(fresh.account(d.span), w.account(d.span)); diff != "" {
			t.Fatalf("%s%+v\nsaid before and said after: %s", d, said, diff)
		}
		for _, e := range said {
			w.say(t, plant.Entry{By: "li.wei", Undoes: e.ID})
		}
		w.settle()
		if diff := differ(before, w.account(d.span)); diff != "" {
			t.Fatalf("%s%+v\nbefore and after all is undone: %s", d, said, diff)
		}
	})
}
