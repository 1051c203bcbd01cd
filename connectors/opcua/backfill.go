package opcua

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

// Whether history fills what an outage left unknown.
const (
	BackfillAuto  = "auto"  // where the server has it
	BackfillNever = "never" // it stays unknown
)

const (
	mostHoles = 16     // outages that wait to be filled; of more the oldest stay unknown
	mostPast  = 20_000 // readings that wait for the gateway
)

// Hole is a time in which a device could not be looked at.
type Hole struct {
	// From is up to where the looks before it know every change.
	From plant.Time
	// Told are the times of the bad readings that told of it, ascending. The
	// device keeps them.
	Told []plant.Time
	// Deadbands says by signal how much of a change counts.
	Deadbands map[string]float64
}

// backlog is what a device still has to learn about its past. One goroutine of
// the session works on it, beside live data; what it finds waits here.
type backlog struct {
	mu    sync.Mutex
	holes []*hole         // the first one is worked on
	ready []plant.Reading // for the gateway
	taken chan struct{}   // has one when ready was emptied

	cancel  context.CancelFunc // of the goroutine that was started last
	done    chan struct{}
	working bool // it has not ended
	silent  bool // it was said that the server has no history
}

// hole is an outage to be filled.
type hole struct {
	plant.Span // from the last look before it to the first one after it
	nodes      []holeNode
	readings   int           // found
	offset     time.Duration // of the server's clock before it
	tries      int           // connections over which it was worked on without finding anything
}

// holeNode is one node's part of a hole.
type holeNode struct {
	target  int
	at      plant.Time // read up to here
	signals []recall
	more    []byte // continuation point
	empty   int    // answers in a row that brought nothing
	over    bool
	why     string // why it is over and not filled
}

// Backfill has the device learn from the server's history what its signals
// were in an outage that has just ended with the look before this call. The
// readings come bit by bit from Past.
func (d *Device) Backfill(h Hole) {
	if d.cfg.Backfill == BackfillNever || h.From == 0 {
		return
	}
	end := d.stamper.floor
	if oldest := end.Add(-d.cfg.BackfillMax); h.From < oldest {
		d.log.Warn("the outage was longer than backfill_max: its beginning stays unknown", "from", h.From, "to", oldest)
		h.From = oldest
	}
	for len(h.Told) > 0 && h.Told[0] <= h.From {
		h.Told = h.Told[1:]
	}
	fresh := &hole{Span: plant.Span{From: h.From, To: h.From}, offset: d.parting.offset}
	for t := range d.targets {
		n := holeNode{target: t, at: h.From}
		for _, i := range d.targets[t].signals {
			sg, before := &d.signals[i], &d.parting.before[i]
			r := recall{machine: d.machine, name: sg.name, decoder: sg.decoder, deadband: max(h.Deadbands[sg.name], sg.band),
				from: h.From, end: d.parting.joined + plant.Millisecond, told: h.Told, now: *before, sent: *before,
				known: before.Time != 0 && before.Quality != plant.Bad}
			r.news = !r.known
			if sg.told {
				r.end = sg.first
			}
			fresh.To = max(fresh.To, r.end)
			n.signals = append(n.signals, r)
		}
		fresh.nodes = append(fresh.nodes, n)
	}
	b := &d.backlog
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.holes = append(b.holes, fresh); len(b.holes) > mostHoles {
		d.log.Warn("more outages than can be filled from history: the oldest one stays unknown", "from", b.holes[0].From, "to", b.holes[0].To)
		b.holes = slices.Delete(b.holes, 0, 1)
	}
}

// Past appends what was learnt of earlier outages to into. It never waits.
func (d *Device) Past(into []plant.Reading) []plant.Reading {
	b := &d.backlog
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ready) == 0 {
		return into
	}
	into = append(into, b.ready...)
	b.ready = nil
	select {
	case b.taken <- struct{}{}:
	default:
	}
	return into
}

// parting is what is remembered of a device when it is lost.
type parting struct {
	is     bool
	before []plant.Reading // the last one of each signal; without a time where there is none
	offset time.Duration   // of the server's clock
	joined plant.Time      // up to where others claim, when it was connected again
}

// leave remembers how things were when the device was lost.
func (p *parting) leave(signals []signal, offset time.Duration) {
	if p.is {
		return
	}
	p.is, p.offset, p.before = true, offset, p.before[:0]
	for i := range signals {
		p.before = append(p.before, signals[i].history.last)
	}
}

// learn starts the work on what is to be learnt.
func (d *Device) learn(s *session) {
	b := &d.backlog
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.working || len(b.holes) == 0 || s.broken() != nil {
		return
	}
	b.working = true
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	b.cancel, b.done = cancel, done
	if b.taken == nil {
		b.taken = make(chan struct{}, 1)
	}
	w := &learner{backlog: b, session: s, log: d.log, timeout: d.cfg.Timeout, batch: d.cfg.Batch, nodes: make([]*ua.NodeID, len(d.targets))}
	for i := range d.targets {
		if r := d.targets[i].read; r != nil {
			w.nodes[i] = r.NodeID
		}
	}
	s.start(func() {
		defer close(done)
		for w.next(ctx) {
		}
	})
}

// stop ends the work, to be gone on with over the next session.
func (b *backlog) stop() {
	b.mu.Lock()
	cancel, done := b.cancel, b.done
	b.cancel = nil
	b.mu.Unlock()
	if cancel == nil {
		return
	}
	cancel()
	<-done
}
