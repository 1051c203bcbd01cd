package configs

import (
	"embed"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"linetwin/plant"
)

//go:embed profiles/*.yaml
var shippedProfiles embed.FS

// profileFolder is where the shipped profiles lie, in the program and in its
// source.
const profileFolder = "profiles"

// Profile is what devices of one make have in common: defaults of a device's
// entry, and signals.
type Profile struct {
	Name string // as settings name it
	File string // where it was read

	ProfileHead
	// Text is the file as it stands.
	Text []byte

	body *yaml.Node // the keys that become the device's
}

// ProfileHead is what a profile says of itself.
type ProfileHead struct {
	Title       string `yaml:"title"`
	Protocol    string `yaml:"protocol"` // modbus or opcua
	Description string `yaml:"description"`
	// Tested says against what the profile was tried, and against what not.
	Tested string `yaml:"tested"`
	// Parameters are what $(name) stands for; a device gives them by with.
	Parameters map[string]Parameter `yaml:"parameters"`
}

// Parameter is one thing that differs among devices of a profile.
type Parameter struct {
	Description string `yaml:"description"`
	// Default is the value where the device gives none; without one it must.
	Default string `yaml:"default"`
	// Example shows a value where there is no default.
	Example string `yaml:"example"`
}

// bodyKeys are those of a device that its profile may give. Protocols' sections
// and signals are checked where they have become the device's.
var bodyKeys = []string{"every", "groups", "modbus", "opcua", "signals"}

// Profiles gives the shipped profiles in the order of names.
func Profiles() ([]*Profile, error) {
	entries, err := shippedProfiles.ReadDir(profileFolder)
	if err != nil {
		return nil, err
	}
	var all []*Profile
	for _, e := range entries {
		p, err := FindProfile(strings.TrimSuffix(e.Name(), ".yaml"), "")
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// isPath tells a profile's file from a shipped profile's name.
func isPath(name string) bool {
	return strings.ContainsAny(name, `/\`) || strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

// FindProfile gives a shipped profile by its name, or one by its path, which
// begins at folder if it is relative. The error is Problems if the profile is
// there and wrong.
func FindProfile(name, folder string) (*Profile, error) {
	if !isPath(name) {
		file := path.Join(profileFolder, name+".yaml")
		raw, err := shippedProfiles.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("no profile %q is shipped", name)
		}
		return parseProfile(name, "configs/"+file, raw)
	}
	file := name
	if !filepath.IsAbs(file) {
		file = filepath.Join(folder, file)
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", file, maxFile)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parseProfile(name, file, raw)
}

// shippedNames lists what a device may name.
func shippedNames() string {
	entries, _ := shippedProfiles.ReadDir(profileFolder)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	return strings.Join(names, ", ")
}

func parseProfile(name, file string, raw []byte) (*Profile, error) {
	root, err := document(file, raw)
	if err != nil {
		return nil, err
	}
	return newProfile(name, file, raw, root)
}

// newProfile parts a profile's document into what it says of itself and what
// it gives to devices.
func newProfile(name, file string, raw []byte, root *yaml.Node) (*Profile, error) {
	p := &Profile{Name: name, File: file, Text: raw, body: &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: root.Line, Column: root.Column}}
	head := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: root.Line, Column: root.Column}
	d := &decoder{file: file}
	if alias := firstAlias(root); alias != nil {
		d.wrong(alias, "yaml", "an alias", "a profile that has everything written out")
		return nil, Problems(d.problems)
	}
	fields := map[string]reflect.Value{}
	collect(reflect.ValueOf(&p.ProfileHead).Elem(), fields)
	seen := map[string]bool{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		k, v := root.Content[i], root.Content[i+1]
		_, ofHead := fields[k.Value]
		switch {
		case !d.name(k, ""):
		case ofHead:
			head.Content = append(head.Content, k, v)
		case !slices.Contains(bodyKeys, k.Value):
			d.wrong(k, k.Value, "an unknown key", names(fields)+", "+strings.Join(bodyKeys, ", "))
		case seen[k.Value]:
			d.wrong(k, k.Value, "the key a second time", "each key once")
		default:
			seen[k.Value] = true
			p.body.Content = append(p.body.Content, k, v)
		}
	}
	d.value(head, reflect.ValueOf(&p.ProfileHead).Elem(), "")
	if len(d.problems) == 0 {
		d.problems = placed(file, root, p.check())
	}
	if len(d.problems) > 0 {
		return nil, sorted(d.problems)
	}
	return p, nil
}

// firstAlias keeps what is copied for each device from growing beyond the file.
func firstAlias(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n
	}
	for _, c := range n.Content {
		if a := firstAlias(c); a != nil {
			return a
		}
	}
	return nil
}

func (p *Profile) check() []plant.Fault {
	var faults []plant.Fault
	for _, text := range []struct{ key, value, allowed string }{
		{"title", p.Title, "what the devices are, in a few words"},
		{"description", p.Description, "what the profile gives, and what it does not"},
		{"tested", p.Tested, "what it was tested against, and what not"},
	} {
		if strings.TrimSpace(text.value) == "" {
			faults = append(faults, plant.Fault{Key: text.key, Allowed: text.allowed})
		}
	}
	other := map[string]string{"modbus": "opcua", "opcua": "modbus"}[p.Protocol]
	if other == "" {
		faults = append(faults, plant.Fault{Key: "protocol", Found: p.Protocol, Allowed: "modbus or opcua"})
	} else if lookup(p.body, other) != nil {
		faults = append(faults, plant.Fault{Key: other, Found: "a section for " + other, Allowed: "only " + p.Protocol + ", the profile's protocol"})
	}
	for _, name := range slices.Sorted(maps.Keys(p.Parameters)) {
		key, par := "parameters."+name, p.Parameters[name]
		if plant.CheckID(name) != nil {
			faults = append(faults, plant.Fault{Key: key, Found: name, Allowed: "1 to 64 of a-z A-Z 0-9 _ -"})
		}
		if par.Description == "" {
			faults = append(faults, plant.Fault{Key: key + ".description", Allowed: "what the parameter is"})
		}
		if len(par.Default)+len(par.Example) > longestParameter {
			faults = append(faults, plant.Fault{Key: key, Found: fmt.Sprintf("%d bytes", len(par.Default)+len(par.Example)), Allowed: fmt.Sprintf("at most %d", longestParameter)})
		}
		if par.Default == "" && par.Example == "" {
			faults = append(faults, plant.Fault{Key: key + ".default", Allowed: "a default, or an example where the device has to give it"})
		}
	}
	return faults
}

// Signals counts the signals that devices get from the profile.
func (p *Profile) Signals() int {
	if n := lookup(p.body, "signals"); n != nil {
		return len(n.Content)
	}
	return 0
}

// lookup gives the value of a mapping's key, behind an alias if there is one,
// or nil.
func lookup(n *yaml.Node, key string) *yaml.Node {
	if p := pairOf(n, key); p != nil {
		return target(p.value)
	}
	return nil
}

func pairOf(n *yaml.Node, key string) *pair {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	if i := keyIndex(n, key); i >= 0 {
		return &pair{n.Content[i], n.Content[i+1]}
	}
	return nil
}

// target gives what an alias stands for.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
