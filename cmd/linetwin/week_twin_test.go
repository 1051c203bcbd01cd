package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"linetwin/connectors/sqlite"
	"linetwin/plant"
	"linetwin/simulator"
	"linetwin/twin"
)

// weekTwin is a twin on embedded stores, whose clock shows the time of what
// comes in, and the gateways before it.
type weekTwin struct {
	t     *testing.T
	week  *week
	model *twin.Twin
	clock atomic.Int64

	mu      sync.Mutex
	waiting map[string]map[uint64]int // by gateway: readings of batches that nobody acknowledged
	weight  int
	less    *sync.Cond // weight fell
}

func newWeekTwin(t *testing.T, p *week) *weekTwin {
	t.Helper()
	cfg := p.cfg.Twin
	embedded := *cfg.History.Embedded
	cfg.History.Embedded = &embedded
	weekFolders(t, &cfg)
	h, err := sqlite.OpenHistory(t.Context(), embedded, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	ledger, err := sqlite.OpenLedger(t.Context(), cfg.Ledger.SQLite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ledger.Close() })
	w := &weekTwin{t: t, week: p, waiting: map[string]map[uint64]int{}}
	w.less = sync.NewCond(&w.mu)
	w.clock.Store(int64(p.span.From))
	w.model, err = twin.New(cfg.Config, twin.Options{History: h, Ledger: ledger, Rules: cfg.Rules(), Log: quietLog(),
		Clock: func() time.Time { return plant.Time(w.clock.Load()).Std() }})
	if err != nil {
		t.Fatal(err)
	}
	running(t, h.Run, func(ctx context.Context) error { return w.model.Run(ctx, w) })
	return w
}

// weekWaiting is how many readings gateways have on their way at once: the
// twin's memory has room for all of them.
const weekWaiting = 100_000

// deliver sends batches as they come, and returns once all are acknowledged.
func (w *weekTwin) deliver(all []*plant.Batch) (readings int) {
	w.t.Helper()
	for _, b := range w.week.births {
		w.waiting[b.Gateway] = map[uint64]int{}
		b.Time = w.week.span.From
		w.model.Birth(b)
	}
	seen := map[string]map[uint64]bool{"edge-1": {}, "edge-2": {}}
	for _, b := range all {
		w.mu.Lock()
		for w.weight > weekWaiting {
			w.less.Wait()
		}
		if first := !seen[b.Gateway][b.Sequence]; first {
			seen[b.Gateway][b.Sequence] = true
			w.waiting[b.Gateway][b.Sequence] = len(b.Readings) + 1
			w.weight += len(b.Readings) + 1
			readings += len(b.Readings)
		}
		w.mu.Unlock()
		w.clock.Store(max(w.clock.Load(), int64(b.Complete.To)))
		w.model.Batch(b)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.weight > 0 {
		w.less.Wait()
	}
	w.clock.Store(int64(w.week.seen))
	return readings
}

// Acknowledge takes what history has.
func (w *weekTwin) Acknowledge(a plant.Acknowledgement) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n, weight := range w.waiting[a.Gateway] {
		has := n <= a.Through
		for _, r := range a.Beyond {
			has = has || n >= r.First && n <= r.Last
		}
		if has {
			delete(w.waiting[a.Gateway], n)
			w.weight -= weight
		}
	}
	w.less.Broadcast()
	return nil
}

// settled asks until the answers are right and stay so, for late data is folded
// beside what comes in; it gives up when they are wrong and stay as they are.
func (w *weekTwin) settled(wrong func(a *weekAnswers) string) *weekAnswers {
	w.t.Helper()
	var last []byte
	for right, same := 0, 0; ; time.Sleep(500 * time.Millisecond) {
		a, err := w.week.ask(w.t.Context(), w)
		if err != nil {
			w.t.Fatal(err)
		}
		same++
		if !bytes.Equal(a.JSON, last) {
			right, same, last = 0, 0, a.JSON
		}
		why := wrong(a)
		if why == "" {
			if right++; right > 6 {
				return a
			}
			continue
		}
		if right = 0; same == 0 {
			w.t.Logf("not yet: %.100s", why)
		}
		if same > 240 {
			w.t.Fatalf("wrong, and stays so: %s", why)
		}
	}
}

// differs tells where two answers do.
func differs(want, got *weekAnswers) string {
	if bytes.Equal(want.JSON, got.JSON) {
		return ""
	}
	a, b := strings.Split(string(want.JSON), "\n"), strings.Split(string(got.JSON), "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			from := max(0, i-12)
			return fmt.Sprintf("line %d of %d and %d\nstraight:\n%s\nthis way:\n%s", i, len(a), len(b),
				strings.Join(a[from:min(i+4, len(a))], "\n"), strings.Join(b[from:min(i+4, len(b))], "\n"))
		}
	}
	return fmt.Sprintf("%d lines instead of %d", len(b), len(a))
}

// holds tells where answers are not what the plant's ledger says: pieces to the
// piece, and time in each class within one look per change.
func (p *week) holds(a *weekAnswers) string {
	for i := range p.truth.Machines {
		m := &p.truth.Machines[i]
		l := a.Lines[m.Line]
		f := l.Machines[m.Machine][0]
		// A controller that starts its counters anew takes what it made since the
		// last look with it.
		lost := int64(0)
		if p.resets[m.Machine] {
			lost = int64(len(l.Timeline.Shifts)) * int64(pastEvery/time.Second)
		}
		if gone := m.Good + m.Reject - f.Good - f.Reject; gone < 0 || gone > lost || lost == 0 && f.Good != m.Good {
			return fmt.Sprintf("%s: %d good and %d rejects, the plant made %d and %d", m.Machine, f.Good, f.Reject, m.Good, m.Reject)
		}
		if most, changes := p.apart(a, m); most > time.Duration(changes)*pastEvery {
			return fmt.Sprintf("%s: a class is %s off, with %d changes", m.Machine, most, changes)
		}
	}
	for _, id := range p.lines {
		ms := p.machines(id)
		if last, line := a.Lines[id].Machines[ms[len(ms)-1]][0], a.Lines[id].Figures[""][0]; line.Good != last.Good {
			return fmt.Sprintf("%s: %d good pieces, its last machine %d", id, line.Good, last.Good)
		}
	}
	return ""
}

// apart gives by how much a machine's time in a class is off at most, and how
// often its state changed. Time that nobody saw is left out, and so are breaks:
// the calendar says what they are.
func (p *week) apart(a *weekAnswers, m *simulator.MachineAccount) (most time.Duration, changes int) {
	var breaks plant.Spans
	for _, s := range p.truth.NotScheduled {
		breaks.Add(plant.Span{From: plant.FromMilli(s[0]), To: plant.FromMilli(s[1])})
	}
	off := map[string]time.Duration{}
	for _, row := range a.Lines[m.Line].Timeline.Machines {
		if row.Machine != m.Machine {
			continue
		}
		for _, s := range row.Segments {
			if s.Class == plant.ClassUnknown {
				continue
			}
			for _, seen := range breaks.Holes(s.Span) {
				off[s.Class.String()] += seen.Length()
				for class, d := range p.true(m, seen) {
					off[class] -= d
				}
			}
		}
		changes = len(row.Segments)
	}
	for _, d := range off {
		most = max(most, d.Abs())
	}
	return most, changes
}

// true gives the machine's time in each class in a span.
func (p *week) true(m *simulator.MachineAccount, span plant.Span) map[string]time.Duration {
	of := map[string]time.Duration{}
	for i, s := range m.Segments {
		in := plant.Span{From: plant.FromMilli(s[0]), To: plant.FromMilli(p.truth.Now)}
		if i+1 < len(m.Segments) {
			in.To = plant.FromMilli(m.Segments[i+1][0])
		}
		if in.From >= span.To {
			break
		}
		if in = in.Overlap(span); !in.Empty() {
			of[string(p.truth.States[s[1]])] += in.Length()
		}
	}
	return of
}

// report says how much was compared, and how close it is.
func (p *week) report(t *testing.T, a *weekAnswers) {
	t.Helper()
	var made int64
	var most time.Duration
	var changes int
	for i := range p.truth.Machines {
		m := &p.truth.Machines[i]
		d, n := p.apart(a, m)
		made, most, changes = made+m.Good+m.Reject, max(most, d), changes+n
	}
	if made == 0 || changes < 10*len(p.truth.Machines) {
		t.Fatalf("%d pieces and %d changes: the plant did nothing", made, changes)
	}
	t.Logf("%d machines, %d pieces, %d segments; a class is off by %s at most in %s", len(p.truth.Machines), made, changes, most, p.span.Length())
}
