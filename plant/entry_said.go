package plant

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// What people say of stops, states and counts. Their keys name an instant, as
// "press@2026-03-01T23:00:00.000Z" does: what is meant is the thing that lasts
// then, so that a key stays right when late data moves where it began.

// AtKey gives the key of what a machine or a line is at an instant.
func AtKey(id string, at Time) string { return id + "@" + at.String() }

// CutAtKey takes such a key apart.
func CutAtKey(key string) (id string, at Time, ok bool) {
	id, start, ok := strings.Cut(key, "@")
	if !ok || id == "" {
		return "", 0, false
	}
	t, err := time.Parse(time.RFC3339Nano, start)
	return id, At(t), err == nil
}

// SplitSaid divides a stop into parts, each an event with a reason of its own.
// What was said of the stop before holds for a part until more is said of it.
type SplitSaid struct {
	Parts []StopPart `json:"parts"`
}

// StopPart is one part of a stop that somebody divided.
type StopPart struct {
	From Time `json:"from"` // 0 in the first part: where the stop begins
	StopSaid
}

// MergeSaid makes one event of all stops from the one of the key to that of To.
type MergeSaid struct {
	To string `json:"to"` // id of the last stop
	StopSaid
}

// StateSaid corrects what a machine did from the instant of the key on.
type StateSaid struct {
	To Time `json:"to"`
	// Class or State, one of them; a state means the class that it has for the
	// machine.
	Class *Class `json:"class,omitempty"`
	State State  `json:"state,omitempty"`
}

// CountSaid corrects what a machine made from the minute of the key on.
type CountSaid struct {
	To      Time  `json:"to"` // 0: of that minute
	Good    int64 `json:"good"`
	Reject  int64 `json:"reject"`
	Replace bool  `json:"replace,omitempty"` // they are all that was made; otherwise they are added
}

// Span gives the minutes that the correction is of.
func (c *CountSaid) Span(at Time) Span {
	if c.To == 0 {
		return Span{at, at.Add(time.Minute)}
	}
	return Span{at, c.To}
}

// Bounds of what may be said at once.
const (
	MostStopParts   = 20
	MostCorrected   = 31 * day // of one correction
	MostSaidPieces  = 1 << 40
	allowedTimeSpan = "a time after the key's, and at most 31 days"
)

// saidKinds are the kinds whose key says when.
var saidKinds = []EntryKind{EntrySplit, EntryMerge, EntryState, EntryCount, EntrySignOff}

func (e *Entry) checkSaid() []Fault {
	_, at, ok := CutAtKey(e.Key)
	switch {
	case !ok:
		return []Fault{{Key: "key", Found: shorten(e.Key), Allowed: "an id and a time, as in press@2026-03-01T23:00:00Z"}}
	case e.From != 0:
		return []Fault{{Key: "from", Found: e.From.String(), Allowed: "null: the key says when"}}
	case len(e.Value) == 0:
		return nil
	}
	var faults []Fault
	switch e.Kind {
	case EntrySplit:
		s, wrong := Said[SplitSaid](e)
		if faults = wrong; len(faults) == 0 {
			faults = s.check(at)
		}
	case EntryMerge:
		s, wrong := Said[MergeSaid](e)
		if faults = append(wrong, s.StopSaid.check()...); len(wrong) == 0 {
			faults = append(faults, s.check(e.Key)...)
		}
	case EntryState:
		s, wrong := Said[StateSaid](e)
		if faults = wrong; len(faults) == 0 {
			faults = s.check(at)
		}
	case EntrySignOff:
		s, wrong := Said[SignOff](e)
		if faults = wrong; len(faults) == 0 {
			faults = s.check()
		}
	case EntryCount:
		c, wrong := Said[CountSaid](e)
		if faults = wrong; len(faults) == 0 {
			faults = c.check(at)
		}
	}
	return Under("value", faults)
}

func (s *StopSaid) check() []Fault {
	if len(s.Comment) > MostEntryText {
		return []Fault{{Key: "comment", Found: shorten(s.Comment), Allowed: fmt.Sprintf("at most %d characters", MostEntryText)}}
	}
	return nil
}

func (s *SplitSaid) check(at Time) []Fault {
	if len(s.Parts) < 2 || len(s.Parts) > MostStopParts {
		return []Fault{{Key: "parts", Found: fmt.Sprint(len(s.Parts)), Allowed: fmt.Sprintf("2 to %d parts", MostStopParts)}}
	}
	var faults []Fault
	for i := range s.Parts {
		p, key := &s.Parts[i], fmt.Sprintf("parts[%d]", i)
		switch {
		case i == 0 && p.From != 0:
			faults = append(faults, Fault{Key: key + ".from", Found: p.From.String(), Allowed: "none: the first part begins with the stop"})
		case i == 1 && p.From <= 0, i > 1 && p.From <= s.Parts[i-1].From:
			faults = append(faults, Fault{Key: key + ".from", Found: p.From.String(), Allowed: "a time after that of the part before"})
		}
		faults = append(faults, Under(key, p.StopSaid.check())...)
	}
	return faults
}

func (s *MergeSaid) check(key string) []Fault {
	id, at, _ := CutAtKey(key)
	last, to, ok := CutAtKey(s.To)
	if !ok || last != id || to <= at {
		return []Fault{{Key: "to", Found: shorten(s.To), Allowed: "the id of a later stop of " + id}}
	}
	if to.Sub(at) > MostCorrected {
		return []Fault{{Key: "to", Found: shorten(s.To), Allowed: "a stop at most 31 days later"}}
	}
	return nil
}

func (s *StateSaid) check(at Time) []Fault {
	var faults []Fault
	if s.To <= at || s.To.Sub(at) > MostCorrected {
		faults = append(faults, Fault{Key: "to", Found: s.To.String(), Allowed: allowedTimeSpan})
	}
	states := States()
	switch {
	case (s.Class == nil) == (s.State == ""):
		faults = append(faults, Fault{Key: "class", Allowed: "a class or a state, one of both"})
	case s.Class != nil && *s.Class == ClassNotScheduled:
		faults = append(faults, Fault{Key: "class", Found: s.Class.String(), Allowed: "run, stop, starved, blocked, changeover, planned_stop or unknown; what is not scheduled the calendar says"})
	case s.Class == nil && !slices.Contains(states, s.State):
		faults = append(faults, Fault{Key: "state", Found: string(s.State), Allowed: joinStates(states)})
	}
	return faults
}

func joinStates(states []State) string {
	texts := make([]string, len(states))
	for i, s := range states {
		texts[i] = string(s)
	}
	return strings.Join(texts, ", ")
}

func (c *CountSaid) check(at Time) []Fault {
	var faults []Fault
	if at != at.Floor(time.Minute) {
		faults = append(faults, Fault{Key: "at", Found: at.String(), Allowed: "a key with a whole minute"})
	}
	if s := c.Span(at.Floor(time.Minute)); s.Empty() || s.To != s.To.Floor(time.Minute) || s.Length() > MostCorrected {
		faults = append(faults, Fault{Key: "to", Found: c.To.String(), Allowed: "a whole minute after the key's, and at most 31 days"})
	}
	for _, n := range []struct {
		key   string
		value int64
	}{{"good", c.Good}, {"reject", c.Reject}} {
		switch {
		case n.value > MostSaidPieces || n.value < -MostSaidPieces:
			faults = append(faults, Fault{Key: n.key, Found: fmt.Sprint(n.value), Allowed: fmt.Sprintf("%d to %d pieces", int64(-MostSaidPieces), int64(MostSaidPieces))})
		case c.Replace && n.value < 0:
			faults = append(faults, Fault{Key: n.key, Found: fmt.Sprint(n.value), Allowed: "0 pieces or more, where they replace what was counted"})
		}
	}
	if c.Good == 0 && c.Reject == 0 && !c.Replace {
		faults = append(faults, Fault{Key: "good", Found: "0", Allowed: "pieces to add or to take away, of good or of reject"})
	}
	return faults
}
