package connectors

import (
	"cmp"
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
	// At gives the gateway's time at t, which time.Now gave; nil: t as it is.
	At func(t time.Time) plant.Time
}

// at gives At or what stands for it.
func (o *Options) at() func(time.Time) plant.Time {
	if o.At == nil {
		return plant.At
	}
	return o.At
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
	return NewOpener(opts).Open(cfgs)
}

// described is what both connectors' devices tell of themselves.
type described interface {
	Device
	Signals() []plant.Signal
	Endpoint() string
}

// setup gives what a supervisor needs for a device that has been checked, and
// whose settings are kept.
func (o *opening) setup(cfg Config, kept opened) (setup, described, error) {
	s := setup{machine: cfg.Machine, every: cfg.Every, deadbands: map[string]float64{}, groups: cfg.watched()}
	n := time.Duration(len(cfg.Signals))
	var build func(Config) (described, error)
	if cfg.Modbus != nil {
		shared, err := o.way(cfg)
		if err != nil {
			return setup{}, nil, err
		}
		s.protocol, s.timeout, s.connect = "modbus", cfg.Modbus.Timeout, longestDial
		s.shares, s.bus = "modbus "+cfg.Modbus.Endpoint(), shared.bus
		build = func(c Config) (described, error) {
			d, err := openModbus(c, shared.line)
			if err != nil {
				return nil, err
			}
			d.At = o.opts.at()
			return d, nil
		}
	} else {
		s.shares = "opcua " + cfg.OPCUA.URL
		s.protocol, s.timeout = "opcua", cmp.Or(cfg.OPCUA.Timeout, opcuaTimeout)
		s.connect = max(leastSession, 5*s.timeout) + s.timeout*n/opcuaRequests + cfg.opcua().Reports()
		build = func(c Config) (described, error) { return openOPCUA(c, o.pool) }
	}
	s.poll = longestLook + s.timeout*n
	device, err := build(cfg)
	if err != nil {
		return setup{}, nil, err
	}
	s.build = func() (Device, error) {
		again := kept.cfg
		var err error
		if again.Signals, err = kept.signals.unpack(); err != nil {
			return nil, err
		}
		return build(again)
	}
	s.endpoint, s.signals = device.Endpoint(), device.Signals()
	for i := range cfg.Signals {
		s.signals[i].Counter = cfg.Signals[i].Counter
		if d := cfg.Signals[i].Deadband; d > 0 {
			s.deadbands[cfg.Signals[i].Name] = d
		}
	}
	return s, device, nil
}

// way is what the Modbus devices of one endpoint share.
type way struct {
	line *modbus.Line
	bus  *bus
}

// way gives what a Modbus device shares with others of its endpoint.
func (o *opening) way(cfg Config) (way, error) {
	endpoint := cfg.Modbus.Endpoint()
	if w, ok := o.ways[endpoint]; ok {
		return w, nil
	}
	line, err := o.newLine(*cfg.Modbus)
	if err != nil {
		return way{}, err
	}
	w := way{line, newBus()}
	o.ways[endpoint] = w
	return w, nil
}

func openModbus(cfg Config, line *modbus.Line) (*modbus.Device, error) {
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

func openOPCUA(cfg Config, pool *opcua.Pool) (*opcua.Device, error) {
	signals := make([]opcua.Signal, len(cfg.Signals))
	for i := range cfg.Signals {
		signals[i] = cfg.Signals[i].opcua()
	}
	return pool.Device(cfg.Machine, cfg.Every, cfg.opcua(), signals)
}
