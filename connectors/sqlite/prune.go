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

// Run makes chunks of what is no longer recent and drops what the settings say,
// at once and then again and again, until ctx ends.
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
	do("drop what is old", func() error { return h.retain(ctx, plant.At(time.Now())) })
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
			do("drop what is old", func() error { return h.retain(ctx, plant.At(time.Now())) })
		}
	}
}

// Prune drops the readings with a time before a full hour, that which has begun
// at a time, and gives their number. What they were in each minute and hour is
// kept: charts and counts go on from these. Of each signal the last one before it
// stays, so that Before still knows what a signal was that has not changed since.
// The space is used again; the file does not get smaller.
func (h *History) Prune(ctx context.Context, before plant.Time) (int64, error) {
	before = before.Floor(time.Hour)
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

// pruneSignal drops the readings of a signal before a full hour.
func (h *History) pruneSignal(ctx context.Context, id, before int64) (total int64, err error) {
	p := &pruning{h: h, id: id, before: before, most: pruneChunks}
	for more := true; more && err == nil; {
		var n int64
		err = h.alter(ctx, func(c raw) error {
			p.session = session{ctx: context.Background(), c: c, pack: h.pack}
			n, more, err = p.some()
			return err
		})
		if err == nil {
			total += n
			h.dropped(func(r *Retained) { r.Readings += n })
		}
	}
	return total, err
}

// pruning drops readings of one signal, a part in each transaction.
type pruning struct {
	session
	h          *History
	id, before int64
	most       int // chunks in one transaction
}

// old is a chunk of which something is to be dropped.
type old struct {
	id, start int64
	data      driver.Value
}

// some drops what is before a full hour, at most before p.before: up to which
// the next chunks reach.
func (p *pruning) some() (dropped int64, more bool, err error) {
	var chunks []old
	err = p.each("SELECT id, start, data FROM chunks WHERE signal = ? AND start < ? ORDER BY start LIMIT ?", func(v []driver.Value) error {
		chunks = append(chunks, old{v[0].(int64), v[1].(int64), v[2]})
		return nil
	}, p.id, p.before, int64(p.most))
	if err != nil {
		return 0, false, err
	}
	cut := p.before
	if len(chunks) == p.most {
		cut = chunks[len(chunks)-1].start / hourStep * hourStep
		for len(chunks) > 0 && chunks[len(chunks)-1].start >= cut {
			chunks = chunks[:len(chunks)-1]
		}
		if len(chunks) == 0 { // all are of one hour
			p.most *= 2
			return 0, true, nil
		}
	}
	dropped, err = p.chunks(chunks, cut)
	if err == nil {
		err = exec(p.c, "UPDATE signals SET raw_from = max(raw_from, ?) WHERE id = ?", cut, p.id)
	}
	return dropped, cut < p.before, err
}

// chunks drops what chunks have before cut, but for the last reading, and keeps
// what that was.
func (p *pruning) chunks(chunks []old, cut int64) (dropped int64, err error) {
	rawFrom, err := p.rawFrom(p.id)
	if err != nil {
		return 0, err
	}
	minutes, hours := aggregator{step: minuteStep}, aggregator{step: hourStep}
	var part, rest column
	for i, chunk := range chunks {
		raw, err := p.unpack(chunk.data, nil)
		if err != nil {
			return 0, err
		}
		part.reset()
		if err := readColumn(raw, &part); err != nil {
			return 0, err
		}
		from, to := part.from(rawFrom), part.from(cut)
		minutes.add(&part, from, to)
		hours.add(&part, from, to)
		stays := part.len()
		if i == len(chunks)-1 {
			if stays = to - 1; stays == 0 {
				continue
			}
			rest.appendOf(&part, stays, part.len())
		}
		dropped += int64(stays)
		if err := exec(p.c, "DELETE FROM chunks WHERE id = ?", chunk.id); err != nil {
			return 0, err
		}
	}
	if rest.len() > 0 {
		if err := p.h.put(p.c, p.id, &rest); err != nil {
			return 0, err
		}
	}
	if err := p.putAggregates(p.id, minuteStep, minutes.all); err != nil {
		return 0, err
	}
	return dropped, p.putAggregates(p.id, hourStep, hours.all)
}

// rawFrom gives from when on a signal's readings are kept.
func (s session) rawFrom(signal int64) (ms int64, err error) {
	err = s.each("SELECT raw_from FROM signals WHERE id = ?", func(v []driver.Value) error {
		ms = v[0].(int64)
		return nil
	}, signal)
	return ms, err
}

// alter runs f in a transaction of its own, between writes.
func (h *History) alter(ctx context.Context, f func(c raw) error) error {
	return alter(ctx, &h.mu, h.writer, f)
}
