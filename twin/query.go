package twin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"linetwin/plant"
)

// Splits are the ways in which Figures can be split: not at all, by hour, by
// shift, by local day, by local week (ISO 8601, from Monday), by product, by
// order.
var splits = []string{"", "hour", "shift", "day", "week", "product", "order"}

func (t *Twin) lineOf(id string) (*line, error) {
	if l := t.lineByID[id]; l != nil {
		return l, nil
	}
	return nil, fmt.Errorf("line %q: %w, there are %s", id, plant.ErrNotFound, strings.Join(t.lineIDs(), ", "))
}

// pasts gives what is known of the line's machines in span, from memory and,
// for what is older, from the ledger. It is the caller's own.
func (t *Twin) pasts(ctx context.Context, l *line, span plant.Span) (source, error) {
	for known := span; ; {
		from, err := t.toldPasts(ctx, l, known)
		if err != nil {
			return nil, err
		}
		wide := hull(known, l.reach(from, span))
		if wide == known {
			return l.amended(from), nil
		}
		known = wide
	}
}

// toldPasts gives what machines told in span, without what people say of it.
func (t *Twin) toldPasts(ctx context.Context, l *line, span plant.Span) (source, error) {
	horizon := t.now().Add(-memory)
	book := make(map[*machine]plant.Past, len(l.machines))
	if span.From < horizon {
		for _, m := range l.machines {
			past, err := t.opts.Ledger.Past(ctx, m.cfg.ID, plant.Span{From: span.From, To: min(span.To, horizon)})
			if err != nil {
				return nil, fmt.Errorf("past of %s: %w", m.cfg.ID, err)
			}
			book[m] = past
		}
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, m := range l.machines {
		past := book[m]
		recent := plant.Span{From: max(span.From, horizon), To: span.To}
		for _, s := range m.segments(recent) {
			if n := len(past.Segments); n == 0 || s.From > past.Segments[n-1].From {
				past.Segments = append(past.Segments, s)
			}
		}
		for _, p := range within(m.track.past.Pieces, recent) {
			if n := len(past.Pieces); n == 0 || p.Minute >= past.Pieces[n-1].Minute {
				past.Pieces = append(past.Pieces, p)
			}
		}
		for _, o := range ordersOf(m.track.past.Orders, recent) {
			if n := len(past.Orders); n == 0 || o.At > past.Orders[n-1].At {
				past.Orders = append(past.Orders, o)
			}
		}
		book[m] = past
	}
	return func(m *machine, span plant.Span) plant.Past {
		ss := book[m].Segments
		i := sort.Search(len(ss), func(i int) bool { return ss[i].To > span.From })
		j := sort.Search(len(ss), func(j int) bool { return ss[j].From >= span.To })
		return plant.Past{Segments: ss[i:max(i, j)], Pieces: book[m].Pieces, Orders: book[m].Orders}
	}, nil
}

func wholeMinutes(s plant.Span) plant.Span {
	to := s.To.Floor(time.Minute)
	if to < s.To {
		to = to.Add(time.Minute)
	}
	return plant.Span{From: s.From.Floor(time.Minute), To: to}
}

// part is one piece of a split.
type part struct {
	plant.Span
	shift, day     string
	week           string     // ISO 8601, 2026-W10
	start          plant.Time // of the whole shift instance
	hour           bool
	product, order string
}

func (l *line) parts(span plant.Span, by string, zone *time.Location) []part {
	var parts []part
	switch by {
	case "":
		parts = append(parts, part{Span: span})
	case "hour":
		for at := span.From.Floor(time.Hour); at < span.To; at = at.Add(time.Hour) {
			parts = append(parts, part{Span: plant.Span{From: at, To: at.Add(time.Hour)}.Overlap(span), hour: true})
		}
	case "shift":
		for _, s := range l.shifts(span) {
			parts = append(parts, part{Span: s.Overlap(span), shift: s.Name, day: s.Day, start: s.From})
		}
	case "day":
		for at := startOfDay(span.From, zone); at < span.To; {
			next := startOfDay(at.Add(36*time.Hour), zone)
			parts = append(parts, part{Span: plant.Span{From: at, To: next}.Overlap(span), day: at.Std().In(zone).Format(time.DateOnly)})
			at = next
		}
	case "week":
		for at := startOfWeek(span.From, zone); at < span.To; {
			next := startOfWeek(at.Add(7*24*time.Hour+12*time.Hour), zone)
			year, week := at.Std().In(zone).ISOWeek()
			parts = append(parts, part{Span: plant.Span{From: at, To: next}.Overlap(span), week: fmt.Sprintf("%d-W%02d", year, week)})
			at = next
		}
	}
	return parts
}

// Timeline gives what each machine of a line did in span, with the calendar
// laid over it. Time after what is known, and gaps, are unknown.
func (t *Twin) Timeline(ctx context.Context, id string, span plant.Span) (plant.Timeline, error) {
	l, err := t.lineOf(id)
	if err != nil {
		return plant.Timeline{}, err
	}
	from, err := t.pasts(ctx, l, span)
	if err != nil {
		return plant.Timeline{}, err
	}
	tl := plant.Timeline{Span: span, Shifts: l.shifts(span), Machines: []plant.MachineTimeline{}}
	if tl.Shifts == nil {
		tl.Shifts = []plant.ShiftInstance{}
	}
	for _, m := range l.machines {
		row := plant.MachineTimeline{Machine: m.cfg.ID, Name: m.cfg.Name, Segments: []plant.Segment{}}
		for _, s := range l.classed(m, from(m, span).Segments) {
			s.Small = l.small(&s)
			row.Segments = append(row.Segments, layCalendar(s, tl.Shifts)...)
		}
		tl.Machines = append(tl.Machines, row)
	}
	return tl, nil
}

// layCalendar lays the calendar over a segment: what lies outside shifts, or in a
// break, is not scheduled, unless the machine ran. oee.md 3.4.
func layCalendar(s plant.Segment, shifts []plant.ShiftInstance) []plant.Segment {
	if s.Class == plant.ClassRun {
		return []plant.Segment{s}
	}
	var parts []plant.Segment
	put := func(to plant.Time, class plant.Class) {
		if to = min(to, s.To); to <= s.From {
			return
		}
		p := s
		p.To, p.Open = to, s.Open && to == s.To
		if class != s.Class {
			p.Class, p.State, p.Fault, p.Small, p.Pieces = class, "", "", false, 0
		}
		parts = append(parts, p)
		s.From = to
	}
	for i := range shifts {
		put(shifts[i].From, plant.ClassNotScheduled)
		for _, b := range shifts[i].Breaks {
			put(b.From, s.Class)
			put(b.To, plant.ClassNotScheduled)
		}
		put(shifts[i].To, s.Class)
	}
	put(s.To, plant.ClassNotScheduled)
	return parts
}

// Stops gives the stops of a line's machines that overlap span, the latest
// first. Each is whole, however far it reaches beyond span.
func (t *Twin) Stops(ctx context.Context, id string, span plant.Span) ([]plant.Stop, error) {
	l, err := t.lineOf(id)
	if err != nil {
		return nil, err
	}
	from, err := t.pasts(ctx, l, span)
	if err != nil {
		return nil, err
	}
	stops := []plant.Stop{}
	for _, m := range l.machines {
		events := map[*plant.Whole]bool{}
		for _, s := range l.classed(m, from(m, span).Segments) {
			if s.Class == plant.ClassRun || s.Class == plant.ClassUnknown || s.Class == plant.ClassNotScheduled {
				continue
			}
			if s.Whole != nil {
				if events[s.Whole] {
					continue // another of the stops that were joined
				}
				events[s.Whole] = true
			}
			stops = append(stops, l.stop(from, m, &s))
		}
	}
	slices.SortFunc(stops, func(a, b plant.Stop) int {
		return cmp.Or(cmp.Compare(b.From, a.From), cmp.Compare(a.Machine, b.Machine))
	})
	return stops, nil
}

// Signals gives a machine's signals with their last readings, by name.
func (t *Twin) Signals(id string) ([]plant.SignalNow, error) {
	now := t.now()
	t.mu.RLock()
	defer t.mu.RUnlock()
	known, ok := t.signals[id]
	if _, configured := t.machines[id]; !ok && !configured {
		return nil, fmt.Errorf("machine %q: %w", id, plant.ErrNotFound)
	}
	all := []plant.SignalNow{}
	skipped := t.skippedLocked(id)
	for _, n := range known {
		s := t.signalLocked(id, n, now)
		s.Skipped = skipped
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b plant.SignalNow) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// skippedLocked gives how many looks at a machine's device were left out, as
// the gateways tell.
func (t *Twin) skippedLocked(id string) (skipped uint64) {
	for _, g := range t.gateways {
		for i := range g.live.Devices {
			if d := &g.live.Devices[i]; d.Machine == id {
				skipped += d.Skipped
			}
		}
	}
	return skipped
}

func (t *Twin) signalLocked(id string, n *signalNow, now plant.Time) plant.SignalNow {
	s := plant.SignalNow{Signal: n.signal, Machine: id, Value: n.last.Value, Quality: n.last.Quality, Reason: n.last.Reason, Time: n.last.Time, Through: n.last.Time}
	m := t.machines[id]
	if m != nil {
		s.Role = m.roles[n.signal.Name]
	}
	if m != nil && !n.gone {
		s.Through = max(s.Time, m.track.head)
	}
	switch {
	case n.last.Time == 0:
		s.State = "never"
	case n.gone || m != nil && now.Sub(s.Through) > t.cfg.LateAfter:
		s.State = "stale"
	default:
		s.State = n.last.Quality.String()
	}
	if stands := t.standings[id]; stands != nil && stands.stale != 0 && n.last.Time != 0 {
		s.StaleSince = stands.stale
		if s.State != plant.Bad.String() { // that it is bad says more
			s.State = "stale"
		}
	}
	return s
}

// Readings gives a signal's history in at most points buckets.
func (t *Twin) Readings(ctx context.Context, machine, signal string, span plant.Span, points int) ([]plant.Bucket, error) {
	t.mu.RLock()
	_, ok := t.signals[machine][signal]
	t.mu.RUnlock()
	if !ok {
		if _, err := t.Signals(machine); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("signal %q of machine %q: %w", signal, machine, plant.ErrNotFound)
	}
	return t.opts.History.Chart(ctx, machine, signal, span, points)
}
