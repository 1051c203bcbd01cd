package twin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"linetwin/plant"
)

// Table gives what holds now of a kind, as TellTable takes it.
func (t *Twin) Table(kind plant.EntryKind) ([]byte, error) {
	if !slices.Contains(plant.TableKinds(), string(kind)) {
		return nil, noTable(kind)
	}
	switch kind {
	case plant.EntryOrder:
		return writeTable(tableColumns(kind), t.said.Load().orderRows())
	case plant.EntryProduct:
		return writeTable(tableColumns(kind), productRows(t.products()))
	}
	return writeTable(tableColumns(kind), cycleRows(t.Products()))
}

func noTable(kind plant.EntryKind) Refusal {
	return Refusal{{Key: "kind", Found: string(kind), Allowed: strings.Join(plant.TableKinds(), ", ")}}
}

// TellTable takes what the lines of a file say, all or none of them. Lines that
// say what holds already are counted. The error is a Refusal that names each
// wrong line.
func (t *Twin) TellTable(ctx context.Context, in plant.Table) (taken plant.TableTaken, err error) {
	taken.Taken = []plant.Entry{}
	if !slices.Contains(plant.TableKinds(), string(in.Kind)) {
		return taken, noTable(in.Kind)
	}
	file := readTable(in.Text, tableColumns(in.Kind))
	t.telling.Lock()
	defer t.telling.Unlock()
	entries := make([]plant.Entry, 0, len(file.rows))
	seen := map[string]int{}
	for i := range file.rows {
		r, before := &file.rows[i], len(file.faults)
		e, known := t.rowSaid(file, r, in.Kind)
		if len(file.faults) > before {
			continue
		}
		same := fmt.Sprint(e.Key, "\n", e.From)
		if at := seen[same]; at != 0 {
			file.add(r.line, tableColumns(in.Kind)[0], r.cells[tableColumns(in.Kind)[0]], fmt.Sprintf("something that line %d does not say already", at))
			continue
		}
		seen[same] = r.line
		if known {
			taken.Unchanged++
			continue
		}
		e.By, e.Why = in.By, in.Why
		kept, err := t.checked(ctx, e)
		if err = file.refused(r, in.Kind, err); err != nil {
			return taken, err
		}
		entries = append(entries, kept)
	}
	if len(file.faults) > 0 {
		return taken, Refusal(file.faults)
	}
	if in.Dry {
		taken.Taken, taken.Effects = entries, t.effects(entries...)
		return taken, nil
	}
	if len(entries) > 0 {
		taken.Taken, err = t.keep(ctx, entries...)
	}
	return taken, err
}

// rowSaid gives what a line says, and whether that holds already.
func (t *Twin) rowSaid(file *table, r *tableRow, kind plant.EntryKind) (e plant.Entry, known bool) {
	e.Kind = kind
	var value any
	switch kind {
	case plant.EntryOrder:
		o := file.order(r)
		e.Key, value = o.ID, o
		known = slices.Contains(t.said.Load().orders[o.Line], o)
	case plant.EntryProduct:
		name := plant.Name{En: r.cells["name_en"], Zh: r.cells["name_zh"]}
		e.Key, value = strings.TrimSpace(r.cells["id"]), plant.ProductSaid{Name: name}
		known = t.knowsProduct(e.Key) && t.productByID(e.Key).Name == name.Or(e.Key)
	default:
		c := file.cycle(r)
		e.From = file.time(r, "from")
		product, machine := r.cells["product"], strings.TrimSpace(r.cells["machine"])
		if !t.knowsProduct(product) {
			file.add(r.line, "product", product, "one of products: "+strings.Join(t.productIDs(), ", "))
		}
		if t.machines[machine] == nil {
			file.add(r.line, "machine", machine, "one of the machines: "+strings.Join(t.machineIDs(), ", "))
		}
		e.Key, known = product+"/"+machine, t.knowsCycle(cycleKey{product, machine}, e.From, c)
		if c == nil {
			return e, known
		}
		value = c
	}
	text, err := json.Marshal(value)
	if err != nil {
		file.add(r.line, "", err.Error(), "a line that can be kept")
	}
	e.Value = text
	return e, known
}

// knowsCycle tells whether an ideal cycle holds already from just that time on.
func (t *Twin) knowsCycle(k cycleKey, from plant.Time, c *plant.CycleSaid) bool {
	for _, s := range t.said.Load().cycles[k] {
		if s.from == from {
			return s.value.set == (c != nil) && (c == nil || s.value.time == c.Cycle.Duration())
		}
	}
	for i := range t.cfg.Products {
		if p := &t.cfg.Products[i]; from == 0 && c != nil && p.ID == k.product {
			d, ok := p.IdealCycle[k.machine]
			return ok && d == c.Cycle.Duration()
		}
	}
	return false
}

// refused names the line and the column of what an entry is refused for.
func (t *table) refused(r *tableRow, kind plant.EntryKind, err error) error {
	var wrong Refusal
	if err == nil || !errors.As(err, &wrong) {
		return err
	}
	for _, f := range wrong {
		column := strings.TrimPrefix(f.Key, "value.")
		switch {
		case column == "by" || column == "why": // said of the whole file, once
			if !slices.ContainsFunc(t.faults, func(g plant.Fault) bool { return g.Key == f.Key }) {
				t.faults = append(t.faults, f)
			}
			continue
		case column == "key" || column == "value":
			column = tableColumns(kind)[0]
		case kind == plant.EntryProduct: // name.en
			column = strings.ReplaceAll(column, ".", "_")
		}
		t.add(r.line, column, f.Found, f.Allowed)
	}
	return nil
}
