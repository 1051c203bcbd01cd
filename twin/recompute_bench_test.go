package twin_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"time"

	"linetwin/connectors/sqlite"
	"linetwin/plant"
	"linetwin/twin"
)

// The lines of benchmarks have ten machines whose counters move every 3.15 s, which
// is about 100 million readings a year.
const (
	benchMachines = 10
	benchStep     = 3150 * time.Millisecond
)

// benchLines is a site of lines of ten machines.
func benchLines(b *testing.B, lines int) twin.Config {
	cfg := siteConfig(b)
	area := &cfg.Areas[0]
	model := area.Lines[0]
	area.Lines = nil
	cfg.Products = cfg.Products[:1]
	cfg.Products[0].IdealCycle = map[string]time.Duration{}
	for n := range lines {
		l := model
		l.ID, l.Machines, l.Flow = fmt.Sprintf("line%d", n), nil, nil
		for i := range benchMachines {
			id := benchMachine(n, i)
			l.Flow = append(l.Flow, id)
			l.Machines = append(l.Machines, twin.MachineConfig{ID: id, Roles: map[plant.Role]string{plant.RoleState: "state", plant.RoleGood: "good", plant.RoleReject: "reject"}})
			cfg.Products[0].IdealCycle[id] = 3 * time.Second
		}
		l.Bottleneck = benchMachine(n, 5)
		area.Lines = append(area.Lines, l)
	}
	if faults := cfg.Check(); len(faults) > 0 {
		b.Fatal(faults)
	}
	return cfg
}

func benchMachine(line, i int) string { return fmt.Sprintf("l%dm%d", line, i) }

// benchHour is what a machine tells in an hour.
func benchHour(id string, hour int) *plant.Batch {
	from := begin.Add(time.Duration(hour) * time.Hour)
	b := &plant.Batch{Area: area, Gateway: gatewayID, Machine: id, Complete: plant.Span{From: from, To: from.Add(time.Hour)}}
	put := func(at plant.Time, signal string, v int64) {
		b.Readings = append(b.Readings, plant.Reading{Machine: id, Signal: signal, Time: at.Floor(time.Millisecond), Value: plant.Integer(v)})
	}
	for at := from; at < from.Add(time.Hour); at = at.Add(benchStep) {
		n := int64(at.Sub(begin) / benchStep)
		put(at, "good", n)
		if n%40 == 0 {
			put(at, "state", []int64{6, 6, 6, 6, 5, 6, 11, 6}[n/40%8])
		}
		if n%100 == 0 {
			put(at, "reject", n/100)
		}
	}
	return b
}

// BenchmarkRecompute makes the shifts of a line of ten machines anew from the
// embedded history: of 2 days, or of LINETWIN_RECOMPUTE_DAYS.
func BenchmarkRecompute(b *testing.B) {
	days := 2
	if n, err := strconv.Atoi(os.Getenv("LINETWIN_RECOMPUTE_DAYS")); err == nil {
		days = n
	}
	ctx, dir := context.Background(), b.TempDir()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	history := sqlite.HistoryConfig{Folder: dir, Sync: "normal"}
	history.Check()
	h, err := sqlite.OpenHistory(ctx, history, log)
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	ledger, err := sqlite.OpenLedger(ctx, dir+"/ledger.db")
	if err != nil {
		b.Fatal(err)
	}
	defer ledger.Close()
	readings := benchHistory(b, h, days)
	cfg := benchLines(b, 1)
	span := plant.Span{From: begin, To: begin.Add(time.Duration(days) * 24 * time.Hour)}
	model, err := twin.New(cfg, twin.Options{History: h, Ledger: ledger, Log: log, Clock: func() time.Time { return span.To.Add(20 * 24 * time.Hour).Std() }})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- model.Run(ctx, nobody{}) }()
	defer func() { cancel(); <-ended }()
	b.ResetTimer()
	for range b.N {
		effects, err := model.Recompute(ctx, plant.Recompute{Span: span, By: "bench", Dry: true})
		if err != nil || len(effects) != 3*days {
			b.Fatalf("%d shifts, %v", len(effects), err)
		}
	}
	rate := float64(b.N) * float64(readings) / b.Elapsed().Seconds()
	b.ReportMetric(rate, "readings/s")
	b.ReportMetric(100e6/rate, "s/year")
}

type nobody struct{}

func (nobody) Acknowledge(plant.Acknowledgement) error { return nil }

// benchHistory writes days of a line's readings, an hour a batch.
func benchHistory(b *testing.B, h *sqlite.History, days int) (readings int) {
	for hour := range days*24 + 1 {
		var batches []*plant.Batch
		for m := range benchMachines {
			batch := benchHour(benchMachine(0, m), hour)
			batch.Line = "line0"
			readings += len(batch.Readings)
			batches = append(batches, batch)
		}
		if err := h.Write(context.Background(), batches); err != nil {
			b.Fatal(err)
		}
		if hour%12 == 0 { // as the store does by itself while it runs
			if _, err := h.Seal(context.Background(), begin.Add(time.Duration(hour)*time.Hour)); err != nil {
				b.Fatal(err)
			}
		}
	}
	return readings
}
