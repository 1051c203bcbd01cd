package configs

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"linetwin/connectors"
	"linetwin/connectors/opcua"
)

// TestProfiles: each shipped profile is right by itself, has all that is asked
// of it, and gives no notes.
func TestProfiles(t *testing.T) {
	all, err := Profiles()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]*Profile{}
	var devices []connectors.Config
	for _, p := range all {
		have[p.Name] = p
		c, err := p.Device()
		if err != nil {
			t.Error(err)
			continue
		}
		if kind, err := CheckFile(filepath.Join("profiles", p.Name+".yaml")); err != nil || kind != KindProfile {
			t.Errorf("%s: %s, %v", p.Name, kind, err)
		}
		if p.Signals() > 0 {
			c.Machine = p.Name
			devices = append(devices, c)
		}
	}
	if notes := connectors.Notes(devices); len(notes) > 0 {
		t.Errorf("notes: %v", notes)
	}
	for name, want := range map[string]opcua.Config{"s7-1200": {Batch: 100, MaxItems: 1000, ServerDeadband: "never"},
		"s7-1500": {Batch: 500, MaxItems: 10000}, "kepware": {Batch: 1000}} {
		c, err := have[name].Device()
		if err != nil {
			t.Error(err)
		} else if got := *c.OPCUA; got.Batch != want.Batch || got.MaxItems != want.MaxItems || got.ServerDeadband != want.ServerDeadband {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	// A signal's name has one kind and one unit in a site, which may have
	// devices of every profile beside the shipped gateways'.
	g, err := LoadGateway(filepath.Join(secrets(t), "gateway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	demo, err := LoadDemo()
	if err != nil {
		t.Fatal(err)
	}
	for i := range demo.Gateways[0].Devices {
		demo.Gateways[0].Devices[i].Machine += "-demo"
	}
	devices = append(append(devices, g.Devices...), demo.Gateways[0].Devices...)
	if faults := checkDevices(devices); len(faults) > 0 {
		t.Error(faults)
	}
}

var updateDocs = flag.Bool("update-docs", false, "write the list in docs/profiles.md")

// TestProfilesAreDocumented: docs/profiles.md ends with all that the shipped
// profiles say of themselves.
func TestProfilesAreDocumented(t *testing.T) {
	const page, mark = "../docs/profiles.md", "\n## The shipped profiles\n"
	all, err := Profiles()
	if err != nil {
		t.Fatal(err)
	}
	want := mark
	for _, p := range all {
		want += "\n" + describe(t, p)
	}
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, got, ok := strings.Cut(string(raw), mark)
	if *updateDocs && ok {
		if err := os.WriteFile(page, []byte(before+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !ok || mark+got != want {
		t.Errorf("%s does not tell what the profiles are; write it with: go test ./configs -run ProfilesAreDocumented -update-docs", page)
	}
}

var blanks = regexp.MustCompile(`\s+`)

func describe(t *testing.T, p *Profile) string {
	t.Helper()
	line := func(s string) string { return strings.TrimSpace(blanks.ReplaceAllString(s, " ")) }
	c, err := p.Device()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n%s, %s.\n\n%s\n\n**Tested:** %s\n", p.Name, p.Title, map[string]string{"modbus": "Modbus", "opcua": "OPC UA"}[p.Protocol], line(p.Description), line(p.Tested))
	if len(p.Parameters) > 0 {
		b.WriteString("\n| parameter | is | default |\n|---|---|---|\n")
		for _, name := range strings.Split(parameterNames(p), ", ") {
			par := p.Parameters[name]
			def := "none; as in `" + par.Example + "`"
			if par.Default != "" {
				def = "`" + par.Default + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, par.Description, def)
		}
	}
	if p.Signals() > 0 {
		b.WriteString("\n| signal | type | unit | is |\n|---|---|---|---|\n")
		for _, s := range c.Signals {
			typ := s.Type
			if s.Counter != 0 {
				typ += fmt.Sprintf(", counter of %d bits", s.Counter)
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.Name, typ, s.Unit, s.Description)
		}
	}
	return b.String()
}

// TestProfileMerge holds what becomes of a device with a profile.
func TestProfileMerge(t *testing.T) {
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "profiles"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "profiles", "mine.yaml"), `title: Mine
protocol: modbus
description: d
tested: no
every: 5s
parameters:
  base: {description: first register, default: "10"}
  name: {description: what it is, example: x}
modbus: {timeout: 2s, max_gap: 0, unit: 7}
signals:
  - {name: a, address: "holding:$(base)", type: float32, unit: "A", description: "$(name), $(base+1)"}
  - {name: b, address: "holding:$(base+2)", type: uint16, order: BA}
  - {name: c, address: "holding:$(base-1)", type: uint16}
`)
	file := filepath.Join(folder, "gateway.yaml")
	write(t, file, strings.SplitAfter(oneGateway, "devices:\n")[0]+`  - machine: one
    profile: ./profiles/mine.yaml
    with: {name: Saw}
    modbus: {url: "tcp://127.0.0.1:5020", max_gap: 3}
    signals:
      - {name: own, address: "holding:99", type: uint16}
      - {name: b, counter: 16, order: }
      - {name: a, unit: }
  - machine: two
    every: 1s
    profile: profiles/mine.yaml
    with: {name: Press, base: 20}
    only: [c]
    modbus: {url: "tcp://127.0.0.1:5020"}
    signals:
  - machine: three
    profile: profiles/mine.yaml
    with: {name: Press}
    only: []
    modbus: {url: "tcp://127.0.0.1:5020", unit: 2}
    signals: [{name: b, description: mine}]
`)
	f, err := ReadFile(file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	g := f.Gateways[0]
	one := g.Devices[0]
	if one.Every.String() != "5s" || one.Modbus.Unit != 7 || one.Modbus.Timeout.String() != "2s" || *one.Modbus.MaxGap != 3 {
		t.Errorf("one: %v %+v", one.Every, one.Modbus)
	}
	want := []connectors.Signal{
		{Name: "own", Address: "holding:99", Type: "uint16"},
		{Name: "b", Address: "holding:12", Type: "uint16", Counter: 16},
		{Name: "a", Address: "holding:10", Type: "float32", Description: "Saw, 11"},
		{Name: "c", Address: "holding:9", Type: "uint16"},
	}
	if !reflect.DeepEqual(one.Signals, want) {
		t.Errorf("one: got %+v", one.Signals)
	}
	if two := g.Devices[1]; two.Every.String() != "1s" || !reflect.DeepEqual(two.Signals, []connectors.Signal{{Name: "c", Address: "holding:19", Type: "uint16"}}) {
		t.Errorf("two: got %+v", two)
	}
	if three := g.Devices[2].Signals; !reflect.DeepEqual(three, []connectors.Signal{{Name: "b", Address: "holding:12", Type: "uint16", Order: "BA", Description: "mine"}}) {
		t.Errorf("three: got %+v", three)
	}
	if mine := filepath.Join(folder, "profiles", "mine.yaml"); !reflect.DeepEqual(f.ProfileFiles(), []string{mine}) {
		t.Errorf("files read beside it: %q", f.ProfileFiles())
	}
}

// TestOwnProfiles: what is wrong is told with the file of whoever is wrong.
func TestOwnProfiles(t *testing.T) {
	golden(t, "testdata/profiles/*.yaml", func(file string) string {
		_, err := CheckFile(file)
		var problems Problems
		if !errors.As(err, &problems) {
			return "found right"
		}
		return problems.Error() + "\n"
	})
}
