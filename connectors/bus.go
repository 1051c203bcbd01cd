package connectors

import (
	"context"
	"sync"
	"time"
)

// Demotion says how a unit is treated that does not answer on a line where
// others do: after some failed looks it is left alone, but for a probe now and
// then, so that its time-outs do not slow the others.
type Demotion struct {
	After int           // failed looks in a row; 0 means 3
	Probe time.Duration // until the first probe; twice, four times as long and so on until the next ones; 0 means 10 s
	Most  time.Duration // between two probes; 0 means 60 s
}

// prober is a device that can tell at the cost of one small request whether it
// is there.
type prober interface {
	Probe(ctx context.Context) error
}

// bus is what the supervisors of devices on one line know of each other.
type bus struct {
	mu       sync.Mutex
	answered map[*Supervisor]time.Time // when each last answered
	up       map[*Supervisor]bool
	revived  time.Time // when the first one answered after none did
}

func newBus() *bus {
	return &bus{answered: map[*Supervisor]time.Time{}, up: map[*Supervisor]bool{}}
}

func (b *bus) answers(s *Supervisor, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.up) == 0 {
		b.revived = now
	}
	b.answered[s], b.up[s] = now, true
}

func (b *bus) fails(s *Supervisor) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.up, s)
}

// leave forgets a device that is no more.
func (b *bus) leave(s *Supervisor) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.answered, s)
	delete(b.up, s)
}

// othersSince tells whether another device than s has answered after t.
func (b *bus) othersSince(s *Supervisor, t time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for other, at := range b.answered {
		if other != s && at.After(t) {
			return true
		}
	}
	return false
}

func (b *bus) revivedSince(t time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.revived.After(t)
}

// demotion is the state of one device.
type demotion struct {
	Demotion
	bus      *bus // nil for a device that shares no line
	failedAt time.Time
	strikes  int           // failed looks since which others have answered
	wait     time.Duration // until the next probe; 0 while not demoted
}

func newDemotion(d Demotion, b *bus) demotion {
	if d.After <= 0 {
		d.After = 3
	}
	if d.Probe <= 0 {
		d.Probe = 10 * time.Second
	}
	if d.Most <= 0 {
		d.Most = 60 * time.Second
	}
	return demotion{Demotion: d, bus: b}
}

func (d *demotion) demoted() bool { return d.wait > 0 }

// failed takes one more failed look of s, and tells whether it demotes the
// device. A look counts if another device has answered since the failure before
// it: where nobody answers it is the line that is dead, and a unit that comes
// back with the line must not wait for a probe.
func (d *demotion) failed(s *Supervisor, now time.Time) (first bool) {
	if d.bus == nil {
		return false
	}
	d.bus.fails(s)
	if d.bus.othersSince(s, d.failedAt) {
		d.strikes++
	}
	d.failedAt = now
	switch {
	case d.demoted():
		d.wait = min(2*d.wait, d.Most)
	case d.strikes >= d.After:
		d.wait, first = min(d.Probe, d.Most), true
	}
	return first
}

func (d *demotion) succeeded(s *Supervisor, now time.Time) {
	if d.bus == nil {
		return
	}
	d.strikes, d.wait = 0, 0
	d.bus.answers(s, now)
}

// due tells whether a device that is not demoted need not wait any longer,
// because its line, which was dead as a whole, answers again.
func (d *demotion) due() bool {
	return d.bus != nil && !d.demoted() && d.bus.revivedSince(d.failedAt)
}
