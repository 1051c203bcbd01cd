package configs

import (
	"fmt"
	"strconv"
	"strings"

	"linetwin/connectors"
	"linetwin/connectors/opcua"
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
	for _, f := range plain(c.Wire.Check()) {
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
// wrong: a machine twice, a signal name with two kinds or units.
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
	faults = append(faults, plant.Under("devices", connectors.CheckLines(devices))...)
	if len(faults) > 0 {
		return faults
	}
	signals, err := deviceSignals(devices)
	if err != nil {
		return []plant.Fault{{Key: "devices", Found: err.Error(), Allowed: "devices that can be opened"}}
	}
	return checkSignals(devices, signals)
}

// deviceSignals gives the signals of devices, which are right by themselves,
// as they will be announced. Nothing is dialled.
func deviceSignals(devices []connectors.Config) ([][]plant.Signal, error) {
	opened, err := connectors.Open(devices, connectors.Options{PKI: &opcua.PKI{}})
	if err != nil {
		return nil, err
	}
	all := make([][]plant.Signal, len(opened))
	for i, o := range opened {
		all[i] = o.Signals()
	}
	return all, nil
}

// checkSignals: a signal's name has one kind and one unit in a whole site.
func checkSignals(devices []connectors.Config, signals [][]plant.Signal) []plant.Fault {
	type use struct {
		plant.Signal
		key string
	}
	var faults []plant.Fault
	first := map[string]use{}
	for i := range signals {
		for j, s := range signals[i] {
			key := fmt.Sprintf("devices[%d].signals[%d]", i, j)
			u, ok := first[s.Name]
			if !ok {
				first[s.Name] = use{s, key}
				continue
			}
			if u.Kind != s.Kind {
				faults = append(faults, plant.Fault{Key: key + ".type", Found: devices[i].Signals[j].Type + ", which gives " + s.Kind.String(),
					Allowed: fmt.Sprintf("what gives %s, as at %s: a signal name has one kind in a whole site", u.Kind, u.key)})
			}
			if u.Unit != s.Unit {
				faults = append(faults, plant.Fault{Key: key + ".unit", Found: quote(s.Unit),
					Allowed: fmt.Sprintf("%q, as at %s: a signal name has one unit in a whole site", u.Unit, u.key)})
			}
		}
	}
	return faults
}

// quote shows text; "" stays, so that a fault says "missing".
func quote(s string) string {
	if s == "" {
		return ""
	}
	return strconv.Quote(s)
}

// plain leaves of what is allowed only that, where a section gives the text of
// an error.
func plain(faults []plant.Fault) []plant.Fault {
	for i := range faults {
		if _, allowed, ok := strings.Cut(faults[i].Allowed, ", want "); ok {
			faults[i].Allowed = allowed
		}
	}
	return faults
}

func checkID(key, id string) []plant.Fault {
	if plant.CheckID(id) == nil {
		return nil
	}
	return []plant.Fault{{Key: key, Found: id, Allowed: "1 to 64 of a-z A-Z 0-9 _ -"}}
}
