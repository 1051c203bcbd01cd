package twin

import (
	"cmp"
	"slices"
	"sort"

	"linetwin/plant"
)

// amendment is what people said of one machine's states, stops and counts. It
// is laid over what the machine told whenever that is looked at, so that
// nothing that was told is lost, and an undo brings all of it back.
type amendment struct {
	states []correction // in order of time, without overlap: where two did, the one said last
	cuts   []cut        // in order of time
	joins  []join       // in order of time, without overlap
	counts []recount    // in the order in which they were said
}

// correction is what a machine did in a span, as somebody says.
type correction struct {
	plant.Span
	class *plant.Class // or state
	state plant.State
	id    uint64
}

// cut divides the stop that lasts at a time.
type cut struct {
	at plant.Time
	id uint64
}

// join makes one event of the stops that last in a span, its ends included.
type join struct {
	plant.Span
	id uint64
}

// recount is what a machine made in whole minutes, as somebody says.
type recount struct {
	plant.Span
	good, reject int64
	replace      bool
	id           uint64
}

// instant is what entries of one kind may be said of again.
type instant struct {
	kind plant.EntryKind
	id   string
	at   plant.Time
}

// amend takes what was said of instants; what was said last of one holds.
func (b *book) amend(last map[instant]*plant.Entry) {
	keys := make([]instant, 0, len(last))
	for k, e := range last {
		if len(e.Value) > 0 {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b instant) int { return cmp.Compare(last[a].ID, last[b].ID) })
	for _, k := range keys {
		a := b.amends[k.id]
		if a == nil {
			a = &amendment{}
			b.amends[k.id] = a
		}
		switch e := last[k]; k.kind {
		case plant.EntryState:
			s, _ := plant.Said[plant.StateSaid](e)
			a.paint(correction{plant.Span{From: k.at, To: s.To}, s.Class, s.State, e.ID})
		case plant.EntryCount:
			c, _ := plant.Said[plant.CountSaid](e)
			a.counts = append(a.counts, recount{c.Span(k.at), c.Good, c.Reject, c.Replace, e.ID})
		case plant.EntrySplit:
			s, _ := plant.Said[plant.SplitSaid](e)
			for _, p := range s.Parts[1:] {
				a.cuts = append(a.cuts, cut{p.From, e.ID})
				b.stopSaid(k.id, p.From, e.ID, p.StopSaid)
			}
			// The key may name any instant of the stop, the first part ends here.
			b.stopSaid(k.id, min(k.at, s.Parts[1].From-1), e.ID, s.Parts[0].StopSaid)
		case plant.EntryMerge:
			s, _ := plant.Said[plant.MergeSaid](e)
			if _, to, ok := plant.CutAtKey(s.To); ok {
				a.join(join{plant.Span{From: k.at, To: to}, e.ID})
				b.stopSaid(k.id, k.at, e.ID, s.StopSaid)
			}
		}
	}
	for _, a := range b.amends {
		slices.SortFunc(a.cuts, func(a, b cut) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) })
	}
}

// stopSaid notes what was said along with dividing or joining.
func (b *book) stopSaid(machine string, at plant.Time, id uint64, s plant.StopSaid) {
	if s != (plant.StopSaid{}) {
		b.stops[machine] = append(b.stops[machine], saidOf{at, id, s})
	}
}

// paint takes a correction over those that were said before it.
func (a *amendment) paint(c correction) {
	i, j := touching(a.states, plant.Span{From: c.From + 1, To: c.To - 1})
	var put []correction
	if i < j && a.states[i].From < c.From {
		left := a.states[i]
		left.To = c.From
		put = append(put, left)
	}
	put = append(put, c)
	if i < j && a.states[j-1].To > c.To {
		right := a.states[j-1]
		right.From = c.To
		put = append(put, right)
	}
	a.states = slices.Replace(a.states, i, j, put...)
}

// join takes a join; with those that it overlaps it makes one.
func (a *amendment) join(n join) {
	i, j := touching(a.joins, n.Span)
	for _, o := range a.joins[i:j] {
		n.From, n.To = min(n.From, o.From), max(n.To, o.To)
	}
	a.joins = slices.Replace(a.joins, i, j, n)
}

type spanned interface{ span() plant.Span }

func (c correction) span() plant.Span { return c.Span }
func (j join) span() plant.Span       { return j.Span }

// touching gives which of spans in order, without overlap, share an instant
// with s or touch it.
func touching[T spanned](all []T, s plant.Span) (first, end int) {
	first = sort.Search(len(all), func(i int) bool { return all[i].span().To >= s.From })
	end = sort.Search(len(all), func(i int) bool { return all[i].span().From > s.To })
	return first, max(first, end)
}

// hull gives the span from the start of the one to the end of the other.
func hull(a, b plant.Span) plant.Span {
	return plant.Span{From: min(a.From, b.From), To: max(a.To, b.To)}
}

// amended gives what a source tells with what people said laid over it. What a
// span shows does not depend on where it is cut: stops are judged whole.
func (l *line) amended(from source) source {
	b := l.book.Load()
	if !slices.ContainsFunc(l.machines, func(m *machine) bool { return b.amends[m.cfg.ID] != nil }) {
		return from
	}
	return func(m *machine, span plant.Span) plant.Past {
		a := b.amends[m.cfg.ID]
		if a == nil {
			return from(m, span)
		}
		ask := func(s plant.Span) plant.Past { return from(m, s) }
		wide, segments := a.reach(ask, span)
		past := from(m, span)
		if i, j := touching(a.states, wide); i < j {
			segments = m.corrected(segments, a.states[i:j])
			past.Segments = overlapping(segments, span)
		}
		if len(a.cuts) > 0 || len(a.joins) > 0 {
			segments = b.divided(m.cfg.ID, a.cuts, segments)
			past.Segments = overlapping(b.joined(m.cfg.ID, a.joins, segments), span)
		}
		if wide := a.recounted(span); wide != span {
			all := from(m, wide).Pieces
			before := within(all, plant.Span{From: -1 << 62, To: wide.From})
			after := within(all, plant.Span{From: wide.To, To: 1 << 62})
			past.Pieces = slices.Concat(before, l.recount(m, a, all, wide), after)
		}
		return past
	}
}

// reach gives the segments that are to be looked at as one with those of span,
// and what they span: what was said may reach further, and the stops there too.
func (a *amendment) reach(ask func(plant.Span) plant.Past, span plant.Span) (plant.Span, []plant.Segment) {
	for {
		segments := ask(span).Segments
		if n := len(segments); n > 0 {
			span = hull(span, plant.Span{From: segments[0].From, To: segments[n-1].To})
		}
		wide := span
		// One more instant at each end finds the stop that goes on there.
		if i, j := touching(a.states, span); i < j {
			wide = hull(wide, plant.Span{From: a.states[i].From - 1, To: a.states[j-1].To + 1})
		}
		if i, j := touching(a.joins, span); i < j {
			wide = hull(wide, plant.Span{From: a.joins[i].From, To: a.joins[j-1].To + 1})
		}
		if wide == span {
			return span, segments
		}
		span = wide
	}
}

// reach gives what a source has to know so that amended can tell of span.
func (l *line) reach(from source, span plant.Span) plant.Span {
	b, wide := l.book.Load(), span
	for _, m := range l.machines {
		a := b.amends[m.cfg.ID]
		if a == nil {
			continue
		}
		ask := func(s plant.Span) plant.Past { return from(m, s) }
		all, _ := a.reach(ask, span)
		wide = hull(wide, hull(all, a.recounted(span)))
	}
	return wide
}
