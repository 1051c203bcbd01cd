package gateway

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"linetwin/plant"
)

// Past rounds are gathered, since nobody waits for them: fewer batches drain
// faster.
const (
	pastBatch   = 500                    // readings
	pastFlush   = 200 * time.Millisecond // longest time in which they are gathered
	pastWaiting = 200_000                // readings in the buffer above which Import waits
	pastPending = 8 << 20                // bytes not yet on disk above which it waits
	pastRetry   = 10 * time.Millisecond
)

// past gathers the past rounds of one machine. It has a filter of its own, so
// that the past does not change what is news now.
type past struct {
	mu       sync.Mutex
	filter   filter
	started  bool
	complete plant.Span
	claimed  plant.Time // up to where batches have claimed
	readings []plant.Reading
	since    time.Time // when the oldest gathered round came
}

// Import takes a past round of a machine, in order of time, on the way that
// live rounds go, as backlog. It blocks while too much waits. A round that it
// took is on disk soon, but not when it returns. Where anew is true nobody
// looked between the round before and this one: that time stays unknown.
func (g *Gateway) Import(ctx context.Context, machine string, round plant.Round, anew bool) error {
	d := g.device(machine)
	if d == nil {
		return fmt.Errorf("import of machine %s: %w", machine, plant.ErrNotFound)
	}
	for g.buffer.crowded() {
		sleep(ctx, pastRetry)
		if ctx.Err() != nil {
			return fmt.Errorf("import of machine %s: %w", machine, ctx.Err())
		}
	}
	if g.buffer.isClosed() {
		return fmt.Errorf("import of machine %s: the gateway has ended", machine)
	}
	g.read.Add(uint64(len(round.Readings)))
	p := &d.past
	p.mu.Lock()
	defer p.mu.Unlock()
	anew = anew || !p.started || round.Through < p.complete.To
	if anew || p.filter.strange == nil {
		p.filter = newFilter(d.Device, d.log) // few gateways ever import
	}
	if anew {
		d.flushPast()
		p.started, p.claimed = true, round.Through
		p.complete.From = round.Through
	}
	if p.since.IsZero() {
		p.since = time.Now()
	}
	p.readings = p.filter.pass(p.readings, round.Readings, round.Through)
	p.complete.To = round.Through
	if len(p.readings) >= pastBatch {
		d.flushPast()
	}
	return nil
}

func (g *Gateway) device(machine string) *device {
	for _, d := range g.list() {
		if d.Machine == machine {
			return d
		}
	}
	return nil
}

// flushPast makes batches of past rounds that were gathered for long enough.
func (g *Gateway) flushPast(all bool) {
	for _, d := range g.list() {
		d.past.mu.Lock()
		if !d.past.since.IsZero() && (all || time.Since(d.past.since) >= pastFlush) {
			d.flushPast()
		}
		d.past.mu.Unlock()
	}
}

// flushPast makes a batch of what is gathered. The caller holds past.mu.
func (d *device) flushPast() {
	p := &d.past
	if p.since.IsZero() {
		return
	}
	b := plant.Batch{
		Area: d.gateway.cfg.Area, Gateway: d.gateway.cfg.Gateway, Machine: d.Machine,
		Complete: plant.Span{From: p.claimed, To: p.complete.To}, Historical: true,
		Readings: append([]plant.Reading(nil), p.readings...),
	}
	p.claimed, p.complete.From = p.complete.To, p.complete.To
	p.readings, p.since = p.readings[:0], time.Time{}
	d.gateway.buffer.append(&b, false)
}

// takePast makes a batch of what the source learnt of its past. It is part of
// no claim: rounds without data claimed that time, and what is now known of it
// takes the place of what they said. While much waits in the buffer the source
// keeps it, so that the past never drives out what is newer.
func (d *device) takePast() (err error) {
	source, ok := d.Source.(PastSource)
	if !ok || d.gateway.buffer.crowded() {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	learnt := source.Past(nil)
	if len(learnt) == 0 {
		return nil
	}
	d.gateway.read.Add(uint64(len(learnt)))
	d.mu.Lock()
	readings := d.filter.sound(learnt[:0], learnt)
	d.mu.Unlock()
	if len(readings) == 0 {
		return nil
	}
	d.gateway.buffer.append(&plant.Batch{
		Area: d.gateway.cfg.Area, Gateway: d.gateway.cfg.Gateway, Machine: d.Machine,
		Complete: plant.Span{From: d.through, To: d.through}, Historical: true, Readings: readings,
	}, false)
	return nil
}
