//go:build !unix

package modbus

import (
	"net"
	"syscall"
	"time"
)

// drain throws away what lies in the socket, at the price of a millisecond of
// waiting, and tells whether the connection is still open.
func drain(conn *net.TCPConn, _ syscall.RawConn) bool {
	var buf [512]byte
	for range 128 {
		if conn.SetReadDeadline(time.Now().Add(time.Millisecond)) != nil {
			return false
		}
		if _, err := conn.Read(buf[:]); err != nil {
			e, ok := err.(net.Error)
			return ok && e.Timeout()
		}
	}
	return false
}
