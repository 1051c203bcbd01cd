package influx

import (
	"fmt"
	"math"
	"testing"
	"time"

	"linetwin/connectors/historytest"
	"linetwin/plant"
)

// later is when all hours of the tests are over and settled.
const later = 20 * 365 * 24 * time.Hour

// shift makes readings of every kind, one in ten seconds, whose sums are exact.
func shift(machine string, from plant.Time, length time.Duration) *plant.Batch {
	b := &plant.Batch{Area: "assembly", Line: "mcb-a", Gateway: "edge-1", Machine: machine}
	for s := range int64(length / (10 * time.Second)) {
		at := from.Add(time.Duration(s) * 10 * time.Second)
		b.Readings = append(b.Readings,
			plant.Reading{Signal: "temperature", Time: at, Value: plant.Float(float64(s%97) / 4)},
			plant.Reading{Signal: "line", Time: at, Value: plant.Integer(s)})
		if s%7 == 0 {
			b.Readings = append(b.Readings,
				plant.Reading{Signal: "state", Time: at, Value: plant.Text(fmt.Sprint(s))},
				plant.Reading{Signal: "open", Time: at, Value: plant.Boolean(s%2 == 0)},
				plant.Reading{Signal: "good", Time: at, Quality: plant.Bad, Reason: "timeout"})
		}
	}
	return b
}

var shiftSignals = []string{"temperature", "line", "state", "open", "good"}

// sameAsRaw compares charts with what the server makes of all readings, and
// gives how many hours were not read from these.
func sameAsRaw(t *testing.T, h *History, span plant.Span, points int, signals ...string) int {
	t.Helper()
	made, _, err := h.madeHours(t.Context(), "m", span)
	if err != nil {
		t.Fatal(err)
	}
	for _, signal := range signals {
		got, err := h.Chart(t.Context(), "m", signal, span, points)
		if err != nil {
			t.Fatal(err)
		}
		h.due.unsure = true
		want, err := h.Chart(t.Context(), "m", signal, span, points)
		h.due.unsure = false
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if !alike(&got[i], &want[i]) {
				t.Errorf("%s: %s, %s", signal, describe(&got[i]), describe(&want[i]))
			}
		}
	}
	return len(made)
}

func alike(a, b *plant.Bucket) bool {
	near := func(x, y *float64) bool {
		return x == nil && y == nil || x != nil && y != nil && math.Abs(*x-*y) <= 1e-12*math.Abs(*y)
	}
	return a.Span == b.Span && a.Count == b.Count && a.Bad == b.Bad && near(a.Min, b.Min) && near(a.Max, b.Max) && near(a.Mean, b.Mean) && a.Last == b.Last
}

func describe(b *plant.Bucket) string {
	number := func(x *float64) any {
		if x == nil {
			return "none"
		}
		return *x
	}
	return fmt.Sprint(b.Span, " count ", b.Count, " bad ", b.Bad, " min ", number(b.Min), " max ", number(b.Max), " mean ", number(b.Mean), " last ", b.Last)
}

func aggregates(t *testing.T, d *historytest.Influxd) {
	d.CreateDatabase(t, "aggregates")
	h := open(t, d, "aggregates")
	defer func() { h.Close() }()
	start := plant.Stamp(time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC))
	now := plant.At(time.Now()).Add(later)
	write := func(batches ...*plant.Batch) {
		t.Helper()
		if err := h.Write(t.Context(), batches); err != nil {
			t.Fatal(err)
		}
	}
	sum := func(what string, want int) {
		t.Helper()
		if n, err := h.Aggregate(t.Context(), now); err != nil || n != want {
			t.Fatalf("%s: %d hours made, %v; want %d", what, n, err, want)
		}
	}
	charts := func(what string, want int) {
		t.Helper()
		span := plant.Span{From: start.Add(-10 * time.Minute), To: start.Add(4*time.Hour - 10*time.Minute)}
		if n := sameAsRaw(t, h, span, 24, "line"); n != want { // parts of 10 minutes
			t.Errorf("%s: %d hours are made, want %d", what, n, want)
		}
	}

	// What an earlier version wrote has no marks.
	if err := h.post(t.Context(), h.bucket, fmt.Sprintf("reading,machine=m temperature=5 %d", start.Add(150*time.Minute).Milli())); err != nil {
		t.Fatal(err)
	}
	first := shift("m", start.Add(5*time.Minute), 100*time.Minute)
	first.Readings = append(first.Readings, plant.Reading{Signal: "twice", Time: start.Add(5 * time.Minute), Quality: plant.Bad, Reason: "timeout"})
	write(first, shift("n", start, time.Minute))
	charts("before Run", 0)
	sum("at first", 3)
	charts("two hours", 2)
	sameAsRaw(t, h, plant.Span{From: start, To: start.Add(2 * time.Hour)}, 120, shiftSignals...) // minutes
	sameAsRaw(t, h, plant.Span{From: start, To: start.Add(4 * time.Hour)}, 4, shiftSignals...)   // hours
	sum("again", 0)

	// Late readings, of which one has a value where a bad one was.
	late := shift("m", start.Add(90*time.Minute), time.Minute)
	late.Line = "mcb-b"
	late.Readings = append(late.Readings, plant.Reading{Signal: "twice", Time: start.Add(5 * time.Minute), Quality: plant.Uncertain, Reason: "late", Value: plant.Integer(1)})
	for i := range late.Readings[:len(late.Readings)-1] {
		late.Readings[i].Time += 500 * plant.Millisecond
	}
	write(late)
	charts("late readings", 0)

	// The process ends before they are summed up.
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h = open(t, d, "aggregates")
	charts("after a restart", 0)
	sum("after a restart", 2)
	buckets, err := h.Chart(t.Context(), "m", "twice", plant.Span{From: start, To: start.Add(time.Hour)}, 1)
	if err != nil || buckets[0].Bad != 0 || buckets[0].Count != 1 {
		t.Errorf("%s, %v", describe(&buckets[0]), err)
	}
	late.Readings = late.Readings[:3]
	late.Readings[0].Time += plant.Millisecond
	write(late)
	charts("late again", 1)
	sum("late again", 1)
}

// TestHoursWait: an hour is made when it is over, nothing is written to it, and
// nobody has for a while.
func TestHoursWait(t *testing.T) {
	at := hourOf{"m", plant.Stamp(time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC))}
	end := at.hour.Add(time.Hour)
	for _, c := range []struct {
		name    string
		writing int
		stamp   plant.Time
		now     plant.Time
		want    int
	}{
		{"goes on", 0, at.hour, end - 1, 0},
		{"just over", 0, at.hour, end.Add(settled) - 1, 0},
		{"over", 0, at.hour, end.Add(settled), 1},
		{"being written", 1, at.hour, end.Add(settled), 0},
		{"late", 0, end.Add(time.Hour), end.Add(time.Hour + settled - 1), 0},
		{"late, a while ago", 0, end.Add(time.Hour), end.Add(time.Hour + settled), 1},
	} {
		d := due{writing: map[hourOf]int{at: c.writing}, waiting: map[hourOf]int64{at: int64(c.stamp)}}
		if got := d.take(c.now); len(got) != c.want || len(d.waiting) != 1-c.want {
			t.Errorf("%s: %d taken, %d wait; want %d", c.name, len(got), len(d.waiting), c.want)
		}
		d.waiting[at] = 7
		d.giveBack(map[hourOf]int64{at: 3})
		if d.waiting[at] != 7 {
			t.Errorf("%s: what was written since is forgotten", c.name)
		}
	}
}
