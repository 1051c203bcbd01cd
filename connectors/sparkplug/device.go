package sparkplug

import (
	"math"
	"time"

	"linetwin/plant"
)

// role is what a metric of a device is.
type role uint8

const (
	roleSignal   role = iota
	roleSequence      // Delivery/Sequence
	roleThrough
	roleFrom
	roleNone // Device Control/..., a type that no reading can hold
)

// signal is one metric of a birth. Its name is the one string that all its
// readings share.
type signal struct {
	name     string
	datatype uint32
	role     role
}

// device is what a host knows of one device of an edge node (or of the edge
// node itself, where a foreign one has signals of its own).
type device struct {
	birth   plant.DeviceBirth
	signals []signal
	names   map[string]int
	aliases aliasTable
	through plant.Time // of a foreign node: up to where it has told
}

func newDevice(machine string) *device {
	return &device{birth: plant.DeviceBirth{Machine: machine, Online: true}, names: map[string]int{}}
}

// aliasTable finds a signal by its alias. Aliases that lie close together, as
// they mostly do, are found without a map.
type aliasTable struct {
	base  uint64
	dense []int32 // index+1 by alias-base
	rest  map[uint64]int
}

func (t *aliasTable) find(alias uint64) (int, bool) {
	if i := alias - t.base; i < uint64(len(t.dense)) && t.dense[i] != 0 {
		return int(t.dense[i]) - 1, true
	}
	i, ok := t.rest[alias]
	return i, ok
}

// add tells that an alias is signal index's. The first alias is the base.
func (t *aliasTable) add(alias uint64, index int) {
	if len(t.dense) == 0 {
		t.base = alias
	}
	i := alias - t.base
	if i < uint64(2*len(t.dense)+64) {
		for uint64(len(t.dense)) <= i {
			t.dense = append(t.dense, 0)
		}
		t.dense[i] = int32(index) + 1
		return
	}
	if t.rest == nil {
		t.rest = map[uint64]int{}
	}
	t.rest[alias] = index
}

// learn takes the metrics of a birth.
func (g *gateway) learn(d *device, p *payload) {
	for pass := range 2 { // signals first: their aliases lie together
		for i := range p.metrics {
			m := &p.metrics[i]
			if reserved(string(m.name)) == (pass == 1) {
				g.learnMetric(d, m)
			}
		}
	}
}

func (g *gateway) learnMetric(d *device, m *metric) {
	if len(m.name) == 0 {
		g.host.counts.unresolved.Add(1)
		return
	}
	s := signal{name: valid(string(m.name)), datatype: m.datatype}
	switch {
	case s.name == metricSequence:
		s.role = roleSequence
	case s.name == metricThrough:
		s.role = roleThrough
	case s.name == metricFrom:
		s.role = roleFrom
	case reserved(s.name):
		s.role = roleNone
	case kindOf(s.datatype) == plant.KindNone && !g.ours():
		s.role = roleNone
		g.host.counts.skipped.Add(1)
	}
	index, ok := d.names[s.name]
	if !ok {
		index = len(d.signals)
		d.names[s.name] = index
		d.signals = append(d.signals, s)
		if s.role == roleSignal {
			d.birth.Signals = append(d.birth.Signals, plant.Signal{
				Name: s.name, Kind: kindOf(s.datatype), Unit: m.text(propertyUnit), Description: m.text(propertyDescription), Counter: m.counter(),
			})
		}
	}
	if m.hasAlias {
		d.aliases.add(m.alias, index)
	}
}

// text gives a text property, or "".
func (m *metric) text(name string) string {
	if len(m.properties) == 0 {
		return ""
	}
	p, _ := m.property(name)
	return valid(string(p.bytes))
}

// counter gives the width of a counter that rolls over, or 0.
func (m *metric) counter() int {
	if len(m.properties) == 0 {
		return 0
	}
	p, _ := m.property(propertyCounter)
	if p.field != propertyFieldInt || p.bits > 64 {
		return 0
	}
	return int(p.bits)
}

// resolve gives what a metric is by its alias or its name.
func (d *device) resolve(m *metric) *signal {
	if m.hasAlias {
		if i, ok := d.aliases.find(m.alias); ok {
			return &d.signals[i]
		}
	}
	if len(m.name) > 0 {
		if i, ok := d.names[string(m.name)]; ok {
			return &d.signals[i]
		}
	}
	return nil
}

// maxMilli is the last millisecond that a plant.Time can hold.
const maxMilli = math.MaxInt64 / uint64(plant.Millisecond)

// at gives the payload's time, or the time of arrival where it has none.
func (p *payload) at() plant.Time {
	if p.hasTime && p.time <= maxMilli {
		return plant.FromMilli(int64(p.time))
	}
	return plant.Stamp(time.Now())
}

// reading makes a reading of a metric; it is false for a time that cannot be.
func (d *device) reading(m *metric, s *signal, p *payload, r *plant.Reading) bool {
	r.Machine, r.Signal = d.birth.Machine, s.name
	switch {
	case !m.hasTime:
		r.Time = p.at()
	case m.time <= maxMilli:
		r.Time = plant.FromMilli(int64(m.time))
	default:
		return false
	}
	datatype := s.datatype
	if m.datatype != 0 {
		datatype = m.datatype
	}
	m.reading(datatype, r)
	return true
}

// last gives the readings in a birth of ours: the last of each signal that has
// one. A signal without one is null and has no quality.
func (d *device) last(p *payload) []plant.Reading {
	var readings []plant.Reading
	for i := range p.metrics {
		m := &p.metrics[i]
		s := d.resolve(m)
		if s == nil || s.role != roleSignal {
			continue
		}
		if _, told := m.property(propertyQuality); m.null && !told {
			continue
		}
		var r plant.Reading
		if d.reading(m, s, p, &r) {
			readings = append(readings, r)
		}
	}
	return readings
}

// birthValues gives the values in a foreign birth as a batch.
func (g *gateway) birthValues(d *device, p *payload) {
	d.through = 0
	g.deviceData(d, p)
}

// deviceData makes a batch of a DDATA, and gives it to the sink.
func (g *gateway) deviceData(d *device, p *payload) {
	b := g.host.batch(len(p.metrics))
	b.Site, b.Area, b.Gateway, b.Machine = g.host.cfg.Site, g.area, g.name, d.birth.Machine
	unresolved := 0
	for i := range p.metrics {
		if !g.addMetric(d, p, &p.metrics[i], b) {
			unresolved++
		}
	}
	if unresolved > 0 {
		g.host.counts.unresolved.Add(uint64(unresolved))
		g.askRebirth("metrics without a birth")
		if g.ours() {
			return // not all of it: it is sent again until we know all its signals
		}
	}
	if b.Complete.From == 0 {
		b.Complete.From = b.Complete.To // half a claim is none
	}
	if !g.ours() {
		d.claim(b, p)
		if len(b.Readings) == 0 {
			return
		}
	}
	g.host.counts.batches.Add(1)
	g.host.counts.readings.Add(uint64(len(b.Readings)))
	g.host.sink.Batch(b)
}

// mostReused is how many readings a batch may have room for that is used again.
const mostReused = 4096

// batch gives an empty batch with room for so many readings.
func (h *Host) batch(readings int) *plant.Batch {
	b, _ := h.spare.Get().(*plant.Batch)
	if b == nil {
		b = &plant.Batch{}
	}
	if cap(b.Readings) < readings {
		b.Readings = make([]plant.Reading, 0, readings)
	}
	return b
}

// Recycle takes a batch back that the sink needs no more: neither it nor its
// readings may be used afterwards.
func (h *Host) Recycle(b *plant.Batch) {
	readings := b.Readings[:cap(b.Readings)]
	if len(readings) > mostReused {
		return
	}
	clear(readings) // texts are not to be kept
	*b = plant.Batch{Readings: readings[:0]}
	h.spare.Put(b)
}

// addMetric puts one metric into a batch; false when no birth told of it.
func (g *gateway) addMetric(d *device, p *payload, m *metric, b *plant.Batch) bool {
	s := d.resolve(m)
	if s == nil {
		return false
	}
	switch s.role {
	case roleSignal:
		b.Readings = append(b.Readings, plant.Reading{})
		if !d.reading(m, s, p, &b.Readings[len(b.Readings)-1]) {
			b.Readings = b.Readings[:len(b.Readings)-1]
			g.foreign(kindDData, faultAt(0, "metric %q: time %d is out of range", s.name, m.time))
		}
		b.Historical = b.Historical || m.historical
	case roleSequence:
		b.Sequence, b.Historical = m.bits, m.historical
	case roleThrough:
		b.Complete.To = plant.FromMilli(int64(min(m.bits, maxMilli)))
	case roleFrom:
		b.Complete.From = plant.FromMilli(int64(min(m.bits, maxMilli)))
	}
	return true
}

// claim is what a foreign node's message says of completeness: it reports by
// exception, so everything since the message before is in this one. What is
// historical, goes back in time, or follows a gap or a birth claims nothing.
func (d *device) claim(b *plant.Batch, p *payload) {
	at := p.at()
	b.Complete = plant.Span{From: at, To: at}
	if b.Historical {
		return
	}
	if d.through != 0 && at > d.through {
		b.Complete.From = d.through
	}
	d.through = max(d.through, at)
}
