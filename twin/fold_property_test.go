package twin

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"linetwin/plant"
)

// foldCheck checks a property a few hundred times.
func foldCheck(t *testing.T, property func(*rapid.T)) {
	for _, part := range []string{"a", "b", "c"} {
		t.Run(part, func(t *testing.T) { rapid.Check(t, property) })
	}
}

// anyModel draws a machine: which roles it has, whether its state is told,
// how wide its counters are.
func anyModel(t *rapid.T) *MachineModel {
	m := foldModel(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ideal")) * time.Millisecond)
	for _, r := range []plant.Role{plant.RoleState, plant.RoleGood, plant.RoleReject, plant.RoleProduct} {
		if rapid.IntRange(0, 3).Draw(t, "without "+string(r)) == 0 {
			delete(m.Signals, r)
		}
	}
	if rapid.Bool().Draw(t, "total") {
		m.Signals[plant.RoleTotal] = "total"
	}
	m.Widths = map[plant.Role]int{plant.RoleGood: rapid.SampledFrom([]int{0, 16, 24, 32}).Draw(t, "width")}
	m.PiecesPerCount = rapid.Int64Range(0, 3).Draw(t, "per count")
	m.StartupPieces = rapid.Int64Range(0, 9).Draw(t, "startup pieces")
	m.StartupTime = time.Duration(rapid.IntRange(0, 60).Draw(t, "startup time")) * time.Second
	m.LongStop = time.Duration(rapid.IntRange(0, 60).Draw(t, "long stop")) * time.Second
	return m
}

// anyEvents draws what a machine may send, sorted.
func anyEvents(t *rapid.T) []Event {
	s := &foldScript{machine: "m"}
	at := foldAt(0)
	counts := map[string]int64{"good": rapid.Int64Range(0, 65535).Draw(t, "good"), "reject": 0, "total": 7}
	for range rapid.IntRange(0, 60).Draw(t, "events") {
		at = at.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 700, 1700, 9000, 70000}).Draw(t, "ms")) * time.Millisecond)
		signal := rapid.SampledFrom([]string{"good", "reject", "total"}).Draw(t, "signal")
		switch rapid.IntRange(0, 12).Draw(t, "kind") {
		case 0, 1, 2:
			s.state(at, rapid.SampledFrom([]string{"run", "stop", "held", "starved", "change", "clean", "9"}).Draw(t, "state"))
		case 3, 4, 5:
			counts[signal] += rapid.Int64Range(0, 4).Draw(t, "step")
			s.count(at, signal, counts[signal])
		case 6:
			counts[signal] = rapid.Int64Range(0, 20).Draw(t, "reset")
			s.count(at, signal, counts[signal])
		case 7:
			s.bad(at, rapid.SampledFrom([]string{"state", "good", "reject", "total"}).Draw(t, "bad"), "timeout")
		case 8:
			s.gap(at, at.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "gap"))*time.Second))
		case 9:
			s.read(at, "fault", plant.Integer(rapid.Int64Range(0, 2).Draw(t, "fault")))
		case 10:
			s.read(at, "product", plant.Text(rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "product")))
		case 11:
			s.read(at, "order", plant.Text(rapid.SampledFrom([]string{"", "0", "o1", "o2"}).Draw(t, "told")))
		case 12:
			s.events = append(s.events, Event{Time: at, Kind: EventOrder, Order: rapid.SampledFrom([]string{"", "o1"}).Draw(t, "order")})
		}
	}
	return SortEvents(s.events)
}

// merged gives pieces with one entry for each key.
func merged(pieces []plant.Pieces) []plant.Pieces {
	var all []plant.Pieces
	for _, p := range pieces {
		i := slices.IndexFunc(all, func(q plant.Pieces) bool {
			return q.Minute == p.Minute && q.Product == p.Product && q.Order == p.Order
		})
		if i < 0 {
			all = append(all, p)
			continue
		}
		q := &all[i]
		q.Good, q.Reject, q.Startup, q.Resets, q.Flags = q.Good+p.Good, q.Reject+p.Reject, q.Startup+p.Startup, q.Resets+p.Resets, q.Flags|p.Flags
	}
	return all
}

func encoded(t *rapid.T, cp *Checkpoint) string {
	b, err := cp.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestFoldPieces: folding in one go is folding in any pieces, with the
// checkpoint written and read in between.
func TestFoldInPieces(t *testing.T) {
	foldCheck(t, func(t *rapid.T) {
		m, events := anyModel(t), anyEvents(t)
		end := foldAt(2 * time.Hour)
		var whole Output
		var cp Checkpoint
		m.Fold(&cp, events, end, &whole)

		var parts Output
		var at Checkpoint
		for rest := events; ; {
			n := rapid.IntRange(0, len(rest)).Draw(t, "cut")
			from, to := at.Through, end
			if n > 0 {
				from = rest[n-1].Time
			}
			if n < len(rest) {
				to = rest[n].Time
			}
			through := to
			if from > 0 && to > from {
				through = from.Add(time.Duration(rapid.Int64Range(0, to.Sub(from).Milliseconds()).Draw(t, "through")) * time.Millisecond)
			}
			m.Fold(&at, rest[:n], through, &parts)
			rest = rest[n:]
			back, err := DecodeCheckpoint([]byte(encoded(t, &at)))
			if err != nil {
				t.Fatal(err)
			}
			if encoded(t, &back) != encoded(t, &at) {
				t.Fatalf("checkpoint\n%s\nreads as\n%s", encoded(t, &at), encoded(t, &back))
			}
			at = back
			if len(rest) == 0 {
				m.Fold(&at, nil, end, &parts)
				break
			}
		}
		if a, b := encoded(t, &cp), encoded(t, &at); a != b {
			t.Fatalf("checkpoints differ\n%s\n%s", a, b)
		}
		if !reflect.DeepEqual(whole.Segments, parts.Segments) {
			t.Fatalf("segments differ\n%v\n%v", segmentTexts(whole.Segments), segmentTexts(parts.Segments))
		}
		if a, b := merged(whole.Pieces), merged(parts.Pieces); !reflect.DeepEqual(a, b) {
			t.Fatalf("pieces differ\n%+v\n%+v", a, b)
		}
		if !slices.Equal(whole.Orders, parts.Orders) {
			t.Fatalf("orders differ\n%v\n%v", whole.Orders, parts.Orders)
		}
	})
}

// TestFoldCheckpointAtMinute: a checkpoint at a full minute has given out all
// pieces of earlier minutes and none of later ones.
func TestFoldCheckpointAtMinute(t *testing.T) {
	foldCheck(t, func(t *rapid.T) {
		m, events := anyModel(t), anyEvents(t)
		minute := foldAt(time.Duration(rapid.IntRange(1, 30).Draw(t, "minute")) * time.Minute)
		n := slices.IndexFunc(events, func(e Event) bool { return e.Time >= minute })
		if n < 0 {
			n = len(events)
		}
		var cp Checkpoint
		var before, after Output
		m.Fold(&cp, events[:n], minute, &before)
		from, begun := cp.ReplaceFrom(), cp.Running.From != 0
		m.Fold(&cp, events[n:], foldAt(2*time.Hour), &after)
		for _, p := range before.Pieces {
			if p.Minute >= minute {
				t.Fatalf("pieces of %v before %v", p.Minute, minute)
			}
		}
		for _, p := range after.Pieces {
			if p.Minute < minute {
				t.Fatalf("pieces of %v after %v", p.Minute, minute)
			}
		}
		if len(after.Segments) > 0 && after.Segments[0].From < from || begun && len(after.Segments) > 0 && after.Segments[0].From != from {
			t.Fatalf("first segment starts at %v, replaced from %v", after.Segments[0].From, from)
		}
	})
}

// TestFoldOrder: shuffling and repeating what came in changes nothing.
func TestFoldOrder(t *testing.T) {
	foldCheck(t, func(t *rapid.T) {
		m, events := anyModel(t), anyEvents(t)
		end := foldAt(2 * time.Hour)
		again := slices.Clone(events)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		for range len(events) {
			again = append(again, events[r.IntN(len(events))])
		}
		r.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		var a, b Output
		var x, y Checkpoint
		m.Fold(&x, events, end, &a)
		m.Fold(&y, SortEvents(again), end, &b)
		if encoded(t, &x) != encoded(t, &y) || !reflect.DeepEqual(a, b) {
			t.Fatalf("differs\n%s\n%s", encoded(t, &x), encoded(t, &y))
		}
	})
}

// TestFoldSegmentsFit: segments leave no hole, do not overlap, are never empty
// and change class; counters without resets lose no piece.
func TestFoldSegmentsFit(t *testing.T) {
	foldCheck(t, func(t *rapid.T) {
		m, events := anyModel(t), anyEvents(t)
		m.PiecesPerCount, m.Widths = 1, nil
		if len(m.Signals) > 0 {
			delete(m.Signals, plant.RoleTotal)
		}
		s := &foldScript{machine: "m", events: events}
		segments, pieces, cp := s.fold(m, foldAt(2*time.Hour))
		for i, x := range segments {
			if x.Empty() || x.Machine != "m" {
				t.Fatalf("segment %+v", x)
			}
			if i > 0 && (segments[i-1].To != x.From || segments[i-1].Class == x.Class) {
				t.Fatalf("%v", segmentTexts(segments))
			}
		}
		if n := len(segments); n > 0 && segments[n-1].To != cp.Through {
			t.Fatalf("ends at %v, known to %v", segments[n-1].To, cp.Through)
		}
		want := map[string]int64{}
		last := map[string]int64{}
		for _, e := range events {
			r := e.Reading
			if e.Kind != EventReading || r.Quality == plant.Bad || r.Signal != m.Signals[plant.RoleGood] && r.Signal != m.Signals[plant.RoleReject] {
				continue
			}
			n := r.Value.Integer()
			if base, ok := last[r.Signal]; ok && n >= base {
				want[r.Signal] += n - base
			} else if ok {
				want[r.Signal] += n
			}
			last[r.Signal] = n
		}
		if sum := foldSum(pieces); sum.Good != want["good"] || sum.Reject != want["reject"] {
			t.Fatalf("made %d and %d, want %v", sum.Good, sum.Reject, want)
		}
	})
}

func FuzzDecodeCheckpoint(f *testing.F) {
	s := goldenD2Script()
	s.state(foldAt(7*time.Hour), "9")
	for _, through := range []time.Duration{0, time.Minute, 260 * time.Minute, 8 * time.Hour} {
		_, _, cp := s.fold(foldModel(time.Minute), foldAt(through))
		b, err := cp.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, text := range []string{``, `{}`, `null`, `{"version":2}`, `{"version":1,"held_until":"2025-01-01T00:00:00Z"}`, `{"version":1,"running":{"from":"2025-01-01T00:00:00Z"}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		cp, err := DecodeCheckpoint(b)
		if err != nil {
			return
		}
		first, err := cp.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeCheckpoint(first)
		if err != nil {
			t.Fatalf("%v: %s", err, first)
		}
		if second, _ := again.Encode(); string(second) != string(first) {
			t.Fatalf("%s\n%s", first, second)
		}
		// Whatever was read, folding on does not panic.
		var out Output
		more := &foldScript{machine: "m"}
		at := max(cp.Through, foldDay).Floor(time.Second)
		if at > plant.Time(1<<62) {
			return
		}
		more.state(at.Add(time.Second), "run")
		more.count(at.Add(time.Second), "good", 3)
		more.count(at.Add(time.Minute), "reject", 1)
		more.gap(at.Add(2*time.Minute), at.Add(3*time.Minute))
		foldModel(time.Second).Fold(&cp, more.events, at.Add(time.Hour), &out)
		_ = cp.Now()
	})
}

func TestDecodeCheckpointRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"not JSON":         `{`,
		"another version":  `{"version":2}`,
		"the future":       `{"version":1,"through":"2025-01-01T00:00:00Z","running":{"from":"2025-01-02T00:00:00Z"}}`,
		"waits for what":   `{"version":1,"held_until":"2025-01-02T00:00:00Z"}`,
		"waiting in a mix": `{"version":1,"through":"2025-01-05T00:00:00Z","running":{"from":"2025-01-03T00:00:00Z"},"waiting":[{"from":"2025-01-02T00:00:00Z","to":"2025-01-04T00:00:00Z"}]}`,
	} {
		if _, err := DecodeCheckpoint([]byte(text)); err == nil {
			t.Errorf("%s: %s is read", name, text)
		}
	}
	var cp Checkpoint
	b, err := json.Marshal(&cp)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeCheckpoint(b); err != nil {
		t.Errorf("the zero checkpoint: %v", err)
	}
}

// foldStream is a shift of a fast machine: counters each second, 500 stops.
func foldStream() []Event {
	s := &foldScript{machine: "m"}
	for i := range 28800 {
		at := foldAt(time.Duration(i) * time.Second)
		s.count(at, "good", int64(i))
		s.read(at, "speed", plant.Float(float64(i%60)))
		if i%20 == 0 {
			s.count(at, "reject", int64(i/20))
		}
		if i%57 == 0 {
			s.state(at, []string{"run", "stop"}[i/57%2])
		}
	}
	return SortEvents(s.events)
}

func BenchmarkFold(b *testing.B) {
	m, events := foldModel(time.Second), foldStream()
	var out Output
	b.ReportAllocs()
	for b.Loop() {
		out.Segments, out.Pieces = out.Segments[:0], out.Pieces[:0]
		var cp Checkpoint
		m.Fold(&cp, events, foldAt(8*time.Hour), &out)
	}
	b.ReportMetric(float64(len(events)*b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkFoldLive folds as the live twin does: a round of a few readings at
// a time.
func BenchmarkFoldLive(b *testing.B) {
	m, events := foldModel(time.Second), foldStream()
	var out Output
	b.ReportAllocs()
	for b.Loop() {
		out.Segments, out.Pieces = out.Segments[:0], out.Pieces[:0]
		var cp Checkpoint
		for i := 0; i < len(events); i += 2 {
			part := events[i:min(i+2, len(events))]
			m.Fold(&cp, part, part[len(part)-1].Time, &out)
		}
	}
	b.ReportMetric(float64(len(events)*b.N)/b.Elapsed().Seconds(), "events/s")
}
