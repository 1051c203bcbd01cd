package connectors

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"linetwin/plant"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // the OPC UA library's server prints what it does
	// It ends subscriptions only after their life time.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/gopcua/opcua/server.(*Subscription).run"))
}

// script is a device that does as it is told.
type script struct {
	connect    error
	poll       error
	panics     string // connect, poll or close
	hangs      time.Duration
	bad        string // every reading is bad, for this reason
	connected  bool
	connects   int
	polls      int
	closes     int
	signals    []plant.Signal
	overflowed int
	ahead      time.Duration // its looks have times so much later
	claimed    plant.Time    // by others
}

func (s *script) Claimed(through plant.Time) { s.claimed = through }

func (s *script) Connect(ctx context.Context) error {
	s.connects++
	if s.panics == "connect" {
		panic("out of cheese")
	}
	s.connected = s.connect == nil
	return s.connect
}

func (s *script) Poll(ctx context.Context, into []plant.Reading) (plant.Round, error) {
	s.polls++
	began := plant.Stamp(time.Now()).Add(s.ahead)
	if s.panics == "poll" {
		panic("out of cheese")
	}
	if s.hangs > 0 {
		select {
		case <-time.After(s.hangs):
		case <-ctx.Done():
			return plant.Round{}, ctx.Err()
		}
	}
	if !s.connected || s.poll != nil {
		return plant.Round{}, errors.Join(s.poll)
	}
	for i, sig := range s.signals {
		r := plant.Reading{Machine: "press", Signal: sig.Name, Time: began, Value: plant.Integer(int64(i))}
		if s.bad != "" {
			r.Value, r.Quality, r.Reason = plant.Value{}, plant.Bad, s.bad
		}
		into = append(into, r)
	}
	return plant.Round{Readings: into, Through: began, Missed: s.overflowed}, nil
}

func (s *script) Close() error {
	s.closes++
	s.connected = false
	if s.panics == "close" {
		panic("out of cheese")
	}
	return nil
}

// scripted gives a supervisor over a scripted device with two signals, looked
// at each second.
func scripted() (*Supervisor, *script, *bytes.Buffer) {
	signals := []plant.Signal{{Name: "a", Kind: plant.KindInteger}, {Name: "b", Kind: plant.KindInteger}}
	d := &script{signals: slices.Clone(signals)}
	log := new(bytes.Buffer)
	s := supervise(setup{
		machine: "press", protocol: "modbus", endpoint: "tcp://somewhere", every: time.Second, timeout: 500 * time.Millisecond,
		connect: 5 * time.Second, poll: 10 * time.Second, signals: signals,
		build: func() (Device, error) {
			d.panics = ""
			return d, nil
		},
	}, d, Options{}, slog.New(slog.NewTextHandler(log, nil)))
	s.backoff.random = func() float64 { return 1 }
	return s, d, log
}

func next(t *testing.T, s *Supervisor) plant.Round {
	t.Helper()
	round, err := s.Next(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return round
}

// reasons gives the reasons of a round's readings; "" for a good one.
func reasons(round plant.Round) []string {
	var out []string
	for _, r := range round.Readings {
		if (r.Quality == plant.Good) == r.Value.IsNone() {
			return []string{"quality and value disagree"}
		}
		out = append(out, r.Reason)
	}
	return out
}

func TestSupervisorTellsFailuresOncePerReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d, log := scripted()
		start := plant.Stamp(time.Now())
		refused, silent := errors.New("connection refused"), errors.New("no answer")
		down := []string{"connection refused", "connection refused"}
		for i, c := range []struct {
			connect, poll error
			want          []string
			connects      int
			link          plant.Link
		}{
			{want: []string{"", ""}, connects: 1, link: plant.LinkFlowing},
			{poll: silent, want: []string{"no answer", "no answer"}, connects: 1, link: plant.LinkDown},
			{poll: silent, want: nil, connects: 2, link: plant.LinkDown},      // tried again at once; the next in 1 s
			{connect: refused, want: down, connects: 3, link: plant.LinkDown}, // another reason; the next in 2 s
			{want: nil, connects: 3, link: plant.LinkDown},                    // not due yet
			{connect: refused, want: nil, connects: 4, link: plant.LinkDown},  // the next in 4 s
			{want: nil, connects: 4, link: plant.LinkDown},
			{want: nil, connects: 4, link: plant.LinkDown},
			{want: nil, connects: 4, link: plant.LinkDown},
			{want: []string{"", ""}, connects: 5, link: plant.LinkFlowing},
			{want: []string{"", ""}, connects: 5, link: plant.LinkFlowing},
			{poll: silent, want: []string{"no answer", "no answer"}, connects: 5, link: plant.LinkDown},
		} {
			d.connect, d.poll = c.connect, c.poll
			round := next(t, s)
			at := start.Add(time.Duration(i) * time.Second)
			if round.Through != at {
				t.Errorf("round %d through %v, want %v", i, round.Through, at)
			}
			if !slices.Equal(reasons(round), c.want) {
				t.Errorf("round %d: %q, want %q", i, reasons(round), c.want)
			}
			for _, r := range round.Readings {
				if r.Time != at || r.Machine != "press" {
					t.Errorf("round %d: reading %+v, want it at %v", i, r, at)
				}
			}
			if d.connects != c.connects || s.Status().Link != c.link {
				t.Errorf("round %d: %d connects, link %s; want %d, %s", i, d.connects, s.Status().Link, c.connects, c.link)
			}
		}
		got := s.Status()
		want := plant.DeviceStatus{Machine: "press", Protocol: "modbus", Endpoint: "tcp://somewhere", Link: plant.LinkDown, Reason: "no answer",
			Since: start.Add(11 * time.Second), LastData: start.Add(10 * time.Second), NextTry: got.NextTry, Signals: 2, BadNow: 2,
			Rounds: 3, Failures: 5, EveryMs: 1000, Connects: 3}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("status %+v, want %+v", got, want)
		}
		if n := strings.Count(log.String(), "\n"); n != 5 {
			t.Errorf("%d lines of log, want 5 (read, lost twice, read again, lost):\n%s", n, log)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestSupervisorFailsAfterWhatWasFound: a failed look has a time of its own,
// behind that of the look before, and the device learns it.
func TestSupervisorFailsAfterWhatWasFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d, _ := scripted()
		s.grid.every, d.ahead = time.Millisecond, 5*time.Millisecond
		found := next(t, s)
		d.poll = errors.New("no answer")
		failed := next(t, s)
		want := found.Through + plant.Millisecond
		if failed.Through != want || len(failed.Readings) == 0 || failed.Readings[0].Time != want || d.claimed != want {
			t.Errorf("found through %v, failed %+v, the device was told %v", found.Through, failed, d.claimed)
		}
		time.Sleep(time.Second)
		d.poll = errors.New("refused")
		if failed = next(t, s); failed.Through != plant.Stamp(time.Now()) {
			t.Errorf("failed through %v at %v", failed.Through, plant.Stamp(time.Now()))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestSupervisorAbsentAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d, _ := scripted()
		if s.Status().Link != plant.LinkConnecting {
			t.Errorf("link %s before the first look", s.Status().Link)
		}
		d.connect = errors.New("refused")
		bad := 0
		for range 600 {
			bad += len(next(t, s).Readings)
		}
		if bad != 2 {
			t.Errorf("%d bad readings in ten minutes, want one for each signal", bad)
		}
		if d.connects < 20 || d.connects > 30 {
			t.Errorf("%d attempts in ten minutes, want one in 30 s once it is known", d.connects)
		}
		if st := s.Status(); st.LastData != 0 || st.Rounds != 0 || st.NextTry == 0 {
			t.Errorf("status %+v", st)
		}
		d.connect = nil
		for range 31 {
			next(t, s)
		}
		if st := s.Status(); st.Link != plant.LinkFlowing || st.BadNow != 0 || st.NextTry != 0 || st.Reason != "" {
			t.Errorf("status %+v", st)
		}
	})
}

// TestSupervisorDoesNotHammer: a device that answers once and dies is not
// connected to again and again without a pause.
func TestSupervisorDoesNotHammer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d, _ := scripted()
		for i := range 600 {
			d.poll = nil
			if i%2 == 1 {
				d.poll = errors.New("reset")
			}
			next(t, s)
		}
		if d.connects > 40 {
			t.Errorf("%d connections in ten minutes", d.connects)
		}
	})
}

func TestSupervisorOutlivesPanics(t *testing.T) {
	for _, where := range []string{"connect", "poll", "close"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, d, log := scripted()
				builds := 0
				build := s.build
				s.build = func() (Device, error) { builds++; return build() }
				d.panics = where
				if where == "close" {
					d.connect = errors.New("refused")
				}
				round := next(t, s)
				if got := reasons(round); len(got) != 2 || where != "close" && got[0] != "internal error of the connector: out of cheese" {
					t.Errorf("round %q", got)
				}
				if st := s.Status(); st.Link != plant.LinkDown || st.Failures != 1 {
					t.Errorf("status %+v", st)
				}
				d.connect = nil
				if got := reasons(next(t, s)); builds != 1 || !slices.Equal(got, []string{"", ""}) {
					t.Errorf("after %d builds: %q", builds, got)
				}
				if !strings.Contains(log.String(), "out of cheese") || !strings.Contains(log.String(), "stack") {
					t.Errorf("log: %s", log)
				}
			})
		})
	}
}

func TestSupervisorSeesThatDataStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d, _ := scripted()
		next(t, s)
		d.hangs = 9 * time.Second
		done := make(chan plant.Round)
		go func() {
			round, _ := s.Next(t.Context(), nil)
			done <- round
		}()
		time.Sleep(2900 * time.Millisecond)
		if st := s.Status(); st.Link != plant.LinkFlowing {
			t.Errorf("status %+v before three intervals have passed", st)
		}
		time.Sleep(200 * time.Millisecond)
		st := s.Status()
		if st.Link != plant.LinkStale || st.Reason != "no data for more than 3s" || st.Since != st.LastData.Add(3*time.Second) {
			t.Errorf("status %+v while a look hangs", st)
		}
		if got := reasons(<-done); len(got) != 2 {
			t.Errorf("the slow look gave %q", got)
		}
		if st := s.Status(); st.RoundMs != 9000 {
			t.Errorf("status %+v, want a round of 9 s", st)
		}
		d.hangs = 0
		next(t, s)
		if st := s.Status(); st.Late != 1 || st.Skipped != 8 || st.Link != plant.LinkFlowing {
			t.Errorf("status %+v, want one late look and eight left out", st)
		}
		d.hangs = time.Hour
		if got := reasons(next(t, s)); len(got) != 2 || got[0] == "" {
			t.Errorf("a look without end gave %q", got)
		}
	})
}

func TestSupervisorConnectsAnewWhenAllIsBad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d, _ := scripted()
		next(t, s)
		d.bad = "unknown node"
		for range 60 {
			next(t, s)
		}
		if st := s.Status(); st.Link != plant.LinkStale || st.Reason != "every signal is bad: unknown node" || st.BadNow != 2 || d.connects != 1 {
			t.Errorf("after a minute: %d connects, status %+v", d.connects, st)
		}
		next(t, s)
		next(t, s)
		if d.connects != 2 {
			t.Errorf("%d connects, want a second one", d.connects)
		}
		for range 59 {
			next(t, s)
		}
		if d.connects != 2 {
			t.Errorf("%d connects a minute later, want none yet", d.connects)
		}
		d.bad = ""
		next(t, s)
		if st := s.Status(); st.Link != plant.LinkFlowing || st.BadNow != 0 {
			t.Errorf("status %+v", st)
		}
	})
}

// TestBackoffAfterAllWasBad: failures from before a steady time do not put off
// the attempts after a connection that is made anew.
func TestBackoffAfterAllWasBad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d, _ := scripted()
		d.connect = errors.New("refused")
		for range 300 {
			next(t, s)
		}
		d.connect, d.bad = nil, "unknown node"
		for end := time.Now().Add(2 * time.Minute); s.up || s.reason != ""; {
			if next(t, s); time.Now().After(end) {
				t.Fatal("not connected anew")
			}
		}
		d.connect = errors.New("refused")
		before := d.connects
		for range 4 { // at once, at once again, and after 1 s
			next(t, s)
		}
		if n := d.connects - before; n != 3 {
			t.Errorf("%d attempts in four seconds, want 3", n)
		}
	})
}

func TestSupervisorEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d, _ := scripted()
		next(t, s)
		d.hangs = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		if _, err := s.Next(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if st := s.Status(); st.Failures != 0 {
			t.Errorf("the end of the program counts as a failure: %+v", st)
		}
		if err := s.Close(); err != nil || d.closes != 1 {
			t.Errorf("closed %d times, error %v", d.closes, err)
		}
	})
}

func TestSupervisorCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d, _ := scripted()
		d.overflowed = 3
		next(t, s)
		next(t, s)
		if st := s.Status(); st.Missed != 6 || st.Rounds != 2 || st.Connects != 1 {
			t.Errorf("status %+v", st)
		}
		// Readings in another order, and of a signal that the device should not have.
		slices.Reverse(d.signals)
		d.bad = "x"
		d.signals = append(d.signals[:1], plant.Signal{Name: "stranger"})
		next(t, s)
		if st := s.Status(); st.BadNow != 1 || st.Link != plant.LinkFlowing {
			t.Errorf("status %+v, want one bad signal", st)
		}
	})
}

func BenchmarkSupervisorRound(b *testing.B) {
	var signals []plant.Signal
	for i := range 1000 {
		signals = append(signals, plant.Signal{Name: "signal-" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + time.Duration(i).String()})
	}
	d := &script{signals: signals, connected: true}
	s := supervise(setup{machine: "press", every: time.Nanosecond, poll: time.Minute, connect: time.Minute, signals: signals}, d, Options{}, slog.New(slog.DiscardHandler))
	into := make([]plant.Reading, 0, 1000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Next(b.Context(), into[:0]); err != nil {
			b.Fatal(err)
		}
	}
}
