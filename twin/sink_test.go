package twin_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

// TestSignalsComeAndGo: a device that is introduced with other signals. What
// it no longer has is not taken for current.
func TestSignalsComeAndGo(t *testing.T) {
	r := newRig(t)
	tell := newTeller(r)
	birth := func(gateway string, online bool, last []plant.Reading, signals ...plant.Signal) {
		r.twin.Birth(plant.GatewayBirth{Area: area, Gateway: gateway, Session: gateway, First: 1,
			Devices: []plant.DeviceBirth{{Machine: "press", Online: online, Signals: signals, Last: last}}})
	}
	force, good := plant.Signal{Name: "force", Kind: plant.KindFloat, Unit: "kN"}, plant.Signal{Name: "good", Kind: plant.KindInteger}
	shown := func(name string) plant.SignalNow {
		all, err := r.twin.Signals("press")
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(s plant.SignalNow) bool { return s.Name == name })
		if i < 0 {
			t.Fatalf("no signal %s in %+v", name, all)
		}
		return all[i]
	}
	birth(gatewayID, true, nil, force, good)
	tell.say("press", begin, map[string]plant.Value{"force": plant.Float(1.5), "good": plant.Integer(1)})
	at := begin.Add(time.Second)
	r.setClock(at)

	// force is gone, good is of another kind.
	text := plant.Signal{Name: "good", Kind: plant.KindText}
	birth(gatewayID, true, nil, text)
	tell.say("press", at, map[string]plant.Value{"good": plant.Text("many")})
	if s := shown("force"); s.State != "stale" || s.Through != begin || s.Value.Float() != 1.5 {
		t.Errorf("a signal that is gone: %+v", s)
	}
	if s := shown("good"); s.State != "good" || s.Kind != plant.KindText || s.Value.Text() != "many" {
		t.Errorf("a signal of another kind: %+v", s)
	}
	// The buffer still had readings of it: that brings it back in history only.
	birth(gatewayID, true, nil, text, force)
	late := tell.batch("press", at, map[string]plant.Value{"force": plant.Float(2)})
	late.Historical = true
	r.twin.Batch(late)
	if s := shown("force"); s.State != "stale" || s.Value.Float() != 2 {
		t.Errorf("a signal of the backlog: %+v", s)
	}
	tell.say("press", at, map[string]plant.Value{"force": plant.Float(3)})
	if s := shown("force"); s.State != "good" || s.Value.Float() != 3 {
		t.Errorf("a signal that is back: %+v", s)
	}

	// The machine moves; what its old gateway still says does not move it back.
	machine := func() string {
		all := r.line().Machines
		return all[slices.IndexFunc(all, func(m plant.MachineSnapshot) bool { return m.ID == "press" })].Gateway
	}
	birth("edge-2", true, nil, text, force)
	birth(gatewayID, false, nil, plant.Signal{Name: "good", Kind: plant.KindInteger})
	r.twin.Batch(late)
	if m := machine(); m != "edge-2" {
		t.Errorf("gateway %s", m)
	}
	if s := shown("good"); s.Kind != plant.KindText {
		t.Errorf("the old gateway changed %+v", s)
	}
}

// TestOneTypeOfASignal: a name has one kind and unit in the site. A ledger that
// does not answer is asked again.
func TestOneTypeOfASignal(t *testing.T) {
	r := newRig(t)
	r.deaf.Store(true)
	birth := func(gateway, machine string, kind plant.Kind) {
		r.twin.Birth(plant.GatewayBirth{Area: area, Gateway: gateway, Session: gateway, First: 1,
			Devices: []plant.DeviceBirth{{Machine: machine, Online: true, Signals: []plant.Signal{{Name: "weight", Kind: kind}}}}})
	}
	notice := func(kind, text string) func() bool {
		return func() bool {
			return slices.ContainsFunc(r.twin.Snapshot().Notices, func(n plant.Notice) bool { return n.Kind == kind && strings.Contains(n.Text, text) })
		}
	}
	birth(gatewayID, "press", plant.KindFloat)
	r.eventually("the ledger does not answer", notice("ledger", "does not answer"))
	if notice("signal_type", "")() {
		t.Error("a ledger that does not answer is no other type")
	}
	r.deaf.Store(false)
	r.eventually("the type is kept", func() bool {
		signals, err := r.ledger.Signals(t.Context())
		return err == nil && slices.ContainsFunc(signals, func(s plant.Signal) bool { return s.Name == "weight" && s.Kind == plant.KindFloat })
	})
	birth("edge-2", "oven", plant.KindInteger)
	r.eventually("the other type is noticed", notice("signal_type", "weight is float, not integer"))
}
