package twin

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"

	"linetwin/plant"
)

const latesKey = "late" // in the ledger: machine -> time as JSON

// lates are from when on machines must be folded again after a restart because
// of what history takes that is older than the ledger's last checkpoint. They
// are in the ledger before that is in history: whoever begins anew, begins there.
type lates struct {
	sync.Mutex // held while the ledger is told
	kept       map[string]plant.Time
}

// noteLate notes what of the batches the ledger's checkpoints do not have. It
// runs before they are stored; what was not noted is not stored.
func (t *Twin) noteLate(ctx context.Context, batches []*plant.Batch) error {
	noted := false
	t.mu.Lock()
	for _, b := range batches {
		m := t.machines[b.Machine]
		if m == nil {
			continue
		}
		from := b.Complete.From
		for i := range b.Readings {
			from = min(from, b.Readings[i].Time)
		}
		if (from < m.saved || !m.loaded) && (m.late == 0 || from < m.late) {
			m.late, noted = from, true
		}
	}
	t.mu.Unlock()
	if !noted {
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
	for id, m := range t.machines {
		if m.late != 0 {
			all[id] = m.late
		}
	}
	t.mu.RUnlock()
	if maps.Equal(all, t.lates.kept) {
		return nil
	}
	text, err := json.Marshal(all)
	if err == nil {
		err = t.opts.Ledger.SetValue(ctx, latesKey, string(text))
	}
	if err != nil {
		return fmt.Errorf("keep from when on late data came: %w", err)
	}
	t.lates.kept = all
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
