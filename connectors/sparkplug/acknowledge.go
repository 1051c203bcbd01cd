package sparkplug

import (
	"context"
	"slices"
	"time"

	"linetwin/plant"
)

// An acknowledgement is published at once, unless one was published in the last
// ackPause; then it waits for the rest of it, or until ackCalls have come, and
// the newest is sent.
const (
	ackPause = 20 * time.Millisecond
	ackCalls = 8
)

// pendingAck is what is to be told to a gateway; Host.mu guards it.
type pendingAck struct {
	newest plant.Acknowledgement
	calls  int // since the last one was published; 0: nothing is pending
	sent   time.Time
}

// Acknowledge tells a gateway what history has stored. It does not wait for
// the network; what cannot be sent now is sent with the next one or after a
// reconnect. An acknowledgement for a session that is over is counted and
// dropped: the gateway would not take it.
func (h *Host) Acknowledge(a plant.Acknowledgement) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := h.sessions[a.Session]
	if g == nil || g.name != a.Gateway {
		h.counts.staleAcks.Add(1)
		return nil
	}
	a.Beyond = slices.Clone(a.Beyond)
	g.ack.newest = a
	if g.ack.calls == 0 {
		h.due = append(h.due, g)
	}
	g.ack.calls++
	h.kick()
	return nil
}

func (h *Host) kick() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// acknowledge publishes what is due until ctx ends.
func (h *Host) acknowledge(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var buf []byte
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-h.echoes:
			h.answer(q)
			continue
		case <-h.wake:
		case <-timer.C:
		}
		for {
			g, a, wait := h.nextAck(time.Now())
			if g == nil {
				timer.Reset(wait)
				break
			}
			buf = appendAcknowledgement(buf[:0], &a, now())
			if err := h.command(g, buf); err != nil {
				buf = nil // paho may still hold it
				h.putBack(g, a)
				break // serve kicks when there is a link again
			}
			h.counts.acks.Add(1)
		}
	}
}

// nextAck takes one acknowledgement that is due, or tells how long until one
// is.
func (h *Host) nextAck(now time.Time) (*gateway, plant.Acknowledgement, time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	wait := time.Hour
	for i, g := range h.due {
		left := ackPause - now.Sub(g.ack.sent)
		if left > 0 && g.ack.calls < ackCalls {
			wait = min(wait, left)
			continue
		}
		h.due = slices.Delete(h.due, i, i+1)
		g.ack.calls, g.ack.sent = 0, now
		return g, g.ack.newest, 0
	}
	return nil, plant.Acknowledgement{}, wait
}

// putBack keeps what could not be sent, unless a newer one has come.
func (h *Host) putBack(g *gateway, a plant.Acknowledgement) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if g.ack.calls == 0 && h.sessions[a.Session] == g {
		g.ack.newest, g.ack.calls = a, 1
		h.due = append(h.due, g)
	}
}
