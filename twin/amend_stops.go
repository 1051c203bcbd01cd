package twin

import (
	"cmp"
	"maps"
	"slices"
	"sort"

	"linetwin/plant"
)

// corrected gives segments with what somebody said of a machine's states laid
// over them. A stop that goes on in a corrected one is one stop. What is left
// of an unknown segment keeps its share of the pieces that explain it.
func (m *machine) corrected(segments []plant.Segment, said []correction) []plant.Segment {
	var painted plant.Spans
	var out []plant.Segment
	for i := range said {
		c := &said[i]
		painted.Add(c.Span)
		s := plant.Segment{Machine: m.cfg.ID, Span: c.Span, State: c.state, Corrected: c.id}
		if c.class != nil {
			s.Class = *c.class
		} else if meaning, ok := m.meaning(c.state); ok {
			s.Class = meaning.Class
		}
		out = append(out, s)
	}
	for i := range segments {
		s := &segments[i]
		for _, h := range painted.Holes(s.Span) {
			part := *s
			part.Span, part.Open = h, s.Open && h.To == s.To
			if s.Pieces > 0 && h != s.Span {
				part.Whole = &plant.Whole{Span: s.Span}
			}
			out = append(out, part)
		}
	}
	slices.SortFunc(out, func(a, b plant.Segment) int { return cmp.Compare(a.From, b.From) })
	return slices.Clip(grown(out))
}

// grown makes one segment of a stop and a corrected one that touch.
func grown(segments []plant.Segment) []plant.Segment {
	out := segments[:0]
	for _, s := range segments {
		n := len(out)
		if n == 0 || out[n-1].To != s.From || out[n-1].Class != s.Class || !idles(s.Class) || out[n-1].Corrected == 0 && s.Corrected == 0 {
			out = append(out, s)
			continue
		}
		o := &out[n-1]
		o.To, o.Open = s.To, s.Open
		o.Fault, o.State = cmp.Or(o.Fault, s.Fault), cmp.Or(o.State, s.State)
		o.Corrected = max(o.Corrected, s.Corrected)
	}
	return out
}

// meaning gives what a state means for the machine: as its own map of states
// says, else as PackML does.
func (m *machine) meaning(state plant.State) (StateMeaning, bool) {
	states := m.states
	if meaning, ok := states[string(state)]; ok {
		return meaning, true
	}
	for _, value := range slices.Sorted(maps.Keys(states)) {
		if states[value].State == state {
			return states[value], true
		}
	}
	meaning, ok := PackML()[string(state)]
	return meaning, ok
}

// divided gives segments with the stops cut where somebody divided them. Each
// part is an event, but judged by the length of the whole stop: why a machine
// stood does not change how long it did.
func (b *book) divided(machine string, cuts []cut, segments []plant.Segment) []plant.Segment {
	if len(cuts) == 0 {
		return segments
	}
	var out []plant.Segment
	for _, s := range segments {
		i := sort.Search(len(cuts), func(i int) bool { return cuts[i].at > s.From })
		j := sort.Search(len(cuts), func(j int) bool { return cuts[j].at >= s.To })
		if i >= j || !idles(s.Class) {
			out = append(out, s)
			continue
		}
		own := cuts[i:j]
		at := s.From
		put := func(to plant.Time, id uint64) {
			part := s
			part.Span, part.Open = plant.Span{From: at, To: to}, s.Open && to == s.To
			w := &plant.Whole{Span: part.Span, Stop: s.Span, Stood: part.Length(), Judged: s.Length(), Open: s.Open, Split: id}
			w.Said, w.Entry = b.ofPart(machine, part.Span, s.Span, own)
			part.Whole = w
			out = append(out, part)
			at = to
		}
		for n, c := range own {
			if c.at > at {
				put(c.at, c.id)
			}
			if n == len(own)-1 {
				put(s.To, c.id)
			}
		}
	}
	return out
}

// ofPart gives what was said last of a part of a stop: of the part itself, or of
// what it was a part of before it was divided further.
func (b *book) ofPart(machine string, part, stop plant.Span, cuts []cut) (said plant.StopSaid, id uint64) {
	for _, s := range b.ofSpan(machine, stop) {
		was := stop
		for _, c := range cuts {
			switch {
			case c.id > s.id: // was not divided there yet
			case c.at <= part.From:
				was.From = max(was.From, c.at)
			default:
				was.To = min(was.To, c.at)
			}
		}
		if s.id > id && was.Has(s.at) {
			said, id = s.StopSaid, s.id
		}
	}
	return said, id
}

// joined gives segments with the stops that somebody joined marked as parts of
// one event. It is judged by what its stops lasted together.
func (b *book) joined(machine string, joins []join, segments []plant.Segment) []plant.Segment {
	type group struct {
		first, last int
		id          uint64
	}
	var groups []group
	for _, j := range joins {
		first := sort.Search(len(segments), func(i int) bool { return segments[i].To > j.From })
		last := sort.Search(len(segments), func(i int) bool { return segments[i].From > j.To }) - 1
		if last <= first {
			continue
		}
		if n := len(groups); n > 0 && first <= groups[n-1].last && segments[first].Class.Down() {
			groups[n-1].last, groups[n-1].id = last, max(groups[n-1].id, j.id)
			continue
		}
		groups = append(groups, group{first, last, j.id})
	}
	if len(groups) == 0 {
		return segments
	}
	segments = slices.Clone(segments)
	for _, g := range groups {
		b.event(machine, segments[g.first:g.last+1], g.id)
	}
	return segments
}

// event makes one event of all stops in segments.
func (b *book) event(machine string, segments []plant.Segment, id uint64) {
	w := &plant.Whole{Merge: id}
	var stops []*plant.Segment
	judged := plant.Span{}
	for i := range segments {
		s := &segments[i]
		if !s.Class.Down() {
			continue
		}
		stop := s.Span
		if s.Whole != nil {
			stop = s.Whole.Stop
		}
		if stop != judged {
			w.Judged += stop.Length()
			judged = stop
		}
		if len(stops) == 0 {
			w.Span, w.Stop = s.Span, stop
		}
		w.To, w.Stood, w.Open = s.To, w.Stood+s.Length(), s.Unended()
		w.Fault = cmp.Or(w.Fault, s.Fault)
		stops = append(stops, s)
	}
	if len(stops) < 2 {
		return
	}
	for _, s := range b.ofSpan(machine, w.Span) {
		if s.id > w.Entry {
			w.Said, w.Entry = s.StopSaid, s.id
		}
	}
	for _, s := range stops {
		s.Whole = w
	}
}
