package modbus

import (
	"encoding/binary"
	"io"
	"log"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	vetter "github.com/simonvetter/modbus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// slave is a real Modbus TCP server whose registers the test sets.
type slave struct {
	mu       sync.Mutex
	holding  map[uint16]uint16
	input    map[uint16]uint16
	coils    map[uint16]bool
	illegal  map[uint16]bool // registers that are refused
	fault    error           // answers everything
	limit    uint16          // most registers per request; 0 is any
	delay    time.Duration
	requests []vetter.HoldingRegistersRequest
	deadUnit uint8 // answers "target failed to respond"
	address  string
	server   *vetter.ModbusServer
}

func newSlave(t testing.TB) *slave {
	t.Helper()
	s := &slave{holding: map[uint16]uint16{}, input: map[uint16]uint16{}, coils: map[uint16]bool{}, illegal: map[uint16]bool{}, address: freeAddress(t)}
	s.start(t)
	return s
}

// freeAddress gives a loopback address that was free a moment ago; the server
// library does not tell which port it got for port 0.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *slave) start(t testing.TB) {
	t.Helper()
	server, err := vetter.NewServer(&vetter.ServerConfiguration{URL: "tcp://" + s.address, MaxClients: 10, Logger: log.New(io.Discard, "", 0)}, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	s.server = server
	t.Cleanup(func() { server.Stop() })
}

// set writes the words of one value from a register on.
func (s *slave) set(at uint16, words ...uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range words {
		s.holding[at+uint16(i)] = w
	}
}

func (s *slave) asked() []vetter.HoldingRegistersRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.requests
	s.requests = nil
	return got
}

func (s *slave) registers(from map[uint16]uint16, at, n uint16) ([]uint16, error) {
	if s.fault != nil {
		return nil, s.fault
	}
	if s.limit > 0 && n > s.limit {
		return nil, vetter.ErrIllegalDataValue
	}
	out := make([]uint16, n)
	for i := range out {
		a := at + uint16(i)
		if s.illegal[a] {
			return nil, vetter.ErrIllegalDataAddress
		}
		out[i] = from[a]
	}
	return out, nil
}

func (s *slave) HandleHoldingRegisters(r *vetter.HoldingRegistersRequest) ([]uint16, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, *r)
	if s.delay > 0 {
		time.Sleep(s.delay)
	}
	if s.deadUnit != 0 && r.UnitId == s.deadUnit {
		return nil, vetter.ErrGWTargetFailedToRespond
	}
	return s.registers(s.holding, r.Addr, r.Quantity)
}

func (s *slave) HandleInputRegisters(r *vetter.InputRegistersRequest) ([]uint16, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.registers(s.input, r.Addr, r.Quantity)
}

func (s *slave) HandleCoils(r *vetter.CoilsRequest) ([]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]bool, r.Quantity)
	for i := range out {
		out[i] = s.coils[r.Addr+uint16(i)]
	}
	return out, nil
}

func (s *slave) HandleDiscreteInputs(*vetter.DiscreteInputsRequest) ([]bool, error) {
	return nil, vetter.ErrIllegalFunction
}

// liar is a device that answers each request with what the script makes of the
// right answer (all registers hold their own address).
type liar struct {
	address string
	accepts chan struct{}
}

func newLiar(t testing.TB, answer func(n int, conn net.Conn, request, right []byte)) *liar {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	liar := &liar{address: l.Addr().String(), accepts: make(chan struct{}, 1000)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	n := 0
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			liar.accepts <- struct{}{}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			wg.Go(func() {
				defer conn.Close()
				for {
					request := make([]byte, 12)
					if _, err := io.ReadFull(conn, request); err != nil {
						return
					}
					mu.Lock()
					n++
					number := n
					mu.Unlock()
					answer(number, conn, request, rightAnswer(request))
				}
			})
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
	return liar
}

func rightAnswer(request []byte) []byte {
	at, n := binary.BigEndian.Uint16(request[8:]), binary.BigEndian.Uint16(request[10:])
	right := append([]byte(nil), request[:8]...)
	binary.BigEndian.PutUint16(right[4:], 3+2*n)
	right = append(right, byte(2*n))
	for i := range n {
		right = binary.BigEndian.AppendUint16(right, at+i)
	}
	return right
}
