package gateway

import (
	"sort"
	"time"

	"linetwin/plant"
)

// backoffMost is by how much the resend time-out grows while nobody
// acknowledges.
const backoffMost = 12

// flight knows which batches were sent a short while ago, so that they are not
// sent again yet. Live batches come in order and are kept as ranges, those of
// the backlog one by one, at most as many as the window has.
type flight struct {
	live     []sentRange // ascending
	backlog  map[uint64]sentOne
	readings int // of backlog
	backoff  int // factor of the time-out
}

type sentRange struct {
	plant.Range
	at time.Time
}

type sentOne struct {
	readings int
	at       time.Time
}

// liveGrain is how far apart in time live batches of one range were sent.
const liveGrain = 100 * time.Millisecond

// sentLive notes that n, which is above all live ones before it, is on its way.
func (f *flight) sentLive(n uint64, at time.Time) {
	if i := len(f.live) - 1; i >= 0 && f.live[i].Last+1 == n && at.Sub(f.live[i].at) < liveGrain {
		f.live[i].Last = n
		return
	}
	f.live = append(f.live, sentRange{plant.Range{First: n, Last: n}, at})
}

// unsent notes that a live batch did not go out after all.
func (f *flight) unsent(n uint64) {
	i := f.find(n)
	if i == len(f.live) || f.live[i].First > n {
		return
	}
	r := f.live[i]
	rest := f.live[i+1:]
	parts := make([]sentRange, 0, 2+len(rest))
	if r.First < n {
		parts = append(parts, sentRange{plant.Range{First: r.First, Last: n - 1}, r.at})
	}
	if n < r.Last {
		parts = append(parts, sentRange{plant.Range{First: n + 1, Last: r.Last}, r.at})
	}
	f.live = append(f.live[:i], append(parts, rest...)...)
}

func (f *flight) find(n uint64) int {
	return sort.Search(len(f.live), func(i int) bool { return f.live[i].Last >= n })
}

// sentBacklog notes that n went out as backlog.
func (f *flight) sentBacklog(n uint64, readings int, at time.Time) {
	f.backlog[n] = sentOne{readings, at}
	f.readings += readings
}

// after gives the least number from n on that is not in flight.
func (f *flight) after(n uint64) uint64 {
	for {
		if _, sent := f.backlog[n]; sent {
			n++
			continue
		}
		i := f.find(n)
		if i == len(f.live) || f.live[i].First > n {
			return n
		}
		n = f.live[i].Last + 1
	}
}

// arrived takes the backlog that is acknowledged out of the window.
func (f *flight) arrived(acks seqSet, lowest uint64) {
	f.backoff = 1
	for n, one := range f.backlog {
		if n < lowest || acks.has(n) {
			f.readings -= one.readings
			delete(f.backlog, n)
		}
	}
}

// expire forgets what was sent more than the time-out ago and gives the lowest
// number of it. While nobody acknowledges the time-out grows.
func (f *flight) expire(now time.Time, resend time.Duration) (lowest uint64, any bool) {
	before := now.Add(-resend * time.Duration(f.backoff))
	again := false
	for n, one := range f.backlog {
		if !one.at.After(before) {
			if !any || n < lowest {
				lowest, any = n, true
			}
			again = true
			f.readings -= one.readings
			delete(f.backlog, n)
		}
	}
	i := 0
	for i < len(f.live) && !f.live[i].at.After(before) {
		i++
	}
	if i > 0 {
		if !any || f.live[0].First < lowest {
			lowest, any = f.live[0].First, true
		}
		f.live = append(f.live[:0], f.live[i:]...)
	}
	if again {
		f.backoff = min(2*f.backoff, backoffMost)
	}
	return lowest, any
}

// reset forgets everything, when the link broke or came back.
func (f *flight) reset() {
	f.live, f.readings, f.backoff = f.live[:0], 0, 1
	clear(f.backlog)
}
