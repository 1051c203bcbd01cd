package gateway

import (
	"slices"
	"sort"

	"linetwin/plant"
)

// seqSet is a set of sequence numbers, as ascending ranges that neither touch
// nor overlap.
type seqSet []plant.Range

// find gives the index of the first range that ends at n or after it.
func (s seqSet) find(n uint64) int {
	return sort.Search(len(s), func(i int) bool { return s[i].Last >= n })
}

func (s seqSet) has(n uint64) bool {
	i := s.find(n)
	return i < len(s) && s[i].First <= n
}

// after gives the least number from n on that is not in the set.
func (s seqSet) after(n uint64) uint64 {
	if i := s.find(n); i < len(s) && s[i].First <= n {
		return s[i].Last + 1
	}
	return n
}

// covers tells whether all of r is in the set.
func (s seqSet) covers(r plant.Range) bool {
	i := s.find(r.Last)
	return i < len(s) && s[i].First <= r.First
}

// meets tells whether any of r is in the set.
func (s seqSet) meets(r plant.Range) bool {
	i := s.find(r.First)
	return i < len(s) && s[i].First <= r.Last
}

// add puts r into the set.
func (s *seqSet) add(r plant.Range) {
	if r.First > r.Last {
		return
	}
	// The ranges i to j-1 touch or overlap r.
	i := sort.Search(len(*s), func(i int) bool { return (*s)[i].Last+1 >= r.First })
	j := i
	for j < len(*s) && (*s)[j].First <= r.Last+1 {
		r.First, r.Last = min(r.First, (*s)[j].First), max(r.Last, (*s)[j].Last)
		j++
	}
	*s = slices.Replace(*s, i, j, r)
}

// missing calls yield with each part of r that is not in the set, ascending.
func (s seqSet) missing(r plant.Range, yield func(plant.Range)) {
	for i := s.find(r.First); i < len(s) && s[i].First <= r.Last; i++ {
		if r.First < s[i].First {
			yield(plant.Range{First: r.First, Last: s[i].First - 1})
		}
		if s[i].Last >= r.Last {
			return
		}
		r.First = s[i].Last + 1
	}
	yield(r)
}

// forget takes all numbers below n out of the set.
func (s *seqSet) forget(n uint64) {
	i := s.find(n)
	*s = slices.Delete(*s, 0, i)
	if len(*s) > 0 && (*s)[0].First < n {
		(*s)[0].First = n
	}
}
