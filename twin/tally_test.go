package twin

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"linetwin/plant"
)

func tallySegment(class plant.Class, from, to time.Duration) plant.Segment {
	return plant.Segment{Machine: "m", Class: class, Span: plant.Span{From: foldAt(from), To: foldAt(to)}}
}

func TestTallyTime(t *testing.T) {
	const m = time.Minute
	open := tallySegment(plant.ClassStop, 50*m, 51*m)
	open.Open = true
	counted := tallySegment(plant.ClassUnknown, 0, 60*m)
	counted.Pieces, counted.Product = 30, "p"
	hour := plant.Span{From: foldAt(0), To: foldAt(60 * m)}
	pause := plant.Span{From: foldAt(20 * m), To: foldAt(30 * m)}
	minute := TallyRules{SmallStop: 2 * m, Ideal: foldModel(m).Ideal}
	for _, c := range []struct {
		name     string
		span     plant.Span
		segments []plant.Segment
		shifts   []plant.ShiftInstance
		rules    TallyRules
		want     plant.Window
	}{
		{"nothing known", hour, nil, foldShift(hour.From, hour.To), minute, plant.Window{Unknown: 60 * m}},
		{"no shift", hour, []plant.Segment{tallySegment(plant.ClassRun, 0, 60*m)}, nil, minute, plant.Window{ScheduleLoss: 60 * m}},
		{"a break", hour, []plant.Segment{tallySegment(plant.ClassRun, 0, 60*m)}, foldShift(hour.From, hour.To, pause), minute,
			plant.Window{ScheduleLoss: 10 * m, Run: 50 * m}},
		{"a break worked through", hour, []plant.Segment{tallySegment(plant.ClassRun, 0, 25*m), tallySegment(plant.ClassStop, 25*m, 60*m)},
			foldShift(hour.From, hour.To, pause), TallyRules{BreaksWorked: true},
			plant.Window{ScheduleLoss: 5 * m, Run: 25 * m, UnplannedStop: 30 * m, Flags: plant.FlagOvertime}},
		{"each class in its leaf", hour, []plant.Segment{
			tallySegment(plant.ClassRun, 0, 10*m), tallySegment(plant.ClassStop, 10*m, 15*m), tallySegment(plant.ClassStarved, 15*m, 16*m),
			tallySegment(plant.ClassBlocked, 16*m, 20*m), tallySegment(plant.ClassChangeover, 20*m, 30*m), tallySegment(plant.ClassPlannedStop, 30*m, 36*m),
			tallySegment(plant.ClassUnknown, 36*m, 40*m), tallySegment(plant.ClassNotScheduled, 40*m, 41*m)},
			foldShift(hour.From, hour.To), minute,
			plant.Window{ScheduleLoss: m, Unknown: 23 * m, UnplannedStop: 9 * m, PlannedStop: 16 * m, Run: 11 * m, SmallStop: m, Starved: m, Blocked: 4 * m, Changeover: 10 * m, Stops: 2, SmallStops: 1, Changes: 1}},
		{"planned stops out of the schedule", hour, []plant.Segment{tallySegment(plant.ClassPlannedStop, 0, 20*m), tallySegment(plant.ClassChangeover, 20*m, 60*m)},
			foldShift(hour.From, hour.To), TallyRules{PlannedStopsAsSchedule: true},
			plant.Window{ScheduleLoss: 20 * m, PlannedStop: 40 * m, Changeover: 40 * m, Changes: 1}},
		{"small by the whole stop", plant.Span{From: foldAt(0), To: foldAt(31 * m)}, []plant.Segment{tallySegment(plant.ClassStop, 30*m, 33*m)},
			foldShift(hour.From, hour.To), minute, plant.Window{Unknown: 30 * m, UnplannedStop: m, Stops: 1}},
		{"a stop exactly at the threshold is none of the small", hour, []plant.Segment{tallySegment(plant.ClassStop, 0, 2*m)},
			foldShift(hour.From, foldAt(2*m)), minute, plant.Window{ScheduleLoss: 58 * m, UnplannedStop: 2 * m, Stops: 1}},
		{"still open and short", plant.Span{From: foldAt(50 * m), To: foldAt(51 * m)}, []plant.Segment{open}, foldShift(hour.From, hour.To), minute,
			plant.Window{Run: m, SmallStop: m, SmallStops: 1, Flags: plant.FlagIndeterminate}},
		{"a stop that starts in a break is not counted", hour, []plant.Segment{tallySegment(plant.ClassStop, 25*m, 35*m)},
			foldShift(hour.From, hour.To, pause), minute, plant.Window{ScheduleLoss: 10 * m, UnplannedStop: 5 * m, Unknown: 45 * m}},
		{"inferred", hour, []plant.Segment{counted}, foldShift(hour.From, hour.To), minute,
			plant.Window{Unknown: 30 * m, Run: 30 * m, Inferred: 30 * m, Flags: plant.FlagInferred}},
		{"inferred, without an ideal cycle", hour, []plant.Segment{counted}, foldShift(hour.From, hour.To), TallyRules{}, plant.Window{Unknown: 60 * m}},
		{"inferred, its part", plant.Span{From: foldAt(0), To: foldAt(10 * m)}, []plant.Segment{counted}, foldShift(hour.From, hour.To), minute,
			plant.Window{Unknown: 5 * m, Run: 5 * m, Inferred: 5 * m, Flags: plant.FlagInferred}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.want.Span = c.span
			if got := Tally(c.span, c.segments, nil, c.shifts, c.rules); got != c.want {
				t.Errorf("got\n%+v\nwant\n%+v", got, c.want)
			}
		})
	}
}

func TestTallyPieces(t *testing.T) {
	const m = time.Minute
	pieces := []plant.Pieces{
		{Minute: foldAt(0), Product: "p", Good: 10, Reject: 3, Startup: 1},
		{Minute: foldAt(1 * m), Product: "q", Good: 5, Flags: plant.FlagNoOrder},
		{Minute: foldAt(2 * m), Product: "p", Good: 7, Resets: 1, Flags: plant.FlagReset}, // in the break
		{Minute: foldAt(3 * m), Product: "p", Good: 1},                                    // the break ends inside of this minute
		{Minute: foldAt(9 * m), Product: "p", Good: 100},
	}
	span := plant.Span{From: foldAt(0), To: foldAt(9 * m)}
	shifts := foldShift(foldAt(0), foldAt(20*m), plant.Span{From: foldAt(2 * m), To: foldAt(3*m + 30*time.Second)})
	r := TallyRules{Ideal: func(p string, _ plant.Time) (time.Duration, bool) { return time.Second, p == "p" }}
	for _, c := range []struct {
		name string
		set  func(*TallyRules)
		want plant.Window
	}{
		{"left out", func(*TallyRules) {}, plant.Window{Good: 16, Reject: 3, Startup: 1, IdealGood: 11 * time.Second, IdealReject: 3 * time.Second, IdealStartup: time.Second,
			Flags: plant.FlagNoOrder | plant.FlagNoIdeal | plant.FlagOvertime}},
		{"counted", func(r *TallyRules) { r.BreaksWorked = true }, plant.Window{Good: 23, Reject: 3, Startup: 1, IdealGood: 18 * time.Second, IdealReject: 3 * time.Second, IdealStartup: time.Second,
			Flags: plant.FlagNoOrder | plant.FlagNoIdeal | plant.FlagOvertime | plant.FlagReset}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.set(&r)
			got := Tally(span, nil, pieces, shifts, r)
			c.want.Span, c.want.ScheduleLoss, c.want.Unknown = span, got.ScheduleLoss, got.Unknown
			if got != c.want {
				t.Errorf("got\n%+v\nwant\n%+v", got, c.want)
			}
		})
	}
}

func TestTallyReliability(t *testing.T) {
	const m = time.Minute
	open := tallySegment(plant.ClassStop, 50*m, 58*m)
	open.Open = true
	segments := []plant.Segment{
		tallySegment(plant.ClassRun, 0, 10*m), tallySegment(plant.ClassStop, 10*m, 16*m), tallySegment(plant.ClassStop, 20*m, 21*m),
		tallySegment(plant.ClassStarved, 25*m, 30*m), tallySegment(plant.ClassRun, 30*m, 40*m), tallySegment(plant.ClassStop, 42*m, 46*m), open,
	}
	pause := plant.Span{From: foldAt(41 * m), To: foldAt(44 * m)}
	span := plant.Span{From: foldAt(0), To: foldAt(58 * m)}
	got := TallyReliability(span, segments, foldShift(foldAt(0), foldAt(60*m), pause), TallyRules{SmallStop: 2 * m})
	want := plant.Reliability{Operating: 21 * m, Failures: 2, Restored: 1, Restoring: 6 * m, Open: 8 * m}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// tallyPlant draws a day of a machine with its shifts and rules.
type tallyPlant struct {
	segments []plant.Segment
	pieces   []plant.Pieces
	shifts   []plant.ShiftInstance
	rules    TallyRules
}

func anyPlant(t *rapid.T) tallyPlant {
	m := anyModel(t)
	s := &foldScript{machine: "m", events: anyEvents(t)}
	p := tallyPlant{rules: TallyRules{
		SmallStop:              time.Duration(rapid.IntRange(0, 120).Draw(t, "small")) * time.Second,
		BreaksWorked:           rapid.Bool().Draw(t, "breaks worked"),
		PlannedStopsAsSchedule: rapid.Bool().Draw(t, "planned stops"),
		Ideal:                  m.Ideal,
	}}
	p.segments, p.pieces, _ = s.fold(m, foldAt(30*time.Minute))
	at := foldAt(0)
	for i := range rapid.IntRange(0, 3).Draw(t, "shifts") {
		from := at.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "pause")) * time.Second)
		length := rapid.IntRange(1, 900).Draw(t, "length")
		begin := rapid.IntRange(0, length).Draw(t, "break")
		end := rapid.IntRange(begin, length).Draw(t, "break end")
		second := func(n int) plant.Time { return from.Add(time.Duration(n) * time.Second) }
		at = second(length)
		in := plant.ShiftInstance{Name: string(rune('a' + i)), Span: plant.Span{From: from, To: at}}
		if end > begin {
			in.Breaks = []plant.Span{{From: second(begin), To: second(end)}}
		}
		p.shifts = append(p.shifts, in)
	}
	return p
}

// TestTallyAdds: every nanosecond is in one leaf, and a span cut at any full
// minute gives the sums of its parts; time may be cut anywhere.
func TestTallyAdds(t *testing.T) {
	foldCheck(t, func(t *rapid.T) {
		p := anyPlant(t)
		span := plant.Span{From: foldAt(0), To: foldAt(30 * time.Minute)}
		tally := func(s plant.Span) plant.Window { return Tally(s, p.segments, p.pieces, p.shifts, p.rules) }
		whole := tally(span)
		if sum := whole.ScheduleLoss + whole.Unknown + whole.UnplannedStop + whole.PlannedStop + whole.Run; sum != span.Length() {
			t.Fatalf("leaves sum to %v of %v: %+v", sum, span.Length(), whole)
		}
		if whole.SmallStop+whole.Inferred > whole.Run || whole.Changeover > whole.PlannedStop || whole.Starved+whole.Blocked > whole.UnplannedStop+whole.SmallStop {
			t.Fatalf("a part is more than its whole: %+v", whole)
		}
		cut := foldAt(time.Duration(rapid.IntRange(0, 30).Draw(t, "minute")) * time.Minute)
		sum := tally(plant.Span{From: span.From, To: cut})
		sum.Add(tally(plant.Span{From: cut, To: span.To}))
		if sum.Span = whole.Span; sum != whole {
			t.Fatalf("cut at %v\n%+v\n%+v", cut, sum, whole)
		}
		anywhere := foldAt(time.Duration(rapid.Int64Range(0, int64(30*time.Minute)).Draw(t, "anywhere")))
		sum = tally(plant.Span{From: span.From, To: anywhere})
		sum.Add(tally(plant.Span{From: anywhere, To: span.To}))
		if sum.Run != whole.Run || sum.Unknown != whole.Unknown || sum.UnplannedStop != whole.UnplannedStop || sum.ScheduleLoss != whole.ScheduleLoss || sum.Inferred != whole.Inferred || sum.Stops != whole.Stops {
			t.Fatalf("cut at %v\n%+v\n%+v", anywhere, sum, whole)
		}
		f := whole.Figures()
		if f.Performance != nil && f.Quality != nil && f.OEE != nil {
			if product := *f.Availability * *f.Performance * *f.Quality; math.Abs(product-*f.OEE) > 1e-9*max(1, math.Abs(*f.OEE)) {
				t.Fatalf("A x P x Q = %v, OEE %v: %+v", product, *f.OEE, whole)
			}
		}
	})
}

// TestHidingBounds: when nobody looks for a while, the bounds of OEE hold what
// it would have been. The pieces of that time are known by the counter, or
// lost with it.
func TestHidingBounds(t *testing.T) {
	foldCheck(t, func(t *rapid.T) {
		const ideal = 2 * time.Second
		m := foldModel(ideal)
		lost := rapid.Bool().Draw(t, "counter lost")
		minute := func(n int) plant.Time { return foldAt(time.Duration(n) * time.Minute) }
		hidden := plant.Span{From: minute(rapid.IntRange(1, 58).Draw(t, "from")).Add(time.Millisecond)}
		hidden.To = hidden.From.Add(time.Duration(rapid.IntRange(1, 60).Draw(t, "minutes")) * time.Minute)
		seen, blind := &foldScript{machine: "m"}, &foldScript{machine: "m"}
		blind.gap(hidden.From, hidden.To)
		good, base, state := int64(0), int64(0), "run"
		both := func(at plant.Time, signal string, v plant.Value) {
			seen.read(at, signal, v)
			if hidden.Has(at) {
				return
			}
			if n, ok := v.Count(); ok && at >= hidden.To && lost {
				v = plant.Integer(n - base)
			}
			blind.read(at, signal, v)
		}
		both(minute(0), "good", plant.Integer(0))
		for i := range 120 {
			at := minute(i)
			if rapid.IntRange(0, 3).Draw(t, "change") == 0 {
				state = rapid.SampledFrom([]string{"run", "stop", "starved", "change"}).Draw(t, "state")
			}
			both(at, "state", plant.Text(state))
			if state == "run" {
				for range rapid.IntRange(0, 30).Draw(t, "pieces") {
					at = at.Add(ideal)
					good++
					both(at, "good", plant.Integer(good))
					if at < hidden.To {
						base = good
					}
				}
			}
			if hidden.Has(minute(i)) && !hidden.Has(minute(i+1)) { // it looks again
				blind.state(hidden.To, state)
			}
		}
		span := plant.Span{From: minute(0), To: minute(121)}
		figures := func(s *foldScript) plant.Figures {
			segments, pieces, _ := s.fold(m, span.To)
			return Tally(span, segments, pieces, foldShift(span.From, span.To), TallyRules{Ideal: m.Ideal, SmallStop: 90 * time.Second}).Figures()
		}
		was, is := figures(seen), figures(blind)
		slack := 2 * ideal.Seconds() / was.PlannedS // a piece belongs to the time before it, its count to one instant
		if *is.OEELow > *was.OEE+slack || *is.OEEHigh < *was.OEE-slack {
			t.Fatalf("OEE was %v, bounds are %v to %v, coverage %v", *was.OEE, *is.OEELow, *is.OEEHigh, *is.Coverage)
		}
	})
}

// tallyShift is a shift of 500 segments with pieces in every minute.
func tallyShift() tallyPlant {
	m := foldModel(time.Second)
	s := &foldScript{machine: "m", events: foldStream()}
	p := tallyPlant{rules: TallyRules{SmallStop: 2 * time.Minute, Ideal: m.Ideal}}
	p.segments, p.pieces, _ = s.fold(m, foldAt(8*time.Hour))
	p.shifts = foldShift(foldAt(0), foldAt(8*time.Hour), plant.Span{From: foldAt(4 * time.Hour), To: foldAt(4*time.Hour + 30*time.Minute)})
	return p
}

func BenchmarkTally(b *testing.B) {
	p := tallyShift()
	span := plant.Span{From: foldAt(0), To: foldAt(8 * time.Hour)}
	b.ReportAllocs()
	for b.Loop() {
		_ = Tally(span, p.segments, p.pieces, p.shifts, p.rules)
	}
}
