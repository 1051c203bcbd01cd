package main

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"linetwin/connectors/broker"
	"linetwin/connectors/sparkplug"
	"linetwin/gateway"
	"linetwin/plant"
)

// counting is a device whose only signal counts its looks.
type counting struct {
	n    atomic.Int64
	last plant.Time
	stop atomic.Bool
}

func (c *counting) Next(ctx context.Context, into []plant.Reading) (plant.Round, error) {
	select {
	case <-ctx.Done():
		return plant.Round{}, ctx.Err()
	case <-time.After(5 * time.Millisecond):
	}
	if c.stop.Load() {
		<-ctx.Done()
		return plant.Round{}, ctx.Err()
	}
	now := plant.Stamp(time.Now())
	if now <= c.last {
		now = c.last + plant.Millisecond
	}
	c.last = now
	return plant.Round{Through: now, Readings: append(into, plant.Reading{Machine: "press", Signal: "count", Time: now, Value: plant.Integer(c.n.Add(1))})}, nil
}

func (c *counting) Status() plant.DeviceStatus {
	return plant.DeviceStatus{Machine: "press", Link: plant.LinkFlowing}
}
func (c *counting) Close() error { return nil }

// store acknowledges what it has, as a historian does.
type store struct {
	nobody
	mu      sync.Mutex
	host    *sparkplug.Host
	session string
	first   uint64
	have    map[uint64]bool
	values  map[int64]bool
}

func (s *store) Birth(b plant.GatewayBirth) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == "" {
		s.session, s.first = b.Session, b.First
	}
}

func (s *store) Batch(b *plant.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range b.Readings {
		if r.Signal == "count" && r.Quality == plant.Good {
			s.values[r.Value.Integer()] = true
		}
	}
	s.have[b.Sequence] = true
	through := s.first - 1
	for s.have[through+1] {
		through++
	}
	_ = s.host.Acknowledge(plant.Acknowledgement{Gateway: "edge-1", Session: s.session, Through: through})
}

// TestHandOver: a gateway and its twin that change brokers, and change back,
// lose no reading; each end finds the other.
func TestHandOver(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	serve := func(listen string) (string, func()) {
		b, err := broker.New(broker.Config{Listen: listen, Folder: t.TempDir()}, log)
		if err != nil {
			t.Fatal(err)
		}
		return brokerAddr(t, b)
	}
	first, stopFirst := serve("127.0.0.1:0")
	second, stopSecond := serve("127.0.0.1:0")
	conn := sparkplug.Connection{Brokers: []string{"tcp://" + first, "tcp://" + second}}
	s := &store{have: map[uint64]bool{}, values: map[int64]bool{}}
	var err error
	if s.host, err = sparkplug.NewHost(sparkplug.HostConfig{Connection: conn}, s, log); err != nil {
		t.Fatal(err)
	}
	device := &counting{}
	cfg := gateway.Config{Site: "test", Area: "hall-1", Gateway: "edge-1"}
	cfg.Buffer.Folder = t.TempDir()
	core, err := gateway.New(cfg, []gateway.Device{{Machine: "press", Signals: []plant.Signal{{Name: "count", Kind: plant.KindInteger}}, Source: device}}, log)
	if err != nil {
		t.Fatal(err)
	}
	edge, err := sparkplug.NewEdge(sparkplug.EdgeConfig{Area: "hall-1", Gateway: "edge-1", Connection: conn}, core, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	polling, stopPolling := context.WithCancel(ctx)
	done := make(chan error, 3)
	go func() { done <- s.host.Run(ctx) }()
	go func() { done <- edge.Run(ctx) }()
	go func() { done <- core.Run(polling, edge) }()
	defer func() { cancel(); stopPolling(); <-done; <-done; <-done }()

	at := func(broker string, more int) {
		s.mu.Lock()
		want := len(s.values) + more
		s.mu.Unlock()
		eventually(t, "readings over "+broker, func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.values) >= want && edge.Online() && s.host.Online() && s.host.Wire().Broker == "tcp://"+broker
		})
	}
	at(first, 50)
	stopFirst()
	at(second, 50)
	first, stopFirst = serve(first)
	defer stopFirst()
	stopSecond()
	at(first, 50)
	device.stop.Store(true)
	eventually(t, "everything acknowledged", func() bool {
		status := core.Status()
		return status.Waiting == 0 && status.Stored == uint64(device.n.Load())
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := device.n.Load(); int64(len(s.values)) != n || core.Status().Dropped > 0 {
		t.Errorf("%d of %d readings arrived", len(s.values), n)
	}
}

// brokerAddr runs a broker until stop is called.
func brokerAddr(t *testing.T, b *broker.Broker) (addr string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	select {
	case <-b.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return b.Addr(), stop
}
