package twin

import (
	"cmp"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"linetwin/plant"
)

// hidden gives the plant as it would be known had nobody looked at machines in a
// span: what they said in it is not there, and the gateway begins anew at its
// end with what every signal was then.
func (d *drawn) hidden(machines []string, gap plant.Span) *drawn {
	h := &drawn{cfg: d.cfg, span: d.span}
	last := map[string]map[string]plant.Reading{}
	for _, id := range machines {
		last[id] = map[string]plant.Reading{}
	}
	for _, b := range d.batches {
		known := last[b.Machine]
		if known == nil {
			h.batches = append(h.batches, b)
			continue
		}
		var before, after []plant.Reading
		for _, r := range b.Readings {
			switch {
			case r.Time >= gap.To:
				after = append(after, r)
			case r.Time <= gap.From:
				before = append(before, r)
			}
			if old, ok := known[r.Signal]; r.Time <= gap.To && (!ok || old.Time <= r.Time) {
				known[r.Signal] = r
			}
		}
		h.put(b, before, plant.Span{From: min(b.Complete.From, gap.From), To: min(b.Complete.To, gap.From)})
		h.put(b, after, plant.Span{From: max(b.Complete.From, gap.To), To: max(b.Complete.To, gap.To)})
	}
	for _, id := range machines {
		again := &plant.Batch{Area: "area", Gateway: "edge", Machine: id, Complete: plant.Span{From: gap.To, To: gap.To}}
		for _, r := range last[id] {
			if r.Time < gap.To {
				r.Time = gap.To
				again.Readings = append(again.Readings, r)
			}
		}
		slices.SortFunc(again.Readings, func(a, b plant.Reading) int { return cmp.Compare(a.Signal, b.Signal) })
		h.batches = append(h.batches, again)
	}
	slices.SortStableFunc(h.batches, func(a, b *plant.Batch) int {
		return cmp.Or(cmp.Compare(a.Complete.To, b.Complete.To), cmp.Compare(a.Complete.From, b.Complete.From))
	})
	for i, b := range h.batches {
		c := *b
		c.Sequence = uint64(i + 1)
		h.batches[i] = &c
	}
	return h
}

// put adds what is left of a batch.
func (d *drawn) put(b *plant.Batch, readings []plant.Reading, claim plant.Span) {
	first := b.Complete.From == b.Complete.To && b.Complete == claim
	if len(readings) == 0 && claim.From == claim.To && !first {
		return
	}
	c := *b
	c.Readings, c.Complete = readings, claim
	d.batches = append(d.batches, &c)
}

// claimed gives when somebody looked at a machine.
func (d *drawn) claimed(machine string) (all plant.Spans) {
	for _, b := range d.batches {
		if b.Machine == machine {
			all.Add(plant.Span{From: b.Complete.From, To: b.Complete.To + 1})
		}
	}
	return all
}

// anyKnown draws whole minutes in which somebody looked at a machine, and which
// of its line are hidden in it: those of which the same is so.
func (d *drawn) anyKnown(t *rapid.T) (l *LineConfig, machines []string, gap plant.Span) {
	l = &d.cfg.Areas[0].Lines[rapid.IntRange(0, len(d.cfg.Areas[0].Lines)-1).Draw(t, "line")]
	m := anyOf(t, "machine", l.Machines...).ID
	var known []plant.Span
	for _, s := range d.claimed(m) {
		s = plant.Span{From: (s.From + plant.Time(time.Minute) - 1).Floor(time.Minute), To: (s.To - 1).Floor(time.Minute)}
		if s.Length() > 0 {
			known = append(known, s)
		}
	}
	if len(known) == 0 {
		return l, nil, gap
	}
	gap = anyOf(t, "known", known...)
	minutes := int(gap.Length() / time.Minute)
	first := rapid.IntRange(0, minutes-1).Draw(t, "first")
	length := rapid.IntRange(1, minutes-first).Draw(t, "hidden")
	gap.From = gap.From.Add(time.Duration(first) * time.Minute)
	gap.To = gap.From.Add(time.Duration(length) * time.Minute)
	machines = []string{m}
	if rapid.Bool().Draw(t, "the whole line") {
		for _, o := range l.Machines {
			if o.ID != m && d.claimed(o.ID).Covers(plant.Span{From: gap.From, To: gap.To + 1}) {
				machines = append(machines, o.ID)
			}
		}
	}
	return l, machines, gap
}

// TestPlantsHidden: hiding a time of which all was known makes it unknown and
// changes nothing else, and the bounds of OEE hold what it was.
func TestPlantsHidden(t *testing.T) {
	plantCheck(t, 60, func(t *rapid.T) {
		d := drawPlant(t)
		l, machines, gap := d.anyKnown(t)
		if len(machines) == 0 {
			return
		}
		full, less := d.straight(t), d.hidden(machines, gap).straight(t)
		for _, m := range l.Machines {
			a, b := full.twin.machines[m.ID], less.twin.machines[m.ID]
			if !slices.Contains(machines, m.ID) {
				if x, y := a.track.segments(d.span), b.track.segments(d.span); !reflect.DeepEqual(x, y) {
					t.Fatalf("%s%v hidden %v: %s is\n%+v, was\n%+v", d, machines, gap, m.ID, y, x)
				}
				continue
			}
			elsewhere(t, d, a, b, gap)
		}
		contains(t, d, full, less, machines, gap)
	})
}

// elsewhere holds what is known of a machine outside of a hidden time against
// what was known before it was hidden.
func elsewhere(t *rapid.T, d *drawn, full, less *machine, gap plant.Span) {
	if less.cfg.Roles[plant.RoleState] == "" {
		return // whether it ran was told by moves that are hidden
	}
	look := []plant.Time{d.span.From}
	was, is := full.track.segments(d.span), less.track.segments(d.span)
	for _, s := range slices.Concat(was, is) {
		look = append(look, s.From, s.To-1, s.To)
	}
	for _, at := range look {
		a, b := classAt(was, at), classAt(is, at)
		if at >= gap.From && at < gap.To {
			a = plant.ClassUnknown
		}
		if a != b {
			t.Fatalf("%s%s hidden %s to %s: at %s it is %s, was %s", d, less.cfg.ID, gap.From, gap.To, at, b, a)
		}
	}
}

func classAt(segments []plant.Segment, at plant.Time) plant.Class {
	for i := range segments {
		if segments[i].Has(at) {
			return segments[i].Class
		}
	}
	return plant.ClassUnknown
}

// contains holds the bounds of OEE, with a time hidden, against what it was.
func contains(t *rapid.T, d *drawn, full, less *world, machines []string, gap plant.Span) {
	for _, id := range full.twin.lineIDs() {
		a, b := full.windows(id, d.span), less.windows(id, d.span)
		for i := range a {
			f, g := a[i].Figures(), b[i].Figures()
			if f.OEE == nil || g.OEELow == nil || !full.fair(id, i, machines, gap) || *f.OEE < 0 || *f.OEE > 1 || f.Performance != nil && *f.Performance > 1 {
				continue
			}
			if *g.OEELow > *f.OEE+1e-12 || *g.OEEHigh < *f.OEE-1e-12 || b[i].Unknown < a[i].Unknown {
				t.Fatalf("%s%v hidden %s to %s: %s %d has OEE %v, was %v to %v\n%+v\n%+v", d, machines, gap.From, gap.To, id, i, *f.OEE, *g.OEELow, *g.OEEHigh, a[i], b[i])
			}
		}
	}
}

// fair tells whether the counters that are read after a hidden time can tell
// what was made in it: by the same product and order, in planned time, and no
// faster than at the ideal.
func (w *world) fair(id string, i int, machines []string, gap plant.Span) bool {
	l := w.twin.lineByID[id]
	_, noOrder := l.switchesAt(gap.From)
	wide := plant.Span{From: gap.From, To: gap.To.Add(time.Minute)}
	if Tally(wide, nil, nil, l.plannedShifts(l.amended(live), wide, noOrder), TallyRules{}).ScheduleLoss != 0 {
		return false
	}
	if i == 0 && len(l.neck) > 1 && l.neck[0] != l.end()[0] {
		return false // what a piece is worth depends on who made how much beside it
	}
	x := w.windows(id, gap)
	for j, m := range l.machines {
		hidden := slices.Contains(machines, m.cfg.ID)
		if hidden && !possible(&x[j+1]) {
			return false
		}
		for _, b := range w.told {
			for _, r := range b.Readings {
				if role := m.roles[r.Signal]; hidden && b.Machine == m.cfg.ID && gap.From < r.Time && r.Time <= gap.To && (role == plant.RoleProduct || role == plant.RoleOrder) {
					return false
				}
			}
		}
	}
	return possible(&x[i])
}

// possible tells whether what was made of a window can have been made in it, and
// whether a counter that was not seen meanwhile tells it.
func possible(w *plant.Window) bool {
	return w.Flags&plant.FlagReset == 0 && w.IdealGood >= 0 && w.IdealReject >= 0 && w.IdealGood+w.IdealReject <= w.Run
}
