package main

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"linetwin/connectors/influx"
	"linetwin/plant"
)

// outcome is a row of the table.
type outcome struct {
	made     int // values that PLCs handed out
	stored   int // of them in history
	lost     int // of them neither there nor accounted for otherwise
	repeated int // values with more than one row in history
	foreign  int // rows in history that no PLC has handed out
	astray   int // rows in history whose time is not that of their look
	doubtful int // values of a look that ended with its reader, and are not in history
	dropped  int // values that are not in history, and of times that a gateway reported as dropped

	unsynced int // values that are not in history, and were read within the plan's window before a power cut

	reported uint64        // readings that gateways say they dropped
	oldest   time.Duration // how long before the cut the oldest of the unsynced was read
	gap      time.Duration // longest on a page
	live     time.Duration // from the fault's end until all pages are current
	history  time.Duration // from the fault's end until history is
}

func (o *outcome) add(p outcome) {
	o.made, o.stored, o.lost, o.repeated = o.made+p.made, o.stored+p.stored, o.lost+p.lost, o.repeated+p.repeated
	o.foreign, o.doubtful, o.dropped = o.foreign+p.foreign, o.doubtful+p.doubtful, o.dropped+p.dropped
	o.unsynced, o.oldest, o.astray = o.unsynced+p.unsynced, max(o.oldest, p.oldest), o.astray+p.astray
}

// outcome waits until the chain has recovered and all is in history, and holds
// that against what the PLCs have handed out.
func (r *faultRig) outcome() outcome {
	r.t.Helper()
	mended := r.mended
	live := r.live(mended)
	history := r.current()
	ended := time.Now()
	var o outcome
	for _, p := range r.pages {
		o.gap = max(o.gap, p.longestGap(r.began, ended))
	}
	o.live, o.history = live.Sub(mended), history.Sub(mended)
	r.drain()
	dropped := map[string]plant.Span{}
	for name, s := range r.status() {
		o.reported += s.Dropped
		dropped[name] = s.DroppedSpan
	}
	h, err := influx.Open(influx.Config{URL: r.influx.URL, Database: r.database, Timeout: time.Minute}, slog.New(slog.DiscardHandler))
	if err != nil {
		r.t.Fatal(err)
	}
	defer h.Close()
	for _, g := range r.gateways {
		for _, p := range g.plcs {
			o.add(r.compare(h, p, dropped[g.name]))
		}
	}
	return o
}

// astrayFrom is how far the time of a row may be from that of its look: a clock
// that was set by up to 2 s counts for a while, and a look takes its time, up
// to its time-out.
const astrayFrom = 15 * time.Second

// stored counts the rows of each look and value of a machine, and those that
// are not at the time of their look. The times of rows are those that the
// gateway gave, so more than the test's time is asked for.
func (r *faultRig) stored(h *influx.History, p *countingPLC) (rows map[[2]uint32]int, astray int) {
	r.t.Helper()
	const most = 20_000 // rows of one question
	step := min(2*time.Minute, most/time.Duration(p.values)*r.plan.every)
	jump := r.plan.clockJump
	rows = map[[2]uint32]int{}
	index := map[string]int{}
	for i := range p.values {
		index[valueName(i)] = i
	}
	for from := r.started.Add(-jump); from.Before(time.Now().Add(jump)); from = from.Add(step) {
		span := plant.Span{From: plant.At(from), To: plant.At(from.Add(step))}
		record, err := h.Record(context.Background(), p.machine, nil, span)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, one := range record.Readings {
			if i, ok := index[one.Signal]; ok && !one.Value.IsNone() {
				n := p.counted(uint32(one.Value.Integer()), i)
				rows[[2]uint32{n, uint32(i)}]++
				if at, ok := p.lookAt(n); ok && one.Time.Sub(plant.At(at)).Abs() > astrayFrom {
					astray++
				}
			}
		}
	}
	return rows, astray
}

// compare holds one machine's history against its PLC.
func (r *faultRig) compare(h *influx.History, p *countingPLC, dropped plant.Span) outcome {
	r.t.Helper()
	looks, doubt := p.handedOut()
	j := judge{looks: looks, doubt: doubt, dropped: dropped, cuts: r.cuts, window: r.plan.window}
	rows, astray := r.stored(h, p)
	o := j.of(rows)
	o.astray = astray
	for i, n := range j.missing {
		if i < 3 {
			r.t.Logf("%s: a value of look %d of %d, at %s, is not in history", p.machine, n, len(looks), looks[n-1].at.Format(time.StampMicro))
		}
	}
	return o
}

// judge knows what a PLC has handed out, and why some of it may be missing.
type judge struct {
	looks   []look
	doubt   map[uint32]bool
	dropped plant.Span
	cuts    []time.Time // of power
	window  time.Duration

	missing []uint32 // looks of which a value is lost
}

// of accounts for each value, given how many rows it has.
func (j *judge) of(rows map[[2]uint32]int) (o outcome) {
	known := 0
	for i, l := range j.looks {
		n := uint32(i + 1)
		for v := range l.values {
			o.made++
			count := rows[[2]uint32{n, uint32(v)}]
			if count > 0 {
				known++
				o.stored++
			}
			if count > 1 {
				o.repeated++
			}
			if count == 0 {
				j.absent(&o, n, l.at)
			}
		}
	}
	o.foreign = len(rows) - known
	return o
}

// absent accounts for a value that is not in history.
func (j *judge) absent(o *outcome, n uint32, at time.Time) {
	before := j.beforeCut(at)
	switch {
	case j.doubt[n]:
		o.doubtful++
	case reportedGone(j.dropped, at):
		o.dropped++
	case before > 0:
		o.unsynced++
		o.oldest = max(o.oldest, before)
	default:
		o.lost++
		j.missing = append(j.missing, n)
	}
}

// beforeCut gives how long after a time the power was cut; 0 where it was not,
// within the window.
func (j *judge) beforeCut(at time.Time) time.Duration {
	for _, c := range j.cuts {
		if d := c.Sub(at); d > 0 && d <= j.window {
			return d
		}
	}
	return 0
}

// reportedGone tells whether a gateway's dropped time has that of an answer, which is
// stamped when the PLC gives it and when the gateway begins to ask.
func reportedGone(s plant.Span, at time.Time) bool {
	const slack = time.Second
	return !s.Empty() && at.After(s.From.Std().Add(-slack)) && at.Before(s.To.Std().Add(slack))
}

// TestJudge proves that the rig would see what it looks for.
func TestJudge(t *testing.T) {
	at := func(s float64) time.Time {
		return time.Unix(1_800_000_000, 0).Add(time.Duration(s * float64(time.Second)))
	}
	looks := func(n int) (all []look) {
		for i := range n {
			all = append(all, look{at(float64(i)), 2})
		}
		return all
	}
	all := func(n int) map[[2]uint32]int {
		rows := map[[2]uint32]int{}
		for i := range n {
			rows[[2]uint32{uint32(i + 1), 0}], rows[[2]uint32{uint32(i + 1), 1}] = 1, 1
		}
		return rows
	}
	without := func(rows map[[2]uint32]int, n uint32) map[[2]uint32]int {
		delete(rows, [2]uint32{n, 1})
		return rows
	}
	twice := all(5)
	twice[[2]uint32{3, 0}] = 2
	for name, c := range map[string]struct {
		judge judge
		rows  map[[2]uint32]int
		want  outcome
	}{
		"whole":               {judge{looks: looks(5)}, all(5), outcome{made: 10, stored: 10}},
		"lost":                {judge{looks: looks(5)}, without(all(5), 3), outcome{made: 10, stored: 9, lost: 1}},
		"twice":               {judge{looks: looks(5)}, twice, outcome{made: 10, stored: 10, repeated: 1}},
		"of nobody":           {judge{looks: looks(4)}, all(5), outcome{made: 8, stored: 8, foreign: 2}},
		"cut off":             {judge{looks: looks(5), doubt: map[uint32]bool{5: true}}, without(all(5), 5), outcome{made: 10, stored: 9, doubtful: 1}},
		"cut off at the next": {judge{looks: looks(5), doubt: map[uint32]bool{5: true}}, without(all(5), 4), outcome{made: 10, stored: 9, lost: 1}},
		"dropped": {judge{looks: looks(5), dropped: plant.Span{From: plant.At(at(0)), To: plant.At(at(1))}}, without(all(5), 2),
			outcome{made: 10, stored: 9, dropped: 1}},
		"not dropped": {judge{looks: looks(5), dropped: plant.Span{From: plant.At(at(0)), To: plant.At(at(1))}}, without(all(5), 4),
			outcome{made: 10, stored: 9, lost: 1}},
		"not synced": {judge{looks: looks(5), cuts: []time.Time{at(4.5)}, window: time.Second}, without(all(5), 5),
			outcome{made: 10, stored: 9, unsynced: 1, oldest: 500 * time.Millisecond}},
		"synced": {judge{looks: looks(5), cuts: []time.Time{at(4.5)}, window: time.Second}, without(all(5), 4), outcome{made: 10, stored: 9, lost: 1}},
	} {
		if got := c.judge.of(c.rows); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
