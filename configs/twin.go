package configs

import (
	"fmt"

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
	faults = append(faults, plant.Under("history", c.History.check())...)
	if c.Ledger.SQLite == "" {
		c.Ledger.SQLite = "data/ledger.db"
	}
	faults = append(faults, plant.Under("web", c.Web.Check())...)
	r := c.Rules()
	return append(faults, r.Check()...)
}

func (c *Broker) check() []plant.Fault {
	if c.Embedded == nil {
		return c.HostConfig.Check()
	}
	if c.Embedded.Folder == "" {
		c.Embedded.Folder = "data/broker"
	}
	faults := plant.Under("embedded", c.Embedded.Check())
	if len(c.Brokers) > 0 {
		faults = append(faults, plant.Fault{Key: "brokers", Found: fmt.Sprint(c.Brokers), Allowed: "either embedded or brokers"})
	}
	// The address is known once the embedded broker listens.
	c.Brokers = []string{"tcp://" + c.Embedded.Listen}
	for _, f := range c.HostConfig.Check() {
		if f.Key != "brokers[0]" { // told of as embedded.listen
			faults = append(faults, f)
		}
	}
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
