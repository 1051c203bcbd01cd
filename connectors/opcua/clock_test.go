package opcua

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"linetwin/plant"
)

func TestClockEstimate(t *testing.T) {
	base := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	ms := func(n int) time.Time { return base.Add(time.Duration(n) * time.Millisecond) }
	type answer struct{ sent, received, server int }
	for _, c := range []struct {
		name    string
		answers []answer
		want    int // ms
	}{
		{"within the trip", []answer{{0, 100, 20}}, 0},
		{"behind", []answer{{0, 10, -2995}}, -3000},
		{"ahead", []answer{{0, 10, 5005}}, 5000},
		{"a fast answer counts more", []answer{{0, 2, 501}, {100, 180, 700}}, 500},
		{"a faster answer replaces a slow one", []answer{{0, 80, 600}, {100, 102, 601}}, 500},
		{"old estimates go", []answer{{0, 2, 501}, {70_000, 70_040, 70_520 + 20}}, 520},
		{"a clock that was set counts at once", []answer{{0, 2, 501}, {100, 140, 9120}}, 9000},
	} {
		t.Run(c.name, func(t *testing.T) {
			var k clock
			for _, a := range c.answers {
				k.observe(ms(a.sent), ms(a.received), ms(a.server))
			}
			k.observe(base, base, time.Time{})     // an answer without a time
			k.observe(base, base, time.Unix(0, 0)) // a clock that was never set
			if got, known := k.now(); !known || got != time.Duration(c.want)*time.Millisecond {
				t.Errorf("offset %v, want %d ms", got, c.want)
			}
		})
	}
}

func TestStampsOfOneSignal(t *testing.T) {
	const base = plant.Time(1_700_000_000_000) * plant.Millisecond
	ms := func(n int64) plant.Time { return base + plant.Time(n)*plant.Millisecond }
	type look struct {
		through, source int64 // source 0: none
		value           int64
		time            int64
		clock           bool // flagged
	}
	const minute = 60_000
	for _, c := range []struct {
		name  string
		looks []look
	}{
		{"no source time", []look{{100, 0, 1, 100, false}, {200, 0, 2, 200, false}}},
		{"source time within the round", []look{{100, 90, 1, 100, false}, {200, 150, 2, 150, false}}},
		{"old at first", []look{{100, -9 * minute, 1, 100, false}, {200, -9 * minute, 1, 200, false}, {300, 250, 2, 250, false}}},
		{"told late", []look{{100, 50, 1, 100, false}, {200, 80, 2, 101, false}}},
		{"not after through", []look{{100, 50, 1, 100, false}, {200, 230, 2, 200, false}}},
		{"far in the future", []look{{100, 50, 1, 100, false}, {200, 2 * minute, 2, 200, true}, {300, 2 * minute, 2, 300, true}, {400, 350, 3, 350, false}}},
		{"source's clock stands still", []look{{100, -9 * minute, 1, 100, false}, {200, -9 * minute, 2, 200, true}, {300, -9 * minute, 2, 300, true}, {400, 390, 3, 390, false}}},
		{"through does not move", []look{{100, 0, 1, 100, false}, {100, 0, 2, 101, false}, {90, 0, 3, 102, false}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s stamper
			var h history
			for i, l := range c.looks {
				s.begin(ms(l.through), true)
				source := plant.Time(0)
				if l.source != 0 {
					source = ms(l.source)
				}
				r := s.stamp(&h, plant.Reading{Value: plant.Integer(l.value)}, source)
				s.claimed(s.bound)
				if r.Time != ms(l.time) || (r.Reason == reasonClock) != l.clock || (r.Quality == plant.Uncertain) != l.clock {
					t.Errorf("look %d: time %d %v %q, want %d", i, (r.Time-base)/plant.Millisecond, r.Quality, r.Reason, l.time)
				}
			}
		})
	}
}

// A look tells the source's times also where the claim has to wait for reports.
func TestStampsDoNotWaitForTheClaim(t *testing.T) {
	const base = plant.Time(1_700_000_000_000) * plant.Millisecond
	ms := func(n int64) plant.Time { return base + plant.Time(n)*plant.Millisecond }
	s, h := stamper{floor: ms(0)}, history{}
	for i, l := range []struct{ bound, source, value, time, claim int64 }{
		{1100, 1050, 1, 1050, 100},
		{1200, 1050, 1, 1200, 100}, // seen again
		{1300, 1250, 2, 1250, 101},
		{1400, 0, 3, 1400, 101},
		{1500, 1380, 4, 1401, 102}, // the look before did not see it
		{1600, 1550, 5, 1550, 1000},
		{1590, 1550, 5, 1590, 1000},
		{1580, 1550, 5, 1590, 1560}, // a bound that went back
		{1700, 1555, 6, 1591, 1560}, // told late
	} {
		s.begin(ms(l.bound), true)
		source := plant.Time(0)
		if l.source != 0 {
			source = ms(l.source)
		}
		if r := s.stamp(&h, plant.Reading{Value: plant.Integer(l.value)}, source); r.Time != ms(l.time) || r.Quality != plant.Good {
			t.Errorf("look %d: time %d %v, want %d", i, (r.Time-base)/plant.Millisecond, r.Quality, l.time)
		}
		s.claimed(ms(l.claim))
	}
}

// Whatever a server's clock, the rounds and their claims do, no changed value
// may carry a time up to which all was claimed, or one after what told it, and
// no signal's time goes back.
func TestStampsKeepTheirPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const base = plant.Time(1_700_000_000_000) * plant.Millisecond
		var s stamper
		signals := make([]history, 3)
		now, claimed := base, plant.Time(0)
		for range rapid.IntRange(1, 30).Draw(t, "rounds") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "pause")))
			if rapid.IntRange(0, 5).Draw(t, "fails") == 0 {
				s.claimed(now)
				claimed = max(claimed, now.Floor(time.Millisecond))
				continue
			}
			s.begin(now.Add(-time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(t, "lag"))), rapid.Bool().Draw(t, "trusted"))
			var out []plant.Reading
			var changed []bool
			for i := range signals {
				h := &signals[i]
				for range rapid.IntRange(0, 3).Draw(t, "reports") {
					r := plant.Reading{Value: plant.Integer(rapid.Int64Range(0, 2).Draw(t, "value"))}
					source := now.Add(time.Duration(rapid.Int64Range(int64(-2*time.Minute), int64(2*time.Minute)).Draw(t, "source")))
					changes := !h.seen || h.last.Value != r.Value
					before := h.last
					got := s.stamp(h, r, source)
					if before.Time != 0 && (got.Time < before.Time || changes && got.Time == before.Time) {
						t.Fatalf("a signal's time goes from %v to %v", before.Time, got.Time)
					}
					out, changed = append(out, got), append(changed, changes)
				}
			}
			for i, r := range out {
				if changed[i] && r.Time <= claimed {
					t.Fatalf("a change at %v, but all up to %v was claimed", r.Time, claimed)
				}
				if r.Time > s.bound || r.Time%plant.Millisecond != 0 {
					t.Fatalf("reading at %v, told of by what knows all up to %v", r.Time, s.bound)
				}
			}
			s.claimed(s.bound.Add(-time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(t, "claim lag"))))
			if s.floor < claimed {
				t.Fatalf("claim went from %v to %v", claimed, s.floor)
			}
			claimed = s.floor
		}
	})
}
