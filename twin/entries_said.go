package twin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"linetwin/plant"
)

// saidOfInstants tells whether an entry is of what a machine was at an instant.
func saidOfInstants(k plant.EntryKind) bool {
	switch k {
	case plant.EntryStop, plant.EntrySplit, plant.EntryMerge, plant.EntryState, plant.EntryCount, plant.EntrySignOff:
		return true
	}
	return false
}

// checkInstant tells what is wrong with an entry of what a machine was at an
// instant, as far as the settings know.
func (t *Twin) checkInstant(e *plant.Entry) []plant.Fault {
	id, _, ok := plant.CutAtKey(e.Key)
	m := t.machines[id]
	if !ok || m == nil {
		what := "the id of a stop: machine@time of its start"
		if e.Kind == plant.EntryState || e.Kind == plant.EntryCount {
			what = "machine@time from which on it is corrected"
		}
		return []plant.Fault{{Key: "key", Found: e.Key, Allowed: what + "; machines: " + strings.Join(t.machineIDs(), ", ")}}
	}
	var faults []plant.Fault
	reason := func(key string, s plant.StopSaid) {
		if _, known := m.line.reasons[s.Reason]; s.Reason != "" && !known {
			faults = append(faults, plant.Fault{Key: key + ".reason", Found: s.Reason, Allowed: "a reason without children: " + list(maps.Keys(m.line.reasons))})
		}
	}
	switch e.Kind {
	case plant.EntryStop:
		s, _ := plant.Said[plant.StopSaid](e)
		reason("value", s)
	case plant.EntrySplit:
		s, _ := plant.Said[plant.SplitSaid](e)
		for i, p := range s.Parts {
			reason(fmt.Sprintf("value.parts[%d]", i), p.StopSaid)
		}
	case plant.EntryMerge:
		s, _ := plant.Said[plant.MergeSaid](e)
		reason("value", s.StopSaid)
	case plant.EntryState:
		s, _ := plant.Said[plant.StateSaid](e)
		if now := t.now(); s.To > now {
			faults = append(faults, plant.Fault{Key: "value.to", Found: s.To.String(), Allowed: "a time that has passed, now is " + now.String()})
		}
		if _, known := m.meaning(s.State); s.State != "" && !known {
			faults = append(faults, plant.Fault{Key: "value.state", Found: string(s.State), Allowed: "a state with a class: " + list(maps.Keys(PackML()))})
		}
	case plant.EntryCount:
		c, _ := plant.Said[plant.CountSaid](e)
		if _, at, _ := plant.CutAtKey(e.Key); len(e.Value) > 0 && c.Span(at).To > t.now().Floor(time.Minute).Add(time.Minute) {
			faults = append(faults, plant.Fault{Key: "value.to", Found: c.Span(at).To.String(), Allowed: "a minute that has begun, now is " + t.now().String()})
		}
	}
	return faults
}

// checkTold tells what is wrong with an entry of what a machine was at an
// instant, held against what is known of that.
func (t *Twin) checkTold(ctx context.Context, e *plant.Entry) ([]plant.Fault, error) {
	id, at, _ := plant.CutAtKey(e.Key)
	m := t.machines[id]
	switch {
	case e.Kind == plant.EntrySignOff:
		return t.sign(ctx, e)
	case m == nil:
		return nil, nil
	case e.Kind == plant.EntryCount:
		return t.checkCount(ctx, m, e)
	case len(e.Value) == 0:
		return nil, nil
	case e.Kind == plant.EntrySplit:
		s, _ := plant.Said[plant.SplitSaid](e)
		stop, fault, err := t.stopAt(ctx, m, at, idles)
		if err != nil || fault != nil {
			return fault, err
		}
		var faults []plant.Fault
		for i, p := range s.Parts[1:] {
			if p.From <= stop.From || p.From >= stop.To {
				faults = append(faults, plant.Fault{Key: fmt.Sprintf("value.parts[%d].from", i+1), Found: p.From.String(), Allowed: fmt.Sprintf("a time in the stop, after %s and before %s", stop.From, stop.To)})
			}
		}
		return faults, nil
	case e.Kind == plant.EntryMerge:
		s, _ := plant.Said[plant.MergeSaid](e)
		_, to, _ := plant.CutAtKey(s.To)
		_, faults, err := t.stopAt(ctx, m, at, plant.Class.Down)
		if err != nil {
			return nil, err
		}
		_, last, err := t.stopAt(ctx, m, to, plant.Class.Down)
		for _, f := range last {
			f.Key = "value.to"
			faults = append(faults, f)
		}
		return faults, err
	}
	return nil, nil
}

// stopAt gives the whole stop that lasts at a time, or why there is none.
func (t *Twin) stopAt(ctx context.Context, m *machine, at plant.Time, is func(plant.Class) bool) (plant.Span, []plant.Fault, error) {
	from, err := t.pasts(ctx, m.line, plant.Span{From: at, To: at + 1})
	if err != nil {
		return plant.Span{}, nil, err
	}
	was := "nothing is known"
	for _, s := range from(m, plant.Span{From: at, To: at + 1}).Segments {
		if is(s.Class) {
			if s.Whole != nil {
				return s.Whole.Stop, nil, nil
			}
			return s.Span, nil, nil
		}
		was = "it was " + s.Class.String()
	}
	return plant.Span{}, []plant.Fault{{Key: "key", Found: plant.AtKey(m.cfg.ID, at), Allowed: "the id of a stop; " + was + " then"}}, nil
}

// checkCount refuses a correction that leaves less than no pieces in a minute
// that had some, also one that comes about because another is taken back.
func (t *Twin) checkCount(ctx context.Context, m *machine, e *plant.Entry) ([]plant.Fault, error) {
	_, at, _ := plant.CutAtKey(e.Key)
	before, after := t.books(*e)
	span := plant.Span{From: at, To: at.Add(time.Minute)}
	for _, b := range []*book{before, after} {
		if a := b.amends[m.cfg.ID]; a != nil {
			if wide := a.recounted(span); wide != span {
				span = hull(span, plant.Span{From: wide.From.Add(toldBack), To: wide.To})
			}
		}
	}
	// The machine may itself tell of less than none, where another of its counters
	// told too many before: that is no correction's doing.
	from, err := t.toldPasts(ctx, m.line, span)
	if err != nil {
		return nil, err
	}
	told := minuteSums(from, m, span)
	had, err := t.minutesSaid(ctx, m, before, span)
	if err != nil {
		return nil, err
	}
	has, err := t.minutesSaid(ctx, m, after, span)
	if err != nil {
		return nil, err
	}
	c, _ := plant.Said[plant.CountSaid](e)
	own, key := c.Span(at), "value"
	if e.Undoes != 0 {
		key = "undoes"
	}
	var faults []plant.Fault
	for _, f := range []struct {
		key  string
		said int64
		of   func(plant.Pieces) int64
	}{{"good", c.Good, func(p plant.Pieces) int64 { return p.Good }}, {"reject", c.Reject, func(p plant.Pieces) int64 { return p.Reject }}} {
		var most int64
		short := plant.Time(0)
		for _, minute := range slices.Sorted(maps.Keys(has)) {
			if own.Has(minute) {
				most += max(f.of(had[minute]), 0)
			}
			if n := f.of(has[minute]); short == 0 && n < min(f.of(had[minute]), f.of(told[minute]), 0) {
				short = minute
			}
		}
		switch {
		case short == 0:
		case f.said < 0:
			faults = append(faults, plant.Fault{Key: "value." + f.key, Found: fmt.Sprint(f.said), Allowed: fmt.Sprintf("at least -%d: so many were counted from %s to %s", most, own.From, own.To)})
		default:
			faults = append(faults, plant.Fault{Key: key, Found: e.Key, Allowed: fmt.Sprintf("a correction that no later one needs: %s would have less than no %s pieces; take the later one back first", short, f.key)})
		}
	}
	return faults, nil
}

// minutesSaid gives what a machine made in each minute, by what a book says.
func (t *Twin) minutesSaid(ctx context.Context, m *machine, b *book, span plant.Span) (map[plant.Time]plant.Pieces, error) {
	t.mu.RLock()
	trial := m.line.with(&t.cfg, b)
	t.mu.RUnlock()
	from, err := t.pasts(ctx, trial, span)
	if err != nil {
		return nil, err
	}
	return minuteSums(from, m, span), nil
}

func minuteSums(from source, m *machine, span plant.Span) map[plant.Time]plant.Pieces {
	all := map[plant.Time]plant.Pieces{}
	for _, p := range within(from(m, span).Pieces, span) {
		s := all[p.Minute]
		s.Good, s.Reject = s.Good+p.Good, s.Reject+p.Reject
		all[p.Minute] = s
	}
	return all
}

// books gives what was said, without and with entries that are to be kept.
func (t *Twin) books(more ...plant.Entry) (before, after *book) {
	before = t.said.Load()
	all := slices.Concat(before.entries, more)
	for i := range more {
		all[len(before.entries)+i].ID = ^uint64(0) - uint64(len(more)-1-i) // behind all others
	}
	return before, newBook(all)
}

// instantFrom gives from when on figures change with what is said of an instant:
// from where the stop begins that lasts then, or what it is judged with.
func (t *Twin) instantFrom(m *machine, e *plant.Entry, books ...*book) plant.Time {
	_, at, _ := plant.CutAtKey(e.Key)
	from := stopFrom(m, at)
	ask := func(s plant.Span) plant.Past { return live(m, s) }
	for _, b := range books {
		a := b.amends[m.cfg.ID]
		if a == nil {
			continue
		}
		span := plant.Span{From: at, To: at + 1}
		wide, _ := a.reach(ask, span)
		from = min(from, wide.From)
		if wide := a.recounted(span); wide != span {
			from = min(from, wide.From.Add(toldBack))
		}
	}
	return from
}

// saidUntil gives until when an entry of an instant says something; the stop
// that lasts then may go on.
func saidUntil(e *plant.Entry) plant.Time {
	_, at, _ := plant.CutAtKey(e.Key)
	switch {
	case e.Kind == plant.EntryStop, e.Kind == plant.EntrySplit && len(e.Value) > 0:
		return at + 1
	case len(e.Value) == 0: // it takes away what may have reached so far
		return at.Add(plant.MostCorrected)
	case e.Kind == plant.EntryMerge:
		s, _ := plant.Said[plant.MergeSaid](e)
		_, to, _ := plant.CutAtKey(s.To)
		return to + 1
	case e.Kind == plant.EntryState:
		s, _ := plant.Said[plant.StateSaid](e)
		return s.To
	}
	c, _ := plant.Said[plant.CountSaid](e)
	return c.Span(at).To
}
