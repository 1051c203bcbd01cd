package plant

import (
	"fmt"
	"sync/atomic"
)

// Quality tells how far a value can be trusted (OPC UA Part 8, 6.3.1: good,
// uncertain, bad).
type Quality uint8

// The qualities. A reading of bad quality carries no value but a reason.
const (
	Good Quality = iota
	Uncertain
	Bad
)

var qualityNames = [...]string{"good", "uncertain", "bad"}

// String gives the quality's name.
func (q Quality) String() string {
	if int(q) < len(qualityNames) {
		return qualityNames[q]
	}
	return fmt.Sprintf("quality(%d)", uint8(q))
}

// MarshalText gives the quality's name.
func (q Quality) MarshalText() ([]byte, error) { return []byte(q.String()), nil }

// UnmarshalText takes a quality's name.
func (q *Quality) UnmarshalText(b []byte) error {
	for i, n := range qualityNames {
		if n == string(b) {
			*q = Quality(i)
			return nil
		}
	}
	return fmt.Errorf("quality %q: want good, uncertain or bad", b)
}

// Reading is what a signal was at one time. Time is set once, at the source,
// to the millisecond, and never again. A failed read is a Bad reading without
// a value whose Reason says what failed; it is never a zero.
type Reading struct {
	Machine string  `json:"machine"`
	Signal  string  `json:"signal"`
	Time    Time    `json:"time"`
	Value   Value   `json:"value"`
	Quality Quality `json:"quality"`
	Reason  string  `json:"reason,omitempty"` // why quality is not good
}

// Same tells whether r says the same of its signal as o, whenever that was.
func (r *Reading) Same(o *Reading) bool {
	return r.Value == o.Value && r.Quality == o.Quality && r.Reason == o.Reason
}

// Round is what one look at a device found: the signals that were read or
// changed, and the time up to which every change is known. Readings are valid
// until the next call to the source that gave them.
type Round struct {
	Readings []Reading
	// Through: every change of the device's signals up to here is in this round
	// or an earlier one. A failed look gives bad readings, and Through advances
	// all the same: that nobody could read is then what is known. When a signal
	// changed that is looked at more rarely than others is known to its own
	// interval: it counts as changed when it was seen. A reading may be later
	// than this: what is read at once need not wait for what is told later.
	Through Time
	// Missed counts readings that the device reported as overflowed or lost
	// since the last round.
	Missed int
}

// Batch is a numbered set of readings of one machine on its way from a gateway
// to the history store and the twin.
type Batch struct {
	Site    string // set by the receiver
	Area    string // Sparkplug group id
	Line    string // set by the twin; empty while the machine is in no line
	Gateway string // Sparkplug edge node id
	Machine string // Sparkplug device id

	// Sequence numbers a gateway's batches, from 1, without holes, and goes on
	// after a restart. 0 marks a batch of an edge node that numbers nothing and
	// awaits no acknowledgement.
	Sequence uint64

	// Complete is the batch's claim: every change of the machine's signals in
	// (From, Through] is in this batch or an earlier one. From is the Through of
	// the batch before it, or, when the gateway starts, the time of its first
	// look: what lies between is known to nobody.
	Complete Span

	// Historical marks what was not sent when it was read (Sparkplug
	// is_historical).
	Historical bool

	Readings []Reading // in order of time for each signal

	holders int32
}

// Hold notes that one place more needs the batch.
func (b *Batch) Hold() { atomic.AddInt32(&b.holders, 1) }

// Drop takes a Hold back, and tells whether it was the last one: then whoever
// made the batch may use it again.
func (b *Batch) Drop() (last bool) { return atomic.AddInt32(&b.holders, -1) == 0 }

// Range is the closed interval of sequence numbers [First, Last].
type Range struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// Acknowledgement tells a gateway what the history store holds: all batches up
// to Through, and those of Beyond. It counts only for the gateway's session
// that it names, because numbers that were never synced to disk may be given
// again after a crash.
type Acknowledgement struct {
	Gateway string
	Session string
	Through uint64
	Beyond  []Range // ascending, above Through+1
}
