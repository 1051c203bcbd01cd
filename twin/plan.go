package twin

import (
	"cmp"
	"slices"
	"time"

	"linetwin/plant"
)

// shifts gives the line's shift instances that overlap span.
func (l *line) shifts(span plant.Span) []plant.ShiftInstance {
	return l.book.Load().shifts(l.cfg.Calendar, l.calendar, span)
}

// plannedShifts gives the line's shifts as its time is counted: where time without an
// order is no planned time, that is a break.
func (l *line) plannedShifts(span plant.Span, noOrder bool) []plant.ShiftInstance {
	all := l.shifts(span)
	if !noOrder {
		return all
	}
	var ordered plant.Spans
	for _, o := range l.book.Load().orders[l.cfg.ID] {
		if o.From != 0 {
			ordered.Add(plant.Span{From: o.From, To: cmp.Or(o.To, 1<<62)})
		}
	}
	for i := range all {
		var idle plant.Spans
		for _, b := range all[i].Breaks {
			idle.Add(b)
		}
		for _, h := range ordered.Holes(all[i].Span) {
			idle.Add(h)
		}
		all[i].Breaks = slices.Clone(idle)
	}
	return all
}

// ruled is a part of a span in which the line's switches do not change.
type ruled struct {
	plant.Span
	TallyRules
	noOrder bool
}

// switchesAt gives the line's switches at a time: what was said, else what the
// settings say.
func (l *line) switchesAt(t plant.Time) (r TallyRules, noOrder bool) {
	r = l.rules
	noOrder = l.cfg.NoOrder
	s, ok := at(l.book.Load().switches[l.cfg.ID], t)
	if !ok {
		return r, noOrder
	}
	if s.SmallStop != nil {
		r.SmallStop = time.Duration(*s.SmallStop)
	}
	if s.BreaksWorked != nil {
		r.BreaksWorked = *s.BreaksWorked
	}
	if s.PlannedStopsAsSchedule != nil {
		r.PlannedStopsAsSchedule = *s.PlannedStopsAsSchedule
	}
	if s.NoOrderAsSchedule != nil {
		noOrder = *s.NoOrderAsSchedule
	}
	return r, noOrder
}

// smallStop gives the line's threshold at a time.
func (l *line) smallStop(t plant.Time) time.Duration {
	r, _ := l.switchesAt(t)
	return r.SmallStop
}

// ruledParts cuts span where the line's switches change.
func (l *line) ruledParts(span plant.Span) []ruled {
	var parts []ruled
	from := span.From
	cut := func(to plant.Time) {
		r, noOrder := l.switchesAt(from)
		parts = append(parts, ruled{plant.Span{From: from, To: to}, r, noOrder})
		from = to
	}
	said := l.book.Load().switches[l.cfg.ID]
	for _, s := range said {
		if span.From < s.from && s.from < span.To {
			cut(s.from)
		}
	}
	cut(span.To)
	if len(said) > 0 { // also before the first was said: a stop may begin there and end after it
		for i := range parts {
			parts[i].SmallStopAt = l.smallStop
		}
	}
	return parts
}

// attributed gives pieces with what orders say of them: those of which the
// machine told no order are of the order that the line worked on then, and are
// its product where the machine told none.
func (l *line) attributed(pieces []plant.Pieces) []plant.Pieces {
	b := l.book.Load()
	if len(b.orders[l.cfg.ID]) == 0 {
		return pieces
	}
	out := slices.Clone(pieces)
	for i := range out {
		p := &out[i]
		if p.Flags&plant.FlagNoOrder == 0 {
			continue
		}
		o, ok := b.order(l.cfg.ID, p.Minute)
		if !ok {
			continue
		}
		p.Order, p.Flags = o.ID, p.Flags&^plant.FlagNoOrder
		if p.Product == "" || p.Flags&plant.FlagProductAssumed != 0 {
			p.Product, p.Flags = o.Product, p.Flags&^plant.FlagProductAssumed
		}
	}
	return out
}
