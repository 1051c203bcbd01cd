package gateway

import "syscall"

// dropMapped takes the pages of a mapped file out of the process.
func dropMapped(pages []byte) { _ = syscall.Madvise(pages, syscall.MADV_DONTNEED) }
