package sqlite

import (
	"database/sql/driver"
	"fmt"
	"math"
	"slices"

	"linetwin/plant"
)

// column is readings of one signal: at first as they come, then settled, which
// means in order of time and each time once.
type column struct {
	kind    plant.Kind // of values; none where there is none
	times   []int64    // milliseconds since 1970
	quality []plant.Quality
	nums    []uint64 // bits of floats, integers and booleans; anything where quality is bad
	texts   []string // in place of nums where kind is text
	reasons []string // nil: none has one
	long    int      // bytes of texts and reasons
}

func (c *column) len() int { return len(c.times) }

// reset makes it empty; its space is used again.
func (c *column) reset() {
	clear(c.texts)
	clear(c.reasons)
	*c = column{times: c.times[:0], quality: c.quality[:0], nums: c.nums[:0], texts: c.texts[:0]}
}

// become makes a column without values one of a kind.
func (c *column) become(kind plant.Kind) {
	if c.kind != plant.KindNone || kind == plant.KindNone {
		return
	}
	c.kind = kind
	if kind == plant.KindText {
		c.texts, c.nums = make([]string, len(c.times)), c.nums[:0]
	}
}

// add appends a reading. A value must be of the column's kind.
func (c *column) add(ms int64, v plant.Value, q plant.Quality, reason string) {
	if q != plant.Bad {
		c.become(v.Kind())
	}
	c.times, c.quality = append(c.times, ms), append(c.quality, q)
	if c.kind == plant.KindText {
		text := ""
		if q != plant.Bad {
			text = v.Text()
		}
		c.texts = append(c.texts, text)
		c.long += len(text)
	} else {
		c.nums = append(c.nums, bitsOf(v))
	}
	if q == plant.Good {
		reason = ""
	}
	c.why(reason)
}

// why appends a reason for the last reading.
func (c *column) why(reason string) {
	if c.reasons == nil {
		if reason == "" {
			return
		}
		c.reasons = make([]string, len(c.times)-1, cap(c.times))
	}
	c.reasons = append(c.reasons, reason)
	c.long += len(reason)
}

func bitsOf(v plant.Value) uint64 {
	switch v.Kind() {
	case plant.KindFloat:
		return math.Float64bits(v.Float())
	case plant.KindInteger:
		return uint64(v.Integer())
	case plant.KindBoolean:
		if v.Boolean() {
			return 1
		}
	}
	return 0
}

// value gives the value at i; none where the reading is bad.
func (c *column) value(i int) plant.Value {
	if c.quality[i] == plant.Bad {
		return plant.Value{}
	}
	switch c.kind {
	case plant.KindFloat:
		return plant.Float(math.Float64frombits(c.nums[i]))
	case plant.KindInteger:
		return plant.Integer(int64(c.nums[i]))
	case plant.KindBoolean:
		return plant.Boolean(c.nums[i] == 1)
	case plant.KindText:
		return plant.Text(c.texts[i])
	}
	return plant.Value{}
}

func (c *column) reason(i int) string {
	if c.reasons == nil {
		return ""
	}
	return c.reasons[i]
}

// put fills in a reading but for machine and signal.
func (c *column) put(i int, r *plant.Reading) {
	r.Time, r.Value, r.Quality, r.Reason = plant.FromMilli(c.times[i]), c.value(i), c.quality[i], c.reason(i)
}

// appendOf appends o's readings from i on up to j. Both have values of one kind.
func (c *column) appendOf(o *column, i, j int) {
	if c.kind == plant.KindNone {
		c.become(o.kind)
	}
	if o.reasons == nil && c.reasons == nil && (o.kind == c.kind && c.kind != plant.KindText) {
		c.times, c.quality, c.nums = append(c.times, o.times[i:j]...), append(c.quality, o.quality[i:j]...), append(c.nums, o.nums[i:j]...)
		return
	}
	for ; i < j; i++ {
		c.add(o.times[i], o.value(i), o.quality[i], o.reason(i))
	}
}

// from gives the index of the first reading at ms or later of a settled column.
func (c *column) from(ms int64) int {
	i, _ := slices.BinarySearch(c.times, ms)
	return i
}

// since gives what a settled column, which may be nil, has from ms on.
func (c *column) since(ms int64) *column {
	if c == nil || c.len() == 0 || c.times[0] >= ms {
		return c
	}
	part := &column{}
	part.appendOf(c, c.from(ms), c.len())
	return part
}

// settle puts readings in order of time. Of those at one time the last one with
// a value stays, or, where none has one, the last.
func (c *column) settle() {
	ascending := true
	for i := 1; i < len(c.times) && ascending; i++ {
		ascending = c.times[i-1] < c.times[i]
	}
	if ascending {
		return
	}
	order := make([]int, len(c.times))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch x, y := c.times[a], c.times[b]; {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	settled := column{kind: c.kind, times: make([]int64, 0, len(c.times)), quality: make([]plant.Quality, 0, len(c.times))}
	for i := 0; i < len(order); {
		stays, at := order[i], c.times[order[i]]
		for i++; i < len(order) && c.times[order[i]] == at; i++ {
			if c.quality[order[i]] != plant.Bad || c.quality[stays] == plant.Bad {
				stays = order[i]
			}
		}
		settled.add(at, c.value(stays), c.quality[stays], c.reason(stays))
	}
	*c = settled
}

// addRow appends what a row of readings holds: time, value, quality, reason.
func (c *column) addRow(kind plant.Kind, v []driver.Value) error {
	value, err := value(kind, v[1])
	if err != nil {
		return err
	}
	q := plant.Quality(v[2].(int64))
	if q > plant.Bad || q != plant.Bad && value.IsNone() {
		return fmt.Errorf("a reading of quality %d with value %v", q, v[1])
	}
	reason, _ := v[3].(string)
	c.add(v[0].(int64), value, q, reason)
	return nil
}

// digest is what can be said of a settled column without its readings.
type digest struct {
	start, stop   int64 // of the first and the last reading
	readings, bad int64
	low, high     float64 // of numbers
	total         float64
	last          plant.Value // of the last reading with a value
	whole         bool        // nothing of this is missing
}

func (c *column) digest() digest {
	d := digest{start: c.times[0], stop: c.times[len(c.times)-1], readings: int64(len(c.times))}
	first := true
	for i, q := range c.quality {
		if q == plant.Bad {
			d.bad++
			continue
		}
		if c.kind == plant.KindText {
			continue
		}
		x := c.number(i)
		if first {
			d.low, d.high, first = x, x, false
		}
		d.low, d.high, d.total = min(d.low, x), max(d.high, x), d.total+x
	}
	for i := len(c.quality) - 1; i >= 0; i-- {
		if c.quality[i] != plant.Bad {
			d.last = c.value(i)
			break
		}
	}
	return d
}

// number gives the value at i, which has one and is no text.
func (c *column) number(i int) float64 {
	switch c.kind {
	case plant.KindFloat:
		return math.Float64frombits(c.nums[i])
	case plant.KindInteger:
		return float64(int64(c.nums[i]))
	}
	return float64(c.nums[i])
}
