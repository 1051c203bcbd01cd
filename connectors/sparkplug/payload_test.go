package sparkplug

import (
	"bytes"
	"encoding/hex"
	"math"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"linetwin/plant"
)

// unhex reads bytes written with blanks and with comments after '#'.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	var clean strings.Builder
	for line := range strings.Lines(s) {
		line, _, _ = strings.Cut(line, "#")
		clean.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(clean.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The bytes were worked out by hand from sparkplug_b.proto.
func TestGoldenBatch(t *testing.T) {
	d := &edgeDevice{control: 100, index: map[string]int{"state": 0, "t": 1, "run": 2, "product": 3},
		signals: []edgeSignal{
			{plant.Signal{Name: "state", Kind: plant.KindInteger}, 1}, {plant.Signal{Name: "t", Kind: plant.KindFloat}, 2},
			{plant.Signal{Name: "run", Kind: plant.KindBoolean}, 3}, {plant.Signal{Name: "product", Kind: plant.KindText}, 300},
		}}
	ms := plant.Millisecond
	batch := &plant.Batch{Sequence: 5, Complete: plant.Span{From: 2 * ms, To: 3 * ms}, Historical: true, Readings: []plant.Reading{
		{Signal: "state", Time: 3 * ms, Value: plant.Integer(-1)},
		{Signal: "t", Time: 300 * ms, Value: plant.Float(1), Quality: plant.Uncertain, Reason: "r"},
		{Signal: "run", Time: 3 * ms, Value: plant.Boolean(true)},
		{Signal: "product", Time: 3 * ms, Value: plant.Text("é")},
		{Signal: "state", Time: 3 * ms, Quality: plant.Bad, Reason: "x"},
		{Signal: "state", Time: 3 * ms, Value: plant.Text("")},
	}}
	want := unhex(t, `
	08 01                                   # payload.timestamp 1
	12 08  10 64  18 01  28 01  58 05       # alias 100, timestamp 1, is_historical, long_value 5
	12 08  10 65  18 01  28 01  58 03       # alias 101: through
	12 08  10 66  18 01  28 01  58 02       # alias 102: from
	12 11  10 01  18 03  28 01  58 ffffffffffffffffff01    # long_value -1
	12 31  10 02  18 ac02  28 01            # timestamp 300
	   4a 1f                                # properties, 31 bytes
	      0a 07 5175616c697479              # key Quality
	      0a 06 526561736f6e                # key Reason
	      12 05  08 03  18 f403             # type Int32, int_value 500
	      12 05  08 0c  42 01 72            # type String, string_value "r"
	   69 000000000000f03f                  # double_value 1
	12 08  10 03  18 03  28 01  70 01       # boolean_value
	12 0b  10 ac02  18 03  28 01  7a 02 c3a9                # string_value
	12 28  10 01  18 03  28 01  38 01       # is_null
	   4a 1e
	      0a 07 5175616c697479
	      0a 06 526561736f6e
	      12 04  08 03  18 00               # bad
	      12 05  08 0c  42 01 78
	12 0a  10 01  18 03  20 0c  28 01  7a 00                # datatype String, for the birth says Int64
	18 ff01                                 # seq 255
	`)
	got := appendSeq(appendBatch(nil, 1, d, batch), 255)
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%x\nwant\n%x", got, want)
	}
}

func TestGoldenBirth(t *testing.T) {
	m := outMetric{name: "a", alias: 9, time: 2, datatype: typeInt64, props: outProperties{unit: "s", description: "d", counter: 16}}
	want := unhex(t, `
	12 40  0a 01 61  10 09  18 02  20 04  38 01
	   4a 33
	      0a 07 636f756e746572              # counter
	      0a 07 656e67556e6974              # engUnit
	      0a 0b 6465736372697074696f6e      # description
	      12 04  08 03  18 10
	      12 05  08 0c  42 01 73
	      12 05  08 0c  42 01 64
	`)
	if got := m.append(nil); !bytes.Equal(got, want) {
		t.Errorf("got\n%x\nwant\n%x", got, want)
	}
}

func TestDecode(t *testing.T) {
	var p payload
	err := p.decode(unhex(t, `
	08 05
	12 15  0a 01 61  10 02  18 03  20 03  28 01  30 01  38 00  42 02 0801  50 07    # metadata is skipped
	12 0a  0a 01 62  65 0000003f  30 00                 # float_value 0.5
	12 06  0a 01 63  82 01 00                           # bytes_value, tag of two bytes
	12 05  8a 01 02 0800                                # dataset_value
	18 07
	22 01 75
	2a 02 0102
	f8 07 01                                            # unknown field 127
	0b 0c                                               # a group
	`))
	if err != nil {
		t.Fatal(err)
	}
	if !p.hasTime || p.time != 5 || !p.hasSeq || p.seq != 7 || string(p.uuid) != "u" || len(p.body) != 2 || len(p.metrics) != 4 {
		t.Fatalf("payload %+v", p)
	}
	want := metric{name: []byte("a"), alias: 2, hasAlias: true, time: 3, hasTime: true, datatype: 3, historical: true, transient: true, field: metricFieldInt, bits: 7}
	if !reflect.DeepEqual(p.metrics[0], want) {
		t.Errorf("metric %+v, want %+v", p.metrics[0], want)
	}
	if f, ok := p.metrics[1].float(); !ok || f != 0.5 {
		t.Errorf("float %v %v", f, ok)
	}
	if p.metrics[2].field != metricFieldBytes || p.metrics[3].field != metricFieldDataset {
		t.Errorf("fields %d %d", p.metrics[2].field, p.metrics[3].field)
	}
}

func TestDecodeErrors(t *testing.T) {
	many := bytes.Repeat([]byte{0x12, 0x00}, maxMetrics+1)
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"json", []byte(`{"a":1}`), "payload at byte 1: "},
		{"cut in a metric", unhex(t, "08 01 12 05 0a 01 61"), "payload at byte 3: field 2: unexpected end"},
		{"bad inside a metric", unhex(t, "08 01 12 04 0a 09 61 61"), "payload at byte 5: field 1: unexpected end"},
		{"varint too long", unhex(t, "08 ffffffffffffffffffff01"), "payload at byte 1: field 1: number of more than 64 bits"},
		{"field zero", unhex(t, "00 01"), "payload at byte 0: tag: invalid field number"},
		{"too many metrics", many, "payload at byte 131072: more than 65536 metrics"},
		{"too long", make([]byte, maxPayload+1), "payload at byte 0: 16777217 bytes long, want at most 16777216"},
	} {
		var p payload
		if err := p.decode(c.b); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestForeignTypes(t *testing.T) {
	long := func(v uint64) metric { return metric{field: metricFieldLong, bits: v} }
	num := func(v uint32) metric { return metric{field: metricFieldInt, bits: uint64(v)} }
	f32 := func(v float32) metric { return metric{field: metricFieldFloat, bits: uint64(math.Float32bits(v))} }
	f64 := func(v float64) metric { return metric{field: metricFieldDouble, bits: math.Float64bits(v)} }
	text := metric{field: metricFieldString, bytes: []byte("x")}
	for _, c := range []struct {
		name     string
		datatype uint32
		m        metric
		want     plant.Value
		why      string
	}{
		{"Int8 of 8 bits", typeInt8, num(0xff), plant.Integer(-1), ""},
		{"Int8 of 32 bits", typeInt8, num(0xffffffff), plant.Integer(-1), ""},
		{"Int8 of 64 bits", typeInt8, long(math.MaxUint64), plant.Integer(-1), ""},
		{"Int8 too great", typeInt8, num(300), plant.Value{}, "300 is out of range for Int8"},
		{"Int16", typeInt16, num(0x8000), plant.Integer(-32768), ""},
		{"Int32", typeInt32, num(0x80000000), plant.Integer(math.MinInt32), ""},
		{"Int64", typeInt64, long(1 << 63), plant.Integer(math.MinInt64), ""},
		{"2^53+1", typeInt64, long(1<<53 + 1), plant.Integer(1<<53 + 1), ""},
		{"UInt8", typeUInt8, num(255), plant.Integer(255), ""},
		{"UInt8 too great", typeUInt8, num(256), plant.Value{}, "256 is out of range for UInt8"},
		{"UInt16", typeUInt16, num(65535), plant.Integer(65535), ""},
		{"UInt32 in a long", typeUInt32, long(math.MaxUint32), plant.Integer(math.MaxUint32), ""},
		{"UInt64", typeUInt64, long(math.MaxInt64), plant.Integer(math.MaxInt64), ""},
		{"UInt64 too great", typeUInt64, long(1 << 63), plant.Value{}, "9223372036854775808 is out of range for a signed 64-bit integer"},
		{"DateTime", typeDateTime, long(5), plant.Integer(5), ""},
		{"Float", typeFloat, f32(0.5), plant.Float(0.5), ""},
		{"Float as double", typeFloat, f64(0.1), plant.Float(0.1), ""},
		{"Double", typeDouble, f64(-0.25), plant.Float(-0.25), ""},
		{"NaN", typeDouble, f64(math.NaN()), plant.Value{}, "not a finite number"},
		{"Inf", typeFloat, f32(float32(math.Inf(1))), plant.Value{}, "not a finite number"},
		{"Boolean", typeBoolean, metric{field: metricFieldBoolean, bits: 1}, plant.Boolean(true), ""},
		{"Text", typeText, text, plant.Text("x"), ""},
		{"UUID", typeUUID, text, plant.Text("x"), ""},
		{"no UTF-8", typeString, metric{field: metricFieldString, bytes: []byte{'a', 0xff}}, plant.Text("a\uFFFD"), ""},
		{"text that looks like a number", typeString, metric{field: metricFieldString, bytes: []byte("12")}, plant.Text("12"), ""},
		{"text where a number should be", typeInt64, text, plant.Value{}, "field 15 holds no Int64"},
		{"number where text should be", typeString, num(1), plant.Value{}, "field 10 holds no String"},
		{"number where a boolean should be", typeBoolean, num(1), plant.Value{}, "field 10 holds no Boolean"},
		{"nothing", typeDouble, metric{}, plant.Value{}, "field 0 holds no Double"},
		{"null", typeDouble, metric{null: true}, plant.Value{}, "no value"},
		{"no type", 0, num(1), plant.Value{}, "field 10 holds no Unknown"},
	} {
		var r plant.Reading
		c.m.reading(c.datatype, &r)
		if r.Value != c.want || r.Reason != c.why || (r.Quality == plant.Bad) != (c.why != "") {
			t.Errorf("%s: %v %v %q, want %v %q", c.name, r.Value, r.Quality, r.Reason, c.want, c.why)
		}
	}
}

func TestQualityCodes(t *testing.T) {
	for code, want := range map[int32]plant.Quality{0: plant.Bad, 24: plant.Bad, 64: plant.Uncertain, 127: plant.Uncertain, 128: plant.Bad, 192: plant.Good, 216: plant.Good, 256: plant.Bad, 500: plant.Uncertain, -1: plant.Bad} {
		p := outProperties{hasQuality: true, quality: code}
		m := metric{field: metricFieldDouble, properties: p.append(nil)}
		var r plant.Reading
		m.reading(typeDouble, &r)
		if r.Quality != want || (r.Reason == "") != (want == plant.Good) || r.Value.IsNone() != (want == plant.Bad) {
			t.Errorf("code %d: %v %q %v, want %v", code, r.Quality, r.Reason, r.Value, want)
		}
	}
}

// FuzzDecode: whatever comes, decoding ends without a panic, what it gives lies
// inside the message, and what can be read makes a well-formed reading.
func FuzzDecode(f *testing.F) {
	m := outMetric{name: "n", alias: 3, time: 4, datatype: 4, field: metricFieldLong, bits: 5, props: outProperties{hasQuality: true, reason: "why", unit: "s", counter: 16}}
	f.Add(appendSeq(m.append(appendHead(nil, 1)), 2))
	f.Add([]byte(`{"a":1}`))
	f.Add([]byte{0x12, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01})
	f.Add([]byte{0x12, 0x05, 0x4a, 0x03, 0x0a, 0x09, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		var p payload
		if err := p.decode(b); err != nil {
			if !strings.HasPrefix(err.Error(), "payload at byte ") {
				t.Fatalf("error without an offset: %v", err)
			}
			return
		}
		sum := 0
		for i := range p.metrics {
			m := &p.metrics[i]
			sum += len(m.name) + len(m.properties)
			m.text(propertyUnit)
			m.counter()
			for datatype := range uint32(22) {
				var r plant.Reading
				m.reading(datatype, &r)
				if (r.Quality == plant.Bad) != r.Value.IsNone() || (r.Quality == plant.Good) != (r.Reason == "") {
					t.Fatalf("reading %+v", r)
				}
				if x, ok := r.Value.Number(); ok && (math.IsNaN(x) || math.IsInf(x, 0)) {
					t.Fatalf("reading %+v", r)
				}
			}
		}
		if sum > len(b) {
			t.Fatalf("%d bytes from %d", sum, len(b))
		}
	})
}

// FuzzEncode: every reading that is written is read back as it was.
func FuzzEncode(f *testing.F) {
	f.Add(int64(-1), 0.5, "断路器", "reason", uint8(1), true)
	f.Add(int64(math.MinInt64), math.NaN(), "\xff", "", uint8(2), false)
	f.Fuzz(func(t *testing.T, i int64, x float64, s, reason string, quality uint8, historical bool) {
		for _, v := range []plant.Value{plant.Integer(i), plant.Float(x), plant.Text(s), plant.Boolean(i > 0), {}} {
			r := plant.Reading{Signal: "a", Time: plant.FromMilli(i & (1<<42 - 1)), Value: v, Quality: plant.Quality(quality % 3), Reason: reason}
			m := outMetric{name: "a", alias: uint64(i&0xffff) + 1, historical: historical, datatype: typeOf(v.Kind())}
			m.set(&r)
			b := m.append(nil)
			whole := m
			whole.name, whole.datatype = "", 0
			if plain, ok := appendPlain(nil, m.alias, &r, historical); ok && r.Quality == plant.Good && !bytes.Equal(plain, whole.append(nil)) {
				t.Fatalf("%x is not %x", plain, whole.append(nil))
			}
			if _, n := protowire.ConsumeBytes(b[1:]); n != len(b)-1 {
				t.Fatalf("length %d, wrote %d", n, len(b)-1)
			}
			var p payload
			if err := p.decode(b); err != nil || len(p.metrics) != 1 {
				t.Fatalf("%x: %v", b, err)
			}
			got := plant.Reading{Signal: "a", Time: plant.FromMilli(int64(p.metrics[0].time))}
			p.metrics[0].reading(typeOf(v.Kind()), &got)
			want := r
			want.Reason = valid(reason)
			bad := v.IsNone() || v.Kind() == plant.KindFloat && (math.IsNaN(x) || math.IsInf(x, 0))
			switch {
			case bad || r.Quality == plant.Bad:
				want.Value, want.Quality, want.Reason = plant.Value{}, plant.Bad, got.Reason
			case r.Quality == plant.Good:
				want.Reason = ""
			case reason == "":
				want.Reason = "the source says uncertain"
			}
			if v.Kind() == plant.KindText && !want.Value.IsNone() {
				want.Value = plant.Text(valid(s))
			}
			if got != want || p.metrics[0].historical != historical {
				t.Fatalf("read %+v, wrote %+v", got, want)
			}
		}
	})
}

func FuzzCommand(f *testing.F) {
	f.Add(appendAcknowledgement(nil, &plant.Acknowledgement{Session: "s", Through: 3, Beyond: []plant.Range{{First: 5, Last: 7}, {First: 9, Last: 9}}}, 1))
	f.Add(appendRebirth(nil, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, _ := decodeCommand(b, "g")
		if c.ack == nil {
			return
		}
		last := c.ack.Through
		for _, r := range c.ack.Beyond {
			if r.First <= last || r.Last < r.First {
				t.Fatalf("ranges %v above %d", c.ack.Beyond, c.ack.Through)
			}
			last = r.Last
		}
	})
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"online":true,"timestamp":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := decodeState(b); err == nil {
			if again, err := decodeState(s.encode()); err != nil || again != s {
				t.Fatalf("%+v is not %+v: %v", again, s, err)
			}
		}
	})
}

func TestState(t *testing.T) {
	if got, want := string(hostState{true, 1760000000000}.encode()), `{"online":true,"timestamp":1760000000000}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, bad := range []string{"", "ONLINE", "{}", `{"online":true}`, `{"online":"yes","timestamp":1}`, `{"timestamp":1}`} {
		if _, err := decodeState([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
