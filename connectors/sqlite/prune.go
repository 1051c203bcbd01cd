package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"linetwin/plant"
)

const (
	pruneEvery = time.Hour
	pruneRows  = 20_000 // deleted in one transaction, so that writers wait for tens of milliseconds at most
)

// Run deletes what is older than MaxAge, at once and then each hour, until ctx
// ends. It does nothing but wait where MaxAge is 0.
func (h *History) Run(ctx context.Context) error {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for failed := false; ; {
		if h.cfg.MaxAge > 0 {
			n, err := h.Prune(ctx, plant.At(time.Now().Add(-h.cfg.MaxAge)))
			switch {
			case err != nil && !failed && ctx.Err() == nil:
				h.log.Error("history cannot delete what is old", "error", err)
			case err == nil && n > 0:
				h.log.Info("history deleted what is old", "readings", n, "max_age", h.cfg.MaxAge)
			}
			failed = err != nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Prune deletes the readings with a time before a time, and gives their
// number. Of each signal the last one before it stays, so that Before still
// knows what a signal was that has not changed since. The space is used again;
// the file does not get smaller.
func (h *History) Prune(ctx context.Context, before plant.Time) (int64, error) {
	var ids []driver.Value
	err := h.db.view(ctx, func(s session) error {
		return s.each("SELECT id FROM signals", func(v []driver.Value) error {
			ids = append(ids, v[0])
			return nil
		})
	})
	if err != nil {
		return 0, fmt.Errorf("prune: %w", h.db.explain("read", err))
	}
	var total int64
	for _, id := range ids {
		n, err := h.pruneSignal(ctx, id, milli(before))
		total += n
		if err != nil {
			return total, fmt.Errorf("prune: %w", h.db.explain("write", err))
		}
	}
	err = h.alter(ctx, func(c raw) error {
		h.dict = nil // holds spans
		if err := exec(c, "DELETE FROM complete WHERE stop <= ?", milli(before)); err != nil {
			return err
		}
		if err := exec(c, "UPDATE complete SET start = ? WHERE start < ?", milli(before), milli(before)); err != nil {
			return err
		}
		return dropRefused(c, "seen < ?", int64(before))
	})
	if err != nil {
		return total, fmt.Errorf("prune: %w", h.db.explain("write", err))
	}
	return total, nil
}

func (h *History) pruneSignal(ctx context.Context, id driver.Value, before int64) (total int64, err error) {
	for {
		var n int64
		err := h.alter(ctx, func(c raw) error {
			res, err := c.ExecContext(context.Background(), `DELETE FROM readings WHERE signal = ? AND time IN (
 SELECT time FROM readings WHERE signal = ? AND time < (SELECT max(time) FROM readings WHERE signal = ? AND time < ?)
 ORDER BY time LIMIT ?)`, named(id, id, id, before, int64(pruneRows)))
			if err != nil {
				return err
			}
			n, err = res.RowsAffected()
			return err
		})
		total += n
		if err != nil || n < pruneRows {
			return total, err
		}
	}
}

// alter runs f in a transaction of its own, between writes.
func (h *History) alter(ctx context.Context, f func(c raw) error) error {
	return alter(ctx, &h.mu, h.writer, f)
}
