package twin_test

import (
	"testing"
	"time"

	"linetwin/plant"
)

// When a device or its gateway goes, all its signals are stale at once: since
// DDEATH's time for a device, since the twin's for a gateway (Sparkplug B 3.0,
// 5.5 and 5.7). Who watches is told.
func TestSignalsAreStaleWithoutAGateway(t *testing.T) {
	r := newRig(t)
	changes, stop := r.twin.Subscribe()
	defer stop()
	died := begin.Add(400 * time.Millisecond)
	device := func(machine string, online bool, since plant.Time, last ...plant.Reading) plant.DeviceBirth {
		return plant.DeviceBirth{Machine: machine, Online: online, Since: since, Signals: []plant.Signal{{Name: "x", Kind: plant.KindFloat}}, Last: last}
	}
	reading := func(machine string, q plant.Quality) plant.Reading {
		rd := plant.Reading{Machine: machine, Signal: "x", Time: begin, Value: plant.Float(1), Quality: q}
		if q == plant.Bad {
			rd.Value, rd.Reason = plant.Value{}, "cut"
		}
		return rd
	}
	birth := func(gateway string, devices ...plant.DeviceBirth) {
		r.twin.Birth(plant.GatewayBirth{Area: area, Gateway: gateway, Devices: devices})
	}
	check := func(what, machine, state string, since plant.Time) {
		t.Helper()
		all, err := r.twin.Signals(machine)
		if err != nil || len(all) != 1 {
			t.Fatalf("%s: signals %+v, %v", what, all, err)
		}
		if all[0].State != state || all[0].StaleSince != since {
			t.Errorf("%s: %s is %s since %v, want %s since %v", what, machine, all[0].State, all[0].StaleSince, state, since)
		}
	}
	told := func(what, machine, state string) {
		t.Helper()
		for end := time.After(30 * time.Second); ; {
			select {
			case c := <-changes:
				for _, s := range c.Signals {
					if s.Machine == machine && s.State == state {
						return
					}
				}
			case <-end:
				t.Fatalf("%s: nobody was told", what)
			}
		}
	}
	r.setClock(begin.Add(time.Second))
	birth("f", device("one", true, begin, reading("one", plant.Good)), device("two", true, begin, reading("two", plant.Bad)), device("three", true, begin, reading("three", plant.Good)))
	check("born", "one", "good", 0)
	birth("f", device("one", false, died), device("two", false, died), device("three", true, begin))
	check("DDEATH", "one", "stale", died)
	told("DDEATH", "one", "stale")
	check("DDEATH of what is bad", "two", "bad", died)
	check("another device", "three", "good", 0)
	birth("f", device("one", false, died), device("two", false, died), device("three", true, begin))
	check("said twice", "one", "stale", died)

	// Another gateway vouches for three: the death of the first says nothing.
	birth("g", device("three", true, begin))
	r.setClock(begin.Add(2 * time.Second))
	birth("f", device("one", true, begin.Add(time.Second)))
	told("DBIRTH", "one", "good")
	r.twin.Death(area, "f", begin)
	check("NDEATH", "one", "stale", begin.Add(2*time.Second))
	told("NDEATH", "one", "stale")
	check("NDEATH of a device that was away", "two", "bad", died)
	check("NDEATH of another gateway", "three", "good", 0)
	birth("f", device("one", true, begin))
	check("born again", "one", "good", 0)

	// A foreign edge node gives no account: the births are one.
	birth("f", device("one", true, begin), device("two", false, died))
	for _, g := range r.twin.Snapshot().Gateways {
		if g.Gateway == "f" && (len(g.Devices) != 2 || g.Devices[0].Link != plant.LinkFlowing || g.Devices[1].Link != plant.LinkDown || g.Devices[1].Since != died) {
			t.Errorf("devices %+v", g.Devices)
		}
	}
}
