package connectors

import (
	"cmp"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"linetwin/connectors/modbus"
	"linetwin/plant"
)

// roomy is the part of a line's time up to which it has room for time-outs,
// retries and slow answers.
const roomy = 0.7

// measured is of how many good looks the time is told beside the one that was
// predicted.
const measured = 9

// busPlan is what is predicted for one device of a line.
type busPlan struct {
	requests    int
	cycle       time.Duration // that its requests occupy the line
	utilisation float64       // of the line, by all of its devices
	devices     int
}

// asked gives what a device asks of its line.
func (c *Config) asked() []modbus.Asked {
	own := cmp.Or(c.Every, defaultEvery)
	var all []modbus.Asked
	for i := range c.Signals {
		every := max(c.group(c.Signals[i].Group).Every, own)
		at := slices.IndexFunc(all, func(a modbus.Asked) bool { return a.Every == every })
		if at < 0 {
			at = len(all)
			all = append(all, modbus.Asked{Name: c.Machine, Every: every, Config: *c.Modbus})
		}
		all[at].Signals = append(all[at].Signals, c.Signals[i].modbus())
	}
	return all
}

// line is the devices that share one, as places in the settings.
type line struct {
	endpoint string
	devices  []int
	load     modbus.Load
}

// predict gives the load of each Modbus line, in the order of the settings,
// which have been checked.
func predict(cfgs []Config) []line {
	var lines []line
	place := map[string]int{}
	for i := range cfgs {
		if cfgs[i].Modbus == nil {
			continue
		}
		e := cfgs[i].Modbus.Endpoint()
		at, ok := place[e]
		if !ok {
			at = len(lines)
			place[e], lines = at, append(lines, line{endpoint: e})
		}
		lines[at].devices = append(lines[at].devices, i)
	}
	for at := range lines {
		l := &lines[at]
		var all []modbus.Asked
		for _, i := range l.devices {
			all = append(all, cfgs[i].asked()...)
		}
		var err error
		if l.load, err = modbus.Predict(cfgs[l.devices[0]].Modbus.Medium(), all); err != nil {
			l.load = modbus.Load{} // settings that were not checked
		}
	}
	return lines
}

// busiest gives the device that needs the most of the line, as a place in the
// settings.
func (l *line) busiest(cfgs []Config) int {
	device, name, most := l.devices[0], "", 0.0
	for n := range l.load.Shares {
		s := &l.load.Shares[n]
		if u := s.Utilisation(); u > most {
			most, name = u, s.Name
		}
	}
	for _, i := range l.devices {
		if cfgs[i].Machine == name {
			device = i
		}
	}
	return device
}

// loadNotes tells which lines have more to carry than they are predicted to be able
// to, or little room left. cfgs have been checked; keys are relative to their
// list ("[0].every"). Notes are no faults: round trips are not known before a
// line is used.
func loadNotes(cfgs []Config) []plant.Fault {
	var notes []plant.Fault
	for _, l := range predict(cfgs) {
		if l.load.Utilisation <= roomy {
			continue
		}
		device := l.busiest(cfgs)
		every := cfgs[device].Every
		what := l.load.Reachable(every, roomy).String() + " or more"
		if len(l.devices) > 1 {
			what += fmt.Sprintf(", and %.1f times as long for the others, too", math.Ceil(10*l.load.Utilisation/roomy)/10)
		}
		why := "which leaves little room for time-outs and slow answers"
		if l.load.Utilisation > 1 {
			why = "which cannot be: looks would be left out"
		}
		notes = append(notes, plant.Fault{Key: fmt.Sprintf("[%d].every", device), Found: every.String(),
			Allowed: fmt.Sprintf("%s: predicted for %s on %s are %.3g s of requests in each second (%s), %s",
				what, l.load.Names(), l.endpoint, l.load.Utilisation, l.load.Medium.Guess(), why)})
	}
	return notes
}

// plans gives what is predicted for each device, by machine, and warns of lines
// that have too much to carry.
func plans(cfgs []Config, log *slog.Logger) map[string]busPlan {
	all := map[string]busPlan{}
	every := map[string]time.Duration{}
	for i := range cfgs {
		every[cfgs[i].Machine] = cmp.Or(cfgs[i].Every, defaultEvery)
	}
	for _, l := range predict(cfgs) {
		for _, s := range l.load.Shares {
			if s.Every > every[s.Name] {
				continue // most looks are without the slow groups
			}
			p := all[s.Name]
			p.requests, p.cycle = p.requests+s.Requests, p.cycle+s.Cycle
			p.utilisation, p.devices = l.load.Utilisation, len(l.devices)
			all[s.Name] = p
		}
		if l.load.Utilisation > 1 {
			log.Warn("bus is predicted to be too slow for what is asked of it", "endpoint", l.endpoint, "devices", l.load.Names(), "line busy", percent(l.load.Utilisation))
		}
	}
	return all
}

// compare tells once, after some looks, what was predicted and what was
// measured; the median, because a start is a busy time.
func (s *Supervisor) compare(took time.Duration) {
	if s.plan.requests == 0 {
		return
	}
	if s.took = append(s.took, took); len(s.took) < measured {
		return
	}
	slices.Sort(s.took)
	const tenth = time.Millisecond / 10
	s.log.Info("bus plan", "endpoint", s.endpoint, "requests", s.plan.requests, "predicted", s.plan.cycle.Round(tenth),
		"measured", s.took[measured/2].Round(tenth), "longest", s.took[measured-1].Round(tenth), "every", s.every,
		"devices", s.plan.devices, "line busy", percent(s.plan.utilisation))
	s.plan, s.took = busPlan{}, nil
}

func percent(part float64) string { return fmt.Sprintf("%.0f%%", 100*part) }
