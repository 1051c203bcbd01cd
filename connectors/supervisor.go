package connectors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"linetwin/plant"
)

// Device is one machine's device as a protocol gives it. It is used by one
// goroutine, and never dials but in Connect or to mend what Poll needs.
type Device interface {
	// Connect makes the device ready to be polled. After a failed Connect or
	// Poll it is called again, after Close.
	Connect(ctx context.Context) error
	// Poll looks once and appends what it finds to into. An error means that the
	// device as a whole could not be looked at.
	Poll(ctx context.Context, into []plant.Reading) (plant.Round, error)
	// Close says goodbye; closing a device that is not connected does nothing.
	Close() error
}

// counting is a device that counts its connections itself, because it makes
// some inside Poll.
type counting interface{ Connects() uint64 }

// rebuildAfter is how long every signal of a device may be bad until the
// device is connected anew: after a download to a PLC, what was resolved
// before may no longer mean anything.
const rebuildAfter = 60 * time.Second

// setup is what a supervisor needs to know of its device.
type setup struct {
	machine   string
	protocol  string
	endpoint  string
	every     time.Duration
	timeout   time.Duration // of one request: what is older than this is stale at the soonest
	connect   time.Duration // the most that an attempt to connect may take
	poll      time.Duration // the most that a look may take
	signals   []plant.Signal
	deadbands map[string]float64
	groups    []watched              // empty where all signals are read in the device's own way
	build     func() (Device, error) // validates, never dials; called again after a panic
	shares    string                 // what tells the devices that share a connection from others
	bus       *bus                   // of a line on which devices take turns; nil for none
	plan      busPlan                // zero where nothing is predicted
}

// Supervisor looks at one device on a fixed grid of times, and is the only one
// who connects it again. It is a gateway's source of rounds. It starts no
// goroutine: all happens in Next. Only Status may be called meanwhile.
type Supervisor struct {
	setup
	log     *slog.Logger
	grid    grid
	at      func(time.Time) plant.Time // the gateway's time
	backoff backoff
	demoted demotion

	device   Device // nil until it is built, and after a panic
	up       bool   // connected, as far as is known
	upSince  time.Time
	nextTry  time.Time
	reason   string // of the last failure, as told in bad readings; empty while data flows
	lostAt   time.Time
	through  plant.Time // of the last look
	badSince time.Time  // since when every signal is bad although the device answers

	outage outage
	took   []time.Duration // of good looks, until they have been compared with the plan
	bad    badness
	mu     sync.Mutex
	state  plant.DeviceStatus
}

func supervise(s setup, device Device, o Options, log *slog.Logger) *Supervisor {
	at := o.at()
	return &Supervisor{
		at: at, setup: s, device: device, log: log.With("machine", s.machine, "protocol", s.protocol),
		grid: grid{every: s.every}, backoff: newBackoff(o.Backoff), demoted: newDemotion(o.Demotion, s.bus), bad: newBadness(s.signals),
		state: plant.DeviceStatus{
			Machine: s.machine, Protocol: s.protocol, Endpoint: s.endpoint, Link: plant.LinkConnecting,
			Since: at(time.Now()), Signals: len(s.signals), EveryMs: s.every.Milliseconds(),
		},
	}
}

// Machine gives the machine that the device belongs to.
func (s *Supervisor) Machine() string { return s.machine }

// Signals lists the device's signals in the order of the settings.
func (s *Supervisor) Signals() []plant.Signal { return s.signals }

// Deadbands gives, by signal, by how much a number must change to be sent;
// signals that are not in it have none.
func (s *Supervisor) Deadbands() map[string]float64 { return s.deadbands }

// Next waits for the next time on the grid, looks at the device, and appends
// what it finds to into. A look that fails gives one bad reading for each
// signal with the time at which the look began, once for each new reason;
// further failed looks, and those in which the next attempt to connect is not
// due yet, give an empty round that only moves Through. The error is ctx's.
func (s *Supervisor) Next(ctx context.Context, into []plant.Reading) (plant.Round, error) {
	skipped, err := s.grid.wait(ctx)
	if err != nil {
		return plant.Round{}, err
	}
	began := time.Now()
	if !s.up && began.Before(s.nextTry) && !s.demoted.due() {
		return plant.Round{Readings: into, Through: s.at(began).Floor(time.Millisecond)}, nil
	}
	s.begin(skipped)
	connected := s.up
	round, err := s.look(ctx, into)
	if err != nil {
		if ctx.Err() != nil {
			return plant.Round{}, ctx.Err()
		}
		return s.failed(began, err, into), nil
	}
	s.succeeded(began, connected, &round)
	return round, nil
}

// Status tells how the device does now; it may be called from any goroutine.
// A device that should flow but has given nothing for three intervals (and its
// time-out) is stale, also while a look at it still hangs.
func (s *Supervisor) Status() plant.DeviceStatus {
	s.mu.Lock()
	state := s.state
	s.mu.Unlock()
	if len(s.groups) > 0 {
		s.judge(&state, s.at(time.Now()))
		return state
	}
	limit := max(3*s.every, s.timeout)
	if age := s.at(time.Now()).Sub(state.LastData); state.Link == plant.LinkFlowing && age > limit {
		state.Link, state.Since = plant.LinkStale, state.LastData.Add(limit)
		state.Reason = fmt.Sprintf("no data for more than %v", limit)
	}
	return state
}

// Close says goodbye to the device. It is called once Next is no longer.
func (s *Supervisor) Close() error {
	if s.bus != nil {
		s.bus.leave(s)
	}
	if s.device == nil {
		return nil
	}
	s.up = false
	if err := s.guard(s.device.Close); err != nil {
		return fmt.Errorf("close device of %s: %w", s.machine, err)
	}
	return nil
}

// look connects if need be, and polls.
func (s *Supervisor) look(ctx context.Context, into []plant.Reading) (round plant.Round, err error) {
	err = s.guard(func() (err error) {
		if s.device == nil {
			if s.device, err = s.build(); err != nil {
				s.device = nil
				return err
			}
		}
		if !s.up {
			if err := s.connectTo(ctx); err != nil {
				return err
			}
		}
		poll, cancel := context.WithTimeout(ctx, s.poll)
		defer cancel()
		if p, ok := s.device.(prober); ok && s.demoted.demoted() {
			if err := p.Probe(poll); err != nil {
				return err
			}
		}
		round, err = s.device.Poll(poll, into)
		return err
	})
	return round, err
}

func (s *Supervisor) connectTo(ctx context.Context) error {
	attempt, cancel := context.WithTimeout(ctx, s.connect)
	defer cancel()
	if err := s.device.Connect(attempt); err != nil {
		return err
	}
	s.up, s.upSince = true, time.Now()
	if _, ok := s.device.(counting); !ok {
		s.mu.Lock()
		s.state.Connects++
		s.mu.Unlock()
	}
	return nil
}

// countConnects takes over what the device counts itself. mu is held.
func (s *Supervisor) countConnects() {
	if c, ok := s.device.(counting); ok {
		s.state.Connects = c.Connects()
	}
}

// errPanic tells that a device's library panicked.
var errPanic = errors.New("internal error")

// guard makes an error of a panic. The device is then given up, to be built
// anew.
func (s *Supervisor) guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("device panicked and is built anew", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("%w of the connector: %v", errPanic, p)
		}
	}()
	return f()
}

// begin notes that a look begins.
func (s *Supervisor) begin(skipped int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if skipped > 0 {
		s.state.Late++
		s.state.Skipped += uint64(skipped)
	}
	if !s.up {
		s.state.Link, s.state.NextTry = plant.LinkConnecting, 0
	}
}

// failed accounts for a look that failed, hangs up, and says when the device
// is tried again.
func (s *Supervisor) failed(began time.Time, err error, into []plant.Reading) plant.Round {
	steady := s.up && s.reason == "" && time.Since(s.upSince) >= s.backoff.steady
	s.hangUp(errors.Is(err, errPanic))
	now := time.Now()
	s.nextTry = now.Add(s.backoff.next(steady))
	stamp := s.afterwards(s.at(began).Floor(time.Millisecond))
	reason, first := err.Error(), s.reason == ""
	told := s.demote(reason, now)
	s.outage.lost(stamp, reason != s.reason)
	if reason != s.reason {
		for i := range s.signals {
			into = append(into, plant.Reading{Machine: s.machine, Signal: s.signals[i].Name, Time: stamp, Quality: plant.Bad, Reason: reason})
		}
		s.reason = reason
		s.log.Warn("device cannot be read", "endpoint", s.endpoint, "reason", reason)
	}
	s.bad.all()
	if first {
		s.lostAt = began
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if first {
		s.state.Since = s.at(began)
	}
	s.state.Link, s.state.Reason, s.state.NextTry = plant.LinkDown, told, s.at(s.nextTry)
	s.state.BadNow = s.bad.count
	s.tell()
	s.state.Failures++
	s.countConnects()
	s.state.RoundMs = now.Sub(began).Milliseconds()
	return plant.Round{Readings: into, Through: stamp}
}

// closeBy is how far a failed look is put behind its time at most: looks that
// follow each other within a millisecond have times of their own, one after the
// other. A clock that is set back further gives its own times.
const closeBy = 500 * plant.Millisecond

// claimer is a device that learns up to where others have given times.
type claimer interface {
	Claimed(through plant.Time)
}

// afterwards gives a failed look's time, a millisecond after what was found
// before where it would not be later, and tells the device.
func (s *Supervisor) afterwards(stamp plant.Time) plant.Time {
	if stamp <= s.through && s.through-stamp < closeBy {
		stamp = s.through + plant.Millisecond
	}
	s.through = stamp
	if c, ok := s.device.(claimer); ok {
		c.Claimed(stamp)
	}
	return stamp
}

// demote puts the next attempt off where a device does not answer and others on
// its line do, and gives the reason that the status tells.
func (s *Supervisor) demote(reason string, now time.Time) string {
	first := s.demoted.failed(s, now)
	if !s.demoted.demoted() {
		return reason
	}
	s.nextTry = now.Add(s.demoted.wait)
	if first {
		s.log.Warn("device is demoted: others on its line answer; it is probed now and then", "endpoint", s.endpoint, "first", s.demoted.wait, "at most", s.demoted.Most)
	}
	return reason + "; demoted, because others on its line answer"
}

// hangUp closes the device; a broken one is forgotten.
func (s *Supervisor) hangUp(broken bool) {
	s.up, s.badSince = false, time.Time{}
	if s.device == nil {
		return
	}
	err := s.guard(s.device.Close)
	if broken || errors.Is(err, errPanic) {
		s.device = nil
	}
}

// succeeded accounts for a look that found the device.
func (s *Supervisor) succeeded(began time.Time, wasUp bool, round *plant.Round) {
	now := time.Now()
	if s.reason != "" {
		s.log.Info("device is read again", "endpoint", s.endpoint, "away", now.Sub(s.lostAt).Round(time.Millisecond))
	} else if !wasUp {
		s.log.Info("device is read", "endpoint", s.endpoint)
	}
	s.through = round.Through
	back := s.reason != "" || !wasUp
	s.reason = ""
	if len(round.Readings) > 0 { // else nothing was due, and the line was not asked
		s.demoted.succeeded(s, now)
		s.compare(now.Sub(began))
	}
	s.found(round.Through)
	s.bad.take(round.Readings)
	link, why := plant.LinkFlowing, ""
	if n := len(s.signals); n > 0 && s.bad.count == n {
		link, why = plant.LinkStale, "every signal is bad: "+s.bad.why
		s.allBad(now)
	} else {
		s.badSince = time.Time{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if back || s.state.Link != link {
		s.state.Since = s.at(began)
	}
	s.state.Link, s.state.Reason, s.state.NextTry = link, why, 0
	if link == plant.LinkFlowing {
		s.state.LastData = s.at(began)
	}
	s.tell()
	s.state.BadNow = s.bad.count
	s.state.Rounds++
	s.countConnects()
	s.state.Missed += uint64(max(round.Missed, 0))
	s.state.RoundMs = now.Sub(began).Milliseconds()
}

// allBad connects a device anew that answers but has had no good signal for a
// while.
func (s *Supervisor) allBad(now time.Time) {
	if s.badSince.IsZero() {
		s.badSince = now
	}
	if now.Sub(s.badSince) < rebuildAfter {
		return
	}
	s.log.Warn("every signal is bad; the device is connected anew", "endpoint", s.endpoint, "reason", s.bad.why)
	if now.Sub(s.upSince) >= s.backoff.steady {
		s.backoff.failures = 0
	}
	s.hangUp(false)
}
