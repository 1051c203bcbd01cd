package twin_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"linetwin/connectors/historytest"
	"linetwin/connectors/influx"
	"linetwin/connectors/sqlite"
	"linetwin/plant"
	"linetwin/twin"
)

// lateness is an Acknowledger that notes when batches were acknowledged.
type lateness struct {
	mu      sync.Mutex
	sent    map[uint64]time.Time // live batches
	worst   time.Duration
	through uint64
}

func (l *lateness) Acknowledge(a plant.Acknowledgement) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.through = a.Through
	for n, at := range l.sent {
		for _, r := range append(a.Beyond, plant.Range{First: 1, Last: a.Through}) {
			if r.First <= n && n <= r.Last {
				l.worst = max(l.worst, time.Since(at))
				delete(l.sent, n)
				break
			}
		}
	}
	return nil
}

// BenchmarkBacklog brings eight hours of 1,000 signals a second (as many
// seconds of them as BACKLOG_SECONDS says, 600 without it) through a twin into
// a real store, beside live data of the same signals.
func BenchmarkBacklog(b *testing.B) {
	seconds := 600
	if s, err := strconv.Atoi(os.Getenv("BACKLOG_SECONDS")); err == nil {
		seconds = s
	}
	b.Run("sqlite", func(b *testing.B) {
		h, err := sqlite.OpenHistory(b.Context(), sqlite.HistoryConfig{Folder: b.TempDir()}, slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		defer h.Close()
		backlog(b, h, seconds)
	})
	b.Run("influxdb", func(b *testing.B) {
		d := historytest.StartInfluxd(b)
		d.CreateDatabase(b, "backlog")
		h, err := influx.Open(influx.Config{URL: d.URL, Database: "backlog"}, slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		defer h.Close()
		backlog(b, h, seconds)
	})
}

const machinesEach, signalsOfEach = 20, 50

// second makes what the machines were in one second.
func second(at plant.Time, first uint64, historical bool) []*plant.Batch {
	batches := make([]*plant.Batch, machinesEach)
	for m := range batches {
		machine := fmt.Sprintf("machine-%02d", m)
		batch := &plant.Batch{Area: area, Gateway: gatewayID, Machine: machine, Sequence: first + uint64(m), Historical: historical,
			Complete: plant.Span{From: at.Add(-time.Second), To: at}, Readings: make([]plant.Reading, signalsOfEach)}
		for s := range batch.Readings {
			batch.Readings[s] = plant.Reading{Machine: machine, Signal: signalNames[s], Time: at, Value: plant.Float(float64(s) + float64(first)/7)}
		}
		batches[m] = batch
	}
	return batches
}

var signalNames = func() (names [signalsOfEach]string) {
	for i := range names {
		names[i] = fmt.Sprintf("signal-%02d", i)
	}
	return names
}()

func backlog(b *testing.B, h twin.History, seconds int) {
	ledger, err := sqlite.OpenLedger(b.Context(), filepath.Join(b.TempDir(), "ledger.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer ledger.Close()
	model, err := twin.New(siteConfig(b), twin.Options{History: h, Ledger: ledger, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	acks := &lateness{sent: map[uint64]time.Time{}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- model.Run(ctx, acks) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}()
	model.Birth(plant.GatewayBirth{Area: area, Gateway: gatewayID, Session: "s", First: 1})
	last := uint64(seconds * machinesEach)
	for b.Loop() {
		began, cpu := time.Now(), cpuTime(b)
		from, live, next := plant.Stamp(began).Add(-8*time.Hour), last+1, began
		for n := uint64(0); ; {
			if time.Now().After(next) {
				next = next.Add(time.Second)
				for _, batch := range second(plant.Stamp(time.Now()), live, false) {
					acks.mu.Lock()
					acks.sent[batch.Sequence] = time.Now()
					acks.mu.Unlock()
					model.Batch(batch)
				}
				live += machinesEach
			}
			if n < last && model.History().Backlog.Waiting < 64*512 { // a gateway's window
				for _, batch := range second(from.Add(time.Duration(n)*time.Second/machinesEach), n+1, true) {
					model.Batch(batch)
				}
				n += machinesEach
				continue
			}
			acks.mu.Lock()
			done := acks.through >= last
			acks.mu.Unlock()
			if done {
				break
			}
			time.Sleep(time.Millisecond)
		}
		b.ReportMetric((cpuTime(b)-cpu).Seconds()*1000/float64(seconds), "CPU-s/million")
		b.ReportMetric(float64(seconds)*1000/time.Since(began).Seconds(), "readings/s")
	}
	acks.mu.Lock()
	b.ReportMetric(acks.worst.Seconds(), "s-live-late")
	acks.mu.Unlock()
	b.ReportMetric(float64(model.History().Backlog.WriteMax), "readings/write-max")
}

// cpuTime is what this process has used of all cores: client and twin, and the
// store where it is embedded.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
