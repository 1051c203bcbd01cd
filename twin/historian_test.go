package twin

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"linetwin/plant"
)

// slowStore is a store whose writes take as long as told, one after the other
// as those of SQLite, and fail as told.
type slowStore struct {
	History
	turn chan struct{} // one write at a time

	mu     sync.Mutex
	fixed  time.Duration
	each   time.Duration
	fail   func(write int) error // before anything is stored
	lose   func(write int) error // after all is stored
	writes int
	sizes  []int
	tries  []time.Time
	stored map[uint64]int // sequence number -> how often
	order  []uint64
	at     map[uint64]time.Time
}

func (s *slowStore) Write(ctx context.Context, batches []*plant.Batch) error {
	s.turn <- struct{}{} // a mutex would hold up the bubble's clock
	defer func() { <-s.turn }()
	n := 0
	for _, b := range batches {
		n += len(b.Readings)
	}
	s.mu.Lock()
	s.writes++
	write, took := s.writes, s.fixed+time.Duration(n)*s.each
	s.sizes, s.tries = append(s.sizes, n), append(s.tries, time.Now())
	s.mu.Unlock()
	if s.fail != nil {
		if err := s.fail(write); err != nil {
			return err
		}
	}
	if !sleep(ctx, took) {
		return ctx.Err()
	}
	s.mu.Lock()
	for _, b := range batches {
		s.stored[b.Sequence]++
		s.order = append(s.order, b.Sequence)
		s.at[b.Sequence] = time.Now()
	}
	s.mu.Unlock()
	if s.lose != nil {
		return s.lose(write)
	}
	return nil
}

// bench is a historian on a slow store, in a bubble with a clock of its own.
type bench struct {
	t     *testing.T
	store *slowStore
	h     *historian
	stop  func()
	// Guarded by store.mu.
	acks    []plant.Acknowledgement
	through uint64 // is checked
}

func (b *bench) Acknowledge(a plant.Acknowledgement) error {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	a.Beyond = slices.Clone(a.Beyond)
	b.acks = append(b.acks, a)
	first := b.through + 1
	b.through = max(b.through, a.Through)
	for _, r := range append([]plant.Range{{First: first, Last: a.Through}}, a.Beyond...) {
		for n := max(r.First, r.Last-min(r.Last, 100)); n <= r.Last; n++ {
			if b.store.stored[n] == 0 {
				b.t.Errorf("%d is acknowledged and not stored", n)
			}
		}
	}
	return nil
}

func newBench(t *testing.T, fixed, each time.Duration) *bench {
	b := &bench{t: t, store: &slowStore{turn: make(chan struct{}, 1), fixed: fixed, each: each, stored: map[uint64]int{}, at: map[uint64]time.Time{}}}
	b.h = newHistorian(b.store, slog.New(slog.DiscardHandler))
	b.h.random = rand.New(rand.NewPCG(1, 2)).Float64
	b.h.begin(gatewayKey{"a", "g"}, "s", 1)
	return b
}

func (b *bench) start() {
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error)
	go func() {
		done <- b.h.run(ctx, b, func() plant.Time { return plant.At(time.Now()) })
	}()
	b.stop = func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	}
}

func numbered(n uint64, historical bool, readings int) *plant.Batch {
	return &plant.Batch{Area: "a", Gateway: "g", Machine: "m", Sequence: n, Historical: historical, Readings: make([]plant.Reading, readings)}
}

// TestLiveDataPassesABacklog: eight hours of 1,000 readings a second come in
// beside live data, into a store that writes 100,000 a second.
func TestLiveDataPassesABacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 5*time.Millisecond, 10*time.Microsecond)
		b.start()
		defer b.stop()
		const backlog, each = 14_400, 2_000 // batches and readings
		began := time.Now()
		worst, made, next := time.Duration(0), map[uint64]time.Time{}, uint64(1)
		for live := uint64(backlog + 1); next <= backlog; live++ { // once a second
			made[live] = time.Now()
			if !b.h.add(numbered(live, false, 1000)) {
				t.Fatal("no room for live data")
			}
			for range 100 { // the gateway sends as much as is taken
				for next <= backlog && b.h.add(numbered(next, true, each)) {
					next++
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
		synctest.Wait()
		for b.h.status().Backlog.Waiting > 0 {
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait() // what left the queue last is acknowledged after it left
		took := time.Since(began)
		b.store.mu.Lock()
		defer b.store.mu.Unlock()
		for n, at := range made {
			worst = max(worst, b.store.at[n].Sub(at))
		}
		t.Logf("%s, live data at most %s late", took, worst)
		if worst > 2*time.Second {
			t.Errorf("live data was stored %s late", worst)
		}
		if took > 5*time.Minute { // 291 s are what the store needs for it all
			t.Errorf("the backlog took %s", took)
		}
		for n := uint64(1); n <= backlog; n++ {
			if b.store.stored[n] != 1 {
				t.Fatalf("batch %d was written %d times", n, b.store.stored[n])
			}
		}
		last := b.acks[len(b.acks)-1]
		if last.Through < backlog+uint64(len(made))-2 {
			t.Errorf("acknowledged %+v", last)
		}
	})
}

// TestBacklogPassesToo: where live data alone is all that the store can take,
// a backlog still comes in, slowly.
func TestBacklogPassesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 0, 10*time.Microsecond)
		b.start()
		defer b.stop()
		for n := range uint64(100) {
			b.h.add(numbered(n+1, true, 1000))
		}
		for n := uint64(1001); b.h.status().Backlog.Waiting > 0; n += 10 {
			if n > 1000+10*3000 {
				t.Fatalf("%d readings of the backlog wait after 5 minutes", b.h.status().Backlog.Waiting)
			}
			for i := range uint64(10) {
				b.h.add(numbered(n+i, false, 1000)) // 10,000 each 100 ms: no room is no matter
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// TestWritesFail: errors of all sorts, answers that get lost, and sizes that
// time out. All is stored in the end, and nothing is acknowledged before.
func TestWritesFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, time.Millisecond, time.Microsecond)
		r := rand.New(rand.NewPCG(3, 4))
		var mu sync.Mutex
		roll := func(one int, err error) error {
			mu.Lock()
			defer mu.Unlock()
			if r.IntN(one) == 0 {
				return err
			}
			return nil
		}
		b.store.fail = func(int) error {
			return errors.Join(roll(4, errors.New("refused")), roll(8, waiting{3 * time.Second}), roll(4, context.DeadlineExceeded))
		}
		b.store.lose = func(int) error { return roll(4, context.DeadlineExceeded) } // stored, and nobody hears of it
		b.start()
		defer b.stop()
		const most = 3_000
		for n := uint64(1); n <= most; n++ {
			late := roll(3, errors.ErrUnsupported) != nil
			for !b.h.add(numbered(n, late, 100)) {
				time.Sleep(time.Second)
			}
			if roll(10, errors.ErrUnsupported) != nil {
				b.h.add(numbered(n, true, 100)) // sent again, because it was not acknowledged in time
			}
			time.Sleep(5 * time.Millisecond)
		}
		acked := func() uint64 {
			b.store.mu.Lock()
			defer b.store.mu.Unlock()
			if len(b.acks) == 0 {
				return 0
			}
			return b.acks[len(b.acks)-1].Through
		}
		for i := 0; acked() != most; i++ {
			if i == 1000 {
				t.Fatalf("acknowledged through %d", acked())
			}
			time.Sleep(time.Second)
		}
		s := b.h.status()
		if s.Stored != most*100 || s.Failing != "" || s.Was == "" || s.Live.Failed == 0 || s.Backlog.Failed == 0 || s.Repeated == 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestRepeatsAreNotWritten: what waits is not queued twice, and what is stored
// is acknowledged again without being written again.
func TestRepeatsAreNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, time.Second, 0)
		b.start()
		defer b.stop()
		b.h.add(numbered(1, false, 10))
		b.h.add(numbered(1, true, 10))
		time.Sleep(5 * time.Second)
		b.h.add(numbered(1, true, 10))
		synctest.Wait()
		b.store.mu.Lock()
		if b.store.writes != 1 || b.store.stored[1] != 1 || len(b.acks) != 2 || b.acks[1].Through != 1 {
			t.Errorf("%d writes, acknowledged %+v", b.store.writes, b.acks)
		}
		b.store.mu.Unlock()
		// A new session gives the number again, for something else.
		b.h.begin(gatewayKey{"a", "g"}, "s2", 1)
		b.h.add(numbered(1, false, 10))
		time.Sleep(5 * time.Second)
		b.store.mu.Lock()
		defer b.store.mu.Unlock()
		if b.store.stored[1] != 2 || b.acks[len(b.acks)-1].Session != "s2" {
			t.Errorf("written %d times, acknowledged %+v", b.store.stored[1], b.acks)
		}
	})
}

// TestQuiet: a store that asks to be left alone is, by both lanes; and a lane
// goes on at once when the other one has seen that the store works.
func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 0, 0)
		b.store.fail = func(write int) error {
			if write == 1 {
				return waiting{time.Minute}
			}
			return nil
		}
		b.start()
		defer b.stop()
		began := time.Now()
		b.h.add(numbered(1, false, 10))
		time.Sleep(time.Second)
		if failing, _ := b.h.state(); failing != "busy" {
			t.Errorf("failing %q", failing)
		}
		b.h.add(numbered(2, true, 10))
		time.Sleep(5 * time.Minute)
		b.store.mu.Lock()
		defer b.store.mu.Unlock()
		if len(b.store.tries) != 3 || b.store.tries[1].Sub(began) < time.Minute {
			t.Errorf("tried at %v, began at %v", b.store.tries, began)
		}
	})
}
