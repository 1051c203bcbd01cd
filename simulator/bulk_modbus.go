package simulator

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"golang.org/x/sync/errgroup"
)

// bulkModbus answers function 3 of Modbus TCP for a bulk plant. It exists
// because the library's server costs more for a request than the gateway that
// is to be measured.
type bulkModbus struct {
	plant    *BulkPlant
	address  string // until it listens
	listener net.Listener

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// Parts of a Modbus TCP request to read registers and of its answer.
const (
	bulkRequest = 12 // header of 7, function, address, quantity
	bulkHeader  = 9  // of an answer: header of 7, function, bytes that follow
	bulkMost    = 125
)

func (s *bulkModbus) listen() (err error) {
	if s.listener, err = net.Listen("tcp", s.address); err != nil {
		return fmt.Errorf("listen for Modbus: %w", err)
	}
	return nil
}

func (s *bulkModbus) url() string { return "tcp://" + s.listener.Addr().String() }

// run serves until ctx ends.
func (s *bulkModbus) run(ctx context.Context) error {
	s.conns = map[net.Conn]bool{}
	stop := context.AfterFunc(ctx, s.hangUp)
	defer stop()
	var group errgroup.Group
	for {
		c, err := s.listener.Accept()
		if err != nil {
			s.hangUp()
			group.Wait()
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		if ctx.Err() != nil {
			c.Close()
		}
		group.Go(func() error {
			s.serve(c)
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.conns, c)
			return c.Close()
		})
	}
}

// hangUp closes the port and all connections.
func (s *bulkModbus) hangUp() {
	s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// serve answers a connection's requests until it ends or sends what no client
// of this server may.
func (s *bulkModbus) serve(c net.Conn) {
	in := bufio.NewReader(c)
	var request [bulkRequest]byte
	answer := make([]byte, bulkHeader+2*bulkMost)
	for {
		if _, err := io.ReadFull(in, request[:]); err != nil {
			return
		}
		b, err := s.answer(answer, request[:])
		if err != nil {
			return
		}
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

var errNotBulk = errors.New("not a request to read registers")

// answer makes the answer to a request, in b.
func (s *bulkModbus) answer(b, request []byte) ([]byte, error) {
	if binary.BigEndian.Uint32(request[2:]) != bulkRequest-6 { // protocol 0, length 6
		return nil, errNotBulk
	}
	copy(b, request[:8])
	first, count := int(binary.BigEndian.Uint16(request[8:])), int(binary.BigEndian.Uint16(request[10:]))
	before := bulkUnit * (int(request[6]) - 1) // signals of lower units
	held := min(s.plant.count-before, bulkUnit)
	exception := byte(0)
	switch {
	case before < 0 || held <= 0:
		exception = 11 // as a Modbus gateway that has no such unit
	case request[7] != 3:
		exception = 1
	case count < 1 || count > bulkMost:
		exception = 3
	case first+count > held:
		exception = 2
	}
	if exception != 0 {
		binary.BigEndian.PutUint16(b[4:], 3)
		b[7] |= 0x80
		b[8] = exception
		return b[:bulkHeader], nil
	}
	binary.BigEndian.PutUint16(b[4:], uint16(3+2*count))
	b[8] = byte(2 * count)
	n := uint16(s.plant.now() + int64(before+first))
	for at := bulkHeader; at < bulkHeader+2*count; at += 2 {
		binary.BigEndian.PutUint16(b[at:], n)
		n++
	}
	return b[:bulkHeader+2*count], nil
}
