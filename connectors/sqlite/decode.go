package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"linetwin/plant"
)

var errChunk = errors.New("damaged chunk")

func damaged(what string, args ...any) error {
	return fmt.Errorf("%w: %s", errChunk, fmt.Sprintf(what, args...))
}

// cursor reads numbers; after the first fault it gives zeros and keeps err.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) fail(what string) {
	if c.err == nil {
		c.err = damaged("%s", what)
	}
	c.b = nil
}

func (c *cursor) byte() byte {
	if len(c.b) == 0 {
		c.fail("it ends early")
		return 0
	}
	x := c.b[0]
	c.b = c.b[1:]
	return x
}

func (c *cursor) uvarint() uint64 {
	if len(c.b) > 0 && c.b[0] < 0x80 {
		x := c.b[0]
		c.b = c.b[1:]
		return uint64(x)
	}
	x, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.fail("it ends early")
		return 0
	}
	c.b = c.b[n:]
	return x
}

func (c *cursor) varint() int64 { return unzigzag(c.uvarint()) }

// count reads a number that is at most most.
func (c *cursor) count(most int) int {
	n := c.uvarint()
	if n > uint64(most) {
		c.fail("a number is out of range")
		return 0
	}
	return int(n)
}

func (c *cursor) bytes(n int) []byte {
	if n > len(c.b) {
		c.fail("it ends early")
		return nil
	}
	x := c.b[:n]
	c.b = c.b[n:]
	return x
}

// readColumn appends the readings of a written column, whose times must be
// later than those before them, to an empty column.
func readColumn(b []byte, to *column) error {
	c := cursor{b: b}
	n := c.count(len(b))
	kind, flags := plant.Kind(c.byte()), c.byte()
	switch {
	case c.err != nil:
		return c.err
	case n == 0 || kind > plant.KindText || flags&^(flagQuality|flagReasons|flagSteady) != 0:
		return damaged("%d readings of kind %d with flags %d", n, kind, flags)
	}
	to.kind = kind
	readTimes(&c, n, flags&flagSteady != 0, to)
	to.quality = slices.Grow(to.quality[:0], n)[:n]
	clear(to.quality)
	if flags&flagQuality != 0 {
		for i, q := range c.bytes(n) {
			if to.quality[i] = plant.Quality(q); to.quality[i] > plant.Bad {
				c.fail("a quality is out of range")
				break
			}
		}
	}
	if flags&flagReasons != 0 {
		to.reasons = readWords(&c, n, nil)
		to.long += sizes(to.reasons)
	}
	readValues(&c, n, to)
	if c.err == nil && len(c.b) > 0 {
		c.fail("there is more behind it")
	}
	return c.err
}

func readTimes(c *cursor, n int, steady bool, to *column) {
	to.times = slices.Grow(to.times[:0], n)[:n]
	at, unit, later := c.varint(), int64(c.count(math.MaxInt32)), int64(0)
	if unit < 1 {
		c.fail("a unit is out of range")
	}
	to.times[0] = at
	for i := 1; i < n; i++ {
		if steady {
			later += c.varint()
		} else {
			later = int64(c.uvarint())
		}
		if at += later * unit; at <= to.times[i-1] {
			c.fail("times do not ascend")
			return
		}
		to.times[i] = at
	}
}

func readValues(c *cursor, n int, to *column) {
	if to.kind == plant.KindText {
		to.texts = readWords(c, n, to.texts)
		to.long += sizes(to.texts)
		return
	}
	to.nums = slices.Grow(to.nums[:0], n)[:n]
	switch to.kind {
	case plant.KindNone:
		clear(to.nums)
		if slices.ContainsFunc(to.quality, func(q plant.Quality) bool { return q != plant.Bad }) {
			c.fail("values are missing")
		}
	case plant.KindBoolean:
		for i, x := range c.bytes(n) {
			if x > 1 {
				c.fail("a boolean is out of range")
				return
			}
			to.nums[i] = uint64(x)
		}
	case plant.KindInteger:
		last := int64(0)
		for i := range to.nums {
			last += c.varint()
			to.nums[i] = uint64(last)
		}
	case plant.KindFloat:
		readFloats(c, n, to)
	}
}

func readFloats(c *cursor, n int, to *column) {
	switch form := c.byte(); form {
	case floatDec64, floatDec32:
		k, m := c.count(maxDecimals), int64(0)
		divisor := pow10(k)
		for i := range to.nums {
			m += c.varint()
			f := float64(m) / divisor
			if form == floatDec32 {
				f = float64(float32(f))
			}
			to.nums[i] = math.Float64bits(f)
		}
	case floatBits:
		if n > len(c.b)/8 {
			c.fail("it ends early")
			return
		}
		planes, x := c.bytes(8*n), uint64(0)
		for i := range to.nums {
			for b := range 8 {
				x ^= uint64(planes[b*n+i]) << (56 - 8*b)
			}
			to.nums[i] = x
		}
	default:
		c.fail("a form of floats is unknown")
	}
}

func readWords(c *cursor, n int, to []string) []string {
	words := make([]string, c.count(len(c.b)))
	for i := range words {
		words[i] = string(c.bytes(c.count(len(c.b))))
	}
	to = slices.Grow(to[:0], n)[:n]
	for i := range to {
		k := c.uvarint()
		if k >= uint64(len(words)) {
			c.fail("a word is out of range")
			return to
		}
		to[i] = words[k]
	}
	return to
}

func sizes(words []string) (n int) {
	for _, s := range words {
		n += len(s)
	}
	return n
}
