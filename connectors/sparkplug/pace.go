package sparkplug

import (
	"errors"
	"math/rand/v2"
	"time"
)

// alive is how long a session must have lasted, at the least, for the next
// delay to begin from nothing again.
const alive = 5 * time.Second

// briefMany is after how many brief sessions in a row it is said.
const briefMany = 3

// pace says how long to wait before the next attempt to connect. Sessions that
// end soon back off like attempts that fail. One must last twice as long as
// the longest wait that brief ones before it led to: two clients with one name
// throw each other out, and what the one waits is what the other lasts.
type pace struct {
	failures int
	bound    time.Duration // of the wait after the last session
	brief    int           // sessions in a row that did not last
}

// next takes how an attempt ended and how long it took. Fresh: what comes now
// is to be told, whatever was told before.
func (p *pace) next(err error, took time.Duration, brokers int) (wait time.Duration, fresh bool) {
	var lost *lostError
	began := errors.As(err, &lost)
	p.failures++
	switch {
	case took >= max(alive, 2*p.bound):
		p.failures, p.bound, p.brief, fresh = 1, 0, 0, true
	case began:
		p.brief++
	default:
		p.brief = 0
	}
	if began && lost.crowded {
		return rivalPause + rand.N(rivalPause), fresh
	}
	bound := delayBound(p.failures, brokers)
	if began {
		p.bound = bound
	}
	if bound == 0 {
		return 0, fresh
	}
	return rand.N(bound), fresh
}
