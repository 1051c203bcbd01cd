package plant

// Snapshot is everything that is live: what a browser gets first.
type Snapshot struct {
	Site     string         `json:"site"`
	Zone     string         `json:"zone"`
	Time     Time           `json:"time"` // the twin's clock
	Version  string         `json:"version"`
	Plant    Figures        `json:"plant"` // today, all lines
	Lines    []LineSnapshot `json:"lines"`
	Gateways []GatewayLive  `json:"gateways"`
	Alerts   []Alert        `json:"alerts"`            // open ones, most severe and newest first
	Backlog  *BacklogReport `json:"backlog,omitempty"` // while history is being filled
	Notices  []Notice       `json:"notices,omitempty"` // what IT should know: foreign messages, a store that is away
}

// BacklogReport tells how far a backlog has come in.
type BacklogReport struct {
	Gateway string  `json:"gateway"`
	Waiting uint64  `json:"waiting"` // readings
	Through Time    `json:"through"` // how far back data is complete
	Done    float64 `json:"done"`    // 0 to 1
}

// Notice is something that went wrong outside of any one line, counted.
type Notice struct {
	Kind  string `json:"kind"` // "history", "wire", "ledger"
	Text  string `json:"text"`
	Count uint64 `json:"count"`
	Last  Time   `json:"last"`
}

// LineSnapshot is one line as it is now.
type LineSnapshot struct {
	ID          string            `json:"id"`
	Area        string            `json:"area"`
	Name        Name              `json:"name"`
	Bottleneck  string            `json:"bottleneck"`
	Bottlenecks []string          `json:"bottlenecks"` // Bottleneck and those beside it in the flow
	Flow        [][]string        `json:"flow"`        // machines by step; several in one stand beside each other
	State       LineState         `json:"state"`
	Shift       *ShiftInstance    `json:"shift"` // the running shift, or null
	Product     *Product          `json:"product"`
	Order       *Order            `json:"order"`        // the whole of it where it was entered
	OrderSource string            `json:"order_source"` // OrderByPLC, OrderEntered, or "" without an order
	Good        int64             `json:"good"`         // this shift
	Reject      int64             `json:"reject"`       // this shift
	Target      *float64          `json:"target"`       // pieces that should be made by now in this shift, from the ideal cycle; null without one
	ShiftGoal   *float64          `json:"shift_goal"`   // pieces at the shift's end at the ideal cycle
	OEE         *float64          `json:"oee"`          // figures.oee once more, for who wants only one number
	Figures     Figures           `json:"figures"`      // this shift, or the last one while there is none
	Hours       []HourCount       `json:"hours"`        // the shift's hours
	Machines    []MachineSnapshot `json:"machines"`     // in the order of flow
	Through     Time              `json:"through"`      // data is complete up to here
	DataAgeMs   *int64            `json:"data_age_ms"`  // the twin's clock minus Through; null before the first data
	Alerts      int               `json:"alerts"`
	Restatings  int64             `json:"restatings"` // how often figures of the past changed since the twin started: who shows them asks again
}

// Who says on which order a line works.
const (
	OrderByPLC   = "plc"
	OrderEntered = "entered"
)

// HourCount is what a line made in one hour. The running hour ends at what is
// known, and so does its target.
type HourCount struct {
	Span
	Good   int64    `json:"good"`
	Reject int64    `json:"reject"`
	Target *float64 `json:"target"`
	OEE    *float64 `json:"oee"`
}

// LineState is the state of a line in a word: that of its bottleneck, with the
// machine that causes it.
type LineState struct {
	Class Class  `json:"class"`
	Small bool   `json:"small"` // a stop, still shorter than the threshold
	Since Time   `json:"since"`
	Cause string `json:"cause,omitempty"` // machine at which the walk from the bottleneck ends
	Fault string `json:"fault,omitempty"` // what that machine says
	Why   string `json:"why,omitempty"`   // for unknown: "no data since ...", "state is bad: ..."
}

// MachineSnapshot is one machine as it is now.
type MachineSnapshot struct {
	ID           string     `json:"id"`
	Name         Name       `json:"name"`
	Class        Class      `json:"class"`
	Small        bool       `json:"small"`
	State        State      `json:"state,omitempty"`
	Since        Time       `json:"since"`
	Fault        string     `json:"fault,omitempty"`
	Why          string     `json:"why,omitempty"` // for unknown
	Good         int64      `json:"good"`          // this shift
	Reject       int64      `json:"reject"`
	OEE          *float64   `json:"oee"` // this shift
	Availability *float64   `json:"availability"`
	Through      Time       `json:"through"`
	Gateway      string     `json:"gateway,omitempty"`
	Link         Link       `json:"link,omitempty"`
	Measurements []Measured `json:"measurements,omitempty"`
}

// Measured is a characteristic's last measurement.
type Measured struct {
	Characteristic
	Value  *float64 `json:"value"`
	Time   Time     `json:"time"`
	Within bool     `json:"within"`
}

// SignalNow is a signal with its last reading.
type SignalNow struct {
	Signal
	Machine string  `json:"machine"`
	Role    Role    `json:"role,omitempty"`
	Value   Value   `json:"value"`
	Quality Quality `json:"quality"`
	Reason  string  `json:"reason,omitempty"`
	Time    Time    `json:"time"`    // of the last change
	Through Time    `json:"through"` // known up to here
	State   string  `json:"state"`   // good, uncertain, stale, bad, never
	// StaleSince is since when nobody vouches for it: its device or its gateway
	// went away. 0 while somebody does.
	StaleSince Time `json:"stale_since"`
	// Skipped is how often it was not read because its device could not be looked
	// at in time; see DeviceStatus.
	Skipped uint64 `json:"skipped"`
}

// GatewayLive is a gateway as the twin sees it.
type GatewayLive struct {
	GatewayStatus
	Online     bool    `json:"online"`
	Since      Time    `json:"since"`     // of being online or away
	LastSeen   Time    `json:"last_seen"` // the twin's clock at its last message
	LagMs      *int64  `json:"lag_ms"`    // the twin's clock minus the newest live batch's time
	ClockMs    *int64  `json:"clock_ms"`  // the gateway's clock minus the twin's
	MadeRate   float64 `json:"made_per_s"`
	StoredRate float64 `json:"stored_per_s"`
	Gaps       uint64  `json:"gaps"`    // holes in the order of messages, each asked for again
	Foreign    bool    `json:"foreign"` // an edge node that is not ours: no acknowledgement
	// Dropouts are the latest times of which it dropped readings, newest first.
	Dropouts []Gap         `json:"dropouts,omitempty"`
	Audit    *GatewayAudit `json:"audit,omitempty"` // the latest

	Identity Identity  `json:"identity"`
	Rivals   *Rivals   `json:"rivals,omitempty"`   // two processes have this name
	Replaced *Replaced `json:"replaced,omitempty"` // it was installed anew, or put back from a backup
	Shared   []Shared  `json:"shared,omitempty"`   // machines of which another gateway tells too
}

// Scorecard is the transformation scorecard: our own index, never an official
// maturity level.
type Scorecard struct {
	Span
	Domains []Domain `json:"domains"`
	// Switches are those by which time was counted.
	Switches []SwitchesHeld `json:"switches,omitempty"`
}

// Domain is one of the five domains of the industrial chain.
type Domain struct {
	ID    string   `json:"id"` // rd, production, quality, logistics, warehousing
	Name  Name     `json:"name"`
	Index *float64 `json:"index"` // 0 to 100 over the KPIs that have a value; null when none has
	Share float64  `json:"share"` // share of the domain's weight that has a value
	KPIs  []KPI    `json:"kpis"`
}

// KPI is one figure of the scorecard with its evidence.
type KPI struct {
	ID       string     `json:"id"`
	Name     Name       `json:"name"`
	Value    *float64   `json:"value"`
	Unit     string     `json:"unit"` // "%", "min", "h", ""
	Target   *float64   `json:"target"`
	Score    *float64   `json:"score"` // 0 to 100
	Weight   float64    `json:"weight"`
	Source   string     `json:"source"` // measured, entered, missing
	Why      Name       `json:"why"`    // what is missing, or what the figure leaves out
	Formula  Name       `json:"formula"`
	Evidence []Evidence `json:"evidence"`
	Trend    []*float64 `json:"trend"` // one value a day, oldest first
}

// Evidence is one input of a KPI.
type Evidence struct {
	Name  Name     `json:"name"`
	Value *float64 `json:"value"`
	Unit  string   `json:"unit"`
}

// Change is one message of the live stream. Exactly one field is set.
type Change struct {
	Snapshot *Snapshot      `json:"snapshot,omitempty"`
	Line     *LineSnapshot  `json:"line,omitempty"`
	Gateway  *GatewayLive   `json:"gateway,omitempty"`
	Alert    *Alert         `json:"alert,omitempty"`
	Signals  []SignalNow    `json:"signals,omitempty"`
	Plant    *Figures       `json:"plant,omitempty"`
	Backlog  *BacklogReport `json:"backlog,omitempty"`
	Notices  []Notice       `json:"notices,omitempty"`
}
