package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"linetwin/configs"
	"linetwin/connectors/opcua"
	"linetwin/plant"
)

// oddVariables are what servers hold: names of any script, texts that look like
// something else, one name for two things, machines of both specifications.
func oddVariables() []opcua.Variable {
	packer := &opcua.Machine{Name: "Packer 1", Spec: opcua.PackML, Path: []string{"Line", "Packer 1"}}
	press := &opcua.Machine{Name: "压机", Spec: opcua.Machinery, Path: []string{"压机"}}
	v := func(node, typ string, path ...string) opcua.Variable {
		return opcua.Variable{Path: path, Node: node, Type: typ}
	}
	of := func(m *opcua.Machine, role string, v opcua.Variable) opcua.Variable {
		v.Machine, v.Role = m, role
		return v
	}
	temperature := v(`nsu=urn:x;s="DB"."oil ${temp}"`, "float64", "Press.1", "oil \"temp\"")
	temperature.Unit, temperature.Description, temperature.Low, temperature.High = "°C", "line 1\nline 2: ${env:HOME} # no\u202e comment", -10, 90
	mode := v("nsu=urn:x;i=1", "int32", "mode")
	mode.Enum = []string{"0 off", "1 on\nand on"}
	kelvin := v("nsu=urn:x;i=2", "float64", "Press.1", "oil 'temp'")
	kelvin.Unit = "K"
	structure := v("nsu=urn:x;i=3", "", "recipe")
	structure.Why = "a structure, which no signal can be (Recipe)"
	array := v("nsu=urn:x;i=4", "int32", "list")
	array.Why, array.Length = "an array of int32: index takes one element", 4
	id := of(packer, "", v("nsu=urn:x;i=15", "", "Line", "Packer 1", "ExecuteState", "CurrentState", "Id"))
	id.Why = opcua.WhyNodeID
	count := of(packer, opcua.RoleTotal, v("nsu=urn:x;i=9", "", "Line", "Packer 1", "Admin", "ProdProcessedCount"))
	count.Why = "a structure, which no signal can be (PackMLCountDataType)"
	speed := of(press, opcua.RoleSpeed, v("nsu=urn:x;i=12", "float32", "压机", "speed"))
	speed.Unit = "mm/s"
	return []opcua.Variable{
		structure, temperature, mode, kelvin, array, v("nsu=urn:x;i=5", "string", "温度"), v("nsu=urn:x;i=6", "string", "!!!"),
		v("nsu=urn:x;i=7", "boolean", strings.Repeat("very long name ", 9), "end"),
		of(packer, opcua.RoleState, v("nsu=urn:x;i=8", "localizedtext", "Line", "Packer 1", "ExecuteState", "CurrentState")), count,
		of(packer, opcua.RoleSpeed, v("nsu=urn:x;i=10", "float32", "Line", "Packer 1", "Status", "CurMachSpeed")),
		of(packer, opcua.RoleReject, v("nsu=urn:x;i=13", "int32", "Line", "Packer 1", "Admin", "ProdDefectiveCount")),
		of(press, opcua.RoleState, v("nsu=urn:x;i=11", "localizedtext", "压机", "MachineryItemState", "CurrentState")), speed,
		v("nsu=urn:x;i=14", "float64", "mode"), id,
	}
}

func writeSettings(t *testing.T, f *browseFlags, all []opcua.Variable, notes ...string) string {
	t.Helper()
	var b bytes.Buffer
	cfg := opcua.Config{URL: "opc.tcp://127.0.0.1:4840", Security: "None", User: opcua.User{Name: "tech", Password: plant.Secret("sesame")}}
	s := newSettings(&b, f, cfg, "Odd\nserver")
	for _, v := range all {
		if err := s.variable(v); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.end(notes); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestBrowseWritesSettings(t *testing.T) {
	t.Setenv("OPC_PASSWORD", "sesame")
	f := &browseFlags{machine: "new-machine"}
	f.passwordEnv = "OPC_PASSWORD"
	text := writeSettings(t, f, oddVariables(), "partial: interrupted\nafter 3 nodes")
	golden(t, "browse.yaml", text)
	if strings.Contains(text, "sesame") {
		t.Error("the password is written")
	}
	file, err := configs.ReadFile(gatewayFile(t, text), configs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	nodes := map[string]string{}
	for _, d := range file.Gateways[0].Devices {
		for _, s := range d.Signals {
			nodes[s.Node] = s.Description
		}
	}
	for _, v := range oddVariables() {
		if got, ok := nodes[v.Node]; ok != (v.Why == "") || got != v.Description {
			t.Errorf("%s became %v, %q, want %q", v.Node, ok, got, v.Description)
		}
	}
}

// Nothing that can be read is no settings.
func TestBrowseWritesNothing(t *testing.T) {
	text := writeSettings(t, &browseFlags{machine: "m"}, oddVariables()[:1])
	if _, err := configs.ReadFile(gatewayFile(t, text), configs.Options{}); err == nil || !strings.Contains(err.Error(), "at least one device") {
		t.Errorf("got %v of\n%s", err, text)
	}
}

// The mapping is one that the twin takes.
func TestBrowseWritesMapping(t *testing.T) {
	text := writeSettings(t, &browseFlags{machine: "m", twin: true}, oddVariables())
	golden(t, "browse-twin.yaml", text)
	machines, maps, _ := strings.Cut(text, "state_maps:")
	var ids []string
	var indented strings.Builder
	for _, l := range strings.Split(strings.TrimRight(machines, "\n"), "\n") {
		indented.WriteString("        " + l + "\n")
		if id, ok := strings.CutPrefix(l, "  - id: "); ok {
			id, _, _ = strings.Cut(id, " ")
			ids = append(ids, id)
		}
	}
	twin := fmt.Sprintf(`
site: s
zone: Asia/Shanghai
broker: {brokers: ["tcp://127.0.0.1:1"]}
history: {embedded: {folder: data/history}}
ledger: {sqlite: data/ledger.db}
web: {listen: "127.0.0.1:0"}
calendars: {all: {zone: Asia/Shanghai, shifts: [{name: day, start: "08:00", length: 8h}]}}
areas:
  - id: a
    lines:
      - id: l
        calendar: all
        flow: [%s]
        bottleneck: %s
%s
state_maps:%s`, strings.Join(ids, ", "), ids[0], indented.String(), maps)
	file := filepath.Join(t.TempDir(), "twin.yaml")
	if err := os.WriteFile(file, []byte(twin), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := configs.ReadFile(file, configs.Options{}); err != nil {
		t.Errorf("%v in\n%s", err, twin)
	}
	if len(ids) != 2 {
		t.Errorf("machines %v", ids)
	}
}

func TestNames(t *testing.T) {
	for text, want := range map[string]string{"Press 1": "Press_1", "": "", "!!!": "", "温度": "u6e29u5ea6", "a.b": "a.b", "a..b": "a.b", "_x_": "x", "a--b": "a--b", "ä b": "ue4_b"} {
		if got := safe(text, ".-_"); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	n := newNames()
	long := strings.Repeat("x", 100)
	for _, want := range []string{strings.Repeat("x", 64), strings.Repeat("x", 62) + "_2"} {
		if got := n.signal("m", long, opcua.Variable{Type: "int32"}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if a, b := n.device("Press 1"), n.device("Press_1"); a != "Press_1" || b != "Press_1_2" {
		t.Errorf("got %q, %q", a, b)
	}
}

func FuzzNames(f *testing.F) {
	f.Add("Press 1", "°C", "urn:x;s=a\"b")
	f.Add("温度", "${x}", "\x00\xff")
	f.Fuzz(func(t *testing.T, path, unit, description string) {
		v := opcua.Variable{Path: []string{path}, Node: "i=1", Type: "float64", Unit: unit, Description: description}
		text := writeSettings(t, &browseFlags{machine: "m"}, []opcua.Variable{v, v})
		file, err := configs.ReadFile(gatewayFile(t, text), configs.Options{})
		if err != nil {
			t.Fatalf("%v of\n%s", err, text)
		}
		if s := file.Gateways[0].Devices[0].Signals; len(s) != 2 || s[0].Description != strings.ToValidUTF8(description, "\uFFFD") {
			t.Errorf("got %+v", s)
		}
	})
}
