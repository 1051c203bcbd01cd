package modbus

import (
	"math/rand/v2"
	"testing"
	"time"
)

// hostile makes a random one of all that units and lines do wrong. After a frame
// that was repeated late, the next answer is right: a line that repeats an answer
// and loses the next one at the same time cannot be seen through.
func hostile(s *station, random *rand.Rand, timeout time.Duration) func(q asked, right []byte) []piece {
	held := map[byte][]byte{} // by unit, an answer that was kept back; units answer in order
	spare := false
	return func(q asked, right []byte) []piece {
		if spare {
			spare = false
			return whole(right)
		}
		at := 1 + random.IntN(len(right)-1)
		pause := time.Duration(random.Int64N(int64(2 * timeout)))
		if last := held[q.unit]; last != nil {
			delete(held, q.unit)
			switch random.IntN(4) {
			case 0:
				return whole(append(last, right...))
			case 1:
				held[q.unit] = right
				return whole(last)
			case 2:
				return []piece{{0, last}, {pause, right}}
			}
			return whole(right)
		}
		switch random.IntN(120) {
		case 0:
			return nil
		case 1:
			return []piece{{pause, right}}
		case 2:
			return whole(right[:at])
		case 3:
			return []piece{{0, right[:at]}, {pause / 2, right[at:]}}
		case 4:
			right[at] ^= byte(1 << random.IntN(7))
			return whole(right)
		case 5:
			other := q
			other.unit = 9
			return whole(s.right(other))
		case 6:
			return whole(s.frame(q.unit, 4, append([]byte{byte(2 * q.count)}, make([]byte, 2*q.count)...)...))
		case 7:
			q.count++
			return whole(s.right(q))
		case 8:
			spare = true
			return whole(append(right, right...))
		case 9:
			spare = true
			return []piece{{0, right}, {time.Duration(random.IntN(3)) * time.Millisecond, right}}
		case 10:
			noise := make([]byte, 1+random.IntN(20))
			for i := range noise {
				noise[i] = byte(random.IntN(256))
			}
			return whole(append(noise, right...))
		case 11:
			return whole(append(right, byte(random.IntN(256))))
		case 12:
			q.start += 20
			return whole(append(right, s.right(q)...))
		case 13:
			busy := s.frame(q.unit, q.function|0x80, 6)
			return []piece{{0, busy[:3]}, {pause / 2, busy[3:]}}
		case 14, 15:
			held[q.unit] = right
			return nil
		}
		return whole(right)
	}
}

// TestHostileLine: whatever happens on a line, every good value is the true one
// of its register at this moment; and data flows again once the line is well.
func TestHostileLine(t *testing.T) {
	polls := map[string]int{"rtu": 500, "ascii": 250, "rtu over tcp": 1500, "ascii over tcp": 400}
	for _, l := range lines {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			const timeout = 15 * time.Millisecond
			s := newStation(t, l.framing)
			cfg := Config{URL: l.url(t, s), Timeout: timeout}
			line, err := NewLine(cfg)
			if err != nil {
				t.Fatal(err)
			}
			line.carrier.(*multidrop).patience = 200 * timeout // more than anything here is late, also on a busy machine
			var all []*Device
			for unit := 1; unit <= 3; unit++ {
				cfg.Unit = unit
				all = append(all, newDevice(t, cfg, line, pair(0), pair(100), pair(102), pair(200), pair(300)))
			}
			random := rand.New(rand.NewPCG(7, uint64(len(l.name))))
			s.set(func() { s.script = hostile(s, random, timeout) })
			pick := rand.New(rand.NewPCG(8, 8))
			good, bad := 0, 0
			for range polls[l.name] {
				d := all[pick.IntN(len(all))]
				s.set(func() { s.generation++ })
				connect(t, d)
				round, err := d.Poll(t.Context(), nil)
				checkPairs(t, byte(d.config.Unit), s.generation, round.Readings)
				if good++; err != nil {
					good, bad = good-1, bad+1
					d.Close()
				}
			}
			t.Logf("%d polls good, %d failed", good, bad)
			if bad == 0 {
				t.Error("nothing went wrong: the line was not hostile")
			}
			s.set(func() { s.script = nil })
			flow(t, s, all...)
		})
	}
}
