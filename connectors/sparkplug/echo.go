package sparkplug

import (
	"errors"
	"fmt"
	"time"

	"linetwin/plant"
)

// A broker need not say that it drops what a client sends, or brings it
// nothing: MQTT 3.1.1 has no word for it, and Mosquitto's access lists work so.
// A STATE that a broker retained may be of a host that is at another broker by
// now. So a gateway whose host acknowledges nothing asks it a question, which
// the host answers at once whatever its history does: no answer means that the
// way is closed, an answer that history does not store.

// silence is how long nothing may be acknowledged until the host is asked, and
// how long its answer may take.
const silence = 15 * time.Second

// answers follows whether the host answers what is sent; Edge.mu guards it.
type answers struct {
	since    time.Time // of the first batch that nothing was acknowledged after
	asked    time.Time // when the question was first asked
	asks     uint64    // questions asked, for ever
	answered bool
	note     string // for IT; "" while all is well
}

func (a *answers) published(now time.Time) {
	if a.since.IsZero() {
		a.since = now
	}
}

// answered takes an answer to a question, or with 0 an acknowledgement, which
// is an answer to everything.
func (s *edgeSession) answered(question uint64) {
	s.mu.Lock()
	a := &s.answers
	if question == 0 {
		*a = answers{asks: a.asks}
	} else if question <= a.asks {
		a.answered = true
	}
	s.mu.Unlock()
	if question == 0 && s.note != "" {
		s.note = ""
		s.log.Info("the host acknowledges again", "broker", s.link.broker)
	}
}

// watchHost asks a host that acknowledges nothing whether it is there at all.
// An error leaves this broker for the next one.
func (s *edgeSession) watchHost(now time.Time) error {
	if s.cfg.Acknowledge != AcknowledgeHost {
		return nil
	}
	s.mu.Lock()
	a := &s.answers
	if a.since.IsZero() || now.Sub(a.since) < s.silence {
		s.mu.Unlock()
		return nil
	}
	var err error
	if !a.answered {
		err = s.ask(now)
	}
	switch {
	case a.answered:
		a.note = fmt.Sprintf("host %q hears us at %s, and has acknowledged nothing that was sent since %s: its history does not store; see the notices on its page /gateways, and /readyz",
			s.cfg.Host, s.link.broker, plant.Stamp(a.since))
	case now.Sub(a.asked) >= s.silence:
		a.note = s.deaf()
	}
	note, gone := a.note, !a.answered && a.note != "" && len(s.cfg.Brokers) > 1
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("ask host %q at %s: %w", s.cfg.Host, s.link.broker, err)
	}
	if gone {
		s.goodbye()
		return &hostAway{"left " + s.link.broker + ": " + note}
	}
	if note != s.note {
		s.note = note
		s.log.Warn("nothing is acknowledged", "why", note)
	}
	return nil
}

// ask sends the question, as NDATA; e.mu is held.
func (e *Edge) ask(now time.Time) error {
	a := &e.answers
	if e.link == nil {
		return plant.ErrOffline
	}
	if a.asked.IsZero() {
		a.asked = now
	}
	a.asks++
	e.buf = appendEcho(appendHead(e.buf[:0], uint64(now.UnixMilli())), a.asks)
	return e.send(e.link, topic{kind: kindNData, area: e.cfg.Area, gateway: e.cfg.Gateway}.String())
}

func appendEcho(b []byte, question uint64) []byte {
	m := outMetric{name: metricEcho, time: now(), field: metricFieldLong, bits: question}
	return m.append(b)
}

// deaf tells what keeps a host from hearing us, or us from hearing it.
func (s *edgeSession) deaf() string {
	return fmt.Sprintf("host %q does not answer at %s, although its STATE there says online since %s. Either the broker does not let %s publish %s/%s/+/%s/# or read %s (see its access list; linetwin probe --wire tries it), or the host is at another broker or died without a will",
		s.cfg.Host, s.link.broker, plant.At(time.UnixMilli(s.hostTime)), s.cfg.who(), namespace, s.cfg.Area, s.cfg.Gateway, s.commands)
}

// lost tells why the connection is over. A broker that closes it as soon as we
// publish, as Mosquitto 2.0.11 does, means what we publish.
func (s *edgeSession) lost(atOnce bool) error {
	if c := (*closed)(nil); errors.As(s.link.why, &c) && atOnce {
		return fmt.Errorf("the broker at %s closes the connection when we publish: its access list does not let %s publish %s/%s/+/%s/#, or another client has our client id %s",
			s.link.broker, s.cfg.who(), namespace, s.cfg.Area, s.cfg.Gateway, c.client)
	}
	return fmt.Errorf("connection to %s lost: %w", s.link.broker, s.link.why)
}

// unspoken tells why births could not be published: how the connection ended
// says more than the write that failed.
func (s *edgeSession) unspoken(err error) error {
	select {
	case <-s.link.lost:
		return s.lost(true)
	case <-time.After(s.link.write):
		return fmt.Errorf("publish births at %s: %w", s.link.broker, err)
	}
}

// who names whom a broker knows us as.
func (c *Connection) who() string {
	if c.User != "" {
		return fmt.Sprintf("user %q", c.User)
	}
	return "us"
}

// noHost tells that the primary host is not online at this broker.
func (s *edgeSession) noHost() error {
	if s.hostTime == 0 {
		return fmt.Errorf("connected to %s, but primary host %q was never online there: start the twin at this broker with broker.host %q, and let the broker give %s the topic %s to read",
			s.link.broker, s.cfg.Host, s.cfg.Host, s.cfg.who(), s.stateName)
	}
	return fmt.Errorf("connected to %s, but primary host %q is offline since %s: start the twin, or see why it left",
		s.link.broker, s.cfg.Host, plant.At(time.UnixMilli(s.hostTime)))
}

// waits notes why nothing is born; it is no fault yet.
func (e *Edge) waits(why error) {
	e.mu.Lock()
	e.why = why
	e.mu.Unlock()
}

// hostMissing gives up a broker whose primary host is not online, where there
// is another one (Sparkplug B 3.0, 5.12); else it tells, and goes on waiting.
func (s *edgeSession) hostMissing() error {
	why := s.noHost()
	if len(s.cfg.Brokers) > 1 {
		return &hostAway{why.Error()}
	}
	s.waits(why)
	s.log.Warn("waiting for the primary host", "error", why)
	return nil
}

// maxEcho is what a question takes at most; a gateway's account is longer.
const maxEcho = 128

// asked takes a question out of what gateways send, and tells whether m is one
// and nothing else. It is answered beside the queues: they may be long.
func (h *Host) asked(g *gateway, m inbound) bool {
	var p payload
	if len(m.payload) > maxEcho || p.decode(m.payload) != nil {
		return false
	}
	for i := range p.metrics {
		x := &p.metrics[i]
		if string(x.name) != metricEcho || x.null || x.bits == 0 {
			continue
		}
		select {
		case h.echoes <- question{g, x.bits}:
		default: // it is asked again
		}
		return !p.hasSeq
	}
	return false
}

// question is one that a gateway, or somebody who tries its way, has asked.
type question struct {
	gateway *gateway
	number  uint64
}

func (h *Host) answer(q question) {
	// Offline, nobody could hear the answer; it is asked again.
	_ = h.command(q.gateway, appendEcho(appendHead(nil, now()), q.number))
}
