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
	flag plant.Flag
}

// byMade splits a span at the times at which the line, or the machine, went
// over to another product or order, and sums what belongs to each.
func (l *line) byMade(from source, s madeSplit, end plant.Time) []counted {
	if s.span.Empty() {
		return nil
	}
	if s.by == "order" || s.machine == nil && len(l.neck) > 1 {
		return l.madeApart(from, s, end)
	}
	m := s.machine
	if m == nil {
		m = l.neck[0]
	}
	var all []counted
	for _, r := range l.runs(from, m, &s) {
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

// runs gives the times in which a machine made each product or worked on each
// order. A changeover belongs to what follows it.
func (l *line) runs(from source, m *machine, s *madeSplit) []madeRun {
	if s.by == "order" {
		return l.orderRuns(from, m, s.span)
	}
	past := from(m, s.span)
	var runs []madeRun
	var last plant.Time // minute of the last piece before
	for _, p := range l.attributed(from, m, within(past.Pieces, s.span)) {
		if n := len(runs); n > 0 && runs[n-1].made == s.what(&p) {
			last = p.Minute
			continue
		}
		at := p.Minute
		if len(runs) == 0 {
			at = s.span.From
		}
		for _, g := range past.Segments {
			if len(runs) > 0 && g.Class == plant.ClassChangeover && g.From > runs[len(runs)-1].From && g.From >= last && g.From < p.Minute.Add(time.Minute) {
				at = g.From
			}
		}
		if n := len(runs); n > 0 {
			at = max(at, runs[n-1].From) // which may have begun later in the same minute
			runs[n-1].To = at
		}
		last = p.Minute
		runs = append(runs, madeRun{Span: plant.Span{From: at, To: s.span.To}, made: s.what(&p)})
	}
	if len(runs) == 0 {
		runs = []madeRun{{Span: s.span}}
	}
	return runs
}

// orderRuns gives the times in which a machine worked on each order. Where it
// did not run between a changeover and the next order, that began with the
// changeover.
func (l *line) orderRuns(from source, m *machine, span plant.Span) []madeRun {
	segments := l.classed(m, from(m, span).Segments)
	var runs []madeRun
	for _, w := range l.worked(from, l.tellersFor(m), span) {
		r := madeRun{w.Span, w.order, l.orderFlag(&w)}
		if len(runs) > 0 {
			r.From = max(span.From, setUpSince(segments, w.From))
		}
		for len(runs) > 0 && runs[len(runs)-1].From >= r.From {
			r.flag |= runs[len(runs)-1].flag // its time is this one's now
			runs = runs[:len(runs)-1]
		}
		if n := len(runs); n > 0 && runs[n-1].made == r.made {
			runs[n-1].To, runs[n-1].flag = r.To, runs[n-1].flag|r.flag
			continue
		} else if n > 0 {
			runs[n-1].To = r.From
		}
		runs = append(runs, r)
	}
	return runs
}

// setUpSince gives when the changeover began that led to what was begun at a
// time; the time itself where there was none.
func setUpSince(segments []plant.Segment, at plant.Time) plant.Time {
	began := at
	for i := range segments {
		s := &segments[len(segments)-1-i]
		switch {
		case s.From >= at:
		case s.Class == plant.ClassRun:
			return began
		case s.Class == plant.ClassChangeover:
			began = s.From
		}
	}
	return began
}

// splitting is a split of time and pieces each by itself: the time of each
// machine of the bottleneck by what that makes, or by the order that it works on,
// the pieces by what they are, whenever the bottleneck made them.
type splitting struct {
	madeSplit
	line  *line
	from  source
	view  lineView
	necks []*machine // whose time it is, as in view
	of    []*machine // whose failures and pieces belong to it
	parts []plannedPart
	end   plant.Time
	all   []counted
}

// plannedPart is a part of a span in which the line's switches do not change,
// with its shifts.
type plannedPart struct {
	ruled
	shifts []plant.ShiftInstance
}

func (l *line) madeApart(from source, s madeSplit, end plant.Time) []counted {
	p := splitting{madeSplit: s, line: l, from: from, end: end, necks: l.neck, of: l.machines}
	if m := s.machine; m != nil {
		p.necks, p.of = []*machine{m}, []*machine{m}
		made := l.attributed(from, m, within(from(m, s.span).Pieces, s.span))
		p.view = lineView{line: l, necks: []Neck{{l.classed(m, from(m, s.span).Segments), m.ideal}}, good: made,
			idealOf: func(p *plant.Pieces) (time.Duration, bool) {
				d, ok := m.ideal(p.Product, p.Minute)
				return d, ok && d > 0
			}}
	} else {
		p.view = l.view(from, s.span)
	}
	for _, part := range l.ruledParts(s.span) {
		p.parts = append(p.parts, plannedPart{part, l.plannedShifts(from, part.Span, part.noOrder)})
	}
	p.times()
	if s.machine != nil {
		p.pieces(p.view.good, true, true)
	} else {
		p.pieces(p.view.good, true, false)
		for _, made := range p.view.rejects {
			p.pieces(made, false, true)
		}
	}
	for _, m := range p.of {
		p.beside(m)
	}
	return p.all
}

// made gives what belongs to a product or order.
func (p *splitting) made(made string) *counted {
	i := slices.IndexFunc(p.all, func(c counted) bool { return c.part.product+c.part.order == made })
	if i < 0 {
		i = len(p.all)
		p.all = append(p.all, counted{part: p.part(made), provisional: p.span.To >= p.end})
	}
	return &p.all[i]
}

// times puts the time to what was worked on.
func (p *splitting) times() {
	for i, m := range p.necks {
		only := lineView{line: p.line, necks: p.view.necks[i : i+1]}
		for _, r := range p.line.runs(p.from, m, &p.madeSplit) {
			c := p.made(r.made)
			for _, part := range p.line.ruledParts(r.Span) {
				c.Window.Add(only.tally(part, p.line.plannedShifts(p.from, part.Span, part.noOrder)))
			}
			c.Window.Flags |= r.flag
			m.changeovers(p.from, r.Span, &c.Account)
			c.Account.Add(&plant.Account{Switches: p.line.held(p.span)})
		}
	}
}

// grouped gives pieces by what they are, in the order in which they were made.
func (p *splitting) grouped(pieces []plant.Pieces) (order []string, groups map[string][]plant.Pieces) {
	groups = map[string][]plant.Pieces{}
	for i := range pieces {
		made := p.what(&pieces[i])
		if groups[made] == nil {
			order = append(order, made)
		}
		groups[made] = append(groups[made], pieces[i])
	}
	return order, groups
}

// count sums pieces: the good ones, the rejects or both.
func (p *splitting) count(pieces []plant.Pieces, good, reject bool) (w plant.Window) {
	for _, part := range p.parts {
		part.Ideal, part.IdealOf = p.line.ideals[0], p.view.idealOf
		t := tallying{r: part.TallyRules, window: plant.Window{Span: part.Span}}
		t.pieces(part.Span, pieces, part.shifts, good, reject)
		w.Add(t.window)
	}
	return w
}

// pieces puts pieces to what they are.
func (p *splitting) pieces(pieces []plant.Pieces, good, reject bool) {
	order, groups := p.grouped(pieces)
	for _, made := range order {
		w, c := p.count(groups[made], good, reject), p.made(made)
		if first, last := groups[made][0], groups[made][len(groups[made])-1]; !c.Window.Span.Empty() {
			w.Span = c.Window.Span
		} else { // no time of the bottleneck's belongs to it
			w.Span = plant.Span{From: first.Minute, To: last.Minute.Add(time.Minute)}.Overlap(p.span)
		}
		c.Window.Add(w)
	}
}

// beside puts a machine's failures and what it passed on to what it worked on.
func (p *splitting) beside(m *machine) {
	for _, r := range p.line.runs(p.from, m, &p.madeSplit) {
		if p.by == "order" || slices.ContainsFunc(p.all, func(c counted) bool { return c.part.product == r.made }) {
			run := m.timeFrom(p.from, r.Span, nil).Run
			p.made(r.made).Reliability.Add(m.failures(p.from, r.Span, run))
		} // else nothing of the line: it made nothing that could tell
	}
	step := plant.StepCount{Line: p.line.cfg.ID, Machines: []string{m.cfg.ID}}
	if p.machine == nil {
		at := p.line.stepOf(m.cfg.ID)
		if at < 0 {
			return
		}
		step.Place, step.Machines = at+1, p.line.steps[at].ids()
	}
	order, groups := p.grouped(p.line.attributed(p.from, m, within(p.from(m, p.span).Pieces, p.span)))
	for _, made := range order {
		w := p.count(groups[made], true, true)
		if w.Good+w.Reject > 0 {
			step.Good, step.Reject = w.Good, w.Reject
			p.made(made).AddStep(step)
		}
	}
}
