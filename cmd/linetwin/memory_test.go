package main

import "testing"

func TestGCPercent(t *testing.T) {
	percent := usualGC
	for i, second := range []struct {
		collections uint64
		want        int
	}{{20, usualGC}, {2, usualGC}, {1, usualGC}, {0, frugalGC}, {2, frugalGC}, {3, frugalGC}, {4, usualGC}, {2, usualGC}, {0, frugalGC}} {
		if percent = gcPercent(percent, second.collections); percent != second.want {
			t.Errorf("second %d: %d, want %d", i, percent, second.want)
		}
	}
}
