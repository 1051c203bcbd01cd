package sparkplug

import (
	"slices"
	"time"

	"linetwin/plant"
)

// Two processes under one gateway's name take each other's place again and
// again: the broker lets go of the one when the other connects with the same
// client id, or, where their ids differ, births of both come in turn. A
// session that was followed by another one and is then born afresh is the
// proof, for a process that was restarted never comes back.
const (
	rivalTurns = 2                // such returns, before it is said
	rivalsLast = 10 * time.Minute // without a return, before it is over
	livesKept  = 8
)

// life is one process that was born under a gateway's name.
type life struct {
	session string
	id      plant.Identity
	told    plant.Time // time of its last NBIRTH, by its own clock
}

// lives are the processes that were born under one name.
type lives struct {
	known       []life // the one that was heard last at the end
	turns       uint64
	first, last plant.Time // of turns
	changed     plant.Time // when another process than the one before was born
	named       bool
}

// born takes a birth, and tells whether it is of another process than the one
// before, so shortly after a change that births may not be the remedy.
func (l *lives) born(b *plant.GatewayBirth, now plant.Time) (crowded bool) {
	n := len(l.known)
	i := slices.IndexFunc(l.known, func(o life) bool { return o.session == b.Session })
	if n == 0 || i == n-1 && i >= 0 {
		if i < 0 {
			l.known = append(l.known, life{session: b.Session})
			i = 0
		}
		l.known[i].id, l.known[i].told = b.Identity, max(l.known[i].told, b.Time)
		return false
	}
	if i >= 0 && b.Time <= l.known[i].told {
		return false // a message that came twice or late: nobody was born afresh
	}
	crowded = l.changed != 0 && now.Sub(l.changed) < time.Minute
	l.changed = now
	if i >= 0 {
		if l.turns == 0 || now.Sub(l.last) > rivalsLast {
			l.turns, l.first, l.named = 0, now, false
		}
		l.turns++
		l.last = now
	}
	one := life{b.Session, b.Identity, b.Time}
	if i >= 0 {
		l.known = slices.Delete(l.known, i, i+1)
	}
	l.known = append(l.known, one)
	if len(l.known) > livesKept {
		l.known = slices.Delete(l.known, 0, 1)
	}
	return crowded
}

// rivals tells of two processes under the name, if there are.
func (l *lives) rivals(now plant.Time) *plant.Rivals {
	n := len(l.known)
	if l.turns < rivalTurns || n < 2 || now.Sub(l.last) > rivalsLast {
		return nil
	}
	return &plant.Rivals{Since: l.first, Last: l.last, Turns: l.turns, Here: l.known[n-1].id, Other: l.known[n-2].id}
}

// introduce finds out whether a birth is of a rival, and tells whom it is of
// who the other is. Crowded: asking for births again and again would only make
// it worse.
func (g *gateway) introduce(b *plant.GatewayBirth) (crowded bool) {
	if b.Session == "" {
		return false
	}
	now := plant.Stamp(time.Now())
	crowded = g.lives.born(b, now)
	r := g.lives.rivals(now)
	if b.Rivals = r; r == nil {
		return crowded
	}
	if !g.lives.named {
		g.lives.named = true
		g.log.Warn("two processes speak under this gateway's name: give one of them another name, or end it",
			"one", r.Here.String(), "other", r.Other.String(), "copied", r.Copied(), "since", r.Since)
	}
	if err := g.host.command(g, appendRival(nil, b.Session, r.Other.String(), now)); err != nil {
		g.log.Debug("rival not told", "error", err) // it is told with the next birth
	}
	return crowded
}

// own tells whether a DBIRTH is of the process that was born last. Its aliases
// would else turn another process's data into that one's, and acknowledge it
// there. One that does not say whose it is is taken by its place in the order.
func (g *gateway) own(p *payload) bool {
	for i := range p.metrics {
		if m := &p.metrics[i]; string(m.name) == metricSession {
			return string(m.bytes) == g.birth.Session
		}
	}
	return true
}

// identityMax limits the texts of an identity. A longer one is nobody's.
const identityMax = 255

// identify takes what a metric of an NBIRTH says of the gateway's identity.
func (m *metric) identify(id *plant.Identity) {
	text := ""
	if len(m.bytes) <= identityMax {
		text = valid(string(m.bytes))
	}
	switch string(m.name) {
	case metricInstallation:
		id.Installation = text
	case metricStart:
		id.Start = m.bits
	case metricHost:
		id.Host = text
	case metricAddress:
		id.Address = text
	}
}

// appendSession writes which process is meant. In a DBIRTH it has an alias, as
// all metrics there.
func appendSession(b []byte, t, alias uint64, session string) []byte {
	if session == "" {
		return b
	}
	m := outMetric{name: metricSession, alias: alias, time: t, datatype: typeString, field: metricFieldString, text: session}
	return m.append(b)
}

// appendRival writes the NCMD payload that tells a process of another one.
func appendRival(b []byte, session, rival string, now plant.Time) []byte {
	t := uint64(now.Milli())
	b = appendSession(appendHead(b, t), t, 0, session)
	m := outMetric{name: metricRival, time: t, datatype: typeString, field: metricFieldString, text: rival}
	return m.append(b)
}
