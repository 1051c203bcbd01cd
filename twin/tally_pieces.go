package twin

import (
	"sort"
	"time"

	"linetwin/plant"
)

// pieces adds the pieces of the minutes that start in span: the good ones, the
// rejects or both.
func (t *tallying) pieces(span plant.Span, pieces []plant.Pieces, shifts []plant.ShiftInstance, good, reject bool) {
	first := sort.Search(len(pieces), func(i int) bool { return pieces[i].Minute >= span.From })
	for i := first; i < len(pieces) && pieces[i].Minute < span.To; i++ {
		p := &pieces[i]
		for len(shifts) > 0 && shifts[0].To <= p.Minute {
			shifts = shifts[1:]
		}
		var g, r, startup int64
		if good {
			g = p.Good
		}
		if reject {
			r, startup = p.Reject, p.Startup
		}
		if g == 0 && r == 0 && p.Resets == 0 {
			continue
		}
		if (g != 0 || r != 0) && !scheduled(p.Minute, shifts) {
			t.window.Flags |= plant.FlagOvertime
			if !t.r.BreaksWorked {
				continue
			}
		}
		t.add(p, g, r, startup)
	}
}

func (t *tallying) add(p *plant.Pieces, good, reject, startup int64) {
	w := &t.window
	w.Flags |= p.Flags
	if good == 0 && reject == 0 {
		return
	}
	ideal, ok := t.idealOf(p)
	if ok && (lifelong(good, ideal) || lifelong(reject, ideal)) {
		w.Flags |= plant.FlagReset // the fold knew no ideal cycle by which it is no production
		return
	}
	w.Good += good
	w.Reject += reject
	w.Startup += startup
	if !ok {
		w.Flags |= plant.FlagNoIdeal
		return
	}
	w.IdealGood += time.Duration(good) * ideal
	w.IdealReject += time.Duration(reject) * ideal
	w.IdealStartup += time.Duration(startup) * ideal
}

func (t *tallying) idealOf(p *plant.Pieces) (time.Duration, bool) {
	if t.r.IdealOf != nil {
		return t.r.IdealOf(p)
	}
	return t.ideal(p.Product, p.Minute)
}

// scheduled tells whether any instant of a minute is planned. The shifts begin
// with the first one that ends after the minute's start.
func scheduled(minute plant.Time, shifts []plant.ShiftInstance) bool {
	whole := plant.Span{From: minute, To: minute.Add(time.Minute)}
	for i := range shifts {
		part := whole.Overlap(shifts[i].Span)
		if shifts[i].From >= whole.To {
			return false
		}
		left := part.Length()
		for _, b := range shifts[i].Breaks {
			left -= b.Overlap(part).Length()
		}
		if left > 0 {
			return true
		}
	}
	return false
}

// TallyReliability sums the failures of a machine that start in planned time
// of span: stops by itself that are no small ones, each with its whole length.
// oee.md 2.
func TallyReliability(span plant.Span, segments []plant.Segment, shifts []plant.ShiftInstance, r TallyRules) plant.Reliability {
	sum := tallyFailures(span, overlapping(segments, span), shifts, &r)
	sum.Operating = Tally(span, segments, nil, shifts, r).Run
	return sum
}

func tallyFailures(span plant.Span, segments []plant.Segment, shifts []plant.ShiftInstance, r *TallyRules) (sum plant.Reliability) {
	for i := range segments {
		s := &segments[i]
		if s.Class != plant.ClassStop || r.small(s) || s.Later() || !span.Has(s.From) || !plannedAt(s.From, shifts) {
			continue
		}
		sum.Failures++
		if s.Unended() {
			sum.Open += s.Stood()
			continue
		}
		sum.Restored++
		sum.Restoring += s.Stood()
	}
	return sum
}

func plannedAt(at plant.Time, shifts []plant.ShiftInstance) bool {
	for i := range shifts {
		if !shifts[i].Has(at) {
			continue
		}
		for _, b := range shifts[i].Breaks {
			if b.Has(at) {
				return false
			}
		}
		return true
	}
	return false
}
