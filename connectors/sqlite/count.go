package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"maps"
	"slices"
	"time"

	"linetwin/plant"
)

// Counts gives how many readings there are of a machine in each minute of span
// that has any: each signal and time once, of any quality. Minutes that span
// cuts are counted as far as they lie in it.
func (h *History) Counts(ctx context.Context, machine string, span plant.Span) ([]plant.MinuteCount, error) {
	found := map[plant.Time]uint64{}
	err := h.db.view(ctx, func(s session) error {
		_, kept, _, err := s.machine(machine, nil)
		if err != nil {
			return err
		}
		for _, k := range kept {
			err := s.each("SELECT time / ?1, count(*) FROM readings WHERE signal = ?2 AND time >= ?3 AND time < ?4 GROUP BY 1", func(v []driver.Value) error {
				found[plant.FromMilli(v[0].(int64)*time.Minute.Milliseconds())] += uint64(v[1].(int64))
				return nil
			}, time.Minute.Milliseconds(), k.id, milli(span.From), milli(span.To))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count %s: %w", machine, h.db.explain("read history of", err))
	}
	var counts []plant.MinuteCount
	for _, minute := range slices.Sorted(maps.Keys(found)) {
		counts = append(counts, plant.MinuteCount{Minute: minute, Readings: found[minute]})
	}
	return counts, nil
}
