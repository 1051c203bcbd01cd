package gateway

import (
	"encoding/binary"
	"math"

	"linetwin/plant"
)

// blockReader gives the batches of a block, one by one. It keeps the payload,
// not the block, so that one block costs its payload and no more.
type blockReader struct {
	info     blockInfo
	counts   []int
	at       int // batches given so far
	c        cursor
	raw      []byte
	machines []machineText
	strings  []string
}

// machineText is what a reader remembers of a machine within a block.
type machineText struct {
	name    string
	through plant.Time
	signals []string
	states  []seriesState
}

// openBlock checks a block and expands it. The reader r may be used again.
func openBlock(r *blockReader, p *packer, block []byte) error {
	if len(block) < blockHead {
		return damaged("%d bytes long", len(block))
	}
	if block[0] != blockVersion {
		return damaged("version %d", block[0])
	}
	if binary.LittleEndian.Uint32(block[1:]) != checksum(block[5:]) {
		return damaged("checksum")
	}
	c := cursor{b: block[blockHead:]}
	r.info = readInfo(&c)
	size := c.count(maxBlockRaw)
	if c.err != nil {
		return c.err
	}
	switch block[5] {
	case packNone:
		r.raw = append(r.raw[:0], c.b...)
	case packZstd:
		raw, err := p.dec.DecodeAll(c.b, r.raw[:0])
		if err != nil {
			return damaged("expand: %v", err)
		}
		r.raw = raw
	default:
		return damaged("compression %d", block[5])
	}
	if len(r.raw) != size {
		return damaged("payload of %d bytes, want %d", len(r.raw), size)
	}
	r.at, r.c = 0, cursor{b: r.raw}
	r.machines, r.strings, r.counts = r.machines[:0], r.strings[:0], r.counts[:0]
	return r.readCounts()
}

func (r *blockReader) readCounts() error {
	if r.info.batches > len(r.raw) {
		return damaged("%d batches in %d bytes", r.info.batches, len(r.raw))
	}
	sum := 0
	for range r.info.batches {
		// A reading takes at least one byte.
		n := r.c.count(len(r.raw))
		r.counts = append(r.counts, n)
		sum += n
	}
	if r.c.err == nil && (sum != r.info.readings || sum > len(r.c.b)) {
		r.c.fail("count of readings")
	}
	return r.c.err
}

// next fills b with the next batch: machine, claim and readings, the latter in
// b's own slice. After the last batch, more is false.
func (r *blockReader) next(b *plant.Batch) (more bool, err error) {
	if r.at == len(r.counts) {
		if len(r.c.b) != 0 {
			return false, damaged("%d bytes behind the last batch", len(r.c.b))
		}
		return false, nil
	}
	n := r.counts[r.at]
	r.at++
	m, unit := r.machine()
	if r.c.err != nil {
		return false, r.c.err
	}
	b.Machine = m.name
	b.Complete.From = m.through + plant.Time(r.c.varint())*unit
	b.Complete.To = b.Complete.From + plant.Time(r.c.varint())*unit
	m.through = b.Complete.To
	if n > len(r.c.b) {
		return false, damaged("%d readings in %d bytes", n, len(r.c.b))
	}
	b.Readings = b.Readings[:0]
	at, series := b.Complete.To, -1
	for range n {
		var reading plant.Reading
		reading.Machine = m.name
		series = r.reading(m, &reading, series, at, unit)
		if r.c.err != nil {
			return false, r.c.err
		}
		at = reading.Time
		b.Readings = append(b.Readings, reading)
	}
	return true, nil
}

func (r *blockReader) machine() (*machineText, plant.Time) {
	head := r.c.uvarint()
	unit := plant.Millisecond
	if head&1 != 0 {
		unit = 1
	}
	i := head >> 1
	switch {
	case i > uint64(len(r.machines)):
		r.c.fail("machine out of range")
		return nil, 0
	case i == uint64(len(r.machines)):
		r.machines = append(r.machines, machineText{name: r.text()})
	}
	return &r.machines[i], unit
}

func (r *blockReader) reading(m *machineText, to *plant.Reading, before int, at, unit plant.Time) int {
	control := r.c.byte()
	index := before + 1
	if control&ctlNext == 0 {
		index = r.c.count(len(m.states))
	}
	switch {
	case r.c.err != nil:
		return 0
	case index > len(m.states):
		r.c.fail("series out of range")
		return 0
	case index == len(m.states):
		name, kind := r.string(), plant.Kind(r.c.byte())
		if kind > plant.KindText {
			r.c.fail("kind out of range")
			return 0
		}
		m.signals = append(m.signals, name)
		m.states = append(m.states, seriesState{kind: kind})
	}
	to.Signal, to.Time = m.signals[index], at
	if control&ctlTime == 0 {
		to.Time += plant.Time(r.c.varint()) * unit
	}
	to.Quality = plant.Quality(control >> ctlQuality & 3)
	if to.Quality == 3 {
		to.Quality = plant.Quality(r.c.byte())
	}
	if control&ctlReason != 0 {
		to.Reason = r.string()
	}
	to.Value = r.value(&m.states[index], control>>ctlForm)
	return index
}

func (r *blockReader) value(s *seriesState, form byte) plant.Value {
	switch s.kind {
	case plant.KindBoolean:
		return plant.Boolean(form == 1)
	case plant.KindInteger:
		d := uint64(form)
		if form == formFollows {
			d = r.c.uvarint()
		}
		s.last += int64(d>>1) ^ -int64(d&1)
		return plant.Integer(s.last)
	case plant.KindText:
		if form != 1 {
			s.text = r.string()
		}
		return plant.Text(s.text)
	case plant.KindFloat:
		return plant.Float(r.float(s, form))
	}
	return plant.Value{}
}

func (r *blockReader) float(s *seriesState, form byte) float64 {
	switch form {
	case floatSame:
	case floatNew64, floatNew32:
		s.decimals, s.single = int8(r.c.count(maxDecimals)), form == floatNew32
		s.last = r.c.varint()
		s.bits = math.Float64bits(fromDecimal(s.last, int(s.decimals), s.single))
	case floatDec64, floatDec32:
		s.last += r.c.varint()
		s.bits = math.Float64bits(fromDecimal(s.last, int(s.decimals), form == floatDec32))
	case floatXOR:
		n := int(r.c.byte())
		lead, trail := n>>4, n&15
		if lead+trail > 8 {
			r.c.fail("float out of range")
			return 0
		}
		for i, b := range r.c.bytes(8 - lead - trail) {
			s.bits ^= uint64(b) << (8 * (trail + i))
		}
	default:
		r.c.fail("form out of range")
	}
	return math.Float64frombits(s.bits)
}

// string gives the string of an index, which at its first use stands there.
func (r *blockReader) string() string {
	i := r.c.count(len(r.strings))
	if r.c.err != nil {
		return ""
	}
	if i == len(r.strings) {
		r.strings = append(r.strings, r.text())
	}
	return r.strings[i]
}

func (r *blockReader) text() string { return string(r.c.bytes(r.c.count(len(r.c.b)))) }
