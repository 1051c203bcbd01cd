package twin

import (
	"math"
	"testing"
	"time"

	"linetwin/plant"
)

// The golden cases begin at midnight of a day in UTC.
var foldDay = plant.At(time.Date(2025, 5, 5, 0, 0, 0, 0, time.UTC))

// foldAt gives the time that is d after the day's start.
func foldAt(d time.Duration) plant.Time { return foldDay.Add(d) }

// foldClock gives the time that the clock shows, as in 14:03:53.
func foldClock(h, m, s int) plant.Time {
	return foldAt(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second)
}

// foldScript gathers the events of one machine.
type foldScript struct {
	machine string
	events  []Event
}

func (s *foldScript) read(at plant.Time, signal string, v plant.Value) {
	s.events = append(s.events, Event{Time: at, Kind: EventReading, Reading: plant.Reading{Machine: s.machine, Signal: signal, Time: at, Value: v}})
}

func (s *foldScript) bad(at plant.Time, signal, reason string) {
	s.events = append(s.events, Event{Time: at, Kind: EventReading, Reading: plant.Reading{Machine: s.machine, Signal: signal, Time: at, Quality: plant.Bad, Reason: reason}})
}

func (s *foldScript) state(at plant.Time, v string)            { s.read(at, "state", plant.Text(v)) }
func (s *foldScript) count(at plant.Time, sig string, n int64) { s.read(at, sig, plant.Integer(n)) }
func (s *foldScript) gap(from, to plant.Time) {
	s.events = append(s.events, Event{Time: from, Kind: EventGap, Until: to})
}

// making counts n good pieces one by one, evenly over (from, to].
func (s *foldScript) making(from, to plant.Time, base, n int64) int64 {
	for i := int64(1); i <= n; i++ {
		at := from.Add(time.Duration(int64(to.Sub(from)) * i / n)).Floor(time.Millisecond)
		s.count(at, "good", base+i)
	}
	return base + n
}

// foldModel is a machine that says everything by words.
func foldModel(ideal time.Duration) *MachineModel {
	return &MachineModel{
		ID:      "m",
		Signals: map[plant.Role]string{plant.RoleState: "state", plant.RoleGood: "good", plant.RoleReject: "reject", plant.RoleProduct: "product", plant.RoleOrder: "order", plant.RoleFault: "fault"},
		States: map[string]StateMeaning{
			"run": {plant.StateExecute, plant.ClassRun}, "stop": {plant.StateAborted, plant.ClassStop}, "held": {plant.StateHeld, plant.ClassStop},
			"starved": {plant.StateSuspended, plant.ClassStarved}, "blocked": {plant.StateSuspended, plant.ClassBlocked},
			"change": {plant.StateStopped, plant.ClassChangeover}, "clean": {plant.StateStopped, plant.ClassPlannedStop},
		},
		Ideal:          func(string, plant.Time) (time.Duration, bool) { return ideal, ideal > 0 },
		DefaultProduct: "p",
	}
}

func (s *foldScript) fold(m *MachineModel, through plant.Time) ([]plant.Segment, []plant.Pieces, Checkpoint) {
	var cp Checkpoint
	var out Output
	m.Fold(&cp, SortEvents(s.events), through, &out)
	segments := append(out.Segments, cp.Held()...)
	if open, ok := cp.Segment(); ok && !open.Empty() {
		segments = append(segments, open)
	}
	return segments, out.Pieces, cp
}

func foldShift(from, to plant.Time, breaks ...plant.Span) []plant.ShiftInstance {
	return []plant.ShiftInstance{{Name: "s", Span: plant.Span{From: from, To: to}, Breaks: breaks}}
}

func foldNear(t *testing.T, what string, got *float64, want float64) {
	t.Helper()
	if got == nil {
		t.Errorf("%s is null, want %v", what, want)
	} else if math.Abs(*got-want) > 1e-6 {
		t.Errorf("%s = %.9f, want %v", what, *got, want)
	}
}

func foldFactors(t *testing.T, f plant.Figures, a, p, q, oee float64) {
	t.Helper()
	foldNear(t, "A", f.Availability, a)
	foldNear(t, "P", f.Performance, p)
	foldNear(t, "Q", f.Quality, q)
	foldNear(t, "OEE", f.OEE, oee)
}

// TestGolden holds the whole way from readings to figures against the cases of
// oee.md 5 that are about events.
func TestGolden(t *testing.T) {
	t.Run("G1", goldenG1)
	t.Run("G4", goldenG4)
	t.Run("D1", goldenD1)
	t.Run("D2", goldenD2)
	t.Run("D3", goldenD3)
	t.Run("D5", goldenD5)
	t.Run("D6", goldenD6)
	for _, c := range goldenMore {
		t.Run(c.name, c.run)
	}
}

// goldenG1 is the worksheet of oee.com, made by a machine of its own: 480 min
// with breaks of 15, 15 and 30, a stop of 47.
func goldenG1(t *testing.T) {
	s := &foldScript{machine: "m"}
	begin, end := foldClock(6, 0, 0), foldClock(14, 0, 0)
	s.count(begin, "good", 0)
	s.count(begin, "reject", 0)
	s.state(begin, "run")
	s.state(foldClock(10, 0, 0), "stop")
	s.state(foldClock(10, 47, 0), "run")
	s.count(foldClock(9, 30, 0), "good", 9000)
	s.count(foldClock(13, 59, 0), "good", 19271-423)
	s.count(foldClock(13, 59, 0), "reject", 423)
	segments, pieces, _ := s.fold(foldModel(time.Second), end)
	pause := func(h, m, length int) plant.Span {
		return plant.Span{From: foldClock(h, m, 0), To: foldClock(h, m+length, 0)}
	}
	shift := foldShift(begin, end, pause(8, 0, 15), pause(11, 0, 30), pause(13, 0, 15))
	w := Tally(plant.Span{From: begin, To: end}, segments, pieces, shift, TallyRules{Ideal: foldModel(time.Second).Ideal})
	foldFactors(t, w.Figures(), .888095, .861081, .978050, .747937)
}

func goldenG4(t *testing.T) {
	m := foldModel(21 * time.Second)
	m.Signals = map[plant.Role]string{plant.RoleState: "state", plant.RoleTotal: "total", plant.RoleReject: "bad"}
	s := &foldScript{machine: "m"}
	for _, x := range []struct {
		at         plant.Time
		state      string
		total, bad int64
	}{
		{foldClock(0, 0, 0), "run", 0, 0}, {foldClock(4, 3, 53), "stop", 673, 5},
		{foldClock(4, 24, 53), "run", 673, 5}, {foldClock(8, 0, 1), "run", 1298, 13},
	} {
		s.state(x.at, x.state)
		s.count(x.at, "total", x.total)
		s.count(x.at, "bad", x.bad)
	}
	span := plant.Span{From: foldClock(0, 0, 0), To: foldClock(8, 0, 1)}
	segments, pieces, _ := s.fold(m, span.To)
	// 8 h are planned of the 8 h and 1 s that the case runs.
	shift := foldShift(span.From, span.To, plant.Span{From: foldClock(4, 10, 0), To: foldClock(4, 10, 1)})
	w := Tally(span, segments, pieces, shift, TallyRules{Ideal: m.Ideal})
	if w.Run != 27541*time.Second || w.Planned() != 8*time.Hour {
		t.Errorf("run %v of %v", w.Run, w.Planned())
	}
	foldFactors(t, w.Figures(), .956285, .989724, .989985, .936979)
}

func goldenD1(t *testing.T) {
	for _, c := range []struct {
		name   string
		width  int
		counts []int64
		good   int64
		resets int64
	}{
		{"rolls over", 16, []int64{65530, 4, 10}, 16, 0},
		{"is reset", 16, []int64{500, 3, 9}, 9, 1},
		{"width is not known", 0, []int64{65530, 4, 10}, 10, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := foldModel(time.Second)
			m.Widths = map[plant.Role]int{plant.RoleGood: c.width}
			s := &foldScript{machine: "m"}
			s.state(foldAt(0), "run")
			for i, n := range c.counts {
				s.count(foldAt(time.Duration(i)*10*time.Second), "good", n)
			}
			_, pieces, _ := s.fold(m, foldAt(time.Minute))
			var sum plant.Pieces
			for _, p := range pieces {
				sum.Good += p.Good
				sum.Resets += p.Resets
				sum.Flags |= p.Flags
			}
			if sum.Good != c.good || sum.Resets != c.resets || (sum.Flags&plant.FlagReset != 0) != (c.resets > 0) {
				t.Errorf("good %d, resets %d, flags %v; want %d, %d", sum.Good, sum.Resets, sum.Flags.Names(), c.good, c.resets)
			}
		})
	}
}

// goldenD2Script is 480 min with a gap of an hour in which 50 pieces were
// made, 441 of 450 good.
func goldenD2Script() *foldScript {
	s := &foldScript{machine: "m"}
	minute := func(n int) plant.Time { return foldAt(time.Duration(n) * time.Minute) }
	s.state(minute(0), "run")
	s.count(minute(0), "good", 1000)
	s.count(minute(0), "reject", 7)
	n := s.making(minute(0), minute(200), 1000, 200)
	s.gap(minute(200), minute(260))
	s.state(minute(260), "run")
	s.count(minute(260), "good", n+50)
	s.count(minute(260), "reject", 7)
	s.making(minute(260), minute(479), n+50, 191)
	s.count(minute(300), "reject", 16)
	return s
}

func goldenD2(t *testing.T) {
	m := foldModel(time.Minute)
	span := plant.Span{From: foldAt(0), To: foldAt(8 * time.Hour)}
	segments, pieces, _ := goldenD2Script().fold(m, span.To)
	w := Tally(span, segments, pieces, foldShift(span.From, span.To), TallyRules{Ideal: m.Ideal, SmallStop: time.Minute})
	if w.Inferred != 50*time.Minute || w.Unknown != 10*time.Minute {
		t.Errorf("inferred %v, unknown %v; want 50m, 10m", w.Inferred, w.Unknown)
	}
	if w.Flags&plant.FlagInferred == 0 {
		t.Error("inferred run time is not flagged")
	}
	f := w.Figures()
	foldNear(t, "coverage", f.Coverage, .979167)
	foldFactors(t, f, 1, .957447, .98, .938298)
	foldNear(t, "low", f.OEELow, .918750)
	foldNear(t, "high", f.OEEHigh, .939583)
}

func goldenD3(t *testing.T) {
	m := foldModel(0)
	m.Ideal = func(product string, _ plant.Time) (time.Duration, bool) {
		d := map[string]time.Duration{"a": 30 * time.Second, "b": 45 * time.Second}[product]
		return d, d > 0
	}
	s := &foldScript{machine: "m"}
	minute := func(n int) plant.Time { return foldAt(time.Duration(n) * time.Minute) }
	s.read(minute(0), "product", plant.Text("a"))
	s.state(minute(0), "run")
	s.count(minute(0), "good", 0)
	s.count(minute(0), "reject", 0)
	s.count(minute(239), "good", 392)
	s.count(minute(239), "reject", 8)
	s.state(minute(240), "change")
	s.read(minute(260), "product", plant.Text("b"))
	s.state(minute(270), "run")
	s.state(minute(300), "stop")
	s.state(minute(320), "run")
	s.count(minute(479), "good", 632)
	s.count(minute(479), "reject", 18)
	span := plant.Span{From: minute(0), To: minute(480)}
	segments, pieces, _ := s.fold(m, span.To)
	w := Tally(span, segments, pieces, foldShift(span.From, span.To), TallyRules{Ideal: m.Ideal, SmallStop: 2 * time.Minute})
	foldFactors(t, w.Figures(), .895833, .901163, .970323, .783333)
	if w.Changes != 1 || w.Changeover != 30*time.Minute || w.Stops != 1 {
		t.Errorf("%d changeovers of %v, %d stops", w.Changes, w.Changeover, w.Stops)
	}
}

func goldenD5(t *testing.T) {
	m := foldModel(time.Second)
	s := &foldScript{machine: "m"}
	s.state(foldClock(13, 0, 0), "run")
	s.state(foldClock(13, 58, 30), "stop")
	s.read(foldClock(13, 58, 31), "fault", plant.Text("E42"))
	s.state(foldClock(14, 1, 0), "run")
	segments, pieces, _ := s.fold(m, foldClock(15, 0, 0))
	change := foldClock(14, 0, 0)
	shifts := append(foldShift(foldClock(6, 0, 0), change), foldShift(change, foldClock(22, 0, 0))...)
	r := TallyRules{SmallStop: 120 * time.Second, Ideal: m.Ideal}
	first := Tally(plant.Span{From: foldClock(13, 0, 0), To: change}, segments, pieces, shifts[:1], r)
	second := Tally(plant.Span{From: change, To: foldClock(15, 0, 0)}, segments, pieces, shifts[1:], r)
	if first.UnplannedStop != 90*time.Second || second.UnplannedStop != 60*time.Second {
		t.Errorf("downtime %v and %v, want 90 s and 60 s", first.UnplannedStop, second.UnplannedStop)
	}
	if first.Stops != 1 || second.Stops != 0 || first.SmallStops+second.SmallStops != 0 {
		t.Errorf("stops %d and %d, want 1 in the first shift", first.Stops, second.Stops)
	}
	if len(segments) != 3 || segments[1].Fault != "E42" || segments[1].Length() != 150*time.Second {
		t.Errorf("segments %+v", segments)
	}
}

// goldenD6 is a line of three machines in series: whatever the first and the
// last of them score, the line is good pieces x the bottleneck's ideal cycle.
func goldenD6(t *testing.T) {
	span := plant.Span{From: foldAt(0), To: foldAt(28800 * time.Second)}
	feeder := &foldScript{machine: "feeder"}
	feeder.state(span.From, "run")
	feeder.count(span.From, "good", 0)
	feeder.state(foldAt(time.Hour), "blocked")
	feeder.state(foldAt(3*time.Hour), "run")
	feeder.count(foldAt(7*time.Hour), "good", 15000)

	neck := &foldScript{machine: "neck"}
	neck.state(span.From, "run")
	neck.count(span.From, "good", 0)
	neck.state(foldAt(2*time.Hour), "stop")
	neck.state(foldAt(2*time.Hour+20*time.Minute), "run")
	neck.count(foldAt(7*time.Hour), "good", 12600)

	packer := &foldScript{machine: "packer"}
	packer.state(span.From, "starved")
	packer.count(span.From, "good", 0)
	packer.count(span.From, "reject", 0)
	packer.state(foldAt(4*time.Hour), "run")
	packer.count(foldAt(7*time.Hour), "good", 1000)
	packer.count(foldAt(7*time.Hour), "reject", 5)

	fast, slow, boxes := foldModel(time.Second), foldModel(2*time.Second), foldModel(1600*time.Millisecond)
	fast.ID, slow.ID, boxes.ID = "feeder", "neck", "packer"
	boxes.PiecesPerCount = 12
	_, atFeeder, _ := feeder.fold(fast, span.To)
	segments, atNeck, _ := neck.fold(slow, span.To)
	_, atPacker, _ := packer.fold(boxes, span.To)
	w := TallyLine(span, segments, atPacker, [][]plant.Pieces{atFeeder, atNeck, atPacker}, foldShift(span.From, span.To), TallyRules{Ideal: slow.Ideal, SmallStop: 2 * time.Minute})
	f := w.Figures()
	foldNear(t, "line OEE", f.OEE, .833333)
	foldNear(t, "line A", f.Availability, 1-1200.0/28800)
	if w.Good != 12000 || w.Reject != 60 || w.Stops != 1 || w.Starved+w.Blocked != 0 {
		t.Errorf("good %d, reject %d, stops %d, starved %v", w.Good, w.Reject, w.Stops, w.Starved)
	}
}
