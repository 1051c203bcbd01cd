package sparkplug

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The field numbers of sparkplug_b.proto (Sparkplug B 3.0, 6.3).
const (
	payloadTimestamp = 1
	payloadMetric    = 2
	payloadSeq       = 3
	payloadUUID      = 4
	payloadBody      = 5

	metricFieldName       = 1
	metricFieldAlias      = 2
	metricFieldTimestamp  = 3
	metricFieldDatatype   = 4
	metricFieldHistorical = 5
	metricFieldTransient  = 6
	metricFieldNull       = 7
	metricFieldProperties = 9
	metricFieldInt        = 10
	metricFieldLong       = 11
	metricFieldFloat      = 12
	metricFieldDouble     = 13
	metricFieldBoolean    = 14
	metricFieldString     = 15
	metricFieldBytes      = 16
	metricFieldDataset    = 17
	metricFieldTemplate   = 18
	metricFieldExtension  = 19

	propertySetKey   = 1
	propertySetValue = 2

	propertyFieldType    = 1
	propertyFieldNull    = 2
	propertyFieldInt     = 3
	propertyFieldLong    = 4
	propertyFieldFloat   = 5
	propertyFieldDouble  = 6
	propertyFieldBoolean = 7
	propertyFieldString  = 8
)

// Limits on what is decoded: what is over is refused, so that a hostile
// message cannot make us hold many times its size.
const (
	maxPayload = 16 << 20
	maxMetrics = 1 << 16
)

// payload is a Sparkplug B payload. Its byte slices are parts of the message
// that it was decoded from.
type payload struct {
	time    uint64 // milliseconds since the epoch
	hasTime bool
	seq     uint64
	hasSeq  bool
	uuid    []byte
	body    []byte
	metrics []metric
}

// metric is one metric. Which field of value holds what is told by field, the
// number of the field in the oneof that was there; 0 is none.
type metric struct {
	name       []byte
	alias      uint64
	time       uint64
	datatype   uint32
	field      uint8
	hasAlias   bool
	hasTime    bool
	historical bool
	transient  bool
	null       bool
	bits       uint64 // int, long, float (32 bits), double (64 bits), boolean
	bytes      []byte // string, bytes; dataset, template and extension unread
	properties []byte // a PropertySet, unread
}

// property is one value of a property set.
type property struct {
	datatype uint32
	field    uint8
	null     bool
	bits     uint64
	bytes    []byte
}

// faultAt is an error at an offset of a message.
func faultAt(offset int, format string, args ...any) error {
	return fmt.Errorf("payload at byte %d: %s", offset, fmt.Sprintf(format, args...))
}

// fault names protowire's errors, which it gives as negative lengths.
func fault(n int) string {
	switch n {
	case -1:
		return "unexpected end"
	case -2:
		return "invalid field number"
	case -3:
		return "number of more than 64 bits"
	}
	return "no wire format of protobuf"
}

// readField reads one field at b[at:]: its number and, by its wire type, a number
// or bytes; next is where the following one starts. Groups and unknown numbers
// are for the caller to ignore.
func readField(b []byte, at, base int) (num protowire.Number, typ protowire.Type, bits uint64, data []byte, next int, err error) {
	// Tags of one byte and varints of one byte are by far the most.
	if at < len(b) && b[at] < 0x80 && b[at] >= 8 {
		num, typ = protowire.Number(b[at]>>3), protowire.Type(b[at]&7)
		next = at + 1
	} else {
		var n int
		num, typ, n = protowire.ConsumeTag(b[at:])
		if n < 0 {
			return 0, 0, 0, nil, 0, faultAt(base+at, "tag: %s", fault(n))
		}
		next = at + n
	}
	n := 0
	switch typ {
	case protowire.VarintType:
		if next < len(b) && b[next] < 0x80 {
			bits, n = uint64(b[next]), 1
		} else {
			bits, n = protowire.ConsumeVarint(b[next:])
		}
	case protowire.Fixed32Type:
		var v uint32
		v, n = protowire.ConsumeFixed32(b[next:])
		bits = uint64(v)
	case protowire.Fixed64Type:
		bits, n = protowire.ConsumeFixed64(b[next:])
	case protowire.BytesType:
		data, n = protowire.ConsumeBytes(b[next:])
	default:
		n = protowire.ConsumeFieldValue(num, typ, b[next:])
	}
	if n < 0 {
		return 0, 0, 0, nil, 0, faultAt(base+next, "field %d: %s", num, fault(n))
	}
	return num, typ, bits, data, next + n, nil
}

// decode reads b into p, using p's slice of metrics again. Fields it does not
// know are skipped, as are fields whose wire type is not the one of the
// specification's.
func (p *payload) decode(b []byte) error {
	*p = payload{metrics: p.metrics[:0]}
	if len(b) > maxPayload {
		return faultAt(0, "%d bytes long, want at most %d", len(b), maxPayload)
	}
	for at := 0; at < len(b); {
		num, typ, bits, data, next, err := readField(b, at, 0)
		if err != nil {
			return err
		}
		switch {
		case num == payloadTimestamp && typ == protowire.VarintType:
			p.time, p.hasTime = bits, true
		case num == payloadMetric && typ == protowire.BytesType:
			if len(p.metrics) == maxMetrics {
				return faultAt(at, "more than %d metrics", maxMetrics)
			}
			p.metrics = append(p.metrics, metric{})
			if err := p.metrics[len(p.metrics)-1].decode(data, next-len(data)); err != nil {
				return err
			}
		case num == payloadSeq && typ == protowire.VarintType:
			p.seq, p.hasSeq = bits, true
		case num == payloadUUID && typ == protowire.BytesType:
			p.uuid = data
		case num == payloadBody && typ == protowire.BytesType:
			p.body = data
		}
		at = next
	}
	return nil
}

// decode reads one metric; base is the offset of b in the message.
func (m *metric) decode(b []byte, base int) error {
	for at := 0; at < len(b); {
		if n := m.common(b[at:]); n > 0 {
			at += n
			continue
		}
		num, typ, bits, data, next, err := readField(b, at, base)
		if err != nil {
			return err
		}
		at = next
		switch typ {
		case protowire.VarintType:
			m.number(num, bits)
		case protowire.Fixed32Type:
			if num == metricFieldFloat {
				m.field, m.bits = metricFieldFloat, bits
			}
		case protowire.Fixed64Type:
			if num == metricFieldDouble {
				m.field, m.bits = metricFieldDouble, bits
			}
		case protowire.BytesType:
			switch num {
			case metricFieldName:
				m.name = data
			case metricFieldProperties:
				m.properties = data
			case metricFieldString, metricFieldBytes, metricFieldDataset, metricFieldTemplate, metricFieldExtension:
				m.field, m.bytes = uint8(num), data
			}
		}
	}
	return nil
}

// common reads the field that b begins with, if it is one that nearly every
// metric of a DDATA has, and gives its length; 0 leaves it to readField.
func (m *metric) common(b []byte) int {
	switch b[0] {
	case tagAlias:
		if len(b) > 1 && b[1] < 0x80 {
			m.alias, m.hasAlias = uint64(b[1]), true
			return 2
		}
	case tagTimestamp:
		if v, n := protowire.ConsumeVarint(b[1:]); n > 0 {
			m.time, m.hasTime = v, true
			return n + 1
		}
	case tagLong:
		if v, n := protowire.ConsumeVarint(b[1:]); n > 0 {
			m.field, m.bits = metricFieldLong, v
			return n + 1
		}
	case tagDouble:
		if len(b) >= 9 {
			m.field, m.bits = metricFieldDouble, binary.LittleEndian.Uint64(b[1:])
			return 9
		}
	}
	return 0
}

func (m *metric) number(num protowire.Number, bits uint64) {
	switch num {
	case metricFieldAlias:
		m.alias, m.hasAlias = bits, true
	case metricFieldTimestamp:
		m.time, m.hasTime = bits, true
	case metricFieldDatatype:
		m.datatype = uint32(bits)
	case metricFieldHistorical:
		m.historical = bits != 0
	case metricFieldTransient:
		m.transient = bits != 0
	case metricFieldNull:
		m.null = bits != 0
	case metricFieldInt:
		m.field, m.bits = metricFieldInt, uint64(uint32(bits))
	case metricFieldLong, metricFieldBoolean:
		m.field, m.bits = uint8(num), bits
	}
}

// property finds a property of m by name. It is false where there is none, or
// where the set cannot be read: properties are remarks, and a bad one does not
// spoil the value.
func (m *metric) property(name string) (property, bool) {
	index, seen := -1, 0
	b := m.properties
	for at := 0; at < len(b); {
		num, typ, _, data, next, err := readField(b, at, 0)
		if err != nil {
			return property{}, false
		}
		at = next
		if num == propertySetKey && typ == protowire.BytesType {
			if string(data) == name {
				index = seen
			}
			seen++
		}
	}
	if index < 0 {
		return property{}, false
	}
	for at := 0; at < len(b); {
		num, typ, _, data, next, _ := readField(b, at, 0)
		at = next
		if num != propertySetValue || typ != protowire.BytesType {
			continue
		}
		if index == 0 {
			var p property
			return p, p.decode(data)
		}
		index--
	}
	return property{}, false
}

func (p *property) decode(b []byte) bool {
	for at := 0; at < len(b); {
		num, _, bits, data, next, err := readField(b, at, 0)
		if err != nil {
			return false
		}
		at = next
		switch num {
		case propertyFieldType:
			p.datatype = uint32(bits)
		case propertyFieldNull:
			p.null = bits != 0
		case propertyFieldInt, propertyFieldLong, propertyFieldFloat, propertyFieldDouble, propertyFieldBoolean:
			p.field, p.bits = uint8(num), bits
		case propertyFieldString:
			p.field, p.bytes = uint8(num), data
		}
	}
	return true
}

// float gives the number in a float or double field.
func (m *metric) float() (float64, bool) {
	switch m.field {
	case metricFieldFloat:
		return float64(math.Float32frombits(uint32(m.bits))), true
	case metricFieldDouble:
		return math.Float64frombits(m.bits), true
	}
	return 0, false
}
