//go:build !linux

package gateway

// synchronised is known on Linux only.
func synchronised() bool { return false }
