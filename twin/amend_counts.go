package twin

import (
	"cmp"
	"math/bits"
	"slices"
	"sort"
	"time"

	"linetwin/plant"
)

// toldBack is how long before a corrected minute a machine may have told which
// product and order it works on.
const toldBack = 24 * time.Hour

// recounted gives the span, of whole minutes, whose pieces must be known to tell
// those of span; it is span where nobody corrected any.
func (a *amendment) recounted(span plant.Span) plant.Span {
	wide, any := span, false
	for again := true; again; {
		again = false
		for i := range a.counts {
			c := &a.counts[i]
			if c.Overlap(wide).Empty() {
				continue
			}
			any = true
			if h := hull(wide, c.Span); h != wide {
				wide, again = h, true
			}
		}
	}
	if !any {
		return span
	}
	wide = wholeMinutes(wide)
	return plant.Span{From: wide.From.Add(-toldBack), To: wide.To}
}

// recounting is the pieces of one machine while corrections are laid over them.
type recounting struct {
	l       *line
	m       *machine
	told    []plant.Pieces // as the machine told, in order
	minutes map[plant.Time][]plant.Pieces
}

// recount gives pieces, which are those of span, with what somebody said of
// counts laid over them, in the order in which it was said.
func (l *line) recount(m *machine, a *amendment, pieces []plant.Pieces, span plant.Span) []plant.Pieces {
	r := recounting{l: l, m: m, told: within(pieces, span), minutes: map[plant.Time][]plant.Pieces{}}
	for i := range a.counts {
		if c := &a.counts[i]; !c.Overlap(span).Empty() {
			r.take(c)
		}
	}
	out := make([]plant.Pieces, 0, len(r.told)+len(r.minutes))
	for _, p := range r.told {
		if r.minutes[p.Minute] == nil {
			out = append(out, p)
		}
	}
	for _, ps := range r.minutes {
		out = append(out, ps...)
	}
	// Those of one minute stand in order already.
	slices.SortStableFunc(out, func(a, b plant.Pieces) int { return cmp.Compare(a.Minute, b.Minute) })
	return out
}

// at gives the pieces of a minute, to be changed.
func (r *recounting) at(minute plant.Time) []plant.Pieces {
	ps, ok := r.minutes[minute]
	if !ok {
		i := sort.Search(len(r.told), func(i int) bool { return r.told[i].Minute >= minute })
		j := sort.Search(len(r.told), func(j int) bool { return r.told[j].Minute > minute })
		ps = slices.Clone(r.told[i:j])
		if len(ps) == 0 {
			ps = []plant.Pieces{r.like(minute)}
		}
		r.minutes[minute] = ps
	}
	return ps
}

// like gives no pieces of what the machine worked on in a minute: what it told
// before.
func (r *recounting) like(minute plant.Time) plant.Pieces {
	p := plant.Pieces{Machine: r.m.cfg.ID, Minute: minute}
	i := sort.Search(len(r.told), func(i int) bool { return r.told[i].Minute > minute }) - 1
	if i < 0 || r.told[i].Minute < minute.Add(-toldBack) {
		p.Product, p.Flags = r.l.cfg.Product, plant.FlagNoOrder|plant.FlagProductAssumed
		return p
	}
	p.Product, p.Order = r.told[i].Product, r.told[i].Order
	p.Flags = r.told[i].Flags & (plant.FlagNoOrder | plant.FlagProductAssumed)
	return p
}

// take lays one correction over what is there.
func (r *recounting) take(c *recount) {
	var good, reject, both []int64
	for at := c.From; at < c.To; at = at.Add(time.Minute) {
		var g, b int64
		for _, p := range r.at(at) {
			g, b = g+p.Good, b+p.Reject
		}
		good, reject, both = append(good, max(g, 0)), append(reject, max(b, 0)), append(both, max(g, 0)+max(b, 0))
	}
	if c.replace {
		for at := c.From; at < c.To; at = at.Add(time.Minute) {
			for i := range r.at(at) {
				p := &r.minutes[at][i]
				p.Good, p.Reject, p.Startup = 0, 0, 0
				p.Flags |= plant.FlagCorrected
			}
		}
	}
	r.spread(c, c.good, good, both, func(p *plant.Pieces) *int64 { return &p.Good })
	r.spread(c, c.reject, reject, both, func(p *plant.Pieces) *int64 { return &p.Reject })
}

// spread adds n pieces to the minutes of a correction: as pieces were counted in
// them, those that are taken away as theirs were; where none were, evenly, in
// planned time if there is any.
func (r *recounting) spread(c *recount, n int64, own, all []int64, field func(*plant.Pieces) *int64) {
	weights := all
	if n < 0 {
		weights = own
	}
	if sum(weights) == 0 {
		weights = r.plannedMinutes(c.Span)
	}
	whole, before := sum(weights), int64(0)
	at, so := c.From, int64(0)
	for _, w := range weights {
		so += w
		share := portion(n, so, whole)
		if d := share - before; d != 0 {
			add(r.at(at), d, field)
		}
		before, at = share, at.Add(time.Minute)
	}
}

func sum(ns []int64) (all int64) {
	for _, n := range ns {
		all += n
	}
	return all
}

// portion gives n x part / whole, towards zero; 0 <= part <= whole.
func portion(n, part, whole int64) int64 {
	size := n
	if n < 0 {
		size = -n
	}
	high, low := bits.Mul64(uint64(size), uint64(part))
	q, _ := bits.Div64(high, low, uint64(whole))
	if n < 0 {
		return -int64(q)
	}
	return int64(q)
}

// plannedMinutes gives 1 for each minute in which some time is planned; where
// none is, for all.
func (r *recounting) plannedMinutes(span plant.Span) []int64 {
	shifts := r.l.shifts(span)
	planned := make([]int64, 0, span.Length()/time.Minute)
	for at := span.From; at < span.To; at = at.Add(time.Minute) {
		for len(shifts) > 0 && shifts[0].To <= at {
			shifts = shifts[1:]
		}
		n := int64(0)
		if scheduled(at, shifts) {
			n = 1
		}
		planned = append(planned, n)
	}
	if sum(planned) == 0 {
		for i := range planned {
			planned[i] = 1
		}
	}
	return planned
}

// add adds n to the pieces of one minute: to those of what was worked on last;
// what is taken away is taken from all of them, and what there is too little of
// is flagged, not dropped.
func add(ps []plant.Pieces, n int64, field func(*plant.Pieces) *int64) {
	for i := len(ps) - 1; i >= 0 && n < 0; i-- {
		v := field(&ps[i])
		if take := min(*v, -n); take > 0 {
			*v, n = *v-take, n+take
			ps[i].Flags |= plant.FlagCorrected
			ps[i].Startup = min(ps[i].Startup, ps[i].Reject)
		}
	}
	if n == 0 {
		return
	}
	last := &ps[len(ps)-1]
	*field(last) += n
	last.Flags |= plant.FlagCorrected
	if n < 0 {
		last.Flags |= plant.FlagNegative
		last.Startup = max(min(last.Startup, last.Reject), 0)
	}
}
