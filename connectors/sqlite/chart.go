package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math"
	"time"

	"linetwin/plant"
)

// Chart gives what a signal was in each of at most points equal parts of span
// (plant.Buckets), those without readings included. Text has no numbers, only
// counts and last values; booleans count as 0 and 1. Where readings were dropped,
// a minute, or an hour where minutes were dropped, counts where it begins.
func (h *History) Chart(ctx context.Context, machine, name string, span plant.Span, points int) ([]plant.Bucket, error) {
	if points < 1 || points > plant.MaxBuckets {
		return nil, fmt.Errorf("chart of %s %s: %d points, want 1 to %d", machine, name, points, plant.MaxBuckets)
	}
	buckets := plant.Buckets(span, points)
	if len(buckets) == 0 {
		return nil, nil
	}
	err := h.view(ctx, func(s session) error {
		id, kept, _, err := s.machine(machine, []string{name})
		if err != nil || len(kept) == 0 {
			return err
		}
		return s.chart(id, kept[0], newDrawing(buckets))
	})
	if err != nil {
		return nil, fmt.Errorf("chart of %s %s: %w", machine, name, h.db.explain("read", err))
	}
	return buckets, nil
}

// chartRead is how much of a span is read at once: what is not in chunks yet is
// held in memory.
const chartRead = int64(10 * 24 * time.Hour / time.Millisecond)

// chart adds the readings to their buckets in one pass over them.
func (s session) chart(machine int64, k kept, d *drawing) error {
	rawFrom, err := s.rawFrom(k.id)
	if err == nil && d.start < rawFrom {
		err = s.aggregates(k.id, d.start, min(d.end, rawFrom), d.take)
	}
	if err != nil {
		return err
	}
	from, to, err := s.extent(machine, k, max(d.start, rawFrom), d.end)
	for ; err == nil && from < to; from += chartRead {
		err = s.chartPart(machine, k, d, from, min(from+chartRead, to))
	}
	d.finish()
	return err
}

func (s session) chartPart(machine int64, k kept, d *drawing, from, to int64) error {
	fresh, err := s.fresh(machine, []kept{k}, from, to)
	if err != nil {
		return err
	}
	return s.walk(k, from, to, fresh[k.id], d.whole, d.add)
}

// extent gives the part of [from, to) that may have readings of a signal.
func (s session) extent(machine int64, k kept, from, to int64) (int64, int64, error) {
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for _, q := range []struct {
		sql string
		id  int64
	}{
		{"SELECT min(time) FROM readings WHERE signal = ?", k.id}, {"SELECT max(time) FROM readings WHERE signal = ?", k.id},
		{"SELECT min(start) FROM chunks WHERE signal = ?", k.id},
		{"SELECT stop FROM chunks WHERE signal = ? ORDER BY start DESC LIMIT 1", k.id},
		{"SELECT min(start) FROM pieces WHERE machine = ?", machine}, {"SELECT max(stop) FROM pieces WHERE machine = ?", machine},
	} {
		err := s.each(q.sql, func(v []driver.Value) error {
			if t, ok := v[0].(int64); ok {
				first, last = min(first, t), max(last, t)
			}
			return nil
		}, q.id)
		if err != nil {
			return 0, 0, err
		}
	}
	if last < first {
		return 0, 0, nil
	}
	return max(from, first), min(to, last+1), nil
}

// drawing puts readings into the buckets of a chart.
type drawing struct {
	buckets           []plant.Bucket
	start, end, width int64 // milliseconds
	at                int   // the bucket that sum is of; -1: none yet
	sum               float64
}

func newDrawing(buckets []plant.Bucket) *drawing {
	start := milli(buckets[0].From)
	return &drawing{buckets: buckets, start: start, end: milli(buckets[len(buckets)-1].To), width: milli(buckets[0].To) - start, at: -1}
}

// bucket gives the bucket of a time, which is in the chart. Times ascend.
func (d *drawing) bucket(ms int64) *plant.Bucket {
	if i := int((ms - d.start) / d.width); i != d.at {
		d.finish()
		d.sum, d.at = 0, i
	}
	return &d.buckets[d.at]
}

// finish makes the mean of the bucket that is done.
func (d *drawing) finish() {
	if d.at >= 0 && d.buckets[d.at].Min != nil {
		mean := d.sum / float64(d.buckets[d.at].Count)
		d.buckets[d.at].Mean = &mean
	}
}

func (d *drawing) number(b *plant.Bucket, low, high, total float64) {
	d.sum += total
	if b.Min == nil {
		b.Min, b.Max = &low, &high
		return
	}
	*b.Min, *b.Max = min(*b.Min, low), max(*b.Max, high)
}

// whole takes a chunk that lies in one bucket.
func (d *drawing) whole(c *digest) bool {
	if (c.start-d.start)/d.width != (c.stop-d.start)/d.width {
		return false
	}
	d.take(c)
	return true
}

// take takes a digest as if all of its readings were at its start.
func (d *drawing) take(c *digest) {
	b := d.bucket(c.start)
	b.Bad += c.bad
	if c.readings == c.bad {
		return
	}
	b.Count, b.Last = b.Count+c.readings-c.bad, c.last
	if c.last.Kind() != plant.KindText {
		d.number(b, c.low, c.high, c.total)
	}
}

// add takes readings.
func (d *drawing) add(c *column, i, j int) error {
	for i < j {
		b := d.bucket(c.times[i])
		last, until := -1, d.start+int64(d.at+1)*d.width
		low, high, total := math.Inf(1), math.Inf(-1), 0.0
		for ; i < j && c.times[i] < until; i++ {
			if c.quality[i] == plant.Bad {
				b.Bad++
				continue
			}
			b.Count++
			last = i
			if c.kind != plant.KindText {
				x := c.number(i)
				low, high, total = min(low, x), max(high, x), total+x
			}
		}
		if last < 0 {
			continue
		}
		b.Last = c.value(last)
		if c.kind != plant.KindText {
			d.number(b, low, high, total)
		}
	}
	return nil
}
