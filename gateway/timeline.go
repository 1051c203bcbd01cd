package gateway

import (
	"time"

	"linetwin/plant"
)

// wordLasts is how long a gateway that has just found its twin waits for its
// word on what time it is, before what it made until then leaves.
const wordLasts = 10 * time.Second

// AwaitTime tells that whoever will be linked next tells its time.
func (g *Gateway) AwaitTime() {
	g.timeline.Lock()
	defer g.timeline.Unlock()
	if g.clock.wantsWord() {
		g.awaits = true
		g.buffer.holdBack()
	}
}

// HostTime takes that the twin's clock showed t at some time within the last
// age.
func (g *Gateway) HostTime(t plant.Time, age time.Duration) {
	g.clock.host(t, age)
	g.settle()
}

// settle decides on doubts about the clock, and holds back or lets go what has
// not left yet.
func (g *Gateway) settle() {
	g.timeline.Lock()
	defer g.timeline.Unlock()
	sound := g.clock.settle()
	moves := g.clock.movesSince(g.moved)
	g.moved += len(moves)
	for _, m := range moves {
		g.buffer.correct(m)
	}
	online, told := g.buffer.isOnline(), !g.clock.wantsWord()
	waited := online && g.clock.elapsed()-g.linkedAt > wordLasts
	g.awaits = g.awaits && !told && !waited
	unset := g.clock.flag() != ""
	// Nobody who is linked tells the time: what is marked may leave.
	g.resigned = unset && waited
	switch {
	case g.awaits || !sound && !g.resigned:
		g.buffer.holdBack()
	default:
		g.buffer.letGo()
		if online {
			g.clock.left()
		}
	}
}

// linkedNow notes when the link came.
func (g *Gateway) linkedNow(online bool) {
	g.timeline.Lock()
	if online {
		g.linkedAt = g.clock.elapsed()
		if !g.awaits && g.clock.settled() {
			g.clock.left()
		}
	} else {
		g.awaits = false
	}
	g.timeline.Unlock()
	if online {
		poke(g.tell)
	}
}

// follow brings what the device remembers, and a round that began before, onto
// the line of time as it is now. It tells whether that has moved. The caller
// holds timeline for reading.
func (d *device) follow(round *plant.Round, now time.Time) (moved bool) {
	moves := d.gateway.clock.movesSince(d.moved)
	d.moved += len(moves)
	for _, m := range moves {
		if d.through != 0 && d.through <= m.since {
			if d.looked > d.through {
				d.send(nil, min(d.looked, m.since), now)
			}
			d.through, d.looked = 0, 0
		}
		d.through, d.looked = m.moveKnown(d.through), m.moveKnown(d.looked)
		d.mu.Lock()
		d.filter.move(m)
		d.mu.Unlock()
		own := d.gateway.clock.stamp()
		if before := own.Add(-m.by); round.Through.Sub(before).Abs() < round.Through.Sub(own).Abs() {
			round.Through = m.apply(round.Through)
			for i := range round.Readings {
				if r := &round.Readings[i]; r.Time != 0 {
					r.Time = m.apply(r.Time)
				}
			}
		}
	}
	return len(moves) > 0
}

func (m move) moveKnown(t plant.Time) plant.Time {
	if t == 0 {
		return 0
	}
	return m.apply(t)
}

// mark says of readings that are made while the clock is not set, and keeps
// them back while it may still be.
func (d *device) mark(kept []plant.Reading) {
	g := d.gateway
	if !g.clock.settled() && !g.resigned {
		g.buffer.holdBack()
	}
	if why := g.clock.flag(); why != "" {
		for i := range kept {
			kept[i].Misplace(why)
		}
	}
}

// move puts right when signals were sent last.
func (f *filter) move(m move) {
	for i := range f.signals {
		f.signals[i].time = m.moveKnown(f.signals[i].time)
	}
}

// again appends what the signals that are not in to were last, at a time up to
// which they are known to be so.
func (f *filter) again(to []plant.Reading, at plant.Time) []plant.Reading {
	told := make(map[string]bool, len(to))
	for i := range to {
		told[to[i].Signal] = true
	}
	for i := range f.signals {
		if s := &f.signals[i]; s.seen && !told[f.names[i].Name] {
			s.time = at
			to = append(to, plant.Reading{Machine: f.machine, Signal: f.names[i].Name, Time: at, Value: s.value, Quality: s.quality, Reason: s.reason})
		}
	}
	return to
}
