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
	at       plant.Time
	reason   string
}

// lateData is why figures change when nobody said anything.
const lateData = "late data"

// whileAway is why figures are others after a restart.
const whileAway = "late data, or other settings, while the twin was away"

// pastChanged has whoever shows figures of the past ask for them again.
func (l *line) pastChanged() {
	l.restates++
	l.version++
}

// restated notes that figures from a time on may have changed, and why.
func (l *line) restated(from plant.Time, why string) {
	l.pastChanged()
	l.recopy.Add(plant.Span{From: max(from, 1), To: forever})
	if l.recheck == 0 || from < l.recheck {
		l.recheck = max(from, 1)
	}
	if l.why == "" || why != lateData {
		l.why = why
	}
}

// revise marks a shift's figures with their revision; what is not published
// yet is provisional.
func (t *Twin) revise(l *line, start plant.Time, f *plant.Figures) {
	p, ok := l.published[start]
	f.Revision, f.SignedOff = p.revision, l.signedOff(start, p)
	if !ok {
		f.Provisional = true
	}
}

// loadPublished takes the closed shifts as the ledger knows them, so that what
// comes in late after a restart is seen as a change.
func (t *Twin) loadPublished(ctx context.Context, l *line, now plant.Time) error {
	span := plant.Span{From: now.Add(-memory), To: now}
	results, err := t.opts.Ledger.Results(ctx, l.cfg.ID, span)
	if err != nil {
		return fmt.Errorf("results of %s: %w", l.cfg.ID, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range results { // the last revision of each shift comes last
		l.published[r.Shift] = publishedAs(&r)
	}
	if len(results) > 0 {
		l.restated(span.From, whileAway)
	}
	return nil
}

// publish publishes closed shifts of lines that have settled, and raises the
// revision of those that changed since.
func (t *Twin) publish(ctx context.Context) {
	if !t.hear(ctx) {
		return
	}
	now := t.now()
	raised := t.unsaved // what the ledger could not take the last time comes first
	t.unsaved = nil
	t.mu.Lock()
	for _, l := range t.lines {
		for _, r := range l.publish(now) {
			raised = append(raised, r)
			if t.opts.Outlet != nil {
				l.recopy.Add(plant.Span{From: r.Shift, To: r.Shift + plant.Millisecond})
			}
		}
	}
	t.mu.Unlock()
	for _, r := range raised {
		if r.Number > 0 {
			t.log.Info("closed shift restated", "line", r.Line, "shift", r.Shift, "revision", r.Number, "reason", r.Reason)
		}
		if err := t.opts.Ledger.SaveResult(ctx, r); err != nil {
			t.unsaved = append(t.unsaved, r)
			t.notice("ledger", err.Error())
		}
	}
}

func (l *line) publish(now plant.Time) []plant.Result {
	for _, m := range l.machines {
		if m.track.dirty != 0 || m.folding {
			l.unsettled = now
		}
	}
	if now.Sub(l.unsettled) < settleAfter {
		return nil
	}
	var raised []plant.Result
	recheck, why := l.recheck, l.why
	l.recheck, l.why = 0, ""
	through := l.through()
	there := map[plant.Time]bool{}
	for _, s := range l.shifts(plant.Span{From: now.Add(-memory), To: now}) {
		there[s.From] = true
		if s.To > through || s.To.Add(settleAfter) > now || s.From < now.Add(-memory) {
			continue
		}
		p, ok := l.published[s.From]
		if ok && (recheck == 0 || max(s.To, p.window.Span.To) <= recheck) { // it may have been ended there
			continue
		}
		w := l.window(s.Span)
		r := plant.Revision{Line: l.cfg.ID, Shift: s.From, At: now}
		switch {
		case !ok:
			l.published[s.From] = published{window: w, at: now}
			raised = append(raised, plant.Result{Revision: r, Window: w})
		case w != p.window:
			p = published{w, p.revision + 1, now, why}
			l.published[s.From] = p
			r.Number, r.Reason = p.revision, why
			raised = append(raised, plant.Result{Revision: r, Window: w})
		}
	}
	for start, p := range l.published {
		switch {
		case start < now.Add(-memory):
			delete(l.published, start)
		case there[start] || recheck == 0 || start < recheck || p.window.Span.Empty():
		default: // another calendar: the shift is withdrawn
			p = published{plant.Window{}, p.revision + 1, now, why}
			l.published[start] = p
			raised = append(raised, plant.Result{Revision: plant.Revision{Line: l.cfg.ID, Shift: start, Number: p.revision, At: now, Reason: why}})
		}
	}
	if len(raised) > 0 {
		l.pastChanged()
	}
	return raised
}
