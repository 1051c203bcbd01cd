//go:build unix

package modbus

import (
	"net"
	"syscall"
)

// drain throws away what lies in the socket or port without waiting, and tells
// how much it was and whether the connection is still open.
func drain(_ *net.TCPConn, raw syscall.RawConn) (thrown int, open bool) {
	var buf [512]byte
	for range 128 { // a device that never stops talking is not one
		var n int
		var failed error
		if err := raw.Read(func(fd uintptr) bool {
			n, failed = syscall.Read(int(fd), buf[:])
			return true
		}); err != nil {
			return thrown, false
		}
		switch {
		case failed == syscall.EINTR:
			continue
		case failed == syscall.EAGAIN:
			return thrown, true
		case failed != nil || n <= 0:
			return thrown, false
		}
		thrown += n
	}
	return thrown, false
}
