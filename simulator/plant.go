package simulator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config says which plant to simulate and where it listens.
type Config struct {
	Seed  uint64  `yaml:"seed"`
	Speed float64 `yaml:"speed"` // times faster than the clock; default 1
	// OPCUA is where the OPC UA server listens (default 127.0.0.1:4840), Modbus
	// where the first of five Modbus servers does (default 127.0.0.1:5020), the
	// others on the ports after it. Port 0 takes any free ones. Loopback only:
	// the servers check neither users nor certificates.
	OPCUA  string   `yaml:"opcua"`
	Modbus string   `yaml:"modbus"`
	Lines  []string `yaml:"lines"` // default: all
	// Continuous leaves out the shift calendar: work goes on around the clock,
	// without breaks.
	Continuous bool   `yaml:"continuous"`
	Folder     string `yaml:"folder"` // keeps the OPC UA server's certificate and key
	// Anchor is where the model begins. The same seed and anchor give the same
	// plant. Default: when Run starts.
	Anchor time.Time    `yaml:"-"`
	Log    *slog.Logger `yaml:"-"`
}

// Check fills the defaults in and tells everything that is wrong.
func (c *Config) Check() error {
	if c.Speed == 0 {
		c.Speed = 1
	}
	if c.OPCUA == "" {
		c.OPCUA = "127.0.0.1:4840"
	}
	if c.Modbus == "" {
		c.Modbus = "127.0.0.1:5020"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	var errs []error
	if !(c.Speed >= 0.1 && c.Speed <= 10_000) {
		errs = append(errs, fmt.Errorf("speed: found %v, allowed: 0.1 to 10000", c.Speed))
	}
	if c.Folder == "" {
		errs = append(errs, errors.New("folder: missing, allowed: a folder for the OPC UA certificate"))
	}
	for key, address := range map[string]string{"opcua": c.OPCUA, "modbus": c.Modbus} {
		if err := checkLoopback(address); err != nil {
			errs = append(errs, fmt.Errorf("%s: found %q, allowed: %w", key, address, err))
		}
	}
	plans := linePlans()
	for i, id := range c.Lines {
		if !slices.ContainsFunc(plans, func(p linePlan) bool { return p.id == id }) {
			errs = append(errs, fmt.Errorf("lines[%d]: found %q, allowed: mcb-a, mcb-b", i, id))
		}
	}
	return errors.Join(errs...)
}

func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("host:port")
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errors.New("a loopback address")
	}
	return nil
}

// plans gives the lines that are simulated.
func (c *Config) plans() []linePlan {
	return slices.DeleteFunc(linePlans(), func(p linePlan) bool {
		return len(c.Lines) > 0 && !slices.Contains(c.Lines, p.id)
	})
}

// Plant is a simulated plant with its protocol servers.
type Plant struct {
	cfg         Config
	certificate identity
	ready       chan struct{}
	modbus      []*modbusServer
	opcua       *opcuaServer

	mu       sync.Mutex // guards what follows
	model    *model
	start    time.Time // when process time and the wall clock part by speed
	machines map[string]*machine
}

// machine is a station as it is served.
type machine struct {
	*station
	overrides [slots]*override
	stalled   chan struct{} // closed on resume; nil: serves
	mode      string
	stalledAt time.Time
	revision  uint32 // changes with what is forced
	frozen    *[slots]override
}

// override replaces what a signal serves.
type override struct {
	value Value
	at    time.Time
}

// New makes a plant; it reads or makes the server's certificate and binds
// nothing.
func New(cfg Config) (*Plant, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	if cfg.Anchor.IsZero() {
		cfg.Anchor = time.Now()
	}
	id, err := loadIdentity(cfg.Folder)
	if err != nil {
		return nil, err
	}
	p := &Plant{cfg: cfg, certificate: id, ready: make(chan struct{}), machines: map[string]*machine{}}
	p.model = cfg.model()
	for _, s := range p.model.stations {
		p.machines[s.id] = &machine{station: s}
	}
	p.modbus = p.modbusServers()
	p.opcua = newOPCUAServer(p)
	return p, nil
}

// model makes the process as it stands at the anchor.
func (c *Config) model() *model {
	calendar := newCalendar(c.Anchor.UnixMilli())
	if c.Continuous {
		calendar = newEndless(c.Anchor.UnixMilli())
	}
	return newModelBy(calendar, c.Seed, c.plans())
}

// Ready is closed once all servers listen and serve live values.
func (p *Plant) Ready() <-chan struct{} { return p.ready }

// Certificate gives the OPC UA server's certificate, DER.
func (p *Plant) Certificate() []byte { return slices.Clone(p.certificate.der) }

// Start gives the time up to which the past reaches and from which the servers
// tell the present; zero before Ready.
func (p *Plant) Start() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.start
}

// Run lets the plant run from its anchor to now as fast as it can, then serves
// it until ctx ends. It runs once.
func (p *Plant) Run(ctx context.Context) error {
	began := time.Now()
	if !p.catchUp(ctx) {
		return nil
	}
	p.cfg.Log.Info("plant caught up with the clock", "anchor", p.cfg.Anchor, "took", time.Since(began))
	defer p.resumeAll()
	for _, s := range p.modbus {
		if err := s.listen(); err != nil {
			p.closeModbus()
			return err
		}
	}
	defer p.closeModbus()
	group, ctx := errgroup.WithContext(ctx)
	if err := p.opcua.open(); err != nil {
		return err
	}
	group.Go(func() error { return p.opcua.run(ctx) })
	for _, e := range p.Endpoints() {
		p.cfg.Log.Info("simulated controller listens", "name", e.Name, "url", e.URL)
	}
	close(p.ready)
	return group.Wait()
}

// catchUp runs the model to now, in steps, unless ctx ends before.
func (p *Plant) catchUp(ctx context.Context) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for now := time.Now().UnixMilli(); ; now = time.Now().UnixMilli() {
		if ctx.Err() != nil {
			return false
		}
		if step := p.model.now + dayMS/4; step < now {
			p.model.advance(step)
			continue
		}
		p.model.advance(now)
		p.start = time.UnixMilli(p.model.now)
		p.model.goLive(p.model.now, p.cfg.Speed)
		p.model.ledger.live = true
		return true
	}
}

// sync brings the model to the present. The caller holds mu.
func (p *Plant) sync() {
	if p.start.IsZero() {
		return
	}
	p.model.advance(p.process(time.Now()))
}

// process gives the process time of a wall time, in ms.
func (p *Plant) process(wall time.Time) int64 {
	return p.model.calendar.start + int64(math.Floor(wall.Sub(p.start).Seconds()*1000*p.cfg.Speed))
}

// wall gives the wall time of a process time in ms.
func (p *Plant) wall(process int64) time.Time {
	if c := &p.model.calendar; process > c.start && c.speed != 1 {
		return p.start.Add(time.Duration(float64(process-c.start) * 1e6 / c.speed))
	}
	return time.UnixMilli(process)
}

// serve gives what a machine's signal serves now and since when. The caller
// holds mu.
func (p *Plant) serve(m *machine, i slot) (Value, time.Time) {
	if m.frozen != nil {
		return m.frozen[i].value, m.frozen[i].at
	}
	if o := m.overrides[i]; o != nil {
		return o.value, o.at
	}
	c := &m.cells[i]
	return m.value(i), p.wall(c.at)
}

// value gives a slot's value as the process has it.
func (s *station) value(i slot) Value {
	c := &s.cells[i]
	switch s.kindOf(i) {
	case Float:
		return Value{Kind: Float, Float: c.f}
	case Text:
		return Value{Kind: Text, Text: productPlans()[c.n].ID}
	}
	if i == slotProduct {
		return Value{Kind: Integer, Integer: productPlans()[c.n].Code}
	}
	return Value{Kind: Integer, Integer: c.n}
}

// Endpoint is a server of the plant.
type Endpoint struct {
	Name     string   `json:"name"` // "opcua", "modbus-1" to "modbus-5"
	URL      string   `json:"url"`
	Machines []string `json:"machines"`
}

// Endpoints gives the plant's servers, with the addresses as configured before
// Ready and as bound after.
func (p *Plant) Endpoints() []Endpoint {
	opc := Endpoint{Name: "opcua", URL: p.opcua.url()}
	for _, s := range p.model.stations {
		if s.protocol == opcUA {
			opc.Machines = append(opc.Machines, s.id)
		}
	}
	all := []Endpoint{opc}
	for _, s := range p.modbus {
		e := Endpoint{Name: s.name, URL: s.url()}
		for _, m := range s.units {
			e.Machines = append(e.Machines, m.id)
		}
		slices.Sort(e.Machines)
		all = append(all, e)
	}
	return all
}

// Describe gives all that a client can know of the plant.
func (p *Plant) Describe() Description {
	d := Description{Shifts: Shifts(), States: States()}
	for _, q := range productPlans() {
		d.Products = append(d.Products, Product(q))
	}
	urls := map[string]string{}
	for _, e := range p.Endpoints() {
		for _, m := range e.Machines {
			urls[m] = e.URL
		}
	}
	for _, l := range p.model.lines {
		line := Line{ID: l.id, En: l.en, Zh: l.zh, Bottleneck: l.stations[l.bottleneck].id}
		for _, q := range l.products {
			line.Products = append(line.Products, productPlans()[q].ID)
		}
		for _, s := range l.stations {
			line.Machines = append(line.Machines, s.id)
			d.Machines = append(d.Machines, p.describe(s, urls[s.id]))
		}
		d.Lines = append(d.Lines, line)
	}
	return d
}

func (p *Plant) describe(s *station, url string) Machine {
	m := Machine{ID: s.id, En: s.en, Zh: s.zh, Line: s.line.id, Protocol: "opcua", URL: url, Unit: s.unit, Resets: s.resets, Cycles: map[string]time.Duration{}}
	if s.protocol == modbusTCP {
		m.Protocol = "modbus"
	}
	q := s.measure
	m.Measure = Characteristic{Signal: q.signal, En: q.en, Zh: q.zh, Unit: q.unit, LSL: limit(q.lsl), USL: limit(q.usl)}
	for _, i := range s.line.products {
		m.Cycles[productPlans()[i].ID] = time.Duration(float64(s.cycle[i]) * 1e6 / p.cfg.Speed)
	}
	for i := range slots {
		if s.signalOf(i) != "" {
			m.Signals = append(m.Signals, s.signal(i))
		}
	}
	return m
}

func limit(x float64) *float64 {
	if math.IsNaN(x) {
		return nil
	}
	return &x
}

// names gives the ids of the plant's machines for error texts.
func (p *Plant) names() string {
	var names []string
	for _, s := range p.model.stations {
		names = append(names, s.id)
	}
	return strings.Join(names, ", ")
}
