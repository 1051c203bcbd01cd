package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"linetwin/plant"
)

// afterPanic is how long a device whose source panicked is left alone.
const afterPanic = time.Second

// device polls one machine. Its goroutine owns everything but what mu guards.
type device struct {
	Device
	gateway   *Gateway
	log       *slog.Logger
	heartbeat time.Duration

	into    []plant.Reading // handed to the source again and again
	through plant.Time      // up to where batches have claimed
	looked  plant.Time      // up to where the last round went
	sent    time.Time       // when the last batch was made
	link    plant.Link
	moved   int // moves of the clock that were followed

	stop  context.CancelFunc // ends run; nil until start
	ended chan struct{}      // closed when run has returned
	told  atomic.Int32       // what the wire was last told

	mu     sync.Mutex
	filter filter
	fault  string // of a source that panicked, until its next round

	past past
}

func newDevice(d Device, g *Gateway) *device {
	log := g.log.With("machine", d.Machine)
	return &device{
		Device: d, gateway: g, log: log, heartbeat: g.cfg.Delivery.Heartbeat,
		filter: newFilter(d, log), ended: make(chan struct{}),
	}
}

// What the wire was told of a device.
const (
	toldNothing int32 = iota
	toldOnline
	toldOffline
)

func toldAs(online bool) int32 {
	if online {
		return toldOnline
	}
	return toldOffline
}

// run polls until ctx ends, then says goodbye to the device.
func (d *device) run(ctx context.Context) {
	for {
		round, err := d.look(ctx)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			d.failed(err)
			sleep(ctx, afterPanic)
			continue
		}
		d.recovered()
		d.take(round, time.Now())
		if err := d.takePast(); err != nil {
			d.failed(err)
			sleep(ctx, afterPanic)
		}
	}
	defer func() {
		if p := recover(); p != nil {
			d.log.Error("device panicked while it was closed", "panic", p)
		}
	}()
	if err := d.Source.Close(); err != nil {
		d.log.Warn("device not closed", "error", err)
	}
}

// look asks the source for its next round; a panic of the source is an error.
func (d *device) look(ctx context.Context) (round plant.Round, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	round, err = d.Source.Next(ctx, d.into[:0])
	d.into = round.Readings
	return round, err
}

func (d *device) failed(err error) {
	d.mu.Lock()
	first := d.fault == ""
	d.fault = err.Error()
	d.mu.Unlock()
	if first {
		d.log.Error("look at device failed", "error", err)
	}
}

func (d *device) recovered() {
	d.mu.Lock()
	was := d.fault != ""
	d.fault = ""
	d.mu.Unlock()
	if was {
		d.log.Info("device is looked at again")
	}
}

// take makes batches of what a round changed. A round without changes only
// moves the claim, which goes out with the next batch or heartbeat.
func (d *device) take(round plant.Round, now time.Time) {
	d.gateway.read.Add(uint64(len(round.Readings)))
	d.gateway.timeline.RLock()
	defer d.gateway.timeline.RUnlock()
	moved := d.follow(&round, now)
	d.mu.Lock()
	kept := d.filter.pass(round.Readings[:0], round.Readings, round.Through)
	if moved {
		kept = d.filter.again(kept, round.Through)
	}
	d.mu.Unlock()
	d.mark(kept)
	if d.through == 0 || round.Through < d.through {
		// The first look, or a clock set back: nobody knows what was before.
		d.through = foundSince(kept, round.Through)
	}
	d.looked = round.Through
	if len(kept) > 0 || now.Sub(d.sent) >= d.heartbeat {
		d.send(kept, round.Through, now)
	}
	if link := d.status().Link; link != d.link {
		d.link = link
		select {
		case d.gateway.changed <- struct{}{}:
		default: // report will look at all devices anyway
		}
	}
}

// lookMost is how long before the end of a first look what it found may be from.
const lookMost = 10 * time.Second

// foundSince gives since when a first look knows what there is: a server tells
// values under times of its own, from between the connection and the look.
func foundSince(found []plant.Reading, through plant.Time) plant.Time {
	from := through
	for i := range found {
		if t := found[i].Time; t < from && through.Sub(t) <= lookMost {
			from = t
		}
	}
	return from
}

// send makes a batch of what passed the filter, with the claim up to through.
func (d *device) send(kept []plant.Reading, through plant.Time, now time.Time) {
	b := plant.Batch{
		Area: d.gateway.cfg.Area, Gateway: d.gateway.cfg.Gateway, Machine: d.Machine,
		Complete: plant.Span{From: d.through, To: through},
		Readings: append([]plant.Reading(nil), kept...),
	}
	if d.gateway.resigned {
		b.Complete.From = b.Complete.To // of a time that is not known nobody claims anything
	}
	d.through, d.sent = through, now
	d.gateway.buffer.append(&b, true)
}

// status is the source's, with what the gateway knows beside it.
func (d *device) status() (s plant.DeviceStatus) {
	defer func() {
		if p := recover(); p != nil {
			s = plant.DeviceStatus{Link: plant.LinkDown, Reason: fmt.Sprintf("panic: %v", p)}
		}
		s.Machine = d.Machine
	}()
	s = d.Source.Status()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fault != "" {
		s.Link, s.Reason = plant.LinkDown, firstLine(d.fault)
	}
	return s
}

// reachable tells whether the device can be talked to; a stale one can.
func (d *device) reachable() bool {
	link := d.status().Link
	return link == plant.LinkFlowing || link == plant.LinkStale
}

func (d *device) birth(online bool) plant.DeviceBirth {
	d.mu.Lock()
	defer d.mu.Unlock()
	return plant.DeviceBirth{Machine: d.Machine, Online: online, Signals: d.Signals, Last: d.filter.sent()}
}

func firstLine(s string) string {
	for i := range len(s) {
		if s[i] == '\n' {
			return s[:i]
		}
	}
	return s
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
