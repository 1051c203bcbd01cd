package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math"
	"time"

	"linetwin/plant"
)

// Retained is what an embedded history has dropped since it was opened, because
// it was too old or because the file became too large, and how large that is.
type Retained struct {
	Readings int64 // their minutes and hours are kept
	Late     int64 // readings that came when those of their time were dropped already
	Minutes  int64 // rows of aggregates
	Hours    int64
	Bytes    int64 // of the file, in use; when it was last looked at
}

// Retained tells what was dropped.
func (h *History) Retained() Retained {
	h.retained.Lock()
	defer h.retained.Unlock()
	return h.retained.Retained
}

func (h *History) dropped(f func(*Retained)) {
	h.retained.Lock()
	defer h.retained.Unlock()
	f(&h.retained.Retained)
}

// rawLeast is how long readings are kept however large the file is.
const rawLeast = minAge

// retain drops what is older than the settings say, and then the oldest until
// the file is as small as they say.
func (h *History) retain(ctx context.Context, now plant.Time) error {
	if h.cfg.MaxAge > 0 {
		if err := h.pruneTo(ctx, now.Add(-h.cfg.MaxAge), "max_age "+h.cfg.MaxAge.String()); err != nil {
			return err
		}
	}
	for step, age := range map[int64]time.Duration{minuteStep: h.cfg.MinutesMaxAge, hourStep: h.cfg.HoursMaxAge} {
		if age > 0 {
			if _, err := h.dropAggregates(ctx, step, milli(now.Add(-age))); err != nil {
				return err
			}
		}
	}
	return h.shrink(ctx, now)
}

func (h *History) pruneTo(ctx context.Context, before plant.Time, why string) error {
	n, err := h.Prune(ctx, before)
	if n > 0 {
		h.log.Info("history dropped readings; their minutes and hours stay", "readings", n, "before", before.Floor(time.Hour), "why", why)
	}
	return err
}

// shrink drops the oldest until the file has as many bytes in use as it may.
func (h *History) shrink(ctx context.Context, now plant.Time) error {
	for {
		used, err := h.used(ctx)
		if err != nil {
			return err
		}
		h.dropped(func(r *Retained) { r.Bytes = used })
		if h.cfg.MaxBytes == 0 || used <= int64(h.cfg.MaxBytes) {
			return nil
		}
		more, err := h.dropOldest(ctx, now)
		if err != nil {
			return err
		}
		if !more {
			return fmt.Errorf("history takes %d bytes, max_bytes is %s, and what is left is of the last %s: allow more", used, h.cfg.MaxBytes, rawLeast)
		}
	}
}

// dropOldest drops a part of the oldest readings; where only the last day is
// left of these, the oldest minutes, then hours. False: there is nothing to drop.
func (h *History) dropOldest(ctx context.Context, now plant.Time) (bool, error) {
	oldest, last := plant.Time(math.MaxInt64), now.Add(-rawLeast).Floor(time.Hour)
	err := h.view(ctx, func(s session) error {
		return s.each("SELECT min(stop), (SELECT min(time) FROM readings) FROM chunks WHERE readings > 1", func(v []driver.Value) error {
			for _, x := range v {
				if t, ok := x.(int64); ok {
					oldest = min(oldest, plant.FromMilli(t))
				}
			}
			return nil
		})
	})
	if err != nil {
		return false, err
	}
	if oldest < last {
		part := max(last.Sub(oldest)/16, time.Hour)
		return true, h.pruneTo(ctx, min(oldest.Add(part).Floor(time.Hour).Add(time.Hour), last), "max_bytes "+h.cfg.MaxBytes.String())
	}
	for _, step := range []int64{minuteStep, hourStep} {
		first := int64(0)
		ids, err := h.ids(ctx, "SELECT coalesce(min(stop), 0) FROM aggregates WHERE step = ?", step)
		if err == nil {
			first = ids[0]
		}
		if err != nil || first == 0 {
			continue
		}
		n, err := h.dropAggregates(ctx, step, first+1)
		return n > 0, err
	}
	return false, nil
}

// dropAggregates deletes the rows of aggregates that end before a time.
func (h *History) dropAggregates(ctx context.Context, step, before int64) (n int64, err error) {
	err = h.alter(ctx, func(c raw) error {
		if step == minuteStep {
			err := exec(c, `UPDATE signals SET minutes_from = max(minutes_from, coalesce((
 SELECT max(stop) + step FROM aggregates WHERE signal = signals.id AND step = ?1 AND stop < ?2), 0))`, step, before)
			if err != nil {
				return err
			}
		}
		res, err := c.ExecContext(context.Background(), "DELETE FROM aggregates WHERE step = ? AND stop < ?", named(step, before))
		if err == nil {
			n, err = res.RowsAffected()
		}
		return err
	})
	if n > 0 {
		h.log.Info("history dropped aggregates", "minutes_each", step/minuteStep, "before", plant.FromMilli(before), "rows", n)
		h.dropped(func(r *Retained) {
			if step == minuteStep {
				r.Minutes += n
			} else {
				r.Hours += n
			}
		})
	}
	return n, h.db.explain("write history to", err)
}

// used gives the bytes of the file that are in use.
func (h *History) used(ctx context.Context) (n int64, err error) {
	err = h.view(ctx, func(s session) error {
		return s.each("SELECT (p.page_count - f.freelist_count) * s.page_size FROM pragma_page_count p, pragma_freelist_count f, pragma_page_size s", func(v []driver.Value) error {
			n = v[0].(int64)
			return nil
		})
	})
	return n, h.db.explain("read", err)
}
