package sparkplug

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"linetwin/plant"
)

// A broker that is frozen (the socket is open, nobody reads) must not hold up
// the gateway, and must be noticed.
func TestFrozenBroker(t *testing.T) {
	b := newMosquitto(t, false)
	b.start(t)
	node := newNode(theBirth())
	conn := connection(b.url)
	conn.WriteTimeout = 300 * time.Millisecond
	e, _ := runEdge(t, EdgeConfig{Connection: conn, Acknowledge: AcknowledgeBroker}, node)
	await(t, "link", node.linked)
	if err := b.process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	batch := theBatch(7)
	batch.Readings[3].Value = plant.Text(strings.Repeat("x", 100_000))
	published := 0
	var err error
	for began := time.Now(); err == nil; published++ {
		before := time.Now()
		err = e.Publish(batch)
		if took := time.Since(before); took > patience/2 {
			t.Errorf("one call took %v", took)
		}
		if time.Since(began) > patience {
			t.Fatal("a frozen broker goes unnoticed")
		}
		batch.Sequence++
	}
	if !errors.Is(err, plant.ErrOffline) {
		t.Errorf("%v, want %v", err, plant.ErrOffline)
	}
	if await(t, "loss", node.linked) {
		t.Error("still linked")
	}
	// What was written but not received must not count as delivered.
	for len(node.acks) > 0 {
		if a := <-node.acks; a.Through > 7 || len(a.Beyond) > 0 {
			t.Errorf("a frozen broker acknowledged %+v", a)
		}
	}
	if err := b.process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if !await(t, "link", node.linked) {
		t.Error("not linked again")
	}
}

func TestNextBroker(t *testing.T) {
	b := newNATS(t, false)
	b.start(t)
	conn := connection(fmt.Sprintf("tcp://127.0.0.1:%d", freePort(t)))
	conn.Brokers = append(conn.Brokers, b.url)
	node := newNode(theBirth())
	e, _ := runEdge(t, EdgeConfig{Connection: conn, Acknowledge: AcknowledgeBroker}, node)
	await(t, "link", node.linked)
	if err := e.Err(); err != nil {
		t.Errorf("online, and yet %v", err)
	}
}

// However often it is asked, a gateway is born again at most once a second.
func TestManyRebirthRequests(t *testing.T) {
	b := newNATS(t, false)
	b.start(t)
	node := newNode(theBirth())
	e, _ := runEdge(t, EdgeConfig{Connection: connection(b.url), Acknowledge: AcknowledgeBroker}, node)
	await(t, "link", node.linked)
	p := newPeer(t, b.url, "host", "spBv1.0/+/NBIRTH/+")
	began := time.Now()
	for range 50 {
		p.publish("spBv1.0/assembly/NCMD/edge-1", appendRebirth(nil, 1))
	}
	await(t, "NBIRTH", p.received)
	if most := 2 + uint64(time.Since(began)/rebirthPause); e.Stats().Births > most {
		t.Errorf("%d births in %v, want at most %d", e.Stats().Births, time.Since(began), most)
	}
}

func TestSecretsStayHidden(t *testing.T) {
	c := EdgeConfig{Area: "a", Gateway: "g", Connection: Connection{User: "u", Password: "hunter2"}}
	if s := fmt.Sprintf("%v %+v %#v %v", c, c, c, faultsError(c.Check())); strings.Contains(s, "hunter2") {
		t.Errorf("the password shows: %s", s)
	}
}

// A host that is not ours must not hear data of a device that it was told is
// dead; what it was told is delivered all the same.
func TestDeadDeviceIsSilent(t *testing.T) {
	b := newNATS(t, false)
	b.start(t)
	node := newNode(theBirth())
	e, _ := runEdge(t, EdgeConfig{Connection: connection(b.url), Acknowledge: AcknowledgeBroker}, node)
	await(t, "link", node.linked)
	p := newPeer(t, b.url, "host", "spBv1.0/+/DDATA/+/+", "spBv1.0/+/NDATA/+")
	bad := plant.Reading{Machine: "welding", Signal: "state", Time: t0, Quality: plant.Bad, Reason: "no answer"}
	good := plant.Reading{Machine: "welding", Signal: "state", Time: t0, Value: plant.Integer(1)}
	for i, readings := range [][]plant.Reading{{bad}, {}, {good}} {
		if err := e.Publish(&plant.Batch{Machine: "welding", Sequence: uint64(7 + i), Readings: readings}); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Status(&plant.GatewayStatus{Time: t0}); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(p.kinds(2)), "[DDATA welding NDATA]"; got != want {
		t.Errorf("heard %s, want %s", got, want)
	}
	until(t, "all three delivered", func() bool {
		select {
		case a := <-node.acks:
			return a.Through == 9
		default:
			return false
		}
	})
}

// A value of another kind than its signal's in a birth must not change what
// later values are taken for.
func TestOddLastValue(t *testing.T) {
	sink := newSink()
	g := newGateway(offline(t, sink), "assembly", "edge-1")
	e := edgeOf(t)
	d := e.device("m", []plant.Signal{{Name: "state", Kind: plant.KindInteger}})
	g.take(message{kind: kindNBirth, payload: appendSeq(e.appendNBirth(nil, 0, &plant.GatewayBirth{Session: "s"}), 0), session: 1})
	last := []plant.Reading{{Machine: "m", Signal: "state", Time: t0, Value: plant.Text("EXECUTE")}}
	g.take(message{kind: kindDBirth, device: "m", payload: appendSeq(d.appendBirth(appendHead(nil, 1), 1, last), 1), session: 1})
	for i, v := range []plant.Value{plant.Integer(6), plant.Text("HELD"), plant.Float(1.5)} {
		batch := &plant.Batch{Machine: "m", Sequence: uint64(i + 1), Readings: []plant.Reading{{Machine: "m", Signal: "state", Time: t0, Value: v}}}
		g.take(message{kind: kindDData, device: "m", payload: appendSeq(appendBatch(nil, 1, d, batch), uint8(i+2)), session: 1})
		if got := sink.nextBatch(t).Readings[0]; got.Value != v || got.Quality != plant.Good {
			t.Errorf("%v came as %+v", v, got)
		}
	}
}
