package plant

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Entry is one thing that a person or another system told the twin and that no
// machine can know: an order, a calendar, an ideal cycle, the reason of a stop.
// Entries are appended and never changed. What one says of a Kind and Key holds
// from its From until that of the next one; of two with the same From the one
// said later holds. Orders and stops know no From: what was said last holds. An
// undo takes an entry back, as if it had never been said.
type Entry struct {
	ID    uint64    `json:"id"`   // ascending in the order in which they were said; given by the ledger
	Said  Time      `json:"said"` // when, by the twin's clock
	By    string    `json:"by"`
	Why   string    `json:"why,omitempty"`
	Kind  EntryKind `json:"kind"`
	Key   string    `json:"key"`   // what it is about
	From  Time      `json:"from"`  // since when it is so; 0: always
	Value RawJSON   `json:"value"` // of the kind's type; empty (null): nothing any more
	// Undoes is the ID of the entry that this one takes back; its Kind, Key and
	// From are that entry's.
	Undoes uint64 `json:"undoes,omitempty"`
}

// RawJSON is a JSON value as it was written; empty is null.
type RawJSON []byte

// MarshalJSON gives the value.
func (r RawJSON) MarshalJSON() ([]byte, error) {
	if len(r) == 0 {
		return []byte("null"), nil
	}
	return r, nil
}

// UnmarshalJSON takes the value as it is written.
func (r *RawJSON) UnmarshalJSON(b []byte) error {
	if *r = nil; string(b) != "null" {
		*r = append(RawJSON(nil), b...)
	}
	return nil
}

// EntryKind says what an entry is about.
type EntryKind string

// The kinds, with what their Key and Value are.
const (
	EntryIdealCycle EntryKind = "ideal_cycle" // product/machine: CycleSaid
	EntryCalendar   EntryKind = "calendar"    // name of a calendar: Calendar
	EntrySwitches   EntryKind = "switches"    // line: Switches
	EntryOrder      EntryKind = "order"       // id of an order: Order
	EntryStop       EntryKind = "stop"        // id of a stop: StopSaid
	EntrySplit      EntryKind = "split"       // id of a stop: SplitSaid
	EntryMerge      EntryKind = "merge"       // id of the first stop: MergeSaid
	EntryState      EntryKind = "state"       // machine@start: StateSaid
	EntryCount      EntryKind = "count"       // machine@minute: CountSaid
	EntrySignOff    EntryKind = "signoff"     // line@start of the shift: SignOff
	EntryProduct    EntryKind = "product"     // id of a product: ProductSaid
)

var entryKinds = []EntryKind{EntryIdealCycle, EntryCalendar, EntrySwitches, EntryOrder, EntryStop, EntrySplit, EntryMerge, EntryState, EntryCount, EntrySignOff, EntryProduct}

// EntryKindNames gives the names of all kinds.
func EntryKindNames() []string {
	names := make([]string, len(entryKinds))
	for i, k := range entryKinds {
		names[i] = string(k)
	}
	return names
}

// CycleSaid is an ideal cycle, time per piece.
type CycleSaid struct {
	Cycle Length `json:"cycle"`
}

// Switches are a line's choices that decide how its time is counted. What is
// left out is as the settings say.
type Switches struct {
	SmallStop              *Length `json:"small_stop,omitempty"`                // a stop that is shorter is a small one
	BreaksWorked           *bool   `json:"breaks_worked,omitempty"`             // production in breaks counts, time and pieces
	PlannedStopsAsSchedule *bool   `json:"planned_stops_as_schedule,omitempty"` // planned stops other than changeovers are no planned time
	NoOrderAsSchedule      *bool   `json:"no_order_as_schedule,omitempty"`      // time without an order is no planned time
}

// StopSaid is what somebody says of a stop.
type StopSaid struct {
	Reason  string `json:"reason,omitempty"` // id of a Reason
	Comment string `json:"comment,omitempty"`
}

// Effect is what an entry changes, or would change, of a shift of a line. A shift
// that there is not is nil.
type Effect struct {
	Line   string   `json:"line"`
	Shift  Time     `json:"shift"` // its start
	Before *Figures `json:"before"`
	After  *Figures `json:"after"`
	Why    string   `json:"why,omitempty"` // what is different, where a shift was made anew
}

// Length is a length of time that JSON writes as "1.83s" or "2m".
type Length time.Duration

// String gives the length as Go writes durations.
func (l Length) String() string { return time.Duration(l).String() }

// Duration gives the length as Go has it.
func (l Length) Duration() time.Duration { return time.Duration(l) }

// MarshalText gives the length as Go writes durations.
func (l Length) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText takes what time.ParseDuration takes.
func (l *Length) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("length of time %q: want a number with its unit, as in 1.83s or 2m", b)
	}
	*l = Length(d)
	return nil
}

// Bounds of what an entry may hold.
const (
	MostEntryText  = 1000     // characters of By, Why and comments
	MostEntryValue = 64 << 10 // bytes
)

// Check tells what is wrong with the entry by itself, its value included.
// Whether what it names exists is for the twin to say.
func (e *Entry) Check() []Fault {
	var faults []Fault
	if !slices.Contains(entryKinds, e.Kind) {
		return []Fault{{Key: "kind", Found: string(e.Kind), Allowed: strings.Join(EntryKindNames(), ", ")}}
	}
	if strings.TrimSpace(e.By) == "" || len(e.By) > MostEntryText {
		faults = append(faults, Fault{Key: "by", Found: shorten(e.By), Allowed: fmt.Sprintf("who says so, 1 to %d characters", MostEntryText)})
	}
	if len(e.Why) > MostEntryText {
		faults = append(faults, Fault{Key: "why", Found: shorten(e.Why), Allowed: fmt.Sprintf("at most %d characters", MostEntryText)})
	}
	if e.Key == "" || len(e.Key) > 256 {
		faults = append(faults, Fault{Key: "key", Found: shorten(e.Key), Allowed: "what the entry is about, 1 to 256 characters"})
	}
	if e.Undoes != 0 {
		return faults
	}
	if len(e.Value) > MostEntryValue {
		return append(faults, Fault{Key: "value", Found: fmt.Sprintf("%d bytes", len(e.Value)), Allowed: fmt.Sprintf("at most %d bytes", MostEntryValue)})
	}
	if e.Kind == EntryProduct {
		faults = append(faults, e.checkProduct()...)
	}
	if slices.Contains(saidKinds, e.Kind) {
		return append(faults, e.checkSaid()...)
	}
	if len(e.Value) == 0 {
		return faults
	}
	return append(faults, Under("value", e.checkValue())...)
}

func (e *Entry) checkValue() []Fault {
	switch e.Kind {
	case EntryIdealCycle:
		c, faults := Said[CycleSaid](e)
		if len(faults) == 0 && (c.Cycle <= 0 || c.Cycle > Length(day)) {
			return []Fault{{Key: "cycle", Found: c.Cycle.String(), Allowed: "a time above zero and at most 24h, as in 1.83s"}}
		}
		return faults
	case EntryCalendar:
		c, faults := Said[Calendar](e)
		if len(faults) == 0 {
			return c.Check()
		}
		return faults
	case EntrySwitches:
		s, faults := Said[Switches](e)
		if len(faults) == 0 && s.SmallStop != nil && (*s.SmallStop < 0 || *s.SmallStop > Length(day)) {
			return []Fault{{Key: "small_stop", Found: s.SmallStop.String(), Allowed: "0s to 24h, as in 120s"}}
		}
		return faults
	case EntryProduct:
		p, faults := Said[ProductSaid](e)
		if len(faults) == 0 {
			return p.check()
		}
		return faults
	case EntryOrder:
		o, faults := Said[Order](e)
		if len(faults) == 0 {
			return o.check(e.Key)
		}
		return faults
	default:
		s, faults := Said[StopSaid](e)
		return append(faults, s.check()...)
	}
}

func (o *Order) check(id string) []Fault {
	var faults []Fault
	if strings.TrimSpace(id) != id || strings.ContainsFunc(id, unicode.IsControl) {
		faults = append(faults, Fault{Key: "id", Found: shorten(id), Allowed: "an id without spaces around it and without control characters"})
	}
	if o.ID != id {
		faults = append(faults, Fault{Key: "id", Found: o.ID, Allowed: "the entry's key, " + id})
	}
	if o.Line == "" {
		faults = append(faults, Fault{Key: "line", Allowed: "the line that makes it"})
	}
	if o.Product == "" {
		faults = append(faults, Fault{Key: "product", Allowed: "what is made"})
	}
	if o.Quantity < 0 {
		faults = append(faults, Fault{Key: "quantity", Found: fmt.Sprint(o.Quantity), Allowed: "0 pieces or more"})
	}
	if o.From == 0 && o.To != 0 || o.To != 0 && o.To <= o.From {
		faults = append(faults, Fault{Key: "to", Found: o.To.String(), Allowed: "a time after from, or null while the order runs"})
	}
	return faults
}

// Said gives an entry's value, strictly: a field that the kind does not have is
// a fault. An entry without a value gives the zero value.
func Said[T any](e *Entry) (v T, faults []Fault) {
	if len(e.Value) == 0 {
		return v, nil
	}
	if err := strictly(e.Value, &v); err != nil {
		return v, []Fault{{Found: shorten(string(e.Value)), Allowed: fmt.Sprintf("the value of %s: %s", e.Kind, strings.TrimPrefix(err.Error(), "json: "))}}
	}
	return v, nil
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:80]) + "..."
	}
	return s
}
