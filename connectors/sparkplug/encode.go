package sparkplug

import (
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
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
	historical bool
	bits       uint64
	text       string
	props      outProperties
}

// outProperties are the properties that we write, those not empty.
type outProperties struct {
	quality     int32 // written when not 0 or hasQuality
	hasQuality  bool
	reason      string
	unit        string
	description string
}

func (p *outProperties) empty() bool {
	return !p.hasQuality && p.reason == "" && p.unit == "" && p.description == ""
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
	if m.datatype != 0 {
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
	if m.datatype != 0 {
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

func sizeKey(key string) int { return 1 + protowire.SizeBytes(len(key)) }

func (p *outProperties) qualitySize() int {
	return 3 + protowire.SizeVarint(uint64(uint32(p.quality)))
}

func textSize(s string) int { return 3 + protowire.SizeBytes(len(s)) }

// size is the length of the property set: keys and values in the same order.
func (p *outProperties) size() int {
	n := 0
	if p.hasQuality {
		n += sizeKey(propertyQuality) + 1 + protowire.SizeBytes(p.qualitySize())
	}
	for _, t := range p.texts() {
		if t.value != "" {
			n += sizeKey(t.key) + 1 + protowire.SizeBytes(textSize(t.value))
		}
	}
	return n
}

type textProperty struct{ key, value string }

func (p *outProperties) texts() [3]textProperty {
	return [3]textProperty{{propertyReason, p.reason}, {propertyUnit, p.unit}, {propertyDescription, p.description}}
}

func (p *outProperties) append(b []byte) []byte {
	texts := p.texts()
	if p.hasQuality {
		b = protowire.AppendString(append(b, tagKey), propertyQuality)
	}
	for _, t := range texts {
		if t.value != "" {
			b = protowire.AppendString(append(b, tagKey), t.key)
		}
	}
	if p.hasQuality {
		b = protowire.AppendVarint(append(b, tagValue), uint64(p.qualitySize()))
		b = append(b, tagPropertyType, typeInt32, tagPropertyInt)
		b = protowire.AppendVarint(b, uint64(uint32(p.quality)))
	}
	for _, t := range texts {
		if t.value != "" {
			b = protowire.AppendVarint(append(b, tagValue), uint64(textSize(t.value)))
			b = append(b, tagPropertyType, typeString)
			b = protowire.AppendString(append(b, tagPropertyText), t.value)
		}
	}
	return b
}
