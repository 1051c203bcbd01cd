//go:build !linux

package gateway

// freeDisk knows nothing on this system, so that min_free_disk does not act.
func freeDisk(string) (int64, bool) { return 0, false }
