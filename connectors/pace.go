package connectors

import (
	"context"
	"math/rand/v2"
	"time"
)

// grid gives the times at which a device is looked at: at once, and then every
// so often from there and its phase on, without drift. Times that have passed
// are left out, so that looks never bunch up.
type grid struct {
	every time.Duration
	phase time.Duration // less than every
	next  time.Time
	timer *time.Timer
}

// stagger spreads the looks of devices that share a connection evenly over
// their intervals, so that they do not all begin at the same instant and then
// wait for each other. The first look of each is at once all the same. Those
// that run already keep their times.
func stagger(all []*Supervisor, runs map[*Supervisor]bool) {
	sharing, place := map[string]int{}, map[string]int{}
	for _, s := range all {
		sharing[s.shares]++
	}
	for _, s := range all {
		if !runs[s] {
			s.grid.phase = s.every * time.Duration(place[s.shares]) / time.Duration(sharing[s.shares])
		}
		place[s.shares]++
	}
}

// wait returns at the next time of the grid, and tells how many times of it
// have passed without a look.
func (g *grid) wait(ctx context.Context) (skipped int64, err error) {
	now := time.Now()
	first := g.next.IsZero()
	if first {
		g.next = now
	}
	if d := g.next.Sub(now); d > 0 {
		if g.timer == nil {
			g.timer = time.NewTimer(d)
		} else {
			g.timer.Reset(d)
		}
		select {
		case <-g.timer.C:
		case <-ctx.Done():
			g.timer.Stop()
			return 0, ctx.Err()
		}
		now = time.Now()
	}
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	skipped = int64(max(now.Sub(g.next), 0) / g.every)
	g.next = g.next.Add(g.every * time.Duration(1+skipped))
	if first && g.phase > 0 {
		g.next = g.next.Add(g.phase - g.every)
	}
	return skipped, nil
}

// Backoff says how long a device is left alone after failures in a row: not at
// all after the first one, then a random time up to Base, twice Base, four
// times Base and so on, at most Most ("full jitter", so that a hundred gateways
// do not come back in step).
type Backoff struct {
	Base time.Duration // 0 means 1 s
	Most time.Duration // 0 means 30 s
}

type backoff struct {
	Backoff
	failures int
	// steady is how long a device must have flowed for its next failure to count
	// as the first one: one that answers once and dies is not hammered.
	steady time.Duration
	random func() float64 // [0, 1)
}

func newBackoff(b Backoff) backoff {
	if b.Base <= 0 {
		b.Base = time.Second
	}
	if b.Most <= 0 {
		b.Most = 30 * time.Second
	}
	return backoff{Backoff: b, steady: 5 * b.Base, random: rand.Float64}
}

// next gives the time to wait after one more failure; the first failure after
// a steady time starts anew.
func (b *backoff) next(steady bool) time.Duration {
	if steady {
		b.failures = 0
	}
	b.failures++
	if b.failures == 1 {
		return 0
	}
	ceiling := b.Base
	for range min(b.failures-2, 32) {
		if ceiling *= 2; ceiling >= b.Most {
			break
		}
	}
	return time.Duration(b.random() * float64(min(ceiling, b.Most)))
}
