package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"linetwin/connectors/historytest"
	"linetwin/connectors/sqlite"
	"linetwin/gateway"
	"linetwin/plant"
	"linetwin/simulator"
)

// backlogged is the plant of BenchmarkBacklog: 1,000 signals, each of which
// changes each second, of twenty machines in two lines.
func backlogged() workload { return workload{"modbus", 1000, 20, 1, time.Second} }

// backlogHours is how much of it waits.
const backlogHours = 8

// pastSource is a machine that tells what it was in a time that has passed. Its
// first signal is a state in numbers of PackML that seldom changes, its second
// counts pieces, the others wander as measured values do: by a little, each
// second.
type pastSource struct {
	rnd    *rand.Rand
	names  []string
	values []int64
	at     plant.Time
	left   int // rounds until done
	done   *sync.WaitGroup
}

func (s *pastSource) Next(ctx context.Context, into []plant.Reading) (plant.Round, error) {
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
	for i, name := range s.names {
		switch {
		case i == 0 && s.rnd.IntN(60) == 0:
			s.values[i] = []int64{6, 6, 6, 5, 11, 2}[s.rnd.IntN(6)]
		case i == 1:
			s.values[i] = (s.values[i] + 1) % (1 << 16)
		case i > 1:
			s.values[i] = (s.values[i] + []int64{-2, -1, 1, 2}[s.rnd.IntN(4)]) & (1<<16 - 1)
		}
		into = append(into, plant.Reading{Signal: name, Time: s.at, Value: plant.Integer(s.values[i])})
	}
	return plant.Round{Readings: into, Through: s.at}, nil
}

func (s *pastSource) Status() plant.DeviceStatus { return plant.DeviceStatus{Link: plant.LinkFlowing} }
func (s *pastSource) Close() error               { return nil }

// unheard is a wire at whose other end nobody is.
type unheard struct{}

func (unheard) Publish(*plant.Batch) error        { return plant.ErrOffline }
func (unheard) Status(*plant.GatewayStatus) error { return plant.ErrOffline }
func (unheard) Device(plant.DeviceBirth) error    { return plant.ErrOffline }
func (unheard) Online() bool                      { return false }

// waitingIn makes a buffer as it is after so many seconds in which nobody
// stored what the machines of w made, and gives how many readings wait in it
// and how many bytes they take.
func waitingIn(b testing.TB, folder string, w workload, seconds int, from plant.Time) (readings uint64, bytes int64) {
	b.Helper()
	cfg := gateway.DefaultConfig()
	cfg.Site, cfg.Area, cfg.Gateway, cfg.Buffer.Folder = "bench", "bench", "edge-1", folder
	var devices []gateway.Device
	for m := range w.machines {
		s := &pastSource{rnd: rand.New(rand.NewPCG(1, uint64(m))), at: from}
		d := gateway.Device{Machine: fmt.Sprintf("machine-%d", m), Source: s}
		for i := range w.signals / w.machines {
			name := fmt.Sprintf("value_%04d", i)
			s.names, s.values = append(s.names, name), append(s.values, 1000*int64(i)+6)
			d.Signals = append(d.Signals, plant.Signal{Name: name, Kind: plant.KindInteger})
		}
		devices = append(devices, d)
	}
	// A piece at a time, so that memory, which is bounded, takes what the disk
	// has not yet.
	for piece := max(200_000/w.signals, 1); seconds > 0; seconds -= piece {
		s := makePast(b, cfg, devices, min(piece, seconds))
		readings, bytes = s.Waiting, s.BufferBytes
	}
	return readings, bytes
}

// makePast runs a gateway that nobody hears until each machine had its rounds.
func makePast(b testing.TB, cfg gateway.Config, devices []gateway.Device, rounds int) plant.GatewayStatus {
	b.Helper()
	var done sync.WaitGroup
	done.Add(len(devices))
	for _, d := range devices {
		s := d.Source.(*pastSource)
		s.left, s.done = rounds, &done
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
	s := g.Status()
	if s.Dropped > 0 || s.BufferError != "" || s.Waiting < s.Made || s.Made == 0 {
		b.Fatalf("of %d readings %d wait and %d were dropped: %s", s.Made, s.Waiting, s.Dropped, s.BufferError)
	}
	return s
}

// kept is a history that a twin of a benchmark writes to.
type kept struct {
	settings map[string]any
	count    func(b testing.TB, through plant.Time) int // readings up to a time, once the twin has ended
}

func newKept(b testing.TB, kind, folder string) kept {
	if kind == "influxdb" {
		d := historytest.StartInfluxd(b)
		d.CreateDatabase(b, database)
		return kept{map[string]any{"influxdb": map[string]any{"url": d.URL, "database": database, "quarantine": filepath.Join(folder, "quarantine.db")}}, func(b testing.TB, through plant.Time) int {
			return countInflux(b, d.Query(b, database, fmt.Sprintf("SELECT count(*) FROM reading WHERE time <= %dms", through.Milli())))
		}}
	}
	folder = filepath.Join(folder, "history")
	return kept{map[string]any{"embedded": map[string]any{"folder": folder}}, func(b testing.TB, through plant.Time) (n int) {
		h, err := sqlite.OpenHistory(b.Context(), sqlite.HistoryConfig{Folder: folder}, slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		defer h.Close()
		for m := range backlogged().machines {
			minutes, err := h.Counts(b.Context(), fmt.Sprintf("machine-%d", m), plant.Span{From: through.Add(-48 * time.Hour), To: through + 1})
			if err != nil {
				b.Fatal(err)
			}
			for _, m := range minutes {
				n += int(m.Readings)
			}
		}
		return n
	}}
}

// countInflux adds up an answer to SELECT count(*): a column for each field.
func countInflux(b testing.TB, answer string) (n int) {
	b.Helper()
	var a struct {
		Results []struct {
			Series []struct {
				Values [][]any `json:"values"`
			} `json:"series"`
		} `json:"results"`
	}
	if err := json.Unmarshal([]byte(answer), &a); err != nil || len(a.Results) != 1 || len(a.Results[0].Series) != 1 {
		b.Fatalf("%v in %s", err, answer)
	}
	for _, v := range a.Results[0].Series[0].Values[0][1:] {
		f, ok := v.(float64)
		if !ok {
			b.Fatalf("no count: %s", answer)
		}
		n += int(f)
	}
	return n
}

// twinOf writes the settings of a twin of w's machines, with an embedded broker
// unless one is given, and starts it.
func twinOf(b testing.TB, folder string, w workload, history map[string]any, broker map[string]any) (twin *child, api string) {
	b.Helper()
	api = "http://" + freeAddress(b)
	var lines []any
	for l := range 2 {
		var flow []string
		var machines []any
		for m := l * w.machines / 2; m < (l+1)*w.machines/2; m++ {
			id := fmt.Sprintf("machine-%d", m)
			flow = append(flow, id)
			machines = append(machines, map[string]any{
				"id": id, "roles": map[string]any{"state": "value_0000", "good": "value_0001", "speed": "value_0002"},
				"counters": map[string]any{"good": 16},
			})
		}
		lines = append(lines, map[string]any{
			"id": fmt.Sprintf("line-%d", l), "calendar": "always", "flow": flow, "bottleneck": flow[0], "machines": machines, "product": "piece",
		})
	}
	file := filepath.Join(folder, "twin.yaml")
	write(b, file, map[string]any{
		"site": "bench", "zone": "Asia/Shanghai", "broker": broker, "history": history,
		"ledger":    map[string]any{"sqlite": filepath.Join(folder, "ledger.db")},
		"web":       map[string]any{"listen": strings.TrimPrefix(api, "http://")},
		"calendars": map[string]any{"always": map[string]any{"shifts": []any{map[string]any{"name": "all", "start": "06:00", "length": "24h"}}}},
		"products":  []any{map[string]any{"id": "piece", "ideal_cycle": map[string]any{"machine-0": "1s", fmt.Sprintf("machine-%d", w.machines/2): "1s"}}},
		"areas":     []any{map[string]any{"id": "bench", "lines": lines}},
	})
	twin = launch(b, nil, program(b), "twin", file)
	until(b, "the twin serves", func() bool { return get(api+"/api/v1/gateways", &[]any{}) == nil })
	return twin, api
}

// BenchmarkBacklog is the end of an outage of eight hours: 28.8 million readings
// wait on the gateway's disk, and 1,000 more come each second. All are in
// history, once, at the end; meanwhile the twin's lines stay current.
func BenchmarkBacklog(b *testing.B) {
	for _, history := range []string{"sqlite", "influxdb"} {
		b.Run(history, func(b *testing.B) {
			for b.Loop() {
				benchBacklog(b, history)
			}
		})
	}
}

func benchBacklog(bench *testing.B, history string) {
	b := &scope{TB: bench}
	defer b.end()
	folder := b.TempDir()
	w := backlogged()
	seconds := backlogHours * 3600
	if h := os.Getenv("LINETWIN_BENCH_BACKLOG"); h != "" { // a shorter one, to look into
		d, err := time.ParseDuration(h)
		if err != nil {
			b.Fatal(err)
		}
		seconds = int(d.Seconds())
	}
	from := plant.Stamp(time.Now()).Add(-time.Duration(seconds+120) * time.Second)
	through := from.Add(time.Duration(seconds) * time.Second)
	readings, bytes := waitingIn(b, filepath.Join(folder, "buffer"), w, seconds, from)

	bulk, err := simulator.Bulk(simulator.BulkConfig{Signals: w.signals, Every: w.every / 2, Folder: filepath.Join(folder, "bulk"), NoOPCUA: true})
	if err != nil {
		b.Fatal(err)
	}
	running(b, bulk.Run)
	<-bulk.Ready()
	store := newKept(b, history, folder)
	broker := freeAddress(b)
	twin, api := twinOf(b, folder, w, store.settings, map[string]any{"embedded": map[string]any{"listen": broker, "folder": filepath.Join(folder, "broker")}})
	file := filepath.Join(folder, "gateway.yaml")
	write(b, file, bulkSettings(bulk, folder, broker, w))

	began := time.Now()
	g := launch(b, nil, program(b), "gateway", file)
	d := &draining{api: api, gateway: g, twin: twin}
	for waits := true; waits; {
		waits = d.look(b, began, through)
		if time.Since(began) > 20*time.Minute {
			b.Fatal("readings of the backlog wait after 20 minutes")
		}
		time.Sleep(250 * time.Millisecond)
	}
	took := time.Since(began).Seconds()
	cpuGateway, cpuTwin := g.cpu(b).Seconds(), twin.cpu(b).Seconds()
	g.end(b, syscall.SIGTERM)
	twin.end(b, syscall.SIGTERM)
	if n := store.count(b, through); n != int(readings) {
		b.Errorf("history has %d readings of the backlog, want %d", n, readings)
	}
	million := float64(readings) / 1e6
	bench.ReportMetric(0, "ns/op") // says nothing here
	bench.ReportMetric(took, "s")
	bench.ReportMetric(float64(readings)/took, "readings/s")
	bench.ReportMetric(float64(bytes)/float64(readings), "B/reading")
	bench.ReportMetric(cpuGateway/million, "gateway-cpu-s/Mread")
	bench.ReportMetric(cpuTwin/million, "twin-cpu-s/Mread")
	d.report(bench)
}

// draining is what is seen of a backlog that drains.
type draining struct {
	api           string
	gateway, twin *child
	since         time.Time // lines were current for the first time
	ages          []float64 // of the lines' data, ms
	rss, twinRSS  []float64 // MB
}

// look tells whether readings from before a time still wait, and notes how old
// what the twin's lines show is, and how much memory all takes.
func (d *draining) look(b testing.TB, began time.Time, through plant.Time) (waits bool) {
	b.Helper()
	var lines []struct {
		Age *int64 `json:"data_age_ms"`
	}
	var gateways []struct {
		Stored  uint64     `json:"stored"`
		Waiting uint64     `json:"waiting"`
		Oldest  plant.Time `json:"oldest_waiting"`
	}
	if err := get(d.api+"/api/v1/lines", &lines); err != nil {
		b.Fatal(err)
	}
	if err := get(d.api+"/api/v1/gateways", &gateways); err != nil {
		b.Fatal(err)
	}
	oldest := int64(0)
	for _, l := range lines {
		if l.Age == nil {
			oldest = 1 << 40
		} else {
			oldest = max(oldest, *l.Age)
		}
	}
	if d.since.IsZero() && oldest < 2000 {
		d.since = time.Now()
	}
	if !d.since.IsZero() {
		d.ages = append(d.ages, float64(oldest))
	}
	now, _ := d.gateway.memory(b)
	d.rss = append(d.rss, now)
	now, _ = d.twin.memory(b)
	d.twinRSS = append(d.twinRSS, now)
	if os.Getenv("LINETWIN_BENCH_BACKLOG") != "" && len(d.ages)%8 == 1 {
		b.Logf("%.1f s: %v, age %d ms, RSS %.0f and %.0f MB, cpu %.1f %.1f", time.Since(began).Seconds(), gateways, oldest, d.rss[len(d.rss)-1], now, d.gateway.cpu(b).Seconds(), d.twin.cpu(b).Seconds())
	}
	return len(gateways) == 0 || gateways[0].Stored == 0 || gateways[0].Oldest != 0 && gateways[0].Oldest <= through
}

func (d *draining) report(b *testing.B) {
	b.ReportMetric(quantile(d.ages, 0.5), "live-age-p50-ms")
	b.ReportMetric(quantile(d.ages, 1), "live-age-max-ms")
	for name, rss := range map[string][]float64{"gateway": d.rss, "twin": d.twinRSS} {
		b.ReportMetric(quantile(rss, 1), name+"-rss-max-MB")
		// Flat: the last quarter needs no more than the second.
		n := len(rss) / 4
		b.ReportMetric(quantile(rss[3*n:], 0.5)/quantile(rss[n:2*n], 0.5), name+"-rss-growth")
	}
}
