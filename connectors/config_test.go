package connectors

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"linetwin/connectors/modbus"
	"linetwin/connectors/opcua"
	"linetwin/plant"
)

func load(t *testing.T, text string) []Config {
	t.Helper()
	var cfgs []Config
	if err := yaml.Load([]byte(text), &cfgs, yaml.WithKnownFields()); err != nil {
		t.Fatal(err)
	}
	return cfgs
}

// example is that of the settings' design: what is written there must load.
const example = `
- machine: a-riveting
  every: 200ms
  modbus: {url: "tcp://127.0.0.1:5020", unit: 1, timeout: 500ms}
  signals:
    - {name: state, address: "holding:0", type: uint16}
    - {name: good, address: "holding:2", type: uint16, counter: 16}
    - {name: temperature, address: "holding:10", type: float32, order: CDAB, unit: "°C", deadband: 0.1}
- machine: a-calibration
  opcua: {url: "opc.tcp://127.0.0.1:4840", security: None, mode: subscribe}
  signals:
    - {name: state, node: "nsu=urn:linetwin:simulator;s=A.Calibration.State", type: int32}
    - {name: good, node: "ns=2;s=Good", type: uint32, counter: 32, description: good pieces}
`

func TestOpen(t *testing.T) {
	all, err := Open(load(t, example), Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := all[0], all[1]
	if len(all) != 2 || a.Machine() != "a-riveting" || b.Machine() != "a-calibration" || a.every != 200*time.Millisecond || b.every != time.Second {
		t.Fatalf("got %+v", all)
	}
	want := []plant.Signal{{Name: "state", Kind: plant.KindInteger}, {Name: "good", Kind: plant.KindInteger, Counter: 16}, {Name: "temperature", Kind: plant.KindFloat, Unit: "°C"}}
	if !slices.Equal(a.Signals(), want) {
		t.Errorf("signals %+v, want %+v", a.Signals(), want)
	}
	want = []plant.Signal{{Name: "state", Kind: plant.KindInteger}, {Name: "good", Kind: plant.KindInteger, Counter: 32, Description: "good pieces"}}
	if !slices.Equal(b.Signals(), want) {
		t.Errorf("signals %+v, want %+v", b.Signals(), want)
	}
	if d := a.Deadbands(); len(d) != 1 || d["temperature"] != 0.1 {
		t.Errorf("deadbands %v", d)
	}
	if s := a.Status(); s.Protocol != "modbus" || s.Endpoint != "tcp://127.0.0.1:5020 unit 1" || s.Signals != 3 || s.EveryMs != 200 || s.Link != plant.LinkConnecting {
		t.Errorf("status %+v", s)
	}
	if s := b.Status(); s.Protocol != "opcua" || !strings.HasPrefix(s.Endpoint, "opc.tcp://127.0.0.1:4840") {
		t.Errorf("status %+v", s)
	}
	for _, s := range all { // never connected
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenTellsAllFaults(t *testing.T) {
	cfgs := load(t, example+`
- {machine: a-riveting, modbus: {url: x}, signals: [{name: s, address: "holding:0", type: word}]}
`)
	_, err := Open(cfgs, Options{})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"devices[2].machine: found a-riveting", "devices[2].modbus.url: found x", "devices[2].signals[0].type: found word, allowed: bool, int16"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
}

func TestConfigCheck(t *testing.T) {
	plc := func() *modbus.Config { return &modbus.Config{URL: "tcp://127.0.0.1:502"} }
	server := func() *opcua.Config { return &opcua.Config{URL: "opc.tcp://127.0.0.1:4840", Security: "None"} }
	register := Signal{Name: "s", Address: "holding:0", Type: "uint16"}
	node := Signal{Name: "s", Node: "ns=2;s=x", Type: "int32"}
	with := func(s Signal, change func(*Signal)) []Signal {
		change(&s)
		return []Signal{s}
	}
	one, scale := 1, 2.0
	for _, c := range []struct {
		name string
		cfg  Config
		want []string // beginnings of the faults
	}{
		{"modbus", Config{Machine: "m", Modbus: plc(), Signals: []Signal{register}}, nil},
		{"opcua", Config{Machine: "m", OPCUA: server(), Signals: []Signal{node}}, nil},
		{"nothing", Config{}, []string{"machine: missing", "modbus: missing, allowed: one protocol", "signals: missing"}},
		{"both", Config{Machine: "m", Modbus: plc(), OPCUA: server(), Signals: []Signal{register}}, []string{"opcua: found modbus as well"}},
		{"machine", Config{Machine: "m 1", Modbus: plc(), Signals: []Signal{register}}, []string{"machine: found m 1"}},
		{"too often", Config{Machine: "m", Every: time.Millisecond, Modbus: plc(), Signals: []Signal{register}}, []string{"every: found 1ms, allowed: 10ms to 1h"}},
		{"too rarely", Config{Machine: "m", Every: 2 * time.Hour, Modbus: plc(), Signals: []Signal{register}}, []string{"every: found 2h"}},
		{"protocol's own", Config{Machine: "m", Modbus: &modbus.Config{URL: "udp://x"}, Signals: []Signal{register}}, []string{"modbus.url: found udp://x"}},
		{"opcua's own", Config{Machine: "m", OPCUA: &opcua.Config{URL: "x", Security: "None"}, Signals: []Signal{node}}, []string{"opcua.url: found"}},
		{"same name", Config{Machine: "m", Modbus: plc(), Signals: []Signal{register, register}}, []string{"signals[1].name: found s, allowed: a name of its own; signals[0]"}},
		{"type", Config{Machine: "m", Modbus: plc(), Signals: with(register, func(s *Signal) { s.Type = "word" })}, []string{"signals[0].type: found word, allowed: bool, int16, uint16"}},
		{"too many registers", Config{Machine: "m", Modbus: &modbus.Config{URL: "tcp://a", MaxRegisters: 1}, Signals: with(register, func(s *Signal) { s.Type = "uint32" })}, []string{"signals[0].type: found uint32 of 2 registers"}},
		{"node at modbus", Config{Machine: "m", Modbus: plc(), Signals: with(register, func(s *Signal) { s.Node, s.Index = "i=1", &one })}, []string{"signals[0].node: found i=1, allowed: only with opcua", "signals[0].index: found 1"}},
		{"address at opcua", Config{Machine: "m", OPCUA: server(), Signals: with(node, func(s *Signal) { s.Address, s.Order, s.Bit, s.Length = "holding:0", "AB", &one, 4 })},
			[]string{"signals[0].address", "signals[0].order", "signals[0].length", "signals[0].bit"}},
		{"opcua type", Config{Machine: "m", OPCUA: server(), Signals: with(node, func(s *Signal) { s.Type = "word" })}, []string{"signals[0].type: found"}},
		{"opcua counter", Config{Machine: "m", OPCUA: server(), Signals: with(node, func(s *Signal) { s.Counter = 64 })}, []string{"signals[0].counter: found 64, allowed: 8 to 53 bits"}},
		{"opcua scaled counter", Config{Machine: "m", OPCUA: server(), Signals: with(node, func(s *Signal) { s.Counter, s.Scale = 32, &scale })}, []string{"signals[0].counter: found 32, allowed: no scale"}},
		{"opcua text counter", Config{Machine: "m", OPCUA: server(), Signals: with(node, func(s *Signal) { s.Counter, s.Type = 32, "string" })}, []string{"signals[0].counter: found 32, allowed: only with a whole-number"}},
		{"opcua counter wider than its type", Config{Machine: "m", OPCUA: server(), Signals: with(node, func(s *Signal) { s.Counter, s.Type = 32, "uint16" })}, []string{"signals[0].counter: found 32, allowed: at most the 16 bits of uint16"}},
		{"opcua status counter", Config{Machine: "m", OPCUA: server(), Signals: with(node, func(s *Signal) { s.Counter, s.Type = 16, "statuscode" })}, []string{"signals[0].counter: found 16, allowed: only with a whole-number"}},
		{"a profile's keys without one", Config{Machine: "m", Modbus: plc(), With: map[string]string{"a": "b"}, Only: []string{"c"}, Signals: []Signal{register}}, []string{"with: found parameters, allowed: only with a profile", "only: found"}},
		{"negative deadband", Config{Machine: "m", Modbus: plc(), Signals: with(register, func(s *Signal) { s.Deadband = -1 })}, []string{"signals[0].deadband: found -1"}},
		{"deadband of text", Config{Machine: "m", Modbus: plc(), Signals: with(register, func(s *Signal) { s.Type, s.Length, s.Deadband = "string", 4, 1 })}, []string{"signals[0].deadband: found 1, allowed: only with a number; this is text"}},
		{"deadband of a boolean node", Config{Machine: "m", OPCUA: server(), Signals: with(node, func(s *Signal) { s.Type, s.Deadband = "boolean", 1 })}, []string{"signals[0].deadband: found 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			faults := c.cfg.Check()
			ok := len(faults) == len(c.want)
			for i := range min(len(faults), len(c.want)) {
				ok = ok && strings.HasPrefix(faults[i].String(), c.want[i])
			}
			if !ok {
				t.Errorf("faults %q, want %q", faults, c.want)
			}
		})
	}
}

// TestDocumentedSettings: what docs/connectors.md shows can be used as it is,
// and it names every key.
func TestDocumentedSettings(t *testing.T) {
	page, err := os.ReadFile("../docs/connectors.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```yaml\n")
	text, _, _ = strings.Cut(text, "```")
	var got struct{ Devices []Config }
	if err := yaml.Load([]byte(text), &got, yaml.WithKnownFields()); err != nil {
		t.Fatal(err)
	}
	if all, err := Open(got.Devices, Options{}); err != nil || len(all) != 2 {
		t.Errorf("%d devices, error %v", len(all), err)
	}
	for _, section := range []any{Config{}, Signal{}, modbus.Config{}, opcua.Config{}, opcua.User{}} {
		typ := reflect.TypeOf(section)
		for i := range typ.NumField() {
			key, _, _ := strings.Cut(typ.Field(i).Tag.Get("yaml"), ",")
			if key != "-" && !regexp.MustCompile("[`{, ]"+key+"[`:},]").Match(page) {
				t.Errorf("%v's key %q is not documented", typ, key)
			}
		}
	}
}

// TestCheckLines: a line is run in one way by all the devices on it.
func TestCheckLines(t *testing.T) {
	on := func(urls ...string) (all []Config) {
		for _, u := range urls {
			all = append(all, Config{Machine: "m", Modbus: &modbus.Config{URL: u}})
		}
		return all
	}
	if faults := CheckLines(on("rtu:///dev/ttyS0", "tcp://a", "rtu:///dev/ttyS0?baud=19200&parity=even", "tcp://a:502", "rtu:///dev/ttyS1?baud=9600")); len(faults) > 0 {
		t.Errorf("faults %v though the lines agree", faults)
	}
	for other, want := range map[string]string{
		"rtu:///dev/ttyS0?baud=9600": "[1].modbus.url: found rtu, 9600 baud, 8 data bits, parity even, 1 stop bits, allowed: rtu, 19200 baud, 8 data bits, parity even, 1 stop bits, as devices[0] has it: both are on /dev/ttyS0",
		"ascii:///dev/ttyS0":         "found ascii, 19200 baud, 7 data bits",
	} {
		if faults := CheckLines(on("rtu:///dev/ttyS0", other)); len(faults) != 1 || !strings.Contains(faults[0].String(), want) {
			t.Errorf("%s: faults %v, want %q", other, faults, want)
		}
		cfgs := on("rtu:///dev/ttyS0", other)
		for i := range cfgs {
			cfgs[i].Machine += strconv.Itoa(i)
			cfgs[i].Signals = []Signal{{Name: "n", Address: "holding:0", Type: "uint16"}}
		}
		if _, err := Open(cfgs, Options{}); err == nil || !strings.Contains(err.Error(), "devices[1].modbus.url") {
			t.Errorf("Open: error %v", err)
		}
	}
	if faults := CheckLines(on("rtu+tcp://a", "tcp://a:502")); len(faults) != 1 {
		t.Errorf("faults %v, want that an address has one protocol", faults)
	}
}
