package twin

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"time"

	"linetwin/plant"
)

// ideal gives the ideal cycle of a product at a time, false where there is none.
type ideal = func(product string, at plant.Time) (time.Duration, bool)

// bindIdeals takes the ideal cycles of the bottleneck's machines, by what the
// line's book says.
func (l *line) bindIdeals(cfg *Config) {
	l.ideals = make([]ideal, len(l.neck))
	for i, m := range l.neck {
		l.ideals[i] = ideals(cfg, m.cfg.ID, l.book)
	}
}

// windowFrom sums the line over span: the time of its bottleneck, the good
// pieces of the end of its flow, the rejects of every machine of the flow. Of
// machines beside each other all are summed.
func (l *line) windowFrom(from source, span plant.Span) plant.Window {
	if span.Empty() {
		return plant.Window{Span: span}
	}
	v := l.view(from, span)
	var w plant.Window
	for _, part := range l.ruledParts(span) {
		w.Add(v.tally(part, l.plannedShifts(from, part.Span, part.noOrder)))
	}
	w.Flags |= l.orderFlags(from, l.neck, span)
	return w
}

// lineView is what a line's window is made of.
type lineView struct {
	line    *line
	necks   []Neck // of the bottleneck
	good    []plant.Pieces
	rejects [][]plant.Pieces
	idealOf func(p *plant.Pieces) (time.Duration, bool) // nil: that of the only machine of the bottleneck
}

func (l *line) view(from source, span plant.Span) lineView {
	v := lineView{line: l}
	made := map[*machine][]plant.Pieces{}
	for _, s := range l.steps {
		for _, m := range s {
			made[m] = l.attributed(from, m, within(from(m, span).Pieces, span))
			v.rejects = append(v.rejects, made[m])
		}
	}
	v.good = made[l.end()[0]]
	if len(l.end()) > 1 {
		v.good = nil
		for _, m := range l.end() {
			v.good = append(v.good, made[m]...)
		}
		slices.SortStableFunc(v.good, func(a, b plant.Pieces) int { return cmp.Compare(a.Minute, b.Minute) })
	}
	for i, segments := range l.times(from, span, made) {
		v.necks = append(v.necks, Neck{Segments: segments, Ideal: l.ideals[i]})
	}
	if len(l.neck) > 1 {
		v.idealOf = l.idealOf(made)
	}
	return v
}

// tally sums a part of the span in which the line's switches do not change.
func (v *lineView) tally(part ruled, shifts []plant.ShiftInstance) plant.Window {
	part.Ideal, part.IdealOf = v.line.ideals[0], v.idealOf
	return TallyFlow(part.Span, v.necks, v.good, v.rejects, shifts, part.TallyRules)
}

// idealOf gives the ideal cycles of a line whose bottleneck is several machines
// beside each other, as time of one of them. A piece of one of them has that
// machine's cycle. Any other piece has the mean of theirs, weighted with what
// each made in its minute; where none made anything, as of a group that works
// at its ideal.
func (l *line) idealOf(made map[*machine][]plant.Pieces) func(*plant.Pieces) (time.Duration, bool) {
	shares := map[plant.Time][]int64{}
	at := map[string]int{}
	for i, m := range l.neck {
		at[m.cfg.ID] = i
		for _, p := range made[m] {
			if shares[p.Minute] == nil {
				shares[p.Minute] = make([]int64, len(l.neck))
			}
			shares[p.Minute][i] += max(0, p.Good+p.Reject)
		}
	}
	return func(p *plant.Pieces) (time.Duration, bool) {
		if i, own := at[p.Machine]; own {
			d, ok := l.ideals[i](p.Product, p.Minute)
			return d, ok && d > 0
		}
		var high, low uint64 // of the sum, which 64 bits may not hold
		var pieces int64
		var rate, able float64
		share := shares[p.Minute]
		for i := range l.ideals {
			d, ok := l.ideals[i](p.Product, p.Minute)
			if !ok || d <= 0 {
				continue
			}
			rate, able = rate+1/float64(d), able+1
			if share != nil {
				h, l := bits.Mul64(uint64(share[i]), uint64(d))
				var carry uint64
				low, carry = bits.Add64(low, l, 0)
				high, pieces = high+h+carry, pieces+share[i]
			}
		}
		switch {
		case able == 0:
			return 0, false
		case pieces > 0:
			mean, _ := bits.Div64(high, low, uint64(pieces))
			return time.Duration(mean), true
		}
		return time.Duration(math.Round(able / rate)), true
	}
}

// pace is the time per piece in which the bottleneck makes what it makes now.
func (l *line) pace(now plant.Time) (time.Duration, bool) {
	var rate float64
	for i, m := range l.neck {
		d, ok := l.ideals[i](m.product(now), now)
		if !ok || d <= 0 {
			return 0, false
		}
		rate += 1 / float64(d)
	}
	if len(l.neck) == 1 {
		return l.ideals[0](l.neck[0].product(now), now)
	}
	return time.Duration(math.Round(1 / rate)), true
}

// times gives the line's time: the segments of each machine of its bottleneck,
// but run time in which nobody saw the pieces at the end of the flow is
// unknown, and unknown time of the bottleneck knows of the pieces that the end
// of the flow made in it. oee.md 3.3.
func (l *line) times(from source, span plant.Span, made map[*machine][]plant.Pieces) [][]plant.Segment {
	all := make([][]plant.Segment, len(l.neck))
	for i, m := range l.neck {
		all[i] = l.classed(m, from(m, span).Segments)
	}
	if l.neck[0] == l.end()[0] {
		return all
	}
	e := l.seenEnd(from, span)
	known := make([]plant.Spans, len(l.neck))
	for i := range all {
		var out []plant.Segment
		for _, s := range all[i] {
			switch {
			case s.Corrected == 0 && (s.Class == plant.ClassRun || s.Pieces > 0): // what somebody saw, was seen
				parts := e.cut(s, i, len(l.neck))
				out = append(out, parts...)
				for _, p := range parts {
					known[i].Add(p.Span)
				}
			case s.Class != plant.ClassUnknown:
				out = append(out, s)
				known[i].Add(s.Span)
			}
		}
		all[i] = out
	}
	l.explain(all, known, e, made)
	return all
}

// explain puts unknown segments with the pieces that the end of the flow made
// in each minute into what is not known of the bottleneck's machines: less what
// those that were seen made themselves.
func (l *line) explain(all [][]plant.Segment, known []plant.Spans, e seenEnd, made map[*machine][]plant.Pieces) {
	own := make([]map[plant.Time]int64, len(l.neck))
	for i, m := range l.neck {
		own[i] = map[plant.Time]int64{}
		if len(l.neck) > 1 {
			for _, p := range made[m] {
				own[i][p.Minute] += p.Good + p.Reject
			}
		}
	}
	for _, p := range e.minutes(made) {
		minute := plant.Span{From: p.Minute, To: p.Minute.Add(time.Minute)}
		holes := make([][]plant.Span, len(l.neck))
		left, unseen := p.Good, 0
		for i := range l.neck {
			if holes[i] = known[i].Holes(minute); len(holes[i]) > 0 {
				unseen++
			} else if len(l.neck) > 1 {
				left -= own[i][p.Minute]
			}
		}
		for i := range l.neck {
			for _, h := range holes[i] {
				all[i] = append(all[i], plant.Segment{Machine: l.neck[i].cfg.ID, Span: h, Class: plant.ClassUnknown, Pieces: evenly(left, i, unseen), Product: p.Product})
			}
		}
	}
	for i := range all {
		slices.SortStableFunc(all[i], func(a, b plant.Segment) int { return cmp.Compare(a.From, b.From) })
	}
}

// evenly gives the i-th of n shares that add up to all.
func evenly(all int64, i, n int) int64 {
	if all <= 0 || n == 0 {
		return 0
	}
	return (all + int64(i%n)) / int64(n)
}

// seenEnd is what was seen of the end of the flow.
type seenEnd struct {
	span    plant.Span
	end     step
	unknown [][]plant.Segment // of each of its machines
	blind   func(plant.Span) plant.Spans
}

func (l *line) seenEnd(from source, span plant.Span) seenEnd {
	e := seenEnd{span: span, end: l.end()}
	seen := make([]plant.Spans, len(e.end))
	e.unknown = make([][]plant.Segment, len(e.end))
	// A gap that ends where span begins has its step in the first minute.
	wide := plant.Span{From: span.From - 1, To: span.To}
	for i, m := range e.end {
		for _, s := range from(m, wide).Segments {
			if s.Class != plant.ClassUnknown {
				seen[i].Add(s.Span)
			} else if s.Pieces > 0 {
				e.unknown[i] = append(e.unknown[i], s)
			}
		}
	}
	e.blind = func(s plant.Span) plant.Spans {
		var all plant.Spans
		for i := range seen {
			for _, h := range seen[i].Holes(s) {
				all.Add(h)
			}
		}
		return all
	}
	return e
}

// cut cuts the time in which the end of the flow was not seen out of a segment
// of run time, or of unknown time of which pieces tell that some of it was.
// Where one machine is the end, that time is put in as unknown, with the share of
// the pieces that its counter showed afterwards; it is cut where that machine's
// own segments are, so that it does not matter which window asks. Of several
// machines the minutes tell (explain).
func (e *seenEnd) cut(s plant.Segment, i, n int) []plant.Segment {
	blind := e.blind(s.Span)
	if len(blind) == 0 {
		return []plant.Segment{s}
	}
	var out []plant.Segment
	for _, run := range blind.Holes(s.Span) {
		part := s
		part.Span = run
		if s.Pieces > 0 && s.Whole == nil { // it keeps its share of them
			part.Whole = &plant.Whole{Span: s.Span}
		}
		out = append(out, part)
	}
	if len(e.end) > 1 {
		return out
	}
	for _, h := range blind {
		gap := plant.Segment{Machine: s.Machine, Class: plant.ClassUnknown}
		var told plant.Spans
		for _, c := range e.unknown[0] {
			o := c.Overlap(h)
			if o.Empty() {
				continue
			}
			told.Add(o)
			gap.Span, gap.Product = o, c.Product
			gap.Pieces = evenly(int64(scale(time.Duration(c.Pieces), o.Length(), c.Origin().Length())), i, n)
			out = append(out, gap)
		}
		for _, rest := range told.Holes(h) {
			out = append(out, plant.Segment{Machine: s.Machine, Class: plant.ClassUnknown, Span: rest})
		}
	}
	return out
}

// minutes gives what the end of the flow made in each minute of the span. Where
// it is several machines, the pieces that a counter showed after a gap are
// spread over the gap's minutes.
func (e *seenEnd) minutes(made map[*machine][]plant.Pieces) []plant.Pieces {
	if len(e.end) == 1 {
		return made[e.end[0]]
	}
	sums := map[plant.Time]*plant.Pieces{}
	add := func(minute plant.Time, n int64, product string) {
		if sums[minute] == nil {
			sums[minute] = &plant.Pieces{Minute: minute, Product: product}
		}
		sums[minute].Good += n
	}
	for i, m := range e.end {
		for _, p := range made[m] {
			inGap := slices.ContainsFunc(e.unknown[i], func(s plant.Segment) bool { return s.To.Floor(time.Minute) == p.Minute })
			if !inGap { // else the counter's step after the gap is in it
				add(p.Minute, p.Good, p.Product)
			}
		}
		for _, s := range e.unknown[i] {
			part, whole := s.Overlap(e.span), s.Origin()
			for at := part.From; at < part.To; {
				next := min(at.Floor(time.Minute).Add(time.Minute), part.To)
				all := time.Duration(s.Pieces)
				n := scale(all, next.Sub(whole.From), whole.Length()) - scale(all, at.Sub(whole.From), whole.Length())
				add(at.Floor(time.Minute), int64(n), s.Product)
				at = next
			}
		}
	}
	out := make([]plant.Pieces, 0, len(sums))
	for _, p := range sums {
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b plant.Pieces) int { return cmp.Compare(a.Minute, b.Minute) })
	return out
}
