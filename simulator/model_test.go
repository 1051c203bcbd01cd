package simulator

import (
	"fmt"
	"testing"
	"time"
)

// monday is an anchor for tests: 2026-03-02 00:10 in Shanghai.
func monday() int64 { return time.Date(2026, 3, 2, 0, 10, 0, 0, Zone()).UnixMilli() }

func TestScratch(t *testing.T) {
	m := newModel(1, monday(), linePlans())
	t0 := time.Now()
	m.advance(monday() + 7*dayMS)
	fmt.Println("7 days", time.Since(t0), m.seq)
	for _, s := range m.stations {
		cl := map[Class]float64{}
		a := m.ledger.accounts[s.index]
		for i, g := range a.segments {
			end := m.now
			if i+1 < len(a.segments) {
				end = a.segments[i+1].from
			}
			c := classOf(g.state)
			if g.state == stateOff {
				c = "off"
			}
			cl[c] += float64(end-g.from) / float64(7*dayMS) * 100
		}
		fmt.Printf("%-14s good %7d rej %6d (%.2f%%) segs %6d in %d", s.id, s.stats.good, s.stats.reject, 100*float64(s.stats.reject)/float64(s.stats.good), len(a.segments), s.in.length)
		for _, c := range []Class{"run", "stop", "starved", "blocked", "changeover", "planned_stop", "off"} {
			fmt.Printf(" %s %.1f", c, cl[c])
		}
		fmt.Println()
	}
}
