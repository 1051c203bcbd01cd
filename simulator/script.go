package simulator

import (
	"math/rand/v2"
	"time"
)

// action is what a script does to its line or machine.
type action string

const (
	actJam        action = "jam"        // a long jam: starvation below, blocking above
	actShortage   action = "shortage"   // no material at the first machine
	actChangeover action = "changeover" // the next product of the line
	actDrift      action = "drift"      // a bimetal lot that creeps away
	actCavity     action = "cavity"     // one cavity off
	actChatter    action = "chatter"    // false rejects by a loose probe
)

// scriptPlan is a scripted event that comes again and again.
type scriptPlan struct {
	what    action
	machine string
	first   time.Duration // after the anchor
	every   time.Duration
	length  time.Duration
	size    float64 // sigmas, or a fault code
	cavity  int64
}

// scriptPlans is the timetable. Each event comes late by up to an eighth of its
// period, by the seed.
func scriptPlans() []scriptPlan {
	const h, min = time.Hour, time.Minute
	return []scriptPlan{
		{what: actJam, machine: "a-welding", first: 23 * min, every: 2 * h, length: 5 * min, size: 204},
		{what: actJam, machine: "a-trip-test", first: 80 * min, every: 5 * h, length: 7 * min, size: 504},
		{what: actShortage, machine: "a-assembly", first: 100 * min, every: 3 * h, length: 5 * min},
		{what: actChangeover, machine: "a-assembly", first: 50 * min, every: 6 * h},
		{what: actDrift, machine: "a-calibration", first: 2 * h, every: 12 * h, length: 3 * h, size: 2.4},
		{what: actCavity, machine: "a-calibration", first: 7 * h, every: 16 * h, length: 2 * h, size: 1.8, cavity: 7},
		{what: actChatter, machine: "a-dielectric", first: 70 * min, every: 5 * h, length: 12 * min},
		{what: actJam, machine: "b-trip-test", first: 37 * min, every: 150 * min, length: 6 * min, size: 504},
		{what: actShortage, machine: "b-assembly", first: 110 * min, every: 4 * h, length: 6 * min},
		{what: actDrift, machine: "b-calibration", first: 5 * h, every: 20 * h, length: 4 * h, size: -2.2},
		{what: actCavity, machine: "b-calibration", first: 11 * h, every: 30 * h, length: 3 * h, size: -2, cavity: 3},
		{what: actChatter, machine: "b-dielectric", first: 3 * h, every: 7 * h, length: 10 * min},
	}
}

type script struct {
	scriptPlan
	station *station
	rng     *rand.Rand
	times   int64 // played so far
}

func (m *model) addScripts() {
	for _, p := range scriptPlans() {
		for _, s := range m.stations {
			if s.id == p.machine {
				c := &script{scriptPlan: p, station: s, rng: m.stream(string(p.what) + " " + p.machine)}
				m.scripts = append(m.scripts, c)
				m.again(c, uint16(len(m.scripts)-1))
			}
		}
	}
}

func (m *model) again(c *script, index uint16) {
	every := c.every.Milliseconds()
	m.schedule(m.anchor+c.first.Milliseconds()+c.times*every+c.rng.Int64N(every/8), evScript, index, 0)
	c.times++
}

func (m *model) play(c *script, index uint16) {
	m.again(c, index)
	s, l, length := c.station, c.station.line, c.length.Milliseconds()
	switch c.what {
	case actJam:
		if s.hold&holdOff == 0 {
			m.jam(s, int64(c.size), length)
		}
	case actShortage:
		l.shortage = m.now + length
		m.schedule(l.shortage, evSupply, s.index, 0)
	case actChangeover:
		l.order = l.products[c.times%int64(len(l.products))]
	case actDrift:
		s.proc.driftFrom, s.proc.driftMS, s.proc.drift = m.now, length, c.size
		s.proc.lot++
		s.set(slotExtra, s.proc.lot, m.now)
	case actCavity:
		s.proc.cavity, s.proc.cavityOff, s.proc.cavityUntil = c.cavity, c.size, m.now+length
	case actChatter:
		s.proc.chatterUntil = m.now + length
	}
}
