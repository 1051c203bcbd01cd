package sparkplug

import (
	"math"
	"time"

	"linetwin/plant"
)

// A gateway learns its host's time as NTP does, without trusting that both ways
// take equally long: each NDATA carries Delivery/Asked, the host sends that back
// beside its time, and the gateway knows how long the whole took.

// timed is a Node that wants to know the host's time.
type timed interface {
	// AwaitTime tells, before Linked does, that the host will tell its time.
	AwaitTime()
	// HostTime tells that the host's clock showed t at some time within the last
	// age.
	HostTime(t plant.Time, age time.Duration)
}

// answerLasts is how old an answer may be to be of use.
const answerLasts = 10 * time.Second

// hostTime is the host's answer.
type hostTime struct {
	asked uint64 // nanoseconds on the edge's monotonic clock
	time  uint64 // milliseconds since the epoch
}

// appendAsked writes the question.
func appendAsked(b []byte, t uint64, since time.Duration) []byte {
	m := outMetric{name: metricAsked, time: t, field: metricFieldLong, bits: uint64(since)}
	return m.append(b)
}

// appendHostTime writes the NCMD payload that answers it.
func appendHostTime(b []byte, session string, asked, now uint64) []byte {
	b = appendHead(b, now)
	for _, m := range [...]outMetric{
		{name: metricSession, datatype: typeString, field: metricFieldString, text: session},
		{name: metricAsked, datatype: typeUInt64, field: metricFieldLong, bits: asked},
		{name: metricHostTime, datatype: typeDateTime, field: metricFieldLong, bits: now},
	} {
		m.time = now
		b = m.append(b)
	}
	return b
}

// answerTime tells a gateway what time it is. An answer that is not sent is not
// missed: it asks again in a second.
func (g *gateway) answerTime(p *payload) {
	for i := range p.metrics {
		if m := &p.metrics[i]; string(m.name) == metricAsked && m.field == metricFieldLong {
			_ = g.host.command(g, appendHostTime(nil, g.birth.Session, m.bits, now()))
			return
		}
	}
}

// tellTime gives the host's answer to the gateway. One to another process, or
// one that took too long, tells nothing.
func (e *Edge) tellTime(t *hostTime, session string) {
	n, ok := e.node.(timed)
	e.mu.Lock()
	ours := session == e.session
	e.mu.Unlock()
	if !ok || !ours || e.cfg.Acknowledge != AcknowledgeHost || t.asked > math.MaxInt64 || t.time == 0 || t.time > maxMilli {
		return
	}
	if age := time.Since(e.made) - time.Duration(t.asked); age >= 0 && age <= answerLasts {
		n.HostTime(plant.FromMilli(int64(t.time)), age)
	}
}

// awaitTime tells the gateway that the host will tell its time.
func (e *Edge) awaitTime() {
	if n, ok := e.node.(timed); ok && e.cfg.Acknowledge == AcknowledgeHost {
		n.AwaitTime()
	}
}
