package influx

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	protocol "github.com/influxdata/line-protocol"

	"linetwin/plant"
)

func TestEncode(t *testing.T) {
	at := plant.FromMilli(1_700_000_000_123)
	place := plant.Batch{Area: "assembly", Line: "mcb-a", Gateway: "edge-1", Machine: "m1"}
	one := func(r plant.Reading) plant.Batch {
		b := place
		r.Time = at
		b.Readings = []plant.Reading{r}
		return b
	}
	claim := place
	claim.Complete = plant.Span{From: at - 200*plant.Millisecond, To: at}
	nowhere := one(plant.Reading{Signal: "a", Value: plant.Integer(-3)})
	nowhere.Area, nowhere.Line = "", ""
	round := place
	round.Readings = []plant.Reading{
		{Signal: "a", Time: at, Value: plant.Float(1.5)},
		{Signal: "b", Time: at, Value: plant.Boolean(true), Quality: plant.Uncertain, Reason: "clock"},
		{Signal: "c", Time: at, Quality: plant.Bad, Reason: "timeout"},
		{Signal: "a", Time: at + plant.Millisecond, Value: plant.Float(1e300)},
	}
	for _, c := range []struct {
		name  string
		batch plant.Batch
		want  string
	}{
		{"float", one(plant.Reading{Signal: "a", Value: plant.Float(20)}), "reading,area=assembly,line=mcb-a,machine=m1 a=20 1700000000123\n"},
		{"text", one(plant.Reading{Signal: "a", Value: plant.Text("say \"a\\b\"\n, c=d")}), "reading,area=assembly,line=mcb-a,machine=m1 a=\"say \\\"a\\\\b\\\"\n, c=d\" 1700000000123\n"},
		{"no area and line", nowhere, "reading,machine=m1 a=-3i 1700000000123\n"},
		{"a round is one point", round, "reading,area=assembly,line=mcb-a,machine=m1 a=1.5,b=true,b.quality=\"uncertain: clock\",c.quality=\"bad: timeout\" 1700000000123\n" +
			"reading,area=assembly,line=mcb-a,machine=m1 a=1e+300 1700000000124\n"},
		{"claim", claim, "complete,area=assembly,line=mcb-a,machine=m1,gateway=edge-1 from=1699999999923i 1700000000123\n"},
		{"names", one(plant.Reading{Signal: "a b,c=d\\e%41", Value: plant.Integer(1)}), `reading,area=assembly,line=mcb-a,machine=m1 a\ b\,c\=d%5Ce%2541=1i 1700000000123` + "\n"},
		{"a tag's name", one(plant.Reading{Signal: "line", Value: plant.Integer(1)}), "reading,area=assembly,line=mcb-a,machine=m1 line.value=1i 1700000000123\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &History{}
			q := &request{}
			h.gather(q, &c.batch)
			got, n, _ := encode(nil, q.items, bytesPerRequest)
			if string(got) != c.want || n != len(q.items) {
				t.Errorf("%d items\n%s\nwant %d\n%s", n, got, len(q.items), c.want)
			}
		})
	}
}

func TestEncodeEndsRequests(t *testing.T) {
	b := &plant.Batch{Machine: "m"}
	for i := range 12_000 {
		b.Readings = append(b.Readings, plant.Reading{Signal: "a", Time: plant.FromMilli(int64(i) + 1), Value: plant.Integer(1)})
	}
	h, q := &History{}, &request{}
	h.gather(q, b)
	var sizes []int
	for rest := q.items; len(rest) > 0; {
		_, n, points := encode(nil, rest, bytesPerRequest)
		if n != points {
			t.Fatalf("%d items are %d points", n, points)
		}
		sizes, rest = append(sizes, n), rest[n:]
	}
	if len(sizes) != 3 || sizes[0] != pointsPerRequest || sizes[2] != 2000 {
		t.Errorf("requests of %v points", sizes)
	}
	for limit := 1; limit < 5000; limit += 97 {
		total := 0
		for rest := q.items[:200]; len(rest) > 0; {
			body, n, points := encode(nil, rest, limit)
			if n == 0 || points > 1 && len(body) > limit {
				t.Fatalf("limit %d: %d items in %d points and %d bytes", limit, n, points, len(body))
			}
			total, rest = total+n, rest[n:]
		}
		if total != 200 {
			t.Fatalf("limit %d: %d items", limit, total)
		}
	}
}

// TestQuote holds strings against what they must not become.
func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"":                           `""`,
		"mcb-a":                      `"mcb-a"`,
		"温度":                         `"温度"`,
		`a"b`:                        `"a\x22b"`,
		`\`:                          `"\x5c"`,
		"${secrets.get(key: \"x\")}": `"\x24{secrets.get(key: \x22x\x22)}"`,
		"a\nb\x00\xff":               `"a\x0ab\x00\xff"`,
	} {
		if got := quote(in); got != want {
			t.Errorf("quote(%q) = %s, want %s", in, got, want)
		}
	}
}

// FuzzNames: every name comes back, and no two become one.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"a", "a b", "%41", "%", "%4%5C", `\`, "time", "x.quality", "x.value", "line.value", "_x", "a\x00\x1f\x7f", "%%41", "%a\n"} {
		f.Add(s, s+".value")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if a != b && fieldKey(a) == fieldKey(b) {
			t.Errorf("%q and %q are both kept as %q", a, b, fieldKey(a))
		}
		for _, suffix := range []string{"", qualitySuffix} {
			if s, quality := signalOf(fieldKey(a) + suffix); s != a || quality != (suffix != "") {
				t.Errorf("%q is kept as %q, which is read as %q, quality %t", a, fieldKey(a)+suffix, s, quality)
			}
		}
		if q := quote(a); strings.ContainsAny(q[1:len(q)-1], "\"$\n\r") {
			t.Errorf("quote(%q) = %s", a, q)
		}
	})
}

// FuzzEncode: what the encoder writes, a parser by other people reads.
func FuzzEncode(f *testing.F) {
	f.Add("assembly", "mcb-a", "m1", "temperature", "reason", "text", 1.5, int64(5), int64(1_700_000_000_000))
	f.Add("a b", "l,=", `m\`, "time", `"\`, "a\nb,c=d e\\", math.Copysign(0, -1), int64(-1<<63), int64(1))
	f.Add("", "", "%41", "x.quality", "", "", 5e-324, int64(0), int64(86_400_000))
	f.Fuzz(func(t *testing.T, area, line, machine, signal, reason, text string, number float64, count, ms int64) {
		if !utf8.ValidString(area + line + machine) {
			t.Skip()
		}
		// This parser refuses a carriage return or form feed in a string; a real
		// server takes them, as the contract suite shows.
		plain := strings.NewReplacer("\r", "", "\f", "")
		reason, text = plain.Replace(reason), plain.Replace(text)
		at := plant.FromMilli(ms)
		b := &plant.Batch{Area: area, Line: line, Machine: machine, Gateway: "g", Readings: []plant.Reading{
			{Signal: signal + "f", Time: at, Value: plant.Float(number)},
			{Signal: signal + "i", Time: at, Value: plant.Integer(count), Quality: plant.Uncertain, Reason: reason},
			{Signal: signal + "t", Time: at, Value: plant.Text(text)},
			{Signal: signal + "b", Time: at, Quality: plant.Bad, Reason: reason},
		}}
		h, q := &History{}, &request{}
		h.aside.log = quiet()
		h.gather(q, b)
		if len(q.items) < 4 {
			return // refused: the contract suite looks at that
		}
		body, _, points := encode(nil, q.items, bytesPerRequest)
		if points != 1 {
			t.Fatalf("%d points:\n%s", points, body)
		}
		handler := protocol.NewMetricHandler()
		handler.SetTimePrecision(time.Millisecond)
		metrics, err := protocol.NewParser(handler).Parse(body)
		if err != nil || len(metrics) != 1 {
			t.Fatalf("%d points, %v, of %q", len(metrics), err, body)
		}
		m := metrics[0]
		tags, fields := map[string]string{}, map[string]any{}
		for _, tag := range m.TagList() {
			tags[tag.Key] = nameOf(tag.Value)
		}
		for _, field := range m.FieldList() {
			fields[field.Key] = field.Value
		}
		if m.Name() != "reading" || m.Time().UnixMilli() != ms || tags["machine"] != machine || tags["area"] != area || tags["line"] != line {
			t.Errorf("%s %v at %s, of %q", m.Name(), tags, m.Time(), body)
		}
		for key, want := range map[string]any{
			fieldKey(signal + "f"): number, fieldKey(signal + "i"): count, fieldKey(signal + "t"): text,
			fieldKey(signal+"i") + qualitySuffix: "uncertain: " + reason, fieldKey(signal+"b") + qualitySuffix: "bad: " + reason,
		} {
			if fields[key] != want {
				t.Errorf("field %q is %v, want %v, of %q", key, fields[key], want, body)
			}
		}
	})
}
