package twin

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"linetwin/plant"
)

// anySite draws a site of one area: lines of machines in series and beside each
// other, with switches, products and a calendar.
func anySite(t *rapid.T, zone string, begin time.Time) Config {
	cfg := Config{Site: "site", Zone: zone, Calendars: map[string]plant.Calendar{"c": anyCalendar(t, zone, begin)},
		Reasons: []plant.Reason{{ID: "jam"}, {ID: "clean", Class: plant.ClassPlannedStop}, {ID: "setup", Class: plant.ClassChangeover}},
		StateMaps: map[string]map[string]StateMeaning{"words": {
			"run": {plant.StateExecute, plant.ClassRun}, "stop": {plant.StateAborted, plant.ClassStop}, "starved": {plant.StateSuspended, plant.ClassStarved},
			"blocked": {plant.StateSuspended, plant.ClassBlocked}, "change": {plant.StateStopped, plant.ClassChangeover}, "clean": {plant.StateStopped, plant.ClassPlannedStop}}},
		Areas: []AreaConfig{{ID: "area"}}}
	for _, p := range []string{"P", "Q", "R"} {
		cfg.Products = append(cfg.Products, ProductConfig{ID: p, IdealCycle: map[string]time.Duration{}})
	}
	for n := range rapid.IntRange(1, 2).Draw(t, "lines") {
		cfg.Areas[0].Lines = append(cfg.Areas[0].Lines, anyLine(t, n, cfg.Products))
	}
	if faults := cfg.Check(); len(faults) > 0 {
		t.Fatal(faults)
	}
	return cfg
}

func anyLine(t *rapid.T, n int, products []ProductConfig) LineConfig {
	l := LineConfig{ID: fmt.Sprintf("line%d", n), Calendar: "c",
		SmallStop:    anyOf(t, "small stop", 0, 30*time.Second, 5*time.Minute),
		BreaksWorked: rapid.Bool().Draw(t, "breaks worked"),
		PlannedStops: chance(t, "planned stops as schedule", 4),
		NoOrder:      chance(t, "no order as schedule", 8),
		StartupCount: anyOf(t, "startup pieces", int64(0), 5),
		StartupTime:  anyOf(t, "startup time", 0, 10*time.Minute),
		LongStop:     anyOf(t, "long stop", 0, 5*time.Minute),
		Product:      anyOf(t, "product", "P", ""),
	}
	place := func() string {
		m := anyMachine(t, fmt.Sprintf("m%d%d", n, len(l.Machines)))
		l.Machines = append(l.Machines, m)
		for p := range products {
			if c := anyOf(t, "ideal", 2*time.Second, 10*time.Second, time.Minute, 0); c > 0 {
				products[p].IdealCycle[m.ID] = c
			}
		}
		return m.ID
	}
	for range rapid.IntRange(1, 3).Draw(t, "flow") {
		beside := []string{place()}
		if chance(t, "beside it", 4) {
			beside = append(beside, place())
		}
		l.Flow = append(l.Flow, l.Flow.Join(beside))
	}
	l.Bottleneck = anyOf(t, "bottleneck", l.Machines...).ID
	if rapid.Bool().Draw(t, "outside of the flow") {
		place()
	}
	return l
}

// anyCalendar draws shifts: over midnight, with breaks, only a part of the day,
// by a rotation, without holidays, with overtime.
func anyCalendar(t *rapid.T, zone string, begin time.Time) plant.Calendar {
	h := time.Hour
	date := func(days int) string { return begin.AddDate(0, 0, days).Format(time.DateOnly) }
	pause := []plant.Break{{Start: "02:15", Length: 30 * time.Minute}}
	c := plant.Calendar{Zone: zone, Shifts: anyOf(t, "shifts",
		[]plant.Shift{{Name: "early", Start: "06:00", Length: 8 * h, Breaks: []plant.Break{{Start: "10:00", Length: 30 * time.Minute}}}, {Name: "late", Start: "14:00", Length: 8 * h}, {Name: "night", Start: "22:00", Length: 8 * h, Breaks: pause}},
		[]plant.Shift{{Name: "night", Start: "20:00", Length: 12 * h, Breaks: pause}},
		[]plant.Shift{{Name: "all", Start: "00:00", Length: 24 * h}},
		[]plant.Shift{{Name: "odd", Start: "21:17:30", Length: 5*h + 2*time.Minute + 3*time.Second}, {Name: "next", Start: "04:00", Length: 3 * h}},
	)}
	if chance(t, "holiday", 4) {
		c.Except = []string{date(anyOf(t, "on", 0, 1))}
	}
	if chance(t, "weekdays", 4) {
		c.Days = []string{"mon", "tue", "wed", "thu", "fri", "sat"}
	}
	if chance(t, "rotation", 3) {
		names := make([]string, len(c.Shifts))
		for i := range names {
			names[i] = c.Shifts[i].Name
		}
		c.Rotation = &plant.Rotation{Start: date(anyOf(t, "since", -9, 0, 1, 30)), Weeks: anyOf(t, "weeks", [][]string{names, names[:1]}, [][]string{names[1:], names}, [][]string{names, {}, names[:1]})}
	}
	if chance(t, "overtime", 3) {
		o := plant.Overtime{Date: date(anyOf(t, "overtime on", -1, 0, 1)), Name: "extra", Start: anyOf(t, "at", "12:00", "02:30", "23:30"), Length: anyOf(t, "for", h, 4*h, 10*h)}
		if o.Length > h {
			o.Breaks = []plant.Break{{Start: o.Start[:3] + "45", Length: 20 * time.Minute}}
		}
		with := c
		with.Overtime = []plant.Overtime{o}
		if len(with.Check()) == 0 { // it may meet a shift
			return with
		}
	}
	return c
}

func anyMachine(t *rapid.T, id string) MachineConfig {
	m := MachineConfig{ID: id, States: "words", Roles: map[plant.Role]string{}, Counters: map[plant.Role]int{},
		Products: map[string]string{"1": "P", "2": "Q"}, Faults: map[string]string{"7": "jam", "8": "clean"},
		PiecesPerCount: anyOf(t, "per count", int64(0), 4)}
	roles := anyOf(t, "roles",
		[]plant.Role{plant.RoleState, plant.RoleGood, plant.RoleReject, plant.RoleFault},
		[]plant.Role{plant.RoleState, plant.RoleGood, plant.RoleReject, plant.RoleProduct, plant.RoleOrder, plant.RoleFault},
		[]plant.Role{plant.RoleGood, plant.RoleReject},
		[]plant.Role{plant.RoleState, plant.RoleGood, plant.RoleTotal},
		[]plant.Role{plant.RoleState, plant.RoleReject, plant.RoleTotal, plant.RoleProduct},
	)
	for _, r := range roles {
		m.Roles[r] = string(r)
	}
	if bits := anyOf(t, "bits", 0, 8, 16); bits > 0 {
		m.Counters[plant.RoleGood] = bits
	}
	return m
}
