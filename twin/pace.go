package twin

import (
	"errors"
	"time"
)

const (
	writeAim   = 400 * time.Millisecond // what one write should take: other writes wait for it
	writeMost  = 2 * time.Second        // what it may take where a write costs much however small it is
	writeLeast = 200                    // readings, to which timeouts halve a write
	writeFirst = 5_000                  // readings of a write, before anything is known
	writeMax   = 50_000                 // readings of a write

	costMemory = 0.8 // what a write weighs beside the next one
	fixedShare = 5   // a write lasts at least so many times its fixed cost
)

// pace learns how many readings a write to history should have. A write costs
// something fixed (a round trip, a sync of the disk) and something for each
// reading: both are fitted to the writes that were. Quick stores get writes as
// small as what came meanwhile; where the fixed part is large, writes grow
// until it matters less.
type pace struct {
	limit           int
	w, n, t, nn, nt float64 // weighted sums over writes: 1, readings, seconds, products
}

func newPace() pace { return pace{limit: writeFirst} }

// size is the most readings that the next write may have.
func (p *pace) size() int { return p.limit }

// wrote takes what a write cost.
func (p *pace) wrote(readings int, took time.Duration) {
	n, t := float64(readings), took.Seconds()
	weight := 1 / (n * n) // what counts is how far a cost is off as a share of it
	for _, s := range []struct {
		sum *float64
		add float64
	}{{&p.w, weight}, {&p.n, weight * n}, {&p.t, weight * t}, {&p.nn, weight * n * n}, {&p.nt, weight * n * t}} {
		*s.sum = *s.sum*costMemory + s.add
	}
	switch want := max(p.want(), p.limit/2); {
	case 2*readings >= p.limit: // less tells nothing of larger ones
		p.limit = min(want, 2*p.limit)
	case took > writeAim: // but that larger ones take still longer
		p.limit = min(want, p.limit)
	}
}

// cost gives the fixed part of a write, and that of each reading, in seconds.
func (p *pace) cost() (fixed, each float64) {
	spread := p.nn - p.n*p.n/p.w
	if spread > p.nn*1e-3 {
		each = (p.nt - p.n*p.t/p.w) / spread
	} else { // all were alike: nothing tells the parts from each other
		each = p.t / p.n
	}
	each = min(max(each, 0), p.t/p.n)
	return max(0, (p.t-each*p.n)/p.w), each
}

// want gives the number of readings that a write should have.
func (p *pace) want() int {
	if p.w == 0 {
		return writeFirst
	}
	fixed, each := p.cost()
	lasts := min(max(fixedShare*fixed, writeAim.Seconds()), writeMost.Seconds())
	work := max(lasts-fixed, lasts/fixedShare)
	if work >= each*writeMax {
		return writeMax
	}
	return max(writeLeast, int(work/each))
}

// failed takes that a write came to nothing. One that timed out may have been
// too large for the time that it has: the next one is half as large.
func (p *pace) failed(err error) {
	var t interface{ Timeout() bool }
	if errors.As(err, &t) && t.Timeout() {
		*p = pace{limit: max(writeLeast, p.limit/2)}
	}
}

const (
	backoffFirst = 250 * time.Millisecond // ceiling of the first pause after a failed write
	backoffMax   = 10 * time.Second       // ceiling of all pauses
	quietMax     = 5 * time.Minute        // longest that a store is left alone because it asks for it
)

// backoff gives the pauses between writes that fail: each is anything up to a
// ceiling that doubles, so that nobody knocks in step with others.
type backoff struct{ failures int }

// pause gives the time to wait after one more failure; random is from [0, 1).
func (b *backoff) pause(random float64, err error) time.Duration {
	ceiling := min(backoffFirst<<min(b.failures, 16), backoffMax)
	b.failures++
	return max(time.Duration(random*float64(ceiling)), asked(err))
}

// asked gives how long a store asks to be left alone.
func asked(err error) time.Duration {
	var e interface{ Wait() time.Duration }
	if errors.As(err, &e) {
		return min(e.Wait(), quietMax)
	}
	return 0
}
