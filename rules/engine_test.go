package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"linetwin/plant"
)

var start = plant.At(time.Date(2025, 5, 5, 8, 0, 0, 0, time.UTC))

func sec(n float64) plant.Time { return start.Add(time.Duration(n * float64(time.Second))) }

func number(f float64) *float64 { return &f }

func reading(at float64, x float64) *plant.Reading {
	return &plant.Reading{Machine: "m", Signal: "temp", Time: sec(at), Value: plant.Float(x)}
}

func badReading(at float64) *plant.Reading {
	return &plant.Reading{Machine: "m", Signal: "temp", Time: sec(at), Quality: plant.Bad, Reason: "timeout"}
}

func lineOf(machine string) string {
	if strings.HasPrefix(machine, "m") {
		return "l"
	}
	return ""
}

func engine(t testing.TB, limit Limit, characteristics ...Characteristic) *Engine {
	t.Helper()
	cfg := Config{}
	if limit.ID != "" {
		cfg.Limits = []Limit{limit}
	}
	e, err := NewEngine(cfg, characteristics, lineOf)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func hot() Limit {
	return Limit{ID: "hot", Signal: "temp", Above: number(80), For: 10 * time.Second, Deadband: 2, Severity: plant.SeverityHigh}
}

// said gives changed alerts as "state count".
func said(alerts []plant.Alert) string {
	var texts []string
	for _, a := range alerts {
		texts = append(texts, fmt.Sprintf("%s %d", a.State, a.Count))
	}
	return strings.Join(texts, ", ")
}

// TestLifeCycle walks an alert through its states, each step with what changes.
func TestLifeCycle(t *testing.T) {
	type step struct {
		do   func(*Engine) []plant.Alert
		want string
	}
	read := func(at, x float64) func(*Engine) []plant.Alert {
		return func(e *Engine) []plant.Alert { return e.Reading("l", reading(at, x)) }
	}
	bad := func(at float64) func(*Engine) []plant.Alert {
		return func(e *Engine) []plant.Alert { return e.Reading("l", badReading(at)) }
	}
	tick := func(at float64) func(*Engine) []plant.Alert {
		return func(e *Engine) []plant.Alert { return e.Tick(sec(at)) }
	}
	acknowledge := func(at float64) func(*Engine) []plant.Alert {
		return func(e *Engine) []plant.Alert {
			a, err := e.Acknowledge(e.Open()[0].ID, "li", sec(at))
			if err != nil {
				return nil
			}
			return []plant.Alert{a}
		}
	}
	const fires = "unacknowledged 1"
	for _, c := range []struct {
		name  string
		steps []step
		open  string
	}{
		{"on-delay by the clock", []step{{read(0, 81), ""}, {tick(9.9), ""}, {tick(10), fires}, {tick(11), ""}}, fires},
		{"on-delay by a reading", []step{{read(0, 81), ""}, {read(10, 82), "unacknowledged 2"}}, "unacknowledged 2"},
		{"the limit itself is no breach", []step{{read(0, 80), ""}, {tick(60), ""}}, ""},
		{"back before the delay", []step{{read(0, 81), ""}, {read(5, 80), ""}, {tick(60), ""}}, ""},
		{"a silence after the breach is a breach", []step{{read(0, 81), ""}, {read(20, 70), "returned_unacknowledged 1"}}, "returned_unacknowledged 1"},
		{"inside the deadband it stays", []step{{read(0, 81), ""}, {tick(10), fires}, {read(11, 78.5), ""}, {read(12, 78), "returned_unacknowledged 1"}}, "returned_unacknowledged 1"},
		{"returned and fired again is the same alert", []step{{read(0, 81), ""}, {tick(10), fires}, {read(11, 70), "returned_unacknowledged 1"}, {read(500, 90), ""}, {tick(510), "unacknowledged 2"}}, "unacknowledged 2"},
		{"acknowledged, then returned: closed", []step{{read(0, 81), ""}, {tick(10), fires}, {acknowledge(11), "acknowledged 1"}, {acknowledge(12), "acknowledged 1"}, {read(13, 70), "normal 1"}}, ""},
		{"returned, then acknowledged: closed", []step{{read(0, 81), ""}, {tick(10), fires}, {read(11, 70), "returned_unacknowledged 1"}, {acknowledge(12), "normal 1"}}, ""},
		{"chattering after an acknowledgement", []step{{read(0, 81), ""}, {tick(10), fires}, {acknowledge(11), "acknowledged 1"}, {read(13, 70), "normal 1"}, {read(14, 81), ""}, {tick(24), "acknowledged 2"}}, "acknowledged 2"},
		{"seen after its return, it fires anew", []step{{read(0, 81), ""}, {tick(10), fires}, {read(11, 70), "returned_unacknowledged 1"}, {acknowledge(12), "normal 1"}, {read(14, 81), ""}, {tick(24), fires}}, fires},
		{"a new one much later", []step{{read(0, 81), ""}, {tick(10), fires}, {acknowledge(11), "acknowledged 1"}, {read(13, 70), "normal 1"}, {read(100, 81), ""}, {tick(110), fires}}, fires},
		{"bad readings hold an alert", []step{{read(0, 81), ""}, {tick(10), fires}, {bad(11), ""}, {tick(99), ""}, {read(100, 70), "returned_unacknowledged 1"}}, "returned_unacknowledged 1"},
		{"bad readings do not fire", []step{{read(0, 81), ""}, {bad(5), ""}, {tick(60), ""}, {read(61, 81), "unacknowledged 2"}}, "unacknowledged 2"},
		{"nor does what nobody saw", []step{{read(0, 81), ""}, {bad(5), ""}, {read(61, 70), ""}, {tick(99), ""}}, ""},
		{"a backlog does not fire", []step{{read(100, 70), ""}, {read(0, 90), ""}, {read(20, 90), ""}, {tick(130), ""}}, ""},
		{"nor return", []step{{read(90, 81), ""}, {tick(100), fires}, {read(50, 20), ""}, {read(90, 20), ""}}, fires},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := engine(t, hot())
			for i, s := range c.steps {
				if got := said(s.do(e)); got != s.want {
					t.Fatalf("step %d: %q, want %q", i+1, got, s.want)
				}
			}
			if got := said(e.Open()); got != c.open {
				t.Errorf("open: %q, want %q", got, c.open)
			}
		})
	}
}

func TestAlertSaysWhatHappened(t *testing.T) {
	e := engine(t, hot())
	e.Reading("l", reading(0, 81.5))
	a := e.Tick(sec(30))[0]
	if a.ID != "hot@m.temp@2025-05-05T08:00:10.000Z" || a.Rule != "hot" || a.Line != "l" || a.Machine != "m" || a.Signal != "temp" ||
		*a.Value != 81.5 || *a.Limit != 80 || a.Since != sec(0) || a.Fired != sec(10) || a.Severity != plant.SeverityHigh || a.Quality {
		t.Errorf("%+v", a)
	}
	if a.Message != (plant.Name{En: "temp above 80", Zh: "temp 高于 80"}) {
		t.Errorf("message %+v", a.Message)
	}
	e.Reading("l", reading(40, 70))
	b, err := e.Acknowledge(a.ID, "li", sec(50))
	if err != nil || b.AckedBy != "li" || b.Acked != sec(50) || b.Returned != sec(40) {
		t.Errorf("%+v %v", b, err)
	}
	if _, err := e.Acknowledge(a.ID, "li", sec(51)); !errors.Is(err, plant.ErrNotFound) {
		t.Errorf("acknowledging a closed alert: %v", err)
	}
}

func TestQuality(t *testing.T) {
	c := Characteristic{Line: "l", Characteristic: plant.Characteristic{ID: "trip", Machine: "m", Signal: "temp", Unit: "s", LSL: number(1), USL: number(60), Name: plant.Name{En: "Trip time", Zh: "脱扣时间"}}}
	cfg := Config{ReturnsAfter: 2}
	e, err := NewEngine(cfg, []Characteristic{c, {Line: "l", Characteristic: plant.Characteristic{ID: "free", Machine: "m", Signal: "temp"}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range []struct {
		x    float64
		want string
	}{{1, ""}, {60, ""}, {60.1, "unacknowledged 1"}, {0.5, "unacknowledged 2"}, {30, ""}, {70, "unacknowledged 3"}, {30, ""}, {31, "returned_unacknowledged 3"}, {99, "unacknowledged 4"}} {
		got := e.Reading("l", reading(float64(i), s.x))
		if said(got) != s.want {
			t.Fatalf("piece %d of %v: %q, want %q", i, s.x, said(got), s.want)
		}
		for _, a := range got {
			if !a.Quality || a.Unit != "s" || a.Rule != "quality-trip" || a.Message.Zh != "脱扣时间超出规格" || *a.Value != 60.1 || *a.Limit != 60 {
				t.Fatalf("%+v", a)
			}
		}
	}
}

func TestOEE(t *testing.T) {
	e := engine(t, Limit{ID: "low", On: OnOEE, Line: "l", Below: number(.6), For: 5 * time.Minute, Deadband: .02})
	if got := e.OEE("other", sec(0), number(.1)); got != nil {
		t.Errorf("another line: %v", got)
	}
	e.OEE("other", sec(1000), number(.1))
	for i, s := range []struct {
		at   float64
		oee  *float64
		want string
	}{{0, number(.5), ""}, {60, nil, ""}, {300, number(.55), "unacknowledged 2"}, {360, nil, ""}, {400, number(.61), ""}, {460, number(.63), "returned_unacknowledged 2"}} {
		if got := said(e.OEE("l", sec(s.at), s.oee)); got != s.want {
			t.Errorf("step %d: %q, want %q", i+1, got, s.want)
		}
	}
	if a := e.Open()[0]; a.ID != "low@l@2025-05-05T08:05:00.000Z" || a.Message.En != "OEE below 0.6" || a.Severity != plant.SeverityMedium {
		t.Errorf("%+v", a)
	}
}

func TestWhichMachines(t *testing.T) {
	for _, c := range []struct {
		name          string
		limit         Limit
		line, machine string
		fires         bool
	}{
		{"every machine", Limit{}, "l", "x", true},
		{"its machine", Limit{Machine: "m"}, "l", "m", true},
		{"another machine", Limit{Machine: "m"}, "l", "m2", false},
		{"its line", Limit{Line: "l"}, "l", "m", true},
		{"another line", Limit{Line: "l"}, "l2", "m", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.limit.ID, c.limit.Signal, c.limit.Above = "hot", "temp", number(80)
			e := engine(t, c.limit)
			r := reading(0, 90)
			r.Machine = c.machine
			if got := e.Reading(c.line, r); (len(got) == 1) != c.fires {
				t.Errorf("%v", got)
			}
			r.Signal = "other"
			if got := e.Reading(c.line, r); got != nil {
				t.Errorf("another signal: %v", got)
			}
		})
	}
}

func TestRestore(t *testing.T) {
	old := engine(t, hot(), Characteristic{Line: "l", Characteristic: plant.Characteristic{ID: "c", Machine: "m", Signal: "temp", USL: number(85)}})
	old.Reading("l", reading(0, 90))
	old.Tick(sec(10))
	kept := old.Open()
	if len(kept) != 2 {
		t.Fatalf("%v", kept)
	}
	e := engine(t, hot())
	e.Restore(append(slices.Clone(kept), plant.Alert{ID: "closed", Rule: "hot", State: plant.AlertNormal}))
	if len(e.Open()) != 2 {
		t.Fatalf("open: %v", e.Open())
	}
	if got := said(e.Reading("l", reading(20, 91))); got != "" {
		t.Errorf("fires twice: %s", got)
	}
	if got := said(e.Reading("l", reading(21, 70))); got != "returned_unacknowledged 2" {
		t.Errorf("returns: %q", got)
	}
	for _, a := range kept {
		got, err := e.Acknowledge(a.ID, "li", sec(30))
		if err != nil || got.State != plant.AlertNormal || got.Returned == 0 {
			t.Errorf("%+v %v", got, err)
		}
	}
	if len(e.Open()) != 0 {
		t.Errorf("open: %v", e.Open())
	}
}

// TestProperties: whatever comes, an alert is in the list of open ones exactly
// while it is open, each condition has one at most, and states change only as
// the life cycle says.
func TestProperties(t *testing.T) {
	next := map[plant.AlertState][]plant.AlertState{
		"":                                {plant.AlertUnacknowledged, plant.AlertReturnedUnacknowledged},
		plant.AlertUnacknowledged:         {plant.AlertUnacknowledged, plant.AlertAcknowledged, plant.AlertReturnedUnacknowledged},
		plant.AlertAcknowledged:           {plant.AlertAcknowledged, plant.AlertNormal},
		plant.AlertReturnedUnacknowledged: {plant.AlertUnacknowledged, plant.AlertReturnedUnacknowledged, plant.AlertNormal},
		plant.AlertNormal:                 {plant.AlertAcknowledged, plant.AlertNormal},
	}
	rapid.Check(t, func(rt *rapid.T) {
		e := engine(t, hot(), Characteristic{Line: "l", Characteristic: plant.Characteristic{ID: "c", Machine: "m", Signal: "temp", USL: number(85)}})
		state := map[string]plant.AlertState{}
		at := 0.0
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			at += rapid.SampledFrom([]float64{-1, 1, 9, 70}).Draw(rt, "wait")
			var changed []plant.Alert
			switch rapid.IntRange(0, 4).Draw(rt, "step") {
			case 0:
				changed = e.Tick(sec(at))
			case 1:
				changed = e.Reading("l", badReading(at))
			case 2:
				for _, a := range e.Open() {
					b, err := e.Acknowledge(a.ID, "li", sec(at))
					if err != nil {
						rt.Fatal(err)
					}
					changed = append(changed, b)
				}
			default:
				changed = e.Reading("l", reading(at, rapid.SampledFrom([]float64{70, 79, 81, 90}).Draw(rt, "value")))
			}
			for _, a := range changed {
				if !slices.Contains(next[state[a.ID]], a.State) {
					rt.Fatalf("%s went from %q to %q", a.ID, state[a.ID], a.State)
				}
				state[a.ID] = a.State
			}
			open := map[string]bool{}
			for _, a := range e.Open() {
				if state[a.ID] != a.State || open[a.Rule] || !a.Open() {
					rt.Fatalf("open: %+v, last heard of as %q", a, state[a.ID])
				}
				open[a.Rule] = true
			}
			for id, s := range state {
				if s != plant.AlertNormal && !open[strings.Split(id, "@")[0]] {
					rt.Fatalf("%s is %s and not in the list", id, s)
				}
			}
		}
	})
}

func TestReadingDoesNotAllocate(t *testing.T) {
	e := engine(t, hot(), Characteristic{Line: "l", Characteristic: plant.Characteristic{ID: "c", Machine: "m", Signal: "temp", USL: number(85)}})
	r := reading(0, 70)
	e.Reading("l", r)
	if n := testing.AllocsPerRun(100, func() { r.Time += plant.Millisecond; e.Reading("l", r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkReading(b *testing.B) {
	e := engine(b, hot())
	r := reading(0, 70)
	b.ReportAllocs()
	for b.Loop() {
		r.Time += plant.Millisecond
		e.Reading("l", r)
	}
}
