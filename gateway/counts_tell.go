package gateway

import (
	"context"
	"errors"
	"time"

	"linetwin/plant"
)

// CountsWire is a Wire that carries counts too.
type CountsWire interface {
	// Counts sends a report or gives plant.ErrOffline. Whether it arrived, Confirm
	// tells.
	Counts(r *plant.CountReport) error
}

// Confirm takes that a report is kept. It returns at once.
func (g *Gateway) Confirm(c plant.CountConfirmation) {
	select {
	case g.confirmed <- c:
	default: // it is told again, and confirmed again
	}
}

// tellCounts sends one report after the other until each is confirmed, until
// ctx ends.
func (g *Gateway) tellCounts(ctx context.Context, wire CountsWire) {
	q := g.buffer
	again := time.NewTimer(0)
	defer again.Stop()
	pause := g.cfg.Delivery.Resend
	var key uint64
	var sent *plant.CountReport // nil: none is on its way
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-g.confirmed:
			if sent == nil || c.Book != sent.Book || c.Number < sent.Number {
				continue
			}
			q.confirm(key)
			sent, pause = nil, g.cfg.Delivery.Resend
		case <-q.toTell:
			if sent != nil {
				continue
			}
		case <-again.C:
			if sent != nil {
				pause = min(2*pause, repeatLongest)
			}
		}
		var err error
		key, sent = q.report()
		if sent != nil {
			sent.Area, sent.Gateway = g.cfg.Area, g.cfg.Gateway
			err = wire.Counts(sent)
		}
		if errors.Is(err, plant.ErrOffline) {
			pause = g.cfg.Delivery.Resend
		}
		again.Reset(pause)
	}
}

// report gives the first report that is not confirmed; nil for none. One that
// cannot be read is given up.
func (q *buffer) report() (uint64, *plant.CountReport) {
	for {
		q.mu.Lock()
		waiting := q.book.waiting
		q.mu.Unlock()
		if len(waiting) == 0 {
			return 0, nil
		}
		r, err := q.store.report(waiting[0])
		if err == nil {
			return waiting[0], &r
		}
		if !isDamage(err) {
			return 0, nil // the disk's fault; it is tried again
		}
		q.log.Error("report of counts cannot be read and is skipped", "error", err)
		q.mu.Lock()
		q.book.lost++
		q.mu.Unlock()
		q.confirm(waiting[0])
	}
}

// claim gives what a batch claims: less than it did where an earlier part of its
// round was dropped since.
func (q *buffer) claim(b *plant.Batch) plant.Span {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.book.clipped(b.Machine, b.Complete)
}

// confirm takes a report off; the next commit deletes it.
func (q *buffer) confirm(key uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if k := &q.book; len(k.waiting) > 0 && k.waiting[0] == key {
		k.waiting, k.told = k.waiting[1:], append(k.told, key)
	}
}
