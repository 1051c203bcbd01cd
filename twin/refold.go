package twin

import (
	"cmp"
	"context"
	"slices"
	"sort"
	"time"

	"linetwin/plant"
)

const (
	refoldLead  = time.Hour       // is folded before the last run before a span, so that all that matters is known
	refoldTail  = 2 * counterWait // is folded after it: counters still tell of what was before
	refoldMost  = 24 * time.Hour  // waits no longer for a counter that tells of a time that nobody saw
	refoldFirst = 6 * time.Hour   // of history that is read at first; then as much as has so many readings:
	refoldFew   = 40_000
	refoldMany  = 160_000
	refoldChunk = 48 * time.Hour
)

// refold folds one machine anew from history through a past span. Nobody else
// has it.
type refold struct {
	m       *machine
	span    plant.Span
	now     plant.Time
	begin   plant.Time // where it began
	track   *track
	next    plant.Time // history is read up to here
	chunk   time.Duration
	waiting []*plant.Batch // what is not in history yet
}

// refold begins at the ledger's last checkpoint before the last run before the
// span, or, where there is none so old, with the last reading of each signal.
func (t *Twin) refold(ctx context.Context, m *machine, span plant.Span, now plant.Time) (*refold, error) {
	begin, err := t.refoldBegin(ctx, m, span.From)
	if err != nil {
		return nil, err
	}
	raw, at, err := t.opts.Ledger.Checkpoint(ctx, m.cfg.ID, begin)
	if err != nil {
		return nil, err
	}
	f := &refold{m: m, span: span, now: now, begin: begin, chunk: refoldFirst, waiting: t.hist.unstored(m.cfg.ID)}
	t.mu.RLock()
	model := m.track.model
	t.mu.RUnlock()
	base := mark{at, raw}
	if cp, err := base.checkpoint(); err == nil && raw != nil {
		f.begin, f.next = at, at
		f.track = &track{model: model, every: refoldChunk, cp: cp, head: cp.Through, claimed: cp.Through, saved: base, base: at}
		f.track.past.Orders = ordersBefore(nil, &cp)
		return f, nil
	}
	return f, t.refoldSeed(ctx, f, model)
}

// refoldBegin gives a time before from at which a machine may be begun with.
func (t *Twin) refoldBegin(ctx context.Context, m *machine, from plant.Time) (plant.Time, error) {
	past, err := t.opts.Ledger.Past(ctx, m.cfg.ID, plant.Span{From: from.Add(-memory), To: from + 1})
	if err != nil {
		return 0, err
	}
	begin := from
	for _, s := range slices.Backward(past.Segments) {
		begin = min(begin, s.From)
		if s.Class == plant.ClassRun {
			break
		}
	}
	return max(begin, from.Add(-memory)).Add(-refoldLead).Floor(time.Minute), nil
}

// refoldSeed begins with what each signal was last, and with who looked since.
func (t *Twin) refoldSeed(ctx context.Context, f *refold, model *MachineModel) error {
	f.next = f.begin
	f.track = &track{model: model, every: refoldChunk, start: f.begin}
	seeds, err := t.opts.History.Before(ctx, f.m.cfg.ID, f.m.roleSignals, f.begin)
	if err != nil || len(seeds) == 0 {
		return err
	}
	first := f.begin
	for _, r := range seeds {
		first = min(first, r.Time)
	}
	before := plant.Span{From: first, To: f.begin}
	rec, err := t.opts.History.Record(ctx, f.m.cfg.ID, []string{}, before)
	if err != nil {
		return err
	}
	f.track.start = first
	feed(f.track, f.m, plant.Record{Readings: seeds, Complete: rec.Complete}, nil, before)
	return nil
}

// through folds on until what was before a time is certain: no counter may
// still tell of pieces that were made in a time that nobody saw.
func (f *refold) through(ctx context.Context, h History, at plant.Time) error {
	to := min(at.Add(refoldTail), f.now)
	// As far as the span needs anyway it may be read in larger parts.
	limit := max(to, min(f.span.To.Add(refoldTail), f.now))
	for {
		for f.next < to {
			if err := f.read(ctx, h, limit); err != nil {
				return err
			}
		}
		if to >= min(at.Add(refoldMost), f.now) || f.settled(at) {
			return nil
		}
		to = min(to.Add(time.Hour), f.now)
		limit = max(limit, to)
	}
}

// read folds the next part of history.
func (f *refold) read(ctx context.Context, h History, limit plant.Time) error {
	span := plant.Span{From: f.next, To: min(f.next.Add(f.chunk), limit)}
	rec, err := h.Record(ctx, f.m.cfg.ID, f.m.roleSignals, span)
	if err != nil {
		return err
	}
	switch n := len(rec.Readings); {
	case n > refoldMany:
		f.chunk = max(f.chunk/2, time.Minute)
	case n < refoldFew:
		f.chunk = min(2*f.chunk, refoldChunk)
	}
	feed(f.track, f.m, rec, f.waiting, span)
	f.track.outbox, f.track.marks = nil, nil
	f.track.covered.Prune(span.From)
	f.next = span.To
	return nil
}

// settled tells whether what is still to come leaves all before at as it is.
func (f *refold) settled(at plant.Time) bool {
	cp := &f.track.cp
	switch {
	case cp.Through < at:
		return false
	case cp.StandsAfter != 0 && cp.Moved < at:
		return false
	case len(cp.Waiting) > 0:
		return cp.Waiting[0].From >= at
	}
	return cp.Running.From == 0 || cp.Running.From >= at || cp.Running.Class != plant.ClassUnknown
}

// rewrite gives what the ledger is to hold of the machine up to a time in place
// of what it does. A segment at either end stays whole.
func (t *Twin) rewrite(ctx context.Context, f *refold, until plant.Time) ([]plant.Rewrite, error) {
	span := plant.Span{From: f.span.From, To: min(f.span.To, until).Floor(time.Minute)}
	if span.Empty() {
		return nil, nil
	}
	made := slices.Clone(f.track.segments(span))
	hull := span
	for _, s := range made {
		hull = plant.Span{From: min(hull.From, s.From), To: max(hull.To, s.To)}
	}
	old, err := t.opts.Ledger.Past(ctx, f.m.cfg.ID, hull)
	if err != nil {
		return nil, err
	}
	t.mu.RLock()
	live := f.m.track.cp.ReplaceFrom()
	t.mu.RUnlock()
	if len(made) > 0 {
		made = f.joined(made, old.Segments, span, live)
	}
	w := plant.Rewrite{Machine: f.m.cfg.ID, Span: hull, Segments: made, Minutes: span, Pieces: within(f.track.past.Pieces, span),
		Orders: ordersRewritten(f.track.past.Orders, old.Orders, span)}
	// What there was around stays, as far as nothing was made in its place.
	var there plant.Spans
	there.Add(span)
	for _, s := range made {
		there.Add(s.Span)
	}
	for _, s := range old.Segments {
		for _, h := range there.Holes(s.Span) {
			rest := s
			rest.Span = h
			if h != s.Span {
				rest.Pieces = 0 // they are told by what was made
			}
			w.Segments = append(w.Segments, rest)
		}
		w.Span = plant.Span{From: min(w.Span.From, s.From), To: max(w.Span.To, s.From+1)}
	}
	slices.SortFunc(w.Segments, func(a, b plant.Segment) int { return cmp.Compare(a.From, b.From) })
	return []plant.Rewrite{w}, nil
}

// joined gives segments as the ledger is to hold them. The first one may go on
// from before this fold began, the last one may go on after it: then it ends
// where the ledger knows. One that goes on to now, which is from when on live
// tells, is written once it has ended.
func (f *refold) joined(made, old []plant.Segment, span plant.Span, live plant.Time) []plant.Segment {
	at := func(t plant.Time) *plant.Segment {
		i := sort.Search(len(old), func(i int) bool { return old[i].To > t })
		if i < len(old) && old[i].From <= t {
			return &old[i]
		}
		return nil
	}
	first := &made[0]
	if s := at(first.From); s != nil && s.Class == first.Class && first.From <= f.begin {
		first.From = s.From
	}
	last := &made[len(made)-1]
	if !last.Open {
		return made
	}
	last.Open = false
	if s := at(span.To); s != nil && s.Class == last.Class {
		last.To = max(last.To, s.To)
	} else if s == nil && live <= last.From {
		return made[:len(made)-1]
	}
	return made
}
