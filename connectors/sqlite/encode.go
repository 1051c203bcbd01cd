package sqlite

import (
	"encoding/binary"
	"math"
	"math/bits"

	"linetwin/plant"
)

// A column is written as
//
//	readings  uvarint
//	kind      1 byte
//	flags     1 byte
//	times     first as varint, unit as uvarint, then for each other one, in
//	          units, how much later it is, or how that differs from before
//	quality   1 byte each, where any is not good
//	reasons   words, where any has one
//	values    integers: differences; floats: see float forms; booleans: 1 byte
//	          each; texts: words
//
// Words are the different ones, then for each reading which one it is. What a
// bad reading has as its value is what stood before, which costs least.
const (
	flagQuality = 1 << 0
	flagReasons = 1 << 1
	flagSteady  = 1 << 2 // times are differences of differences
)

// Forms of floats: whole numbers m of which each value is m/10^k, as float64 or
// as float32, written like integers; or the bits that differ from the value
// before, the highest bytes of all first.
const (
	floatBits = iota
	floatDec64
	floatDec32
)

// maxDecimals is the most decimals that are looked for in a float.
const maxDecimals = 6

func pow10(k int) float64 {
	return [maxDecimals + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6}[k]
}

func zigzag(i int64) uint64   { return uint64(i<<1) ^ uint64(i>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// appendColumn appends a settled column, which is not empty.
func appendColumn(dst []byte, c *column) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(c.times)))
	dst = append(dst, byte(c.kind), 0)
	flags := len(dst) - 1
	unit, steady := cadence(c.times)
	if steady {
		dst[flags] |= flagSteady
	}
	dst = binary.AppendVarint(dst, c.times[0])
	dst = binary.AppendUvarint(dst, uint64(unit))
	before := int64(0)
	for i := 1; i < len(c.times); i++ {
		later := (c.times[i] - c.times[i-1]) / unit
		if steady {
			dst = binary.AppendVarint(dst, later-before)
			before = later
		} else {
			dst = binary.AppendUvarint(dst, uint64(later))
		}
	}
	for _, q := range c.quality {
		if q != plant.Good {
			dst[flags] |= flagQuality
			break
		}
	}
	if dst[flags]&flagQuality != 0 {
		for _, q := range c.quality {
			dst = append(dst, byte(q))
		}
	}
	if c.reasons != nil {
		dst[flags] |= flagReasons
		dst = appendWords(dst, c.reasons)
	}
	return appendValues(dst, c)
}

// cadence gives the greatest time that all differences are multiples of, and
// whether differences of differences are the smaller numbers.
func cadence(times []int64) (unit int64, steady bool) {
	for i := 1; i < len(times); i++ {
		for a := times[i] - times[i-1]; a != 0; {
			unit, a = a, unit%a
		}
		if unit == 1 {
			break
		}
	}
	unit = max(unit, 1)
	plain, twice, before := 0, 0, int64(0)
	for i := 1; i < len(times); i++ {
		later := (times[i] - times[i-1]) / unit
		plain += bits.Len64(uint64(later))
		twice += bits.Len64(zigzag(later - before))
		before = later
	}
	return unit, twice < plain
}

func appendValues(dst []byte, c *column) []byte {
	switch c.kind {
	case plant.KindText:
		return appendWords(dst, c.texts)
	case plant.KindBoolean:
		before := byte(0)
		for i, n := range c.nums {
			if c.quality[i] != plant.Bad {
				before = byte(n)
			}
			dst = append(dst, before)
		}
	case plant.KindInteger:
		before := int64(0)
		for i, n := range c.nums {
			if c.quality[i] == plant.Bad {
				n = uint64(before)
			}
			dst = binary.AppendVarint(dst, int64(n)-before)
			before = int64(n)
		}
	case plant.KindFloat:
		return appendFloats(dst, c)
	}
	return dst
}

func appendFloats(dst []byte, c *column) []byte {
	for _, form := range []byte{floatDec64, floatDec32} {
		single := form == floatDec32
		k, ok := decimals(c, single)
		if !ok {
			continue
		}
		dst = append(dst, form, byte(k))
		before := int64(0)
		for i, n := range c.nums {
			m := before
			if c.quality[i] != plant.Bad {
				m, _ = asDecimal(math.Float64frombits(n), k, single)
			}
			dst = binary.AppendVarint(dst, m-before)
			before = m
		}
		return dst
	}
	dst = append(dst, floatBits)
	at, n := len(dst), len(c.nums)
	dst = append(dst, make([]byte, 8*n)...)
	before := uint64(0)
	for i, x := range c.nums {
		if c.quality[i] == plant.Bad {
			x = before
		}
		for b, d := 0, x^before; b < 8; b++ {
			dst[at+b*n+i] = byte(d >> (56 - 8*b))
		}
		before = x
	}
	return dst
}

// decimals gives the least number of decimals with which all floats of a column
// are written exactly.
func decimals(c *column, single bool) (k int, ok bool) {
	for i, n := range c.nums {
		if c.quality[i] == plant.Bad {
			continue
		}
		f := math.Float64frombits(n)
		for {
			if _, ok := asDecimal(f, k, single); ok {
				break
			}
			if k++; k > maxDecimals {
				return 0, false
			}
		}
	}
	// A value that k decimals fit is written with more of them, too, unless it is large.
	for i, n := range c.nums {
		if _, ok := asDecimal(math.Float64frombits(n), k, single); !ok && c.quality[i] != plant.Bad {
			return 0, false
		}
	}
	return k, true
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

func appendWords(dst []byte, all []string) []byte {
	index := map[string]uint64{}
	var words []string
	for _, s := range all {
		if _, known := index[s]; !known {
			index[s] = uint64(len(words))
			words = append(words, s)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(words)))
	for _, s := range words {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	for _, s := range all {
		dst = binary.AppendUvarint(dst, index[s])
	}
	return dst
}
