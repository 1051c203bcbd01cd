package gateway

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"time"

	"linetwin/plant"
)

// countsState is what is counted and in no report yet, of all batches with a
// number below counted.
type countsState struct {
	counted uint64
	since   plant.Time
	rows    []plant.Count
	gaps    []plant.Gap
	cuts    map[string]cut
	placing placingState
}

func (s *countsState) encode() []byte {
	v := binary.AppendUvarint(nil, s.counted)
	v = binary.AppendVarint(v, int64(s.since))
	v = appendGaps(appendCounts(v, s.rows), s.gaps)
	v = binary.AppendUvarint(v, uint64(len(s.cuts)))
	for _, machine := range slices.Sorted(maps.Keys(s.cuts)) {
		v = appendString(v, machine)
		v = binary.AppendVarint(v, int64(s.cuts[machine].from))
		v = binary.AppendVarint(v, int64(s.cuts[machine].newest))
	}
	return sealed(s.placing.append(v))
}

func readCountsState(v []byte) (s countsState, err error) {
	if v, err = unsealed(v); err != nil {
		return s, err
	}
	c := cursor{b: v}
	s.counted, s.since = c.uvarint(), plant.Time(c.varint())
	s.rows, s.gaps = readCounts(&c), readGaps(&c)
	for range c.count(len(c.b)) {
		if s.cuts == nil {
			s.cuts = map[string]cut{}
		}
		machine := c.text()
		s.cuts[machine] = cut{from: plant.Time(c.varint()), newest: plant.Time(c.varint())}
	}
	s.placing = readPlacing(&c)
	return s, c.ended()
}

func encodeReport(r *plant.CountReport) []byte {
	v := appendString(nil, r.Book)
	v = binary.AppendUvarint(v, r.Number)
	v = binary.AppendVarint(v, int64(r.From))
	v = binary.AppendVarint(v, int64(r.To))
	return sealed(appendGaps(appendCounts(v, r.Counts), r.Gaps))
}

func decodeReport(v []byte) (r plant.CountReport, err error) {
	if v, err = unsealed(v); err != nil {
		return r, err
	}
	c := cursor{b: v}
	r.Book, r.Number = c.text(), c.uvarint()
	r.From, r.To = plant.Time(c.varint()), plant.Time(c.varint())
	r.Counts, r.Gaps = readCounts(&c), readGaps(&c)
	return r, c.ended()
}

// appendCounts writes rows that are in order; a machine is named once.
func appendCounts(v []byte, rows []plant.Count) []byte {
	v = binary.AppendUvarint(v, uint64(len(rows)))
	machine, minute := "", int64(0)
	for i := range rows {
		c := &rows[i]
		same := i > 0 && c.Machine == machine
		v = appendBool(v, same)
		if !same {
			v = appendString(v, c.Machine)
		}
		at := int64(c.Minute / plant.Time(time.Minute))
		v = binary.AppendVarint(v, at-minute)
		for _, n := range [...]uint64{c.Made, c.Repeated, c.Late, c.Dropped} {
			v = binary.AppendUvarint(v, n)
		}
		machine, minute = c.Machine, at
	}
	return v
}

func readCounts(c *cursor) []plant.Count {
	var rows []plant.Count
	machine, minute := "", int64(0)
	for range c.count(len(c.b)) {
		if c.byte() == 0 {
			machine = c.text()
		}
		minute += c.varint()
		if minute < math.MinInt64/int64(time.Minute) || minute > math.MaxInt64/int64(time.Minute) {
			c.fail("minute out of range")
		}
		r := plant.Count{Machine: machine, Minute: plant.Time(minute) * plant.Time(time.Minute), Made: c.uvarint(), Repeated: c.uvarint(), Late: c.uvarint(), Dropped: c.uvarint()}
		if c.err != nil {
			return nil
		}
		rows = append(rows, r)
	}
	return rows
}

func appendGaps(v []byte, gaps []plant.Gap) []byte {
	v = binary.AppendUvarint(v, uint64(len(gaps)))
	for i := range gaps {
		g := &gaps[i]
		v = appendString(v, g.Machine)
		v = binary.AppendVarint(v, int64(g.From))
		v = binary.AppendVarint(v, int64(g.To))
		v = binary.AppendUvarint(v, g.Readings)
	}
	return v
}

func readGaps(c *cursor) []plant.Gap {
	var gaps []plant.Gap
	for range c.count(len(c.b)) {
		g := plant.Gap{Machine: c.text(), Span: plant.Span{From: plant.Time(c.varint()), To: plant.Time(c.varint())}, Readings: c.uvarint()}
		if c.err != nil {
			return nil
		}
		gaps = append(gaps, g)
	}
	return gaps
}

func appendBool(v []byte, b bool) []byte {
	if b {
		return append(v, 1)
	}
	return append(v, 0)
}

func (c *cursor) text() string { return string(c.bytes(c.count(len(c.b)))) }

// ended gives the fault, which bytes that are left are too.
func (c *cursor) ended() error {
	if c.err == nil && len(c.b) > 0 {
		c.fail("bytes behind the end")
	}
	return c.err
}
