package twin_test

import (
	"context"
	"strings"
	"testing"

	"linetwin/plant"
)

// TestProductSaid: a product that was said may be ordered and have an ideal
// cycle, by which its pieces count; what was said of it can be taken back.
func TestProductSaid(t *testing.T) {
	t.Parallel()
	w := newWorked(t)
	const order = `{"id": "1", "line": "line", "product": "C63", "quantity": 5000, "from": "2026-03-01T22:00:00Z"}`
	e := plant.Entry{By: "li.wei", Kind: plant.EntryOrder, Key: "1", Value: plant.RawJSON(order)}
	if _, err := w.twin.Tell(context.Background(), e); err == nil || !strings.Contains(err.Error(), "value.product: found C63, allowed: one of products: C16, C32") {
		t.Errorf("an unknown product: %v", err)
	}
	product := w.tell(plant.EntryProduct, "C63", 0, `{"name": {"en": "Breaker 63 A", "zh": "断路器"}}`)
	w.tell(plant.EntryOrder, "1", 0, order)
	if f := w.figures(); f.OEE != nil || !strings.Contains(strings.Join(f.Flags, " "), "no_ideal_cycle") {
		t.Errorf("without an ideal cycle: OEE %v, %v", f.OEE, f.Flags)
	}
	w.tell(plant.EntryIdealCycle, "C63/press", 0, `{"cycle": "1s"}`)
	if f := w.figures(); f.OEE == nil || *f.OEE <= 0 {
		t.Errorf("with an ideal cycle: OEE %v, %v", f.OEE, f.Flags)
	}
	plans := w.twin.Products()
	if p := plans[len(plans)-1]; len(plans) != 3 || p.ID != "C63" || p.Name.Zh != "断路器" || len(p.Cycles) != 1 || p.Cycles[0].Entry != 3 {
		t.Errorf("%+v", plans)
	}
	for _, c := range []struct {
		e    plant.Entry
		want string
	}{
		{plant.Entry{Key: "C 63", Value: plant.RawJSON(`{}`)}, "key: found C 63, allowed: an id"},
		{plant.Entry{Key: "C63", From: begin, Value: plant.RawJSON(`{}`)}, "from: found"},
		{plant.Entry{Key: "C63", Value: plant.RawJSON(`{"colour": "red"}`)}, "colour"},
	} {
		c.e.Kind, c.e.By = plant.EntryProduct, "li.wei"
		if _, err := w.twin.Tell(context.Background(), c.e); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.e, err)
		}
	}
	if _, err := w.twin.Tell(context.Background(), plant.Entry{Undoes: product.ID, By: "li.wei"}); err != nil || len(w.twin.Products()) != 2 {
		t.Errorf("taken back: %v, %d products", err, len(w.twin.Products()))
	}
}
