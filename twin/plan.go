package twin

import (
	"time"

	"linetwin/plant"
)

// shifts gives the line's shift instances that overlap span.
func (l *line) shifts(span plant.Span) []plant.ShiftInstance {
	return l.book.Load().shifts(l.cfg.Calendar, l.calendar, span)
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
