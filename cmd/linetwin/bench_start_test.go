package main

import (
	"io"
	"log"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"linetwin/plant"
	"linetwin/simulator"
)

// firstBatch is a host that tells when a good reading came that was made after
// since, in Unix milliseconds.
type firstBatch struct {
	receiver
	since atomic.Int64
	came  chan time.Time
}

func (f *firstBatch) Batch(b *plant.Batch) {
	now := time.Now()
	f.receiver.Batch(b)
	if len(b.Readings) == 0 || b.Readings[0].Quality != plant.Good || b.Readings[0].Time.Milli() < f.since.Load() {
		return
	}
	select {
	case f.came <- now:
	default:
	}
}

// starts is how often BenchmarkStart starts a gateway.
const starts = 20

// BenchmarkStart tells how long it takes from the start of the gateway's
// process until its first value is at the host over Mosquitto. Buffer and
// certificates are there from the start before, as after a restart of the box.
func BenchmarkStart(b *testing.B) {
	for _, mode := range []string{"modbus", "opcua-read"} {
		b.Run(mode, func(b *testing.B) {
			for b.Loop() {
				benchStart(b, mode)
			}
		})
	}
}

func benchStart(b *testing.B, mode string) {
	folder := b.TempDir()
	bulk, err := simulator.Bulk(simulator.BulkConfig{Signals: 100, Every: 20 * time.Millisecond, Folder: filepath.Join(folder, "bulk")})
	if err != nil {
		b.Fatal(err)
	}
	log.SetOutput(io.Discard) // of the OPC UA server's library
	b.Cleanup(func() { log.SetOutput(os.Stderr) })
	running(b, bulk.Run)
	<-bulk.Ready()
	broker := launchMosquitto(b)
	f := &firstBatch{came: make(chan time.Time, 1)}
	f.runAs(b, broker, "linetwin", f)
	until(b, "the host is online", f.host.Online)
	file := filepath.Join(folder, "gateway.yaml")
	write(b, file, bulkSettings(bulk, folder, broker, workload{mode, 100, 10, 1, time.Second}))
	path := program(b)
	var took []float64
	for n := range starts + 1 {
		began := time.Now()
		f.since.Store(began.UnixMilli())
		g := launch(b, nil, path, "gateway", file)
		select {
		case at := <-f.came:
			if n > 0 { // the first start makes files
				took = append(took, float64(at.Sub(began).Microseconds())/1000)
			}
		case <-time.After(time.Minute):
			b.Fatal("no value within a minute")
		}
		f.since.Store(math.MaxInt64)
		g.end(b, syscall.SIGTERM)
		for len(f.came) > 0 {
			<-f.came
		}
	}
	b.ReportMetric(0, "ns/op") // says nothing here
	b.ReportMetric(quantile(took, 0.5), "start-p50-ms")
	b.ReportMetric(quantile(took, 1), "start-max-ms")
}
