package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"linetwin/connectors/historytest"
	"linetwin/plant"
)

// everything is after every reading.
const everything = plant.Time(math.MaxInt64 - int64(time.Second))

// sealed is a history that makes chunks of all that it has after each write.
type sealed struct{ *History }

func (s sealed) Write(ctx context.Context, batches []*plant.Batch) error {
	if err := s.History.Write(ctx, batches); err != nil {
		return err
	}
	_, err := s.Seal(ctx, everything)
	return err
}

func TestSealedHistoryKeepsTheContract(t *testing.T) {
	historytest.Run(t, func(t testing.TB) func() historytest.Store {
		folder := t.TempDir()
		return func() historytest.Store {
			h, err := OpenHistory(t.Context(), HistoryConfig{Folder: folder, Sync: "normal"}, quiet())
			if err != nil {
				t.Fatal(err)
			}
			return sealed{h}
		}
	}, historytest.Many, historytest.Beside, historytest.Odd)
}

// modelKey is what a reading is known by.
type modelKey struct {
	signal string
	ms     int64
}

// model is what a history is to hold, in a map.
type model map[modelKey]plant.Reading

func (m model) write(r plant.Reading) {
	key := modelKey{r.Signal, r.Time.Milli()}
	if was, known := m[key]; !known || r.Quality != plant.Bad || was.Quality == plant.Bad {
		m[key] = r
	}
}

func (m model) record(span plant.Span) []plant.Reading {
	var all []plant.Reading
	for _, r := range m {
		if span.Has(r.Time) {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b plant.Reading) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), strings.Compare(a.Signal, b.Signal))
	})
	return all
}

// drawReading draws one of few signals and of few times, so that repeats and
// contradictions are many.
func drawReading(t *rapid.T, times int64) plant.Reading {
	kind := rapid.SampledFrom([]string{"float", "integer", "boolean", "text"}).Draw(t, "signal")
	r := plant.Reading{Machine: "m", Signal: kind, Time: plant.FromMilli(1_700_000_000_000 + rapid.Int64Range(0, times).Draw(t, "ms"))}
	if r.Quality = plant.Quality(rapid.IntRange(0, 2).Draw(t, "quality")); r.Quality != plant.Good {
		r.Reason = rapid.SampledFrom([]string{"", "timeout", "old"}).Draw(t, "reason")
	}
	if r.Quality == plant.Bad {
		return r
	}
	switch kind {
	case "float":
		r.Value = plant.Float(rapid.SampledFrom([]float64{0, 1.5, -20.25, float64(float32(23.4)), 1e300, 5e-324, 1.0 / 3}).Draw(t, "float"))
	case "integer":
		r.Value = plant.Integer(rapid.Int64().Draw(t, "integer"))
	case "boolean":
		r.Value = plant.Boolean(rapid.Bool().Draw(t, "boolean"))
	default:
		r.Value = plant.Text(rapid.StringN(0, 5, 20).Draw(t, "text"))
	}
	return r
}

// TestSealingChangesNothing writes, seals and asks in any order and holds what
// the history says against a map.
func TestSealingChangesNothing(t *testing.T) {
	h, err := OpenHistory(t.Context(), HistoryConfig{Folder: t.TempDir(), Sync: "normal"}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	ctx, n, failed := t.Context(), 0, false
	most := 8
	if n, err := strconv.Atoi(os.Getenv("LINETWIN_SEAL_CASES")); err == nil {
		most = n
	}
	rapid.Check(t, func(t *rapid.T) {
		if n++; n > most && !failed {
			return
		}
		done := false
		defer func() { failed = failed || !done }()
		w := &world{h: h, machine: fmt.Sprint("m", n), model: model{}, times: rapid.SampledFrom([]int64{20, 400, 5_000_000}).Draw(t, "times")}
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0, 1:
				w.write(t)
			case 2:
				before := epoch + plant.FromMilli(rapid.Int64Range(0, w.times+1).Draw(t, "before"))
				if _, err := h.Seal(ctx, before); err != nil {
					t.Fatal(err)
				}
			}
			w.agree(t)
		}
		if _, err := h.Seal(ctx, everything); err != nil {
			t.Fatal(err)
		}
		w.agree(t)
		done = true
	})
}

const epoch = plant.Time(1_700_000_000_000) * plant.Millisecond

// world is a machine of a history, and what it should be.
type world struct {
	h       *History
	machine string
	model   model
	times   int64
}

func (w *world) write(t *rapid.T) {
	var batch []plant.Reading
	for range rapid.SampledFrom([]int{1, 5, 50}).Draw(t, "readings") {
		r := drawReading(t, w.times)
		r.Machine = w.machine
		w.model.write(r)
		batch = append(batch, r)
	}
	if err := w.h.Write(context.Background(), batchOf(w.machine, batch...)); err != nil {
		t.Fatal(err)
	}
}

// agree asks a history of part of its time.
func (w *world) agree(t *rapid.T) {
	ctx := context.Background()
	a := epoch + plant.FromMilli(rapid.Int64Range(-1, w.times).Draw(t, "from"))
	span := plant.Span{From: a, To: a + plant.FromMilli(rapid.Int64Range(1, w.times+2).Draw(t, "length"))}
	want := w.model.record(span)
	got, err := w.h.Record(ctx, w.machine, nil, span)
	if err != nil || len(got.Readings) != len(want) {
		t.Fatalf("%d readings in %v, %v; want %d", len(got.Readings), span, err, len(want))
	}
	for i, r := range got.Readings {
		if r != want[i] {
			t.Fatalf("reading %d in %v is %v, want %v", i, span, r, want[i])
		}
	}
	last := map[string]plant.Reading{}
	for _, r := range w.model.record(plant.Span{To: span.From}) {
		last[r.Signal] = r
	}
	before, err := w.h.Before(ctx, w.machine, nil, span.From)
	if err != nil || len(before) != len(last) {
		t.Fatalf("before %v: %v, %v, want %v", span.From, err, before, last)
	}
	for _, r := range before {
		if r != last[r.Signal] {
			t.Fatalf("before %v: %v, want %v", span.From, r, last[r.Signal])
		}
	}
	counts, err := w.h.Counts(ctx, w.machine, span)
	sum := uint64(0)
	for _, c := range counts {
		sum += c.Readings
	}
	if err != nil || sum != uint64(len(want)) {
		t.Fatalf("%d counted, %v; want %d", sum, err, len(want))
	}
	points := rapid.IntRange(1, 20).Draw(t, "points")
	chart, err := w.h.Chart(ctx, w.machine, "boolean", span, points)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range chart {
		checkBucket(t, &b, want)
	}
}

// checkBucket holds a bucket of a chart of the signal boolean against the
// readings that it is of.
func checkBucket(t *rapid.T, b *plant.Bucket, want []plant.Reading) {
	var w plant.Bucket
	sum := 0.0
	for _, r := range want {
		if r.Signal != "boolean" || !b.Has(r.Time) {
			continue
		}
		if r.Quality == plant.Bad {
			w.Bad++
			continue
		}
		x, _ := r.Value.Number()
		w.Count, w.Last, sum = w.Count+1, r.Value, sum+x
	}
	if b.Count != w.Count || b.Bad != w.Bad || b.Last != w.Last || (b.Mean != nil) != (w.Count > 0) || b.Mean != nil && *b.Mean != sum/float64(w.Count) {
		t.Fatalf("bucket %v is %+v, want %+v of sum %v", b.Span, b, w, sum)
	}
}

// TestSealBesideReads: who reads while chunks are made sees each reading once.
func TestSealBesideReads(t *testing.T) {
	h, err := OpenHistory(t.Context(), HistoryConfig{Folder: t.TempDir(), Sync: "normal"}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var wg sync.WaitGroup
	var written atomic.Int64
	stop := make(chan struct{})
	for _, f := range []func(){
		func() {
			if _, err := h.Seal(t.Context(), everything); err != nil {
				t.Error(err)
			}
		},
		func() {
			least := int(written.Load())
			r, err := h.Record(t.Context(), "m", nil, plant.Span{From: 1, To: everything})
			if err != nil || len(r.Readings) < least {
				t.Errorf("%d readings, %v; want at least %d", len(r.Readings), err, least)
			}
			for i := range r.Readings {
				if r.Readings[i].Value != plant.Integer(int64(i)) {
					t.Errorf("reading %d is %v", i, r.Readings[i])
					return
				}
			}
		},
	} {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f()
				}
			}
		})
	}
	next := int64(0)
	for i := range 40 {
		b := batchOf("m")
		for range 1 + i%20 { // rows and pieces
			b[0].Readings = append(b[0].Readings, plant.Reading{Machine: "m", Signal: "a", Time: epoch + plant.FromMilli(next), Value: plant.Integer(next)})
			next++
		}
		if err := h.Write(t.Context(), b); err != nil {
			t.Error(err)
		}
		written.Store(next)
	}
	close(stop)
	wg.Wait()
}
