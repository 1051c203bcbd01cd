package sparkplug

import (
	"context"
	"maps"
	"sync"
	"testing"

	"linetwin/plant"
)

// says is a Retainer by hand: payloads by topic.
type says struct {
	mu  sync.Mutex
	all map[string]string // nil: it cannot be told yet
}

func (s *says) set(all map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = all
}

func (s *says) Retained() (all []plant.Retained, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, payload := range s.all {
		all = append(all, plant.Retained{Topic: topic, Payload: []byte(payload)})
	}
	return all, s.all != nil, nil
}

func runBoard(t *testing.T, url string, s *says) (stop func()) {
	t.Helper()
	b, err := NewBoard(HostConfig{Site: "site", Connection: connection(url)}, s, quiet())
	if err != nil {
		t.Fatal(err)
	}
	return running(t, func(ctx context.Context) error { return b.Run(ctx) })
}

// kept gives what a subscriber that comes now is given as retained, until it
// is what is wanted.
func kept(t *testing.T, url string, want map[string]string) {
	t.Helper()
	var got map[string]string
	defer func() {
		if t.Failed() {
			t.Logf("kept %v, want %v", got, want)
		}
	}()
	until(t, "the broker keeps what was said", func() bool {
		p := newPeer(t, url, "late", plant.RetainedRoot+"#")
		defer p.c.Disconnect(0)
		// What is kept comes before what is said after the subscription.
		p.do(p.c.Publish(plant.RetainedRoot+"end", 1, false, "end"))
		got = map[string]string{}
		for {
			m := await(t, "message", p.received)
			if m.topic == plant.RetainedRoot+"end" && !m.retained {
				return maps.Equal(got, want)
			}
			if m.retained {
				got[m.topic] = string(m.payload)
			}
		}
	})
}

// TestBoard: who subscribes later sees the last word on each topic, a change
// arrives, what is said no more is cleared, also after a restart, and another
// site's topics are left alone.
func TestBoard(t *testing.T) {
	overBrokers(t, false, func(t *testing.T, b *testBroker) {
		const one, two, theirs, noise = "linetwin/v1/a/one/state", "linetwin/v1/a/two/state", "linetwin/v1/b/three/state", "linetwin/v1/noise"
		others := newPeer(t, b.url, "others")
		for topic, payload := range map[string]string{theirs: `{"site": "other"}`, noise: "{"} {
			others.do(others.c.Publish(topic, 1, true, payload))
		}
		s := &says{all: map[string]string{one: `{"site":"site","n":1}`, two: `{"site":"site"}`}}
		stop := runBoard(t, b.url, s)
		kept(t, b.url, map[string]string{one: `{"site":"site","n":1}`, two: `{"site":"site"}`, theirs: `{"site": "other"}`, noise: "{"})

		listener := newPeer(t, b.url, "listener", one)
		if m := await(t, "the retained value", listener.received); !m.retained || string(m.payload) != `{"site":"site","n":1}` {
			t.Errorf("first %+v", m)
		}
		s.set(map[string]string{one: `{"site":"site","n":2}`, two: `{"site":"site"}`})
		if m := await(t, "the change", listener.received); m.retained || string(m.payload) != `{"site":"site","n":2}` {
			t.Errorf("then %+v", m)
		}

		stop()
		s.set(nil) // as a twin that has not read its ledger: nothing is cleared yet
		stop = runBoard(t, b.url, s)
		kept(t, b.url, map[string]string{one: `{"site":"site","n":2}`, two: `{"site":"site"}`, theirs: `{"site": "other"}`, noise: "{"})
		s.set(map[string]string{one: `{"site":"site","n":2}`}) // line two is gone from the settings
		kept(t, b.url, map[string]string{one: `{"site":"site","n":2}`, theirs: `{"site": "other"}`, noise: "{"})
		s.set(map[string]string{two: `{"site":"site"}`}) // and while it runs
		kept(t, b.url, map[string]string{two: `{"site":"site"}`, theirs: `{"site": "other"}`, noise: "{"})
		stop()
	})
}

// TestBoardSaysAllAgain: a broker that forgot everything is told all again.
func TestBoardSaysAllAgain(t *testing.T) {
	b := newMosquitto(t, false) // without persistence
	b.start(t)
	all := map[string]string{"linetwin/v1/a/one/state": `{"site":"site"}`, "linetwin/v1/a/one/oee/shift": `{"site":"site","oee":null}`}
	runBoard(t, b.url, &says{all: all})
	kept(t, b.url, all)
	b.stop()
	b.start(t)
	kept(t, b.url, all)
}
