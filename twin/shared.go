package twin

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"linetwin/plant"
)

// sharedTurns is how often two gateways must have told of one machine in turn
// before it is said, and sharedLasts how long after the last turn it is over.
// A machine that moves from one gateway to another changes once.
const (
	sharedTurns = 3
	sharedLasts = time.Minute
)

// teller is who tells of a machine live, and who did before.
type teller struct {
	now, before gatewayKey
	turns       int
	since, last plant.Time // of turns
	named       bool
}

// toldLocked takes that a gateway told of a machine as it is now.
func (t *Twin) toldLocked(b *plant.Batch, now plant.Time) {
	if b.Historical {
		return
	}
	key := gatewayKey{b.Area, b.Gateway}
	o := t.tellers[b.Machine]
	if o == nil {
		t.tellers[b.Machine] = &teller{now: key}
		return
	}
	if o.now == key {
		return
	}
	if o.turns == 0 || now.Sub(o.last) > sharedLasts {
		o.turns, o.since = 0, now
	}
	o.now, o.before = key, o.now
	o.turns++
	o.last = now
}

func (o *teller) shared(now plant.Time) bool {
	return o.turns >= sharedTurns && now.Sub(o.last) <= sharedLasts
}

// sharesLocked names machines of which two gateways tell, and puts them to
// both.
func (t *Twin) sharesLocked(now plant.Time) {
	shares := map[gatewayKey][]plant.Shared{}
	for machine, o := range t.tellers {
		if !o.shared(now) {
			if o.named {
				o.named = false
				t.log.Info("one gateway alone tells of the machine again", "machine", machine, "gateway", o.now.name)
			}
			continue
		}
		for _, two := range [][2]gatewayKey{{o.now, o.before}, {o.before, o.now}} {
			shares[two[0]] = append(shares[two[0]], plant.Shared{Machine: machine, Area: two[1].area, Gateway: two[1].name, Since: o.since})
		}
		if !o.named {
			o.named = true
			one, other := o.now.area+"/"+o.now.name, o.before.area+"/"+o.before.name
			if one > other {
				one, other = other, one
			}
			t.log.Warn("two gateways tell of one machine: take it out of the settings of one of them", "machine", machine, "one", one, "other", other)
			t.noticeLocked("shared", fmt.Sprintf("machine %s is told of by two gateways: %s and %s", machine, one, other))
		}
	}
	for key, g := range t.gateways {
		is := shares[key]
		slices.SortFunc(is, func(a, b plant.Shared) int { return cmp.Compare(a.Machine, b.Machine) })
		if !slices.Equal(is, g.live.Shared) {
			g.live.Shared, g.changed = is, true
		}
	}
}
