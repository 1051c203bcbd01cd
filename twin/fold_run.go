package twin

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"linetwin/plant"
)

const (
	// counterWait is how long after an unknown segment its counters may still
	// be read, so that the pieces made in it are found. oee.md 3.3.
	counterWait = 60 * time.Second
	// mostWaiting bounds the closed segments that wait for that reading.
	mostWaiting = 64
	// A machine without a state signal stands when its counters did not move
	// for this many ideal cycles, and at least for standsLeast.
	standsCycles = 5
	standsLeast  = 10 * time.Second
)

// Fold applies events, which are sorted as SortEvents does, and then the claim
// that everything up to through is known. It changes cp in place and appends
// to out what became final. It is pure: the same events give the same output
// and checkpoint to the bit, however they are cut into calls, except that the
// pieces of one minute may come in several entries, which add up.
//
// Events at cp.Through itself are welcome, older ones are counted and left
// out. A checkpoint that was taken with Through on a full minute, all events
// before it folded and none at it, has given out exactly the pieces of earlier
// minutes.
//
// A state reads as States says; a value without a meaning and a bad reading
// make the class unknown until the next good one, and so does a gap. A machine
// without a state signal runs from the first of two moves of its counters that
// follow each other within 5 ideal cycles (at least 10 s) until the last such
// move; it is unknown while its counter cannot be read.
func (m *MachineModel) Fold(cp *Checkpoint, events []Event, through plant.Time, out *Output) {
	f := folding{m: m, cp: cp, out: out}
	f.roles.state = m.Signals[plant.RoleState]
	f.roles.good = m.Signals[plant.RoleGood]
	f.roles.reject = m.Signals[plant.RoleReject]
	f.roles.total = m.Signals[plant.RoleTotal]
	f.roles.product = m.Signals[plant.RoleProduct]
	f.roles.order = m.Signals[plant.RoleOrder]
	f.roles.fault = m.Signals[plant.RoleFault]
	f.setProduct()
	for i := range events {
		e := &events[i]
		if e.Time < cp.Through || e.Time <= 0 {
			cp.OutOfOrder++
			continue
		}
		f.advance(e.Time)
		switch e.Kind {
		case EventReading:
			f.reading(&e.Reading, e.Time)
		case EventGap:
			f.gap(e.Time, e.Until)
		case EventOrder:
			cp.Order, cp.OrderProduct = clean(e.Order), clean(e.Product)
			f.setProduct()
		}
	}
	f.advance(max(through, cp.Through))
	cp.Version = CheckpointVersion
}

// folding is one call of Fold.
type folding struct {
	m     *MachineModel
	cp    *Checkpoint
	out   *Output
	roles struct{ state, good, reject, total, product, order, fault string }
	buf   [128]byte
}

// advance lets time pass up to t: what was only waiting for time to pass,
// happens at its own instant.
func (f *folding) advance(t plant.Time) {
	cp := f.cp
	cp.Through = max(cp.Through, t)
	if cp.StandsAfter != 0 && t > cp.StandsAfter {
		f.stand()
	}
	n := len(cp.Waiting)
	if n == 0 {
		return
	}
	switch {
	case cp.HeldUntil == 0 && t > cp.Waiting[n-1].To, t > cp.HeldUntil && cp.HeldUntil != 0, n > mostWaiting:
		f.release()
	}
}

// release gives the waiting segments out.
func (f *folding) release() {
	f.out.Segments = append(f.out.Segments, f.cp.Waiting...)
	f.cp.Waiting, f.cp.HeldUntil = nil, 0
}

func (f *folding) reading(r *plant.Reading, t plant.Time) {
	if r.Signal == "" {
		return
	}
	cp := f.cp
	switch r.Signal {
	case f.roles.state:
		f.begin(t)
		f.state(r, t)
	case f.roles.good:
		f.begin(t)
		f.count(&cp.Good, plant.RoleGood, r, t)
	case f.roles.reject:
		f.begin(t)
		f.count(&cp.Reject, plant.RoleReject, r, t)
	case f.roles.total:
		f.begin(t)
		f.count(&cp.Total, plant.RoleTotal, r, t)
	case f.roles.fault:
		f.fault(r, t)
	case f.roles.product:
		if r.Quality != plant.Bad {
			f.told(r.Value)
		}
	case f.roles.order:
		if r.Quality != plant.Bad {
			f.order(r.Value, t)
		}
	}
}

// begin starts the first segment of all: unknown, until a state is read.
func (f *folding) begin(t plant.Time) {
	if f.cp.Running.From == 0 {
		f.cp.Running = plant.Segment{Machine: f.m.ID, Span: plant.Span{From: t}}
		f.cp.Why = "no state was read yet"
	}
}

func (f *folding) gap(t, until plant.Time) {
	cp := f.cp
	goesOn := t <= cp.GapUntil && cp.Running.Class == plant.ClassUnknown
	cp.GapUntil = max(cp.GapUntil, until)
	if until <= t || cp.Running.From == 0 {
		return
	}
	cp.Good.Blind, cp.Reject.Blind, cp.Total.Blind = cp.Good.Seen, cp.Reject.Seen, cp.Total.Seen
	f.enter(t, plant.ClassUnknown, "")
	f.still()
	if !goesOn {
		cp.Why = "no data since " + t.String()
	}
}

func (f *folding) state(r *plant.Reading, t plant.Time) {
	if t < f.cp.GapUntil {
		return // one reading inside a gap does not tell how long it was true
	}
	if r.Quality == plant.Bad {
		f.enter(t, plant.ClassUnknown, "")
		f.why("state is bad: ", r.Reason, "")
		return
	}
	text := f.text(r.Value)
	meaning, ok := f.m.States[string(text)]
	switch {
	case !ok || r.Value.IsNone():
		f.enter(t, plant.ClassUnknown, "")
		f.why(`state "`, string(text), `" has no meaning`)
	case meaning.Class == plant.ClassUnknown:
		f.enter(t, plant.ClassUnknown, meaning.State)
		f.why(`state "`, string(text), `" means unknown`)
	default:
		f.enter(t, meaning.Class, meaning.State)
		f.cp.Why = ""
	}
}

// why sets the reason for unknown, without allocating where it stays the same.
func (f *folding) why(before, middle, after string) {
	w := f.cp.Why
	if len(w) == len(before)+len(middle)+len(after) && strings.HasPrefix(w, before) &&
		w[len(before):len(before)+len(middle)] == middle && strings.HasSuffix(w, after) {
		return
	}
	f.cp.Why = clean(before + middle + after)
}

// enter makes class what the machine does from t on.
func (f *folding) enter(t plant.Time, class plant.Class, state plant.State) {
	cp := f.cp
	cp.State = state
	run := &cp.Running
	switch {
	case run.Class == class:
		if run.From == t {
			run.State = state
		}
		return
	case run.From == t && f.resume(t, class):
		return
	case run.From != t:
		f.close(t)
	}
	*run = plant.Segment{Machine: f.m.ID, Span: plant.Span{From: t}, Class: class, State: state}
	if faulty(class) {
		run.Fault = cp.Fault
	}
	switch class {
	case plant.ClassRun:
		f.started(t)
	case plant.ClassChangeover:
		cp.Armed = f.startups()
	case plant.ClassUnknown:
		// Counters that were not read since an earlier unknown segment tell of
		// both; what they will show is laid on the later one.
		cp.HeldUntil = 0
	}
}

// resume takes the segment that was closed at t back, when the machine went
// away from its class and returned to it within one instant.
func (f *folding) resume(t plant.Time, class plant.Class) bool {
	cp := f.cp
	n := len(cp.Waiting)
	if n == 0 || cp.Waiting[n-1].To != t || cp.Waiting[n-1].Class != class {
		return false
	}
	cp.Running = cp.Waiting[n-1]
	cp.Running.To = 0
	cp.Waiting = cp.Waiting[:n-1]
	length := t.Sub(cp.Running.From)
	if works(class) {
		cp.Worked -= length
	}
	if class == plant.ClassUnknown {
		cp.HeldUntil = 0
	}
	if idles(class) {
		cp.IdleFor -= length
	}
	return true
}

// close ends the running segment at t, which is after its start.
func (f *folding) close(t plant.Time) {
	cp := f.cp
	s := cp.Running
	s.To = t
	length := s.Length()
	if works(s.Class) {
		cp.Worked += length
	}
	switch {
	case idles(s.Class):
		cp.IdleFor += length
	default:
		cp.IdleFor = 0
	}
	if s.Class == plant.ClassUnknown && (cp.Good.Blind || cp.Reject.Blind || cp.Total.Blind) {
		cp.HeldUntil = t.Add(counterWait)
	}
	// A copy of the checkpoint may share the array: never append in place.
	cp.Waiting = append(slices.Clip(cp.Waiting), s)
}

// works tells whether a counter may move in time of this class.
func works(c plant.Class) bool { return c == plant.ClassRun || c == plant.ClassUnknown }

// idles tells whether time of this class makes a stop long.
func idles(c plant.Class) bool { return c != plant.ClassRun && c != plant.ClassUnknown }

// faulty tells whether a segment of this class takes a fault.
func faulty(c plant.Class) bool { return c != plant.ClassRun && c != plant.ClassUnknown }

func (f *folding) startups() bool { return f.m.StartupPieces > 0 || f.m.StartupTime > 0 }

// started begins the startup after a changeover or a long stop. oee.md 3.9.
func (f *folding) started(t plant.Time) {
	cp := f.cp
	if cp.Armed || f.startups() && f.m.LongStop > 0 && cp.IdleFor >= f.m.LongStop {
		cp.StartPieces, cp.StartUntil = f.m.StartupPieces, t.Add(f.m.StartupTime)
	}
	cp.Armed = false
}

func (f *folding) fault(r *plant.Reading, t plant.Time) {
	if r.Quality == plant.Bad {
		return
	}
	cp := f.cp
	text := f.text(r.Value)
	if string(text) == "0" || string(text) == "false" || r.Value.IsNone() {
		text = nil
	}
	if string(text) != cp.Fault {
		cp.Fault = clean(string(text))
	}
	if run := &cp.Running; run.From != 0 && faulty(run.Class) && (run.Fault == "" || run.From == t) {
		run.Fault = cp.Fault
	}
}

// order takes an order signal: blank text, 0 and no value are no order, as in a
// controller's register that nobody filled.
func (f *folding) order(v plant.Value, t plant.Time) {
	text := bytes.Trim(f.text(v), " \t\r\n\x00")
	if string(text) == "0" || string(text) == "false" || v.IsNone() {
		text = nil
	}
	if string(text) == f.cp.OrderSignal {
		return
	}
	if order := clean(string(text)); order != f.cp.OrderSignal {
		f.tell(order, t)
	}
}

func (f *folding) told(v plant.Value) {
	text := f.text(v)
	if v.IsNone() {
		text = nil
	}
	if id, ok := f.m.Products[string(text)]; ok {
		f.cp.Told = id
	} else if string(text) != f.cp.Told {
		f.cp.Told = clean(string(text))
	}
	f.setProduct()
}

// setProduct decides what is made: what the machine says, else the order's
// product, else the machine's default.
func (f *folding) setProduct() {
	cp := f.cp
	cp.Assumed = false
	switch {
	case cp.Told != "":
		cp.Product = cp.Told
	case cp.OrderProduct != "":
		cp.Product = cp.OrderProduct
	default:
		cp.Product, cp.Assumed = f.m.DefaultProduct, true
	}
}

// text gives v as Value.String does; the bytes hold until the next call.
func (f *folding) text(v plant.Value) []byte {
	switch v.Kind() {
	case plant.KindInteger:
		return strconv.AppendInt(f.buf[:0], v.Integer(), 10)
	case plant.KindText:
		return append(f.buf[:0], v.Text()...)
	case plant.KindFloat:
		return strconv.AppendFloat(f.buf[:0], v.Float(), 'g', -1, 64)
	}
	return append(f.buf[:0], v.String()...)
}

// clean makes text that JSON carries unchanged.
func clean(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
