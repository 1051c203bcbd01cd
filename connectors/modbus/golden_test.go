package modbus

import (
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"linetwin/plant"
)

// TestGolden reads testdata/<type>-<order>/cases.txt: registers as the device
// sends them, settings, and the reading. Each type has each of its byte orders.
func TestGolden(t *testing.T) {
	for _, sh := range shapes {
		for _, order := range orders(sh) {
			t.Run(sh.name+"-"+order, func(t *testing.T) {
				file, err := os.ReadFile(filepath.Join("testdata", sh.name+"-"+order, "cases.txt"))
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				for line := range strings.Lines(string(file)) {
					if strings.HasPrefix(line, "#") {
						continue
					}
					fields := strings.SplitN(line, "|", 3)
					if len(fields) != 3 {
						t.Fatalf("line %q", line)
					}
					n++
					golden(t, Signal{Type: sh.name, Order: order}, strings.TrimSpace(fields[0]), strings.TrimSpace(fields[1]), strings.TrimSpace(fields[2]))
				}
				if n < 5 {
					t.Errorf("%d cases", n)
				}
			})
		}
	}
	folders, err := filepath.Glob("testdata/*-*/cases.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		name, order, _ := strings.Cut(filepath.Base(filepath.Dir(f)), "-")
		if !slices.ContainsFunc(shapes[:], func(sh shape) bool { return sh.name == name && slices.Contains(orders(sh), order) }) {
			t.Errorf("%s is of no type and order that there is", f)
		}
	}
}

// golden holds one case: the reading that registers give with settings.
func golden(t *testing.T, s Signal, registers, settings, want string) {
	t.Helper()
	raw, err := hex.DecodeString(strings.ReplaceAll(registers, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, setting := range strings.Fields(settings) {
		if setting == "-" {
			continue
		}
		key, v, _ := strings.Cut(setting, "=")
		f, err := strconv.ParseFloat(v, 64)
		if err != nil {
			t.Fatal(err)
		}
		switch n := int(f); key {
		case "scale":
			s.Scale = &f
		case "offset":
			s.Offset = &f
		case "counter":
			s.Counter = n
		case "bit":
			s.Bit = &n
		case "length":
			s.Length = n
		default:
			t.Fatalf("setting %q", setting)
		}
	}
	p := pointOf(t, s)
	if len(raw) != 2*int(p.count) {
		t.Fatalf("%s is %d bytes, want %d registers", registers, len(raw), p.count)
	}
	got, reason := p.decode(raw, plant.Value{})
	if strings.HasPrefix(want, "bad: ") {
		if "bad: "+reason != want || !got.IsNone() {
			t.Errorf("%s %s gives %v, reason %q; want %s", registers, settings, got, reason, want)
		}
		return
	}
	if reason != "" || got.Kind() != s.Kind() || !reads(got, want) {
		t.Errorf("%s %s gives %v %v, reason %q; want %v %s", registers, settings, got.Kind(), got, reason, s.Kind(), want)
	}
}

// reads tells whether a value is what text says, to the last bit.
func reads(v plant.Value, want string) bool {
	switch v.Kind() {
	case plant.KindFloat:
		f, err := strconv.ParseFloat(want, 64)
		return err == nil && math.Float64bits(f) == math.Float64bits(v.Float())
	case plant.KindText:
		text, err := strconv.Unquote(want)
		return err == nil && text == v.Text()
	}
	return v.String() == want
}
