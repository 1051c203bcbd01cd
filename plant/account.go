package plant

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Account is all that a machine, a line, an area or the plant did in a span:
// its Window, and the sums of the figures that stand beside OEE. Like a window
// it adds up: that of an area is the sum of its lines'.
type Account struct {
	Window
	Reliability Reliability
	Steps       []StepCount
	Changeovers []Changeover
	Switches    []SwitchesHeld // in order of time
}

// StepCount is what passed a step of a line's flow at the first attempt and
// what did not. A step is a machine, or several beside each other.
type StepCount struct {
	Line     string   `json:"line"`
	Place    int      `json:"place"` // in the flow, from 1; 0 for a machine asked for by itself
	Machines []string `json:"machines"`
	Good     int64    `json:"good"`
	Reject   int64    `json:"reject"`
	FPY      *float64 `json:"fpy"` // good / (good + reject); null without pieces
}

// Changeover sums the changeovers that start in a span, from one product to
// another. Products are "" where the machine made none within a day.
type Changeover struct {
	From    string        `json:"from"`
	To      string        `json:"to"`
	Count   int64         `json:"count"`
	Ended   int64         `json:"ended"` // of Count
	Time    time.Duration `json:"-"`     // whole length of those that ended
	Seconds float64       `json:"seconds"`
	Mean    *float64      `json:"mean_s"` // of those that ended; null without one
}

// SwitchesHeld is by which switches lines' time was counted in a part of a
// window.
type SwitchesHeld struct {
	Span
	Lines []string `json:"lines"`
	// Since is when they began to hold; null: they are those of the settings.
	Since                  Time   `json:"since"`
	SmallStop              Length `json:"small_stop"`
	BreaksWorked           bool   `json:"breaks_worked"`
	PlannedStopsAsSchedule bool   `json:"planned_stops_as_schedule"`
	NoOrderAsSchedule      bool   `json:"no_order_as_schedule"`
}

// Add adds o to a.
func (a *Account) Add(o *Account) {
	a.Window.Add(o.Window)
	a.Reliability.Add(o.Reliability)
	for i := range o.Steps {
		a.AddStep(o.Steps[i])
	}
	for i := range o.Changeovers {
		a.AddChangeover(o.Changeovers[i])
	}
	for i := range o.Switches {
		a.hold(&o.Switches[i])
	}
}

// AddStep adds what passed a step.
func (a *Account) AddStep(s StepCount) {
	i, there := slices.BinarySearchFunc(a.Steps, s, func(x, y StepCount) int {
		return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Place, y.Place), slices.Compare(x.Machines, y.Machines))
	})
	if !there {
		a.Steps = slices.Insert(a.Steps, i, s)
		return
	}
	a.Steps[i].Good += s.Good
	a.Steps[i].Reject += s.Reject
}

// AddChangeover adds changeovers.
func (a *Account) AddChangeover(c Changeover) {
	i, there := slices.BinarySearchFunc(a.Changeovers, c, func(x, y Changeover) int {
		return cmp.Or(strings.Compare(x.From, y.From), strings.Compare(x.To, y.To))
	})
	if !there {
		a.Changeovers = slices.Insert(a.Changeovers, i, c)
		return
	}
	a.Changeovers[i].Count += c.Count
	a.Changeovers[i].Ended += c.Ended
	a.Changeovers[i].Time += c.Time
}

// hold adds switches: those of one line that go on are one, and so are those
// of several lines that are the same at the same time.
func (a *Account) hold(s *SwitchesHeld) {
	same := func(o *SwitchesHeld) bool {
		return o.Since == s.Since && o.SmallStop == s.SmallStop && o.BreaksWorked == s.BreaksWorked &&
			o.PlannedStopsAsSchedule == s.PlannedStopsAsSchedule && o.NoOrderAsSchedule == s.NoOrderAsSchedule
	}
	for i := range a.Switches {
		o := &a.Switches[i]
		switch {
		case !same(o):
		case slices.Equal(o.Lines, s.Lines):
			o.From, o.To = min(o.From, s.From), max(o.To, s.To)
			return
		case o.Span == s.Span:
			lines := append(slices.Clone(o.Lines), s.Lines...)
			slices.Sort(lines)
			o.Lines = slices.Compact(lines)
			return
		}
	}
	i, _ := slices.BinarySearchFunc(a.Switches, *s, func(x, y SwitchesHeld) int {
		return cmp.Or(cmp.Compare(x.From, y.From), slices.Compare(x.Lines, y.Lines))
	})
	a.Switches = slices.Insert(a.Switches, i, *s)
}

// Figures gives the account's figures, those beside OEE included.
func (a *Account) Figures() Figures {
	f := a.Window.Figures()
	iso := a.ISO22400()
	f.ISO, f.Reliability, f.Yield, f.Changes = &iso, a.Reliability.Figures(), a.yield(), a.changes()
	f.Switches = a.Switches
	return f
}

// ReliabilityFigures is how long machines run between failures, and how long
// these take.
type ReliabilityFigures struct {
	OperatingS   float64           `json:"operating_s"`  // run time
	Failures     int64             `json:"failures"`     // that start in the window
	MTBF         *float64          `json:"mtbf_s"`       // operating / failures; null without a failure
	Restored     int64             `json:"restored"`     // failures that ended
	RestoringS   float64           `json:"restoring_s"`  // their whole length
	MTTR         *float64          `json:"mttr_s"`       // restoring / restored; null while none ended
	Open         int64             `json:"open"`         // failures that have not ended: in none of the means of restoring
	OpenS        float64           `json:"open_s"`       // how long they last already
	Availability *float64          `json:"availability"` // MTBF / (MTBF + MTTR)
	Why          map[string]string `json:"why,omitempty"`
}

// Figures gives the ratios. Without a failure there is no MTBF: that none was
// seen in so many hours is all that is known.
func (r Reliability) Figures() *ReliabilityFigures {
	f := &ReliabilityFigures{
		OperatingS: r.Operating.Seconds(), Failures: r.Failures, Restored: r.Restored, RestoringS: r.Restoring.Seconds(),
		Open: r.Failures - r.Restored, OpenS: r.Open.Seconds(), Availability: r.Availability(), Why: map[string]string{},
	}
	if mtbf, ok := r.MTBF(); ok {
		s := mtbf.Seconds()
		f.MTBF = &s
	} else {
		f.Why["mtbf_s"] = fmt.Sprintf("no failure in %.1f h", r.Operating.Hours())
	}
	if mttr, ok := r.MTTR(); ok {
		s := mttr.Seconds()
		f.MTTR = &s
	} else {
		f.Why["mttr_s"] = "no failure was restored"
	}
	if f.Availability == nil {
		f.Why["availability"] = "needs both MTBF and MTTR"
	}
	return f
}

// Yield is how many pieces were right at the first attempt.
type Yield struct {
	Method string   `json:"method"` // count: by counters; a piece that is repaired stays a reject
	FPY    *float64 `json:"fpy"`    // good / total
	// RTY is the product of the steps' FPY: the share of pieces that passes all
	// of them at the first attempt. Over several lines it is weighted with the
	// pieces that each began.
	RTY   *float64          `json:"rty"`
	Steps []StepCount       `json:"steps"` // that counted pieces, in the order of flow
	Why   map[string]string `json:"why,omitempty"`
}

func (a *Account) yield() *Yield {
	y := &Yield{Method: "count", Steps: []StepCount{}}
	if total := a.Good + a.Reject; total > 0 {
		y.FPY = share(a.Good, total)
	}
	var passed, begun float64
	for i := 0; i < len(a.Steps); {
		line, rolled, first := a.Steps[i].Line, 1.0, 0.0
		for ; i < len(a.Steps) && a.Steps[i].Line == line; i++ {
			s := a.Steps[i]
			total := s.Good + s.Reject
			if total <= 0 {
				continue
			}
			if first == 0 {
				first = float64(total)
			}
			s.FPY = share(s.Good, total)
			rolled *= *s.FPY
			y.Steps = append(y.Steps, s)
		}
		passed, begun = passed+rolled*first, begun+first
	}
	if begun > 0 {
		rty := passed / begun
		y.RTY = &rty
	}
	if y.FPY == nil || y.RTY == nil {
		y.Why = map[string]string{}
	}
	if y.FPY == nil {
		y.Why["fpy"] = "no pieces were made"
	}
	if y.RTY == nil {
		y.Why["rty"] = "no step counted pieces"
	}
	return y
}

func share(part, whole int64) *float64 {
	s := float64(part) / float64(whole)
	return &s
}

// ChangeoverFigures is how long changeovers take. Each is whole, and counted
// where it starts.
type ChangeoverFigures struct {
	Count   int64        `json:"count"`
	Ended   int64        `json:"ended"`   // of Count
	Seconds float64      `json:"seconds"` // whole length of those that ended
	Mean    *float64     `json:"mean_s"`  // null while none ended
	Each    []Changeover `json:"each"`    // by product before and after
}

func (a *Account) changes() *ChangeoverFigures {
	f := &ChangeoverFigures{Each: []Changeover{}}
	var all time.Duration
	for _, c := range a.Changeovers {
		c.Seconds, c.Mean = c.Time.Seconds(), mean(c.Time, c.Ended)
		f.Each = append(f.Each, c)
		f.Count, f.Ended, all = f.Count+c.Count, f.Ended+c.Ended, all+c.Time
	}
	f.Seconds, f.Mean = all.Seconds(), mean(all, f.Ended)
	return f
}

func mean(sum time.Duration, n int64) *float64 {
	if n == 0 {
		return nil
	}
	m := sum.Seconds() / float64(n)
	return &m
}
