package main

import (
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"linetwin/connectors/sparkplug"
	"linetwin/plant"
)

// wireWatch tells of a twin's connection to its broker.
type wireWatch struct {
	host atomic.Pointer[sparkplug.Host] // nil until the wire is up
}

func (w *wireWatch) follow(host *sparkplug.Host) { w.host.Store(host) }

// notice gives what IT should know of the connection; text is "" while all is
// well.
func (w *wireWatch) notice() (kind, text string, count uint64) {
	host := w.host.Load()
	if host == nil {
		return "broker", "", 0
	}
	s := host.Wire()
	if err := host.Err(); err != nil {
		return "broker", err.Error(), s.Faults
	}
	return "broker", strings.Join(s.Notes, "; "), max(s.Faults, 1)
}

// ready adds to what keeps a twin from its work that its broker is away.
func (w *wireWatch) ready(model func() (bool, []string)) func() (bool, []string) {
	return func() (bool, []string) {
		ok, why := model()
		if host := w.host.Load(); host != nil {
			if err := host.Err(); err != nil {
				return false, append([]string{"broker: " + err.Error()}, why...)
			}
		}
		return ok, why
	}
}

// collect gives the figures of the twin's connection and of the certificates
// that it and its gateways' connections rest on.
func (w *wireWatch) collect(ch chan<- prometheus.Metric, gateways []plant.GatewayLive) {
	ends := desc("wire_certificate_not_after_timestamp_seconds", "end of a certificate that a connection to a broker rests on, Unix time; the twin's own without area and gateway", "area", "gateway", "of", "subject")
	tell := func(area, gateway string, s *plant.WireStatus) {
		seen := map[plant.Certificate]bool{}
		for _, c := range s.Certificates {
			if key := (plant.Certificate{Of: c.Of, Subject: c.Subject}); !seen[key] {
				seen[key] = true
				ch <- prometheus.MustNewConstMetric(ends, prometheus.GaugeValue, float64(c.NotAfter.Milli())/1000, area, gateway, c.Of, c.Subject)
			}
		}
	}
	for i := range gateways {
		if g := &gateways[i]; g.Wire != nil {
			tell(g.Area, g.Gateway, g.Wire)
		}
	}
	host := w.host.Load()
	if host == nil {
		return
	}
	s := host.Wire()
	tell("", "", s)
	ch <- prometheus.MustNewConstMetric(desc("wire_online", "1 while the twin is connected to its broker"), prometheus.GaugeValue, one(host.Online()))
	ch <- prometheus.MustNewConstMetric(desc("wire_faults_total", "failed attempts to reach the broker, and connections lost"), prometheus.CounterValue, float64(s.Faults))
}
