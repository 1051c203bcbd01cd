package simulator

import (
	"context"
	"fmt"
	"time"
)

// SignalValue is the value of one signal in a sample.
type SignalValue struct {
	Signal string
	Value  Value
}

// Sample is what a gateway would have found of one machine at a time. Values
// holds the signals that changed since the machine's last sample; the first
// sample, and the first after a gap, hold all.
type Sample struct {
	Machine string
	At      time.Time // whole milliseconds
	First   bool      // nobody looked since the sample before, or there is none
	Values  []SignalValue
}

// The gap in the past: line B's gateway was off once a week, on the fifth day
// after the anchor, for 45 minutes.
const (
	gapLine  = "mcb-b"
	gapStart = int64(4*24*time.Hour+3*time.Hour) / int64(time.Millisecond)
	gapMS    = int64(45 * time.Minute / time.Millisecond)
	weekMS   = 7 * dayMS
)

// inGap tells whether the gateway of a line was off at a time.
func inGap(anchor int64, line string, at int64) bool {
	if line != gapLine || at < anchor {
		return false
	}
	d := (at - anchor) % weekMS
	return d >= gapStart && d < gapStart+gapMS
}

// Past gives the plant's past in [from, to) as gateways that look every so
// often would have seen it: counters and measurements on the grid of every,
// new states at their exact time. Samples come in order of time; emit slows it
// down as it likes, and an error of emit ends it. From may not lie before the
// anchor; the values between two looks are lost, as they are to a gateway.
//
// The past runs at the speed of the clock, whatever the plant's speed. It is
// computed anew, beside the plant that is served, and takes about 0.1 s per
// day and the time that emit takes.
func (p *Plant) Past(ctx context.Context, from, to time.Time, every time.Duration, emit func(Sample) error) error {
	if from.Before(p.cfg.Anchor.Truncate(time.Millisecond)) {
		return fmt.Errorf("simulate the past from %s: the plant begins at %s", from.UTC().Format(time.RFC3339), p.cfg.Anchor.UTC().Format(time.RFC3339))
	}
	step := every.Milliseconds()
	if step <= 0 {
		return fmt.Errorf("simulate the past every %s: want 1ms or more", every)
	}
	begin, end := from.UnixMilli(), to.UnixMilli()
	r := &recorder{model: p.cfg.model(), emit: emit}
	r.model.ledger.off = true
	r.seen = make([][slots]uint32, len(r.model.stations))
	r.gapped, r.told = make([]bool, len(r.model.stations)), make([]bool, len(r.model.stations))
	for r.model.now < begin && ctx.Err() == nil {
		r.model.advance(min(r.model.now+dayMS/4, begin))
	}
	r.model.changed = r.changed
	for at := begin; at < end; at = (at/step + 1) * step {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.model.advance(at)
		if err := r.look(at); err != nil {
			return err
		}
	}
	r.model.advance(end - 1)
	return r.flush()
}

// PastLedger gives what truly happened in the past that Past gives, from the
// anchor up to a time, that included.
func (p *Plant) PastLedger(ctx context.Context, to time.Time) (*Ledger, error) {
	m := p.cfg.model()
	for end := to.UnixMilli(); m.now < end; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m.advance(min(m.now+dayMS/4, end))
	}
	return p.tell(m, func(process int64) int64 { return process }), nil
}

// recorder follows a model and tells what changed.
type recorder struct {
	model   *model
	emit    func(Sample) error
	seen    [][slots]uint32
	gapped  []bool
	told    []bool // something was told since the last gap
	pending []pendingState
}

// pendingState is a state that was reported since the last look.
type pendingState struct {
	station *station
	at      int64
	values  [2]SignalValue // state and fault
}

func (r *recorder) changed(s *station) {
	n := pendingState{s, r.model.now, [2]SignalValue{{"state", s.value(slotState)}, {"fault", s.value(slotFault)}}}
	for i := len(r.pending) - 1; i >= 0 && r.pending[i].at == n.at; i-- {
		if r.pending[i].station == s {
			r.pending[i] = n // two states within one millisecond: the last one counts
			return
		}
	}
	r.pending = append(r.pending, n)
}

// look is one round of all gateways.
func (r *recorder) look(at int64) error {
	if err := r.flush(); err != nil {
		return err
	}
	for _, s := range r.model.stations {
		if inGap(r.model.anchor, s.line.id, at) {
			r.gapped[s.index] = true
			continue
		}
		if err := r.sample(s, at); err != nil {
			return err
		}
	}
	return nil
}

func (r *recorder) sample(s *station, at int64) error {
	seen := &r.seen[s.index]
	if r.gapped[s.index] {
		r.gapped[s.index], r.told[s.index], *seen = false, false, [slots]uint32{}
	}
	var values []SignalValue
	for i := range slots {
		name := s.signalOf(i)
		if name == "" || s.cells[i].rev == seen[i] {
			continue
		}
		seen[i] = s.cells[i].rev
		if values == nil {
			values = make([]SignalValue, 0, slots)
		}
		values = append(values, SignalValue{name, s.wire(i)})
	}
	if values == nil {
		return nil
	}
	return r.tell(s, at, values)
}

func (r *recorder) tell(s *station, at int64, values []SignalValue) error {
	first := !r.told[s.index]
	r.told[s.index] = true
	return r.emit(Sample{s.id, time.UnixMilli(at), first, values})
}

// flush tells the states since the last look. Of the ones in a gap, and before
// the first look, nobody knows.
func (r *recorder) flush() error {
	for i := range r.pending {
		p := &r.pending[i]
		s := p.station
		if r.gapped[s.index] || inGap(r.model.anchor, s.line.id, p.at) {
			r.gapped[s.index] = true
			continue
		}
		r.seen[s.index][slotState] = s.cells[slotState].rev
		r.seen[s.index][slotFault] = s.cells[slotFault].rev
		if err := r.tell(s, p.at, p.values[:]); err != nil {
			return err
		}
	}
	r.pending = r.pending[:0]
	return nil
}

// wire gives a slot's value as the wire carries it: counters at their width,
// floats at their precision. (32-bit counters are far from their end.)
func (s *station) wire(i slot) Value {
	v := s.value(i)
	switch {
	case s.protocol == opcUA:
	case v.Kind == Float:
		v.Float = float64(float32(v.Float))
	case s.layout.at[i].kind == kindUint16:
		v.Integer = int64(uint16(v.Integer))
	}
	return v
}
