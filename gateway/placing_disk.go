package gateway

import (
	"encoding/binary"
	"slices"
	"time"

	"linetwin/plant"
)

// placingState is what of a placing outlives the process. Its numbers are those
// that the disk knows batches by, whatever a process calls them: the key of the
// block and the place in it, and in the tail that of the record.
type placingState struct {
	moves uint64 // which of two is later, where both know of as many batches
	moved []keptMove
	left  []plant.Range
}

// keptMove is a move with the batches that it is of.
type keptMove struct {
	move
	of []plant.Range
}

func (s *placingState) append(v []byte) []byte {
	if len(s.moved) == 0 && s.moves == 0 { // as versions before wrote it
		return v
	}
	v = binary.AppendUvarint(binary.AppendUvarint(v, s.moves), uint64(len(s.moved)))
	for _, m := range s.moved {
		v = binary.AppendVarint(v, int64(m.since))
		v = binary.AppendVarint(v, int64(m.by))
		v = appendRanges(v, m.of)
	}
	return appendRanges(v, s.left)
}

func readPlacing(c *cursor) (s placingState) {
	if c.err != nil || len(c.b) == 0 {
		return s
	}
	s.moves = c.uvarint()
	for range c.count(len(c.b)) {
		m := keptMove{move: move{since: plant.Time(c.varint()), by: time.Duration(c.varint())}}
		m.of = readRanges(c)
		s.moved = append(s.moved, m)
	}
	s.left = readRanges(c)
	if len(s.moved) == 0 && s.moves == 0 {
		c.fail("no moves")
	}
	return s
}

func appendRanges(v []byte, ranges []plant.Range) []byte {
	v = binary.AppendUvarint(v, uint64(len(ranges)))
	for _, r := range ranges {
		v = binary.AppendUvarint(v, r.First)
		v = binary.AppendUvarint(v, r.Last-r.First)
	}
	return v
}

func readRanges(c *cursor) (ranges []plant.Range) {
	for range c.count(len(c.b)) {
		r := plant.Range{First: c.uvarint()}
		n := c.uvarint()
		if r.Last = r.First + n; r.Last < r.First {
			c.fail("range out of numbers")
		}
		if c.err != nil {
			return nil
		}
		ranges = append(ranges, r)
	}
	return ranges
}

// placingNow gives what is to be kept of the placing. The caller holds mu.
func (q *buffer) placingNow() (s placingState) {
	lowest := q.lowest()
	for _, c := range q.moved {
		if of := q.onDisk(plant.Range{First: max(c.first, lowest), Last: c.next - 1}); len(of) > 0 {
			s.moved = append(s.moved, keptMove{c.move, of})
		}
	}
	s.moves = q.moves
	if len(s.moved) == 0 {
		return s
	}
	for _, r := range q.left {
		s.left = append(s.left, q.onDisk(plant.Range{First: max(r.First, lowest), Last: r.Last})...)
	}
	return s
}

// onDisk gives what the disk knows numbers by. The caller holds mu.
func (q *buffer) onDisk(r plant.Range) (of []plant.Range) {
	for _, b := range q.blocks {
		n := b.numbers()
		if lo, hi := max(n.First, r.First), min(n.Last, r.Last); b.info.batches > 0 && lo <= hi {
			of = joined(of, plant.Range{First: b.key + lo - b.first, Last: b.key + hi - b.first})
		}
	}
	if lo := max(r.First, q.pendingFirst); lo <= r.Last {
		of = joined(of, plant.Range{First: lo, Last: r.Last})
	}
	return of
}

// joined appends r, as one with the last range where it follows it.
func joined(to []plant.Range, r plant.Range) []plant.Range {
	if n := len(to); n > 0 && to[n-1].Last+1 == r.First {
		to[n-1].Last = r.Last
		return to
	}
	return append(to, r)
}

// placeAgain takes over how a process before placed what it left. The blocks have
// their numbers; was says which ones the batches of the tail had that are first
// and the next ones now.
func (q *buffer) placeAgain(s placingState, was []uint64, first uint64) {
	for _, m := range s.moved {
		for _, r := range q.calledNow(m.of, was, first) {
			q.moved = append(q.moved, correction{r.First, r.Last + 1, m.move})
		}
	}
	for _, r := range q.calledNow(s.left, was, first) {
		q.left.add(r)
	}
	if len(q.moved) > 0 {
		q.log.Info("readings of a clock that was put right are moved as they leave", "moves", len(s.moved))
	}
}

// calledNow undoes onDisk.
func (q *buffer) calledNow(of []plant.Range, was []uint64, first uint64) (now []plant.Range) {
	for _, b := range q.blocks {
		for _, r := range of {
			lo, hi := max(b.key, r.First), min(b.key+uint64(max(b.info.batches, 1))-1, r.Last)
			if lo <= hi {
				now = joined(now, plant.Range{First: b.first + lo - b.key, Last: b.first + hi - b.key})
			}
		}
	}
	for i, n := range was {
		if slices.ContainsFunc(of, func(r plant.Range) bool { return r.First <= n && n <= r.Last }) {
			now = joined(now, plant.Range{First: first + uint64(i), Last: first + uint64(i)})
		}
	}
	return now
}
