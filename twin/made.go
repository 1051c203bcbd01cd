package twin

import (
	"slices"
	"time"

	"linetwin/plant"
)

// madeSplit is a split by product or order of a line, or of a machine of it.
type madeSplit struct {
	machine *machine // nil: the line
	span    plant.Span
	by      string
	account func(plant.Span) plant.Account
}

// what gives the product or order of pieces.
func (s *madeSplit) what(p *plant.Pieces) string {
	if s.by == "order" {
		return p.Order
	}
	return p.Product
}

// part gives the part of a product or order.
func (s *madeSplit) part(made string) part {
	if s.by == "order" {
		return part{Span: s.span, order: made}
	}
	return part{Span: s.span, product: made}
}

// madeRun is a time in which a machine made one product or worked on one
// order.
type madeRun struct {
	plant.Span
	made string
}

// byMade splits a span at the times at which the line, or the machine, went
// over to another product or order, and sums what belongs to each.
func (l *line) byMade(from source, s madeSplit, end plant.Time) []counted {
	if s.span.Empty() {
		return nil
	}
	if s.machine == nil && len(l.neck) > 1 {
		return l.madeBeside(from, s, end)
	}
	m := s.machine
	if m == nil {
		m = l.neck[0]
	}
	var all []counted
	for _, r := range l.runs(from, m, s) {
		i := slices.IndexFunc(all, func(c counted) bool { return c.part.product+c.part.order == r.made })
		if i < 0 {
			all, i = append(all, counted{part: s.part(r.made), provisional: s.span.To >= end}), len(all)
		}
		a := s.account(r.Span)
		a.Switches = l.held(r.Span)
		all[i].Account.Add(&a)
	}
	return all
}

// runs gives the times in which a machine made each product or order. A
// changeover belongs to what follows it.
func (l *line) runs(from source, m *machine, s madeSplit) []madeRun {
	past := from(m, s.span)
	var runs []madeRun
	for _, p := range l.attributed(within(past.Pieces, s.span)) {
		if n := len(runs); n > 0 && runs[n-1].made == s.what(&p) {
			continue
		}
		at := p.Minute
		if len(runs) == 0 {
			at = s.span.From
		}
		for _, g := range past.Segments {
			if len(runs) > 0 && g.Class == plant.ClassChangeover && g.From > runs[len(runs)-1].From && g.From < p.Minute.Add(time.Minute) {
				at = g.From
			}
		}
		if n := len(runs); n > 0 {
			runs[n-1].To = at
		}
		runs = append(runs, madeRun{plant.Span{From: at, To: s.span.To}, s.what(&p)})
	}
	if len(runs) == 0 {
		runs = []madeRun{{Span: s.span}}
	}
	return runs
}

// madeBeside splits a line whose bottleneck is several machines beside each
// other, which may make different things at a time: the time of each goes by
// its own pieces, and the line's pieces go by what they are.
func (l *line) madeBeside(from source, s madeSplit, end plant.Time) []counted {
	v := l.view(from, s.span)
	var all []counted
	of := func(made string) *counted {
		i := slices.IndexFunc(all, func(c counted) bool { return c.part.product+c.part.order == made })
		if i < 0 {
			all, i = append(all, counted{part: s.part(made), provisional: s.span.To >= end}), len(all)
		}
		return &all[i]
	}
	for i, m := range l.neck {
		for _, r := range l.runs(from, m, s) {
			c := of(r.made)
			only := lineView{line: l, necks: v.necks[i : i+1]}
			for _, part := range l.ruledParts(r.Span) {
				c.Window.Add(only.tally(part, l.plannedShifts(part.Span, part.noOrder)))
			}
			m.changeovers(from, r.Span, &c.Account)
			c.Account.Add(&plant.Account{Switches: l.held(s.span)})
		}
	}
	l.piecesBeside(&v, s, of)
	for at, step := range l.steps {
		for _, m := range step {
			for _, r := range l.runs(from, m, s) {
				i := slices.IndexFunc(all, func(c counted) bool { return c.part.product+c.part.order == r.made })
				if i < 0 {
					continue // nothing of the line: it made nothing that could tell
				}
				w := m.windowFrom(from, r.Span)
				all[i].Reliability.Add(m.failures(from, r.Span, w.Run))
				if w.Good+w.Reject > 0 {
					all[i].AddStep(plant.StepCount{Line: l.cfg.ID, Place: at + 1, Machines: step.ids(), Good: w.Good, Reject: w.Reject})
				}
			}
		}
	}
	return all
}

// piecesBeside puts the line's pieces to what they are.
func (l *line) piecesBeside(v *lineView, s madeSplit, of func(made string) *counted) {
	put := func(pieces []plant.Pieces, reject bool) {
		byMade := map[string][]plant.Pieces{}
		var order []string
		for i := range pieces {
			made := s.what(&pieces[i])
			if byMade[made] == nil {
				order = append(order, made)
			}
			byMade[made] = append(byMade[made], pieces[i])
		}
		for _, made := range order {
			only := lineView{line: l, idealOf: v.idealOf, good: byMade[made]}
			if reject {
				only.good, only.rejects = nil, [][]plant.Pieces{byMade[made]}
			}
			for _, part := range l.ruledParts(s.span) {
				w := only.tally(part, l.plannedShifts(part.Span, part.noOrder))
				of(made).Window.Add(w)
			}
		}
	}
	put(v.good, false)
	for _, p := range v.rejects {
		put(p, true)
	}
}
