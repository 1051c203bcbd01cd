package sparkplug

import "time"

// marks of a seq that was jumped over.
const (
	markNone    uint8 = iota
	markMissing       // it may still come
	markGivenUp       // it did not come in time; should it come all the same, it is taken
)

// halfway tells early messages from those that were said before: seq has 8 bits.
const halfway = 128

// arrivals is how far a gateway's messages have come (Sparkplug B 3.0, 5.9).
// MQTT keeps the order within a topic only, so that with some brokers a message
// overtakes one on another topic. What is missing may come until the reorder
// timeout is over; only then a rebirth is asked for.
//
// Batches of ours are numbered and are taken as they come. Messages of a foreign
// node are held until those before them are there: each claims that nothing is
// missing.
type arrivals struct {
	next    uint8  // seq that is expected
	told    uint32 // message.lost of the last one with a seq
	marks   [256]uint8
	missing int       // marks that are markMissing
	held    []message // ascending from next, with holes
	timer   *time.Timer
}

// expect begins a session anew: the next seq is next.
func (a *arrivals) expect(next uint8) {
	a.next, a.marks, a.missing = next, [256]uint8{}, 0
	a.timer.Stop()
}

// pass moves the expected seq behind seq.
func (a *arrivals) pass(seq uint8) {
	for ; a.next != seq+1; a.next++ {
		a.marks[a.next+halfway] = markNone // of half a round ago
	}
}

// arrive takes a message of a living gateway in its turn.
func (g *gateway) arrive(m message, p *payload) {
	if !p.hasSeq {
		g.living(m, p)
		return
	}
	a := &g.arrivals
	m.seq = uint8(p.seq)
	own := m.lost - a.told // dropped by our own full queue
	a.told = m.lost
	switch ahead := m.seq - a.next; {
	case a.marks[m.seq] != markNone:
		g.host.counts.reordered.Add(1)
		g.living(m, p)
		g.found(m.seq)
	case ahead == 0, ahead == uint8(own) && len(a.held) == 0:
		a.pass(m.seq)
		g.living(m, p)
		g.release()
	case ahead >= halfway: // said before, yet not missing: it counts otherwise than we
		g.giveUp()
		g.gap(uint64(m.seq - a.next))
		a.expect(m.seq + 1)
		g.living(m, p)
		g.askRebirth("seq goes back")
	case g.ours():
		g.wait()
		for s := a.next; s != m.seq; s++ {
			a.marks[s] = markMissing
			a.missing++
		}
		a.pass(m.seq)
		g.living(m, p)
	default:
		g.hold(m)
	}
}

// wait starts the reorder timeout, unless it runs.
func (g *gateway) wait() {
	if a := &g.arrivals; a.missing == 0 && len(a.held) == 0 {
		a.timer.Reset(g.host.cfg.Reorder)
	}
}

// found notes that a message that was jumped over has come.
func (g *gateway) found(seq uint8) {
	a := &g.arrivals
	if a.marks[seq] == markMissing {
		if a.missing--; a.missing == 0 {
			a.timer.Stop()
		}
	}
	a.marks[seq] = markNone
}

// hold keeps a message that came early. A repeated one is dropped and counted.
func (g *gateway) hold(m message) {
	a := &g.arrivals
	g.wait()
	i := len(a.held)
	for i > 0 && a.held[i-1].seq-a.next > m.seq-a.next {
		i--
	}
	if i > 0 && a.held[i-1].seq == m.seq {
		g.host.counts.dropped.Add(1)
		return
	}
	a.held = append(a.held, message{})
	copy(a.held[i+1:], a.held[i:])
	a.held[i] = m
	if g.host.queued.Add(int64(len(m.payload))) > int64(g.host.cfg.QueueBytes) {
		g.giveUp() // no memory to wait with
	}
}

// release takes those held messages whose turn has come.
func (g *gateway) release() {
	a := &g.arrivals
	if len(a.held) == 0 {
		return
	}
	for len(a.held) > 0 && a.held[0].seq == a.next {
		g.host.counts.reordered.Add(1)
		g.takeHeld()
	}
	if len(a.held) == 0 {
		a.held = nil
		a.timer.Stop()
	}
}

func (g *gateway) takeHeld() {
	a := &g.arrivals
	m := a.held[0]
	a.held = a.held[1:]
	a.pass(m.seq)
	g.host.queued.Add(-int64(len(m.payload)))
	var p payload // scratch may still be in use
	if err := p.read(m.payload); err != nil {
		g.foreign(m.kind, err) // cannot be: it was read when it came
		return
	}
	g.living(m, &p)
}

// giveUp ends the wait for what is missing, and asks for a rebirth, because a
// birth may be among it.
func (g *gateway) giveUp() {
	if g.skip() {
		g.askRebirth("messages are missing")
	}
}

// skip takes what is held without what is missing; false where nothing is.
func (g *gateway) skip() bool {
	a := &g.arrivals
	a.timer.Stop()
	if a.missing == 0 && len(a.held) == 0 {
		return false
	}
	if a.missing > 0 {
		g.gap(uint64(a.missing))
		for s := range a.marks {
			if a.marks[s] == markMissing {
				a.marks[s] = markGivenUp
			}
		}
		a.missing = 0
	}
	for len(a.held) > 0 {
		first := a.held[0].seq
		if first != a.next {
			g.gap(uint64(first - a.next))
			for s := a.next; s != first; s++ {
				a.marks[s] = markGivenUp
			}
		}
		g.takeHeld()
	}
	a.held = nil
	return true
}

// gap counts messages that did not come. A foreign node's claim cannot span
// them.
func (g *gateway) gap(n uint64) {
	g.host.counts.gaps.Add(n)
	for _, d := range g.devices {
		d.through = 0
	}
}

// early takes those held messages out that are of the session that a birth
// begins: they overtook it. They are the ones that were sent after it.
func (g *gateway) early(birth *payload) []message {
	a := &g.arrivals
	var after, before []message
	var p payload
	for _, m := range a.held {
		if err := p.read(m.payload); err == nil && birth.hasTime && p.hasTime && p.time >= birth.time && m.seq < halfway {
			after = append(after, m)
			g.host.queued.Add(-int64(len(m.payload)))
		} else {
			before = append(before, m)
		}
	}
	a.held = before
	return after
}
