package influx

import (
	"context"
	"log/slog"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"

	"linetwin/plant"
)

const quarantineKept = 1000 // readings in memory

// Aside keeps readings that the database refuses for good. nil means that they
// are kept.
type Aside interface {
	SetAside(ctx context.Context, refused []plant.Refused) error
}

// KeepAside has refused readings kept by aside from now on; without it the last
// ones are in memory only. It is called before the first Write.
func (h *History) KeepAside(aside Aside) { h.aside.keep = aside }

// quarantine counts what the database refuses for good.
type quarantine struct {
	log   *slog.Logger
	keep  Aside
	count atomic.Int64

	mu   sync.Mutex
	ring []plant.Refused // oldest at next once it is full
	next int
}

// add sets readings aside. An error means that they are not kept, and that the
// write that they were in is to be tried again.
func (q *quarantine) add(ctx context.Context, refused []plant.Refused) error {
	if len(refused) == 0 {
		return nil
	}
	if q.keep != nil {
		if err := q.keep.SetAside(ctx, refused); err != nil {
			return err
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := int64(len(refused)); q.count.Add(n) == n {
		r := &refused[0]
		q.log.Warn("influxdb refuses readings, see its quarantine", "machine", r.Machine, "signal", r.Signal, "why", r.Why)
	}
	for _, r := range refused {
		if len(q.ring) < quarantineKept {
			q.ring = append(q.ring, r)
			continue
		}
		q.ring[q.next] = r
		q.next = (q.next + 1) % quarantineKept
	}
	return nil
}

// last gives the latest refused readings, the latest first.
func (q *quarantine) last(limit int) []plant.Refused {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := append(slices.Clone(q.ring[q.next:]), q.ring[:q.next]...)
	slices.Reverse(all)
	return all[:min(limit, len(all))]
}

var droppedSuffix = regexp.MustCompile(` dropped=[0-9]+$`)

// reason gives what the server said of points without what is said of the
// request, so that the same reason always reads the same.
func reason(why string) string { return droppedSuffix.ReplaceAllString(why, "") }
