package twin

import (
	"time"

	"linetwin/plant"
)

// MachineModel is all that the fold must know of a machine: settings, no data.
type MachineModel struct {
	ID      string
	Signals map[plant.Role]string   // role -> name of the signal that plays it
	States  map[string]StateMeaning // value of the state signal as text ("6", "execute") -> what it means
	Widths  map[plant.Role]int      // bits of a counter, 8 to 53; absent: unknown, every fall is a reset
	// Ideal gives the ideal cycle of a product at a time; false: none is set.
	Ideal func(product string, at plant.Time) (time.Duration, bool)

	PiecesPerCount int64             // pieces per step of the counters; 0 counts as 1
	StartupPieces  int64             // rejects among the first N pieces after a changeover or a long stop are startup rejects
	StartupTime    time.Duration     // so are rejects within this time after it
	LongStop       time.Duration     // from which length a stop is long; 0: never
	Products       map[string]string // value of the product signal as text -> product id; absent values are ids themselves
	DefaultProduct string            // product while neither signal nor order tells one
}

// StateMeaning is what a value of a state signal means.
type StateMeaning struct {
	State plant.State `json:"state" yaml:"state"`
	Class plant.Class `json:"class" yaml:"class"`
}

// EventKind orders events of the same time.
type EventKind uint8

// The kinds of event, in the order in which those of one time are folded.
const (
	EventGap     EventKind = iota // nobody looked from Time to Until
	EventOrder                    // the line works on Order (making Product) from Time on; both may be empty
	EventReading                  // a signal changed
)

// Event is one input of the fold.
type Event struct {
	Time    plant.Time
	Kind    EventKind
	Reading plant.Reading // EventReading
	Until   plant.Time    // EventGap
	Order   string        // EventOrder
	Product string        // EventOrder
}

// Output is what the fold makes of events: closed segments and pieces, in the
// order of time. Fold appends to it.
type Output struct {
	Segments []plant.Segment
	Pieces   []plant.Pieces // one entry per minute, product and order; the last one may still grow
	Orders   []plant.OrderTold
}
