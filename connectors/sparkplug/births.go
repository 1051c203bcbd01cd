package sparkplug

import (
	"encoding/json"
	"time"

	"linetwin/plant"
)

// edgeDevice is what an Edge has told of one machine.
type edgeDevice struct {
	data    string // DDATA topic
	control uint64 // aliases: control Sequence, +1 Through, +2 From, +3 Session
	signals []edgeSignal
	index   map[string]int // nil until it is needed
	born    bool           // DBIRTH was sent since NBIRTH
	online  bool
}

type edgeSignal struct {
	plant.Signal
	alias uint64
}

// find gives the index of a signal, or -1. Readings mostly come in the order of
// the signals, so that hint is mostly right.
func (d *edgeDevice) find(name string, hint int) int {
	if hint < len(d.signals) && d.signals[hint].Name == name {
		return hint
	}
	if d.index == nil {
		d.index = make(map[string]int, len(d.signals))
		for i := range d.signals {
			d.index[d.signals[i].Name] = i
		}
	}
	if i, ok := d.index[name]; ok {
		return i
	}
	return -1
}

// device gives what is known of a machine, with those of these signals added
// that it does not have.
func (e *Edge) device(machine string, signals []plant.Signal) *edgeDevice {
	d := e.devices[machine]
	if d == nil {
		d = &edgeDevice{data: topic{kindDData, e.cfg.Area, e.cfg.Gateway, machine}.String(), control: e.control}
		e.control += 4
		e.devices[machine] = d
	}
	for i, s := range signals {
		if d.find(s.Name, i) >= 0 {
			continue
		}
		e.alias++
		d.index[s.Name] = len(d.signals)
		d.signals = append(d.signals, edgeSignal{s, e.alias})
	}
	return d
}

// define makes a machine's signals exactly these, and tells whether hosts have
// to hear of it. What the buffer still holds of others is born once more when
// it is sent. No alias has two meanings within a process, not even one after
// the other: a host that missed a birth must not take one for the other.
func (e *Edge) define(machine string, signals []plant.Signal) (changed bool) {
	d := e.device(machine, nil)
	same := d.born && len(d.signals) == len(signals)
	list := make([]edgeSignal, len(signals))
	for i, s := range signals {
		list[i].Signal = s
		if at := d.find(s.Name, i); at >= 0 && alike(&d.signals[at].Signal, &s) {
			list[i].alias = d.signals[at].alias
			same = same && at == i && d.signals[at].Signal == s
			continue
		}
		e.alias++
		list[i].alias, same = e.alias, false
	}
	if !same {
		d.signals, d.index = list, nil
	}
	return !same
}

// alike tells whether values of two signals of one name mean the same.
func alike(a, b *plant.Signal) bool {
	return a.Kind == b.Kind && a.Unit == b.Unit && a.Counter == b.Counter
}

func now() uint64 { return uint64(time.Now().UnixMilli()) }

// send publishes what is in e.buf with the next seq.
func (e *Edge) send(l *link, topic string) error {
	e.buf = appendSeq(e.buf, e.seq)
	if err := l.publish(topic, 0, false, e.buf); err != nil {
		e.buf = nil // paho may still hold it
		return err
	}
	e.seq++ // wraps after 255, as 6.4.19 says
	return nil
}

// births publishes NBIRTH, then DBIRTH for every device, and DDEATH for those
// that cannot be reached now, so that hosts know their signals all the same.
func (e *Edge) births(l *link, bd uint8, birth *plant.GatewayBirth) error {
	e.seq, e.session = 0, birth.Session
	e.receipts.begin(birth.First)
	birth.Identity.Address = l.address()
	e.buf = e.appendNBirth(e.buf[:0], bd, birth)
	if err := e.send(l, topic{kind: kindNBirth, area: e.cfg.Area, gateway: e.cfg.Gateway}.String()); err != nil {
		return err
	}
	for _, d := range e.devices {
		d.born, d.online = false, false
	}
	for i := range birth.Devices {
		e.define(birth.Devices[i].Machine, birth.Devices[i].Signals)
		if err := e.deviceBirth(l, &birth.Devices[i]); err != nil {
			return err
		}
	}
	return nil
}

// deviceBirth publishes DBIRTH, DDEATH or both, as the device's state asks.
func (e *Edge) deviceBirth(l *link, b *plant.DeviceBirth) error {
	d := e.device(b.Machine, b.Signals)
	e.buf = appendHead(e.buf[:0], now())
	e.buf = appendSession(e.buf, now(), d.control+3, e.session)
	e.buf = d.appendBirth(e.buf, now(), b.Last)
	if err := e.send(l, topic{kindDBirth, e.cfg.Area, e.cfg.Gateway, b.Machine}.String()); err != nil {
		return err
	}
	d.born, d.online = true, true
	if b.Online {
		return nil
	}
	return e.deviceDeath(l, d, b.Machine)
}

func (e *Edge) deviceDeath(l *link, d *edgeDevice, machine string) error {
	d.online = false
	e.buf = appendHead(e.buf[:0], now())
	return e.send(l, topic{kindDDeath, e.cfg.Area, e.cfg.Gateway, machine}.String())
}

// Device tells that a device came (DBIRTH) or went (DDEATH), or that its
// signals changed. It gives plant.ErrOffline while nobody can hear it; the
// next births then tell it.
func (e *Edge) Device(b plant.DeviceBirth) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changes++
	if e.link == nil {
		return plant.ErrOffline
	}
	if changed := e.define(b.Machine, b.Signals); changed || b.Online {
		return e.deviceBirth(e.link, &b)
	}
	return e.deviceDeath(e.link, e.devices[b.Machine], b.Machine)
}

// Status sends the gateway's account of itself as NDATA, or gives
// plant.ErrOffline. Births repeat the last one.
func (e *Edge) Status(s *plant.GatewayStatus) error {
	held := *s
	held.Devices = append([]plant.DeviceStatus(nil), s.Devices...)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.withRival(&held)
	held.Wire = e.wireStatus(time.Now())
	e.status = &held
	if e.link == nil {
		return plant.ErrOffline
	}
	t := now()
	e.buf = e.appendStatus(appendHead(e.buf[:0], t), t, e.status, false)
	e.buf = appendAsked(e.buf, t, time.Since(e.made))
	return e.send(e.link, topic{kind: kindNData, area: e.cfg.Area, gateway: e.cfg.Gateway}.String())
}

// death is the payload of NDEATH: bdSeq and no seq (6.4.23).
func (s *edgeSession) death() []byte {
	t := now()
	m := outMetric{name: metricBdSeq, time: t, datatype: typeInt64, field: metricFieldLong, bits: uint64(s.bd)}
	return m.append(appendHead(nil, t))
}

// certificates counts the messages that births publishes after NBIRTH.
func certificates(birth *plant.GatewayBirth) uint64 {
	n := len(birth.Devices)
	for i := range birth.Devices {
		if !birth.Devices[i].Online {
			n++
		}
	}
	return uint64(n)
}

func (e *Edge) appendNBirth(b []byte, bd uint8, birth *plant.GatewayBirth) []byte {
	t := now()
	b = appendHead(b, t)
	for _, m := range [...]outMetric{
		{name: metricBdSeq, datatype: typeInt64, field: metricFieldLong, bits: uint64(bd)},
		{name: metricRebirth, datatype: typeBoolean, field: metricFieldBoolean},
		{name: metricSession, datatype: typeString, field: metricFieldString, text: birth.Session},
		{name: metricFirst, datatype: typeUInt64, field: metricFieldLong, bits: birth.First},
		{name: metricCertificates, datatype: typeUInt32, field: metricFieldInt, bits: certificates(birth)},
		{name: metricAcknowledged, datatype: typeUInt64},
		{name: metricBeyond, datatype: typeString},
		{name: metricAsked, datatype: typeUInt64},
		{name: metricHostTime, datatype: typeDateTime},
		{name: metricInstallation, datatype: typeString, field: metricFieldString, text: birth.Identity.Installation},
		{name: metricStart, datatype: typeUInt64, field: metricFieldLong, bits: birth.Identity.Start},
		{name: metricRival, datatype: typeString},
		{name: metricHost, datatype: typeString, field: metricFieldString, text: birth.Identity.Host},
		{name: metricAddress, datatype: typeString, field: metricFieldString, text: birth.Identity.Address},
		{name: metricEcho, datatype: typeUInt64},
		{name: metricCounts, datatype: typeString},
		{name: metricCounted, datatype: typeString},
		{name: metricVersion, datatype: typeString, field: metricFieldString, text: birth.Version},
	} {
		m.time = t
		b = m.append(b)
	}
	s := e.status
	if s == nil {
		s = &plant.GatewayStatus{Area: birth.Area, Gateway: birth.Gateway, Version: birth.Version}
	}
	return e.appendStatus(b, t, s, true)
}

// appendBirth writes every metric of a device: name, alias, type, unit,
// description, and the last value, or null where there is none.
func (d *edgeDevice) appendBirth(b []byte, t uint64, last []plant.Reading) []byte {
	for i, name := range [...]string{metricSequence, metricThrough, metricFrom} {
		m := outMetric{name: name, alias: d.control + uint64(i), time: t, datatype: typeDateTime}
		if i == 0 {
			m.datatype = typeUInt64
		}
		b = m.append(b)
	}
	known := make([]*plant.Reading, len(d.signals))
	for i := range last {
		if j := d.find(last[i].Signal, i); j >= 0 {
			known[j] = &last[i]
		}
	}
	for i := range d.signals {
		s := &d.signals[i]
		m := outMetric{name: s.Name, alias: s.alias, time: t, datatype: typeOf(s.Kind), typed: true}
		if r := known[i]; r != nil {
			// A value of another kind than the signal's is left to DDATA, which
			// can say so of one value.
			if k := r.Value.Kind(); k == s.Kind || k == plant.KindNone {
				m.set(r)
			}
		}
		m.props.unit, m.props.description, m.props.counter = s.Unit, s.Description, int32(s.Counter)
		b = m.append(b)
	}
	return b
}

// appendStatus writes a gateway's account: the whole as JSON, and its main
// numbers as metrics for hosts that are not ours. Births give the types too.
func (e *Edge) appendStatus(b []byte, t uint64, s *plant.GatewayStatus, birth bool) []byte {
	account, err := json.Marshal(s)
	whole := outMetric{name: metricStatus, datatype: typeString}
	if err == nil {
		whole.field, whole.text = metricFieldString, string(account)
	}
	flowing := 0
	for i := range s.Devices {
		if s.Devices[i].Link == plant.LinkFlowing {
			flowing++
		}
	}
	for _, m := range [...]outMetric{
		whole,
		dateMetric("Gateway/Started", s.Started),
		countMetric("Gateway/Read", s.Read),
		countMetric("Gateway/Made", s.Made),
		countMetric("Gateway/Stored", s.Stored),
		countMetric("Gateway/Waiting", s.Waiting),
		countMetric("Gateway/Dropped", s.Dropped),
		countMetric("Gateway/Buffer Bytes", uint64(max(s.BufferBytes, 0))),
		countMetric("Gateway/Buffer Max Bytes", uint64(max(s.BufferMax, 0))),
		{name: "Gateway/Buffer Error", datatype: typeString, field: metricFieldString, text: s.BufferError},
		dateMetric("Gateway/Oldest Waiting", s.OldestWaits),
		countMetric("Gateway/Last Sequence", s.LastSequence),
		countMetric("Gateway/Devices", uint64(len(s.Devices))),
		countMetric("Gateway/Devices Flowing", uint64(flowing)),
		countMetric("Gateway/Commands Refused", e.counts.refused.Load()),
	} {
		m.time = t
		if !birth {
			m.datatype = 0 // 6.4.15: not in data
		}
		b = m.append(b)
	}
	return b
}

func countMetric(name string, n uint64) outMetric {
	return outMetric{name: name, datatype: typeUInt64, field: metricFieldLong, bits: n}
}

// dateMetric is null where there is no time.
func dateMetric(name string, t plant.Time) outMetric {
	m := outMetric{name: name, datatype: typeDateTime}
	if t != 0 {
		m.field, m.bits = metricFieldLong, uint64(t.Milli())
	}
	return m
}
