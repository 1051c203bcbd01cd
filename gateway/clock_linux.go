package gateway

import "syscall"

// synchronised tells whether the kernel knows that its clock is kept by NTP or
// the like; false also where it may not be asked.
func synchronised() bool {
	const unsynchronised = 0x40 // STA_UNSYNC
	var t syscall.Timex
	_, err := syscall.Adjtimex(&t)
	return err == nil && t.Status&unsynchronised == 0
}
