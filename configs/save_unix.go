//go:build unix

package configs

import (
	"os"
	"syscall"
)

// keepOwner gives f the owner of like: a service must still be able to read
// what root has edited. Who may not do that is the owner, or may write the
// file by its group, which then stays as it is.
func keepOwner(f *os.File, like os.FileInfo) {
	if s, ok := like.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(int(s.Uid), int(s.Gid))
	}
}
