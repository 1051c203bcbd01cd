package configs

import (
	"reflect"

	"go.yaml.in/yaml/v4"

	"linetwin/connectors"
	"linetwin/plant"
)

// checkProfile checks a profile's file by itself, as a device would use it that
// gives the least: examples for parameters without a default.
func checkProfile(file string, raw []byte, root *yaml.Node) error {
	p, err := newProfile(file, file, raw, root)
	if err != nil {
		return err
	}
	_, err = p.Device()
	return err
}

// exampleDevice gives a device that has nothing but its profile.
func exampleDevice(p *Profile) *source {
	text := func(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }
	mapping := func(of ...*yaml.Node) *yaml.Node {
		return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: of}
	}
	device := mapping(text("machine"), text("example"), text("profile"), text(p.Name))
	section := mapping(text("url"), text("tcp://127.0.0.1"))
	signal := mapping(text("name"), text("x"), text("address"), text("holding:0"), text("type"), text("uint16"))
	if p.Protocol == "opcua" {
		section = mapping(text("url"), text("opc.tcp://127.0.0.1"))
		if lookup(lookup(p.body, "opcua"), "security") == nil {
			section.Content = append(section.Content, text("security"), text("None"))
		}
		signal = mapping(text("name"), text("x"), text("node"), text("i=2258"), text("type"), text("datetime"))
	}
	device.Content = append(device.Content, text(p.Protocol), section)
	if p.Signals() == 0 {
		device.Content = append(device.Content, text("signals"), &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{signal}})
	}
	s := &source{file: p.File, root: device, from: map[*yaml.Node]string{}}
	m := &merger{source: s, found: map[string]*Profile{p.Name: p}, done: map[*yaml.Node]bool{}}
	values := map[string]given{}
	for name, par := range p.Parameters {
		values[name] = given{text: par.Default}
		if par.Default == "" {
			values[name] = given{text: par.Example}
		}
	}
	m.merge(device, device.Content[2], p, m.copies(p, values))
	return s
}

// Device gives the settings of a device that has nothing but the profile, for
// those who list what a profile gives.
func (p *Profile) Device() (connectors.Config, error) {
	var c connectors.Config
	s := exampleDevice(p)
	d := &decoder{file: p.File, from: s.from, problems: s.problems}
	d.value(s.root, reflect.ValueOf(&c).Elem(), "")
	var faults []plant.Fault
	if len(d.problems) == 0 {
		faults = c.Check()
	}
	if d.problems = append(d.problems, s.placed(faults)...); len(d.problems) > 0 {
		return c, sorted(d.problems)
	}
	return c, nil
}
