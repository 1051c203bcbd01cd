package main

import (
	"io"
	"log"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"linetwin/connectors/historytest"
)

// faultOptions are what "make faults" is run with; docs/faults.md.
type faultOptions struct {
	full    bool
	rows    *regexp.Regexp
	scale   float64       // of the length of faults
	minutes time.Duration // of all faults at once
	seed    uint64
}

func faultOptionsOf(t *testing.T) faultOptions {
	t.Helper()
	number := func(name string, missing float64) float64 {
		text := os.Getenv(name)
		if text == "" {
			return missing
		}
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || x <= 0 {
			t.Fatalf("%s=%s: want a number above 0", name, text)
		}
		return x
	}
	o := faultOptions{full: os.Getenv("LINETWIN_FAULTS") == "full", scale: number("LINETWIN_FAULTS_SCALE", 1), seed: uint64(number("LINETWIN_FAULTS_SEED", 1))}
	o.minutes = time.Duration(number("LINETWIN_FAULTS_MINUTES", 30*o.scale) * float64(time.Minute))
	var err error
	if o.rows, err = regexp.Compile(os.Getenv("LINETWIN_FAULTS_ROWS")); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestFaults kills and cuts the parts of the chain and holds history against
// what the PLCs have handed out: nothing may be missing, nothing be there
// twice. With LINETWIN_FAULTS=full it runs every row of docs/faults.md and
// prints their table; else a short walk through the most common faults.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("starts an InfluxDB and kills it")
	}
	o := faultOptionsOf(t)
	log.SetOutput(io.Discard) // of the OPC UA server's library
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	influx := historytest.StartInfluxd(t)
	if !o.full {
		shortFaults(t, influx, o)
		return
	}
	table := newFaultTable(t)
	for i, row := range faultRows(o) {
		if !o.rows.MatchString(row.name) {
			continue
		}
		if row.skip != "" {
			table.skipped(row, row.skip)
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			plan := shippedPlan
			if row.plan != nil {
				row.plan(&plan)
			}
			r := newFaultRig(t, influx, plan, rand.New(rand.NewPCG(o.seed, uint64(i))))
			time.Sleep(2 * time.Second)
			row.fault(r)
			result := r.outcome()
			table.add(row, result)
			result.check(t, row)
		})
	}
}

// shippedPlan has the settings as shipped, but for names and addresses.
var shippedPlan = faultPlan{gateways: 2, devices: 3, opcua: true, values: 10, every: 100 * time.Millisecond}

// check holds a row to its promise.
func (o outcome) check(t *testing.T, row faultRow) {
	t.Helper()
	if o.lost > 0 || o.repeated > 0 || o.foreign > 0 {
		t.Errorf("%d of %d readings are lost, %d are in history more than once, %d rows are of nobody", o.lost, o.made, o.repeated, o.foreign)
	}
	if o.astray > 0 {
		t.Errorf("%d rows are more than %v from the time of their look", o.astray, astrayFrom)
	}
	// What was dropped while it was on its way may have arrived all the same.
	if row.drops && (o.dropped == 0 || uint64(o.dropped) > o.reported) {
		t.Errorf("%d readings are not in history and %d are reported as dropped", o.dropped, o.reported)
	}
	if !row.drops && o.reported > 0 {
		t.Errorf("%d readings were dropped", o.reported)
	}
}

// shortFaults has each of the common faults once, in one chain.
func shortFaults(t *testing.T, influx *historytest.Influxd, o faultOptions) {
	random := rand.New(rand.NewPCG(o.seed, 0))
	r := newFaultRig(t, influx, faultPlan{gateways: 2, devices: 2, opcua: true, values: 5, every: 100 * time.Millisecond, keepAlive: 2 * time.Second}, random)
	step := func(name string, fault func()) {
		began := time.Now()
		time.Sleep(r.someTime(0, 200*time.Millisecond))
		fault()
		at := r.live(r.mended)
		t.Logf("%s: pages are current %.1f s after it, %.1f s in all", name, at.Sub(r.mended).Seconds(), time.Since(began).Seconds())
	}
	step("a gateway is killed while its cable is pulled", func() {
		g := r.gateways[0]
		g.cable.pull()
		time.Sleep(500 * time.Millisecond)
		r.killGateway(g, 200*time.Millisecond)
		time.Sleep(500 * time.Millisecond)
		g.cable.plug()
		r.mended = time.Now()
	})
	step("the twin is killed", func() { r.killOther(r.twin, 500*time.Millisecond) })
	step("the broker is killed", func() { r.killOther(r.broker, 500*time.Millisecond) })
	step("InfluxDB answers 500, and forgets to answer", func() {
		r.during(700*time.Millisecond, func() { r.store.mode.Store(storeFails) }, func() { r.store.mode.Store(storeForgets) })
		r.during(700*time.Millisecond, func() {}, func() { r.store.mode.Store(storeWhole) })
	})
	step("InfluxDB is killed", func() { r.killInflux(0) })
	step("a gateway is forgotten on the way, and killed", func() {
		r.gateways[1].cable.forget()
		time.Sleep(500 * time.Millisecond)
		r.killGateway(r.gateways[1], 0)
	})
	began := time.Now()
	result := r.outcome()
	t.Logf("drained and compared in %.1f s", time.Since(began).Seconds())
	t.Logf("%d readings made, %d stored, %d in doubt; longest gap on a page %.1f s", result.made, result.stored, result.doubtful, result.gap.Seconds())
	result.check(t, faultRow{})
	for _, g := range r.gateways {
		for _, p := range g.plcs {
			if looks, _ := p.handedOut(); len(looks) == 0 {
				t.Errorf("nobody read %s", p.machine)
			}
		}
	}
}
