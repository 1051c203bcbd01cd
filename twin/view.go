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

// todayLocked sums all lines over the running day of the site's zone, as
// PlantFigures does.
func (t *Twin) todayLocked(now plant.Time) plant.Figures {
	day := plant.Span{From: startOfDay(now, t.zone), To: now}
	var a plant.Account
	for _, l := range t.lines {
		w := l.window(plant.Span{From: day.From, To: l.known(now, t.cfg.LateAfter)})
		a.Add(&plant.Account{Window: w, Switches: l.held(day)})
	}
	f := a.Window.Figures()
	f.Span, f.Provisional, f.Switches = day, true, a.Switches
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

// source gives what is known of a machine in a span, with what people said laid
// over it (amended), but for live. The orders are all that it knows, whatever the
// span.
type source func(m *machine, span plant.Span) plant.Past

// live is the source of what is in memory; the twin's lock must be held.
func live(m *machine, span plant.Span) plant.Past {
	return plant.Past{Segments: m.segments(span), Pieces: m.track.past.Pieces, Orders: m.track.past.Orders}
}

// window sums the line over span from what is in memory.
func (l *line) window(span plant.Span) plant.Window { return l.windowFrom(l.amended(live), span) }

// window sums one machine over span from what is in memory.
func (m *machine) window(span plant.Span) plant.Window {
	return m.windowFrom(m.line.amended(live), span)
}

// windowFrom sums one machine over span.
func (m *machine) windowFrom(from source, span plant.Span) plant.Window {
	if span.Empty() {
		return plant.Window{Span: span}
	}
	past := from(m, span)
	made := m.line.attributed(from, m, within(past.Pieces, span))
	w := m.timeFrom(from, span, made)
	w.Flags |= m.line.orderFlags(from, []*machine{m}, span)
	return w
}

// timeFrom sums one machine's time over span, and what it made.
func (m *machine) timeFrom(from source, span plant.Span, made []plant.Pieces) (w plant.Window) {
	times := m.line.classed(m, from(m, span).Segments)
	for _, part := range m.line.ruledParts(span) {
		part.Ideal = m.ideal
		w.Add(Tally(part.Span, times, made, m.line.plannedShifts(from, part.Span, part.noOrder), part.TallyRules))
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
func (m *machine) segments(span plant.Span) []plant.Segment { return m.track.segments(span) }

func (k *track) segments(span plant.Span) []plant.Segment {
	ss := k.past.Segments
	i := sort.Search(len(ss), func(i int) bool { return ss[i].To > span.From })
	j := sort.Search(len(ss), func(j int) bool { return ss[j].From >= span.To })
	ss = ss[i:max(i, j):max(i, j)]
	for _, s := range k.cp.Held() {
		if !s.Overlap(span).Empty() {
			ss = append(ss, s)
		}
	}
	if open, ok := k.cp.Segment(); ok && open.From < span.To && open.To > span.From {
		ss = append(ss, open)
	}
	return ss
}

func (t *Twin) lineLocked(l *line, now plant.Time) plant.LineSnapshot {
	end := l.known(now, t.cfg.LateAfter)
	s := plant.LineSnapshot{
		ID: l.cfg.ID, Area: l.area, Name: l.cfg.Name, Bottleneck: l.cfg.Bottleneck, Bottlenecks: l.neck.ids(), Flow: l.flow(),
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
	s.Figures.Span, s.Figures.Switches = span, l.held(span)
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
	s.Restatings = l.restates
	s.Product = t.productByID(l.product(now))
	s.Order, s.OrderSource = l.orderNow(now)
	ideal, ok := l.pace(now)
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
	of := func(m *machine) stands {
		n := m.track.cp.Now()
		return stands{n.Class, n.Since, !late(m, now, lateAfter)}
	}
	neck := l.leading(of)
	if late(neck, now, lateAfter) {
		through := neck.track.cp.Through
		return plant.LineState{Class: plant.ClassUnknown, Since: through, Why: noData(through)}
	}
	n := neck.track.cp.Now()
	s := plant.LineState{Class: n.Class, Since: n.Since, Fault: n.Fault, Why: n.Why}
	s.Small = s.Class.Down() && now.Sub(s.Since) < l.smallStop(now)
	if cause := l.cause(neck.cfg.ID, n.Class, of); cause != nil {
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
