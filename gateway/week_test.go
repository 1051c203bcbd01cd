package gateway

import (
	"context"
	"sync"
	"testing"
	"time"

	"linetwin/connectors/broker"
	"linetwin/connectors/sparkplug"
	"linetwin/connectors/sqlite"
	"linetwin/plant"
	"linetwin/twin"
)

// weekHistory is the real store, and notes in what order readings came.
type weekHistory struct {
	*sqlite.History
	since plant.Time // readings from then on are live

	mu         sync.Mutex
	before     int // backlog readings that came before the first live one
	old, live  int
	liveLatest plant.Time
}

func (h *weekHistory) Write(ctx context.Context, batches []*plant.Batch) error {
	if err := h.History.Write(ctx, batches); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range batches {
		for _, r := range b.Readings {
			if r.Time < h.since {
				h.old++
				continue
			}
			if h.live == 0 {
				h.before = h.old
			}
			h.live++
			h.liveLatest = max(h.liveLatest, r.Time)
		}
	}
	return nil
}

func (h *weekHistory) counts() (old, live int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.old, h.live
}

// weekEvery is how often the machine of an absence is read, and how many such
// readings a batch has.
const (
	weekEvery = 30 * time.Second
	weekBatch = 40

	commitEvery = 30 * time.Minute
)

// fillDays makes a buffer that was cut off for that long until now: commits
// come each half hour, at its own time.
func fillDays(t *testing.T, cfg Config, from, to time.Time) (made int, dropped uint64, span plant.Span) {
	h := open(t, cfg)
	commit := from.Add(commitEvery)
	for at := from; at.Before(to); at = at.Add(weekBatch * weekEvery) {
		b := &plant.Batch{Machine: "press"}
		for i := range weekBatch {
			read := plant.Stamp(at.Add(time.Duration(i) * weekEvery))
			b.Readings = append(b.Readings, good(int64(made), read))
			made++
		}
		b.Complete = plant.Span{From: b.Readings[0].Time, To: b.Readings[weekBatch-1].Time}
		h.mu.Lock()
		h.push(b, false, at, plant.At(at))
		h.mu.Unlock()
		if !at.Before(commit) {
			if err := h.c.commit(commit, false); err != nil {
				t.Fatal(err)
			}
			commit = commit.Add(commitEvery)
		}
	}
	dropped, span = h.dropped, h.span
	end(t, h)
	return made, dropped, span
}

// serving runs until the test ends.
func serving(t *testing.T, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
}

// weekHost is a twin behind a broker of its own; it gives the broker's URL.
func weekHost(t *testing.T, history twin.History, ledger *sqlite.Ledger) string {
	model, err := twin.New(twin.Config{Site: "site", Zone: "UTC", LateAfter: time.Minute}, twin.Options{History: history, Ledger: ledger, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	mqtt, err := broker.New(broker.Config{Listen: "127.0.0.1:0", Folder: t.TempDir()}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	serving(t, mqtt.Run)
	<-mqtt.Ready()
	url := "tcp://" + mqtt.Addr()
	host, err := sparkplug.NewHost(sparkplug.HostConfig{Connection: sparkplug.Connection{Brokers: []string{url}}}, model, quiet())
	if err != nil {
		t.Fatal(err)
	}
	serving(t, func(ctx context.Context) error { return model.Run(ctx, host) })
	serving(t, host.Run)
	return url
}

// TestHostAwayForAWeek: a gateway was cut off for eight days and may keep
// seven. When its host comes, live data is there before the backlog, all of
// seven days is stored, and what is older is counted with its time.
func TestHostAwayForAWeek(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Delivery.Resend = 5 * time.Second
	cfg.Delivery.Heartbeat = time.Second
	cfg.Delivery.BacklogRate = 4000 // so that it takes seconds
	now := time.Now()
	made, _, _ := fillDays(t, cfg, now.Add(-8*24*time.Hour), now)

	ctx := t.Context()
	stores := sqlite.HistoryConfig{Folder: t.TempDir()}
	stores.Check()
	store, err := sqlite.OpenHistory(ctx, stores, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	ledger, err := sqlite.OpenLedger(ctx, t.TempDir()+"/ledger.db")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ledger.Close() })
	history := &weekHistory{History: store, since: plant.Stamp(now)}
	url := weekHost(t, history, ledger)

	source := newSource()
	g, err := New(cfg, []Device{press(source)}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	edge, err := sparkplug.NewEdge(sparkplug.EdgeConfig{Area: cfg.Area, Gateway: cfg.Gateway, Connection: sparkplug.Connection{Brokers: []string{url}}}, g, quiet())
	if err != nil {
		t.Fatal(err)
	}
	serving(t, func(ctx context.Context) error { return g.Run(ctx, edge) })
	serving(t, edge.Run)

	live := 0
	until(t, "the gateway is online", edge.Online)
	stored := func() bool {
		r := good(int64(live), plant.Stamp(time.Now()))
		source.rounds <- plant.Round{Readings: []plant.Reading{r}, Through: r.Time}
		live++
		s := g.Status()
		old, _ := history.counts()
		return s.Waiting < 10 && uint64(old)+s.Dropped >= uint64(made)
	}
	for n := 0; !stored(); n++ { // however long a slow machine takes
		time.Sleep(50 * time.Millisecond)
		if n%600 == 599 {
			s := g.Status()
			t.Logf("waiting %d, dropped %d, live %d", s.Waiting, s.Dropped, live)
		}
	}
	s := g.Status()
	if edge := plant.At(time.Now().Add(-7 * 24 * time.Hour)); s.DroppedSpan.To > edge || s.DroppedSpan.To < edge.Add(-12*time.Hour) {
		t.Errorf("dropped %d readings of %v, want only such as are older than seven days, to %v", s.Dropped, s.DroppedSpan, edge)
	}
	history.mu.Lock()
	before := history.before
	history.mu.Unlock()
	if kept := made - int(s.Dropped); before >= kept {
		t.Errorf("live data came behind %d of %d readings of backlog", before, kept)
	}
	wholeWeek(t, store, plant.Stamp(now), &s, made)
}

// wholeWeek holds what is stored against what was made: each reading is there,
// or of the time that was told as dropped.
func wholeWeek(t *testing.T, store *sqlite.History, now plant.Time, s *plant.GatewayStatus, made int) {
	r, err := store.Record(t.Context(), "press", []string{"good"}, plant.Span{From: 0, To: now})
	if err != nil {
		t.Fatal(err)
	}
	times := map[int64]bool{}
	for _, one := range r.Readings {
		times[one.Value.Integer()] = true
	}
	if len(r.Readings)+int(s.Dropped) != made || len(times) != len(r.Readings) {
		t.Errorf("%d rows, %d of them different, and %d dropped, of %d made", len(r.Readings), len(times), s.Dropped, made)
	}
	for n := range int64(made) {
		at := now.Add(-8 * 24 * time.Hour).Add(time.Duration(n) * weekEvery)
		if !times[n] && !s.DroppedSpan.Has(at) {
			t.Fatalf("reading %d of %v is neither stored nor told as dropped (%v)", n, at, s.DroppedSpan)
		}
	}
}
