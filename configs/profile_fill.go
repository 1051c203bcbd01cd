package configs

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Bounds of what a value may become.
const (
	mostPlaceholders = 20
	longestParameter = 1000 // bytes
)

// placeholder is $(name), $(name+2) or $(name-2).
var placeholder = regexp.MustCompile(`\$\(([^()]*)\)`)

var sum = regexp.MustCompile(`^(.+)([+-])([0-9]{1,9})$`)

// copies gives the profile's part of a device, with parameters put in.
func (m *merger) copies(p *Profile, values map[string]given) *yaml.Node {
	c := copier{merger: m, profile: p, values: values}
	return c.node(p.body, "")
}

type copier struct {
	*merger
	profile *Profile
	values  map[string]given
}

func (c *copier) node(n *yaml.Node, key string) *yaml.Node {
	out := *n
	out.Content = nil
	c.from[&out] = c.profile.File
	if c.copied++; c.copied > maxValues {
		if c.copied == maxValues+1 {
			c.wrongAt(n, key, fmt.Sprintf("more than %d values from profiles", maxValues), "fewer")
		}
		return &out
	}
	for i, child := range n.Content {
		sub := fmt.Sprintf("%s[%d]", key, i)
		if n.Kind == yaml.MappingNode {
			sub = join(key, n.Content[i&^1].Value)
		}
		out.Content = append(out.Content, c.node(child, sub))
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			c.follow(out.Content[i-1], out.Content[i])
		}
	}
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "$(") {
		c.fill(&out, key)
	}
	return &out
}

// follow places a key where its value was given.
func (c *copier) follow(k, v *yaml.Node) {
	if _, ofProfile := c.from[v]; !ofProfile {
		k.Line, k.Column = v.Line, v.Column
		delete(c.from, k)
	}
}

// fill puts parameters into a scalar. What the device gave is in the device's
// file: if it is wrong, that is where.
func (c *copier) fill(n *yaml.Node, key string) {
	at := *n
	if strings.Count(n.Value, "$(") > mostPlaceholders {
		c.wrongAt(n, key, found(n), fmt.Sprintf("at most %d parameters in a value", mostPlaceholders))
		return
	}
	n.Value = placeholder.ReplaceAllStringFunc(n.Value, func(ref string) string {
		name, add := ref[2:len(ref)-1], 0
		if parts := sum.FindStringSubmatch(name); parts != nil && c.profile.Parameters[name].Description == "" {
			name = parts[1]
			add, _ = strconv.Atoi(parts[2] + parts[3])
		}
		v, ok := c.values[name]
		if !ok {
			c.wrongAt(&at, key, ref, "a parameter: "+parameterNames(c.profile))
			return ref
		}
		if v.at != nil {
			n.Line, n.Column = v.at.Line, v.at.Column
			delete(c.from, n)
		}
		if name == ref[2:len(ref)-1] {
			return v.text
		}
		number, err := strconv.Atoi(v.text)
		if err != nil {
			if v.at != nil {
				c.wrong(v.at, "with."+name, v.text, "a whole number, because "+c.profile.Name+" counts addresses from it")
			} else {
				c.wrongAt(&at, key, ref, "a whole number as the default of "+name)
			}
			return ref
		}
		return strconv.Itoa(number + add)
	})
}

// wrongAt tells what is wrong in the profile's own text.
func (c *copier) wrongAt(n *yaml.Node, key, found, allowed string) {
	d := decoder{file: c.profile.File}
	d.wrong(n, key, found, allowed)
	c.problems = append(c.problems, d.problems...)
}
