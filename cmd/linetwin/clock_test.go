package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"linetwin/configs"
	"linetwin/connectors/broker"
	"linetwin/connectors/sparkplug"
	"linetwin/connectors/sqlite"
	"linetwin/gateway"
	"linetwin/plant"
)

// counter is a device that counts on at each look, and remembers when it truly
// did so. Its gateway's wall clock is off by as much as a test wants.
type counter struct {
	clock  *gateway.Clock
	origin time.Time
	off    atomic.Int64
	still  atomic.Bool // it counts no more

	mu   sync.Mutex
	when []time.Time
}

func newCounter(off time.Duration) *counter {
	c := &counter{origin: time.Now()}
	c.off.Store(int64(off))
	// Of one reading: between those of a wall and a monotonic clock a busy machine
	// takes its time.
	c.clock = gateway.ClockOf(c.origin, func() (time.Time, time.Duration) {
		passed := time.Since(c.origin)
		return c.origin.Round(0).Add(passed + time.Duration(c.off.Load())), passed
	}, func() bool { return false }, slog.New(slog.DiscardHandler))
	return c
}

func (c *counter) Next(ctx context.Context, into []plant.Reading) (plant.Round, error) {
	select {
	case <-ctx.Done():
		return plant.Round{}, ctx.Err()
	case <-time.After(20 * time.Millisecond):
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	at := c.clock.At(now).Floor(time.Millisecond)
	if c.still.Load() {
		return plant.Round{Readings: into, Through: at}, nil
	}
	into = append(into, plant.Reading{Signal: "state", Time: at, Value: plant.Integer(6)},
		plant.Reading{Signal: "good", Time: at, Value: plant.Integer(int64(len(c.when)))})
	c.when = append(c.when, now)
	return plant.Round{Readings: into, Through: at}, nil
}

// truth gives when it counted to n.
func (c *counter) truth(n int64) plant.Time { return plant.At(c.origin.Add(c.when[n].Sub(c.origin))) }

func (c *counter) Status() plant.DeviceStatus {
	return plant.DeviceStatus{Protocol: "test", Link: plant.LinkFlowing}
}

func (c *counter) Close() error { return nil }

func (c *counter) made() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.when)
}

// listener is a gateway that remembers how long the twin's word took at most: it
// may be as wrong as that.
type listener struct {
	*gateway.Gateway
	mu   sync.Mutex
	took time.Duration
}

func (l *listener) HostTime(t plant.Time, age time.Duration) {
	l.mu.Lock()
	l.took = max(l.took, age)
	l.mu.Unlock()
	l.Gateway.HostTime(t, age)
}

// held is how long this process may be held up while it reads the time.
const held = 100 * time.Millisecond

// A wrong clock of a gateway shows nowhere in history: each value is there
// once, at its true time, and somebody looked all the time. It is what a run
// with a right clock leaves.
func TestHistoryOfAGatewayWhoseClockJumps(t *testing.T) {
	for name, c := range map[string]struct {
		off  time.Duration   // at the start
		jump []time.Duration // afterwards
		late bool            // the twin comes when some is made
	}{
		"forward and back":           {jump: []time.Duration{10 * time.Minute, 0}},
		"back and forward":           {jump: []time.Duration{-30 * time.Minute, 0}},
		"a power cut, no battery":    {off: -56 * 365 * 24 * time.Hour, jump: []time.Duration{0}, late: true},
		"a day ahead, set back late": {off: 24 * time.Hour, jump: []time.Duration{0}, late: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			source := newCounter(c.off)
			took := jumping(t, dir, source, c.jump, c.late)
			h, err := sqlite.OpenHistory(t.Context(), sqlite.HistoryConfig{Folder: dir, Sync: "full"}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			rec, err := h.Record(t.Context(), "a-riveting", []string{"good"}, plant.Span{From: 1, To: plant.At(time.Now().Add(48 * time.Hour))})
			if err != nil {
				t.Fatal(err)
			}
			seen := map[int64]bool{}
			for _, r := range rec.Readings {
				v := r.Value.Integer()
				within := 2 * time.Millisecond
				if c.off != 0 {
					within += took + held
				}
				if off := r.Time.Sub(source.truth(v)); off.Abs() > within || r.Quality != plant.Good {
					t.Fatalf("value %d is %v from its time: %+v", v, off, r)
				}
				// After a move the last value is told again: it is still so.
				if seen[v] && c.off == 0 {
					t.Errorf("value %d is there twice", v)
				}
				seen[v] = true
			}
			if len(seen) != len(source.when) {
				t.Errorf("%d values are in history, %d were made", len(seen), len(source.when))
			}
			if len(rec.Complete) != 1 {
				t.Errorf("claims have holes: %v", rec.Complete)
			}
		})
	}
}

// jumping runs a gateway and a twin, lets the gateway's clock jump, and ends
// when history has everything. It gives how long the twin's word took at most.
func jumping(t *testing.T, dir string, source *counter, jumps []time.Duration, late bool) (took time.Duration) {
	log := slog.New(slog.DiscardHandler)
	b := broker.Config{Listen: freePort(t), Folder: filepath.Join(dir, "broker")}
	demo, err := configs.LoadDemo()
	if err != nil {
		t.Fatal(err)
	}
	cfg := demo.Twin
	if faults := b.Check(); len(faults) > 0 {
		t.Fatal(faults)
	}
	cfg.Broker.Embedded = &b
	cfg.History.Embedded.Folder, cfg.Ledger.SQLite, cfg.Web.Listen = dir, filepath.Join(dir, "ledger.db"), "127.0.0.1:0"
	role, err := newTwin(t.Context(), &cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	defer role.close()

	of := gateway.DefaultConfig()
	of.Area, of.Gateway, of.Buffer.Folder, of.Clock = "assembly", "edge-1", filepath.Join(dir, "buffer"), source.clock
	core, err := gateway.New(of, []gateway.Device{{Machine: "a-riveting", Source: source,
		Signals: []plant.Signal{{Name: "state", Kind: plant.KindInteger}, {Name: "good", Kind: plant.KindInteger}}}}, log)
	if err != nil {
		t.Fatal(err)
	}
	wire := sparkplug.EdgeConfig{Area: "assembly", Gateway: "edge-1"}
	wire.Brokers = []string{"tcp://" + b.Listen}
	node := &listener{Gateway: core}
	edge, err := sparkplug.NewEdge(wire, node, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 3)
	begin := func(job func() error) { go func() { ended <- job() }() }
	begin(func() error { core.Run(ctx, edge); return nil })
	begin(func() error { edge.Run(ctx); return nil })
	more := func(n int) {
		n += source.made()
		eventually(t, "more values", func() bool { return source.made() >= n })
	}
	if late {
		more(50)
	}
	begin(func() error { return role.run(ctx, func(string) {}) })
	live := func() (g plant.GatewayLive) {
		if all := role.model.Snapshot().Gateways; len(all) > 0 {
			g = all[0]
		}
		return g
	}
	eventually(t, "the gateway's clock is compared with the twin's", func() bool { return live().Clock != nil && live().Clock.OffsetMs != nil })
	steps := uint64(0)
	for _, off := range jumps {
		more(30)
		if source.off.Swap(int64(off)) != int64(off) {
			steps++
		}
		more(30)
		eventually(t, "the gateway has followed its clock, or not", func() bool {
			c := live().Clock
			return c.Steps == steps && c.State != plant.ClockInDoubt
		})
	}
	more(30)
	eventually(t, "its clock is the system's", func() bool { return live().Clock.State == plant.ClockSet })
	source.still.Store(true)
	n := source.made()
	eventually(t, "history has everything", func() bool { return core.Status().Waiting == 0 && source.made() == n })
	cancel()
	for range 3 {
		<-ended
	}
	if c := live().Clock; c.OffsetMs == nil || max(*c.OffsetMs, -*c.OffsetMs) > c.BoundMs+(node.took+held).Milliseconds() {
		t.Errorf("the gateway's clock in the end: %+v", c)
	}
	return node.took
}
