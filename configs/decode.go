package configs

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"linetwin/plant"
)

const (
	// maxValues bounds a document. Aliases may make a small file very large:
	// they count as what they stand for.
	maxValues = 1_000_000
	mostShown = 80 // characters of a value in a message
)

// decoder brings a YAML document into Go values and collects every problem,
// with its place: yaml's own strict decoding stops at what it cannot name.
type decoder struct {
	file     string
	from     map[*yaml.Node]string // files of nodes that are not of file
	refs     references
	problems []Problem
	values   int
}

func (d *decoder) wrong(n *yaml.Node, key, found, allowed string) {
	file := d.file
	if f, ok := d.from[n]; ok {
		file = f
	}
	d.problems = append(d.problems, Problem{File: file, Line: n.Line, Column: n.Column, Fault: plant.Fault{Key: key, Found: found, Allowed: allowed}})
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[plant.Secret]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// value decodes n into v, which can be set. Settings' types do not hold
// themselves, so that this goes no deeper than they do.
func (d *decoder) value(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if d.values++; d.values > maxValues {
		if d.values == maxValues+1 {
			d.wrong(n, key, fmt.Sprintf("more than %d values, aliases counted as what they stand for", maxValues), "fewer")
		}
		return
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // a key without a value keeps its default
	}
	switch {
	case v.Kind() == reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		d.value(n, p.Elem(), key)
		v.Set(p)
	case v.Addr().Type().Implements(textType):
		d.one(n, v, key, setText)
	case v.Kind() == reflect.Struct:
		d.object(n, v, key)
	case v.Kind() == reflect.Map:
		d.mapping(n, v, key)
	case v.Kind() == reflect.Slice:
		d.sequence(n, v, key)
	case v.Type() == durationType:
		d.one(n, v, key, setDuration)
	default:
		d.one(n, v, key, setScalar)
	}
}

// found shows what stands at n as it is written.
func found(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	}
	if r := []rune(n.Value); len(r) > mostShown {
		return strconv.Quote(string(r[:mostShown])) + "..."
	}
	if n.Value == "" || strings.TrimSpace(n.Value) != n.Value || strings.ContainsAny(n.Value, "\n\r\t") {
		return strconv.Quote(n.Value)
	}
	return n.Value
}

// one decodes a single value by set, which gives what is allowed where the
// text is wrong. What is shown then is the text before references were put
// in.
func (d *decoder) one(n *yaml.Node, v reflect.Value, key string, set func(v reflect.Value, text string) (allowed string)) {
	if n.Kind != yaml.ScalarNode {
		d.wrong(n, key, found(n), "a single value: "+kindName(v))
		return
	}
	text, ok := d.resolve(n, key, v.Type() == secretType)
	if !ok {
		return
	}
	if allowed := set(v, text); allowed != "" {
		d.wrong(n, key, found(n), allowed)
	}
}

func setDuration(v reflect.Value, text string) string {
	t, err := time.ParseDuration(text)
	if err != nil {
		return "a duration with its unit, as in 200ms, 5s, 8h"
	}
	v.SetInt(int64(t))
	return ""
}

func setText(v reflect.Value, text string) string {
	err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
	if err == nil {
		return ""
	}
	if _, allowed, ok := strings.Cut(err.Error(), "want "); ok {
		if list, ok := strings.CutPrefix(allowed, "one of ["); ok {
			allowed = strings.Join(strings.Fields(strings.TrimSuffix(list, "]")), ", ")
		}
		return allowed
	}
	return kindName(v)
}

func setScalar(v reflect.Value, text string) string {
	ok := false
	switch v.Kind() {
	case reflect.String:
		// A number or a date without quotes is meant as it is written.
		v.SetString(text)
		ok = true
	case reflect.Bool:
		ok = text == "true" || text == "false"
		v.SetBool(text == "true")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(text, base(text), v.Type().Bits())
		ok = err == nil
		v.SetInt(i)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		i, err := strconv.ParseUint(text, base(text), v.Type().Bits())
		ok = err == nil
		v.SetUint(i)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(text, v.Type().Bits())
		ok = err == nil && f-f == 0 // neither NaN nor infinite
		v.SetFloat(f)
	}
	if !ok {
		return kindName(v)
	}
	return ""
}

// base keeps 010 from being eight.
func base(text string) int {
	if strings.HasPrefix(text, "0x") || strings.HasPrefix(text, "0X") {
		return 0
	}
	return 10
}

func kindName(v reflect.Value) string {
	switch v.Type() {
	case durationType:
		return "a duration with its unit, as in 200ms, 5s, 8h"
	case reflect.TypeFor[plant.Bytes]():
		return "a size, as in 64KiB, 20MiB, 1GiB"
	}
	switch v.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number, 0 or more"
	}
	return "a whole number"
}

// joiner is a list of texts that takes a list in place of each.
type joiner interface{ Join([]string) string }

func (d *decoder) sequence(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, key, found(n), "a list, as in [a, b]")
		return
	}
	s := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	group, groups := v.Interface().(joiner)
	for i, c := range n.Content {
		at := fmt.Sprintf("%s[%d]", key, i)
		if groups && c.Kind == yaml.SequenceNode {
			var texts []string
			d.value(c, reflect.ValueOf(&texts).Elem(), at)
			s.Index(i).SetString(group.Join(texts))
			continue
		}
		d.value(c, s.Index(i), at)
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
		if !d.name(k, key) {
			continue
		}
		name := reflect.ValueOf(k.Value).Convert(v.Type().Key())
		if m.MapIndex(name).IsValid() {
			d.wrong(k, join(key, k.Value), "the key a second time", "each key once")
			continue
		}
		e := reflect.New(v.Type().Elem()).Elem()
		d.value(n.Content[i+1], e, join(key, k.Value))
		m.SetMapIndex(name, e)
	}
	v.Set(m)
}

// name tells of keys that can be the key of nothing.
func (d *decoder) name(k *yaml.Node, key string) bool {
	switch {
	case k.Kind != yaml.ScalarNode:
		d.wrong(k, key, found(k)+" as a key", "a name")
	case k.Tag == "!!merge":
		d.wrong(k, join(key, k.Value), "a merge of keys", "an alias of a whole value, as in signals: *common")
	default:
		return true
	}
	return false
}

func (d *decoder) object(n *yaml.Node, v reflect.Value, key string) {
	fields := map[string]reflect.Value{}
	collect(v, fields)
	if n.Kind != yaml.MappingNode {
		d.wrong(n, key, found(n), "keys and values: "+names(fields))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if !d.name(k, key) {
			continue
		}
		f, ok := fields[k.Value]
		switch {
		case !ok:
			d.wrong(k, join(key, k.Value), "an unknown key", names(fields))
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

func names(fields map[string]reflect.Value) string {
	all := make([]string, 0, len(fields))
	for n := range fields {
		all = append(all, n)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
