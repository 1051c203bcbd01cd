package simulator

// Class is what a reported state means: the name of a time class.
type Class string

// The classes that a machine's state can mean.
const (
	ClassRun         Class = "run"
	ClassStop        Class = "stop"
	ClassStarved     Class = "starved"
	ClassBlocked     Class = "blocked"
	ClassChangeover  Class = "changeover"
	ClassPlannedStop Class = "planned_stop"
	// ClassNotScheduled is never said by a machine: it is time outside shifts
	// and in breaks, laid over what the machines say.
	ClassNotScheduled Class = "not_scheduled"
)

// The values of the signal "state": the number of the PackML state (OPC 30050,
// 0 to 17) plus 100 times its cause: 1 no material, 2 no room, 3 changeover,
// 4 no shift or a break.
const (
	stateClearing   = 1
	stateStarting   = 3
	stateExecute    = 6
	stateAborted    = 9
	stateHeld       = 11
	stateResetting  = 15
	stateStarved    = 105
	stateBlocked    = 205
	stateChangeover = 302
	stateOff        = 402
)

// StateMeaning is one value of the signal "state".
type StateMeaning struct {
	Value  int64  `json:"value"`
	PackML string `json:"packml"`
	Class  Class  `json:"class"`
	Why    string `json:"why"`
}

// States lists every value that the signal "state" takes.
func States() []StateMeaning {
	return []StateMeaning{
		{stateClearing, "clearing", ClassStop, "an operator clears the jam"},
		{stateStarting, "starting", ClassPlannedStop, "warm-up after a break or at the start of a shift"},
		{stateExecute, "execute", ClassRun, "making pieces"},
		{stateAborted, "aborted", ClassStop, "jam or failure; the signal fault says which"},
		{stateHeld, "held", ClassStop, "an operator holds the machine"},
		{stateResetting, "resetting", ClassStop, "restarting after a jam"},
		{stateStarved, "suspended", ClassStarved, "no piece came for 5 s"},
		{stateBlocked, "suspended", ClassBlocked, "no room downstream for 5 s"},
		{stateChangeover, "stopped", ClassChangeover, "set-up for another product"},
		{stateOff, "stopped", ClassStop, "nobody there: a break, or no shift"},
	}
}

func classOf(state int64) Class {
	switch state {
	case stateExecute:
		return ClassRun
	case stateStarved:
		return ClassStarved
	case stateBlocked:
		return ClassBlocked
	case stateChangeover:
		return ClassChangeover
	case stateStarting:
		return ClassPlannedStop
	}
	return ClassStop
}
