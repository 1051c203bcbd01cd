package twin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"linetwin/plant"
)

// Outlet is a store that other tools read figures from.
type Outlet interface {
	// WriteFigures stores windows in place of what it has of the same line, kind
	// and start. nil means that it has them all; after an error some may be
	// there, and all of them are to be written again.
	WriteFigures(ctx context.Context, windows []plant.LineWindow) error
}

const (
	copyEvery = time.Second
	copyChunk = 6 * time.Hour // of a line, at a time
	copiedKey = "copied."     // and the line's name: in the ledger, copied as JSON
)

// forever is the end of a stretch that ends at whatever is there.
const forever = plant.Time(math.MaxInt64)

// copied is what the outlet has of a line. The ledger keeps it, so that after a
// restart, or when the outlet was away, nothing is missing.
type copied struct {
	From  plant.Time  `json:"from"`            // where the line's data began
	To    plant.Time  `json:"to"`              // every window from there that ends here or before,
	Again plant.Spans `json:"again,omitempty"` // but these are others by now
}

// copyLoop brings the windows of lines to the outlet, each once it is complete
// and again when it was restated. What the outlet does not take is tried again;
// nothing else waits for it.
func (t *Twin) copyLoop(ctx context.Context) error {
	marks := map[*line]*copied{}
	for wait := copyEvery; sleep(ctx, wait); {
		wait = copyEvery
		for _, l := range t.lines {
			err := t.copyLine(ctx, l, marks)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				wait = retryAfter
				t.notice("figures", "figures of "+l.cfg.ID+" wait to be copied: "+err.Error())
			}
		}
		if wait == copyEvery {
			t.Notice("figures", "", 0)
		}
	}
	return nil
}

// copyLine copies what there is to copy of a line: what is new first.
func (t *Twin) copyLine(ctx context.Context, l *line, marks map[*line]*copied) error {
	if marks[l] == nil {
		c, err := t.loadCopied(ctx, l)
		if err != nil {
			return err
		}
		if c == nil {
			return nil // there is no data yet
		}
		marks[l] = c
	}
	c := marks[l]
	if err := t.takeRestated(ctx, l, c); err != nil {
		return err
	}
	for {
		t.mu.RLock()
		through := l.through().Floor(time.Minute)
		t.mu.RUnlock()
		var part plant.Span
		switch fresh := (plant.Span{From: c.To, To: min(through, c.To.Add(copyChunk))}); {
		case !fresh.Empty():
			part = fresh
		case len(c.Again) > 0:
			part = plant.Span{From: c.Again[0].From, To: min(c.Again[0].To, c.Again[0].From.Add(copyChunk))}
		default:
			return nil
		}
		windows, err := t.windowsToCopy(ctx, l, part, through)
		if err != nil {
			return err
		}
		if err := t.opts.Outlet.WriteFigures(ctx, windows); err != nil {
			return err
		}
		if part.From == c.To {
			c.To = part.To
		} else if c.Again[0].From = part.To; c.Again[0].Empty() {
			c.Again = slices.Delete(c.Again, 0, 1)
		}
		if err := t.saveCopied(ctx, l, c); err != nil {
			return err
		}
	}
}

// takeRestated notes what was restated since, in the ledger too: a restart must
// not forget it.
func (t *Twin) takeRestated(ctx context.Context, l *line, c *copied) error {
	t.mu.Lock()
	restated := l.recopy
	l.recopy = nil
	t.mu.Unlock()
	before := slices.Clone(c.Again)
	for _, s := range restated {
		if s.To == forever { // as far as there are windows; what is recomputed may be older
			s.From = max(s.From, c.From)
		}
		c.Again.Add(plant.Span{From: s.From, To: min(s.To, c.To)})
	}
	if slices.Equal(before, c.Again) {
		return nil
	}
	err := t.saveCopied(ctx, l, c)
	if err != nil {
		t.mu.Lock()
		for _, s := range restated {
			l.recopy.Add(s)
		}
		t.mu.Unlock()
	}
	return err
}

// loadCopied gives what was copied of a line; at first nothing of what is in
// memory, and nil where that is nothing.
func (t *Twin) loadCopied(ctx context.Context, l *line) (*copied, error) {
	text, ok, err := t.opts.Ledger.Value(ctx, copiedKey+l.cfg.ID)
	if err != nil {
		return nil, err
	}
	if !ok {
		return t.uncopied(l), nil
	}
	c := &copied{}
	if err := json.Unmarshal([]byte(text), c); err != nil {
		return nil, fmt.Errorf("what was copied of %s: %w", l.cfg.ID, err)
	}
	return c, nil
}

func (t *Twin) uncopied(l *line) *copied {
	t.mu.RLock()
	defer t.mu.RUnlock()
	begin := forever
	for _, m := range l.machines {
		if s := m.segments(plant.Span{To: forever}); len(s) > 0 {
			begin = min(begin, s[0].From)
		}
	}
	if begin == forever {
		return nil
	}
	begin = begin.Floor(time.Hour)
	return &copied{From: begin, To: begin}
}

func (t *Twin) saveCopied(ctx context.Context, l *line, c *copied) error {
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("what was copied of %s: %w", l.cfg.ID, err)
	}
	return t.opts.Ledger.SetValue(ctx, copiedKey+l.cfg.ID, string(text))
}

// windowsToCopy gives the minutes, hours and published shifts of a line that
// overlap a span and are complete: that end at through or before.
func (t *Twin) windowsToCopy(ctx context.Context, l *line, span plant.Span, through plant.Time) ([]plant.LineWindow, error) {
	minutes := wholeMinutes(span)
	hours := plant.Span{From: span.From.Floor(time.Hour), To: (span.To - 1).Floor(time.Hour).Add(time.Hour)}
	from, err := t.pasts(ctx, l, around(hull(minutes, hours)))
	if err != nil {
		return nil, err
	}
	shifts, err := t.publishedShifts(ctx, l, plant.Span{From: span.From.Add(-48 * time.Hour), To: span.To})
	if err != nil {
		return nil, err
	}
	place := plant.Place{Site: t.cfg.Site, Area: l.area, Line: l.cfg.ID}
	var all []plant.LineWindow
	add := func(by string, each time.Duration, within plant.Span) {
		for at := within.From; at < within.To && at.Add(each) <= through; at = at.Add(each) {
			w := l.windowFrom(from, plant.Span{From: at, To: at.Add(each)})
			all = append(all, plant.LineWindow{Place: place, By: by, Figures: w.Figures()})
		}
	}
	add("minute", time.Minute, minutes)
	add("hour", time.Hour, hours)
	for _, start := range slices.SortedFunc(maps.Keys(shifts), cmp.Compare[plant.Time]) {
		p := shifts[start]
		withdrawn := p.window.Span.Empty()
		if !withdrawn && p.window.Span.Overlap(span).Empty() || withdrawn && !span.Has(start) {
			continue
		}
		w := plant.LineWindow{Place: place, By: "shift", Figures: p.window.Figures(), Withdrawn: withdrawn}
		if withdrawn {
			w.Span = plant.Span{From: start, To: start}
		}
		w.Revision = p.revision
		all = append(all, w)
	}
	return all, nil
}
