package simulator

import "math/rand/v2"

// piece is one pole on its way along a line.
type piece struct {
	serial  uint32
	product product
}

// ring is the finite buffer before a machine.
type ring struct {
	places []piece
	head   int
	length int
}

func (r *ring) full() bool { return r.length == len(r.places) }

func (r *ring) push(p piece) {
	r.places[(r.head+r.length)%len(r.places)] = p
	r.length++
}

func (r *ring) pop() piece {
	p := r.places[r.head]
	r.head = (r.head + 1) % len(r.places)
	r.length--
	return p
}

type phase uint8

const (
	empty   phase = iota // no piece in the machine
	working              // a piece at work, its end scheduled unless held
	done                 // a finished piece that has no room downstream
)

// Reasons for which a machine stands; it works when it has none.
const (
	holdJam uint8 = 1 << iota
	holdSetup
	holdOff
	holdOperator
	holdWarm
)

// cell is the value of one signal: a number (integers, the index of a
// product) or a float, and since when.
type cell struct {
	n   int64
	f   float64
	at  int64 // ms of process time of the last change
	rev uint32
}

// station is a machine of the model with the buffer before it.
type station struct {
	*machinePlan
	index uint16
	line  *line
	prev  *station
	next  *station
	rng   *rand.Rand

	in        ring
	phase     phase
	piece     piece
	product   product
	hold      uint8
	gen       uint32 // of the scheduled evWork
	since     int64  // when the work that is scheduled began
	remaining int64  // ms of work on the piece
	toFailure int64  // ms of work to the next jam
	failing   bool   // the scheduled evWork is a jam
	startup   int    // pieces still likely to be rejected after a start
	taken     int64  // pieces taken in, since the anchor

	waiting   bool
	waitSince int64
	suspended bool
	armed     bool // an evWait is scheduled

	repair   int // step of the repair
	repairMS int64

	cells [slots]cell
	stats stats
	proc  quality
	heat  analog
}

// stats counts since the anchor, whatever the controller's counters say.
type stats struct{ good, reject int64 }

func (s *station) set(i slot, n int64, at int64) {
	c := &s.cells[i]
	if c.n != n || c.rev == 0 {
		c.n, c.at = n, at
		c.rev++
	}
}

func (s *station) setFloat(i slot, f float64, at int64) {
	c := &s.cells[i]
	if c.f != f || c.rev == 0 {
		c.f, c.at = f, at
		c.rev++
	}
}

// begin takes the next piece. The machine is empty and has no reason to stand.
func (m *model) begin(s *station) {
	switch {
	case s.prev == nil && s.line.shortage > m.now, s.prev != nil && s.in.length == 0:
		m.wait(s)
		return
	case s.prev == nil:
		s.line.serial++
		s.piece = piece{s.line.serial, s.line.order}
	default:
		s.piece = s.in.pop()
	}
	s.taken++
	s.phase = working
	s.waiting, s.suspended = false, false
	best := s.cycle[s.piece.product]
	// No cycle is better than the best one: up to 1 % slower, 0.5 % on average.
	s.remaining = best + int64(s.rng.Uint64()%uint64(best/100+1))
	if s.piece.product != s.product {
		s.hold |= holdSetup
		m.schedule(m.now+int64(lognormal(s.rng, s.setup*60_000, .2)), evSetup, s.index, 0)
		m.derive(s)
	} else {
		m.work(s)
	}
	if s.prev != nil && s.prev.phase == done && s.prev.hold == 0 {
		m.deliver(s.prev)
	}
}

// work schedules the end of the piece at work, or the jam that comes before.
func (m *model) work(s *station) {
	s.since = m.now
	s.failing = s.toFailure < s.remaining
	s.gen++
	m.schedule(m.now+min(s.remaining, s.toFailure), evWork, s.index, s.gen)
	m.derive(s)
}

func (m *model) spend(s *station) {
	worked := m.now - s.since
	s.remaining -= worked
	s.toFailure -= worked
}

func (m *model) worked(s *station) {
	m.spend(s)
	if s.failing {
		f := s.pickFault()
		m.jam(s, f.code, int64(1000*lognormal(s.rng, f.median, f.spread)))
		return
	}
	m.finish(s)
}

// finish counts the piece and sends it on.
func (m *model) finish(s *station) {
	good := m.judge(s)
	if good {
		s.stats.good++
		s.set(slotGood, s.cells[slotGood].n+1, m.now)
	} else {
		s.stats.reject++
		s.set(slotReject, s.cells[slotReject].n+1, m.now)
	}
	m.ledger.piece(s, m.now, good)
	s.heat.pieces++
	if !good || s.next == nil {
		if good && s.extra == "boxes" && s.stats.good%12 == 0 {
			s.set(slotExtra, s.cells[slotExtra].n+1, m.now)
		}
		s.phase = empty
		m.begin(s)
		return
	}
	m.deliver(s)
}

// deliver moves the finished piece downstream, or waits for room.
func (m *model) deliver(s *station) {
	n := s.next
	if n.in.full() {
		s.phase = done
		m.wait(s)
		return
	}
	n.in.push(s.piece)
	s.phase = empty
	s.waiting, s.suspended = false, false
	if n.phase == empty && n.hold == 0 {
		m.begin(n)
	}
	m.begin(s)
}

// wait lets the machine stand for lack of a piece or of room.
func (m *model) wait(s *station) {
	if !s.waiting {
		s.waiting, s.waitSince = true, m.now
		if !s.armed {
			s.armed = true
			m.schedule(m.now+patience, evWait, s.index, 0)
		}
	}
	m.derive(s)
}

// waited is the waiting timer: one at a time per machine, moved on when the
// wait that it was set for is over.
func (m *model) waited(s *station) {
	s.armed = false
	if !s.waiting || s.suspended {
		return
	}
	if due := s.waitSince + patience; due > m.now {
		s.armed = true
		m.schedule(due, evWait, s.index, 0)
		return
	}
	s.suspended = true
	m.derive(s)
}

// stop gives the machine a reason to stand.
func (m *model) stop(s *station, why uint8) {
	if s.hold == 0 {
		if s.phase == working {
			m.spend(s)
			s.gen++
		}
		s.waiting, s.suspended = false, false
	}
	s.hold |= why
	m.derive(s)
}

// release takes a reason away; without any, the machine goes on.
func (m *model) release(s *station, why uint8) {
	if s.hold&why == 0 {
		return
	}
	s.hold &^= why
	switch {
	case s.hold != 0:
		m.derive(s)
	case s.phase == working:
		m.work(s)
	case s.phase == done:
		m.deliver(s)
	default:
		m.begin(s)
	}
}

// derive sets the state that the controller reports.
func (m *model) derive(s *station) {
	state := int64(stateExecute)
	switch {
	case s.hold&holdJam != 0:
		state = [...]int64{stateAborted, stateClearing, stateResetting}[s.repair]
	case s.hold&holdSetup != 0:
		state = stateChangeover
	case s.hold&holdOff != 0:
		state = stateOff
	case s.hold&holdOperator != 0:
		state = stateHeld
	case s.hold&holdWarm != 0:
		state = stateStarting
	case s.suspended && s.phase == done:
		state = stateBlocked
	case s.suspended:
		state = stateStarved
	}
	if c := &s.cells[slotState]; c.n == state && c.rev != 0 {
		return
	}
	s.set(slotState, state, m.now)
	m.ledger.state(s, m.now, state)
	if m.changed != nil {
		m.changed(s)
	}
}

func (s *station) pickFault() *faultPlan {
	x := s.rng.Float64()
	for i := range s.faults {
		if x -= s.faults[i].weight; x < 0 {
			return &s.faults[i]
		}
	}
	return &s.faults[len(s.faults)-1]
}

// The last two steps of each repair, in ms.
const (
	clearingMS  = 6000
	resettingMS = 2000
)

// jam stops the machine with a fault code for a time of at least 10 s.
func (m *model) jam(s *station, code, length int64) {
	if s.hold&holdJam != 0 {
		return
	}
	length = max(length, 10_000)
	if s.hold == 0 && s.phase == working && !s.failing {
		m.spend(s)
	}
	s.repair, s.repairMS, s.failing = 0, length, false
	s.toFailure = exponential(s.rng, s.mtbf)
	s.gen++
	s.waiting, s.suspended = false, false
	s.set(slotFault, code, m.now)
	s.hold |= holdJam
	m.derive(s)
	m.schedule(m.now+length-clearingMS-resettingMS, evRepair, s.index, 0)
}

func (m *model) repaired(s *station) {
	switch s.repair {
	case 0:
		s.repair = 1
		m.derive(s)
		m.schedule(m.now+clearingMS, evRepair, s.index, 0)
	case 1:
		s.repair = 2
		s.set(slotFault, 0, m.now)
		m.derive(s)
		m.schedule(m.now+resettingMS, evRepair, s.index, 0)
	default:
		if s.repairMS > 300_000 {
			s.startup = 5
		}
		m.release(s, holdJam)
	}
}

// operator is a micro stop by hand, from time to time.
func (m *model) operator(s *station) {
	m.schedule(m.now+exponential(s.rng, s.micro), evHold, s.index, 0)
	if s.hold != 0 {
		return
	}
	m.stop(s, holdOperator)
	m.schedule(m.now+8000+exponential(s.rng, 14), evUnhold, s.index, 0)
}
