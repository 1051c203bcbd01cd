package twin_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
	"linetwin/twin"
)

// looked gives a day's batches of a line that is looked at once a minute: it
// runs, stops and jams, loses its link over the end of a shift, and its counters
// go on meanwhile and are reset.
func looked(seed uint64, hours int) []*plant.Batch {
	rng := rand.New(rand.NewPCG(seed, 3))
	type state struct {
		code, good, reject int64
		prev               plant.Time
		away               int
	}
	machines := []string{"feed", "press", "pack"}
	states := map[string]*state{}
	var all []*plant.Batch
	for minute := 0; minute <= hours*60; minute++ {
		at := begin.Add(time.Duration(minute) * time.Minute)
		for _, m := range machines {
			s := states[m]
			if s == nil {
				s = &state{code: 6, good: 65000, prev: at}
				states[m] = s
			}
			if s.code == 6 && minute > 0 {
				s.good = (s.good + 25 + rng.Int64N(6)) % 65536
				s.reject += rng.Int64N(2)
			}
			if rng.IntN(12) == 0 {
				s.code = []int64{6, 6, 5, 11}[rng.IntN(4)]
			}
			if minute == 8*60-4 && m != "feed" || rng.IntN(150) == 0 {
				s.away = 2 + rng.IntN(20)
			}
			if s.away--; s.away > 0 {
				continue
			}
			b := &plant.Batch{Area: area, Gateway: gatewayID, Machine: m, Sequence: uint64(len(all) + 1), Complete: plant.Span{From: s.prev, To: at}}
			if s.away == 0 { // nobody looked meanwhile
				b.Complete.From = at.Add(-time.Second)
			}
			for signal, v := range map[string]int64{"state": s.code, "good": s.good, "reject": s.reject, "fault": 17 * (s.code / 11)} {
				b.Readings = append(b.Readings, plant.Reading{Machine: m, Signal: signal, Time: at, Value: plant.Integer(v)})
			}
			s.prev = at
			all = append(all, b)
		}
	}
	return thin(all)
}

// aged is a line that worked for a day, told as it went, whose shifts are
// published and, unless it is young, older than what a twin keeps in memory.
type aged struct {
	*rig
	span plant.Span
}

func newAged(t *testing.T, seed uint64, how string) *aged {
	a := &aged{rig: newRig(t), span: plant.Span{From: begin, To: begin.Add(24 * time.Hour)}}
	a.setClock(a.span.To.Add(time.Hour))
	batches := looked(seed, 25)
	a.deliver(batches)
	a.acknowledged(uint64(len(batches)))
	a.eventually("three shifts are published", func() bool {
		a.setClock(plant.At(a.clock()).Add(5 * time.Second))
		results, err := a.ledger.Results(context.Background(), "line", a.span)
		return err == nil && len(results) == 3
	})
	if how != young {
		a.later(how == bare)
	}
	return a
}

const (
	young = "in the twin's memory"
	old   = "older than the twin's memory"
	bare  = "older, and the ledger has no checkpoints of it" // as after ten days
)

// later lets the line work on when all is twenty days old.
func (a *aged) later(bare bool) {
	a.t.Helper()
	now := a.span.To.Add(20 * 24 * time.Hour)
	a.setClock(now)
	n := uint64(100_000)
	for _, m := range []string{"feed", "press", "pack"} {
		for i := range 3 { // what was open is closed and saved
			n++
			at := now.Add(time.Duration(i-2) * time.Hour)
			a.twin.Batch(&plant.Batch{Area: area, Gateway: gatewayID, Machine: m, Sequence: n, Complete: plant.Span{From: at.Add(-time.Hour), To: at},
				Readings: []plant.Reading{{Machine: m, Signal: "state", Time: at.Add(-time.Minute), Value: plant.Integer(5)}, {Machine: m, Signal: "good", Time: at.Add(-time.Minute), Value: plant.Integer(1)}}})
		}
	}
	a.eventually("the day's end is in the ledger", func() bool {
		for _, m := range []string{"feed", "press", "pack"} {
			past, err := a.ledger.Past(context.Background(), m, plant.Span{From: a.span.To.Add(time.Hour - time.Millisecond), To: a.span.To.Add(time.Hour)})
			if err != nil || len(past.Segments) == 0 {
				return false
			}
		}
		return true
	})
	if bare {
		a.exec("DELETE FROM checkpoints")
	}
}

// heard waits until the twin has read its ledger.
func (a *aged) heard() {
	a.t.Helper()
	a.eventually("the entries are read", func() bool {
		_, err := a.recompute(plant.Recompute{Span: a.span, Dry: true})
		return !errors.Is(err, plant.ErrOffline)
	})
}

func (a *aged) exec(query string) {
	a.t.Helper()
	db, err := sql.Open("sqlite", "file:"+a.dir+"/ledger.db?_pragma=busy_timeout(60000)")
	if err != nil {
		a.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query); err != nil {
		a.t.Fatal(err)
	}
}

func (a *aged) recompute(r plant.Recompute) ([]plant.Effect, error) {
	r.By, r.Why = "li.wei", "to be sure"
	return a.twin.Recompute(context.Background(), r)
}

func (a *aged) must(span plant.Span, dry bool) []plant.Effect {
	a.t.Helper()
	effects, err := a.recompute(plant.Recompute{Span: span, Dry: dry})
	if err != nil {
		a.t.Fatal(err)
	}
	return effects
}

func (a *aged) results() []plant.Result {
	a.t.Helper()
	results, err := a.ledger.Results(context.Background(), "line", a.span)
	if err != nil {
		a.t.Fatal(err)
	}
	return results
}

// all gives everything that the twin tells of the day.
func (a *aged) all() (fs []plant.Figures, tl plant.Timeline) {
	a.t.Helper()
	ctx := context.Background()
	fs, err := a.twin.Figures(ctx, "line", a.span, "hour")
	if err == nil {
		tl, err = a.twin.Timeline(ctx, "line", a.span)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	for i := range fs {
		fs[i].Provisional = false
	}
	return fs, tl
}

// TestRecomputeAgrees: what is made anew from history is to the bit what was
// published as it came, from checkpoints and without any, and keeping it
// changes nothing that the twin tells.
func TestRecomputeAgrees(t *testing.T) {
	for i, c := range []struct {
		how          string
		from, length time.Duration
	}{
		{young, 0, 24 * time.Hour},
		{old, 0, 24 * time.Hour},
		{old, 8 * time.Hour, 8 * time.Hour},
		{bare, 0, 24 * time.Hour},
		{bare, 16 * time.Hour, time.Hour},
	} {
		t.Run(fmt.Sprintf("%s from %s", c.how, c.from), func(t *testing.T) {
			t.Parallel()
			a := newAged(t, uint64(i+1), c.how)
			span := plant.Span{From: begin.Add(c.from), To: begin.Add(c.from + c.length)}
			figures, timeline := a.all()
			for _, dry := range []bool{true, false} {
				if effects := a.must(span, dry); len(effects) != 0 {
					t.Fatalf("dry %v: %+v", dry, effects[0])
				}
			}
			again, timelineAgain := a.all()
			a.same(again, figures, timelineAgain, timeline)
			if n := len(a.results()); n != 3 {
				t.Errorf("%d results, want 3", n)
			}
		})
	}
}

// same tells where the twin tells something else than it did.
func (a *aged) same(figures, before []plant.Figures, timeline, was plant.Timeline) {
	a.t.Helper()
	for i := range min(len(figures), len(before)) {
		if !reflect.DeepEqual(figures[i], before[i]) {
			a.t.Errorf("from %s the twin tells %+v, it was %+v", figures[i].From, figures[i], before[i])
		}
	}
	for i, m := range timeline.Machines {
		for j := range min(len(m.Segments), len(was.Machines[i].Segments)) {
			if m.Segments[j] != was.Machines[i].Segments[j] {
				a.t.Fatalf("%s: segment %+v, was %+v", m.Machine, m.Segments[j], was.Machines[i].Segments[j])
			}
		}
		if len(m.Segments) != len(was.Machines[i].Segments) || len(figures) != len(before) {
			a.t.Errorf("%s: %d segments, were %d; %d figures, were %d", m.Machine, len(m.Segments), len(was.Machines[i].Segments), len(figures), len(before))
		}
	}
}

// TestRecomputeLate: data that came too late for the twin's memory lies in
// history alone; made anew, the shifts that it is of get a revision and the
// others stay.
func TestRecomputeLate(t *testing.T) {
	a := newAged(t, 6, old)
	before := a.results()
	_, timeline := a.all()
	at := begin.Add(11 * time.Hour)
	n := uint64(200_000)
	a.twin.Batch(&plant.Batch{Area: area, Gateway: gatewayID, Machine: "press", Sequence: n, Historical: true,
		Complete: plant.Span{From: at.Add(-time.Second), To: at.Add(20 * time.Minute)}, Readings: []plant.Reading{
			{Machine: "press", Signal: "state", Time: at.Add(30 * time.Second), Value: plant.Integer(11)},
			{Machine: "press", Signal: "state", Time: at.Add(15 * time.Minute), Value: plant.Integer(6)},
		}})
	a.eventually("it is stored", func() bool {
		rec, err := a.history.Record(context.Background(), "press", []string{"state"}, plant.Span{From: at.Add(30 * time.Second), To: at.Add(31 * time.Second)})
		return err == nil && len(rec.Readings) == 1
	})
	foretold := a.must(a.span, true)
	if len(foretold) != 1 || foretold[0].Shift != begin.Add(8*time.Hour) || foretold[0].Why != plant.EffectOther || foretold[0].After.Losses == foretold[0].Before.Losses {
		t.Fatalf("foretold %+v", foretold)
	}
	if !reflect.DeepEqual(a.results(), before) {
		t.Error("a dry run changed the results")
	}
	if effects := a.must(a.span, false); !reflect.DeepEqual(effects, foretold) {
		t.Errorf("foretold was %+v, it came %+v", foretold, effects)
	}
	after := a.results()
	if len(after) != 4 || after[2].Number != 1 || after[2].Reason != "recomputed by li.wei: to be sure" || after[2].Shift != begin.Add(8*time.Hour) {
		t.Fatalf("results %+v", after)
	}
	fs, err := a.twin.Figures(context.Background(), "line", plant.Span{From: begin.Add(8 * time.Hour), To: begin.Add(16 * time.Hour)}, "shift")
	if err != nil || len(fs) != 1 || fs[0].RunS != foretold[0].After.RunS || fs[0].Good != foretold[0].After.Good {
		t.Errorf("the twin tells %s, %v", describe(fs), err)
	}
	if effects := a.must(a.span, false); len(effects) != 0 {
		t.Errorf("the second time: %+v", effects)
	}
	_, now := a.all()
	for i := range now.Machines {
		if m := now.Machines[i]; m.Machine != "press" && !reflect.DeepEqual(m, timeline.Machines[i]) {
			a.same(nil, nil, plant.Timeline{Machines: now.Machines[i : i+1]}, plant.Timeline{Machines: timeline.Machines[i : i+1]})
		}
	}
}

// TestRecomputeSaid: entries of times that the twin has no memory of are heard
// too, and a shift of a calendar that was taken back is withdrawn.
func TestRecomputeSaid(t *testing.T) {
	a := newAged(t, 7, old)
	tell := func(kind plant.EntryKind, key, value string) {
		t.Helper()
		if _, err := a.twin.Tell(context.Background(), plant.Entry{By: "li.wei", Kind: kind, Key: key, Value: plant.RawJSON(value)}); err != nil {
			t.Fatal(err)
		}
	}
	tell(plant.EntryIdealCycle, "C16/press", `{"cycle": "1s"}`)
	effects := a.must(a.span, false)
	if len(effects) != 3 {
		t.Fatalf("%+v", effects)
	}
	for _, e := range effects {
		if d := e.Before.Losses.Productive / e.After.Losses.Productive; d != 2 || e.After.Revision != 1 {
			t.Errorf("%s: productive time became 1/%g, revision %d", e.Shift, d, e.After.Revision)
		}
	}
	tell(plant.EntryCount, "pack@2026-03-02T00:00:00Z", `{"good": 100, "reject": 0}`)
	effects = a.must(a.span, false)
	if len(effects) != 1 || effects[0].Shift != begin || effects[0].After.Good != effects[0].Before.Good+100 || effects[0].After.Revision != 2 {
		t.Fatalf("%+v", effects)
	}
	tell(plant.EntryCalendar, "three", `{"zone": "Asia/Shanghai", "shifts": [{"name": "long", "start": "06:00", "length": "12h"}]}`)
	effects = a.must(a.span, false)
	var whys []string
	for _, e := range effects {
		whys = append(whys, e.Shift.String()[11:16]+" "+e.Why)
	}
	if got := strings.Join(whys, ", "); got != "22:00 other figures, 06:00 "+plant.EffectWithdrawn+", 14:00 "+plant.EffectWithdrawn {
		t.Errorf("%s", got)
	}
	if effects = a.must(a.span, true); len(effects) != 0 {
		t.Errorf("the second time: %+v", effects)
	}
}

// TestRecomputeYoung: with other settings, shifts that are in the twin's memory
// are restated by itself, once, with the reason.
func TestRecomputeYoung(t *testing.T) {
	a := newAged(t, 8, young)
	a.close()
	a.settings = func(c *twin.Config) {
		starved := twin.PackML()
		starved["11"] = starved["5"] // held is starved here
		c.StateMaps = map[string]map[string]twin.StateMeaning{"own": starved}
		c.Areas[0].Lines[0].Machines[1].States = "own"
	}
	a.start()
	a.heard()
	effects := a.must(a.span, false)
	if len(effects) != 3 {
		t.Fatalf("%+v", effects)
	}
	a.eventually("all are restated", func() bool {
		a.setClock(plant.At(a.clock()).Add(5 * time.Second))
		return len(a.results()) == 6
	})
	for i, r := range a.results() {
		e := effects[i/2]
		if i%2 == 1 && (r.Number != 1 || r.Shift != e.Shift || r.Reason != "recomputed by li.wei: to be sure" || !reflect.DeepEqual(r.Window.Figures().Losses, e.After.Losses)) {
			t.Errorf("%+v, foretold was %+v", r, e.After)
		}
	}
	if effects := a.must(a.span, true); len(effects) != 0 {
		t.Errorf("then: %+v", effects)
	}
}

// TestRecomputeGone: what history has deleted is not replaced by nothing.
func TestRecomputeGone(t *testing.T) {
	a := newAged(t, 9, old)
	if _, err := a.history.Prune(context.Background(), begin.Add(10*time.Hour)); err != nil {
		t.Fatal(err)
	}
	figures, timeline := a.all()
	effects := a.must(a.span, false)
	if len(effects) != 2 || effects[0].Why != plant.EffectKept || effects[1].Why != plant.EffectKept || !reflect.DeepEqual(effects[1].Before, effects[1].After) {
		t.Fatalf("%+v", effects)
	}
	if n := len(a.results()); n != 3 {
		t.Errorf("%d results, want 3", n)
	}
	again, timelineAgain := a.all()
	a.same(again, figures, timelineAgain, timeline)
}

func TestRecomputeRefuses(t *testing.T) {
	a := newAged(t, 10, young)
	for _, c := range []struct {
		name string
		r    plant.Recompute
		want string
	}{
		{"backwards", plant.Recompute{Span: plant.Span{From: a.span.To, To: a.span.From}}, "from"},
		{"the future", plant.Recompute{Span: plant.Span{From: a.span.From, To: a.span.To.Add(9999 * time.Hour)}}, "not after now"},
		{"a line that is not there", plant.Recompute{Span: a.span, Lines: []string{"lime"}}, "there are line"},
	} {
		if _, err := a.recompute(c.r); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := a.twin.Recompute(context.Background(), plant.Recompute{Span: a.span}); err == nil || !strings.Contains(err.Error(), "by") {
		t.Errorf("nobody: %v", err)
	}
}
