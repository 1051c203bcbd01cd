package plant

import "time"

// Break is a pause inside a shift, at a local time of day.
type Break struct {
	Start  string        `json:"start" yaml:"start"`   // "12:00"
	Length time.Duration `json:"length" yaml:"length"` // at most the shift
}

// Shift is a template: a named piece of a working day.
type Shift struct {
	Name   string        `json:"name" yaml:"name"`
	Start  string        `json:"start" yaml:"start"` // local time of day, "22:00"
	Length time.Duration `json:"length" yaml:"length"`
	Breaks []Break       `json:"breaks,omitempty" yaml:"breaks,omitempty"`
}

// Calendar is a weekly pattern of shifts in an IANA zone. A shift belongs to
// the local day on which it starts; its end is Start plus Length on the wall
// clock, so that 22:00 for 8 h ends at 06:00 also on the nights when clocks
// change and is then 7 h or 9 h long.
type Calendar struct {
	Zone   string   `json:"zone" yaml:"zone"`
	Shifts []Shift  `json:"shifts" yaml:"shifts"`
	Days   []string `json:"days" yaml:"days"`                         // mon tue wed thu fri sat sun; none means all
	Except []string `json:"except,omitempty" yaml:"except,omitempty"` // local dates without shifts, 2006-01-02
	// Rotation says which of the shifts are worked in which week; without it all
	// are, every week.
	Rotation *Rotation `json:"rotation,omitempty" yaml:"rotation,omitempty"`
	// Overtime are shifts on one date, also on one that has none otherwise.
	Overtime []Overtime `json:"overtime,omitempty" yaml:"overtime,omitempty"`
}

// Rotation is a cycle of weeks that begins with the week of a date and goes on
// for ever, also backwards. Weeks begin on Monday (ISO 8601).
type Rotation struct {
	Start string     `json:"start" yaml:"start"` // a local date in the first week, 2006-01-02
	Weeks [][]string `json:"weeks" yaml:"weeks"` // names of the shifts that are worked; an empty list is a week off
}

// Overtime is a shift on one date.
type Overtime struct {
	Date   string        `json:"date" yaml:"date"` // local, 2006-01-02
	Name   string        `json:"name" yaml:"name"`
	Start  string        `json:"start" yaml:"start"`
	Length time.Duration `json:"length" yaml:"length"`
	Breaks []Break       `json:"breaks,omitempty" yaml:"breaks,omitempty"`
}

// ShiftInstance is one shift on one day, in UTC.
type ShiftInstance struct {
	Name string `json:"name"`
	Day  string `json:"day"` // local date on which it starts, 2006-01-02
	Span
	Breaks []Span `json:"breaks,omitempty"` // in order, inside the shift, not overlapping
}
