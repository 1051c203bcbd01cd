package twin

import (
	"context"
	"sync"
	"time"

	"linetwin/plant"
)

// lane is a queue of batches with who writes them, one write at a time.
// historian.mu guards it.
type lane struct {
	name    string
	most    int // readings and batches that may wait
	queue   []queued
	waiting int // readings and batches in the queue
	wake    chan struct{}

	pace    pace
	backoff backoff
	failing string        // why its last write failed
	again   chan struct{} // the store was seen to work: no need to wait longer

	writes, failed uint64
	last           time.Duration // the last write took
}

func newLane(name string, most int) *lane {
	return &lane{name: name, most: most, pace: newPace(), wake: make(chan struct{}, 1), again: make(chan struct{}, 1)}
}

// push queues a batch; false: there is no room.
func (l *lane) push(q queued) bool {
	n := len(q.batch.Readings) + 1
	if l.waiting+n > l.most && len(l.queue) > 0 {
		return false
	}
	l.queue = append(l.queue, q)
	l.waiting += n
	signal(l.wake)
	return true
}

// next gives the front of the queue without taking it off. It stays in the
// queue until it is stored.
func (l *lane) next(size int) (front []queued, readings int) {
	n, weight := 0, 0
	for n < len(l.queue) && (n == 0 || weight+len(l.queue[n].batch.Readings)+1 <= size) {
		readings += len(l.queue[n].batch.Readings)
		weight += len(l.queue[n].batch.Readings) + 1
		n++
	}
	return l.queue[:n:n], readings
}

// pop takes the front off.
func (l *lane) pop(front []queued) {
	for i := range front {
		l.waiting -= len(front[i].batch.Readings) + 1
	}
	l.queue = l.queue[len(front):]
	if len(l.queue) == 0 {
		l.queue = nil
	}
}

func (l *lane) status() plant.HistoryLane {
	s := plant.HistoryLane{Writes: l.writes, Failed: l.failed, WriteMax: l.pace.size(), WriteMs: l.last.Milliseconds()}
	for i := range l.queue {
		s.Waiting += len(l.queue[i].batch.Readings)
	}
	return s
}

// run writes until ctx ends. What is queued then is not acknowledged and stays
// with the gateways.
func (h *historian) run(ctx context.Context, acks Acknowledger, now func() plant.Time) error {
	var wg sync.WaitGroup
	for _, l := range []*lane{h.live, h.backlog} {
		wg.Go(func() { h.write(ctx, l, acks, now) })
	}
	wg.Go(func() { h.repeat(ctx, acks) })
	wg.Wait()
	return nil
}

// write empties a lane until ctx ends.
func (h *historian) write(ctx context.Context, l *lane, acks Acknowledger, now func() plant.Time) {
	var batches []*plant.Batch
	for h.await(ctx, l) {
		h.mu.Lock()
		front, readings := l.next(l.pace.size())
		h.mu.Unlock()
		if len(front) == 0 {
			continue
		}
		batches = batches[:0]
		for _, q := range front {
			batches = append(batches, q.batch)
		}
		began := time.Now()
		var err error
		if h.before != nil {
			err = h.before(ctx)
		}
		if err == nil {
			err = h.history.Write(ctx, batches)
		}
		clear(batches) // they are not to be kept longer than the queue keeps them
		if err != nil {
			if ctx.Err() != nil || !h.rest(ctx, l, err, now()) {
				return
			}
			continue
		}
		h.wrote(l, front, readings, time.Since(began), now())
		h.done(front, acks)
		clear(front) // the queue's array outlives them
	}
}

// await waits until a lane has something to write and may write it: a store
// that asked to be left alone is, a trickle is gathered for a moment, and a
// backlog lets live data pass that does not fit into one write. False when ctx
// has ended.
func (h *historian) await(ctx context.Context, l *lane) bool {
	gathered, passed := false, time.Duration(0)
	for {
		h.mu.Lock()
		quiet, empty, few := time.Until(h.quiet), len(l.queue) == 0, l.waiting < min(historyEnough, l.pace.size())
		behind := l == h.backlog && h.live.failing == "" && h.live.waiting > h.live.pace.size()
		h.mu.Unlock()
		switch {
		case empty:
			select {
			case <-ctx.Done():
				return false
			case <-l.wake:
			}
		case quiet > 0:
			if !sleep(ctx, quiet) {
				return false
			}
		case few && !gathered:
			gathered = true
			h.gather(ctx, l)
		case behind && passed < writeMost: // a backlog that always waited would not end
			passed += historyGather / 2
			if !sleep(ctx, historyGather/2) {
				return false
			}
		default:
			return ctx.Err() == nil
		}
	}
}

// gather waits a moment, or until enough for a write has come.
func (h *historian) gather(ctx context.Context, l *lane) {
	timer := time.NewTimer(historyGather)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-l.wake:
		}
		h.mu.Lock()
		enough := l.waiting >= min(historyEnough, l.pace.size())
		h.mu.Unlock()
		if enough {
			return
		}
	}
}

// rest notes a failed write and waits until it is worth another try. False
// when ctx ended before.
func (h *historian) rest(ctx context.Context, l *lane, err error, at plant.Time) bool {
	h.mu.Lock()
	l.pace.failed(err)
	l.failed++
	l.failing = err.Error()
	pause := l.backoff.pause(h.random(), err)
	if wait := asked(err); wait > 0 {
		h.quiet = time.Now().Add(wait)
	}
	for len(l.again) > 0 {
		<-l.again // of before
	}
	h.mu.Unlock()
	h.note(at)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-l.again:
	case <-timer.C:
	}
	return true
}

// wrote notes a write that was stored, and takes it off its lane.
func (h *historian) wrote(l *lane, front []queued, readings int, took time.Duration, at plant.Time) {
	h.mu.Lock()
	l.pace.wrote(max(readings, 1), took)
	l.backoff.failures = 0
	l.failing, l.last = "", took
	l.writes++
	l.pop(front)
	for _, o := range []*lane{h.live, h.backlog} {
		if o.failing != "" {
			signal(o.again)
		}
	}
	h.mu.Unlock()
	h.note(at)
}

// note tells once that writing fails, and once that it works again.
func (h *historian) note(at plant.Time) {
	h.mu.Lock()
	before, after := h.failing, h.live.failing
	if after == "" {
		after = h.backlog.failing
	}
	h.failing = after
	if (before == "") != (after == "") {
		h.since = at
		if after == "" {
			h.was = before
		}
	}
	h.mu.Unlock()
	switch {
	case after == before:
	case after == "":
		h.log.Info("history stores again")
	default:
		h.log.Warn("history does not store; the gateways keep the data", "error", after)
	}
}

// sleep waits for d; false when ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
