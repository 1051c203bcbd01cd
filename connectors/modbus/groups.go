package modbus

import "time"

// pace says when signals with an interval of their own are read: in the first
// look at or after each multiple of it, counted from the first look, so that it
// does not drift.
type pace struct {
	every time.Duration // 0: in each look
	next  time.Time
	last  time.Time // when they were read last
}

// due tells whether a look that begins now is one that reads them. Looks come a
// little early or late: up to a twentieth of the interval, and 50 ms, counts as
// in time.
func (p *pace) due(now time.Time) bool {
	return p.every == 0 || p.next.IsZero() || !now.Before(p.next.Add(-min(p.every/20, 50*time.Millisecond)))
}

// done notes that a look that began at now has read them.
func (p *pace) done(now time.Time) {
	p.last = now
	if p.every == 0 {
		return
	}
	if p.next.IsZero() {
		p.next = now
	}
	behind := max(now.Sub(p.next), 0)
	p.next = p.next.Add(p.every * (1 + behind/p.every))
}

// planEach plans the requests of all points: those that are read at the same
// interval share requests. paces are the signals'.
func planEach(points []point, paces []*pace, l limits) requests {
	var order []*pace
	members := map[*pace][]int{}
	for i, p := range paces {
		if members[p] == nil {
			order = append(order, p)
		}
		members[p] = append(members[p], i)
	}
	var all requests
	for _, p := range order {
		of := members[p]
		some := make([]point, len(of))
		for i, at := range of {
			some[i] = points[at]
		}
		for _, b := range plan(some, l) {
			for i := range b.points {
				b.points[i] = of[b.points[i]]
			}
			all = append(all, request{whole: b, parts: []part{{block: b}}, pace: p})
		}
	}
	return all
}

// pacing gives each signal the pace of its interval, and keeps them by group.
func (d *Device) pacing(signals []Signal) []*pace {
	paces := make([]*pace, len(signals))
	d.paces, d.groups = map[time.Duration]*pace{}, map[string]*pace{}
	for i, s := range signals {
		p := d.paces[s.Every]
		if p == nil {
			p = &pace{every: s.Every}
			d.paces[s.Every] = p
		}
		paces[i], d.groups[s.Group] = p, p
	}
	return paces
}

// restart has all signals read in the next look.
func (d *Device) restart() {
	for _, p := range d.paces {
		p.next = time.Time{}
	}
}

// due tells whether a look that begins now reads anything.
func (d *Device) due(now time.Time) bool {
	for _, p := range d.paces {
		if p.due(now) {
			return true
		}
	}
	return false
}

// looked notes that a look has read all that was due.
func (d *Device) looked(began time.Time) {
	for _, p := range d.paces {
		if p.due(began) {
			p.done(began)
		}
	}
}

// Looked gives when the signals of a group were last read. It is called by the
// goroutine that polls.
func (d *Device) Looked(group string) time.Time {
	if p := d.groups[group]; p != nil {
		return p.last
	}
	return time.Time{}
}
