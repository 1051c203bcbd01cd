package gateway

import (
	"encoding/binary"
	"math"
	"math/bits"

	"linetwin/plant"
)

// encoder turns batches into a block. It is used again and again, and keeps
// what it knows of machines and signals from one block to the next: a reading
// whose signal follows the one before it, as in the last batch, costs no look
// into a map. Nothing is allocated once it has met every signal. Not for
// concurrent use.
type encoder struct {
	pack     *packer // nil: never compress
	block    uint32  // counts the blocks: what a machine or word holds of an older one is void
	machines map[string]*machineCode
	present  int              // machines in the block
	names    map[string]*word // of signals
	texts    map[string]int   // other strings in the block
	strings  int              // all strings in the block
	counts   []byte
	body     []byte
	raw      []byte
	info     blockInfo
}

// machineCode is what an encoder remembers of a machine.
type machineCode struct {
	block   uint32
	index   int
	through plant.Time
	series  []series
	find    map[string]int32 // a signal's first series
	present int32            // series in the block
}

// series is a signal's readings of one kind. There are two or three for each
// signal of a gateway, so that its size counts.
type series struct {
	signal string
	name   *word
	block  uint32
	index  int32 // in the block
	other  int32 // the signal's series of another kind; 0 for none, as none comes before the first
	state  seriesState
}

// word is a string and its index in a block.
type word struct {
	block uint32
	index int
}

// seriesState is what stood last in a series: both ends of the codec keep it
// in step.
type seriesState struct {
	kind     plant.Kind
	single   bool // the decimal is of float32 precision
	decimals int8
	misses   uint8  // encoder only: floats in a row that were no decimals
	bits     uint64 // of the last float
	last     int64  // last integer, or m of the last decimal
	text     string
}

func newEncoder(p *packer) *encoder {
	return &encoder{pack: p, block: 1, machines: map[string]*machineCode{}, names: map[string]*word{}, texts: map[string]int{}}
}

func (e *encoder) reset() {
	if e.block++; e.block == 0 { // once in four billion blocks
		clear(e.machines)
		clear(e.names)
		e.block = 1
	}
	clear(e.texts)
	e.present, e.strings = 0, 0
	e.counts, e.body, e.info = e.counts[:0], e.body[:0], blockInfo{}
}

// size gives the bytes of payload so far.
func (e *encoder) size() int { return len(e.counts) + len(e.body) }

// add appends a batch that came to the buffer at kept.
func (e *encoder) add(b *plant.Batch, kept plant.Time) {
	if e.info.batches == 0 {
		e.info.kept = kept
	}
	e.info.batches++
	e.info.readings += len(b.Readings)
	e.info.widen(b.Complete.From)
	e.info.widen(b.Complete.To)
	e.counts = binary.AppendUvarint(e.counts, uint64(len(b.Readings)))

	m, known := e.machine(b.Machine)
	unit := plant.Millisecond
	if !wholeMillis(m.through, b) {
		unit = 1
	}
	head := uint64(m.index) << 1
	if unit == 1 {
		head |= 1
	}
	e.body = binary.AppendUvarint(e.body, head)
	if !known {
		e.body = appendString(e.body, b.Machine)
	}
	e.body = binary.AppendVarint(e.body, int64((b.Complete.From-m.through)/unit))
	e.body = binary.AppendVarint(e.body, int64((b.Complete.To-b.Complete.From)/unit))
	m.through = b.Complete.To

	at, slot, index := b.Complete.To, -1, -1
	for i := range b.Readings {
		r := &b.Readings[i]
		slot = m.slot(e, r, slot+1)
		index = e.reading(m, &m.series[slot], r, index, int64((r.Time-at)/unit))
		at = r.Time
	}
}

// machine gives a machine's code, and whether it is in the block already.
func (e *encoder) machine(name string) (m *machineCode, known bool) {
	m = e.machines[name]
	if m == nil {
		m = &machineCode{find: map[string]int32{}}
		e.machines[name] = m
	}
	if m.block == e.block {
		return m, true
	}
	m.block, m.index, m.through, m.present = e.block, e.present, 0, 0
	e.present++
	return m, false
}

// slot gives the place of a reading's series, which is likely at guess.
func (m *machineCode) slot(e *encoder, r *plant.Reading, guess int) int {
	kind := r.Value.Kind()
	if guess < len(m.series) && m.series[guess].holds(r.Signal, kind) {
		return guess
	}
	at, known := m.find[r.Signal]
	for known && m.series[at].state.kind != kind {
		if m.series[at].other == 0 {
			m.series[at].other = int32(len(m.series))
			return m.add(e, r.Signal, kind)
		}
		at = m.series[at].other
	}
	if !known {
		m.find[r.Signal] = int32(len(m.series))
		return m.add(e, r.Signal, kind)
	}
	return int(at)
}

func (s *series) holds(signal string, kind plant.Kind) bool {
	return s.signal == signal && s.state.kind == kind
}

func (m *machineCode) add(e *encoder, signal string, kind plant.Kind) int {
	name := e.names[signal]
	if name == nil {
		name = &word{}
		e.names[signal] = name
	}
	m.series = append(m.series, series{signal: signal, name: name, state: seriesState{kind: kind}})
	return len(m.series) - 1
}

func wholeMillis(through plant.Time, b *plant.Batch) bool {
	odd := through%plant.Millisecond | b.Complete.From%plant.Millisecond | b.Complete.To%plant.Millisecond
	for i := range b.Readings {
		odd |= b.Readings[i].Time % plant.Millisecond
	}
	return odd == 0
}

// reading appends one reading and gives its series' index in the block.
func (e *encoder) reading(m *machineCode, s *series, r *plant.Reading, before int, later int64) int {
	known := s.block == e.block
	if !known {
		s.block, s.index, s.state = e.block, m.present, seriesState{kind: s.state.kind}
		m.present++
	}
	at := len(e.body)
	e.body = append(e.body, 0)
	var control byte
	if int(s.index) == before+1 {
		control |= ctlNext
	} else {
		e.body = binary.AppendUvarint(e.body, uint64(s.index))
	}
	if !known {
		e.name(s.name, s.signal)
		e.body = append(e.body, byte(s.state.kind))
	}
	if later == 0 {
		control |= ctlTime
	} else {
		e.body = binary.AppendVarint(e.body, later)
	}
	if r.Quality < 3 {
		control |= byte(r.Quality) << ctlQuality
	} else {
		control |= 3 << ctlQuality
		e.body = append(e.body, byte(r.Quality))
	}
	if r.Reason != "" {
		control |= ctlReason
		e.string(r.Reason)
	}
	e.body[at] = control | e.value(&s.state, r.Value)<<ctlForm
	return int(s.index)
}

// value appends what a value needs behind the control byte and gives its form.
func (e *encoder) value(s *seriesState, v plant.Value) byte {
	switch s.kind {
	case plant.KindBoolean:
		if v.Boolean() {
			return 1
		}
	case plant.KindInteger:
		d := zigzag(v.Integer() - s.last)
		s.last = v.Integer()
		if d < formFollows {
			return byte(d)
		}
		e.body = binary.AppendUvarint(e.body, d)
		return formFollows
	case plant.KindText:
		if v.Text() == s.text {
			return 1
		}
		s.text = v.Text()
		e.string(s.text)
	case plant.KindFloat:
		return e.float(s, v.Float())
	}
	return 0
}

func (e *encoder) float(s *seriesState, f float64) byte {
	b := math.Float64bits(f)
	before := s.bits
	s.bits = b
	if b == before {
		return floatSame
	}
	if m, ok := asDecimal(f, int(s.decimals), s.single); ok {
		e.body = binary.AppendVarint(e.body, m-s.last)
		s.last, s.misses = m, 0
		if s.single {
			return floatDec32
		}
		return floatDec64
	}
	// A series that holds no decimals is not searched at each reading.
	if s.misses < 4 || s.misses%16 == 0 {
		if m, k, single, ok := findDecimal(f); ok {
			e.body = append(e.body, byte(k))
			e.body = binary.AppendVarint(e.body, m)
			s.last, s.decimals, s.single, s.misses = m, int8(k), single, 0
			if single {
				return floatNew32
			}
			return floatNew64
		}
	}
	if s.misses++; s.misses == 0 {
		s.misses = 16 // as 256
	}
	x := b ^ before
	lead, trail := bits.LeadingZeros64(x)/8, bits.TrailingZeros64(x)/8
	e.body = append(e.body, byte(lead<<4|trail))
	for i := trail; i < 8-lead; i++ {
		e.body = append(e.body, byte(x>>(8*i)))
	}
	return floatXOR
}

// asDecimal gives m where f is exactly m/10^k, at the given precision.
func asDecimal(f float64, k int, single bool) (int64, bool) {
	m := math.RoundToEven(f * pow10(k))
	if !(math.Abs(m) < 1<<50) {
		return 0, false
	}
	return int64(m), math.Float64bits(fromDecimal(int64(m), k, single)) == math.Float64bits(f)
}

func fromDecimal(m int64, k int, single bool) float64 {
	f := float64(m) / pow10(k)
	if single {
		return float64(float32(f))
	}
	return f
}

func findDecimal(f float64) (m int64, k int, single, ok bool) {
	for k = 0; k <= maxDecimals; k++ {
		if m, ok = asDecimal(f, k, false); ok {
			return m, k, false, true
		}
	}
	if float64(float32(f)) != f {
		return 0, 0, false, false
	}
	for k = 0; k <= maxDecimals; k++ {
		if m, ok = asDecimal(f, k, true); ok {
			return m, k, true, true
		}
	}
	return 0, 0, false, false
}

// string appends the index of s, and s itself at its first use.
func (e *encoder) string(s string) {
	i, known := e.texts[s]
	if !known {
		i = e.strings
		e.texts[s] = i
	}
	e.indexed(i, known, s)
}

// name is string for the name of a signal.
func (e *encoder) name(w *word, s string) {
	known := w.block == e.block
	if !known {
		w.block, w.index = e.block, e.strings
	}
	e.indexed(w.index, known, s)
}

func (e *encoder) indexed(i int, known bool, s string) {
	e.body = binary.AppendUvarint(e.body, uint64(i))
	if !known {
		e.strings++
		e.body = appendString(e.body, s)
	}
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// finish appends the block to dst.
func (e *encoder) finish(dst []byte) ([]byte, blockInfo) {
	at := len(dst)
	e.raw = append(append(e.raw[:0], e.counts...), e.body...)
	dst = append(dst, blockVersion, 0, 0, 0, 0, packNone)
	dst = e.info.append(dst)
	dst = binary.AppendUvarint(dst, uint64(len(e.raw)))
	start := len(dst)
	if e.pack != nil && len(e.raw) >= packThreshold {
		dst = e.pack.enc.EncodeAll(e.raw, dst)
		dst[at+5] = packZstd
	}
	if n := len(dst) - start; n == 0 || n >= len(e.raw) {
		dst = append(dst[:start], e.raw...)
		dst[at+5] = packNone
	}
	binary.LittleEndian.PutUint32(dst[at+1:], checksum(dst[at+5:]))
	return dst, e.info
}
