package modbus

import (
	"encoding/binary"
	"math"
	"unicode/utf8"

	"linetwin/plant"
)

// Reasons of readings that hold no value. They are constant, so that a signal
// that stays bad does not change.
const (
	reasonNaN      = "not a number (NaN)"
	reasonInfinite = "infinite"
	reasonTooLarge = "above 9223372036854775807, which a 64-bit integer cannot hold"
	reasonBCD      = "not a BCD number"
	reasonText     = "not UTF-8 text"
)

// number reads one, two or four registers in the point's byte order.
func (p *point) number(b []byte) uint64 {
	n := len(b)
	var u uint64
	for i := 0; i < n; i += 2 {
		at := i
		if p.swapW {
			at = n - 2 - i
		}
		w := binary.BigEndian.Uint16(b[at:])
		if p.swapB {
			w = w<<8 | w>>8
		}
		u = u<<16 | uint64(w)
	}
	return u
}

// decode gives the value that the point's registers hold, or the reason why
// they hold none. b has exactly 2*count bytes. Text that is the same as last
// gives last, so that it costs no memory.
func (p *point) decode(b []byte, last plant.Value) (plant.Value, string) {
	if p.shape.form == formString {
		return p.text(b, last)
	}
	u := p.number(b)
	switch p.shape.form {
	case formBool:
		return plant.Boolean(u>>p.bit&1 == 1), ""
	case formInt:
		shift := 64 - 8*uint(len(b))
		i := int64(u<<shift) >> shift
		if p.scaled {
			return p.scaledValue(float64(i))
		}
		return plant.Integer(i), ""
	case formUint:
		if p.scaled {
			return p.scaledValue(float64(u))
		}
		if u > math.MaxInt64 {
			return plant.Value{}, reasonTooLarge
		}
		return plant.Integer(int64(u)), ""
	case formBCD:
		i, ok := bcd(u)
		if !ok {
			return plant.Value{}, reasonBCD
		}
		if p.scaled {
			return p.scaledValue(float64(i))
		}
		return plant.Integer(i), ""
	}
	if len(b) == 4 {
		return p.scaledValue(float64(math.Float32frombits(uint32(u))))
	}
	return p.scaledValue(math.Float64frombits(u))
}

// scaledValue gives raw x scale + offset. The product is rounded before the
// sum (no fused multiply-add), so that every processor gives the same value.
func (p *point) scaledValue(raw float64) (plant.Value, string) {
	f := raw
	if p.scaled {
		f = float64(raw*p.scale) + p.offset
	}
	switch {
	case math.IsNaN(f):
		return plant.Value{}, reasonNaN
	case math.IsInf(f, 0):
		return plant.Value{}, reasonInfinite
	}
	return plant.Float(f), ""
}

// bcd reads binary-coded decimals, four bits to a digit.
func bcd(u uint64) (int64, bool) {
	var n int64
	for shift := 28; shift >= 0; shift -= 4 {
		d := int64(u >> uint(shift) & 0xF)
		if d > 9 {
			return 0, false
		}
		n = 10*n + d
	}
	return n, true
}

// text gives the string up to its first NUL, without blanks at its end.
func (p *point) text(b []byte, last plant.Value) (plant.Value, string) {
	var buf [maxLength]byte
	t := buf[:copy(buf[:], b)]
	if p.swapB {
		for i := 0; i+1 < len(t); i += 2 {
			t[i], t[i+1] = t[i+1], t[i]
		}
	}
	t = t[:min(p.length, len(t))]
	for i, c := range t {
		if c == 0 {
			t = t[:i]
			break
		}
	}
	for len(t) > 0 && t[len(t)-1] == ' ' {
		t = t[:len(t)-1]
	}
	if last.Kind() == plant.KindText && last.Text() == string(t) {
		return last, ""
	}
	if !utf8.Valid(t) {
		return plant.Value{}, reasonText
	}
	return plant.Text(string(t)), ""
}
