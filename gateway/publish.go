package gateway

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"linetwin/plant"
)

// publisher hands batches to the wire: live ones as they come, and backlog
// whenever no live one waits.
type publisher struct {
	buffer  *buffer
	cfg     Config
	log     *slog.Logger
	wire    Wire
	backlog chan sending
	refused bool // the last batch was refused, though the wire is online
}

// sending is a batch of backlog on its way to the one goroutine that publishes.
type sending struct {
	b    *plant.Batch
	done chan error
}

// run publishes until ctx ends. A batch that did not go out becomes backlog.
func (p *publisher) run(ctx context.Context) {
	live := p.buffer.live
	for {
		select {
		case b := <-live:
			p.sendLive(b)
			continue
		default:
		}
		select {
		case <-ctx.Done():
			return
		case b := <-live:
			p.sendLive(b)
		case s := <-p.backlog:
			s.done <- p.publish(s.b)
		}
	}
}

func (p *publisher) sendLive(b *plant.Batch) {
	if err := p.publish(p.buffer.place(b)); errors.Is(err, plant.ErrOffline) {
		p.buffer.notSent(b.Sequence)
	}
}

// publish hands b to the wire. A batch that the wire refuses while it is online
// is kept and tried again after the resend time-out, so that it holds up no
// other one.
func (p *publisher) publish(b *plant.Batch) error {
	err := p.wire.Publish(b)
	if errors.Is(err, plant.ErrOffline) {
		return err
	}
	if refused := err != nil; refused != p.refused {
		p.refused = refused
		if refused {
			p.log.Error("batch is refused by the wire and tried again later", "machine", b.Machine, "sequence", b.Sequence, "error", err)
		} else {
			p.log.Info("batches are taken by the wire again")
		}
	}
	return err
}

// notSent notes that a live batch did not go out.
func (q *buffer) notSent(n uint64) {
	q.mu.Lock()
	q.flight.unsent(n)
	q.rescan(n)
	q.mu.Unlock()
	poke(q.toSend)
}

// candidate is a batch to be sent as backlog: in memory, or the number of one
// in a block.
type candidate struct {
	number uint64
	block  *block
	first  uint64 // of the block
	batch  *plant.Batch
}

// candidate gives the oldest batch that is neither acknowledged nor in flight,
// if the window has room.
func (q *buffer) candidate(window int) (candidate, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.online || len(q.flight.backlog) >= window || q.flight.readings >= window*windowFactor {
		return candidate{}, false
	}
	n := max(q.scan, q.lowest())
	for {
		free := q.flight.after(q.unacked(n))
		if free == n {
			break
		}
		n = free
	}
	q.scan = n
	if n >= q.next || q.hold != 0 && n >= q.hold {
		return candidate{}, false
	}
	if n >= q.pendingFirst {
		return candidate{number: n, batch: q.pending[n-q.pendingFirst].b}, true
	}
	b := q.blocks[q.findBlock(n)]
	if b.leaving {
		return candidate{}, false
	}
	return candidate{number: n, block: b, first: b.first}, true
}

// drainer reads backlog, block by block.
type drainer struct {
	*publisher
	pack   *packer
	reader blockReader
	block  *block
	next   uint64 // number of the batch that reader gives next
	bytes  []byte
	batch  plant.Batch
	credit float64 // readings that may be sent now
	paid   time.Time
	done   chan error
}

// drain sends backlog, oldest first, until ctx ends.
func (p *publisher) drain(ctx context.Context) {
	pack, err := newPacker()
	if err != nil {
		p.log.Error("backlog cannot be sent", "error", err)
		return
	}
	d := &drainer{publisher: p, pack: pack, done: make(chan error, 1), paid: time.Now()}
	tick := time.NewTicker(p.cfg.Delivery.Resend / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.buffer.toSend:
		case now := <-tick.C:
			p.buffer.expire(now, p.cfg.Delivery.Resend)
		}
		for ctx.Err() == nil && d.sendNext(ctx) {
		}
	}
}

func (q *buffer) expire(now time.Time, resend time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if lowest, any := q.flight.expire(now, resend); any {
		q.rescan(lowest)
	}
}

// sendNext sends one batch of backlog, and tells whether to go on.
func (d *drainer) sendNext(ctx context.Context) bool {
	c, ok := d.buffer.candidate(d.cfg.Delivery.Window)
	if !ok {
		return false
	}
	if c.batch != nil {
		d.batch.Machine, d.batch.Complete = c.batch.Machine, c.batch.Complete
		d.batch.Readings = append(d.batch.Readings[:0], c.batch.Readings...)
	} else if err := d.load(c); err != nil {
		d.block = nil
		if !d.buffer.readable(c.block) {
			// Dropped, merged or acknowledged since: there is another candidate, or
			// will be when the commit under way has ended.
			return true
		}
		d.buffer.markBad(c.block, err)
		return true
	}
	d.batch.Area, d.batch.Gateway = d.cfg.Area, d.cfg.Gateway
	d.batch.Sequence, d.batch.Historical = c.number, true
	b := d.buffer.place(&d.batch)
	b.Complete = d.buffer.claim(b)
	d.pay(ctx, len(d.batch.Readings))
	select {
	case <-ctx.Done():
		return false
	case d.backlog <- sending{b, d.done}:
	}
	if err := <-d.done; errors.Is(err, plant.ErrOffline) {
		return false
	}
	d.buffer.sent(c.number, len(d.batch.Readings))
	return true
}

func (q *buffer) sent(n uint64, readings int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	// It may be acknowledged already, before Publish came back.
	if n >= q.lowest() && !q.acks.has(n) {
		q.flight.sentBacklog(n, readings, time.Now())
	}
}

// readable tells whether a block is in the list, and is to stay there.
func (q *buffer) readable(b *block) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := q.findBlock(b.first)
	return i < len(q.blocks) && q.blocks[i] == b && !b.leaving
}

// load reads the batch c of a block into d.batch; batches in order cost one
// look at the block.
func (d *drainer) load(c candidate) error {
	if d.block != c.block || c.number < d.next {
		var err error
		if d.bytes, err = d.buffer.store.get(c.block.key, d.bytes); err != nil {
			return err
		}
		if err := openSame(&d.reader, d.pack, d.bytes, c.block); err != nil {
			return err
		}
		d.block, d.next = c.block, c.first
	}
	for ; d.next <= c.number; d.next++ {
		more, err := d.reader.next(&d.batch)
		if err != nil {
			return err
		}
		if !more {
			return damaged("batch %d is missing", c.number)
		}
	}
	return nil
}

// pay waits until the rate, if there is one, allows that many readings more.
// Without one the window does: what is in flight is bounded, and is filled as
// fast as history acknowledges.
func (d *drainer) pay(ctx context.Context, readings int) {
	rate := float64(d.cfg.Delivery.BacklogRate)
	if rate == 0 {
		return
	}
	now := time.Now()
	d.credit = min(d.credit+now.Sub(d.paid).Seconds()*rate, rate/10)
	d.paid = now
	d.credit -= float64(max(readings, 1))
	if d.credit < 0 {
		sleep(ctx, time.Duration(-d.credit/rate*float64(time.Second)))
	}
}
