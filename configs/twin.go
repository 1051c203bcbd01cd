package configs

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"linetwin/connectors/broker"
	"linetwin/connectors/influx"
	"linetwin/connectors/sparkplug"
	"linetwin/connectors/sqlite"
	"linetwin/plant"
	"linetwin/rules"
	"linetwin/twin"
	"linetwin/web"
)

// Twin is the settings file of `linetwin twin`.
type Twin struct {
	twin.Config `yaml:",inline"` // site, zone, calendars, products, areas, ...

	Broker  Broker        `yaml:"broker"`
	Publish Publish       `yaml:"publish"`
	History History       `yaml:"history"`
	Ledger  Ledger        `yaml:"ledger"`
	Web     web.Config    `yaml:"web"`
	Limits  []rules.Limit `yaml:"rules"`
	// QualityReturnsAfter is how many pieces in a row must be within
	// specification before a quality alert returns (default 1).
	QualityReturnsAfter int `yaml:"quality_returns_after"`
}

// Rules gives the settings of the rules engine.
func (c *Twin) Rules() rules.Config {
	return rules.Config{Limits: c.Limits, ReturnsAfter: c.QualityReturnsAfter}
}

// Broker says where the twin listens: a broker of its own, or one that is
// there.
type Broker struct {
	Embedded             *broker.Config `yaml:"embedded"`
	sparkplug.HostConfig `yaml:",inline"`
}

// Publish says what the twin tells others beside its API.
type Publish struct {
	// MQTT: states and figures as retained JSON under linetwin/v1/ (default
	// true).
	MQTT *bool `yaml:"mqtt"`
}

// History says where readings are kept.
type History struct {
	Influx   *influx.Config        `yaml:"influxdb"`
	Embedded *sqlite.HistoryConfig `yaml:"embedded"`
}

// Ledger says where everything else is kept.
type Ledger struct {
	SQLite string `yaml:"sqlite"` // file; default data/ledger.db
}

// LoadTwin reads a twin's settings.
func LoadTwin(file string) (*Twin, error) {
	var c Twin
	if err := read(file, &c); err != nil {
		return nil, err
	}
	return &c, nil
}

// Check fills the defaults in and tells everything that is wrong.
func (c *Twin) Check() []plant.Fault {
	faults := c.Config.Check()
	c.Broker.Site = c.Site
	c.Broker.Areas = nil
	for _, a := range c.Areas {
		c.Broker.Areas = append(c.Broker.Areas, a.ID)
	}
	faults = append(faults, plant.Under("broker", c.Broker.check())...)
	if c.Publish.MQTT == nil {
		on := true
		c.Publish.MQTT = &on
	}
	faults = append(faults, plant.Under("history", c.History.check())...)
	if c.Ledger.SQLite == "" {
		c.Ledger.SQLite = "data/ledger.db"
	}
	faults = append(faults, plant.Under("web", c.Web.Check())...)
	if c.QualityReturnsAfter < 0 {
		faults = append(faults, plant.Fault{Key: "quality_returns_after", Found: strconv.Itoa(c.QualityReturnsAfter), Allowed: "0 or more pieces"})
	}
	r := c.Rules()
	faults = append(faults, c.checkStates()...)
	faults = append(faults, plant.Under("rules", r.Check())...)
	return append(faults, c.checkPlaces()...)
}

// checkStates: what a machine says is a PackML state, and a class that a
// machine can be in.
func (c *Twin) checkStates() []plant.Fault {
	states := map[string]bool{string(plant.StateOff): true}
	for _, m := range twin.PackML() {
		states[string(m.State)] = true
	}
	var faults []plant.Fault
	for _, name := range slices.Sorted(maps.Keys(c.StateMaps)) {
		for _, value := range slices.Sorted(maps.Keys(c.StateMaps[name])) {
			key, m := "state_maps."+name+"."+value, c.StateMaps[name][value]
			if !states[string(m.State)] {
				faults = append(faults, plant.Fault{Key: key + ".state", Found: string(m.State), Allowed: list(states)})
			}
			if m.Class == plant.ClassUnknown || m.Class == plant.ClassNotScheduled {
				found := m.Class.String()
				if m.Class == plant.ClassUnknown {
					found = ""
				}
				faults = append(faults, plant.Fault{Key: key + ".class", Found: found, Allowed: "run, stop, starved, blocked, changeover, planned_stop"})
			}
		}
	}
	return faults
}

// checkPlaces: rules know no lines and no machines, so that what they name is
// looked up here.
func (c *Twin) checkPlaces() []plant.Fault {
	lines, machines := map[string]bool{}, map[string]bool{}
	for _, a := range c.Areas {
		for _, l := range a.Lines {
			lines[l.ID] = true
			for _, m := range l.Machines {
				machines[m.ID] = true
			}
		}
	}
	var faults []plant.Fault
	for i, l := range c.Limits {
		if l.Line != "" && !lines[l.Line] {
			faults = append(faults, plant.Fault{Key: fmt.Sprintf("rules[%d].line", i), Found: l.Line, Allowed: "one of the lines: " + list(lines)})
		}
		if l.Machine != "" && !machines[l.Machine] {
			faults = append(faults, plant.Fault{Key: fmt.Sprintf("rules[%d].machine", i), Found: l.Machine, Allowed: "one of the machines: " + list(machines)})
		}
	}
	return faults
}

func list(of map[string]bool) string {
	return strings.Join(slices.Sorted(maps.Keys(of)), ", ")
}

func (c *Broker) check() []plant.Fault {
	if c.Embedded == nil {
		return plain(c.HostConfig.Check())
	}
	if c.Embedded.Folder == "" {
		c.Embedded.Folder = "data/broker"
	}
	faults := plant.Under("embedded", c.Embedded.Check())
	for _, k := range []struct {
		key   string
		given bool
	}{
		{"brokers", len(c.Brokers) > 0}, {"user", c.User != ""}, {"password", c.Password != ""}, {"tls", c.TLS != sparkplug.TLS{}},
	} {
		if k.given {
			faults = append(faults, plant.Fault{Key: k.key, Found: k.key + " beside embedded", Allowed: "either embedded, or brokers with user, password and tls"})
		}
	}
	// Where it listens is known only once it does; the rest is checked as if.
	host := c.HostConfig
	host.Connection.Brokers, host.Connection.User, host.Connection.Password, host.Connection.TLS = []string{"tcp://127.0.0.1:1883"}, "", "", sparkplug.TLS{}
	faults = append(faults, plain(host.Check())...)
	c.Host, c.Queue, c.QueueBytes = host.Host, host.Queue, host.QueueBytes
	c.KeepAlive, c.ConnectTimeout, c.WriteTimeout = host.KeepAlive, host.ConnectTimeout, host.WriteTimeout
	return faults
}

func (c *History) check() []plant.Fault {
	switch {
	case c.Influx != nil && c.Embedded != nil:
		return []plant.Fault{{Key: "influxdb", Found: "influxdb and embedded", Allowed: "either influxdb or embedded"}}
	case c.Influx != nil:
		return plant.Under("influxdb", c.Influx.Check())
	case c.Embedded != nil:
		return plant.Under("embedded", c.Embedded.Check())
	}
	return []plant.Fault{{Key: "", Allowed: "influxdb: {url, org, bucket, token} or embedded: {folder}"}}
}
