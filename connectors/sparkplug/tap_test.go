package sparkplug

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// tap stands between clients and a broker and writes down each MQTT packet.
type tap struct {
	url    string
	broker string
	listen net.Listener
	wg     sync.WaitGroup

	mu      sync.Mutex
	packets []tapped
	conns   []net.Conn
	count   int
}

// tapped is one packet of one connection.
type tapped struct {
	conn   int
	up     bool // to the broker
	packet packets.ControlPacket
}

func newTap(t testing.TB, broker string) *tap {
	t.Helper()
	p := &tap{url: "tcp://127.0.0.1:0", broker: strings.TrimPrefix(broker, "tcp://")}
	p.open(t)
	t.Cleanup(func() {
		p.cut()
		p.wg.Wait()
	})
	return p
}

// open lets clients through.
func (p *tap) open(t testing.TB) {
	t.Helper()
	var l net.Listener
	until(t, "the tap listens", func() (ok bool) {
		var err error
		l, err = net.Listen("tcp", strings.TrimPrefix(p.url, "tcp://"))
		return err == nil
	})
	p.mu.Lock()
	p.listen, p.url = l, "tcp://"+l.Addr().String()
	p.mu.Unlock()
	p.wg.Go(func() { p.accept(l) })
}

// cut ends all connections as a cable does that is pulled, and lets nobody
// through any more.
func (p *tap) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listen == nil {
		return // it is cut
	}
	p.listen.Close()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
	p.listen = nil
}

func (p *tap) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		broker, err := net.Dial("tcp", p.broker)
		p.mu.Lock()
		if err != nil || p.listen != l {
			p.mu.Unlock()
			client.Close()
			if broker != nil {
				broker.Close()
			}
			continue
		}
		p.count++
		n := p.count
		p.conns = append(p.conns, client, broker)
		p.mu.Unlock()
		p.wg.Go(func() { p.copy(n, true, broker, client) })
		p.wg.Go(func() { p.copy(n, false, client, broker) })
	}
}

func (p *tap) copy(conn int, up bool, to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	for {
		var raw bytes.Buffer
		packet, err := packets.ReadPacket(io.TeeReader(from, &raw))
		if err != nil {
			return
		}
		p.mu.Lock()
		p.packets = append(p.packets, tapped{conn, up, packet})
		p.mu.Unlock()
		if _, err := to.Write(raw.Bytes()); err != nil {
			return
		}
	}
}

// connections tells how many there were.
func (p *tap) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// passed waits until n packets of the client were accepted by f.
func (p *tap) passed(t testing.TB, what string, n int, f func(packets.ControlPacket) bool) {
	t.Helper()
	until(t, what, func() bool {
		seen := 0
		for _, k := range p.tape() {
			if k.up && f(k.packet) {
				seen++
			}
		}
		return seen >= n
	})
}

func isDisconnect(p packets.ControlPacket) bool {
	_, ok := p.(*packets.DisconnectPacket)
	return ok
}

func isPublish(p packets.ControlPacket) bool {
	_, ok := p.(*packets.PublishPacket)
	return ok
}

// tape is what was written down.
type tape []tapped

func (p *tap) tape() tape {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append(tape(nil), p.packets...)
}

// said is a PUBLISH of the client.
type said struct {
	conn, at int // connection, and place on the tape
	topic    string
	kind     kind
	device   string
	qos      byte
	retain   bool
	raw      []byte
	payload  payload
}

// all gives what the client published of these kinds; of every kind without
// any.
func (t tape) all(tb testing.TB, kinds ...kind) []said {
	tb.Helper()
	var list []said
	for i, p := range t {
		pub, ok := p.packet.(*packets.PublishPacket)
		if !ok || !p.up {
			continue
		}
		s := said{conn: p.conn, at: i, topic: pub.TopicName, qos: pub.Qos, retain: pub.Retain, raw: pub.Payload}
		if top, ok := parseTopic(pub.TopicName); ok {
			s.kind, s.device = top.kind, top.device
			if err := s.payload.decode(pub.Payload); err != nil {
				tb.Errorf("%s: %v", pub.TopicName, err)
			}
		} else if strings.HasPrefix(pub.TopicName, namespace+"/STATE/") {
			s.kind = kindState
		}
		for _, k := range kinds {
			if k == s.kind {
				list = append(list, s)
			}
		}
		if len(kinds) == 0 {
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		tb.Fatalf("nothing of %v was published", kinds)
	}
	return list
}

// connects gives the CONNECT packets.
func (t tape) connects() []*packets.ConnectPacket {
	var list []*packets.ConnectPacket
	for _, p := range t {
		if c, ok := p.packet.(*packets.ConnectPacket); ok {
			list = append(list, c)
		}
	}
	return list
}

// find gives the first packet of the client from place at on that f accepts, or
// -1.
func (t tape) find(at int, f func(tapped) bool) int {
	for i := at; i < len(t); i++ {
		if f(t[i]) {
			return i
		}
	}
	return -1
}

// metric gives a metric by name.
func (s *said) metric(name string) *metric {
	for i := range s.payload.metrics {
		if string(s.payload.metrics[i].name) == name {
			return &s.payload.metrics[i]
		}
	}
	return nil
}

// statements are normative statements of the specification that one check
// holds.
type statements[R any] struct {
	ids  string // without "tck-id-", separated by blanks
	hold func(t *testing.T, run R)
}

// holdAll runs one subtest for each statement.
func holdAll[R any](t *testing.T, table []statements[R], run R) {
	for _, s := range table {
		for _, id := range strings.Fields(s.ids) {
			t.Run("tck-id-"+id, func(t *testing.T) { s.hold(t, run) })
		}
	}
}
