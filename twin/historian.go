package twin

import (
	"context"
	"log/slog"
	"math/rand/v2"
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

// Recycler is an Acknowledger that takes batches back which nobody needs any
// more, to be filled again: a twin keeps many on their way to history.
type Recycler interface {
	Recycle(b *plant.Batch)
}

// Acknowledger tells gateways what is stored. It may be a Recycler too.
type Acknowledger interface {
	Acknowledge(a plant.Acknowledgement) error
}

const (
	// Readings that wait for history in memory; more stays with the gateways.
	liveQueueMax    = 400_000
	backlogQueueMax = 200_000

	// A trickle is gathered for a moment before it is written: a store that
	// syncs each write to disk then does so a few times a second, not for each
	// batch. Screens do not wait for it.
	historyGather = 100 * time.Millisecond
	historyEnough = 5_000 // readings that are written at once
)

// historian writes what came in to history and acknowledges it when it is
// stored. What is live and what comes late wait in two lanes, so that a
// backlog of hours holds up nobody who looks at the last minute; each lane
// keeps the order in which it came. When history is slow or away the lanes
// fill up to a bound; what does not fit is left to the gateways, which send it
// again because nobody acknowledges it.
type historian struct {
	history History
	log     *slog.Logger
	random  func() float64              // from [0, 1): jitter of pauses
	before  func(context.Context) error // runs before each write, which waits until it does not fail; may be nil

	mu       sync.Mutex
	live     *lane
	backlog  *lane
	sessions map[gatewayKey]*session
	former   map[gatewayKey][]*session // that may come back, oldest first
	owed     []*session                // to be told again what is stored
	owing    chan struct{}
	recycler Recycler   // nil: there is none. Set before the first batch
	quiet    time.Time  // the store asks to be left alone until then
	failing  string     // why the last write failed; "" when it did not
	since    plant.Time // since when it fails, or does not
	was      string     // what the last failure was, when it is over

	counts plant.HistoryLive // only the counters that lanes do not have
}

// queued is a batch with the session that it came in. A number counts only
// within its session.
type queued struct {
	batch   *plant.Batch
	session *session // nil: awaits no acknowledgement
}

// gatewayKey names a gateway: its name is unique in its area only.
type gatewayKey struct{ area, name string }

// session is what came of one life of one gateway process.
type session struct {
	gateway gatewayKey
	id      string
	stored  plant.Spans // sequence numbers, as [n, n+1)
	held    plant.Spans // those that are stored or wait here
	refused plant.Spans // those that came when there was no room for them
	owed    bool        // is in historian.owed
}

func newHistorian(h History, log *slog.Logger) *historian {
	return &historian{history: h, log: log, random: rand.Float64,
		live: newLane("live", liveQueueMax), backlog: newLane("backlog", backlogQueueMax),
		sessions: map[gatewayKey]*session{}, former: map[gatewayKey][]*session{}, owing: make(chan struct{}, 1)}
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
	below := plant.Span{From: 0, To: plant.Time(first)}
	s.stored.Add(below)
	s.held.Add(below)
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

// add queues a batch. False: there is no room, the gateway keeps it. What is
// stored already is acknowledged once more, for that word may have got lost;
// what waits already is not queued twice.
func (h *historian) add(b *plant.Batch) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	q := queued{batch: b}
	number := plant.Span{From: plant.Time(b.Sequence), To: plant.Time(b.Sequence) + 1}
	if b.Sequence != 0 {
		q.session = h.sessions[gatewayKey{b.Area, b.Gateway}]
	}
	if s := q.session; s != nil && s.held.Covers(number) {
		h.counts.Repeated++
		if !s.owed && s.stored.Covers(number) {
			s.owed = true
			h.owed = append(h.owed, s)
			signal(h.owing)
		}
		return true
	}
	l := h.live
	if b.Historical {
		l = h.backlog
	}
	if !l.push(q) {
		h.counts.Refused++
		if q.session != nil {
			q.session.refused.Add(number)
		}
		return false
	}
	b.Hold()
	if q.session != nil {
		q.session.held.Add(number)
	}
	return true
}

// drop gives a batch that somebody needed back.
func (h *historian) drop(b *plant.Batch) {
	if b.Drop() && h.recycler != nil {
		h.recycler.Recycle(b)
	}
}

// isNew tells whether a batch is known to be no repeat: its number did not come
// before.
func (h *historian) isNew(b *plant.Batch) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.sessions[gatewayKey{b.Area, b.Gateway}]
	number := plant.Span{From: plant.Time(b.Sequence), To: plant.Time(b.Sequence) + 1}
	return b.Sequence != 0 && s != nil && !s.held.Covers(number) && !s.refused.Covers(number)
}

// signal wakes who waits at a channel of one place.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// unstored gives the batches of a machine that history does not have yet.
func (h *historian) unstored(machine string) []*plant.Batch {
	h.mu.Lock()
	defer h.mu.Unlock()
	var bs []*plant.Batch
	for _, l := range []*lane{h.backlog, h.live} {
		for _, q := range l.queue {
			if q.batch.Machine == machine {
				q.batch.Hold() // for ever: it is read elsewhere
				bs = append(bs, q.batch)
			}
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

// status tells how writing goes.
func (h *historian) status() plant.HistoryLive {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.counts
	s.Failing, s.Since, s.Was = h.failing, h.since, h.was
	s.Live, s.Backlog = h.live.status(), h.backlog.status()
	return s
}

// done acknowledges what was written.
func (h *historian) done(front []queued, acks Acknowledger) {
	h.mu.Lock()
	var touched []*session
	for _, q := range front {
		h.counts.Stored += uint64(len(q.batch.Readings))
		if s := q.session; s != nil {
			n := plant.Time(q.batch.Sequence)
			s.stored.Add(plant.Span{From: n, To: n + 1})
			if !slices.Contains(touched, s) {
				touched = append(touched, s)
			}
		}
	}
	h.mu.Unlock()
	for _, q := range front {
		h.drop(q.batch)
	}
	h.tell(touched, acks)
}

// tell acknowledges what is stored of sessions that are not over.
func (h *historian) tell(sessions []*session, acks Acknowledger) {
	h.mu.Lock()
	var out []plant.Acknowledgement
	for _, s := range sessions {
		if h.sessions[s.gateway] == s {
			out = append(out, s.acknowledgement())
		}
	}
	h.mu.Unlock()
	for _, a := range out {
		// An acknowledgement that gets lost is made good by the next one, or
		// when the gateway sends again what it was for.
		_ = acks.Acknowledge(a)
	}
}

// repeat acknowledges again, where gateways sent what is stored, until ctx
// ends.
func (h *historian) repeat(ctx context.Context, acks Acknowledger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.owing:
		}
		h.mu.Lock()
		owed := h.owed
		h.owed = nil
		for _, s := range owed {
			s.owed = false
		}
		h.mu.Unlock()
		h.tell(owed, acks)
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
