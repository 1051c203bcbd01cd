package twin

import (
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"linetwin/plant"
)

// told is a line of two machines with what they told, and a book.
type toldLine struct {
	*line
	told map[string]plant.Past
	day  plant.Span
}

func newTold(t interface {
	Helper()
	Fatal(...any)
}) *toldLine {
	t.Helper()
	roles := map[plant.Role]string{plant.RoleState: "state", plant.RoleGood: "good", plant.RoleReject: "reject"}
	cfg := &Config{
		Site: "s", Zone: "UTC",
		Calendars: map[string]plant.Calendar{"c": {Zone: "UTC", Shifts: []plant.Shift{
			{Name: "early", Start: "00:00", Length: 6 * time.Hour, Breaks: []plant.Break{{Start: "02:00", Length: 20 * time.Minute}}},
			{Name: "late", Start: "06:30", Length: 5 * time.Hour}}}},
		Products: []ProductConfig{{ID: "a", IdealCycle: map[string]time.Duration{"press": 2 * time.Second, "pack": 2 * time.Second}},
			{ID: "b", IdealCycle: map[string]time.Duration{"press": 3 * time.Second}}},
		Reasons: []plant.Reason{{ID: "jam"}, {ID: "tool"}, {ID: "cleaning", Class: plant.ClassPlannedStop}, {ID: "setup", Class: plant.ClassChangeover}},
		Areas: []AreaConfig{{ID: "area", Lines: []LineConfig{{ID: "line", Calendar: "c", Flow: []string{"press", "pack"}, Bottleneck: "press", Product: "a",
			SmallStop: 2 * time.Minute, Machines: []MachineConfig{{ID: "press", Roles: roles, Faults: map[string]string{"17": "jam"}}, {ID: "pack", Roles: roles}}}}}},
	}
	if faults := cfg.Check(); len(faults) > 0 {
		t.Fatal(faults)
	}
	said := new(atomic.Pointer[book])
	said.Store(newBook(nil))
	l, err := newLine(cfg, "area", &cfg.Areas[0].Lines[0], said)
	if err != nil {
		t.Fatal(err)
	}
	from := plant.At(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC))
	return &toldLine{line: l, told: map[string]plant.Past{}, day: plant.Span{From: from, To: from.Add(12 * time.Hour)}}
}

func (l *toldLine) at(d time.Duration) plant.Time { return l.day.From.Add(d) }

// source tells of a span only what a store would.
func (l *toldLine) source(m *machine, span plant.Span) plant.Past {
	past := l.told[m.cfg.ID]
	return plant.Past{Segments: overlapping(past.Segments, span), Pieces: within(past.Pieces, span)}
}

func (l *toldLine) say(entries ...plant.Entry) {
	for i := range entries {
		entries[i].ID = uint64(i + 1)
	}
	l.book.Store(newBook(entries))
}

func (l *toldLine) sums(span plant.Span) plant.Window {
	return l.windowFrom(l.amended(l.source), span)
}

// anyTold draws what the machines told: states with gaps, unknown time with
// pieces, pieces of two products.
func anyTold(t *rapid.T, l *toldLine) {
	for _, m := range l.machines {
		var past plant.Past
		at := l.day.From.Add(-time.Hour)
		last := plant.ClassNotScheduled
		for at < l.day.To.Add(time.Hour) {
			s := plant.Segment{Machine: m.cfg.ID, Span: plant.Span{From: at, To: at.Add(time.Duration(rapid.SampledFrom([]int{1, 30, 59, 119, 121, 600, 4000, 9000}).Draw(t, "length")) * time.Second)}}
			s.Class = rapid.SampledFrom([]plant.Class{plant.ClassRun, plant.ClassRun, plant.ClassStop, plant.ClassStop, plant.ClassStarved, plant.ClassChangeover, plant.ClassUnknown, plant.ClassPlannedStop}).Draw(t, "class")
			if s.Class == last {
				continue
			}
			if last = s.Class; s.Class == plant.ClassUnknown {
				s.Pieces, s.Product = rapid.Int64Range(0, 400).Draw(t, "explain"), "a"
			}
			if s.Class == plant.ClassStop {
				s.Fault = rapid.SampledFrom([]string{"", "17"}).Draw(t, "fault")
			}
			at = s.To
			if rapid.IntRange(0, 9).Draw(t, "hole") > 0 {
				past.Segments = append(past.Segments, s)
			}
		}
		for at := l.day.From.Add(-time.Hour); at < l.day.To; at = at.Add(time.Duration(rapid.SampledFrom([]int{1, 1, 1, 7, 200}).Draw(t, "minutes")) * time.Minute) {
			past.Pieces = append(past.Pieces, plant.Pieces{Machine: m.cfg.ID, Minute: at, Product: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "product"),
				Good: rapid.Int64Range(0, 30).Draw(t, "good"), Reject: rapid.Int64Range(0, 3).Draw(t, "reject"), Flags: plant.FlagNoOrder})
		}
		l.told[m.cfg.ID] = past
	}
}

// anySaid draws what people say of instants, well formed as Check wants it.
func anySaid(t *rapid.T, l *toldLine, kinds ...plant.EntryKind) []plant.Entry {
	var all []plant.Entry
	for range rapid.IntRange(1, 12).Draw(t, "entries") {
		e := plant.Entry{By: "op", Kind: rapid.SampledFrom(kinds).Draw(t, "kind")}
		machine := rapid.SampledFrom([]string{"press", "press", "pack"}).Draw(t, "machine")
		minute := rapid.IntRange(0, 719).Draw(t, "minute")
		at := l.at(time.Duration(minute) * time.Minute)
		if e.Kind != plant.EntryCount {
			at = at.Add(time.Duration(rapid.IntRange(0, 59999).Draw(t, "ms")) * time.Millisecond)
		}
		if ss := l.told[machine].Segments; e.Kind != plant.EntryCount && len(ss) > 0 && rapid.Bool().Draw(t, "of a segment") {
			at = ss[rapid.IntRange(0, len(ss)-1).Draw(t, "segment")].From
		}
		more := func() plant.Time {
			return at.Add(time.Duration(rapid.SampledFrom([]int{1, 5000, 60_000, 600_000, 9_000_000}).Draw(t, "ms more")) * time.Millisecond)
		}
		reason := rapid.SampledFrom([]string{"", "jam", "cleaning", "setup"}).Draw(t, "reason")
		e.Key = plant.AtKey(machine, at)
		switch e.Kind {
		case plant.EntryStop:
			e.Value = plant.RawJSON(fmt.Sprintf(`{"reason": %q}`, reason))
		case plant.EntrySplit:
			e.Value = plant.RawJSON(fmt.Sprintf(`{"parts": [{"reason": %q}, {"from": %q, "reason": "tool"}]}`, reason, more()))
		case plant.EntryMerge:
			e.Value = plant.RawJSON(fmt.Sprintf(`{"to": %q, "reason": %q}`, plant.AtKey(machine, more()), reason))
		case plant.EntryState:
			class := rapid.SampledFrom([]string{"run", "stop", "starved", "changeover", "planned_stop", "unknown"}).Draw(t, "class")
			e.Value = plant.RawJSON(fmt.Sprintf(`{"to": %q, "class": %q}`, more(), class))
		case plant.EntryCount:
			c := fmt.Sprintf(`"good": %d, "reject": %d`, rapid.IntRange(-20, 200).Draw(t, "good"), rapid.IntRange(1, 9).Draw(t, "reject"))
			switch rapid.IntRange(0, 2).Draw(t, "form") {
			case 1:
				c += fmt.Sprintf(`, "to": %q`, at.Add(time.Duration(rapid.IntRange(1, 200).Draw(t, "minutes"))*time.Minute))
			case 2:
				c = fmt.Sprintf(`"good": 70, "reject": 3, "replace": true, "to": %q`, at.Add(time.Duration(rapid.IntRange(1, 200).Draw(t, "minutes"))*time.Minute))
			}
			e.Value = plant.RawJSON("{" + c + "}")
		}
		if faults := e.Check(); len(faults) > 0 {
			t.Fatalf("%s %s: %v", e.Kind, e.Value, faults)
		}
		all = append(all, e)
	}
	return all
}

var saidOfMachines = []plant.EntryKind{plant.EntryStop, plant.EntrySplit, plant.EntryMerge, plant.EntryState, plant.EntryCount}

// TestSaidLeaves: whatever was said, each instant is in one leaf, and a window
// that is cut anywhere gives the same sums as its parts.
func TestSaidLeaves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newTold(t)
		anyTold(t, l)
		l.say(anySaid(t, l, saidOfMachines...)...)
		whole := l.sums(l.day)
		if whole.All() != l.day.Length() {
			t.Fatalf("leaves of %s sum to %s", l.day.Length(), whole.All())
		}
		cut := l.at(time.Duration(rapid.IntRange(1, 719).Draw(t, "cut")) * time.Minute)
		parts := l.sums(plant.Span{From: l.day.From, To: cut})
		parts.Add(l.sums(plant.Span{From: cut, To: l.day.To}))
		if parts != whole {
			t.Fatalf("cut at %s\n%+v, whole\n%+v", cut, parts, whole)
		}
		for _, m := range l.machines {
			whole := m.windowFrom(l.amended(l.source), l.day)
			parts := m.windowFrom(l.amended(l.source), plant.Span{From: l.day.From, To: cut})
			parts.Add(m.windowFrom(l.amended(l.source), plant.Span{From: cut, To: l.day.To}))
			if parts != whole || whole.All() != l.day.Length() {
				t.Fatalf("%s cut at %s\n%+v, whole\n%+v", m.cfg.ID, cut, parts, whole)
			}
		}
	})
}

// TestSaidUndone: what was taken back was never said.
func TestSaidUndone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newTold(t)
		anyTold(t, l)
		look := func() []plant.Past {
			var all []plant.Past
			for _, m := range l.machines {
				all = append(all, l.amended(l.source)(m, l.day))
			}
			return all
		}
		kept := anySaid(t, l, saidOfMachines...)
		l.say(kept...)
		sums, past := l.sums(l.day), look()
		more := anySaid(t, l, saidOfMachines...)
		all := append(slices.Clone(kept), more...)
		for i := range more {
			e := more[i]
			e.Value, e.Undoes = nil, uint64(len(kept)+i+1)
			all = append(all, e)
		}
		l.say(all...)
		if again := l.sums(l.day); again != sums || !reflect.DeepEqual(look(), past) {
			t.Fatalf("after undoing %v\n%+v, was\n%+v", more, again, sums)
		}
	})
}

// TestSaidInAnyOrder: of what does not compete the order does not matter.
func TestSaidInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newTold(t)
		anyTold(t, l)
		var said []plant.Entry
		hours := map[string]bool{}
		for _, e := range anySaid(t, l, plant.EntrySplit, plant.EntryMerge, plant.EntryState, plant.EntryCount) {
			id, at, _ := plant.CutAtKey(e.Key)
			until := at.Add(time.Minute)
			switch e.Kind {
			case plant.EntrySplit, plant.EntryMerge: // without reasons: those are who spoke last
				e.Value = plant.RawJSON(`{"to": "` + plant.AtKey(id, at.Add(20*time.Minute)) + `"}`)
				if e.Kind == plant.EntrySplit {
					e.Value = plant.RawJSON(`{"parts": [{}, {"from": "` + at.Add(time.Minute).String() + `"}]}`)
				}
				hours[string(e.Kind)+e.Key] = true
				said = append(said, e)
				continue
			case plant.EntryState:
				s, _ := plant.Said[plant.StateSaid](&e)
				until = s.To
			case plant.EntryCount:
				c, _ := plant.Said[plant.CountSaid](&e)
				until = c.Span(at).To
			}
			free := true
			for h := at.Floor(time.Hour); h < until; h = h.Add(time.Hour) {
				k := string(e.Kind) + plant.AtKey(id, h)
				free = free && !hours[k]
				hours[k] = true
			}
			if free {
				said = append(said, e)
			}
		}
		l.say(slices.Clone(said)...)
		sums := l.sums(l.day)
		l.say(rapid.Permutation(said).Draw(t, "order")...)
		if other := l.sums(l.day); other != sums {
			t.Fatalf("in another order\n%+v, was\n%+v", other, sums)
		}
	})
}

// TestSplitKeepsTime: dividing stops changes how many there are, and where time
// went only by reasons.
func TestSplitKeepsTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newTold(t)
		anyTold(t, l)
		said := anySaid(t, l, plant.EntrySplit, plant.EntryMerge)
		for i := range said {
			if said[i].Kind == plant.EntrySplit {
				s, _ := plant.Said[plant.SplitSaid](&said[i])
				said[i].Value = plant.RawJSON(`{"parts": [{}, {"from": "` + s.Parts[1].From.String() + `"}]}`)
				continue
			}
			s, _ := plant.Said[plant.MergeSaid](&said[i])
			said[i].Value = plant.RawJSON(`{"to": "` + s.To + `"}`)
		}
		// With and without the splits; merges stay.
		without := slices.DeleteFunc(slices.Clone(said), func(e plant.Entry) bool { return e.Kind == plant.EntrySplit })
		l.say(without...)
		was := l.sums(l.day)
		l.say(said...)
		is := l.sums(l.day)
		if is.Stops+is.SmallStops < was.Stops+was.SmallStops {
			t.Fatalf("fewer stops: %+v, was %+v", is, was)
		}
		is.Stops, is.SmallStops, is.Changes = was.Stops, was.SmallStops, was.Changes
		if is != was {
			t.Fatalf("time is\n%+v, was\n%+v", is, was)
		}
	})
}

// TestCorrectedInstants: at each instant a machine is what was said of it last,
// else what it told.
func TestCorrectedInstants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newTold(t)
		anyTold(t, l)
		said := anySaid(t, l, plant.EntryState)
		l.say(said...)
		m := l.machines[0]
		at := func(ss []plant.Segment, i plant.Time) plant.Class {
			for _, s := range ss {
				if s.Has(i) {
					return s.Class
				}
			}
			return plant.ClassUnknown
		}
		got := l.amended(l.source)(m, l.day).Segments
		for i := 1; i < len(got); i++ {
			if got[i].From < got[i-1].To {
				t.Fatalf("%+v overlaps %+v", got[i], got[i-1])
			}
		}
		look := []plant.Time{l.day.From, l.day.To - 1}
		for _, s := range append(slices.Clone(l.told["press"].Segments), got...) {
			look = append(look, s.From, s.To-1, s.To)
		}
		for _, i := range look {
			if !l.day.Has(i) {
				continue
			}
			want := at(l.told["press"].Segments, i)
			for n := range said {
				s, _ := plant.Said[plant.StateSaid](&said[n])
				if id, from, _ := plant.CutAtKey(said[n].Key); id == "press" && from <= i && i < s.To && !sameSaidLater(said, n) {
					want = *s.Class
				}
			}
			if c := at(got, i); c != want {
				t.Fatalf("at %s it is %s, want %s", i, c, want)
			}
		}
	})
}

// sameSaidLater tells whether the same instant was spoken of again.
func sameSaidLater(said []plant.Entry, n int) bool {
	return slices.ContainsFunc(said[n+1:], func(e plant.Entry) bool { return e.Key == said[n].Key })
}

// TestRecountedSums: what is added is added, what replaces is all there is, and
// nothing is negative that is not flagged.
func TestRecountedSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newTold(t)
		anyTold(t, l)
		m := l.machines[0]
		e := anySaid(t, l, plant.EntryCount)[0]
		_, at, _ := plant.CutAtKey(e.Key)
		e.Key = plant.AtKey("press", at)
		c, _ := plant.Said[plant.CountSaid](&e)
		span := c.Span(at)
		count := func() (good, reject int64, flags plant.Flag, least int64) {
			for _, p := range within(l.amended(l.source)(m, span).Pieces, span) {
				good, reject, flags, least = good+p.Good, reject+p.Reject, flags|p.Flags, min(least, p.Good, p.Reject)
			}
			return good, reject, flags, least
		}
		good, reject, _, _ := count()
		l.say(e)
		g, r, flags, least := count()
		if c.Replace {
			good, reject = 0, 0
		}
		if g != good+c.Good || r != reject+c.Reject {
			t.Fatalf("%s %s: %d and %d, were %d and %d", e.Key, e.Value, g, r, good, reject)
		}
		if (least < 0) != (flags&plant.FlagNegative != 0) || least < 0 && good+c.Good >= 0 {
			t.Fatalf("%s %s: least %d, flags %v", e.Key, e.Value, least, flags.Names())
		}
		if flags&plant.FlagCorrected == 0 {
			t.Fatalf("%s %s: not flagged", e.Key, e.Value)
		}
	})
}
