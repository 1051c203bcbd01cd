package twin

import (
	"encoding/json"
	"fmt"
	"time"

	"linetwin/plant"
)

// CheckpointVersion is the form of Checkpoint that this program writes. A
// checkpoint of another version is not read: its machine is folded again.
const CheckpointVersion = 1

// Checkpoint is the fold's complete state of one machine after all events up
// to Through. It is plain data; equal states encode to equal bytes. The zero
// value knows nothing yet.
type Checkpoint struct {
	Version int        `json:"version"`
	Through plant.Time `json:"through"` // everything up to here is folded

	// The segment that runs: From, the first state and fault, and the pieces
	// counted while it is unknown. From is 0 while nothing was ever known.
	Running plant.Segment `json:"running"`
	// Closed segments that are not given out yet: the last ones closed at this
	// very instant, or all since an unknown one whose counters nobody has read
	// again, which wait until HeldUntil.
	Waiting   []plant.Segment `json:"waiting,omitempty"`
	HeldUntil plant.Time      `json:"held_until"`

	State    plant.State   `json:"state,omitempty"` // current
	Fault    string        `json:"fault,omitempty"` // current, "" for none
	Why      string        `json:"why,omitempty"`   // why the class is unknown
	GapUntil plant.Time    `json:"gap_until"`       // nobody looked before this time
	Worked   time.Duration `json:"worked"`          // running or unknown time before Running

	Good   FoldCounter `json:"good"`
	Reject FoldCounter `json:"reject"`
	Total  FoldCounter `json:"total"`
	// Owed: pieces of the total counted as good while the counter of good or
	// reject could not be read.
	Owed int64 `json:"owed,omitempty"`

	Told         string `json:"product_told,omitempty"` // by the product signal
	Order        string `json:"order,omitempty"`        // of the line
	OrderProduct string `json:"order_product,omitempty"`
	OrderSignal  string `json:"order_signal,omitempty"` // told by the machine itself
	Product      string `json:"product,omitempty"`      // what counts now
	Assumed      bool   `json:"assumed,omitempty"`      // Product is the machine's default

	// Startup: armed while a changeover or long stop has not ended in a run;
	// then so many pieces, and until this time.
	Armed       bool          `json:"armed,omitempty"`
	StartPieces int64         `json:"start_pieces,omitempty"`
	StartUntil  plant.Time    `json:"start_until"`
	IdleFor     time.Duration `json:"idle_for,omitempty"` // closed stops since the last run
	MovedFirst  plant.Time    `json:"moved_first"`        // counters of a machine without a state began to move
	Moved       plant.Time    `json:"moved"`              // and moved last
	StandsAfter plant.Time    `json:"stands_after"`       // and it stands when they have not moved by then
	WrongCounts int64         `json:"wrong_counts,omitempty"`
	WrongCount  string        `json:"wrong_count,omitempty"` // the last value of a counter that is no count
	OutOfOrder  int64         `json:"out_of_order,omitempty"`
}

// FoldCounter is what the fold knows of one counter.
type FoldCounter struct {
	Seen  bool          `json:"seen"`
	Blind bool          `json:"blind,omitempty"` // it could not be read since
	Value int64         `json:"value"`           // raw; the base of the next step
	Time  plant.Time    `json:"time"`            // since when it has this value
	At    time.Duration `json:"at"`              // the machine's running time at Time
}

// MachineNow is a machine as the fold left it, for screens.
type MachineNow struct {
	Known   bool // false: nothing was ever known of it
	Through plant.Time
	Class   plant.Class
	State   plant.State
	Since   plant.Time // of the class
	Fault   string     // of the running stop, or what the machine says now
	Why     string     // why the class is unknown
	Product string
	Assumed bool // the product is the machine's default
	Order   string
	Good    FoldCounter // raw counters
	Reject  FoldCounter
	Total   FoldCounter
	// WrongCounts counts readings of counters that were no counts, such as 3.5
	// or -1; WrongCount is the last of them.
	WrongCounts int64
	WrongCount  string
	OutOfOrder  int64 // events left out because their time was folded already
}

// DecodeCheckpoint reads what Encode wrote.
func DecodeCheckpoint(b []byte) (Checkpoint, error) {
	var cp Checkpoint
	if err := json.Unmarshal(b, &cp); err != nil {
		return Checkpoint{}, fmt.Errorf("decode checkpoint: %w", err)
	}
	if cp.Version != CheckpointVersion && !(cp.Version == 0 && cp.Running.From == 0) {
		return Checkpoint{}, fmt.Errorf("decode checkpoint: version %d, want %d", cp.Version, CheckpointVersion)
	}
	if cp.Running.From < 0 || cp.Running.From > cp.Through {
		return Checkpoint{}, fmt.Errorf("decode checkpoint: a segment that starts at %s, after %s", cp.Running.From, cp.Through)
	}
	last := plant.Time(0)
	for _, s := range cp.Waiting {
		if s.From < last || s.Empty() || s.To > cp.Running.From {
			return Checkpoint{}, fmt.Errorf("decode checkpoint: waiting segments are out of order at %s", s.From)
		}
		last = s.To
	}
	if cp.HeldUntil != 0 && (len(cp.Waiting) == 0 || cp.Waiting[0].Class != plant.ClassUnknown) {
		return Checkpoint{}, fmt.Errorf("decode checkpoint: waits until %s for nothing", cp.HeldUntil)
	}
	return cp, nil
}

// Encode gives the checkpoint as JSON.
func (cp *Checkpoint) Encode() ([]byte, error) {
	b, err := json.Marshal(cp)
	if err != nil {
		return nil, fmt.Errorf("encode checkpoint: %w", err)
	}
	return b, nil
}

// Segment gives the segment that still runs, known to Through; false when
// nothing was ever known.
func (cp *Checkpoint) Segment() (plant.Segment, bool) {
	if cp.Running.From == 0 {
		return plant.Segment{}, false
	}
	s := cp.Running
	s.To, s.Open = cp.Through, true
	return s, true
}

// Held gives the closed segments that Fold did not give out yet, in order,
// before the running one. They are valid until the next Fold.
func (cp *Checkpoint) Held() []plant.Segment { return cp.Waiting }

// ReplaceFrom gives the time from which segments that are produced after this
// checkpoint replace older ones: the start of the first segment that was not
// given out yet, or Through while nothing was ever known. Pieces are replaced
// from PiecesFrom on.
func (cp *Checkpoint) ReplaceFrom() plant.Time {
	switch {
	case len(cp.Waiting) > 0:
		return cp.Waiting[0].From
	case cp.Running.From != 0:
		return cp.Running.From
	}
	return cp.Through
}

// PiecesFrom gives the first minute whose pieces may still grow after this
// checkpoint. The pieces of that minute are complete up to the checkpoint only
// when Through is its start.
func (cp *Checkpoint) PiecesFrom() plant.Time { return cp.Through.Floor(time.Minute) }

// Now gives the machine's state for screens.
func (cp *Checkpoint) Now() MachineNow {
	now := MachineNow{
		Known: cp.Running.From != 0, Through: cp.Through,
		Class: cp.Running.Class, State: cp.State, Since: cp.Running.From, Fault: cp.Running.Fault,
		Product: cp.Product, Assumed: cp.Assumed, Order: cp.order(),
		Good: cp.Good, Reject: cp.Reject, Total: cp.Total,
		WrongCounts: cp.WrongCounts, WrongCount: cp.WrongCount, OutOfOrder: cp.OutOfOrder,
	}
	if now.Fault == "" {
		now.Fault = cp.Fault
	}
	if now.Class == plant.ClassUnknown {
		now.Why = cp.Why
		if !now.Known {
			now.Why = "no data yet"
		}
	}
	return now
}

// order is the order that pieces belong to now.
func (cp *Checkpoint) order() string {
	if cp.OrderSignal != "" {
		return cp.OrderSignal
	}
	return cp.Order
}
