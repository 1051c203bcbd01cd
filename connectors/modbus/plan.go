package modbus

import (
	"cmp"
	"slices"
)

// block is one request: a run of one table, and the points that lie in it (as
// indices into the device's points, in order of address).
type block struct {
	table        table
	start, count uint16
	points       []int
}

// limits bound what one request may read.
type limits struct {
	gap, registers, bits int
}

func (l limits) of(t table) (gap, most int) {
	if t.bits() {
		return 16 * l.gap, l.bits
	}
	return l.gap, l.registers
}

// plan gathers points into as few requests as the limits allow. A point's
// registers are never torn apart. Overlapping points share a request.
func plan(points []point, l limits) []block {
	order := make([]int, len(points))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		p, q := &points[a], &points[b]
		return cmp.Or(cmp.Compare(p.table, q.table), cmp.Compare(p.start, q.start), cmp.Compare(p.count, q.count))
	})
	var blocks []block
	for _, i := range order {
		p := &points[i]
		if n := len(blocks); n > 0 && blocks[n-1].takes(p, l) {
			b := &blocks[n-1]
			b.points = append(b.points, i)
			b.count = max(b.count, p.start-b.start+p.count)
			continue
		}
		blocks = append(blocks, block{table: p.table, start: p.start, count: p.count, points: []int{i}})
	}
	return blocks
}

// takes tells whether p, which starts no earlier than b, fits into b.
func (b *block) takes(p *point, l limits) bool {
	gap, most := l.of(b.table)
	end := int(b.start) + int(b.count)
	return p.table == b.table && int(p.start)-end <= gap && int(p.start)+int(p.count)-int(b.start) <= most
}

// around gives the smallest block that holds the given points, which are in
// order of address.
func around(points []point, members []int) block {
	first := &points[members[0]]
	b := block{table: first.table, start: first.start, count: first.count, points: members}
	for _, i := range members {
		p := &points[i]
		b.count = max(b.count, p.start-b.start+p.count)
	}
	return b
}
