package plant

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
)

var weekdays = [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// Schedule is a checked Calendar, ready to give shift instances. It does not
// change and may be used by several goroutines.
type Schedule struct {
	zone   *time.Location
	shifts []shiftTemplate // in order of their start
	days   [7]bool         // by time.Weekday
	except map[string]bool
	cycle  []map[string]bool // shifts worked, by week; nil: all are, every week
	first  int               // Monday of the first week, in days since 1970-01-01
	extra  map[string][]shiftTemplate
}

type shiftTemplate struct {
	name   string
	start  time.Duration // wall clock since local midnight
	length time.Duration // on the wall clock
	breaks []breakTemplate
}

type breakTemplate struct {
	start  time.Duration // wall clock since the midnight of the shift's day; may be past 24 h
	length time.Duration
}

// Check gives everything that is wrong with the calendar.
func (c *Calendar) Check() []Fault {
	_, faults := c.compile()
	return faults
}

// Compile checks the calendar and makes it ready for use.
func (c *Calendar) Compile() (*Schedule, error) {
	s, faults := c.compile()
	if len(faults) > 0 {
		texts := make([]string, len(faults))
		for i, f := range faults {
			texts[i] = f.String()
		}
		return nil, fmt.Errorf("calendar: %s", strings.Join(texts, "; "))
	}
	return s, nil
}

// Between gives the shift instances that overlap span, in order of time.
func (c *Calendar) Between(span Span) ([]ShiftInstance, error) {
	s, err := c.Compile()
	if err != nil {
		return nil, err
	}
	return s.Between(span), nil
}

func (c *Calendar) compile() (*Schedule, []Fault) {
	s := &Schedule{except: make(map[string]bool, len(c.Except))}
	faults := s.setZone(c.Zone)
	faults = append(faults, s.setDays(c)...)
	for i := range c.Shifts {
		t, wrong := compileShift(&c.Shifts[i])
		faults = append(faults, Under(fmt.Sprintf("shifts[%d]", i), wrong)...)
		s.shifts = append(s.shifts, t)
	}
	if len(c.Shifts) == 0 {
		faults = append(faults, Fault{Key: "shifts", Allowed: "at least one shift"})
	}
	if len(faults) > 0 {
		return nil, faults
	}
	faults = append(s.rotate(c.Rotation), s.overtime(c.Overtime)...)
	if len(faults) == 0 {
		faults = s.checkOverlaps()
	}
	slices.SortStableFunc(s.shifts, func(a, b shiftTemplate) int { return cmp.Compare(a.start, b.start) })
	return s, faults
}

func (s *Schedule) setZone(name string) []Fault {
	const allowed = "an IANA time zone such as Asia/Shanghai"
	if name == "" || name == "Local" {
		return []Fault{{Key: "zone", Found: name, Allowed: allowed}}
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return []Fault{{Key: "zone", Found: strconv.Quote(name), Allowed: allowed}}
	}
	s.zone = zone
	return nil
}

func (s *Schedule) setDays(c *Calendar) []Fault {
	var faults []Fault
	for i, d := range c.Days {
		n := slices.Index(weekdays[:], d)
		if n < 0 || s.days[n] {
			faults = append(faults, Fault{Key: fmt.Sprintf("days[%d]", i), Found: strconv.Quote(d), Allowed: "mon tue wed thu fri sat sun, each once"})
			continue
		}
		s.days[n] = true
	}
	if len(c.Days) == 0 {
		s.days = [7]bool{true, true, true, true, true, true, true}
	}
	for i, d := range c.Except {
		if _, err := time.Parse(time.DateOnly, d); err != nil {
			faults = append(faults, dateFault(fmt.Sprintf("except[%d]", i), d))
		}
		s.except[d] = true
	}
	return faults
}

func compileShift(sh *Shift) (shiftTemplate, []Fault) {
	t := shiftTemplate{name: sh.Name, length: sh.Length}
	var faults []Fault
	if sh.Name == "" {
		faults = append(faults, Fault{Key: "name", Allowed: "a name"})
	}
	start, ok := timeOfDay(sh.Start)
	if !ok {
		faults = append(faults, timeFault("start", sh.Start))
	}
	t.start = start
	if sh.Length <= 0 || sh.Length > day || sh.Length%time.Second != 0 {
		faults = append(faults, Fault{Key: "length", Found: sh.Length.String(), Allowed: "more than 0s and at most 24h, in whole seconds"})
	}
	end := t.start
	for i, b := range sh.Breaks {
		key := fmt.Sprintf("breaks[%d]", i)
		from, ok := timeOfDay(b.Start)
		if !ok {
			faults = append(faults, timeFault(key+".start", b.Start))
			continue
		}
		if from < t.start {
			from += day
		}
		if b.Length <= 0 || b.Length%time.Second != 0 || from+b.Length > t.start+t.length {
			faults = append(faults, Fault{Key: key, Found: b.Start + " for " + b.Length.String(), Allowed: "a break that lies inside its shift"})
			continue
		}
		if from < end {
			faults = append(faults, Fault{Key: key, Found: b.Start, Allowed: "breaks in order that do not overlap"})
			continue
		}
		end = from + b.Length
		t.breaks = append(t.breaks, breakTemplate{from, b.Length})
	}
	return t, faults
}

func timeFault(key, found string) Fault {
	if found != "" {
		found = strconv.Quote(found)
	}
	return Fault{Key: key, Found: found, Allowed: `a local time of day such as "08:00"`}
}

// timeOfDay reads 15:04 or 15:04:05.
func timeOfDay(s string) (time.Duration, bool) {
	for _, layout := range [...]string{"15:04", time.TimeOnly} {
		if t, err := time.Parse(layout, s); err == nil && len(s) == len(layout) {
			return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second, true
		}
	}
	return 0, false
}

// checkOverlaps finds shifts that share time in the weekly pattern.
func (s *Schedule) checkOverlaps() []Fault {
	if s.cycle != nil {
		return s.checkRotation()
	}
	var faults []Fault
	for i, a := range s.shifts {
		for j := i; j < len(s.shifts); j++ {
			if s.overlap(a, s.shifts[j], i == j) {
				faults = append(faults, Fault{
					Key: fmt.Sprintf("shifts[%d]", j), Found: fmt.Sprintf("%q, which overlaps %q", s.shifts[j].name, a.name),
					Allowed: "shifts that do not overlap",
				})
			}
		}
	}
	return faults
}

func (s *Schedule) overlap(a, b shiftTemplate, same bool) bool {
	for da, on := range s.days {
		for db, also := range s.days {
			if !on || !also || same && da == db {
				continue
			}
			from, other := time.Duration(da)*day+a.start, time.Duration(db)*day+b.start
			for _, shift := range [...]time.Duration{-week, 0, week} {
				if from < other+shift+b.length && other+shift < from+a.length {
					return true
				}
			}
		}
	}
	return false
}

// Between gives the shift instances that overlap span, in order of time.
func (s *Schedule) Between(span Span) []ShiftInstance {
	if span.Empty() {
		return nil
	}
	var found []ShiftInstance
	// A shift starts at most 24 h before the span, and clocks differ from UTC
	// by less than a day.
	first := time.Unix(0, int64(span.From)).In(s.zone).AddDate(0, 0, -2)
	year, month, date := first.Date()
	for n := 0; ; n++ {
		d := time.Date(year, month, date+n, 12, 0, 0, 0, time.UTC)
		if At(d).Add(-2*day) >= span.To {
			return found
		}
		name := d.Format(time.DateOnly)
		worked := s.on(d, name)
		for i := range worked {
			if in := s.instance(&worked[i], d, name); !in.Overlap(span).Empty() {
				found = append(found, in)
			}
		}
	}
}

// on gives the shifts that start on a date.
func (s *Schedule) on(d time.Time, name string) []shiftTemplate {
	extra := s.extra[name]
	if !s.days[d.Weekday()] || s.except[name] {
		return extra
	}
	worked := s.shifts
	if s.cycle != nil {
		names := s.cycle[s.week(d)]
		worked = nil
		for _, t := range s.shifts {
			if names[t.name] {
				worked = append(worked, t)
			}
		}
	}
	if len(extra) == 0 {
		return worked
	}
	worked = append(worked[:len(worked):len(worked)], extra...)
	slices.SortStableFunc(worked, func(a, b shiftTemplate) int { return cmp.Compare(a.start, b.start) })
	return worked
}

func (s *Schedule) instance(t *shiftTemplate, d time.Time, name string) ShiftInstance {
	in := ShiftInstance{Name: t.name, Day: name, Span: Span{s.wall(d, t.start), s.wall(d, t.start+t.length)}}
	for _, b := range t.breaks {
		// A break is as long as it says, also in a night that is not.
		from := s.wall(d, b.start)
		pause := Span{from, from.Add(b.length)}.Overlap(in.Span)
		if n := len(in.Breaks); n > 0 {
			pause.From = max(pause.From, in.Breaks[n-1].To)
		}
		if !pause.Empty() {
			in.Breaks = append(in.Breaks, pause)
		}
	}
	return in
}

// wall gives the instant at which clocks show since after the midnight of d's
// date. A time that clocks show twice is the first of the two; one that they
// skip is the instant of the skip.
func (s *Schedule) wall(d time.Time, since time.Duration) Time {
	year, month, date := d.Date()
	clock := time.Date(year, month, date, 0, 0, 0, 0, time.UTC).Add(since)
	t := time.Date(year, month, date, 0, 0, int(since/time.Second), 0, s.zone)
	_, offset := t.Zone()
	begin, end := t.ZoneBounds()
	if !t.Add(time.Duration(offset) * time.Second).Equal(clock) {
		if begin.IsZero() || t.Sub(begin) > day {
			return At(end)
		}
		return At(begin)
	}
	if !begin.IsZero() {
		_, before := begin.Add(-1).Zone()
		if earlier := clock.Add(-time.Duration(before) * time.Second); earlier.Before(begin) {
			return At(earlier)
		}
	}
	return At(t)
}
