package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"linetwin/connectors/historytest"
	"linetwin/plant"
)

// faultPlan says what a rig is made of.
type faultPlan struct {
	gateways, devices, values int
	opcua                     bool // the last device of each gateway speaks OPC UA, that of every second one by subscription
	every                     time.Duration
	noise                     bool
	keepAlive                 time.Duration  // of MQTT; 0: as shipped
	buffer                    map[string]any // settings beside the folder
	persistent                bool           // the broker keeps its state on disk
	direct                    bool           // no proxy between gateways, twin and broker
	window                    time.Duration  // what was read so long before a power cut may be lost
	clockJump                 time.Duration  // the furthest that a gateway's clock is moved

	bufferFolder func(r *faultRig, gateway string) string            // nil: in the rig's folder
	broker       func(r *faultRig, mosquitto string) (listen string) // nil: a process on loopback
}

// faultRig is the chain as it is installed, from PLCs to history, with a fault
// proxy in every connection: counting PLCs, gateways, Mosquitto, the twin,
// InfluxDB, and pages that are open.
type faultRig struct {
	t      *testing.T
	plan   faultPlan
	random *rand.Rand
	dir    string

	influx    *historytest.Influxd
	database  string
	store     *storeFront // before InfluxDB
	broker    *process
	brokerAt  string
	twinCable *cable // from the twin to the broker
	twin      *process
	api       string
	gateways  []*rigGateway
	pages     []*openPage

	started time.Time
	began   time.Time   // when data flowed to every page
	mended  time.Time   // when the last fault ended
	cuts    []time.Time // of the power
}

// rigGateway is a gateway with its PLCs and its way to the broker.
type rigGateway struct {
	name   string
	folder string // of its buffer
	proc   *process
	cable  *cable
	plcs   []*countingPLC
}

const faultArea = "rig"

// newFaultRig starts everything, and waits until data flows to every page.
func newFaultRig(t *testing.T, influx *historytest.Influxd, plan faultPlan, random *rand.Rand) *faultRig {
	t.Helper()
	r := &faultRig{t: t, plan: plan, random: random, dir: t.TempDir(), influx: influx, started: time.Now()}
	r.database = fmt.Sprintf("rig_%d", time.Now().UnixNano())
	influx.CreateDatabase(t, r.database)
	r.store = newStoreFront(t, influx.URL)
	r.startBroker()
	r.twinCable = newCable(t, r.brokerAt)
	r.api = "http://" + freePort(t)
	for i := range plan.gateways {
		g := &rigGateway{name: fmt.Sprintf("edge-%d", i+1), cable: newCable(t, r.brokerAt)}
		g.folder = filepath.Join(r.dir, g.name)
		if plan.bufferFolder != nil {
			g.folder = plan.bufferFolder(r, g.name)
		}
		for j := range plan.devices {
			name := fmt.Sprintf("m-%d-%d", i+1, j+1)
			if plan.opcua && j == plan.devices-1 && i%2 == 1 {
				g.plcs = append(g.plcs, newSubscribedOPCUA(t, name, plan.values, plan.every))
				continue
			}
			if plan.opcua && j == plan.devices-1 {
				g.plcs = append(g.plcs, newCountingOPCUA(t, name, plan.values))
				continue
			}
			g.plcs = append(g.plcs, newCountingPLC(t, name, plan.values, plan.noise))
		}
		write(t, filepath.Join(r.dir, g.name+".yaml"), r.gatewaySettings(g))
		r.gateways = append(r.gateways, g)
	}
	write(t, filepath.Join(r.dir, "twin.yaml"), r.twinSettings())
	path := program(t)
	r.twin = spawn(t, "twin", path, "twin", filepath.Join(r.dir, "twin.yaml"))
	for _, g := range r.gateways {
		g.proc = spawn(t, g.name, path, "gateway", filepath.Join(r.dir, g.name+".yaml"))
		r.pages = append(r.pages, newOpenPage(t, r.api, g.plcs[0]))
	}
	r.live(r.started)
	r.began, r.mended = time.Now(), time.Now()
	return r
}

func (r *faultRig) startBroker() {
	r.t.Helper()
	mosquitto, err := exec.LookPath("mosquitto")
	if err != nil {
		if mosquitto = "/usr/sbin/mosquitto"; !executable(mosquitto) {
			r.t.Skip("no mosquitto found: apt-get install mosquitto")
		}
	}
	if r.plan.broker != nil {
		r.brokerAt = r.plan.broker(r, mosquitto)
		r.listens()
		return
	}
	r.brokerAt = freePort(r.t)
	_, port, _ := net.SplitHostPort(r.brokerAt)
	r.broker = spawn(r.t, "mosquitto", mosquitto, "-c", r.brokerSettings(port, "127.0.0.1"))
	r.listens()
}

// brokerSettings writes Mosquitto's settings, and gives the file.
func (r *faultRig) brokerSettings(port, host string) string {
	text := fmt.Sprintf("listener %s %s\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\n", port, host)
	if r.plan.persistent {
		text += fmt.Sprintf("persistence true\npersistence_location %s/\nuser root\n", r.dir)
	}
	file := filepath.Join(r.dir, "mosquitto.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return file
}

func (r *faultRig) listens() {
	r.t.Helper()
	until(r.t, "mosquitto listens", func() bool {
		c, err := net.Dial("tcp", r.brokerAt)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func valueName(i int) string { return fmt.Sprintf("value_%02d", i) }

func (r *faultRig) gatewaySettings(g *rigGateway) map[string]any {
	var devices []any
	for _, p := range g.plcs {
		devices = append(devices, p.settings(r.plan.every))
	}
	buffer := map[string]any{"folder": g.folder}
	for k, v := range r.plan.buffer {
		buffer[k] = v
	}
	return map[string]any{
		"site": "rig", "area": faultArea, "gateway": g.name, "devices": devices, "buffer": buffer,
		"wire": r.connection(g.cable), "certificates": filepath.Join(r.dir, g.name+"-pki"),
	}
}

// connection gives the settings of a way to the broker.
func (r *faultRig) connection(through *cable) map[string]any {
	address := through.address()
	if r.plan.direct {
		address = r.brokerAt
	}
	c := map[string]any{"brokers": []string{"tcp://" + address}}
	if r.plan.keepAlive > 0 {
		c["keep_alive"] = r.plan.keepAlive.String()
	}
	return c
}

func (r *faultRig) twinSettings() map[string]any {
	var machines []any
	var flow []string
	for _, g := range r.gateways {
		for _, p := range g.plcs {
			flow = append(flow, p.machine)
			machines = append(machines, map[string]any{"id": p.machine, "roles": map[string]string{}})
		}
	}
	return map[string]any{
		"site": "rig", "zone": "Asia/Shanghai", "broker": r.connection(r.twinCable),
		"history":   map[string]any{"influxdb": map[string]any{"url": r.store.address, "database": r.database, "quarantine": filepath.Join(r.dir, "quarantine.db")}},
		"ledger":    map[string]any{"sqlite": filepath.Join(r.dir, "ledger.db")},
		"web":       map[string]any{"listen": strings.TrimPrefix(r.api, "http://")},
		"calendars": map[string]any{"all": map[string]any{"shifts": []any{map[string]any{"name": "all", "start": "00:00", "length": "24h"}}}},
		"areas": []any{map[string]any{"id": faultArea, "lines": []any{map[string]any{
			"id": "line", "calendar": "all", "flow": flow, "bottleneck": flow[0], "machines": machines,
		}}}},
	}
}

// kill ends a gateway without warning and starts it again after a pause.
func (r *faultRig) killGateway(g *rigGateway, away time.Duration) {
	r.stopGateway(g, syscall.SIGKILL)
	time.Sleep(away)
	g.proc.start()
	r.mended = time.Now()
}

// stopGateway ends a gateway, and notes which answers of its PLCs nobody may
// have taken.
func (r *faultRig) stopGateway(g *rigGateway, sig syscall.Signal) {
	g.proc.end(sig)
	for _, p := range g.plcs {
		p.readerDied()
	}
}

// killOther ends a process of the server's side and starts it again.
func (r *faultRig) killOther(p *process, away time.Duration) {
	p.end(syscall.SIGKILL)
	time.Sleep(away)
	p.start()
	r.mended = time.Now()
}

func (r *faultRig) killInflux(away time.Duration) {
	r.influx.Stop(r.t)
	time.Sleep(away)
	r.influx.Start(r.t)
	r.mended = time.Now()
}

// during has a fault for some time.
func (r *faultRig) during(d time.Duration, begin, end func()) {
	begin()
	time.Sleep(d)
	end()
	r.mended = time.Now()
}

// someTime gives a random time from least to most.
func (r *faultRig) someTime(least, most time.Duration) time.Duration {
	return least + time.Duration(r.random.Int64N(int64(most-least)+1))
}

// each does something with every gateway's cable, and that of the twin.
func (r *faultRig) each(do func(*cable)) {
	for _, g := range r.gateways {
		do(g.cable)
	}
	do(r.twinCable)
}

// live waits until every page shows what was read after a time, and gives when
// the last of them did.
func (r *faultRig) live(after time.Time) time.Time {
	r.t.Helper()
	var last time.Time
	for _, p := range r.pages {
		r.wait("the page of "+p.plc.machine+" is current", func() bool {
			at, ok := p.shows(after)
			if ok && at.After(last) {
				last = at
			}
			return ok
		})
	}
	return last
}

// wait waits for longer than anything of the chain pauses.
func (r *faultRig) wait(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(10 * time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("still not: %s", what)
		}
	}
}

func (r *faultRig) status() map[string]plant.GatewayLive {
	var all []plant.GatewayLive
	if get(r.api+"/api/v1/gateways", &all) != nil {
		return nil
	}
	by := map[string]plant.GatewayLive{}
	for _, g := range all {
		by[g.Gateway] = g
	}
	return by
}

// current waits until history lags no more than what is read in two seconds,
// for every gateway, and gives when that was.
func (r *faultRig) current() time.Time {
	r.t.Helper()
	most := uint64(2*time.Second/r.plan.every) * uint64(r.plan.devices*r.plan.values)
	r.wait("history is current", func() bool { return r.waiting(r.mended) <= most })
	return time.Now()
}

// waiting gives the most that a gateway says waits, in what it said after a
// time; beyond all while one has said nothing.
func (r *faultRig) waiting(after time.Time) uint64 {
	most, all := uint64(0), r.status()
	for _, g := range r.gateways {
		s, ok := all[g.name]
		if !ok || !s.Online || s.LastSeen.Std().Before(after) {
			return 1 << 62
		}
		most = max(most, s.Waiting)
	}
	return most
}

// drain has the PLCs say nothing more and waits until nothing waits.
func (r *faultRig) drain() {
	r.t.Helper()
	for _, g := range r.gateways {
		for _, p := range g.plcs {
			p.rest()
		}
	}
	// Two statuses later whatever was read has been counted.
	asked := time.Now().Add(2500 * time.Millisecond)
	r.wait("nothing waits", func() bool { return r.waiting(asked) == 0 })
}
