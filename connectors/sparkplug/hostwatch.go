package sparkplug

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"linetwin/plant"
)

// watching looks after a Host's session for what a broker does not tell: that
// it drops what we publish, or holds back what we subscribed to.
type watching struct {
	host  *Host
	link  *link
	tick  *time.Ticker
	began time.Time
	edges uint64 // messages of edge nodes, before
	heard bool   // our own STATE came back
	note  string
}

func (h *Host) watching(l *link) *watching {
	return &watching{host: h, link: l, tick: time.NewTicker(min(stateEvery, h.silence)), began: time.Now(), edges: h.counts.edges.Load()}
}

func (w *watching) look(now time.Time) {
	h, note := w.host, ""
	switch {
	case !w.heard:
		// What is retained comes again with each subscription.
		w.link.client.Subscribe(stateTopic(h.cfg.Host), 1, nil)
		if now.Sub(w.began) >= h.silence {
			note = fmt.Sprintf("our own STATE does not come back from %s: the broker does not let %s publish or read %s (see its access list); gateways wait for it and send nothing",
				w.link.broker, h.cfg.who(), stateTopic(h.cfg.Host))
		}
	case h.counts.edges.Load() > w.edges || now.Sub(w.began) < 4*h.silence:
	default: // a minute
		note = fmt.Sprintf("no edge node was heard at %s since %s: none is there, or the broker does not let %s read %s (see its access list)",
			w.link.broker, plant.Stamp(w.began), h.cfg.who(), h.births())
	}
	if note == w.note {
		return
	}
	w.note = note
	h.mu.Lock()
	h.note = note
	h.mu.Unlock()
	if note != "" {
		h.log.Warn("wire", "why", note)
	} else {
		h.log.Info("wire works again", "broker", w.link.broker)
	}
}

// births names the first of what is subscribed to.
func (h *Host) births() string {
	var all []string
	for filter := range h.cfg.filters() {
		if strings.Contains(filter, "/NBIRTH/") {
			all = append(all, filter)
		}
	}
	return strings.Join(all, " and ") + " and the like"
}

// lost tells why the connection is over. A broker that closes it as soon as we
// send a command, as Mosquitto 2.0.11 does, means the command.
func (h *Host) lost(l *link) error {
	since := time.Since(time.Unix(0, h.commanded.Load()))
	if c := (*closed)(nil); errors.As(l.why, &c) && since < time.Second {
		return fmt.Errorf("the broker at %s closed the connection when we sent a command: it was stopped, or its access list does not let %s publish %s/+/NCMD/+, or another client has our client id %s",
			l.broker, h.cfg.who(), namespace, c.client)
	}
	return fmt.Errorf("connection to %s lost: %w", l.broker, l.why)
}

// Wire gives the account of the connection to the broker.
func (h *Host) Wire() *plant.WireStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.account.tell(time.Now(), h.log, h.note)
}
