package simulator

import "math"

// quality is what is out of order with a station's process.
type quality struct {
	driftFrom, driftMS int64   // a bimetal lot whose trip times creep away
	drift              float64 // sigmas at its end
	cavity             int64   // the cavity that is off; -1: none
	cavityOff          float64 // sigmas
	cavityUntil        int64
	chatterUntil       int64 // a loose probe adds leakage now and then
	lot                int64
}

// shift gives how many sigmas a cavity's pieces are off at a time in ms.
func (q *quality) shift(now, cavity int64) float64 {
	var off float64
	if d := now - q.driftFrom; q.driftMS > 0 && d < q.driftMS {
		off = q.drift * float64(d) / float64(q.driftMS)
	}
	if cavity == q.cavity && now < q.cavityUntil {
		off += q.cavityOff
	}
	return off
}

func (p *measurePlan) round(x float64) float64 { return math.Round(x*p.decimals) / p.decimals }

// within tells whether x meets the limits; one that is NaN is none.
func (p *measurePlan) within(x float64) bool { return !(x < p.lsl) && !(x > p.usl) }

// judge measures the finished piece if its turn has come, and tells whether
// it is good.
func (m *model) judge(s *station) bool {
	bad := s.reject
	if s.startup > 0 {
		s.startup--
		bad += .15
	}
	good := s.rng.Float64() >= bad
	p := &s.measure
	if s.taken%int64(p.each) != 0 {
		return good
	}
	var cavity int64
	if p.cavities > 0 {
		cavity = s.taken/int64(p.each)%int64(p.cavities) + 1
		s.set(slotCavity, cavity, m.now)
	}
	x := p.mean + p.sigma*(s.rng.NormFloat64()+s.proc.shift(m.now, cavity))
	if p.log {
		x = math.Exp(x)
	}
	if m.now < s.proc.chatterUntil && s.rng.Float64() < .35 {
		x += .25 + .7*s.rng.Float64()
	}
	x = p.round(x)
	s.set(slotSerial, int64(s.piece.serial), m.now)
	s.setFloat(slotMeasure, x, m.now)
	m.ledger.measured(s, m.now, s.piece.serial, x)
	return good && p.within(x)
}
