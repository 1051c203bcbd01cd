// Package modbus reads the signals of Modbus devices over Modbus TCP.
//
// A Device is one unit with its signals. Which requests read them is worked
// out once, by New; a Poll sends them one after the other and decodes the
// answers. Framing and the owning of the connection are in Line: an answer is
// used only if it is whole and provably belongs to its request, and any doubt
// closes the connection, so that a late or short answer never becomes the value
// of another register. Values that the plant's words cannot hold (NaN, too
// large, no BCD) are bad readings with a reason.
//
// A Device is used by one goroutine. Devices may share a Line from different
// goroutines.
package modbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	goburrow "github.com/goburrow/modbus"

	"linetwin/plant"
)

// Device reads one unit.
type Device struct {
	machine string
	config  Config
	line    *Line
	asker   *asker
	joined  bool
	now     func() time.Time

	// At gives the gateway's time at a time that now gave.
	At func(time.Time) plant.Time

	signals []plant.Signal
	points  []point
	last    map[int]plant.Value // of points that are text
	stamped plant.Time          // of the last look
	requests
	paces  map[time.Duration]*pace
	groups map[string]*pace
}

// asker asks one unit over a line through the library's client. The library
// knows no contexts, so the one of the poll that is under way stands here.
type asker struct {
	client  goburrow.Client
	turn    turn
	timeout time.Duration
	ctx     context.Context
	reply   [largestAnswer]byte
}

// Send is called by the library's client (goburrow Transporter).
func (a *asker) Send(request []byte) ([]byte, error) {
	return a.turn.exchange(a.ctx, a.timeout, request, a.reply[:])
}

// read sends one block's request. The answer is valid until the next read.
func (a *asker) read(b *block) (data []byte, err error) {
	want := 2 * int(b.count)
	switch b.table {
	case coils:
		data, err = a.client.ReadCoils(b.start, b.count)
	case discrete:
		data, err = a.client.ReadDiscreteInputs(b.start, b.count)
	case holding:
		data, err = a.client.ReadHoldingRegisters(b.start, b.count)
	case input:
		data, err = a.client.ReadInputRegisters(b.start, b.count)
	}
	if b.table.bits() {
		want = (int(b.count) + 7) / 8
	}
	if err == nil && len(data) != want {
		return nil, fmt.Errorf("answer has %d bytes of data, want %d", len(data), want)
	}
	return data, err
}

// New gives the device of a machine. cfg's defaults are filled in. Devices with
// the same cfg.Endpoint share a line, whose pause is the line's own; a nil line
// gives the device one of its own. Nothing is dialled.
func New(machine string, cfg Config, signals []Signal, line *Line) (*Device, error) {
	faults := cfg.Check()
	if len(faults) == 0 {
		faults = plant.Under("signals", cfg.CheckSignals(signals))
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("modbus device %s: %s (%d faults in all)", machine, faults[0], len(faults))
	}
	if line == nil {
		var err error
		if line, err = NewLine(cfg); err != nil {
			return nil, fmt.Errorf("modbus device %s: %w", machine, err)
		}
	}
	d := &Device{machine: machine, config: cfg, line: line, now: time.Now, At: plant.At, last: map[int]plant.Value{}}
	d.points, d.signals = make([]point, 0, len(signals)), make([]plant.Signal, 0, len(signals))
	for i := range signals {
		s := &signals[i]
		p, err := s.compile(cfg.CountFrom)
		if err != nil {
			return nil, fmt.Errorf("modbus device %s: signal %s: %w", machine, s.Name, err)
		}
		d.points = append(d.points, p)
		d.signals = append(d.signals, plant.Signal{Name: s.Name, Kind: s.Kind(), Unit: s.Unit, Description: s.Description, Counter: s.Counter})
	}
	d.requests = planEach(d.points, d.pacing(signals), limits{*cfg.MaxGap, cfg.MaxRegisters, cfg.MaxBits})
	a := &asker{turn: turn{line: line}, timeout: cfg.Timeout}
	a.client = goburrow.NewClient2(line.packager(byte(cfg.Unit)), a)
	d.asker = a
	return d, nil
}

// Signals lists the device's signals in the order of the settings.
func (d *Device) Signals() []plant.Signal { return d.signals }

// Endpoint says where the device is, without secrets.
func (d *Device) Endpoint() string {
	return fmt.Sprintf("%s unit %d", d.line.endpoint, d.config.Unit)
}

// Connects counts the connections that the line has made, for all its devices
// together. It may be called from any goroutine.
func (d *Device) Connects() uint64 { return d.line.dials.Load() }

// Connect opens the line to the device, unless another device of the line has.
// It takes at most the longer of the time-out and 2 s, and the turns of others.
func (d *Device) Connect(ctx context.Context) error {
	if d.joined {
		return nil
	}
	if err := d.line.join(ctx, d.config.Timeout); err != nil {
		return err
	}
	d.joined = true
	d.restart()
	return nil
}

// Close ends the device's use of the line; the last device closes it.
func (d *Device) Close() error {
	if !d.joined {
		return nil
	}
	d.joined = false
	if err := d.line.leave(); err != nil {
		return fmt.Errorf("close %s: %w", d.Endpoint(), err)
	}
	return nil
}

// Poll looks once at every signal whose interval has passed and appends its
// readings to into, all with the time at which the look got the line, truncated
// to the millisecond. Where no interval has passed it does not wait for the
// line. A signal that the device refuses, or whose value cannot be held, is a
// bad reading. An error means that the device as a whole could not be read;
// there are no readings then.
func (d *Device) Poll(ctx context.Context, into []plant.Reading) (plant.Round, error) {
	if !d.joined {
		return plant.Round{}, errors.New("not connected")
	}
	if now := d.now(); !d.due(now) {
		through := d.stamp(now)
		if d.stamped-through < closeBy {
			through = max(through, d.stamped)
		}
		return plant.Round{Readings: into, Through: through}, nil
	}
	d.asker.ctx = ctx
	if err := d.asker.turn.keep(ctx); err != nil {
		return plant.Round{}, err
	}
	defer d.asker.turn.end()
	began := d.now()
	l := look{device: d, began: began, stamp: d.after(d.stamp(began)), into: into, spare: splitsPerPoll}
	for i := range d.requests {
		if !d.requests[i].pace.due(began) {
			continue
		}
		if err := l.read(&d.requests[i]); err != nil {
			return plant.Round{}, err
		}
	}
	if err := d.asker.turn.confirm(ctx, d.config.Timeout, byte(d.config.Unit)); err != nil {
		return plant.Round{}, err
	}
	d.looked(began)
	return plant.Round{Readings: l.into, Through: l.stamp}, nil
}

// Claimed tells up to where times were given to readings that are not of a look
// of the device: its own come after them.
func (d *Device) Claimed(through plant.Time) { d.stamped = max(d.stamped, through) }

// stamp gives the gateway's time as readings carry it.
func (d *Device) stamp(t time.Time) plant.Time { return d.At(t).Floor(time.Millisecond) }

// closeBy is how far the times of two looks are put apart at most, where they
// are one; a clock that is set back further gives its own times.
const closeBy = 500 * plant.Millisecond

// after gives a look's time, a millisecond after that of the look before where
// it would be the same. That happens where one began late, and the next one in
// time: history knows a reading by its time, and would keep one of the two.
func (d *Device) after(stamp plant.Time) plant.Time {
	if stamp <= d.stamped && d.stamped-stamp < closeBy {
		stamp = d.stamped + plant.Millisecond
	}
	d.stamped = stamp
	return stamp
}
