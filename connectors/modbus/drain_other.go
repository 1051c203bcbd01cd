//go:build !unix

package modbus

import (
	"net"
	"syscall"
	"time"
)

// drain throws away what lies in the socket, at the price of a millisecond of
// waiting, and tells how much it was and whether the connection is still open.
func drain(conn *net.TCPConn, _ syscall.RawConn) (thrown int, open bool) {
	var buf [512]byte
	for range 128 {
		if conn.SetReadDeadline(time.Now().Add(time.Millisecond)) != nil {
			return thrown, false
		}
		n, err := conn.Read(buf[:])
		thrown += n
		if err != nil {
			e, ok := err.(net.Error)
			return thrown, ok && e.Timeout()
		}
	}
	return thrown, false
}
