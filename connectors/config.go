// Package connectors makes a gateway's devices out of its settings: one
// Supervisor per machine, which looks at a device of some protocol at fixed
// times, owns its reconnection, and turns failures into bad readings.
package connectors

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"linetwin/connectors/modbus"
	"linetwin/connectors/opcua"
	"linetwin/plant"
)

// Bounds of the interval at which a device is looked at.
const (
	defaultEvery  = time.Second
	shortestEvery = 10 * time.Millisecond
	longestEvery  = time.Hour
)

// Config is one entry of a gateway's devices: a machine, how to reach its
// device, and the signals to read. Exactly one protocol is given.
type Config struct {
	Machine string `yaml:"machine"`
	// Every is how often the device is looked at, 10ms to 1h; missing means 1s.
	Every time.Duration `yaml:"every,omitempty"`
	// Groups are ways to read signals other than the device's own.
	Groups  []Group        `yaml:"groups,omitempty"`
	Modbus  *modbus.Config `yaml:"modbus,omitempty"`
	OPCUA   *opcua.Config  `yaml:"opcua,omitempty"`
	Signals []Signal       `yaml:"signals"`
	// Profile is what the device has in common with others of its make: a name,
	// or the path of a file. Whoever reads settings has merged it in already;
	// here it is only a word.
	Profile string `yaml:"profile,omitempty"`
	// With gives the profile's parameters.
	With map[string]string `yaml:"with,omitempty"`
	// Only picks some of the profile's signals.
	Only []string `yaml:"only,omitempty"`
}

// Signal is one signal of a device, with the keys of every protocol; those
// that the device's protocol does not have must be left out. See
// modbus.Signal and opcua.Signal for what they mean.
type Signal struct {
	Name string `yaml:"name"`
	// Group names one of the device's groups; without it the device's own
	// settings hold.
	Group   string `yaml:"group,omitempty"`
	Address string `yaml:"address,omitempty"` // modbus
	Node    string `yaml:"node,omitempty"`    // opcua
	Type    string `yaml:"type,omitempty"`
	Order   string `yaml:"order,omitempty"`  // modbus
	Bit     *int   `yaml:"bit,omitempty"`    // modbus
	Length  int    `yaml:"length,omitempty"` // modbus
	Index   *int   `yaml:"index,omitempty"`  // opcua
	// Scale and Offset: value = raw x scale + offset, which makes a float.
	Scale  *float64 `yaml:"scale,omitempty"`
	Offset *float64 `yaml:"offset,omitempty"`
	// Counter is the number of bits after which a counter rolls over, 8 to 53.
	Counter int `yaml:"counter,omitempty"`
	// Deadband is by how much a number must differ from what was last sent to be
	// sent again.
	Deadband float64 `yaml:"deadband,omitempty"`
	// DeadbandPercent is the same in percent of the node's EURange; opcua.
	DeadbandPercent float64 `yaml:"deadband_percent,omitempty"`
	Unit            string  `yaml:"unit,omitempty"`
	Description     string  `yaml:"description,omitempty"`
}

func (s *Signal) modbus() modbus.Signal {
	return modbus.Signal{Name: s.Name, Address: s.Address, Type: s.Type, Order: s.Order, Bit: s.Bit, Length: s.Length,
		Scale: s.Scale, Offset: s.Offset, Counter: s.Counter, Unit: s.Unit, Description: s.Description}
}

func (s *Signal) opcua() opcua.Signal {
	return opcua.Signal{Name: s.Name, Group: s.Group, Node: s.Node, Type: s.Type, Index: s.Index,
		Deadband: s.Deadband, DeadbandPercent: s.DeadbandPercent, Scale: s.Scale, Offset: s.Offset, Unit: s.Unit, Description: s.Description}
}

// Check fills in the defaults and tells everything that is wrong, keys relative
// to the device ("signals[0].type").
func (c *Config) Check() []plant.Fault {
	var faults []plant.Fault
	fault := func(key, found, allowed string) {
		faults = append(faults, plant.Fault{Key: key, Found: found, Allowed: allowed})
	}
	if plant.CheckID(c.Machine) != nil {
		fault("machine", c.Machine, "1 to 64 of a-z A-Z 0-9 _ -")
	}
	if c.Every == 0 {
		c.Every = defaultEvery
	}
	if c.Every < shortestEvery || c.Every > longestEvery {
		fault("every", c.Every.String(), fmt.Sprintf("%v to %v", shortestEvery, longestEvery))
	}
	if c.Profile == "" && len(c.With) > 0 {
		fault("with", "parameters", "only with a profile")
	}
	if c.Profile == "" && len(c.Only) > 0 {
		fault("only", "names of signals", "only with a profile")
	}
	switch {
	case c.Modbus == nil && c.OPCUA == nil:
		fault("modbus", "", "one protocol: modbus or opcua")
	case c.Modbus != nil && c.OPCUA != nil:
		fault("opcua", "modbus as well", "one protocol: modbus or opcua")
	}
	if c.Modbus != nil {
		faults = append(faults, plant.Under("modbus", c.Modbus.Check())...)
	}
	if c.OPCUA != nil {
		faults = append(faults, plant.Under("opcua", c.OPCUA.Check())...)
	}
	if len(c.Signals) == 0 {
		fault("signals", "", "at least one signal")
	}
	faults = append(faults, c.checkGroups()...)
	return append(faults, c.checkSignals()...)
}

// checkSignals tells what is wrong with the signals, each one by itself and
// among each other.
func (c *Config) checkSignals() []plant.Fault {
	var faults []plant.Fault
	first := map[string]int{}
	for i := range c.Signals {
		s := &c.Signals[i]
		key := "signals[" + strconv.Itoa(i) + "]"
		if j, twice := first[s.Name]; twice && s.Name != "" {
			faults = append(faults, plant.Fault{Key: key + ".name", Found: s.Name, Allowed: fmt.Sprintf("a name of its own; signals[%d] has this one", j)})
		} else {
			first[s.Name] = i
		}
		faults = append(faults, plant.Under(key, c.checkGroup(s.Group))...)
		switch {
		case c.Modbus != nil && c.OPCUA == nil:
			faults = append(faults, plant.Under(key, s.checkModbus(c.Modbus))...)
		case c.OPCUA != nil && c.Modbus == nil:
			faults = append(faults, plant.Under(key, s.checkOPCUA())...)
		}
	}
	return faults
}

func (s *Signal) checkModbus(c *modbus.Config) []plant.Fault {
	var faults []plant.Fault
	if s.Node != "" {
		faults = append(faults, plant.Fault{Key: "node", Found: s.Node, Allowed: "only with opcua; modbus has address"})
	}
	if s.Index != nil {
		faults = append(faults, plant.Fault{Key: "index", Found: strconv.Itoa(*s.Index), Allowed: "only with opcua"})
	}
	if s.DeadbandPercent != 0 {
		faults = append(faults, plant.Fault{Key: "deadband_percent", Found: number(s.DeadbandPercent),
			Allowed: "only with opcua: a register does not tell its range; modbus has deadband"})
	}
	own := s.modbus()
	for _, f := range c.CheckSignals([]modbus.Signal{own}) {
		f.Key = f.Key[len("[0]."):]
		faults = append(faults, f)
	}
	return append(faults, s.checkDeadband(own.Kind())...)
}

func (s *Signal) checkOPCUA() []plant.Fault {
	var faults []plant.Fault
	other := func(key, found string, given bool) {
		if given {
			faults = append(faults, plant.Fault{Key: key, Found: found, Allowed: "only with modbus"})
		}
	}
	if s.Address != "" {
		faults = append(faults, plant.Fault{Key: "address", Found: s.Address, Allowed: "only with modbus; opcua has node"})
	}
	other("order", s.Order, s.Order != "")
	other("length", strconv.Itoa(s.Length), s.Length != 0)
	if s.Bit != nil {
		other("bit", strconv.Itoa(*s.Bit), true)
	}
	own := s.opcua()
	faults = append(faults, own.Check()...)
	if s.Counter != 0 {
		switch {
		case s.Counter < plant.LeastCounter || s.Counter > plant.MostCounter:
			faults = append(faults, plant.Fault{Key: "counter", Found: strconv.Itoa(s.Counter), Allowed: plant.CounterWidths})
		case s.Scale != nil || s.Offset != nil:
			faults = append(faults, plant.Fault{Key: "counter", Found: strconv.Itoa(s.Counter), Allowed: "no scale and no offset with it, because a counter stays a whole number"})
		case own.Bits() > 0 && s.Counter > own.Bits():
			faults = append(faults, plant.Fault{Key: "counter", Found: strconv.Itoa(s.Counter), Allowed: fmt.Sprintf("at most the %d bits of %s", own.Bits(), s.Type)})
		case len(own.Check()) == 0 && (own.Kind() != plant.KindInteger || own.Bits() == 0):
			faults = append(faults, plant.Fault{Key: "counter", Found: strconv.Itoa(s.Counter), Allowed: "only with a whole-number type"})
		}
	}
	return append(faults, s.checkDeadband(own.Kind())...)
}

func (s *Signal) checkDeadband(kind plant.Kind) []plant.Fault {
	found := number(s.Deadband)
	switch {
	case s.Deadband == 0 || kind == plant.KindNone:
		return nil
	case math.IsNaN(s.Deadband) || math.IsInf(s.Deadband, 0) || s.Deadband < 0:
		return []plant.Fault{{Key: "deadband", Found: found, Allowed: "0 or more"}}
	case kind != plant.KindFloat && kind != plant.KindInteger:
		return []plant.Fault{{Key: "deadband", Found: found, Allowed: "only with a number; this is " + kind.String()}}
	}
	return nil
}
