package simulator

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
)

// patience is how long a controller waits before it reports starved or
// blocked, so that states do not flicker with each piece. In ms.
const patience = 5000

// analogEvery is the beat of temperatures, speeds and energies. In ms.
const analogEvery = 2000

// model is the plant in process time: a heap of events and what they change.
// It knows no clock; advance moves it.
type model struct {
	now    int64 // ms of the Unix epoch
	anchor int64
	seed   uint64
	events eventHeap
	seq    uint64

	lines    []*line
	stations []*station
	scripts  []*script
	calendar calendar
	ledger   ledger

	// changed is told of each new state of a station, if set.
	changed func(s *station)
}

// newModel makes the plant as it stands at the anchor, in ms, with the lines
// of plans.
func newModel(seed uint64, anchor int64, plans []linePlan) *model {
	return newModelBy(newCalendar(anchor), seed, plans)
}

// newModelBy makes the plant as it stands at the calendar's anchor.
func newModelBy(c calendar, seed uint64, plans []linePlan) *model {
	m := &model{now: c.anchor, anchor: c.anchor, seed: seed, calendar: c}
	for i := range plans {
		m.addLine(&plans[i])
	}
	m.addScripts()
	if m.calendar.paused {
		for _, s := range m.stations {
			s.hold |= holdOff
			m.derive(s)
		}
	}
	m.schedule(m.calendar.wake(), evCalendar, 0, m.calendar.gen)
	for _, s := range m.stations {
		if s.hold == 0 {
			m.begin(s)
		}
	}
	return m
}

// stream gives the random numbers of one thing, which nothing else draws from.
func (m *model) stream(name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(m.seed, h.Sum64()))
}

func (m *model) schedule(at int64, kind eventKind, who uint16, gen uint32) {
	m.seq++
	m.events.push(event{at: at, seq: m.seq, kind: kind, who: who, gen: gen})
}

// advance lets everything happen that is due up to and including to, in ms.
// Any number of steps to a time gives the same plant as one step.
func (m *model) advance(to int64) {
	for len(m.events) > 0 && m.events[0].at <= to {
		e := m.events.pop()
		m.now = e.at
		m.handle(&e)
	}
	m.now = max(m.now, to)
}

func (m *model) handle(e *event) {
	switch e.kind {
	case evCalendar:
		if e.gen == m.calendar.gen {
			m.boundary()
		}
		return
	case evAnalog:
		m.analog(m.lines[e.who])
		m.schedule(m.now+analogEvery, evAnalog, e.who, 0)
		return
	case evScript:
		m.play(m.scripts[e.who], e.who)
		return
	}
	s := m.stations[e.who]
	switch e.kind {
	case evWork:
		if s.gen == e.gen {
			m.worked(s)
		}
	case evWait:
		m.waited(s)
	case evRepair:
		m.repaired(s)
	case evSetup:
		s.product = s.piece.product
		s.set(slotProduct, int64(s.product), m.now)
		s.startup = 15
		m.release(s, holdSetup)
	case evHold:
		m.operator(s)
	case evUnhold:
		m.release(s, holdOperator)
	case evLeave:
		m.stop(s, holdOff)
	case evReturn:
		s.hold = s.hold&^holdOff | holdWarm
		m.derive(s)
		m.schedule(m.now+5000+s.rng.Int64N(15000), evWarm, e.who, 0)
	case evWarm:
		m.release(s, holdWarm)
	case evSupply:
		if s.phase == empty && s.hold == 0 {
			m.begin(s)
		}
	}
}

// exponential draws a time in ms with a mean in seconds.
func exponential(r *rand.Rand, mean float64) int64 {
	return 1 + int64(r.ExpFloat64()*mean*1000)
}

// lognormal draws a value with a median and the spread of its logarithm.
func lognormal(r *rand.Rand, median, spread float64) float64 {
	return median * math.Exp(spread*r.NormFloat64())
}
