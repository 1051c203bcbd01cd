package opcua

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

// retryAfter is when a node that the server does not know is asked for again.
const retryAfter = time.Minute

var errNotConnected = errors.New("not connected")

// Device reads the signals of one machine. Connect, Poll and Close are called
// by one goroutine; Signals, Endpoint and Offset by any.
type Device struct {
	machine string
	cfg     Config
	log     *slog.Logger
	link    *link
	own     *ownTime
	items   int // that it subscribes, heartbeats included
	names   []plant.Signal

	signals []signal
	targets []target
	ways    []way // the device's own, and its groups
	away    int   // parked ones among the polled targets
	listens bool  // some targets are subscribed

	session *session // nil while not connected
	feeds   []*feed  // its subscriptions, while connected
	stamper stamper
	audit   audit
	tally   tally
	offset  atomic.Int64
	clocked atomic.Bool // the server has told its time
	warned  bool        // of the clock
	sift    bool        // something could not be decoded: nodes are read one by one before they are subscribed

	parting parting
	backlog backlog
}

// signal is one configured signal.
type signal struct {
	name   string
	target int
	decoder
	history history
	told    bool       // since the last connection
	first   plant.Time // of the first reading since then
	deadband
}

// target is a node that one or more signals are taken from.
type target struct {
	text    string // as configured
	node    node
	way     int             // how it is read
	polled  bool            // it is read, not subscribed
	signals []int           // that are taken from it
	read    *ua.ReadValueID // nil while it is not resolved
	parked  string          // why it is not in the regular rounds
	retry   time.Time       // when a parked one is tried again
	data    *ua.DataValue   // of the round in hand
	item    uint32          // monitored item; 0 for none
	monitored
}

// monitored is what is known of a target that is subscribed.
type monitored struct {
	sampling time.Duration // as revised by the server
	queue    int           // as revised by the server
	filtered bool          // the server applies the deadband
	lost     int           // values that the server's queue had no room for, ever
}

// New gives a device with a session of its own: a pool of one.
func New(machine string, every time.Duration, cfg Config, signals []Signal, log *slog.Logger, pki *PKI) (*Device, error) {
	return NewPool(pki, log).Device(machine, every, cfg, signals)
}

// checkSignals checks each signal, and that no two share a name.
func checkSignals(signals []Signal, groups []Group) []plant.Fault {
	var faults []plant.Fault
	seen := make(map[string]bool, len(signals))
	for i, s := range signals {
		key := "signals[" + strconv.Itoa(i) + "]"
		faults = append(faults, plant.Under(key, s.Check())...)
		if seen[s.Name] && s.Name != "" {
			faults = append(faults, plant.Fault{Key: key + ".name", Found: quoted(s.Name), Allowed: "a name that no other signal has"})
		}
		seen[s.Name] = true
		if s.Group != "" && !slices.ContainsFunc(groups, func(g Group) bool { return g.Name == s.Group }) {
			faults = append(faults, plant.Fault{Key: key + ".group", Found: quoted(s.Group), Allowed: "one of the device's groups"})
		}
	}
	return faults
}

func newDevice(machine string, every time.Duration, cfg Config, signals []Signal, l *link, log *slog.Logger) (*Device, error) {
	d := &Device{machine: machine, cfg: cfg, link: l, own: l.opt.own, log: log.With("machine", machine),
		signals: make([]signal, len(signals)), names: make([]plant.Signal, len(signals))}
	type key struct {
		node string
		way  int
	}
	known := make(map[key]int, len(signals))
	ways := d.makeWays(every, signals)
	for i, s := range signals {
		n, err := parseNode(s.Node)
		if err != nil {
			return nil, err
		}
		t, ok := known[key{s.Node, ways[i]}]
		if !ok {
			t = len(d.targets)
			known[key{s.Node, ways[i]}] = t
			d.targets = append(d.targets, target{text: s.Node, node: n, way: ways[i]})
		}
		d.targets[t].signals = append(d.targets[t].signals, i)
		d.signals[i] = signal{name: s.Name, target: t, decoder: newDecoder(s), deadband: newDeadband(s)}
		d.names[i] = plant.Signal{Name: s.Name, Kind: d.signals[i].kind(), Unit: s.Unit, Description: s.Description}
	}
	return d, nil
}

// Kind gives what kind of values the signal has; none if its type is wrong.
func (s Signal) Kind() plant.Kind {
	d := newDecoder(s)
	return d.kind()
}

// Signals gives what the device reads, in the order of the settings.
func (d *Device) Signals() []plant.Signal { return d.names }

// Endpoint gives the server's URL; it holds no secrets.
func (d *Device) Endpoint() string { return d.link.opt.url }

// Offset gives the server's clock minus the gateway's, as estimated last: 0
// where they may agree.
func (d *Device) Offset() time.Duration { return time.Duration(d.offset.Load()) }

// Clock gives the server's clock minus the gateway's time, as estimated last;
// false until the server has told its own.
func (d *Device) Clock() (offset time.Duration, known bool) { return d.Offset(), d.clocked.Load() }

// Connect opens the session, or joins it where another device of the pool has
// opened it, and finds the signals' nodes. It may be called again after any
// error; what was open is given back first.
func (d *Device) Connect(ctx context.Context) (err error) {
	begin := time.Now()
	d.rewind(d.own.at(begin))
	d.release()
	d.parting.leave(d.signals, d.Offset())
	for i := range d.signals {
		d.signals[i].told = false
	}
	d.stamper.claimed(d.own.at(begin)) // whatever was before, others may have claimed it
	d.parting.joined = d.stamper.floor
	defer d.guard(begin, &err)
	s, err := d.link.acquire(ctx, d.cfg.Timeout)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", d.Endpoint(), err)
	}
	d.session = s
	if err := d.prepare(ctx, s); err != nil {
		err = d.lost(ctx, s, err)
		d.release()
		return fmt.Errorf("connect to %s: %w", d.Endpoint(), err)
	}
	return nil
}

// prepare makes the device ready to poll over a session that is open.
func (d *Device) prepare(ctx context.Context, s *session) error {
	if err := d.resolve(ctx, s, time.Now()); err != nil {
		return err
	}
	if err := d.findRanges(ctx, s); err != nil {
		return err
	}
	err := d.subscribe(ctx, s)
	d.account()
	return err
}

// Poll takes one look at the signals and appends to into a reading of each that
// is polled and due, and of each reported change since the last call of those
// that are subscribed. After an error the
// device must be connected again; nothing of the round counts then.
func (d *Device) Poll(ctx context.Context, into []plant.Reading) (round plant.Round, err error) {
	begin := time.Now()
	d.rewind(d.own.at(begin))
	defer d.guard(begin, &err)
	s := d.session
	if s == nil {
		return plant.Round{}, fmt.Errorf("poll %s: %w", d.Endpoint(), errNotConnected)
	}
	if err = s.broken(); err == nil {
		round, err = d.round(ctx, s, begin, into)
	}
	if err != nil {
		return plant.Round{}, fmt.Errorf("poll %s: %w", d.Endpoint(), d.lost(ctx, s, err))
	}
	d.parting.is = false
	d.learn(s)
	return round, nil
}

// round takes what the server reported, and reads what is polled and due.
func (d *Device) round(ctx context.Context, s *session, begin time.Time, into []plant.Reading) (plant.Round, error) {
	missed, before := 0, len(into)
	if d.listens || len(d.feeds) > 0 {
		var err error
		if into, missed, err = d.drain(ctx, s, begin, into); err != nil {
			return plant.Round{}, err
		}
	}
	into, looked, err := d.look(ctx, s, begin, into)
	if err != nil {
		return plant.Round{}, err
	}
	d.count(begin)
	claim := d.claim(looked)
	if len(into) > before { // a claim of nothing would mark a part of a batch
		claim = max(claim, d.stamper.floor+plant.Millisecond)
	}
	d.stamper.claimed(claim)
	return plant.Round{Readings: into, Through: d.stamper.floor, Missed: missed}, nil
}

// Claimed tells up to where times were given to readings that are not of a look
// of the device: its own come after them.
func (d *Device) Claimed(through plant.Time) { d.stamper.claimed(through) }

// guard turns a panic into an error, and notes that a look failed: whoever
// called claims its time.
func (d *Device) guard(begin time.Time, err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%s: panic: %v", d.Endpoint(), r)
		if d.session != nil {
			d.session.fail(*err)
			d.release()
		}
	}
	if garbled := (undecodableError{}); errors.As(*err, &garbled) {
		d.sift = true
	}
	if *err != nil {
		d.stamper.claimed(d.own.at(begin))
	}
}

// lost decides what an error means for the session that others may share. A
// request that took too long ends it only if the server is deaf to a small one
// too.
func (d *Device) lost(ctx context.Context, s *session, err error) error {
	var fault faultError
	var garbled undecodableError
	var wrong protocolError
	switch {
	case errors.Is(ctx.Err(), context.Canceled) || s.broken() != nil:
	case errors.Is(err, errTimeout):
		if probe := s.alive(context.WithoutCancel(ctx), d.cfg.Timeout); probe != nil {
			s.fail(fmt.Errorf("the server does not answer: %w", probe))
		}
	case errors.As(err, &fault), errors.As(err, &garbled), errors.As(err, &wrong):
		s.end(err)
	}
	return err
}

// Close gives the session back; the last device of the pool closes it.
func (d *Device) Close() error {
	d.release()
	return nil
}

func (d *Device) release() {
	s := d.session
	if s == nil {
		return
	}
	d.session = nil
	d.backlog.stop()
	for _, f := range d.feeds {
		s.publisher.remove(f.sub, d.cfg.Timeout)
	}
	d.unfeed()
	d.link.release(s)
}

// note keeps the clock's offset for all to see, and tells when it becomes
// large or small.
func (d *Device) note(s *session) (offset time.Duration, trusted bool) {
	offset, known := s.clock.now()
	d.offset.Store(int64(offset))
	d.clocked.Store(known)
	if far := offset.Abs() > clockWarns || d.warned && offset.Abs() > clockCalms; far != d.warned {
		d.warned = far
		if far {
			d.log.Warn("the server's clock is off: from 60 s on the gateway's time is used", "offset", offset, "endpoint", d.Endpoint())
		} else {
			d.log.Info("the server's clock is right again", "offset", offset, "endpoint", d.Endpoint())
		}
	}
	return offset, offset.Abs() <= clockFails
}
