package sparkplug

import (
	"fmt"
	"math"

	"linetwin/plant"
)

// Data types (Sparkplug B 3.0, 6.4.16). Those from DataSet on are not read.
const (
	typeInt8     = 1
	typeInt16    = 2
	typeInt32    = 3
	typeInt64    = 4
	typeUInt8    = 5
	typeUInt16   = 6
	typeUInt32   = 7
	typeUInt64   = 8
	typeFloat    = 9
	typeDouble   = 10
	typeBoolean  = 11
	typeString   = 12
	typeDateTime = 13
	typeText     = 14
	typeUUID     = 15
)

var typeNames = [...]string{"Unknown", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64",
	"Float", "Double", "Boolean", "String", "DateTime", "Text", "UUID", "DataSet", "Bytes", "File", "Template"}

func typeName(t uint32) string {
	if int64(t) < int64(len(typeNames)) {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", t)
}

// The quality codes (Sparkplug B 3.0, 6.4.9.1): the specification allows just
// these three. An uncertain value is written as stale.
const (
	qualityBad   = 0
	qualityGood  = 192
	qualityStale = 500
)

// kindOf gives the kind of a data type; KindNone for those that no reading can
// hold.
func kindOf(datatype uint32) plant.Kind {
	switch datatype {
	case typeInt8, typeInt16, typeInt32, typeInt64, typeUInt8, typeUInt16, typeUInt32, typeUInt64, typeDateTime:
		return plant.KindInteger
	case typeFloat, typeDouble:
		return plant.KindFloat
	case typeBoolean:
		return plant.KindBoolean
	case typeString, typeText, typeUUID:
		return plant.KindText
	}
	return plant.KindNone
}

// typeOf gives the data type in which a kind is written; 0 (Unknown) for none.
func typeOf(k plant.Kind) uint32 {
	switch k {
	case plant.KindInteger:
		return typeInt64
	case plant.KindFloat:
		return typeDouble
	case plant.KindBoolean:
		return typeBoolean
	case plant.KindText:
		return typeString
	}
	return 0
}

// set puts a reading's value, quality and reason into m. What cannot be a
// value (NaN, infinities) becomes bad: it must not reach a store.
func (m *outMetric) set(r *plant.Reading) {
	m.time = uint64(r.Time.Milli())
	quality, reason := r.Quality, r.Reason
	switch r.Value.Kind() {
	case plant.KindInteger:
		m.field, m.bits = metricFieldLong, uint64(r.Value.Integer())
	case plant.KindFloat:
		f := r.Value.Float()
		if math.IsNaN(f) || math.IsInf(f, 0) {
			quality, reason = plant.Bad, "not a finite number"
			break
		}
		m.field, m.bits = metricFieldDouble, math.Float64bits(f)
	case plant.KindBoolean:
		m.field = metricFieldBoolean
		if r.Value.Boolean() {
			m.bits = 1
		}
	case plant.KindText:
		m.field, m.text = metricFieldString, r.Value.Text()
	default:
		if quality == plant.Good {
			quality, reason = plant.Bad, "no value"
		}
	}
	if quality != plant.Good {
		m.props.hasQuality, m.props.quality, m.props.reason = true, qualityBad, reason
		if quality == plant.Uncertain {
			m.props.quality = qualityStale
		}
	}
}

// quality gives the quality and reason of a metric. Without the property it is
// good. Codes of 192 to 255 are good and 64 to 127 uncertain, as in OPC.
func (m *metric) quality() (plant.Quality, string) {
	if len(m.properties) == 0 {
		return plant.Good, ""
	}
	q := plant.Good
	p, ok := m.property(propertyQuality)
	if ok && !p.null && (p.field == propertyFieldInt || p.field == propertyFieldLong) {
		switch code := p.bits; {
		case code >= 192 && code <= 255:
		case code >= 64 && code <= 127, code == qualityStale:
			q = plant.Uncertain
		default:
			q = plant.Bad
		}
	}
	if q == plant.Good {
		return q, ""
	}
	if r, ok := m.property(propertyReason); ok && len(r.bytes) > 0 {
		return q, string(r.bytes)
	}
	return q, "the source says " + q.String()
}

// reading fills r's value, quality and reason from m, whose type is datatype.
// Whatever m holds, r is a well-formed reading: a value that does not fit is a
// bad reading with the reason.
func (m *metric) reading(datatype uint32, r *plant.Reading) {
	r.Quality, r.Reason = m.quality()
	if m.null {
		if r.Quality != plant.Bad {
			r.Quality, r.Reason = plant.Bad, orReason(r.Reason, "no value")
		}
		return
	}
	v, why := m.value(datatype)
	switch {
	case why != "":
		r.Quality, r.Reason = plant.Bad, why
	case r.Quality != plant.Bad:
		r.Value = v
	}
}

func orReason(reason, or string) string {
	if reason != "" {
		return reason
	}
	return or
}

// value gives m's value as datatype says, or why there is none.
func (m *metric) value(datatype uint32) (plant.Value, string) {
	wrong := func() (plant.Value, string) {
		return plant.Value{}, fmt.Sprintf("field %d holds no %s", m.field, typeName(datatype))
	}
	switch kindOf(datatype) {
	case plant.KindInteger:
		if m.field != metricFieldInt && m.field != metricFieldLong {
			return wrong()
		}
		i, ok := integer(datatype, m.bits)
		if !ok {
			return plant.Value{}, fmt.Sprintf("%d is out of range for %s", m.bits, rangeName(datatype))
		}
		return plant.Integer(i), ""
	case plant.KindFloat:
		f, ok := m.float()
		if !ok {
			return wrong()
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return plant.Value{}, "not a finite number"
		}
		return plant.Float(f), ""
	case plant.KindBoolean:
		if m.field != metricFieldBoolean {
			return wrong()
		}
		return plant.Boolean(m.bits != 0), ""
	case plant.KindText:
		if m.field != metricFieldString {
			return wrong()
		}
		return plant.Text(valid(string(m.bytes))), ""
	}
	return wrong()
}

func rangeName(datatype uint32) string {
	if datatype == typeUInt64 || datatype == typeDateTime {
		return "a signed 64-bit integer"
	}
	return typeName(datatype)
}

// integer gives the integer in the bits of an int or long field. Narrow signed
// types come as their own two's complement, or extended to 32 or 64 bits;
// senders differ.
func integer(datatype uint32, bits uint64) (int64, bool) {
	switch datatype {
	case typeInt8:
		return narrow(bits, 8)
	case typeInt16:
		return narrow(bits, 16)
	case typeInt32:
		return narrow(bits, 32)
	case typeInt64:
		return int64(bits), true
	case typeUInt8:
		return int64(bits), bits <= math.MaxUint8
	case typeUInt16:
		return int64(bits), bits <= math.MaxUint16
	case typeUInt32:
		return int64(bits), bits <= math.MaxUint32
	}
	return int64(bits), bits <= math.MaxInt64
}

func narrow(bits uint64, width uint) (int64, bool) {
	shift := 64 - width
	i := int64(bits<<shift) >> shift // sign-extended from width
	ok := bits == uint64(i) || bits == uint64(uint32(i)) || bits == uint64(i)<<shift>>shift
	return i, ok
}
