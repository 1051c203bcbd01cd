package rules

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"linetwin/plant"
)

// Engine holds the conditions of all rules at all places and the alerts that
// are open. It is not safe for concurrent use.
type Engine struct {
	limits          []Limit
	characteristics []Characteristic
	returnsAfter    int
	lineOf          func(machine string) string

	watches map[signal]*Watch      // by the signal they watch, made when it first is read
	lines   map[string][]condition // on OEE, by line
	open    map[string]*condition  // by the alert's id
	orphans map[string]plant.Alert // restored alerts whose rule is gone
	waiting []*condition           // true, but not yet for long enough
}

type signal struct{ machine, signal string }

// Watch is all conditions of one signal; most signals have none.
type Watch struct {
	newest     plant.Time // of the readings seen
	conditions []condition
}

// NewEngine makes an engine of a checked Config. Every characteristic with a
// limit brings a quality rule. lineOf gives the line of a machine, "" for one
// that no line has; it may be nil.
func NewEngine(cfg Config, characteristics []Characteristic, lineOf func(machine string) string) (*Engine, error) {
	var wrong []error
	for _, f := range plant.Under("rules", cfg.Check()) {
		wrong = append(wrong, errors.New(f.String()))
	}
	for i := range cfg.Limits {
		if m := cfg.Limits[i].Machine; m != "" && lineOf != nil && lineOf(m) == "" {
			wrong = append(wrong, fmt.Errorf("rules[%d].machine: found %q, allowed: a machine of a line", i, m))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, fmt.Errorf("make rules: %w", err)
	}
	return &Engine{
		limits:          slices.Clone(cfg.Limits),
		characteristics: slices.Clone(characteristics),
		returnsAfter:    max(cfg.ReturnsAfter, 1),
		lineOf:          lineOf,
		watches:         make(map[signal]*Watch),
		lines:           make(map[string][]condition),
		open:            make(map[string]*condition),
		orphans:         make(map[string]plant.Alert),
	}, nil
}

// Reading looks at a reading of a machine of line and gives the alerts that it
// changed. A bad reading changes nothing: what was true stays true, and no
// on-delay runs out on it. A reading that is not newer than the newest one of
// its signal is late (a backlog) or a repeat; it neither fires nor returns an
// alert, because alerts are about now.
func (e *Engine) Reading(line string, r *plant.Reading) []plant.Alert {
	return e.Watched(e.Watch(line, r.Machine, r.Signal), r)
}

// Watch gives the conditions of a signal of line's machine, for who remembers
// them. They are the same as long as the engine is.
func (e *Engine) Watch(line, machine, name string) *Watch {
	if w := e.watches[signal{machine, name}]; w != nil {
		return w
	}
	return e.watch(line, machine, name)
}

// Watched is Reading for who has the conditions of the reading's signal.
func (e *Engine) Watched(w *Watch, r *plant.Reading) []plant.Alert {
	if len(w.conditions) == 0 || r.Time <= w.newest {
		return nil
	}
	w.newest = r.Time
	x, number := r.Value.Number()
	var changed []plant.Alert
	for i := range w.conditions {
		c := &w.conditions[i]
		if r.Quality == plant.Bad || !number {
			c.blind = true
			continue
		}
		if e.look(c, x, r.Time) {
			changed = append(changed, c.alert)
		}
	}
	return changed
}

// OEE looks at the OEE of a line and gives the alerts that it changed. An OEE
// that cannot be computed changes nothing, like a bad reading.
func (e *Engine) OEE(line string, at plant.Time, oee *float64) []plant.Alert {
	conditions := e.onLine(line)
	var changed []plant.Alert
	for i := range conditions {
		c := &conditions[i]
		if oee == nil {
			c.blind = true
		} else if e.look(c, *oee, at) {
			changed = append(changed, c.alert)
		}
	}
	return changed
}

// Tick fires the alerts whose on-delay has run out by now and gives them. A
// condition whose last reading was bad waits for a good one.
func (e *Engine) Tick(now plant.Time) []plant.Alert {
	var changed []plant.Alert
	for i := 0; i < len(e.waiting); {
		c := e.waiting[i]
		if c.blind || now.Sub(c.since) < c.delay {
			i++
			continue
		}
		e.fire(c, c.since.Add(c.delay)) // takes it off the list
		changed = append(changed, c.alert)
	}
	return changed
}

// Acknowledge notes that somebody has seen an open alert, and gives it as it
// is then. Acknowledging twice changes nothing and is no error; an alert that
// is not open is plant.ErrNotFound.
func (e *Engine) Acknowledge(id, who string, at plant.Time) (plant.Alert, error) {
	if a, ok := e.orphans[id]; ok {
		// Its rule is gone: nothing will ever say that it returned.
		a.State, a.Acked, a.AckedBy = plant.AlertNormal, at, who
		if a.Returned == 0 {
			a.Returned = at
		}
		delete(e.orphans, id)
		return a, nil
	}
	c, ok := e.open[id]
	if !ok {
		return plant.Alert{}, fmt.Errorf("acknowledge alert %s: %w", id, plant.ErrNotFound)
	}
	switch c.alert.State {
	case plant.AlertUnacknowledged:
		c.alert.State = plant.AlertAcknowledged
	case plant.AlertReturnedUnacknowledged:
		c.alert.State = plant.AlertNormal
		delete(e.open, id)
	default:
		return c.alert, nil
	}
	c.alert.Acked, c.alert.AckedBy = at, who
	return c.alert, nil
}

// Open gives the open alerts in order of the time since when they hold.
func (e *Engine) Open() []plant.Alert {
	all := make([]plant.Alert, 0, len(e.open)+len(e.orphans))
	for _, c := range e.open {
		all = append(all, c.alert)
	}
	for _, a := range e.orphans {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b plant.Alert) int { return cmp.Or(cmp.Compare(a.Since, b.Since), cmp.Compare(a.ID, b.ID)) })
	return all
}

// Restore takes up alerts that were open when the program ended. It is called
// before the first reading. One whose rule is gone stays open until somebody
// acknowledges it.
func (e *Engine) Restore(alerts []plant.Alert) {
	for _, a := range alerts {
		if !a.Open() {
			continue
		}
		c := e.find(&a)
		if c == nil || c.alert.ID != "" && c.alert.Open() {
			e.orphans[a.ID] = a
			continue
		}
		c.alert = a
		c.active = a.State != plant.AlertReturnedUnacknowledged
		e.open[a.ID] = c
	}
}

// find gives the condition that fired an alert, or nil.
func (e *Engine) find(a *plant.Alert) *condition {
	conditions := e.onLine(a.Line)
	if a.Signal != "" {
		key := signal{a.Machine, a.Signal}
		if e.watches[key] == nil {
			line := a.Line
			if e.lineOf != nil {
				line = e.lineOf(a.Machine)
			}
			e.watch(line, a.Machine, a.Signal)
		}
		conditions = e.watches[key].conditions
	}
	for i := range conditions {
		if conditions[i].rule == a.Rule {
			return &conditions[i]
		}
	}
	return nil
}

// watch makes the conditions of a signal.
func (e *Engine) watch(line, machine, name string) *Watch {
	w := &Watch{}
	for i := range e.limits {
		l := &e.limits[i]
		if l.On == "" && l.Signal == name && (l.Machine == "" || l.Machine == machine) && (l.Line == "" || l.Line == line) {
			w.conditions = append(w.conditions, limitCondition(l, plant.Alert{Line: line, Machine: machine, Signal: name}))
		}
	}
	for i := range e.characteristics {
		c := &e.characteristics[i]
		if c.Machine == machine && c.Signal == name && (c.LSL != nil || c.USL != nil) {
			w.conditions = append(w.conditions, qualityCondition(c, e.returnsAfter))
		}
	}
	e.watches[signal{machine, name}] = w
	return w
}

// onLine gives the conditions on a line's OEE.
func (e *Engine) onLine(line string) []condition {
	conditions, ok := e.lines[line]
	if !ok && line != "" {
		for i := range e.limits {
			if l := &e.limits[i]; l.On == OnOEE && (l.Line == "" || l.Line == line) {
				conditions = append(conditions, limitCondition(l, plant.Alert{Line: line}))
			}
		}
		e.lines[line] = conditions
	}
	return conditions
}
