package plant

import (
	"fmt"
	"time"
)

// State is what a machine says it does, in the words of PackML
// (ISA-TR88.00.02, OPC 30050).
type State string

// The states of PackML, and StateOff for a machine without power.
const (
	StateStopped      State = "stopped"
	StateStarting     State = "starting"
	StateIdle         State = "idle"
	StateSuspending   State = "suspending"
	StateSuspended    State = "suspended"
	StateUnsuspending State = "unsuspending"
	StateExecute      State = "execute"
	StateStopping     State = "stopping"
	StateAborting     State = "aborting"
	StateAborted      State = "aborted"
	StateHolding      State = "holding"
	StateHeld         State = "held"
	StateUnholding    State = "unholding"
	StateResetting    State = "resetting"
	StateCompleting   State = "completing"
	StateComplete     State = "complete"
	StateClearing     State = "clearing"
	StateOff          State = "off"
)

// States gives all states.
func States() []State {
	return []State{StateStopped, StateStarting, StateIdle, StateSuspending, StateSuspended, StateUnsuspending, StateExecute, StateStopping, StateAborting,
		StateAborted, StateHolding, StateHeld, StateUnholding, StateResetting, StateCompleting, StateComplete, StateClearing, StateOff}
}

// Class is the time class of a machine: what its state means for OEE. Each
// instant of a machine has exactly one.
type Class uint8

// The time classes. ClassUnknown is the zero value: nobody was looking, or
// what was seen is of bad quality.
const (
	ClassUnknown      Class = iota
	ClassRun                // making pieces
	ClassStop               // stopped by itself: failure, jam, no operator
	ClassStarved            // waiting for material from upstream
	ClassBlocked            // waiting for room downstream
	ClassChangeover         // set-up for another product
	ClassPlannedStop        // cleaning, maintenance, warm-up inside the shift
	ClassNotScheduled       // no shift, break, holiday: never said by a machine
	classes
)

var classNames = [classes]string{"unknown", "run", "stop", "starved", "blocked", "changeover", "planned_stop", "not_scheduled"}

// String gives the class's name, as settings, JSON and stores write it.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// MarshalText gives the class's name.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText takes a class's name.
func (c *Class) UnmarshalText(b []byte) error {
	for i, n := range classNames {
		if n == string(b) {
			*c = Class(i)
			return nil
		}
	}
	return fmt.Errorf("time class %q: want one of %v", b, classNames)
}

// Down tells whether time of this class is a stop in the sense of the small
// stop rule: unplanned when at least as long as the line's threshold, a small
// stop (inside run time) when shorter. oee.md 1.
func (c Class) Down() bool { return c == ClassStop || c == ClassStarved || c == ClassBlocked }

// Segment is a maximal interval in which a machine's class did not change. It
// is whole: a segment over a shift border is one segment, which the sums
// split.
type Segment struct {
	Machine string `json:"machine"`
	Span
	Class Class  `json:"class"`
	State State  `json:"state,omitempty"` // the first state of the segment
	Fault string `json:"fault,omitempty"` // the first fault code or text seen in it

	// Pieces counted across an unknown segment without a reset of the counter:
	// min(length, Pieces x ideal cycle) of it is inferred run time. oee.md 3.3.
	Pieces  int64  `json:"pieces,omitempty"`
	Product string `json:"product,omitempty"`

	// Small marks a stop shorter than the line's threshold, where a timeline
	// gives it; the fold does not know the threshold.
	Small bool `json:"small,omitempty"`

	// Open marks the running segment: To is how far it is known, not its end.
	Open bool `json:"open,omitempty"`

	// Corrected is the ID of the entry by which somebody corrected the class.
	Corrected uint64 `json:"corrected,omitempty"`
	// Whole is what the segment is a part of; nil where it is whole itself.
	Whole *Whole `json:"-"`
}

// Whole is the event of which a segment is one part, because somebody divided
// or joined stops, or corrected a part of it.
type Whole struct {
	Span                // of the event; where stops are joined, with the run between them
	Stop  Span          // the stop that was divided; the first of those that were joined
	Stood time.Duration // how long the event stood: joined stops without the run between them
	// Judged is by which length it is a small stop or not: the divided stop's, or
	// that of all the joined ones. Why it stood does not change how long.
	Judged       time.Duration
	Open         bool   // it has not ended
	Fault        string // the first one that was seen in joined stops
	Split, Merge uint64 // IDs of the entries that made it
	Said         StopSaid
	Entry        uint64 // ID of the entry that said so; 0: none
}

// Origin gives the span of what the segment is, or is a part of.
func (s *Segment) Origin() Span {
	if s.Whole != nil {
		return s.Whole.Span
	}
	return s.Span
}

// Later tells whether the segment goes on with an event that an earlier one
// began: it is not counted again.
func (s *Segment) Later() bool { return s.Whole != nil && s.From != s.Whole.From }

// Judged gives the length by which the segment is a small stop or not, and the
// time whose threshold holds.
func (s *Segment) Judged() (time.Duration, Time) {
	if s.Whole != nil {
		return s.Whole.Judged, s.Whole.Stop.From
	}
	return s.Length(), s.From
}

// Stood gives how long the event lasted that the segment is, or is a part of.
func (s *Segment) Stood() time.Duration {
	if s.Whole != nil {
		return s.Whole.Stood
	}
	return s.Length()
}

// Unended tells whether the event that the segment is, or is a part of, still
// lasts.
func (s *Segment) Unended() bool { return s.Open || s.Whole != nil && s.Whole.Open }
