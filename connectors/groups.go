package connectors

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"linetwin/connectors/opcua"
	"linetwin/plant"
)

// Group is a way to read some signals of a device that is not the device's own:
// at an interval of their own, and with OPC UA polled or subscribed. What is
// left out is as the device has it.
type Group struct {
	Name string `yaml:"name"`
	// Every is how often the group is looked at, at least the device's interval.
	Every time.Duration `yaml:"every,omitempty"`
	// Mode, Publishing, Sampling and Queue are those of opcua.Config.
	Mode       string        `yaml:"mode,omitempty"`
	Publishing time.Duration `yaml:"publishing,omitempty"`
	Sampling   time.Duration `yaml:"sampling,omitempty"`
	Queue      int           `yaml:"queue,omitempty"`
}

// group gives the group of a name; of no name, or of one that is not there, it
// gives the device's own interval.
func (c *Config) group(name string) Group {
	for _, g := range c.Groups {
		if g.Name == name && name != "" {
			if g.Every == 0 {
				g.Every = c.Every
			}
			return g
		}
	}
	return Group{Every: c.Every}
}

// checkGroups tells what is wrong with the groups themselves.
func (c *Config) checkGroups() []plant.Fault {
	var faults []plant.Fault
	for i, g := range c.Groups {
		key := "groups[" + strconv.Itoa(i) + "]"
		add := func(k, found, allowed string) {
			faults = append(faults, plant.Fault{Key: key + "." + k, Found: found, Allowed: allowed})
		}
		if plant.CheckID(g.Name) != nil {
			add("name", g.Name, "1 to 64 of a-z A-Z 0-9 _ -")
		}
		if j := slices.IndexFunc(c.Groups[:i], func(o Group) bool { return o.Name == g.Name }); j >= 0 && g.Name != "" {
			add("name", g.Name, fmt.Sprintf("a name of its own; groups[%d] has this one", j))
		}
		switch {
		case g.Every == 0 && c.Modbus != nil:
			add("every", "", "how often the group is read")
		case g.Every != 0 && (g.Every < c.Every || g.Every > longestEvery):
			add("every", g.Every.String(), fmt.Sprintf("the device's every (%v) to %v", c.Every, longestEvery))
		}
		if c.Modbus != nil && c.OPCUA == nil {
			faults = append(faults, plant.Under(key, g.checkModbus())...)
		}
		if c.OPCUA != nil && c.Modbus == nil {
			faults = append(faults, plant.Under(key, opcua.Group(g).Check(*c.OPCUA))...)
		}
	}
	return faults
}

func (g Group) checkModbus() []plant.Fault {
	var faults []plant.Fault
	for _, k := range []struct {
		key, found string
		given      bool
	}{
		{"mode", g.Mode, g.Mode != ""},
		{"publishing", g.Publishing.String(), g.Publishing != 0},
		{"sampling", g.Sampling.String(), g.Sampling != 0},
		{"queue", strconv.Itoa(g.Queue), g.Queue != 0},
	} {
		if k.given {
			faults = append(faults, plant.Fault{Key: k.key, Found: k.found, Allowed: "only with opcua; a group of modbus has every"})
		}
	}
	return faults
}

// checkGroup tells whether a signal's group is there.
func (c *Config) checkGroup(name string) []plant.Fault {
	if name == "" || slices.ContainsFunc(c.Groups, func(g Group) bool { return g.Name == name }) {
		return nil
	}
	names := make([]string, len(c.Groups))
	for i, g := range c.Groups {
		names[i] = g.Name
	}
	allowed := "one of the device's groups: " + strings.Join(names, ", ")
	if len(names) == 0 {
		allowed = "nothing: the device has no groups"
	}
	return []plant.Fault{{Key: "group", Found: name, Allowed: allowed}}
}

// watched lists those ways of reading, the device's own among them under no
// name, that have signals. It is empty where all signals are read in the
// device's own way.
func (c *Config) watched() []watched {
	if len(c.Groups) == 0 {
		return nil
	}
	ways := []watched{{every: c.Every}}
	for _, g := range c.Groups {
		ways = append(ways, watched{name: g.Name, every: c.group(g.Name).Every})
	}
	var all []watched
	for _, w := range ways {
		for i := range c.Signals {
			if w.name == c.Signals[i].Group {
				w.signals = append(w.signals, i)
			}
		}
		if len(w.signals) == 0 {
			continue
		}
		if c.OPCUA != nil {
			w.limit = c.opcua().Patience(w.name, c.Every)
		} else {
			w.limit = max(3*w.every, c.Modbus.Timeout)
		}
		all = append(all, w)
	}
	return all
}

// opcua gives the settings of an OPC UA device with its groups.
func (c *Config) opcua() opcua.Config {
	own := *c.OPCUA
	own.Groups = make([]opcua.Group, len(c.Groups))
	for i := range c.Groups {
		own.Groups[i] = opcua.Group(c.Groups[i])
	}
	return own
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
