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
	names   []plant.Signal
	index   map[string]int  // nil until it is needed
	signals []signalFilter  // in the order of names
	strange map[string]bool // undeclared signals, logged once each
}

// signalFilter is one signal as it was sent last.
type signalFilter struct {
	deadband float64
	time     plant.Time
	value    plant.Value
	reason   string
	quality  plant.Quality
	kind     plant.Kind
	seen     bool
}

// maxStrange bounds how many undeclared signals are remembered.
const maxStrange = 100

func newFilter(d Device, log *slog.Logger) filter {
	f := filter{machine: d.Machine, log: log, names: d.Signals, signals: make([]signalFilter, 0, len(d.Signals)), strange: map[string]bool{}}
	for _, s := range d.Signals {
		f.signals = append(f.signals, signalFilter{kind: s.Kind, deadband: d.Deadbands[s.Name]})
	}
	return f
}

// find gives a signal's place. Readings mostly come in the order of the signals,
// so that the guess is mostly right.
func (f *filter) find(name string, guess int) (int, bool) {
	if guess < len(f.names) && f.names[guess].Name == name {
		return guess, true
	}
	if f.index == nil {
		f.index = make(map[string]int, len(f.names))
		for i := range f.names {
			f.index[f.names[i].Name] = i
		}
	}
	i, ok := f.index[name]
	return i, ok
}

// pass appends to the readings that go out those of a round that do; to may be
// the round's own space, from its beginning. The first reading of a signal and
// every change of quality always do. A reading without a time gets the round's.
func (f *filter) pass(to, readings []plant.Reading, through plant.Time) []plant.Reading {
	next := 0
	for i := range readings {
		r := readings[i]
		at, known := f.find(r.Signal, next)
		if !known {
			f.refuse(r.Signal)
			continue
		}
		next = at + 1
		s := &f.signals[at]
		r.Machine = f.machine
		if r.Time == 0 {
			r.Time = through
		}
		s.mend(&r)
		if s.seen && s.unchanged(&r) {
			continue
		}
		s.time, s.value, s.quality, s.reason, s.seen = r.Time, r.Value, r.Quality, r.Reason, true
		to = append(to, r)
	}
	return to
}

// sound appends to the readings that go out those of the past that are of the
// device's signals, whether or not they say something new; to may be their own
// space, from its beginning.
func (f *filter) sound(to, readings []plant.Reading) []plant.Reading {
	for i := range readings {
		r := readings[i]
		at, known := f.find(r.Signal, i)
		if !known {
			f.refuse(r.Signal)
			continue
		}
		r.Machine = f.machine
		f.signals[at].mend(&r)
		to = append(to, r)
	}
	return to
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
	switch {
	case r.Quality != s.quality || r.Reason != s.reason:
		return false
	case r.Value == s.value:
		return true
	case s.deadband <= 0:
		return false
	}
	a, ok := r.Value.Number()
	b, was := s.value.Number()
	return ok && was && r.Value.Kind() != plant.KindBoolean && math.Abs(a-b) <= s.deadband
}

// sent gives the last reading of each signal that went out.
func (f *filter) sent() []plant.Reading {
	var out []plant.Reading
	for i := range f.signals {
		if s := &f.signals[i]; s.seen {
			out = append(out, plant.Reading{Machine: f.machine, Signal: f.names[i].Name, Time: s.time, Value: s.value, Quality: s.quality, Reason: s.reason})
		}
	}
	return out
}
