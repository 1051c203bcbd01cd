package connectors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"linetwin/connectors/modbus"
	"linetwin/connectors/opcua"
	"linetwin/plant"
)

// mostAtOnce bounds the endpoints that Probe talks to at the same time.
const mostAtOnce = 8

// Probed is what Probe found of one device.
type Probed struct {
	Machine  string
	Endpoint string
	Signals  []Found // in the order of the settings
	// Err is why the device could not be read at all; its signals are bad then.
	Err error
	// Offset is the server's clock minus ours, where the protocol tells it.
	Offset      time.Duration
	OffsetKnown bool
}

// Found is what was found of one signal.
type Found struct {
	Signal  Signal
	Reading plant.Reading
	// Raw holds a Modbus signal's registers as they came.
	Raw []byte
	// Order is a Modbus signal's byte order.
	Order string
	// Sent is the type that an OPC UA server sent, Dimensions its array's,
	// Status its word for the value, Server its time.
	Sent       string
	Dimensions []int
	Status     string
	Server     plant.Time
	// Hint says what the settings should say where they look wrong.
	Hint string
	// Views are the ways to read a Modbus signal, where they were asked for.
	Views []modbus.View
}

// ProbeOptions say how Probe looks.
type ProbeOptions struct {
	Log *slog.Logger // nil for none
	PKI *opcua.PKI
	// Views asks for every byte order and the addresses beside each signal.
	Views bool
	// AnyType takes OPC UA signals without a type, and reads them as what they
	// are.
	AnyType bool
	// Progress is told of each device that is done; nil for nobody.
	Progress func(done int, machine string)
}

// Probe connects to each device once, reads every signal once, and closes. It
// never writes. Devices behind one endpoint are looked at one after the other,
// over one connection where the protocol shares it; an endpoint that cannot be
// reached is tried once. What fails is in the results. Settings that are wrong
// are the error. When ctx ends, what was not looked at says so.
func Probe(ctx context.Context, cfgs []Config, opts ProbeOptions) ([]Probed, error) {
	p := &survey{opts: opts, log: opts.Log, all: make([]Probed, len(cfgs))}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.lines = opening{Opener: NewOpener(Options{Log: p.log}), ways: map[string]way{}}
	var groups [][]task
	known := map[string]int{}
	for i := range cfgs {
		t, err := p.task(i, cfgs[i])
		if err != nil {
			return nil, err
		}
		g, ok := known[t.group]
		if !ok {
			g = len(groups)
			known[t.group] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], t)
	}
	var g errgroup.Group
	g.SetLimit(mostAtOnce)
	for _, tasks := range groups {
		g.Go(func() error {
			p.look(ctx, tasks)
			return nil
		})
	}
	return p.all, g.Wait()
}

type survey struct {
	opts  ProbeOptions
	log   *slog.Logger
	lines opening
	all   []Probed

	mu   sync.Mutex
	done int
}

// task is one device to be looked at.
type task struct {
	index  int
	cfg    Config
	group  string         // those of one group are looked at one after the other
	modbus *modbus.Device // nil for opcua
}

// task checks a device's settings. Nothing is dialled.
func (p *survey) task(i int, cfg Config) (task, error) {
	faults := cfg.Check()
	if p.opts.AnyType && cfg.OPCUA != nil {
		faults = slices.DeleteFunc(faults, func(f plant.Fault) bool { return strings.HasSuffix(f.Key, "].type") && f.Found == "" })
	}
	if len(faults) > 0 {
		var wrong []error
		for _, f := range plant.Under(fmt.Sprintf("devices[%d]", i), faults) {
			wrong = append(wrong, errors.New(f.String()))
		}
		return task{}, errors.Join(wrong...)
	}
	t := task{index: i, cfg: cfg}
	if cfg.Modbus != nil {
		shared, err := p.lines.way(cfg)
		if err != nil {
			return task{}, err
		}
		d, err := openModbus(cfg, shared.line)
		if err != nil {
			return task{}, err
		}
		t.modbus, t.group = d, "modbus "+cfg.Modbus.Endpoint()
		p.all[i].Endpoint = d.Endpoint()
	} else {
		t.group = "opcua " + cfg.OPCUA.URL
		p.all[i].Endpoint = cfg.OPCUA.URL
	}
	p.all[i].Machine = cfg.Machine
	for _, s := range cfg.Signals {
		p.all[i].Signals = append(p.all[i].Signals, Found{Signal: s})
	}
	return t, nil
}

// look looks at devices one after the other.
func (p *survey) look(ctx context.Context, tasks []task) {
	servers := servers{open: map[account]called{}}
	defer servers.close()
	var unreachable error // of Modbus, where the endpoint is one for all
	for _, t := range tasks {
		to := &p.all[t.index]
		switch {
		case ctx.Err() != nil:
			to.Err = errors.New("not looked at: interrupted")
		case t.modbus == nil:
			to.Err = p.opcua(ctx, t, to, &servers)
		case unreachable != nil:
			to.Err = unreachable
		default:
			if unreachable = t.modbus.Connect(ctx); unreachable != nil {
				to.Err = unreachable
				break
			}
			to.Err = p.modbus(ctx, t, to)
		}
		if to.Err != nil {
			if ctx.Err() != nil {
				to.Err = errors.New("not looked at: interrupted")
			}
			for i := range to.Signals {
				to.Signals[i].Reading = plant.Reading{Quality: plant.Bad, Reason: to.Err.Error()}
			}
		}
		p.mu.Lock()
		p.done++
		if p.opts.Progress != nil {
			p.opts.Progress(p.done, t.cfg.Machine)
		}
		p.mu.Unlock()
	}
	for _, t := range tasks {
		if t.modbus != nil {
			t.modbus.Close() // nothing depends on how well it ends
		}
	}
}

func (p *survey) modbus(ctx context.Context, t task, to *Probed) error {
	seen, err := t.modbus.Look(ctx, p.opts.Views)
	if err != nil {
		return err
	}
	for i, s := range seen {
		f := &to.Signals[i]
		f.Reading, f.Raw, f.Order, f.Hint, f.Views = s.Reading, s.Raw, s.Order, s.Hint, s.Views
		f.Signal.Type = s.Type
	}
	return nil
}

// called is an OPC UA server that was called, or why it could not be.
type called struct {
	explorer *opcua.Explorer
	err      error
}

// servers are the sessions of one endpoint: one for each security and user.
type servers struct {
	open map[account]called
}

type account struct {
	security string
	user     opcua.User
}

func (s *servers) close() {
	for _, o := range s.open {
		if o.explorer != nil {
			o.explorer.Close()
		}
	}
}

func (p *survey) opcua(ctx context.Context, t task, to *Probed, all *servers) error {
	key := account{t.cfg.OPCUA.Security, t.cfg.OPCUA.User}
	s, ok := all.open[key]
	if !ok {
		s.explorer, s.err = opcua.Explore(ctx, *t.cfg.OPCUA, p.opts.PKI, p.log)
		all.open[key] = s
	}
	if s.err != nil {
		return s.err
	}
	signals := make([]opcua.Signal, len(t.cfg.Signals))
	for i := range signals {
		signals[i] = t.cfg.Signals[i].opcua()
	}
	seen, err := s.explorer.Look(ctx, signals)
	if err != nil {
		return err
	}
	to.Offset, to.OffsetKnown = s.explorer.Offset()
	for i, o := range seen {
		f := &to.Signals[i]
		f.Reading = plant.Reading{Machine: t.cfg.Machine, Signal: o.Signal, Value: o.Value, Quality: o.Quality, Reason: o.Reason, Time: o.Source}
		f.Sent, f.Dimensions, f.Status, f.Server, f.Hint = o.Type, o.Dimensions, o.Status, o.Server, o.Hint
	}
	return nil
}
