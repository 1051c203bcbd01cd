package modbus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
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
	conn        *net.TCPConn
	raw         syscall.RawConn
	transaction uint16
}

func (t *tcp) open(ctx context.Context) error {
	t.close(true)
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.address)
	if err != nil {
		return err
	}
	tc, ok := conn.(*net.TCPConn)
	if !ok {
		conn.Close()
		return fmt.Errorf("dial %s gave a %T", t.address, conn)
	}
	raw, err := tc.SyscallConn()
	if err != nil {
		tc.Close()
		return err
	}
	t.conn, t.raw = tc, raw
	return nil
}

func (t *tcp) ready() bool {
	if t.conn == nil {
		return false
	}
	if t.conn.SetDeadline(time.Time{}) == nil {
		if _, open := drain(t.conn, t.raw); open {
			return true
		}
	}
	t.close(true)
	return false
}

func (t *tcp) close(hard bool) error {
	if t.conn == nil {
		return nil
	}
	if hard {
		t.conn.SetLinger(0)
	}
	err := t.conn.Close()
	t.conn, t.raw = nil, nil
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
	t.transaction++
	binary.BigEndian.PutUint16(request, t.transaction)
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	n, whole := 0, headerSize
	for n < whole {
		m, err := conn.Read(into[n:frameSize])
		n += m
		if n < whole && err != nil {
			if n > 0 {
				return nil, fmt.Errorf("answer broke off: %w", err)
			}
			return nil, err
		}
		if whole == headerSize && n >= headerSize {
			if err := checkHeader(request, into[:headerSize]); err != nil {
				return nil, err
			}
			whole = headerSize - 1 + int(binary.BigEndian.Uint16(into[4:]))
		}
	}
	if n > whole {
		return nil, errors.New("answer is followed by bytes that nobody asked for")
	}
	if err := checkReply(request[headerSize:], into[headerSize:whole]); err != nil {
		return nil, err
	}
	return into[:whole], nil
}

// checkHeader tells why an answer's header cannot belong to the request.
func checkHeader(request, reply []byte) error {
	if p := binary.BigEndian.Uint16(reply[2:]); p != 0 {
		return fmt.Errorf("answer has protocol number %d, want 0: not Modbus TCP", p)
	}
	if n := int(binary.BigEndian.Uint16(reply[4:])); n < 3 || n > frameSize-headerSize+1 {
		return fmt.Errorf("answer claims %d bytes, want 3 to %d", n, frameSize-headerSize+1)
	}
	if binary.BigEndian.Uint16(reply) != binary.BigEndian.Uint16(request) {
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
