package historytest

import (
	"math"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

func before(_ *testing.T, s *suite) {
	month := int64(40 * 24 * time.Hour / time.Millisecond)
	s.write(batch("m",
		good("old", 0, plant.Text("C16")), good("a", month, plant.Float(1)), good("a", month+10, plant.Float(2)), bad("a", month+20, "timeout"),
		uncertain("b", month, plant.Integer(5), "clock"), bad("c", month, "x"), good("c", month+1, plant.Boolean(true)), bad("d", month-7200_000, "gone")))
	for _, c := range []struct {
		name    string
		signals []string
		at      plant.Time
		want    []plant.Reading
	}{
		{"all", nil, at(month + 1000), []plant.Reading{bad("a", month+20, "timeout"), uncertain("b", month, plant.Integer(5), "clock"), good("c", month+1, plant.Boolean(true)), bad("d", month-7200_000, "gone"), good("old", 0, plant.Text("C16"))}},
		{"chosen", []string{"old", "a", "absent"}, at(month + 1000), []plant.Reading{bad("a", month+20, "timeout"), good("old", 0, plant.Text("C16"))}},
		{"strictly before", []string{"a"}, at(month + 10), []plant.Reading{good("a", month, plant.Float(1))}},
		{"just after", []string{"a"}, at(month+10) + 1, []plant.Reading{good("a", month+10, plant.Float(2))}},
		{"before all", nil, at(0), nil},
		{"none asked", []string{}, at(month), nil},
	} {
		got, err := s.Before(s.Context(), "m", c.signals, c.at)
		if err != nil {
			s.Fatalf("%s: %v", c.name, err)
		}
		s.same(c.name, got, batch("m", c.want...).Readings)
	}
}

// want is what a bucket should be.
type want struct {
	count, bad     int64
	min, max, mean float64
	last           plant.Value
}

func (s *suite) chartIs(what, signal string, sp plant.Span, points int, wants []want) {
	s.Helper()
	got, err := s.Chart(s.Context(), "m", signal, sp, points)
	if err != nil {
		s.Fatalf("%s: %v", what, err)
	}
	if len(got) != len(wants) {
		s.Fatalf("%s: %d buckets, want %d: %+v", what, len(got), len(wants), got)
	}
	for i, w := range wants {
		b := got[i]
		if b.Count != w.count || b.Bad != w.bad || b.Last != w.last {
			s.Errorf("%s: bucket %d has count %d, bad %d, last %v, want %+v", what, i, b.Count, b.Bad, b.Last, w)
		}
		_, number := w.last.Number()
		for _, x := range []struct {
			name string
			got  *float64
			want float64
		}{{"min", b.Min, w.min}, {"max", b.Max, w.max}, {"mean", b.Mean, w.mean}} {
			switch {
			case !number && x.got != nil:
				s.Errorf("%s: bucket %d has %s %v, want none", what, i, x.name, *x.got)
			case number && (x.got == nil || math.Abs(*x.got-x.want) > 1e-9*math.Abs(x.want)):
				s.Errorf("%s: bucket %d has %s %v, want %v", what, i, x.name, x.got, x.want)
			}
		}
	}
	if got[0].From != sp.From || got[len(got)-1].To != sp.To {
		s.Errorf("%s: from %s to %s, want %v", what, got[0].From, got[len(got)-1].To, sp)
	}
}

func chart(_ *testing.T, s *suite) {
	s.write(batch("m",
		good("a", -1, plant.Float(1000)), // before the span
		good("a", 0, plant.Float(3)), good("a", 50, plant.Float(1)), uncertain("a", 99, plant.Float(2), "x"),
		bad("a", 100, "timeout"), bad("a", 150, "timeout"),
		good("a", 300, plant.Float(-4)), bad("a", 399, "timeout"),
		good("a", 400, plant.Float(1000)))) // after it
	f := plant.Float
	s.chartIs("even", "a", span(0, 400), 4, []want{{3, 0, 1, 3, 2, f(2)}, {bad: 2}, {}, {1, 1, -4, -4, -4, f(-4)}})
	s.chartIs("one bucket", "a", span(0, 400), 1, []want{{4, 3, -4, 3, 0.5, f(-4)}})
	s.chartIs("last one shorter", "a", span(0, 350), 3, []want{{3, 1, 1, 3, 2, f(2)}, {bad: 1}, {1, 0, -4, -4, -4, f(-4)}})
	s.chartIs("odd start", "a", span(50, 101), 2, []want{{1, 0, 1, 1, 1, f(1)}, {1, 1, 2, 2, 2, f(2)}})
	s.chartIs("more points than milliseconds", "a", span(299, 302), 100, []want{{}, {1, 0, -4, -4, -4, f(-4)}, {}})
	s.chartIs("only bad", "a", span(100, 200), 2, []want{{bad: 1}, {bad: 1}})
	for _, points := range []int{0, -1, plant.MaxBuckets + 1} {
		if _, err := s.Chart(s.Context(), "m", "a", span(0, 400), points); err == nil {
			s.Errorf("%d points: no error", points)
		}
	}
	if got, err := s.Chart(s.Context(), "m", "a", span(400, 0), 10); err != nil || len(got) != 0 {
		s.Errorf("empty span: %v %v", got, err)
	}
	other := batch("m", good("a", 60, f(11)))
	other.Line = "mcb-b"
	s.write(other)
	s.chartIs("two lines", "a", span(0, 100), 1, []want{{4, 0, 1, 11, 4.25, f(2)}})
}

func chartKinds(_ *testing.T, s *suite) {
	s.write(batch("m",
		good("integer", 0, plant.Integer(1)), good("integer", 10, plant.Integer(4)),
		good("boolean", 0, plant.Boolean(true)), good("boolean", 10, plant.Boolean(false)), good("boolean", 150, plant.Boolean(true)),
		good("text", 0, plant.Text("a")), good("text", 10, plant.Text("b")),
		bad("none", 0, "x")))
	s.chartIs("integer", "integer", span(0, 200), 2, []want{{2, 0, 1, 4, 2.5, plant.Integer(4)}, {}})
	s.chartIs("boolean", "boolean", span(0, 200), 2, []want{{2, 0, 0, 1, 0.5, plant.Boolean(false)}, {1, 0, 1, 1, 1, plant.Boolean(true)}})
	s.chartIs("text", "text", span(0, 200), 2, []want{{count: 2, last: plant.Text("b")}, {}})
	s.chartIs("none", "none", span(0, 200), 2, []want{{bad: 1}, {}})
}

func odd(_ *testing.T, s *suite) {
	names := []string{
		"a b", "温度", "a,b=c", `quote"d`, `back\slash`, `ends\`, `\`, "line\nbreak", "tab\t", "cr\r", "%", "%41", "%5C", "100%", "%%41", "a%2",
		"time", "_time", "_value", "line", "area", "machine", "gateway", "x", "x.quality", "x.quality.value", "x.value", ".quality", ".value", "quality", "value",
		"${x}", "$", "r._field", `" or true or r._field == "`, `"}) |> drop(`, "#hash", "'", "`", "a/b/c", "Größe [°C]", "🏭", strings.Repeat("n", 300),
	}
	texts := append([]string{" ", "\n", "a\nb", "\t", `"`, `\`, `\"`, `a\`, `""`, "null", "NaN", "1i", "1.5", "${x}", "#", ",", "a,b", "时间 ⏱", "\x01", "\f", "\v", "\u2028", "trailing ", " leading"}, names...)
	var batches []*plant.Batch
	want := map[string][]plant.Reading{}
	for i, name := range names {
		b := batch("m" + name)
		b.Area, b.Line = "area "+name, name
		for j, n := range names {
			b.Readings = append(b.Readings, plant.Reading{Machine: b.Machine, Signal: n, Time: at(int64(i)), Value: plant.Integer(int64(j))})
		}
		b.Readings[len(b.Readings)-1] = plant.Reading{Machine: b.Machine, Signal: names[i] + "bad", Time: at(int64(i)), Quality: plant.Bad, Reason: texts[i]}
		b.Complete = span(0, int64(i)+1)
		batches = append(batches, b)
		want[b.Machine] = sorted(b.Readings...)
	}
	tx := batch("texts")
	for i, text := range texts {
		if strings.Contains(text, "\r") {
			continue // Flux gives no carriage returns back
		}
		tx.Readings = append(tx.Readings, plant.Reading{Machine: "texts", Signal: "t", Time: at(int64(i)), Value: plant.Text(text)})
	}
	batches = append(batches, tx)
	want["texts"] = tx.Readings
	s.write(batches...)
	if n := s.Quarantined(); n != 0 {
		set, _ := s.Quarantine(s.Context(), 5)
		s.Errorf("%d readings set aside: %+v", n, set)
	}
	for machine, readings := range want {
		for i := range readings {
			readings[i].Reason = strings.ReplaceAll(readings[i].Reason, "\r", "")
		}
		got := s.record(machine, span(0, 1000))
		for i := range got.Readings {
			got.Readings[i].Reason = strings.ReplaceAll(got.Readings[i].Reason, "\r", "")
		}
		s.same(machine, got.Readings, readings)
		if machine != "texts" && len(got.Complete) != 1 {
			s.Errorf("machine %q: complete %v", machine, got.Complete)
		}
	}
	for _, name := range names {
		got, err := s.Before(s.Context(), "m"+names[0], []string{name}, at(1000))
		if err != nil || len(got) > 1 || len(got) == 1 && got[0].Signal != name {
			s.Errorf("before of %q: %v %v", name, brief(got), err)
		}
	}
}

func long(_ *testing.T, s *suite) {
	b := batch("m",
		good("t", 0, plant.Text(strings.Repeat("长", 20_000))), good("t", 1, plant.Text(strings.Repeat(`"\`, 30_000))),
		bad("b", 2, strings.Repeat("reason ", 5000)))
	for i := range int64(60) { // together more than one request holds
		b.Readings = append(b.Readings, plant.Reading{Machine: "m", Signal: "x" + string(rune('a'+i)), Time: at(10), Value: plant.Text(strings.Repeat("y", 50_000))})
	}
	s.write(b)
	s.same("record", s.record("m", span(0, 20)).Readings, sorted(b.Readings...))
}

func otherKind(_ *testing.T, s *suite) {
	s.write(batch("m", good("f", 0, plant.Float(1)), good("i", 0, plant.Integer(1)), good("b", 0, plant.Boolean(true)), good("t", 0, plant.Text("1"))))
	wrong := []plant.Reading{
		good("f", 10, plant.Integer(2)), good("i", 10, plant.Float(2.5)), good("b", 10, plant.Integer(1)), good("t", 10, plant.Boolean(true)),
		good("f", 20, plant.Text("2")), uncertain("i", 20, plant.Text("x"), "old"), good("b", 20, plant.Text("true")), good("t", 20, plant.Float(3)),
	}
	right := []plant.Reading{
		good("f", 5, plant.Float(2)), good("i", 10+1, plant.Integer(2)), good("b", 30, plant.Boolean(false)), good("t", 30, plant.Text("2")),
		good("n", 10, plant.Float(5)), good("n", 20, plant.Float(6)), bad("i", 21, "timeout"),
	}
	s.write(batch("m", append(append([]plant.Reading{}, wrong...), right...)...), batch("m2", good("n", 10, plant.Float(7))))
	if n := s.Quarantined(); n != int64(len(wrong)) {
		s.Errorf("%d readings set aside, want %d", n, len(wrong))
	}
	first := []plant.Reading{good("f", 0, plant.Float(1)), good("i", 0, plant.Integer(1)), good("b", 0, plant.Boolean(true)), good("t", 0, plant.Text("1"))}
	s.same("record", s.record("m", span(0, 100)).Readings, sorted(batch("m", append(first, right...)...).Readings...))
	s.same("another machine", s.record("m2", span(0, 100)).Readings, batch("m2", good("n", 10, plant.Float(7))).Readings)
	set, err := s.Quarantine(s.Context(), 100)
	if err != nil || len(set) != len(wrong) {
		s.Fatalf("quarantine: %d readings, %v", len(set), err)
	}
	seen := map[plant.Value]bool{}
	for _, r := range set {
		seen[r.Value] = true
		if r.Why == "" || r.Seen == 0 || r.Machine != "m" {
			s.Errorf("quarantine: %+v", r)
		}
	}
	for _, r := range wrong {
		if !seen[r.Value] {
			s.Errorf("not in quarantine: %+v", r)
		}
	}
}

func noReading(_ *testing.T, s *suite) {
	for _, r := range []plant.Reading{
		good("", 0, plant.Float(1)), good("a", 0, plant.Float(math.NaN())), good("a", 0, plant.Float(math.Inf(1))), good("a", 0, plant.Float(math.Inf(-1))),
		good("a", 0, plant.Value{}), {Signal: "a", Value: plant.Float(1)}, {Signal: "a", Time: -plant.Millisecond, Value: plant.Float(1)},
		{Signal: "a", Time: at(0), Value: plant.Float(1), Quality: 9},
	} {
		before := s.Quarantined()
		s.write(batch("m", r, good("b", 0, plant.Float(1))))
		if n := s.Quarantined() - before; n != 1 {
			s.Errorf("%+v: %d set aside, want 1", r, n)
		}
	}
	other := batch("m", good("a", 0, plant.Float(1)))
	other.Readings[0].Machine = "n"
	nameless := batch("", good("a", 0, plant.Float(1)))
	before := s.Quarantined()
	s.write(other, nameless)
	if n := s.Quarantined() - before; n != 2 {
		s.Errorf("of another machine and of none: %d set aside, want 2", n)
	}
	s.same("record", s.record("m", span(0, 100)).Readings, batch("m", good("b", 0, plant.Float(1))).Readings)
	// A bad reading has no value, whatever comes with it.
	b := batch("m", plant.Reading{Signal: "c", Time: at(0), Value: plant.Float(3), Quality: plant.Bad, Reason: "x"})
	s.write(b)
	s.same("bad with a value", s.record("m", span(0, 100), "c").Readings, batch("m", bad("c", 0, "x")).Readings)
}
