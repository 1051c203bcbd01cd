package sparkplug

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"linetwin/plant"
)

// offline is a host without a broker: its gateways are handed messages.
func offline(t *testing.T, sink Sink) *Host {
	t.Helper()
	h, err := NewHost(HostConfig{Connection: connection("tcp://127.0.0.1:1883")}, sink, quiet())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// pack writes a payload.
func pack(time uint64, seq int, metrics ...outMetric) []byte {
	b := appendHead(nil, time)
	for i := range metrics {
		b = metrics[i].append(b)
	}
	if seq >= 0 {
		b = appendSeq(b, uint8(seq))
	}
	return b
}

func double(name string, alias uint64, ms uint64, v float64) outMetric {
	return outMetric{name: name, alias: alias, time: ms, datatype: typeDouble, field: metricFieldDouble, bits: math.Float64bits(v)}
}

func bd(n uint64) outMetric {
	return outMetric{name: metricBdSeq, time: 1, datatype: typeInt64, field: metricFieldLong, bits: n}
}

func TestForeignEdgeNode(t *testing.T) {
	sink := newSink()
	h := offline(t, sink)
	g := newGateway(h, "Plant 1", "Ignition")
	take := func(k kind, device string, b []byte) {
		g.take(message{kind: k, device: device, payload: b, session: 1})
	}
	bytesMetric := func(name string) outMetric {
		return outMetric{name: name, time: 1, datatype: 17, field: metricFieldString, text: "raw"}
	}

	take(kindDData, "Press", pack(1000, 1, double("", 2, 1000, 1)))
	take(kindNBirth, "", pack(1000, 0, bd(3), outMetric{name: metricRebirth, time: 1, datatype: typeBoolean, field: metricFieldBoolean}, double("Load", 40, 999, 0.5)))
	take(kindDBirth, "Press", pack(1100, 1, double("Inputs/Force", 1000, 1090, 2), double("Speed", 0, 1090, 3), bytesMetric("Picture")))
	take(kindDData, "Press", pack(1200, 2, double("", 1000, 1150, 4), outMetric{name: "Speed", time: 1160, field: metricFieldDouble}))
	take(kindDData, "Press", pack(1300, 3, double("", 7777, 1250, 5), double("Speed", 0, 1250, 6)))
	take(kindDData, "Press", pack(1400, 9, double("", 1000, 1350, 7)))
	take(kindDData, "Press", pack(1500, 10, double("", 1000, math.MaxUint64, 8), double("Speed", 0, 1450, 9)))
	take(kindNData, "", pack(1600, 11, double("", 40, 1550, 10)))
	take(kindNDeath, "", pack(1, -1, bd(2)))
	take(kindDDeath, "Press", pack(1650, 12))
	take(kindNDeath, "", pack(1, -1, bd(3)))
	take(kindNDeath, "", pack(1, -1, bd(3)))
	take(kindDData, "Press", pack(1700, 13, double("", 1000, 1700, 11)))

	var got []string
	for len(sink) > 0 {
		switch e := <-sink; {
		case e.birth != nil:
			s := "birth"
			for _, d := range e.birth.Devices {
				s += fmt.Sprintf(" %s(%v %d %d)", d.Machine, d.Online, len(d.Signals), len(d.Last))
			}
			got = append(got, s)
		case e.batch != nil:
			b := e.batch
			s := fmt.Sprintf("batch %s #%d (%d,%d]", b.Machine, b.Sequence, b.Complete.From.Milli(), b.Complete.To.Milli())
			for _, r := range b.Readings {
				s += fmt.Sprintf(" %s=%v@%d", r.Signal, r.Value, r.Time.Milli())
			}
			got = append(got, s)
		default:
			got = append(got, "death "+e.death)
		}
	}
	want := []string{
		"birth Ignition(true 1 0)",
		"batch Ignition #0 (1000,1000] Load=0.5@999",
		"birth Ignition(true 1 0) Press(true 2 0)",
		"batch Press #0 (1100,1100] Inputs/Force=2@1090 Speed=3@1090",
		"batch Press #0 (1100,1200] Inputs/Force=4@1150 Speed=0@1160",
		"batch Press #0 (1200,1300] Speed=6@1250",
		"batch Press #0 (1400,1400] Inputs/Force=7@1350", // after a gap nothing is claimed
		"batch Press #0 (1400,1500] Speed=9@1450",
		"batch Ignition #0 (1600,1600] Load=10@1550",
		"birth Ignition(true 1 0) Press(false 2 0)",
		"death Plant 1/Ignition",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	s := h.Stats()
	if s.Gaps != 5 || s.Unborn != 2 || s.Unresolved != 1 || s.Skipped != 1 || s.StaleDeaths != 1 || s.Deaths != 1 || s.Foreign["DDATA"] != 1 {
		t.Errorf("stats %+v", s)
	}
}

// A host that missed the restart of one of our gateways must not read the new
// aliases as the old ones: it refuses the batch, which is sent again.
func TestMissedRestartIsNoticed(t *testing.T) {
	sink := newSink()
	h := offline(t, sink)
	g := newGateway(h, "assembly", "edge-1")
	process := func(names ...string) (births [2][]byte, data []byte) {
		e, err := NewEdge(EdgeConfig{Area: "assembly", Gateway: "edge-1", Connection: connection("tcp://127.0.0.1:1")}, newNode(plant.GatewayBirth{}), quiet())
		if err != nil {
			t.Fatal(err)
		}
		var signals []plant.Signal
		for _, n := range names {
			signals = append(signals, plant.Signal{Name: n, Kind: plant.KindFloat})
		}
		d := e.device("m", signals)
		births[0] = appendSeq(e.appendNBirth(nil, 0, &plant.GatewayBirth{Session: names[0]}), 0)
		births[1] = appendSeq(d.appendBirth(appendHead(nil, 1), 1, nil), 1)
		batch := plant.Batch{Machine: "m", Sequence: 1, Readings: []plant.Reading{{Machine: "m", Signal: "a", Time: t0, Value: plant.Float(1)}}}
		return births, appendSeq(appendBatch(nil, 1, d, &batch), 2)
	}
	births, data := process("a", "b")
	_, after := process("b", "a") // the settings changed their order
	g.take(message{kind: kindNBirth, payload: births[0], session: 1})
	g.take(message{kind: kindDBirth, device: "m", payload: births[1], session: 1})
	g.take(message{kind: kindDData, device: "m", payload: data, session: 1})
	if b := sink.nextBatch(t); b.Readings[0].Signal != "a" {
		t.Errorf("batch %+v", b)
	}
	g.take(message{kind: kindDData, device: "m", payload: after, session: 1})
	if s := h.Stats(); len(sink) != 0 || s.Batches != 1 || s.Unresolved != 3 {
		t.Errorf("%d events, stats %+v", len(sink), s)
	}
}

func TestStringsAreShared(t *testing.T) {
	sink := newSink()
	g := newGateway(offline(t, sink), "assembly", "edge-1")
	g.take(message{kind: kindNBirth, payload: pack(1, 0, bd(0)), session: 1})
	g.take(message{kind: kindDBirth, device: "press", payload: pack(1, 1, double("force", 5, 1, 1)), session: 1})
	for seq := 2; seq < 4; seq++ {
		g.take(message{kind: kindDData, device: strings.Clone("press"), payload: pack(2, seq, double("force", 5, 2, 1)), session: 1})
	}
	var readings []plant.Reading
	for len(sink) > 0 {
		if e := <-sink; e.batch != nil {
			readings = append(readings, e.batch.Readings...)
		}
	}
	if len(readings) != 3 {
		t.Fatalf("%d readings", len(readings))
	}
	for _, r := range readings[1:] {
		if unsafe.StringData(r.Signal) != unsafe.StringData(readings[0].Signal) || unsafe.StringData(r.Machine) != unsafe.StringData(readings[0].Machine) {
			t.Error("names are copied for each reading")
		}
	}
}

// A queue that is full drops data and counts it, keeps births, and the hole in
// seq that is our own doing asks for no rebirth.
func TestFullQueue(t *testing.T) {
	sink := newSink()
	h, err := NewHost(HostConfig{Queue: 64, Connection: connection("tcp://127.0.0.1:1883")}, sink, quiet())
	if err != nil {
		t.Fatal(err)
	}
	g := newGateway(h, "a", "g")
	next := 0
	say := func(k kind, m ...outMetric) {
		g.enqueue(message{kind: k, device: "d", payload: pack(uint64(next+1), next%256, m...), session: 1})
		next++
	}
	say(kindNBirth, bd(1))
	say(kindDBirth, double("x", 5, 1, 1))
	for range 100 {
		say(kindDData, double("", 5, 1, 1))
	}
	say(kindDBirth, double("x", 5, 1, 1))
	drain := func() {
		for len(g.queue) > 0 {
			m := <-g.queue
			h.queued.Add(-int64(len(m.payload)))
			g.take(m)
		}
	}
	drain()
	say(kindDData, double("", 5, 1, 1))
	drain()
	s := h.Stats()
	if s.Dropped != 38 || s.Gaps != 0 || s.Births != 1 || s.Queued != 0 || s.Batches != 62+1+2 {
		t.Errorf("stats %+v", s)
	}
	h.cfg.QueueBytes = 10
	say(kindDData, double("", 5, 1, 1))
	if s := h.Stats(); s.Dropped != 39 {
		t.Errorf("dropped %d with a full memory, want 39", s.Dropped)
	}
}

func TestAcknowledgementsCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := offline(t, newSink())
		g := newGateway(h, "a", "g")
		h.begin(g, "s")
		ack := func(n uint64) {
			if err := h.Acknowledge(plant.Acknowledgement{Gateway: "g", Session: "s", Through: n}); err != nil {
				t.Fatal(err)
			}
		}
		due := func() uint64 {
			who, a, wait := h.nextAck(time.Now())
			if who == nil {
				if wait <= 0 {
					t.Errorf("nothing is due, yet again in %v", wait)
				}
				return 0
			}
			return a.Through
		}
		check := func(what string, want uint64) {
			t.Helper()
			if got := due(); got != want {
				t.Errorf("%s: %d, want %d", what, got, want)
			}
		}
		check("none", 0)
		ack(1)
		check("the first at once", 1)
		ack(2)
		ack(3)
		check("too early", 0)
		time.Sleep(ackPause)
		check("the newest after the pause", 3)
		for n := uint64(4); n < 4+ackCalls; n++ {
			check("not yet", 0)
			ack(n)
		}
		check("eight at once", 11)
		h.putBack(g, plant.Acknowledgement{Gateway: "g", Session: "s", Through: 11})
		time.Sleep(ackPause)
		check("what was not sent", 11)
		h.begin(g, "t")
		ack(12)
		check("a session that is over", 0)
		if h.Stats().StaleAcks != 1 {
			t.Error("not counted")
		}
	})
}

func TestRanges(t *testing.T) {
	r := func(n ...uint64) (rs []plant.Range) {
		for i := 0; i < len(n); i += 2 {
			rs = append(rs, plant.Range{First: n[i], Last: n[i+1]})
		}
		return rs
	}
	for _, c := range []struct {
		text string
		want []plant.Range
	}{{"", nil}, {"5", r(5, 5)}, {"5-7,9,11-18446744073709551615", r(5, 7, 9, 9, 11, math.MaxUint64)}} {
		got, err := parseRanges(c.text, 4)
		if err != nil || !reflect.DeepEqual(got, c.want) || string(appendRanges(nil, got)) != c.text {
			t.Errorf("%q: %v %v", c.text, got, err)
		}
	}
	for _, bad := range []string{"4", "3-9", "7-6", "5,5", "5-8,8", "a", "5-", "-5", "5,", " 5", strings.Repeat("9999999,", 200)} {
		if got, err := parseRanges(bad, 4); err == nil {
			t.Errorf("%q is taken as %v", bad, got)
		}
	}
	many := make([]plant.Range, 300)
	for i := range many {
		many[i] = plant.Range{First: uint64(10 * (i + 1)), Last: uint64(10 * (i + 1))}
	}
	if got, err := parseRanges(string(appendRanges(nil, many)), 4); err != nil || !reflect.DeepEqual(got, many[:maxRanges]) {
		t.Errorf("300 ranges: %d came, %v", len(got), err)
	}

	var have []plant.Range
	for _, n := range [][2]uint64{{5, 5}, {7, 7}, {6, 6}, {1, 2}, {10, 12}, {3, 3}, {11, 20}, {0, 0}, {4, 9}} {
		have = addRange(have, plant.Range{First: n[0], Last: n[1]})
	}
	if want := r(1, 20); !reflect.DeepEqual(have, want) {
		t.Errorf("ranges %v, want %v", have, want)
	}
}

func TestTopics(t *testing.T) {
	for _, c := range []struct {
		in   string
		want topic
		ok   bool
	}{
		{"spBv1.0/a/NBIRTH/g", topic{kindNBirth, "a", "g", ""}, true},
		{"spBv1.0/a b/DDATA/g/d", topic{kindDData, "a b", "g", "d"}, true},
		{"spBv1.0/a/DCMD/g/d", topic{kindDCmd, "a", "g", "d"}, true},
		{"spBv1.0/a/DDATA/g", topic{}, false},
		{"spBv1.0/a/NDATA/g/d", topic{}, false},
		{"spBv1.0/a/DDATA/g/d/e", topic{}, false},
		{"spBv1.0/a/DDATA/g/", topic{}, false},
		{"spBv1.0//NDATA/g", topic{}, false},
		{"spBv1.0/a/other/g", topic{}, false},
		{"spBv1.0/a/NDATA/", topic{}, false},
		{"spBv1.0/STATE/h", topic{}, false},
		{"spAv1.0/a/NDATA/g", topic{}, false},
		{"", topic{}, false},
	} {
		got, ok := parseTopic(c.in)
		if got != c.want || ok != c.ok || ok && got.String() != c.in {
			t.Errorf("%q: %+v %v", c.in, got, ok)
		}
	}
}

func TestDelay(t *testing.T) {
	for failures, most := range map[int]time.Duration{1: 0, 2: 0, 3: time.Second, 4: time.Second, 5: 2 * time.Second, 9: 8 * time.Second, 50: 30 * time.Second, 1 << 30: 30 * time.Second} {
		if bound := delayBound(failures, 2); bound != most {
			t.Errorf("failure %d at two brokers: up to %v, want up to %v", failures, bound, most)
		}
		var greatest time.Duration
		for range 300 {
			p := pace{failures: failures - 1}
			wait, _ := p.next(plant.ErrOffline, 0, 2)
			greatest = max(greatest, wait)
		}
		if greatest > most || greatest < most/2 {
			t.Errorf("failure %d at two brokers: up to %v, want up to %v", failures, greatest, most)
		}
	}
}

func TestCheck(t *testing.T) {
	text := func(faults []plant.Fault) string {
		var lines []string
		for _, f := range faults {
			lines = append(lines, f.String())
		}
		return strings.Join(lines, "\n")
	}
	edge := EdgeConfig{Area: "a", Gateway: "g", Connection: Connection{Brokers: []string{"tcp://h:1883", "tls://[::1]"}}}
	if got := text(edge.Check()); got != "" || edge.Host != "linetwin" || edge.Acknowledge != "host" || edge.KeepAlive != 10*time.Second {
		t.Errorf("%s %+v", got, edge)
	}
	edge = EdgeConfig{Area: "a", Gateway: "g", Acknowledge: "broker", Connection: Connection{Brokers: []string{"tcp://h"}}}
	if got := text(edge.Check()); got != "" || edge.Host != "" {
		t.Errorf("%s %+v", got, edge)
	}
	edge = EdgeConfig{Gateway: "g/1", Acknowledge: "twin", Connection: Connection{Brokers: []string{"http://h", "tcp://u:p@h:1"}, Password: "x", KeepAlive: time.Hour, TLS: TLS{Cert: "c"}}}
	want := `brokers[0]: found http://h, allowed: tcp://host:port or tls://host:port, without user and password; MQTT over websockets is not spoken: take the broker's own MQTT port
brokers[1]: found tcp://u:p@h:1, allowed: tcp://host:port or tls://host:port, without user and password
user: missing, allowed: a name to go with the password
tls.key: missing, allowed: a file; tls.cert and tls.key go together
keep_alive: found 1h0m0s, allowed: 1s to 5m0s
area: missing, allowed: 1 to 64 of a-z A-Z 0-9 _ -
gateway: found g/1, allowed: has '/', want 1 to 64 of a-z A-Z 0-9 _ -
acknowledge: found twin, allowed: host or broker`
	if got := text(edge.Check()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	host := HostConfig{Areas: []string{"a", "+"}, Queue: 1, QueueBytes: 1}
	want = `brokers: missing, allowed: one or more of tcp://host:port, tls://host:port
areas[1]: found +, allowed: has '+', want 1 to 64 of a-z A-Z 0-9 _ -
queue: found 1, allowed: 64 to 1048576 messages
queue_bytes: found 1B, allowed: at least 1MiB`
	if got := text(host.Check()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := NewEdge(EdgeConfig{}, newNode(plant.GatewayBirth{}), quiet()); err == nil || !strings.HasPrefix(err.Error(), "settings: brokers: missing") {
		t.Errorf("NewEdge: %v", err)
	}
}
