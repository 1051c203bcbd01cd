package twin

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"linetwin/plant"
)

// Distances of kept checkpoints: late data, or a restart, folds at most this
// much again, besides what follows it.
const (
	checkpointPast = time.Hour       // while the past is folded again
	checkpointLive = 5 * time.Minute // at the live end
)

// pendingKept is for how many events a track keeps room.
const pendingKept = 1024

// track carries one machine's fold through time: it takes batches in any
// order, folds what goes on from where it is, and remembers from when on the
// rest must be folded again. It is plain state, without locks or clock.
type track struct {
	model *MachineModel
	every time.Duration // distance of checkpoints, whole minutes

	cp      Checkpoint
	head    plant.Time  // data is known up to here
	claimed plant.Time  // and claimed to be complete up to here
	start   plant.Time  // where this track began, when it had no checkpoint to begin from
	pending []Event     // after head, sorted
	covered plant.Spans // what batches claimed to be complete
	dirty   plant.Time  // the earliest instant that must be folded again; 0: none

	past  plant.Past // what the fold gave, in order
	marks []mark     // checkpoints at whole minutes, oldest first
	saved mark       // the newest one that is in the outbox or the ledger

	eventful bool       // something was folded since saved
	base     plant.Time // where folding began

	outbox []plant.Progress // for the ledger

	scratch Output // what the last fold gave: its memory is used again
}

type mark struct {
	at  plant.Time
	raw []byte
}

// apply takes a batch's readings of role signals (in order of time) and its
// claim. It tells whether anything that can be seen changed. A reading from
// before the claim, of which nobody knows what was around it, tells of its own
// instant. A batch that says nothing of a time that is not known already is a
// repeat, unless it is known to be late: then a clock that was set back has read
// it.
func (k *track) apply(readings []plant.Reading, claim plant.Span, late bool) (changed bool) {
	if late && k.late(readings) {
		k.markDirty(readings[0].Time)
	}
	for len(readings) > 0 && k.head < readings[0].Time && readings[0].Time < claim.From {
		at := readings[0].Time
		n := sort.Search(len(readings), func(i int) bool { return readings[i].Time > at })
		changed = k.take(readings[:n], plant.Span{From: at, To: at}) || changed
		readings = readings[n:]
	}
	return k.take(readings, claim) || changed
}

// late tells whether the first of readings is of a time that is folded already.
func (k *track) late(readings []plant.Reading) bool {
	return len(readings) > 0 && readings[0].Time < k.cp.Through
}

func (k *track) take(readings []plant.Reading, claim plant.Span) bool {
	// A claim of (From, To] is kept as [From, To+1), so that claims side by
	// side touch and a first look, whose From is its To, counts.
	kept := plant.Span{From: claim.From, To: claim.To + 1}
	if k.covered.Covers(kept) && !k.news(readings, claim) {
		return false
	}
	for _, h := range k.covered.Holes(plant.Span{From: kept.From, To: min(kept.To, k.claimed)}) {
		k.markDirty(h.From)
	}
	k.covered.Add(kept)
	if k.claimed < k.head && k.claimed < claim.From {
		k.markDirty(k.claimed) // what was said ahead of the claims is followed by none of them
	}
	k.claimed = max(k.claimed, claim.To)
	if k.head == 0 && k.start == 0 {
		k.start = claim.From
	}
	if k.head != 0 && claim.From > k.head {
		k.advance(k.head) // what was read as the last look ended comes before that nobody looked
		k.insert(Event{Time: k.head, Kind: EventGap, Until: claim.From})
	}
	// A reading tells of its time, also where the claim does not reach it yet,
	// as with OPC UA notifications: screens need not wait for the claim. Should
	// an earlier one follow, it is late and the machine is folded again.
	to := claim.To
	k.pending = slices.Grow(k.pending, len(readings))
	for i := range readings {
		r := &readings[i]
		if r.Time < k.cp.Through {
			k.markDirty(r.Time)
			continue
		}
		if claim.From != claim.To { // a part of a split round waits for the claim of its last part
			to = max(to, r.Time)
		}
		k.insert(Event{Time: r.Time, Kind: EventReading, Reading: *r})
	}
	if to > k.head || k.head == 0 {
		k.head = to
		k.advance(to)
	}
	return true
}

// news tells whether a batch whose claim is known already may still hold
// something new: it claims nothing, as a part of a split round, or a reading
// lies outside of its claim.
func (k *track) news(readings []plant.Reading, claim plant.Span) bool {
	if claim.From == claim.To {
		return len(readings) > 0
	}
	for i := range readings {
		if t := readings[i].Time; (t < claim.From || t > claim.To) && !k.covered.Covers(plant.Span{From: t, To: t + 1}) {
			return true
		}
	}
	return false
}

func (k *track) markDirty(t plant.Time) {
	if k.dirty == 0 || t < k.dirty {
		k.dirty = t
	}
}

func (k *track) insert(e Event) {
	n := len(k.pending)
	if n == 0 || compareEvents(k.pending[n-1], e) <= 0 {
		k.pending = append(k.pending, e)
		return
	}
	i := sort.Search(n, func(i int) bool { return compareEvents(e, k.pending[i]) < 0 })
	k.pending = slices.Insert(k.pending, i, e)
}

// advance folds everything up to t, keeping checkpoints where something
// happened since the last one.
func (k *track) advance(t plant.Time) {
	for {
		from := k.cp.Through
		if from == 0 && len(k.pending) > 0 {
			from = k.pending[0].Time // nothing is known before
		}
		next := from.Floor(k.every).Add(k.every)
		if from == 0 || next > t {
			break
		}
		n := sort.Search(len(k.pending), func(i int) bool { return k.pending[i].Time >= next })
		k.fold(n, next)
		if k.eventful {
			k.keep()
		}
	}
	n := sort.Search(len(k.pending), func(i int) bool { return k.pending[i].Time > t })
	k.fold(n, t)
}

func (k *track) fold(n int, through plant.Time) {
	out := &k.scratch
	out.Segments, out.Pieces, out.Orders = out.Segments[:0], out.Pieces[:0], out.Orders[:0]
	k.eventful = k.eventful || n > 0
	k.model.Fold(&k.cp, k.pending[:n], through, out)
	k.pending = append(k.pending[:0], k.pending[n:]...)
	if cap(k.pending) > pendingKept && len(k.pending) < pendingKept/2 {
		k.pending = slices.Clone(k.pending) // days were folded again: that much room is not needed again
	}
	k.past.Segments = append(k.past.Segments, out.Segments...)
	for _, p := range out.Pieces {
		k.addPieces(p)
	}
	k.addOrders(out.Orders)
}

// addPieces merges p into the entry of its key. Pieces come nearly in order:
// the entry is among the last few.
func (k *track) addPieces(p plant.Pieces) {
	ps := k.past.Pieces
	for i := len(ps) - 1; i >= 0 && ps[i].Minute >= p.Minute; i-- {
		if q := &ps[i]; q.Minute == p.Minute && q.Product == p.Product && q.Order == p.Order {
			q.Good, q.Reject, q.Startup, q.Resets = q.Good+p.Good, q.Reject+p.Reject, q.Startup+p.Startup, q.Resets+p.Resets
			q.Flags |= p.Flags
			return
		}
	}
	i := sort.Search(len(ps), func(i int) bool { return ps[i].Minute > p.Minute })
	k.past.Pieces = slices.Insert(ps, i, p)
}

// keep makes a checkpoint of the present state, which stands at a whole
// minute, and puts what came since the last one into the outbox.
func (k *track) keep() {
	raw, err := k.cp.Encode()
	if err != nil {
		panic(fmt.Sprintf("checkpoint of %s: %v", k.model.ID, err)) // plain data always encodes
	}
	now := mark{at: k.cp.Through, raw: raw}
	from, since := k.saved.replaceFrom(), k.saved.at
	if k.saved.raw == nil { // what the ledger has from before this track's time stays
		from, since = k.start, k.start.Floor(time.Minute)
	}
	p := plant.Progress{Machine: k.model.ID, From: from, Since: since, Checkpoint: raw, At: now.at}
	i := sort.Search(len(k.past.Segments), func(i int) bool { return k.past.Segments[i].From >= from })
	p.Segments = slices.Clone(k.past.Segments[i:])
	j := sort.Search(len(k.past.Pieces), func(j int) bool { return k.past.Pieces[j].Minute >= since })
	p.Pieces = slices.Clone(k.past.Pieces[j:])
	p.Orders = ordersSince(k.past.Orders, since)
	k.outbox = append(k.outbox, p)
	k.marks = append(k.marks, now)
	k.saved = now
	// Further back one in each hour is enough.
	if i := len(k.marks) - 1 - int(checkpointPast/checkpointLive); i > 0 && k.marks[i].at%plant.Time(checkpointPast) != 0 {
		k.marks = slices.Delete(k.marks, i, i+1)
	}
	k.eventful = false
}

// replaceFrom is the time from which what comes after the checkpoint replaces
// what was there.
func (m mark) replaceFrom() plant.Time {
	if m.raw == nil {
		return 0
	}
	cp, err := m.checkpoint()
	if err != nil {
		return 0
	}
	return cp.ReplaceFrom()
}

func (m mark) checkpoint() (Checkpoint, error) {
	if m.raw == nil {
		return Checkpoint{}, nil
	}
	return DecodeCheckpoint(m.raw)
}

// fork gives a track that stands at the checkpoint m, with what k knows from
// before it: the start of folding again.
func (k *track) fork(m mark) (*track, error) {
	cp, err := m.checkpoint()
	if err != nil {
		return nil, err
	}
	// Whether anybody looked after the checkpoint is told anew: late data may lie
	// in what was a gap.
	cp.GapUntil = min(cp.GapUntil, cp.Through)
	f := &track{model: k.model, every: checkpointPast, cp: cp, head: cp.Through, claimed: cp.Through, saved: m, base: m.at}
	from := m.replaceFrom()
	if m.raw != nil {
		i := sort.Search(len(k.past.Segments), func(i int) bool { return k.past.Segments[i].From >= from })
		f.past.Segments = slices.Clone(k.past.Segments[:i])
		j := sort.Search(len(k.past.Pieces), func(j int) bool { return k.past.Pieces[j].Minute >= m.at })
		f.past.Pieces = slices.Clone(k.past.Pieces[:j])
		f.past.Orders = ordersBefore(k.past.Orders, &cp)
		for _, old := range k.marks {
			if old.at <= m.at {
				f.marks = append(f.marks, old)
			}
		}
		for _, s := range k.covered {
			f.covered.Add(plant.Span{From: s.From, To: min(s.To, m.at+1)})
		}
	}
	return f, nil
}

// markBefore gives the newest checkpoint in memory at or before t.
func (k *track) markBefore(t plant.Time) (mark, bool) {
	for i := len(k.marks) - 1; i >= 0; i-- {
		if k.marks[i].at <= t {
			return k.marks[i], true
		}
	}
	return mark{}, false
}

// prune forgets what lies before t.
func (k *track) prune(t plant.Time) {
	i := sort.Search(len(k.past.Segments), func(i int) bool { return k.past.Segments[i].To > t })
	k.past.Segments = slices.Delete(k.past.Segments, 0, i)
	j := sort.Search(len(k.past.Pieces), func(j int) bool { return k.past.Pieces[j].Minute >= t })
	k.past.Pieces = slices.Delete(k.past.Pieces, 0, j)
	o := sort.Search(len(k.past.Orders), func(o int) bool { return k.past.Orders[o].At > t })
	k.past.Orders = slices.Delete(k.past.Orders, 0, max(o-1, 0))
	n := sort.Search(len(k.marks), func(n int) bool { return k.marks[n].at >= t })
	k.marks = slices.Delete(k.marks, 0, n)
	k.covered.Prune(t)
}
