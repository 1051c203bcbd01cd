package modbus

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	goburrow "github.com/goburrow/modbus"
)

// station is all the units on one line: a slave of our own that answers one
// request after the other, as real ones do. Each pair of registers holds the
// unit, the address and the generation, which the test raises before each poll.
type station struct {
	framing  framing
	requests chan []byte

	mu         sync.Mutex
	write      func([]byte)
	generation uint16
	// script says what is sent in place of the right answer; nil for that.
	script func(q asked, right []byte) []piece
	dead   map[byte]bool // units that do not answer
	limit  uint16        // registers from here on are refused; 0 is none
	mute   bool          // other functions than 3 are not answered at all
}

// piece is a part of what a station sends.
type piece struct {
	after time.Duration
	bytes []byte
}

func whole(b []byte) []piece { return []piece{{0, b}} }

func registerPair(unit byte, address, generation uint16) uint32 {
	return uint32(unit)<<28 | uint32(address)<<16 | uint32(generation)
}

func newStation(t testing.TB, f framing) *station {
	s := &station{framing: f, requests: make(chan []byte, 1000), dead: map[byte]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for request := range s.requests {
			s.serve(request)
		}
	})
	t.Cleanup(func() { close(s.requests); wg.Wait() })
	return s
}

// onPTY puts the station at one end of a pair of terminals and gives the path
// of the other.
func (s *station) onPTY(t testing.TB) string {
	near, far := newPTY(t)
	s.attach(t, near)
	return far
}

func (s *station) attach(t testing.TB, near *os.File) {
	s.mu.Lock()
	s.write = func(b []byte) { near.Write(b) }
	s.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { s.listen(near) })
	t.Cleanup(func() { near.Close(); wg.Wait() })
}

// onTCP puts the station behind a converter, which hands what is late for one
// connection to the next.
func (s *station) onTCP(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	conns := []net.Conn{}
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			s.mu.Lock()
			s.write = func(b []byte) { conn.Write(b) }
			s.mu.Unlock()
			wg.Go(func() { s.listen(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

// listen cuts what comes in into requests.
func (s *station) listen(r io.Reader) {
	size := 8
	if s.framing == (ascii{}) {
		size = asciiLength(6)
	}
	var held []byte
	buf := make([]byte, 512)
	for {
		n, err := r.Read(buf)
		if err != nil {
			return
		}
		held = append(held, buf[:n]...)
		for len(held) >= size {
			s.requests <- append([]byte(nil), held[:size]...)
			held = held[size:]
		}
	}
}

func (s *station) serve(request []byte) {
	q, err := s.framing.parse(request)
	if err != nil {
		return
	}
	s.mu.Lock()
	right, script := s.right(q), s.script
	dead := s.dead[q.unit] || s.mute && q.function != 3
	s.mu.Unlock()
	if dead {
		return
	}
	pieces := whole(right)
	if script != nil {
		pieces = script(q, right)
	}
	for _, p := range pieces {
		if p.after > 0 {
			time.Sleep(p.after)
		}
		if len(p.bytes) > 0 {
			s.mu.Lock()
			write := s.write
			s.mu.Unlock()
			write(p.bytes)
		}
	}
}

// right is the true answer.
func (s *station) right(q asked) []byte {
	switch {
	case q.function != 3 && q.function != 4:
		return s.frame(q.unit, q.function|0x80, 1)
	case s.limit > 0 && q.start+q.count > s.limit:
		return s.frame(q.unit, q.function|0x80, 2)
	}
	data := []byte{byte(2 * q.count)}
	for a := q.start; a < q.start+q.count; a++ {
		pair := registerPair(q.unit, a&^1, s.generation)
		if a%2 == 0 {
			pair >>= 16
		}
		data = binary.BigEndian.AppendUint16(data, uint16(pair))
	}
	return s.frame(q.unit, q.function, data...)
}

// frame writes an answer with the library's packager.
func (s *station) frame(unit, function byte, data ...byte) []byte {
	b, err := s.framing.packager(unit).Encode(&goburrow.ProtocolDataUnit{FunctionCode: function, Data: data})
	if err != nil {
		panic(err)
	}
	return b
}

func (s *station) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// lines are the kinds of line that a station can be on.
var lines = []struct {
	name    string
	framing framing
	url     func(t testing.TB, s *station) string
}{
	{"rtu", rtu{}, func(t testing.TB, s *station) string { return "rtu://" + s.onPTY(t) + "?baud=1000000" }},
	{"ascii", ascii{}, func(t testing.TB, s *station) string { return "ascii://" + s.onPTY(t) + "?baud=1000000" }},
	{"rtu over tcp", rtu{}, func(t testing.TB, s *station) string { return "rtu+tcp://" + s.onTCP(t) }},
	{"ascii over tcp", ascii{}, func(t testing.TB, s *station) string { return "ascii+tcp://" + s.onTCP(t) }},
}
