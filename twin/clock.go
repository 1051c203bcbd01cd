package twin

import (
	"fmt"
	"time"

	"linetwin/plant"
)

// Clocks that differ by more than clockWarns are told of, until they differ by
// less than clockCalms.
const (
	clockWarns = 2 * time.Second
	clockCalms = 1500 * time.Millisecond
)

// fromAhead tells whether a time is so far in the future that only a wrong
// clock can have given it.
func fromAhead(at, now plant.Time) bool { return at > now.Add(ahead) }

// clockOf is what the twin remembers of a gateway's clock.
type clockOf struct {
	warned bool
	best   time.Duration // of a foreign edge node: its clock minus ours, at least
	since  plant.Time
}

// bestLasts is how long the quickest message of a foreign edge node counts.
const bestLasts = time.Minute

// apart estimates a foreign edge node's clock from its messages: the one that
// was on its way for the shortest time shows it best.
func (g *gateway) apart(at, now plant.Time) {
	off := at.Sub(now)
	if c := &g.clock; c.since == 0 || off >= c.best || now.Sub(c.since) > bestLasts || now < c.since {
		c.best, c.since = off, now
	}
	ms := g.clock.best.Milliseconds()
	g.live.ClockMs, g.changed = &ms, true
}

// clockLocked tells when a gateway's clock begins to differ, and when it agrees
// again.
func (t *Twin) clockLocked(g *gateway) {
	if g.live.ClockMs == nil {
		return
	}
	off := time.Duration(*g.live.ClockMs) * time.Millisecond
	if g.clock.warned && off.Abs() > clockCalms || !g.clock.warned && off.Abs() <= clockWarns {
		return
	}
	g.clock.warned = !g.clock.warned
	if !g.clock.warned {
		t.log.Info("gateway's clock agrees with ours again", "gateway", g.live.Gateway, "ahead", off)
		return
	}
	t.log.Warn("gateway's clock differs from ours: set up time synchronisation on both", "gateway", g.live.Gateway, "ahead", off)
	t.noticeLocked("clock", fmt.Sprintf("clock of gateway %s is %s off", g.live.Gateway, off))
}

// untimed tells whether nobody has compared the clock of a batch's gateway with
// ours. One of ours that has, moves its times itself where they are wrong.
func (t *Twin) untimed(b *plant.Batch) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	g := t.gateways[gatewayKey{b.Area, b.Gateway}]
	return g == nil || g.live.Clock == nil || g.live.Clock.OffsetMs == nil
}

// misplaced marks what a batch says of the future: its time is wrong, and no
// figure must ever be made of it.
func misplaced(b *plant.Batch, now plant.Time) {
	limit := now.Add(ahead)
	for i := range b.Readings {
		if b.Readings[i].Time > limit {
			b.Readings[i].Misplace(plant.ReasonClockAhead)
		}
	}
	if b.Complete.To > limit {
		at := now.Floor(time.Millisecond)
		b.Complete = plant.Span{From: at, To: at} // nobody knows of when it speaks
	}
}

// leave notes that what is known from at on waits for its time to come.
func (m *machine) leave(at plant.Time) {
	if m.left == 0 || at < m.left {
		m.left = at
	}
}

// arrive has folded what was left for later, once its time has come.
func (m *machine) arrive(now plant.Time) {
	if m.left != 0 && m.left <= now {
		m.track.markDirty(m.left)
		m.left = 0
	}
}

// ticking finds out when the twin's own clock is set.
type ticking struct {
	wall plant.Time
	mono time.Duration
}

// look gives by how much the clock was set since the last look.
func (c *ticking) look(wall plant.Time, mono time.Duration) (step time.Duration) {
	if c.wall != 0 {
		step = wall.Sub(c.wall) - (mono - c.mono)
	}
	c.wall, c.mono = wall, mono
	return step
}

// clockSet has everything in memory folded again after the twin's clock was set
// by a step: what is too old or too new was judged by a wrong one, before or
// after it.
func (t *Twin) clockSet(step time.Duration) {
	if step.Abs() <= clockWarns {
		return
	}
	t.log.Warn("the twin's clock was set", "by", step.Round(time.Millisecond))
	t.notice("clock", fmt.Sprintf("the twin's clock was set by %s", step.Round(time.Millisecond)))
	if step.Abs() <= ahead {
		return
	}
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range t.machines {
		m.left = 0
		if m.loaded {
			m.track.markDirty(now.Add(-memory))
		}
	}
}
