package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"

	"linetwin/plant"
)

// Chart gives what a signal was in each of at most points equal parts of span
// (plant.Buckets), those without readings included. Text has no numbers, only
// counts and last values; booleans count as 0 and 1.
func (h *History) Chart(ctx context.Context, machine, name string, span plant.Span, points int) ([]plant.Bucket, error) {
	if points < 1 || points > plant.MaxBuckets {
		return nil, fmt.Errorf("chart of %s %s: %d points, want 1 to %d", machine, name, points, plant.MaxBuckets)
	}
	buckets := plant.Buckets(span, points)
	if len(buckets) == 0 {
		return nil, nil
	}
	err := h.db.view(ctx, func(s session) error {
		_, kept, _, err := s.machine(machine, []string{name})
		if err != nil || len(kept) == 0 {
			return err
		}
		return s.chart(kept[0], buckets)
	})
	if err != nil {
		return nil, fmt.Errorf("chart of %s %s: %w", machine, name, h.db.explain("read", err))
	}
	return buckets, nil
}

// chart adds the readings to their buckets in one pass over them.
func (s session) chart(k kept, buckets []plant.Bucket) error {
	start, end := milli(buckets[0].From), milli(buckets[len(buckets)-1].To)
	width := milli(buckets[0].To) - start
	sum, at := 0.0, int64(-1)
	finish := func() {
		if at >= 0 && buckets[at].Min != nil {
			mean := sum / float64(buckets[at].Count)
			buckets[at].Mean = &mean
		}
	}
	err := s.each("SELECT time, value, quality FROM readings WHERE signal = ? AND time >= ? AND time < ? ORDER BY time", func(v []driver.Value) error {
		i := (v[0].(int64) - start) / width
		if i != at {
			finish()
			sum, at = 0, i
		}
		b := &buckets[i]
		if v[2].(int64) == int64(plant.Bad) {
			b.Bad++
			return nil
		}
		b.Count++
		var err error
		if b.Last, err = value(k.kind, v[1]); err != nil {
			return err
		}
		x, ok := b.Last.Number()
		if !ok {
			return nil
		}
		sum += x
		if b.Min == nil {
			low, high := x, x
			b.Min, b.Max = &low, &high
		}
		*b.Min, *b.Max = min(*b.Min, x), max(*b.Max, x)
		return nil
	}, k.id, start, end)
	finish()
	return err
}
