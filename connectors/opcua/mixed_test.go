package opcua

import (
	"testing"
	"time"

	"linetwin/plant"
)

// mixed is a device of several ways whose changes are known.
type mixed struct {
	*Device
	space   *space
	t       *testing.T
	value   int32
	awaited map[string]change // by signal
	claimed plant.Time
}

type change struct {
	value plant.Value
	at    plant.Time
}

// mix gives one that has told all of its signals.
func mix(t *testing.T, cfg Config, signals ...Signal) *mixed {
	t.Helper()
	s := useServer(t)
	m := &mixed{space: s.space, t: t, awaited: map[string]change{}}
	for i := range signals {
		node := "s=" + signals[i].Name
		m.space.set(node, int32(0))
		signals[i].Node, signals[i].Type = nsu(node), "int32"
	}
	m.Device = connected(t, s, cfg, signals...)
	seen := map[string]bool{}
	waitFor(t, func() bool {
		r := poll(t, m.Device)
		for _, x := range r.Readings {
			seen[x.Signal] = true
		}
		m.claimed = r.Through
		return len(seen) == len(signals)
	})
	return m
}

// change gives a signal's node another value.
func (m *mixed) change(signal string) {
	time.Sleep(2 * time.Millisecond) // after the millisecond of what was before
	m.value++
	now := time.Now()
	m.awaited[signal] = change{plant.Integer(int64(m.value)), plant.At(now).Floor(time.Millisecond)}
	m.space.setAt("s="+signal, m.value, now, 0)
}

// round polls once: what is told has the time at which it changed, and nothing
// is claimed before it is told.
func (m *mixed) round() {
	m.t.Helper()
	r := poll(m.t, m.Device)
	for _, x := range r.Readings {
		c, ok := m.awaited[x.Signal]
		if !ok || x.Value != c.value {
			continue
		}
		if x.Time != c.at || x.Time <= m.claimed || x.Quality != plant.Good {
			m.t.Errorf("%s changed at %v, told as %+v; claimed before was %v", x.Signal, c.at, x, m.claimed)
		}
		delete(m.awaited, x.Signal)
	}
	for signal, c := range m.awaited {
		if r.Through >= c.at {
			m.t.Errorf("claims all up to %v, though %s changed at %v and that is not told", r.Through, signal, c.at)
		}
	}
	if r.Through < m.claimed {
		m.t.Errorf("claims up to %v after %v", r.Through, m.claimed)
	}
	m.claimed = r.Through
}

// until takes rounds until a signal's change is told.
func (m *mixed) until(signal string) {
	m.t.Helper()
	waitFor(m.t, func() bool {
		if _, awaited := m.awaited[signal]; !awaited {
			return true
		}
		time.Sleep(10 * time.Millisecond)
		m.round()
		return false
	})
}

// A polled value has the time at which it changed, not the one up to which the
// subscriptions have reported, and does not spoil the times of theirs.
func TestPolledTimesBesideASubscription(t *testing.T) {
	for _, heartbeat := range []string{"", "none"} {
		t.Run("heartbeat "+heartbeat, func(t *testing.T) {
			m := mix(t, Config{Timeout: time.Second, Heartbeat: heartbeat,
				Groups: []Group{{Name: "events", Mode: ModeSubscribe, Publishing: 300 * time.Millisecond, Sampling: 500 * time.Millisecond}}},
				Signal{Name: "polled"}, Signal{Name: "event", Group: "events"})
			for range 3 {
				time.Sleep(100 * time.Millisecond) // each round with readings claims at least a millisecond
				m.change("event")
				for range 3 { // while the event is not reported
					m.change("polled")
					m.round()
				}
				if _, awaited := m.awaited["polled"]; awaited {
					t.Error("a look did not see what had changed before it")
				}
				m.until("event")
			}
		})
	}
}

// The quicker one of two subscriptions claims nothing that the slower one may
// yet tell, as long as that is not far behind.
func TestTimesOfTwoSubscriptions(t *testing.T) {
	m := mix(t, Config{Mode: ModeSubscribe, Publishing: 10 * time.Millisecond, Sampling: 5 * time.Millisecond, Timeout: time.Second,
		Groups: []Group{{Name: "slower", Mode: ModeSubscribe, Publishing: 400 * time.Millisecond, Sampling: 500 * time.Millisecond}}},
		Signal{Name: "quick"}, Signal{Name: "slow", Group: "slower"})
	if len(m.feeds) != 2 {
		t.Fatalf("%d subscriptions, want 2", len(m.feeds))
	}
	for range 3 {
		time.Sleep(100 * time.Millisecond)
		m.change("slow")
		for range 3 {
			m.change("quick")
			m.until("quick")
		}
		m.until("slow")
	}
	// What is further behind is not waited for.
	through := m.claimed
	m.feeds[1].sampling = mostLag
	waitFor(t, func() bool { return poll(t, m.Device).Through > through.Add(600*time.Millisecond) })
	if behind := m.claim(0).Sub(m.feeds[0].through); behind != 0 {
		t.Errorf("the claim is %v off the quick subscription's", behind)
	}
}
