package twin

import (
	"context"
	"sync"

	"linetwin/plant"
)

// alertBook holds alerts that wait for the ledger, the newest of each.
type alertBook struct {
	mu    sync.Mutex
	order []string
	book  map[string]plant.Alert
}

func (b *alertBook) put(a plant.Alert) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.book == nil {
		b.book = map[string]plant.Alert{}
	}
	if _, ok := b.book[a.ID]; !ok {
		b.order = append(b.order, a.ID)
	}
	b.book[a.ID] = a
}

// flush saves what waits, in order, until one fails.
func (b *alertBook) flush(ctx context.Context, to Alarms, failed func(error)) {
	for {
		b.mu.Lock()
		if len(b.order) == 0 {
			b.mu.Unlock()
			return
		}
		id := b.order[0]
		a := b.book[id]
		b.order = b.order[1:]
		delete(b.book, id)
		b.mu.Unlock()
		if err := to.SaveAlert(ctx, a); err != nil {
			b.mu.Lock()
			if _, newer := b.book[id]; !newer {
				b.book[id] = a
				b.order = append([]string{id}, b.order...)
			}
			b.mu.Unlock()
			failed(err)
			return
		}
	}
}

// waiting gives what the ledger does not have yet.
func (b *alertBook) waiting() []plant.Alert {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]plant.Alert, 0, len(b.order))
	for _, id := range b.order {
		all = append(all, b.book[id])
	}
	return all
}

// alerted keeps and shows alerts that changed.
func (t *Twin) alerted(alerts []plant.Alert) {
	for _, a := range alerts {
		t.pending.put(a)
		t.live.send(plant.Change{Alert: &a})
		if l := t.lineByID[a.Line]; l != nil {
			t.mu.Lock()
			l.version++
			t.mu.Unlock()
		}
	}
}

// Alerts gives alerts that fired in span, or all that are open; the newest
// first.
func (t *Twin) Alerts(ctx context.Context, span plant.Span, openOnly bool) ([]plant.Alert, error) {
	if openOnly {
		t.mu.RLock()
		defer t.mu.RUnlock()
		return byUrgency(t.rules.Open()), nil
	}
	kept, err := t.opts.Ledger.Alerts(ctx, span, false)
	if err != nil {
		return nil, err
	}
	at := map[string]int{}
	for i := range kept {
		at[kept[i].ID] = i
	}
	for _, a := range t.pending.waiting() {
		switch i, ok := at[a.ID]; {
		case ok:
			kept[i] = a
		case span.Has(a.Fired):
			kept = append(kept, a)
		}
	}
	newestFirst(kept)
	return kept, nil
}

// Acknowledge marks an alert as seen by somebody.
func (t *Twin) Acknowledge(_ context.Context, id, who string) (plant.Alert, error) {
	now := t.now()
	t.mu.Lock()
	a, err := t.rules.Acknowledge(id, who, now)
	t.mu.Unlock()
	if err != nil {
		return a, err
	}
	t.alerted([]plant.Alert{a})
	return a, nil
}
