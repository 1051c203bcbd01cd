package twin

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// TestPaceFindsTheSize: the size of writes to stores of several speeds, each
// of which gets as much as it asks for.
func TestPaceFindsTheSize(t *testing.T) {
	for _, c := range []struct {
		name        string
		fixed, each time.Duration
		least, most int
		lasts       time.Duration // a write at the end, at most
	}{
		{"quick", time.Millisecond, 2 * time.Microsecond, writeMax, writeMax, 110 * time.Millisecond},
		{"one core of SQLite", 3 * time.Millisecond, 6 * time.Microsecond, writeMax, writeMax, writeAim},
		{"a slow disk", 20 * time.Millisecond, 40 * time.Microsecond, 8_000, 11_000, 450 * time.Millisecond},
		{"a round trip of 300 ms", 300 * time.Millisecond, 10 * time.Microsecond, writeMax, writeMax, time.Second},
		{"far and slow", 300 * time.Millisecond, 100 * time.Microsecond, 11_000, 13_000, 1600 * time.Millisecond},
		{"very slow", 0, 2 * time.Millisecond, writeLeast, 300, 600 * time.Millisecond},
		{"stuck", 0, 100 * time.Millisecond, writeLeast, writeLeast, 20 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPace()
			for i := range 100 {
				n := p.size() - i%3*p.size()/10 // batches do not fill a write exactly
				p.wrote(n, c.fixed+time.Duration(n)*c.each)
			}
			took := c.fixed + time.Duration(p.size())*c.each
			if p.size() < c.least || p.size() > c.most || took > c.lasts {
				t.Errorf("writes of %d readings that take %s, want %d to %d and at most %s", p.size(), took, c.least, c.most, c.lasts)
			}
		})
	}
}

// TestPaceFollows: a store that becomes slow, times out and is quick again.
func TestPaceFollows(t *testing.T) {
	p := newPace()
	write := func(times int, each time.Duration) {
		for range times {
			p.wrote(p.size(), time.Millisecond+time.Duration(p.size())*each)
		}
	}
	write(20, 2*time.Microsecond)
	if p.size() != writeMax {
		t.Fatalf("quick: %d", p.size())
	}
	for want := writeMax / 2; want > writeLeast; want /= 2 {
		p.failed(fmt.Errorf("write: %w", context.DeadlineExceeded))
		if p.size() != want {
			t.Fatalf("after a timeout: %d, want %d", p.size(), want)
		}
	}
	p.failed(context.DeadlineExceeded)
	p.failed(context.DeadlineExceeded)
	p.failed(errors.New("connection refused")) // says nothing about sizes
	if p.size() != writeLeast {
		t.Fatalf("after timeouts: %d", p.size())
	}
	write(30, 200*time.Microsecond)
	if p.size() < 1_800 || p.size() > 2_200 {
		t.Fatalf("slow: %d, want what takes 400 ms", p.size())
	}
	write(60, 2*time.Microsecond)
	if p.size() != writeMax {
		t.Fatalf("quick again: %d", p.size())
	}
	for range 10 { // a trickle tells nothing against large writes
		p.wrote(1, time.Millisecond)
	}
	if p.size() != writeMax {
		t.Errorf("after a trickle: %d", p.size())
	}
	for range 10 { // writes that are slow and not full, as a gateway's window allows
		n := min(p.size(), 15_000)
		p.wrote(n, time.Duration(n)*100*time.Microsecond)
	}
	if p.size() < 3_500 || p.size() > 4_500 {
		t.Errorf("slow and not full: %d, want what takes 400 ms", p.size())
	}
}

type waiting struct{ time.Duration }

func (w waiting) Error() string       { return "busy" }
func (w waiting) Wait() time.Duration { return w.Duration }

func TestBackoff(t *testing.T) {
	var b backoff
	err := errors.New("refused")
	for i, want := range []time.Duration{125, 250, 500, 1000, 2000, 4000, 5000, 5000} {
		if got := b.pause(0.5, err); got != want*time.Millisecond {
			t.Errorf("pause %d: %s, want %d ms", i, got, want)
		}
	}
	if got := b.pause(0, err); got != 0 {
		t.Errorf("full jitter begins at %s, want 0", got)
	}
	for range 100 {
		if got := b.pause(0.999, err); got > backoffMax {
			t.Fatalf("pause %s", got)
		}
	}
	if got := b.pause(0, fmt.Errorf("write: %w", waiting{7 * time.Second})); got != 7*time.Second {
		t.Errorf("asked for 7 s, pauses %s", got)
	}
	if got := b.pause(0, waiting{time.Hour}); got != quietMax {
		t.Errorf("asked for an hour, pauses %s", got)
	}
}
