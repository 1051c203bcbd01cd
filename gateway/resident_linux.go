package gateway

import "syscall"

// dropMapped takes the pages of a mapped file out of the process.
func dropMapped(at, size uintptr) {
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, at, size, syscall.MADV_DONTNEED)
}
