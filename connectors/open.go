package connectors

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"linetwin/connectors/modbus"
	"linetwin/connectors/opcua"
	"linetwin/plant"
)

// Options are what a gateway's devices share.
type Options struct {
	// Log gets changes: a device is read, lost, read again. nil for none.
	Log *slog.Logger
	// PKI holds the certificates for OPC UA; nil where no device needs any.
	PKI *opcua.PKI
	// Backoff says how long a lost device is left alone.
	Backoff Backoff
	// Demotion says how a unit is treated that is dead on a line where others
	// answer.
	Demotion Demotion
}

// Bounds of one attempt to connect and of one look, on top of the time-outs that
// the connectors have for each request. They end what hangs in spite of those,
// and must leave time for many requests and for the turns of other devices on
// a shared line.
const (
	longestLook   = 30 * time.Second // plus a time-out for each signal
	longestDial   = 30 * time.Second // modbus, where a dial has a bound of its own
	leastSession  = 5 * time.Second  // opcua, plus a time-out for each 100 signals
	opcuaTimeout  = 2 * time.Second  // what opcua takes where the settings say nothing
	opcuaRequests = 100              // signals in a request that finds or subscribes nodes
)

// Open makes a supervisor for each device, in order. Modbus devices with the
// same host and port or serial port share a line, OPC UA devices with the same URL,
// security and user share a session. Everything is checked, nothing is dialled.
func Open(cfgs []Config, opts Options) ([]*Supervisor, error) {
	log := opts.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return newOpener(opts, log).open(cfgs, opts)
}

func (o *opener) open(cfgs []Config, opts Options) ([]*Supervisor, error) {
	var all []*Supervisor
	var wrong []error
	for _, f := range plant.Under("devices", CheckLines(cfgs)) {
		wrong = append(wrong, errors.New(f.String()))
	}
	machines := map[string]bool{}
	for i := range cfgs {
		cfg := cfgs[i]
		faults := cfg.Check()
		if machines[cfg.Machine] && cfg.Machine != "" {
			faults = append(faults, plant.Fault{Key: "machine", Found: cfg.Machine, Allowed: "a machine that no other device has"})
		}
		machines[cfg.Machine] = true
		for _, f := range plant.Under(fmt.Sprintf("devices[%d]", i), faults) {
			wrong = append(wrong, errors.New(f.String()))
		}
		if len(faults) > 0 {
			continue
		}
		s, device, err := o.setup(cfg)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		all = append(all, supervise(s, device, opts, o.log))
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	stagger(all)
	planned := plans(cfgs, o.log)
	for _, s := range all {
		s.plan = planned[s.machine]
	}
	return all, nil
}

// described is what both connectors' devices tell of themselves.
type described interface {
	Device
	Signals() []plant.Signal
	Endpoint() string
}

// opener builds devices that share what they can.
type opener struct {
	log   *slog.Logger
	lines map[string]*modbus.Line
	buses map[string]*bus // by endpoint, as lines
	pool  *opcua.Pool
}

func newOpener(opts Options, log *slog.Logger) *opener {
	return &opener{log: log, lines: map[string]*modbus.Line{}, buses: map[string]*bus{}, pool: opcua.NewPool(opts.PKI, log)}
}

// setup gives what a supervisor needs for a device that has been checked.
func (o *opener) setup(cfg Config) (setup, Device, error) {
	s := setup{machine: cfg.Machine, every: cfg.Every, deadbands: map[string]float64{}, groups: cfg.watched()}
	n := time.Duration(len(cfg.Signals))
	var build func() (described, error)
	if cfg.Modbus != nil {
		s.protocol, s.timeout, s.connect = "modbus", cfg.Modbus.Timeout, longestDial
		s.shares = "modbus " + cfg.Modbus.Endpoint()
		if s.bus = o.buses[s.shares]; s.bus == nil {
			s.bus = newBus()
			o.buses[s.shares] = s.bus
		}
		build = func() (described, error) { return o.modbus(cfg) }
	} else {
		s.shares = "opcua " + cfg.OPCUA.URL
		s.protocol, s.timeout = "opcua", cmp.Or(cfg.OPCUA.Timeout, opcuaTimeout)
		s.connect = max(leastSession, 5*s.timeout) + s.timeout*n/opcuaRequests + cfg.opcua().Reports()
		build = func() (described, error) { return o.opcua(cfg) }
	}
	s.poll = longestLook + s.timeout*n
	device, err := build()
	if err != nil {
		return setup{}, nil, err
	}
	s.build = func() (Device, error) { return build() }
	s.endpoint, s.signals = device.Endpoint(), append(s.signals, device.Signals()...)
	for i := range cfg.Signals {
		s.signals[i].Counter = cfg.Signals[i].Counter
		if d := cfg.Signals[i].Deadband; d > 0 {
			s.deadbands[cfg.Signals[i].Name] = d
		}
	}
	return s, device, nil
}

func (o *opener) modbus(cfg Config) (*modbus.Device, error) {
	endpoint := cfg.Modbus.Endpoint()
	line := o.lines[endpoint]
	if line == nil {
		var err error
		if line, err = modbus.NewLine(*cfg.Modbus); err != nil {
			return nil, err
		}
		o.lines[endpoint] = line
	}
	signals := make([]modbus.Signal, len(cfg.Signals))
	for i := range cfg.Signals {
		signals[i] = cfg.Signals[i].modbus()
		signals[i].Group = cfg.Signals[i].Group
		if g := cfg.group(signals[i].Group); g.Every > cfg.Every {
			signals[i].Every = g.Every
		}
	}
	return modbus.New(cfg.Machine, *cfg.Modbus, signals, line)
}

func (o *opener) opcua(cfg Config) (*opcua.Device, error) {
	signals := make([]opcua.Signal, len(cfg.Signals))
	for i := range cfg.Signals {
		signals[i] = cfg.Signals[i].opcua()
	}
	return o.pool.Device(cfg.Machine, cfg.Every, cfg.opcua(), signals)
}
