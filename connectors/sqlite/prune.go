package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"linetwin/plant"
)

const (
	pruneEvery  = time.Hour
	pruneChunks = 64 // deleted in one transaction, so that writers wait for tens of milliseconds at most
)

// Run makes chunks of what is no longer recent and deletes what is older than
// MaxAge, at once and then again and again, until ctx ends.
func (h *History) Run(ctx context.Context) error {
	seal, prune := time.NewTicker(sealEvery), time.NewTicker(pruneEvery)
	defer seal.Stop()
	defer prune.Stop()
	failed := map[string]bool{}
	do := func(what string, f func() error) {
		err := f()
		if err != nil && !failed[what] && ctx.Err() == nil {
			h.log.Error("history cannot "+what, "error", err)
		}
		failed[what] = err != nil
	}
	sealOld := func() error {
		_, err := h.Seal(ctx, plant.At(time.Now().Add(-sealAge)))
		return err
	}
	do("delete what is old", func() error { return h.pruneOld(ctx) })
	do("compress what is old", sealOld)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-h.urgent:
			do("compress a backlog", func() error { return h.sealFull(ctx) })
		case <-seal.C:
			do("compress what is old", sealOld)
		case <-prune.C:
			do("delete what is old", func() error { return h.pruneOld(ctx) })
		}
	}
}

// pruneOld deletes what is older than MaxAge.
func (h *History) pruneOld(ctx context.Context) error {
	if h.cfg.MaxAge == 0 {
		return nil
	}
	n, err := h.Prune(ctx, plant.At(time.Now().Add(-h.cfg.MaxAge)))
	if n > 0 {
		h.log.Info("history deleted what is old", "readings", n, "max_age", h.cfg.MaxAge)
	}
	return err
}

// Prune deletes the readings with a time before a time, and gives their
// number. Of each signal the last one before it stays, so that Before still
// knows what a signal was that has not changed since. The space is used again;
// the file does not get smaller.
func (h *History) Prune(ctx context.Context, before plant.Time) (int64, error) {
	if _, err := h.Seal(ctx, before); err != nil {
		return 0, err
	}
	ids, err := h.ids(ctx, "SELECT id FROM signals")
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

// pruneSignal deletes the chunks of a signal before a time, and cuts the one
// that reaches up to it.
func (h *History) pruneSignal(ctx context.Context, id, before int64) (total int64, err error) {
	for more := true; more && err == nil; {
		var n int64
		err = h.alter(ctx, func(c raw) error {
			n, more, err = h.pruneSome(session{ctx: context.Background(), c: c, pack: h.pack}, id, before)
			return err
		})
		if err == nil {
			total += n
		}
	}
	return total, err
}

// pruneSome is what pruneSignal does in one transaction.
func (h *History) pruneSome(s session, id, before int64) (deleted int64, more bool, err error) {
	var chunks []int64
	var data driver.Value // of the last one
	var held []int64      // readings of each
	err = s.each("SELECT id, readings, data FROM chunks WHERE signal = ? AND start < ? ORDER BY start LIMIT ?", func(v []driver.Value) error {
		chunks, held, data = append(chunks, v[0].(int64)), append(held, v[1].(int64)), v[2]
		return nil
	}, id, before, int64(pruneChunks))
	if err != nil || len(chunks) == 0 {
		return 0, false, err
	}
	last := len(chunks) - 1
	for i, chunk := range chunks[:last] {
		if err := exec(s.c, "DELETE FROM chunks WHERE id = ?", chunk); err != nil {
			return 0, false, err
		}
		deleted += held[i]
	}
	if len(chunks) == pruneChunks {
		return deleted, true, nil
	}
	raw, err := s.unpack(data, nil)
	if err != nil {
		return 0, false, err
	}
	var part, rest column
	if err := readColumn(raw, &part); err != nil {
		return 0, false, err
	}
	stays := part.from(before) - 1
	if stays <= 0 {
		return deleted, false, nil
	}
	rest.appendOf(&part, stays, part.len())
	if err := exec(s.c, "DELETE FROM chunks WHERE id = ?", chunks[last]); err != nil {
		return 0, false, err
	}
	return deleted + int64(stays), false, h.put(s.c, id, &rest)
}

// alter runs f in a transaction of its own, between writes.
func (h *History) alter(ctx context.Context, f func(c raw) error) error {
	return alter(ctx, &h.mu, h.writer, f)
}
