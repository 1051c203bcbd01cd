package sparkplug

import "syscall"

// Linux lets megabytes wait in the queue of a socket whose link is slow; live
// data would stand behind them for minutes. So little may wait there unsent,
// and a Publish that finds it full waits instead: what comes next is chosen
// only when there is room for it. What is under way is not bounded by this, so
// that fast and long links stay fast.
const (
	unsentMost   = 64 << 10 // bytes
	notSentLowAt = 25       // TCP_NOTSENT_LOWAT of linux/tcp.h
)

// shortQueue is a net.Dialer's Control. A kernel that cannot do it is no reason
// not to connect.
func shortQueue(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, notSentLowAt, unsentMost)
	})
}
