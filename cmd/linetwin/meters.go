package main

import (
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"linetwin/connectors/sparkplug"
	"linetwin/connectors/sqlite"
	"linetwin/plant"
)

// meters shows a twin's figures to Prometheus. They are taken from the same
// snapshot as the pages, so both agree.
type meters struct {
	live liveTwin

	quarantined func() int64
	retained    func() sqlite.Retained // nil: no embedded history
	wire        *wireWatch

	mu   sync.Mutex
	host func() sparkplug.Stats // nil until the wire is up
}

// listen takes the wire's counts from now on.
func (m *meters) listen(host func() sparkplug.Stats) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.host = host
}

func (m *meters) hostStats() func() sparkplug.Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.host
}

func newMeters() *meters { return &meters{quarantined: func() int64 { return 0 }} }

// liveTwin is what is read of a model.
type liveTwin interface {
	Snapshot() plant.Snapshot
	History() plant.HistoryLive
}

// handler serves the figures of a model.
func (m *meters) handler(live liveTwin, wire *wireWatch) http.Handler {
	m.live, m.wire = live, wire
	r := prometheus.NewRegistry()
	r.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("linetwin_"+name, help, labels, nil)
}

type meterDescs struct {
	oee, coverage, good, reject, lineAge           *prometheus.Desc
	made, stored, waiting, dropped, online, buffer *prometheus.Desc
	deviceUp, deviceAge, deviceSkipped, alerts     *prometheus.Desc
	deviceEvery, deviceLook                        *prometheus.Desc
	batches, readings, gaps, refused               *prometheus.Desc
	quarantined                                    *prometheus.Desc
	clock, clockBound, clockSteps, clockSet        *prometheus.Desc
	deviceClock                                    *prometheus.Desc
	rivals, shared                                 *prometheus.Desc
	history                                        historyDescs
}

func descs() meterDescs {
	return meterDescs{
		oee:           desc("line_oee_ratio", "OEE of the running shift", "line"),
		coverage:      desc("line_coverage_ratio", "share of planned time that is known, running shift", "line"),
		good:          desc("line_good_pieces", "good pieces of the running shift", "line"),
		reject:        desc("line_reject_pieces", "rejected pieces of the running shift", "line"),
		lineAge:       desc("line_data_age_seconds", "age of the newest complete data", "line"),
		made:          desc("gateway_readings_made_total", "readings made, after the deadband", "area", "gateway"),
		stored:        desc("gateway_readings_stored_total", "readings that history has acknowledged", "area", "gateway"),
		waiting:       desc("gateway_readings_waiting", "readings in the buffer", "area", "gateway"),
		dropped:       desc("gateway_readings_dropped_total", "readings dropped from the buffer", "area", "gateway"),
		online:        desc("gateway_online", "1 while the gateway is connected", "area", "gateway"),
		buffer:        desc("gateway_buffer_bytes", "bytes in the buffer", "area", "gateway"),
		rivals:        desc("gateway_rivals", "1 while two processes speak under the gateway's name", "area", "gateway"),
		shared:        desc("gateway_machines_shared", "machines of which another gateway tells too", "area", "gateway"),
		deviceUp:      desc("device_flowing", "1 while data of the device flows", "area", "gateway", "machine"),
		deviceAge:     desc("device_data_age_seconds", "age of the device's data, as far as the twin knows", "area", "gateway", "machine"),
		deviceSkipped: desc("device_looks_skipped_total", "looks left out because an earlier one had not ended: that often each signal was not read", "area", "gateway", "machine"),
		deviceEvery:   desc("device_every_seconds", "interval at which the device is to be looked at", "area", "gateway", "machine"),
		deviceLook:    desc("device_look_seconds", "how long the last look took, with its wait for others on the line", "area", "gateway", "machine"),
		clock:         desc("gateway_clock_offset_seconds", "the gateway's time minus the twin's", "area", "gateway"),
		clockBound:    desc("gateway_clock_bound_seconds", "how far that may be wrong, where the gateway has measured it", "area", "gateway"),
		clockSteps:    desc("gateway_clock_steps_total", "how often the system's clock was set", "area", "gateway"),
		clockSet:      desc("gateway_clock_set", "1 while the system's clock is the gateway's time", "area", "gateway"),
		deviceClock:   desc("device_clock_offset_seconds", "the device's clock minus the gateway's time", "area", "gateway", "machine"),
		alerts:        desc("alerts_open", "open alerts", "severity"),
		batches:       desc("wire_batches_total", "batches received"),
		readings:      desc("wire_readings_total", "readings received"),
		gaps:          desc("wire_gaps_total", "messages missing by sequence number"),
		refused:       desc("wire_refused_total", "messages dropped or not understood", "reason"),
		quarantined:   desc("history_quarantined_total", "readings that history refused and set aside"),
		history:       newHistoryDescs(),
	}
}

// Describe implements prometheus.Collector.
func (m *meters) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector.
func (m *meters) Collect(ch chan<- prometheus.Metric) {
	d, s := descs(), m.live.Snapshot()
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	count := func(desc *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(v), labels...)
	}
	for _, l := range s.Lines {
		if l.OEE != nil {
			gauge(d.oee, *l.OEE, l.ID)
		}
		if l.Figures.Coverage != nil {
			gauge(d.coverage, *l.Figures.Coverage, l.ID)
		}
		gauge(d.good, float64(l.Good), l.ID)
		gauge(d.reject, float64(l.Reject), l.ID)
		if l.DataAgeMs != nil {
			gauge(d.lineAge, float64(*l.DataAgeMs)/1000, l.ID)
		}
	}
	for _, g := range s.Gateways {
		count(d.made, g.Made, g.Area, g.Gateway)
		count(d.stored, g.Stored, g.Area, g.Gateway)
		gauge(d.waiting, float64(g.Waiting), g.Area, g.Gateway)
		count(d.dropped, g.Dropped, g.Area, g.Gateway)
		gauge(d.online, one(g.Online), g.Area, g.Gateway)
		gauge(d.buffer, float64(g.BufferBytes), g.Area, g.Gateway)
		if g.ClockMs != nil {
			gauge(d.clock, float64(*g.ClockMs)/1000, g.Area, g.Gateway)
		}
		if c := g.Clock; c != nil {
			gauge(d.clockSet, one(c.State == plant.ClockSet), g.Area, g.Gateway)
			count(d.clockSteps, c.Steps, g.Area, g.Gateway)
			if c.OffsetMs != nil {
				gauge(d.clockBound, float64(c.BoundMs)/1000, g.Area, g.Gateway)
			}
		}
		gauge(d.rivals, one(g.Rivals != nil), g.Area, g.Gateway)
		gauge(d.shared, float64(len(g.Shared)), g.Area, g.Gateway)
		for _, dev := range g.Devices {
			if dev.ClockMs != nil {
				gauge(d.deviceClock, float64(*dev.ClockMs)/1000, g.Area, g.Gateway, dev.Machine)
			}
			gauge(d.deviceUp, one(g.Online && dev.Link == plant.LinkFlowing), g.Area, g.Gateway, dev.Machine)
			gauge(d.deviceEvery, float64(dev.EveryMs)/1000, g.Area, g.Gateway, dev.Machine)
			gauge(d.deviceLook, float64(dev.RoundMs)/1000, g.Area, g.Gateway, dev.Machine)
			count(d.deviceSkipped, dev.Skipped, g.Area, g.Gateway, dev.Machine)
			if dev.LastData != 0 {
				gauge(d.deviceAge, max(0, s.Time.Sub(dev.LastData)).Seconds(), g.Area, g.Gateway, dev.Machine)
			}
		}
	}
	open := map[plant.Severity]int{plant.SeverityHigh: 0, plant.SeverityMedium: 0, plant.SeverityLow: 0}
	for _, a := range s.Alerts {
		open[a.Severity]++
	}
	for severity, n := range open {
		gauge(d.alerts, float64(n), string(severity))
	}
	count(d.quarantined, uint64(m.quarantined()))
	m.wire.collect(ch, s.Gateways)
	d.history.collect(m.live.History(), gauge, count)
	if m.retained != nil {
		d.history.retained(m.retained(), gauge, count)
	}
	host := m.hostStats()
	if host == nil {
		return
	}
	h := host()
	count(d.batches, h.Batches)
	count(d.readings, h.Readings)
	count(d.gaps, h.Gaps)
	count(d.refused, h.Dropped, "queue_full")
	count(d.refused, h.Unborn, "unborn")
	count(d.refused, h.Unresolved, "unresolved")
	for kind, n := range h.Foreign {
		count(d.refused, n, "foreign_"+kind)
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
