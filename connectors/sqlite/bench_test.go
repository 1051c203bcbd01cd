package sqlite

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"linetwin/plant"
)

// stream makes rounds of 20 machines with 50 signals, as gateways send them:
// one batch per machine and round.
func stream(round int) []*plant.Batch {
	start := plant.Stamp(time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC))
	at := start.Add(time.Duration(round) * time.Second)
	batches := make([]*plant.Batch, 20)
	for m := range batches {
		machine := fmt.Sprintf("machine-%02d", m)
		b := &plant.Batch{Area: "assembly", Line: "mcb-a", Gateway: "edge-1", Machine: machine,
			Complete: plant.Span{From: at.Add(-time.Second), To: at}, Readings: make([]plant.Reading, 50)}
		for s := range b.Readings {
			b.Readings[s] = plant.Reading{Machine: machine, Signal: fmt.Sprintf("signal-%02d", s), Time: at, Value: plant.Float(float64(s) + float64(round)/7)}
		}
		batches[m] = b
	}
	return batches
}

func openBench(b *testing.B) *History {
	h, err := OpenHistory(context.Background(), HistoryConfig{Folder: b.TempDir()}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := h.Close(); err != nil {
			b.Error(err)
		}
	})
	return h
}

// BenchmarkWrite writes ten rounds of a plant with 1,000 signals at a time.
func BenchmarkWrite(b *testing.B) {
	h := openBench(b)
	var batches []*plant.Batch
	round, readings := 0, 0
	for b.Loop() {
		b.StopTimer()
		batches = batches[:0]
		for range 10 {
			batches = append(batches, stream(round)...)
			round++
		}
		b.StartTimer()
		if err := h.Write(context.Background(), batches); err != nil {
			b.Fatal(err)
		}
		readings += 10_000
	}
	b.ReportMetric(float64(readings)/b.Elapsed().Seconds(), "readings/s")
	if err := pragma(h, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(h.cfg.Folder, "history.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/float64(readings), "B/reading")
}

// BenchmarkChart makes 1,000 buckets of a day of one reading a second, in chunks.
func BenchmarkChart(b *testing.B) {
	h := openBench(b)
	start := plant.Stamp(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC))
	batch := &plant.Batch{Machine: "m"}
	for s := range 86_400 {
		batch.Readings = append(batch.Readings, plant.Reading{Machine: "m", Signal: "s", Time: start.Add(time.Duration(s) * time.Second), Value: plant.Float(float64(s) / 3)})
	}
	if err := h.Write(context.Background(), []*plant.Batch{batch}); err != nil {
		b.Fatal(err)
	}
	if _, err := h.Seal(context.Background(), start.Add(48*time.Hour)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := h.Chart(context.Background(), "m", "s", plant.Span{From: start, To: start.Add(24 * time.Hour)}, 1000); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRecord reads a machine's ten signals from chunks, days of one reading
// a second of each: 864,000 readings a day. LINETWIN_BENCH_DAYS=116 makes it 100
// million.
func BenchmarkRecord(b *testing.B) {
	days := 1
	if d, err := strconv.Atoi(os.Getenv("LINETWIN_BENCH_DAYS")); err == nil {
		days = d
	}
	h := openBench(b)
	start := plant.Stamp(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC))
	at := start
	random := rand.New(rand.NewPCG(1, 2))
	values := make([]int64, 10)
	for range days * 24 {
		batch := &plant.Batch{Machine: "m"}
		for range 3600 {
			for i := range values {
				values[i] += random.Int64N(5) - 2
				batch.Readings = append(batch.Readings, plant.Reading{Machine: "m", Signal: "signal-" + strconv.Itoa(i), Time: at, Value: plant.Float(float64(values[i]) / 10)})
			}
			at = at.Add(time.Second)
		}
		if err := h.Write(b.Context(), []*plant.Batch{batch}); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := h.Seal(b.Context(), at); err != nil {
		b.Fatal(err)
	}
	readings := 0
	for b.Loop() {
		for from := start; from < at; from = from.Add(48 * time.Hour) { // as much as the twin reads at once
			r, err := h.Record(b.Context(), "m", nil, plant.Span{From: from, To: from.Add(48 * time.Hour)})
			if err != nil {
				b.Fatal(err)
			}
			readings += len(r.Readings)
		}
	}
	b.ReportMetric(float64(readings)/b.Elapsed().Seconds(), "readings/s")
}
