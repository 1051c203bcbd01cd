package twin_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"linetwin/plant"
)

func TestReportsAreConfirmedOnceTheyAreKept(t *testing.T) {
	r := newRig(t)
	minute := begin.Floor(time.Minute)
	report := func(n uint64, made uint64) plant.CountReport {
		return plant.CountReport{Area: area, Gateway: gatewayID, Book: "b", Number: n, Span: plant.Span{From: minute, To: minute.Add(time.Duration(n) * time.Minute)},
			Counts: []plant.Count{{Machine: "m", Minute: minute, Made: made}}}
	}
	r.setBooksDown(true)
	r.twin.Counts(report(1, 5))
	r.eventually("the ledger was asked", func() bool { return r.booksAsked() == 1 })
	if c := r.confirmations(); len(c) != 0 {
		t.Fatalf("confirmed what is not kept: %v", c)
	}
	r.setBooksDown(false)
	r.twin.Counts(report(1, 5)) // as it comes again
	r.twin.Counts(report(1, 5))
	lost := report(2, 7)
	lost.Gaps = []plant.Gap{{Machine: "m", Span: plant.Span{From: minute, To: minute.Add(time.Second)}, Readings: 3}}
	r.twin.Counts(lost)
	r.eventually("three confirmations", func() bool { return len(r.confirmations()) == 3 })
	if got := fmt.Sprint(r.confirmations()); got != "[b/1 b/1 b/2]" {
		t.Errorf("confirmed %s", got)
	}
	a, err := r.twin.Audit(t.Context(), plant.Span{From: minute, To: minute.Add(time.Minute)}, gatewayID)
	if err != nil || a.Sums.Made != 12 || a.Sums.Unexplained != 12 || len(a.Gaps) != 1 {
		t.Errorf("audit %+v, %v", a, err)
	}
	shown := func() bool {
		for _, g := range r.twin.Snapshot().Gateways {
			if g.Gateway == gatewayID && len(g.Dropouts) == 1 && g.Dropouts[0].Readings == 3 {
				return true
			}
		}
		return false
	}
	r.eventually("the gap is shown", shown)
	r.close()
	r.start()
	r.eventually("the gap is shown after a restart", shown)
	if _, err := r.twin.Audit(t.Context(), plant.Span{From: minute, To: minute.Add(time.Minute)}, "nobody"); !errors.Is(err, plant.ErrNotFound) {
		t.Errorf("unknown gateway: %v", err)
	}
}

// faultyBooks keeps counts in the rig's ledger, unless it is down.
type faultyBooks struct {
	*rig
	mu        sync.Mutex
	down      bool
	asked     int
	confirmed []string
}

func (b *faultyBooks) SaveCounts(ctx context.Context, r plant.CountReport) error {
	b.mu.Lock()
	b.asked++
	down := b.down
	b.mu.Unlock()
	if down {
		return errors.New("disk full")
	}
	return b.ledger.SaveCounts(ctx, r)
}

func (b *faultyBooks) Counts(ctx context.Context, span plant.Span) ([]plant.GatewayCount, error) {
	return b.ledger.Counts(ctx, span)
}

func (b *faultyBooks) Counted(ctx context.Context) ([]plant.Counted, error) {
	return b.ledger.Counted(ctx)
}

func (b *faultyBooks) Gaps(ctx context.Context, span plant.Span) ([]plant.GatewayGap, error) {
	return b.ledger.Gaps(ctx, span)
}

func (r *rig) Confirm(c plant.CountConfirmation) error {
	r.books.mu.Lock()
	defer r.books.mu.Unlock()
	r.books.confirmed = append(r.books.confirmed, fmt.Sprintf("%s/%d", c.Book, c.Number))
	return nil
}

func (r *rig) setBooksDown(down bool) {
	r.books.mu.Lock()
	defer r.books.mu.Unlock()
	r.books.down = down
}

func (r *rig) booksAsked() int {
	r.books.mu.Lock()
	defer r.books.mu.Unlock()
	return r.books.asked
}

func (r *rig) confirmations() []string {
	r.books.mu.Lock()
	defer r.books.mu.Unlock()
	return append([]string(nil), r.books.confirmed...)
}
