package plant

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Kind is the type of a value. A signal has one kind for good; nothing is
// inferred from what a value looks like.
type Kind uint8

// The kinds of value. KindNone is the kind of "no value", which a bad reading
// carries.
const (
	KindNone Kind = iota
	KindFloat
	KindInteger
	KindBoolean
	KindText
)

var kindNames = [...]string{"none", "float", "integer", "boolean", "text"}

// String gives the kind's name as settings and JSON write it.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// MarshalText gives the kind's name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText takes a kind's name.
func (k *Kind) UnmarshalText(b []byte) error {
	for i, n := range kindNames {
		if n == string(b) {
			*k = Kind(i)
			return nil
		}
	}
	return fmt.Errorf("kind %q: want float, integer, boolean or text", b)
}

// Value is one typed value, compared with ==. Integers are 64-bit signed; an
// unsigned value above math.MaxInt64 cannot be held and is a bad reading. NaN
// and the infinities are no values either: connectors make bad readings of
// them. The zero Value is "no value".
type Value struct {
	kind Kind
	bits uint64
	text string
}

// Float gives a float value.
func Float(f float64) Value { return Value{kind: KindFloat, bits: math.Float64bits(f)} }

// Integer gives an integer value.
func Integer(i int64) Value { return Value{kind: KindInteger, bits: uint64(i)} }

// Boolean gives a boolean value.
func Boolean(b bool) Value {
	if b {
		return Value{kind: KindBoolean, bits: 1}
	}
	return Value{kind: KindBoolean}
}

// Text gives a text value.
func Text(s string) Value { return Value{kind: KindText, text: s} }

// Kind gives the value's kind.
func (v Value) Kind() Kind { return v.kind }

// IsNone tells whether there is no value.
func (v Value) IsNone() bool { return v.kind == KindNone }

// Float gives the float of a float value, else 0.
func (v Value) Float() float64 {
	if v.kind != KindFloat {
		return 0
	}
	return math.Float64frombits(v.bits)
}

// Integer gives the integer of an integer value, else 0.
func (v Value) Integer() int64 {
	if v.kind != KindInteger {
		return 0
	}
	return int64(v.bits)
}

// Boolean gives the boolean of a boolean value, else false.
func (v Value) Boolean() bool { return v.kind == KindBoolean && v.bits == 1 }

// Text gives the text of a text value, else "".
func (v Value) Text() string { return v.text }

// Number gives floats, integers and booleans (0 or 1) as a float64. It is
// false for text and for no value.
func (v Value) Number() (float64, bool) {
	switch v.kind {
	case KindFloat:
		return v.Float(), true
	case KindInteger:
		return float64(int64(v.bits)), true
	case KindBoolean:
		return float64(v.bits), true
	}
	return 0, false
}

// Count gives a whole number: an integer, or a float without a fraction below
// 2^53. It is false for everything else.
func (v Value) Count() (int64, bool) {
	switch v.kind {
	case KindInteger:
		return int64(v.bits), true
	case KindFloat:
		f := v.Float()
		if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return int64(f), true
		}
	}
	return 0, false
}

// String gives the value as people read it; no value is "–".
func (v Value) String() string {
	switch v.kind {
	case KindFloat:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case KindInteger:
		return strconv.FormatInt(int64(v.bits), 10)
	case KindBoolean:
		return strconv.FormatBool(v.bits == 1)
	case KindText:
		return v.text
	}
	return "–"
}

// MarshalJSON gives a JSON number, boolean or string; no value is null.
func (v Value) MarshalJSON() ([]byte, error) {
	switch v.kind {
	case KindText:
		return json.Marshal(v.text)
	case KindNone:
		return []byte("null"), nil
	case KindFloat:
		return json.Marshal(v.Float())
	}
	return []byte(v.String()), nil
}
