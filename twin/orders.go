package twin

import (
	"cmp"
	"context"
	"slices"
	"sort"
	"time"

	"linetwin/plant"
)

// worked is a time in which a line, or a machine of it, worked on one order.
type worked struct {
	plant.Span
	order string // "": none
	told  bool   // a machine told it; else it was entered
}

// orderTold gives what a machine told last by a time; "" is no order.
func orderTold(all []plant.OrderTold, at plant.Time) string {
	i := sort.Search(len(all), func(i int) bool { return all[i].At > at })
	if i == 0 {
		return ""
	}
	return all[i-1].Order
}

// findTellers finds the line's machines that tell orders, in the order in which
// their word holds for the line: the bottleneck's first.
func (l *line) findTellers() {
	for _, m := range slices.Concat(l.neck, step(l.machines)) {
		if m.cfg.Roles[plant.RoleOrder] != "" && !slices.Contains(l.tellers, m) {
			l.tellers = append(l.tellers, m)
		}
	}
}

// tellersFor gives the machines whose word on a machine's order holds, its own
// first.
func (l *line) tellersFor(m *machine) []*machine {
	i := slices.Index(l.tellers, m)
	if i <= 0 {
		return l.tellers
	}
	return slices.Concat([]*machine{m}, l.tellers[:i], l.tellers[i+1:])
}

// worked gives on which orders somebody worked in span, without a hole, in the
// order of time: the one that the first of tellers tells that tells one, else
// the one that was entered.
func (l *line) worked(from source, tellers []*machine, span plant.Span) []worked {
	if span.Empty() {
		return nil
	}
	var told [][]plant.OrderTold
	cuts := []plant.Time{span.From}
	cut := func(t plant.Time) {
		if span.From < t && t < span.To {
			cuts = append(cuts, t)
		}
	}
	for _, m := range tellers {
		all := from(m, plant.Span{}).Orders
		told = append(told, all)
		i := sort.Search(len(all), func(i int) bool { return all[i].At > span.From })
		for ; i < len(all) && all[i].At < span.To; i++ {
			cut(all[i].At)
		}
	}
	entered := l.book.Load().ordersIn(l.cfg.ID, span)
	for _, o := range entered {
		cut(o.From)
		cut(o.To)
	}
	slices.Sort(cuts)
	var all []worked
	for _, at := range slices.Compact(cuts) {
		w := worked{Span: plant.Span{From: at, To: span.To}}
		for i := 0; i < len(told) && w.order == ""; i++ {
			w.order = orderTold(told[i], at)
			w.told = w.order != ""
		}
		if !w.told {
			w.order = orderAt(entered, at).ID
		}
		if n := len(all); n > 0 {
			if all[n-1].order == w.order && all[n-1].told == w.told {
				continue
			}
			all[n-1].To = at
		}
		all = append(all, w)
	}
	return all
}

// ordersIn gives the orders that were entered for a line and are worked on in
// span, by their start.
func (b *book) ordersIn(line string, span plant.Span) (some []plant.Order) {
	for _, o := range b.orders[line] {
		if o.From != 0 && o.From < span.To && (o.To == 0 || o.To > span.From) {
			some = append(some, o)
		}
	}
	return some
}

// orderAt gives, of orders by their start, the one that is worked on at a time:
// of those that have begun and not ended the one that began last.
func orderAt(all []plant.Order, t plant.Time) plant.Order {
	for _, o := range slices.Backward(all) {
		if o.From != 0 && o.From <= t && (o.To == 0 || t < o.To) {
			return o
		}
	}
	return plant.Order{}
}

// entered gives an order as it was entered for a line.
func (b *book) entered(line, id string) (plant.Order, bool) {
	o, ok := b.orderByID[id]
	return o, ok && o.Line == line
}

// inMinute gives the order of pieces of which only the minute is known: the one
// that was worked on when it began, or where there was none the first one in it.
func inMinute(all []worked, minute plant.Time) worked {
	i := sort.Search(len(all), func(i int) bool { return all[i].To > minute })
	if i == len(all) {
		return worked{}
	}
	if all[i].order == "" && i+1 < len(all) && all[i+1].From < minute.Add(time.Minute) {
		i++
	}
	return all[i]
}

// plannedShifts gives the line's shifts as its time is counted: where time
// without an order is no planned time, that is a break.
func (l *line) plannedShifts(from source, span plant.Span, noOrder bool) []plant.ShiftInstance {
	all := l.shifts(span)
	if !noOrder || len(all) == 0 {
		return all
	}
	wide := plant.Span{From: min(span.From, all[0].From), To: max(span.To, all[len(all)-1].To)}
	var ordered plant.Spans
	for _, w := range l.worked(from, l.tellers, wide) {
		if w.order != "" {
			ordered.Add(w.Span)
		}
	}
	for i := range all {
		var idle plant.Spans
		for _, b := range all[i].Breaks {
			idle.Add(b)
		}
		for _, h := range ordered.Holes(all[i].Span) {
			idle.Add(h)
		}
		all[i].Breaks = slices.Clone(idle)
	}
	return all
}

// attributed gives a machine's pieces with what is known of orders: those of
// which it told no order itself are of the line's in their minute, and pieces of
// which it told no product are the product of their order.
func (l *line) attributed(from source, m *machine, pieces []plant.Pieces) []plant.Pieces {
	b := l.book.Load()
	rest := slices.DeleteFunc(slices.Clone(l.tellers), func(o *machine) bool { return o == m })
	tells := m.cfg.Roles[plant.RoleOrder] != ""
	if len(pieces) == 0 || !tells && len(rest) == 0 && len(b.orders[l.cfg.ID]) == 0 {
		return pieces
	}
	span := plant.Span{From: pieces[0].Minute, To: pieces[len(pieces)-1].Minute.Add(time.Minute)}
	lines := l.worked(from, rest, span)
	out := slices.Clone(pieces)
	for i := range out {
		p := &out[i]
		told := p.Order != ""
		if !told {
			w := inMinute(lines, p.Minute)
			p.Order, told = w.order, w.told
		}
		if p.Order == "" {
			continue
		}
		p.Flags &^= plant.FlagNoOrder
		o, entered := b.entered(l.cfg.ID, p.Order)
		if told && !entered && (p.Good != 0 || p.Reject != 0) {
			p.Flags |= plant.FlagNotEntered
		}
		if entered && (p.Product == "" || p.Flags&plant.FlagProductAssumed != 0) {
			p.Product, p.Flags = o.Product, p.Flags&^plant.FlagProductAssumed
		}
	}
	return out
}

// orderFlags gives what a window should say of the orders of the time of
// machines.
func (l *line) orderFlags(from source, of []*machine, span plant.Span) (f plant.Flag) {
	if len(l.tellers) == 0 {
		return 0
	}
	for _, m := range of {
		for _, w := range l.worked(from, l.tellersFor(m), span) {
			f |= l.orderFlag(&w)
		}
	}
	return f
}

func (l *line) orderFlag(w *worked) plant.Flag {
	if _, entered := l.book.Load().entered(l.cfg.ID, w.order); w.told && !entered {
		return plant.FlagNotEntered
	}
	return 0
}

// orderNow gives what the line works on at a time, and who says so: the whole
// order where it was entered.
func (l *line) orderNow(now plant.Time) (*plant.Order, string) {
	b := l.book.Load()
	for _, m := range l.tellers {
		id := m.track.cp.OrderSignal
		if id == "" {
			continue
		}
		o, ok := b.entered(l.cfg.ID, id)
		if !ok {
			o = plant.Order{ID: id, Line: l.cfg.ID, Product: l.product(now)}
		}
		return &o, plant.OrderByPLC
	}
	if o := orderAt(b.orders[l.cfg.ID], now); o.ID != "" {
		return &o, plant.OrderEntered
	}
	return nil, ""
}

// product gives what the line makes now: what its bottleneck works on.
func (l *line) product(now plant.Time) string {
	for _, m := range l.neck {
		if p := m.product(now); p != "" {
			return p
		}
	}
	return l.cfg.Product
}

// product gives what the machine makes now: what it tells, else the product of
// its order, else the line's.
func (m *machine) product(now plant.Time) string {
	n := m.track.cp.Now()
	if n.Product != "" && !n.Assumed {
		return n.Product
	}
	l := m.line
	b := l.book.Load()
	for _, o := range l.tellersFor(m) {
		if id := o.track.cp.OrderSignal; id != "" {
			e, _ := b.entered(l.cfg.ID, id)
			return cmp.Or(e.Product, n.Product, l.cfg.Product)
		}
	}
	return cmp.Or(orderAt(b.orders[l.cfg.ID], now).Product, n.Product, l.cfg.Product)
}

// toldSpan gives the time in which machines of the line tell an order, as far as
// it is in memory; To is 0 where one still does.
func (l *line) toldSpan(id string) (span plant.Span, ok bool) {
	for _, m := range l.tellers {
		all := m.track.past.Orders
		for i := range all {
			if all[i].Order != id {
				continue
			}
			one := plant.Span{From: all[i].At, To: 1 << 62}
			if i+1 < len(all) {
				one.To = all[i+1].At
			}
			if !ok {
				span, ok = one, true
			}
			span = hull(span, one)
		}
	}
	return span, ok
}

// toldSpan is what gives the time of an order on a line as machines tell it.
type toldSpan = func(l *line, order string) (plant.Span, bool)

// toldOrders gives the times of all orders that entries are about, also those
// that only the ledger knows. It is asked with the twin's lock held.
func (t *Twin) toldOrders(ctx context.Context, entries []plant.Entry) (toldSpan, error) {
	type key struct{ line, order string }
	older := map[key]plant.Span{}
	for i := range entries {
		e := &entries[i]
		for _, l := range t.lines {
			k := key{l.cfg.ID, e.Key}
			for _, m := range l.tellers {
				if e.Kind != plant.EntryOrder {
					break
				}
				span, ok, err := t.opts.Ledger.OrderTold(ctx, m.cfg.ID, e.Key)
				if err != nil {
					return nil, err
				}
				if was, more := older[k]; ok && more {
					span = hull(was, span)
				}
				if ok {
					older[k] = span
				}
			}
		}
	}
	return func(l *line, order string) (plant.Span, bool) {
		span, ok := l.toldSpan(order)
		was, more := older[key{l.cfg.ID, order}]
		switch {
		case !more:
			return span, ok
		case !ok:
			return was, true
		}
		return hull(was, span), true
	}, nil
}

// tell notes which order the machine tells from t on.
func (f *folding) tell(order string, t plant.Time) {
	f.cp.OrderSignal = order
	if n := len(f.out.Orders); n > 0 && f.out.Orders[n-1].At == t {
		f.out.Orders[n-1].Order = order
		return
	}
	f.out.Orders = append(f.out.Orders, plant.OrderTold{At: t, Order: order})
}

// addOrders takes what the fold gave of orders.
func (k *track) addOrders(all []plant.OrderTold) {
	for _, o := range all {
		if n := len(k.past.Orders); n > 0 && k.past.Orders[n-1].At == o.At {
			k.past.Orders[n-1].Order = o.Order
			continue
		}
		k.past.Orders = append(k.past.Orders, o)
	}
}

// ordersBefore gives those that were told before a time, and what holds then as
// the checkpoint there knows: the ledger of an older version knows no orders.
func ordersBefore(all []plant.OrderTold, cp *Checkpoint) []plant.OrderTold {
	i := sort.Search(len(all), func(i int) bool { return all[i].At >= cp.Through })
	all = slices.Clone(all[:i])
	if orderTold(all, cp.Through) != cp.OrderSignal {
		all = append(all, plant.OrderTold{At: cp.Through, Order: cp.OrderSignal})
	}
	return all
}

// ordersSince gives those that were told at a time or after it.
func ordersSince(all []plant.OrderTold, t plant.Time) []plant.OrderTold {
	i := sort.Search(len(all), func(i int) bool { return all[i].At >= t })
	return slices.Clone(all[i:])
}

// ordersOf gives those that hold in span: the last one before it, and those told
// in it.
func ordersOf(all []plant.OrderTold, span plant.Span) []plant.OrderTold {
	i := sort.Search(len(all), func(i int) bool { return all[i].At > span.From })
	j := sort.Search(len(all), func(j int) bool { return all[j].At >= span.To })
	return all[max(i-1, 0):max(i-1, j, 0)]
}

// ordersRewritten gives what the ledger is to hold of span in place of what it
// does: what holds when it begins, what was told in it, and what held when it
// ended, for what comes after it stays as it was.
func ordersRewritten(made, old []plant.OrderTold, span plant.Span) []plant.OrderTold {
	out := []plant.OrderTold{{At: span.From, Order: orderTold(made, span.From)}}
	for _, o := range made {
		if span.From < o.At && o.At < span.To {
			out = append(out, o)
		}
	}
	if was := orderTold(old, span.To); was != out[len(out)-1].Order {
		out = append(out, plant.OrderTold{At: span.To, Order: was})
	}
	return out
}
