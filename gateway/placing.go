package gateway

import (
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
	q.moved = slices.DeleteFunc(q.moved, func(c correction) bool { return c.next <= lowest })
	if first := q.unsentFrom(); first < q.next {
		q.moved = append(q.moved, correction{first, q.next, m})
	}
}

// place gives b with right times; b itself where they are.
func (q *buffer) place(b *plant.Batch) *plant.Batch {
	var moves []move
	q.mu.Lock()
	for _, c := range q.moved {
		if c.first <= b.Sequence && b.Sequence < c.next {
			moves = append(moves, c.move)
		}
	}
	q.mu.Unlock()
	if len(moves) == 0 {
		return b
	}
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
