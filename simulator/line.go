package simulator

import (
	"math"
	"math/rand/v2"
)

// line is a series of stations that share an order and a stock of material.
type line struct {
	*linePlan
	index    uint16
	stations []*station
	rng      *rand.Rand // of the analog values
	serial   uint32     // last one given
	order    product    // of the next piece
	shortage int64      // no material before this time
}

func (m *model) addLine(p *linePlan) {
	l := &line{linePlan: p, index: uint16(len(m.lines)), rng: m.stream(p.id), order: p.products[0]}
	l.serial = uint32(m.anchor/1000%100_000_000) + uint32(l.index)*500_000_000
	m.lines = append(m.lines, l)
	var prev *station
	for i := range p.machines {
		s := &station{machinePlan: &p.machines[i], index: uint16(len(m.stations)), line: l, prev: prev, rng: m.stream(p.machines[i].id), product: l.order}
		s.in.places = make([]piece, s.buffer)
		if prev != nil {
			prev.next = s
		}
		prev = s
		s.toFailure = exponential(s.rng, s.mtbf)
		s.start(m.anchor)
		m.stations, l.stations = append(m.stations, s), append(l.stations, s)
		m.ledger.accounts = append(m.ledger.accounts, account{})
		m.derive(s)
		if s.micro > 0 {
			m.schedule(m.now+exponential(s.rng, s.micro), evHold, s.index, 0)
		}
	}
	m.schedule(m.now+analogEvery, evAnalog, l.index, 0)
}

// start gives the signals their first values: counters stand where years of
// work have brought them.
func (s *station) start(at int64) {
	s.proc = quality{cavity: -1, lot: 4100 + int64(s.index)}
	s.heat = analog{degrees: 31, kWh: float64(20_000 + s.rng.IntN(300_000))}
	good := int64(s.rng.IntN(4_000_000))
	s.set(slotGood, good, at)
	s.set(slotReject, good/60, at)
	s.set(slotFault, 0, at)
	s.set(slotProduct, int64(s.product), at)
	s.set(slotSerial, 0, at)
	s.set(slotCavity, 0, at)
	s.setFloat(slotSpeed, 0, at)
	s.setFloat(slotTemperature, s.heat.degrees, at)
	s.setFloat(slotEnergy, s.heat.kWh, at)
	first := s.measure.mean
	if s.measure.log {
		first = math.Exp(first)
	}
	s.setFloat(slotMeasure, s.measure.round(first), at)
	switch s.extra {
	case "lot":
		s.set(slotExtra, s.proc.lot, at)
	default:
		s.set(slotExtra, good/12, at)
	}
}

// analog is what a machine's slow values need.
type analog struct {
	degrees float64 // °C
	kWh     float64
	pieces  int     // since the last beat
	rate    float64 // pieces a minute, smoothed
}

// analog moves the slow values of a line by one beat. They are shown coarsely,
// as controllers do, so that they do not change with each beat.
func (m *model) analog(l *line) {
	const beat = float64(analogEvery) / 1000
	day := 2 * math.Pi * float64(m.now%86_400_000) / 86_400_000
	ambient := 24 + 3*math.Sin(day)
	for _, s := range l.stations {
		h := &s.heat
		power, target := s.power*.15, ambient+4
		if s.cells[slotState].n == stateExecute {
			power, target = s.power, ambient+14+s.power
		}
		h.degrees += (target-h.degrees)*beat/600 + (l.rng.Float64()-.5)*.02
		h.kWh += power * beat / 3600
		h.rate += (float64(h.pieces)*60/beat - h.rate) * beat / 120
		h.pieces = 0
		s.setFloat(slotTemperature, hysteresis(s.cells[slotTemperature].f, h.degrees, .2), m.now)
		s.setFloat(slotEnergy, hysteresis(s.cells[slotEnergy].f, h.kWh, .1), m.now)
		s.setFloat(slotSpeed, hysteresis(s.cells[slotSpeed].f, h.rate, 1), m.now)
	}
}

// hysteresis shows x in tenths, and only when it is off by at least step.
func hysteresis(shown, x, step float64) float64 {
	if math.Abs(x-shown) < step {
		return shown
	}
	return math.Round(x*10) / 10
}
