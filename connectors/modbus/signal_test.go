package modbus

import (
	"math"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"linetwin/plant"
)

func ptr[T any](v T) *T { return &v }

func TestSignalCheck(t *testing.T) {
	for _, c := range []struct {
		name   string
		signal Signal
		want   string // "key: part of the fault", or "" for none
		kind   plant.Kind
	}{
		{"uint16", Signal{Name: "a", Address: "holding:0", Type: "uint16"}, "", plant.KindInteger},
		{"scaled is a float", Signal{Name: "a", Address: "holding:0", Type: "uint16", Scale: ptr(0.1)}, "", plant.KindFloat},
		{"scale 1 too", Signal{Name: "a", Address: "holding:0", Type: "uint16", Scale: ptr(1.0)}, "", plant.KindFloat},
		{"scale 0", Signal{Name: "a", Address: "holding:0", Type: "uint16", Scale: ptr(0.0)}, "scale: found 0, allowed: a finite number other than 0", plant.KindFloat},
		{"dots in a name", Signal{Name: "a.b", Address: "holding:0", Type: "uint16"}, "", plant.KindInteger},
		{"offset makes a float", Signal{Name: "a", Address: "holding:0", Type: "int64", Offset: ptr(-40.0)}, "", plant.KindFloat},
		{"float32 CDAB", Signal{Name: "a", Address: "40001", Type: "float32", Order: "CDAB"}, "", plant.KindFloat},
		{"coil needs no type", Signal{Name: "a", Address: "coil:1"}, "", plant.KindBoolean},
		{"bit", Signal{Name: "a", Address: "holding:1", Type: "bool", Bit: ptr(15)}, "", plant.KindBoolean},
		{"string", Signal{Name: "a", Address: "holding:1", Type: "string", Length: 9, Order: "BA"}, "", plant.KindText},
		{"counter", Signal{Name: "a", Address: "holding:1", Type: "uint32", Counter: 16}, "", plant.KindInteger},
		{"64-bit order", Signal{Name: "a", Address: "holding:1", Type: "int64", Order: "GHEFCDAB"}, "", plant.KindInteger},
		{"64-bit short order", Signal{Name: "a", Address: "holding:1", Type: "float64", Order: "CDAB"}, "", plant.KindFloat},
		{"last register", Signal{Name: "a", Address: "holding:65534", Type: "uint32"}, "", plant.KindInteger},

		{"no name", Signal{Address: "holding:0", Type: "uint16"}, "name: missing", plant.KindInteger},
		{"bad name", Signal{Name: "a b", Address: "holding:0", Type: "uint16"}, "name: found a b", plant.KindInteger},
		{"address", Signal{Name: "a", Address: "100", Type: "uint16"}, "address: found 100", plant.KindInteger},
		{"no type", Signal{Name: "a", Address: "holding:0"}, "type: missing, allowed: bool, int16", plant.KindNone},
		{"type", Signal{Name: "a", Address: "holding:0", Type: "float"}, "type: found float, allowed: bool, int16", plant.KindNone},
		{"number in a coil", Signal{Name: "a", Address: "coil:0", Type: "uint16"}, "type: found uint16, allowed: bool", plant.KindInteger},
		{"bit of a coil", Signal{Name: "a", Address: "coil:0", Bit: ptr(1)}, "bit: found 1", plant.KindBoolean},
		{"bool without bit", Signal{Name: "a", Address: "holding:0", Type: "bool"}, "bit: missing", plant.KindBoolean},
		{"bit 16", Signal{Name: "a", Address: "holding:0", Type: "bool", Bit: ptr(16)}, "bit: found 16", plant.KindBoolean},
		{"bit of a number", Signal{Name: "a", Address: "holding:0", Type: "uint16", Bit: ptr(0)}, "bit: found 0", plant.KindInteger},
		{"order of 16 bits", Signal{Name: "a", Address: "holding:0", Type: "uint16", Order: "CDAB"}, "order: found CDAB, allowed: AB, BA", plant.KindInteger},
		{"order of 32 bits", Signal{Name: "a", Address: "holding:0", Type: "uint32", Order: "abcd"}, "order: found abcd, allowed: ABCD, CDAB, BADC, DCBA", plant.KindInteger},
		{"long order of 32 bits", Signal{Name: "a", Address: "holding:0", Type: "uint32", Order: "ABCDEFGH"}, "order: found ABCDEFGH", plant.KindInteger},
		{"order of a coil", Signal{Name: "a", Address: "coil:0", Order: "AB"}, "order: found AB", plant.KindBoolean},
		{"string without length", Signal{Name: "a", Address: "holding:0", Type: "string"}, "length: missing", plant.KindText},
		{"string too long", Signal{Name: "a", Address: "holding:0", Type: "string", Length: 251}, "length: found 251", plant.KindText},
		{"length of a number", Signal{Name: "a", Address: "holding:0", Type: "uint16", Length: 2}, "length: found 2", plant.KindInteger},
		{"scaled text", Signal{Name: "a", Address: "holding:0", Type: "string", Length: 2, Scale: ptr(2.0)}, "scale: found 2", plant.KindText},
		{"NaN scale", Signal{Name: "a", Address: "holding:0", Type: "int16", Scale: ptr(math.NaN())}, "scale: found NaN", plant.KindFloat},
		{"scaled counter", Signal{Name: "a", Address: "holding:0", Type: "uint16", Counter: 16, Scale: ptr(10.0)}, "scale: found 10", plant.KindFloat},
		{"counter of 7 bits", Signal{Name: "a", Address: "holding:0", Type: "uint16", Counter: 7}, "counter: found 7", plant.KindInteger},
		{"counter too wide", Signal{Name: "a", Address: "holding:0", Type: "uint16", Counter: 32}, "counter: found 32", plant.KindInteger},
		{"float counter", Signal{Name: "a", Address: "holding:0", Type: "float32", Counter: 16}, "counter: found 16", plant.KindFloat},
		{"beyond the end", Signal{Name: "a", Address: "holding:65535", Type: "uint32"}, "address: found holding:65535", plant.KindInteger},
	} {
		t.Run(c.name, func(t *testing.T) {
			faults := c.signal.Check()
			switch {
			case c.want == "" && len(faults) > 0:
				t.Errorf("faults %v, want none", faults)
			case c.want != "" && (len(faults) != 1 || !strings.HasPrefix(faults[0].String(), c.want)):
				t.Errorf("faults %v, want one that begins %q", faults, c.want)
			}
			if got := c.signal.Kind(); got != c.kind {
				t.Errorf("kind %v, want %v", got, c.kind)
			}
		})
	}
}

func TestSignalCheckTellsAllAtOnce(t *testing.T) {
	s := Signal{Name: "", Address: "x", Type: "uint16", Order: "CDAB", Length: 3, Counter: 5}
	if got := s.Check(); len(got) != 5 {
		t.Errorf("%d faults %v, want 5", len(got), got)
	}
}

func TestConfigCheck(t *testing.T) {
	c := Config{URL: "tcp://10.0.0.1"}
	if faults := c.Check(); len(faults) > 0 {
		t.Fatal(faults)
	}
	if c.Unit != 1 || c.Timeout != 500*time.Millisecond || *c.MaxGap != 8 || c.MaxRegisters != 125 || c.MaxBits != 2000 || c.Endpoint() != "10.0.0.1:502" {
		t.Errorf("defaults %+v, gap %d, endpoint %s", c, *c.MaxGap, c.Endpoint())
	}
	for _, c := range []struct {
		name   string
		config Config
		key    string
	}{
		{"no url", Config{}, "url"},
		{"no scheme", Config{URL: "10.0.0.1:502"}, "url"},
		{"unknown kind of line", Config{URL: "udp://10.0.0.1"}, "url"},
		{"port 0", Config{URL: "tcp://a:0"}, "url"},
		{"port too high", Config{URL: "tcp://a:65536"}, "url"},
		{"path", Config{URL: "tcp://a:1/unit"}, "url"},
		{"user", Config{URL: "tcp://u:p@a:1"}, "url"},
		{"unit", Config{URL: "tcp://a", Unit: 256}, "unit"},
		{"timeout", Config{URL: "tcp://a", Timeout: time.Millisecond}, "timeout"},
		{"gap", Config{URL: "tcp://a", MaxGap: ptr(-1)}, "max_gap"},
		{"registers", Config{URL: "tcp://a", MaxRegisters: 126}, "max_registers"},
		{"bits", Config{URL: "tcp://a", MaxBits: -5}, "max_bits"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if faults := c.config.Check(); len(faults) != 1 || faults[0].Key != c.key {
				t.Errorf("faults %v, want one of %s", faults, c.key)
			}
		})
	}
	narrow := Config{URL: "tcp://a", MaxRegisters: 2}
	narrow.Check()
	faults := narrow.CheckSignals([]Signal{{Name: "a", Address: "holding:0", Type: "uint32"}, {Name: "b", Address: "holding:0", Type: "uint64"}})
	if len(faults) != 1 || faults[0].Key != "[1].type" {
		t.Errorf("faults %v, want that the second signal does not fit", faults)
	}
}

// TestYAML shows that addresses may be written as numbers and keep their
// leading zeros.
func TestYAML(t *testing.T) {
	var got struct {
		Modbus  Config
		Signals []Signal
	}
	text := `
modbus: {url: "tcp://127.0.0.1:5020", unit: 3, timeout: 200ms, max_gap: 0}
signals:
  - {name: a, address: 40001, type: uint16, counter: 16}
  - {name: b, address: 00017}
  - {name: c, address: "holding:3", type: bool, bit: 0}
`
	if err := yaml.Load([]byte(text), &got, yaml.WithKnownFields()); err != nil {
		t.Fatal(err)
	}
	if faults := append(got.Modbus.Check(), got.Modbus.CheckSignals(got.Signals)...); len(faults) > 0 {
		t.Fatal(faults)
	}
	if *got.Modbus.MaxGap != 0 || got.Modbus.Timeout != 200*time.Millisecond || got.Signals[1].Address != "00017" || *got.Signals[2].Bit != 0 {
		t.Errorf("got %+v", got)
	}
}
