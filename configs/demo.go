package configs

import (
	_ "embed"
	"fmt"

	"linetwin/plant"
)

//go:embed demo.yaml
var demoYAML []byte

// Demo is a whole factory in one file: the plant that is simulated, its
// gateways and its twin.
type Demo struct {
	Simulator Simulator `yaml:"simulator"`
	Gateways  []Gateway `yaml:"gateways"`
	Twin      Twin      `yaml:"twin"`
}

// Simulator says what the pretend plant does. The simulator checks it itself:
// it shares no code with the rest.
type Simulator struct {
	Seed   uint64   `yaml:"seed"`
	Speed  float64  `yaml:"speed"`
	OPCUA  string   `yaml:"opcua"`  // where the OPC UA server listens
	Modbus string   `yaml:"modbus"` // where the first Modbus server listens
	Lines  []string `yaml:"lines"`
}

// LoadDemo gives the shipped demo's settings.
func LoadDemo() (*Demo, error) {
	var c Demo
	root, err := document("demo.yaml", demoYAML)
	if err != nil {
		return nil, err
	}
	if err := decode("demo.yaml", root, &c, Options{}); err != nil {
		return nil, err
	}
	return &c, nil
}

// Check fills the defaults in and tells everything that is wrong.
func (c *Demo) Check() []plant.Fault {
	var faults []plant.Fault
	for i := range c.Gateways {
		faults = append(faults, plant.Under(fmt.Sprintf("gateways[%d]", i), c.Gateways[i].Check())...)
	}
	return append(faults, plant.Under("twin", c.Twin.Check())...)
}
