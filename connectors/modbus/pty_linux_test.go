package modbus

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// newPTY opens a pair of terminals: what is written into one comes out of the
// other, as with a cable. It gives the near end and the path of the far one.
func newPTY(t testing.TB) (*os.File, string) {
	t.Helper()
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skip("no pseudo terminals here:", err)
	}
	t.Cleanup(func() { near.Close() })
	raw, err := near.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	number := 0
	raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	far := fmt.Sprintf("/dev/pts/%d", number)
	// Kept open, so that the pair lives on while the device has closed its end.
	held, err := os.OpenFile(far, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { held.Close() })
	// Raw from the start: a terminal would echo and wait for lines.
	raw, err = held.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		var term *unix.Termios
		if term, err = unix.IoctlGetTermios(int(fd), unix.TCGETS); err == nil {
			term.Iflag, term.Oflag, term.Lflag = 0, 0, 0
			term.Cc[unix.VMIN], term.Cc[unix.VTIME] = 1, 0
			err = unix.IoctlSetTermios(int(fd), unix.TCSETS, term)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return near, far
}
