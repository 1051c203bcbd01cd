package configs

import (
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"go.yaml.in/yaml/v4"

	"linetwin/connectors/tlsfile"
	"linetwin/plant"
)

// CheckConnections looks at the files that the settings name for connections
// to brokers (certificates, keys, secrets) as they are on this computer now,
// and at what would travel unencrypted. Gateways and twins start all the same:
// a certificate that has expired must not stop anybody from reading PLCs.
func CheckConnections(files []File, now time.Time) (problems, notes Problems) {
	var all, maybe []Problem
	for i := range files {
		f := &files[i]
		add := func(of int, prefix string, wrong, remarks []plant.Fault) {
			for _, w := range plant.Under(prefix, wrong) {
				all = append(all, f.at(of, w.Key, w.Found, w.Allowed))
			}
			for _, w := range plant.Under(prefix, remarks) {
				maybe = append(maybe, f.at(of, w.Key, w.Found, w.Allowed))
			}
		}
		for j, g := range f.Gateways {
			wrong, remarks := g.Wire.CheckFiles(now)
			add(j, "wire", wrong, remarks)
		}
		if t := f.Twin; t != nil && t.Broker.Embedded != nil {
			wrong, remarks := t.Broker.Embedded.CheckFiles(now)
			add(-1, "broker.embedded", wrong, remarks)
		} else if t != nil {
			wrong, remarks := t.Broker.CheckFiles(now)
			add(-1, "broker", wrong, remarks)
		}
		if f.source != nil {
			maybe = append(maybe, f.exposed(f.root, "")...)
		}
	}
	return sorted(all), sorted(maybe)
}

// secretFile is a reference to a file.
var secretFile = regexp.MustCompile(`\$\{file:([^}]+)\}`)

// exposed notes files of secrets that everybody may read.
func (s *source) exposed(n *yaml.Node, key string) []Problem {
	var found []Problem
	for i, c := range n.Content {
		switch {
		case n.Kind == yaml.SequenceNode:
			found = append(found, s.exposed(c, key+"["+strconv.Itoa(i)+"]")...)
		case n.Kind == yaml.MappingNode && i%2 == 1:
			name := n.Content[i-1].Value
			if key != "" {
				name = key + "." + name
			}
			found = append(found, s.exposed(c, name)...)
		}
	}
	if n.Kind != yaml.ScalarNode {
		return found
	}
	for _, m := range secretFile.FindAllStringSubmatch(n.Value, -1) {
		name := m[1]
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(s.file), name)
		}
		if w := tlsfile.Exposed(key, name); w != nil {
			found = append(found, Problem{File: s.fileOf(n), Line: n.Line, Column: n.Column, Fault: *w})
		}
	}
	return found
}
