package connectors

import (
	"linetwin/connectors/opcua"
	"linetwin/plant"
)

// historian is a device that may learn from its server what its signals were
// while it could not be read.
type historian interface {
	Backfill(opcua.Hole)
	Past(into []plant.Reading) []plant.Reading
}

// mostTold bounds how many bad readings of one outage are remembered; of what
// was before the oldest remembered one nothing is asked for.
const mostTold = 1000

// outage is what is remembered of an outage while it lasts.
type outage struct {
	known plant.Time // up to where the looks before it claim; 0 before the first look that found the device
	on    bool
	told  []plant.Time // times of the bad readings that told of it
}

// lost notes a look that failed, and whether bad readings told of it.
func (o *outage) lost(at plant.Time, told bool) {
	if o.known == 0 {
		return
	}
	o.on = true
	if !told {
		return
	}
	if o.told = append(o.told, at); len(o.told) > mostTold {
		o.known, o.told = o.told[0], o.told[1:]
	}
}

// found ends an outage, if there was one, with a look that claims up to
// through, and has the device find out what happened in it.
func (s *Supervisor) found(through plant.Time) {
	o := s.outage
	s.outage = outage{known: through}
	if h, ok := s.device.(historian); ok && o.on {
		h.Backfill(opcua.Hole{From: o.known, Told: o.told, Deadbands: s.deadbands})
	}
}

// Past appends to into what was learnt of times in which the device could not
// be read: readings in place of the bad ones that Next gave then. It does not
// wait, and is called like Next.
func (s *Supervisor) Past(into []plant.Reading) []plant.Reading {
	if h, ok := s.device.(historian); ok {
		return h.Past(into)
	}
	return into
}
