package connectors

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"linetwin/connectors/modbus"
	"linetwin/connectors/opcua"
	"linetwin/plant"
)

// Opener opens the devices of a gateway, again and again as its settings
// change, and keeps what did not change: a device whose settings are the same,
// secrets included, is the same Supervisor, with its connection. It is used by
// one goroutine.
type Opener struct {
	opts Options
	log  *slog.Logger
	pool *opcua.Pool
	open map[string]opened // by machine

	newLine func(modbus.Config) (*modbus.Line, error)
}

// opened is a device as it was opened last.
type opened struct {
	cfg        Config // without signals
	signals    packed
	supervisor *Supervisor
	way        way           // of a Modbus device
	session    *opcua.Device // whose session is kept for it; nil for none
}

// NewOpener gives an opener that has opened nothing.
func NewOpener(opts Options) *Opener {
	log := opts.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	pool := opcua.NewPool(opts.PKI, log)
	pool.At = opts.at()
	return &Opener{opts: opts, log: log, pool: pool, newLine: modbus.NewLine}
}

// opening is one call of Open.
type opening struct {
	*Opener
	ways map[string]way // by endpoint
}

// Open gives the supervisors of devices, in order: those of the call before
// where nothing changed, else new ones. Who goes on with them must close those
// of before that are not among them. A connection that a device has kept is
// shared with new ones of its endpoint; all others are made anew. After an
// error nothing has changed. Everything is checked, nothing is dialled. The
// settings are kept, but for the lists of signals, and must not be changed any
// more.
func (o *Opener) Open(cfgs []Config) ([]*Supervisor, error) {
	if err := checkAll(cfgs); err != nil {
		return nil, err
	}
	now := opening{Opener: o, ways: map[string]way{}}
	next := make(map[string]opened, len(cfgs))
	fresh := make([]opened, len(cfgs))
	for i := range cfgs {
		f := &fresh[i]
		var err error
		if f.signals, err = pack(cfgs[i].Signals); err != nil {
			return nil, fmt.Errorf("devices[%d]: %w", i, err)
		}
		f.cfg = cfgs[i]
		f.cfg.Signals = nil
		was, ok := o.open[f.cfg.Machine]
		if !ok || !bytes.Equal(was.signals, f.signals) || !reflect.DeepEqual(was.cfg, f.cfg) {
			continue
		}
		next[was.cfg.Machine] = was
		if was.cfg.Modbus != nil {
			now.ways[was.cfg.Modbus.Endpoint()] = was.way
		}
	}
	o.pool.Count(sessions(next))
	defer o.forget()
	all := make([]*Supervisor, len(cfgs))
	var wrong []error
	for i := range cfgs {
		cfg := cfgs[i]
		if same, ok := next[cfg.Machine]; ok {
			all[i] = same.supervisor
			continue
		}
		s, device, err := now.setup(cfg, fresh[i])
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		all[i] = supervise(s, device, o.opts, o.log)
		f := fresh[i]
		f.supervisor = all[i]
		if cfg.Modbus != nil {
			f.way = now.ways[cfg.Modbus.Endpoint()]
		}
		f.session, _ = device.(*opcua.Device)
		next[cfg.Machine] = f
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	o.pace(all, cfgs)
	o.open = next
	o.pause()
	return all, nil
}

// pace spreads the looks of new devices over time, and tells them what they will
// take. Those that run already are left alone.
func (o *Opener) pace(all []*Supervisor, cfgs []Config) {
	runs := make(map[*Supervisor]bool, len(o.open))
	for _, d := range o.open {
		runs[d.supervisor] = true
	}
	stagger(all, runs)
	planned := plans(cfgs, o.log)
	for _, s := range all {
		if !runs[s] {
			s.plan = planned[s.machine]
		}
	}
}

// pause has each line rest between two exchanges as long as the one of its
// devices that asks for most.
func (o *Opener) pause() {
	longest := map[*modbus.Line]time.Duration{}
	for _, d := range o.open {
		if l := d.way.line; l != nil {
			longest[l] = max(longest[l], d.cfg.Modbus.Pause)
		}
	}
	for l, d := range longest {
		l.SetPause(d)
	}
}

// forget lets sessions go that no device has, or has any more.
func (o *Opener) forget() { o.pool.Keep(sessions(o.open)) }

func sessions(devices map[string]opened) []*opcua.Device {
	var used []*opcua.Device
	for _, d := range devices {
		if d.session != nil {
			used = append(used, d.session)
		}
	}
	return used
}

// checkAll fills the defaults in and gives everything that is wrong.
func checkAll(cfgs []Config) error {
	var wrong []error
	for _, f := range plant.Under("devices", CheckLines(cfgs)) {
		wrong = append(wrong, errors.New(f.String()))
	}
	machines := map[string]bool{}
	for i := range cfgs {
		faults := cfgs[i].Check()
		if machine := cfgs[i].Machine; machine != "" {
			if machines[machine] {
				faults = append(faults, plant.Fault{Key: "machine", Found: machine, Allowed: "a machine that no other device has"})
			}
			machines[machine] = true
		}
		for _, f := range plant.Under(fmt.Sprintf("devices[%d]", i), faults) {
			wrong = append(wrong, errors.New(f.String()))
		}
	}
	return errors.Join(wrong...)
}
