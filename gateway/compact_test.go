package gateway

import (
	"fmt"
	"testing"
	"time"

	"linetwin/plant"
)

// TestMachineDataIsCompact writes what the demo's twelve machines make, synced
// each second as shipped, and counts the bytes that a reading takes on disk.
func TestMachineDataIsCompact(t *testing.T) {
	h := open(t, testConfig(t.TempDir()))
	defer end(t, h)
	const seconds, machines = 90, 12
	var rounds [machines][]plant.Batch
	for m := range rounds {
		rounds[m] = oneLike(uint64(m), 5*seconds)
	}
	for i := range 5 * seconds {
		for m := range rounds {
			b := rounds[m][i]
			b.Machine = fmt.Sprintf("machine-%d", m)
			for j := range b.Readings {
				b.Readings[j].Machine = b.Machine
			}
			h.append(&b, true)
		}
		if i%5 == 4 {
			if err := h.c.commit(time.Now(), false); err != nil {
				t.Fatal(err)
			}
		}
	}
	each := float64(h.stored) / float64(h.waiting)
	t.Logf("%.2f bytes for each of %d readings, in %d blocks", each, h.waiting, len(h.blocks))
	if each > 4 {
		t.Errorf("a reading takes %.1f bytes on disk, want 4 at most", each)
	}
}
