package sparkplug

import (
	"context"
	"testing"
	"time"

	"linetwin/plant"
)

// clockedNode is a gateway that wants to know its host's time.
type clockedNode struct {
	*testNode
	awaits chan bool
	words  chan hostWord
}

type hostWord struct {
	at  plant.Time
	age time.Duration
	now time.Time
}

func (n clockedNode) AwaitTime() { n.awaits <- true }

func (n clockedNode) HostTime(t plant.Time, age time.Duration) {
	n.words <- hostWord{t, age, time.Now()}
}

// The host's time comes back with bounds that hold, however slow the way is.
func TestGatewayLearnsTheHostsTime(t *testing.T) {
	overBrokers(t, false, func(t *testing.T, b *testBroker) {
		node := clockedNode{newNode(plant.GatewayBirth{Area: "a", Gateway: "g", Session: "s1", First: 1}), make(chan bool, 8), make(chan hostWord, 8)}
		cfg := EdgeConfig{Area: "a", Gateway: "g"}
		cfg.Brokers = []string{b.url}
		edge, err := NewEdge(cfg, node, quiet())
		if err != nil {
			t.Fatal(err)
		}
		hostCfg := HostConfig{}
		hostCfg.Brokers = []string{b.url}
		host, err := NewHost(hostCfg, newSink(), quiet())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() { ended <- edge.Run(ctx) }()
		go func() { ended <- host.Run(ctx) }()
		defer func() {
			cancel()
			<-ended
			<-ended
		}()
		await(t, "time is awaited", node.awaits)
		if !await(t, "linked", node.linked) {
			t.Fatal("not linked")
		}
		asked := time.Now()
		// A gateway asks each second: a question or its answer may get lost.
		again := time.NewTicker(time.Second)
		defer again.Stop()
		var w hostWord
		for w == (hostWord{}) {
			if err := edge.Status(&plant.GatewayStatus{Area: "a", Gateway: "g", Time: plant.Stamp(time.Now())}); err != nil {
				t.Fatal(err)
			}
			select {
			case w = <-node.words:
			case <-again.C:
			case <-t.Context().Done():
				t.Fatal("the host did not tell its time")
			}
		}
		if w.at < plant.Stamp(asked) || w.at > plant.At(w.now) || w.age <= 0 || w.age > w.now.Sub(asked) {
			t.Errorf("asked at %s: the host's clock was %s within the last %v at %s", asked, w.at, w.age, w.now)
		}
		if s := edge.Stats(); s.Refused != 0 || s.Dropped != 0 {
			t.Errorf("%+v, want no command refused", s)
		}
	})
}

func TestHostTimeOfAnotherSessionOrTooOldTellsNothing(t *testing.T) {
	node := clockedNode{newNode(plant.GatewayBirth{}), make(chan bool, 8), make(chan hostWord, 8)}
	e := &Edge{node: node, made: time.Now().Add(-time.Minute), session: "s1", cfg: EdgeConfig{Acknowledge: AcknowledgeHost}}
	now := uint64(time.Now().UnixMilli())
	since := func(d time.Duration) uint64 { return uint64(time.Since(e.made) - d) }
	for name, c := range map[string]struct {
		t       hostTime
		session string
	}{
		"another session":        {hostTime{since(0), now}, "s0"},
		"too old":                {hostTime{since(answerLasts + time.Second), now}, "s1"},
		"of the future":          {hostTime{since(-time.Hour), now}, "s1"},
		"no time":                {hostTime{since(0), 0}, "s1"},
		"a time that is not":     {hostTime{since(0), 1 << 63}, "s1"},
		"a question that is not": {hostTime{1 << 63, now}, "s1"},
	} {
		e.tellTime(&c.t, c.session)
		if len(node.words) > 0 {
			t.Errorf("%s: told %+v", name, <-node.words)
		}
	}
	e.tellTime(&hostTime{since(time.Second), now}, "s1")
	if w := await(t, "the host's time", node.words); w.at != plant.FromMilli(int64(now)) || w.age < time.Second {
		t.Errorf("told %+v", w)
	}
	e.cfg.Acknowledge = AcknowledgeBroker
	e.tellTime(&hostTime{since(0), now}, "s1")
	e.awaitTime()
	if len(node.words)+len(node.awaits) > 0 {
		t.Error("a gateway whose host does not acknowledge hears the time of any")
	}
}

func TestHostTimeComesThroughItsPayload(t *testing.T) {
	c, err := decodeCommand(appendHostTime(nil, "s1", 12345, 1_790_000_000_123), "g")
	if err != nil || c.time == nil || *c.time != (hostTime{12345, 1_790_000_000_123}) || c.session != "s1" || c.ack != nil || len(c.refused) > 0 {
		t.Errorf("%+v, %v", c, err)
	}
}
