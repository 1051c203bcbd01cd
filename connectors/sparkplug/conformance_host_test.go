package sparkplug

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"linetwin/plant"
)

// hostRun is the life of a host application, as it was on the wire.
type hostRun struct {
	tape
	states []inbound // its STATEs as a subscriber got them
	events []event
	stats  []Stats // after: a gap that closed, one that did not
	ended  time.Time
	// Connections: the first was cut, the second was sent away by a STATE of the
	// future, the third ended cleanly.
	future int64
}

// TestHostConformance runs a host application with a foreign edge node and holds
// what it said and told against the statements of the specification.
func TestHostConformance(t *testing.T) {
	overBrokers(t, false, func(t *testing.T, b *testBroker) {
		holdAll(t, hostStatements(), runHostNode(t, b))
	})
}

// foreign is an edge node that is not ours.
type foreign struct {
	*peer
	seq int
}

func (f *foreign) say(k kind, device string, at uint64, metrics ...outMetric) {
	f.sayAs(f.seq, k, device, at, metrics...)
	f.seq = (f.seq + 1) % 256
}

func (f *foreign) sayAs(seq int, k kind, device string, at uint64, metrics ...outMetric) {
	f.publish(topic{k, "plant-1", "foreign", device}.String(), pack(at, seq, metrics...))
}

func (f *foreign) bear(bdSeq, at uint64) {
	f.seq = 0
	f.say(kindNBirth, "", at, bd(bdSeq), outMetric{name: metricRebirth, time: at, datatype: typeBoolean, field: metricFieldBoolean}, double("load", 0, at, 1))
	f.say(kindDBirth, "press", at, double("force", 0, at, 1))
	f.say(kindDBirth, "saw", at, double("speed", 0, at, 1))
}

func runHostNode(t *testing.T, b *testBroker) *hostRun {
	r := &hostRun{}
	line := newTap(t, b.url)
	watch := newPeer(t, b.url, "watch", "spBv1.0/STATE/twin")
	sink := newSink()
	cfg := HostConfig{Host: "twin", Connection: connection(line.url), Reorder: 300 * time.Millisecond}
	h, stop := runHost(t, cfg, sink)
	edge := &foreign{peer: newPeer(t, b.url, "foreign", "spBv1.0/plant-1/NCMD/foreign")}
	counted := func(what string, f func(s Stats) bool) {
		t.Helper()
		until(t, what, func() bool { return f(h.Stats()) })
	}

	edge.bear(4, 1000)
	edge.say(kindDData, "press", 1100, double("force", 0, 1100, 2))
	// Two overtake one, and the missing one comes in time.
	edge.sayAs(5, kindDData, "press", 1300, double("force", 0, 1300, 4))
	edge.sayAs(6, kindDData, "press", 1400, double("force", 0, 1400, 5))
	edge.sayAs(4, kindDData, "press", 1200, double("force", 0, 1200, 3))
	counted("put in order", func(s Stats) bool { return s.Reordered == 2 })
	time.Sleep(2 * cfg.Reorder) // for a rebirth that must not be asked for
	r.stats = append(r.stats, h.Stats())
	// One is missing for good.
	edge.sayAs(8, kindDData, "press", 1600, double("force", 0, 1600, 6))
	counted("rebirth asked for", func(s Stats) bool { return s.Rebirths == 1 })
	r.stats = append(r.stats, h.Stats())
	await(t, "NCMD", edge.received)
	edge.bear(4, 2000)
	edge.say(kindDDeath, "saw", 2100)
	edge.publish("spBv1.0/plant-1/NDEATH/foreign", pack(1, -1, bd(3))) // of a former session
	counted("late will", func(s Stats) bool { return s.StaleDeaths == 1 })
	edge.publish("spBv1.0/plant-1/NDEATH/foreign", pack(1, -1, bd(4)))
	counted("death", func(s Stats) bool { return s.Deaths == 1 })
	edge.bear(5, 3000)
	counted("birth", func(s Stats) bool { return s.Births == 3 })

	// Somebody says that the host is gone: it contradicts.
	first := await(t, "STATE", watch.received)
	s, err := decodeState(first.payload)
	if err != nil {
		t.Fatal(err)
	}
	r.states = append(r.states, first)
	watch.do(watch.c.Publish("spBv1.0/STATE/twin", 1, true, hostState{false, s.Timestamp}.encode()))
	r.states = append(r.states, await(t, "the word itself", watch.received), await(t, "contradiction", watch.received))

	line.cut()
	r.states = append(r.states, await(t, "will", watch.received))
	line.open(t)
	r.states = append(r.states, await(t, "STATE again", watch.received))
	until(t, "online again", h.Online)
	r.future = time.Now().Add(time.Hour).UnixMilli()
	watch.do(watch.c.Publish("spBv1.0/STATE/twin", 1, true, hostState{false, r.future}.encode()))
	for range 3 { // the word itself, goodbye, birth
		r.states = append(r.states, await(t, "STATE of the future", watch.received))
	}
	until(t, "online once more", h.Online)
	stop()
	for online := true; online; {
		m := await(t, "goodbye", watch.received)
		online = strings.Contains(string(m.payload), "true")
		r.states = append(r.states, m)
	}
	line.passed(t, "goodbyes", 2, isDisconnect)
	r.tape, r.ended = line.tape(), time.Now()
	for len(sink) > 0 {
		r.events = append(r.events, <-sink)
	}
	return r
}

// The will says offline, at QoS 1, retained, with the time of CONNECT; the
// session is clean.
func hostWills(t *testing.T, r *hostRun) {
	for i, c := range r.connects() {
		s := stateOf(t, c.WillMessage)
		late := r.ended.UnixMilli()
		if i == 2 {
			late = r.future + 1000
		}
		if !c.WillFlag || c.WillTopic != "spBv1.0/STATE/twin" || c.WillQos != 1 || !c.WillRetain || !c.CleanSession || s.Online || s.Timestamp > late || s.Timestamp < r.ended.Add(-time.Minute).UnixMilli() {
			t.Errorf("CONNECT %v with %+v", c, s)
		}
	}
	if n := len(r.connects()); n != 3 {
		t.Errorf("%d CONNECTs", n)
	}
}

// stateOf reads a STATE, which has just the two keys.
func stateOf(t *testing.T, b []byte) hostState {
	t.Helper()
	var keys map[string]any
	if err := json.Unmarshal(b, &keys); err != nil || len(keys) != 2 {
		t.Errorf("STATE %s: %v", b, err)
	}
	s, err := decodeState(b)
	if err != nil {
		t.Error(err)
	}
	return s
}

// hostBirths: in each session the first word is STATE online, after listening to
// it and to the edge nodes, with the timestamp of the will.
func hostBirths(t *testing.T, r *hostRun) {
	for i, c := range r.connects() {
		conn := i + 1
		subscribe := r.find(0, func(p tapped) bool { _, ok := p.packet.(*packets.SubscribePacket); return ok && p.conn == conn })
		first := r.find(0, func(p tapped) bool { return p.up && p.conn == conn && isPublish(p.packet) })
		if subscribe < 0 || first < subscribe {
			t.Fatalf("connection %d subscribes at %d and speaks at %d", conn, subscribe, first)
		}
		pub := r.tape[first].packet.(*packets.PublishPacket)
		s, will := stateOf(t, pub.Payload), stateOf(t, c.WillMessage)
		if pub.TopicName != "spBv1.0/STATE/twin" || pub.Qos != 1 || !pub.Retain || !s.Online || s.Timestamp != will.Timestamp {
			t.Errorf("first word %v %s, will %+v", pub, pub.Payload, will)
		}
	}
}

func hostListens(t *testing.T, r *hostRun) {
	for conn := 1; conn <= 3; conn++ {
		at := r.find(0, func(p tapped) bool { _, ok := p.packet.(*packets.SubscribePacket); return ok && p.conn == conn })
		if at < 0 {
			t.Fatalf("connection %d does not listen", conn)
		}
		topics := r.tape[at].packet.(*packets.SubscribePacket).Topics
		for _, want := range []string{"spBv1.0/STATE/twin", "spBv1.0/+/NBIRTH/+", "spBv1.0/+/NDEATH/+", "spBv1.0/+/NDATA/+", "spBv1.0/+/DBIRTH/+/+", "spBv1.0/+/DDEATH/+/+", "spBv1.0/+/DDATA/+/+"} {
			if !slices.Contains(topics, want) {
				t.Errorf("does not listen to %s", want)
			}
		}
	}
}

// Sessions end with STATE offline as of now, then DISCONNECT.
func hostGoodbyes(t *testing.T, r *hostRun) {
	for conn := 2; conn <= 3; conn++ {
		gone := r.find(0, func(p tapped) bool { return p.up && p.conn == conn && isDisconnect(p.packet) })
		var last *packets.PublishPacket
		for _, p := range r.tape[:max(gone, 0)] {
			if pub, ok := p.packet.(*packets.PublishPacket); ok && p.up && p.conn == conn {
				last = pub
			}
		}
		if last == nil {
			t.Fatalf("connection %d ended without a word", conn)
		}
		s, will := stateOf(t, last.Payload), stateOf(t, r.connects()[conn-1].WillMessage)
		if last.TopicName != "spBv1.0/STATE/twin" || last.Qos != 1 || !last.Retain || s.Online || s.Timestamp < will.Timestamp || conn == 3 && s.Timestamp < r.future {
			t.Errorf("last word %v %s", last, last.Payload)
		}
	}
}

// A STATE offline that is not its own is contradicted at once, with the
// timestamp of the session.
func hostContradicts(t *testing.T, r *hostRun) {
	if string(r.states[0].payload) != string(r.states[2].payload) || !stateOf(t, r.states[2].payload).Online {
		t.Errorf("contradicts %s with %s, was %s", r.states[1].payload, r.states[2].payload, r.states[0].payload)
	}
	var got []bool
	last := int64(0)
	for _, m := range r.states {
		s := stateOf(t, m.payload)
		got = append(got, s.Online)
		if s.Timestamp < last {
			t.Errorf("STATE goes back to %d from %d", s.Timestamp, last)
		}
		last = s.Timestamp
	}
	got = slices.Compact(got) // it may be told of what was retained, and contradict
	if want := []bool{true, false, true, false, true, false, true, false}; !slices.Equal(got, want) {
		t.Errorf("STATEs %v, want %v", got, want)
	}
}

// told gives what the sink was told.
func (r *hostRun) births(t *testing.T) []plant.GatewayBirth {
	var list []plant.GatewayBirth
	for _, e := range r.events {
		if e.birth != nil {
			list = append(list, *e.birth)
		}
	}
	if len(list) < 7 {
		t.Fatalf("births %+v", list)
	}
	return list
}

// A device that died is away since the time that DDEATH says.
func hostDeviceDeath(t *testing.T, r *hostRun) {
	for _, b := range r.births(t) {
		for _, d := range b.Devices {
			if d.Machine == "saw" && !d.Online {
				// NATS is a Sparkplug aware broker and puts its own time into deaths.
				if own := strings.Contains(t.Name(), "nats"); own && r.ended.Sub(d.Since.Std()).Abs() > time.Minute || !own && d.Since != plant.FromMilli(2100) {
					t.Errorf("away since %v", d.Since)
				}
				return
			}
		}
	}
	t.Error("nobody was told of DDEATH")
}

// The death that matches the birth is told, with the host's own time; the one
// of a former session is not. After the last birth the link was cut: the edge
// node is told dead again.
func hostNodeDeath(t *testing.T, r *hostRun) {
	deaths := 0
	for _, e := range r.events {
		if e.death != "" {
			deaths++
		}
	}
	if deaths != 2 || r.stats[1].Deaths != 0 {
		t.Errorf("%d deaths", deaths)
	}
}

// What is held is told in order, nothing is asked for while it may still come,
// and a rebirth when it did not.
func hostReorders(t *testing.T, r *hostRun) {
	if s := r.stats[0]; s.Rebirths != 0 || s.Gaps != 0 || s.Reordered != 2 {
		t.Errorf("after a gap that closed: %+v", s)
	}
	if s := r.stats[1]; s.Rebirths != 1 || s.Gaps != 1 {
		t.Errorf("after a gap that did not: %+v", s)
	}
	var got []float64
	for _, e := range r.events {
		if e.batch != nil && e.batch.Machine == "press" && e.batch.Readings[0].Time < plant.FromMilli(2000) {
			x, _ := e.batch.Readings[0].Value.Number()
			got = append(got, x)
			if x == 6 && e.batch.Complete.From != e.batch.Complete.To {
				t.Errorf("claims %v over a gap", e.batch.Complete)
			}
		}
	}
	if want := []float64{1, 2, 3, 4, 5, 6}; !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
}

// The request for a rebirth is an NCMD at QoS 0, not retained, with the time,
// without seq, and asks by name and true.
func hostCommands(t *testing.T, r *hostRun) {
	for _, s := range r.all(t) {
		if s.kind == kindState {
			continue
		}
		p := &s.payload
		if s.topic != "spBv1.0/plant-1/NCMD/foreign" || s.qos != 0 || s.retain || p.hasSeq || !p.hasTime || time.UnixMilli(int64(p.time)).Before(r.ended.Add(-time.Minute)) {
			t.Errorf("command %+v", s)
		}
		if m := s.metric("Node Control/Rebirth"); len(p.metrics) != 1 || m == nil || m.field != metricFieldBoolean || m.bits != 1 || !m.hasTime || m.hasAlias {
			t.Errorf("command %+v", p.metrics)
		}
	}
	r.all(t, kindNCmd)
}

// The timeout is a setting.
func hostTimeout(t *testing.T, _ *hostRun) {
	for _, c := range []struct {
		set, want time.Duration
		faults    int
	}{{0, 2 * time.Second, 0}, {time.Minute, time.Minute, 0}, {time.Hour, time.Hour, 1}, {-1, -1, 1}} {
		cfg := HostConfig{Connection: connection("tcp://h"), Reorder: c.set}
		if faults := cfg.Check(); len(faults) != c.faults || cfg.Reorder != c.want {
			t.Errorf("%v: %v, %v", c.set, cfg.Reorder, faults)
		}
	}
}

// hostStatements are those that TestHostConformance holds.
func hostStatements() []statements[*hostRun] {
	return []statements[*hostRun]{
		{"host-topic-phid-death-qos host-topic-phid-death-retain host-topic-phid-death-topic host-topic-phid-death-required host-topic-phid-death-payload host-topic-phid-death-payload-timestamp-connect message-flow-phid-sparkplug-clean-session-311 operational-behavior-host-application-connect-will operational-behavior-host-application-connect-will-topic operational-behavior-host-application-connect-will-payload operational-behavior-host-application-connect-will-qos operational-behavior-host-application-connect-will-retained payloads-state-will-message payloads-state-will-message-qos payloads-state-will-message-retain payloads-state-will-message-payload", hostWills},
		{"host-topic-phid-birth-message host-topic-phid-birth-qos host-topic-phid-birth-retain host-topic-phid-birth-topic host-topic-phid-birth-required host-topic-phid-birth-payload host-topic-phid-birth-payload-timestamp message-flow-phid-sparkplug-subscription message-flow-phid-sparkplug-state-publish message-flow-phid-sparkplug-state-publish-payload message-flow-phid-sparkplug-state-publish-payload-timestamp operational-behavior-primary-application-state-with-multiple-servers-state operational-behavior-host-application-connect-birth operational-behavior-host-application-connect-birth-topic operational-behavior-host-application-connect-birth-payload operational-behavior-host-application-connect-birth-qos operational-behavior-host-application-connect-birth-retained operational-behavior-host-application-multi-server-timestamp payloads-state-birth payloads-state-birth-payload intro-sparkplug-host-state components-ph-state conformance-primary-host", hostBirths},
		{"host-topic-phid-birth-sub-required payloads-state-subscribe", hostListens},
		{"host-topic-phid-death-payload-timestamp-disconnect-clean host-topic-phid-death-payload-timestamp-disconnect-with-no-disconnect-packet operational-behavior-host-application-termination operational-behavior-host-application-death-topic operational-behavior-host-application-death-payload operational-behavior-host-application-death-qos operational-behavior-host-application-death-retained operational-behavior-host-application-disconnect-intentional", hostGoodbyes},
		{"message-flow-hid-sparkplug-state-message-delivered operational-behavior-host-application-host-id", hostContradicts},
		{"operational-behavior-edge-node-termination-host-action-ddeath-devices-offline", hostDeviceDeath},
		{"operational-behavior-edge-node-termination-host-action-ndeath-node-offline operational-behavior-edge-node-termination-host-action-ndeath-devices-offline", hostNodeDeath},
		{"operational-behavior-host-reordering-start operational-behavior-host-reordering-rebirth operational-behavior-host-reordering-success", hostReorders},
		{"operational-behavior-host-reordering-param", hostTimeout},
		{"topics-ncmd-topic topics-ncmd-mqtt topics-ncmd-timestamp topics-ncmd-payload payloads-ncmd-timestamp payloads-ncmd-seq payloads-ncmd-qos payloads-ncmd-retain payloads-name-cmd-requirement operational-behavior-data-commands-ncmd-rebirth-verb operational-behavior-data-commands-ncmd-rebirth-name operational-behavior-data-commands-ncmd-rebirth-value operational-behavior-data-commands-ncmd-metric-name operational-behavior-data-commands-ncmd-metric-value", hostCommands},
		{"topics-dcmd-topic topics-dcmd-mqtt topics-dcmd-timestamp topics-dcmd-payload payloads-dcmd-timestamp payloads-dcmd-seq payloads-dcmd-qos payloads-dcmd-retain operational-behavior-data-commands-dcmd-metric-name operational-behavior-data-commands-dcmd-metric-value", hostCommands},
	}
}
