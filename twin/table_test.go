package twin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

func (r *rig) table(kind plant.EntryKind) string {
	r.t.Helper()
	text, err := r.twin.Table(kind)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

func (r *rig) tellTable(kind plant.EntryKind, text string, dry bool) (plant.TableTaken, error) {
	return r.twin.TellTable(context.Background(), plant.Table{Kind: kind, By: "li.wei", Why: "plan", Text: []byte(text), Dry: dry})
}

// tableTold tells drawn products, orders and ideal cycles one by one.
func (r *rig) tableTold(rng *rand.Rand) {
	r.t.Helper()
	at := func(most int) plant.Time { return begin.Add(time.Duration(rng.IntN(most)) * time.Minute) }
	for range 1 + rng.IntN(12) {
		e := plant.Entry{By: "li.wei"}
		var value any
		switch rng.IntN(3) {
		case 0:
			e.Kind, e.Key = plant.EntryProduct, []string{"C16", "C63", "C-1"}[rng.IntN(3)]
			value = plant.ProductSaid{Name: plant.Name{En: []string{"", `Breaker "63", A`, " x;y "}[rng.IntN(3)], Zh: []string{"", "断路器", "=1+1"}[rng.IntN(3)]}}
		case 1:
			o := plant.Order{ID: []string{"4711", `a "b", c`, "订单;7", "x\u2028y", "-1"}[rng.IntN(5)], Line: "line", Product: []string{"C16", "C32"}[rng.IntN(2)], Quantity: rng.Int64N(1 << 40)}
			if rng.IntN(2) == 0 {
				o.Due = at(10_000) + plant.Time(rng.IntN(2_000_000_000))
			}
			if rng.IntN(3) > 0 {
				o.From = at(10_000)
			}
			if o.From != 0 && rng.IntN(2) == 0 {
				o.To = o.From.Add(time.Duration(1+rng.IntN(5000)) * time.Minute)
			}
			e.Kind, e.Key, value = plant.EntryOrder, o.ID, o
		default:
			e.Kind, e.Key = plant.EntryIdealCycle, []string{"C16", "C32"}[rng.IntN(2)]+"/"+[]string{"feed", "press"}[rng.IntN(2)]
			if rng.IntN(2) == 0 {
				e.From = at(4)
			}
			value = plant.CycleSaid{Cycle: plant.Length(1 + rng.Int64N(int64(24*time.Hour)))}
		}
		if rng.IntN(5) > 0 {
			e.Value, _ = json.Marshal(value)
		}
		told, err := r.twin.Tell(context.Background(), e)
		if err != nil {
			r.t.Fatal(err)
		}
		if rng.IntN(6) == 0 {
			if _, err := r.twin.Tell(context.Background(), plant.Entry{By: "li.wei", Undoes: told.ID}); err != nil {
				r.t.Fatal(err)
			}
		}
	}
}

// TestTableRoundTrip: what a table gives says nothing new to the twin that gave
// it, and all of it to another one.
func TestTableRoundTrip(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 9))
		one, other := newRig(t), newRig(t)
		one.heardEntries()
		other.heardEntries()
		one.tableTold(rng)
		for _, kind := range []plant.EntryKind{plant.EntryProduct, plant.EntryOrder, plant.EntryIdealCycle} {
			text := one.table(kind)
			lines := strings.Count(text, "\r\n") - 1
			taken, err := one.tellTable(kind, text, false)
			if err != nil || taken.Unchanged != lines || len(taken.Taken) != 0 {
				t.Errorf("seed %d: of %d lines %d are unchanged, taken is %v, %v\n%s", seed, lines, taken.Unchanged, taken.Taken, err, text)
			}
			if _, err := other.tellTable(kind, strings.ReplaceAll(text, "\r\n", "\n"), false); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if got := other.table(kind); got != text {
				t.Errorf("seed %d: the other twin gives\n%s\nwant\n%s", seed, got, text)
			}
		}
		one.close()
		other.close()
	}
}

// heardEntries waits until the twin takes entries.
func (r *rig) heardEntries() {
	r.t.Helper()
	r.eventually("entries are taken", func() bool {
		_, err := r.tellTable(plant.EntryOrder, "id,line,product,quantity,due,from,to\n4711,line,C16,1,,,\n", true)
		return err == nil
	})
}

// TestTableRefused: every wrong line is named, with its column, what was found
// and what is allowed, and then no line is taken.
func TestTableRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.heardEntries()
	const orders, cycles = "id;line;product;quantity;due;from;to\n", "product,machine,from,cycle\n"
	for _, c := range []struct {
		kind       plant.EntryKind
		text, want string
	}{
		{plant.EntryOrder, orders + "1;line;C16;5;;;\n2;lime;C99;many;;;\n3;line;C16;5;tomorrow;2026-03-02T00:00:30Z;\n",
			`line 3, quantity: found many, allowed: a whole number of pieces, as in 5000; line 4, due: found tomorrow, allowed: a time as`},
		{plant.EntryOrder, orders + "2;lime;C99;5;;;\n4;line;C16;5;;2026-03-02T00:00:30Z;\n",
			`line 2, line: found lime, allowed: one of the lines: line; line 2, product: found C99, allowed: one of products: C16, C32; line 3, from: found 2026-03-02T00:00:30.000Z`},
		{plant.EntryOrder, orders + "1;line;C16;5;;;\n1;line;C16;6;;;\n", "line 3, id: found 1, allowed: something that line 2 does not say already"},
		{plant.EntryOrder, orders + "1;line;C16;5;;\n", "line 2: found 6 cells, allowed: 7, as in the header"},
		{plant.EntryOrder, orders + " 1;line;C16;5;;;\n", "line 2, id: found  1, allowed: an id without spaces"},
		{plant.EntryOrder, orders + "\"1;line;C16;5;;;\n", "line 2: found extraneous or missing \" in quoted-field, allowed: cells with their quotes in pairs"},
		{plant.EntryOrder, "id,line\n", "line 1, product: missing, allowed: each of the columns id, line, product, quantity, due, from, to once"},
		{plant.EntryOrder, "", "line 1: missing, allowed: the columns id,"},
		{plant.EntryOrder, orders + "1;line;C16;5;;;\n\xb5", "line 3: found bytes of another encoding, allowed: UTF-8"},
		{plant.EntryOrder, orders + strings.Repeat("1;line;C16;5;;;\n", plant.MostTableLines+1), fmt.Sprintf("line %d: found more lines, allowed: at most 2000", plant.MostTableLines+2)},
		{plant.EntryIdealCycle, cycles + "C99,press,,1s\nC16,mill,,soon\nC16,press,,0s\n", `line 2, product: found C99, allowed: one of products: C16, C32; line 3, cycle: found soon, allowed: time per piece with its unit, as in 1.83s, or none; line 3, machine: found mill`},
		{plant.EntryProduct, "id,name_en,name_zh\nC 63,a,b\nC63,\"a\tb\"," + strings.Repeat("x", plant.MostEntryText+1) + "\n",
			`line 2, id: found C 63, allowed: an id, 1 to 64 of a-z A-Z 0-9 _ -; line 3, name_en: found a	b, allowed: at most 1000 characters, none of them a control character; line 3, name_zh: found xxx`},
		{plant.EntryProduct, "id,name_en,name_zh\nC63,a,b\n C63,c,d\n", "line 3, id: found  C63, allowed: something that line 2 does not say already"},
		{plant.EntryStop, "", "kind: found stop, allowed: order, ideal_cycle, product"},
	} {
		_, err := r.tellTable(c.kind, c.text, false)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80q: %v\nwant %s", c.text, err, c.want)
		}
	}
	if all := r.twin.Entries("", ""); len(all) != 0 {
		t.Errorf("taken: %+v", all)
	}
}

// TestTablePreview: a table's preview tells what all its lines would change
// together, which is what comes, and keeps nothing.
func TestTablePreview(t *testing.T) {
	t.Parallel()
	w := newWorked(t)
	const text = "\uFEFFto,from,due,quantity,product,line,id\r\n,2026-03-02T02:00:00Z,,500,C32,line,2\r\n2026-03-02T02:00:00Z,2026-03-02T00:00:00Z,,9,C16,line,1\r\n"
	before := w.figures()
	foretold, err := w.tellTable(plant.EntryOrder, text, true)
	if err != nil || len(foretold.Taken) != 2 || len(foretold.Effects) == 0 || len(w.twin.Entries("", "")) != 0 {
		t.Fatalf("%+v, %v", foretold, err)
	}
	taken, err := w.tellTable(plant.EntryOrder, text, false)
	if err != nil || len(taken.Taken) != 2 || taken.Taken[1].ID != 2 || taken.Effects != nil {
		t.Fatalf("%+v, %v", taken, err)
	}
	after, told := w.figures(), foretold.Effects[0]
	if *told.Before.OEE != *before.OEE || *told.After.OEE != *after.OEE || *after.OEE == *before.OEE {
		t.Errorf("OEE %v became %v; foretold was %v to %v", *before.OEE, *after.OEE, *told.Before.OEE, *told.After.OEE)
	}
	w.revision(1)
}

// FuzzTable: whatever a file holds is refused, or taken so that it is given back.
func FuzzTable(f *testing.F) {
	f.Add("id,line,product,quantity,due,from,to\n1,line,C16,5,,,\n")
	f.Add("id;line;product;quantity;due;from;to\n\"a;\"\"b\";line;C16;5;2026-03-02T00:00:00.1+08:00;2026-03-02T00:00:00Z;\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := newRig(t)
		defer r.close()
		r.heardEntries()
		taken, err := r.tellTable(plant.EntryOrder, text, false)
		if err != nil {
			return
		}
		if again, err := r.tellTable(plant.EntryOrder, r.table(plant.EntryOrder), false); err != nil || again.Unchanged != len(taken.Taken) {
			t.Errorf("%q: %d lines were taken, %d are unchanged, %v", text, len(taken.Taken), again.Unchanged, err)
		}
	})
}
