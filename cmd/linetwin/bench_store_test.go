package main

import (
	"context"
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"linetwin/configs"
	"linetwin/connectors/sqlite"
	"linetwin/plant"
	"linetwin/simulator"
)

// BenchmarkDemoHistory keeps what the demo's plant was for a day (or for
// LINETWIN_BENCH_DAYS) in the embedded history, and tells what a reading takes
// there: of the file in use, with all tables and indexes. The demo's deadbands
// are left out, which only makes it more.
func BenchmarkDemoHistory(b *testing.B) {
	days := 1
	if d, err := strconv.Atoi(os.Getenv("LINETWIN_BENCH_DAYS")); err == nil {
		days = d
	}
	for b.Loop() {
		demoHistory(b, days)
	}
}

func demoHistory(b *testing.B, days int) {
	ctx, log, folder := b.Context(), slog.New(slog.DiscardHandler), b.TempDir()
	cfg, err := configs.LoadDemo()
	if err != nil {
		b.Fatal(err)
	}
	from := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	p, err := simulator.New(simulator.Config{Seed: 1, Speed: 1, OPCUA: "127.0.0.1:0", Modbus: "127.0.0.1:0", Lines: cfg.Simulator.Lines,
		Folder: filepath.Join(folder, "simulator"), Anchor: from, Log: log})
	if err != nil {
		b.Fatal(err)
	}
	h, err := sqlite.OpenHistory(ctx, sqlite.HistoryConfig{Folder: folder}, log)
	if err != nil {
		b.Fatal(err)
	}
	w := &pastWriter{history: h}
	began := time.Now()
	if err := p.Past(ctx, from, from.AddDate(0, 0, days), pastEvery, func(s simulator.Sample) error { return w.add(ctx, s) }); err != nil {
		b.Fatal(err)
	}
	if err := w.flush(ctx); err != nil {
		b.Fatal(err)
	}
	written := time.Since(began)
	began = time.Now()
	if _, err := h.Seal(ctx, plant.At(from.AddDate(1, 0, 0))); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(0, "ns/op") // says nothing here
	b.ReportMetric(float64(w.total), "readings")
	b.ReportMetric(float64(w.total)/written.Seconds(), "written/s")
	b.ReportMetric(float64(w.total)/time.Since(began).Seconds(), "sealed/s")
	if err := h.Close(); err != nil {
		b.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(folder, "history.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	var used, data float64
	if err := db.QueryRow("SELECT (p.page_count - f.freelist_count) * s.page_size FROM pragma_page_count p, pragma_freelist_count f, pragma_page_size s").Scan(&used); err != nil {
		b.Fatal(err)
	}
	if err := db.QueryRow("SELECT sum(length(data)) FROM chunks").Scan(&data); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(used/float64(w.total), "B/reading")
	b.ReportMetric(data/float64(w.total), "B/reading-of-chunks")
}

// pastWriter writes samples to a history as a backlog does.
type pastWriter struct {
	history *sqlite.History
	batches []*plant.Batch
	waiting int
	total   int
}

func (w *pastWriter) add(ctx context.Context, s simulator.Sample) error {
	r := round(s)
	w.batches = append(w.batches, &plant.Batch{Area: "assembly", Gateway: "edge-1", Machine: s.Machine, Readings: r.Readings, Historical: true})
	w.waiting += len(r.Readings)
	w.total += len(r.Readings)
	if w.waiting < 20_000 {
		return nil
	}
	return w.flush(ctx)
}

func (w *pastWriter) flush(ctx context.Context) error {
	err := w.history.Write(ctx, w.batches)
	w.batches, w.waiting = w.batches[:0], 0
	return err
}
