package plant

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestSpansAgainstBits holds Spans against the plainest set there is.
func TestSpansAgainstBits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 40
		var bits [size]bool
		var set Spans
		for range rapid.IntRange(0, 12).Draw(t, "adds") {
			from := rapid.IntRange(0, size).Draw(t, "from")
			to := rapid.IntRange(0, size).Draw(t, "to")
			set.Add(Span{Time(from), Time(to)})
			for i := from; i < to; i++ {
				bits[i] = true
			}
		}
		for i := 1; i < len(set); i++ {
			if set[i-1].To >= set[i].From {
				t.Fatalf("spans touch: %v", set)
			}
		}
		for i, in := range bits {
			if set.Covers(Span{Time(i), Time(i + 1)}) != in {
				t.Fatalf("at %d: covers %v, want %v in %v", i, !in, in, set)
			}
		}
		q := Span{Time(rapid.IntRange(0, size).Draw(t, "qf")), Time(rapid.IntRange(0, size).Draw(t, "qt"))}
		var back Spans = slices.Clone(set)
		for _, h := range set.Holes(q) {
			for i := h.From; i < h.To; i++ {
				if bits[i] || !q.Has(i) {
					t.Fatalf("hole %v of %v holds %d", h, q, i)
				}
			}
			back.Add(h)
		}
		if !back.Covers(q) {
			t.Fatalf("holes of %v do not fill %v", q, set)
		}
		cut := Time(rapid.IntRange(0, size).Draw(t, "cut"))
		set.Prune(cut)
		for i, in := range bits {
			if set.Covers(Span{Time(i), Time(i + 1)}) != (in && Time(i) >= cut) {
				t.Fatalf("after prune at %d: wrong at %d", cut, i)
			}
		}
	})
}
