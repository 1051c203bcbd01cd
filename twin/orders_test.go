package twin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

// ordersTwin gives the line of docs/oee.md 5: s1 tells orders, s2 does not.
func ordersTwin(t *testing.T, noOrder bool) *Twin {
	cfg := placesConfig(t)
	series := &cfg.Areas[1].Lines[1]
	series.NoOrder = noOrder
	series.Machines[0].Roles[plant.RoleOrder] = "order"
	s1, s2 := ran("s1"), ran("s2")
	tells := func(h, m int, v plant.Value) { s1.read(foldClock(h, m, 0), "order", v) }
	tells(6, 0, plant.Integer(0))
	tells(6, 30, plant.Text(" 4711 "))
	tells(9, 50, plant.Text(""))
	s1.state(foldClock(10, 0, 0), "change")
	tells(10, 10, plant.Integer(4712))
	s1.state(foldClock(10, 15, 0), "run")
	tells(13, 0, plant.Value{})
	good := int64(0)
	for _, p := range []struct {
		h, m int
		n    int64
	}{{6, 10, 100}, {8, 0, 1800}, {9, 55, 30}, {12, 0, 1200}, {13, 10, 200}, {13, 45, 50}} {
		good += p.n
		s1.count(foldClock(p.h, p.m, 0), "good", good)
		s2.count(foldClock(p.h, p.m+1, 0), "good", good)
	}
	w := placesTwin(t, cfg, foldClock(14, 0, 0), s1, s2)
	w.said.Store(newBook([]plant.Entry{
		orderEntry(1, "4711", "q", "null", "null"),
		orderEntry(2, "E1", "p", `"2025-05-05T12:00:00Z"`, `"2025-05-05T13:30:00Z"`)}))
	return w
}

func orderEntry(n uint64, id, product, from, to string) plant.Entry {
	return plant.Entry{ID: n, Kind: plant.EntryOrder, Key: id, Value: plant.RawJSON(fmt.Sprintf(`{"id": %q, "line": "series", "product": %q, "quantity": 9, "from": %s, "to": %s}`, id, product, from, to))}
}

// docsOrders computes the example of docs/oee.md 5.
func docsOrders(t *testing.T) map[string]string {
	all := map[string]string{}
	for _, f := range windowsOf(t, of("series", ordersTwin(t, false).Figures), dayShift(), "order", 4) {
		name := f.Order
		if name == "" {
			name = "no order"
		}
		all["PPT of "+name], all["good of "+name] = docsMinutes(f.PlannedS), fmt.Sprint(f.Good)
	}
	all["PPT of all with `no_order_as_schedule: true`"] = docsMinutes(windowsOf(t, of("series", ordersTwin(t, true).Figures), dayShift(), "", 1)[0].PlannedS)
	return all
}

// TestOrdersTold: of the line and of each machine, pieces and time are of the
// order that is told, else of the one that was entered; one that nobody entered
// is flagged, and one that somebody entered tells its product.
func TestOrdersTold(t *testing.T) {
	w := ordersTwin(t, false)
	for id, ask := range map[string]func(id string) []plant.Figures{
		"series": func(id string) []plant.Figures { return windowsOf(t, of(id, w.Figures), dayShift(), "order", 4) },
		"s1":     func(id string) []plant.Figures { return windowsOf(t, of(id, w.MachineFigures), dayShift(), "order", 4) },
		"s2":     func(id string) []plant.Figures { return windowsOf(t, of(id, w.MachineFigures), dayShift(), "order", 4) },
	} {
		var got []string
		for _, f := range ask(id) {
			flags := slices.DeleteFunc(f.Flags, func(s string) bool { return !strings.Contains(s, "order") })
			got = append(got, fmt.Sprintf("%q %v min %d pieces %v", f.Order, f.PlannedS/60, f.Good, flags))
		}
		slices.Sort(got)
		want := []string{`"" 70 min 180 pieces [no_order]`, `"4711" 200 min 1800 pieces []`, `"4712" 180 min 1200 pieces [order_not_entered]`, `"E1" 30 min 200 pieces []`}
		if id == "s2" { // which had no changeover
			want[0], want[2] = `"" 80 min 180 pieces [no_order]`, `"4712" 170 min 1200 pieces [order_not_entered]`
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q\nwant %q", id, got, want)
		}
	}
	for _, f := range windowsOf(t, of("series", w.Figures), dayShift(), "product", 2) {
		if f.Product == "q" && f.Good != 1800 {
			t.Errorf("%d pieces of the entered order's product", f.Good)
		}
	}
	early := windowsOf(t, of("series", w.Figures), plant.Span{From: foldClock(6, 0, 0), To: foldClock(10, 0, 0)}, "", 1)[0]
	if slices.Contains(early.Flags, "order_not_entered") {
		t.Errorf("%v before the order that nobody entered", early.Flags)
	}
	if h := windowsOf(t, of("series", w.Figures), plant.Span{From: foldClock(12, 30, 0), To: foldClock(12, 45, 0)}, "", 1)[0]; !slices.Contains(h.Flags, "order_not_entered") {
		t.Errorf("%v without a piece of the order that nobody entered", h.Flags)
	}
}

// TestOrdersPrecedence: a machine's own word holds, else that of the line's
// machines, the bottleneck's first, else what was entered.
func TestOrdersPrecedence(t *testing.T) {
	cfg := placesConfig(t)
	group := &cfg.Areas[0].Lines[0]
	for i := range group.Machines {
		if m := &group.Machines[i]; m.ID != "a" {
			m.Roles[plant.RoleOrder] = "order"
		}
	}
	scripts := map[string]*foldScript{}
	for i, id := range []string{"a", "b1", "b2", "c"} {
		s := ran(id)
		for h := 7; h < 12; h++ {
			s.count(foldClock(h, 30, 0), "good", int64(h*10+i))
		}
		scripts[id] = s
	}
	scripts["c"].read(foldClock(8, 0, 0), "order", plant.Text("C"))
	scripts["b2"].read(foldClock(9, 0, 0), "order", plant.Text("B2"))
	scripts["b1"].read(foldClock(10, 0, 0), "order", plant.Text("B1"))
	scripts["c"].read(foldClock(11, 0, 0), "order", plant.Text("0"))
	w := placesTwin(t, cfg, foldClock(12, 0, 0), scripts["a"], scripts["b1"], scripts["b2"], scripts["c"])
	e := orderEntry(1, "E", "p", `"2025-05-05T06:00:00Z"`, "null")
	e.Value = plant.RawJSON(strings.Replace(string(e.Value), "series", "group", 1))
	w.said.Store(newBook([]plant.Entry{e}))
	for id, want := range map[string]string{
		"a": "7 E, 8 C, 9 B2, 10 B1, 11 B1", "b1": "7 E, 8 C, 9 B2, 10 B1, 11 B1", // b1 is the first machine of the bottleneck
		"b2": "7 E, 8 C, 9 B2, 10 B2, 11 B2", "c": "7 E, 8 C, 9 C, 10 C, 11 B1",
	} {
		var pieces, time []string
		l := w.lineByID["group"]
		m := w.machines[id]
		from := l.amended(live)
		for _, p := range l.attributed(from, m, within(from(m, dayShift()).Pieces, plant.Span{From: foldClock(7, 0, 0), To: foldClock(12, 0, 0)})) {
			pieces = append(pieces, fmt.Sprintf("%d %s", p.Minute.Std().Hour(), p.Order))
		}
		for h := 7; h < 12; h++ {
			all := l.worked(from, l.tellersFor(m), plant.Span{From: foldClock(h, 0, 0), To: foldClock(h+1, 0, 0)})
			if len(all) != 1 {
				t.Fatalf("%s at %d: %+v", id, h, all)
			}
			time = append(time, fmt.Sprintf("%d %s", h, all[0].order))
		}
		if got := strings.Join(pieces, ", "); got != want {
			t.Errorf("pieces of %s: %s, want %s", id, got, want)
		}
		if got := strings.Join(time, ", "); got != want {
			t.Errorf("time of %s: %s, want %s", id, got, want)
		}
	}
}

// TestOrderNow: the line shows the order that is told, whole where it was
// entered, and who says so.
func TestOrderNow(t *testing.T) {
	cfg := placesConfig(t)
	cfg.Areas[1].Lines[1].Machines[1].Roles[plant.RoleOrder] = "order"
	for _, c := range []struct{ told, entered, order, source, product string }{
		{"", "", "", "", "p"},
		{"", "4711", "4711", plant.OrderEntered, "q"},
		{"4711", "4711", "4711", plant.OrderByPLC, "q"},
		{"4712", "4711", "4712", plant.OrderByPLC, "p"},
	} {
		s := ran("s2")
		s.read(foldClock(7, 0, 0), "order", plant.Text(c.told))
		w := placesTwin(t, cfg, foldClock(8, 0, 0), ran("s1"), s)
		if c.entered != "" {
			w.said.Store(newBook([]plant.Entry{orderEntry(1, c.entered, "q", `"2025-05-05T06:00:00Z"`, "null")}))
		}
		for _, l := range w.Snapshot().Lines {
			if l.ID != "series" {
				continue
			}
			id, quantity := "", int64(0)
			if l.Order != nil {
				id, quantity = l.Order.ID, l.Order.Quantity
			}
			if id != c.order || l.OrderSource != c.source || l.Product.ID != c.product || (quantity == 9) != (id == "4711") {
				t.Errorf("%+v: order %+v by %q, product %+v", c, l.Order, l.OrderSource, l.Product)
			}
		}
	}
}

// TestOrderSignal: what a controller may have in the place of an order.
func TestOrderSignal(t *testing.T) {
	m := foldModel(0)
	s := &foldScript{machine: "m"}
	for i, v := range []plant.Value{plant.Text("0"), plant.Integer(4711), plant.Text("4711\x00\x00"), plant.Text("  "), plant.Text("A 1\t"), plant.Boolean(false), plant.Float(12), {}} {
		s.read(foldAt(time.Duration(i)*time.Minute), "order", v)
	}
	s.read(foldAt(20*time.Minute), "order", plant.Text("x\xff"))
	s.bad(foldAt(21*time.Minute), "order", "timeout")
	var cp Checkpoint
	var out Output
	m.Fold(&cp, SortEvents(s.events), foldAt(time.Hour), &out)
	var got []string
	for _, o := range out.Orders {
		got = append(got, fmt.Sprintf("%v=%s", o.At.Sub(foldAt(0)).Minutes(), o.Order))
	}
	if got := strings.Join(got, " "); got != "1=4711 3= 4=A 1 5= 6=12 7= 20=x\uFFFD" {
		t.Errorf("%s", got)
	}
}

// TestOrdersRewritten: what is made anew of a stretch leaves what comes after it.
func TestOrdersRewritten(t *testing.T) {
	at := func(n int) plant.Time { return foldAt(time.Duration(n) * time.Minute) }
	span := plant.Span{From: at(10), To: at(20)}
	old := []plant.OrderTold{{At: at(5), Order: "a"}, {At: at(15), Order: "b"}}
	for _, c := range []struct{ made, want []plant.OrderTold }{
		{old, []plant.OrderTold{{At: at(10), Order: "a"}, {At: at(15), Order: "b"}}},
		{nil, []plant.OrderTold{{At: at(10)}, {At: at(20), Order: "b"}}},
		{[]plant.OrderTold{{At: at(12), Order: "c"}, {At: at(25), Order: "d"}}, []plant.OrderTold{{At: at(10)}, {At: at(12), Order: "c"}, {At: at(20), Order: "b"}}},
	} {
		if got := ordersRewritten(c.made, old, span); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.made, got, c.want)
		}
	}
}

// TestOrdersBefore: a checkpoint knows the order of then, also where the ledger
// has none, as one of an older version.
func TestOrdersBefore(t *testing.T) {
	at := func(n int) plant.Time { return foldAt(time.Duration(n) * time.Minute) }
	a, b := plant.OrderTold{At: at(1), Order: "a"}, plant.OrderTold{At: at(5), Order: "b"}
	for _, c := range []struct {
		told []plant.OrderTold
		cp   Checkpoint
		want []plant.OrderTold
	}{
		{nil, Checkpoint{Through: at(3)}, nil},
		{nil, Checkpoint{Through: at(3), OrderSignal: "a"}, []plant.OrderTold{{At: at(3), Order: "a"}}},
		{[]plant.OrderTold{a, b}, Checkpoint{Through: at(5), OrderSignal: "a"}, []plant.OrderTold{a}},
		{[]plant.OrderTold{a, b}, Checkpoint{Through: at(6)}, []plant.OrderTold{a, b, {At: at(6)}}},
	} {
		if got := ordersBefore(c.told, &c.cp); !slices.Equal(got, c.want) {
			t.Errorf("%v before %+v: %v, want %v", c.told, c.cp, got, c.want)
		}
	}
}
