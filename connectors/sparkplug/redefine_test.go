package sparkplug

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"linetwin/plant"
)

// meanings notes what each alias is said to mean by the births that a peer
// hears, and fails for one with two meanings.
type meanings map[uint64]string

func (seen meanings) take(t *testing.T, p *peer, certificates int) {
	t.Helper()
	for certificates > 0 {
		m := await(t, "message", p.received)
		topic, _ := parseTopic(m.topic)
		if topic.kind != kindDBirth {
			continue
		}
		certificates--
		var birth payload
		if err := birth.decode(m.payload); err != nil {
			t.Fatal(err)
		}
		for i := range birth.metrics {
			x := &birth.metrics[i]
			what := fmt.Sprint(topic.device, " ", string(x.name), " ", x.datatype, " ", x.text(propertyUnit))
			if before, ok := seen[x.alias]; ok && before != what || !x.hasAlias {
				t.Errorf("alias %d is %q and was %q", x.alias, what, before)
			}
			seen[x.alias] = what
		}
	}
}

// A gateway's settings may change while it runs: its devices then have other
// signals, and what it still holds is of the old ones.
func TestSignalsChange(t *testing.T) {
	overBrokers(t, false, func(t *testing.T, b *testBroker) {
		watch := newPeer(t, b.url, "watch", "spBv1.0/+/DBIRTH/+/+")
		aliases := meanings{}
		sink, node := newSink(), newNode(theBirth())
		h, _ := runHost(t, HostConfig{Connection: connection(b.url)}, sink)
		e, _ := runEdge(t, EdgeConfig{Connection: connection(b.url)}, node)
		await(t, "link", node.linked)
		sink.nextBirth(t)
		aliases.take(t, watch, 2)
		first := e.devices["riveting"].signals[0].alias // state, which stays as it is

		// state stays, temperature is in another unit, running is a text, product
		// and never are gone, speed is new. The device is not read yet.
		changed := plant.DeviceBirth{Machine: "riveting", Signals: []plant.Signal{
			{Name: "speed", Kind: plant.KindFloat},
			{Name: "state", Kind: plant.KindInteger, Counter: 16},
			{Name: "temperature", Kind: plant.KindFloat, Unit: "°F"},
			{Name: "running", Kind: plant.KindText},
		}}
		device := func(d plant.DeviceBirth) []plant.DeviceBirth {
			t.Helper()
			if err := e.Device(d); err != nil {
				t.Fatal(err)
			}
			return sink.nextBirth(t).Devices
		}
		if got := device(changed)[0]; !got.Online || !reflect.DeepEqual(got.Signals, changed.Signals) {
			t.Errorf("introduced as %+v", got)
		}
		if got := sink.nextBirth(t).Devices[0]; got.Online || !reflect.DeepEqual(got.Signals, changed.Signals) {
			t.Errorf("not read yet: %+v", got)
		}
		changed.Online = true
		if got := device(changed)[0]; !got.Online {
			t.Errorf("read: %+v", got)
		}
		aliases.take(t, watch, 2)
		if alias := e.devices["riveting"].signals[1].alias; alias != first {
			t.Errorf("state had alias %d, has %d", first, alias)
		}

		publish := func(b *plant.Batch) {
			t.Helper()
			if err := e.Publish(b); err != nil {
				t.Fatal(err)
			}
			if got := sink.nextBatch(t); got.Sequence != b.Sequence || !reflect.DeepEqual(got.Readings, b.Readings) {
				t.Errorf("readings %+v, want %+v", got.Readings, b.Readings)
			}
		}
		fresh := &plant.Batch{Machine: "riveting", Sequence: 20, Readings: []plant.Reading{
			{Machine: "riveting", Signal: "speed", Time: t0, Value: plant.Float(1)},
			{Machine: "riveting", Signal: "running", Time: t0, Value: plant.Text("yes")}}}
		publish(fresh)
		old := theBatch(8) // of the old signals and kinds
		old.Historical = true
		publish(old)
		aliases.take(t, watch, 1)

		// The machine is taken out, and what it left arrives all the same, also
		// after a rebirth that leaves it out.
		node.mu.Lock()
		node.birth.Devices = node.birth.Devices[1:]
		node.mu.Unlock()
		if got := device(plant.DeviceBirth{Machine: "riveting", Signals: changed.Signals}); got[0].Machine != "riveting" || !got[0].Online {
			t.Errorf("the last birth %+v", got)
		}
		if got := sink.nextBirth(t).Devices[0]; got.Online {
			t.Errorf("taken out: %+v", got)
		}
		aliases.take(t, watch, 1)
		publish(fresh)
		newPeer(t, b.url, "asks").publish("spBv1.0/assembly/NCMD/edge-1", appendRebirth(nil, now()))
		born := sink.nextBirth(t)
		if slices.ContainsFunc(born.Devices, func(d plant.DeviceBirth) bool { return d.Machine == "riveting" }) {
			t.Errorf("born again with what was taken out: %+v", born)
		}
		publish(fresh)
		publish(old)
		aliases.take(t, watch, 3)
		if s := h.Stats(); s.Unresolved != 0 || s.Unborn != 0 || s.Gaps != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}
