package twin_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

// say delivers readings of one machine at one time, with the claim since its
// last ones.
type teller struct {
	r    *rig
	seq  uint64
	last map[string]plant.Time
}

func newTeller(r *rig) *teller { return &teller{r: r, last: map[string]plant.Time{}} }

func (s *teller) batch(machine string, at plant.Time, values map[string]plant.Value) *plant.Batch {
	from, ok := s.last[machine]
	if !ok {
		from = at
	}
	s.last[machine] = at
	s.seq++
	b := &plant.Batch{Area: area, Gateway: gatewayID, Machine: machine, Sequence: s.seq, Complete: plant.Span{From: from, To: at}}
	for _, signal := range []string{"fault", "force", "good", "reject", "state"} {
		if v, ok := values[signal]; ok {
			b.Readings = append(b.Readings, plant.Reading{Machine: machine, Signal: signal, Time: at, Value: v})
		}
	}
	return b
}

func (s *teller) say(machine string, at plant.Time, values map[string]plant.Value) {
	s.r.twin.Batch(s.batch(machine, at, values))
}

func state(n int64) map[string]plant.Value { return map[string]plant.Value{"state": plant.Integer(n)} }

func (r *rig) line() plant.LineSnapshot {
	r.t.Helper()
	s := r.twin.Snapshot()
	if len(s.Lines) != 1 {
		r.t.Fatalf("%d lines", len(s.Lines))
	}
	return s.Lines[0]
}

// TestLineState: a line's state is its bottleneck's, and the machine that
// causes it is found along the flow.
func TestLineState(t *testing.T) {
	held := func(fault int64) map[string]plant.Value {
		return map[string]plant.Value{"state": plant.Integer(11), "fault": plant.Integer(fault)}
	}
	cases := map[string]struct {
		feed, press, pack map[string]plant.Value
		class             plant.Class
		cause, fault      string
	}{
		"runs":                          {state(6), state(6), state(6), plant.ClassRun, "", ""},
		"stands by itself":              {state(6), held(4), state(6), plant.ClassStop, "press", "4"},
		"starved by what stands before": {held(9), state(5), state(6), plant.ClassStarved, "feed", "9"},
		"starved, and nobody stands":    {state(6), state(5), state(6), plant.ClassStarved, "", ""},
		"what comes after is no cause":  {state(6), state(6), held(3), plant.ClassRun, "", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			s := newTeller(r)
			at := begin.Add(time.Hour)
			r.setClock(at.Add(time.Second))
			s.say("feed", at, c.feed)
			s.say("press", at, c.press)
			s.say("pack", at, c.pack)
			got := r.line().State
			if got.Class != c.class || got.Cause != c.cause || got.Fault != c.fault {
				t.Errorf("got %+v, want class %s cause %q fault %q", got, c.class, c.cause, c.fault)
			}
		})
	}
}

// TestSilence: a line whose data stops becomes unknown after the time that is
// allowed, says since when, and its window grows by unknown time, not by stops.
func TestSilence(t *testing.T) {
	r := newRig(t)
	s := newTeller(r)
	at := begin.Add(time.Minute)
	for _, m := range []string{"feed", "press", "pack"} {
		s.say(m, begin, state(6))
		s.say(m, at, nil)
	}
	r.setClock(at.Add(20 * time.Second))
	if l := r.line(); l.State.Class != plant.ClassRun || *l.Figures.Coverage != 1 {
		t.Errorf("after 20 s: %+v, coverage %v; want run and 1", l.State, *l.Figures.Coverage)
	}
	r.setClock(at.Add(2 * time.Minute))
	l := r.line()
	if l.State.Class != plant.ClassUnknown || !strings.Contains(l.State.Why, "no data since 2026-03-01T22:01:00.000Z") {
		t.Errorf("after 2 min: %+v", l.State)
	}
	if l.Figures.Losses.Unknown != 90 || l.Figures.Losses.UnplannedStop != 0 {
		t.Errorf("after 2 min: unknown %g s, stops %g s; want 90 and 0", l.Figures.Losses.Unknown, l.Figures.Losses.UnplannedStop)
	}
	if ok, why := r.twin.Ready(); ok || len(why) != 1 {
		t.Errorf("ready %v %v; want not, with one reason", ok, why)
	}
}

// TestRevision: data that comes in after a shift was closed and published
// raises its revision, once, and says so in the ledger, also after a restart.
func TestRevision(t *testing.T) {
	r := newRig(t)
	s := newTeller(r)
	var late []*plant.Batch
	end := begin.Add(8*time.Hour + 10*time.Minute)
	r.setClock(end)
	for at := begin; at <= end; at = at.Add(time.Minute) {
		for _, m := range []string{"feed", "press", "pack"} {
			n := plant.Integer(at.Sub(begin).Milliseconds() / 2000)
			v := map[string]plant.Value{"good": n}
			if at == begin {
				v["state"] = plant.Integer(6)
			}
			b := s.batch(m, at, v)
			if m == "press" && at > begin.Add(time.Hour) && at <= begin.Add(2*time.Hour) {
				late = append(late, b)
				continue
			}
			r.twin.Batch(b)
		}
	}
	shift := func() plant.Figures {
		fs, err := r.twin.Figures(context.Background(), "line", plant.Span{From: begin, To: begin.Add(8 * time.Hour)}, "shift")
		if err != nil || len(fs) != 1 {
			t.Fatalf("%v %v", fs, err)
		}
		return fs[0]
	}
	// The clock goes on in steps, for what settles is a matter of its time.
	published := func(revision int) func() bool {
		return func() bool {
			r.setClock(plant.At(r.clock()).Add(5 * time.Second))
			f := shift()
			return !f.Provisional && f.Revision == revision
		}
	}
	r.eventually("the shift is published", published(0))
	for _, b := range late {
		r.twin.Batch(b)
	}
	r.eventually("the shift is restated", published(1))
	r.eventually("the ledger has the revision", func() bool { // it is saved just after it is shown
		results, err := r.ledger.Results(context.Background(), "line", plant.Span{From: begin, To: end})
		return err == nil && len(results) == 2 && results[1].Number == 1 && results[1].Shift == begin && results[1].Reason == "late data"
	})
	before := shift()
	r.close()
	r.start()
	r.eventually("the shift is there again", published(1))
	if after := shift(); after.Good != before.Good || *after.OEE != *before.OEE {
		t.Errorf("after a restart: good %d oee %v; want %d %v", after.Good, *after.OEE, before.Good, *before.OEE)
	}
}

// TestOutageFilledLater: what a gateway learns late of a time in which its PLC
// was away, with readings that claim nothing, makes that time known: to the
// nanosecond, in the place of the bad readings that told of the outage.
func TestOutageFilledLater(t *testing.T) {
	r := newRig(t)
	s := newTeller(r)
	minute := func(n int) plant.Time { return begin.Add(time.Duration(n) * time.Minute) }
	r.setClock(minute(61))
	count := func(at plant.Time) plant.Value { return plant.Integer(at.Sub(begin).Milliseconds() / 4000) } // slower than ideal: the pieces do not tell when it ran
	bad := func(at plant.Time, reason string) {
		b := s.batch("press", at, nil)
		for _, signal := range []string{"good", "state"} {
			b.Readings = append(b.Readings, plant.Reading{Machine: "press", Signal: signal, Time: at, Quality: plant.Bad, Reason: reason})
		}
		r.twin.Batch(b)
	}
	for n := 0; n <= 60; n++ {
		for _, m := range []string{"feed", "press", "pack"} {
			v := map[string]plant.Value{"good": count(minute(n))}
			if n == 0 || m == "press" && n == 40 {
				v["state"] = plant.Integer(6)
			}
			switch {
			case m != "press" || n <= 20 || n >= 40:
				s.say(m, minute(n), v)
			case n == 21:
				bad(minute(n), "timeout")
			case n == 30:
				bad(minute(n), "connection refused")
			default:
				s.say(m, minute(n), nil) // nobody could look: that is what is known
			}
		}
	}
	figures := func() plant.Figures {
		fs, err := r.twin.Figures(context.Background(), "line", plant.Span{From: begin, To: minute(60)}, "")
		if err != nil || len(fs) != 1 {
			t.Fatalf("%v %v", fs, err)
		}
		return fs[0]
	}
	r.acknowledged(s.seq)
	before := figures()
	if before.Coverage == nil || *before.Coverage >= 1 {
		t.Fatalf("losses %+v, though the machine was away", before.Losses)
	}
	// The machine ran, stopped from 25 to 28, and went on.
	late := &plant.Batch{Area: area, Gateway: gatewayID, Machine: "press", Sequence: s.seq + 1, Historical: true,
		Complete: plant.Span{From: minute(60), To: minute(60)}}
	learn := func(signal string, n int, v plant.Value) {
		late.Readings = append(late.Readings, plant.Reading{Machine: "press", Signal: signal, Time: minute(n), Value: v})
	}
	for n := 21; n < 40; n++ {
		learn("good", n, count(minute(n)))
	}
	for _, x := range []struct{ n, state int }{{21, 6}, {25, 11}, {28, 6}, {30, 6}} {
		learn("state", x.n, plant.Integer(int64(x.state)))
	}
	r.twin.Batch(late)
	r.twin.Batch(late) // repeats do no harm
	r.eventually("the outage is known", func() bool { c := figures().Coverage; return c != nil && *c == 1 })
	after := figures()
	if got, want := after.Losses.UnplannedStop, before.Losses.UnplannedStop+180; got != want || after.Losses.Unknown != 0 {
		t.Errorf("stopped %v s, want %v; unknown %v s", got, want, after.Losses.Unknown)
	}
	if after.Good != before.Good {
		t.Errorf("%d good pieces, %d before", after.Good, before.Good)
	}
}

// TestQualityAlert: a measurement out of specification becomes a quality alert
// of its line; acknowledged and returned it is closed, and the ledger has it.
func TestQualityAlert(t *testing.T) {
	r := newRig(t)
	s := newTeller(r)
	changes, cancel := r.twin.Subscribe()
	defer cancel()
	force := func(x float64, after time.Duration) {
		at := begin.Add(after)
		r.setClock(at)
		s.say("press", at, map[string]plant.Value{"force": plant.Float(x)})
	}
	force(9, time.Second)
	if open, err := r.twin.Alerts(context.Background(), plant.Span{}, true); err != nil || len(open) != 0 {
		t.Fatalf("within: %v %v", open, err)
	}
	force(11, 2*time.Second)
	open, err := r.twin.Alerts(context.Background(), plant.Span{}, true)
	if err != nil || len(open) != 1 || !open[0].Quality || open[0].Line != "line" || open[0].Machine != "press" || *open[0].Value != 11 || *open[0].Limit != 10 {
		t.Fatalf("beyond: %+v %v", open, err)
	}
	if n := r.line().Alerts; n != 1 {
		t.Errorf("the line shows %d alerts", n)
	}
	seen := false
	for !seen {
		select {
		case c := <-changes:
			seen = c.Alert != nil && c.Alert.ID == open[0].ID
		case <-time.After(30 * time.Second):
			t.Fatal("the live stream shows no alert")
		}
	}
	a, err := r.twin.Acknowledge(context.Background(), open[0].ID, "operator")
	if err != nil || a.State != plant.AlertAcknowledged || a.AckedBy != "operator" {
		t.Fatalf("acknowledge: %+v %v", a, err)
	}
	if _, err := r.twin.Acknowledge(context.Background(), "nope", "operator"); err == nil {
		t.Error("an alert that is not there was acknowledged")
	}
	force(9.5, 3*time.Second)
	r.eventually("the ledger has the closed alert", func() bool {
		kept, err := r.ledger.Alerts(context.Background(), plant.Span{From: begin, To: begin.Add(time.Hour)}, false)
		return err == nil && len(kept) == 1 && kept[0].State == plant.AlertNormal && kept[0].AckedBy == "operator"
	})
	// What is long past raises no alarm now.
	r.setClock(begin.Add(time.Hour))
	s.say("press", begin.Add(10*time.Minute), map[string]plant.Value{"force": plant.Float(99)})
	if open, _ := r.twin.Alerts(context.Background(), plant.Span{}, true); len(open) != 0 {
		t.Errorf("a backlog fired %+v", open)
	}
}

// TestAcknowledgements: the gateway learns what history holds, in ranges where
// live data came before a backlog, and only within its session.
func TestAcknowledgements(t *testing.T) {
	r := newRig(t)
	s := newTeller(r)
	var bs []*plant.Batch
	for i := range 10 {
		bs = append(bs, s.batch("press", begin.Add(time.Duration(i)*time.Second), state(6)))
	}
	ack := func(ok func(plant.Acknowledgement) bool) func() bool {
		return func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return ok(r.ack)
		}
	}
	r.deliver(bs[:2])
	r.deliver(bs[5:8])
	r.eventually("1 and 2, and 6 to 8 beyond", ack(func(a plant.Acknowledgement) bool {
		return a.Session == "s1" && a.Through == 2 && len(a.Beyond) == 1 && a.Beyond[0] == plant.Range{First: 6, Last: 8}
	}))
	r.deliver(bs)
	r.eventually("all ten", ack(func(a plant.Acknowledgement) bool { return a.Through == 10 && len(a.Beyond) == 0 }))

	// The process starts again and holds nothing below 21.
	r.twin.Birth(plant.GatewayBirth{Area: area, Gateway: gatewayID, Session: "s2", First: 21})
	b := s.batch("press", begin.Add(time.Minute), nil)
	b.Sequence = 22
	r.twin.Batch(b)
	r.eventually("20 of the new session, and 22", ack(func(a plant.Acknowledgement) bool {
		return a.Session == "s2" && a.Through == 20 && len(a.Beyond) == 1 && a.Beyond[0] == plant.Range{First: 22, Last: 22}
	}))
}

// TestScorecard: KPIs that the data gives are measured, with their evidence;
// the rest is missing and says why.
func TestScorecard(t *testing.T) {
	r := newRig(t)
	s := newTeller(r)
	end := begin.Add(2 * time.Hour)
	r.setClock(end)
	for at := begin; at <= end; at = at.Add(time.Minute) {
		for _, m := range []string{"feed", "press", "pack"} {
			made := int64(at.Sub(begin) / (2 * time.Second))
			v := map[string]plant.Value{"good": plant.Integer(made - made/10), "reject": plant.Integer(made / 10)}
			if at == begin {
				v["state"] = plant.Integer(6)
			}
			s.say(m, at, v)
		}
	}
	sc, err := r.twin.Scorecard(context.Background(), plant.Span{From: begin, To: end})
	if err != nil {
		t.Fatal(err)
	}
	if len(sc.Domains) != 5 {
		t.Fatalf("%d domains", len(sc.Domains))
	}
	kpis := map[string]plant.KPI{}
	for _, d := range sc.Domains {
		for _, k := range d.KPIs {
			kpis[k.ID] = k
			switch {
			case k.Source == "missing" && (k.Value != nil || k.Why.En == "" || k.Why.Zh == ""):
				t.Errorf("%s is missing without a word: %+v", k.ID, k)
			case k.Source == "measured" && (k.Value == nil || k.Formula.Zh == ""):
				t.Errorf("%s is measured without a value: %+v", k.ID, k)
			}
		}
	}
	// Ideal 2 s, good 9 of 10 of what fits into the time at the last machine,
	// less the minute whose pieces showed only at the very end of the span.
	if v := kpis["oee"].Value; v == nil || *v != 89.25 {
		t.Errorf("OEE %+v, want 89.25", kpis["oee"])
	}
	// The last machine's good against the rejects of all three.
	if v := kpis["fpy"].Value; v == nil || *v < 74.9 || *v > 75.1 {
		t.Errorf("FPY %v, want 75", v)
	}
	if v := kpis["rty"].Value; v == nil || *v < 72.8 || *v > 73 {
		t.Errorf("RTY %v, want 72.9", v)
	}
	if k := kpis["data"]; k.Value == nil || *k.Value != 100 || len(k.Evidence) != 2 {
		t.Errorf("machines with data: %+v", k)
	}
	if k := kpis["turns"]; k.Source != "missing" {
		t.Errorf("inventory turns: %+v", k)
	}
}

// TestLastMachineAway: pieces that nobody saw are unknown, not none; and pieces
// that were seen while the bottleneck was not are no proof of more than an OEE
// of one.
func TestLastMachineAway(t *testing.T) {
	cases := map[string]struct {
		away     string
		coverage float64
	}{
		"last machine silent for an hour": {"pack", 0.5},
		"bottleneck silent for an hour":   {"press", 1}, // its pieces passed the last machine: it ran
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			s := newTeller(r)
			end := begin.Add(2 * time.Hour)
			r.setClock(end)
			for at := begin; at <= end; at = at.Add(time.Minute) {
				for _, m := range []string{"feed", "press", "pack"} {
					if m == c.away && at > begin.Add(time.Hour) && (m == "pack" || at < end) {
						continue
					}
					v := map[string]plant.Value{"good": plant.Integer(int64(at.Sub(begin) / (2 * time.Second)))}
					if m == c.away && at == end {
						delete(v, "good")
					}
					if at == begin {
						v["state"] = plant.Integer(6)
					}
					b := s.batch(m, at, v)
					if m == c.away && at == end {
						b.Complete.From = at // nobody looked before
					}
					r.twin.Batch(b)
				}
			}
			fs, err := r.twin.Figures(context.Background(), "line", plant.Span{From: begin, To: end}, "")
			if err != nil || len(fs) != 1 {
				t.Fatal(fs, err)
			}
			f := fs[0]
			if f.Coverage == nil || *f.Coverage < c.coverage-0.02 || *f.Coverage > c.coverage+0.02 {
				t.Errorf("coverage %v, want %g", *f.Coverage, c.coverage)
			}
			if f.OEE == nil || *f.OEE > 1.02 || *f.OEE < 0.95 || *f.OEELow > *f.OEE+1e-9 || *f.OEEHigh < *f.OEE-0.02 {
				t.Errorf("OEE %v within %v and %v; want about 1, inside its bounds", *f.OEE, *f.OEELow, *f.OEEHigh)
			}
		})
	}
}

// TestGatewayAway: what a gateway said of its devices does not outlive it.
func TestGatewayAway(t *testing.T) {
	r := newRig(t)
	status := plant.GatewayStatus{Area: area, Gateway: gatewayID, Time: begin, Made: 5,
		Devices: []plant.DeviceStatus{{Machine: "press", Link: plant.LinkFlowing, Skipped: 7}, {Machine: "saw", Skipped: 1}}}
	r.twin.Status(status)
	r.twin.Batch(&plant.Batch{Area: area, Gateway: gatewayID, Machine: "press", Complete: plant.Span{From: begin, To: begin},
		Readings: []plant.Reading{{Machine: "press", Signal: "force", Time: begin, Value: plant.Float(1)}}})
	if all, err := r.twin.Signals("press"); err != nil || len(all) != 1 || all[0].Skipped != 7 {
		t.Errorf("signals %+v, error %v; want one that was skipped 7 times", all, err)
	}
	shown := func() plant.GatewayLive {
		g := r.twin.Snapshot().Gateways
		if len(g) != 1 {
			t.Fatalf("gateways: %+v", g)
		}
		return g[0]
	}
	if g := shown(); !g.Online || g.Devices[0].Link != plant.LinkFlowing {
		t.Errorf("there: %+v", g)
	}
	r.setClock(begin.Add(time.Minute))
	r.twin.Death(area, gatewayID, begin.Add(time.Minute))
	if g := shown(); g.Online || g.Devices[0].Link != plant.LinkDown || g.Since != begin.Add(time.Minute) || g.Made != 5 {
		t.Errorf("away: %+v", g)
	}
	if status.Devices[0].Link != plant.LinkFlowing {
		t.Error("the gateway's own status was changed")
	}
	r.twin.Birth(plant.GatewayBirth{Area: area, Gateway: gatewayID, Session: "s2", First: 1})
	r.twin.Status(status)
	if g := shown(); !g.Online || g.Devices[0].Link != plant.LinkFlowing {
		t.Errorf("back: %+v", g)
	}
}
