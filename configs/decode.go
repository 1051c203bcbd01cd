package configs

import (
	"encoding"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"linetwin/plant"
)

// decoder brings a YAML document into Go values and collects every problem,
// with its place: yaml's own strict decoding stops at what it cannot name.
type decoder struct {
	file, folder string
	problems     []Problem
	depth        int
}

func (d *decoder) wrong(n *yaml.Node, key, found, allowed string) {
	d.problems = append(d.problems, Problem{File: d.file, Line: n.Line, Column: n.Column, Fault: plant.Fault{Key: key, Found: found, Allowed: allowed}})
}

var reference = regexp.MustCompile(`\$\{([a-z]+):([^}]*)\}`)

// resolve puts in what ${env:NAME} and ${file:PATH} stand for.
func (d *decoder) resolve(n *yaml.Node, key string) {
	for i, c := range n.Content {
		k := key
		switch n.Kind {
		case yaml.MappingNode:
			if i%2 == 0 {
				continue
			}
			k = join(key, n.Content[i-1].Value)
		case yaml.SequenceNode:
			k = fmt.Sprintf("%s[%d]", key, i)
		}
		d.resolve(c, k)
	}
	if n.Kind != yaml.ScalarNode || !strings.Contains(n.Value, "${") {
		return
	}
	n.Value = reference.ReplaceAllStringFunc(n.Value, func(ref string) string {
		m := reference.FindStringSubmatch(ref)
		switch m[1] {
		case "env":
			v, ok := os.LookupEnv(m[2])
			if !ok {
				d.wrong(n, key, ref, "an environment variable that is set")
			}
			return v
		case "file":
			path := m[2]
			if !filepath.IsAbs(path) {
				path = filepath.Join(d.folder, path)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				d.wrong(n, key, ref, "a file that can be read ("+err.Error()+")")
			}
			return strings.TrimRight(string(b), "\r\n")
		}
		d.wrong(n, key, ref, "${env:NAME} or ${file:PATH}")
		return ""
	})
	n.Tag, n.Style = "!!str", yaml.DoubleQuotedStyle
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// value decodes n into v, which can be set.
func (d *decoder) value(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if d.depth++; d.depth > 64 {
		d.wrong(n, key, "settings nested deeper than 64 levels", "fewer levels")
		d.depth--
		return
	}
	defer func() { d.depth-- }()
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // a key without a value keeps its default
	}
	switch {
	case v.Type() == durationType:
		d.duration(n, v, key)
	case v.Addr().Type().Implements(textType):
		d.text(n, v, key)
	case v.Kind() == reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		d.value(n, p.Elem(), key)
		v.Set(p)
	case v.Kind() == reflect.Struct:
		d.object(n, v, key)
	case v.Kind() == reflect.Map:
		d.mapping(n, v, key)
	case v.Kind() == reflect.Slice:
		d.sequence(n, v, key)
	default:
		d.scalar(n, v, key)
	}
}

func found(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	}
	if n.Value == "" {
		return `""`
	}
	return n.Value
}

func (d *decoder) duration(n *yaml.Node, v reflect.Value, key string) {
	t, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		d.wrong(n, key, found(n), "a duration with its unit, as in 200ms, 5s, 8h")
		return
	}
	v.SetInt(int64(t))
}

func (d *decoder) text(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.ScalarNode {
		d.wrong(n, key, found(n), "one value")
		return
	}
	if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.Value)); err != nil {
		_, allowed, ok := strings.Cut(err.Error(), "want ")
		if !ok {
			allowed = err.Error()
		}
		d.wrong(n, key, found(n), allowed)
	}
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.ScalarNode {
		d.wrong(n, key, found(n), "one "+kindName(v.Kind()))
		return
	}
	ok := false
	switch v.Kind() {
	case reflect.String:
		// A number or a date without quotes is meant as it is written.
		v.SetString(n.Value)
		ok = true
	case reflect.Bool:
		ok = n.Tag == "!!bool"
		v.SetBool(n.Value == "true")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(n.Value, 0, v.Type().Bits())
		ok = err == nil
		v.SetInt(i)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		i, err := strconv.ParseUint(n.Value, 0, v.Type().Bits())
		ok = err == nil
		v.SetUint(i)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(n.Value, v.Type().Bits())
		ok = err == nil && f-f == 0 // neither NaN nor infinite
		v.SetFloat(f)
	}
	if !ok {
		d.wrong(n, key, found(n), "a "+kindName(v.Kind()))
	}
}

func kindName(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "boolean: true or false"
	case reflect.Float32, reflect.Float64:
		return "number"
	}
	return "whole number"
}

func (d *decoder) sequence(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, key, found(n), "a list, as in [a, b]")
		return
	}
	s := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, c := range n.Content {
		d.value(c, s.Index(i), fmt.Sprintf("%s[%d]", key, i))
	}
	v.Set(s)
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, key, found(n), "keys and values")
		return
	}
	m := reflect.MakeMapWithSize(v.Type(), len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		name := reflect.ValueOf(k.Value).Convert(v.Type().Key())
		e := reflect.New(v.Type().Elem()).Elem()
		if m.MapIndex(name).IsValid() {
			d.wrong(k, join(key, k.Value), "the key a second time", "each key once")
			continue
		}
		d.value(n.Content[i+1], e, join(key, k.Value))
		m.SetMapIndex(name, e)
	}
	v.Set(m)
}

func (d *decoder) object(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, key, found(n), "keys and values: "+strings.Join(names(v), ", "))
		return
	}
	fields := map[string]reflect.Value{}
	collect(v, fields)
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		f, ok := fields[k.Value]
		switch {
		case !ok:
			d.wrong(k, join(key, k.Value), "an unknown key", strings.Join(names(v), ", "))
		case seen[k.Value]:
			d.wrong(k, join(key, k.Value), "the key a second time", "each key once")
		default:
			seen[k.Value] = true
			d.value(n.Content[i+1], f, join(key, k.Value))
		}
	}
}

// collect finds a struct's settings by their yaml tags; inline structs add
// theirs.
func collect(v reflect.Value, into map[string]reflect.Value) {
	for i := range v.NumField() {
		name, opts, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		switch {
		case opts == "inline":
			collect(v.Field(i), into)
		case name != "" && name != "-":
			into[name] = v.Field(i)
		}
	}
}

func names(v reflect.Value) []string {
	fields := map[string]reflect.Value{}
	collect(v, fields)
	var all []string
	for n := range fields {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}
