package sqlite

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"linetwin/plant"
)

// TestClaimsInAnyOrder holds what the file says to be complete against sets of
// spans: of live data, of backlogs that fill the time before it, and of claims
// anywhere.
func TestClaimsInAnyOrder(t *testing.T) {
	begin := plant.Stamp(time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC))
	ms := func(n int64) plant.Time { return begin + plant.Time(n)*plant.Millisecond }
	folder := t.TempDir()
	h := openIn(t, folder)
	defer func() { h.Close() }()
	for seed := range uint64(12) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		machine := "machine-" + string(rune('a'+seed%26)) + string(rune('a'+seed/26))
		var want plant.Spans
		live, backlog := int64(1000), rnd.Int64N(900)
		var batches []*plant.Batch
		for range 60 {
			var s plant.Span
			switch rnd.IntN(4) {
			case 0:
				next := live + rnd.Int64N(20)
				s, live = plant.Span{From: ms(live), To: ms(next)}, next
			case 1, 2:
				next := backlog + 1 + rnd.Int64N(30)
				s, backlog = plant.Span{From: ms(backlog), To: ms(next)}, next
			default:
				from := rnd.Int64N(1500)
				s = plant.Span{From: ms(from), To: ms(from + rnd.Int64N(40))}
			}
			b := batchOf(machine)[0]
			b.Complete = s
			want.Add(s)
			batches = append(batches, b)
			if rnd.IntN(4) > 0 {
				continue
			}
			if err := h.Write(t.Context(), batches); err != nil {
				t.Fatal(err)
			}
			batches = nil
			r, err := h.Record(t.Context(), machine, nil, plant.Span{From: ms(0), To: ms(9000)})
			if err != nil || !slices.Equal(r.Complete, want) {
				t.Fatalf("seed %d: complete %v, %v, want %v", seed, r.Complete, err, want)
			}
			if rnd.IntN(8) == 0 { // what is in memory only must not be needed
				if err := h.Close(); err != nil {
					t.Fatal(err)
				}
				h = openIn(t, folder)
			}
		}
	}
}
