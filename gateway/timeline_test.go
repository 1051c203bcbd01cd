package gateway

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"linetwin/plant"
)

// skewed is a computer whose wall clock is off by as much as a test wants, and
// by nothing else.
type skewed struct {
	*Clock
	origin time.Time
	off    atomic.Int64
	synced atomic.Bool
}

func newSkewed(off time.Duration) *skewed {
	s := &skewed{origin: time.Now()}
	s.off.Store(int64(off))
	s.again()
	return s
}

// again begins the clock of the next process.
func (s *skewed) again() {
	s.Clock = ClockOf(s.origin, func() (time.Time, time.Duration) {
		passed := time.Since(s.origin)
		return s.origin.Round(0).Add(passed + time.Duration(s.off.Load())), passed
	}, s.synced.Load, quiet())
}

// truth gives the true time at t, which time.Now gave. Between the readings of
// wall and monotonic clock, of which that is made, a busy machine takes its time.
func (s *skewed) truth(t time.Time) plant.Time { return plant.At(s.origin.Add(t.Sub(s.origin))) }

// counting is a source that counts on, and remembers when it truly did so.
type counting struct {
	*fakeSource
	clock *Clock

	mu   sync.Mutex
	when []time.Time // of the value 0, 1, 2, ...
}

func (c *counting) Next(ctx context.Context, into []plant.Reading) (plant.Round, error) {
	sleep(ctx, 5*time.Millisecond)
	if ctx.Err() != nil {
		return plant.Round{}, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	n := int64(len(c.when))
	c.when = append(c.when, now)
	at := c.clock.At(now).Floor(time.Millisecond)
	return plant.Round{Readings: append(into, good(n, at)), Through: at}, nil
}

func (c *counting) made() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.when)
}

// more waits until so many values more are made.
func (c *counting) more(t *testing.T, n int) {
	t.Helper()
	n += c.made()
	until(t, fmt.Sprint(n, " values"), func() bool { return c.made() >= n })
}

// lab is a gateway on a skewed clock and the history behind it.
type lab struct {
	t     *testing.T
	clock *skewed
	src   *counting
	wire  *fakeWire
	run   running
	cfg   Config
	late  time.Duration // how long the twin's word took at most

	mu    sync.Mutex
	at    map[int64]plant.Time // value -> time in history
	marks map[int64]plant.Reading
	rows  map[plant.Time]bool
	spans []plant.Span
}

func newLab(t *testing.T, off time.Duration, online bool) *lab {
	l := &lab{t: t, clock: newSkewed(off), wire: &fakeWire{offline: !online}, at: map[int64]plant.Time{}, marks: map[int64]plant.Reading{}, rows: map[plant.Time]bool{}}
	l.src = &counting{fakeSource: newSource(), clock: l.clock.Clock}
	l.wire.taken = l.store
	cfg := testConfig(t.TempDir())
	cfg.Clock = l.clock.Clock
	l.cfg = cfg
	l.run = run(t, cfg, l.wire, press(l.src))
	return l
}

func (l *lab) store(b plant.Batch) {
	l.mu.Lock()
	for i := range b.Readings {
		r := b.Readings[i]
		l.rows[r.Time] = true
		v := r.Value.Integer()
		if r.Quality != plant.Good {
			l.marks[v] = r
		}
		// A value may be told again later: it is still so then.
		if was, known := l.at[v]; !known || r.Time < was {
			l.at[v] = r.Time
		}
	}
	if b.Complete.To > b.Complete.From {
		l.spans = append(l.spans, b.Complete)
	}
	l.mu.Unlock()
	l.run.ack(b.Sequence, b.Sequence)
}

// restart ends the gateway and begins the next process on its folder.
func (l *lab) restart() {
	l.t.Helper()
	if err := l.run.stop(); err != nil {
		l.t.Fatal(err)
	}
	l.clock.again()
	l.src.clock, l.cfg.Clock = l.clock.Clock, l.clock.Clock
	l.run = run(l.t, l.cfg, l.wire, press(l.src))
}

// tell is the twin's word.
func (l *lab) tell() {
	asked := time.Now()
	l.run.HostTime(l.clock.truth(time.Now()).Floor(time.Millisecond), time.Since(asked))
	l.late = max(l.late, time.Since(asked)) // the word may be as wrong as this
}

func (l *lab) link(online bool) {
	l.wire.setOffline(!online)
	l.run.Linked(online)
}

// stored waits until history has all that was made until now, and holds it
// against the truth: each value once, at its time and without a mark. Claims
// may be longer than the truth by no more than the same.
func (l *lab) stored() {
	l.t.Helper()
	within := 2*time.Millisecond + l.late
	n := l.src.made()
	until(l.t, "history", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for v := range int64(n) {
			if _, ok := l.at[v]; !ok {
				return false
			}
		}
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.src.mu.Lock()
	defer l.src.mu.Unlock()
	for v := range int64(n) {
		truth := l.clock.truth(l.src.when[v])
		if off := l.at[v].Sub(truth); off.Abs() > within {
			l.t.Fatalf("value %d of %d is in history %v from its time", v, n, off)
		}
		if m, ok := l.marks[v]; ok {
			l.t.Fatalf("value %d is marked: %+v", v, m)
		}
	}
	first, last := l.clock.truth(l.src.when[0]).Add(-within), l.clock.truth(time.Now()).Add(within)
	for _, s := range l.spans {
		if s.From < first || s.To > last {
			l.t.Errorf("somebody claims (%s, %s], the test went from %s to %s", s.From, s.To, first, last)
		}
	}
}

// counted ends the gateway and holds its counts against history, minute by
// minute, as the twin's audit does.
func (l *lab) counted() {
	l.t.Helper()
	if err := l.run.stop(); err != nil {
		l.t.Fatal(err)
	}
	q, err := openBuffer(l.cfg, quiet())
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() {
		if err := q.close(); err != nil {
			l.t.Error(err)
		}
	}()
	told := map[plant.Time]*plant.Count{}
	for key, r := q.report(); r != nil; key, r = q.report() {
		if r.From > r.To || r.To > plant.At(time.Now()).Add(time.Second) {
			l.t.Errorf("a report is of %s to %s", r.From, r.To)
		}
		for i := range r.Counts {
			c := &r.Counts[i]
			if told[c.Minute] == nil {
				told[c.Minute] = &plant.Count{}
			}
			told[c.Minute].Add(c)
		}
		q.confirm(key)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	stored := map[plant.Time]uint64{}
	for at := range l.rows {
		stored[at.Floor(time.Minute)]++
		if told[at.Floor(time.Minute)] == nil {
			l.t.Fatalf("%s is counted nowhere", at)
		}
	}
	for minute, c := range told {
		if n := stored[minute]; n+c.Repeated > c.Made || n+c.Repeated+c.Late < c.Made || c.Dropped > 0 {
			l.t.Errorf("%s: %d in history, counted %+v", minute, n, *c)
		}
	}
}

func TestJumpsOfTheClockMoveNoReading(t *testing.T) {
	for _, by := range []time.Duration{10 * time.Minute, -10 * time.Minute, 30 * time.Second, -30 * time.Second, 24 * 365 * time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 0, true)
			l.run.AwaitTime()
			l.tell()
			l.src.more(t, 20)
			l.clock.off.Store(int64(by))
			l.src.more(t, 20)
			l.tell()
			l.src.more(t, 20)
			if s := l.run.Status().Clock; s.State != plant.ClockOwn || s.Steps != 1 {
				t.Errorf("%+v, want its own time after one step", s)
			}
			l.clock.off.Store(0)
			l.src.more(t, 20)
			l.tell()
			l.src.more(t, 20)
			if s := l.run.Status().Clock; s.State != plant.ClockSet || s.Steps != 2 {
				t.Errorf("%+v, want the system's clock after two steps", s)
			}
			l.stored()
			l.counted()
		})
	}
}

func TestReadingsOfAWrongClockMoveWithIt(t *testing.T) {
	epoch := -time.Duration(plant.At(time.Now()))
	for _, c := range []struct {
		name string
		off  time.Duration
		set  func(l *lab)
	}{
		{"1970, set by NTP before the twin is there", epoch, func(l *lab) {
			l.clock.off.Store(0)
			l.run.settle()
			l.src.more(t, 20)
			l.run.AwaitTime()
			l.link(true)
			l.tell()
		}},
		{"1970, the twin tells the time", epoch, func(l *lab) {
			l.run.AwaitTime()
			l.link(true)
			l.src.more(t, 20)
			l.tell()
		}},
		{"three hours behind, as the last shutdown", -3 * time.Hour, func(l *lab) {
			l.run.AwaitTime()
			l.link(true)
			l.src.more(t, 20)
			l.tell()
		}},
		{"ten minutes ahead", 10 * time.Minute, func(l *lab) {
			l.run.AwaitTime()
			l.link(true)
			l.src.more(t, 20)
			l.tell()
		}},
		{"three hours behind, NTP comes just after the link", -3 * time.Hour, func(l *lab) {
			l.run.AwaitTime()
			l.link(true)
			l.clock.off.Store(0)
			l.clock.synced.Store(true)
			l.src.more(t, 20)
			l.tell()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, c.off, false)
			l.run.timeline.Lock()
			l.run.patience = time.Hour // the word comes, however slow the machine
			l.run.timeline.Unlock()
			l.src.more(t, 20)
			c.set(l)
			l.src.more(t, 20)
			l.stored()
			l.counted()
		})
	}
}

// TestMovesOutliveTheProcess: what a wrong clock stamped is put right as it leaves,
// also where that is a later process, or a process after that.
func TestMovesOutliveTheProcess(t *testing.T) {
	t.Parallel()
	l := newLab(t, -3*time.Hour, false)
	l.src.more(t, 20)
	l.clock.off.Store(0)
	l.clock.synced.Store(true)
	l.run.settle()
	l.src.more(t, 20)
	for range 2 {
		l.restart()
		l.src.more(t, 20)
	}
	l.run.AwaitTime()
	l.link(true)
	l.tell()
	l.stored()
	l.counted()
}

func TestReadingsOfAClockThatNobodySetsLeaveMarked(t *testing.T) {
	t.Parallel()
	l := newLab(t, -time.Duration(plant.At(time.Now())), true)
	l.run.timeline.Lock()
	l.run.patience = 100 * time.Millisecond
	l.run.timeline.Unlock()
	l.src.more(t, 20)
	until(t, "marked readings", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.at) >= 20
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	for v := range int64(20) {
		if m := l.marks[v]; m.Quality != plant.Uncertain || m.Reason != plant.ReasonClockUnset {
			t.Fatalf("value %d is %+v", v, m)
		}
	}
	if s := l.run.Status().Clock; s.State != plant.ClockUnset {
		t.Errorf("%+v", s)
	}
}
