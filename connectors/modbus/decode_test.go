package modbus

import (
	"encoding/binary"
	"math"
	"testing"

	"linetwin/plant"
)

func words(ws ...uint16) []byte {
	var b []byte
	for _, w := range ws {
		b = binary.BigEndian.AppendUint16(b, w)
	}
	return b
}

func pointOf(t testing.TB, s Signal) point {
	t.Helper()
	if s.Name == "" {
		s.Name = "x"
	}
	if s.Address == "" {
		s.Address = "holding:0"
	}
	if faults := s.Check(); len(faults) > 0 {
		t.Fatal(faults)
	}
	p, err := s.compile(0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name   string
		signal Signal
		raw    []byte
		want   plant.Value
		reason string
	}{
		{"uint16", Signal{Type: "uint16"}, words(65535), plant.Integer(65535), ""},
		{"int16", Signal{Type: "int16"}, words(65535), plant.Integer(-1), ""},
		{"uint16 BA", Signal{Type: "uint16", Order: "BA"}, words(0x3412), plant.Integer(0x1234), ""},
		{"int16 BA", Signal{Type: "int16", Order: "BA"}, words(0xFEFF), plant.Integer(-2), ""},
		{"uint32 ABCD", Signal{Type: "uint32", Order: "ABCD"}, words(0x0102, 0x0304), plant.Integer(0x01020304), ""},
		{"uint32 CDAB", Signal{Type: "uint32", Order: "CDAB"}, words(0x0304, 0x0102), plant.Integer(0x01020304), ""},
		{"uint32 BADC", Signal{Type: "uint32", Order: "BADC"}, words(0x0201, 0x0403), plant.Integer(0x01020304), ""},
		{"uint32 DCBA", Signal{Type: "uint32", Order: "DCBA"}, words(0x0403, 0x0201), plant.Integer(0x01020304), ""},
		{"int32", Signal{Type: "int32"}, words(0x8000, 0), plant.Integer(math.MinInt32), ""},
		{"uint32 high", Signal{Type: "uint32"}, words(0xFFFF, 0xFFFF), plant.Integer(math.MaxUint32), ""},
		{"int64 ABCDEFGH", Signal{Type: "int64", Order: "ABCDEFGH"}, words(0x0102, 0x0304, 0x0506, 0x0708), plant.Integer(0x0102030405060708), ""},
		{"int64 GHEFCDAB", Signal{Type: "int64", Order: "GHEFCDAB"}, words(0x0708, 0x0506, 0x0304, 0x0102), plant.Integer(0x0102030405060708), ""},
		{"int64 BADCFEHG", Signal{Type: "int64", Order: "BADCFEHG"}, words(0x0201, 0x0403, 0x0605, 0x0807), plant.Integer(0x0102030405060708), ""},
		{"int64 HGFEDCBA", Signal{Type: "int64", Order: "HGFEDCBA"}, words(0x0807, 0x0605, 0x0403, 0x0201), plant.Integer(0x0102030405060708), ""},
		{"int64 CDAB", Signal{Type: "int64", Order: "CDAB"}, words(0x0708, 0x0506, 0x0304, 0x0102), plant.Integer(0x0102030405060708), ""},
		{"int64 2^53+1", Signal{Type: "int64"}, words(0x0020, 0, 0, 1), plant.Integer(1<<53 + 1), ""},
		{"int64 lowest", Signal{Type: "int64"}, words(0x8000, 0, 0, 0), plant.Integer(math.MinInt64), ""},
		{"uint64 highest that fits", Signal{Type: "uint64"}, words(0x7FFF, 0xFFFF, 0xFFFF, 0xFFFF), plant.Integer(math.MaxInt64), ""},
		{"uint64 too large", Signal{Type: "uint64"}, words(0x8000, 0, 0, 0), plant.Value{}, reasonTooLarge},
		{"uint64 too large but scaled", Signal{Type: "uint64", Scale: ptr(0.5)}, words(0x8000, 0, 0, 0), plant.Float(1 << 62), ""},
		{"float32", Signal{Type: "float32"}, words(0x42F6, 0xE666), plant.Float(float64(float32(123.45))), ""},
		{"float32 CDAB", Signal{Type: "float32", Order: "CDAB"}, words(0xE666, 0x42F6), plant.Float(float64(float32(123.45))), ""},
		{"float32 NaN", Signal{Type: "float32"}, words(0x7FC0, 0), plant.Value{}, reasonNaN},
		{"float32 signalling NaN", Signal{Type: "float32"}, words(0x7F80, 1), plant.Value{}, reasonNaN},
		{"float32 infinite", Signal{Type: "float32"}, words(0xFF80, 0), plant.Value{}, reasonInfinite},
		{"float32 negative zero", Signal{Type: "float32"}, words(0x8000, 0), plant.Float(math.Copysign(0, -1)), ""},
		{"float64", Signal{Type: "float64"}, words(0x4009, 0x21FB, 0x5444, 0x2D18), plant.Float(math.Pi), ""},
		{"float64 scaled beyond all", Signal{Type: "float64", Scale: ptr(10.0)}, words(0x7FEF, 0xFFFF, 0xFFFF, 0xFFFF), plant.Value{}, reasonInfinite},
		{"scale and offset", Signal{Type: "int16", Scale: ptr(0.5), Offset: ptr(-40.0)}, words(100), plant.Float(10), ""},
		{"offset alone", Signal{Type: "uint16", Offset: ptr(1.0)}, words(2), plant.Float(3), ""},
		{"bcd16", Signal{Type: "bcd16"}, words(0x1234), plant.Integer(1234), ""},
		{"bcd32 CDAB", Signal{Type: "bcd32", Order: "CDAB"}, words(0x5678, 0x1234), plant.Integer(12345678), ""},
		{"bcd16 with a letter", Signal{Type: "bcd16"}, words(0x12A4), plant.Value{}, reasonBCD},
		{"bcd16 scaled", Signal{Type: "bcd16", Scale: ptr(0.25)}, words(0x0010), plant.Float(2.5), ""},
		{"bit 0", Signal{Type: "bool", Bit: ptr(0)}, words(1), plant.Boolean(true), ""},
		{"bit 15", Signal{Type: "bool", Bit: ptr(15)}, words(0x7FFF), plant.Boolean(false), ""},
		{"bit 8 of swapped bytes", Signal{Type: "bool", Bit: ptr(8), Order: "BA"}, words(1), plant.Boolean(true), ""},
		{"text", Signal{Type: "string", Length: 6}, []byte("NB1-63"), plant.Text("NB1-63"), ""},
		{"text up to NUL", Signal{Type: "string", Length: 6}, []byte("AB\x00DEF"), plant.Text("AB"), ""},
		{"text without blanks at its end", Signal{Type: "string", Length: 6}, []byte(" AB   "), plant.Text(" AB"), ""},
		{"text of odd length", Signal{Type: "string", Length: 3}, []byte("ABCD"), plant.Text("ABC"), ""},
		{"text BA", Signal{Type: "string", Length: 4, Order: "BA"}, []byte("BADC"), plant.Text("ABCD"), ""},
		{"Chinese text", Signal{Type: "string", Length: 6}, []byte("断路"), plant.Text("断路"), ""},
		{"empty text", Signal{Type: "string", Length: 2}, []byte{0, 0}, plant.Text(""), ""},
		{"text that looks like a number", Signal{Type: "string", Length: 4}, []byte("0012"), plant.Text("0012"), ""},
		{"no text", Signal{Type: "string", Length: 2}, []byte{0xFF, 0xFE}, plant.Value{}, reasonText},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := pointOf(t, c.signal)
			got, reason := p.decode(c.raw, plant.Value{})
			if got != c.want || reason != c.reason {
				t.Errorf("got %v %v, reason %q; want %v %v, %q", got.Kind(), got, reason, c.want.Kind(), c.want, c.reason)
			}
			if kind := c.signal; reason == "" && got.Kind() != kind.Kind() {
				t.Errorf("value is %v, settings promise %v", got.Kind(), kind.Kind())
			}
		})
	}
}

func TestSameTextCostsNothing(t *testing.T) {
	p := pointOf(t, Signal{Type: "string", Length: 8})
	raw := []byte("SERIAL01")
	last, _ := p.decode(raw, plant.Value{})
	if n := testing.AllocsPerRun(100, func() { last, _ = p.decode(raw, last) }); n != 0 {
		t.Errorf("%v allocations for text that did not change", n)
	}
	if changed, _ := p.decode([]byte("SERIAL02"), last); changed != plant.Text("SERIAL02") {
		t.Errorf("changed text reads %v", changed)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(byte(7), byte(0), []byte{0x7F, 0xC0, 0, 0}, 1.0)
	f.Add(byte(11), byte(1), []byte("ABCDEFGH"), math.Inf(1))
	f.Add(byte(10), byte(2), []byte{0x12, 0x34, 0x56, 0x78}, 0.1)
	orders := []string{"", "AB", "BA", "ABCD", "CDAB", "BADC", "DCBA", "HGFEDCBA", "GHEFCDAB"}
	f.Fuzz(func(t *testing.T, which, order byte, raw []byte, scale float64) {
		s := Signal{Name: "x", Address: "holding:0", Type: shapes[int(which)%len(shapes)].name, Order: orders[int(order)%len(orders)], Scale: &scale}
		if math.IsInf(scale, 0) {
			s.Scale = nil
		}
		switch s.Type {
		case "string":
			s.Length = len(raw)
		case "bool":
			s.Bit = ptr(int(order) % 16)
		}
		if len(s.Check()) > 0 {
			return
		}
		p, err := s.compile(0)
		if err != nil || len(raw) < 2*int(p.count) {
			return
		}
		v, reason := p.decode(raw[:2*p.count], plant.Value{})
		if (reason == "") == v.IsNone() {
			t.Fatalf("value %v with reason %q", v, reason)
		}
		if reason == "" && v.Kind() != s.Kind() {
			t.Fatalf("kind %v, settings promise %v", v.Kind(), s.Kind())
		}
		if x, ok := v.Number(); ok && (math.IsNaN(x) || math.IsInf(x, 0)) {
			t.Fatalf("value %v got through", v)
		}
	})
}

// BenchmarkDecode decodes 10,000 registers: 5,000 float32 in the order that
// needs the most work.
func BenchmarkDecode(b *testing.B) {
	p := pointOf(b, Signal{Type: "float32", Order: "CDAB", Scale: ptr(0.1)})
	raw := words(0xE666, 0x42F6)
	b.ReportAllocs()
	for b.Loop() {
		for range 5000 {
			if _, why := p.decode(raw, plant.Value{}); why != "" {
				b.Fatal(why)
			}
		}
	}
}
