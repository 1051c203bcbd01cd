package plant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// mostWeeks is the longest rotation.
const mostWeeks = 104

// rotate takes the rotation of shifts.
func (s *Schedule) rotate(r *Rotation) []Fault {
	if r == nil {
		return nil
	}
	var faults []Fault
	start, err := time.Parse(time.DateOnly, r.Start)
	if err != nil {
		faults = append(faults, dateFault("rotation.start", r.Start))
	}
	if len(r.Weeks) == 0 || len(r.Weeks) > mostWeeks {
		found := ""
		if len(r.Weeks) > 0 {
			found = fmt.Sprintf("%d weeks", len(r.Weeks))
		}
		return append(faults, Fault{Key: "rotation.weeks", Found: found, Allowed: fmt.Sprintf("1 to %d weeks, each with the names of the shifts that are worked in it", mostWeeks)})
	}
	for i, names := range r.Weeks {
		worked := map[string]bool{}
		for j, n := range names {
			if worked[n] || !slices.ContainsFunc(s.shifts, func(t shiftTemplate) bool { return t.name == n }) {
				faults = append(faults, Fault{Key: fmt.Sprintf("rotation.weeks[%d][%d]", i, j), Found: strconv.Quote(n), Allowed: "the name of one of shifts, each once"})
			}
			worked[n] = true
		}
		s.cycle = append(s.cycle, worked)
	}
	s.first = monday(start)
	return faults
}

// checkRotation finds shifts that share time in one round of the rotation.
func (s *Schedule) checkRotation() []Fault {
	var faults []Fault
	told := map[[2]string]bool{}
	var before []Span // of the day before and this one, from the first Monday on
	var names []string
	monday := time.Unix(int64(s.first)*int64(day/time.Second), 0).UTC().Add(12 * time.Hour)
	for n := range 7*len(s.cycle) + 1 {
		d := monday.AddDate(0, 0, n)
		for _, t := range s.on(d, d.Format(time.DateOnly)) {
			at := Time(0).Add(time.Duration(n)*day + t.start)
			span := Span{at, at.Add(t.length)}
			for i, b := range before {
				pair := [2]string{names[i], t.name}
				if b.Overlap(span).Empty() || told[pair] {
					continue
				}
				told[pair] = true
				faults = append(faults, Fault{Key: "rotation.weeks", Found: fmt.Sprintf("%q, which overlaps %q in week %d", t.name, names[i], n/7%len(s.cycle)+1), Allowed: "shifts that do not overlap"})
			}
			before, names = append(before, span), append(names, t.name)
		}
	}
	return faults
}

// monday gives the Monday of a date's week, in days since 1970-01-01.
func monday(d time.Time) int {
	return int(d.Unix()/int64(day/time.Second)) - (int(d.Weekday())+6)%7
}

// week gives the place of a date (noon, UTC) in the rotation.
func (s *Schedule) week(d time.Time) int {
	n := (monday(d) - s.first) / 7 % len(s.cycle)
	return (n + len(s.cycle)) % len(s.cycle)
}

// overtime takes the shifts of single dates. They must not overlap with what is
// worked on that date and those beside it.
func (s *Schedule) overtime(all []Overtime) []Fault {
	var faults []Fault
	s.extra = map[string][]shiftTemplate{}
	for i, o := range all {
		key := fmt.Sprintf("overtime[%d]", i)
		date, err := time.Parse(time.DateOnly, o.Date)
		if err != nil {
			faults = append(faults, dateFault(key+".date", o.Date))
			continue
		}
		t, wrong := compileShift(&Shift{o.Name, o.Start, o.Length, o.Breaks})
		if len(wrong) > 0 {
			faults = append(faults, Under(key, wrong)...)
			continue
		}
		if other, is := s.collides(date, t); is {
			faults = append(faults, Fault{Key: key, Found: fmt.Sprintf("%q, which overlaps %q", o.Name, other), Allowed: "a shift that overlaps no other one"})
			continue
		}
		s.extra[o.Date] = append(s.extra[o.Date], t)
	}
	return faults
}

// collides tells whether a shift of a date shares time with another one.
func (s *Schedule) collides(date time.Time, t shiftTemplate) (string, bool) {
	noon := date.Add(12 * time.Hour)
	for n := -1; n <= 1; n++ {
		d := noon.AddDate(0, 0, n)
		for _, o := range s.on(d, d.Format(time.DateOnly)) {
			from := o.start + time.Duration(n)*day
			if t.start < from+o.length && from < t.start+t.length {
				return o.name, true
			}
		}
	}
	return "", false
}

func dateFault(key, found string) Fault {
	if found != "" {
		found = strconv.Quote(found)
	}
	return Fault{Key: key, Found: found, Allowed: "a date such as 2026-01-02"}
}

// In JSON a length is written as in the settings, "8h" or "30m".
type (
	shiftJSON struct {
		Name   string  `json:"name"`
		Start  string  `json:"start"`
		Length Length  `json:"length"`
		Breaks []Break `json:"breaks,omitempty"`
	}
	overtimeJSON struct {
		Date string `json:"date"`
		shiftJSON
	}
	breakJSON struct {
		Start  string `json:"start"`
		Length Length `json:"length"`
	}
)

// MarshalJSON gives the shift with its length as in the settings.
func (s Shift) MarshalJSON() ([]byte, error) {
	return json.Marshal(shiftJSON{s.Name, s.Start, Length(s.Length), s.Breaks})
}

// UnmarshalJSON takes what MarshalJSON gives, and no other fields.
func (s *Shift) UnmarshalJSON(b []byte) error {
	var j shiftJSON
	err := strictly(b, &j)
	*s = Shift{j.Name, j.Start, time.Duration(j.Length), j.Breaks}
	return err
}

// MarshalJSON gives the break with its length as in the settings.
func (b Break) MarshalJSON() ([]byte, error) {
	return json.Marshal(breakJSON{b.Start, Length(b.Length)})
}

// UnmarshalJSON takes what MarshalJSON gives, and no other fields.
func (b *Break) UnmarshalJSON(text []byte) error {
	var j breakJSON
	err := strictly(text, &j)
	*b = Break{j.Start, time.Duration(j.Length)}
	return err
}

// MarshalJSON gives the shift with its length as in the settings.
func (o Overtime) MarshalJSON() ([]byte, error) {
	return json.Marshal(overtimeJSON{o.Date, shiftJSON{o.Name, o.Start, Length(o.Length), o.Breaks}})
}

// UnmarshalJSON takes what MarshalJSON gives, and no other fields.
func (o *Overtime) UnmarshalJSON(b []byte) error {
	var j overtimeJSON
	err := strictly(b, &j)
	*o = Overtime{j.Date, j.Name, j.Start, time.Duration(j.Length), j.Breaks}
	return err
}

// strictly takes one JSON value without fields that v does not have.
func strictly(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one JSON value")
	}
	return nil
}
