package sparkplug

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"linetwin/plant"
)

// Node is what an Edge asks of its gateway. All calls but Last come from Run's
// goroutine, one at a time, while the Edge holds no lock: a Node may call the
// Edge from within.
type Node interface {
	// Birth gives the gateway as it is now; called at each connect and rebirth.
	Birth() plant.GatewayBirth
	// Acknowledge takes what the host, or with "acknowledge: broker" the
	// broker, has.
	Acknowledge(a plant.Acknowledgement)
	// Linked tells that Online changed.
	Linked(online bool)
	// Last gives the last reading of each signal of a machine that has one, for
	// a birth between births. Publish calls it too.
	Last(machine string) []plant.Reading
}

// Edge is a gateway's end of the wire: a Sparkplug edge node.
type Edge struct {
	cfg     EdgeConfig
	node    Node
	log     *slog.Logger
	silence time.Duration // see the constant
	made    time.Time     // when what is asked of the host begins to count

	online  atomic.Bool
	counts  edgeCounts
	bdSeq   uint8 // of the next CONNECT; only Run's goroutine touches it
	forgets bool  // bdSeq could not be kept

	mu       sync.Mutex // guards what follows; never held while the node is called
	link     *link      // nil while nothing is born
	why      error      // why link is nil
	seq      uint8      // of the next message
	devices  map[string]*edgeDevice
	alias    uint64 // last one given to a signal
	control  uint64 // first of the aliases of Delivery/ metrics
	changes  uint64 // raised by each call of Device
	session  string
	status   *plant.GatewayStatus
	receipts receipts
	rival    rival
	answers  answers
	account  account
	buf      []byte
}

type edgeCounts struct {
	connects, births, batches, readings, failures, refused, dropped atomic.Uint64
}

// EdgeStats counts what an Edge did since it was made.
type EdgeStats struct {
	Connects uint64 // sessions in which the gateway was born
	Births   uint64 // NBIRTHs
	Batches  uint64 // batches published
	Readings uint64 // their readings
	Failures uint64 // batches that could not be written
	Refused  uint64 // writes to signals or to unknown metrics that somebody sent
	Dropped  uint64 // messages to us that could not be decoded or taken
}

// NewEdge gives an Edge; it dials nothing.
func NewEdge(cfg EdgeConfig, node Node, log *slog.Logger) (*Edge, error) {
	if err := faultsError(cfg.Check()); err != nil {
		return nil, err
	}
	if node == nil {
		return nil, errors.New("edge: no node")
	}
	log = log.With("gateway", cfg.Gateway)
	bd, err := readBdSeq(cfg.Folder)
	if err != nil {
		log.Warn("bdSeq begins anywhere", "error", err)
	}
	return &Edge{
		cfg: cfg, node: node, log: log, silence: silence,
		// A host that missed our restart must not take the new aliases for the
		// old: those of Delivery/ are others in each process, and a host that
		// does not know them refuses the whole message.
		control: 1<<20 + uint64(rand.N(1<<27))*4,
		bdSeq:   bd,
		devices: map[string]*edgeDevice{},
		made:    time.Now(),
		why:     plant.ErrOffline,
	}, nil
}

// Run connects, and connects again, until ctx ends; then it says goodbye
// (NDEATH) and returns ctx's error.
func (e *Edge) Run(ctx context.Context) error {
	e.cfg.keep(ctx, e.log, e.failed, e.serve)
	return ctx.Err()
}

// Online tells whether data can be published now: connected, born, and, where
// there is a primary host, its STATE is online.
func (e *Edge) Online() bool { return e.online.Load() }

// Err tells why the Edge is not online; nil while it is.
func (e *Edge) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.link != nil {
		return nil
	}
	return e.why
}

// Stats gives the counts.
func (e *Edge) Stats() EdgeStats {
	c := &e.counts
	return EdgeStats{
		Connects: c.connects.Load(), Births: c.births.Load(), Batches: c.batches.Load(), Readings: c.readings.Load(),
		Failures: c.failures.Load(), Refused: c.refused.Load(), Dropped: c.dropped.Load(),
	}
}

func (e *Edge) failed(err error) {
	e.mu.Lock()
	e.why = err
	e.account.failed(err, time.Now())
	e.mu.Unlock()
}

// errHostAway tells that the primary host is not at this broker: the next one is
// tried.
var errHostAway = errors.New("primary host")

// hostWait is how long a gateway with several brokers waits at one of them that
// knows nothing of its primary host, whose retained STATE comes at once.
const hostWait = 10 * time.Second

// stateEvery is how often a gateway that waits for its primary host subscribes
// to its STATE again, upon which the broker repeats what it retains (MQTT
// 3.1.1, 3.8.4): NATS can miss to deliver a STATE that is published while the
// subscription is made.
const stateEvery = 2 * time.Second

// rebirthPause is the least time between two births that are asked for.
const rebirthPause = time.Second

// receiptEvery is how often the broker is asked for a receipt.
const receiptEvery = 250 * time.Millisecond

// edgeSession is one connection of an Edge, from CONNECT to its end.
type edgeSession struct {
	*Edge
	link      *link
	note      string // what was last logged of the host's silence
	bd        uint8
	inbox     chan inbound
	hostTime  int64
	born      bool
	bornAt    time.Time
	strange   int              // acknowledgements for another process
	rebirth   <-chan time.Time // a birth that is due
	asked     <-chan struct{}  // closed when the broker gives its receipt
	commands  string           // our NCMD topic
	stateName string
}

// serve is one session: connect, subscribe, await the primary host, be born,
// and obey until the connection or ctx ends.
func (e *Edge) serve(ctx context.Context, broker string) error {
	s := &edgeSession{
		Edge: e, inbox: make(chan inbound, 256),
		commands: topic{kind: kindNCmd, area: e.cfg.Area, gateway: e.cfg.Gateway}.String(),
	}
	e.mu.Lock()
	e.receipts.forget()
	e.answers = answers{asks: e.answers.asks}
	e.mu.Unlock()
	var err error
	s.link, err = e.cfg.open(ctx, broker, opening{
		client:    "linetwin-edge-" + e.cfg.Area + "-" + e.cfg.Gateway,
		willTopic: topic{kind: kindNDeath, area: e.cfg.Area, gateway: e.cfg.Gateway}.String(),
		will:      s.will,
		receive:   s.receive,
	})
	if err != nil {
		return err
	}
	defer s.link.close()
	defer e.leave()
	e.mu.Lock()
	e.account.connected(s.link, time.Now())
	e.mu.Unlock()
	filters := map[string]byte{
		s.commands: 1,
		topic{kind: kindDCmd, area: e.cfg.Area, gateway: e.cfg.Gateway, device: "+"}.String(): 1,
	}
	if e.cfg.Host != "" {
		s.stateName = stateTopic(e.cfg.Host)
		filters[s.stateName] = 1
	}
	if err := s.link.subscribe(ctx, filters); err != nil {
		return err
	}
	if e.cfg.Host == "" {
		if err := s.announce(); err != nil {
			return err
		}
	} else {
		e.waits(s.noHost())
	}
	return s.obey(ctx)
}

// will is the NDEATH of a session that is about to begin, with the next bdSeq.
func (s *edgeSession) will() []byte {
	e := s.Edge
	s.bd = e.bdSeq
	e.bdSeq++
	if err := writeBdSeq(e.cfg.Folder, e.bdSeq); err != nil && !e.forgets {
		e.forgets = true // said once: it counts on in memory
		e.log.Warn("bdSeq will not survive a restart", "error", err)
	}
	return s.death()
}

// receive takes a message from paho, which must not be held up.
func (s *edgeSession) receive(m inbound) {
	select {
	case s.inbox <- m:
	default:
		s.counts.dropped.Add(1) // the host says it again
	}
}

func (s *edgeSession) obey(ctx context.Context) error {
	var wait, receipt <-chan time.Time
	if !s.born {
		timer := time.NewTimer(hostWait)
		defer timer.Stop()
		wait = timer.C
	}
	if s.cfg.Acknowledge == AcknowledgeBroker {
		ticker := time.NewTicker(receiptEvery)
		defer ticker.Stop()
		receipt = ticker.C
	}
	again := time.NewTicker(min(stateEvery, s.silence))
	defer again.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			s.goodbye()
			return ctx.Err()
		case <-s.link.lost:
			return s.ended(s.lost(s.born && time.Since(s.bornAt) < alive))
		case m := <-s.inbox:
			err = s.handle(m)
		case <-s.rebirth:
			s.rebirth = nil
			err = s.announce()
		case <-wait:
			if !s.born {
				err = s.hostMissing()
			}
		case <-again.C:
			if !s.born {
				s.link.client.Subscribe(s.stateName, 1, nil)
			} else {
				err = s.watchHost(time.Now())
			}
		case <-receipt:
			s.askReceipt()
		case <-s.asked:
			s.takeReceipt()
		}
		if err != nil {
			return err
		}
	}
}

// handle does what a message asks.
func (s *edgeSession) handle(m inbound) error {
	if m.topic == s.stateName {
		return s.hostSays(m.payload)
	}
	if m.topic != s.commands {
		s.counts.refused.Add(1)
		s.log.Warn("write to a device refused: gateways only read", "topic", m.topic)
		return nil
	}
	c, err := decodeCommand(m.payload, s.cfg.Gateway)
	if err != nil {
		s.counts.dropped.Add(1)
		s.log.Warn("command not understood", "topic", m.topic, "error", err)
	}
	if len(c.refused) > 0 {
		s.counts.refused.Add(uint64(len(c.refused)))
		s.log.Warn("command refused: these metrics cannot be written", "metrics", c.refused)
	}
	s.heed(&c)
	if c.ack != nil && s.cfg.Acknowledge == AcknowledgeHost {
		s.answered(0)
		s.node.Acknowledge(*c.ack)
	}
	if c.time != nil {
		s.tellTime(c.time, c.session)
	}
	if c.echo > 0 {
		s.answered(c.echo)
	}
	if node, ok := s.node.(CountsNode); ok && c.counted != nil {
		node.Confirm(*c.counted)
	}
	if c.rebirth && s.born && s.rebirth == nil {
		s.rebirth = time.After(rebirthPause - time.Since(s.bornAt))
	}
	return nil
}

// hostSays takes the primary host's STATE (Sparkplug B 3.0, 5.4 and 5.10): be
// born when it is online, leave when it goes; with several brokers, look for it
// at the next one. What is older than what we know does not count.
func (s *edgeSession) hostSays(b []byte) error {
	state, err := decodeState(b)
	if err != nil {
		s.counts.dropped.Add(1)
		s.log.Warn("STATE of the primary host not understood", "host", s.cfg.Host, "error", err)
		return nil
	}
	if state.Timestamp < s.hostTime {
		return nil
	}
	s.hostTime = state.Timestamp
	switch {
	case state.Online && !s.born:
		return s.announce()
	case !state.Online && !s.born && len(s.cfg.Brokers) > 1:
		return &hostAway{s.noHost().Error()}
	case !state.Online && !s.born:
		s.waits(s.noHost())
	case !state.Online && s.born:
		s.goodbye()
		return fmt.Errorf("left %s: primary host %q went offline", s.link.broker, s.cfg.Host)
	}
	return nil
}

// announce publishes the births and opens the way for data.
func (s *edgeSession) announce() error {
	for {
		s.mu.Lock()
		changes := s.changes
		s.mu.Unlock()
		birth := s.node.Birth()
		s.mu.Lock()
		if changes != s.changes {
			s.mu.Unlock() // a device came or went meanwhile: look again
			continue
		}
		err := s.births(s.link, s.bd, &birth)
		if err == nil {
			s.Edge.link = s.link
		}
		s.mu.Unlock()
		if err != nil {
			return s.unspoken(err)
		}
		break
	}
	s.counts.births.Add(1)
	s.bornAt = time.Now()
	if !s.born {
		s.born = true
		s.awaitTime()
		s.counts.connects.Add(1)
		s.log.Info("online", "broker", s.link.broker)
		s.online.Store(true)
		s.node.Linked(true)
	}
	return nil
}

// goodbye publishes NDEATH: a clean disconnect makes the broker forget the
// will (Sparkplug B 3.0, 5.6).
func (s *edgeSession) goodbye() {
	if !s.born {
		return
	}
	s.leave()
	death := topic{kind: kindNDeath, area: s.cfg.Area, gateway: s.cfg.Gateway}.String()
	if err := s.link.publish(death, 1, false, s.death()); err != nil {
		s.log.Warn("goodbye not delivered", "error", err)
	}
}

// leave closes the way for data.
func (e *Edge) leave() {
	e.mu.Lock()
	e.link, e.why = nil, plant.ErrOffline
	e.mu.Unlock()
	if e.online.CompareAndSwap(true, false) {
		e.node.Linked(false)
	}
}
