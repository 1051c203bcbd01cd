// Package gateway is the core of the edge process: it polls devices, drops
// what did not change, numbers what did, keeps it on disk until the history
// store has it, and sends it. It knows no protocol: devices come as Sources,
// the network as a Wire.
package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"linetwin/plant"
)

// Source looks at one machine's device.
type Source interface {
	// Next blocks until the device's next round is due and looked at, then
	// appends its readings to into. A device's failure is data (bad readings
	// with a reason), never an error; an error means that ctx ended.
	Next(ctx context.Context, into []plant.Reading) (plant.Round, error)
	// Status tells how the device does. Safe to call from another goroutine.
	Status() plant.DeviceStatus
	// Close says goodbye to the device, after Next returned its last error.
	Close() error
}

// PastSource is a Source that may learn later what its device's signals were
// while nobody could look at it.
type PastSource interface {
	// Past appends such readings to into, in order of time for each signal. They
	// go out as they are, as backlog that claims nothing: bad readings have
	// claimed their time already. It does not wait, and is called between calls
	// of Next, or later while too much waits in the buffer.
	Past(into []plant.Reading) []plant.Reading
}

// Wire carries batches to whoever stores them. Publish is called from one
// goroutine, Status and Device from others.
type Wire interface {
	// Publish hands b to the network or gives plant.ErrOffline. It must not
	// change b, nor keep b or its readings after it has returned.
	Publish(b *plant.Batch) error
	// Status sends the gateway's own account.
	Status(s *plant.GatewayStatus) error
	// Device tells that a device came or went, or what signals it has now.
	Device(birth plant.DeviceBirth) error
	// Online tells whether there is somebody who stores what is published.
	Online() bool
}

// Device is one machine and how to look at it.
type Device struct {
	Machine string
	Signals []plant.Signal
	// Deadbands holds, by signal, by how much a float or integer must differ
	// from what was last sent before it is sent again; none means any change.
	Deadbands map[string]float64
	Source    Source
}

// Gateway is one edge process. It is also the node of which its wire asks
// births and to which it hands acknowledgements.
type Gateway struct {
	cfg       Config
	log       *slog.Logger
	session   string
	id        plant.Identity
	started   plant.Time
	buffer    *buffer
	read      atomic.Uint64
	running   atomic.Bool
	changed   chan struct{} // a device may have come or gone
	reloads   chan reload
	confirmed chan plant.CountConfirmation
	ended     chan struct{} // closed when no reload is taken any more
	closing   time.Duration // the most that a device's end may take in a reload
	telling   sync.Mutex    // one at a time tells the wire of devices
	tell      chan struct{} // the status is to be sent at once
	clock     *Clock

	timeline sync.RWMutex // held while the line of time moves; guards what follows
	moved    int          // moves that the buffer has taken
	awaits   bool         // the twin's word is awaited
	resigned bool         // the clock is not set, and nobody will say what time it is
	linkedAt time.Duration

	mu       sync.Mutex
	devices  []*device
	settings string // why settings are not used
}

// New checks its settings and opens the buffer's folder, which no other
// process may use; it dials nobody. A Gateway that is not run must be closed.
func New(cfg Config, devices []Device, log *slog.Logger) (*Gateway, error) {
	var wrong []error
	for _, f := range cfg.Check() {
		wrong = append(wrong, errors.New(f.String()))
	}
	g := &Gateway{
		cfg: cfg, log: log.With("gateway", cfg.Gateway), session: rand.Text(),
		changed: make(chan struct{}, 1),
		reloads: make(chan reload), confirmed: make(chan plant.CountConfirmation, 8), ended: make(chan struct{}), closing: closing,
		tell: make(chan struct{}, 1), clock: cfg.Clock,
	}
	if g.clock == nil {
		g.clock = NewClock(g.log)
	}
	wrong = append(wrong, checkDevices(devices)...)
	for _, d := range devices {
		g.devices = append(g.devices, newDevice(d, g))
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, fmt.Errorf("gateway %s: %w", cfg.Gateway, err)
	}
	newest := newestIn(cfg.Buffer.Folder)
	var err error
	g.buffer, err = openBuffer(cfg, g.log)
	if err != nil {
		return nil, fmt.Errorf("gateway %s: %w", cfg.Gateway, err)
	}
	if g.id, err = identify(cfg.Buffer.Folder, g.log); err != nil {
		return nil, fmt.Errorf("gateway %s: %w", cfg.Gateway, errors.Join(err, g.buffer.close()))
	}
	g.clock.begins(newest)
	g.buffer.book.begins(plant.At(g.clock.Now()))
	g.buffer.clock, g.buffer.steady = g.clock.Now, func() bool { return g.clock.steady(steadyAfter) }
	g.started = plant.At(g.clock.Now())
	return g, nil
}

// Close frees the buffer's folder of a gateway that was never run. After Run
// there is nothing left to close.
func (g *Gateway) Close() error {
	if !g.running.CompareAndSwap(false, true) {
		return nil
	}
	return g.buffer.close()
}

// Run polls, buffers and publishes until ctx ends, then says goodbye to the
// devices, writes everything down and closes the buffer. It may be called once.
// An error tells that the last of the readings could not be written.
func (g *Gateway) Run(ctx context.Context, wire Wire) error {
	if !g.running.CompareAndSwap(false, true) {
		return errors.New("gateway: run twice, or after it was closed")
	}
	// The pollers end first, so that the buffer sees everything they made.
	rest, stop := context.WithCancel(context.WithoutCancel(ctx))
	var pollers, others sync.WaitGroup
	p := &publisher{buffer: g.buffer, cfg: g.cfg, log: g.log, wire: wire, backlog: make(chan sending)}
	g.Linked(wire.Online())
	for _, run := range []func(context.Context){g.buffer.writeTail, g.buffer.commitAll, p.run, p.drain} {
		others.Go(func() { run(rest) })
	}
	others.Go(func() { g.report(rest, wire) })
	if counts, ok := wire.(CountsWire); ok {
		others.Go(func() { g.tellCounts(rest, counts) })
	}
	g.obey(ctx, wire, &pollers)
	pollers.Wait()
	g.flushPast(true)
	stop()
	others.Wait()
	return g.buffer.close()
}

// Birth introduces the gateway with its devices and what they were last.
func (g *Gateway) Birth() plant.GatewayBirth {
	b := plant.GatewayBirth{
		Area: g.cfg.Area, Gateway: g.cfg.Gateway, Session: g.session, First: g.buffer.first(),
		Version: g.cfg.Version, Time: g.clock.stamp(), Identity: g.id,
	}
	for _, d := range g.list() {
		online := d.reachable()
		d.told.Store(toldAs(online))
		b.Devices = append(b.Devices, d.birth(online))
	}
	return b
}

// Acknowledge takes what history has stored. One of another gateway or session
// is ignored. It returns at once.
func (g *Gateway) Acknowledge(a plant.Acknowledgement) {
	if a.Gateway != g.cfg.Gateway || a.Session != g.session {
		return
	}
	g.buffer.acknowledge(a)
}

// Linked tells that the wire's Online changed. What was sent and not
// acknowledged until then is sent again.
func (g *Gateway) Linked(online bool) {
	g.buffer.linked(online)
	g.linkedNow(online)
}

// Last gives the last reading of each signal of a machine that has one.
func (g *Gateway) Last(machine string) []plant.Reading {
	for _, d := range g.list() {
		if d.Machine == machine {
			return d.birth(true).Last
		}
	}
	return nil
}

// Status gives the gateway's account of itself.
func (g *Gateway) Status() plant.GatewayStatus {
	s := plant.GatewayStatus{
		Area: g.cfg.Area, Gateway: g.cfg.Gateway, Version: g.cfg.Version,
		Time: g.clock.stamp(), Started: g.started, Clock: g.clock.account(), Read: g.read.Load(),
	}
	g.buffer.account(&s)
	g.mu.Lock()
	devices := g.devices
	s.SettingsError = g.settings
	g.mu.Unlock()
	for _, d := range devices {
		s.Devices = append(s.Devices, d.status())
	}
	return s
}

// report sends the status each second, and tells which devices came and went.
func (g *Gateway) report(ctx context.Context, wire Wire) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	flush := time.NewTicker(pastFlush)
	defer flush.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-flush.C:
			g.flushPast(false)
		case <-g.changed:
			g.tellDevices(wire)
		case <-tick.C:
			// Linked tells changes; this only mends one that was missed.
			if online := wire.Online(); online != g.buffer.isOnline() {
				g.Linked(online)
			}
			g.settle()
			g.tellDevices(wire)
			g.tellStatus(wire)
		case <-g.tell:
			g.tellStatus(wire)
		}
	}
}

func (g *Gateway) tellStatus(wire Wire) {
	s := g.Status()
	if err := wire.Status(&s); err != nil && !errors.Is(err, plant.ErrOffline) {
		g.log.Debug("status not sent", "error", err)
	}
}

func (g *Gateway) tellDevices(wire Wire) {
	g.telling.Lock()
	defer g.telling.Unlock()
	for _, d := range g.list() {
		online := d.reachable()
		if d.told.Load() == toldAs(online) || !wire.Online() {
			continue
		}
		err := wire.Device(d.birth(online))
		if err == nil {
			d.told.Store(toldAs(online))
		} else if !errors.Is(err, plant.ErrOffline) {
			d.log.Debug("change of device not sent", "error", err)
		}
	}
}
