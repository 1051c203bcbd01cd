package configs

import (
	"fmt"

	"linetwin/connectors"
	"linetwin/connectors/sparkplug"
	"linetwin/gateway"
	"linetwin/plant"
)

// Gateway is the settings file of `linetwin gateway`.
type Gateway struct {
	Site    string `yaml:"site"`
	Area    string `yaml:"area"`    // Sparkplug group id
	Gateway string `yaml:"gateway"` // Sparkplug edge node id

	Wire           sparkplug.EdgeConfig `yaml:"wire"`
	gateway.Config `yaml:",inline"`     // buffer, delivery

	// Certificates is the folder of the gateway's own OPC UA certificate and of
	// the servers' that it trusts (default data/pki).
	Certificates string              `yaml:"certificates"`
	Devices      []connectors.Config `yaml:"devices"`
}

// LoadGateway reads a gateway's settings.
func LoadGateway(file string) (*Gateway, error) {
	var c Gateway
	if err := read(file, &c); err != nil {
		return nil, err
	}
	return &c, nil
}

// Check fills the defaults in and tells everything that is wrong.
func (c *Gateway) Check() []plant.Fault {
	var faults []plant.Fault
	faults = append(faults, checkID("site", c.Site)...)
	if c.Certificates == "" {
		c.Certificates = "data/pki"
	}
	c.Config.Site, c.Config.Area, c.Config.Gateway = c.Site, c.Area, c.Gateway
	c.Wire.Area, c.Wire.Gateway = c.Area, c.Gateway
	for _, f := range c.Wire.Check() {
		if f.Key != "area" && f.Key != "gateway" { // these stand at the top
			f.Key = "wire." + f.Key
		}
		faults = append(faults, f)
	}
	faults = append(faults, c.Config.Check()...)
	if len(c.Devices) == 0 {
		faults = append(faults, plant.Fault{Key: "devices", Allowed: "at least one device: machine, every, modbus or opcua, signals"})
	}
	faults = append(faults, checkDevices(c.Devices)...)
	return faults
}

// checkDevices checks each device, and what only all of them together can get
// wrong: a machine twice, a signal name with two types or units.
func checkDevices(devices []connectors.Config) []plant.Fault {
	var faults []plant.Fault
	machines := map[string]int{}
	for i := range devices {
		key := fmt.Sprintf("devices[%d]", i)
		faults = append(faults, plant.Under(key, devices[i].Check())...)
		if first, ok := machines[devices[i].Machine]; ok && devices[i].Machine != "" {
			faults = append(faults, plant.Fault{Key: key + ".machine", Found: devices[i].Machine,
				Allowed: fmt.Sprintf("each machine once (it is devices[%d] too)", first)})
		} else {
			machines[devices[i].Machine] = i
		}
	}
	return append(faults, checkUnits(devices)...)
}

// checkUnits: a signal's name has one unit in a whole site.
func checkUnits(devices []connectors.Config) []plant.Fault {
	type use struct{ unit, key string }
	var faults []plant.Fault
	first := map[string]use{}
	for i := range devices {
		for j := range devices[i].Signals {
			s := &devices[i].Signals[j]
			key := fmt.Sprintf("devices[%d].signals[%d]", i, j)
			u, ok := first[s.Name]
			switch {
			case !ok:
				first[s.Name] = use{s.Unit, key}
			case u.unit != s.Unit:
				faults = append(faults, plant.Fault{Key: key + ".unit", Found: fmt.Sprintf("%q", s.Unit),
					Allowed: fmt.Sprintf("%q, as at %s: a signal name has one unit in a whole site", u.unit, u.key)})
			}
		}
	}
	return faults
}

func checkID(key, id string) []plant.Fault {
	if plant.CheckID(id) == nil {
		return nil
	}
	return []plant.Fault{{Key: key, Found: id, Allowed: "an identifier: 1 to 64 of a-z A-Z 0-9 _ -"}}
}
