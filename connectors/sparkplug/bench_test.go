package sparkplug

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"linetwin/plant"
)

// fifty is a batch of fifty readings, as one poll of a larger machine gives.
func fifty() (plant.GatewayBirth, *plant.Batch) {
	d := plant.DeviceBirth{Machine: "m", Online: true}
	b := &plant.Batch{Machine: "m", Sequence: 1_000_000, Complete: plant.Span{From: t0, To: t0 + 200*plant.Millisecond}}
	for i := range 50 {
		name, v := fmt.Sprintf("signal_%02d", i), plant.Float(float64(i)/3)
		if i%5 == 0 {
			v = plant.Integer(int64(i * 1000))
		}
		d.Signals = append(d.Signals, plant.Signal{Name: name, Kind: v.Kind()})
		b.Readings = append(b.Readings, plant.Reading{Machine: "m", Signal: name, Time: t0 + plant.Time(i)*plant.Millisecond, Value: v})
	}
	return plant.GatewayBirth{Area: "assembly", Gateway: "edge-1", Session: "s1", First: 1, Devices: []plant.DeviceBirth{d}}, b
}

func edgeOf(tb testing.TB) *Edge {
	e, err := NewEdge(EdgeConfig{Area: "assembly", Gateway: "edge-1", Connection: connection("tcp://127.0.0.1:1")}, newNode(plant.GatewayBirth{}), quiet())
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func BenchmarkEncode50(b *testing.B) {
	birth, batch := fifty()
	d := edgeOf(b).device("m", birth.Devices[0].Signals)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = appendSeq(appendBatch(buf[:0], 1, d, batch), 1)
	}
	b.SetBytes(int64(len(buf)))
}

// BenchmarkDecode50 includes everything up to the sink's batch.
func BenchmarkDecode50(b *testing.B) {
	birth, batch := fifty()
	e := edgeOf(b)
	d := e.device("m", birth.Devices[0].Signals)
	h, err := NewHost(HostConfig{Connection: connection("tcp://127.0.0.1:1")}, nullSink{}, quiet())
	if err != nil {
		b.Fatal(err)
	}
	g := newGateway(h, "assembly", "edge-1")
	g.take(message{kind: kindNBirth, payload: appendSeq(e.appendNBirth(nil, 0, &birth), 0), session: 1})
	g.take(message{kind: kindDBirth, device: "m", payload: appendSeq(d.appendBirth(appendHead(nil, 1), 1, nil), 1), session: 1})
	payload := appendSeq(appendBatch(nil, 1, d, batch), 2)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		g.next = 2
		g.take(message{kind: kindDData, device: "m", payload: payload, session: 1})
	}
	if n := h.Stats().Readings; n < 50 {
		b.Fatalf("%d readings", n)
	}
}

type nullSink struct{}

func (nullSink) Birth(plant.GatewayBirth)         {}
func (nullSink) Death(string, string, plant.Time) {}
func (nullSink) Status(plant.GatewayStatus)       {}
func (nullSink) Batch(*plant.Batch)               {}

// ackSink acknowledges each batch as the twin would once history has it.
type ackSink struct {
	nullSink
	host *Host
	mu   sync.Mutex
	next uint64
	bad  int
}

func (s *ackSink) Batch(b *plant.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.Sequence != s.next+1 {
		s.bad++
	}
	s.next = b.Sequence
	_ = s.host.Acknowledge(plant.Acknowledgement{Gateway: "edge-1", Session: "s1", Through: b.Sequence})
}

// ackNode measures the time from publishing to acknowledgement.
type ackNode struct {
	birth   plant.GatewayBirth
	mu      sync.Mutex
	sent    map[uint64]time.Time
	through uint64
	took    []time.Duration
	acked   chan struct{}
	linked  chan bool
}

func (n *ackNode) Birth() plant.GatewayBirth   { return n.birth }
func (n *ackNode) Linked(on bool)              { n.linked <- on }
func (n *ackNode) Last(string) []plant.Reading { return nil }
func (n *ackNode) Acknowledge(a plant.Acknowledgement) {
	n.mu.Lock()
	for ; n.through < a.Through; n.through++ {
		n.took = append(n.took, time.Since(n.sent[n.through+1]))
		delete(n.sent, n.through+1)
	}
	n.mu.Unlock()
	select {
	case n.acked <- struct{}{}:
	default:
	}
}

// BenchmarkEndToEnd publishes batches of 50 readings with at most 64 in flight
// and waits for their acknowledgements.
func BenchmarkEndToEnd(b *testing.B) {
	for name, make := range map[string]func(testing.TB, bool) *testBroker{"nats": newNATS, "mosquitto": newMosquitto} {
		b.Run(name, func(b *testing.B) {
			broker := make(b, false)
			broker.start(b)
			sink := &ackSink{}
			h, err := NewHost(HostConfig{Connection: connection(broker.url)}, sink, quiet())
			if err != nil {
				b.Fatal(err)
			}
			sink.host = h
			running(b, h.Run)
			birth, batch := fifty()
			node := &ackNode{birth: birth, sent: map[uint64]time.Time{}, acked: newSignal(), linked: newLinked()}
			e, _ := runEdge(b, EdgeConfig{Connection: connection(broker.url)}, node)
			await(b, "link", node.linked)
			b.ResetTimer()
			for i := range uint64(b.N) {
				batch.Sequence = i + 1
				for {
					node.mu.Lock()
					wait := i-node.through >= 64
					if !wait {
						node.sent[i+1] = time.Now()
					}
					node.mu.Unlock()
					if !wait {
						break
					}
					await(b, "acknowledgement", node.acked)
				}
				if err := e.Publish(batch); err != nil {
					b.Fatal(err)
				}
			}
			until(b, "all acknowledged", func() bool {
				node.mu.Lock()
				defer node.mu.Unlock()
				return node.through == uint64(b.N)
			})
			b.StopTimer()
			if s := h.Stats(); sink.bad != 0 || s.Gaps+s.Dropped != 0 {
				b.Fatalf("%d out of order, %+v", sink.bad, s)
			}
			slices.Sort(node.took)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "batches/s")
			b.ReportMetric(float64(node.took[len(node.took)/2].Microseconds()), "ack-p50-µs")
			b.ReportMetric(float64(node.took[len(node.took)*99/100].Microseconds()), "ack-p99-µs")
		})
	}
}

func newSignal() chan struct{} { return make(chan struct{}, 1) }
func newLinked() chan bool     { return make(chan bool, 100) }
