package sparkplug

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	core "linetwin/gateway"
	"linetwin/plant"
	"linetwin/twin"
)

// world is a factory, mostly in a bubble of its own time: real gateways with their
// buffers on disk, real edges, a real host and a real twin. Only the network
// (which loses, repeats, delays and reorders), the device and the database are
// the test's.
type world struct {
	t        *testing.T
	rng      *rand.Rand // of what happens
	fate     *rand.Rand // of messages
	url      string
	ack      string // how edges learn what is delivered; empty: from the host
	dir      string
	takeover bool // one client id: the broker lets one process of a name be
	rough    bool // messages may be lost, repeated and reordered while connections live
	healed   bool

	made    int64 // readings: their values are 0, 1, 2, ...
	history *modelHistory
	boxes   []*box
	attic   []string // folders that nobody runs now, with what they may hold
	backups []string
	folders int
	host    *hostSide
	air     []packet
	state   []byte // retained STATE
	did     map[string]int

	mu     sync.Mutex
	outbox []packet
}

// packet is a message on its way: to a box, or, where that is nil, to the host.
type packet struct {
	topic   string
	payload []byte
	to      *box
	link    *link // that it was sent on, if by a box
	wait    int   // steps
}

var t0Model = plant.Time(1_790_000_000) * plant.Time(time.Second)

func modelReading(n int64) plant.Reading {
	return plant.Reading{Machine: "press", Signal: "good", Time: t0Model + plant.Time(n)*plant.Millisecond, Value: plant.Integer(n)}
}

// modelClock is after the readings and after the files of the folders, which
// time in a bubble of synctest is not.
func modelClock() time.Time { return time.Now().Round(0).AddDate(100, 0, 0) }

// failf ends the test from any goroutine.
func (w *world) failf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

// modelHistory is what outlives the twin.
type modelHistory struct {
	w      *world
	mu     sync.Mutex
	rows   map[plant.Time]int64
	writes int
	mode   string // what becomes of a write: "", fail, stored but failed, hang
}

func (h *modelHistory) Write(ctx context.Context, batches []*plant.Batch) error {
	h.mu.Lock()
	mode := h.mode
	h.mu.Unlock()
	switch mode {
	case "fail":
		return errors.New("history is away")
	case "hang":
		<-ctx.Done()
		return ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range batches {
		for _, r := range b.Readings {
			if n := r.Value.Integer(); r != modelReading(n) {
				h.w.failf("history is given %+v", r)
			}
			h.rows[r.Time] = r.Value.Integer()
			h.writes++
		}
	}
	if mode == "stored but failed" {
		return errors.New("the answer of history was lost")
	}
	return nil
}

func (h *modelHistory) has(n int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.rows[modelReading(n).Time]
	return ok
}

func (h *modelHistory) set(mode string) {
	h.mu.Lock()
	h.mode = mode
	h.mu.Unlock()
}

func (h *modelHistory) Record(context.Context, string, []string, plant.Span) (plant.Record, error) {
	return plant.Record{}, nil
}

func (h *modelHistory) Before(context.Context, string, []string, plant.Time) ([]plant.Reading, error) {
	return nil, nil
}

func (h *modelHistory) Chart(context.Context, string, string, plant.Span, int) ([]plant.Bucket, error) {
	return nil, nil
}

// modelLedger has nothing to say: there are no lines.
type modelLedger struct{ twin.Ledger }

func (modelLedger) Alerts(context.Context, plant.Span, bool) ([]plant.Alert, error) { return nil, nil }
func (modelLedger) Entries(context.Context, uint64) ([]plant.Entry, error)          { return nil, nil }
func (modelLedger) SaveSignal(context.Context, plant.Signal) error                  { return nil }
func (modelLedger) Value(context.Context, string) (string, bool, error)             { return "", false, nil }
func (modelLedger) SetValue(context.Context, string, string) error                  { return nil }

// wireClient is paho's place: what is published goes into the air.
type wireClient struct {
	mqtt.Client
	w    *world
	box  *box // nil: the host's
	link *link
	dead *bool // of the process: it says nothing any more
}

func (c *wireClient) IsConnectionOpen() bool {
	select {
	case <-c.link.lost:
		return false
	default:
		return true
	}
}

func (c *wireClient) Disconnect(uint) {}

func (c *wireClient) Subscribe(string, byte, mqtt.MessageHandler) mqtt.Token { return doneToken{} }

func (c *wireClient) Publish(topic string, _ byte, _ bool, payload any) mqtt.Token {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if c.IsConnectionOpen() && !*c.dead {
		p := packet{topic: topic, payload: append([]byte(nil), payload.([]byte)...)}
		if c.box != nil {
			p.link = c.link
		}
		c.w.outbox = append(c.w.outbox, p)
	}
	return doneToken{}
}

type doneToken struct{}

func (doneToken) Wait() bool                     { return true }
func (doneToken) WaitTimeout(time.Duration) bool { return true }
func (doneToken) Error() error                   { return nil }
func (doneToken) Done() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func (w *world) newLink(b *box, dead *bool) *link {
	one, _ := net.Pipe()
	l := &link{broker: "model", sock: &socket{Conn: one, timeout: time.Second}, write: time.Second, answer: time.Second, lost: make(chan struct{})}
	l.client = &wireClient{w: w, box: b, link: l, dead: dead}
	return l
}

// hostSide is one life of the twin's process.
type hostSide struct {
	host    *Host
	twin    *twin.Twin
	cancel  context.CancelFunc
	ended   chan struct{}
	session uint64
	up      bool
	dead    bool
}

func (w *world) startTwin() {
	s := &hostSide{ended: make(chan struct{})}
	model, err := twin.New(twin.Config{Site: "site", Zone: "UTC", LateAfter: time.Hour}, twin.Options{History: w.history, Ledger: modelLedger{}, Log: quiet(), Clock: modelClock})
	if err != nil {
		w.failf("twin: %v", err)
	}
	h, err := NewHost(HostConfig{Connection: connection(w.url)}, model, quiet())
	if err != nil {
		w.failf("host: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.host, s.twin, s.cancel = h, model, cancel
	var wg sync.WaitGroup
	h.start = func(g *gateway) { wg.Go(func() { g.run(ctx) }) }
	wg.Go(func() { h.acknowledge(ctx) })
	wg.Go(func() { _ = model.Run(ctx, h) })
	go func() { wg.Wait(); close(s.ended) }()
	w.host = s
	w.linkHost()
}

func (w *world) linkHost() {
	s := w.host
	s.session++
	s.host.session = s.session
	s.host.link.Store(w.newLink(nil, &s.dead))
	s.host.birth = max(time.Now().UnixMilli(), s.host.birth+1)
	s.host.tell(kindUp, s.session)
	s.host.kick()
	s.up = true
	w.say(true)
}

func (w *world) cutHost() {
	s := w.host
	s.up = false
	if l := s.host.link.Swap(nil); l != nil {
		l.fail(net.ErrClosed)
	}
	s.host.tell(kindLost, s.session)
	w.say(false)
}

// say lets the broker tell, and keep, the host's STATE.
func (w *world) say(online bool) {
	w.state = hostState{online, w.host.host.birth}.encode()
	for _, b := range w.boxes {
		if b.session != nil {
			b.session.receive(inbound{stateTopic(DefaultHost), w.state, false})
		}
	}
}

func (w *world) killTwin() {
	s := w.host
	s.dead = true
	w.cutHost()
	s.cancel()
	<-s.ended
}

// box is one process of a gateway.
type box struct {
	w       *world
	folder  string
	core    *core.Gateway
	edge    *Edge
	source  *modelSource
	cancel  context.CancelFunc
	ended   chan struct{}
	dead    bool
	given   int          // readings
	session *edgeSession // nil: not connected
	gone    chan struct{}

	mu      sync.Mutex
	id      string             // of the process
	first   uint64             // lowest number it held at the start
	numbers map[uint64][]int64 // values by number, as published
}

type modelSource struct{ rounds chan plant.Round }

func (s *modelSource) Next(ctx context.Context, into []plant.Reading) (plant.Round, error) {
	select {
	case <-ctx.Done():
		return plant.Round{}, ctx.Err()
	case r := <-s.rounds:
		r.Readings = append(into, r.Readings...)
		return r, nil
	}
}
func (s *modelSource) Status() plant.DeviceStatus { return plant.DeviceStatus{Link: plant.LinkFlowing} }
func (s *modelSource) Close() error               { return nil }

func (w *world) newFolder() string {
	w.folders++
	return filepath.Join(w.dir, fmt.Sprint(w.folders))
}

func (w *world) startBox(folder string) *box {
	b := &box{w: w, folder: folder, source: &modelSource{make(chan plant.Round, 100)}, ended: make(chan struct{}), numbers: map[uint64][]int64{}}
	cfg := core.DefaultConfig()
	cfg.Area, cfg.Gateway = "assembly", "edge-1"
	cfg.Buffer.Folder, cfg.Buffer.MinFreeDisk, cfg.Buffer.Sync = folder, 1, 700*time.Millisecond
	cfg.Delivery.Resend = time.Second
	if w.ack == AcknowledgeBroker { // as cmd/linetwin does
		cfg.Delivery.Resend = 10 * time.Minute
	}
	cfg.Delivery.Window, cfg.Delivery.Heartbeat = 16, 10*time.Second
	device := core.Device{Machine: "press", Source: b.source, Signals: []plant.Signal{{Name: "good", Kind: plant.KindInteger}}}
	began := time.Now()
	cfg.Clock = core.ClockOf(began, func() (time.Time, time.Duration) { return modelClock(), time.Since(began) }, func() bool { return true }, quiet())
	var err error
	if b.core, err = core.New(cfg, []core.Device{device}, quiet()); err != nil {
		w.failf("gateway: %v", err)
	}
	wire := EdgeConfig{Area: "assembly", Gateway: "edge-1", Connection: connection(w.url), Acknowledge: w.ack}
	b.edge, err = NewEdge(wire, b, quiet())
	if err != nil {
		w.failf("edge: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	go func() { defer close(b.ended); _ = b.core.Run(ctx, b) }()
	w.boxes = append(w.boxes, b)
	return b
}

// Birth notes the process's session.
func (b *box) Birth() plant.GatewayBirth {
	birth := b.core.Birth()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.id == "" {
		b.id, b.first = birth.Session, birth.First
	}
	return birth
}

// Acknowledge holds what deletes at the edge against history.
func (b *box) Acknowledge(a plant.Acknowledgement) {
	b.mu.Lock()
	if a.Session == b.id && b.w.ack == "" {
		b.held(plant.Range{First: b.first, Last: a.Through})
		for _, r := range a.Beyond {
			b.held(r)
		}
	}
	b.mu.Unlock()
	b.core.Acknowledge(a)
}

func (b *box) held(r plant.Range) {
	for n := r.First; n <= r.Last; n++ {
		values, sent := b.numbers[n]
		if !sent {
			b.w.failf("number %d is acknowledged and was never sent", n)
		}
		for _, v := range values {
			if !b.w.history.has(v) {
				b.w.failf("number %d with value %d is acknowledged, and history does not have it", n, v)
			}
		}
	}
}

func (b *box) Linked(online bool) { b.core.Linked(online) }

func (b *box) Last(machine string) []plant.Reading { return b.core.Last(machine) }

// Publish notes what number is which reading.
func (b *box) Publish(batch *plant.Batch) error {
	var values []int64
	for _, r := range batch.Readings {
		values = append(values, r.Value.Integer())
	}
	b.mu.Lock()
	if was, sent := b.numbers[batch.Sequence]; sent && fmt.Sprint(was) != fmt.Sprint(values) {
		b.w.failf("number %d is %v, and was %v", batch.Sequence, values, was)
	}
	b.numbers[batch.Sequence] = values
	b.mu.Unlock()
	return b.edge.Publish(batch)
}

func (b *box) Status(s *plant.GatewayStatus) error  { return b.edge.Status(s) }
func (b *box) Device(birth plant.DeviceBirth) error { return b.edge.Device(birth) }
func (b *box) Online() bool                         { return b.edge.Online() }

// connect is what serve does, less the network.
func (b *box) connect() {
	w := b.w
	if w.takeover {
		for _, o := range w.boxes {
			if o != b {
				o.cut()
			}
		}
	}
	s := &edgeSession{
		Edge: b.edge, bd: b.edge.bdSeq, inbox: make(chan inbound, 256), link: w.newLink(b, &b.dead),
		commands: topic{kind: kindNCmd, area: "assembly", gateway: "edge-1"}.String(), stateName: stateTopic(DefaultHost),
	}
	b.edge.bdSeq++
	gone := make(chan struct{})
	b.session, b.gone = s, gone
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(gone)
		defer cancel()
		_ = s.obey(ctx)
		b.edge.leave()
		s.link.close()
	}()
	if w.state != nil {
		s.receive(inbound{s.stateName, w.state, true})
	}
}

// cut ends a box's connection: the broker publishes its will.
func (b *box) cut() {
	s := b.session
	if s == nil {
		return
	}
	b.session = nil
	s.link.fail(errors.New("EOF"))
	<-b.gone
	will := packet{topic: topic{kind: kindNDeath, area: "assembly", gateway: "edge-1"}.String(), payload: s.death()}
	b.w.mu.Lock()
	b.w.outbox = append(b.w.outbox, will)
	b.w.mu.Unlock()
}

// kill ends the process without its knowing: what it had on disk is copied
// before it can do more.
func (b *box) kill() (folder string) {
	synctest.Wait()
	folder = b.w.copyFolder(b.folder)
	b.dead = true
	b.cut()
	b.cancel()
	<-b.ended
	b.w.leave(b)
	_ = os.RemoveAll(b.folder)
	return folder
}

// stop ends the process in good order.
func (b *box) stop() (folder string) {
	b.cut()
	b.cancel()
	<-b.ended
	b.w.leave(b)
	return b.folder
}

func (w *world) leave(b *box) {
	for i, o := range w.boxes {
		if o == b {
			w.boxes = append(w.boxes[:i], w.boxes[i+1:]...)
			return
		}
	}
}

func (w *world) copyFolder(from string) string {
	to := w.newFolder()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		w.failf("copy: %v", err)
	}
	return to
}
