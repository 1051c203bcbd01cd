package twin

import (
	"math"
	"math/bits"
	"slices"
	"time"

	"linetwin/plant"
)

// mostCount is the largest count that is believed: above it floats have holes.
const mostCount = 1 << 53

// count takes a counter's reading. oee.md 3.7.
func (f *folding) count(c *FoldCounter, role plant.Role, r *plant.Reading, t plant.Time) {
	cp := f.cp
	value, ok := r.Value.Count()
	if ok = ok && value >= 0 && value <= mostCount; r.Quality == plant.Bad || !ok {
		if r.Quality != plant.Bad {
			cp.WrongCounts++
			cp.WrongCount = clean(r.Signal + " is " + r.Value.String())
		}
		c.Blind = c.Seen
		f.lost(role, r, t)
		return
	}
	blind := c.Blind
	c.Blind = blind && t < cp.GapUntil
	if !c.Seen {
		*c = FoldCounter{Seen: true, Value: value, Time: t, At: f.worked(t)}
		f.counted(role, t, false)
		return
	}
	step, reset := f.step(c, role, value, t)
	elapsed := f.elapsed(c, t)
	if value != c.Value {
		c.Value, c.Time, c.At = value, t, f.worked(t)
	}
	n := step * max(f.m.PiecesPerCount, 1)
	if n != 0 || reset || cp.Owed != 0 {
		good, reject := f.share(role, n)
		f.deliver(t, good, reject, reset)
		if made := good + reject; made > 0 && !reset && f.plausible(made, elapsed, t) {
			f.explain(t, made, blind)
		}
	}
	f.counted(role, t, n > 0)
	f.settle()
}

// step gives the counter's rise in counts, and whether it was reset.
func (f *folding) step(c *FoldCounter, role plant.Role, value int64, t plant.Time) (int64, bool) {
	if value >= c.Value {
		if rise := value - c.Value; !f.lifelong(rise, t) {
			return rise, false
		}
		return 0, true // it was set to another value
	}
	if width := f.m.Widths[role]; width > 0 && width < 63 && c.Value < 1<<width {
		// A rollover is the shorter way round, and one that the machine can
		// have gone in its running time.
		rise := value - c.Value + 1<<width
		if rise < 1<<(width-1) && f.plausible(rise*max(f.m.PiecesPerCount, 1), f.elapsed(c, t), t) {
			return rise, false
		}
	}
	if f.lifelong(value, t) {
		return 0, true
	}
	return value, true
}

// mostWork and mostRise bound what a counter may rise by at once: what takes a
// year at the ideal cycle or, where there is none, so many counts.
const (
	mostWork = 365 * 24 * time.Hour
	mostRise = 1 << 40
)

// lifelong tells whether a counter rose by more than the machine makes in a
// year, which is no production: sums of it would be nonsense.
func (f *folding) lifelong(rise int64, t plant.Time) bool {
	ideal, ok := f.ideal(t)
	if per := max(f.m.PiecesPerCount, 1); ok && rise <= math.MaxInt64/per {
		return lifelong(rise*per, ideal)
	}
	return rise > mostRise
}

// lifelong tells whether so many pieces, more or less than none, take more than
// a year.
func lifelong(pieces int64, ideal time.Duration) bool {
	if pieces < 0 {
		pieces = -pieces
	}
	high, low := bits.Mul64(uint64(pieces), uint64(ideal))
	return high != 0 || low > uint64(mostWork)
}

// plausible tells whether a machine can make n pieces in elapsed: at most
// 1.5 x elapsed / ideal + 1. Without an ideal cycle everything is plausible.
func (f *folding) plausible(n int64, elapsed time.Duration, t plant.Time) bool {
	ideal, ok := f.ideal(t)
	if !ok {
		return true
	}
	per := max(f.m.PiecesPerCount, 1)
	high, low := bits.Mul64(uint64(max(n-per, 0)), uint64(ideal))
	return high == 0 && low <= uint64(elapsed)+uint64(elapsed)/2
}

// elapsed is the time in which the counter can have moved since it got its
// value: that the machine ran or was unknown. A counter that falls after a
// long stop was reset and did not roll over. A machine without a state gives
// no better than the time that passed.
func (f *folding) elapsed(c *FoldCounter, t plant.Time) time.Duration {
	if f.roles.state == "" {
		return t.Sub(c.Time)
	}
	return f.worked(t) - c.At
}

// worked is the machine's running and unknown time up to t.
func (f *folding) worked(t plant.Time) time.Duration {
	if s := &f.cp.Running; s.From != 0 && works(s.Class) {
		return f.cp.Worked + t.Sub(s.From)
	}
	return f.cp.Worked
}

func (f *folding) ideal(t plant.Time) (time.Duration, bool) {
	if f.m.Ideal == nil {
		return 0, false
	}
	d, ok := f.m.Ideal(f.cp.Product, t)
	return d, ok && d > 0
}

// share tells how many good and rejected pieces n more of a counter mean. The
// total stands in for a missing one: a total counts as its other until the one
// that is there tells better, so that sums come right whichever is read first.
func (f *folding) share(role plant.Role, n int64) (good, reject int64) {
	cp := f.cp
	hasGood, hasReject, hasTotal := f.roles.good != "", f.roles.reject != "", f.roles.total != ""
	switch {
	case role == plant.RoleGood && hasTotal && !hasReject:
		good, reject = n-cp.Owed, cp.Owed-n
		cp.Owed = 0
		return good, reject
	case role == plant.RoleGood:
		return n, 0
	case role == plant.RoleReject && hasTotal && !hasGood:
		return -n, n
	case role == plant.RoleReject:
		return 0, n
	case hasGood && hasReject:
		return 0, 0
	case hasGood && cp.Good.Seen && !cp.Good.Blind:
		return 0, n
	case hasGood && cp.Good.Seen:
		cp.Owed += n
	}
	return n, 0
}

// deliver adds pieces to the minute of t.
func (f *folding) deliver(t plant.Time, good, reject int64, reset bool) {
	cp := f.cp
	p := plant.Pieces{Machine: f.m.ID, Minute: t.Floor(time.Minute), Product: cp.Product, Order: cp.order(), Good: good, Reject: reject}
	if good != 0 || reject != 0 {
		p.Startup = f.startup(t, good, reject)
		if p.Order == "" {
			p.Flags |= plant.FlagNoOrder
		}
		if cp.Assumed {
			p.Flags |= plant.FlagProductAssumed
		}
	}
	if reset {
		p.Resets = 1
		p.Flags |= plant.FlagReset
	}
	if p.Good == 0 && p.Reject == 0 && p.Resets == 0 {
		return
	}
	if n := len(f.out.Pieces); n > 0 {
		if last := &f.out.Pieces[n-1]; last.Minute == p.Minute && last.Product == p.Product && last.Order == p.Order && last.Machine == p.Machine {
			last.Good += p.Good
			last.Reject += p.Reject
			last.Startup += p.Startup
			last.Resets += p.Resets
			last.Flags |= p.Flags
			return
		}
	}
	f.out.Pieces = append(f.out.Pieces, p)
}

// startup gives how many of the rejects were made just after a changeover or a
// long stop. oee.md 3.9.
func (f *folding) startup(t plant.Time, good, reject int64) int64 {
	cp := f.cp
	var n int64
	switch {
	case cp.Armed || t < cp.StartUntil:
		n = reject
	case cp.StartPieces > 0:
		n = min(reject, cp.StartPieces)
	}
	if made := good + reject; !cp.Armed && made > 0 {
		cp.StartPieces = max(0, cp.StartPieces-made)
	}
	return n
}

// explain lays pieces on the unknown segment in which they were made, so that
// its run time can be inferred. oee.md 3.3.
func (f *folding) explain(t plant.Time, made int64, blind bool) {
	cp := f.cp
	s := &cp.Running
	switch {
	case s.Class == plant.ClassUnknown && t > s.From:
	case cp.HeldUntil != 0 && blind && len(cp.Waiting) > 0:
		cp.Waiting = slices.Clone(cp.Waiting) // a copy of the checkpoint may share the array
		s = &cp.Waiting[0]
		if ideal, ok := f.ideal(t); ok {
			made -= int64(t.Sub(s.To) / ideal) // made since, while it was known again
		}
	default:
		return
	}
	if made > 0 {
		s.Pieces += made
		if s.Product == "" {
			s.Product = cp.Product
		}
	}
}

// settle gives out what waited for counters once all were read again.
func (f *folding) settle() {
	cp := f.cp
	if cp.HeldUntil == 0 || cp.Good.Blind || cp.Reject.Blind || cp.Total.Blind {
		return
	}
	cp.HeldUntil = 0
}

// primary tells whether role is the counter whose movement stands in for a
// missing state signal.
func (f *folding) primary(role plant.Role) bool {
	switch {
	case f.roles.good != "":
		return role == plant.RoleGood
	case f.roles.total != "":
		return role == plant.RoleTotal
	}
	return role == plant.RoleReject
}

// lost makes a machine without a state signal unknown: its counter cannot be
// read.
func (f *folding) lost(role plant.Role, r *plant.Reading, t plant.Time) {
	if f.roles.state != "" || !f.primary(role) {
		return
	}
	f.enter(t, plant.ClassUnknown, "")
	f.still()
	if r.Quality == plant.Bad {
		f.why("counter is bad: ", r.Reason, "")
	} else {
		f.why("counter is bad: ", r.Value.String(), " is no count")
	}
}

// counted moves a machine without a state signal: it runs from the first of
// two moves that follow each other closely.
func (f *folding) counted(role plant.Role, t plant.Time, moved bool) {
	cp := f.cp
	if f.roles.state != "" || t < cp.GapUntil {
		return
	}
	if cp.Running.Class == plant.ClassUnknown {
		if !f.primary(role) {
			return
		}
		// What comes next tells whether it ran from here on; it did when it was
		// unknown for no time at all.
		if cp.Running.From != t || !f.resume(t, plant.ClassRun) {
			f.enter(t, plant.ClassStop, "")
		}
		cp.Why = ""
		f.move(t, t)
		return
	}
	if !moved {
		return
	}
	if cp.MovedFirst == 0 {
		f.move(t, t)
		return
	}
	if cp.Running.Class != plant.ClassRun && t > cp.MovedFirst {
		f.enter(cp.MovedFirst, plant.ClassRun, "")
	}
	f.move(cp.MovedFirst, t)
}

func (f *folding) move(first, t plant.Time) {
	tolerance := standsLeast
	if ideal, ok := f.ideal(t); ok {
		tolerance = max(tolerance, standsCycles*min(ideal, time.Hour))
	}
	f.cp.MovedFirst, f.cp.Moved, f.cp.StandsAfter = first, t, t.Add(tolerance).Floor(time.Millisecond)
}

// stand ends a run of a machine without a state signal at its last move.
func (f *folding) stand() {
	cp := f.cp
	if cp.Running.Class == plant.ClassRun {
		f.enter(cp.Moved, plant.ClassStop, "")
	}
	f.still()
}

func (f *folding) still() { f.cp.MovedFirst, f.cp.Moved, f.cp.StandsAfter = 0, 0, 0 }
