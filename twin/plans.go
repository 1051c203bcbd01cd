package twin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"linetwin/plant"
)

// Calendars gives all calendars with what was said of them, by name.
func (t *Twin) Calendars() ([]plant.CalendarPlan, error) {
	b := t.said.Load()
	plans := []plant.CalendarPlan{}
	for _, name := range slices.Sorted(maps.Keys(t.cfg.Calendars)) {
		own := t.cfg.Calendars[name]
		text, err := json.Marshal(own)
		if err != nil {
			return nil, fmt.Errorf("calendar %s: %w", name, err)
		}
		p := plant.CalendarPlan{ID: name, Lines: []string{}}
		for _, l := range t.lines {
			if l.cfg.Calendar == name {
				p.Lines = append(p.Lines, l.cfg.ID)
			}
		}
		versions := []since[plant.CalendarVersion]{}
		for _, e := range b.standing(plant.EntryCalendar) {
			if e.Key == name {
				versions = put(versions, e.From, plant.CalendarVersion{From: e.From, Entry: e.ID, Calendar: e.Value})
			}
		}
		p.Versions = append(p.Versions, plant.CalendarVersion{Calendar: text})
		for _, v := range versions {
			if len(v.value.Calendar) == 0 {
				v.value.Calendar = text // as the settings say again
			}
			p.Versions = append(p.Versions, v.value)
		}
		plans = append(plans, p)
	}
	return plans, nil
}

// Products gives all products with their ideal cycles, in the settings' order,
// then those that were said.
func (t *Twin) Products() []plant.ProductPlan {
	b := t.said.Load()
	plans := []plant.ProductPlan{}
	products := t.products()
	for i := range products {
		c := &products[i]
		p := plant.ProductPlan{Product: plant.Product{ID: c.ID, Name: c.Name}, Cycles: []plant.CycleVersion{}}
		for machine, d := range c.IdealCycle {
			length := plant.Length(d)
			p.Cycles = append(p.Cycles, plant.CycleVersion{Machine: machine, Cycle: &length})
		}
		versions := map[string][]since[plant.CycleVersion]{}
		for _, e := range b.standing(plant.EntryIdealCycle) {
			product, machine, ok := cutKey(e.Key)
			if !ok || product != c.ID {
				continue
			}
			v := plant.CycleVersion{Machine: machine, From: e.From, Entry: e.ID}
			if said, faults := plant.Said[plant.CycleSaid](&e); len(e.Value) > 0 && len(faults) == 0 {
				v.Cycle = &said.Cycle
			}
			versions[machine] = put(versions[machine], e.From, v)
		}
		for _, all := range versions {
			for _, v := range all {
				p.Cycles = append(p.Cycles, v.value)
			}
		}
		slices.SortFunc(p.Cycles, func(a, b plant.CycleVersion) int {
			return cmp.Or(cmp.Compare(a.Machine, b.Machine), cmp.Compare(a.From, b.From), cmp.Compare(a.Entry, b.Entry))
		})
		plans = append(plans, p)
	}
	return plans
}

// standing gives the entries of a kind that are neither undos nor undone, in the
// order in which they were said.
func (b *book) standing(kind plant.EntryKind) []plant.Entry {
	var all []plant.Entry
	for i := range b.entries {
		if e := &b.entries[i]; e.Kind == kind && e.Undoes == 0 && b.undone[e.ID] == 0 {
			all = append(all, *e)
		}
	}
	return all
}
