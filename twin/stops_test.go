package twin_test

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

// of gives the press's stops in the shift, the earliest first.
func (w *worked) pressStops() []plant.Stop {
	w.t.Helper()
	all, err := w.twin.Stops(context.Background(), "line", w.shift)
	if err != nil {
		w.t.Fatal(err)
	}
	var own []plant.Stop
	for _, s := range all {
		if s.Machine == "press" {
			own = append([]plant.Stop{s}, own...)
		}
	}
	return own
}

// TestStopsDividedAndJoined: parts and joined stops are listed as events with
// what they were made of; an undo lists what was listed before.
func TestStopsDividedAndJoined(t *testing.T) {
	w := newWorked(t)
	was := w.pressStops()
	if len(was) != 3 {
		t.Fatalf("%d stops: %+v", len(was), was)
	}
	minute := func(m time.Duration) plant.Time { return begin.Add(time.Hour + m*time.Minute) }
	w.tell(plant.EntryStop, was[0].ID, 0, `{"reason": "jam", "comment": "feeder"}`)
	split := w.tell(plant.EntrySplit, was[0].ID, 0, `{"parts": [{}, {"from": "`+minute(1).String()+`", "reason": "tool"}, {"from": "`+minute(2).String()+`"}]}`)
	merge := w.tell(plant.EntryMerge, was[1].ID, 0, `{"to": "`+was[2].ID+`", "comment": "twice"}`)
	later := w.tell(plant.EntryStop, plant.AtKey("press", minute(2)), 0, `{"reason": "cleaning"}`)

	whole := was[0].Span
	part := func(from, to plant.Time, class plant.Class, reason, comment string, entry uint64) plant.Stop {
		return plant.Stop{ID: plant.AtKey("press", from), Line: "line", Machine: "press", Span: plant.Span{From: from, To: to}, Class: class,
			Reason: reason, Comment: comment, Entry: entry, Split: split.ID, Whole: &whole, StoodS: 60}
	}
	joined := was[1]
	joined.To, joined.Small, joined.Comment, joined.Entry, joined.Merge, joined.StoodS = was[2].To, false, "twice", merge.ID, merge.ID, 180
	joined.Parts = []plant.Span{was[1].Span, was[2].Span}
	want := []plant.Stop{
		part(whole.From, minute(1), plant.ClassStop, "jam", "feeder", 1), // what was said of the whole
		part(minute(1), minute(2), plant.ClassStop, "tool", "", split.ID),
		part(minute(2), whole.To, plant.ClassPlannedStop, "cleaning", "", later.ID),
		joined,
	}
	if got := w.pressStops(); !reflect.DeepEqual(got, want) {
		t.Errorf("stops\n%+v, want\n%+v", got, want)
	}
	if f := w.figures(); f.Stops != 3 || f.Losses.UnplannedStop != 300 || f.Losses.PlannedStop != 60 || f.SmallStops != 0 {
		t.Errorf("%d stops, %d small, %+v", f.Stops, f.SmallStops, f.Losses)
	}
	losses, err := w.twin.Losses(context.Background(), "line", w.shift)
	if err != nil || len(losses) != 4 || losses[0].Stops != 1 || losses[0].Seconds != 180 {
		t.Errorf("losses %+v, %v", losses, err)
	}
	for _, id := range []uint64{later.ID, merge.ID, split.ID, 1} {
		if _, err := w.twin.Tell(context.Background(), plant.Entry{Undoes: id, By: "op"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.pressStops(); !reflect.DeepEqual(got, was) {
		t.Errorf("after the undo\n%+v, were\n%+v", got, was)
	}
}

// TestCountsStayAboveZero: what takes away more than was counted is refused,
// also where it comes about by taking something back.
func TestCountsStayAboveZero(t *testing.T) {
	w := newWorked(t)
	tell := func(e plant.Entry) (plant.Entry, error) {
		e.By = "op"
		return w.twin.Tell(context.Background(), e)
	}
	at := plant.AtKey("pack", begin.Add(2*time.Hour))
	other := plant.AtKey("pack", begin.Add(2*time.Hour).Add(-time.Minute))
	if _, err := tell(said(plant.EntryCount, at, `{"good": -31}`)); err == nil || !strings.HasPrefix(err.Error(), "value.good: found -31, allowed: at least -30: so many were counted from 2026-03-02T00:00:00.000Z") {
		t.Errorf("31 of 30: %v", err)
	}
	added, err := tell(said(plant.EntryCount, at, `{"good": 10}`))
	if err != nil {
		t.Fatal(err)
	}
	span := `"to": "` + begin.Add(2*time.Hour+time.Minute).String() + `"`
	if _, err := tell(said(plant.EntryCount, other, `{"good": -71, `+span+`}`)); err == nil || !strings.Contains(err.Error(), "at least -70") {
		t.Errorf("71 of 70: %v", err)
	}
	taken, err := tell(said(plant.EntryCount, other, `{"good": -70, `+span+`}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tell(plant.Entry{Undoes: added.ID}); err == nil || !strings.HasPrefix(err.Error(), "undoes: found "+at) {
		t.Errorf("undone what was taken away: %v", err)
	}
	for _, id := range []uint64{taken.ID, added.ID} {
		if _, err := tell(plant.Entry{Undoes: id}); err != nil {
			t.Error(err)
		}
	}
}
