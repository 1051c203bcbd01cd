package gateway

import (
	"time"

	"linetwin/plant"
)

// begins takes the gateway's time at the start, which may not be the system's.
func (k *book) begins(own plant.Time) {
	if k.since == k.began {
		k.since = own
	}
	k.began = own
}

// correct follows a move of the line of time: what comes next is compared with
// what came before where it is now. What is counted already moves as it leaves.
func (k *book) correct(c *correction) {
	k.since = c.apply(k.since)
	for machine, cut := range k.cuts {
		if c.holds(cut.number) {
			cut.from, cut.newest = c.apply(cut.from), c.apply(cut.newest)
			k.cuts[machine] = cut
		}
	}
	if c.by < 0 && c.move.since != 0 {
		return // what has left stays where it was: new readings may meet it
	}
	k.began = c.apply(k.began)
	for _, s := range k.series {
		for i, t := range s.times {
			s.times[i] = c.moveKnown(t)
		}
	}
}

// replace counts a batch under the times with which it leaves. Where the minute
// in which it was counted is in a report already, that is taken back as what
// history has no row for. back tells that times may be met that left before.
func (k *book) replace(b, placed *plant.Batch, odd []plant.Count, back bool) {
	if len(b.Readings) == 0 {
		return
	}
	k.moved = true
	oddly := map[plant.Time]plant.Count{}
	var strange uint64
	for _, o := range odd {
		oddly[o.Minute] = o
		strange += o.Repeated + o.Late
	}
	for _, was := range merged(made(b)) {
		o := oddly[was.Minute]
		k.takeBack(was.Machine, was.Minute, plant.Count{Made: was.Made, Repeated: o.Repeated, Late: o.Late})
	}
	for _, is := range merged(made(placed)) {
		is.Late = min(strange, is.Made)
		if back {
			is.Late = is.Made
		}
		k.row(is.Machine, is.Minute).Add(&is)
	}
}

// takeBack takes counts out of a minute again.
func (k *book) takeBack(machine string, minute plant.Time, n plant.Count) {
	c := k.open[countKey{machine, minute.Floor(time.Minute)}]
	if c == nil || c.Made < n.Made+c.Dropped || c.Repeated < n.Repeated || c.Late < n.Late {
		k.row(machine, minute).Repeated += n.Made - min(n.Made, n.Repeated)
		return
	}
	c.Made, c.Repeated, c.Late = c.Made-n.Made, c.Repeated-n.Repeated, c.Late-n.Late
	if *c == (plant.Count{Machine: machine, Minute: minute}) {
		delete(k.open, countKey{machine, minute})
	}
}
