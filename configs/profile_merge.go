package configs

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// source is a settings file whose devices have got what their profiles give.
type source struct {
	file string
	root *yaml.Node
	from map[*yaml.Node]string // the files of nodes that are not of file itself
	// profiles are the files of the profiles that are not shipped.
	profiles []string
	problems []Problem
}

// fileOf tells where a node was written.
func (s *source) fileOf(n *yaml.Node) string {
	if f, ok := s.from[n]; ok {
		return f
	}
	return s.file
}

// withProfiles puts profiles into a document's devices, in place. A problem has
// the place of whoever is wrong: the settings file or the profile's.
func withProfiles(file string, root *yaml.Node) *source {
	s := &source{file: file, root: root, from: map[*yaml.Node]string{}}
	m := &merger{source: s, found: map[string]*Profile{}, done: map[*yaml.Node]bool{}}
	m.gateway(root, "")
	if list := lookup(root, "gateways"); list != nil && list.Kind == yaml.SequenceNode {
		for i, g := range list.Content {
			m.gateway(target(g), fmt.Sprintf("gateways[%d].", i))
		}
	}
	return s
}

type merger struct {
	*source
	found map[string]*Profile // by what devices wrote; nil: told already
	done  map[*yaml.Node]bool // lists and devices; aliases share them
	// copied counts what profiles have given: a few lines must not become more
	// than a machine's memory.
	copied int
}

func (m *merger) wrong(n *yaml.Node, key, found, allowed string) {
	d := decoder{file: m.fileOf(n)}
	d.wrong(n, key, found, allowed)
	m.problems = append(m.problems, d.problems...)
}

func (m *merger) gateway(n *yaml.Node, key string) {
	list := lookup(n, "devices")
	if list == nil || list.Kind != yaml.SequenceNode || m.done[list] {
		return
	}
	m.done[list] = true
	for i, d := range list.Content {
		m.device(target(d), fmt.Sprintf("%sdevices[%d]", key, i))
	}
}

// device merges one device with its profile, if it has one. What has the wrong
// shape is left to the decoder.
func (m *merger) device(n *yaml.Node, key string) {
	named := pairOf(n, "profile")
	if m.done[n] || named == nil {
		return
	}
	m.done[n] = true
	at := target(named.value)
	if at.Kind != yaml.ScalarNode || isNull(at) {
		return
	}
	p := m.profile(at, key+".profile")
	if p == nil {
		return
	}
	for _, other := range []string{"modbus", "opcua"} {
		if own := lookup(n, other); own != nil && !isNull(own) && other != p.Protocol {
			m.wrong(at, key+".profile", found(at)+", which is for "+p.Protocol, "a profile for "+other)
			return
		}
	}
	m.only(lookup(n, "only"), p, key)
	values, ok := m.values(p, n, named.key, key)
	if !ok {
		return
	}
	m.merge(n, named.key, p, m.copies(p, values))
}

// profile finds a profile, and tells once why it cannot.
func (m *merger) profile(at *yaml.Node, key string) *Profile {
	if p, known := m.found[at.Value]; known {
		return p
	}
	p, err := FindProfile(at.Value, filepath.Dir(m.file))
	if problems, ok := err.(Problems); ok {
		m.problems = append(m.problems, problems...)
	} else if err != nil {
		m.wrong(at, key, found(at)+" ("+err.Error()+")", "a file beside this one, as in ./profiles/mine.yaml, or one of "+shippedNames())
	}
	if isPath(at.Value) && p != nil && !slices.Contains(m.profiles, p.File) {
		m.profiles = append(m.profiles, p.File)
	}
	m.found[at.Value] = p
	return p
}

// given is a parameter's value, and where the device wrote it; nil where it is
// the default.
type given struct {
	text string
	at   *yaml.Node
}

// values gives every parameter its value.
func (m *merger) values(p *Profile, device, named *yaml.Node, key string) (map[string]given, bool) {
	values, before := map[string]given{}, len(m.problems)
	if with := lookup(device, "with"); with != nil && with.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(with.Content); i += 2 {
			k, v := with.Content[i], target(with.Content[i+1])
			if _, ok := p.Parameters[k.Value]; !ok {
				m.wrong(k, join(key+".with", k.Value), "an unknown parameter", "of "+p.Name+": "+parameterNames(p))
			} else if len(v.Value) > longestParameter {
				m.wrong(v, key+".with."+k.Value, found(v), fmt.Sprintf("at most %d bytes", longestParameter))
			} else if v.Kind == yaml.ScalarNode && !isNull(v) {
				values[k.Value] = given{v.Value, v}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Parameters)) {
		par := p.Parameters[name]
		if _, ok := values[name]; ok {
			continue
		}
		if par.Default == "" {
			m.wrong(named, key+".with."+name, "", par.Description+", as in "+par.Example)
			continue
		}
		values[name] = given{text: par.Default}
	}
	return values, len(m.problems) == before
}

func parameterNames(p *Profile) string {
	if len(p.Parameters) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(p.Parameters)), ", ")
}

// merge brings a profile's part into a device. What the device says wins, key
// by key.
func (m *merger) merge(n, named *yaml.Node, p *Profile, part *yaml.Node) {
	leave(lookup(n, "only"), part)
	if lookup(part, p.Protocol) == nil {
		part.Content = append(part.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: p.Protocol},
			&yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"})
	}
	for i := 0; i+1 < len(part.Content); i += 2 {
		k, v := part.Content[i], part.Content[i+1]
		own := keyIndex(n, k.Value)
		if own < 0 && v.Kind == yaml.SequenceNode {
			v.Content = slices.DeleteFunc(v.Content, isLeftOut)
		}
		switch {
		case own < 0 && k.Value == p.Protocol:
			// What the section lacks, as its url, the device lacks.
			k.Line, k.Column, v.Line, v.Column = named.Line, named.Column, named.Line, named.Column
			delete(m.from, k)
			delete(m.from, v)
			n.Content = append(n.Content, k, v)
		case own < 0:
			n.Content = append(n.Content, k, v)
		case k.Value == "signals" || k.Value == "groups":
			n.Content[own+1] = m.byName(n.Content[own+1], v)
		case isNull(target(n.Content[own+1])) && v.Kind == yaml.MappingNode:
			v.Line, v.Column = n.Content[own].Line, n.Content[own].Column
			delete(m.from, v)
			n.Content[own+1] = v
		default:
			n.Content[own+1] = m.deep(n.Content[own+1], v)
		}
	}
}

// only tells of names that a device picks and the profile does not have.
func (m *merger) only(pick *yaml.Node, p *Profile, key string) {
	if pick == nil || pick.Kind != yaml.SequenceNode {
		return
	}
	var have []string
	if list := lookup(p.body, "signals"); list != nil {
		for _, s := range list.Content {
			if name := lookup(s, "name"); name != nil {
				have = append(have, name.Value)
			}
		}
	}
	for i, c := range pick.Content {
		if c = target(c); c.Kind != yaml.ScalarNode || slices.Contains(have, c.Value) {
			continue
		}
		allowed := p.Name + " has no signals"
		if len(have) > 0 {
			allowed = "signals of " + p.Name + ": " + strings.Join(have, ", ")
		}
		m.wrong(c, fmt.Sprintf("%s.only[%d]", key, i), found(c), allowed)
	}
}

// leave marks the profile's signals that the device does not pick.
func leave(pick, part *yaml.Node) {
	list := lookup(part, "signals")
	if pick == nil || pick.Kind != yaml.SequenceNode || list == nil {
		return
	}
	for _, s := range list.Content {
		name := lookup(s, "name")
		picked := func(c *yaml.Node) bool { return name == nil || target(c).Value == name.Value }
		if name != nil && !slices.ContainsFunc(pick.Content, picked) {
			name.Tag = leftOut
		}
	}
}

// leftOut marks the name of a profile's signal that a device gets only if it
// has one of that name itself.
const leftOut = "!left-out"

func isLeftOut(signal *yaml.Node) bool {
	name := lookup(signal, "name")
	return name != nil && name.Tag == leftOut
}

// byName merges lists of things with names: the device's first, so that they
// keep their numbers, then those that only the profile has.
func (m *merger) byName(own, theirs *yaml.Node) *yaml.Node {
	list := target(own)
	if isNull(list) {
		list = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: own.Line, Column: own.Column}
	}
	if list.Kind != yaml.SequenceNode || theirs.Kind != yaml.SequenceNode {
		return own
	}
	out := *list
	out.Content = nil
	used := map[*yaml.Node]bool{}
	for _, item := range list.Content {
		item = target(item)
		name := lookup(item, "name")
		for _, t := range theirs.Content {
			if n := lookup(t, "name"); name != nil && n != nil && n.Value == name.Value && !used[t] {
				used[t] = true
				item = m.deep(item, t)
				break
			}
		}
		out.Content = append(out.Content, item)
	}
	for _, t := range theirs.Content {
		if !used[t] && !isLeftOut(t) {
			out.Content = append(out.Content, t)
		}
	}
	return &out
}

// deep adds to a mapping what only the profile has.
func (m *merger) deep(own, theirs *yaml.Node) *yaml.Node {
	n := target(own)
	if n.Kind != yaml.MappingNode || theirs.Kind != yaml.MappingNode {
		return own
	}
	out := *n
	out.Content = slices.Clone(n.Content)
	for i := 0; i+1 < len(theirs.Content); i += 2 {
		k, v := theirs.Content[i], theirs.Content[i+1]
		mine := keyIndex(&out, k.Value)
		if mine < 0 {
			out.Content = append(out.Content, k, v)
		} else {
			out.Content[mine+1] = m.deep(out.Content[mine+1], v)
		}
	}
	return &out
}

// keyIndex gives where a mapping has a key, or -1.
func keyIndex(n *yaml.Node, key string) int {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return i
		}
	}
	return -1
}
