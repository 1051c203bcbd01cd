package twin

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"linetwin/plant"
)

// TestPlantsSums: every nanosecond of a window is in exactly one leaf, the
// factors multiply to OEE, and a window is the sum of its parts, wherever it is
// cut; so two shifts together are the ratio of their summed terms.
func TestPlantsSums(t *testing.T) {
	plantCheck(t, 60, func(t *rapid.T) {
		d := anyWorld(t)
		w := d.world
		all := plant.Span{From: d.span.From, To: d.span.To}
		minutes := int(all.Length() / time.Minute)
		span := plant.Span{From: all.From.Add(time.Duration(rapid.IntRange(0, minutes-2).Draw(t, "from")) * time.Minute)}
		span.To = span.From.Add(time.Duration(rapid.IntRange(2, minutes-int(span.From.Sub(all.From)/time.Minute)).Draw(t, "length")) * time.Minute)
		cut := span.From.Add(time.Duration(rapid.IntRange(1, int(span.Length()/time.Minute)-1).Draw(t, "cut")) * time.Minute)
		for _, id := range w.twin.lineIDs() {
			whole := w.windows(id, span)
			first, second := w.windows(id, plant.Span{From: span.From, To: cut}), w.windows(id, plant.Span{From: cut, To: span.To})
			for i := range whole {
				adds(t, &whole[i], w.beside(id, i))
				sum := first[i]
				sum.Add(second[i])
				if sum != whole[i] {
					t.Fatalf("%s%s %d from %s to %s, cut at %s:\n%+v\nis not\n%+v", d, id, i, span.From, span.To, cut, sum, whole[i])
				}
				if sum := w.byOrder(id, i, span); sum != whole[i] {
					t.Fatalf("%s%s %d from %s to %s, all orders:\n%+v\nare not\n%+v", d, id, i, span.From, span.To, sum, whole[i])
				}
			}
		}
	})
}

// byOrder gives the sum over all orders of the i-th of what windows gives.
func (w *world) byOrder(id string, i int, span plant.Span) (sum plant.Window) {
	l := w.twin.lineByID[id]
	split := madeSplit{by: "order", span: span}
	if i > 0 {
		split.machine = l.machines[i-1]
	}
	for _, c := range l.byMade(l.amended(live), split, span.To) {
		sum.Add(c.Window)
	}
	return sum
}

// TestPlantsSplits: whatever a line's time is split by, the parts add up to the
// whole, and so do the lines of the plant.
func TestPlantsSplits(t *testing.T) {
	plantCheck(t, 30, func(t *rapid.T) {
		d := anyWorld(t)
		var plantSum figuresSum
		for _, id := range d.world.twin.lineIDs() {
			whole := sumOf(d.world.figures(id, d.span, ""))
			for _, by := range []string{"hour", "day", "week", "product", "order"} {
				if parts := sumOf(d.world.figures(id, d.span, by)); !parts.near(whole) {
					t.Fatalf("%s%s by %s:\n%+v, whole\n%+v", d, id, by, parts, whole)
				}
			}
			plantSum.add(whole)
		}
		fs, err := d.world.twin.PlantFigures(t.Context(), d.span, "")
		if all := sumOf(d.world.plain(fs, err)); !all.near(plantSum) {
			t.Fatalf("%sthe plant:\n%+v, its lines\n%+v", d, all, plantSum)
		}
	})
}

// figuresSum is what adds up of figures.
type figuresSum struct {
	planned, known, run, unknown, stopped, small float64
	good, reject                                 int64
	stops, changes                               int64
}

func sumOf(fs []plant.Figures) (sum figuresSum) {
	for i := range fs {
		f := &fs[i]
		sum.add(figuresSum{f.PlannedS, f.KnownS, f.RunS, f.Losses.Unknown, f.Losses.UnplannedStop, f.Losses.SmallStop, f.Good, f.Reject, f.Stops + f.SmallStops, f.Changeovers})
	}
	return sum
}

func (s *figuresSum) add(o figuresSum) {
	s.planned, s.known, s.run, s.unknown, s.stopped, s.small = s.planned+o.planned, s.known+o.known, s.run+o.run, s.unknown+o.unknown, s.stopped+o.stopped, s.small+o.small
	s.good, s.reject, s.stops, s.changes = s.good+o.good, s.reject+o.reject, s.stops+o.stops, s.changes+o.changes
}

// near tells whether two sums are equal but for how floats round.
func (s *figuresSum) near(o figuresSum) bool {
	for _, d := range []float64{s.planned - o.planned, s.known - o.known, s.run - o.run, s.unknown - o.unknown, s.stopped - o.stopped, s.small - o.small} {
		if math.Abs(d) > 1e-6 {
			return false
		}
	}
	return s.good == o.good && s.reject == o.reject && s.stops == o.stops && s.changes == o.changes
}

// told is a plant with a twin that was told all of it.
type told struct {
	*drawn
	world *world
}

func anyWorld(t *rapid.T) told {
	d := drawPlant(t)
	w := d.straight(t)
	d.sayAny(t, w, 3)
	return told{d, w}
}

// beside gives of how many machines the i-th window of a line sums the time.
func (w *world) beside(id string, i int) time.Duration {
	if i > 0 {
		return 1
	}
	return time.Duration(len(w.twin.lineByID[id].neck))
}

// adds holds a window of so many machines to the definitions of oee.md.
func adds(t *rapid.T, w *plant.Window, machines time.Duration) {
	if sum := w.ScheduleLoss + w.Unknown + w.UnplannedStop + w.PlannedStop + w.Run; sum != machines*w.Length() {
		t.Fatalf("leaves are %v of %d x %v: %+v", sum, machines, w.Length(), w)
	}
	if sum := w.SmallStop + w.ReducedSpeed() + w.IdealGood + w.IdealReject; sum != w.Run {
		t.Fatalf("run time is %v of %v: %+v", sum, w.Run, w)
	}
	for _, d := range []time.Duration{w.ScheduleLoss, w.Unknown, w.UnplannedStop, w.PlannedStop, w.Run, w.SmallStop, w.Inferred} {
		if d < 0 {
			t.Fatalf("a negative leaf: %+v", w)
		}
	}
	f := w.Figures()
	if f.OEE != nil && math.Abs(*f.OEE*float64(w.Known())-float64(w.IdealGood)) > 1e-6*float64(time.Second) {
		t.Fatalf("OEE %v of %v known, good pieces are worth %v", *f.OEE, w.Known(), w.IdealGood)
	}
	if f.Performance != nil && f.Quality != nil && f.OEE != nil && w.IdealGood+w.IdealReject > 0 {
		if product := *f.Availability * *f.Performance * *f.Quality; math.Abs(product-*f.OEE) > 1e-9*max(1, math.Abs(*f.OEE)) {
			t.Fatalf("A x P x Q = %v, OEE %v: %+v", product, *f.OEE, w)
		}
	}
	if f.OEE != nil && f.OEELow != nil && w.IdealGood >= 0 && *f.OEE <= 1 && (*f.OEELow > *f.OEE+1e-12 || *f.OEEHigh < *f.OEE-1e-12) {
		t.Fatalf("OEE %v is not within %v and %v: %+v", *f.OEE, *f.OEELow, *f.OEEHigh, w)
	}
}
