package sparkplug

import (
	"math"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"linetwin/plant"
)

// One-byte tags of the fields that are written.
const (
	tagPayloadTimestamp = payloadTimestamp<<3 | byte(protowire.VarintType)
	tagPayloadMetric    = payloadMetric<<3 | byte(protowire.BytesType)
	tagPayloadSeq       = payloadSeq<<3 | byte(protowire.VarintType)

	tagName       = metricFieldName<<3 | byte(protowire.BytesType)
	tagAlias      = metricFieldAlias<<3 | byte(protowire.VarintType)
	tagTimestamp  = metricFieldTimestamp<<3 | byte(protowire.VarintType)
	tagDatatype   = metricFieldDatatype<<3 | byte(protowire.VarintType)
	tagHistorical = metricFieldHistorical<<3 | byte(protowire.VarintType)
	tagNull       = metricFieldNull<<3 | byte(protowire.VarintType)
	tagProperties = metricFieldProperties<<3 | byte(protowire.BytesType)
	tagInt        = metricFieldInt<<3 | byte(protowire.VarintType)
	tagLong       = metricFieldLong<<3 | byte(protowire.VarintType)
	tagDouble     = metricFieldDouble<<3 | byte(protowire.Fixed64Type)
	tagBoolean    = metricFieldBoolean<<3 | byte(protowire.VarintType)
	tagString     = metricFieldString<<3 | byte(protowire.BytesType)
)

// outMetric is a metric to be written. Unlike metric it holds strings, so that
// writing one copies nothing but into the message.
type outMetric struct {
	name       string // written when not empty
	alias      uint64 // written when not 0; ours start at 1
	time       uint64
	datatype   uint32 // written when not 0
	field      uint8  // metricFieldInt, Long, Double, Boolean, String; 0 writes is_null
	typed      bool   // the data type is written even where it is 0 (Unknown), as births must
	historical bool
	bits       uint64
	text       string
	props      outProperties
}

// outProperties are the properties that we write, those not empty.
type outProperties struct {
	hasQuality  bool
	quality     int32
	counter     int32
	reason      string
	unit        string
	description string
}

func (p *outProperties) empty() bool {
	return !p.hasQuality && p.counter == 0 && p.reason == "" && p.unit == "" && p.description == ""
}

// valid gives s as UTF-8, which protobuf demands of strings.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func appendHead(b []byte, time uint64) []byte {
	return protowire.AppendVarint(append(b, tagPayloadTimestamp), time)
}

func appendSeq(b []byte, seq uint8) []byte {
	return protowire.AppendVarint(append(b, tagPayloadSeq), uint64(seq))
}

func (m *outMetric) size() int {
	n := 1 + protowire.SizeVarint(m.time)
	if m.name != "" {
		n += 1 + protowire.SizeBytes(len(m.name))
	}
	if m.alias != 0 {
		n += 1 + protowire.SizeVarint(m.alias)
	}
	if m.datatype != 0 || m.typed {
		n += 1 + protowire.SizeVarint(uint64(m.datatype))
	}
	if m.historical {
		n += 2
	}
	if !m.props.empty() {
		n += 1 + protowire.SizeBytes(m.props.size())
	}
	switch m.field {
	case 0:
		n += 2
	case metricFieldInt, metricFieldLong, metricFieldBoolean:
		n += 1 + protowire.SizeVarint(m.bits)
	case metricFieldDouble:
		n += 9
	case metricFieldString:
		n += 1 + protowire.SizeBytes(len(m.text))
	}
	return n
}

// append writes m, with its tag and length, to the end of b.
func (m *outMetric) append(b []byte) []byte {
	m.name, m.text = valid(m.name), valid(m.text)
	m.props.valid()
	b = protowire.AppendVarint(append(b, tagPayloadMetric), uint64(m.size()))
	if m.name != "" {
		b = protowire.AppendString(append(b, tagName), m.name)
	}
	if m.alias != 0 {
		b = protowire.AppendVarint(append(b, tagAlias), m.alias)
	}
	b = protowire.AppendVarint(append(b, tagTimestamp), m.time)
	if m.datatype != 0 || m.typed {
		b = protowire.AppendVarint(append(b, tagDatatype), uint64(m.datatype))
	}
	if m.historical {
		b = append(b, tagHistorical, 1)
	}
	if m.field == 0 {
		b = append(b, tagNull, 1)
	}
	if !m.props.empty() {
		b = protowire.AppendVarint(append(b, tagProperties), uint64(m.props.size()))
		b = m.props.append(b)
	}
	switch m.field {
	case metricFieldInt:
		b = protowire.AppendVarint(append(b, tagInt), m.bits)
	case metricFieldLong:
		b = protowire.AppendVarint(append(b, tagLong), m.bits)
	case metricFieldBoolean:
		b = protowire.AppendVarint(append(b, tagBoolean), m.bits)
	case metricFieldDouble:
		b = protowire.AppendFixed64(append(b, tagDouble), m.bits)
	case metricFieldString:
		b = protowire.AppendString(append(b, tagString), m.text)
	}
	return b
}

// appendPlain writes what nearly every metric is, a good reading of a number by
// its alias, as outMetric would but three times as fast. It is false for
// others.
func appendPlain(b []byte, alias uint64, r *plant.Reading, historical bool) ([]byte, bool) {
	at := uint64(r.Time.Milli())
	size := 2 + protowire.SizeVarint(alias) + protowire.SizeVarint(at)
	if historical {
		size += 2
	}
	field, bits := byte(0), uint64(0)
	switch r.Value.Kind() {
	case plant.KindFloat:
		bits = math.Float64bits(r.Value.Float())
		if bits&infinity == infinity {
			return b, false
		}
		field, size = tagDouble, size+9
	case plant.KindInteger:
		bits = uint64(r.Value.Integer())
		field, size = tagLong, size+1+protowire.SizeVarint(bits)
	default:
		return b, false
	}
	b = append(b, tagPayloadMetric, byte(size), tagAlias) // size is below 128
	b = append(protowire.AppendVarint(b, alias), tagTimestamp)
	b = protowire.AppendVarint(b, at)
	if historical {
		b = append(b, tagHistorical, 1)
	}
	b = append(b, field)
	if field == tagDouble {
		return protowire.AppendFixed64(b, bits), true
	}
	return protowire.AppendVarint(b, bits), true
}

// infinity is the exponent of the infinities and of every NaN.
const infinity = 0x7ff << 52

func (p *outProperties) valid() {
	p.reason, p.unit, p.description = valid(p.reason), valid(p.unit), valid(p.description)
}

const (
	tagKey          = propertySetKey<<3 | byte(protowire.BytesType)
	tagValue        = propertySetValue<<3 | byte(protowire.BytesType)
	tagPropertyType = propertyFieldType<<3 | byte(protowire.VarintType)
	tagPropertyInt  = propertyFieldInt<<3 | byte(protowire.VarintType)
	tagPropertyText = propertyFieldString<<3 | byte(protowire.BytesType)
)

// outProperty is one property: a text, or a number where text is empty.
type outProperty struct {
	key    string
	number int32
	text   string
}

// list gives those that are there, in the order in which they are written.
func (p *outProperties) list() (list [5]outProperty, n int) {
	if p.hasQuality {
		list[n] = outProperty{key: propertyQuality, number: p.quality}
		n++
	}
	if p.counter != 0 {
		list[n] = outProperty{key: propertyCounter, number: p.counter}
		n++
	}
	for _, t := range [...]outProperty{{key: propertyReason, text: p.reason}, {key: propertyUnit, text: p.unit}, {key: propertyDescription, text: p.description}} {
		if t.text != "" {
			list[n] = t
			n++
		}
	}
	return list, n
}

// size is the length of the PropertyValue.
func (p *outProperty) size() int {
	if p.text != "" {
		return 3 + protowire.SizeBytes(len(p.text))
	}
	return 3 + protowire.SizeVarint(uint64(uint32(p.number)))
}

// size is the length of the PropertySet.
func (p *outProperties) size() int {
	size := 0
	list, n := p.list()
	for i := range list[:n] {
		size += 1 + protowire.SizeBytes(len(list[i].key)) + 1 + protowire.SizeBytes(list[i].size())
	}
	return size
}

// append writes the PropertySet: keys, then values in the same order.
func (p *outProperties) append(b []byte) []byte {
	list, n := p.list()
	for i := range list[:n] {
		b = protowire.AppendString(append(b, tagKey), list[i].key)
	}
	for i := range list[:n] {
		v := &list[i]
		b = protowire.AppendVarint(append(b, tagValue), uint64(v.size()))
		if v.text != "" {
			b = protowire.AppendString(append(b, tagPropertyType, typeString, tagPropertyText), v.text)
		} else {
			b = protowire.AppendVarint(append(b, tagPropertyType, typeInt32, tagPropertyInt), uint64(uint32(v.number)))
		}
	}
	return b
}
