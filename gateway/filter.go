package gateway

import (
	"fmt"
	"log/slog"
	"math"

	"linetwin/plant"
)

// maxText is the longest text value or reason that goes out.
const maxText = 32 << 10

// filter drops readings that say nothing new, and turns values that no store
// could hold into bad readings.
type filter struct {
	machine string
	log     *slog.Logger
	index   map[string]int
	signals []signalFilter
	strange map[string]bool // undeclared signals, logged once each
}

type signalFilter struct {
	name     string
	kind     plant.Kind
	deadband float64
	last     plant.Reading // as it was sent
	seen     bool
}

// maxStrange bounds how many undeclared signals are remembered.
const maxStrange = 100

func newFilter(d Device, log *slog.Logger) filter {
	f := filter{machine: d.Machine, log: log, index: make(map[string]int, len(d.Signals)), signals: make([]signalFilter, 0, len(d.Signals)), strange: map[string]bool{}}
	for i, s := range d.Signals {
		f.index[s.Name] = i
		f.signals = append(f.signals, signalFilter{name: s.Name, kind: s.Kind, deadband: d.Deadbands[s.Name]})
	}
	return f
}

// pass appends to the readings that go out those of a round that do. The first
// reading of a signal and every change of quality always do. A reading without
// a time gets the round's.
func (f *filter) pass(to, readings []plant.Reading, through plant.Time) []plant.Reading {
	at := -1
	for i := range readings {
		r := readings[i]
		if at = f.find(r.Signal, at+1); at < 0 {
			f.refuse(r.Signal)
			continue
		}
		s := &f.signals[at]
		r.Machine = f.machine
		if r.Time == 0 {
			r.Time = through
		}
		s.mend(&r)
		if s.seen && s.unchanged(&r) {
			continue
		}
		s.last, s.seen = r, true
		to = append(to, r)
	}
	return to
}

// find gives a signal's place, which is likely at guess, or -1.
func (f *filter) find(signal string, guess int) int {
	if guess < len(f.signals) && f.signals[guess].name == signal {
		return guess
	}
	if at, known := f.index[signal]; known {
		return at
	}
	return -1
}

func (f *filter) refuse(signal string) {
	if f.strange[signal] || len(f.strange) >= maxStrange {
		return
	}
	f.strange[signal] = true
	f.log.Error("readings of a signal that the device does not have are refused", "signal", signal)
}

// mend makes bad readings of values that cannot be stored as the signal's kind.
func (s *signalFilter) mend(r *plant.Reading) {
	if len(r.Reason) > maxText {
		r.Reason = r.Reason[:maxText]
	}
	if r.Quality >= plant.Bad {
		r.Quality, r.Value = plant.Bad, plant.Value{}
		return
	}
	why := ""
	switch kind := r.Value.Kind(); {
	case kind == plant.KindNone:
		why = "no value"
	case s.kind != plant.KindNone && kind != s.kind:
		why = fmt.Sprintf("value is %s, not %s", kind, s.kind)
	case kind == plant.KindFloat && (math.IsNaN(r.Value.Float()) || math.IsInf(r.Value.Float(), 0)):
		why = "value is " + r.Value.String()
	case kind == plant.KindText && len(r.Value.Text()) > maxText:
		why = fmt.Sprintf("text of %d bytes is longer than %d", len(r.Value.Text()), maxText)
	default:
		return
	}
	r.Quality, r.Value, r.Reason = plant.Bad, plant.Value{}, why
}

func (s *signalFilter) unchanged(r *plant.Reading) bool {
	if r.Same(&s.last) {
		return true
	}
	if s.deadband <= 0 || r.Quality != s.last.Quality || r.Reason != s.last.Reason {
		return false
	}
	a, ok := r.Value.Number()
	b, was := s.last.Value.Number()
	return ok && was && r.Value.Kind() != plant.KindBoolean && math.Abs(a-b) <= s.deadband
}

// sent gives the last reading of each signal that went out.
func (f *filter) sent() []plant.Reading {
	var out []plant.Reading
	for i := range f.signals {
		if f.signals[i].seen {
			out = append(out, f.signals[i].last)
		}
	}
	return out
}
