package configs

import (
	"fmt"
	"os"

	"go.yaml.in/yaml/v4"

	"linetwin/plant"
)

// Kinds of settings file.
const (
	KindGateway = "gateway"
	KindTwin    = "twin"
	KindDemo    = "demo"
	KindProfile = "profile" // of devices
)

// File is a settings file of any kind that was found right by itself.
type File struct {
	Name     string
	Kind     string
	Gateways []*Gateway // one, or those of a demo
	Twin     *Twin      // nil in a gateway's file

	*source
}

// CheckFile reads a settings file of any kind and gives its kind; the error,
// if the file is wrong, is Problems.
func CheckFile(file string) (kind string, err error) {
	f, err := ReadFile(file, Options{})
	return f.Kind, err
}

// ReadFile reads a settings file of any kind. Of a file that is wrong it gives
// name and kind; the error then is Problems.
func ReadFile(file string, o Options) (File, error) {
	f := File{Name: file}
	raw, err := os.ReadFile(file)
	if err != nil {
		return f, fmt.Errorf("read settings: %w", err)
	}
	root, err := document(file, raw)
	if err != nil {
		return f, err
	}
	if f.Kind = kindOf(root); f.Kind == KindProfile {
		return f, checkProfile(file, raw, root)
	}
	f.source = withProfiles(file, root)
	switch f.Kind {
	case KindGateway:
		g := &Gateway{}
		f.Gateways = []*Gateway{g}
		err = f.decode(g, o)
	case KindDemo:
		d := &Demo{}
		if err = f.decode(d, o); err == nil {
			f.Twin = &d.Twin
			for i := range d.Gateways {
				f.Gateways = append(f.Gateways, &d.Gateways[i])
			}
		}
	default:
		f.Twin = &Twin{}
		err = f.decode(f.Twin, o)
	}
	return f, err
}

// ProfileFiles gives the files of the profiles that the file's devices have,
// beside those that are shipped.
func (f *File) ProfileFiles() []string {
	if f.source == nil {
		return nil
	}
	return f.profiles
}

// kindOf tells a file's kind by the keys that only one kind has.
func kindOf(root *yaml.Node) string {
	for i := 0; i+1 < len(root.Content); i += 2 {
		switch root.Content[i].Value {
		case "gateway", "devices", "wire", "buffer":
			return KindGateway
		case "gateways", "simulator":
			return KindDemo
		case "protocol", "tested", "parameters":
			return KindProfile
		}
	}
	return KindTwin
}

// at gives a problem at a key of the file's gateway i, or of its twin (i < 0).
func (f *File) at(i int, key, found, allowed string) Problem {
	switch {
	case f.Kind == KindDemo && i < 0:
		key = "twin." + key
	case f.Kind == KindDemo:
		key = fmt.Sprintf("gateways[%d].%s", i, key)
	}
	return f.placed([]plant.Fault{{Key: key, Found: found, Allowed: allowed}})[0]
}
