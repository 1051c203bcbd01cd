package sparkplug

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"linetwin/plant"
)

// randomReading gives a reading of any kind and quality.
func randomReading(r *rand.Rand, name string) plant.Reading {
	d := plant.Reading{Signal: name, Time: plant.FromMilli(r.Int64N(1 << 42)), Quality: plant.Quality(r.IntN(3))}
	switch r.IntN(4) {
	case 0:
		d.Value = plant.Integer(int64(r.Uint64() >> r.IntN(64)))
	case 1:
		d.Value = plant.Float(float64(r.IntN(1<<20)-1<<19) / 64)
	case 2:
		d.Value = plant.Boolean(r.IntN(2) == 0)
	default:
		letters := []rune("aZ9 \"\\\n断路器é\U0001F600")
		text := make([]rune, r.IntN(20))
		for i := range text {
			text[i] = letters[r.IntN(len(letters))]
		}
		d.Value = plant.Text(string(text))
	}
	if d.Quality != plant.Good {
		d.Reason = "because " + name
	}
	return d
}

// What we write of anything is read by npm as we meant it, and what npm then
// writes is read by us as it was.
func TestGeneratedAgainstNPM(t *testing.T) {
	npmFolder(t)
	peer := runScript(t, "codec.js")
	r := rand.New(rand.NewPCG(4, 30))
	for round := range 300 {
		b := appendHead(nil, r.Uint64N(1<<42))
		var want []string
		var readings []plant.Reading
		for i := range r.IntN(12) {
			d := randomReading(r, fmt.Sprint("signal ", i))
			m := outMetric{name: d.Signal, alias: r.Uint64N(1<<50) + 1, datatype: typeOf(d.Value.Kind()), historical: r.IntN(2) == 0}
			m.props.unit, m.props.counter = "kN", int32(r.IntN(65))
			if d.Quality == plant.Bad {
				m.set(&plant.Reading{Time: d.Time, Quality: d.Quality, Reason: d.Reason})
				want = append(want, d.Signal+"=null "+typeName(m.datatype))
				d.Value = plant.Value{}
			} else {
				m.set(&d)
				text := fmt.Sprint(d.Value)
				if d.Value.Kind() == plant.KindText {
					text = d.Value.Text()
				}
				want = append(want, d.Signal+"="+text+" "+typeName(m.datatype))
			}
			b = m.append(b)
			readings = append(readings, d)
		}
		b = appendSeq(b, uint8(r.IntN(256)))
		peer.say(hex.EncodeToString(b))
		var answer struct {
			Metrics []string
			Again   string
		}
		if err := json.Unmarshal(await(t, "answer", peer.lines), &answer); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(answer.Metrics, want) {
			t.Fatalf("round %d: npm reads\n%q\nwant\n%q", round, answer.Metrics, want)
		}
		again, err := hex.DecodeString(answer.Again)
		if err != nil {
			t.Fatal(err)
		}
		sameAgain(t, b, again, readings)
	}
}

// sameAgain holds what npm wrote of a payload against the payload.
func sameAgain(t *testing.T, ours, theirs []byte, readings []plant.Reading) {
	t.Helper()
	var a, b payload
	if err := a.read(ours); err != nil {
		t.Fatal(err)
	}
	if err := b.read(theirs); err != nil {
		t.Fatal(err)
	}
	if a.time != b.time || a.seq != b.seq || !b.hasSeq || len(a.metrics) != len(b.metrics) || len(b.metrics) != len(readings) {
		t.Fatalf("%x became %x", ours, theirs)
	}
	for i := range b.metrics {
		x, y := &a.metrics[i], &b.metrics[i]
		var got plant.Reading
		y.reading(y.datatype, &got)
		got.Signal, got.Time = string(y.name), plant.FromMilli(int64(y.time))
		if got != readings[i] || x.alias != y.alias || x.historical != y.historical || x.datatype != y.datatype || y.text(propertyUnit) != "kN" || x.counter() != y.counter() {
			t.Fatalf("metric %d: read %+v, want %+v", i, got, readings[i])
		}
	}
	if strings.Contains(string(theirs), compressedUUID) {
		t.Error("compressed")
	}
}
