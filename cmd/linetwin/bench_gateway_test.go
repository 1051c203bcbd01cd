package main

import (
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"testing"
	"time"

	"linetwin/plant"
	"linetwin/simulator"
)

// workload is what a gateway is asked to read. Machines are spread evenly over
// the servers, in order; those of one server share its connection, as behind
// one PLC.
type workload struct {
	mode     string // modbus, opcua-read or opcua-subscribe
	signals  int
	machines int
	servers  int
	every    time.Duration
}

// BenchmarkGateway runs the gateway on one core (GOMAXPROCS=1). It looks every
// second at 1,000, 10,000 or 100,000 signals, all of which have changed, and
// publishes them over Mosquitto to a host that acknowledges at once.
func BenchmarkGateway(b *testing.B) {
	for _, w := range []workload{
		{"modbus", 1000, 10, 1, time.Second}, {"opcua-read", 1000, 10, 1, time.Second}, {"opcua-subscribe", 1000, 10, 1, time.Second},
		{"modbus", 10_000, 10, 1, time.Second}, {"opcua-read", 10_000, 10, 1, time.Second}, {"opcua-subscribe", 10_000, 10, 1, time.Second},
		{"modbus", 100_000, 100, 1, time.Second},
	} {
		b.Run(fmt.Sprintf("%s/signals=%d", w.mode, w.signals), func(b *testing.B) {
			for b.Loop() {
				benchGateway(b, w).report(b)
			}
		})
	}
}

// BenchmarkGatewayPeak asks more readings a second of the gateway than it or
// the simulated server can do, and tells what arrives.
func BenchmarkGatewayPeak(b *testing.B) {
	for _, w := range []workload{{"modbus", 100_000, 100, 10, 40 * time.Millisecond}, {"opcua-read", 10_000, 10, 1, 10 * time.Millisecond}} {
		b.Run(w.mode, func(b *testing.B) {
			for b.Loop() {
				benchGateway(b, w).report(b)
			}
		})
	}
}

// BenchmarkGatewayOverload measures what arrives where two and a half times as
// much is asked of the gateway as it can do at most.
func BenchmarkGatewayOverload(b *testing.B) {
	for b.Loop() {
		w := workload{"modbus", 100_000, 100, 10, 100 * time.Millisecond}
		calm := benchGateway(b, w) // a million a second
		peak := calm
		for _, w.every = range []time.Duration{60 * time.Millisecond, 40 * time.Millisecond} {
			if f := benchGateway(b, w); f.received > peak.received {
				peak = f
			}
		}
		const factor = 2.5
		w.every = time.Duration(float64(w.signals) / (factor * peak.received) * float64(time.Second)).Round(100 * time.Microsecond)
		over := benchGateway(b, w)
		offered := float64(w.signals) / w.every.Seconds()
		b.ReportMetric(0, "ns/op") // says nothing here
		b.ReportMetric(peak.received, "peak/s")
		b.ReportMetric(offered, "offered/s")
		b.ReportMetric(over.received/peak.received*100, "goodput-%")
		b.ReportMetric(over.rss/calm.rss*100, "rss-%")
		b.ReportMetric(quantile(over.ages, 0.5)/w.every.Seconds()/1000, "age-p50-intervals")
		b.ReportMetric(quantile(over.ages, 0.99)/w.every.Seconds()/1000, "age-p99-intervals")
		b.ReportMetric(over.shed, "shed/s")
		b.ReportMetric((over.read+over.shed)/offered*100, "accounted-%")
	}
}

const (
	warmUp  = 5  // statuses, which come once a second
	samples = 15 // statuses
)

// sample is a gateway at the moment when one of its statuses arrived.
type sample struct {
	status plant.GatewayStatus
	cpu    time.Duration
	rss    float64 // MB
}

// figures are what a run of the gateway gave.
type figures struct {
	cpu            float64 // share of a core
	perMillion     float64 // CPU seconds for a million readings
	rss, most      float64 // MB
	read, received float64 // readings a second: by the gateway, by the host
	shed           float64 // readings a second that the gateway says it left out
	late           uint64  // looks
	ages           []float64
	from           string // what the ages count from
}

// benchGateway leaves nothing running behind it: runs must not add up.
func benchGateway(bench *testing.B, w workload) figures {
	b := &scope{TB: bench}
	defer b.end()
	folder := b.TempDir()
	// A poll finds every signal changed if they change more often than it looks;
	// a subscription hears of each change.
	subscribed := w.mode == "opcua-subscribe"
	change := min(100*time.Millisecond, w.every/2)
	if subscribed {
		change = w.every
	}
	bulk, err := simulator.Bulk(simulator.BulkConfig{Signals: w.signals, Every: change, Folder: filepath.Join(folder, "bulk"), NoOPCUA: w.mode == "modbus", Servers: w.servers})
	if err != nil {
		b.Fatal(err)
	}
	log.SetOutput(io.Discard) // of the OPC UA server's library
	b.Cleanup(func() { log.SetOutput(os.Stderr) })
	running(b, bulk.Run)
	<-bulk.Ready()
	broker := launchMosquitto(b)
	r := &receiver{source: func(string) bool { return subscribed }}
	r.run(b, broker, "linetwin")
	file := filepath.Join(folder, "gateway.yaml")
	write(b, file, bulkSettings(bulk, folder, broker, w))
	g := launch(b, []string{"GOMAXPROCS=1"}, program(b), "gateway", file)

	var all []sample
	flowing := 0
	for deadline := time.After(5 * time.Minute); len(all) < samples; {
		select {
		case s := <-r.statuses:
			if !flows(s, w.machines) && flowing < warmUp {
				continue
			}
			if flowing++; flowing <= warmUp {
				continue
			}
			if len(all) == 0 {
				r.measure(true)
			}
			rss, _ := g.memory(b)
			all = append(all, sample{s, g.cpu(b), rss})
		case <-deadline:
			b.Fatalf("gateway has %d statuses after 5 minutes", flowing)
		}
	}
	r.measure(false)
	return figuresOf(b, g, r, all)
}

// flows tells whether all devices are connected and have been read.
func flows(s plant.GatewayStatus, machines int) bool {
	for _, d := range s.Devices {
		if d.Link != plant.LinkFlowing || d.BadNow > 0 {
			return false
		}
	}
	return len(s.Devices) == machines && s.Read > 0
}

func figuresOf(b testing.TB, g *child, r *receiver, all []sample) figures {
	first, last := all[0], all[len(all)-1]
	read := float64(last.status.Read - first.status.Read)
	if read == 0 {
		b.Fatal("the gateway read nothing")
	}
	seconds := last.status.Time.Sub(first.status.Time).Seconds()
	received, byMachine := r.noted()
	cpu := (last.cpu - first.cpu).Seconds()
	f := figures{cpu: cpu / seconds, perMillion: cpu / read * 1e6, read: read / seconds, received: float64(received) / seconds, from: "read"}
	for _, a := range byMachine {
		f.ages = append(f.ages, a...)
	}
	var rss []float64
	for _, s := range all {
		rss = append(rss, s.rss)
	}
	f.rss = quantile(rss, 0.5)
	for i := range last.status.Devices {
		now, then := &last.status.Devices[i], &first.status.Devices[i]
		f.late += now.Late - then.Late
		f.shed += float64(now.Skipped-then.Skipped) * float64(now.Signals) / seconds
	}
	_, f.most = g.memory(b)
	if r.source("") {
		f.from = "change"
	}
	if s := last.status; s.Dropped > 0 || s.BufferError != "" {
		b.Errorf("gateway dropped %d readings, buffer: %s", s.Dropped, s.BufferError)
	}
	return f
}

func (f figures) report(b *testing.B) {
	b.ReportMetric(0, "ns/op") // says nothing here
	b.ReportMetric(f.perMillion, "cpu-s/Mread")
	b.ReportMetric(f.cpu*100, "cpu-%")
	b.ReportMetric(f.rss, "rss-MB")
	b.ReportMetric(f.most, "rss-peak-MB")
	b.ReportMetric(f.read, "read/s")
	b.ReportMetric(f.received, "received/s")
	b.ReportMetric(quantile(f.ages, 0.5), f.from+"-to-host-p50-ms")
	b.ReportMetric(quantile(f.ages, 0.99), f.from+"-to-host-p99-ms")
	b.ReportMetric(float64(f.late), "late-looks")
}

func bulkSettings(bulk *simulator.BulkPlant, folder, broker string, w workload) map[string]any {
	opcua, _ := bulk.URLs()
	each := w.signals / w.machines
	var devices []any
	for m := range w.machines {
		var list []any
		unit := 0
		for s := range each {
			n := m*each + s
			signal := map[string]any{"name": fmt.Sprintf("value_%04d", s)}
			if w.mode == "modbus" {
				unit, signal["address"] = bulk.Address(n)
				signal["type"] = "uint16"
			} else {
				signal["node"], signal["type"] = bulk.Node(n), "uint32"
			}
			list = append(list, signal)
		}
		device := map[string]any{"machine": fmt.Sprintf("machine-%d", m), "every": w.every.String(), "signals": list}
		switch w.mode {
		case "modbus":
			device["modbus"] = map[string]any{"url": bulk.ModbusURL(m * w.servers / w.machines), "unit": unit}
		case "opcua-read":
			device["opcua"] = map[string]any{"url": opcua, "security": "None"}
		case "opcua-subscribe":
			device["opcua"] = map[string]any{"url": opcua, "security": "None", "mode": "subscribe"}
		}
		devices = append(devices, device)
	}
	return map[string]any{
		"site": "bench", "area": "bench", "gateway": "edge-1", "devices": devices,
		"wire":         map[string]any{"brokers": []string{"tcp://" + broker}},
		"buffer":       map[string]any{"folder": filepath.Join(folder, "buffer")},
		"certificates": filepath.Join(folder, "pki"),
	}
}
