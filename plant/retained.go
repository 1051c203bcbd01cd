package plant

// RetainedRoot begins the topic of everything that a twin keeps on the broker
// for whoever listens.
const RetainedRoot = "linetwin/v1/"

// Retained is the last word on a topic: JSON that the broker keeps for who
// subscribes later.
type Retained struct {
	Topic   string
	Payload []byte
}

// Place says whose figures a message has; where it stands in its topic, the
// site excepted.
type Place struct {
	Site string `json:"site"`
	Area string `json:"area"`
	Line string `json:"line"`
}

// LineNow is the payload of .../state: a line in short, as LineSnapshot has it.
type LineNow struct {
	Place
	Name    Name      `json:"name"`
	State   LineState `json:"state"`
	Shift   string    `json:"shift,omitempty"` // name of the running one
	Product *Product  `json:"product"`
	Order   *Order    `json:"order"`
	// OrderSource is as LineSnapshot has it.
	OrderSource string `json:"order_source"`
	Good        int64  `json:"good"`   // this shift, or the last one while there is none
	Reject      int64  `json:"reject"` // likewise
}

// MachineNow is the payload of .../machines/{machine}/state: a machine in
// short, as MachineSnapshot has it.
type MachineNow struct {
	Place
	Machine string `json:"machine"`
	Name    Name   `json:"name"`
	Class   Class  `json:"class"`
	Small   bool   `json:"small"`
	State   State  `json:"state,omitempty"`
	Since   Time   `json:"since"`
	Fault   string `json:"fault,omitempty"`
	Why     string `json:"why,omitempty"`
	Good    int64  `json:"good"`   // this shift
	Reject  int64  `json:"reject"` // this shift
}

// LineFigures is the payload of .../oee/shift and .../oee/last_shift.
type LineFigures struct {
	Place
	Figures
}
