package plant

// Severity is an alert's priority (ISA-18.2).
type Severity string

// The severities.
const (
	SeverityLow    Severity = "low"
	SeverityMedium Severity = "medium"
	SeverityHigh   Severity = "high"
)

// AlertState is where an alert stands in its life cycle (ISA-18.2, 5.5).
type AlertState string

// The states of an alert. A normal alert is not shown.
const (
	AlertUnacknowledged         AlertState = "unacknowledged"          // condition true, nobody has seen it
	AlertAcknowledged           AlertState = "acknowledged"            // condition true, somebody has seen it
	AlertReturnedUnacknowledged AlertState = "returned_unacknowledged" // condition gone, nobody has seen it
	AlertNormal                 AlertState = "normal"                  // condition gone and seen: closed
)

// Alert is one occurrence of a rule's condition at a place.
type Alert struct {
	ID       string     `json:"id"` // unique for ever: rule, place and time of firing
	Rule     string     `json:"rule"`
	Severity Severity   `json:"severity"`
	State    AlertState `json:"state"`
	Quality  bool       `json:"quality"` // a quality alert: a measurement out of specification
	Line     string     `json:"line,omitempty"`
	Machine  string     `json:"machine,omitempty"`
	Signal   string     `json:"signal,omitempty"`
	Message  Name       `json:"message"`
	Value    *float64   `json:"value"` // the value that fired it
	Unit     string     `json:"unit,omitempty"`
	Limit    *float64   `json:"limit"` // the limit it broke
	Since    Time       `json:"since"` // when the condition became true
	Fired    Time       `json:"fired"` // when it fired, after the on-delay
	Returned Time       `json:"returned"`
	Acked    Time       `json:"acknowledged"`
	AckedBy  string     `json:"acknowledged_by,omitempty"`
	Count    int64      `json:"count"` // pieces or samples that broke the limit while it was active
}

// Open tells whether the alert still wants attention or its condition holds.
func (a *Alert) Open() bool { return a.State != AlertNormal }
