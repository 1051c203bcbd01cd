package sparkplug

import (
	"testing"

	"linetwin/plant"
)

// TestRollingWindow: where the broker's receipt is all there is, a broker that
// crashes right after it may have lost what it received: it is sent again, as
// historical, and then counts.
func TestRollingWindow(t *testing.T) {
	b := newNATS(t, false)
	b.start(t)
	w := &world{t: t, url: b.url, ack: AcknowledgeBroker, dir: t.TempDir(), did: map[string]int{}}
	one := w.startBox(w.newFolder())
	off := one.power(t)
	until(t, "online", one.edge.Online)
	w.make(one, 20)
	until(t, "the broker has all, which is not enough", func() bool {
		one.edge.mu.Lock()
		defer one.edge.mu.Unlock()
		r := &one.edge.receipts
		held := uint64(0)
		for _, h := range r.held {
			for _, n := range h.ranges {
				held += n.Last - n.First + 1
			}
		}
		return held == 20
	})
	if s := one.core.Status(); s.Stored != 0 || s.Waiting != 20 {
		t.Errorf("stored %d, waiting %d, want none and all", s.Stored, s.Waiting)
	}
	b.stop()
	b.start(t)
	values := map[uint64]bool{}
	peer := newPeer(t, b.url, "foreign-host", "spBv1.0/+/DDATA/+/+")
	for len(values) < 20 {
		m := await(t, "what was sent before", peer.received)
		var p payload
		if err := p.decode(m.payload); err != nil {
			t.Fatal(err)
		}
		for i := range p.metrics {
			if m := &p.metrics[i]; m.alias == 1 && m.historical {
				values[m.bits] = true
			}
		}
	}
	until(t, "it counts now", func() bool { return one.core.Status().Waiting == 0 })
	off()
}

func TestReceiptsAreHeld(t *testing.T) {
	cfg := EdgeConfig{Acknowledge: AcknowledgeBroker, Connection: connection("tcp://b:1")}
	if hold := cfg.Hold(); hold != 2*cfg.KeepAlive {
		t.Errorf("holds %v", hold)
	}
	cfg.Acknowledge = AcknowledgeHost
	if hold := cfg.Hold(); hold != 0 {
		t.Errorf("holds %v though the host acknowledges", hold)
	}
	var r receipts
	r.add(&plant.Batch{Sequence: 4})
	r.add(&plant.Batch{Sequence: 5})
	r.add(&plant.Batch{Sequence: 2, Historical: true})
	if len(r.sent.live) != 1 || r.sent.live[0] != (plant.Range{First: 4, Last: 5}) || len(r.sent.backlog) != 1 {
		t.Errorf("sent %+v", r.sent)
	}
}
