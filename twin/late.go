package twin

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"linetwin/plant"
)

const latesKey = "late" // in the ledger: machine -> time as JSON

// lates are from when on machines must be folded again after a restart, because
// of what came that is older than the ledger's last checkpoint. The ledger has
// them before history has that: whoever begins anew, begins there.
type lates struct {
	sync.Mutex  // held while the ledger is told
	kept        map[string]plant.Time
	noted, told atomic.Uint64 // how often something was noted, and of that the ledger was told
}

// lateLocked notes a batch that the ledger's checkpoints do not have.
func (t *Twin) lateLocked(m *machine, b *plant.Batch) {
	from := b.Complete.From
	if len(b.Readings) > 0 { // which are in order
		from = min(from, b.Readings[0].Time)
	}
	if (from < m.saved || !m.loaded) && (m.late == 0 || from < m.late) {
		m.late = from
		t.lates.noted.Add(1)
	}
}

// keepLates brings what was noted to the ledger. It runs before batches are
// stored: while it fails, none are.
func (t *Twin) keepLates(ctx context.Context) error {
	if t.lates.noted.Load() == t.lates.told.Load() {
		return nil
	}
	return t.saveLates(ctx)
}

// forgetLates forgets what was noted of machines whose folding has come into
// the ledger.
func (t *Twin) forgetLates(ctx context.Context) error {
	t.mu.Lock()
	for _, m := range t.machines {
		if m.loaded && m.track.dirty == 0 && !m.folding && len(m.track.outbox) == 0 {
			m.late = 0
		}
	}
	t.mu.Unlock()
	return t.saveLates(ctx)
}

func (t *Twin) saveLates(ctx context.Context) error {
	t.lates.Lock()
	defer t.lates.Unlock()
	all := map[string]plant.Time{}
	t.mu.RLock()
	noted := t.lates.noted.Load()
	for id, m := range t.machines {
		if m.late != 0 {
			all[id] = m.late
		}
	}
	t.mu.RUnlock()
	if !maps.Equal(all, t.lates.kept) {
		text, err := json.Marshal(all)
		if err == nil {
			err = t.opts.Ledger.SetValue(ctx, latesKey, string(text))
		}
		if err != nil {
			return fmt.Errorf("keep from when on late data came: %w", err)
		}
	}
	t.lates.kept = all
	t.lates.told.Store(noted)
	return nil
}

// loadLate gives from when on a machine must be folded again; 0: not because of
// late data.
func (t *Twin) loadLate(ctx context.Context, machine string) (plant.Time, error) {
	text, ok, err := t.opts.Ledger.Value(ctx, latesKey)
	all := map[string]plant.Time{}
	if err == nil && ok {
		err = json.Unmarshal([]byte(text), &all)
	}
	if err != nil {
		return 0, fmt.Errorf("from when on late data came: %w", err)
	}
	return all[machine], nil
}

// changedFrom gives from when on figures may change with what is folded from a
// time on: from where the segment begins that lasts then or for which counters
// were awaited then, with all that is judged with it.
func (m *machine) changedFrom(k *track, at plant.Time) plant.Time {
	span, from := plant.Span{From: at.Add(-counterWait) - 1, To: at + 1}, at
	for _, s := range k.segments(span) {
		from = min(from, s.From)
	}
	a := m.line.book.Load().amends[m.cfg.ID]
	if a == nil {
		return from
	}
	wide, _ := a.reach(func(s plant.Span) plant.Past { return plant.Past{Segments: k.segments(s)} }, span)
	rest := plant.Span{From: at.Floor(time.Minute), To: k.head + 1}
	if counted := a.recounted(rest); counted != rest {
		from = min(from, counted.From.Add(toldBack))
	}
	return min(from, wide.From)
}
