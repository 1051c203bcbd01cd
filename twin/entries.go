package twin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"linetwin/plant"
)

// loadEntries brings what was said into memory.
func (t *Twin) loadEntries(ctx context.Context) error {
	all, err := t.opts.Ledger.Entries(ctx, 0)
	if err != nil {
		return fmt.Errorf("entries: %w", err)
	}
	if err := t.loadOverdues(ctx, all); err != nil {
		return err
	}
	t.said.Store(newBook(all))
	t.heard.Store(true)
	return nil
}

// hear reads what was said where that failed before. Until then nothing is
// published, for without it figures may be wrong, and nothing more is taken.
func (t *Twin) hear(ctx context.Context) bool {
	if t.heard.Load() {
		return true
	}
	t.telling.Lock()
	defer t.telling.Unlock()
	if err := t.loadEntries(ctx); err != nil {
		t.notice("ledger", err.Error())
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.lines {
		l.restated(t.now().Add(-memory), whileAway)
		for _, m := range l.machines {
			m.track.markDirty(t.now().Add(-memory))
		}
	}
	return true
}

// Refusal is why an entry is not taken.
type Refusal []plant.Fault

func (r Refusal) Error() string {
	texts := make([]string, len(r))
	for i, f := range r {
		texts[i] = f.String()
	}
	return strings.Join(texts, "; ")
}

// Faults gives what is wrong.
func (r Refusal) Faults() []plant.Fault { return r }

// Entries gives what was said of a kind and key, the newest first; an empty kind
// or key means all.
func (t *Twin) Entries(kind plant.EntryKind, key string) []plant.Entry {
	found := []plant.Entry{}
	for _, e := range t.said.Load().entries {
		if (kind == "" || e.Kind == kind) && (key == "" || e.Key == key) {
			found = append(found, e)
		}
	}
	slices.Reverse(found)
	return found
}

// Tell takes what somebody says, and gives it as the ledger keeps it; an entry
// that Undoes another one needs nothing else but By. What it changes is computed
// again at once; shifts that are closed get a revision with it as the reason.
// The error is a Refusal where the entry is wrong, plant.ErrNotFound or
// plant.ErrConflict where there is nothing to undo.
func (t *Twin) Tell(ctx context.Context, e plant.Entry) (plant.Entry, error) {
	t.telling.Lock()
	defer t.telling.Unlock()
	e, err := t.checked(ctx, e)
	if err != nil {
		return plant.Entry{}, err
	}
	kept, err := t.keep(ctx, e)
	if err != nil {
		return plant.Entry{}, err
	}
	return kept[0], nil
}

// checked gives an entry as it would be kept.
func (t *Twin) checked(ctx context.Context, e plant.Entry) (plant.Entry, error) {
	if !t.heard.Load() {
		return e, fmt.Errorf("%w: the ledger's entries are not read yet", plant.ErrOffline)
	}
	e.ID, e.Said = 0, t.now()
	if e.Undoes != 0 {
		u, err := t.undoing(e.Undoes)
		if err != nil {
			return e, err
		}
		u.By, u.Why, u.Said = e.By, e.Why, e.Said
		e = u
		if faults := e.Check(); len(faults) > 0 {
			return e, Refusal(faults)
		}
	} else if faults := t.check(&e); len(faults) > 0 {
		return e, Refusal(faults)
	}
	if id, at, ok := plant.CutAtKey(e.Key); ok && saidOfInstants(e.Kind) {
		e.Key = plant.AtKey(id, at)
		faults, err := t.checkTold(ctx, &e)
		if err != nil {
			return e, err
		}
		if len(faults) > 0 {
			return e, Refusal(faults)
		}
	}
	return e, nil
}

// undoing gives the entry that takes one back.
func (t *Twin) undoing(id uint64) (plant.Entry, error) {
	b := t.said.Load()
	i, ok := slices.BinarySearchFunc(b.entries, id, func(e plant.Entry, id uint64) int { return cmp.Compare(e.ID, id) })
	switch {
	case !ok:
		return plant.Entry{}, fmt.Errorf("entry %d: %w", id, plant.ErrNotFound)
	case b.entries[i].Undoes != 0:
		return plant.Entry{}, fmt.Errorf("entry %d: %w, it is an undo; say again what it took back", id, plant.ErrConflict)
	case b.undone[id] != 0:
		return plant.Entry{}, fmt.Errorf("entry %d: %w, entry %d has undone it", id, plant.ErrConflict, b.undone[id])
	}
	e := b.entries[i]
	e.ID, e.Value, e.Undoes = 0, nil, id
	return e, nil
}

// keep appends entries that were checked, all or none, and has what they change
// computed anew.
func (t *Twin) keep(ctx context.Context, all ...plant.Entry) ([]plant.Entry, error) {
	told, err := t.toldOrders(ctx, all)
	if err != nil {
		return nil, err
	}
	if all, err = t.opts.Ledger.AddEntries(ctx, all); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.said.Load()
	after := newBook(slices.Concat(before.entries, all))
	t.said.Store(after)
	for i := range all {
		touched := t.touches(&all[i], before, after, told)
		t.noteLocked(&all[i], touched)
		t.refoldLocked(reasonOf(&all[i]), touched)
	}
	return all, nil
}

// refoldLocked has what is touched computed anew.
func (t *Twin) refoldLocked(why string, touched []touched) {
	for _, a := range touched {
		if a.quiet {
			a.line.version++
			continue
		}
		a.line.restated(a.from, why)
		for _, m := range a.fold {
			m.track.markDirty(max(a.from, t.now().Add(-memory)))
		}
	}
}

// reasonOf is what a revision says of the entry that it comes from.
func reasonOf(e *plant.Entry) string {
	why := fmt.Sprintf("entry %d of %s: %s %s", e.ID, e.By, e.Kind, e.Key)
	if e.Why != "" {
		why += ": " + e.Why
	}
	return why
}

// Preview tells what an entry would change, without taking it: the closed and
// running shifts in memory whose figures would be others. What follows from
// folding again (whether a counter's step is believed) is not in it. Errors are
// as Tell's.
func (t *Twin) Preview(ctx context.Context, e plant.Entry) ([]plant.Effect, error) {
	e, err := t.checked(ctx, e)
	if err != nil {
		return nil, err
	}
	return t.effects(e), nil
}

// Results gives what was published or restated at a time or after it, at most
// so many, in that order.
func (t *Twin) Results(ctx context.Context, since plant.Time, most int) ([]plant.Result, error) {
	all, err := t.opts.Ledger.ResultsSince(ctx, since, most)
	for i := range all {
		if l := t.lineByID[all[i].Line]; l != nil {
			all[i].Switches = l.held(all[i].Window.Span)
		}
	}
	return all, err
}

// effects tells what entries would change together.
func (t *Twin) effects(all ...plant.Entry) []plant.Effect {
	now := t.now()
	t.mu.RLock()
	defer t.mu.RUnlock()
	before, after := t.books(all...)
	lines := map[*line]touched{}
	for i := range all {
		for _, a := range t.touches(&all[i], before, after, (*line).toldSpan) {
			if b, ok := lines[a.line]; !a.quiet && (!ok || a.from < b.from) {
				lines[a.line] = a
			}
		}
	}
	effects := []plant.Effect{}
	for _, a := range lines {
		span := plant.Span{From: max(a.from, now.Add(-memory)), To: now}
		trial := a.line.with(&t.cfg, after)
		known := a.line.known(now, t.cfg.LateAfter)
		shifts := map[plant.Time]*plant.Effect{}
		look := func(l *line, put func(f *plant.Effect, figures *plant.Figures)) {
			for _, s := range l.shifts(span) {
				f := l.window(plant.Span{From: s.From, To: min(s.To, known)}).Figures()
				f.Shift, f.Day = s.Name, s.Day
				one := shifts[s.From]
				if one == nil {
					one = &plant.Effect{Line: l.cfg.ID, Shift: s.From}
					shifts[s.From] = one
				}
				put(one, &f)
			}
		}
		look(a.line, func(f *plant.Effect, figures *plant.Figures) { f.Before = figures })
		look(trial, func(f *plant.Effect, figures *plant.Figures) { f.After = figures })
		for _, one := range shifts {
			if !reflect.DeepEqual(one.Before, one.After) {
				effects = append(effects, a.line.counted(trial, one))
			}
		}
	}
	slices.SortFunc(effects, func(a, b plant.Effect) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Shift, b.Shift))
	})
	return effects
}

// with gives the line as it would be with another book.
func (l *line) with(cfg *Config, b *book) *line {
	trial := *l
	trial.book = new(atomic.Pointer[book])
	trial.book.Store(b)
	trial.bindIdeals(cfg)
	return &trial
}

// touched is what an entry changes of a line: its figures of a time, and the
// machines that are to be folded again.
type touched struct {
	line  *line
	from  plant.Time
	to    plant.Time // from here on they do not change; 0: no such time
	fold  []*machine
	quiet bool // no figures change
}

// touches tells what an entry changes.
func (t *Twin) touches(e *plant.Entry, before, after *book, told toldSpan) []touched {
	var all []touched
	for _, l := range t.lines {
		a := touched{line: l, from: e.From}
		switch e.Kind {
		case plant.EntryIdealCycle:
			product, id, _ := cutKey(e.Key)
			m := t.machines[id]
			if m == nil || m.line != l {
				continue
			}
			a.fold, a.to = []*machine{m}, nextFrom(after.cycles[cycleKey{product, id}], e.From)
		case plant.EntryCalendar:
			if l.cfg.Calendar != e.Key {
				continue
			}
			a.to = nextFrom(after.calendars[e.Key], e.From)
		case plant.EntrySwitches:
			if l.cfg.ID != e.Key {
				continue
			}
			a.to = nextFrom(after.switches[e.Key], e.From)
		case plant.EntryOrder:
			span, ok := l.orderSpan(e.Key, told, before, after)
			if !ok {
				continue
			}
			a.from, a.to = span.From, span.To
		case plant.EntryStop, plant.EntrySplit, plant.EntryMerge, plant.EntryState, plant.EntryCount:
			id, _, _ := plant.CutAtKey(e.Key)
			m := t.machines[id]
			if m == nil || m.line != l {
				continue
			}
			a.from, a.to = t.instantFrom(m, e, before, after), saidUntil(e)
		case plant.EntrySignOff:
			if id, _, _ := plant.CutAtKey(e.Key); id != l.cfg.ID {
				continue
			}
			a.quiet = true
		case plant.EntryProduct:
			a.quiet = true // only how it is called
		}
		all = append(all, a)
	}
	return all
}

// stopFrom gives where the stop begins that lasts at a time, as far as it is in
// memory.
func stopFrom(m *machine, at plant.Time) plant.Time {
	for _, s := range m.segments(plant.Span{From: at, To: at + 1}) {
		at = min(at, s.From)
	}
	return at
}

// orderSpan gives the time of an order on the line, as it was and as it is, and
// as machines tell it; To is 0 where it has no end.
func (l *line) orderSpan(id string, told toldSpan, books ...*book) (span plant.Span, ok bool) {
	span, ok = told(l, id)
	for _, b := range books {
		for _, o := range b.orders[l.cfg.ID] {
			if o.ID != id || o.From == 0 {
				continue
			}
			to := cmp.Or(o.To, 1<<62)
			if !ok {
				span, ok = plant.Span{From: o.From, To: to}, true
			}
			span = hull(span, plant.Span{From: o.From, To: to})
		}
	}
	if span.To == 1<<62 {
		span.To = 0
	}
	return span, ok
}

// check tells what is wrong with an entry in this plant.
func (t *Twin) check(e *plant.Entry) []plant.Fault {
	faults := e.Check()
	if len(faults) > 0 {
		return faults
	}
	if e.From != e.From.Floor(time.Minute) {
		faults = append(faults, plant.Fault{Key: "from", Found: e.From.String(), Allowed: "a whole minute"})
	}
	switch e.Kind {
	case plant.EntryIdealCycle:
		product, machine, ok := cutKey(e.Key)
		if !ok || t.machines[machine] == nil || !t.knowsProduct(product) {
			faults = append(faults, plant.Fault{Key: "key", Found: e.Key, Allowed: "product/machine; products: " + strings.Join(t.productIDs(), ", ") + "; machines: " + strings.Join(t.machineIDs(), ", ")})
		}
	case plant.EntryCalendar:
		if _, ok := t.cfg.Calendars[e.Key]; !ok {
			faults = append(faults, plant.Fault{Key: "key", Found: e.Key, Allowed: "one of calendars: " + list(maps.Keys(t.cfg.Calendars))})
		}
	case plant.EntrySwitches:
		if t.lineByID[e.Key] == nil {
			faults = append(faults, plant.Fault{Key: "key", Found: e.Key, Allowed: "one of the lines: " + strings.Join(t.lineIDs(), ", ")})
		}
	case plant.EntryOrder:
		faults = append(faults, t.checkOrder(e)...)
	case plant.EntryStop, plant.EntrySplit, plant.EntryMerge, plant.EntryState, plant.EntryCount:
		faults = append(faults, t.checkInstant(e)...)
	case plant.EntrySignOff:
		if id, _, _ := plant.CutAtKey(e.Key); t.lineByID[id] == nil {
			faults = append(faults, plant.Fault{Key: "key", Found: e.Key, Allowed: "line@start of a shift; lines: " + strings.Join(t.lineIDs(), ", ")})
		}
	}
	return faults
}

func (t *Twin) checkOrder(e *plant.Entry) []plant.Fault {
	o, _ := plant.Said[plant.Order](e)
	if len(e.Value) == 0 {
		return nil
	}
	var faults []plant.Fault
	if t.lineByID[o.Line] == nil {
		faults = append(faults, plant.Fault{Key: "value.line", Found: o.Line, Allowed: "one of the lines: " + strings.Join(t.lineIDs(), ", ")})
	}
	if !t.knowsProduct(o.Product) {
		faults = append(faults, plant.Fault{Key: "value.product", Found: o.Product, Allowed: "one of products: " + strings.Join(t.productIDs(), ", ")})
	}
	if o.From != o.From.Floor(time.Minute) || o.To != o.To.Floor(time.Minute) {
		faults = append(faults, plant.Fault{Key: "value.from", Found: o.From.String() + " to " + o.To.String(), Allowed: "whole minutes"})
	}
	return faults
}

func (t *Twin) machineIDs() []string {
	var ids []string
	for _, m := range t.machineList() {
		ids = append(ids, m.cfg.ID)
	}
	return ids
}

func (t *Twin) lineIDs() []string {
	var ids []string
	for _, l := range t.lines {
		ids = append(ids, l.cfg.ID)
	}
	return ids
}
