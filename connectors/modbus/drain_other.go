//go:build !unix

package modbus

import (
	"net"
	"syscall"
	"time"
)

// drain throws away what lies in the socket, at the price of a millisecond of
// waiting, or gives it to take where that is not nil, and tells whether the
// connection is still open and take has no objection.
func drain(conn net.Conn, _ syscall.RawConn, take func([]byte) bool) bool {
	var buf [512]byte
	for range 128 {
		if conn.SetReadDeadline(time.Now().Add(time.Millisecond)) != nil {
			return false
		}
		n, err := conn.Read(buf[:])
		if err != nil {
			e, ok := err.(net.Error)
			return ok && e.Timeout()
		}
		if take != nil && !take(buf[:n]) {
			return false
		}
	}
	return false
}
