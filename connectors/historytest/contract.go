// Package historytest is what every history store must do, as tests: a store
// calls Run with itself. It also starts a real InfluxDB for tests.
package historytest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"linetwin/plant"
)

// History is what the twin asks of a store.
type History interface {
	Write(ctx context.Context, batches []*plant.Batch) error
	Record(ctx context.Context, machine string, signals []string, span plant.Span) (plant.Record, error)
	Before(ctx context.Context, machine string, signals []string, at plant.Time) ([]plant.Reading, error)
	Chart(ctx context.Context, machine, signal string, span plant.Span, points int) ([]plant.Bucket, error)
}

// Store is a history with what tests look at besides.
type Store interface {
	History
	Counts(ctx context.Context, machine string, span plant.Span) ([]plant.MinuteCount, error)
	Quarantined() int64
	Quarantine(ctx context.Context, limit int) ([]plant.Refused, error)
	Close() error
}

// start is the time at which the suite's readings begin.
func start() plant.Time { return plant.Stamp(time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)) }

// at is a number of milliseconds after start.
func at(ms int64) plant.Time { return start() + plant.FromMilli(ms) }

func span(from, to int64) plant.Span { return plant.Span{From: at(from), To: at(to)} }

// Names of tests that take long.
const (
	Many   = "100,000 readings"
	Beside = "reads beside writes"
	Odd    = "odd names and texts"
)

// Run holds a store to the contract, but for tests that are left out. fresh
// makes the place of a new, empty store and gives what opens it, which may be
// done again after Close.
func Run(t *testing.T, fresh func(t testing.TB) (open func() Store), without ...string) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s *suite)
	}{
		{"every kind and quality comes back", kinds},
		{"a repeat changes nothing", repeats},
		{"order does not matter", shuffled},
		{"a reading with a value beats one without", contradictions},
		{"claims merge", claims},
		{"bad claims are set aside", badClaims},
		{"a machine in no line, then in one", lines},
		{"spans are half-open", borders},
		{"signals can be chosen", chosen},
		{"the last reading before a time", before},
		{"a chart", chart},
		{"charts of every kind", chartKinds},
		{Odd, odd},
		{"very long texts", long},
		{"another kind is set aside", otherKind},
		{"what is no reading is set aside", noReading},
		{"a restart keeps all", restart},
		{Many, many},
		{Beside, beside},
		{"readings are counted by minute", counted},
		{"nobody knows the machine", unknown},
		{"a context that has ended", ended},
	} {
		if slices.Contains(without, c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			open := fresh(t)
			s := &suite{T: t, open: open, Store: open()}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			c.test(t, s)
		})
	}
}

// suite is one store under test.
type suite struct {
	*testing.T
	Store
	open func() Store
}

func (s *suite) write(batches ...*plant.Batch) {
	s.Helper()
	if err := s.Write(s.Context(), batches); err != nil {
		s.Fatalf("write: %v", err)
	}
}

func (s *suite) record(machine string, sp plant.Span, signals ...string) plant.Record {
	s.Helper()
	r, err := s.Record(s.Context(), machine, signals, sp)
	if err != nil {
		s.Fatalf("record: %v", err)
	}
	return r
}

func (s *suite) same(what string, got, want []plant.Reading) {
	s.Helper()
	if len(got) != len(want) {
		s.Fatalf("%s: %d readings, want %d\ngot  %s\nwant %s", what, len(got), len(want), brief(got), brief(want))
	}
	for i := range got {
		if got[i] != want[i] {
			s.Fatalf("%s: reading %d is %s, want %s", what, i, brief(got[i:i+1]), brief(want[i:i+1]))
		}
	}
}

func brief(readings []plant.Reading) string {
	if len(readings) > 20 {
		readings = readings[:20]
	}
	text := fmt.Sprintf("%+v", readings)
	return text[:min(len(text), 2000)]
}

func batch(machine string, readings ...plant.Reading) *plant.Batch {
	for i := range readings {
		readings[i].Machine = machine
	}
	return &plant.Batch{Site: "s", Area: "assembly", Line: "mcb-a", Gateway: "edge-1", Machine: machine, Sequence: 1, Readings: readings}
}

func good(signal string, ms int64, v plant.Value) plant.Reading {
	return plant.Reading{Signal: signal, Time: at(ms), Value: v}
}

func uncertain(signal string, ms int64, v plant.Value, reason string) plant.Reading {
	return plant.Reading{Signal: signal, Time: at(ms), Value: v, Quality: plant.Uncertain, Reason: reason}
}

func bad(signal string, ms int64, reason string) plant.Reading {
	return plant.Reading{Signal: signal, Time: at(ms), Quality: plant.Bad, Reason: reason}
}

// sorted gives readings in the order of a record.
func sorted(readings ...plant.Reading) []plant.Reading {
	out := slices.Clone(readings)
	slices.SortStableFunc(out, func(a, b plant.Reading) int {
		if a.Time != b.Time {
			return int((a.Time - b.Time) / plant.Millisecond)
		}
		return strings.Compare(a.Signal, b.Signal)
	})
	return out
}

func kinds(_ *testing.T, s *suite) {
	b := batch("m",
		good("float", 0, plant.Float(1.5)), good("float", 1, plant.Float(-0.1)), good("float", 2, plant.Float(5)),
		good("float", 3, plant.Float(math.MaxFloat64)), good("float", 4, plant.Float(math.SmallestNonzeroFloat64)),
		good("float", 5, plant.Float(1e-7)), good("float", 6, plant.Float(123456789.123456789)),
		good("integer", 0, plant.Integer(1<<53+1)), good("integer", 1, plant.Integer(math.MinInt64)), good("integer", 2, plant.Integer(math.MaxInt64)), good("integer", 3, plant.Integer(0)),
		good("boolean", 0, plant.Boolean(true)), good("boolean", 1, plant.Boolean(false)),
		good("text", 0, plant.Text("execute")), good("text", 1, plant.Text("")), good("text", 2, plant.Text("6")), good("text", 3, plant.Text("true")),
		uncertain("float", 7, plant.Float(2), "clock not synchronised"), uncertain("integer", 7, plant.Integer(7), ""), uncertain("text", 7, plant.Text(""), "last usable value"),
		uncertain("boolean", 7, plant.Boolean(false), `reason "with" quotes \ and, commas = 100 %`),
		bad("float", 8, "timeout"), bad("integer", 8, ""), bad("boolean", 8, "illegal data address"), bad("text", 8, "故障: Überlauf"),
		bad("never", 8, "no answer"),
	)
	s.write(b)
	s.same("record", s.record("m", span(0, 10)).Readings, sorted(b.Readings...))
	if n := s.Quarantined(); n != 0 {
		s.Errorf("%d readings set aside, want none", n)
	}
}

func repeats(_ *testing.T, s *suite) {
	one := batch("m", good("a", 0, plant.Float(1)), good("b", 0, plant.Integer(2)), bad("c", 0, "timeout"), uncertain("a", 5, plant.Float(3), "old"))
	one.Complete = span(-1000, 5)
	want := sorted(one.Readings...)
	twice := batch("m", append(slices.Clone(one.Readings), one.Readings...)...)
	twice.Complete = one.Complete
	s.write(one)
	s.write(one, one)
	s.write(twice)
	got := s.record("m", span(-1000, 10))
	s.same("record", got.Readings, want)
	if !reflect.DeepEqual(got.Complete, []plant.Span{span(-1000, 5)}) {
		s.Errorf("complete %v", got.Complete)
	}
}

func shuffled(_ *testing.T, s *suite) {
	var batches []*plant.Batch
	var want []plant.Reading
	for i := range int64(200) {
		b := batch("m", good("a", i*100+50, plant.Float(float64(i))), good("b", i*100, plant.Integer(i)), good("a", i*100+20, plant.Float(-float64(i))))
		b.Complete = span(i*100-50, i*100+50)
		want = append(want, b.Readings...)
		batches = append(batches, b)
	}
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(len(batches), func(i, j int) { batches[i], batches[j] = batches[j], batches[i] })
	for chunk := range slices.Chunk(batches, 7) {
		s.write(chunk...)
	}
	s.write(batches[:50]...)
	got := s.record("m", span(-1000, 100_000))
	s.same("record", got.Readings, sorted(want...))
	if !reflect.DeepEqual(got.Complete, []plant.Span{span(-50, 19_950)}) {
		s.Errorf("complete %v", got.Complete)
	}
}

func contradictions(_ *testing.T, s *suite) {
	s.write(batch("m", bad("a", 0, "timeout"), good("b", 0, plant.Float(1)), good("c", 0, plant.Float(1)), bad("d", 0, "first"), bad("e", 0, "x"), good("e", 0, plant.Float(9))))
	s.write(batch("m", good("a", 0, plant.Float(7)), bad("b", 0, "timeout"), good("c", 0, plant.Float(2)), bad("d", 0, "second"), bad("e", 0, "x")))
	s.same("record", s.record("m", span(0, 1)).Readings, sorted(batch("m",
		good("a", 0, plant.Float(7)), good("b", 0, plant.Float(1)), good("c", 0, plant.Float(2)), bad("d", 0, "second"), good("e", 0, plant.Float(9))).Readings...))
}

func claims(_ *testing.T, s *suite) {
	claim := func(machine string, from, to int64) {
		b := batch(machine)
		b.Complete = span(from, to)
		s.write(b)
	}
	check := func(what, machine string, in plant.Span, want ...plant.Span) {
		s.Helper()
		if got := s.record(machine, in).Complete; !reflect.DeepEqual(got, want) {
			s.Errorf("%s: complete %v, want %v", what, got, want)
		}
	}
	claim("m", 10, 10)
	check("first look", "m", span(0, 1000))
	claim("m", 10, 20)
	claim("m", 20, 30)
	check("touching", "m", span(0, 1000), span(10, 30))
	claim("m", 50, 60)
	check("gap", "m", span(0, 1000), span(10, 30), span(50, 60))
	claim("m", 15, 28)
	check("inside", "m", span(0, 1000), span(10, 30), span(50, 60))
	claim("m", 58, 70)
	claim("m", 5, 12)
	check("overlapping", "m", span(0, 1000), span(5, 30), span(50, 70))
	claim("m", 80, 90)
	claim("m", 100, 110)
	claim("m", 25, 105)
	check("over gaps", "m", span(0, 1000), span(5, 110))
	claim("m", 200, 300)
	check("cut to what is asked", "m", span(50, 250), span(50, 110), span(200, 250))
	check("inside of one", "m", span(220, 230), span(220, 230))
	check("between", "m", span(120, 190))
	check("at the end of one", "m", span(110, 200))
	claim("n", 0, 1000)
	check("of another machine", "m", span(120, 190))
	claim("far", 0, 3*3600_000)
	check("a claim of hours", "far", span(1000, 2000), span(1000, 2000))
	b := batch("m")
	b.Complete = span(150, 160)
	b.Gateway = "edge-2"
	s.write(b)
	check("of another gateway", "m", span(120, 190), span(150, 160))
}

func badClaims(_ *testing.T, s *suite) {
	backwards, endless := batch("m", good("a", 0, plant.Float(1))), batch("m", good("a", 1, plant.Float(2)))
	backwards.Complete, endless.Complete = span(10, 0), plant.Span{From: 0, To: at(1)}
	s.write(backwards, endless)
	got := s.record("m", span(-10, 20))
	if len(got.Readings) != 2 || len(got.Complete) != 0 || s.Quarantined() != 2 {
		s.Errorf("%d readings, complete %v, %d set aside; want 2, none, 2", len(got.Readings), got.Complete, s.Quarantined())
	}
}

func lines(_ *testing.T, s *suite) {
	none, in := batch("m", good("a", 0, plant.Float(1))), batch("m", good("a", 10, plant.Float(2)))
	none.Line, none.Complete, in.Complete = "", span(-5, 0), span(0, 10)
	again := batch("m", good("a", 0, plant.Float(1)))
	again.Complete = span(-5, 0)
	s.write(none)
	s.write(in)
	s.write(again) // the same, now that the machine is in a line
	got := s.record("m", span(-10, 20))
	s.same("record", got.Readings, batch("m", good("a", 0, plant.Float(1)), good("a", 10, plant.Float(2))).Readings)
	if !reflect.DeepEqual(got.Complete, []plant.Span{span(-5, 10)}) {
		s.Errorf("complete %v", got.Complete)
	}
	last, err := s.Before(s.Context(), "m", nil, at(100))
	if err != nil {
		s.Fatal(err)
	}
	s.same("before", last, batch("m", good("a", 10, plant.Float(2))).Readings)
}

func borders(_ *testing.T, s *suite) {
	b := batch("m", good("a", 10, plant.Integer(10)), good("a", 20, plant.Integer(20)), good("a", 30, plant.Integer(30)))
	s.write(b)
	for _, c := range []struct {
		from, to plant.Time
		want     []plant.Reading
	}{
		{at(10), at(30), b.Readings[:2]},
		{at(10), at(30) + 1, b.Readings},
		{at(10) + 1, at(30), b.Readings[1:2]},
		{at(11), at(20), nil},
		{at(20), at(21), b.Readings[1:2]},
		{at(20), at(20), nil},
		{at(30), at(10), nil},
	} {
		s.same(fmt.Sprint(c.from, c.to), s.record("m", plant.Span{From: c.from, To: c.to}).Readings, c.want)
	}
}

func chosen(_ *testing.T, s *suite) {
	b := batch("m", good("a", 0, plant.Float(1)), good("b", 0, plant.Integer(1)), bad("c", 0, "x"), good("a.b", 0, plant.Text("1")))
	s.write(b, batch("m2", good("a", 0, plant.Float(5))))
	s.same("one", s.record("m", span(0, 1), "b").Readings, b.Readings[1:2])
	s.same("two", s.record("m", span(0, 1), "c", "a", "absent").Readings, []plant.Reading{b.Readings[0], b.Readings[2]})
	r, err := s.Record(s.Context(), "m", []string{}, span(0, 1))
	if err != nil || len(r.Readings) != 0 {
		s.Errorf("none: %v %v", r.Readings, err)
	}
}

func unknown(_ *testing.T, s *suite) {
	if r := s.record("nobody", span(0, 100)); len(r.Readings)+len(r.Complete) != 0 {
		s.Errorf("record %v", r)
	}
	if last, err := s.Before(s.Context(), "nobody", nil, at(0)); err != nil || len(last) != 0 {
		s.Errorf("before: %v %v", last, err)
	}
	buckets, err := s.Chart(s.Context(), "nobody", "a", span(0, 100), 4)
	if err != nil || len(buckets) != 4 || buckets[3].Count != 0 {
		s.Errorf("chart: %v %v", buckets, err)
	}
	s.write()
	s.write(batch("empty"))
}

func ended(t *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Write(ctx, []*plant.Batch{batch("m", good("a", 0, plant.Float(1)))}); err == nil {
		t.Error("write succeeds")
	}
	if _, err := s.Record(ctx, "m", nil, span(0, 10)); err == nil {
		t.Error("record succeeds")
	}
	s.write(batch("m", good("a", 0, plant.Float(1)))) // and all goes on
}

func restart(_ *testing.T, s *suite) {
	b := batch("m", good("a", 0, plant.Float(1)), good("t", 0, plant.Text("x")), bad("c", 0, "x"))
	b.Complete = span(-10, 0)
	s.write(b)
	if err := s.Close(); err != nil {
		s.Fatalf("close: %v", err)
	}
	s.Store = s.open()
	next := batch("m", good("a", 10, plant.Float(2)), good("c", 10, plant.Integer(4)), good("t", 10, plant.Float(1)))
	next.Complete = span(0, 10)
	s.write(next)
	got := s.record("m", span(-20, 20))
	s.same("record", got.Readings, sorted(append(b.Readings, next.Readings[:2]...)...))
	if !reflect.DeepEqual(got.Complete, []plant.Span{span(-10, 10)}) {
		s.Errorf("complete %v", got.Complete)
	}
	if n := s.Quarantined(); n != 1 {
		s.Errorf("%d set aside, want the text signal's number", n)
	}
}

func many(t *testing.T, s *suite) {
	const machines, rounds, signals = 5, 200, 100
	var want [machines][]plant.Reading
	for r := range int64(rounds) {
		batches := make([]*plant.Batch, machines)
		for m := range batches {
			b := batch(fmt.Sprintf("m%d", m))
			for i := range signals {
				b.Readings = append(b.Readings, plant.Reading{Machine: b.Machine, Signal: fmt.Sprintf("s%02d", i), Time: at(r * 1000), Value: plant.Float(float64(i) + float64(r)/3)})
			}
			b.Complete = span(r*1000-1000, r*1000)
			want[m] = append(want[m], b.Readings...)
			batches[m] = b
		}
		s.write(batches...)
	}
	for m := range want {
		got := s.record(fmt.Sprintf("m%d", m), span(-1000, rounds*1000))
		s.same(fmt.Sprint("machine ", m), got.Readings, want[m])
		if len(got.Complete) != 1 {
			t.Errorf("machine %d: complete %v", m, got.Complete)
		}
	}
}

func beside(t *testing.T, s *suite) {
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for n := 0; ; {
				select {
				case <-stop:
					return
				default:
				}
				r, err := s.Record(t.Context(), "m", nil, span(-1000, 1_000_000))
				if err != nil {
					t.Errorf("record: %v", err)
					return
				}
				// What is claimed to be complete is there.
				if len(r.Complete) > 0 {
					for i := n; i < len(r.Readings); i++ {
						if r.Readings[i].Time != at(int64(i)*10) {
							t.Errorf("reading %d is of %s", i, r.Readings[i].Time)
							return
						}
					}
					n = len(r.Readings)
					if c := r.Complete[len(r.Complete)-1].To; n == 0 || r.Readings[n-1].Time < c {
						t.Errorf("complete up to %s without its reading", c)
						return
					}
				}
			}
		})
	}
	for w := range 2 {
		wg.Go(func() {
			for i := range int64(100) {
				b := batch("other", good(fmt.Sprintf("s%d", w), i, plant.Integer(i)))
				if err := s.Write(t.Context(), []*plant.Batch{b}); err != nil {
					t.Errorf("write: %v", err)
				}
			}
		})
	}
	for i := range int64(200) {
		b := batch("m", good("a", i*10, plant.Integer(i)))
		b.Complete = span(i*10-10, i*10)
		s.write(b)
	}
	close(stop)
	wg.Wait()
	if n := len(s.record("other", span(0, 1000)).Readings); n != 200 {
		t.Errorf("%d readings of two writers, want 200", n)
	}
}
