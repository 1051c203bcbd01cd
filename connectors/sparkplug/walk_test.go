package sparkplug

import (
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// With several brokers a gateway goes to the one where its primary host is: it
// leaves one whose STATE says offline, is born only where it says online, and
// is never at two at a time.
func TestEdgeWalksToItsHost(t *testing.T) {
	var taps [2]*tap
	var hosts [2]*peer
	ts := time.Now().UnixMilli()
	state := func(i int, online bool) {
		ts++
		hosts[i].do(hosts[i].c.Publish(stateTopic("linetwin"), 1, true, hostState{online, ts}.encode()))
	}
	for i := range taps {
		b := newNATS(t, false)
		b.start(t)
		taps[i] = newTap(t, b.url)
		hosts[i] = newPeer(t, b.url, "host", "spBv1.0/assembly/NBIRTH/edge-1")
		state(i, i == 1)
	}
	c := connection(taps[0].url)
	c.Brokers = append(c.Brokers, taps[1].url)
	node := newNode(theBirth())
	runEdge(t, EdgeConfig{Connection: c}, node)
	for i, at := range []int{1, 0, 1} {
		await(t, "link", node.linked)
		await(t, "NBIRTH", hosts[at].received)
		if n := len(hosts[1-at].received); n != 0 {
			t.Errorf("turn %d: born where the host is not", i)
		}
		taps[1-at].passed(t, "the other one is left", 1, isDisconnect)
		open := 0
		for j, p := range taps {
			tape := p.tape()
			gone := tape.find(0, func(k tapped) bool { return k.up && k.conn == p.connections() && isDisconnect(k.packet) })
			if p.connections() > 0 && gone < 0 {
				open++
				if j != at {
					t.Errorf("turn %d: still at the other broker", i)
				}
			}
			for k, said := range tape {
				if pub, ok := said.packet.(*packets.PublishPacket); ok && said.up && !strings.Contains(pub.TopicName, "DEATH") &&
					tape[:k].find(0, func(x tapped) bool {
						s, ok := x.packet.(*packets.PublishPacket)
						return ok && !x.up && x.conn == said.conn && strings.Contains(string(s.Payload), `"online":true`)
					}) < 0 {
					t.Errorf("turn %d: said %s before STATE was online", i, pub.TopicName)
				}
			}
		}
		if open != 1 {
			t.Errorf("turn %d: at %d brokers", i, open)
		}
		state(1-at, true)
		state(at, false)
		await(t, "loss", node.linked)
	}
}
