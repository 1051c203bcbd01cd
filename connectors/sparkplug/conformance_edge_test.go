package sparkplug

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"linetwin/plant"
)

// edgeRun is the life of an edge node, as it was on the wire.
type edgeRun struct {
	tape
	heard []inbound // what a subscriber of everything got from the broker
	stats EdgeStats
	began time.Time
	ended time.Time
	// Places on the tape, and connections.
	older     int // an older STATE offline had been delivered
	rebirth   int // the rebirth was asked for
	cut, left int // connection that was cut, and that the host's death ended
	last      int // connection that was ended by a clean stop
}

// TestEdgeConformance runs an edge node through all that it has to do and holds
// what it said against the statements of the specification.
func TestEdgeConformance(t *testing.T) {
	overBrokers(t, false, func(t *testing.T, b *testBroker) {
		holdAll(t, edgeStatements(), runEdgeNode(t, b))
	})
}

func isData(p packets.ControlPacket) bool {
	return isPublish(p) && strings.Contains(p.(*packets.PublishPacket).TopicName, "/DDATA/")
}

func order1(name string, bits uint64) []byte {
	return (&outMetric{name: name, time: 1, datatype: typeBoolean, field: metricFieldBoolean, bits: bits}).append(appendHead(nil, now()))
}

func runEdgeNode(t *testing.T, b *testBroker) *edgeRun {
	r := &edgeRun{began: time.Now()}
	line := newTap(t, b.url)
	watch := newPeer(t, b.url, "watch", "spBv1.0/#")
	host := newPeer(t, b.url, "host")
	ts := time.Now().UnixMilli()
	state := func(name string, online bool, at int64, retain bool) {
		host.do(host.c.Publish(stateTopic(name), 1, retain, hostState{online, at}.encode()))
	}
	state("linetwin", false, ts, true)
	cfg := EdgeConfig{Area: "assembly", Gateway: "edge-1", Connection: connection(line.url), Folder: t.TempDir()}
	node := newNode(theBirth())
	e, stop := runEdge(t, cfg, node)
	until(t, "waits for the host", func() bool {
		return e.Err() != nil && strings.Contains(e.Err().Error(), `primary host "linetwin" is offline since `)
	})
	state("another", true, ts+1, true) // of no concern
	state("linetwin", true, ts+2, true)
	await(t, "link", node.linked)

	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := uint64(7); n < 277; n++ { // seq wraps
		batch := theBatch(n)
		batch.Historical = n%10 == 0
		must(e.Publish(batch))
	}
	must(e.Status(&plant.GatewayStatus{Area: "assembly", Gateway: "edge-1", Time: t0, Made: 1350}))
	away := theBirth().Devices[0]
	away.Online = false
	must(e.Device(away))
	must(e.Device(theBirth().Devices[0]))
	gone := theBatch(277) // of a signal that no settings have any more
	gone.Historical = true
	gone.Readings = append(gone.Readings, plant.Reading{Machine: "riveting", Signal: "gone", Time: t0, Quality: plant.Bad, Reason: "cut"})
	must(e.Publish(gone))
	line.passed(t, "data before the rebirth", 271, isData)

	state("linetwin", false, ts+1, false) // late: it was online since
	host.publish("spBv1.0/assembly/NCMD/edge-1", order1("Node Control/Next Server", 1))
	host.publish("spBv1.0/assembly/NCMD/edge-1", order1("Node Control/Reboot", 1))
	host.publish("spBv1.0/assembly/NCMD/edge-1", order1("Node Control/Scan Rate", 1))
	host.publish("spBv1.0/assembly/DCMD/edge-1/riveting", order1("running", 1))
	host.publish("spBv1.0/assembly/DCMD/edge-1/riveting", order1("Device Control/Rebirth", 1))
	until(t, "commands refused", func() bool { return e.Stats().Refused == 5 })
	r.older = len(line.tape())
	host.publish("spBv1.0/assembly/NCMD/edge-1", appendRebirth(nil, now()))
	until(t, "rebirth", func() bool { return e.Stats().Births == 2 })
	r.rebirth = line.tape().find(0, func(p tapped) bool {
		pub, ok := p.packet.(*packets.PublishPacket)
		return ok && !p.up && strings.Contains(pub.TopicName, "NCMD") && strings.Contains(string(pub.Payload), metricRebirth)
	})
	must(e.Publish(theBatch(278)))
	line.passed(t, "data after the rebirth", 272, isData)

	r.cut = line.connections()
	line.cut()
	if await(t, "loss", node.linked) {
		t.Fatal("linked to nobody")
	}
	for { // not before the broker has spoken: a new connection makes some forget the will
		m := await(t, "will", watch.received)
		r.heard = append(r.heard, m)
		if strings.Contains(m.topic, "/NDEATH/") {
			break
		}
	}
	line.open(t)
	if !await(t, "link", node.linked) {
		t.Fatal("linked in the wrong order")
	}
	r.left = line.connections()
	state("linetwin", false, ts+3, true)
	if await(t, "loss", node.linked) {
		t.Fatal("stays although the host is gone")
	}
	until(t, "waits again", func() bool { return len(line.tape().connects()) == 3 })
	state("linetwin", true, ts+4, true)
	await(t, "link", node.linked)
	r.last = line.connections()
	stop()
	r.stats = e.Stats()

	again := newNode(theBirth()) // the process begins anew
	_, stop = runEdge(t, cfg, again)
	await(t, "link", again.linked)
	stop()
	line.passed(t, "all goodbyes", 3, isDisconnect)
	r.tape, r.ended = line.tape(), time.Now()
	until(t, "all is heard", func() bool {
		for len(watch.received) > 0 {
			r.heard = append(r.heard, <-watch.received)
		}
		deaths := 0
		for _, m := range r.heard {
			if m.topic == "spBv1.0/assembly/NDEATH/edge-1" {
				deaths++
			}
		}
		return deaths == 4
	})
	return r
}

// births tells that something holds for every metric of every birth.
func (r *edgeRun) births(t *testing.T, hold func(s *said, m *metric) bool) {
	t.Helper()
	r.metrics(t, hold, kindNBirth, kindDBirth)
}

func (r *edgeRun) metrics(t *testing.T, hold func(s *said, m *metric) bool, kinds ...kind) {
	t.Helper()
	for _, s := range r.all(t, kinds...) {
		for i := range s.payload.metrics {
			if m := &s.payload.metrics[i]; !hold(&s, m) {
				t.Fatalf("%s: metric %+v", s.topic, *m)
			}
		}
	}
}

// properties gives all properties of a metric.
func (m *metric) list(t *testing.T) (keys []string, values []property) {
	t.Helper()
	for at := 0; at < len(m.properties); {
		num, _, _, data, next, err := readField(m.properties, at, 0)
		if err != nil {
			t.Fatal(err)
		}
		switch num {
		case propertySetKey:
			keys = append(keys, string(data))
		case propertySetValue:
			var p property
			if !p.decode(data) {
				t.Fatalf("property %x", data)
			}
			values = append(values, p)
		}
		at = next
	}
	return keys, values
}

// plainly tells that messages of a kind have QoS 0 and are not retained.
func plainly(k kind) func(*testing.T, *edgeRun) {
	return func(t *testing.T, r *edgeRun) {
		for _, s := range r.all(t, k) {
			if s.qos != 0 || s.retain {
				t.Errorf("%s at QoS %d, retained %v", s.topic, s.qos, s.retain)
			}
		}
	}
}

// stamped tells that messages of a kind carry the time when they were sent.
func stamped(k kind) func(*testing.T, *edgeRun) {
	return func(t *testing.T, r *edgeRun) {
		for _, s := range r.all(t, k) {
			at := time.UnixMilli(int64(s.payload.time))
			if !s.payload.hasTime || at.Before(r.began.Add(-time.Second)) || at.After(r.ended.Add(time.Second)) {
				t.Errorf("%s of %v", s.topic, at)
			}
		}
	}
}

// addressed tells that messages of a kind have the topic that they must have.
func addressed(k kind) func(*testing.T, *edgeRun) {
	return func(t *testing.T, r *edgeRun) {
		for _, s := range r.all(t, k) {
			want := "spBv1.0/assembly/" + k.String() + "/edge-1"
			if k.device() {
				want += "/" + s.device
				if s.device != "riveting" && s.device != "welding" {
					t.Errorf("device %q", s.device)
				}
			}
			if s.topic != want {
				t.Errorf("topic %s, want %s", s.topic, want)
			}
		}
	}
}

// inSequence tells that seq begins with 0 at NBIRTH and goes on by one, and that
// messages of the kind are among those that have one.
func inSequence(k kind) func(*testing.T, *edgeRun) {
	return func(t *testing.T, r *edgeRun) {
		next, found, most := 0, 0, uint64(0)
		for _, s := range r.all(t) {
			if s.kind == kindNDeath {
				continue
			}
			if s.kind == kindNBirth {
				next = 0
			}
			if !s.payload.hasSeq || s.payload.seq != uint64(next) {
				t.Fatalf("%s has seq %d, want %d", s.topic, s.payload.seq, next)
			}
			if next = (next + 1) % 256; s.kind == k {
				found++
			}
			most = max(most, s.payload.seq)
		}
		if found == 0 || most != 255 {
			t.Errorf("%d messages of %v, greatest seq %d", found, k, most)
		}
	}
}

// births come first, and all of them before any data.
func birthsFirst(t *testing.T, r *edgeRun) {
	conn, expected := 0, 0
	want := []string{"NBIRTH ", "DBIRTH riveting", "DBIRTH welding", "DDEATH welding"}
	for _, s := range r.all(t) {
		if s.conn != conn || s.kind == kindNBirth {
			conn, expected = s.conn, 0
		}
		if expected < len(want) {
			if got := fmt.Sprint(s.kind, " ", s.device); got != want[expected] {
				t.Fatalf("connection %d: %q, want %q", conn, got, want[expected])
			}
			expected++
		}
	}
}

// A will is registered, with the bdSeq that the NBIRTH then has; it goes up by
// one with each CONNECT, also over a restart, and begins with 0.
func wills(t *testing.T, r *edgeRun) {
	for i, c := range r.connects() {
		var p payload
		if err := p.decode(c.WillMessage); err != nil {
			t.Fatal(err)
		}
		switch {
		case !c.WillFlag || c.WillTopic != "spBv1.0/assembly/NDEATH/edge-1" || c.WillQos != 1 || c.WillRetain || !c.CleanSession || c.ProtocolVersion != 4:
			t.Errorf("CONNECT %v", c)
		case p.hasSeq || len(p.metrics) != 1 || string(p.metrics[0].name) != "bdSeq" || p.metrics[0].datatype != typeInt64 || p.metrics[0].bits != uint64(i):
			t.Errorf("will %d is %+v", i, p)
		}
	}
	if n := len(r.connects()); n != 4 {
		t.Errorf("%d CONNECTs, want 4", n)
	}
	for _, s := range r.all(t, kindNBirth, kindNDeath) {
		if m := s.metric("bdSeq"); m == nil || m.datatype != typeInt64 || m.field != metricFieldLong || m.bits != uint64(s.conn-1) {
			t.Errorf("%s of connection %d has bdSeq %+v", s.topic, s.conn, m)
		}
	}
}

func subscriptions(t *testing.T, r *edgeRun) {
	for conn := 1; conn <= 4; conn++ {
		at := r.find(0, func(p tapped) bool {
			_, ok := p.packet.(*packets.SubscribePacket)
			return ok && p.conn == conn
		})
		if at < 0 {
			t.Fatalf("connection %d subscribes to nothing", conn)
		}
		got := map[string]byte{}
		s := r.tape[at].packet.(*packets.SubscribePacket)
		for i, topic := range s.Topics {
			got[topic] = s.Qoss[i]
		}
		want := map[string]byte{"spBv1.0/assembly/NCMD/edge-1": 1, "spBv1.0/assembly/DCMD/edge-1/+": 1, "spBv1.0/STATE/linetwin": 1}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("subscribes to %v, want %v", got, want)
		}
		if first := r.find(0, func(p tapped) bool { _, ok := p.packet.(*packets.PublishPacket); return ok && p.up && p.conn == conn }); first < at {
			t.Error("publishes before it listens")
		}
	}
}

// Nothing is said before the primary host's own STATE is online.
func waitsForHost(t *testing.T, r *edgeRun) {
	for conn := 1; conn <= 4; conn++ {
		online := r.find(0, func(p tapped) bool {
			pub, ok := p.packet.(*packets.PublishPacket)
			return ok && !p.up && p.conn == conn && pub.TopicName == "spBv1.0/STATE/linetwin" && strings.Contains(string(pub.Payload), `"online":true`)
		})
		first := r.find(0, func(p tapped) bool { _, ok := p.packet.(*packets.PublishPacket); return ok && p.up && p.conn == conn })
		if online < 0 || first < online {
			t.Errorf("connection %d: STATE online is packet %d, the first word %d", conn, online, first)
		}
	}
}

// goodbye tells that a connection ended with NDEATH, then DISCONNECT.
func (r *edgeRun) goodbye(t *testing.T, conn int) {
	t.Helper()
	var last, before packets.ControlPacket
	for _, p := range r.tape {
		switch p.packet.(type) {
		case *packets.PublishPacket, *packets.DisconnectPacket:
			if p.up && p.conn == conn {
				last, before = p.packet, last
			}
		}
	}
	pub, ok := before.(*packets.PublishPacket)
	if _, gone := last.(*packets.DisconnectPacket); !gone || !ok || pub.TopicName != "spBv1.0/assembly/NDEATH/edge-1" {
		t.Errorf("connection %d ended with %v, %v", conn, before, last)
	}
}

func saysGoodbye(t *testing.T, r *edgeRun) {
	r.goodbye(t, r.left)
	r.goodbye(t, r.last)
	r.goodbye(t, r.last+1)
}

// The host's death ends the session at once, and the next one is begun; one that
// is older than the host's birth does not.
func leavesWithHost(t *testing.T, r *edgeRun) {
	r.goodbye(t, r.left)
	if r.left == r.cut || r.last != r.left+1 {
		t.Errorf("connections: cut %d, left %d, last %d", r.cut, r.left, r.last)
	}
	if i := r.find(0, func(p tapped) bool { _, ok := p.packet.(*packets.DisconnectPacket); return ok }); i < r.older {
		t.Error("an older STATE sent it away")
	}
}

// The broker speaks for an edge node that was cut off.
func willIsPublished(t *testing.T, r *edgeRun) {
	var numbers []uint64
	for _, m := range r.heard {
		if m.topic != "spBv1.0/assembly/NDEATH/edge-1" {
			continue
		}
		var p payload
		if err := p.decode(m.payload); err != nil || len(p.metrics) != 1 || p.hasSeq || m.retained {
			t.Fatalf("NDEATH %x: %v", m.payload, err)
		}
		numbers = append(numbers, p.metrics[0].bits)
	}
	if want := []uint64{0, 1, 2, 3}; !reflect.DeepEqual(numbers, want) {
		t.Errorf("NDEATHs of bdSeq %v, want %v", numbers, want)
	}
	for _, s := range r.all(t, kindNDeath) {
		if s.conn == r.cut || s.payload.hasSeq || len(s.payload.metrics) != 1 || s.qos != 1 || s.retain {
			t.Errorf("NDEATH %+v", s)
		}
	}
}

func rebirthMetric(t *testing.T, r *edgeRun) {
	for _, s := range r.all(t, kindNBirth) {
		m := s.metric("Node Control/Rebirth")
		if m == nil || m.datatype != typeBoolean || m.field != metricFieldBoolean || m.bits != 0 || m.null || m.hasAlias {
			t.Errorf("Node Control/Rebirth is %+v", m)
		}
	}
}

// A rebirth is the whole sequence of births of the same session, and begins
// before any further data.
func rebirths(t *testing.T, r *edgeRun) {
	after := r.find(r.rebirth, func(p tapped) bool { _, ok := p.packet.(*packets.PublishPacket); return ok && p.up })
	if r.rebirth < 0 || after < 0 {
		t.Fatal("no rebirth")
	}
	var got []string
	for _, s := range r.all(t) {
		if s.at >= after && len(got) < 5 {
			got = append(got, fmt.Sprint(s.kind, " ", s.device))
			if s.kind == kindNBirth && (s.conn != r.cut || s.metric("bdSeq").bits != 0) {
				t.Errorf("NBIRTH of connection %d with bdSeq %d", s.conn, s.metric("bdSeq").bits)
			}
		}
	}
	if want := []string{"NBIRTH ", "DBIRTH riveting", "DBIRTH welding", "DDEATH welding", "DDATA riveting"}; !reflect.DeepEqual(got, want) {
		t.Errorf("after the request: %q, want %q", got, want)
	}
}

func valuesInBirths(t *testing.T, r *edgeRun) {
	r.births(t, func(s *said, m *metric) bool {
		return len(m.name) > 0 && m.hasTime && (m.null == (m.field == 0)) && (m.datatype != 0 || string(m.name) == "gone")
	})
	for _, s := range r.all(t, kindDBirth) {
		if s.device != "riveting" {
			continue
		}
		for name, want := range map[string]bool{"state": false, "product": false, "running": true, "never": true} {
			if m := s.metric(name); m == nil || m.null != want {
				t.Errorf("%s in DBIRTH is %+v, want null %v", name, m, want)
			}
		}
	}
}

// What is ever published was in the birth before it.
func announced(t *testing.T, r *edgeRun) {
	known := map[string]map[string]bool{}
	for _, s := range r.all(t, kindNBirth, kindDBirth, kindNData, kindDData) {
		birth := s.kind == kindNBirth || s.kind == kindDBirth
		if birth {
			known[s.device] = map[string]bool{}
		}
		for i := range s.payload.metrics {
			m := &s.payload.metrics[i]
			for _, key := range [2]string{"name " + string(m.name), fmt.Sprint("alias ", m.alias, m.hasAlias)} {
				if birth {
					known[s.device][key] = true
				} else if key != "name " && key != "alias 0false" && !known[s.device][key] {
					t.Fatalf("%s: %q was not announced", s.topic, key)
				}
			}
		}
	}
}

func aliases(t *testing.T, r *edgeRun) {
	owner := map[uint64]string{}
	r.births(t, func(s *said, m *metric) bool {
		if s.kind == kindDBirth && !m.hasAlias || s.kind == kindNBirth && m.hasAlias {
			return false // of the edge node's own metrics none has one
		}
		who := s.device + "/" + string(m.name)
		if before, ok := owner[m.alias]; m.hasAlias && ok && before != who && s.conn <= r.last {
			t.Errorf("alias %d is of %s and of %s", m.alias, before, who)
		}
		owner[m.alias] = who
		return true
	})
	r.metrics(t, func(s *said, m *metric) bool { return m.hasAlias && len(m.name) == 0 }, kindDData)
	r.metrics(t, func(s *said, m *metric) bool { return !m.hasAlias && len(m.name) > 0 }, kindNData)
}

func datatypes(t *testing.T, r *edgeRun) {
	r.births(t, func(s *said, m *metric) bool { return m.datatype <= typeText })
	r.metrics(t, func(s *said, m *metric) bool { return m.datatype == 0 }, kindDData, kindNData)
	// That it is there although it says Unknown.
	for _, s := range r.all(t, kindDBirth) {
		if strings.Contains(string(s.raw), "gone") {
			want := (&outMetric{name: "gone", alias: s.metric("gone").alias, time: s.metric("gone").time, typed: true}).append(nil)
			if !strings.Contains(string(s.raw), string(want)) {
				t.Error("a metric without a data type")
			}
			return
		}
	}
	t.Error("no birth told of the signal that is gone")
}

// Values of a metric that are not historical are in the order of time.
func chronological(t *testing.T, r *edgeRun) {
	for _, s := range r.all(t, kindNBirth, kindDBirth, kindNData, kindDData) {
		newest := map[string]uint64{}
		for i := range s.payload.metrics {
			m := &s.payload.metrics[i]
			key := fmt.Sprint(string(m.name), m.alias)
			if !m.historical && m.time < newest[key] {
				t.Errorf("%s: %s goes back", s.topic, key)
			}
			newest[key] = m.time
		}
	}
}

// inOrder: what is not historical is in the order of time, and the rest is marked.
func inOrder(t *testing.T, r *edgeRun) {
	chronological(t, r)
	historicalIsMarked(t, r)
}

func historicalIsMarked(t *testing.T, r *edgeRun) {
	marked, plain := 0, 0
	for _, s := range r.all(t, kindDData) {
		for i := range s.payload.metrics {
			if m := &s.payload.metrics[i]; m.historical != s.payload.metrics[0].historical {
				t.Fatalf("%s: one metric is historical, another is not", s.topic)
			}
		}
		if s.payload.metrics[0].historical {
			marked++
		} else {
			plain++
		}
	}
	if marked != 28 || plain != 244 {
		t.Errorf("%d historical messages and %d others", marked, plain)
	}
}

func metricTimes(t *testing.T, r *edgeRun) {
	r.metrics(t, func(s *said, m *metric) bool {
		return m.hasTime && m.time >= uint64(t0.Milli()) && m.time <= uint64(r.ended.UnixMilli())
	}, kindNBirth, kindDBirth, kindNData, kindDData)
}

func propertySets(t *testing.T, r *edgeRun) {
	seen := map[string]int{}
	hold := func(s *said, m *metric) bool {
		keys, values := m.list(t)
		if len(keys) != len(values) {
			return false
		}
		for i, k := range keys {
			seen[k]++
			v := values[i]
			want := map[string]uint32{"Quality": typeInt32, "counter": typeInt32, "Reason": typeString, "engUnit": typeString, "description": typeString}[k]
			if v.datatype != want || want == typeInt32 && v.field != propertyFieldInt || want == typeString && v.field != propertyFieldString {
				t.Errorf("property %s is %+v", k, v)
			}
			if k == "Quality" && v.bits != 0 && v.bits != 500 {
				t.Errorf("quality %d", v.bits)
			}
		}
		return true
	}
	r.metrics(t, hold, kindNBirth, kindDBirth, kindNData, kindDData)
	for _, k := range []string{"Quality", "Reason", "engUnit", "description", "counter"} {
		if seen[k] == 0 {
			t.Errorf("property %s was never sent", k)
		}
	}
}

// No templates and no data sets are ever sent: only the fields of basic types.
func onlyBasic(t *testing.T, r *edgeRun) {
	r.metrics(t, func(s *said, m *metric) bool { return m.field < metricFieldBytes && m.datatype <= typeString+1 }, kindNBirth, kindDBirth, kindNData, kindDData)
}

func deviceDeaths(t *testing.T, r *edgeRun) {
	for _, s := range r.all(t, kindDDeath) {
		if len(s.payload.metrics) != 0 {
			t.Errorf("DDEATH with %d metrics", len(s.payload.metrics))
		}
		if s.device == "riveting" {
			return
		}
	}
	t.Error("no DDEATH for a device that went")
}

// Data holds what changed, by the values and times that the gateway had.
func dataIsComplete(t *testing.T, r *edgeRun) {
	batch := theBatch(8)
	for _, s := range r.all(t, kindDData) {
		if s.payload.metrics[0].bits != 8 {
			continue
		}
		if got := s.payload.metrics; len(got) != 3+len(batch.Readings) || got[3].bits != 8 || got[4].bits != math.Float64bits(21.5) || got[3].time != uint64(batch.Readings[0].Time.Milli()) || !got[7].null {
			t.Errorf("batch 8 is %+v", got)
		}
		return
	}
	t.Error("batch 8 was not sent")
}

func accountIsComplete(t *testing.T, r *edgeRun) {
	for _, s := range r.all(t, kindNData) {
		if m := s.metric("Gateway/Made"); m != nil && m.bits == 1350 && s.metric("Gateway/Status") != nil {
			return
		}
	}
	t.Error("the account was not sent")
}

func commandsRefused(t *testing.T, r *edgeRun) {
	if r.stats.Refused != 5 || r.stats.Dropped != 0 {
		t.Errorf("stats %+v", r.stats)
	}
	for _, s := range r.all(t, kindNBirth) {
		for i := range s.payload.metrics {
			if name := string(s.payload.metrics[i].name); strings.HasPrefix(name, "Node Control/") && name != "Node Control/Rebirth" {
				t.Errorf("%s is offered", name)
			}
		}
	}
}

func idsAreText(t *testing.T, r *edgeRun) {
	for _, s := range r.all(t) {
		if !utf8.ValidString(s.topic) || strings.ContainsAny(s.topic, "+#") {
			t.Errorf("topic %q", s.topic)
		}
	}
	for _, id := range []string{"a/b", "a+", "a#", "\xff", ""} {
		for _, cfg := range []EdgeConfig{{Area: id, Gateway: "g"}, {Area: "a", Gateway: id}} {
			cfg.Brokers = []string{"tcp://h"}
			if len(cfg.Check()) != 1 {
				t.Errorf("id %q is taken", id)
			}
		}
		if plant.CheckID(id) == nil {
			t.Errorf("machine %q is taken", id)
		}
	}
}

// Two edge nodes may have devices of one name, and are told apart.
func sameDeviceTwice(t *testing.T, _ *edgeRun) {
	sink := newSink()
	h := offline(t, sink)
	h.start = func(g *gateway) { g.run(canceled()) }
	for _, name := range []string{"spBv1.0/a/DDATA/one/press", "spBv1.0/a/DDATA/two/press"} {
		h.receive(inbound{topic: name}, 1)
	}
	if s := h.Stats(); s.Gateways != 2 {
		t.Errorf("%d edge nodes", s.Gateways)
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
