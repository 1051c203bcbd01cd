package main

import (
	"context"
	"log/slog"
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
	o.unsynced, o.oldest = o.unsynced+p.unsynced, max(o.oldest, p.oldest)
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
	h, err := influx.Open(influx.Config{URL: r.influx.URL, Database: r.database}, slog.New(slog.DiscardHandler))
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

// stored counts the rows of each look and value of a machine. The times of rows
// are those that the gateway gave, so more than the test's time is asked for.
func (r *faultRig) stored(h *influx.History, p *countingPLC) map[[2]uint32]int {
	r.t.Helper()
	const step = 2 * time.Minute
	jump := r.plan.clockJump
	rows := map[[2]uint32]int{}
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
				rows[[2]uint32{p.counted(uint32(one.Value.Integer()), i), uint32(i)}]++
			}
		}
	}
	return rows
}

// compare holds one machine's history against its PLC.
func (r *faultRig) compare(h *influx.History, p *countingPLC, dropped plant.Span) outcome {
	r.t.Helper()
	rows := r.stored(h, p)
	looks, doubt := p.handedOut()
	var o outcome
	for i, l := range looks {
		n := uint32(i + 1)
		for v := range l.values {
			o.made++
			key := [2]uint32{n, uint32(v)}
			switch count := rows[key]; {
			case count > 1:
				o.repeated++
				o.stored++
			case count == 1:
				o.stored++
			case doubt[n]:
				o.doubtful++
			case reportedGone(dropped, l.at):
				o.dropped++
			case r.beforeCut(l.at) > 0:
				o.unsynced++
				o.oldest = max(o.oldest, r.beforeCut(l.at))
			default:
				o.lost++
				if o.lost <= 3 {
					r.t.Logf("%s: value %d of look %d of %d, at %s, is not in history", p.machine, v, n, len(looks), l.at.Format(time.StampMicro))
				}
			}
			delete(rows, key)
		}
	}
	o.foreign = len(rows)
	return o
}

// reportedGone tells whether a gateway's dropped time has that of an answer, which is
// stamped when the PLC gives it and when the gateway begins to ask.
func reportedGone(s plant.Span, at time.Time) bool {
	const slack = time.Second
	return !s.Empty() && at.After(s.From.Std().Add(-slack)) && at.Before(s.To.Std().Add(slack))
}

// beforeCut gives how long after a time the power was cut; 0 where it was not,
// within the plan's window.
func (r *faultRig) beforeCut(at time.Time) time.Duration {
	for _, c := range r.cuts {
		if d := c.Sub(at); d > 0 && d <= r.plan.window {
			return d
		}
	}
	return 0
}
