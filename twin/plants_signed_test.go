package twin

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"linetwin/plant"
)

// TestPlantsSigned: what is published of closed shifts is what is told of them,
// whatever comes in later and whatever is said; a shift that somebody signed
// keeps what was signed, and tells whether something else holds.
func TestPlantsSigned(t *testing.T) {
	plantCheck(t, 25, func(t *rapid.T) {
		d := drawPlant(t)
		w := newWorld(t, &d.cfg, d.nowOf())
		var late []*plant.Batch
		for _, b := range d.batches {
			if chance(t, "late", 6) {
				late = append(late, b)
				continue
			}
			w.deliver(b)
		}
		w.published()
		l := anyOf(t, "line", w.twin.lines...)
		if len(l.published) == 0 {
			return
		}
		start := anyOf(t, "shift", slices.Sorted(maps.Keys(l.published))...)
		key := plant.AtKey(l.cfg.ID, start)
		signed, ok := w.tell(t, plant.Entry{By: "wang.fang", Kind: plant.EntrySignOff, Key: key, Value: plant.RawJSON("{}")})
		if !ok {
			t.Fatalf("%s%s is not signed", d, key)
		}
		for _, b := range late {
			w.deliver(b)
		}
		d.sayAny(t, w, 3)
		w.published()
		p := l.published[start]
		s := l.signedOff(start, p)
		what, _ := plant.Said[plant.SignOff](&signed)
		if s == nil || s.Revision != 0 || string(s.Figures) != string(what.Figures) || (s.Restated != nil) != (p.revision > 0) {
			t.Fatalf("%s%s: signed %+v, published %+v", d, key, s, p)
		}
		for _, f := range w.figures(l.cfg.ID, d.span, "shift") {
			if f.From == start && (f.SignedOff == nil || string(f.SignedOff.Figures) != string(what.Figures)) {
				t.Fatalf("%s%s tells %+v", d, key, f.SignedOff)
			}
		}
	})
}

// published closes the shifts, and holds what is published against what is told.
func (w *world) published() {
	w.tb.Helper()
	w.settle()
	w.now = w.now.Add(2 * settleAfter)
	w.twin.flush(context.Background())
	for _, l := range w.twin.lines {
		for start, p := range l.published {
			if now := l.window(p.window.Span); !p.window.Span.Empty() && now != p.window {
				w.tb.Fatalf("%s %s is published as\n%+v, told as\n%+v", l.cfg.ID, start, p.window, now)
			}
		}
		for _, s := range l.shifts(plant.Span{From: l.through().Add(-24 * time.Hour), To: l.through()}) {
			if _, ok := l.published[s.From]; !ok && s.To <= l.through() && l.through() != 0 {
				w.tb.Fatalf("%s %s to %s is closed and not published", l.cfg.ID, s.From, s.To)
			}
		}
	}
}
