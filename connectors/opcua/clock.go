package opcua

import (
	"sync"
	"time"

	"linetwin/plant"
)

const (
	clockWarns  = 2 * time.Second // servers further off are warned of
	clockCalms  = 1500 * time.Millisecond
	clockFails  = 60 * time.Second // times of servers further off are not used
	sampleLives = time.Minute      // how long an estimate of the offset is kept
	rewinds     = 10 * time.Second // from here on the gateway's time was set back, and is not just late
)

// The reason of readings whose own time could not be used.
const reasonClock = "the source's clock is off by more than 60 s: gateway time used"

// ownTime gives the gateway's time at a time that time.Now gave.
type ownTime func(time.Time) plant.Time

func (o *ownTime) at(t time.Time) plant.Time {
	if o == nil || *o == nil {
		return plant.At(t)
	}
	return (*o)(t)
}

// clock estimates how far a server's clock is from ours, from the times in its
// answers. As NTP does, it trusts the answer that came fastest.
type clock struct {
	mu     sync.Mutex
	known  bool
	offset time.Duration // server minus gateway
	trip   time.Duration // of the sample it rests on
	taken  time.Time
}

// observe takes one answer: when it was asked for, when it came, and the
// server's time in it.
func (c *clock) observe(sent, received, server time.Time) {
	if server.IsZero() || server.Year() < 1990 {
		return
	}
	trip := received.Sub(sent)
	offset := server.Sub(sent.Add(trip / 2))
	if offset.Abs() <= trip/2+time.Millisecond {
		offset = 0 // the clocks may agree
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	stepped := (offset - c.offset).Abs() > (trip+c.trip)/2+100*time.Millisecond
	if !c.known || trip <= c.trip || stepped || received.Sub(c.taken) > sampleLives {
		c.known, c.offset, c.trip, c.taken = true, offset, trip, received
	}
}

// now gives the estimate.
func (c *clock) now() (offset time.Duration, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset, c.known
}

// stamper gives the readings of one device their times. It keeps three
// promises: no reading is later than what told it (a look or a report); no
// changed value carries a time up to which everything was already claimed to be
// known; and the times of one signal never go back. What a round claims is no
// bound for its readings: a look knows of now, though the device may have to
// wait for a report with its claim.
type stamper struct {
	floor   plant.Time // claimed by the rounds before; 0 before the first one
	bound   plant.Time // of the look or report in hand
	trusted bool       // the server's clock is near enough to use its times
}

// claimed notes that all up to t is claimed to be known.
func (s *stamper) claimed(t plant.Time) { s.floor = max(s.floor, t.Floor(time.Millisecond)) }

// begin starts a look or a report that knows all of its signals up to bound.
// The bound is raised to after what was claimed.
func (s *stamper) begin(bound plant.Time, trusted bool) {
	bound = bound.Floor(time.Millisecond)
	if s.floor == 0 {
		s.floor = bound - plant.Millisecond
	}
	s.bound, s.trusted = max(bound, s.floor+plant.Millisecond), trusted
}

// history is what is remembered of a signal's readings.
type history struct {
	last   plant.Reading // as found, before the clock's mark
	source plant.Time    // the source's time of it
	seen   bool
	wrong  bool // the source's clock cannot be trusted
}

// stamp makes a reading of what was found, with source as the time that the
// server gave it (0 for none).
func (s *stamper) stamp(h *history, r plant.Reading, source plant.Time) plant.Reading {
	source = source.Floor(time.Millisecond)
	changed := !h.seen || !h.last.Same(&r)
	moved := source > h.source || !h.seen
	wrong := h.wrong
	switch {
	case source == 0:
		wrong, r.Time = false, s.bound
	case !s.trusted || source > s.bound.Add(clockFails):
		wrong, r.Time = true, s.bound
	case source > s.bound:
		wrong, r.Time = false, s.bound
	case !changed && !moved:
		r.Time = s.bound
	case source > s.floor:
		wrong, r.Time = false, source
	case !changed:
		r.Time = s.bound
	case !h.seen:
		r.Time = s.bound // it is so now; since when is known to nobody
	case moved:
		wrong, r.Time = false, s.floor+plant.Millisecond // told late
	default: // the value changed, its time did not
		wrong, r.Time = wrong || source.Add(clockFails) < s.bound, s.bound
	}
	switch {
	case !h.seen || r.Time > h.last.Time:
	case changed:
		r.Time = h.last.Time + plant.Millisecond
	default:
		r.Time = h.last.Time
	}
	s.bound = max(s.bound, r.Time)
	*h = history{last: r, source: source, seen: true, wrong: wrong}
	if wrong && r.Quality == plant.Good {
		r.Quality, r.Reason = plant.Uncertain, reasonClock
	}
	return r
}

// rewind begins anew where the gateway's time went back by a step, because it
// was wrong: what was claimed on the wrong line of time binds nobody. What was
// made before tells in what order it came.
func (d *Device) rewind(now plant.Time) {
	if now >= d.stamper.floor.Add(-rewinds) {
		return
	}
	d.stamper = stamper{}
	for i := range d.signals {
		d.signals[i].history.last.Time = 0
	}
	for _, f := range d.feeds {
		f.through = min(f.through, now)
	}
}
