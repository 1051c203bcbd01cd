package plant

import "strings"

// How a gateway's clock stands.
const (
	ClockSet     = "set"     // the system's clock, carried on by the gateway where it is set a little
	ClockUnset   = "unset"   // it cannot be right: readings wait until it is
	ClockInDoubt = "doubt"   // it was set just now, and nobody has vouched for that yet
	ClockOwn     = "own"     // the system's clock was set, but the twin's proves it wrong: the gateway carries on its own time
	ClockOfTwin  = "of_twin" // far from the twin's and synchronised with nothing: the gateway takes the twin's time
)

// ClockStatus is what a gateway knows of its clock. All times of readings are
// of the gateway's time, which is the system's clock but in the states that
// say otherwise.
type ClockStatus struct {
	State        string `json:"state"`
	Synchronised bool   `json:"synchronised"` // the system says that its clock is kept by NTP or the like
	// OffsetMs is the gateway's time minus the twin's, right to within BoundMs;
	// null until the twin has told its time.
	OffsetMs *int64 `json:"offset_ms"`
	BoundMs  int64  `json:"bound_ms"`
	SystemMs int64  `json:"system_ms"` // the system's clock minus the gateway's time
	// Steps counts how often the system's clock was set by more than 100 ms since
	// the start; the last time was LastStep, by LastStepMs.
	Steps      uint64 `json:"steps"`
	LastStep   Time   `json:"last_step"`
	LastStepMs int64  `json:"last_step_ms"`
}

// Reasons of readings whose time is wrong. They stay in history as they are,
// and no figure is made of them.
const (
	ReasonClockUnset = "gateway clock not set: time unknown"
	ReasonClockAhead = "gateway clock more than 60 s ahead: time unknown"
)

// Misplaced tells whether the reading's time is known to be wrong.
func (r *Reading) Misplaced() bool {
	return r.Quality != Good && (strings.HasPrefix(r.Reason, ReasonClockUnset) || strings.HasPrefix(r.Reason, ReasonClockAhead))
}

// Misplace says of the reading that its time is wrong, and why; what else was
// to be said of it stays.
func (r *Reading) Misplace(why string) {
	switch {
	case r.Misplaced():
	case r.Quality == Good:
		r.Quality, r.Reason = Uncertain, why
	case r.Reason == "":
		r.Reason = why + "; " + r.Quality.String()
	default:
		r.Reason = why + "; " + r.Quality.String() + ": " + r.Reason
	}
}

// Place takes back what Misplace said for this reason: the time is right now.
func (r *Reading) Place(why string) {
	rest, ok := strings.CutPrefix(r.Reason, why)
	if !ok || r.Quality == Good {
		return
	}
	rest, more := strings.CutPrefix(rest, "; ")
	if !more {
		r.Quality, r.Reason = Good, ""
		return
	}
	_, r.Reason, _ = strings.Cut(rest, ": ")
}
