package plant

// GatewayBirth is how a gateway introduces itself (Sparkplug NBIRTH and its
// DBIRTHs).
type GatewayBirth struct {
	Area    string
	Gateway string
	// Session is a random identity of the gateway's process; acknowledgements
	// count only within it. Empty for a foreign edge node.
	Session string
	// First is the lowest sequence number that the gateway still holds, or the
	// next one to be given when it holds none. 0 for a foreign edge node.
	First   uint64
	Version string
	// Identity is that of the installation, Rivals what is known of another
	// process under the same name; nil for none.
	Identity Identity
	Rivals   *Rivals
	Time     Time
	Devices  []DeviceBirth
}

// DeviceBirth introduces one machine with its signals and what they were last.
type DeviceBirth struct {
	Machine string
	Online  bool // false: the device is known but cannot be reached (DDEATH)
	Since   Time // when its last certificate was sent, by the gateway's clock; 0 where nobody told
	Signals []Signal
	Last    []Reading // the last reading of each signal that has one
}

// Link is how a connection stands.
type Link string

// The links, best first. Flowing is the only good one: a socket that is open
// without data is stale.
const (
	LinkFlowing    Link = "flowing"    // data comes in time
	LinkStale      Link = "stale"      // open, but data is older than three intervals
	LinkConnecting Link = "connecting" // tries to connect
	LinkDown       Link = "down"       // cannot be reached; tried again
)

// DeviceStatus is how the link to one machine's device stands, as the gateway
// sees it.
type DeviceStatus struct {
	Machine  string `json:"machine"`
	Protocol string `json:"protocol"` // "modbus", "opcua"
	Endpoint string `json:"endpoint"` // without secrets
	Link     Link   `json:"link"`
	Reason   string `json:"reason,omitempty"` // why it does not flow
	Since    Time   `json:"since"`            // since when Link is so
	LastData Time   `json:"last_data"`        // when data last came
	NextTry  Time   `json:"next_try"`         // when it is tried again; 0 while flowing
	Signals  int    `json:"signals"`
	BadNow   int    `json:"bad_signals"` // signals whose last reading is bad
	Rounds   uint64 `json:"rounds"`      // successful looks since the start
	Failures uint64 `json:"failures"`    // failed looks since the start
	Missed   uint64 `json:"missed"`      // readings the device reported as lost
	Late     uint64 `json:"late"`        // looks that began more than one interval late
	// Skipped counts looks that were left out because one before them had not
	// ended when their time passed: that often each signal was not read.
	Skipped  uint64 `json:"skipped"`
	EveryMs  int64  `json:"every_ms"` // asked interval
	RoundMs  int64  `json:"round_ms"` // how long the last look took
	Connects uint64 `json:"connects"` // connections made since the start
	// ClockMs is the device's clock minus the gateway's time, 0 where they may
	// agree; null where the device tells none, as with Modbus.
	ClockMs *int64 `json:"clock_ms"`
	// Groups tells of each group of signals, where the device has groups; the
	// signals without one are a group without a name.
	Groups []GroupStatus `json:"groups,omitempty"`
	// Notes are what an operator should know although data flows.
	Notes []string `json:"notes,omitempty"`
}

// GroupStatus is how a group of a device's signals does.
type GroupStatus struct {
	Name     string `json:"name"`
	EveryMs  int64  `json:"every_ms"`  // asked interval
	Stale    bool   `json:"stale"`     // nothing came for more than three intervals
	LastData Time   `json:"last_data"` // when the group was last read, or vouched for by a report; 0 for never
	Signals  int    `json:"signals"`
	BadNow   int    `json:"bad_signals"` // signals whose last reading is bad
}

// GatewayStatus is a gateway's own account of itself: it publishes it once a
// second.
type GatewayStatus struct {
	Area    string `json:"area"`
	Gateway string `json:"gateway"`
	Version string `json:"version"`
	Time    Time   `json:"time"`    // the gateway's clock when it said so
	Started Time   `json:"started"` // start of the process

	Made    uint64 `json:"made"`    // readings made since the start, after the deadband
	Read    uint64 `json:"read"`    // readings taken from devices since the start
	Stored  uint64 `json:"stored"`  // readings that history has acknowledged since the start
	Waiting uint64 `json:"waiting"` // readings in the buffer, not acknowledged
	Dropped uint64 `json:"dropped"` // readings dropped because the buffer was full or damaged, for ever
	// DroppedSpan is the time that the dropped readings covered.
	DroppedSpan Span `json:"dropped_span"`
	// ReportsWaiting counts reports of counts that the twin has not confirmed.
	ReportsWaiting uint64 `json:"reports_waiting"`
	// CountsLost counts rows and reports of counts that could not be kept, since
	// the start: an audit does not know of their readings.
	CountsLost uint64 `json:"counts_lost"`

	BufferBytes  int64  `json:"buffer_bytes"`
	BufferMax    int64  `json:"buffer_max_bytes"`
	BufferError  string `json:"buffer_error,omitempty"` // disk full, read-only, damaged
	OldestWaits  Time   `json:"oldest_waiting"`         // time of the oldest batch that waits; 0 for none
	LastSequence uint64 `json:"last_sequence"`

	// SettingsError is why the settings file, as it is now, is not used: the
	// gateway goes on with what it had read before.
	SettingsError string `json:"settings_error,omitempty"`

	// Clock is how its clock stands; nil where the gateway does not tell.
	Clock *ClockStatus `json:"clock,omitempty"`

	// Rival is another process that speaks under this gateway's name; empty for
	// none.
	Rival string `json:"rival,omitempty"`

	// Wire is how the gateway's connection to its broker stands.
	Wire *WireStatus `json:"wire,omitempty"`

	Devices []DeviceStatus `json:"devices"`
}

// WireStatus is how a connection to a broker stands, and why the one before
// was not made or lost.
type WireStatus struct {
	Broker   string `json:"broker"`
	Since    Time   `json:"since"`    // when it was made
	Connects uint64 `json:"connects"` // connections since the start
	Faults   uint64 `json:"faults"`   // attempts that failed and connections lost since the start
	// LastFault is the last thing that kept the connection from standing.
	LastFault   string `json:"last_fault,omitempty"`
	LastFaultAt Time   `json:"last_fault_at,omitempty"`
	// Notes are what IT should do something about although the connection
	// stands.
	Notes        []string      `json:"notes,omitempty"`
	Certificates []Certificate `json:"certificates,omitempty"`
}

// Whose certificate it is.
const (
	CertificateOwn    = "own"
	CertificateBroker = "broker"
)

// Certificate is one that a connection to a broker rests on.
type Certificate struct {
	Of       string `json:"of"` // own or broker
	Subject  string `json:"subject"`
	NotAfter Time   `json:"not_after"`
}
