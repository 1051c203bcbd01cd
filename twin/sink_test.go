package twin_test

import (
	"slices"
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
