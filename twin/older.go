package twin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"linetwin/plant"
)

const (
	overduesKey = "restating" // in the ledger: overdues as JSON
	// olderStep is of what is too new to be an older shift: that is looked at
	// again once so much of it has become one.
	olderStep = time.Hour
	// olderSaved is after how many steps the ledger is told how far it is.
	olderSaved = 16
)

// overdue is an entry whose effect on a line's closed shifts is not all
// published yet.
type overdue struct {
	Entry uint64     `json:"entry"`
	Line  string     `json:"line"`
	From  plant.Time `json:"from"`  // shifts that start before it are done
	To    plant.Time `json:"to"`    // and those from here on it does not change
	Found bool       `json:"found"` // From and To are held against what is published
}

// overdues are all of them. The ledger keeps them, so that a restart goes on
// with them; entries that it has and that are not Noted are noted then.
type overdues struct {
	Noted   uint64    `json:"noted"`
	Spans   []overdue `json:"spans"`
	unsaved bool
	made    uint64 // shifts that were restated
	steps   uint64 // that it took
}

// noteLocked notes what an entry changes of closed shifts.
func (t *Twin) noteLocked(e *plant.Entry, touched []touched) {
	now := t.now()
	t.overdue.Noted, t.overdue.unsaved = e.ID, true
	for _, a := range touched {
		if to := min(cmp.Or(a.to, now), now); !a.quiet && a.from < to {
			t.overdue.Spans = append(t.overdue.Spans, overdue{Entry: e.ID, Line: a.line.cfg.ID, From: a.from, To: to})
		}
	}
}

// loadOverdues takes what the ledger kept, with what was said since.
func (t *Twin) loadOverdues(ctx context.Context, all []plant.Entry) error {
	text, ok, err := t.opts.Ledger.Value(ctx, overduesKey)
	if err != nil {
		return fmt.Errorf("shifts that are to be restated: %w", err)
	}
	kept := overdues{unsaved: !ok}
	switch {
	case !ok && len(all) > 0: // the ledger is of a version that kept none
		kept.Noted = all[len(all)-1].ID
	case ok:
		if err := json.Unmarshal([]byte(text), &kept); err != nil {
			return fmt.Errorf("decode shifts that are to be restated: %w", err)
		}
	}
	first, _ := slices.BinarySearchFunc(all, kept.Noted+1, func(e plant.Entry, id uint64) int { return cmp.Compare(e.ID, id) })
	told, err := t.toldOrders(ctx, all[first:])
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.overdue = kept
	before, after := newBook(all[:first]), newBook(all)
	for i := first; i < len(all); i++ {
		t.noteLocked(&all[i], t.touches(&all[i], before, after, told))
	}
	return nil
}

// restateOlder restates what entries change of shifts that are older than what
// publish looks at: a week of one line at a time.
func (t *Twin) restateOlder(ctx context.Context) error {
	if !t.heard.Load() {
		return nil
	}
	o, ok := t.nextOverdue()
	if !ok {
		t.Notice("restating", "", 0)
		return t.saveOverdues(ctx)
	}
	select { // one makes past shifts anew at a time
	case t.recomputing <- struct{}{}:
		defer func() { <-t.recomputing }()
	default:
		return nil
	}
	next, made, err := t.restateWeek(ctx, o)
	if err != nil {
		return fmt.Errorf("restate %s since %s for entry %d: %w", o.Line, o.From, o.Entry, err)
	}
	t.mu.Lock()
	for i := range t.overdue.Spans {
		if s := &t.overdue.Spans[i]; s.Entry == o.Entry && s.Line == o.Line {
			*s = next
		}
	}
	t.overdue.unsaved = true
	t.overdue.made += uint64(made)
	t.overdue.steps++
	count, keep := t.overdue.made, t.overdue.steps%olderSaved == 0
	t.mu.Unlock()
	t.Notice("restating", fmt.Sprintf("shifts of line %s since %s are restated for entry %d", o.Line, next.From, o.Entry), count)
	if !keep { // what is done once more after a restart changes nothing
		return nil
	}
	return t.saveOverdues(ctx)
}

// nextOverdue gives the first that has older shifts to look at. What publish
// has dealt with is over.
func (t *Twin) nextOverdue() (overdue, bool) {
	horizon := t.now().Add(-recomputeOwn)
	t.mu.Lock()
	defer t.mu.Unlock()
	open := t.overdue.Spans[:0]
	var next *overdue
	for _, o := range t.overdue.Spans {
		l, end := t.lineByID[o.Line], min(o.To, horizon)
		left := o.From < end && (end == o.To || end.Sub(o.From) >= olderStep)
		if l == nil || !left && l.recheck == 0 {
			t.overdue.unsaved = true
			continue
		}
		open = append(open, o)
		if left && next == nil {
			next = &o
		}
	}
	t.overdue.Spans = open
	if next == nil {
		return overdue{}, false
	}
	return *next, true
}

func (t *Twin) saveOverdues(ctx context.Context) error {
	t.mu.Lock()
	text, err := json.Marshal(t.overdue)
	unsaved := t.overdue.unsaved
	t.overdue.unsaved = false
	t.mu.Unlock()
	if unsaved && err == nil {
		err = t.opts.Ledger.SetValue(ctx, overduesKey, string(text))
	}
	if err != nil {
		t.mu.Lock()
		t.overdue.unsaved = true
		t.mu.Unlock()
	}
	return err
}

// saidOn is a line as it was just before an entry, with that, and as it is now.
type saidOn struct {
	before, with, now *line
	entry             plant.Entry
}

func (t *Twin) saidOn(l *line, id uint64) (saidOn, bool) {
	b := t.said.Load()
	i, ok := slices.BinarySearchFunc(b.entries, id, func(e plant.Entry, id uint64) int { return cmp.Compare(e.ID, id) })
	if !ok {
		return saidOn{}, false
	}
	before, with := newBook(b.entries[:i]), newBook(b.entries[:i+1])
	t.mu.RLock()
	defer t.mu.RUnlock()
	return saidOn{l.with(&t.cfg, before), l.with(&t.cfg, with), l.with(&t.cfg, b), b.entries[i]}, true
}

// restateWeek restates the next week of what is overdue, and gives what is left
// and how many shifts were restated.
func (t *Twin) restateWeek(ctx context.Context, o overdue) (overdue, int, error) {
	l := t.lineByID[o.Line]
	end := min(o.To, t.now().Add(-recomputeOwn))
	s, ok := t.saidOn(l, o.Entry)
	if !ok {
		o.From = o.To
		return o, 0, nil
	}
	if !o.Found {
		if err := t.findOverdue(ctx, l, &s, &o); err != nil {
			return o, 0, err
		}
		if o.From >= min(o.To, end) {
			return o, 0, nil
		}
	}
	end = min(end, o.To)
	part := plant.Span{From: o.From, To: min(o.From.Add(recomputePart), end)}
	changed, err := t.changedBy(ctx, &s, part)
	if err != nil {
		return o, 0, err
	}
	if s.entry.Kind == plant.EntryIdealCycle && len(changed) > 0 {
		err = t.restateFolded(ctx, l, &s, changed)
	} else {
		err = t.keepAll(ctx, l, &s, changed)
	}
	if err != nil {
		return o, 0, err
	}
	o.From = part.To
	return o, len(changed), nil
}

// keepAll keeps shifts as the ledger's past gives them: nothing is folded again,
// so that nothing else comes in than what the entry says, and history may have
// deleted what they were made of.
func (t *Twin) keepAll(ctx context.Context, l *line, s *saidOn, changed []restated) error {
	for i := range changed {
		if err := t.keepRestated(ctx, l, &changed[i], reasonOf(&s.entry)); err != nil {
			return err
		}
	}
	return nil
}

// restateFolded folds machines again through the shifts that an ideal cycle
// changes, for pieces that were made while nobody looked are judged with it.
// What history has deleted counts as it was judged before.
func (t *Twin) restateFolded(ctx context.Context, l *line, s *saidOn, changed []restated) error {
	span := plant.Span{From: changed[0].shift.From, To: changed[len(changed)-1].shift.From + 1}
	for _, x := range l.shifts(plant.Span{From: span.From - 1, To: span.From}) { // which may hold the time of such pieces
		span.From = x.From
	}
	effects, err := t.recomputeLine(ctx, l, &remake{plant.Recompute{Span: span}, reasonOf(&s.entry)})
	if err != nil {
		return err
	}
	return t.keepAll(ctx, l, s, slices.DeleteFunc(changed, func(c restated) bool {
		return !slices.ContainsFunc(effects, func(e plant.Effect) bool { return e.Shift == c.shift.From && e.Why == plant.EffectKept })
	}))
}

// findOverdue holds a span against what is published: it begins with a shift
// that there is, and holds the stop that something is said of.
func (t *Twin) findOverdue(ctx context.Context, l *line, s *saidOn, o *overdue) error {
	now := t.now()
	if id, at, ok := plant.CutAtKey(s.entry.Key); ok && saidOfInstants(s.entry.Kind) {
		said := plant.Span{From: min(at, o.From) - 1, To: max(at, o.To) + 1}
		for _, l := range []*line{s.before, s.with} {
			from, err := t.pasts(ctx, l, said)
			if err != nil {
				return err
			}
			for _, x := range from(t.machines[id], said).Segments {
				o.From, o.To = min(o.From, x.From), max(o.To, x.To)
			}
		}
		o.To = min(o.To, now)
	}
	first := o.From
	for _, l := range []*line{s.before, s.with, s.now} {
		for _, x := range l.shifts(plant.Span{From: o.From, To: o.From + 1}) {
			first = min(first, x.From)
		}
	}
	published, err := t.publishedIn(ctx, l, plant.Span{From: first, To: o.To})
	if err != nil {
		return err
	}
	o.From, o.Found = o.To, true
	for start := range published {
		o.From = min(o.From, start)
	}
	if s.entry.Kind == plant.EntryCalendar { // its shifts may begin before those that are published
		o.From = o.From.Add(-24 * time.Hour)
	}
	o.From = max(o.From, first)
	return nil
}

// changedBy gives the shifts that start in a span of which the entry changes
// the account, with what they are now.
func (t *Twin) changedBy(ctx context.Context, s *saidOn, span plant.Span) ([]restated, error) {
	published, err := t.publishedIn(ctx, s.now, span)
	if err != nil {
		return nil, err
	}
	starts, all := map[plant.Time]bool{}, span
	var sums [3]func(start plant.Time) (plant.ShiftInstance, plant.Window)
	for i, l := range []*line{s.before, s.with, s.now} {
		shifts := map[plant.Time]plant.ShiftInstance{}
		for _, x := range l.shifts(span) {
			if span.Has(x.From) {
				shifts[x.From], starts[x.From] = x, true
				all = hull(all, x.Span)
			}
		}
		from, err := t.pasts(ctx, l, all)
		if err != nil {
			return nil, err
		}
		sums[i] = func(start plant.Time) (plant.ShiftInstance, plant.Window) {
			x, ok := shifts[start]
			if !ok {
				return plant.ShiftInstance{Span: plant.Span{From: start}}, plant.Window{}
			}
			return x, l.windowFrom(from, x.Span)
		}
	}
	var changed []restated
	for _, start := range slices.Sorted(maps.Keys(starts)) {
		_, before := sums[0](start)
		if _, with := sums[1](start); before == with {
			continue
		}
		x, w := sums[2](start)
		p, known := published[start]
		if known && p.Window == w || !known && w.Known() == 0 && w.Good+w.Reject == 0 {
			continue
		}
		changed = append(changed, restated{shift: x, before: p, known: known, after: w})
	}
	return changed, nil
}

// Older gives how many shifts are published in the time that an entry is of and
// that a preview does not look at.
func (t *Twin) Older(ctx context.Context, e plant.Entry) (n int, err error) {
	if e, err = t.checked(ctx, e); err != nil {
		return 0, err
	}
	before, after := t.books(e)
	told, err := t.toldOrders(ctx, []plant.Entry{e})
	if err != nil {
		return 0, err
	}
	t.mu.RLock()
	all := t.touches(&e, before, after, told)
	t.mu.RUnlock()
	horizon := t.now().Add(-memory)
	for _, a := range all {
		span := plant.Span{From: a.from, To: min(cmp.Or(a.to, horizon), horizon)}
		if a.quiet || span.Empty() {
			continue
		}
		for _, x := range a.line.shifts(plant.Span{From: a.from, To: a.from + 1}) {
			span.From = min(span.From, x.From)
		}
		published, err := t.publishedIn(ctx, a.line, span)
		if err != nil {
			return 0, err
		}
		for _, p := range published {
			if !p.Window.Span.Empty() {
				n++
			}
		}
	}
	return n, nil
}
