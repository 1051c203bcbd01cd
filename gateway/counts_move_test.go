package gateway

import (
	"testing"
	"time"

	"linetwin/plant"
)

// A batch that moves is counted where it went, whether the minute in which it
// was counted is told already or not; one of its readings was there before.
func TestMovedBatchIsCountedWhereItWent(t *testing.T) {
	m := move{by: time.Hour}
	for name, c := range map[string]struct {
		told bool
		was  plant.Count
	}{
		"open": {false, plant.Count{}},
		"told": {true, plant.Count{Made: 2, Repeated: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			k := newBook(start)
			b := &plant.Batch{Machine: "press", Readings: []plant.Reading{good(1, start+1), good(2, start+1)}}
			sums := map[countKey]plant.Count{}
			odd := k.take(b)
			if c.told {
				sum(sums, k.close(start.Add(time.Minute)).Counts)
			}
			k.replace(b, placedBy(b, []move{m}), odd, false)
			sum(sums, k.close(start.Add(2*time.Minute)).Counts)
			was := countKey{"press", start.Floor(time.Minute)}
			is := countKey{"press", start.Add(m.by).Floor(time.Minute)}
			for key, want := range map[countKey]plant.Count{was: c.was, is: {Made: 2, Late: 1}} {
				got := sums[key]
				got.Machine, got.Minute = "", 0
				if got != want {
					t.Errorf("%s: %+v, want %+v", key.minute, got, want)
				}
			}
		})
	}
}

// What is dropped before it left is a gap at its right time, and no claim
// spans it there.
func TestDroppedBatchMovesFirst(t *testing.T) {
	h := open(t, testConfig(t.TempDir()))
	defer end(t, h)
	b := &plant.Batch{Machine: "press", Complete: plant.Span{From: start, To: start}, Readings: []plant.Reading{good(1, start+5)}}
	h.append(b, false)
	h.correct(move{by: time.Hour})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dropPending()
	at := (start + 5).Add(time.Hour)
	if g := h.book.gaps["press"]; g == nil || g.Readings != 1 || !g.Has(at) || g.Has(start+5) {
		t.Errorf("gap %+v", g)
	}
	if c := h.book.open[countKey{"press", at.Floor(time.Minute)}]; c == nil || c.Made != 1 || c.Dropped != 1 || len(h.book.open) != 1 {
		t.Errorf("counted %+v", h.book.open)
	}
	claim := plant.Span{From: start.Add(time.Hour), To: at + 10}
	if got := h.book.clipped("press", claim); got.From != at {
		t.Errorf("claims %+v", got)
	}
}
