package twin_test

import (
	"slices"
	"testing"
	"time"

	"linetwin/plant"
)

// looks makes batches of a machine that makes a piece at each look, a second
// apart, and stands at some of them. The first look tells what it found under
// times of their own, from before the look, as OPC UA does; its claim reaches
// back to that.
func looks(machine string, from plant.Time, n int, stands []int) []*plant.Batch {
	var bs []*plant.Batch
	for i := range n {
		at := from.Add(time.Duration(i) * time.Second)
		b := &plant.Batch{Area: area, Gateway: gatewayID, Machine: machine, Sequence: uint64(i + 1), Complete: plant.Span{From: at.Add(-time.Second), To: at}}
		if i == 0 {
			at = at.Add(-200 * time.Millisecond)
			b.Complete.From = at
		}
		state := int64(6)
		if slices.Contains(stands, i) {
			state = 11
		}
		put := func(signal string, v int64) {
			b.Readings = append(b.Readings, plant.Reading{Machine: machine, Signal: signal, Time: at, Value: plant.Integer(v)})
		}
		put("good", int64(100+i))
		put("reject", 0)
		put("state", state)
		bs = append(bs, b)
	}
	return bs
}

// foldedAgain delivers a look and waits until it is folded: there are so many
// stops then, and the pieces are those that were made.
func (r *rig) foldedAgain(late *plant.Batch, nth int, from plant.Time, made int) {
	r.t.Helper()
	r.deliver([]*plant.Batch{late})
	r.eventually("the late look is folded", func() bool {
		stops, err := r.twin.Timeline(r.t.Context(), "line", plant.Span{From: from, To: from.Add(time.Hour)})
		if err != nil {
			r.t.Fatal(err)
		}
		n := 0
		for _, s := range stops.Machines[2].Segments {
			if s.Class == plant.ClassStop {
				n++
			}
		}
		return n == nth && r.pieces(from) == int64(made)
	})
	if pieces := r.pieces(from); pieces != int64(made) {
		r.t.Errorf("%d pieces after late look %d, %d were made since the first look", pieces, nth, made)
	}
}

// pieces gives what the machine made in the hour after from.
func (r *rig) pieces(from plant.Time) int64 {
	r.t.Helper()
	f, err := r.twin.MachineFigures(r.t.Context(), "pack", plant.Span{From: from, To: from.Add(time.Hour)}, "")
	if err != nil {
		r.t.Fatal(err)
	}
	return f[0].Good
}

// What comes late before the first checkpoint has all folded again from the
// first reading on, though nobody claimed the time of that.
func TestLateDataBeforeTheFirstCheckpoint(t *testing.T) {
	from := begin.Add(time.Hour)
	for name, c := range map[string]struct {
		n    int
		late []int
		now  time.Duration // after from
	}{
		"in the minute":             {n: 20, late: []int{5, 10}, now: 2 * time.Hour},
		"the last look is of now":   {n: 90, late: []int{5, 10}, now: 90 * time.Second},
		"among them the first look": {n: 20, late: []int{0, 5}, now: 2 * time.Hour},
		"a checkpoint came between": {n: 400, late: []int{10, 5}, now: 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.setClock(from.Add(c.now))
			all := looks("pack", from.Add(time.Second), c.n, c.late)
			for i, b := range all {
				if !slices.Contains(c.late, i) {
					r.twin.Batch(copyOf(b))
				}
			}
			// The second one meets a machine that was folded again already.
			for nth, i := range c.late {
				r.foldedAgain(all[i], nth+1, from, c.n-1)
			}
			r.acknowledged(uint64(c.n))
		})
	}
}

// After a restart the ledger's first checkpoint is not where the past begins.
func TestLateDataBeforeTheLedgersFirstCheckpoint(t *testing.T) {
	from, late := begin.Add(time.Hour), []int{20, 100, 50}
	r := newRig(t)
	r.setClock(from.Add(2 * time.Hour))
	all := looks("pack", from.Add(time.Second), 400, late)
	for i, b := range all[:200] {
		if !slices.Contains(late, i) {
			r.twin.Batch(copyOf(b))
		}
	}
	r.foldedAgain(all[late[0]], 1, from, 199)
	r.deliver(all[200:]) // over the first five minutes
	r.eventually("a checkpoint is in the ledger", func() bool {
		raw, _, err := r.ledger.Checkpoint(t.Context(), "pack", plant.At(r.clock()))
		return err == nil && raw != nil
	})
	r.close()
	r.start()
	r.deliver(all[200:]) // the gateway does not know what is stored
	for i, look := range late[1:] {
		r.foldedAgain(all[look], i+2, from, 399)
	}
}
