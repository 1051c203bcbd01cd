package connectors

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	goburrow "github.com/goburrow/modbus"
)

// bridge is a converter: it speaks RTU over TCP to us and Modbus TCP to the
// server of the contract behind it, one request at a time.
type bridge struct {
	*registers
	address  string
	listener net.Listener
	wg       sync.WaitGroup
	mu       sync.Mutex
	conns    map[net.Conn]bool
}

func newBridge(t testing.TB) (peer, string) {
	served, _ := newRegisters(t)
	b := &bridge{registers: served.(*registers), conns: map[net.Conn]bool{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.address = l.Addr().String()
	l.Close()
	return b, b.address
}

func (b *bridge) start(t testing.TB) {
	b.registers.start(t)
	listening(t, func() (err error) { b.listener, err = net.Listen("tcp", b.address); return err })
	b.wg.Go(func() {
		for {
			conn, err := b.listener.Accept()
			if err != nil {
				return
			}
			b.keep(conn)
			b.wg.Go(func() { defer b.drop(conn); b.serve(conn) })
		}
	})
}

func (b *bridge) keep(conn net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns[conn] = true
}

func (b *bridge) drop(conn net.Conn) {
	conn.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, conn)
}

func (b *bridge) stop() {
	b.listener.Close()
	b.mu.Lock()
	for conn := range b.conns {
		conn.Close()
	}
	b.mu.Unlock()
	b.registers.stop()
	b.wg.Wait()
}

// serve translates until either end closes.
func (b *bridge) serve(near net.Conn) {
	far, err := net.DialTimeout("tcp", b.registers.address, 5*time.Second)
	if err != nil {
		return
	}
	b.keep(far)
	defer b.drop(far)
	for {
		var request [8]byte
		if _, err := io.ReadFull(near, request[:]); err != nil {
			return
		}
		if _, err := far.Write(append([]byte{0, 1, 0, 0, 0, 6}, request[:6]...)); err != nil {
			return
		}
		var head [6]byte
		if _, err := io.ReadFull(far, head[:]); err != nil {
			return
		}
		answer := make([]byte, binary.BigEndian.Uint16(head[4:]))
		if _, err := io.ReadFull(far, answer); err != nil || len(answer) < 2 {
			return
		}
		h := goburrow.NewRTUClientHandler("")
		h.SlaveId = answer[0]
		frame, err := h.Encode(&goburrow.ProtocolDataUnit{FunctionCode: answer[1], Data: answer[2:]})
		if err != nil {
			return
		}
		if _, err := near.Write(frame); err != nil {
			return
		}
	}
}
