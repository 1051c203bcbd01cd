package twin

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"linetwin/plant"
)

// madeWithin is how far from a changeover a piece tells its product.
const madeWithin = 24 * time.Hour

// around gives the time of which accounts over span must know: pieces before
// and after a changeover lie outside of it.
func around(span plant.Span) plant.Span {
	return plant.Span{From: span.From.Add(-madeWithin), To: span.To.Add(madeWithin)}
}

// accountFrom sums the line over span: its window, the failures of all its
// machines, what passed each step of its flow, and the changeovers of its
// bottleneck.
func (l *line) accountFrom(from source, span plant.Span) plant.Account {
	a := plant.Account{Window: l.windowFrom(from, span)}
	place := map[*machine]int{}
	for i, s := range l.steps {
		for _, m := range s {
			place[m] = i + 1
		}
	}
	for _, m := range l.machines {
		w := m.windowFrom(from, span)
		a.Reliability.Add(m.failures(from, span, w.Run))
		if at := place[m]; at > 0 && w.Good+w.Reject > 0 {
			a.AddStep(plant.StepCount{Line: l.cfg.ID, Place: at, Machines: l.steps[at-1].ids(), Good: w.Good, Reject: w.Reject})
		}
	}
	for _, m := range l.neck {
		m.changeovers(from, span, &a)
	}
	return a
}

// accountFrom sums one machine over span.
func (m *machine) accountFrom(from source, span plant.Span) plant.Account {
	a := plant.Account{Window: m.windowFrom(from, span)}
	a.Reliability = m.failures(from, span, a.Run)
	if a.Good+a.Reject > 0 {
		a.AddStep(plant.StepCount{Line: m.line.cfg.ID, Machines: []string{m.cfg.ID}, Good: a.Good, Reject: a.Reject})
	}
	m.changeovers(from, span, &a)
	return a
}

// failures sums the machine's failures that start in planned time of span.
func (m *machine) failures(from source, span plant.Span, operating time.Duration) plant.Reliability {
	sum := plant.Reliability{Operating: operating}
	if span.Empty() {
		return sum
	}
	segments := m.line.classed(m, from(m, span).Segments)
	failed := make([]plant.Segment, 0, 8)
	for i := range segments {
		if s := &segments[i]; s.Class == plant.ClassStop && !m.line.noFailure[m.line.reason(m, s)] {
			failed = append(failed, *s)
		}
	}
	if len(failed) == 0 {
		return sum
	}
	for _, part := range m.line.ruledParts(span) {
		sum.Add(tallyFailures(part.Span, failed, m.line.plannedShifts(from, part.Span, part.noOrder), &part.TallyRules))
	}
	return sum
}

// changeovers adds the machine's changeovers that start in planned time of
// span, by the products before and after.
func (m *machine) changeovers(from source, span plant.Span, a *plant.Account) {
	if span.Empty() {
		return
	}
	past := from(m, span)
	var made []plant.Pieces
	for _, part := range m.line.ruledParts(span) {
		shifts := m.line.plannedShifts(from, part.Span, part.noOrder)
		for _, s := range m.line.classed(m, past.Segments) {
			if s.Class != plant.ClassChangeover || s.Later() || !part.Has(s.From) || !plannedAt(s.From, shifts) {
				continue
			}
			if made == nil {
				made = m.line.attributed(from, m, within(past.Pieces, around(span)))
			}
			c := plant.Changeover{From: productBefore(made, s.From), Count: 1}
			if !s.Unended() {
				c.To, c.Ended, c.Time = productAfter(made, s.To), 1, s.Stood()
			}
			a.AddChangeover(c)
		}
	}
}

// productBefore gives what was made last before a time.
func productBefore(made []plant.Pieces, at plant.Time) string {
	i := sort.Search(len(made), func(i int) bool { return made[i].Minute > at })
	if i == 0 || at.Sub(made[i-1].Minute) > madeWithin {
		return ""
	}
	return made[i-1].Product
}

// productAfter gives what was made first after a time, or in its minute.
func productAfter(made []plant.Pieces, at plant.Time) string {
	i := sort.Search(len(made), func(i int) bool { return made[i].Minute >= at.Floor(time.Minute) })
	if i == len(made) || made[i].Minute.Sub(at) > madeWithin {
		return ""
	}
	return made[i].Product
}

// counted gives an effect with the switches by which its figures are counted,
// before and after.
func (l *line) counted(trial *line, e *plant.Effect) plant.Effect {
	if e.Before != nil {
		e.Before.Switches = l.held(e.Before.Span)
	}
	if e.After != nil {
		e.After.Switches = trial.held(e.After.Span)
	}
	return *e
}

// held gives the switches by which the line's time in span is counted.
func (l *line) held(span plant.Span) []plant.SwitchesHeld {
	span.To = max(span.To, span.From+1) // also of a shift that begins just now
	var all []plant.SwitchesHeld
	said := l.book.Load().switches[l.cfg.ID]
	for _, p := range l.ruledParts(span) {
		h := plant.SwitchesHeld{Span: p.Span, Lines: []string{l.cfg.ID}, SmallStop: plant.Length(p.SmallStop),
			BreaksWorked: p.BreaksWorked, PlannedStopsAsSchedule: p.PlannedStopsAsSchedule, NoOrderAsSchedule: p.noOrder}
		i, same := slices.BinarySearchFunc(said, p.From, func(s since[plant.Switches], at plant.Time) int { return cmp.Compare(s.from, at) })
		switch {
		case same:
			h.Since = said[i].from
		case i > 0:
			h.Since = said[i-1].from
		}
		all = append(all, h)
	}
	return all
}
