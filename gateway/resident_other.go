//go:build !linux

package gateway

// dropMapped leaves it to the kernel when pages go.
func dropMapped([]byte) {}
