package twin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"linetwin/plant"
)

// Config is the twin's picture of a site: calendars, products, areas with
// their lines, and what the machines' signals mean.
type Config struct {
	Site      string                             `yaml:"site"`
	Zone      string                             `yaml:"zone"` // IANA zone of days and of calendars without one
	Calendars map[string]plant.Calendar          `yaml:"calendars"`
	StateMaps map[string]map[string]StateMeaning `yaml:"state_maps,omitempty"` // named maps; "packml" is built in
	Products  []ProductConfig                    `yaml:"products"`
	Reasons   []plant.Reason                     `yaml:"reasons,omitempty"` // why lines stop, at most three levels
	Areas     []AreaConfig                       `yaml:"areas"`
	// LateAfter: a machine whose data is complete only up to longer ago begins
	// to count as unknown (default 30s). oee.md 3.3.
	LateAfter time.Duration `yaml:"late_after,omitempty"`
}

// ProductConfig is a product with its ideal cycle per machine.
type ProductConfig struct {
	ID         string                   `yaml:"id"`
	Name       plant.Name               `yaml:"name,omitempty"`
	IdealCycle map[string]time.Duration `yaml:"ideal_cycle"` // machine -> time per piece
}

// AreaConfig is an area: a Sparkplug group with its lines.
type AreaConfig struct {
	ID    string       `yaml:"id"`
	Name  plant.Name   `yaml:"name,omitempty"`
	Lines []LineConfig `yaml:"lines"`
}

// LineConfig is one production line: machines in series, of which several may
// stand beside each other.
type LineConfig struct {
	ID           string          `yaml:"id"`
	Name         plant.Name      `yaml:"name,omitempty"`
	Calendar     string          `yaml:"calendar"`
	Flow         Flow            `yaml:"flow"`       // machines in the order in which pieces pass them
	Bottleneck   string          `yaml:"bottleneck"` // gives the line's time, with those beside it in the flow
	SmallStop    time.Duration   `yaml:"small_stop,omitempty"`
	Product      string          `yaml:"product,omitempty"`                   // assumed while nothing tells the product
	BreaksWorked bool            `yaml:"breaks_worked,omitempty"`             // count production in breaks, time and pieces
	PlannedStops bool            `yaml:"planned_stops_as_schedule,omitempty"` // planned stops other than changeovers are no planned time
	NoOrder      bool            `yaml:"no_order_as_schedule,omitempty"`      // time without an order is no planned time
	StartupCount int64           `yaml:"startup_pieces,omitempty"`
	StartupTime  time.Duration   `yaml:"startup_time,omitempty"`
	LongStop     time.Duration   `yaml:"long_stop,omitempty"`
	Machines     []MachineConfig `yaml:"machines"`
}

// MachineConfig says what a machine's signals mean.
type MachineConfig struct {
	ID              string                 `yaml:"id"`
	Name            plant.Name             `yaml:"name,omitempty"`
	States          string                 `yaml:"states,omitempty"` // name of a state map; default packml
	Roles           map[plant.Role]string  `yaml:"roles"`
	Counters        map[plant.Role]int     `yaml:"counters,omitempty"` // bits of the counters: 8 to 53
	PiecesPerCount  int64                  `yaml:"pieces_per_count,omitempty"`
	Products        map[string]string      `yaml:"products,omitempty"` // value of the product signal -> product id
	Faults          map[string]string      `yaml:"faults,omitempty"`   // value of the fault signal -> reason
	Characteristics []CharacteristicConfig `yaml:"characteristics,omitempty"`
}

// CharacteristicConfig is a quality characteristic measured by a signal.
type CharacteristicConfig struct {
	ID     string     `yaml:"id"`
	Signal string     `yaml:"signal"`
	Name   plant.Name `yaml:"name,omitempty"`
	Unit   string     `yaml:"unit,omitempty"`
	LSL    *float64   `yaml:"lsl,omitempty"`
	USL    *float64   `yaml:"usl,omitempty"`
	Target *float64   `yaml:"target,omitempty"`
	// Trigger is the signal whose change marks a new measurement, as a serial
	// number. It is not used yet: equal values in a row are one measurement.
	Trigger string `yaml:"trigger,omitempty"`
}

const (
	defaultSmallStop = 120 * time.Second
	defaultLateAfter = 30 * time.Second
)

// PackML maps the state numbers and names of PackML (ISA-TR88.00.02, OPC
// 30050) to time classes: execute runs, suspended waits for something outside
// the machine (starved), everything else is a stop.
func PackML() map[string]StateMeaning {
	order := []plant.State{"", plant.StateClearing, plant.StateStopped, plant.StateStarting, plant.StateIdle, plant.StateSuspended,
		plant.StateExecute, plant.StateStopping, plant.StateAborting, plant.StateAborted, plant.StateHolding, plant.StateHeld,
		plant.StateUnholding, plant.StateSuspending, plant.StateUnsuspending, plant.StateResetting, plant.StateCompleting, plant.StateComplete}
	m := make(map[string]StateMeaning, 2*len(order))
	for i, s := range order[1:] {
		c := plant.ClassStop
		switch s {
		case plant.StateExecute:
			c = plant.ClassRun
		case plant.StateSuspended, plant.StateSuspending, plant.StateUnsuspending:
			c = plant.ClassStarved
		}
		m[fmt.Sprint(i+1)] = StateMeaning{State: s, Class: c}
		m[string(s)] = m[fmt.Sprint(i+1)]
	}
	return m
}

// Check fills the defaults in and tells everything that is wrong.
func (c *Config) Check() []plant.Fault {
	k := &check{cfg: c, machines: map[string]string{}, products: map[string]bool{}, lines: map[string]bool{}, reasonIDs: map[string]bool{}, leaves: map[string]plant.Class{}}
	k.reasons("reasons", c.Reasons, 1)
	if c.LateAfter == 0 {
		c.LateAfter = defaultLateAfter
	}
	if c.LateAfter < time.Second {
		k.add("late_after", c.LateAfter.String(), "1s or more, as in 30s")
	}
	k.id("site", c.Site)
	if _, err := time.LoadLocation(c.Zone); err != nil || c.Zone == "" || c.Zone == "Local" {
		k.add("zone", c.Zone, "an IANA zone such as Asia/Shanghai")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Calendars)) {
		cal := c.Calendars[name]
		if cal.Zone == "" {
			cal.Zone = c.Zone
			c.Calendars[name] = cal
		}
		k.faults = append(k.faults, plant.Under("calendars."+name, cal.Check())...)
	}
	if len(c.Areas) == 0 {
		k.add("areas", "", "at least one area with a line")
	}
	for i := range c.Products {
		k.products[c.Products[i].ID] = true
	}
	for i := range c.Areas {
		k.area(fmt.Sprintf("areas[%d]", i), &c.Areas[i])
	}
	k.checkProducts()
	return k.faults
}

type check struct {
	cfg      *Config
	faults   []plant.Fault
	machines map[string]string // machine -> key where it is defined
	products map[string]bool
	lines    map[string]bool

	reasonIDs map[string]bool
	leaves    map[string]plant.Class // reasons that a stop may have
}

func (k *check) add(key, found, allowed string) {
	k.faults = append(k.faults, plant.Fault{Key: key, Found: found, Allowed: allowed})
}

func (k *check) id(key, id string) {
	if err := plant.CheckID(id); err != nil {
		k.add(key, id, "an identifier: 1 to 64 of a-z A-Z 0-9 _ -")
	}
}

func (k *check) area(key string, a *AreaConfig) {
	k.id(key+".id", a.ID)
	a.Name = a.Name.Or(a.ID)
	for i := range a.Lines {
		k.line(fmt.Sprintf("%s.lines[%d]", key, i), &a.Lines[i])
	}
}

func (k *check) line(key string, l *LineConfig) {
	k.id(key+".id", l.ID)
	l.Name = l.Name.Or(l.ID)
	if k.lines[l.ID] {
		k.add(key+".id", l.ID, "a name that no other line of the site has")
	}
	k.lines[l.ID] = true
	if l.SmallStop == 0 {
		l.SmallStop = defaultSmallStop
	}
	for name, d := range map[string]time.Duration{"small_stop": l.SmallStop, "startup_time": l.StartupTime, "long_stop": l.LongStop} {
		if d < 0 {
			k.add(key+"."+name, d.String(), "0s or more, as in 120s")
		}
	}
	if l.StartupCount < 0 {
		k.add(key+".startup_pieces", fmt.Sprint(l.StartupCount), "0 or more")
	}
	if _, ok := k.cfg.Calendars[l.Calendar]; !ok {
		k.add(key+".calendar", l.Calendar, "one of calendars: "+list(maps.Keys(k.cfg.Calendars)))
	}
	if l.Product != "" && !k.products[l.Product] {
		k.add(key+".product", l.Product, "one of products: "+list(maps.Keys(k.products)))
	}
	own := map[string]bool{}
	for i := range l.Machines {
		k.machine(fmt.Sprintf("%s.machines[%d]", key, i), &l.Machines[i])
		own[l.Machines[i].ID] = true
	}
	k.flow(key, l, own)
}

func (k *check) machine(key string, m *MachineConfig) {
	k.id(key+".id", m.ID)
	m.Name = m.Name.Or(m.ID)
	if first, ok := k.machines[m.ID]; ok {
		k.add(key+".id", m.ID, "a name that no other machine of the site has (it is at "+first+" too)")
	}
	k.machines[m.ID] = key
	if m.States == "" {
		m.States = "packml"
	}
	if _, ok := k.cfg.StateMaps[m.States]; !ok && m.States != "packml" {
		k.add(key+".states", m.States, "packml or one of state_maps: "+list(maps.Keys(k.cfg.StateMaps)))
	}
	for _, r := range slices.Sorted(maps.Keys(m.Roles)) {
		if !slices.Contains(plant.Roles[:], r) {
			k.add(key+".roles."+string(r), string(r), "a role: "+list(slices.Values(plant.Roles[:])))
		}
	}
	for _, r := range slices.Sorted(maps.Keys(m.Counters)) {
		if bits := m.Counters[r]; bits < plant.LeastCounter || bits > plant.MostCounter {
			k.add(key+".counters."+string(r), fmt.Sprint(bits), plant.CounterWidths)
		}
	}
	if m.PiecesPerCount < 0 {
		k.add(key+".pieces_per_count", fmt.Sprint(m.PiecesPerCount), "1 or more")
	}
	for v, p := range m.Products {
		if !k.products[p] {
			k.add(key+".products."+v, p, "one of products: "+list(maps.Keys(k.products)))
		}
	}
	k.faultMap(key, m)
	for i := range m.Characteristics {
		at, c := fmt.Sprintf("%s.characteristics[%d]", key, i), &m.Characteristics[i]
		k.id(at+".id", c.ID)
		c.Name = c.Name.Or(c.ID)
		if c.Signal == "" {
			k.add(at+".signal", "", "the signal that measures it")
		}
		if c.LSL != nil && c.USL != nil && *c.LSL > *c.USL {
			k.add(at+".lsl", fmt.Sprint(*c.LSL), fmt.Sprintf("at most usl, which is %g", *c.USL))
		}
	}
}

func (k *check) checkProducts() {
	ids := map[string]bool{}
	for i, p := range k.cfg.Products {
		key := fmt.Sprintf("products[%d]", i)
		k.id(key+".id", p.ID)
		k.cfg.Products[i].Name = p.Name.Or(p.ID)
		if ids[p.ID] {
			k.add(key+".id", p.ID, "each product once")
		}
		ids[p.ID] = true
		for _, m := range slices.Sorted(maps.Keys(p.IdealCycle)) {
			if _, ok := k.machines[m]; !ok {
				k.add(key+".ideal_cycle."+m, m, "a machine of one of the lines")
			}
			if p.IdealCycle[m] <= 0 {
				k.add(key+".ideal_cycle."+m, p.IdealCycle[m].String(), "a time above zero, as in 1.83s")
			}
		}
	}
}

// list joins names in order, for "one of ..." messages.
func list[T ~string](names func(func(T) bool)) string {
	var all []string
	for n := range names {
		all = append(all, string(n))
	}
	slices.Sort(all)
	if len(all) == 0 {
		return "(there is none)"
	}
	return strings.Join(all, ", ")
}
