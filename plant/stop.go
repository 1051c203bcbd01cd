package plant

// Stop is a whole stop of a machine, from its first to its last instant,
// however many shifts it spans. It belongs to the shift in which it starts.
type Stop struct {
	ID      string `json:"id"` // machine@RFC3339 start
	Line    string `json:"line"`
	Machine string `json:"machine"`
	Span
	Open    bool   `json:"open"`
	Class   Class  `json:"class"`
	Small   bool   `json:"small"`            // shorter than the line's threshold
	Fault   string `json:"fault,omitempty"`  // what the PLC said
	Reason  string `json:"reason,omitempty"` // id of a Reason; "" is unassigned
	Comment string `json:"comment,omitempty"`
	// Cause names the machine that starved or blocked this one, found by
	// walking the line's flow; empty where the machine stopped by itself.
	Cause string `json:"cause,omitempty"`

	Entry  uint64  `json:"entry,omitempty"` // by which somebody gave reason and comment
	Split  uint64  `json:"split,omitempty"` // entry that divided it: this is a part of Whole
	Whole  *Span   `json:"whole,omitempty"` // the undivided stop
	Merge  uint64  `json:"merge,omitempty"` // entry that made one event of Parts
	Parts  []Span  `json:"parts,omitempty"` // the stops that were joined
	StoodS float64 `json:"stood_s"`         // how long it stood, in seconds: of joined stops without the run between
}

// Reason is a node of the tree of reasons, at most three levels deep. Leaves
// have a loss class: stop (the default), planned_stop or changeover. A stop for
// a reason counts as of its class.
type Reason struct {
	ID    string `json:"id" yaml:"id"`
	Name  Name   `json:"name" yaml:"name,omitempty"`
	Class Class  `json:"class" yaml:"class,omitempty"`
	// Failure tells whether a stop for it is a failure of the machine, which
	// MTBF and MTTR count. Those of class stop are, unless it is false.
	Failure  *bool    `json:"failure,omitempty" yaml:"failure,omitempty"`
	Children []Reason `json:"children,omitempty" yaml:"children,omitempty"`
}

// Loss is what the stops of one kind cost a line: those of one class with one
// reason and one machine that caused them. Seconds are planned time only, so
// that all losses of a span sum to its unplanned, planned and small stops.
type Loss struct {
	Class   Class   `json:"class"`
	Small   bool    `json:"small"`            // stops shorter than the threshold
	Machine string  `json:"machine"`          // that stood by itself; the bottleneck where none was found
	Reason  string  `json:"reason,omitempty"` // id; "" is unassigned
	Fault   string  `json:"fault,omitempty"`  // what the machine said, where nobody gave a reason
	Stops   int64   `json:"stops"`            // that overlap the span
	Seconds float64 `json:"seconds"`
	Share   float64 `json:"share"` // of all losses of the list, 0 to 1
}
