package sparkplug

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"linetwin/plant"
)

// Sink takes what gateways say. All calls for one gateway come from one
// goroutine, in order; different gateways call at the same time. A Sink that is
// slow fills its gateway's queue, and no other's.
type Sink interface {
	// Birth introduces a gateway, or tells that one of its devices came, went or
	// changed: Devices always lists all that it has, and Last is filled only for
	// those whose certificate just came. Session is empty for a foreign edge
	// node.
	Birth(b plant.GatewayBirth)
	// Death tells that a gateway cannot be heard any more: it died, said
	// goodbye, or the host lost its own connection.
	Death(area, gateway string, at plant.Time)
	// Status is a gateway's account of itself; foreign edge nodes give none.
	Status(s plant.GatewayStatus)
	// Batch and its readings are the sink's to keep.
	Batch(b *plant.Batch)
}

// maxGateways limits how many edge nodes one host listens to.
const maxGateways = 1024

// reserve is how many places of a queue are kept for births and deaths.
const reserve = 64

// Host is the twin's end of the wire: a Sparkplug host application.
type Host struct {
	cfg       HostConfig
	sink      Sink
	log       *slog.Logger
	counts    hostCounts
	silence   time.Duration // see the constant
	queued    atomic.Int64  // bytes that wait in all queues
	commanded atomic.Int64  // when a command was last published, Unix time in ns
	link      atomic.Pointer[link]
	wake      chan struct{} // acknowledgements are due
	states    chan hostState
	echoes    chan question
	spare     sync.Pool // of *plant.Batch that the sink gave back
	birth     int64     // timestamp of the last STATE; only Run's goroutine touches it

	mu       sync.Mutex // guards what follows
	why      error
	account  account
	note     string           // for IT, of the connection that stands
	routes   map[string]route // by topic
	gateways map[[2]string]*gateway
	sessions map[string]*gateway
	due      []*gateway // have an acknowledgement to send
	closed   bool
	session  uint64 // number of our connection
	start    func(*gateway)
	odd      bool // a topic that is none was logged
}

// route is where messages of a topic go.
type route struct {
	gateway *gateway
	kind    kind
	device  string
}

// NewHost gives a Host; it dials nothing.
func NewHost(cfg HostConfig, sink Sink, log *slog.Logger) (*Host, error) {
	if err := faultsError(cfg.Check()); err != nil {
		return nil, err
	}
	if sink == nil {
		return nil, errors.New("host: no sink")
	}
	return &Host{
		cfg: cfg, sink: sink, log: log.With("host", cfg.Host), silence: silence, why: plant.ErrOffline,
		wake: make(chan struct{}, 1), states: make(chan hostState, 16), echoes: make(chan question, 64),
		routes: map[string]route{}, gateways: map[[2]string]*gateway{}, sessions: map[string]*gateway{},
	}, nil
}

// Run connects, and connects again, until ctx ends; then it says goodbye
// (STATE offline), lets every gateway's goroutine finish, and returns ctx's
// error.
func (h *Host) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	h.mu.Lock()
	h.start = func(g *gateway) { wg.Go(func() { g.run(ctx) }) }
	h.mu.Unlock()
	wg.Go(func() { h.acknowledge(ctx) })
	h.cfg.keep(ctx, h.log, h.failed, h.serve)
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	wg.Wait()
	return ctx.Err()
}

// Online tells whether the host is connected, listens, and has said so.
func (h *Host) Online() bool { return h.link.Load() != nil }

// Err tells why the Host is not online; nil while it is.
func (h *Host) Err() error {
	if h.Online() {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.why
}

func (h *Host) failed(err error) {
	h.mu.Lock()
	h.why = err
	h.account.failed(err, time.Now())
	h.mu.Unlock()
}

// filters are the topics of what edge nodes send, and our own STATE. Commands
// are not among them, else our own would come back.
func (c *HostConfig) filters() map[string]byte {
	areas := c.Areas
	if len(areas) == 0 {
		areas = []string{"+"}
	}
	f := map[string]byte{stateTopic(c.Host): 1}
	for _, a := range areas {
		for k := kindNBirth; k <= kindDData; k++ {
			qos := byte(0)
			if k == kindNDeath {
				qos = 1 // sent at QoS 1 (6.4.23)
			}
			f[topic{kind: k, area: a, gateway: "+", device: "+"}.String()] = qos
		}
	}
	return f
}

// serve is one session (Sparkplug B 3.0, 5.7): the will says STATE offline with
// the timestamp of our STATE online; listen first, then say that we do.
func (h *Host) serve(ctx context.Context, broker string) error {
	h.birth = max(time.Now().UnixMilli(), h.birth+1)
	h.mu.Lock()
	h.session++
	session := h.session
	h.mu.Unlock()
	l, err := h.cfg.open(ctx, broker, opening{
		client:     "linetwin-host-" + h.cfg.Host,
		willTopic:  stateTopic(h.cfg.Host),
		will:       hostState{false, h.birth}.encode,
		willRetain: true,
		receive:    func(m inbound) { h.receive(m, session) },
	})
	if err != nil {
		return err
	}
	defer l.close()
	if err := l.subscribe(ctx, h.cfg.filters()); err != nil {
		return err
	}
	if err := h.announce(l); err != nil {
		return err
	}
	h.mu.Lock()
	h.account.connected(l, time.Now())
	h.note = ""
	h.mu.Unlock()
	h.link.Store(l)
	h.log.Info("online", "broker", broker)
	h.counts.connects.Add(1)
	h.tell(kindUp, session)
	h.kick()
	err = h.listen(ctx, l)
	h.link.Store(nil)
	h.tell(kindLost, session)
	return err
}

func (h *Host) announce(l *link) error {
	if err := l.publish(stateTopic(h.cfg.Host), 1, true, hostState{true, h.birth}.encode()); err != nil {
		return fmt.Errorf("publish STATE at %s: %w", l.broker, err)
	}
	return nil
}

// listen watches the link, and what is said of us: a late will of our former
// connection is contradicted; a STATE that is newer than ours (our clock was
// set back) makes us begin again with a newer one.
func (h *Host) listen(ctx context.Context, l *link) error {
	w := h.watching(l)
	defer w.tick.Stop()
	for {
		select {
		case <-ctx.Done():
			h.goodbye(l)
			return ctx.Err()
		case <-l.lost:
			return &lostError{err: h.lost(l)}
		case now := <-w.tick.C:
			w.look(now)
		case s := <-h.states:
			w.heard = w.heard || s.Online && s.Timestamp == h.birth
			switch {
			case s.Timestamp > h.birth:
				err := fmt.Errorf("left %s: somebody published a STATE of host %q that is %d ms newer than ours", l.broker, h.cfg.Host, s.Timestamp-h.birth)
				h.birth = s.Timestamp
				h.goodbye(l)
				return err
			case !s.Online:
				if err := h.announce(l); err != nil {
					return err
				}
			}
		}
	}
}

// goodbye publishes STATE offline as of now: a clean disconnect makes the broker
// forget the will (5.14).
func (h *Host) goodbye(l *link) {
	h.birth = max(h.birth, time.Now().UnixMilli())
	if err := l.publish(stateTopic(h.cfg.Host), 1, true, hostState{false, h.birth}.encode()); err != nil {
		h.log.Warn("goodbye not delivered", "error", err)
	}
}

// receive takes a message from paho, which must not be held up.
func (h *Host) receive(m inbound, session uint64) {
	h.counts.messages.Add(1)
	h.mu.Lock()
	r, ok := h.routes[m.topic]
	if !ok {
		r, ok = h.route(m.topic)
	}
	h.mu.Unlock()
	if !ok {
		return
	}
	if r.kind == kindState {
		h.ownState(m)
		return
	}
	h.counts.edges.Add(1)
	if r.kind == kindNData && h.asked(r.gateway, m) {
		return
	}
	r.gateway.enqueue(message{kind: r.kind, device: r.device, payload: m.payload, session: session})
}

func (h *Host) ownState(m inbound) {
	s, err := decodeState(m.payload)
	if err != nil {
		h.counts.foreign[kindState].Add(1)
		return
	}
	// What was retained before we spoke is history, unless it is newer.
	if m.retained && !s.Online && s.Timestamp < time.Now().UnixMilli() {
		return
	}
	select {
	case h.states <- s:
	default:
	}
}

// route finds where a topic goes, and remembers it; h.mu is held.
func (h *Host) route(name string) (route, bool) {
	if name == stateTopic(h.cfg.Host) {
		return route{kind: kindState}, true
	}
	t, ok := parseTopic(name)
	if !ok {
		h.counts.foreign[kindOther].Add(1)
		if !h.odd {
			h.odd = true
			h.log.Warn("foreign message on our topics", "topic", name)
		}
		return route{}, false
	}
	key := [2]string{t.area, t.gateway}
	g := h.gateways[key]
	if g == nil {
		if len(h.gateways) == maxGateways || h.closed {
			h.counts.dropped.Add(1)
			return route{}, false
		}
		g = newGateway(h, t.area, t.gateway)
		h.gateways[key] = g
		h.start(g)
	}
	r := route{g, t.kind, t.device}
	if len(h.routes) < 1<<16 {
		h.routes[name] = r
	}
	return r, true
}

// tell puts a word of our own into every gateway's queue.
func (h *Host) tell(k kind, session uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, g := range h.gateways {
		g.enqueue(message{kind: k, session: session})
	}
}

// command publishes an NCMD for a gateway at QoS 0 (6.4.24).
func (h *Host) command(g *gateway, payload []byte) error {
	l := h.link.Load()
	if l == nil {
		return plant.ErrOffline
	}
	h.commanded.Store(time.Now().UnixNano())
	return l.publish(g.commands, 0, false, payload)
}
