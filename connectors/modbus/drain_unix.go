//go:build unix

package modbus

import (
	"net"
	"syscall"
)

// drain throws away what lies in the socket without waiting, or gives it to
// take where that is not nil, and tells whether the connection is still open
// and take has no objection.
func drain(_ net.Conn, raw syscall.RawConn, take func([]byte) bool) bool {
	var buf [512]byte
	for range 128 { // a device that never stops talking is not one
		var n int
		var failed error
		if err := raw.Read(func(fd uintptr) bool {
			n, failed = syscall.Read(int(fd), buf[:])
			return true
		}); err != nil {
			return false
		}
		switch {
		case failed == syscall.EINTR:
			continue
		case failed == syscall.EAGAIN:
			return true
		case failed != nil || n <= 0 || take != nil && !take(buf[:n]):
			return false
		}
	}
	return false
}
