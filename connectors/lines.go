package connectors

import (
	"fmt"

	"linetwin/plant"
)

// CheckLines tells which devices name a line that another device runs in
// another way, keys relative to the list ("[1].modbus.url"): a serial port has
// one set of parameters, an address one protocol.
func CheckLines(cfgs []Config) []plant.Fault {
	var faults []plant.Fault
	first := map[string]int{}
	for i := range cfgs {
		c := cfgs[i].Modbus
		if c == nil || c.Endpoint() == "" {
			continue
		}
		j, shared := first[c.Endpoint()]
		if !shared {
			first[c.Endpoint()] = i
			continue
		}
		if own, theirs := c.Parameters(), cfgs[j].Modbus.Parameters(); own != theirs {
			faults = append(faults, plant.Fault{Key: fmt.Sprintf("[%d].modbus.url", i), Found: own,
				Allowed: fmt.Sprintf("%s, as devices[%d] has it: both are on %s", theirs, j, c.Endpoint())})
		}
	}
	return faults
}
