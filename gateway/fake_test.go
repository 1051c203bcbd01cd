package gateway

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"linetwin/plant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// start is a time of day on which the tests' readings begin.
const start = plant.Time(1_790_000_000) * plant.Time(time.Second)

// fakeWire keeps what was published; drop and fail force faults.
type fakeWire struct {
	mu      sync.Mutex
	got     []plant.Batch
	births  []plant.DeviceBirth
	status  plant.GatewayStatus
	offline bool
	fail    error
	drop    func(n int) bool  // of the n-th message: lost on the way
	taken   func(plant.Batch) // called without the lock
}

func (w *fakeWire) Publish(b *plant.Batch) error {
	w.mu.Lock()
	switch {
	case w.offline:
		w.mu.Unlock()
		return plant.ErrOffline
	case w.fail != nil:
		defer w.mu.Unlock()
		return w.fail
	}
	c := *b
	c.Readings = slices.Clone(b.Readings)
	w.got = append(w.got, c)
	lost := w.drop != nil && w.drop(len(w.got))
	taken := w.taken
	w.mu.Unlock()
	if taken != nil && !lost {
		taken(c)
	}
	return nil
}

func (w *fakeWire) Status(s *plant.GatewayStatus) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = *s
	return nil
}

func (w *fakeWire) Device(b plant.DeviceBirth) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.births = append(w.births, b)
	return nil
}

func (w *fakeWire) Online() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.offline
}

func (w *fakeWire) setOffline(offline bool) {
	w.mu.Lock()
	w.offline = offline
	w.mu.Unlock()
}

func (w *fakeWire) batches() []plant.Batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.got)
}

// fakeSource gives the rounds that a test sends.
type fakeSource struct {
	rounds chan plant.Round
	mu     sync.Mutex
	link   plant.Link
	panics int // as many calls of Next panic
	closed bool
}

func newSource() *fakeSource {
	return &fakeSource{rounds: make(chan plant.Round, 100), link: plant.LinkFlowing}
}

func (s *fakeSource) Next(ctx context.Context, into []plant.Reading) (plant.Round, error) {
	s.mu.Lock()
	if s.panics > 0 {
		s.panics--
		s.mu.Unlock()
		panic("device driver is broken")
	}
	s.mu.Unlock()
	select {
	case <-ctx.Done():
		return plant.Round{}, ctx.Err()
	case r := <-s.rounds:
		r.Readings = append(into, r.Readings...)
		return r, nil
	}
}

func (s *fakeSource) Status() plant.DeviceStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return plant.DeviceStatus{Protocol: "fake", Link: s.link}
}

func (s *fakeSource) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

func testConfig(folder string) Config {
	c := DefaultConfig()
	c.Area, c.Gateway = "assembly", "edge-1"
	c.Buffer.Folder = folder
	c.Buffer.Sync = 20 * time.Millisecond
	c.Buffer.MinFreeDisk = 1
	c.Delivery.Resend = 10 * time.Minute
	return c
}

// press is a machine with one float signal and one counter.
func press(s Source) Device {
	return Device{Machine: "press", Source: s, Deadbands: map[string]float64{"force": 0.5},
		Signals: []plant.Signal{{Name: "force", Kind: plant.KindFloat}, {Name: "good", Kind: plant.KindInteger}}}
}

func good(n int64, at plant.Time) plant.Reading {
	return plant.Reading{Machine: "press", Signal: "good", Time: at, Value: plant.Integer(n)}
}

func round(n int64) plant.Round {
	at := start + plant.Time(n)*plant.Time(time.Second)
	return plant.Round{Readings: []plant.Reading{good(n, at)}, Through: at}
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: did not come", what)
		}
	}
}

// running is a gateway that runs, and how to end it.
type running struct {
	*Gateway
	stop func() error
}

func run(t *testing.T, cfg Config, wire Wire, devices ...Device) running {
	t.Helper()
	g, err := New(cfg, devices, quiet())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan error, 1)
	go func() { end <- g.Run(ctx, wire) }()
	stop := sync.OnceValue(func() error { cancel(); return <-end })
	t.Cleanup(func() { _ = stop() })
	return running{g, stop}
}

// acknowledging makes the wire acknowledge each batch by itself.
func (r running) acknowledging(w *fakeWire) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taken = func(b plant.Batch) { r.ack(b.Sequence, b.Sequence) }
}

func (r running) ack(first, last uint64) {
	r.Acknowledge(plant.Acknowledgement{Gateway: "edge-1", Session: r.session, Beyond: []plant.Range{{First: first, Last: last}}})
}
