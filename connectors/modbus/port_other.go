//go:build !linux

package modbus

import "errors"

// openPort says that serial ports are for Linux, where they were tested.
func openPort(string, *portSettings) (wire, error) {
	return nil, errors.New("serial ports are read on Linux only; a converter can be reached with rtu+tcp:// from here")
}
