package sparkplug

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

const t0 = plant.Time(1_760_000_000_000) * plant.Millisecond

// theBirth is a gateway with two machines, of which the second is away.
func theBirth() plant.GatewayBirth {
	return plant.GatewayBirth{
		Area: "assembly", Gateway: "edge-1", Session: "s1", First: 7, Version: "1.2.3",
		Identity: plant.Identity{Installation: "i1", Start: 3, Host: "box", Address: "127.0.0.1"},
		Devices: []plant.DeviceBirth{
			{Machine: "riveting", Online: true,
				Signals: []plant.Signal{
					{Name: "state", Kind: plant.KindInteger, Counter: 16},
					{Name: "temperature", Kind: plant.KindFloat, Unit: "°C", Description: "of the head"},
					{Name: "running", Kind: plant.KindBoolean},
					{Name: "product", Kind: plant.KindText},
					{Name: "never", Kind: plant.KindFloat},
				},
				Last: []plant.Reading{
					{Machine: "riveting", Signal: "state", Time: t0, Value: plant.Integer(-3)},
					{Machine: "riveting", Signal: "temperature", Time: t0, Quality: plant.Bad, Reason: "timeout"},
					{Machine: "riveting", Signal: "product", Time: t0, Value: plant.Text("断路器")},
				}},
			{Machine: "welding", Signals: []plant.Signal{{Name: "state", Kind: plant.KindInteger}}},
		},
	}
}

// theBatch is one batch of riveting with every kind and quality.
func theBatch(sequence uint64) *plant.Batch {
	at := t0 + plant.Time(sequence)*100*plant.Millisecond
	reading := func(signal string, v plant.Value, q plant.Quality, reason string) plant.Reading {
		return plant.Reading{Machine: "riveting", Signal: signal, Time: at, Value: v, Quality: q, Reason: reason}
	}
	return &plant.Batch{
		Area: "assembly", Gateway: "edge-1", Machine: "riveting", Sequence: sequence,
		Complete: plant.Span{From: at - 100*plant.Millisecond, To: at},
		Readings: []plant.Reading{
			reading("state", plant.Integer(int64(sequence)), plant.Good, ""),
			reading("temperature", plant.Float(21.5), plant.Uncertain, "sensor drifts"),
			reading("running", plant.Boolean(true), plant.Good, ""),
			reading("product", plant.Text("NB1-C16"), plant.Good, ""),
			reading("never", plant.Value{}, plant.Bad, "no answer in 500ms"),
		},
	}
}

func TestRoundTrip(t *testing.T) {
	overBrokers(t, false, func(t *testing.T, b *testBroker) {
		watch := newPeer(t, b.url, "watch", "spBv1.0/+/NBIRTH/+", "spBv1.0/+/DBIRTH/+/+", "spBv1.0/+/DDEATH/+/+", "spBv1.0/+/NDATA/+", "spBv1.0/+/DDATA/+/+", "spBv1.0/+/NDEATH/+")
		sink, node := newSink(), newNode(theBirth())
		h, _ := runHost(t, HostConfig{Site: "songjiang", Connection: connection(b.url)}, sink)
		e, stopEdge := runEdge(t, EdgeConfig{Connection: connection(b.url)}, node)
		if !await(t, "link", node.linked) {
			t.Fatal("told offline first")
		}
		if got, want := watch.kinds(4), []string{"NBIRTH", "DBIRTH riveting", "DBIRTH welding", "DDEATH welding"}; !slices.Equal(got, want) {
			t.Errorf("births %v, want %v", got, want)
		}
		birth := sink.nextBirth(t)
		for i := range birth.Devices {
			if d := &birth.Devices[i]; time.Since(d.Since.Std()).Abs() > time.Minute {
				t.Errorf("%s stands so since %v", d.Machine, d.Since)
			}
			birth.Devices[i].Since = 0
		}
		want := theBirth()
		want.Time = birth.Time
		if birth.Time == 0 || !reflect.DeepEqual(*birth, want) {
			t.Errorf("birth\n%+v\nwant\n%+v", *birth, want)
		}

		sent := theBatch(7)
		for _, historical := range []bool{false, true} {
			sent.Historical = historical
			if err := e.Publish(sent); err != nil {
				t.Fatal(err)
			}
			got := sink.nextBatch(t)
			want := *sent
			want.Site = "songjiang"
			if !reflect.DeepEqual(*got, want) {
				t.Errorf("batch\n%+v\nwant\n%+v", *got, want)
			}
		}
		empty := &plant.Batch{Area: "assembly", Gateway: "edge-1", Site: "songjiang", Machine: "welding", Sequence: 8, Complete: plant.Span{From: t0, To: t0 + plant.Millisecond}, Historical: true, Readings: []plant.Reading{}}
		if err := e.Publish(empty); err != nil {
			t.Fatal(err)
		}
		if got := sink.nextBatch(t); !reflect.DeepEqual(got, empty) {
			t.Errorf("empty batch\n%+v\nwant\n%+v", got, empty)
		}

		status := plant.GatewayStatus{Area: "assembly", Gateway: "edge-1", Version: "1.2.3", Time: t0, Made: 1 << 60, Waiting: 3, BufferError: "disk full",
			Devices: []plant.DeviceStatus{{Machine: "riveting", Link: plant.LinkStale, Reason: "silence", LastData: t0}}}
		if err := e.Status(&status); err != nil {
			t.Fatal(err)
		}
		got := sink.next(t, "status", func(e event) bool { return e.status != nil }).status
		if w := got.Wire; w == nil || w.Broker != b.url || w.Connects != 1 || len(w.Notes) > 0 {
			t.Errorf("account of the wire %+v", w)
		}
		if got.Wire = nil; !reflect.DeepEqual(*got, status) {
			t.Errorf("status\n%+v\nwant\n%+v", *got, status)
		}

		ack := plant.Acknowledgement{Gateway: "edge-1", Session: "s1", Through: 7, Beyond: []plant.Range{{First: 9, Last: 9}, {First: 11, Last: 1 << 63}}}
		if err := h.Acknowledge(ack); err != nil {
			t.Fatal(err)
		}
		if got := await(t, "acknowledgement", node.acks); !reflect.DeepEqual(got, ack) {
			t.Errorf("acknowledgement %+v, want %+v", got, ack)
		}
		if err := h.Acknowledge(plant.Acknowledgement{Gateway: "edge-1", Session: "another"}); err != nil || h.Stats().StaleAcks != 1 {
			t.Errorf("stale acknowledgement: %v, %d counted", err, h.Stats().StaleAcks)
		}

		stopEdge()
		if <-node.linked {
			t.Error("linked after the end")
		}
		if got := sink.nextDeath(t); got != "assembly/edge-1" {
			t.Errorf("death of %s", got)
		}
		if err := e.Publish(sent); err == nil {
			t.Error("published after the end")
		}
		if s := h.Stats(); s.Gaps+s.Rebirths+s.Unborn+s.Unresolved+s.Dropped+s.Skipped != 0 || len(s.Foreign) != 0 {
			t.Errorf("something went wrong on the way: %+v", s)
		}
	})
}

func TestDeviceComesAndGoes(t *testing.T) {
	overBrokers(t, false, func(t *testing.T, b *testBroker) {
		sink, node := newSink(), newNode(theBirth())
		runHost(t, HostConfig{Connection: connection(b.url)}, sink)
		e, _ := runEdge(t, EdgeConfig{Connection: connection(b.url)}, node)
		await(t, "link", node.linked)
		sink.nextBirth(t)
		online := func(b *plant.GatewayBirth) string {
			var s []string
			for _, d := range b.Devices {
				s = append(s, fmt.Sprint(d.Machine, " ", d.Online, " ", len(d.Last)))
			}
			return strings.Join(s, ", ")
		}
		riveting := theBirth().Devices[0]
		riveting.Online = false
		if err := e.Device(riveting); err != nil {
			t.Fatal(err)
		}
		if got, want := online(sink.nextBirth(t)), "riveting false 0, welding false 0"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		riveting.Online = true
		if err := e.Device(riveting); err != nil {
			t.Fatal(err)
		}
		if got, want := online(sink.nextBirth(t)), "riveting true 3, welding false 0"; got != want {
			t.Errorf("%s, want %s", got, want)
		}

		// What the buffer still holds of a machine that the settings no longer
		// have is born with what the batch tells.
		old := &plant.Batch{Machine: "retired", Sequence: 9, Historical: true, Readings: []plant.Reading{
			{Machine: "retired", Signal: "x", Time: t0, Value: plant.Float(1)},
			{Machine: "retired", Signal: "y", Time: t0, Quality: plant.Bad, Reason: "gone"},
			{Machine: "retired", Signal: "y", Time: t0 + plant.Millisecond, Value: plant.Integer(5)}}}
		if err := e.Publish(old); err != nil {
			t.Fatal(err)
		}
		if got := sink.nextBatch(t); !reflect.DeepEqual(got.Readings, old.Readings) {
			t.Errorf("readings %+v, want %+v", got.Readings, old.Readings)
		}
		// And a value of another kind than the birth said.
		odd := &plant.Batch{Machine: "riveting", Sequence: 10, Readings: []plant.Reading{{Machine: "riveting", Signal: "state", Time: t0, Value: plant.Text("EXECUTE")}}}
		if err := e.Publish(odd); err != nil {
			t.Fatal(err)
		}
		if got := sink.nextBatch(t); !reflect.DeepEqual(got.Readings, odd.Readings) {
			t.Errorf("readings %+v, want %+v", got.Readings, odd.Readings)
		}
	})
}

func TestKilledEdgeAndBrokerRestart(t *testing.T) {
	overBrokers(t, false, func(t *testing.T, b *testBroker) {
		sink, node := newSink(), newNode(theBirth())
		h, _ := runHost(t, HostConfig{Connection: connection(b.url)}, sink)
		e, _ := runEdge(t, EdgeConfig{Connection: connection(b.url)}, node)
		await(t, "link", node.linked)
		sink.nextBirth(t)

		e.mu.Lock()
		sock := e.link.sock
		e.mu.Unlock()
		sock.Close() // no DISCONNECT: the broker publishes the will
		if got := sink.nextDeath(t); got != "assembly/edge-1" {
			t.Errorf("death of %s", got)
		}
		if await(t, "loss", node.linked) || !await(t, "link", node.linked) {
			t.Error("linked in the wrong order")
		}
		if got := sink.nextBirth(t); got.Session != "s1" || len(got.Devices) != 2 {
			t.Errorf("born again as %+v", got)
		}

		b.stop()
		await(t, "loss", node.linked)
		until(t, "host offline", func() bool { return !h.Online() && h.Err() != nil })
		sink.nextDeath(t)
		if err := e.Publish(theBatch(8)); err == nil {
			t.Error("published to nobody")
		}
		b.start(t)
		if !await(t, "link", node.linked) {
			t.Error("lost again")
		}
		sink.nextBirth(t)
		until(t, "batch published", func() bool { return e.Publish(theBatch(9)) == nil })
		if got := sink.nextBatch(t); got.Sequence != 9 {
			t.Errorf("batch %d, want 9", got.Sequence)
		}
	})
}

func TestHostRestart(t *testing.T) {
	overBrokers(t, false, func(t *testing.T, b *testBroker) {
		node := newNode(theBirth())
		e, _ := runEdge(t, EdgeConfig{Connection: connection(b.url)}, node)
		until(t, "waits for the host", func() bool {
			return e.Err() != nil && strings.Contains(e.Err().Error(), `primary host "linetwin" was never online there`)
		})
		if e.Online() || e.Publish(theBatch(7)) == nil {
			t.Error("spoke before the primary host was there")
		}
		for i := range 2 {
			sink := newSink()
			h, stop := runHost(t, HostConfig{Connection: connection(b.url)}, sink)
			if !await(t, "link", node.linked) {
				t.Fatal("told offline")
			}
			sink.nextBirth(t)
			until(t, "batch published", func() bool { return e.Publish(theBatch(uint64(7+i))) == nil })
			sink.nextBatch(t)
			if i == 1 {
				// The host's link breaks: its will sends the gateway away, and
				// it comes back when the host does.
				h.link.Load().sock.Close()
				sink.nextDeath(t)
				if await(t, "loss", node.linked) || !await(t, "link", node.linked) {
					t.Error("linked in the wrong order")
				}
				sink.nextBirth(t)
			}
			stop()
			if await(t, "loss", node.linked) {
				t.Error("linked without a host")
			}
		}
	})
}

func TestSequenceWrapsAndRebirth(t *testing.T) {
	overBrokers(t, false, func(t *testing.T, b *testBroker) {
		sink, node := newSink(), newNode(theBirth())
		h, _ := runHost(t, HostConfig{Connection: connection(b.url)}, sink)
		e, _ := runEdge(t, EdgeConfig{Connection: connection(b.url)}, node)
		await(t, "link", node.linked)
		for i := range uint64(600) {
			if err := e.Publish(theBatch(7 + i)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range uint64(600) {
			if got := sink.nextBatch(t); got.Sequence != 7+i {
				t.Fatalf("batch %d, want %d", got.Sequence, 7+i)
			}
		}
		if s := h.Stats(); s.Gaps != 0 || s.Batches != 600 || s.Readings != 3000 {
			t.Errorf("stats %+v", s)
		}

		// A host that comes later and has no STATE that counts asks for a
		// rebirth; so does one that missed a message.
		late := newSink()
		runHost(t, HostConfig{Host: "second", Connection: connection(b.url)}, late)
		if err := e.Publish(theBatch(700)); err != nil {
			t.Fatal(err)
		}
		if got := late.nextBirth(t); got.Session != "s1" || len(got.Devices) != 2 || len(got.Devices[0].Last) != 3 {
			t.Errorf("late birth %+v", got)
		}
		e.mu.Lock()
		e.seq += 3
		e.mu.Unlock()
		if err := e.Publish(theBatch(701)); err != nil {
			t.Fatal(err)
		}
		sink.nextBirth(t) // the one that "second" asked for
		sink.nextBatch(t)
		sink.nextBirth(t)
		if s := h.Stats(); s.Gaps != 3 || s.Rebirths != 1 {
			t.Errorf("gaps %d, rebirths %d; want 3 and 1", s.Gaps, s.Rebirths)
		}
	})
}

func TestWrongCredentials(t *testing.T) {
	overBrokers(t, true, func(t *testing.T, b *testBroker) {
		for _, c := range []struct {
			user, want string
			password   plant.Secret
		}{
			{"edge", `connect ` + b.url + `: the broker refuses user "edge" or its password: it does not say which; compare both with the broker's list of users`, "guess"},
			{"nobody", `connect ` + b.url + `: the broker refuses user "nobody" or its password: it does not say which; compare both with the broker's list of users`, "secret"},
			{"edge", `connect ` + b.url + `: the broker refuses user "edge" without a password: password is not set`, ""},
			{"", `connect ` + b.url + `: the broker wants a user and a password: user is not set`, ""},
		} {
			conn := connection(b.url)
			conn.User, conn.Password = c.user, c.password
			e, stop := runEdge(t, EdgeConfig{Connection: conn}, newNode(theBirth()))
			until(t, c.want, func() bool { return e.Err() != nil && e.Err().Error() == c.want })
			stop()
		}
		conn := connection(b.url)
		conn.User, conn.Password = "edge", "secret"
		runHost(t, HostConfig{Connection: conn}, newSink())
	})
}

func TestBrokerAcknowledges(t *testing.T) {
	overBrokers(t, false, func(t *testing.T, b *testBroker) {
		node := newNode(theBirth())
		e, _ := runEdge(t, EdgeConfig{Connection: connection(b.url), Acknowledge: AcknowledgeBroker}, node)
		await(t, "link", node.linked)
		for _, n := range []uint64{7, 8, 10, 11, 14} {
			if err := e.Publish(theBatch(n)); err != nil {
				t.Fatal(err)
			}
		}
		var got plant.Acknowledgement
		want := plant.Acknowledgement{Gateway: "edge-1", Session: "s1", Through: 8, Beyond: []plant.Range{{First: 10, Last: 11}, {First: 14, Last: 14}}}
		until(t, "acknowledgement of all", func() bool {
			select {
			case got = <-node.acks:
			default:
			}
			return reflect.DeepEqual(got, want)
		})
	})
}

func TestForeignMessages(t *testing.T) {
	overBrokers(t, false, func(t *testing.T, b *testBroker) {
		sink, node := newSink(), newNode(theBirth())
		h, _ := runHost(t, HostConfig{Connection: connection(b.url)}, sink)
		e, _ := runEdge(t, EdgeConfig{Connection: connection(b.url)}, node)
		await(t, "link", node.linked)
		sink.nextBirth(t)
		p := newPeer(t, b.url, "stranger")
		garbage := []byte("{\"temperature\": 21.5}")
		for _, topic := range []string{"assembly/DDATA/edge-1/riveting", "assembly/NDATA/edge-1", "assembly/NBIRTH/edge-1", "assembly/NDEATH/edge-1", "x/DDATA/y/z"} {
			p.publish("spBv1.0/"+topic, garbage)
		}
		p.publish("spBv1.0/assembly/NCMD/edge-1", garbage)
		p.publish("spBv1.0/assembly/NCMD/edge-1", appendAcknowledgement(nil, &plant.Acknowledgement{Session: "s1", Through: 9, Beyond: []plant.Range{{First: 3, Last: 2}}}, 1))
		p.publish("spBv1.0/assembly/NCMD/edge-1", (&outMetric{name: "setpoint", field: metricFieldLong, bits: 1}).append(nil))
		p.publish("spBv1.0/assembly/DCMD/edge-1/riveting", (&outMetric{name: "state", field: metricFieldLong, bits: 1}).append(nil))
		p.publish("spBv1.0/STATE/linetwin", garbage)
		until(t, "all counted", func() bool {
			s, es := h.Stats(), e.Stats()
			return s.Foreign["DDATA"] == 2 && s.Foreign["NDATA"] == 1 && s.Foreign["NBIRTH"] == 1 && s.Foreign["NDEATH"] == 1 && s.Foreign["STATE"] == 1 &&
				es.Dropped == 3 && es.Refused == 2
		})
		if err := e.Publish(theBatch(7)); err != nil {
			t.Fatal(err)
		}
		sink.nextBatch(t)
		if len(node.acks) != 0 || len(node.linked) != 0 {
			t.Error("the gateway took garbage for commands")
		}
	})
}

// A stale will, or another's word, must not send the gateways away.
func TestHostContradicts(t *testing.T) {
	overBrokers(t, false, func(t *testing.T, b *testBroker) {
		p := newPeer(t, b.url, "stranger", "spBv1.0/STATE/linetwin")
		h, _ := runHost(t, HostConfig{Connection: connection(b.url)}, newSink())
		first := await(t, "STATE", p.received)
		s, err := decodeState(first.payload)
		if err != nil || !s.Online || time.Since(time.UnixMilli(s.Timestamp)).Abs() > time.Minute {
			t.Fatalf("STATE %s: %v", first.payload, err)
		}
		p.do(p.c.Publish("spBv1.0/STATE/linetwin", 1, true, hostState{false, s.Timestamp - 5}.encode()))
		await(t, "the word itself", p.received)
		if m := await(t, "contradiction", p.received); string(m.payload) != string(first.payload) {
			t.Errorf("contradicts with %s, want %s", m.payload, first.payload)
		}
		future := hostState{false, s.Timestamp + 1_000_000}
		p.do(p.c.Publish("spBv1.0/STATE/linetwin", 1, true, future.encode()))
		for {
			m := await(t, "newer STATE", p.received)
			if s, err := decodeState(m.payload); err == nil && s.Online && s.Timestamp > future.Timestamp {
				break
			}
		}
		until(t, "host online again", h.Online)
	})
}
