package sqlite

import (
	"database/sql/driver"
	"encoding/binary"
	"time"

	"linetwin/plant"
)

// Lengths of intervals that aggregates are of, in milliseconds.
const (
	minuteStep = int64(time.Minute / time.Millisecond)
	hourStep   = int64(time.Hour / time.Millisecond)
)

// aggregateMost is how many intervals a row of aggregates has at least before
// another one is begun, at the next full hour.
const aggregateMost = 1440

// aggregator sums readings up by intervals: each digest begins with its interval.
type aggregator struct {
	step int64
	all  []digest
}

// add takes readings of a settled column, later than those before.
func (a *aggregator) add(c *column, i, j int) {
	for ; i < j; i++ {
		at := c.times[i] - c.times[i]%a.step
		if n := len(a.all); n == 0 || a.all[n-1].start != at {
			a.all = append(a.all, digest{start: at, stop: at})
		}
		d := &a.all[len(a.all)-1]
		d.readings++
		if c.quality[i] == plant.Bad {
			d.bad++
			continue
		}
		d.last = c.value(i)
		if c.kind == plant.KindText {
			continue
		}
		x := c.number(i)
		if d.readings-d.bad == 1 {
			d.low, d.high = x, x
		}
		d.low, d.high, d.total = min(d.low, x), max(d.high, x), d.total+x
	}
}

// Columns of aggregates.
const (
	aggReadings = iota
	aggBad
	aggLow
	aggHigh
	aggTotal
	aggLast
	aggColumns
)

// appendAggregates writes digests, of which there is one at least, as a piece.
func appendAggregates(all []digest) []byte {
	var columns [aggColumns]column
	for i := range all {
		d := &all[i]
		q := plant.Good
		if d.readings == d.bad {
			q = plant.Bad
		}
		numbers := q
		if d.last.Kind() == plant.KindText {
			numbers = plant.Bad
		}
		columns[aggReadings].add(d.start, plant.Integer(d.readings), plant.Good, "")
		columns[aggBad].add(d.start, plant.Integer(d.bad), plant.Good, "")
		columns[aggLow].add(d.start, plant.Float(d.low), numbers, "")
		columns[aggHigh].add(d.start, plant.Float(d.high), numbers, "")
		columns[aggTotal].add(d.start, plant.Float(d.total), numbers, "")
		columns[aggLast].add(d.start, d.last, q, "")
	}
	head := binary.AppendUvarint(nil, aggColumns)
	var body []byte
	for i := range columns {
		before := len(body)
		body = appendColumn(body, &columns[i])
		head = binary.AppendUvarint(head, uint64(i))
		head = binary.AppendUvarint(head, uint64(len(body)-before))
	}
	return append(head, body...)
}

// readAggregates undoes appendAggregates.
func readAggregates(raw []byte) ([]digest, error) {
	var columns [aggColumns]column
	err := readPiece(raw, func(i int64, b []byte) error {
		if i < 0 || i >= aggColumns || columns[i].len() > 0 {
			return damaged("column %d of aggregates", i)
		}
		return readColumn(b, &columns[i])
	})
	if err != nil {
		return nil, err
	}
	n := columns[aggReadings].len()
	for i := range columns {
		if columns[i].len() != n || i < aggLow && columns[i].kind != plant.KindInteger {
			return nil, damaged("columns of aggregates do not fit each other")
		}
	}
	all := make([]digest, n)
	for i := range all {
		at := columns[aggReadings].times[i]
		all[i] = digest{start: at, stop: at, readings: columns[aggReadings].value(i).Integer(), bad: columns[aggBad].value(i).Integer(),
			low: columns[aggLow].value(i).Float(), high: columns[aggHigh].value(i).Float(), total: columns[aggTotal].value(i).Float(), last: columns[aggLast].value(i)}
	}
	return all, nil
}

// putAggregates stores digests of a signal that are later than those it has.
func (s session) putAggregates(signal, step int64, all []digest) error {
	if len(all) == 0 {
		return nil
	}
	var id int64
	err := s.each("SELECT id, data FROM aggregates WHERE signal = ? AND step = ? ORDER BY start DESC LIMIT 1", func(v []driver.Value) error {
		raw, err := s.unpack(v[1], nil)
		if err != nil {
			return err
		}
		old, err := readAggregates(raw)
		if err == nil && (len(old) < aggregateMost || all[0].start%hourStep != 0) {
			id, all = v[0].(int64), append(old, all...)
		}
		return err
	}, signal, step)
	if err == nil && id != 0 {
		err = exec(s.c, "DELETE FROM aggregates WHERE id = ?", id)
	}
	for len(all) > 0 && err == nil {
		n := 1
		for n < len(all) && (n < aggregateMost || all[n].start%hourStep != 0) {
			n++
		}
		err = exec(s.c, "INSERT INTO aggregates (signal, step, start, stop, data) VALUES (?,?,?,?,?)",
			signal, step, all[0].start, all[n-1].start, s.pack.pack(appendAggregates(all[:n]), true))
		all = all[n:]
	}
	return err
}

// aggregates calls each with the intervals of a signal that begin in [from, to):
// with minutes, and before the first of these that there is, with hours.
func (s session) aggregates(signal, from, to int64, each func(*digest)) error {
	minutes := to
	err := s.each("SELECT min(start) FROM aggregates WHERE signal = ? AND step = ?", func(v []driver.Value) error {
		if first, ok := v[0].(int64); ok {
			minutes = min(first, to)
		}
		return nil
	}, signal, minuteStep)
	for _, part := range []struct{ step, from, to int64 }{{hourStep, from, minutes}, {minuteStep, max(from, minutes), to}} {
		if err == nil && part.from < part.to {
			err = s.aggregatesOf(signal, part.step, part.from, part.to, each)
		}
	}
	return err
}

func (s session) aggregatesOf(signal, step, from, to int64, each func(*digest)) error {
	return s.each("SELECT data FROM aggregates WHERE signal = ? AND step = ? AND start < ? AND stop >= ? ORDER BY start", func(v []driver.Value) error {
		raw, err := s.unpack(v[0], nil)
		if err != nil {
			return err
		}
		all, err := readAggregates(raw)
		for i := range all {
			if all[i].start >= from && all[i].start < to {
				each(&all[i])
			}
		}
		return err
	}, signal, step, to, from)
}
