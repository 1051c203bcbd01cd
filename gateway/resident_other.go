//go:build !linux

package gateway

// dropMapped leaves it to the kernel when pages go.
func dropMapped(_, _ uintptr) {}
