package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// faultTable is what "make faults" prints.
type faultTable struct {
	text strings.Builder
}

// newFaultTable writes the table to $LINETWIN_FAULTS_TABLE as it grows, and logs
// it at the end.
func newFaultTable(t *testing.T) *faultTable {
	f := &faultTable{}
	f.line("| fault | readings made | stored | lost | twice | cut off in reading | dropped, as reported | longest gap on a page | page current after | history current after |")
	f.line("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	t.Cleanup(func() { t.Log("\n" + f.text.String()) })
	return f
}

func (f *faultTable) line(s string) {
	f.text.WriteString(s + "\n")
	if path := os.Getenv("LINETWIN_FAULTS_TABLE"); path != "" {
		_ = os.WriteFile(path, []byte(f.text.String()), 0o600) // the log has it too
	}
}

func (f *faultTable) skipped(row faultRow, why string) {
	f.line(fmt.Sprintf("| %s | skipped: %s | | | | | | | | |", row.name, why))
}

func (f *faultTable) add(row faultRow, o outcome) {
	lost := fmt.Sprint(o.lost)
	if o.unsynced > 0 {
		lost = fmt.Sprintf("%d, and %d of the last %s before a cut", o.lost, o.unsynced, seconds(o.oldest))
	}
	f.line(fmt.Sprintf("| %s | %d | %d | %s | %d | %d | %d | %s | %s | %s |", row.name, o.made, o.stored, lost, o.repeated, o.doubtful, o.dropped,
		seconds(o.gap), seconds(o.live), seconds(o.history)))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
