package twin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"linetwin/plant"
)

// reasonDepth is how deep the tree of reasons may be.
const reasonDepth = 3

// reasons checks the tree and gives its leaves.
func (k *check) reasons(key string, nodes []plant.Reason, depth int) {
	for i := range nodes {
		at, r := fmt.Sprintf("%s[%d]", key, i), &nodes[i]
		k.id(at+".id", r.ID)
		r.Name = r.Name.Or(r.ID)
		if k.reasonIDs[r.ID] {
			k.add(at+".id", r.ID, "each reason once")
		}
		k.reasonIDs[r.ID] = true
		if len(r.Children) > 0 {
			if depth == reasonDepth {
				k.add(at+".children", fmt.Sprintf("level %d", depth+1), fmt.Sprintf("at most %d levels", reasonDepth))
				continue
			}
			if r.Failure != nil {
				k.add(at+".failure", fmt.Sprint(*r.Failure), "nothing here, but at each of its children")
			}
			k.reasons(at+".children", r.Children, depth+1)
			continue
		}
		switch r.Class {
		case plant.ClassUnknown:
			r.Class = plant.ClassStop
		case plant.ClassStop, plant.ClassPlannedStop, plant.ClassChangeover:
		default:
			k.add(at+".class", r.Class.String(), "stop, planned_stop or changeover")
		}
		if r.Failure != nil && *r.Failure && r.Class != plant.ClassStop {
			k.add(at+".failure", "true", "false for a reason of class "+r.Class.String())
		}
		k.leaves[r.ID] = r.Class
	}
}

// faultMap checks which reasons a machine's faults are.
func (k *check) faultMap(key string, m *MachineConfig) {
	for _, fault := range slices.Sorted(maps.Keys(m.Faults)) {
		if _, ok := k.leaves[m.Faults[fault]]; !ok {
			k.add(key+".faults."+fault, m.Faults[fault], "a reason without children: "+list(maps.Keys(k.leaves)))
		}
	}
}

// leaves gives the classes of the reasons that a stop may have.
func leaves(nodes []plant.Reason, into map[string]plant.Class) map[string]plant.Class {
	for i := range nodes {
		if r := &nodes[i]; len(r.Children) > 0 {
			leaves(r.Children, into)
		} else {
			into[r.ID] = r.Class
		}
	}
	return into
}

// noFailures gives the reasons for which a stop is no failure of the machine.
func noFailures(nodes []plant.Reason, into map[string]bool) map[string]bool {
	for i := range nodes {
		r := &nodes[i]
		noFailures(r.Children, into)
		if r.Failure != nil && !*r.Failure {
			into[r.ID] = true
		}
	}
	return into
}

// Reasons gives the tree of reasons.
func (t *Twin) Reasons() []plant.Reason { return t.cfg.Reasons }

// saidOf is what somebody said of the stop of a machine that lasted at a time.
type saidOf struct {
	at plant.Time
	id uint64
	plant.StopSaid
}

// ofStop gives what was said of a stop: the last that was said of any instant
// of it, so that a stop whose start late data moved keeps its reason. The ID is
// that of the entry; 0: nothing was said.
func (b *book) ofStop(machine string, stop plant.Span) (said plant.StopSaid, id uint64) {
	for _, s := range b.ofSpan(machine, stop) {
		if s.id > id {
			id, said = s.id, s.StopSaid
		}
	}
	return said, id
}

// ofSpan gives all that was said of instants of a span, and of its start.
func (b *book) ofSpan(machine string, span plant.Span) []saidOf {
	all := b.stops[machine]
	i, _ := slices.BinarySearchFunc(all, span.From, func(s saidOf, at plant.Time) int { return cmp.Compare(s.at, at) })
	j, _ := slices.BinarySearchFunc(all, max(span.To, span.From+1), func(s saidOf, at plant.Time) int { return cmp.Compare(s.at, at) })
	return all[i:j]
}

// told gives a stop's reason and comment: what somebody said, else what the
// machine's fault means, else nothing, which is "unassigned". The ID is that of
// the entry that said it, or 0.
func (l *line) told(m *machine, s *plant.Segment) (said plant.StopSaid, id uint64) {
	fault := s.Fault
	switch w := s.Whole; {
	case w != nil && w.Merge != 0:
		said, id, fault = w.Said, w.Entry, w.Fault
	case w != nil && w.Split != 0:
		said, id = w.Said, w.Entry
	default:
		said, id = l.book.Load().ofStop(m.cfg.ID, s.Span)
	}
	if said.Reason == "" && fault != "" {
		said.Reason = m.cfg.Faults[fault]
	}
	return said, id
}

// reason gives a stop's reason.
func (l *line) reason(m *machine, s *plant.Segment) string {
	said, _ := l.told(m, s)
	return said.Reason
}

// small tells whether a stop is a small one.
func (l *line) small(s *plant.Segment) bool {
	length, began := s.Judged()
	return s.Class.Down() && length < l.smallStop(began)
}

// classed gives a machine's segments with each stop that has a reason in the
// class of its reason. Waiting for another machine stays what it is.
func (l *line) classed(m *machine, segments []plant.Segment) []plant.Segment {
	if len(l.reasons) == 0 || len(m.cfg.Faults) == 0 && len(l.book.Load().stops[m.cfg.ID]) == 0 {
		return segments
	}
	var out []plant.Segment
	for i := range segments {
		s := &segments[i]
		if s.Class != plant.ClassStop {
			continue
		}
		class, ok := l.reasons[l.reason(m, s)]
		if !ok || class == s.Class {
			continue
		}
		if out == nil {
			out = slices.Clone(segments)
		}
		out[i].Class = class
	}
	if out == nil {
		return segments
	}
	return out
}

// Losses gives what the stops of a line cost it in span, the greatest first: its
// bottleneck's stops by class, the machine that caused them, and the reason.
func (t *Twin) Losses(ctx context.Context, id string, span plant.Span) ([]plant.Loss, error) {
	l, err := t.lineOf(id)
	if err != nil {
		return nil, err
	}
	span = wholeMinutes(span)
	from, err := t.pasts(ctx, l, span)
	if err != nil {
		return nil, err
	}
	t.mu.RLock()
	span.To = min(span.To, l.known(t.now(), t.cfg.LateAfter))
	t.mu.RUnlock()
	if span.Empty() {
		return []plant.Loss{}, nil
	}
	sums := map[plant.Loss]*plant.Loss{}
	events := map[*plant.Whole]bool{} // that were counted: joined stops are one
	var all float64
	for _, m := range l.neck {
		times := l.classed(m, from(m, span).Segments)
		for i := range times {
			s := &times[i]
			if !s.Class.Down() && s.Class != plant.ClassChangeover && s.Class != plant.ClassPlannedStop {
				continue
			}
			cost := l.lost(from, s, span)
			if cost == 0 {
				continue
			}
			k := l.loss(from, m, s)
			if sums[k] == nil {
				sums[k] = &plant.Loss{}
				*sums[k] = k
			}
			if s.Whole == nil || !events[s.Whole] {
				sums[k].Stops++
			}
			if s.Whole != nil {
				events[s.Whole] = true
			}
			sums[k].Seconds += cost
			all += cost
		}
	}
	losses := []plant.Loss{}
	for _, v := range sums {
		v.Share = v.Seconds / all
		losses = append(losses, *v)
	}
	slices.SortFunc(losses, func(a, b plant.Loss) int {
		return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(a.Class, b.Class), strings.Compare(a.Machine, b.Machine), strings.Compare(a.Reason+a.Fault, b.Reason+b.Fault))
	})
	return losses, nil
}

// lost gives how many seconds of planned time in span a stop took.
func (l *line) lost(from source, s *plant.Segment, span plant.Span) float64 {
	var w plant.Window
	for _, part := range l.ruledParts(s.Overlap(span)) {
		w.Add(Tally(part.Span, []plant.Segment{*s}, nil, l.plannedShifts(from, part.Span, part.noOrder), part.TallyRules))
	}
	return (w.UnplannedStop + w.PlannedStop + w.SmallStop).Seconds()
}

// loss tells which kind of loss a stop of a machine of the bottleneck is.
func (l *line) loss(from source, neck *machine, s *plant.Segment) plant.Loss {
	k := plant.Loss{Class: s.Class, Small: l.small(s), Machine: neck.cfg.ID}
	m, stop := neck, s
	if c, at := l.causeAt(from, neck, s); c != nil {
		m, stop = c, at
		k.Machine = c.cfg.ID
	}
	if k.Reason = l.reason(m, stop); k.Reason == "" {
		k.Fault = stop.Fault
	}
	return k
}

// causeAt gives the machine that stood by itself when a segment began, and its
// segment at that time.
func (l *line) causeAt(from source, m *machine, s *plant.Segment) (*machine, *plant.Segment) {
	at := plant.Span{From: s.From, To: s.From + 1}
	last := func(o *machine) *plant.Segment {
		ss := from(o, at).Segments
		if len(ss) == 0 {
			return nil
		}
		return &ss[len(ss)-1]
	}
	c := l.cause(m.cfg.ID, s.Class, func(o *machine) stands {
		if one := last(o); one != nil {
			return stands{one.Class, one.From, true}
		}
		return stands{}
	})
	if c == nil || c == m {
		return nil, nil
	}
	return c, last(c)
}
