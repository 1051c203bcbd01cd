package twin

import (
	"math/bits"
	"sort"
	"time"

	"linetwin/plant"
)

// TallyRules is what a line's settings say about the sums. The zero value
// knows no small stops and no ideal cycle.
type TallyRules struct {
	SmallStop time.Duration // a stop shorter than this is a small stop, inside run time
	// SmallStopAt gives the threshold for stops that start at a time, where it
	// changed; nil: it is SmallStop.
	SmallStopAt func(start plant.Time) time.Duration

	// BreaksWorked counts production in time that was not planned: its run time
	// and its pieces, both. Otherwise neither counts.
	BreaksWorked bool
	// PlannedStopsAsSchedule takes planned stops other than changeovers out of
	// planned time.
	PlannedStopsAsSchedule bool

	// Ideal gives the ideal cycle of a product on the machine at a time.
	Ideal func(product string, at plant.Time) (time.Duration, bool)
	// IdealOf gives the ideal cycle of pieces; nil: it is Ideal of their product
	// and minute.
	IdealOf func(p *plant.Pieces) (time.Duration, bool)
}

// Tally sums what a machine did in span. Segments are in order and may reach
// beyond span; time without a segment is unknown. Of the pieces those count
// whose minute starts in span. Shifts are the instances that overlap span, in
// order; time outside of them and in their breaks is schedule loss. The caller
// ends span at what is known.
//
// Every nanosecond of span is in exactly one leaf, and a span that is cut at
// whole minutes gives the same sums as its parts. A stop is small by its whole
// length, wherever span cuts it. An event counts where it starts, when it
// starts in planned time.
func Tally(span plant.Span, segments []plant.Segment, pieces []plant.Pieces, shifts []plant.ShiftInstance, r TallyRules) plant.Window {
	t := tallying{r: r, segments: overlapping(segments, span), window: plant.Window{Span: span}}
	t.time(span, shifts)
	t.pieces(span, pieces, shifts, true, true)
	return t.window
}

// TallyLine sums what a line of machines in series did in span: its time is
// that of the bottleneck, its good pieces are those of the last machine, its
// rejects those of every machine of the flow, and r.Ideal is the bottleneck's.
// oee.md 2.
func TallyLine(span plant.Span, bottleneck []plant.Segment, good []plant.Pieces, rejects [][]plant.Pieces, shifts []plant.ShiftInstance, r TallyRules) plant.Window {
	return TallyFlow(span, []Neck{{bottleneck, r.Ideal}}, good, rejects, shifts, r)
}

// Neck is one machine of a line's bottleneck.
type Neck struct {
	Segments []plant.Segment
	Ideal    func(product string, at plant.Time) (time.Duration, bool)
}

// TallyFlow sums what a line did in span whose bottleneck is one machine or
// several beside each other: their times are added, so that all time of the
// window is so many times the span's length. Pieces are valued by r.
func TallyFlow(span plant.Span, necks []Neck, good []plant.Pieces, rejects [][]plant.Pieces, shifts []plant.ShiftInstance, r TallyRules) plant.Window {
	made := tallying{r: r, window: plant.Window{Span: span}}
	made.pieces(span, good, shifts, true, false)
	for _, p := range rejects {
		made.pieces(span, p, shifts, false, true)
	}
	w := made.window
	for _, n := range necks {
		t := tallying{r: r, segments: overlapping(n.Segments, span), window: plant.Window{Span: span}}
		t.r.Ideal = n.Ideal
		t.time(span, shifts)
		w.Add(t.window)
	}
	return w
}

// overlapping gives the segments that overlap span.
func overlapping(segments []plant.Segment, span plant.Span) []plant.Segment {
	first := sort.Search(len(segments), func(i int) bool { return segments[i].To > span.From })
	segments = segments[first:]
	return segments[:sort.Search(len(segments), func(i int) bool { return segments[i].From >= span.To })]
}

// tallying is one call of Tally.
type tallying struct {
	r        TallyRules
	segments []plant.Segment // those not yet passed
	window   plant.Window
}

// time walks span from one border of planned time to the next.
func (t *tallying) time(span plant.Span, shifts []plant.ShiftInstance) {
	at := span.From
	for i := range shifts {
		from, to := max(shifts[i].From, at), min(shifts[i].To, span.To)
		if to <= from {
			continue
		}
		t.unplanned(plant.Span{From: at, To: from})
		at = from
		for _, b := range shifts[i].Breaks {
			pause := b.Overlap(plant.Span{From: at, To: to})
			if pause.Empty() {
				continue
			}
			t.planned(plant.Span{From: at, To: pause.From})
			t.unplanned(pause)
			at = pause.To
		}
		t.planned(plant.Span{From: at, To: to})
		at = to
	}
	t.unplanned(plant.Span{From: at, To: span.To})
}

// pass forgets the segments that ended by at.
func (t *tallying) pass(at plant.Time) {
	for len(t.segments) > 0 && t.segments[0].To <= at {
		t.segments = t.segments[1:]
	}
}

// planned sums an interval of planned time.
func (t *tallying) planned(span plant.Span) {
	if span.Empty() {
		return
	}
	t.pass(span.From)
	at := span.From
	for i := range t.segments {
		s := &t.segments[i]
		if s.From >= span.To {
			break
		}
		part := s.Overlap(plant.Span{From: at, To: span.To})
		if part.Empty() {
			continue
		}
		t.window.Unknown += part.From.Sub(at)
		t.segment(s, part)
		if span.Has(s.From) && !s.Later() {
			t.start(s)
		}
		at = part.To
	}
	t.window.Unknown += span.To.Sub(at)
}

// segment puts the part of a segment that is planned into its leaf.
func (t *tallying) segment(s *plant.Segment, part plant.Span) {
	w, d := &t.window, part.Length()
	if s.Corrected != 0 {
		w.Flags |= plant.FlagCorrected
	}
	switch s.Class {
	case plant.ClassRun:
		w.Run += d
	case plant.ClassStop, plant.ClassStarved, plant.ClassBlocked:
		if t.small(s) {
			w.Run += d
			w.SmallStop += d
			if s.Unended() {
				w.Flags |= plant.FlagIndeterminate
			}
		} else {
			w.UnplannedStop += d
		}
		switch s.Class {
		case plant.ClassStarved:
			w.Starved += d
		case plant.ClassBlocked:
			w.Blocked += d
		}
	case plant.ClassChangeover:
		w.PlannedStop += d
		w.Changeover += d
	case plant.ClassPlannedStop:
		if t.r.PlannedStopsAsSchedule {
			w.ScheduleLoss += d
		} else {
			w.PlannedStop += d
		}
	case plant.ClassNotScheduled:
		w.ScheduleLoss += d
	default:
		inferred := t.inferred(s, part)
		w.Run += inferred
		w.Inferred += inferred
		w.Unknown += d - inferred
		if inferred > 0 {
			w.Flags |= plant.FlagInferred
		}
	}
}

func (t *tallying) small(s *plant.Segment) bool { return t.r.small(s) }

func (r *TallyRules) small(s *plant.Segment) bool {
	length, began := s.Judged()
	if r.SmallStopAt != nil {
		return length < r.SmallStopAt(began)
	}
	return length < r.SmallStop
}

// start counts an event that begins in planned time of the span.
func (t *tallying) start(s *plant.Segment) {
	switch {
	case s.Class == plant.ClassChangeover:
		t.window.Changes++
	case !s.Class.Down():
	case t.small(s):
		t.window.SmallStops++
	default:
		t.window.Stops++
	}
}

// inferred gives the run time that pieces explain in a part of an unknown
// segment: of the whole segment min(length, pieces x ideal), spread evenly, and
// rounded so that the parts of any split add up to the whole. oee.md 3.3.
func (t *tallying) inferred(s *plant.Segment, part plant.Span) time.Duration {
	whole := s.Origin()
	length := whole.Length()
	if s.Pieces <= 0 || length <= 0 {
		return 0
	}
	ideal, ok := t.ideal(s.Product, whole.From)
	if !ok {
		return 0
	}
	all := length
	if high, low := bits.Mul64(uint64(s.Pieces), uint64(ideal)); high == 0 && low < uint64(length) {
		all = time.Duration(low)
	}
	return scale(all, part.To.Sub(whole.From), length) - scale(all, part.From.Sub(whole.From), length)
}

// scale gives floor(a x b / c) for 0 <= a, b <= c, c > 0.
func scale(a, b, c time.Duration) time.Duration {
	high, low := bits.Mul64(uint64(a), uint64(b))
	quotient, _ := bits.Div64(high, low, uint64(c))
	return time.Duration(quotient)
}

func (t *tallying) ideal(product string, at plant.Time) (time.Duration, bool) {
	if t.r.Ideal == nil {
		return 0, false
	}
	d, ok := t.r.Ideal(product, at)
	return d, ok && d > 0
}

// unplanned sums time outside of shifts and in breaks.
func (t *tallying) unplanned(span plant.Span) {
	if span.Empty() {
		return
	}
	w := &t.window
	w.ScheduleLoss += span.Length()
	if !t.r.BreaksWorked {
		return
	}
	t.pass(span.From)
	for i := range t.segments {
		s := &t.segments[i]
		if s.From >= span.To {
			break
		}
		part := s.Overlap(span)
		var run time.Duration
		switch s.Class {
		case plant.ClassRun:
			run = part.Length()
		case plant.ClassUnknown:
			run = t.inferred(s, part)
			w.Inferred += run
		}
		if run > 0 {
			w.ScheduleLoss -= run
			w.Run += run
			w.Flags |= plant.FlagOvertime
		}
	}
}
