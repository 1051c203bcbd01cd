package modbus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// Sizes of a Modbus TCP frame (MODBUS Messaging on TCP/IP Implementation Guide
// V1.0b, 3.1.3): header of transaction, protocol, length and unit, then at
// most 253 bytes.
const (
	headerSize = 7
	frameSize  = 260
)

// tcp carries Modbus TCP frames.
type tcp struct {
	address     string
	dial        Dial
	conn        net.Conn
	raw         syscall.RawConn // nil where the connection has none
	transaction uint16
	owed        owed
	rest        []byte // part of an owed answer
}

func (t *tcp) open(ctx context.Context) error {
	t.close(true)
	conn, err := t.dial(ctx, "tcp", t.address)
	if err != nil {
		return err
	}
	if s, ok := conn.(syscall.Conn); ok {
		if t.raw, err = s.SyscallConn(); err != nil {
			conn.Close()
			return err
		}
	}
	t.conn = conn
	return nil
}

func (t *tcp) ready() bool {
	if t.conn == nil {
		return false
	}
	var take func([]byte) bool
	if len(t.owed.requests) > 0 {
		take = t.hold
	}
	if t.conn.SetDeadline(time.Time{}) != nil || t.raw != nil && !drain(t.conn, t.raw, take) {
		t.close(true)
		return false
	}
	return true
}

func (t *tcp) close(hard bool) error {
	if t.conn == nil {
		return nil
	}
	if tc, ok := t.conn.(*net.TCPConn); ok && hard {
		tc.SetLinger(0)
	}
	err := t.conn.Close()
	t.conn, t.raw, t.owed, t.rest = nil, nil, owed{}, nil
	return err
}

// exchange numbers the request itself, so that units that share the connection
// never use a transaction number twice in a row.
func (t *tcp) exchange(ctx context.Context, deadline time.Time, request, into []byte) (reply []byte, err error) {
	conn := t.conn
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() {
			reply, err = nil, ctx.Err()
		}
	}()
	for t.transaction++; t.owed.find(t.transaction) >= 0; t.transaction++ {
	}
	binary.BigEndian.PutUint16(request, t.transaction)
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	whole, err := t.receive(request, into[:frameSize])
	if err != nil {
		return nil, err
	}
	if err := checkReply(request[headerSize:], into[headerSize:whole]); err != nil {
		return nil, err
	}
	t.owed.silent = 0
	return into[:whole], nil
}

// receive reads until the answer with the request's number is whole, and gives
// its length. Answers that are owed to earlier requests are thrown away.
func (t *tcp) receive(request, into []byte) (int, error) {
	n := copy(into, t.rest)
	t.rest = t.rest[:0]
	for {
		done, err := t.owed.settle(into[:n], request)
		if err != nil {
			return 0, err
		}
		n = copy(into, into[done:n])
		if n >= headerSize && sameNumber(into, request) {
			if err := checkHeader(request, into[:headerSize]); err != nil {
				return 0, err
			}
			whole := headerSize - 1 + int(binary.BigEndian.Uint16(into[4:]))
			if n > whole && (len(t.owed.requests) == 0 || !t.hold(into[whole:n])) {
				return 0, errors.New("answer is followed by bytes that nobody asked for")
			}
			if n >= whole {
				return whole, nil
			}
		}
		m, err := t.conn.Read(into[n:])
		n += m
		switch {
		case m > 0 || err == nil:
		case n > 0:
			return 0, fmt.Errorf("answer broke off: %w", err)
		case errors.Is(err, os.ErrDeadlineExceeded) && t.owed.add(request):
			return 0, keptError{err}
		default:
			return 0, err
		}
	}
}

// sameNumber tells whether two frames have the same transaction number.
func sameNumber(a, b []byte) bool { return a[0] == b[0] && a[1] == b[1] }

// checkHeader tells why an answer's header cannot belong to the request.
func checkHeader(request, reply []byte) error {
	if p := binary.BigEndian.Uint16(reply[2:]); p != 0 {
		return fmt.Errorf("answer has protocol number %d, want 0: not Modbus TCP", p)
	}
	if n := int(binary.BigEndian.Uint16(reply[4:])); n < 3 || n > frameSize-headerSize+1 {
		return fmt.Errorf("answer claims %d bytes, want 3 to %d", n, frameSize-headerSize+1)
	}
	if !sameNumber(reply, request) {
		return errors.New("answer belongs to another request (transaction number)")
	}
	if reply[6] != request[6] {
		return fmt.Errorf("answer is from unit %d, asked was unit %d", reply[6], request[6])
	}
	return nil
}

// checkReply tells why an answer's PDU (function code and data) is not the
// answer to a request's to read: wrong function, or not exactly the quantity
// that was asked for. An exception is an answer.
func checkReply(request, reply []byte) error {
	if len(request) != 5 || len(reply) < 2 {
		return fmt.Errorf("answer of %d bytes to a request of %d", len(reply), len(request))
	}
	if reply[0] == request[0]|0x80 {
		if len(reply) != 2 {
			return fmt.Errorf("exception of %d bytes, want 2", len(reply))
		}
		return nil
	}
	if reply[0] != request[0] {
		return fmt.Errorf("answer to function %d, asked was function %d", reply[0], request[0])
	}
	want := 2 * int(binary.BigEndian.Uint16(request[3:]))
	if table(request[0]).bits() {
		want = (want/2 + 7) / 8
	}
	if int(reply[1]) != want || len(reply) != 2+want {
		return fmt.Errorf("answer claims %d bytes of data and has %d, want %d", reply[1], len(reply)-2, want)
	}
	return nil
}
