package twin

import (
	"encoding/json"
	"fmt"

	"linetwin/plant"
)

// Retained gives what the broker keeps for whoever listens: of each line its
// state, the figures of the running shift (or of the last one as long as none
// runs) and of the last closed one, and the state of each machine. ok is false
// until the ledger is read: what is kept from before stands until then.
func (t *Twin) Retained() (all []plant.Retained, ok bool, err error) {
	select {
	case <-t.loaded:
	default:
		return nil, false, nil
	}
	now := t.now()
	for _, l := range t.lines {
		if all, err = t.retained(all, l, now); err != nil {
			return nil, false, fmt.Errorf("line %s: %w", l.cfg.ID, err)
		}
	}
	return all, true, nil
}

func (t *Twin) retained(all []plant.Retained, l *line, now plant.Time) ([]plant.Retained, error) {
	t.mu.RLock()
	s := t.lineLocked(l, now)
	last := t.lastClosedLocked(l)
	t.mu.RUnlock()
	place := plant.Place{Site: t.cfg.Site, Area: l.area, Line: l.cfg.ID}
	line := plant.LineNow{Place: place, Name: s.Name, State: s.State, Product: s.Product, Order: s.Order, OrderSource: s.OrderSource, Good: s.Good, Reject: s.Reject}
	if s.Shift != nil {
		line.Shift = s.Shift.Name
	}
	says := map[string]any{"state": line, "oee/shift": plant.LineFigures{Place: place, Figures: s.Figures}}
	if last != nil {
		says["oee/last_shift"] = plant.LineFigures{Place: place, Figures: *last}
	}
	for i := range s.Machines {
		m := &s.Machines[i]
		says["machines/"+m.ID+"/state"] = plant.MachineNow{
			Place: place, Machine: m.ID, Name: m.Name, Class: m.Class, Small: m.Small, State: m.State, Since: m.Since,
			Fault: m.Fault, Why: m.Why, Good: m.Good, Reject: m.Reject,
		}
	}
	for what, value := range says {
		payload, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		all = append(all, plant.Retained{Topic: plant.RetainedRoot + l.area + "/" + l.cfg.ID + "/" + what, Payload: payload})
	}
	return all, nil
}

// lastClosedLocked gives the figures of the line's last closed shift as they
// were published last; nil where there is none in memory.
func (t *Twin) lastClosedLocked(l *line) *plant.Figures {
	var last plant.Time
	for start, p := range l.published {
		if start > last && !p.window.Span.Empty() {
			last = start
		}
	}
	if last == 0 {
		return nil
	}
	w := l.published[last].window
	f := w.Figures()
	for _, s := range l.shifts(w.Span) {
		if s.From == last {
			f.Shift, f.Day = s.Name, s.Day
		}
	}
	f.Switches = l.held(w.Span)
	t.revise(l, last, &f)
	return &f
}
