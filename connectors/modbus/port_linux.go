package modbus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/goburrow/serial"
	"golang.org/x/sys/unix"
)

// port is a serial port. The library opens it, sets the line's parameters and
// puts the old ones back; bytes go through a file of our own on the same port,
// because the library's reads know no deadline and wait with select, which
// fails in a program with more than 1,024 files.
type port struct {
	*os.File
	raw      syscall.RawConn
	settings serial.Port
}

// openPort opens the port for this program alone. It never waits: not for a
// carrier, and not for output that does not drain.
func openPort(path string, p *portSettings) (wire, error) {
	w, err := openFile(path)
	if err != nil {
		return nil, explain(path, err)
	}
	if err := w.configure(path, p); err != nil {
		w.Close()
		return nil, explain(path, err)
	}
	return w, nil
}

func openFile(path string) (*port, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if info.Mode()&fs.ModeCharDevice == 0 {
		return nil, unix.ENOTTY
	}
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &port{File: file, raw: raw}, nil
}

// configure sets the line's parameters and locks the port. With VMIN 1 a read
// that gives nothing means that the port is gone, not that nothing came.
func (w *port) configure(path string, p *portSettings) error {
	if err := w.control(func(fd int) error {
		if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
			return err
		}
		return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	}); err != nil {
		return err
	}
	var err error
	if w.settings, err = serial.Open(&serial.Config{
		Address: path, BaudRate: p.baud, DataBits: p.dataBits, StopBits: p.stopBits,
		Parity: map[string]string{"even": "E", "odd": "O", "none": "N"}[p.parity],
		RS485: serial.RS485Config{Enabled: p.rs485.on, DelayRtsBeforeSend: p.rs485.before, DelayRtsAfterSend: p.rs485.after,
			RtsHighDuringSend: p.rs485.highDuring, RtsHighAfterSend: p.rs485.highAfter},
	}); err != nil {
		w.settings = nil
		return err
	}
	return w.control(func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
		if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
			return err
		}
		if err := unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIOFLUSH); err != nil {
			return err
		}
		return unix.IoctlSetInt(fd, unix.TIOCEXCL, 0)
	})
}

// control runs f on the port's descriptor.
func (w *port) control(f func(fd int) error) error {
	var failed error
	if err := w.raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}

func (w *port) drain() (int, bool) { return throwAway(nil, w.raw) }

// Close gives up what was not sent yet: closing would wait for it.
func (w *port) Close() error {
	w.control(func(fd int) error {
		unix.IoctlSetInt(fd, unix.TIOCNXCL, 0)
		return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIOFLUSH)
	})
	var err error
	if w.settings != nil {
		err = w.settings.Close()
	}
	return errors.Join(err, w.File.Close())
}

// explain says what to do about a port that cannot be opened.
func explain(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("there is no %s: is the adapter plugged in?", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission for %s: add the user that runs linetwin to the group dialout", path)
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EWOULDBLOCK):
		return fmt.Errorf("%s is in use by another program", path)
	case errors.Is(err, unix.ENOTTY):
		return fmt.Errorf("%s is no serial port", path)
	}
	return fmt.Errorf("open %s: %w", path, err)
}
