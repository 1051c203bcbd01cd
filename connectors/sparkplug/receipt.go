package sparkplug

import (
	"slices"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"linetwin/plant"
)

// receipts follows which batches the broker has, where no host acknowledges.
//
// That a message was written to a socket proves nothing: a cut cable shows
// itself seconds later. So the broker is asked: a broker handles what one
// client sends in order, and its answer to a SUBSCRIBE (repeated, of a topic
// that we have anyway) is therefore a receipt for everything published before.
//
// A receipt does not prove that the host has it: a broker that crashes, or a
// host that is gone without the broker's knowing yet, loses what is between
// them. So live batches count as delivered only when the connection, and the
// host's STATE, outlived their receipt by Hold: a rolling window, which is sent
// again after a reconnect. Backlog is not held, else it would never drain.
type receipts struct {
	through uint64        // everything up to here is delivered
	have    []plant.Range // delivered, above through
	sent    published     // since the receipt was last asked for
	pending published     // the receipt that is asked for is for these
	held    []heldRanges  // live ones with a receipt, oldest first
	token   *mqtt.SubscribeToken
}

// published are numbers of batches.
type published struct{ live, backlog []plant.Range }

type heldRanges struct {
	ranges []plant.Range
	at     time.Time // of the receipt
}

// Hold is how long a live batch is kept after the broker has it: by then it
// shows that a host with the same keep-alive is gone. 0 where hosts acknowledge.
func (c *EdgeConfig) Hold() time.Duration {
	if c.Acknowledge != AcknowledgeBroker {
		return 0
	}
	return min(2*c.KeepAlive, 5*time.Minute)
}

// add notes that a batch was published.
func (r *receipts) add(b *plant.Batch) {
	n := plant.Range{First: b.Sequence, Last: b.Sequence}
	if b.Historical {
		r.sent.backlog = addRange(r.sent.backlog, n)
	} else {
		r.sent.live = addRange(r.sent.live, n)
	}
}

// forget drops what a broken connection left unproven: it is sent again.
func (r *receipts) forget() {
	r.sent, r.pending, r.held, r.token = published{}, published{}, nil, nil
}

// release makes what was held for long enough count as delivered, and tells
// whether there was any.
func (r *receipts) release(before time.Time) (any bool) {
	for len(r.held) > 0 && !r.held[0].at.After(before) {
		for _, n := range r.held[0].ranges {
			r.have = addRange(r.have, n)
		}
		r.held, any = r.held[1:], true
	}
	return any
}

// begin tells that first is the lowest number that the gateway holds.
func (r *receipts) begin(first uint64) {
	if first > 0 && first-1 > r.through {
		r.through = first - 1
	}
	r.settle()
}

func (r *receipts) settle() {
	for len(r.have) > 0 && r.have[0].First <= r.through+1 {
		r.through = max(r.through, r.have[0].Last)
		r.have = r.have[1:]
	}
}

// addRange puts n into rs, which stay ascending and apart.
func addRange(rs []plant.Range, n plant.Range) []plant.Range {
	if n.First == 0 {
		return rs
	}
	i := len(rs) // rs[:i] end before n, and do not touch it
	for i > 0 && rs[i-1].Last+1 >= n.First {
		i--
	}
	j := i // rs[i:j] overlap n or touch it
	for j < len(rs) && rs[j].First <= n.Last+1 {
		n.First, n.Last = min(n.First, rs[j].First), max(n.Last, rs[j].Last)
		j++
	}
	if j == i+1 {
		rs[i] = n
		return rs
	}
	return slices.Replace(rs, i, j, n)
}

// askReceipt asks the broker, if there is something to ask about, and lets go
// what was held for long enough.
func (s *edgeSession) askReceipt() {
	s.mu.Lock()
	r := &s.receipts
	if s.Edge.link == s.link && r.release(time.Now().Add(-s.cfg.Hold())) {
		a := s.delivered()
		s.mu.Unlock()
		s.node.Acknowledge(a)
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	if r.token != nil || len(r.sent.live)+len(r.sent.backlog) == 0 || !s.born {
		return
	}
	r.pending, r.sent = r.sent, published{}
	r.token = s.link.client.Subscribe(s.commands, 1, nil).(*mqtt.SubscribeToken)
	s.asked = r.token.Done()
}

// takeReceipt tells the node what the broker has.
func (s *edgeSession) takeReceipt() {
	s.asked = nil
	s.mu.Lock()
	r := &s.receipts
	token := r.token
	r.token = nil
	if token == nil || token.Error() != nil || s.Edge.link != s.link {
		s.mu.Unlock()
		return // the connection is over: all is sent again
	}
	for _, n := range r.pending.backlog {
		r.have = addRange(r.have, n)
	}
	if len(r.pending.live) > 0 {
		r.held = append(r.held, heldRanges{r.pending.live, time.Now()})
	}
	r.pending = published{}
	a := s.delivered()
	s.mu.Unlock()
	s.node.Acknowledge(a)
}

// delivered tells what counts as delivered. The caller holds mu.
func (s *edgeSession) delivered() plant.Acknowledgement {
	r := &s.receipts
	r.settle()
	return plant.Acknowledgement{Gateway: s.cfg.Gateway, Session: s.session, Through: r.through, Beyond: slices.Clone(r.have)}
}
