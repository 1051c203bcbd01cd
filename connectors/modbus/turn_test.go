package modbus

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"linetwin/plant"
)

// TestShortLooksAreNotTornApart: on a fast line a look of a few requests is
// over in one turn, and a device with many requests keeps nobody waiting for
// longer than its turn lasts.
func TestShortLooksAreNotTornApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const takes, short = 100 * time.Microsecond, 8
		var mu sync.Mutex
		var order []byte // units, as they were asked
		g := &gateway{takes: takes, behaves: func(unit byte, reply []byte) (time.Duration, []byte) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, unit)
			return 0, reply
		}}
		line := g.line(t)
		var greedy []int
		for i := range 200 {
			greedy = append(greedy, 200*i)
		}
		devices := []*Device{g.unit(t, line, Config{}, 1, greedy...)}
		for unit := 2; unit <= 5; unit++ {
			devices = append(devices, g.unit(t, line, Config{}, unit, greedy[:short]...))
		}
		var wg sync.WaitGroup
		for i, d := range devices {
			wg.Go(func() {
				for range 20 {
					asked := time.Now()
					round, err := d.Poll(t.Context(), nil)
					ended := time.Now()
					if err != nil {
						t.Error(err)
						return
					}
					own(t, d, round)
					if i == 0 {
						continue
					}
					if took := ended.Sub(round.Through.Std()); took > short*takes+time.Millisecond { // Through is in whole milliseconds
						t.Errorf("a look of unit %d took %v from its stamp", i+1, took)
					}
					most := time.Duration(len(devices)-1) * (turnLasts + takes)
					if waited := ended.Sub(asked) - short*takes; waited > most {
						t.Errorf("unit %d waited %v for the line, want %v at most", i+1, waited, most)
					}
				}
			})
		}
		wg.Wait()
		for _, d := range devices {
			d.Close()
		}
		run := 0
		for i, unit := range order {
			if run++; i+1 < len(order) && order[i+1] == unit {
				continue
			}
			if unit != 1 && run%short != 0 {
				t.Fatalf("a look of unit %d was torn apart after %d requests", unit, run%short)
			}
			run = 0
		}
	})
}

// TestSlowLinesTakeTurns: where one request takes longer than a turn, units
// are asked one request at a time.
func TestSlowLinesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []byte
		g := &gateway{takes: 20 * time.Millisecond, behaves: func(unit byte, reply []byte) (time.Duration, []byte) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, unit)
			return 0, reply
		}}
		line := g.line(t)
		at := []int{0, 200, 400, 600, 800}
		a, b := g.unit(t, line, Config{}, 1, at...), g.unit(t, line, Config{}, 2, at...)
		var wg sync.WaitGroup
		for _, d := range []*Device{a, b} {
			wg.Go(func() {
				if _, err := d.Poll(t.Context(), []plant.Reading{}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		a.Close()
		b.Close()
		for i := 2; i < len(order); i++ {
			if order[i] == order[i-1] {
				t.Fatalf("units were asked in the order %v, want each in turn", order)
			}
		}
	})
}

// TestOwnSlownessTearsNoLook: where this process is late to see the answers, a
// look of a quick unit is one turn all the same; a unit that is slow itself
// loses the line after each request.
func TestOwnSlownessTearsNoLook(t *testing.T) {
	const quick, look = 200 * time.Microsecond, 8
	u := turn{}
	exchange := func(took time.Duration) (torn bool) {
		u.spend(took)
		torn = u.spent >= turnLasts
		if torn {
			u.spent = 0
		}
		return torn
	}
	exchange(quick)
	for i := range 400 { // one exchange of a look is seen in time
		took := 3 * time.Millisecond
		if i%look == 0 {
			took, u.spent = quick, 0
		}
		if exchange(took) && i%look < look-1 {
			t.Fatalf("look torn apart after %d requests; an exchange is thought to take %v", i%look+1, u.takes)
		}
	}
	const slow = 20 * time.Millisecond
	n := 0
	for u.takes < turnLasts {
		if exchange(slow); n == 100 {
			t.Fatalf("after %d exchanges of %v one is thought to take %v", n, slow, u.takes)
		}
		n++
	}
	t.Logf("a unit that became slow is found out after %d exchanges", n)
}
