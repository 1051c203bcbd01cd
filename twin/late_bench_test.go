package twin_test

import (
	"context"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"linetwin/connectors/sqlite"
	"linetwin/plant"
	"linetwin/twin"
)

// benchTwin is a running twin on embedded stores that knows so many hours of
// such lines, to the minute before now.
type benchTwin struct {
	*twin.Twin
	now plant.Time
}

func newBenchTwin(b *testing.B, lines, hours int) *benchTwin {
	dir := b.TempDir()
	history := sqlite.HistoryConfig{Folder: dir, Sync: "normal"}
	history.Check()
	h, err := sqlite.OpenHistory(b.Context(), history, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	ledger, err := sqlite.OpenLedger(b.Context(), dir+"/ledger.db")
	if err != nil {
		b.Fatal(err)
	}
	t := &benchTwin{now: begin.Add(time.Duration(hours) * time.Hour)}
	t.Twin, err = twin.New(benchLines(b, lines), twin.Options{History: h, Ledger: ledger, Log: slog.New(slog.DiscardHandler), Clock: func() time.Time { return t.now.Std() }})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- t.Run(ctx, nobody{}) }()
	b.Cleanup(func() {
		cancel()
		<-ended
		h.Close()
		ledger.Close()
	})
	for hour := range hours {
		for n := range lines {
			for i := range benchMachines {
				t.Batch(benchHour(benchMachine(n, i), hour))
			}
		}
		for t.History().Live.Waiting > 50_000 {
			time.Sleep(time.Millisecond)
		}
	}
	return t
}

// BenchmarkLate is how long it takes from a late reading of yesterday's shift,
// a stop that nobody knew of, until that shift's figures have it and browsers
// are told to ask for them.
func BenchmarkLate(b *testing.B) {
	t := newBenchTwin(b, 1, 48)
	shift := plant.Span{From: begin.Add(16 * time.Hour), To: begin.Add(24 * time.Hour)}
	stood := func() float64 {
		f, err := t.Figures(b.Context(), "line0", shift, "shift")
		if err != nil || len(f) == 0 {
			b.Fatal(f, err)
		}
		return f[0].Losses.SmallStop
	}
	restatings := func() int64 { return t.Snapshot().Lines[0].Restatings }
	time.Sleep(25 * time.Second) // what starting leaves to fold, and the rest after it
	changes, done := t.Subscribe()
	defer done()
	var worst time.Duration
	b.ResetTimer()
	for i := range b.N {
		b.StopTimer()
		time.Sleep(5 * time.Second) // the loop rests after each folding
		for len(changes) > 0 {
			<-changes
		}
		before, seen := stood(), restatings()
		at := begin.Add(time.Duration(58+i)*320*benchStep + 20*time.Second) // it runs there
		began := time.Now()
		b.StartTimer()
		t.Batch(&plant.Batch{Area: area, Gateway: gatewayID, Machine: benchMachine(0, 5), Historical: true, Complete: plant.Span{From: at, To: at},
			Readings: []plant.Reading{{Machine: benchMachine(0, 5), Signal: "state", Time: at, Value: plant.Integer(11)}}})
		for done := false; !done; {
			c := <-changes
			done = c.Line != nil && c.Line.Restatings > seen && stood() > before
		}
		worst = max(worst, time.Since(began))
	}
	b.ReportMetric(float64(worst.Milliseconds()), "ms-worst")
}

// BenchmarkMemory is what a twin holds for a line of ten machines whose last
// eight days it knows.
func BenchmarkMemory(b *testing.B) {
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	const days, few, more = 8, 1, 3
	var held [2]float64
	for i, lines := range []int{few, more} {
		before := heap()
		t := newBenchTwin(b, lines, days*24)
		for t.History().Live.Waiting > 0 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Minute) // the ledger takes what waits for it
		held[i] = heap() - before
		runtime.KeepAlive(t)
	}
	b.ReportMetric((held[1]-held[0])/float64(more-few)/1e6, "MB/line")
}
