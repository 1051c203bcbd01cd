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

// bulkMachines is how many machines the signals of BenchmarkGateway are spread
// over; all share one server, as behind one PLC.
const bulkMachines = 10

// BenchmarkGateway runs the gateway on one core (GOMAXPROCS=1). It looks every
// second at 1,000 or 10,000 signals, all of which have changed, and publishes
// them over Mosquitto to a host that acknowledges at once.
func BenchmarkGateway(b *testing.B) {
	for _, signals := range []int{1000, 10_000} {
		for _, mode := range []string{"modbus", "opcua-read", "opcua-subscribe"} {
			b.Run(fmt.Sprintf("%s/signals=%d", mode, signals), func(b *testing.B) {
				for b.Loop() {
					benchGateway(b, mode, signals, time.Second)
				}
			})
		}
	}
}

// BenchmarkGatewayPeak asks a million readings a second of the gateway, which
// is more than it or the simulated server can do, and tells what arrives.
func BenchmarkGatewayPeak(b *testing.B) {
	for _, mode := range []string{"modbus", "opcua-read"} {
		b.Run(mode, func(b *testing.B) {
			for b.Loop() {
				benchGateway(b, mode, 10_000, 10*time.Millisecond)
			}
		})
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

func benchGateway(b *testing.B, mode string, signals int, every time.Duration) {
	folder := b.TempDir()
	// A poll finds every signal changed if they change more often than it looks;
	// a subscription hears of each change.
	subscribed := mode == "opcua-subscribe"
	change := min(100*time.Millisecond, every/2)
	if subscribed {
		change = every
	}
	bulk, err := simulator.Bulk(simulator.BulkConfig{Signals: signals, Every: change, Folder: filepath.Join(folder, "bulk")})
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
	write(b, file, bulkSettings(bulk, folder, broker, mode, signals, every))
	g := launch(b, []string{"GOMAXPROCS=1"}, program(b), "gateway", file)

	var all []sample
	flowing := 0
	for deadline := time.After(5 * time.Minute); len(all) < samples; {
		select {
		case s := <-r.statuses:
			if !flows(s) && flowing < warmUp {
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
	report(b, g, r, all)
}

// flows tells whether all devices are connected and have been read.
func flows(s plant.GatewayStatus) bool {
	for _, d := range s.Devices {
		if d.Link != plant.LinkFlowing || d.BadNow > 0 {
			return false
		}
	}
	return len(s.Devices) == bulkMachines && s.Read > 0
}

func report(b *testing.B, g *child, r *receiver, all []sample) {
	first, last := all[0], all[len(all)-1]
	read := float64(last.status.Read - first.status.Read)
	if read == 0 {
		b.Fatal("the gateway read nothing")
	}
	seconds := last.status.Time.Sub(first.status.Time).Seconds()
	received, byMachine := r.noted()
	var ages, rss []float64
	for _, a := range byMachine {
		ages = append(ages, a...)
	}
	for _, s := range all {
		rss = append(rss, s.rss)
	}
	late := uint64(0)
	for i := range last.status.Devices {
		late += last.status.Devices[i].Late - first.status.Devices[i].Late
	}
	_, most := g.memory(b)
	cpu := (last.cpu - first.cpu).Seconds()
	b.ReportMetric(0, "ns/op") // says nothing here
	b.ReportMetric(cpu/read*1e6, "cpu-s/Mread")
	b.ReportMetric(cpu/seconds*100, "cpu-%")
	b.ReportMetric(quantile(rss, 0.5), "rss-MB")
	b.ReportMetric(most, "rss-peak-MB")
	b.ReportMetric(read/seconds, "read/s")
	b.ReportMetric(float64(received)/seconds, "received/s")
	from := "read"
	if r.source("") {
		from = "change"
	}
	b.ReportMetric(quantile(ages, 0.5), from+"-to-host-p50-ms")
	b.ReportMetric(quantile(ages, 0.99), from+"-to-host-p99-ms")
	b.ReportMetric(float64(late), "late-looks")
	if s := last.status; s.Dropped > 0 || s.BufferError != "" {
		b.Errorf("gateway dropped %d readings, buffer: %s", s.Dropped, s.BufferError)
	}
}

func bulkSettings(bulk *simulator.BulkPlant, folder, broker, mode string, signals int, every time.Duration) map[string]any {
	opcua, modbus := bulk.URLs()
	each := signals / bulkMachines
	var devices []any
	for m := range bulkMachines {
		var list []any
		for s := range each {
			n := m*each + s
			signal := map[string]any{"name": fmt.Sprintf("value_%04d", s)}
			if mode == "modbus" {
				signal["address"], signal["type"] = bulk.Address(n), "uint16"
			} else {
				signal["node"], signal["type"] = bulk.Node(n), "uint32"
			}
			list = append(list, signal)
		}
		device := map[string]any{"machine": fmt.Sprintf("machine-%d", m), "every": every.String(), "signals": list}
		switch mode {
		case "modbus":
			device["modbus"] = map[string]any{"url": modbus, "unit": 1}
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
