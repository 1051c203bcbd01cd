package twin

import (
	"context"
	"encoding/json"
	"fmt"

	"linetwin/plant"
)

func publishedAs(r *plant.Result) published {
	return published{r.Window, r.Number, r.At, r.Reason}
}

// publishedShifts gives the closed shifts that start in span as they were
// published last, those that are not in memory from the ledger.
func (t *Twin) publishedShifts(ctx context.Context, l *line, span plant.Span) (map[plant.Time]published, error) {
	all := map[plant.Time]published{}
	if span.From < t.now().Add(-memory) {
		results, err := t.publishedIn(ctx, l, span)
		if err != nil {
			return nil, fmt.Errorf("results of %s: %w", l.cfg.ID, err)
		}
		for start, r := range results {
			all[start] = publishedAs(&r)
		}
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	for start, p := range l.published {
		if span.Has(start) {
			all[start] = p
		}
	}
	return all, nil
}

// signedOff tells who signed a shift of the line, and whether it has changed
// since; nil where nobody did.
func (l *line) signedOff(start plant.Time, p published) *plant.SignedOff {
	e := l.book.Load().signed[instant{plant.EntrySignOff, l.cfg.ID, start}]
	if e == nil {
		return nil
	}
	said, _ := plant.Said[plant.SignOff](e)
	s := &plant.SignedOff{Entry: e.ID, By: e.By, At: e.Said, Why: e.Why, Figures: said.Figures}
	if said.Revision != nil {
		s.Revision = *said.Revision
	}
	if p.revision > s.Revision {
		s.Restated = &plant.Revision{Line: l.cfg.ID, Shift: start, Number: p.revision, At: p.at, Reason: p.reason}
	}
	return s
}

// sign checks that a shift can be signed, and puts the figures that are signed
// into the entry.
func (t *Twin) sign(ctx context.Context, e *plant.Entry) ([]plant.Fault, error) {
	id, start, _ := plant.CutAtKey(e.Key)
	l := t.lineByID[id]
	if l == nil || len(e.Value) == 0 {
		return nil, nil
	}
	all, err := t.publishedShifts(ctx, l, plant.Span{From: start, To: start + 1})
	if err != nil {
		return nil, err
	}
	p, ok := all[start]
	if !ok || p.window.Span.Empty() {
		return []plant.Fault{{Key: "key", Found: e.Key, Allowed: "line@start of a shift that is closed and published, and not withdrawn"}}, nil
	}
	s, _ := plant.Said[plant.SignOff](e)
	if s.Revision != nil && *s.Revision != p.revision {
		return []plant.Fault{{Key: "value.revision", Found: fmt.Sprint(*s.Revision), Allowed: fmt.Sprintf("the current one, %d", p.revision)}}, nil
	}
	f := p.window.Figures()
	f.Revision = p.revision
	for _, shift := range l.shifts(p.window.Span) {
		if shift.From == start {
			f.Shift, f.Day = shift.Name, shift.Day
		}
	}
	s.Revision = &p.revision
	if s.Figures, err = json.Marshal(f); err != nil {
		return nil, fmt.Errorf("figures of %s: %w", e.Key, err)
	}
	e.Value, err = json.Marshal(s)
	return nil, err
}
