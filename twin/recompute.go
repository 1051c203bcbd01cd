package twin

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"linetwin/plant"
)

const (
	recomputePart = 7 * 24 * time.Hour // of a line that is held in memory at a time
	// Whoever makes the shifts anew of which the twin still holds the machines'
	// tracks leaves their account to publish; near the end of its memory it does
	// not rely on that.
	recomputeOwn = memory - time.Hour
)

// Recompute makes the closed shifts anew that start in a span: it folds their
// machines' readings from history once more, with the settings and entries of
// now, and compares with what was published. It gives the shifts whose account
// is another one and, unless it is dry, restates them with who wanted it as the
// reason: those older than the twin's memory before it returns, younger ones as
// soon as live data allows, as after late data. One works at a time. What it
// holds in memory is a week of one line, however long the span is.
//
// The error is a Refusal for a span or a reason that cannot be, and
// plant.ErrNotFound for a line that there is not.
func (t *Twin) Recompute(ctx context.Context, r plant.Recompute) ([]plant.Effect, error) {
	lines, err := t.toRecompute(&r)
	if err != nil {
		return nil, err
	}
	select {
	case <-t.loaded:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if !t.heard.Load() {
		return nil, fmt.Errorf("%w: the ledger's entries are not read yet", plant.ErrOffline)
	}
	select {
	case t.recomputing <- struct{}{}:
		defer func() { <-t.recomputing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	effects := []plant.Effect{}
	for _, l := range lines {
		if m := t.unread(l); m != "" {
			return effects, fmt.Errorf("%w: the ledger's past of machine %s is not read yet", plant.ErrOffline, m)
		}
		for from := r.From; from < r.To; from = from.Add(recomputePart) {
			part := remake{r, recomputeReason(&r)}
			part.Span = plant.Span{From: from, To: min(from.Add(recomputePart), r.To)}
			some, err := t.recomputeLine(ctx, l, &part)
			if err != nil {
				return effects, fmt.Errorf("recompute %s from %s to %s: %w", l.cfg.ID, part.From, part.To, err)
			}
			effects = append(effects, some...)
		}
	}
	return effects, nil
}

// toRecompute tells what is wrong with a request, and gives its lines.
func (t *Twin) toRecompute(r *plant.Recompute) ([]*line, error) {
	var faults []plant.Fault
	if r.From <= 0 || r.From >= r.To {
		faults = append(faults, plant.Fault{Key: "from", Found: r.From.String(), Allowed: "a time before to, " + r.To.String()})
	}
	if now := t.now(); r.To > now {
		faults = append(faults, plant.Fault{Key: "to", Found: r.To.String(), Allowed: "not after now, " + now.String()})
	}
	if r.By == "" || len(r.By) > plant.MostEntryText {
		faults = append(faults, plant.Fault{Key: "by", Found: r.By, Allowed: fmt.Sprintf("who wants it, at most %d characters", plant.MostEntryText)})
	}
	if len(r.Why) > plant.MostEntryText {
		faults = append(faults, plant.Fault{Key: "why", Allowed: fmt.Sprintf("at most %d characters", plant.MostEntryText)})
	}
	if len(faults) > 0 {
		return nil, Refusal(faults)
	}
	if len(r.Lines) == 0 {
		return t.lines, nil
	}
	var lines []*line
	for _, id := range r.Lines {
		l, err := t.lineOf(id)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(lines, l) {
			lines = append(lines, l)
		}
	}
	return lines, nil
}

// unread names a machine of a line of which the ledger could not tell yet.
func (t *Twin) unread(l *line) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, m := range l.machines {
		if !m.loaded {
			return m.cfg.ID
		}
	}
	return ""
}

// recomputeReason is what a revision says of where it comes from.
func recomputeReason(r *plant.Recompute) string {
	if r.Why == "" {
		return "recomputed by " + r.By
	}
	return "recomputed by " + r.By + ": " + r.Why
}

// remake is a part that is to be made anew, and what revisions say of why.
type remake struct {
	plant.Recompute
	reason string
}

// recomputeLine makes the closed shifts of a line anew that start in a part.
func (t *Twin) recomputeLine(ctx context.Context, l *line, r *remake) ([]plant.Effect, error) {
	now := t.now()
	shifts := t.closed(l, r.Span, now)
	published, err := t.publishedIn(ctx, l, r.Span)
	if err != nil {
		return nil, err
	}
	there := map[plant.Time]bool{}
	for _, s := range shifts {
		there[s.From] = true
	}
	changed, folds, err := t.foldShifts(ctx, l, shifts, published)
	if err != nil {
		return nil, err
	}
	for start, p := range published {
		if !there[start] && !p.Window.Span.Empty() && t.past(l, p.Window.To, now) {
			changed = append(changed, restated{shift: plant.ShiftInstance{Span: plant.Span{From: start, To: p.Window.To}}, before: p, known: true})
		}
	}
	slices.SortFunc(changed, func(a, b restated) int { return cmp.Compare(a.shift.From, b.shift.From) })
	if !r.Dry {
		if err := t.keepRecomputed(ctx, l, r, folds, changed); err != nil {
			return nil, err
		}
	}
	effects := make([]plant.Effect, len(changed))
	for i := range changed {
		effects[i] = changed[i].effect(l.cfg.ID)
	}
	return effects, nil
}

// foldShifts folds the machines of a line anew through shifts, in order, and
// gives those whose account is another one. A shift that history does not know
// whole any more stays as it is, and so do those before it.
func (t *Twin) foldShifts(ctx context.Context, l *line, shifts []plant.ShiftInstance, published map[plant.Time]plant.Result) ([]restated, []*refold, error) {
	gone, err := t.gone(ctx, l, shifts)
	if err != nil {
		return nil, nil, err
	}
	var changed []restated
	for _, s := range shifts[:gone] {
		if p, ok := published[s.From]; ok {
			changed = append(changed, restated{shift: s, before: p, known: true, after: p.Window, kept: true})
		}
	}
	if shifts = shifts[gone:]; len(shifts) == 0 {
		return changed, nil, nil
	}
	folds, err := t.refolds(ctx, l, plant.Span{From: shifts[0].From, To: shifts[len(shifts)-1].To})
	if err != nil {
		return nil, nil, err
	}
	for _, s := range shifts {
		if err := t.refoldThrough(ctx, folds, s.To); err != nil {
			return nil, nil, err
		}
		if wide := l.reach(refolded(folds), s.Span); wide.To > s.To { // what people said reaches beyond it
			if err := t.refoldThrough(ctx, folds, min(wide.To, t.now())); err != nil {
				return nil, nil, err
			}
		}
		w := l.windowFrom(l.amended(refolded(folds)), s.Span)
		p, ok := published[s.From]
		if ok && p.Window == w || !ok && w.Known() == 0 && w.Good+w.Reject == 0 { // before the line was there
			continue
		}
		changed = append(changed, restated{shift: s, before: p, known: ok, after: w})
	}
	return changed, folds, nil
}

// gone gives how many shifts, from the first on, cannot be made anew: history
// has deleted what the ledger knows of a machine in the last one of them.
func (t *Twin) gone(ctx context.Context, l *line, shifts []plant.ShiftInstance) (n int, err error) {
	if len(shifts) == 0 {
		return 0, nil
	}
	span := plant.Span{From: shifts[0].From, To: shifts[len(shifts)-1].To}
	for _, m := range l.machines {
		past, err := t.opts.Ledger.Past(ctx, m.cfg.ID, span)
		if err != nil {
			return 0, err
		}
		rec, err := t.opts.History.Record(ctx, m.cfg.ID, []string{}, span)
		if err != nil {
			return 0, err
		}
		var claimed plant.Spans
		for _, c := range rec.Complete {
			claimed.Add(c)
		}
		for _, b := range t.hist.unstored(m.cfg.ID) {
			claimed.Add(b.Complete)
		}
		for i := len(shifts) - 1; i >= n; i-- {
			for _, s := range past.Segments {
				known := s.Overlap(shifts[i].Span)
				if s.Class == plant.ClassUnknown || known.Empty() {
					continue
				}
				if slices.ContainsFunc(claimed.Holes(known), func(h plant.Span) bool { return h.Length() >= time.Minute }) {
					n = i + 1
					break
				}
			}
		}
	}
	return n, nil
}

// past tells whether the figures of a shift that ended at a time are published
// by now.
func (t *Twin) past(l *line, end, now plant.Time) bool {
	if end.Add(settleAfter) > now {
		return false
	}
	if end <= now.Add(-recomputeOwn) {
		return true // whether or not the line still lives
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return end <= l.through()
}

// closed gives the shifts of a line that start in a span and have ended.
func (t *Twin) closed(l *line, span plant.Span, now plant.Time) []plant.ShiftInstance {
	return slices.DeleteFunc(l.shifts(span), func(s plant.ShiftInstance) bool { return !span.Has(s.From) || !t.past(l, s.To, now) })
}

// publishedIn gives the last account of each of a line's shifts that start in a
// span.
func (t *Twin) publishedIn(ctx context.Context, l *line, span plant.Span) (map[plant.Time]plant.Result, error) {
	results, err := t.opts.Ledger.Results(ctx, l.cfg.ID, span)
	if err != nil {
		return nil, err
	}
	last := make(map[plant.Time]plant.Result, len(results))
	for _, r := range results {
		last[r.Shift] = r
	}
	return last, nil
}

// restated is a shift whose account, made anew, is another one.
type restated struct {
	shift  plant.ShiftInstance
	before plant.Result
	known  bool // there is a before
	after  plant.Window
	kept   bool // it could not be made anew
}

func (c *restated) effect(line string) plant.Effect {
	e := plant.Effect{Line: line, Shift: c.shift.From, Why: plant.EffectOther}
	figures := func(w plant.Window, revision int) *plant.Figures {
		if w.Span.Empty() {
			return nil
		}
		f := w.Figures()
		f.Shift, f.Day, f.Revision = c.shift.Name, c.shift.Day, revision
		return &f
	}
	e.Before, e.After = figures(c.before.Window, c.before.Number), figures(c.after, c.number())
	switch {
	case c.kept:
		e.Why, e.After.Revision = plant.EffectKept, c.before.Number
	case e.Before == nil:
		e.Why = plant.EffectNew
	case e.After == nil:
		e.Why = plant.EffectWithdrawn
	}
	return e
}

// number is the revision that the shift gets.
func (c *restated) number() int {
	if !c.known {
		return 0
	}
	return c.before.Number + 1
}

// keepRecomputed keeps what was made anew. What the twin holds in memory it
// folds again itself, so that what is live stays one thing.
func (t *Twin) keepRecomputed(ctx context.Context, l *line, r *remake, folds []*refold, changed []restated) error {
	now := t.now()
	horizon := now.Add(-recomputeOwn)
	var rewrites []plant.Rewrite
	for _, f := range folds {
		w, err := t.rewrite(ctx, f, horizon)
		if err != nil {
			return err
		}
		rewrites = append(rewrites, w...)
	}
	if len(rewrites) > 0 {
		if err := t.opts.Ledger.Rewrite(ctx, rewrites); err != nil {
			return err
		}
	}
	for i := range changed {
		c := &changed[i]
		if c.shift.From >= horizon || c.kept {
			continue
		}
		if err := t.keepRestated(ctx, l, c, r.reason); err != nil {
			return err
		}
	}
	if r.To <= horizon {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	from := max(r.From, horizon)
	for _, f := range folds {
		f.m.track.markDirty(max(min(from, f.begin), now.Add(-memory)))
	}
	l.restated(from, r.reason)
	return nil
}

// keepRestated keeps the account of an older shift that was made anew.
func (t *Twin) keepRestated(ctx context.Context, l *line, c *restated, reason string) error {
	result := plant.Result{Revision: plant.Revision{Line: l.cfg.ID, Shift: c.shift.From, Number: c.number(), At: t.now(), Reason: reason}, Window: c.after}
	if err := t.opts.Ledger.SaveResult(ctx, result); err != nil {
		return err
	}
	t.log.Info("closed shift made anew", "line", l.cfg.ID, "shift", c.shift.From, "revision", result.Number, "reason", reason)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.opts.Outlet != nil {
		l.recopy.Add(c.shift.Span)
	}
	if _, ok := l.published[c.shift.From]; ok {
		l.published[c.shift.From] = publishedAs(&result)
	}
	return nil
}

// refolds begins to fold the machines of a line anew, so that a span comes
// right.
func (t *Twin) refolds(ctx context.Context, l *line, span plant.Span) ([]*refold, error) {
	folds, now := make([]*refold, len(l.machines)), t.now()
	return folds, each(ctx, len(folds), func(ctx context.Context, i int) (err error) {
		folds[i], err = t.refold(ctx, l.machines[i], span, now)
		return err
	})
}

// refoldThrough folds on until what was before a time is certain.
func (t *Twin) refoldThrough(ctx context.Context, folds []*refold, at plant.Time) error {
	return each(ctx, len(folds), func(ctx context.Context, i int) error { return folds[i].through(ctx, t.opts.History, at) })
}

// each calls f with 0 to n-1, as many at a time as there are cores.
func each(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		g.Go(func() error { return f(ctx, i) })
	}
	return g.Wait()
}

// refolded is the source of what was folded anew.
func refolded(folds []*refold) source {
	return func(m *machine, span plant.Span) plant.Past {
		for _, f := range folds {
			if f.m == m {
				return plant.Past{Segments: f.track.segments(span), Pieces: f.track.past.Pieces, Orders: f.track.past.Orders}
			}
		}
		panic("no machine " + strings.TrimSpace(m.cfg.ID) + " in what is recomputed") // refolds makes one for each
	}
}
