package plant

import "slices"

// Spans is a set of instants as spans in order that neither touch nor overlap.
type Spans []Span

// Add puts s into the set.
func (ss *Spans) Add(s Span) {
	if s.Empty() {
		return
	}
	set := *ss
	if n := len(set); n > 0 && set[n-1].From <= s.From && s.From <= set[n-1].To {
		set[n-1].To = max(set[n-1].To, s.To) // the common case: it goes on at the end
		return
	}
	i, _ := slices.BinarySearchFunc(set, s.From, func(e Span, t Time) int {
		if e.To < t {
			return -1
		}
		return 1
	})
	j := i
	for j < len(set) && set[j].From <= s.To {
		s.From, s.To = min(s.From, set[j].From), max(s.To, set[j].To)
		j++
	}
	*ss = slices.Replace(set, i, j, s)
}

// Covers tells whether all of s is in the set.
func (ss Spans) Covers(s Span) bool {
	if s.Empty() {
		return true
	}
	i, _ := slices.BinarySearchFunc(ss, s.From, func(e Span, t Time) int {
		if e.To <= t {
			return -1
		}
		return 1
	})
	return i < len(ss) && ss[i].From <= s.From && s.To <= ss[i].To
}

// Holes gives the parts of s that are not in the set, in order.
func (ss Spans) Holes(s Span) []Span {
	var holes []Span
	at := s.From
	for _, e := range ss {
		if e.To <= at {
			continue
		}
		if e.From >= s.To {
			break
		}
		if e.From > at {
			holes = append(holes, Span{at, e.From})
		}
		at = e.To
	}
	if at < s.To {
		holes = append(holes, Span{at, s.To})
	}
	return holes
}

// Prune forgets everything before t.
func (ss *Spans) Prune(t Time) {
	set := *ss
	i := 0
	for i < len(set) && set[i].To <= t {
		i++
	}
	set = set[i:]
	if len(set) > 0 && set[0].From < t {
		set[0].From = t
	}
	*ss = set
}
