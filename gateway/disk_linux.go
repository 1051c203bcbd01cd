package gateway

import "syscall"

// freeDisk gives the bytes that an ordinary user may still write into the file
// system of folder; false where that cannot be known.
func freeDisk(folder string) (int64, bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true
}
