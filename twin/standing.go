package twin

import (
	"cmp"

	"linetwin/plant"
)

// standing is whether somebody vouches for a machine's signals.
type standing struct {
	gateway gatewayKey // that vouches, or vouched last
	stale   plant.Time // since then nobody does; 0 while somebody does
}

// standsLocked takes what a gateway's birth says of a machine: a device that is
// away leaves its signals stale since its DDEATH, by the gateway's clock
// (Sparkplug B 3.0, 5.7).
func (t *Twin) standsLocked(key gatewayKey, d *plant.DeviceBirth, now plant.Time) {
	s := t.standings[d.Machine]
	before := s != nil && s.stale == 0
	defer func() {
		if s := t.standings[d.Machine]; before != (s != nil && s.stale == 0) {
			t.showLocked(d.Machine, now)
		}
	}()
	switch {
	case d.Online:
		t.standings[d.Machine] = &standing{gateway: key}
	case s == nil:
		t.standings[d.Machine] = &standing{gateway: key, stale: cmp.Or(d.Since, now)}
	case s.gateway == key && s.stale == 0:
		s.stale = cmp.Or(d.Since, now)
	}
}

// leftLocked marks the signals of all machines that a gateway vouched for as
// stale, by the twin's clock (5.5): its NDEATH was written when it connected.
func (t *Twin) leftLocked(key gatewayKey, now plant.Time) {
	for machine, s := range t.standings {
		if s.gateway == key && s.stale == 0 {
			s.stale = now
			t.showLocked(machine, now)
		}
	}
}

// showLocked shows a machine's signals to who watches.
func (t *Twin) showLocked(machine string, now plant.Time) {
	if !t.live.watched() {
		return
	}
	var shown []plant.SignalNow
	for _, n := range t.signals[machine] {
		shown = append(shown, t.signalLocked(machine, n, now))
	}
	if len(shown) > 0 {
		t.live.send(plant.Change{Signals: shown})
	}
}

// foreignDevices makes an account of an edge node that gives none.
func foreignDevices(b *plant.GatewayBirth) []plant.DeviceStatus {
	devices := make([]plant.DeviceStatus, len(b.Devices))
	for i := range b.Devices {
		d := &b.Devices[i]
		s := plant.DeviceStatus{Machine: d.Machine, Protocol: "sparkplug", Link: plant.LinkFlowing, Since: d.Since, Signals: len(d.Signals)}
		if !d.Online {
			s.Link, s.Reason = plant.LinkDown, "the edge node says that the device is away"
		}
		devices[i] = s
	}
	return devices
}
