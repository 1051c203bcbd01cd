package opcua

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

var update = flag.Bool("update", false, "write golden files anew")

// testdata/variants.txt has what a variant of the left (its bytes as they come
// from a server) is for a signal of each type.
func TestVariantsGolden(t *testing.T) {
	path := filepath.Join("testdata", "variants.txt")
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for line := range strings.Lines(string(golden)) {
		line = strings.TrimRight(line, "\n")
		if line == "" || line[0] == '#' {
			fmt.Fprintln(&out, line)
			continue
		}
		fields := strings.SplitN(line, " | ", 3)
		b, err := hex.DecodeString(strings.ReplaceAll(fields[0], " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s | %s | %s\n", fields[0], fields[1], decodeLine(b, fields[1]))
	}
	if *update {
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := out.String(); got != string(golden) {
		t.Errorf("got\n%s\nwant\n%s", got, golden)
	}
}

func decodeLine(b []byte, as string) string {
	s := Signal{}
	name, index, array := strings.Cut(as, "[")
	s.Type = name
	if array {
		var i int
		fmt.Sscanf(index, "%d]", &i)
		s.Index = &i
	}
	d := newDecoder(s)
	v := new(ua.Variant)
	if _, err := v.Decode(b); err != nil {
		return "library: " + err.Error()
	}
	value, reason := d.value(v)
	if reason != "" {
		return "bad: " + reason
	}
	return fmt.Sprintf("%s %q", value.Kind(), value.String())
}

func FuzzVariant(f *testing.F) {
	golden, err := os.ReadFile(filepath.Join("testdata", "variants.txt"))
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(golden)) {
		if b, err := hex.DecodeString(strings.ReplaceAll(strings.SplitN(line, " | ", 2)[0], " ", "")); err == nil {
			f.Add(b, uint8(0), -1)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, kind uint8, index int) {
		v := new(ua.Variant)
		decoded := func() (ok bool) {
			defer func() { recover() }() // as in decodeMessage
			_, err := v.Decode(b)
			return err == nil
		}()
		if !decoded {
			return
		}
		want := dataTypes[int(kind)%len(dataTypes)]
		d := decoder{want: want, index: max(index, -1), scale: 1}
		value, reason := d.value(v)
		if (reason == "") == value.IsNone() {
			t.Fatalf("value %v with reason %q", value, reason)
		}
		if reason == "" && value.Kind() != d.kind() {
			t.Fatalf("%s gives %v", want.name, value.Kind())
		}
		if !utf8.ValidString(value.Text()) || value.Kind() == plant.KindFloat && !finite(value.Float()) {
			t.Fatalf("value %q", value)
		}
		if reason == "" && v.Type() != want.id {
			t.Fatalf("%s passes as %s", typeName(v.Type()), want.name)
		}
	})
}

func FuzzChunk(f *testing.F) {
	f.Add([]byte("MSGF\x20\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00body"))
	f.Add([]byte("OPNF\x20\x00\x00\x00\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00\x00\x02\x00\x00\x00"))
	f.Add([]byte("CLOF\x08\x00\x00\x00"))
	k, err := symmetric(security{ua.SecurityPolicyURIBasic256Sha256, ua.MessageSecurityModeSignAndEncrypt}, make([]byte, 32), make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 8 {
			return
		}
		for _, sec := range []security{{ua.SecurityPolicyURINone, ua.MessageSecurityModeNone}, {ua.SecurityPolicyURIBasic256Sha256, ua.MessageSecurityModeSignAndEncrypt}} {
			c := &channel{sec: sec, tokens: []token{{id: 1}}}
			if !sec.none() {
				c.tokens[0].keys = k
			}
			request, data, err := c.openChunk(bytes.Clone(b))
			if err == nil && !sec.none() {
				t.Fatalf("a message without signature is taken: %d %x", request, data)
			}
			if err == nil {
				answer{data: data}.decode()
			}
		}
	})
}

func TestElementsOfEveryType(t *testing.T) {
	at := time.Date(2026, 3, 1, 7, 30, 0, 0, time.UTC)
	for name, array := range map[string]any{
		"boolean": []bool{false, true}, "int8": []int8{0, 1}, "uint8": ua.ByteArray{0, 1}, "int16": []int16{0, 1}, "uint16": []uint16{0, 1},
		"int32": []int32{0, 1}, "uint32": []uint32{0, 1}, "int64": []int64{0, 1}, "uint64": []uint64{0, 1}, "float32": []float32{0, 1}, "float64": []float64{0, 1},
		"string": []string{"", "1"}, "localizedtext": []*ua.LocalizedText{nil, ua.NewLocalizedText("1")}, "qualifiedname": []*ua.QualifiedName{nil, {Name: "1"}},
		"datetime": []time.Time{{}, at}, "guid": []*ua.GUID{nil, ua.NewGUID("72962B91-FA75-4AE6-8D28-B404DC7DAF63")},
		"statuscode": []ua.StatusCode{0, 1},
	} {
		s := Signal{Type: name, Index: new(1)}
		d := newDecoder(s)
		if v, reason := d.value(ua.MustVariant(array)); reason != "" || v.Kind() != s.Kind() {
			t.Errorf("%s: %v %q", name, v, reason)
		}
		d.index = 2
		if v, reason := d.value(ua.MustVariant(array)); reason != "the array has no index 2" {
			t.Errorf("%s beyond its end: %v %q", name, v, reason)
		}
	}
	// The library cannot make a variant of several byte strings, only read one.
	if raw, ok := element([][]byte{nil, {0xCA}}, 1); !ok {
		t.Error("no element of byte strings")
	} else if v, reason := text(raw); reason != "" || v != plant.Text("ca") {
		t.Errorf("bytestring: %v %q", v, reason)
	}
	if len(Types()) != 18 {
		t.Errorf("types without a case here: %v", Types())
	}
	for short, long := range map[string]string{"bool": "boolean", "sbyte": "int8", "byte": "uint8", "float": "float32", "double": "float64", "enum": "int32"} {
		if typ, ok := typeOf(short); !ok || typ.name != long {
			t.Errorf("%s is %v", short, typ)
		}
	}
}

func TestStatusNames(t *testing.T) {
	for status, want := range map[ua.StatusCode]string{
		ua.StatusBadNodeIDUnknown: "BadNodeIdUnknown", ua.StatusBadNodeIDUnknown | 0x0480: "BadNodeIdUnknown", ua.StatusOK: "Good",
		ua.StatusBadTCPMessageTooLarge: "BadTcpMessageTooLarge", 0x8FFF0000: "status 0x8FFF0000", ua.StatusUncertainInitialValue: "UncertainInitialValue",
	} {
		if got := statusName(status); got != want {
			t.Errorf("%08X is %q, want %q", uint32(status), got, want)
		}
	}
	for status, want := range map[ua.StatusCode]plant.Quality{0: plant.Good, 0x0480: plant.Good, 0x40920000: plant.Uncertain, 0x80340000: plant.Bad, 0xC0000000: plant.Bad} {
		if got := severity(status); got != want {
			t.Errorf("%08X is %v, want %v", uint32(status), got, want)
		}
	}
}

func TestDecodeMessageOfGarbage(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing": nil, "no type": {1, 0}, "unknown type": {1, 0, 0xFF, 0xFF}, "a request": {1, 0, 0x77, 0x02},
		// A read response with an array of -2 elements: the library panics.
		"negative length": append(append([]byte{1, 0, 0x7A, 0x02}, make([]byte, 24)...), 1, 0, 0, 0, 1, 0x86, 0xFE, 0xFF, 0xFF, 0xFF),
	} {
		t.Run(name, func(t *testing.T) {
			if res, err := decodeMessage(b); err == nil {
				t.Errorf("decoded %T", res)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	d := newDecoder(Signal{Type: "float64"})
	dv := &ua.DataValue{Value: ua.MustVariant(21.5), SourceTimestamp: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		if _, q, _ := d.data(dv); q != plant.Good {
			b.Fatal(q)
		}
	}
}
