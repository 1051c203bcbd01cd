package twin

import (
	"cmp"
	"slices"
	"time"

	"linetwin/plant"
)

// book is what people and other systems have said, ready to be looked up. It
// does not change: a new entry makes a new book, so that whoever computes with
// one is not disturbed.
type book struct {
	entries []plant.Entry // all that were said, by ID
	undone  map[uint64]uint64

	cycles    map[cycleKey][]since[cycle]
	calendars map[string][]since[*plant.Schedule]
	switches  map[string][]since[plant.Switches] // by line
	orders    map[string][]plant.Order           // by line, by start
	orderByID map[string]plant.Order
	stops     map[string][]saidOf      // by machine, by time
	amends    map[string]*amendment    // by machine
	signed    map[instant]*plant.Entry // by line and start of the shift
	products  map[string]plant.Name    // that were said
}

type cycleKey struct{ product, machine string }

// cycle is an ideal cycle; set is false where one was taken back.
type cycle struct {
	time time.Duration
	set  bool
}

// since is what holds from a time on, until the next one.
type since[T any] struct {
	from  plant.Time
	value T
}

// newBook makes the book of entries, in the order in which they were said, each
// of which Check has found right.
func newBook(entries []plant.Entry) *book {
	b := &book{
		entries: entries, undone: map[uint64]uint64{},
		cycles: map[cycleKey][]since[cycle]{}, calendars: map[string][]since[*plant.Schedule]{},
		switches: map[string][]since[plant.Switches]{}, orders: map[string][]plant.Order{}, stops: map[string][]saidOf{},
		amends: map[string]*amendment{}, signed: map[instant]*plant.Entry{}, products: map[string]plant.Name{},
	}
	for i := range entries {
		if u := entries[i].Undoes; u != 0 {
			b.undone[u] = entries[i].ID
		}
	}
	orders := map[string]plant.Order{}
	last := map[instant]*plant.Entry{}
	for i := range entries {
		e := &entries[i]
		if e.Undoes != 0 || b.undone[e.ID] != 0 {
			continue
		}
		switch e.Kind {
		case plant.EntryIdealCycle:
			b.cycle(e)
		case plant.EntryCalendar:
			b.calendar(e)
		case plant.EntrySwitches:
			s, _ := plant.Said[plant.Switches](e)
			b.switches[e.Key] = put(b.switches[e.Key], e.From, s)
		case plant.EntryOrder:
			o, _ := plant.Said[plant.Order](e)
			if delete(orders, e.Key); len(e.Value) > 0 {
				orders[e.Key] = o
			}
		case plant.EntryProduct:
			p, _ := plant.Said[plant.ProductSaid](e)
			if delete(b.products, e.Key); len(e.Value) > 0 {
				b.products[e.Key] = p.Name.Or(e.Key)
			}
		case plant.EntryStop:
			s, _ := plant.Said[plant.StopSaid](e)
			if machine, at, ok := plant.CutAtKey(e.Key); ok {
				b.stops[machine] = append(b.stops[machine], saidOf{at, e.ID, s})
			}
		case plant.EntrySplit, plant.EntryMerge, plant.EntryState, plant.EntryCount:
			if id, at, ok := plant.CutAtKey(e.Key); ok {
				last[instant{e.Kind, id, at}] = e
			}
		case plant.EntrySignOff:
			if id, at, ok := plant.CutAtKey(e.Key); ok {
				if delete(b.signed, instant{e.Kind, id, at}); len(e.Value) > 0 {
					b.signed[instant{e.Kind, id, at}] = e
				}
			}
		}
	}
	b.amend(last)
	b.orderByID = orders
	for _, o := range orders {
		b.orders[o.Line] = append(b.orders[o.Line], o)
	}
	for _, all := range b.stops {
		slices.SortFunc(all, func(a, b saidOf) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) })
	}
	for _, all := range b.orders {
		slices.SortFunc(all, func(a, b plant.Order) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.ID, b.ID)) })
	}
	return b
}

// put takes what holds from a time on: what was said before to hold from the
// same time or a later one until then stays, for it was said of other times;
// of the same time the newer holds.
func put[T any](all []since[T], from plant.Time, value T) []since[T] {
	i, same := slices.BinarySearchFunc(all, from, func(s since[T], at plant.Time) int { return cmp.Compare(s.from, at) })
	if same {
		all[i].value = value
		return all
	}
	return slices.Insert(all, i, since[T]{from, value})
}

// at gives what holds at a time; false before the first.
func at[T any](all []since[T], t plant.Time) (value T, ok bool) {
	i, same := slices.BinarySearchFunc(all, t, func(s since[T], at plant.Time) int { return cmp.Compare(s.from, at) })
	if same {
		return all[i].value, true
	}
	if i == 0 {
		return value, false
	}
	return all[i-1].value, true
}

// nextFrom gives from when on something else holds than from a time on; 0: never.
func nextFrom[T any](all []since[T], from plant.Time) plant.Time {
	for _, s := range all {
		if s.from > from {
			return s.from
		}
	}
	return 0
}

func (b *book) cycle(e *plant.Entry) {
	product, machine, ok := cutKey(e.Key)
	if !ok {
		return
	}
	c, _ := plant.Said[plant.CycleSaid](e)
	k := cycleKey{product, machine}
	b.cycles[k] = put(b.cycles[k], e.From, cycle{time.Duration(c.Cycle), len(e.Value) > 0})
}

func (b *book) calendar(e *plant.Entry) {
	var s *plant.Schedule // nil: as the settings say again
	if len(e.Value) > 0 {
		c, _ := plant.Said[plant.Calendar](e)
		var err error
		if s, err = c.Compile(); err != nil {
			return
		}
	}
	b.calendars[e.Key] = put(b.calendars[e.Key], e.From, s)
}

// ideal gives the ideal cycle of a product on a machine at a time; said is
// false where nobody said anything, so that the settings hold.
func (b *book) ideal(product, machine string, t plant.Time) (d time.Duration, ok, said bool) {
	c, said := at(b.cycles[cycleKey{product, machine}], t)
	return c.time, c.set, said
}

// longestShift is 24 h on the wall clock, also in a night in which clocks change.
const longestShift = 27 * time.Hour

// shifts gives the shift instances of a calendar that overlap span. A shift is
// of the version that held when it started; it ends where the next one starts.
func (b *book) shifts(name string, own *plant.Schedule, span plant.Span) []plant.ShiftInstance {
	versions := b.calendars[name]
	if len(versions) == 0 {
		return own.Between(span)
	}
	var all []plant.ShiftInstance
	// A shift that reaches into span may have been ended before it.
	wide := plant.Span{From: span.From.Add(-longestShift), To: span.To}
	for i := -1; i < len(versions); i++ {
		schedule, starts := own, plant.Span{From: -1 << 62, To: 1 << 62}
		if i >= 0 {
			starts.From = versions[i].from
			if v := versions[i].value; v != nil {
				schedule = v
			}
		}
		if i+1 < len(versions) {
			starts.To = versions[i+1].from
		}
		for _, s := range schedule.Between(wide) {
			if starts.Has(s.From) {
				all = append(all, s)
			}
		}
	}
	slices.SortFunc(all, func(a, b plant.ShiftInstance) int { return cmp.Compare(a.From, b.From) })
	for i := range all[:max(len(all)-1, 0)] {
		all[i] = endBy(all[i], all[i+1].From)
	}
	return slices.DeleteFunc(all, func(s plant.ShiftInstance) bool { return s.Overlap(span).Empty() })
}

// endBy cuts off what of a shift lies after t.
func endBy(s plant.ShiftInstance, t plant.Time) plant.ShiftInstance {
	if s.To <= t {
		return s
	}
	s.To = t
	var breaks []plant.Span
	for _, b := range s.Breaks {
		if b = b.Overlap(s.Span); !b.Empty() {
			breaks = append(breaks, b)
		}
	}
	s.Breaks = breaks
	return s
}

// cutKey takes the key of an ideal cycle apart.
func cutKey(key string) (product, machine string, ok bool) {
	for i := len(key) - 1; i >= 0; i-- {
		if key[i] == '/' {
			return key[:i], key[i+1:], i > 0 && i+1 < len(key)
		}
	}
	return "", "", false
}
