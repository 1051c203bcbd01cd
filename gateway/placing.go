package gateway

import (
	"maps"
	"slices"

	"linetwin/plant"
)

// placing is what a buffer knows of the times of what it holds. The times on
// its disk are those of the line of time on which they were made; they are
// put right when a batch leaves for the first time.
type placing struct {
	hold  uint64 // numbers from here on stay until the clock is sound; 0: none
	apart uint64 // the lowest number that was made since the link broke
	moved []correction
	left  seqSet                   // of moved, what is counted under its right time
	odd   map[uint64][]plant.Count // of what has not left: readings that are no new ones for sure

	untold bool   // the tail does not say yet what moved
	moves  uint64 // how often something moved
}

// correction says that the times of some batches were wrong, and by how much.
type correction struct {
	first, next uint64 // [first, next)
	move
}

// holdBack keeps what has not left yet until letGo.
func (q *buffer) holdBack() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.hold == 0 {
		q.hold = q.unsentFrom()
	}
}

// unsentFrom gives the lowest number of this process that surely has not left.
// The caller holds mu.
func (q *buffer) unsentFrom() uint64 {
	switch {
	case q.hold != 0:
		return q.hold
	case q.online:
		return q.next
	}
	return q.apart
}

// letGo sends what was held back.
func (q *buffer) letGo() {
	q.mu.Lock()
	held := q.hold
	q.hold = 0
	q.forget()
	if held != 0 {
		q.rescan(held)
	}
	q.mu.Unlock()
	if held != 0 {
		poke(q.toSend)
	}
}

// correct puts right the times of what has not left yet.
func (q *buffer) correct(m move) {
	q.mu.Lock()
	defer q.mu.Unlock()
	lowest := q.lowest()
	q.left.forget(lowest)
	q.moved = slices.DeleteFunc(q.moved, func(c correction) bool { return c.next <= lowest })
	c := correction{q.unsentFrom(), q.next, m}
	if c.first < c.next {
		q.moved = append(q.moved, c)
		q.untold, q.moves = true, q.moves+1
		poke(q.toTail)
		poke(q.toDisk)
	}
	q.book.correct(&c)
}

// noteOdd keeps what of a batch is counted oddly, until that may move no more.
// The caller holds mu.
func (q *buffer) noteOdd(n uint64, odd []plant.Count) {
	if len(odd) == 0 || n < q.unsentFrom() || len(q.odd) >= oddMost {
		return
	}
	if q.odd == nil {
		q.odd = map[uint64][]plant.Count{}
	}
	q.odd[n] = odd
}

// oddMost bounds what is kept of odd counts; of more, a move makes surplus.
const oddMost = 10_000

// forget lets go what is known of odd counts that cannot move. The caller holds
// mu.
func (q *buffer) forget() {
	lowest := q.lowest()
	maps.DeleteFunc(q.odd, func(n uint64, _ []plant.Count) bool {
		return n < lowest || n < q.unsentFrom() && len(q.movesOf(n)) == 0
	})
}

// movesOf gives what moves the batch of a number. The caller holds mu.
func (q *buffer) movesOf(n uint64) (moves []move) {
	for _, c := range q.moved {
		if c.holds(n) {
			moves = append(moves, c.move)
		}
	}
	return moves
}

func (c *correction) holds(n uint64) bool { return c.first <= n && n < c.next }

// place gives b with right times, as it leaves; b itself where they are. From
// then on it is counted under them.
func (q *buffer) place(b *plant.Batch) *plant.Batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.placeLocked(b)
}

func (q *buffer) placeLocked(b *plant.Batch) *plant.Batch {
	moves := q.movesOf(b.Sequence)
	if len(moves) == 0 {
		return b
	}
	placed := placedBy(b, moves)
	if n := b.Sequence; !q.left.has(n) {
		q.left.add(plant.Range{First: n, Last: n})
		back := slices.ContainsFunc(moves, func(m move) bool { return m.by < 0 })
		q.book.replace(b, placed, q.odd[n], back)
		delete(q.odd, n)
	}
	return placed
}

func placedBy(b *plant.Batch, moves []move) *plant.Batch {
	placed := *b
	placed.Readings = slices.Clone(b.Readings)
	for _, m := range moves {
		placed.Complete = m.claim(placed.Complete)
		for i := range placed.Readings {
			r := &placed.Readings[i]
			r.Time = m.apply(r.Time)
			r.Place(plant.ReasonClockUnset)
		}
	}
	return &placed
}

// claim gives what a claim says after the move: none spans it.
func (m move) claim(s plant.Span) plant.Span {
	if s.From <= m.since && s.To > m.since {
		s.From = m.since + 1
	}
	return plant.Span{From: m.apply(s.From), To: m.apply(s.To)}
}
