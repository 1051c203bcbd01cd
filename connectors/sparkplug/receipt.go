package sparkplug

import (
	"slices"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"linetwin/plant"
)

// receipts follows which batches the broker has, where no host acknowledges.
//
// That a message was written to a socket proves nothing: a cut cable shows
// itself seconds later. So the broker is asked: a broker handles what one
// client sends in order, and its answer to a SUBSCRIBE (repeated, of a topic
// that we have anyway) is therefore a receipt for everything published before.
type receipts struct {
	through uint64        // everything up to here is delivered
	have    []plant.Range // delivered, above through
	sent    []plant.Range // published since the receipt was last asked for
	pending []plant.Range // the receipt that is asked for is for these
	token   *mqtt.SubscribeToken
}

// forget drops what a broken connection left unproven: it is sent again.
func (r *receipts) forget() { r.sent, r.pending, r.token = nil, nil, nil }

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

// askReceipt asks the broker, if there is something to ask about.
func (s *edgeSession) askReceipt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.receipts
	if r.token != nil || len(r.sent) == 0 || !s.born {
		return
	}
	r.pending, r.sent = r.sent, nil
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
	for _, n := range r.pending {
		r.have = addRange(r.have, n)
	}
	r.pending = nil
	r.settle()
	a := plant.Acknowledgement{Gateway: s.cfg.Gateway, Session: s.session, Through: r.through, Beyond: slices.Clone(r.have)}
	s.mu.Unlock()
	s.node.Acknowledge(a)
}
