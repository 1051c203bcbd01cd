package twin

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"linetwin/plant"
)

// Snapshot gives everything that is live.
func (t *Twin) Snapshot() plant.Snapshot {
	now := t.now()
	t.mu.RLock()
	defer t.mu.RUnlock()
	s := plant.Snapshot{
		Site: t.cfg.Site, Zone: t.cfg.Zone, Time: now, Version: t.opts.Version,
		Lines: []plant.LineSnapshot{}, Gateways: []plant.GatewayLive{},
		Alerts: byUrgency(t.rules.Open()), Plant: t.todayLocked(now), Backlog: t.backlogLocked(),
	}
	for _, l := range t.lines {
		s.Lines = append(s.Lines, t.lineLocked(l, now))
	}
	for _, g := range t.gateways {
		s.Gateways = append(s.Gateways, g.live)
	}
	slices.SortFunc(s.Gateways, func(a, b plant.GatewayLive) int {
		return cmp.Or(cmp.Compare(a.Area, b.Area), cmp.Compare(a.Gateway, b.Gateway))
	})
	s.Notices = t.noticesLocked()
	return s
}

func (t *Twin) noticesLocked() []plant.Notice {
	var all []plant.Notice
	for _, n := range t.notices {
		all = append(all, *n)
	}
	slices.SortFunc(all, func(a, b plant.Notice) int { return cmp.Compare(a.Kind, b.Kind) })
	return all
}

// todayLocked sums all lines over the running day of the site's zone.
func (t *Twin) todayLocked(now plant.Time) plant.Figures {
	day := plant.Span{From: startOfDay(now, t.zone), To: now}
	var w plant.Window
	for _, l := range t.lines {
		w.Add(l.window(plant.Span{From: day.From, To: l.known(now, t.cfg.LateAfter)}))
	}
	f := w.Figures()
	f.Span, f.Provisional = day, true
	return f
}

func startOfDay(at plant.Time, zone *time.Location) plant.Time {
	d := at.Std().In(zone)
	return plant.At(time.Date(d.Year(), d.Month(), d.Day(), 0, 0, 0, 0, zone))
}

// startOfWeek gives the start of the local Monday of a week.
func startOfWeek(at plant.Time, zone *time.Location) plant.Time {
	d := at.Std().In(zone)
	return plant.At(time.Date(d.Year(), d.Month(), d.Day()-(int(d.Weekday())+6)%7, 0, 0, 0, 0, zone))
}

func (t *Twin) backlogLocked() *plant.BacklogReport {
	var worst *plant.BacklogReport
	for _, g := range t.gateways {
		if b := g.backlog(); b != nil && (worst == nil || b.Done < worst.Done) {
			worst = b
		}
	}
	return worst
}

// known gives the end of what a running window may count: the line's complete
// data, or, when that is older than late, the time from which on the line
// counts as unknown. oee.md 3.3.
func (l *line) known(now plant.Time, late time.Duration) plant.Time {
	return max(l.through(), now.Add(-late))
}

// source gives what is known of a machine in a span.
type source func(m *machine, span plant.Span) plant.Past

// live is the source of what is in memory; the twin's lock must be held.
func live(m *machine, span plant.Span) plant.Past {
	return plant.Past{Segments: m.segments(span), Pieces: m.track.past.Pieces}
}

// window sums the line over span from what is in memory.
func (l *line) window(span plant.Span) plant.Window { return l.windowFrom(live, span) }

// windowFrom sums the line over span.
func (l *line) windowFrom(from source, span plant.Span) plant.Window {
	if span.Empty() {
		return plant.Window{Span: span}
	}
	rejects := make([][]plant.Pieces, len(l.cfg.Flow))
	for i, m := range l.machines[:len(l.cfg.Flow)] {
		rejects[i] = l.attributed(within(from(m, span).Pieces, span))
	}
	good := l.attributed(within(from(l.last, span).Pieces, span))
	times := l.segments(from, span, good)
	var w plant.Window
	for _, part := range l.ruledParts(span) {
		w.Add(TallyLine(part.Span, times, good, rejects, l.plannedShifts(part.Span, part.noOrder), part.TallyRules))
	}
	return w
}

// segments gives the line's time: its bottleneck's segments, but run time in
// which nobody saw the pieces of the last machine is unknown, and unknown time
// of the bottleneck knows of the pieces that the last machine made in it.
// oee.md 3.3.
func (l *line) segments(from source, span plant.Span, good []plant.Pieces) []plant.Segment {
	times := l.classed(l.bottleneck, from(l.bottleneck, span).Segments)
	if l.last == l.bottleneck {
		return times
	}
	counted := from(l.last, span).Segments
	var seen plant.Spans
	for _, s := range counted {
		if s.Class != plant.ClassUnknown {
			seen.Add(s.Span)
		}
	}
	var out []plant.Segment
	var known plant.Spans
	for _, s := range times {
		switch {
		case s.Class == plant.ClassRun:
			out = append(out, l.unseen(s, seen.Holes(s.Span), counted)...)
		case s.Class != plant.ClassUnknown || s.Pieces > 0:
			out = append(out, s)
		default:
			continue
		}
		known.Add(s.Span)
	}
	for _, p := range good {
		for _, h := range known.Holes(plant.Span{From: p.Minute, To: p.Minute.Add(time.Minute)}) {
			out = append(out, plant.Segment{Machine: l.cfg.Bottleneck, Span: h, Class: plant.ClassUnknown, Pieces: p.Good, Product: p.Product})
		}
	}
	slices.SortFunc(out, func(a, b plant.Segment) int { return cmp.Compare(a.From, b.From) })
	return out
}

// unseen cuts the holes, in which the last machine was not seen, out of a
// segment of run time: they are unknown, with the share of the pieces that its
// counter showed afterwards.
func (l *line) unseen(s plant.Segment, holes []plant.Span, counted []plant.Segment) []plant.Segment {
	if len(holes) == 0 {
		return []plant.Segment{s}
	}
	var out []plant.Segment
	at := s.From
	for _, h := range holes {
		if h.From > at {
			run := s
			run.From, run.To = at, h.From
			out = append(out, run)
		}
		gap := plant.Segment{Machine: s.Machine, Span: h, Class: plant.ClassUnknown}
		for _, c := range counted {
			if o := c.Overlap(h); c.Pieces > 0 && !o.Empty() {
				gap.Pieces += int64(float64(c.Pieces) * float64(o.Length()) / float64(c.Length()))
				gap.Product = c.Product
			}
		}
		out = append(out, gap)
		at = h.To
	}
	if at < s.To {
		run := s
		run.From = at
		out = append(out, run)
	}
	return out
}

// window sums one machine over span from what is in memory.
func (m *machine) window(span plant.Span) plant.Window { return m.windowFrom(live, span) }

// windowFrom sums one machine over span.
func (m *machine) windowFrom(from source, span plant.Span) plant.Window {
	if span.Empty() {
		return plant.Window{Span: span}
	}
	past := from(m, span)
	made := m.line.attributed(within(past.Pieces, span))
	times := m.line.classed(m, past.Segments)
	var w plant.Window
	for _, part := range m.line.ruledParts(span) {
		part.Ideal = m.track.model.Ideal
		w.Add(Tally(part.Span, times, made, m.line.plannedShifts(part.Span, part.noOrder), part.TallyRules))
	}
	return w
}

// within cuts pieces to the minutes of span. A window begins and ends at whole
// minutes, or ends at what is known, with the last minute still growing.
func within(ps []plant.Pieces, span plant.Span) []plant.Pieces {
	i := sort.Search(len(ps), func(i int) bool { return ps[i].Minute >= span.From.Floor(time.Minute) })
	j := sort.Search(len(ps), func(j int) bool { return ps[j].Minute >= span.To })
	return ps[i:max(i, j)]
}

// segments gives the machine's segments that overlap span, the running one
// included.
func (m *machine) segments(span plant.Span) []plant.Segment {
	ss := m.track.past.Segments
	i := sort.Search(len(ss), func(i int) bool { return ss[i].To > span.From })
	j := sort.Search(len(ss), func(j int) bool { return ss[j].From >= span.To })
	ss = ss[i:max(i, j):max(i, j)]
	for _, s := range m.track.cp.Held() {
		if !s.Overlap(span).Empty() {
			ss = append(ss, s)
		}
	}
	if open, ok := m.track.cp.Segment(); ok && open.From < span.To && open.To > span.From {
		ss = append(ss, open)
	}
	return ss
}

func (t *Twin) lineLocked(l *line, now plant.Time) plant.LineSnapshot {
	end := l.known(now, t.cfg.LateAfter)
	s := plant.LineSnapshot{
		ID: l.cfg.ID, Area: l.area, Name: l.cfg.Name, Bottleneck: l.cfg.Bottleneck,
		State: l.state(now, t.cfg.LateAfter), Through: l.through(), Machines: []plant.MachineSnapshot{}, Hours: []plant.HourCount{},
	}
	span := plant.Span{From: startOfDay(now, t.zone), To: end}
	shift, running := l.shiftAt(now)
	if shift != nil {
		s.Shift = shift
		span = plant.Span{From: shift.From, To: min(end, shift.To)}
		if !running {
			s.Shift, span.To = nil, shift.To
		}
	}
	w := l.window(span)
	s.Figures = w.Figures()
	s.Figures.Span = span
	s.Figures.Provisional = true
	if shift != nil {
		s.Figures.Shift, s.Figures.Day = shift.Name, shift.Day
		t.revise(l, shift.From, &s.Figures)
	}
	s.OEE, s.Good, s.Reject = s.Figures.OEE, w.Good, w.Reject
	if age := now.Sub(s.Through).Milliseconds(); s.Through != 0 {
		age = max(0, age)
		s.DataAgeMs = &age
	}
	product := l.product()
	s.Product = t.productByID(product)
	if order := l.bottleneck.track.cp.Now().Order; order != "" {
		s.Order = &plant.Order{ID: order, Line: l.cfg.ID, Product: product}
	}
	ideal, ok := l.rules.Ideal(product, now)
	if shift != nil && ok {
		s.Target = pieces(l.planned(span), ideal)
		s.ShiftGoal = pieces(l.planned(shift.Span), ideal)
	}
	for from := span.From; from < span.To; from = from.Floor(time.Hour).Add(time.Hour) {
		to := min(from.Floor(time.Hour).Add(time.Hour), span.To)
		h := plant.Span{From: from, To: to}
		hw := l.window(h)
		hc := plant.HourCount{Span: h, Good: hw.Good, Reject: hw.Reject, OEE: hw.Figures().OEE}
		if ok {
			hc.Target = pieces(l.planned(h), ideal)
		}
		s.Hours = append(s.Hours, hc)
	}
	for _, m := range l.machines {
		s.Machines = append(s.Machines, t.machineLocked(m, span, now))
	}
	for _, a := range t.rules.Open() {
		if a.Line == l.cfg.ID {
			s.Alerts++
		}
	}
	return s
}

// shiftAt gives the shift that runs at now, or, with running false, the last
// one before; nil when there was none in the last week.
func (l *line) shiftAt(now plant.Time) (shift *plant.ShiftInstance, running bool) {
	around := l.shifts(plant.Span{From: now.Add(-7 * 24 * time.Hour), To: now + 1})
	for i := range around {
		if around[i].From <= now {
			shift = &around[i]
		}
	}
	return shift, shift != nil && shift.Has(now)
}

// planned gives the scheduled time in span: shifts less breaks.
func (l *line) planned(span plant.Span) time.Duration {
	var sum time.Duration
	for _, s := range l.shifts(span) {
		sum += s.Overlap(span).Length()
		if r, _ := l.switchesAt(s.From); r.BreaksWorked {
			continue
		}
		for _, b := range s.Breaks {
			sum -= b.Overlap(span).Length()
		}
	}
	return sum
}

func pieces(d, ideal time.Duration) *float64 {
	if ideal <= 0 {
		return nil
	}
	p := float64(d) / float64(ideal)
	return &p
}

// product gives what the line makes now: what its bottleneck works on.
func (l *line) product() string {
	if p := l.bottleneck.track.cp.Now().Product; p != "" {
		return p
	}
	return l.cfg.Product
}

func (t *Twin) productByID(id string) *plant.Product {
	for _, p := range t.cfg.Products {
		if p.ID == id {
			return &plant.Product{ID: p.ID, Name: p.Name}
		}
	}
	if id == "" {
		return nil
	}
	return &plant.Product{ID: id, Name: plant.Name{}.Or(id)}
}

func (t *Twin) machineLocked(m *machine, span plant.Span, now plant.Time) plant.MachineSnapshot {
	n := m.track.cp.Now()
	s := plant.MachineSnapshot{
		ID: m.cfg.ID, Name: m.cfg.Name, Class: n.Class, State: n.State, Since: n.Since, Fault: n.Fault, Why: n.Why,
		Through: m.track.cp.Through, Gateway: m.gateway,
	}
	if late(m, now, t.cfg.LateAfter) {
		s.Class, s.State, s.Since, s.Why = plant.ClassUnknown, "", s.Through, noData(s.Through)
	}
	s.Small = s.Class.Down() && now.Sub(s.Since) < m.line.smallStop(now)
	w := m.window(plant.Span{From: span.From, To: min(span.To, max(m.track.cp.Through, now.Add(-t.cfg.LateAfter)))})
	f := w.Figures()
	s.Good, s.Reject, s.OEE, s.Availability = f.Good, f.Reject, f.OEE, f.Availability
	if g := t.gateways[gatewayKey{m.line.area, m.gateway}]; g != nil {
		s.Link = g.link(m.cfg.ID)
	}
	for _, c := range m.characteristics {
		s.Measurements = append(s.Measurements, t.measuredLocked(c))
	}
	return s
}

func (t *Twin) measuredLocked(c plant.Characteristic) plant.Measured {
	ms := plant.Measured{Characteristic: c, Within: true}
	n := t.signals[c.Machine][c.Signal]
	if n == nil || n.last.Time == 0 {
		return ms
	}
	ms.Time = n.last.Time
	if x, ok := n.last.Value.Number(); ok {
		ms.Value, ms.Within = &x, c.Within(x)
	}
	return ms
}

// link tells how a machine's device stands; a gateway that is away has no
// links.
func (g *gateway) link(machine string) plant.Link {
	if !g.live.Online {
		return plant.LinkDown
	}
	for i := range g.live.Devices {
		if g.live.Devices[i].Machine == machine {
			return g.live.Devices[i].Link
		}
	}
	return ""
}

func late(m *machine, now plant.Time, after time.Duration) bool {
	return now.Sub(m.track.cp.Through) > after
}

func noData(through plant.Time) string {
	if through == 0 {
		return "no data yet"
	}
	return "no data since " + through.String()
}

// state gives the line's state: its bottleneck's, with the machine that causes
// it. A starved bottleneck leads upstream, a blocked one downstream, to the
// first machine that stands by itself.
func (l *line) state(now plant.Time, lateAfter time.Duration) plant.LineState {
	if late(l.bottleneck, now, lateAfter) {
		through := l.bottleneck.track.cp.Through
		return plant.LineState{Class: plant.ClassUnknown, Since: through, Why: noData(through)}
	}
	n := l.bottleneck.track.cp.Now()
	s := plant.LineState{Class: n.Class, Since: n.Since, Fault: n.Fault, Why: n.Why}
	s.Small = s.Class.Down() && now.Sub(s.Since) < l.smallStop(now)
	if cause := l.cause(l.bottleneck.cfg.ID, n.Class, func(m *machine) (plant.Class, bool) {
		return m.track.cp.Now().Class, !late(m, now, lateAfter)
	}); cause != nil {
		s.Cause, s.Fault = cause.cfg.ID, cause.track.cp.Now().Fault
	}
	if shift, running := l.shiftAt(now); !running || onBreak(shift, now) {
		if s.Class != plant.ClassRun {
			s.Class, s.Small = plant.ClassNotScheduled, false
		}
	}
	return s
}

func onBreak(s *plant.ShiftInstance, at plant.Time) bool {
	for _, b := range s.Breaks {
		if b.Has(at) {
			return true
		}
	}
	return false
}

// cause walks the flow from a machine of a class: from a starved one upstream,
// from a blocked one downstream, over machines that only wait themselves. It
// gives the machine that stands by itself; nil when none is found.
func (l *line) cause(from string, class plant.Class, classOf func(*machine) (plant.Class, bool)) *machine {
	step := 0
	switch class {
	case plant.ClassStarved:
		step = -1
	case plant.ClassBlocked:
		step = 1
	case plant.ClassStop, plant.ClassChangeover, plant.ClassPlannedStop:
		i := slices.Index(l.cfg.Flow, from)
		if i < 0 {
			return nil
		}
		return l.machines[i]
	default:
		return nil
	}
	for i := slices.Index(l.cfg.Flow, from) + step; i >= 0 && i < len(l.cfg.Flow); i += step {
		switch c, known := classOf(l.machines[i]); {
		case !known || c == plant.ClassUnknown:
			return nil
		case c == plant.ClassStop || c == plant.ClassChangeover || c == plant.ClassPlannedStop:
			return l.machines[i]
		case c == class:
			continue
		default:
			return nil
		}
	}
	return nil
}

func severity(s plant.Severity) int {
	switch s {
	case plant.SeverityHigh:
		return 0
	case plant.SeverityMedium:
		return 1
	}
	return 2
}

// byUrgency orders alerts: most severe first, then newest.
func byUrgency(as []plant.Alert) []plant.Alert {
	slices.SortFunc(as, func(a, b plant.Alert) int {
		return cmp.Or(cmp.Compare(severity(a.Severity), severity(b.Severity)), cmp.Compare(b.Fired, a.Fired), cmp.Compare(a.ID, b.ID))
	})
	return as
}

func newestFirst(as []plant.Alert) {
	slices.SortFunc(as, func(a, b plant.Alert) int {
		return cmp.Or(cmp.Compare(b.Fired, a.Fired), cmp.Compare(a.ID, b.ID))
	})
}

// figures gives the figures of the line over span from what is in memory.
func (l *line) figures(span plant.Span) plant.Figures {
	w := l.window(span)
	return w.Figures()
}
