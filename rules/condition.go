package rules

import (
	"slices"
	"time"

	"linetwin/plant"
)

// chatter is how soon after its return an alert that fires again is the same
// one, so that a value that dances around its limit stays one alert.
const chatter = time.Minute

// condition is one rule at one place.
type condition struct {
	rule         string
	above, below *float64
	deadband     float64
	delay        time.Duration
	quality      bool
	returnsAfter int

	blank  plant.Alert // what every alert of the condition says
	alert  plant.Alert // the last one fired; no ID before the first
	active bool        // the alert's condition holds
	blind  bool        // the last reading was bad
	since  plant.Time  // broken since, not yet for long enough; 0: not broken
	worst  float64     // the value that broke it first
	broken *float64    // the limit that it broke
	count  int64       // samples that broke it before it fired
	within int         // pieces in a row within the specification
}

func limitCondition(l *Limit, at plant.Alert) condition {
	at.Rule, at.Severity, at.Message = l.ID, l.Severity, l.message()
	return condition{rule: l.ID, above: l.Above, below: l.Below, deadband: l.Deadband, delay: l.For, returnsAfter: 1, blank: at}
}

func qualityCondition(c *Characteristic, returnsAfter int) condition {
	rule := qualityPrefix + c.ID
	return condition{
		rule: rule, above: c.USL, below: c.LSL, quality: true, returnsAfter: returnsAfter,
		blank: plant.Alert{
			Rule: rule, Severity: plant.SeverityHigh, Quality: true, Line: c.Line, Machine: c.Machine, Signal: c.Signal,
			Message: qualityMessage(&c.Characteristic), Unit: c.Unit,
		},
	}
}

// breaks gives the limit that x is strictly beyond, or nil.
func (c *condition) breaks(x float64) *float64 {
	switch {
	case c.above != nil && x > *c.above:
		return c.above
	case c.below != nil && x < *c.below:
		return c.below
	}
	return nil
}

// clear tells whether x is inside the limits by the deadband.
func (c *condition) clear(x float64) bool {
	return (c.above == nil || x <= *c.above-c.deadband) && (c.below == nil || x >= *c.below+c.deadband)
}

// look moves the condition on to a value and tells whether its alert changed.
func (e *Engine) look(c *condition, x float64, at plant.Time) bool {
	limit := c.breaks(x)
	blind := c.blind
	c.blind = false
	if c.active {
		return e.lookActive(c, limit, x, at)
	}
	changed := false
	if limit != nil {
		if c.since == 0 {
			c.since, c.worst, c.broken, c.count = at, x, limit, 0
			e.waiting = append(e.waiting, c)
		}
		c.count++
	}
	if c.since != 0 && at.Sub(c.since) >= c.delay && (limit != nil || !blind) {
		// Between two good readings the value did not change.
		e.fire(c, c.since.Add(c.delay))
		changed = true
	}
	if limit == nil {
		e.forget(c)
		if c.active && c.clear(x) {
			e.back(c, at)
		}
	}
	return changed
}

func (e *Engine) lookActive(c *condition, limit *float64, x float64, at plant.Time) bool {
	switch {
	case limit != nil:
		c.within = 0
		c.alert.Count++
		return c.quality
	case !c.clear(x):
		c.within = 0
		return false
	}
	c.within++
	if c.within < c.returnsAfter {
		return false
	}
	e.back(c, at)
	return true
}

// fire opens an alert, or opens the last one again.
func (e *Engine) fire(c *condition, at plant.Time) {
	a := &c.alert
	switch {
	case a.ID != "" && a.State == plant.AlertReturnedUnacknowledged:
		a.State, a.Returned = plant.AlertUnacknowledged, 0
		a.Count += c.count
	case a.ID != "" && a.State == plant.AlertNormal && a.Returned > a.Acked && at.Sub(a.Returned) < chatter:
		a.State, a.Returned = plant.AlertAcknowledged, 0
		a.Count += c.count
	default:
		value := c.worst
		*a = c.blank
		a.State, a.Since, a.Fired, a.Count = plant.AlertUnacknowledged, c.since, at, c.count
		a.Value, a.Limit = &value, c.broken
		a.ID = a.Rule + "@" + c.place() + "@" + at.String()
	}
	c.active, c.within = true, 0
	e.forget(c)
	e.open[a.ID] = c
}

// back returns the alert: its condition does not hold any more.
func (e *Engine) back(c *condition, at plant.Time) {
	c.active, c.within = false, 0
	c.alert.Returned = at
	if c.alert.State == plant.AlertAcknowledged {
		c.alert.State = plant.AlertNormal
		delete(e.open, c.alert.ID)
		return
	}
	c.alert.State = plant.AlertReturnedUnacknowledged
}

// forget ends a wait for the on-delay.
func (e *Engine) forget(c *condition) {
	if c.since == 0 {
		return
	}
	c.since, c.count = 0, 0
	if i := slices.Index(e.waiting, c); i >= 0 {
		e.waiting = slices.Delete(e.waiting, i, i+1)
	}
}

func (c *condition) place() string {
	if c.blank.Machine == "" {
		return c.blank.Line
	}
	return c.blank.Machine + "." + c.blank.Signal
}
