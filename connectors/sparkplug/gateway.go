package sparkplug

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"time"

	"linetwin/plant"
)

// Words of the host's own in a gateway's queue.
const (
	kindLost kind = 100 + iota // our connection is over
	kindUp                     // we are connected (again)
)

// message is one message for a gateway's goroutine.
type message struct {
	kind    kind
	device  string
	payload []byte
	session uint64 // of our connection
	lost    uint32 // DATA messages of the gateway that were dropped before this one
	seq     uint8  // known once the message is read
}

// gateway is what a Host knows of one edge node. One goroutine, run, handles
// its messages in order.
type gateway struct {
	host     *Host
	area     string
	name     string
	commands string // NCMD topic
	log      *slog.Logger
	queue    chan message
	lost     atomic.Uint32 // DATA messages dropped
	ack      pendingAck    // Host.mu guards it

	// The rest belongs to run.
	alive   bool   // NBIRTH came, and no death since
	was     bool   // it was alive when our connection was lost
	over    uint64 // the last of our connections that is over
	bdSeq   uint64
	hasBd   bool
	waits   int // certificates to come before the birth is told
	birth   plant.GatewayBirth
	index   map[string]int // of birth.Devices, by machine
	devices map[string]*device
	scratch payload
	arrivals
	asked  time.Time // when a rebirth was last asked for
	pause  time.Duration
	lives  lives // the processes that were born under this name
	logged [len(kindNames)]bool
}

func newGateway(h *Host, area, name string) *gateway {
	return &gateway{
		host: h, area: area, name: name,
		commands: topic{kind: kindNCmd, area: area, gateway: name}.String(),
		log:      h.log.With("area", area, "gateway", name),
		queue:    make(chan message, h.cfg.Queue+2*reserve),
		arrivals: arrivals{timer: stopped()},
	}
}

// stopped gives a timer that does not run.
func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// enqueue never blocks: what does not fit is dropped and counted. Places are
// kept for births and deaths, and more for words of our own.
func (g *gateway) enqueue(m message) {
	limit, data := g.host.cfg.Queue, m.kind == kindNData || m.kind == kindDData
	if !data {
		limit += reserve
	}
	n := int64(len(m.payload))
	full := len(g.queue) >= limit || data && g.host.queued.Load()+n > int64(g.host.cfg.QueueBytes)
	if m.kind < kindLost && full {
		g.drop(data)
		return
	}
	m.lost = g.lost.Load()
	g.host.queued.Add(n)
	select {
	case g.queue <- m:
	default:
		g.host.queued.Add(-n)
		g.drop(data)
	}
}

func (g *gateway) drop(data bool) {
	g.host.counts.dropped.Add(1)
	if data {
		g.lost.Add(1)
	}
}

func (g *gateway) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-g.queue:
			g.host.queued.Add(-int64(len(m.payload)))
			g.take(m)
		case <-g.timer.C:
			g.giveUp()
		}
	}
}

// take handles one message.
func (g *gateway) take(m message) {
	switch {
	case m.kind == kindLost:
		g.was, g.over = g.alive, m.session
		g.die()
		return
	case m.session <= g.over:
		return // came late from the connection that is over
	case m.kind == kindUp:
		if g.was && !g.alive {
			g.askRebirth("we were away")
		}
		g.was = false
		return
	}
	p := &g.scratch
	if err := p.read(m.payload); err != nil {
		g.foreign(m.kind, err)
		return
	}
	switch m.kind {
	case kindNBirth:
		g.bornAgain(m, p)
	case kindNDeath:
		g.nodeDeath(p)
	default:
		if !g.alive {
			g.host.counts.unborn.Add(1)
			g.askRebirth(m.kind.String() + " before NBIRTH")
			return
		}
		g.arrive(m, p)
	}
}

// bornAgain ends the session before, and begins the one of a birth with what
// overtook it.
func (g *gateway) bornAgain(m message, p *payload) {
	early := g.early(p)
	g.skip()
	g.told = m.lost
	g.expect(uint8(p.seq) + 1)
	g.nodeBirth(p)
	for _, m := range early {
		if err := p.read(m.payload); err == nil {
			g.arrive(m, p)
		}
	}
}

// living handles what a living gateway says of itself and its devices.
func (g *gateway) living(m message, p *payload) {
	switch m.kind {
	case kindDBirth:
		g.deviceBirth(m.device, p)
	case kindDDeath:
		g.deviceDeath(m.device, p)
	case kindNData:
		g.flush()
		g.nodeData(p)
	case kindDData:
		g.flush()
		d := g.devices[m.device]
		if d == nil {
			g.host.counts.unborn.Add(1)
			g.askRebirth("DDATA before DBIRTH of " + m.device)
			return
		}
		if !d.birth.Online && !g.ours() { // taken all the same: nothing is lost
			g.host.counts.unborn.Add(1)
			g.askRebirth("DDATA after DDEATH of " + m.device)
		}
		g.deviceData(d, p)
	}
}

// foreign counts a message on our topics that is no Sparkplug.
func (g *gateway) foreign(k kind, err error) {
	g.host.counts.foreign[k].Add(1)
	if !g.logged[k] {
		g.logged[k] = true
		g.log.Warn("foreign message on our topic", "type", k.String(), "error", err)
	}
}

// ours tells whether the gateway is one of ours, which numbers its batches and
// awaits acknowledgements.
func (g *gateway) ours() bool { return g.birth.Session != "" }

// nodeBirth begins a session of the edge node (Sparkplug B 3.0, 6.4.20).
func (g *gateway) nodeBirth(p *payload) {
	d := newDevice(g.name)
	d.birth.Since = p.at()
	birth := plant.GatewayBirth{Area: g.area, Gateway: g.name, Time: p.at()}
	g.waits, g.hasBd = 0, false
	for i := range p.metrics {
		m := &p.metrics[i]
		switch string(m.name) {
		case metricBdSeq:
			g.bdSeq, g.hasBd = m.bits, m.field == metricFieldLong || m.field == metricFieldInt
		case metricSession:
			birth.Session = valid(string(m.bytes))
		case metricFirst:
			birth.First = m.bits
		case metricVersion:
			birth.Version = valid(string(m.bytes))
		case metricCertificates:
			g.waits = int(min(m.bits, maxMetrics))
		default:
			m.identify(&birth.Identity)
		}
	}
	crowded := g.introduce(&birth)
	g.host.counts.births.Add(1)
	g.birth, g.devices, g.index = birth, map[string]*device{}, map[string]int{}
	g.alive, g.was, g.logged = true, false, [len(kindNames)]bool{}
	if !crowded {
		g.pause = 0
	}
	g.host.begin(g, birth.Session)
	if g.ours() {
		g.status(p)
		if g.waits == 0 {
			g.tell()
		}
		return
	}
	g.waits = 0
	g.learn(d, p)
	if len(d.birth.Signals) > 0 { // an edge node with signals of its own
		g.devices[""] = d
		g.list(d)
	}
	g.tell()
	g.birthValues(d, p)
}

// begin makes acknowledgements of a session find their gateway.
func (h *Host) begin(g *gateway, session string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s, o := range h.sessions {
		if o == g && s != session {
			delete(h.sessions, s)
		}
	}
	if session != "" {
		h.sessions[session] = g
	}
}

// nodeDeath takes NDEATH, unless it is of another session than the one that
// was born last: wills come late (6.4.23).
func (g *gateway) nodeDeath(p *payload) {
	for i := range p.metrics {
		m := &p.metrics[i]
		if g.alive && string(m.name) == metricBdSeq && g.hasBd && m.bits != g.bdSeq {
			g.host.counts.staleDeath.Add(1)
			return
		}
	}
	g.die()
}

func (g *gateway) die() {
	if !g.alive {
		return
	}
	g.skip()
	g.flush()
	g.alive = false
	g.host.counts.deaths.Add(1)
	g.host.sink.Death(g.area, g.name, plant.Stamp(time.Now()))
}

func (g *gateway) deviceBirth(name string, p *payload) {
	if !g.own(p) {
		g.host.counts.strays.Add(1)
		g.askRebirth("DBIRTH of another process under this name")
		return
	}
	d := newDevice(name)
	g.learn(d, p)
	d.birth.Online, d.birth.Since = true, p.at()
	g.devices[name] = d
	if g.ours() {
		d.birth.Last = d.last(p)
	}
	g.list(d)
	g.certificate()
	if !g.ours() {
		g.birthValues(d, p)
	}
}

// deviceDeath takes DDEATH: the device is away since then, by the edge node's
// clock (5.7).
func (g *gateway) deviceDeath(name string, p *payload) {
	if d := g.devices[name]; d != nil {
		d.birth.Online, d.birth.Since = false, p.at()
		if i, ok := g.index[name]; ok {
			g.birth.Devices[i].Online, g.birth.Devices[i].Since = false, d.birth.Since
		}
	}
	g.certificate()
}

// list puts a device into the birth that is told to the sink.
func (g *gateway) list(d *device) {
	i, ok := g.index[d.birth.Machine]
	if !ok {
		i = len(g.birth.Devices)
		g.index[d.birth.Machine] = i
		g.birth.Devices = append(g.birth.Devices, plant.DeviceBirth{})
	}
	g.birth.Devices[i] = d.birth
}

// certificate counts one certificate that came; the birth is told when all
// have, and each later one by itself.
func (g *gateway) certificate() {
	if g.waits > 0 {
		g.waits--
	}
	if g.waits == 0 {
		g.tell()
	}
}

// flush tells a birth of which certificates are missing: data has begun.
func (g *gateway) flush() {
	if g.waits > 0 {
		g.waits = 0
		g.tell()
	}
}

func (g *gateway) tell() {
	b := g.birth
	b.Devices = append([]plant.DeviceBirth(nil), g.birth.Devices...)
	for i := range g.birth.Devices {
		g.birth.Devices[i].Last = nil
	}
	g.host.sink.Birth(b)
}

// nodeData is a gateway's account of itself, or signals of a foreign edge
// node's own.
func (g *gateway) nodeData(p *payload) {
	if g.ours() {
		g.answerTime(p)
		g.status(p)
		g.reports(p)
	} else if d := g.devices[""]; d != nil {
		g.deviceData(d, p)
	}
}

func (g *gateway) status(p *payload) {
	for i := range p.metrics {
		m := &p.metrics[i]
		if string(m.name) != metricStatus || m.null {
			continue
		}
		var s plant.GatewayStatus
		if err := json.Unmarshal(m.bytes, &s); err != nil {
			g.foreign(kindNData, err)
			continue
		}
		s.Area, s.Gateway = g.area, g.name
		if s.Time != 0 { // a birth without an account has none
			g.host.sink.Status(s)
		}
	}
}

// A rebirth is asked for at most every rebirthFirst, and less and less often
// while none comes.
const (
	rebirthFirst = 2 * time.Second
	rebirthLast  = time.Minute
)

func (g *gateway) askRebirth(why string) {
	t := time.Now()
	if t.Sub(g.asked) < g.pause {
		return
	}
	if err := g.host.command(g, appendRebirth(nil, now())); err != nil {
		return // offline: everything is born again when we are back
	}
	if g.pause == 0 {
		g.log.Info("rebirth asked for", "why", why)
	}
	g.asked, g.pause = t, min(max(2*g.pause, rebirthFirst), rebirthLast)
	g.host.counts.rebirths.Add(1)
}
