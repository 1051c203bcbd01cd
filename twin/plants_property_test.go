package twin

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"linetwin/plant"
)

// plantCheck holds a property for generated plants: for as many as the test has
// time for, always the same ones, or for LINETWIN_PLANT_SEEDS of them from
// LINETWIN_PLANT_SEED on.
func plantCheck(t *testing.T, few int, property func(*rapid.T)) {
	t.Helper()
	set := func(name, value string) {
		f := flag.Lookup(name)
		before := f.Value.String()
		if err := f.Value.Set(value); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Value.Set(before) })
	}
	if n, err := strconv.Atoi(os.Getenv("LINETWIN_PLANT_SEEDS")); err == nil {
		few = n
	}
	seed := "1"
	if s := os.Getenv("LINETWIN_PLANT_SEED"); s != "" {
		seed = s
	}
	set("rapid.checks", strconv.Itoa(few))
	set("rapid.seed", seed)
	set("rapid.nofailfile", "true") // the seed tells
	rapid.Check(t, property)
}

func (d *drawn) machines() (n int) {
	for _, l := range d.cfg.Areas[0].Lines {
		n += len(l.Machines)
	}
	return n
}

// String gives what a plant says, a batch to a line.
func (d *drawn) String() string {
	var text strings.Builder
	for _, b := range d.batches {
		clock := func(t plant.Time) string { return t.Std().Format("02T15:04:05.999") }
		fmt.Fprintf(&text, "%d %s %s to %s:", b.Sequence, b.Machine, clock(b.Complete.From), clock(b.Complete.To))
		for _, r := range b.Readings {
			fmt.Fprintf(&text, " %s@%s=%s", r.Signal, clock(r.Time), r.Value)
		}
		text.WriteByte('\n')
	}
	return text.String()
}

// nowOf is when everything of a plant has been said.
func (d *drawn) nowOf() plant.Time { return d.span.To.Add(5 * time.Second) }

// straight delivers a plant's batches in their order.
func (d *drawn) straight(tb failer) *world {
	w := newWorld(tb, &d.cfg, d.nowOf())
	for _, b := range d.batches {
		w.deliver(b)
	}
	w.settle()
	return w
}

// differ tells where two accounts differ first; "" where they do not.
func differ(a, b map[string]lineAccount) string {
	if reflect.DeepEqual(a, b) {
		return ""
	}
	for id := range a {
		x, y := reflect.ValueOf(a[id]), reflect.ValueOf(b[id])
		for i := range x.NumField() {
			if f, g := x.Field(i).Interface(), y.Field(i).Interface(); !reflect.DeepEqual(f, g) {
				return fmt.Sprintf("%s %s: %s", id, x.Type().Field(i).Name, apart(f, g))
			}
		}
	}
	return "lines"
}

// apart gives the lines that differ of two things, with the one before.
func apart(a, b any) string {
	lines := func(v any) []string {
		text, err := json.MarshalIndent(v, "", " ")
		if err != nil {
			text = fmt.Appendf(nil, "%+v", v)
		}
		return strings.Split(string(text), "\n")
	}
	x, y := lines(a), lines(b)
	i := 0
	for i < min(len(x), len(y)) && x[i] == y[i] {
		i++
	}
	if i == len(x) && i == len(y) {
		return fmt.Sprintf("%+v\nis not %+v", a, b)
	}
	near := func(all []string) string {
		return strings.Join(all[max(0, min(i, len(all))-12):min(i+12, len(all))], "\n")
	}
	return near(x) + "\nis not\n" + near(y)
}

// rebatched draws other borders between a machine's batches: some are joined,
// some are cut.
func (d *drawn) rebatched(t *rapid.T) []*plant.Batch {
	var all []*plant.Batch
	last := map[string]*plant.Batch{}
	for _, b := range d.batches {
		c := *b
		c.Readings = slices.Clone(b.Readings)
		p := last[b.Machine]
		claims := c.Complete.From < c.Complete.To
		if p != nil && claims && p.Complete.To == c.Complete.From && p.Complete.From < p.Complete.To && p.Historical == c.Historical && rapid.Bool().Draw(t, "joined") {
			p.Complete.To = c.Complete.To
			p.Readings = append(p.Readings, c.Readings...)
			continue
		}
		if n := len(c.Readings); claims && n > 1 && c.Readings[0].Time < c.Readings[n-1].Time && rapid.Bool().Draw(t, "cut") {
			first := c
			first.Complete.To = first.Complete.From
			first.Readings, c.Readings = c.Readings[:1], c.Readings[1:]
			all = append(all, &first)
		}
		last[b.Machine] = &c
		all = append(all, &c)
	}
	for i, b := range all {
		b.Sequence = uint64(i + 1)
	}
	return all
}

// shuffled draws the order in which batches come.
func shuffled(t *rapid.T, all []*plant.Batch) []*plant.Batch {
	switch anyOf(t, "order", "as it was", "any", "the newest first", "some are late") {
	case "any":
		return rapid.Permutation(all).Draw(t, "permutation")
	case "the newest first":
		cut := rapid.IntRange(0, len(all)).Draw(t, "backlog")
		return append(slices.Clone(all[cut:]), all[:cut]...)
	case "some are late":
		var now, late []*plant.Batch
		for _, b := range all {
			if chance(t, "late", 4) {
				late = append(late, b)
			} else {
				now = append(now, b)
			}
		}
		return append(now, late...)
	}
	return slices.Clone(all)
}

// deliverSomehow draws a way in which everything arrives in the end: in any
// order, twice, in other batches, while history is away, and with a twin that
// begins anew or does not know all of its machines at first.
// What people say comes in between.
func (d *drawn) deliverSomehow(t *rapid.T, said ...plant.Entry) *world {
	cfg := d.cfg
	if chance(t, "not all configured", 4) {
		cfg = without(d.cfg, rapid.Bool().Draw(t, "a whole line"))
	}
	w := newWorld(t, &cfg, d.nowOf())
	all := d.rebatched(t)
	queue := shuffled(t, all)
	every := anyOf(t, "something happens", 3, 11, 40, 1000)
	for i, ends := 0, 0; len(queue) > 0; i++ {
		if len(said) > 0 && chance(t, "something is said", 5) {
			said = w.hear(said[:1], said[1:])
		}
		b := queue[0]
		queue = queue[1:]
		w.deliver(b)
		if chance(t, "twice", 8) {
			w.deliver(b)
		}
		if i%every != every-1 {
			continue
		}
		switch anyOf(t, "then", "stores", "settles", "saves", "ends") {
		case "stores":
			w.store(rapid.IntRange(1, 40).Draw(t, "batches"))
		case "settles":
			w.settle()
		case "saves":
			w.twin.flush(t.Context())
		case "ends":
			if ends++; ends <= 3 { // what was not stored is sent again each time
				queue = w.again(t, &d.cfg, all, queue)
			}
		}
	}
	if len(w.twin.lines) != len(d.cfg.Areas[0].Lines) || len(w.twin.machines) != d.machines() {
		w.store(len(all))
		w.start(&d.cfg)
	}
	w.hear(said, nil)
	w.settle()
	return w
}

// hear has the twin keep what was checked elsewhere, and gives the rest.
func (w *world) hear(said, rest []plant.Entry) []plant.Entry {
	w.tb.Helper()
	if len(said) > 0 {
		if _, err := w.twin.keep(context.Background(), said...); err != nil {
			w.tb.Fatal(err)
		}
	}
	return rest
}

// again ends the twin and starts it anew; the gateway sends all that was not
// acknowledged.
func (w *world) again(t *rapid.T, cfg *Config, all, queue []*plant.Batch) []*plant.Batch {
	if rapid.Bool().Draw(t, "in order") {
		w.twin.flush(t.Context())
	}
	for _, b := range all {
		if !w.stored(b.Sequence) && !slices.Contains(queue, b) {
			queue = append(queue, b)
		}
	}
	w.start(cfg)
	return queue
}

// TestPlantsWhateverTheOrder: however what a plant says arrives, what the twin
// tells of it is the same to the bit.
func TestPlantsWhateverTheOrder(t *testing.T) {
	plantCheck(t, 60, func(t *rapid.T) {
		d := drawPlant(t)
		want := d.straight(t).account(d.span)
		if diff := differ(want, d.deliverSomehow(t).account(d.span)); diff != "" {
			t.Fatalf("%stold straight and told otherwise: %s", d, diff)
		}
	})
}
