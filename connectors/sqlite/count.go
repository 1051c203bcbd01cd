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
// cuts are counted as far as they lie in it. Where readings were dropped, minutes
// are counted that begin in it; where these were dropped too, nothing is.
func (h *History) Counts(ctx context.Context, machine string, span plant.Span) ([]plant.MinuteCount, error) {
	found := map[plant.Time]uint64{}
	err := h.view(ctx, func(s session) error {
		id, kept, _, err := s.machine(machine, nil)
		if err != nil {
			return err
		}
		return s.count(id, kept, span, found)
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

// CountedFrom gives the time before which Counts of a machine lack what was
// dropped; 0: nothing was.
func (h *History) CountedFrom(ctx context.Context, machine string) (plant.Time, error) {
	var from plant.Time
	err := h.view(ctx, func(s session) error {
		return s.each("SELECT max(s.minutes_from) FROM signals s JOIN machines m ON m.id = s.machine WHERE m.name = ?", func(v []driver.Value) error {
			if ms, ok := v[0].(int64); ok {
				from = plant.FromMilli(ms)
			}
			return nil
		}, machine)
	})
	return from, h.db.explain("read history of", err)
}

// countRead is how much of a span is counted at once: what is not in chunks yet
// is held in memory.
const countRead = 6 * time.Hour

// count adds up readings by minute.
func (s session) count(machine int64, kept []kept, span plant.Span, found map[plant.Time]uint64) error {
	const minute = int64(time.Minute / time.Millisecond)
	for at := span.From; at < span.To; at = at.Add(countRead) {
		from, to := milli(at), milli(min(at.Add(countRead), span.To))
		fresh, err := s.fresh(machine, kept, from, to)
		if err != nil {
			return err
		}
		for _, k := range kept {
			rawFrom, err := s.rawFrom(k.id)
			if err == nil && from < rawFrom {
				err = s.aggregatesOf(k.id, minuteStep, from, min(to, rawFrom), func(d *digest) {
					found[plant.FromMilli(d.start)] += uint64(d.readings)
				})
			}
			if err != nil {
				return err
			}
			if rawFrom >= to {
				continue
			}
			err = s.walk(k, max(from, rawFrom), to, fresh[k.id].since(rawFrom), nil, func(c *column, i, j int) error {
				for i < j {
					first, m := i, c.times[i]/minute
					for ; i < j && c.times[i]/minute == m; i++ {
					}
					found[plant.FromMilli(m*minute)] += uint64(i - first)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
