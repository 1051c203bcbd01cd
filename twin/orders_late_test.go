package twin_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"linetwin/plant"
	"linetwin/twin"
)

// tellsOrders makes the press one that tells orders.
func tellsOrders(c *twin.Config) {
	for i := range c.Areas[0].Lines[0].Machines {
		if m := &c.Areas[0].Lines[0].Machines[i]; m.ID == "press" {
			m.Roles[plant.RoleOrder] = "order"
		}
	}
}

// late is a reading of the press's order that comes when all else was there.
func late(n uint64, at plant.Time, order string) *plant.Batch {
	return &plant.Batch{Area: area, Gateway: gatewayID, Machine: "press", Sequence: n, Complete: plant.Span{From: at, To: at}, Historical: true,
		Readings: []plant.Reading{{Machine: "press", Signal: "order", Time: at, Value: plant.Text(order)}}}
}

func (w *worked) byOrder() map[string]plant.Figures {
	w.t.Helper()
	fs, err := w.twin.Figures(w.t.Context(), "line", w.shift, "order")
	if err != nil {
		w.t.Fatal(err)
	}
	all := map[string]plant.Figures{}
	for _, f := range fs {
		all[f.Order] = f
	}
	return all
}

// TestOrderToldLate: a late reading of an order restates the closed shift, for
// all machines of the line; entering that order restates it again, and a restart
// forgets nothing.
func TestOrderToldLate(t *testing.T) {
	t.Parallel()
	w := newWorked(t)
	w.close()
	w.settings = tellsOrders
	w.start()
	w.heardEntries()
	w.twin.Batch(late(90_001, begin.Add(2*time.Hour), "4711"))
	if f := w.revision(1); !slices.Contains(f.Flags, "order_not_entered") {
		t.Errorf("%v", f.Flags)
	}
	w.twin.Batch(late(90_002, begin.Add(5*time.Hour), ""))
	w.eventually("the order's end is folded", func() bool { return w.line().Order == nil })
	good := int64(0)
	check := func(name, product string) {
		t.Helper()
		all := w.byOrder()
		told, none := all["4711"], all[""]
		if told.PlannedS != 3*3600-1800 || told.PlannedS+none.PlannedS != w.figures().PlannedS || told.Good != 9000/2 || good != 0 && told.Good+none.Good != good {
			t.Errorf("%s: %v s, %d pieces; without an order %v s, %d pieces", name, told.PlannedS, told.Good, none.PlannedS, none.Good)
		}
		good = told.Good + none.Good
		if l := w.line(); l.OrderSource != "" || l.Order != nil {
			t.Errorf("%s: now %+v by %q", name, l.Order, l.OrderSource)
		}
		fs, err := w.twin.Figures(t.Context(), "line", w.shift, "product")
		if err != nil || !slices.ContainsFunc(fs, func(f plant.Figures) bool { return f.Product == product }) {
			t.Errorf("%s: %v, no window of %s: %+v", name, err, product, fs)
		}
	}
	check("told", "C16")
	w.tell(plant.EntryOrder, "4711", 0, `{"id": "4711", "line": "line", "product": "C32", "quantity": 5000}`)
	if f := w.revision(2); slices.Contains(f.Flags, "order_not_entered") {
		t.Errorf("%v once it is entered", f.Flags)
	}
	check("entered", "C32")
	w.eventually("it is in the ledger", func() bool {
		span, ok, err := w.ledger.OrderTold(t.Context(), "press", "4711")
		return err == nil && ok && span == plant.Span{From: begin.Add(2 * time.Hour), To: begin.Add(5 * time.Hour)}
	})
	w.close()
	w.start()
	w.eventually("the past is loaded", func() bool { return w.figures().Good > 0 })
	check("after a restart", "C32")
}

// TestOrderToldOlder: entering an order that was told before the twin's memory
// restates the shifts in which it was told.
func TestOrderToldOlder(t *testing.T) {
	t.Parallel()
	a := newAged(t, 17, young)
	a.close()
	a.settings = tellsOrders
	a.start()
	a.heard()
	a.twin.Batch(late(90_001, begin.Add(9*time.Hour), "4711"))
	a.twin.Batch(late(90_002, begin.Add(12*time.Hour), "4712"))
	a.eventually("two shifts are restated", func() bool {
		a.setClock(plant.At(a.clock()).Add(5 * time.Second))
		return len(a.results()) >= 5
	})
	a.later(false)
	made := len(a.results())
	a.says(plant.Entry{Kind: plant.EntryOrder, Key: "4711", Value: plant.RawJSON(`{"id": "4711", "line": "line", "product": "C32", "quantity": 5000}`)}, 1)
	all := a.results()
	if len(all) != made+1 || all[len(all)-2].Shift != begin.Add(8*time.Hour) && !slices.ContainsFunc(all, func(r plant.Result) bool {
		return r.Shift == begin.Add(8*time.Hour) && r.Reason == "entry 1 of li.wei: order 4711"
	}) {
		t.Errorf("%d results, were %d: %+v", len(all), made, a.revisions())
	}
	if effects := a.must(a.span, true); len(effects) != 0 {
		t.Errorf("made anew from history %s is %+v, published is %+v", effects[0].Shift, effects[0].After, effects[0].Before)
	}
	before := a.byOrder()
	a.must(a.span, false) // rewrites what the ledger has of the day
	if after := a.byOrder(); len(before) != 3 || !reflect.DeepEqual(after, before) {
		t.Errorf("by order, made anew: %v, were %v", after, before)
	}
}

// byOrder gives the planned time and the pieces of each order of the day.
func (a *aged) byOrder() map[string][2]float64 {
	a.t.Helper()
	fs, err := a.twin.Figures(a.t.Context(), "line", a.span, "order")
	if err != nil {
		a.t.Fatal(err)
	}
	all := map[string][2]float64{}
	for _, f := range fs {
		all[f.Order] = [2]float64{f.PlannedS, float64(f.Total)}
	}
	return all
}
