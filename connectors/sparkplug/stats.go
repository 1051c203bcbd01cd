package sparkplug

import "sync/atomic"

type hostCounts struct {
	connects, messages, edges, batches, readings, births, deaths atomic.Uint64
	gaps, rebirths, unborn, unresolved, skipped, staleDeath      atomic.Uint64
	dropped, acks, staleAcks, strays, reordered                  atomic.Uint64
	foreign                                                      [len(kindNames)]atomic.Uint64
}

// Stats counts what a Host saw since it was made.
type Stats struct {
	Connects uint64 // sessions with a broker
	Gateways int    // edge nodes heard of
	Messages uint64
	Batches  uint64 // given to the sink
	Readings uint64 // their readings
	Births   uint64 // NBIRTHs
	Deaths   uint64 // deaths told to the sink

	Gaps        uint64 // messages missing by seq, at least
	Reordered   uint64 // messages that came out of order, and were put in order
	Rebirths    uint64 // rebirths asked for
	Unborn      uint64 // messages of edge nodes or devices whose birth we have not seen
	Unresolved  uint64 // metrics with an alias or name that no birth told
	Skipped     uint64 // metrics of types that no reading can hold (data sets, templates, bytes)
	StaleDeaths uint64 // NDEATHs of a former session

	Dropped   uint64 // messages dropped because a queue was full
	Queued    int64  // bytes that wait now
	Acks      uint64 // acknowledgements published
	StaleAcks uint64 // acknowledgements for a session that is over
	Strays    uint64 // DBIRTHs of another process than the one that was born last under its name

	// Foreign counts messages on our topics that are no Sparkplug, by message
	// type.
	Foreign map[string]uint64
}

// Stats gives the counts.
func (h *Host) Stats() Stats {
	c := &h.counts
	s := Stats{
		Connects: c.connects.Load(), Messages: c.messages.Load(), Batches: c.batches.Load(), Readings: c.readings.Load(),
		Births: c.births.Load(), Deaths: c.deaths.Load(), Gaps: c.gaps.Load(), Reordered: c.reordered.Load(), Rebirths: c.rebirths.Load(),
		Unborn: c.unborn.Load(), Unresolved: c.unresolved.Load(), Skipped: c.skipped.Load(), StaleDeaths: c.staleDeath.Load(),
		Dropped: c.dropped.Load(), Queued: h.queued.Load(), Acks: c.acks.Load(), StaleAcks: c.staleAcks.Load(), Strays: c.strays.Load(),
		Foreign: map[string]uint64{},
	}
	for k := range c.foreign {
		if n := c.foreign[k].Load(); n > 0 {
			s.Foreign[kindNames[k]] = n
		}
	}
	h.mu.Lock()
	s.Gateways = len(h.gateways)
	h.mu.Unlock()
	return s
}
