package twin

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"linetwin/plant"
)

// History stores readings and gives them back. Its methods may be called at
// the same time.
type History interface {
	// Write stores batches; it is idempotent. Nil means that all of it is
	// stored, or set aside and counted for good.
	Write(ctx context.Context, batches []*plant.Batch) error
	// Record gives a machine's readings in span by time (signals nil: all), and
	// the claims of completeness in it.
	Record(ctx context.Context, machine string, signals []string, span plant.Span) (plant.Record, error)
	// Before gives the last reading of each signal before at.
	Before(ctx context.Context, machine string, signals []string, at plant.Time) ([]plant.Reading, error)
	// Chart gives a signal in span, in at most points buckets.
	Chart(ctx context.Context, machine, signal string, span plant.Span, points int) ([]plant.Bucket, error)
}

// Acknowledger tells gateways what is stored.
type Acknowledger interface {
	Acknowledge(a plant.Acknowledgement) error
}

const (
	historyQueueMax   = 400_000          // readings that wait for history in memory; more stays with the gateways
	historyWriteMax   = 20_000           // readings of one write
	historyRetryMax   = 30 * time.Second // longest pause after a failed write
	historyRetryFirst = 250 * time.Millisecond

	// A trickle is gathered for a moment before it is written: a store that
	// syncs each write to disk then does so a few times a second, not for each
	// batch. Screens do not wait for it.
	historyGather = 100 * time.Millisecond
	historyEnough = 5_000 // readings that are written at once
)

// historian writes what came in to history, in the order in which it came,
// and acknowledges it when it is stored. When history is slow or away it
// keeps a bounded queue; what does not fit is left to the gateways, which
// send it again because nobody acknowledges it.
type historian struct {
	history History
	log     *slog.Logger

	mu       sync.Mutex
	queue    []queued // front is being written
	waiting  int      // readings and batches in the queue
	wake     chan struct{}
	sessions map[gatewayKey]*session
	former   map[gatewayKey][]*session // that may come back, oldest first
	failing  string                    // why the last write failed; "" when it did not
	since    plant.Time                // since when it fails

	Stored  uint64 // readings
	Refused uint64 // batches that did not fit
	Failed  uint64 // writes
}

// queued is a batch with the session that it came in. A number counts only
// within its session.
type queued struct {
	batch   *plant.Batch
	session *session // nil: awaits no acknowledgement
}

// gatewayKey names a gateway: its name is unique in its area only.
type gatewayKey struct{ area, name string }

// session is what is stored of one life of one gateway process.
type session struct {
	gateway gatewayKey
	id      string
	stored  plant.Spans // sequence numbers, as [n, n+1)
}

func newHistorian(h History, log *slog.Logger) *historian {
	return &historian{history: h, log: log, wake: make(chan struct{}, 1), sessions: map[gatewayKey]*session{}, former: map[gatewayKey][]*session{}}
}

// formerKept is how many sessions of a gateway are remembered beside the last.
// Two processes under one name come back in turn, and must each get on.
const formerKept = 4

// begin opens a gateway's session, or goes on with it. All below first is
// stored.
func (h *historian) begin(gateway gatewayKey, id string, first uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.sessions[gateway]
	if s == nil || s.id != id {
		s = h.resume(gateway, id)
	}
	s.stored.Add(plant.Span{From: 0, To: plant.Time(first)})
}

// resume makes a session the gateway's, one that is remembered or a new one.
func (h *historian) resume(gateway gatewayKey, id string) *session {
	s := &session{gateway: gateway, id: id}
	former := h.former[gateway]
	if i := slices.IndexFunc(former, func(f *session) bool { return f.id == id }); i >= 0 {
		s = former[i]
		former = slices.Delete(former, i, i+1)
	}
	if was := h.sessions[gateway]; was != nil && was.id != "" {
		former = append(former, was)
	}
	h.former[gateway] = former[max(0, len(former)-formerKept):]
	h.sessions[gateway] = s
	return s
}

// add queues a batch. False: there is no room, the gateway keeps it.
func (h *historian) add(b *plant.Batch) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting+len(b.Readings) > historyQueueMax && len(h.queue) > 0 {
		h.Refused++
		return false
	}
	q := queued{batch: b}
	if b.Sequence != 0 {
		q.session = h.sessions[gatewayKey{b.Area, b.Gateway}]
	}
	h.queue = append(h.queue, q)
	h.waiting += len(b.Readings) + 1
	select {
	case h.wake <- struct{}{}:
	default:
	}
	return true
}

// unstored gives the batches of a machine that history does not have yet.
func (h *historian) unstored(machine string) []*plant.Batch {
	h.mu.Lock()
	defer h.mu.Unlock()
	var bs []*plant.Batch
	for _, q := range h.queue {
		if q.batch.Machine == machine {
			bs = append(bs, q.batch)
		}
	}
	return bs
}

// state tells why writing fails ("" when it does not) and since when.
func (h *historian) state() (string, plant.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failing, h.since
}

// run writes until ctx ends. What is queued then is not acknowledged and stays
// with the gateways.
func (h *historian) run(ctx context.Context, acks Acknowledger, now func() plant.Time) error {
	pause := time.Duration(0)
	var batches []*plant.Batch
	for {
		if h.trickles() && !sleep(ctx, historyGather) {
			return nil
		}
		front := h.next()
		batches = batches[:0]
		for _, q := range front {
			batches = append(batches, q.batch)
		}
		if len(batches) == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-h.wake:
			}
			continue
		}
		if err := h.history.Write(ctx, batches); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			pause = min(max(2*pause, historyRetryFirst), historyRetryMax)
			h.note(err.Error(), now())
			if !sleep(ctx, pause) {
				return nil
			}
			continue
		}
		if pause != 0 {
			pause = 0
			h.note("", now())
		}
		h.done(front, acks)
	}
}

// trickles tells whether something waits, but little.
func (h *historian) trickles() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.queue) > 0 && h.waiting < historyEnough
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

// next gives the front of the queue without taking it off.
func (h *historian) next() []queued {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, readings := 0, 0
	for n < len(h.queue) && (n == 0 || readings+len(h.queue[n].batch.Readings) <= historyWriteMax) && n < historyWriteMax {
		readings += len(h.queue[n].batch.Readings)
		n++
	}
	return h.queue[:n:n]
}

// done takes the written batches off and acknowledges them.
func (h *historian) done(front []queued, acks Acknowledger) {
	h.mu.Lock()
	var touched []*session
	for _, q := range front {
		h.Stored += uint64(len(q.batch.Readings))
		h.waiting -= len(q.batch.Readings) + 1
		if s := q.session; s != nil {
			n := plant.Time(q.batch.Sequence)
			s.stored.Add(plant.Span{From: n, To: n + 1})
			if !slices.Contains(touched, s) {
				touched = append(touched, s)
			}
		}
	}
	h.queue = h.queue[len(front):]
	if len(h.queue) == 0 {
		h.queue = nil
	}
	var out []plant.Acknowledgement
	for _, s := range touched {
		if h.sessions[s.gateway] == s {
			out = append(out, s.acknowledgement())
		}
	}
	h.mu.Unlock()
	for _, a := range out {
		// An acknowledgement that gets lost is made good by the next one.
		_ = acks.Acknowledge(a)
	}
}

// acknowledgement tells what is stored of a session.
func (s *session) acknowledgement() plant.Acknowledgement {
	const mostRanges = 32
	a := plant.Acknowledgement{Gateway: s.gateway.name, Session: s.id}
	for i, r := range s.stored {
		if i == 0 && r.From <= 1 {
			a.Through = uint64(r.To) - 1
			continue
		}
		if len(a.Beyond) == mostRanges {
			break
		}
		a.Beyond = append(a.Beyond, plant.Range{First: uint64(r.From), Last: uint64(r.To) - 1})
	}
	return a
}

func (h *historian) note(failure string, at plant.Time) {
	h.mu.Lock()
	was := h.failing
	h.failing = failure
	if failure != "" {
		h.Failed++
	}
	if (was == "") != (failure == "") {
		h.since = at
	}
	h.mu.Unlock()
	switch {
	case failure == "":
		h.log.Info("history stores again")
	case was != failure:
		h.log.Warn("history does not store; the gateways keep the data", "error", failure)
	}
}
