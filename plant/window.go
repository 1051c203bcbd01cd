package plant

import "time"

// Window is the additive account of a machine or a line over an interval.
// Every field adds up, so that two windows side by side give the window over
// both; ratios are made only at the end, by Figures. All sums are integers
// (nanoseconds, pieces), so that the order of adding changes nothing.
//
// Every nanosecond of the span is in exactly one of ScheduleLoss, Unknown,
// UnplannedStop, PlannedStop and Run. oee.md 1.
type Window struct {
	Span

	ScheduleLoss  time.Duration // no shift, break, holiday
	Unknown       time.Duration // planned, but nobody was looking, and not inferable
	UnplannedStop time.Duration // stop, starved, blocked of at least the threshold
	PlannedStop   time.Duration // changeover, planned stop
	Run           time.Duration // the rest of planned time, small stops included

	SmallStop  time.Duration // part of Run: stops shorter than the threshold
	Inferred   time.Duration // part of Run: unknown time explained by counted pieces
	Starved    time.Duration // part of UnplannedStop or SmallStop
	Blocked    time.Duration // part of UnplannedStop or SmallStop
	Changeover time.Duration // part of PlannedStop

	Good    int64 // pieces
	Reject  int64 // pieces, startup rejects included
	Startup int64 // part of Reject

	IdealGood    time.Duration // sum of ideal cycle x good: the fully productive time
	IdealReject  time.Duration // sum of ideal cycle x reject, startup rejects included
	IdealStartup time.Duration // part of IdealReject

	Stops      int64 // unplanned stops of at least the threshold that start in the span
	SmallStops int64 // small stops that start in the span
	Changes    int64 // changeovers that start in the span

	Flags Flag
}

// Figures is a window's ratios and losses, as the API gives them. What cannot
// be computed is nil, and Why says for each such field what is missing.
type Figures struct {
	Span
	PlannedS float64  `json:"planned_s"` // PPT: all time less schedule loss
	KnownS   float64  `json:"known_s"`   // PPTk: PPT less unknown
	Coverage *float64 `json:"coverage"`  // PPTk / PPT
	RunS     float64  `json:"run_s"`
	Good     int64    `json:"good"`
	Reject   int64    `json:"reject"`
	Total    int64    `json:"total"`

	Availability *float64 `json:"availability"`
	Performance  *float64 `json:"performance"`
	Quality      *float64 `json:"quality"`
	OEE          *float64 `json:"oee"`
	OEELow       *float64 `json:"oee_low"`
	OEEHigh      *float64 `json:"oee_high"`
	TEEP         *float64 `json:"teep"`

	Provisional bool              `json:"provisional"` // the window still runs, or data for it may still come
	Revision    int               `json:"revision"`    // raised each time a closed window changed
	Losses      Losses            `json:"losses"`
	Stops       int64             `json:"stops"`
	SmallStops  int64             `json:"small_stops"`
	Changeovers int64             `json:"changeovers"`
	Flags       []string          `json:"flags,omitempty"`
	Why         map[string]string `json:"why,omitempty"`

	SignedOff *SignedOff `json:"signed_off,omitempty"` // of a shift of a line

	// What the window is of, where a request asked for a split.
	Shift   string `json:"shift,omitempty"`
	Day     string `json:"day,omitempty"`
	Week    string `json:"week,omitempty"` // ISO 8601, 2026-W10
	Product string `json:"product,omitempty"`
	Order   string `json:"order,omitempty"`

	// Switches are those by which the time was counted.
	Switches []SwitchesHeld `json:"switches,omitempty"`

	// What stands beside OEE, where a request asked for windows.
	ISO         *ISO22400           `json:"iso_22400,omitempty"`
	Reliability *ReliabilityFigures `json:"reliability,omitempty"`
	Yield       *Yield              `json:"yield,omitempty"`
	Changes     *ChangeoverFigures  `json:"changeover,omitempty"`
}

// Losses is where all of a window's time went, in seconds. The leaves
// (schedule, unknown, unplanned_stop, planned_stop, small_stop,
// reduced_speed, production_reject, startup_reject, productive) sum to the
// window's length; reduced speed may be negative and is then flagged.
type Losses struct {
	Schedule         float64 `json:"schedule_s"`
	Unknown          float64 `json:"unknown_s"`
	UnplannedStop    float64 `json:"unplanned_stop_s"`
	PlannedStop      float64 `json:"planned_stop_s"`
	SmallStop        float64 `json:"small_stop_s"`
	ReducedSpeed     float64 `json:"reduced_speed_s"`
	ProductionReject float64 `json:"production_reject_s"`
	StartupReject    float64 `json:"startup_reject_s"`
	Productive       float64 `json:"productive_s"`
	// Parts of the stops, by cause.
	Starved    float64 `json:"starved_s"`
	Blocked    float64 `json:"blocked_s"`
	Changeover float64 `json:"changeover_s"`
}
