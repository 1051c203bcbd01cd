// Package rules watches readings and OEE for limits and quality
// specifications, and keeps the life cycle of the alerts that they fire
// (ISA-18.2). It does no I/O, reads no clock and starts no goroutine.
package rules

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"linetwin/plant"
)

// OnOEE is the value of Limit.On for rules on the OEE of a line.
const OnOEE = "oee"

// qualityPrefix begins the names of the rules that characteristics bring.
const qualityPrefix = "quality-"

// Config is the list of rules of a site. In YAML it is a plain list.
type Config struct {
	Limits []Limit
	// ReturnsAfter is how many pieces in a row must be within specification
	// before a quality alert returns; 0 counts as 1.
	ReturnsAfter int
}

// Limit is a rule that fires while a signal, or the OEE of a line, is strictly
// above or below a limit for at least For.
type Limit struct {
	ID       string         `yaml:"id"`
	On       string         `yaml:"on,omitempty"`      // "oee", or empty with Signal
	Line     string         `yaml:"line,omitempty"`    // only on this line; empty: on every line
	Machine  string         `yaml:"machine,omitempty"` // only on this machine; empty: on every one that has the signal
	Signal   string         `yaml:"signal,omitempty"`
	Above    *float64       `yaml:"above,omitempty"`
	Below    *float64       `yaml:"below,omitempty"`
	For      time.Duration  `yaml:"for,omitempty"`      // on-delay
	Deadband float64        `yaml:"deadband,omitempty"` // it returns only when the value is inside by this much
	Severity plant.Severity `yaml:"severity,omitempty"` // low, medium, high; medium when empty
	Message  plant.Name     `yaml:"message,omitempty"`
}

// Characteristic is a quality characteristic with the line of its machine. One
// that has a limit is a quality rule.
type Characteristic struct {
	Line string
	plant.Characteristic
}

// UnmarshalYAML reads the list of rules.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error { return unmarshal(&c.Limits) }

// MarshalYAML gives the list of rules.
func (c Config) MarshalYAML() (any, error) { return c.Limits, nil }

// Check sets the severities that are missing and gives everything that is
// wrong.
func (c *Config) Check() []plant.Fault {
	var faults []plant.Fault
	seen := make(map[string]bool, len(c.Limits))
	for i := range c.Limits {
		l := &c.Limits[i]
		if l.Severity == "" {
			l.Severity = plant.SeverityMedium
		}
		wrong := l.check()
		if seen[l.ID] {
			wrong = append(wrong, plant.Fault{Key: "id", Found: strconv.Quote(l.ID), Allowed: "an id that no other rule has"})
		}
		seen[l.ID] = true
		faults = append(faults, plant.Under(fmt.Sprintf("[%d]", i), wrong)...)
	}
	return faults
}

func (l *Limit) check() []plant.Fault {
	var faults []plant.Fault
	wrong := func(key, found, allowed string) {
		faults = append(faults, plant.Fault{Key: key, Found: found, Allowed: allowed})
	}
	if err := plant.CheckID(l.ID); err != nil {
		wrong("id", quoted(l.ID), "1 to 64 of a-z A-Z 0-9 _ -")
	} else if strings.HasPrefix(l.ID, qualityPrefix) {
		wrong("id", strconv.Quote(l.ID), "an id that does not begin with "+qualityPrefix+", which characteristics use")
	}
	switch {
	case l.On == "" && l.Signal == "":
		wrong("signal", "", "a signal, or on: oee")
	case l.On != "" && l.On != OnOEE:
		wrong("on", strconv.Quote(l.On), "oee, or signal in place of on")
	case l.On != "" && (l.Signal != "" || l.Machine != ""):
		wrong("on", "oee with a signal or machine", "oee with a line, or a signal")
	}
	if l.Above == nil && l.Below == nil {
		wrong("above", "", "a number here or in below")
	}
	for _, limit := range [...]struct {
		key string
		at  *float64
	}{{"above", l.Above}, {"below", l.Below}} {
		if limit.at != nil && (math.IsNaN(*limit.at) || math.IsInf(*limit.at, 0)) {
			wrong(limit.key, fmt.Sprint(*limit.at), "a finite number")
		}
	}
	if !(l.Deadband >= 0) || math.IsInf(l.Deadband, 0) {
		wrong("deadband", fmt.Sprint(l.Deadband), "0 or more")
	}
	if l.Above != nil && l.Below != nil && !(*l.Below+l.Deadband <= *l.Above-l.Deadband) {
		wrong("below", fmt.Sprint(*l.Below), "less than above, by twice the deadband")
	}
	if l.For < 0 {
		wrong("for", l.For.String(), "0s or more")
	}
	switch l.Severity {
	case plant.SeverityLow, plant.SeverityMedium, plant.SeverityHigh:
	default:
		wrong("severity", strconv.Quote(string(l.Severity)), "low, medium, high")
	}
	return faults
}

func quoted(s string) string {
	if s == "" {
		return ""
	}
	return strconv.Quote(s)
}

// message gives what the rule's alerts say.
func (l *Limit) message() plant.Name {
	if l.Message != (plant.Name{}) {
		return l.Message
	}
	what := l.Signal
	if l.On == OnOEE {
		what = "OEE"
	}
	var en, zh []string
	if l.Above != nil {
		x := strconv.FormatFloat(*l.Above, 'g', -1, 64)
		en, zh = append(en, "above "+x), append(zh, "高于 "+x)
	}
	if l.Below != nil {
		x := strconv.FormatFloat(*l.Below, 'g', -1, 64)
		en, zh = append(en, "below "+x), append(zh, "低于 "+x)
	}
	return plant.Name{En: what + " " + strings.Join(en, " or "), Zh: what + " " + strings.Join(zh, "或")}
}

func qualityMessage(c *plant.Characteristic) plant.Name {
	name := c.Name.Or(c.ID)
	return plant.Name{En: name.In("en") + " out of specification", Zh: name.In("zh") + "超出规格"}
}
