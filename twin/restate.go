package twin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"linetwin/plant"
)

const (
	memory       = 8 * 24 * time.Hour // how far back segments and pieces are in memory; older is in the ledger
	restateEvery = 500 * time.Millisecond
	restateRest  = 10               // folding again pauses so many times as long as it took,
	restateMost  = 20 * time.Second // but not longer than this
	restateChunk = 48 * time.Hour   // of history read at a time
	retryAfter   = 5 * time.Second
	loadWait     = 5 * time.Second // for history, at the start
)

// load brings what the ledger knows of each machine into memory. A ledger that
// cannot be read is said and tried again by the first restating.
func (t *Twin) load(ctx context.Context) {
	now := t.now()
	if err := t.loadEntries(ctx); err != nil && ctx.Err() == nil {
		t.log.Warn("entries not read", "error", err)
		t.notice("ledger", err.Error())
	}
	// A history that hangs must not keep the screens dark: what it could not say
	// now, folding again finds out.
	brief, cancel := context.WithTimeout(ctx, loadWait)
	defer cancel()
	for _, m := range t.machineList() {
		if err := t.loadMachine(ctx, brief, m); err != nil && ctx.Err() == nil {
			t.log.Warn("ledger not read", "machine", m.cfg.ID, "error", err)
			t.notice("ledger", err.Error())
		}
	}
	if ctx.Err() != nil {
		return
	}
	if err := t.loadIdentities(ctx); err != nil {
		t.log.Warn("identities of gateways not read", "error", err)
		t.notice("ledger", err.Error())
	}
	if open, err := t.opts.Ledger.Alerts(ctx, plant.Span{}, true); err != nil {
		t.log.Warn("open alerts not read", "error", err)
		t.notice("ledger", err.Error())
	} else {
		t.mu.Lock()
		t.rules.Restore(open)
		t.mu.Unlock()
	}
	for _, l := range t.lines {
		if err := t.loadPublished(ctx, l, now); err != nil {
			t.notice("ledger", err.Error())
		}
	}
}

func (t *Twin) machineList() []*machine {
	var all []*machine
	for _, l := range t.lines {
		all = append(all, l.machines...)
	}
	return all
}

// loadMachine brings what the ledger knows of a machine into memory, and asks
// history, as long as brief lasts, whether it knows more.
func (t *Twin) loadMachine(ctx, brief context.Context, m *machine) error {
	now := t.now()
	raw, at, err := t.opts.Ledger.Checkpoint(ctx, m.cfg.ID, now)
	if err != nil {
		return fmt.Errorf("checkpoint of %s: %w", m.cfg.ID, err)
	}
	past, err := t.opts.Ledger.Past(ctx, m.cfg.ID, plant.Span{From: now.Add(-memory), To: now})
	if err != nil {
		return fmt.Errorf("past of %s: %w", m.cfg.ID, err)
	}
	late, err := t.loadLate(ctx, m.cfg.ID)
	if err != nil {
		return err
	}
	last := mark{at, raw}
	if _, err := last.checkpoint(); err != nil {
		t.log.Warn("checkpoint not understood; all in memory is folded again", "machine", m.cfg.ID, "error", err)
		last, raw = mark{}, nil
	}
	filled, isFilled := t.filled(brief, m, past, last)
	t.mu.Lock()
	defer t.mu.Unlock()
	m.loaded, m.late = true, late
	if raw == nil {
		// Less than an hour was ever folded, or the ledger is new: history tells.
		m.track.markDirty(now.Add(-memory))
		return nil
	}
	old := &track{model: m.track.model, every: checkpointLive, past: past, marks: []mark{{at, raw}}}
	old.covered.Add(plant.Span{From: at - 1, To: at + 1})
	k, err := old.fork(mark{at, raw})
	if err != nil {
		return err
	}
	// What came after the checkpoint is in history, and so may be what came in
	// late just before the twin ended: folding again finds both.
	k.markDirty(at)
	if isFilled {
		k.markDirty(filled)
	}
	if late != 0 {
		k.markDirty(late)
	}
	m.saved = at
	k.every = checkpointLive
	m.track = k
	return nil
}

// filled tells from when on the ledger knows less than history: the first
// stretch that it does not know though history claims to be complete there.
// (A PLC that was away is such a stretch too; folding it again changes nothing.)
func (t *Twin) filled(ctx context.Context, m *machine, past plant.Past, last mark) (plant.Time, bool) {
	span := plant.Span{From: t.now().Add(-memory), To: t.now()}
	rec, err := t.opts.History.Record(ctx, m.cfg.ID, []string{}, span)
	if err != nil {
		if ctx.Err() == nil {
			t.log.Warn("history not read", "machine", m.cfg.ID, "error", err)
		}
		return span.From, true // whoever knows nothing folds all again, once history is there
	}
	segments := past.Segments
	if cp, err := last.checkpoint(); err == nil {
		segments = append(segments[:len(segments):len(segments)], cp.Held()...)
		if open, ok := cp.Segment(); ok {
			segments = append(segments, open)
		}
	}
	var known plant.Spans
	for _, s := range segments {
		if s.Class != plant.ClassUnknown {
			known.Add(s.Span)
		}
	}
	for _, c := range rec.Complete {
		if holes := known.Holes(plant.Span{From: c.From, To: min(c.To, last.at)}); len(holes) > 0 {
			return holes[0].From, true
		}
	}
	return 0, false
}

// restateLoop folds again what late data made wrong, a machine at a time.
func (t *Twin) restateLoop(ctx context.Context) error {
	tick := time.NewTicker(restateEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		began := time.Now()
		for _, m := range t.machineList() {
			t.mu.Lock()
			m.arrive(t.now())
			dirty, loaded := m.track.dirty, m.loaded
			t.mu.Unlock()
			if loaded && dirty == 0 {
				continue
			}
			var err error
			if !loaded {
				err = t.loadMachine(ctx, ctx, m)
			} else {
				err = t.restate(ctx, m)
			}
			if err != nil {
				if ctx.Err() != nil {
					return nil
				}
				t.log.Warn("not folded again yet", "machine", m.cfg.ID, "error", err)
				t.notice("restate", err.Error())
				if !sleep(ctx, retryAfter) {
					return nil
				}
				began = time.Now() // waiting was no work
			}
		}
		// A backlog that comes in makes machines dirty again and again, and each
		// time all from its place on is read and folded.
		if !sleep(ctx, min(restateRest*time.Since(began), restateMost)) {
			return nil
		}
		if err := t.restateOlder(ctx); err != nil && ctx.Err() == nil {
			t.log.Warn("older shifts not restated yet", "error", err)
			t.notice("restate", err.Error())
			if !sleep(ctx, retryAfter) {
				return nil
			}
		}
	}
}

// restate folds a machine again from the last checkpoint before its earliest
// late event, reading the events from history and from what is still on the
// way there. Live batches go on being applied meanwhile; they are applied once
// more to the new track before it takes over.
func (t *Twin) restate(ctx context.Context, m *machine) error {
	t.mu.Lock()
	dirty, head := max(m.track.dirty, t.now().Add(-memory)), m.track.head
	m.track.dirty, m.folding, m.tail = 0, true, nil
	base, ok := m.track.markBefore(dirty)
	if !ok {
		base.at = m.keptBefore(dirty)
	}
	t.mu.Unlock()

	fresh, base, err := t.foldAgain(ctx, m, head, base, ok)

	t.mu.Lock()
	defer t.mu.Unlock()
	if fresh != nil {
		fresh.every = m.track.every
	}
	tail := m.tail
	m.folding, m.tail = false, nil
	if err != nil {
		m.track.markDirty(dirty)
		return fmt.Errorf("fold %s again from %s: %w", m.cfg.ID, dirty, err)
	}
	for _, b := range tail {
		fresh.apply(b.readings, b.claim, b.late)
	}
	fresh.model = m.track.model
	// What came in late before the base while the base was looked for is not in
	// fresh, though fresh took over that it was claimed.
	if d := m.track.dirty; d != 0 && d < fresh.base {
		fresh.markDirty(d)
	}
	// What waits for the ledger from after the base is made again by fresh.
	kept := slices.DeleteFunc(m.track.outbox, func(p plant.Progress) bool { return p.At > fresh.base })
	// The ledger forgets at once what was folded wrongly after the base.
	forget := plant.Progress{Machine: m.cfg.ID, From: base.replaceFrom(), Since: base.at, Checkpoint: base.raw, At: base.at}
	if base.raw == nil {
		forget.From, forget.Since, forget.At = fresh.start, fresh.start, fresh.start
	}
	kept = append(kept, forget)
	fresh.outbox = append(kept, fresh.outbox...)
	old := m.track
	m.track = fresh
	m.line.restated(min(m.changedFrom(old, dirty), m.changedFrom(fresh, dirty)), lateData)
	return nil
}

// keptBefore gives the time, at most before, up to which the ledger's checkpoints
// hold: later ones are forgotten with what is on the way there.
func (m *machine) keptBefore(before plant.Time) plant.Time {
	if m.saving {
		before = min(before, m.savingSince)
	}
	for i := range m.track.outbox {
		before = min(before, m.track.outbox[i].Since)
	}
	return before
}

// foldAgain gives a track that was folded from base on or, where base is not in
// memory, from the ledger's last checkpoint at its time or before.
func (t *Twin) foldAgain(ctx context.Context, m *machine, head plant.Time, base mark, inMemory bool) (*track, mark, error) {
	if !inMemory {
		var err error
		if base.raw, base.at, err = t.opts.Ledger.Checkpoint(ctx, m.cfg.ID, base.at); err != nil {
			return nil, base, err
		}
		if _, err := base.checkpoint(); err != nil {
			base = mark{} // of another version: as if there were none
		}
	}
	// What waits for history is taken before history is read: a batch is then
	// in the one or in the other, or in both, which does no harm.
	waiting := t.hist.unstored(m.cfg.ID)
	t.mu.RLock()
	fresh, err := m.track.fork(base)
	t.mu.RUnlock()
	if err != nil {
		return nil, base, err
	}
	if base.raw != nil && !inMemory {
		from := base.replaceFrom()
		past, err := t.opts.Ledger.Past(ctx, m.cfg.ID, plant.Span{From: min(from, t.now().Add(-memory)), To: base.at})
		if err != nil {
			return nil, base, err
		}
		i := sort.Search(len(past.Segments), func(i int) bool { return past.Segments[i].From >= from })
		past.Segments = past.Segments[:i]
		past.Orders = ordersBefore(past.Orders, &fresh.cp)
		fresh.past = past
	}
	from := base.at
	if base.raw == nil {
		// Nobody says where the past begins: not what was claimed, for readings
		// may be older than the first claim, and not the first checkpoint.
		from = t.now().Add(-memory)
		fresh.start = from
	}
	end := max(head, t.now())
	for _, b := range waiting {
		end = max(end, b.Complete.To)
	}
	end = min(end, t.now().Add(ahead))
	for at, last := from, from > end; !last; at = at.Add(restateChunk) {
		span := plant.Span{From: at, To: at.Add(restateChunk)}
		if last = span.To >= end; last { // a claim reaches over what was read at its very end: no part after it
			span.To = end + plant.Millisecond
		}
		rec, err := t.opts.History.Record(ctx, m.cfg.ID, m.roleSignals, span)
		if err != nil {
			return nil, base, err
		}
		feed(fresh, m, rec, waiting, span)
	}
	return fresh, base, nil
}

// feed applies what is known of span to the track, in the order of time.
func feed(k *track, m *machine, rec plant.Record, waiting []*plant.Batch, span plant.Span) {
	var claims plant.Spans
	for _, c := range rec.Complete {
		claims.Add(plant.Span{From: max(c.From, span.From), To: min(c.To, span.To) + 1})
	}
	readings := slices.DeleteFunc(rec.Readings, func(r plant.Reading) bool { return r.Misplaced() })
	for _, b := range waiting {
		claims.Add(plant.Span{From: max(b.Complete.From, span.From), To: min(b.Complete.To, span.To) + 1})
		for i := range b.Readings {
			if r := &b.Readings[i]; span.Has(r.Time) && m.roles[r.Signal] != "" && !r.Misplaced() {
				readings = append(readings, *r)
			}
		}
	}
	slices.SortStableFunc(readings, func(a, b plant.Reading) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Signal, b.Signal))
	})
	readings = slices.CompactFunc(readings, func(a, b plant.Reading) bool {
		return a.Time == b.Time && a.Signal == b.Signal && a.Same(&b)
	})
	for _, c := range claims {
		n := sort.Search(len(readings), func(i int) bool { return readings[i].Time >= c.To })
		k.apply(readings[:n], plant.Span{From: c.From, To: c.To - 1}, false)
		readings = readings[n:]
	}
	// Beyond every claim somebody looked at least at the times of the readings.
	for len(readings) > 0 {
		at := readings[0].Time
		n := sort.Search(len(readings), func(i int) bool { return readings[i].Time > at })
		k.apply(readings[:n], plant.Span{From: at, To: at}, false)
		readings = readings[n:]
	}
}

// ledgerLoop brings what the tracks made to the ledger.
func (t *Twin) ledgerLoop(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	pruned := t.now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			t.flush(ctx)
		}
		if now := t.now(); now.Sub(pruned) > time.Hour {
			pruned = now
			t.mu.Lock()
			for _, m := range t.machines {
				m.track.prune(min(now, m.track.head).Add(-memory))
			}
			t.mu.Unlock()
		}
	}
}

// flush saves progress, alerts and revisions that wait for the ledger. What
// cannot be saved stays and is tried again.
func (t *Twin) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, m := range t.machineList() {
		if err := t.flushMachine(ctx, m); err != nil {
			t.notice("ledger", err.Error())
		}
	}
	if err := t.forgetLates(ctx); err != nil {
		t.notice("ledger", err.Error())
	}
	t.pending.flush(ctx, t.opts.Ledger, func(err error) { t.notice("ledger", err.Error()) })
	t.checkTypes(ctx)
	t.saveIdentities(ctx)
	t.publish(ctx)
}

// flushMost is how many checkpoints of a machine are saved in one transaction.
const flushMost = 64

// flushMachine saves what one machine's track made. What is about to be folded
// again waits.
func (t *Twin) flushMachine(ctx context.Context, m *machine) error {
	for {
		t.mu.Lock()
		out := m.track.outbox
		n := min(len(out), flushMost)
		if m.folding || !m.loaded {
			n = 0
		}
		for n > 0 && m.track.dirty != 0 && out[n-1].At > m.track.dirty {
			n--
		}
		now := out[:n:n]
		m.track.outbox = out[n:]
		m.saving = n > 0
		for i := range now {
			if i == 0 || now[i].Since < m.savingSince {
				m.savingSince = now[i].Since
			}
			m.saved = max(m.saved, now[i].At)
		}
		t.mu.Unlock()
		if n == 0 {
			return nil
		}
		err := t.opts.Ledger.Save(ctx, now)
		t.mu.Lock()
		if m.saving = false; err != nil {
			m.track.outbox = append(now, m.track.outbox...)
		} else {
			m.saved = now[n-1].At
		}
		t.mu.Unlock()
		if err != nil {
			return err
		}
	}
}
