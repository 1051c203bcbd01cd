package modbus

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"linetwin/plant"
)

// mostOverlaps is how many overlaps of one device are told one by one.
const mostOverlaps = 3

// placed is a signal with where it lies.
type placed struct {
	point
	at     int // in the list of signals
	signal *Signal
}

func (p *placed) key() string { return "[" + strconv.Itoa(p.at) + "].address" }

// where gives "uint16 at holding:2" or "float32 at holding:10 to 11".
func (p *placed) where() string {
	text := fmt.Sprintf("%s at %s:%d", p.shape.name, p.table, p.start)
	if p.count > 1 {
		text += fmt.Sprintf(" to %d", p.start+p.count-1)
	}
	if p.shape.form == formBool && !p.table.bits() {
		text += fmt.Sprintf(" bit %d", p.bit)
	}
	return text
}

// Notes tells what is allowed in a device's signals and likely to be a
// mistake, keys relative to the list. The signals must have been checked.
func (c *Config) Notes(signals []Signal) []plant.Fault {
	points := arranged(signals, c.CountFrom)
	notes := overlaps(points)
	notes = append(notes, orderNotes(points)...)
	if c.CountFrom == 1 {
		return notes
	}
	return append(notes, baseNotes(points)...)
}

// arranged gives the signals in the order of tables and registers.
func arranged(signals []Signal, countFrom int) []placed {
	var all []placed
	for i := range signals {
		if p, err := signals[i].compile(countFrom); err == nil {
			all = append(all, placed{p, i, &signals[i]})
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.table, b.table), cmp.Compare(a.start, b.start), cmp.Compare(a.bit, b.bit))
	})
	return all
}

// overlaps tells of registers that are read as two things. Bits beside the
// register that holds them are no such case, and neither are two bits.
func overlaps(points []placed) []plant.Fault {
	var notes []plant.Fault
	more := 0
	last := map[bool]*placed{} // of bits and of whole registers: what reaches furthest
	for i := range points {
		p := &points[i]
		bits := p.shape.form == formBool
		before := last[bits]
		if before == nil || before.table != p.table || int(before.start)+int(before.count) <= int(p.start) || bits && p.bit != before.bit {
			last[bits] = p
			continue
		}
		if int(p.start)+int(p.count) > int(before.start)+int(before.count) {
			last[bits] = p
		}
		if len(notes) == mostOverlaps {
			more++
			continue
		}
		notes = append(notes, overlap(before, p))
	}
	if more > 0 {
		notes[len(notes)-1].Allowed += fmt.Sprintf(" (and %d more in this device)", more)
	}
	return notes
}

func overlap(a, b *placed) plant.Fault {
	if b.at < a.at {
		a, b = b, a // the later one is told
	}
	switch {
	case a.start == b.start && a.count == b.count && a.shape == b.shape && a.swapW == b.swapW && a.swapB == b.swapB:
		return plant.Fault{Key: b.key(), Found: b.where() + ", as " + a.name + " has it", Allowed: "each value once; take one out, or correct its address"}
	case a.start == b.start && a.count == b.count:
		return plant.Fault{Key: b.key(), Found: b.where() + ", where " + a.name + " reads " + a.where(), Allowed: "one type and order for a value; one of the two is likely wrong"}
	}
	return plant.Fault{Key: b.key(), Found: b.where() + ", into which " + a.name + " reaches (" + a.where() + ")", Allowed: "values beside each other; one address or type is likely wrong"}
}

// orderNotes tells of a few numbers whose words come in another order than
// those of most others.
func orderNotes(points []placed) []plant.Fault {
	of := map[[2]bool][]*placed{}
	total := 0
	for i := range points {
		if p := &points[i]; p.count > 1 && p.shape.form != formString {
			of[[2]bool{p.swapW, p.swapB}] = append(of[[2]bool{p.swapW, p.swapB}], p)
			total++
		}
	}
	var most, rest []*placed
	for _, list := range of {
		if len(list) > len(most) {
			most = list
		}
	}
	if len(of) < 2 || len(most) < 3 || 3*(total-len(most)) > len(most) {
		return nil
	}
	for _, list := range of {
		if list[0] != most[0] {
			rest = append(rest, list...)
		}
	}
	slices.SortFunc(rest, func(a, b *placed) int { return a.at - b.at })
	odd := rest[0]
	found := cmp.Or(odd.signal.Order, "no order (ABCD)")
	if len(rest) > 1 {
		found += fmt.Sprintf(", as %d more", len(rest)-1)
	}
	return []plant.Fault{{Key: "[" + strconv.Itoa(odd.at) + "].order", Found: found,
		Allowed: fmt.Sprintf("one order in a device as a rule; %d have %s, such as %s", len(most), cmp.Or(most[0].signal.Order, "ABCD"), most[0].name)}}
}

// baseNotes tells of addresses that look counted from 1, where names count from
// 0.
func baseNotes(points []placed) []plant.Fault {
	var digits, named *placed
	lowest := map[table]*placed{}
	count := map[table]int{}
	for i := range points {
		p := &points[i]
		switch first := p.signal.Address[0]; {
		case first == '%':
			continue
		case first >= '0' && first <= '9':
			digits = cmp.Or(digits, p)
			continue
		}
		named = cmp.Or(named, p)
		lowest[p.table] = cmp.Or(lowest[p.table], p)
		count[p.table]++
	}
	if digits != nil && named != nil {
		return []plant.Fault{{Key: named.key(), Found: named.signal.Address + ", counted from 0, beside " + digits.signal.Address + " of " + digits.name + ", counted from 1",
			Allowed: fmt.Sprintf("one way of counting in a device; %s is %s:%d", digits.signal.Address, digits.table, digits.start)}}
	}
	var notes []plant.Fault
	for _, t := range [...]table{coils, discrete, holding, input} {
		p := lowest[t]
		if p == nil {
			continue
		}
		first := map[table]uint16{coils: 1, discrete: 10001, holding: 40001, input: 30001}[t]
		switch {
		case p.start == first && t != coils:
			notes = append(notes, plant.Fault{Key: p.key(), Found: p.signal.Address,
				Allowed: fmt.Sprintf("%s:0 or %d, if a manual's %d is meant; numbers after a name count from 0", t, first, first)})
		case p.start == 1 && count[t] >= 3 && evenSteps(points, t):
			notes = append(notes, plant.Fault{Key: p.key(), Found: p.signal.Address + " as the lowest of " + strconv.Itoa(count[t]),
				Allowed: t.String() + ":0, or count_from: 1, if the manual counts from 1"})
		}
	}
	return notes
}

// evenSteps tells whether the values of a table stand one behind the other
// without a hole, so that nothing but the way of counting keeps the first one
// from 0.
func evenSteps(points []placed, t table) bool {
	next := -1
	for i := range points {
		p := &points[i]
		if p.table != t {
			continue
		}
		if next >= 0 && int(p.start) > next {
			return false
		}
		next = max(next, int(p.start)+int(p.count))
	}
	return true
}

// Shared gives two signals, one of this device and one of another, that read
// the same registers or bits, or -1; both are of one unit.
func (c *Config) Shared(signals []Signal, with *Config, others []Signal) (own, other int) {
	one, rest := arranged(signals, c.CountFrom), arranged(others, with.CountFrom)
	for i := range one {
		for j := range rest {
			p, q := &one[i], &rest[j]
			if p.table == q.table && int(p.start) < int(q.start)+int(q.count) && int(q.start) < int(p.start)+int(p.count) && (p.shape.form != formBool || q.shape.form != formBool || p.bit == q.bit) {
				return p.at, q.at
			}
		}
	}
	return -1, -1
}
