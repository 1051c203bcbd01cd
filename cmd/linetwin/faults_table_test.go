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
	f.line("| fault | made | stored | lost | twice | cut off | dropped | gap | page after | history after |")
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
	lost := thousands(o.lost)
	if o.unsynced > 0 {
		lost = fmt.Sprintf("%s, and %s of the last %s before a cut", lost, thousands(o.unsynced), seconds(o.oldest))
	}
	f.line(fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |", row.name, thousands(o.made), thousands(o.stored), lost,
		thousands(o.repeated), thousands(o.doubtful), thousands(o.dropped),
		seconds(o.gap), seconds(o.live), seconds(o.history)))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
