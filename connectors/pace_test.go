package connectors

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestGridNeitherDriftsNorBunches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		g := grid{every: 100 * time.Millisecond}
		for i, c := range []struct {
			busy    time.Duration // after the look
			at      time.Duration // of the look
			skipped int64
		}{
			{busy: 30 * time.Millisecond, at: 0},
			{busy: 99 * time.Millisecond, at: 100 * time.Millisecond},
			{busy: 150 * time.Millisecond, at: 200 * time.Millisecond}, // over into the next one's time
			{busy: 0, at: 350 * time.Millisecond},                      // begins late, but by less than an interval
			{busy: 510 * time.Millisecond, at: 400 * time.Millisecond}, // back on the grid
			{busy: 0, at: 910 * time.Millisecond, skipped: 4},          // four were left out
			{busy: 0, at: 1000 * time.Millisecond}, {busy: 0, at: 1100 * time.Millisecond},
		} {
			skipped, err := g.wait(t.Context())
			if at := time.Since(start); err != nil || at != c.at || skipped != c.skipped {
				t.Errorf("look %d at %v (%d skipped, error %v), want %v (%d)", i, at, skipped, err, c.at, c.skipped)
			}
			time.Sleep(c.busy)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := g.wait(ctx); err == nil {
			t.Error("no error though the context ended")
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		time.Sleep(time.Second)
		if _, err := g.wait(cancelled); err == nil {
			t.Error("no error though the context had ended and a look was due")
		}
	})
}

func TestBackoff(t *testing.T) {
	b := newBackoff(Backoff{})
	b.random = func() float64 { return 1 }
	for i, want := range []time.Duration{0, 1, 2, 4, 8, 16, 30, 30, 30} {
		if got := b.next(false); got != want*time.Second {
			t.Errorf("after failure %d: %v, want %v", i+1, got, want*time.Second)
		}
	}
	for range 1000 {
		if got := b.next(false); got != 30*time.Second {
			t.Fatalf("after many failures: %v", got)
		}
	}
	if got := b.next(true); got != 0 {
		t.Errorf("after a steady time: %v, want no wait", got)
	}
	b.random = func() float64 { return 0.25 }
	if got := b.next(false); got != 250*time.Millisecond {
		t.Errorf("with jitter: %v, want a quarter of a second", got)
	}
	short := newBackoff(Backoff{Base: 10 * time.Millisecond, Most: 15 * time.Millisecond})
	short.random = func() float64 { return 1 }
	for i, want := range []time.Duration{0, 10, 15, 15} {
		if got := short.next(false); got != want*time.Millisecond {
			t.Errorf("short: after failure %d: %v, want %v", i+1, got, want*time.Millisecond)
		}
	}
}

// TestStagger: devices that share a connection are looked at at once, and then
// spread evenly over the interval.
func TestStagger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := make([]*Supervisor, 5)
		for i := range all {
			shares := "one"
			if i == 2 {
				shares = "another"
			}
			all[i] = &Supervisor{setup: setup{every: 100 * time.Millisecond, shares: shares}, grid: grid{every: 100 * time.Millisecond}}
		}
		stagger(all, nil)
		for i, want := range [][]time.Duration{{0, 100, 200, 300}, {0, 25, 125, 225}, {0, 100, 200, 300}, {0, 50, 150, 250}, {0, 75, 175, 275}} {
			at := time.Now()
			for n, ms := range want {
				if skipped, err := all[i].grid.wait(t.Context()); err != nil || skipped > 0 || time.Since(at) != ms*time.Millisecond {
					t.Errorf("look %d at device %d after %v (%d skipped, error %v), want %d ms", n, i, time.Since(at), skipped, err, ms)
				}
			}
		}
	})
}
