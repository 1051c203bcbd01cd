package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"linetwin/gateway"
	"linetwin/plant"
	"linetwin/simulator"
)

// noise is a machine whose readings do not compress: a full buffer of them is
// made soonest.
type noise struct {
	rnd   *rand.Rand
	names []string
	at    plant.Time
	left  int
	done  *sync.WaitGroup
}

func (s *noise) Next(ctx context.Context, into []plant.Reading) (plant.Round, error) {
	if s.left == 0 {
		s.done.Done()
	}
	if s.left <= 0 {
		s.left--
		<-ctx.Done()
		return plant.Round{}, ctx.Err()
	}
	s.left--
	s.at = s.at.Add(time.Second)
	for _, name := range s.names {
		into = append(into, plant.Reading{Signal: name, Time: s.at, Value: plant.Float(s.rnd.NormFloat64())})
	}
	return plant.Round{Readings: into, Through: s.at}, nil
}

func (s *noise) Status() plant.DeviceStatus { return plant.DeviceStatus{Link: plant.LinkFlowing} }
func (s *noise) Close() error               { return nil }

// firstKept tells when a good live reading came that was made after since, in
// Unix milliseconds.
type firstKept struct {
	*keeper
	since atomic.Int64
	came  chan time.Time
}

func (f *firstKept) Batch(b *plant.Batch) {
	f.keeper.Batch(b)
	if b.Historical || len(b.Readings) == 0 || b.Readings[0].Quality != plant.Good || b.Readings[0].Time.Milli() < f.since.Load() {
		return
	}
	select {
	case f.came <- time.Now():
	default:
	}
}

// BenchmarkFull starts a gateway whose buffer holds a gibibyte, and measures how
// long it takes until its first value is at the host, and the memory that it
// takes: with nobody to send to, and while the backlog drains.
func BenchmarkFull(b *testing.B) {
	for b.Loop() {
		benchFull(b)
	}
}

func benchFull(bench *testing.B) {
	b := &scope{TB: bench}
	defer b.end()
	folder := b.TempDir()
	w := workload{"modbus", 1000, 10, 1, time.Second}
	buffer := filepath.Join(folder, "buffer")
	waits := fullBuffer(b, buffer, 1<<30-16<<20)

	bulk, err := simulator.Bulk(simulator.BulkConfig{Signals: w.signals, Every: w.every / 2, Folder: filepath.Join(folder, "bulk"), NoOPCUA: true})
	if err != nil {
		b.Fatal(err)
	}
	running(b, bulk.Run)
	<-bulk.Ready()
	broker := launchMosquitto(b)
	file := filepath.Join(folder, "gateway.yaml")
	write(b, file, bulkSettings(bulk, folder, broker, w))
	g := launch(b, nil, program(b), "gateway", file)
	calm := residentMost(b, g, 10*time.Second)
	g.end(b, syscall.SIGTERM)

	f := &firstKept{keeper: newKeeper(), came: make(chan time.Time, 1)}
	f.runAs(b, broker, "linetwin", f)
	until(b, "the host is online", f.host.Online)
	began := time.Now()
	f.since.Store(began.UnixMilli())
	g = launch(b, nil, program(b), "gateway", file)
	select {
	case at := <-f.came:
		bench.ReportMetric(float64(at.Sub(began).Milliseconds()), "start-ms")
	case <-time.After(time.Minute):
		b.Fatal("no value within a minute")
	}
	draining := residentMost(b, g, 20*time.Second)
	rate := float64(f.backlogCame()) / time.Since(began).Seconds()
	g.end(b, syscall.SIGTERM)
	bench.ReportMetric(0, "ns/op") // says nothing here
	bench.ReportMetric(float64(waits.BufferBytes)/(1<<20), "backlog-MiB")
	bench.ReportMetric(float64(waits.Waiting)/1e6, "backlog-Mreadings")
	bench.ReportMetric(rate, "drain/s")
	for _, m := range []struct {
		name string
		resident
	}{{"waiting", calm}, {"draining", draining}} {
		bench.ReportMetric(m.all, m.name+"-rss-MB")
		bench.ReportMetric(m.anon, m.name+"-anon-MB")
	}
}

// fullBuffer makes a buffer of about so many bytes.
func fullBuffer(b testing.TB, folder string, bytes int64) (s plant.GatewayStatus) {
	b.Helper()
	cfg := gateway.DefaultConfig()
	cfg.Site, cfg.Area, cfg.Gateway, cfg.Buffer.Folder = "bench", "bench", "edge-1", folder
	var devices []gateway.Device
	for m := range 10 {
		source := &noise{rnd: rand.New(rand.NewPCG(1, uint64(m))), at: plant.Stamp(time.Now()).Add(-48 * time.Hour)}
		d := gateway.Device{Machine: fmt.Sprintf("machine-%d", m), Source: source}
		for i := range 100 {
			name := fmt.Sprintf("noise_%04d", i)
			source.names = append(source.names, name)
			d.Signals = append(d.Signals, plant.Signal{Name: name, Kind: plant.KindFloat})
		}
		devices = append(devices, d)
	}
	for s.BufferBytes < bytes {
		var done sync.WaitGroup
		done.Add(len(devices))
		for _, d := range devices {
			n := d.Source.(*noise)
			n.left, n.done = 400, &done
		}
		g, err := gateway.New(cfg, devices, slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- g.Run(ctx, unheard{}) }()
		done.Wait()
		cancel()
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
		if s = g.Status(); s.Dropped > 0 || s.BufferError != "" {
			b.Fatalf("%d readings were dropped: %s", s.Dropped, s.BufferError)
		}
	}
	return s
}

// resident is memory in MB of 1,000,000 bytes: all, and what is no file's, so
// that the kernel cannot take it back.
type resident struct{ all, anon float64 }

// residentMost gives the most that a process takes in a time.
func residentMost(b testing.TB, c *child, lasts time.Duration) (most resident) {
	b.Helper()
	for end := time.Now().Add(lasts); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
		if err != nil {
			b.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			key, value, _ := strings.Cut(line, ":")
			kib, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			switch mb := kib * 1024 / 1e6; key {
			case "VmRSS":
				most.all = max(most.all, mb)
			case "RssAnon":
				most.anon = max(most.anon, mb)
			}
		}
	}
	return most
}
