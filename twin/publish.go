package twin

import (
	"context"
	"fmt"
	"time"

	"linetwin/plant"
)

// settleAfter is how long a line must be free of late data before the figures
// of its closed shifts count as published. Then every further change of them
// raises their revision.
const settleAfter = 30 * time.Second

// published is the account of a closed shift as it was last published.
type published struct {
	window   plant.Window
	revision int
}

// restated notes that data from a time on was folded again.
func (l *line) restated(from plant.Time) {
	if l.recheck == 0 || from < l.recheck {
		l.recheck = from
	}
}

// revise marks a shift's figures with their revision; what is not published
// yet is provisional.
func (t *Twin) revise(l *line, start plant.Time, f *plant.Figures) {
	p, ok := l.published[start]
	f.Revision = p.revision
	if !ok {
		f.Provisional = true
	}
}

// loadPublished takes the closed shifts as the ledger knows them, so that what
// comes in late after a restart is seen as a change.
func (t *Twin) loadPublished(ctx context.Context, l *line, now plant.Time) error {
	span := plant.Span{From: now.Add(-memory), To: now}
	revisions, err := t.opts.Ledger.Revisions(ctx, l.cfg.ID, span)
	if err != nil {
		return fmt.Errorf("revisions of %s: %w", l.cfg.ID, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	through := l.through()
	for _, s := range l.calendar.Between(span) {
		if s.To <= through && s.From >= span.From {
			l.published[s.From] = published{window: l.window(s.Span)}
		}
	}
	for _, r := range revisions {
		p := l.published[r.Shift]
		p.revision = r.Number
		l.published[r.Shift] = p
	}
	return nil
}

// publish publishes closed shifts of lines that have settled, and raises the
// revision of those that changed since.
func (t *Twin) publish(ctx context.Context) {
	now := t.now()
	raised := t.unsaved // what the ledger could not take the last time comes first
	t.unsaved = nil
	t.mu.Lock()
	for _, l := range t.lines {
		raised = append(raised, l.publish(now)...)
	}
	t.mu.Unlock()
	for _, r := range raised {
		t.log.Info("closed shift restated", "line", r.Line, "shift", r.Shift, "revision", r.Number, "reason", r.Reason)
		if err := t.opts.Ledger.SaveRevision(ctx, r); err != nil {
			t.unsaved = append(t.unsaved, r)
			t.notice("ledger", err.Error())
		}
	}
}

func (l *line) publish(now plant.Time) []plant.Revision {
	for _, m := range l.machines {
		if m.track.dirty != 0 || m.folding {
			l.unsettled = now
		}
	}
	if now.Sub(l.unsettled) < settleAfter {
		return nil
	}
	var raised []plant.Revision
	recheck := l.recheck
	l.recheck = 0
	through := l.through()
	for _, s := range l.calendar.Between(plant.Span{From: now.Add(-memory), To: now}) {
		if s.To > through || s.To.Add(settleAfter) > now || s.From < now.Add(-memory) {
			continue
		}
		p, ok := l.published[s.From]
		if ok && (recheck == 0 || s.To <= recheck) {
			continue
		}
		w := l.window(s.Span)
		switch {
		case !ok:
			l.published[s.From] = published{window: w}
		case w != p.window:
			p.window, p.revision = w, p.revision+1
			l.published[s.From] = p
			raised = append(raised, plant.Revision{Line: l.cfg.ID, Shift: s.From, Number: p.revision, At: now, Reason: "late data"})
		}
	}
	for start := range l.published {
		if start < now.Add(-memory) {
			delete(l.published, start)
		}
	}
	return raised
}
