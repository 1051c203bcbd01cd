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
}

// Reason is a node of the tree of reasons, at most three levels deep. Leaves
// have a loss class.
type Reason struct {
	ID       string   `json:"id"`
	Name     Name     `json:"name"`
	Class    Class    `json:"class"`
	Children []Reason `json:"children,omitempty"`
}
