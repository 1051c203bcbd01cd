package simulator

import "time"

// The kinds of boundary in the calendar.
const (
	shiftStarts = iota
	breakNears  // operators leave within the next earlyMS
	breakStarts
	breakEnds
)

// earlyMS and lateMS bound how early operators leave for a break and how late
// they come back.
const (
	earlyMS = 20_000
	lateMS  = 25_000
	dayMS   = int64(24 * time.Hour / time.Millisecond)
	zoneMS  = int64(8 * time.Hour / time.Millisecond)
)

// boundary is a time at which something of the calendar changes, in ms after
// local midnight.
type boundary struct {
	at    int64
	kind  int
	shift string
}

// calendar follows the wall clock, also when the plant runs faster than it:
// wall and process time agree up to start, and then part by speed.
type calendar struct {
	anchor     int64
	boundaries []boundary // of a day, in order
	wall       int64      // wall time of the next boundary
	which      int
	paused     bool // in a break
	gen        uint32
	start      int64
	speed      float64
}

func newCalendar(anchor int64) calendar {
	c := calendar{anchor: anchor, start: anchor, speed: 1}
	for _, s := range Shifts() {
		pause := s.Break.Milliseconds()
		c.boundaries = append(c.boundaries,
			boundary{s.Start.Milliseconds(), shiftStarts, s.Name},
			boundary{pause - earlyMS, breakNears, s.Name},
			boundary{pause, breakStarts, s.Name},
			boundary{pause + s.Pause.Milliseconds(), breakEnds, s.Name})
	}
	midnight := c.midnight(anchor)
	c.which, c.wall = len(c.boundaries), midnight+dayMS+c.boundaries[0].at
	for i, b := range c.boundaries {
		if midnight+b.at > anchor {
			c.which, c.wall = i, midnight+b.at
			break
		}
	}
	c.paused = c.boundaries[(c.which+len(c.boundaries)-1)%len(c.boundaries)].kind == breakStarts
	c.which %= len(c.boundaries)
	return c
}

// newEndless gives a calendar in which nothing ever happens: no shift ends, and
// nobody takes a break.
func newEndless(anchor int64) calendar {
	return calendar{anchor: anchor, start: anchor, speed: 1, wall: anchor + 100*365*dayMS}
}

func (c *calendar) midnight(wall int64) int64 { return wall - (wall+zoneMS)%dayMS }

// process gives the process time of a wall time, both in ms.
func (c *calendar) process(wall int64) int64 {
	if wall <= c.start || c.speed == 1 {
		return wall
	}
	return c.start + int64(float64(wall-c.start)*c.speed)
}

func (c *calendar) wake() int64 { return c.process(c.wall) }

// step goes on to the boundary after the next one.
func (c *calendar) step() {
	midnight := c.midnight(c.wall)
	if c.which++; c.which == len(c.boundaries) {
		c.which, midnight = 0, midnight+dayMS
	}
	c.wall = midnight + c.boundaries[c.which].at
}

// workedThrough tells whether a line works on in the break that is next: line
// A does so once a week, in the day shift of the fourth day after the anchor.
func (c *calendar) workedThrough(l *line, shift string) bool {
	return l.id == "mcb-a" && shift == "day" && (c.wall-c.anchor)/dayMS%7 == 3
}

// boundary does what the calendar asks for now, and schedules its next turn.
func (m *model) boundary() {
	c := &m.calendar
	b, wall := c.boundaries[c.which], c.wall
	for _, s := range m.stations {
		switch b.kind {
		case shiftStarts:
			if s.resets {
				s.set(slotGood, 0, m.now)
				s.set(slotReject, 0, m.now)
			}
		case breakNears:
			if !c.workedThrough(s.line, b.shift) {
				m.schedule(c.process(wall+s.rng.Int64N(earlyMS)), evLeave, s.index, 0)
			}
		case breakEnds:
			if s.hold&holdOff != 0 {
				m.schedule(c.process(wall+s.rng.Int64N(lateMS)), evReturn, s.index, 0)
			}
		}
	}
	c.paused = b.kind == breakStarts
	c.step()
	m.schedule(c.wake(), evCalendar, 0, c.gen)
}

// goLive lets process time run speed times faster than the wall from start on,
// in ms.
func (m *model) goLive(start int64, speed float64) {
	c := &m.calendar
	c.start, c.speed = start, speed
	c.gen++
	m.schedule(max(c.wake(), m.now), evCalendar, 0, c.gen)
}
