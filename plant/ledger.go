package plant

// Progress is what the twin keeps of one machine so that it need not begin
// again: what became of its events from a time on, and where to go on.
type Progress struct {
	Machine string
	// From: segments of this machine in the ledger that start at or after it are
	// replaced. It may lie before Since: a segment that was still open then.
	From     Time
	Segments []Segment // closed ones only
	// Since is the checkpoint from which this was folded, at a whole minute; 0
	// for the very beginning. Pieces in minutes at or after it are replaced, and
	// checkpoints after it are forgotten.
	Since  Time
	Pieces []Pieces
	Orders []OrderTold // likewise: those told at or after Since are replaced
	// Checkpoint is the engine's state once all events up to At were folded, in
	// the engine's own encoding; empty for none.
	Checkpoint []byte
	At         Time
}

// Past is what the ledger holds of a machine in a span: segments that overlap
// it, pieces of minutes in it, and the orders that the machine told in it, after
// the last one before it.
type Past struct {
	Segments []Segment
	Pieces   []Pieces
	Orders   []OrderTold
}

// OrderTold is which order a machine tells from a time on, until it tells
// another; "" is none.
type OrderTold struct {
	At    Time
	Order string
}

// Revision tells how often the figures of a closed shift of a line changed
// after it was closed, and why the last time.
type Revision struct {
	Line   string `json:"line"`
	Shift  Time   `json:"shift"` // start of the shift instance
	Number int    `json:"revision"`
	At     Time   `json:"at"`
	Reason string `json:"reason"`
}

// Result is the account of a closed shift of a line as it was published: at
// first with Number 0, then once more with each change of it.
type Result struct {
	Revision
	Window Window `json:"-"`
	// Switches are those by which the window was counted, where they are told.
	Switches []SwitchesHeld `json:"-"`
}

// Timeline is what the machines of a line did in a span.
type Timeline struct {
	Span
	Shifts   []ShiftInstance   `json:"shifts"`
	Machines []MachineTimeline `json:"machines"` // in the order of flow
}

// MachineTimeline is one machine's row: segments in order, without overlap;
// time between them is unknown.
type MachineTimeline struct {
	Machine  string    `json:"machine"`
	Name     Name      `json:"name"`
	Segments []Segment `json:"segments"`
}
