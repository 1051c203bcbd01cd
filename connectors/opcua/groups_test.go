package opcua

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

func signalsOf(readings []plant.Reading) []string {
	var names []string
	for _, r := range readings {
		names = append(names, r.Signal)
	}
	return names
}

func TestPolledGroupsHaveTheirOwnInterval(t *testing.T) {
	s := useServer(t)
	for _, n := range []string{"fast", "slow", "gone"} {
		s.space.set("s="+n, int32(1))
	}
	d := connected(t, s, Config{Groups: []Group{{Name: "slow", Every: time.Hour}}}, Signal{Name: "fast", Node: nsu("s=fast"), Type: "int32"},
		Signal{Name: "slow", Node: nsu("s=slow"), Type: "int32", Group: "slow"}, Signal{Name: "twin", Node: nsu("s=fast"), Type: "int32", Group: "slow"})
	if got := signalsOf(poll(t, d).Readings); !slices.Equal(got, []string{"fast", "slow", "twin"}) {
		t.Fatalf("the first look reads %v", got)
	}
	first := d.Looked("slow")
	s.requests()
	through := plant.Time(0)
	for range 5 {
		r := poll(t, d)
		if got := signalsOf(r.Readings); !slices.Equal(got, []string{"fast"}) || r.Through <= through {
			t.Fatalf("a look reads %v, through %v after %v", got, r.Through, through)
		}
		through = r.Through
	}
	if got := s.requests(); !slices.Equal(got, []int{1, 1, 1, 1, 1}) {
		t.Errorf("requests of %v nodes", got)
	}
	if !d.Looked("slow").Equal(first) || !d.Looked("").After(first) {
		t.Errorf("looked at %v and %v, first at %v", d.Looked(""), d.Looked("slow"), first)
	}
	s.space.set("s=slow", int32(2)) // before the claim of the next look
	poll(t, d)
	d.ways[1].next = time.Now()
	r := poll(t, d)
	if got := r.Readings[1]; got.Value != plant.Integer(2) || got.Time <= through || got.Time > r.Through {
		t.Errorf("%+v, though all was known up to %v", got, through)
	}
	t.Run("a new connection reads all", func(t *testing.T) {
		reconnect(t, d)
		if got := poll(t, d).Readings; len(got) != 3 {
			t.Errorf("reads %v", got)
		}
	})
	t.Run("a bad node of a slow group is told in its looks", func(t *testing.T) {
		s.space.delete("s=slow")
		d.ways[1].next = time.Now()
		if r := poll(t, d).Readings[1]; r.Signal != "slow" || r.Reason != "BadNodeIdUnknown" {
			t.Errorf("%+v", r)
		}
		s.space.set("s=slow", int32(3))
		for i := range d.targets {
			d.targets[i].retry = time.Time{}
		}
		if got := poll(t, d).Readings; len(got) != 1 {
			t.Errorf("tried again out of turn: %v", got)
		}
		d.ways[1].next = time.Now()
		if r := poll(t, d).Readings[1]; r.Value != plant.Integer(3) {
			t.Errorf("%+v", r)
		}
	})
}

func TestPaceOfAGroup(t *testing.T) {
	w := way{Group: Group{Every: 500 * time.Millisecond}, paced: true, polls: true}
	start := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	var looks []int
	for i := range 16 { // each 200 ms, a little early or late
		now := start.Add(time.Duration(i)*200*time.Millisecond + time.Duration(i%3-1)*2*time.Millisecond)
		if w.begin(now) {
			looks = append(looks, i)
		}
		w.done(now)
	}
	if want := []int{0, 3, 5, 8, 10, 13, 15}; !slices.Equal(looks, want) {
		t.Errorf("read in looks %v, want %v", looks, want)
	}
}

// Polled and subscribed groups live beside each other over one session.
func TestMixedGroups(t *testing.T) {
	s := useServer(t)
	for _, n := range []string{"poll", "a", "b", "c"} {
		s.space.set("s="+n, int32(1))
	}
	groups := []Group{{Name: "events", Mode: ModeSubscribe, Publishing: 10 * time.Millisecond, Sampling: 5 * time.Millisecond},
		{Name: "same", Mode: ModeSubscribe, Publishing: 10 * time.Millisecond, Sampling: 50 * time.Millisecond},
		{Name: "slow", Mode: ModeSubscribe, Publishing: 300 * time.Millisecond, Sampling: 100 * time.Millisecond}}
	d := connected(t, s, Config{Groups: groups, Timeout: time.Second}, Signal{Name: "poll", Node: nsu("s=poll"), Type: "int32"}, Signal{Name: "a", Node: nsu("s=a"), Type: "int32", Group: "events"},
		Signal{Name: "b", Node: nsu("s=b"), Type: "int32", Group: "same"}, Signal{Name: "c", Node: nsu("s=c"), Type: "int32", Group: "slow"})
	if len(d.feeds) != 2 || d.ways[1].feed != d.ways[2].feed || d.ways[1].feed == d.ways[3].feed {
		t.Errorf("%d subscriptions, want one of events and same, one of slow", len(d.feeds))
	}
	seen := map[string]plant.Value{}
	claimed := plant.Time(0)
	until := func(so func() bool) {
		t.Helper()
		waitFor(t, func() bool {
			r := poll(t, d)
			polled := 0
			for _, x := range r.Readings {
				if x.Signal == "poll" {
					polled++
				}
				if changed := seen[x.Signal] != x.Value; changed && x.Time <= claimed || x.Time > plant.At(time.Now())+plant.Millisecond {
					t.Errorf("%+v, claimed before %v, now %v", x, claimed, r.Through)
				}
				seen[x.Signal] = x.Value
			}
			if polled != 1 {
				t.Errorf("%d readings of the polled signal in %v", polled, r.Readings)
			}
			claimed = r.Through
			return so()
		})
	}
	until(func() bool { return len(seen) == 4 })
	for i := range 5 {
		for _, n := range []string{"poll", "a", "b", "c"} {
			s.space.set("s="+n, int32(10+i))
		}
		want := plant.Integer(int64(10 + i))
		until(func() bool {
			return seen["poll"] == want && seen["a"] == want && seen["b"] == want && seen["c"] == want
		})
	}
	if ahead := claimed.Sub(plant.At(time.Now())); ahead > 0 {
		t.Errorf("claims the future, by %v", ahead)
	}
	if d.Looked("slow").IsZero() || d.Looked("events").IsZero() || d.Looked("").IsZero() || !d.Looked("none").IsZero() {
		t.Errorf("looked at %v, %v, %v, %v", d.Looked("slow"), d.Looked("events"), d.Looked(""), d.Looked("none"))
	}
	t.Run("looks claim nothing for a silent subscription", func(t *testing.T) {
		s.SubscriptionService.DeleteSubscription(d.feeds[0].sub.id)
		var last, silent plant.Time
		looks := 0
		waitFor(t, func() bool {
			r, err := d.Poll(t.Context(), nil)
			if err == nil {
				last, looks, silent = r.Through, looks+1, plant.At(d.feeds[0].heard)
			}
			return err != nil
		})
		if most := max(silent, claimed).Add(time.Duration(looks+1) * time.Millisecond); last > most {
			t.Errorf("claimed up to %v in %d looks, though nothing was heard after %v", last, looks, silent)
		}
		reconnect(t, d)
	})
	t.Run("a group whose node comes late", func(t *testing.T) {
		s.space.delete("s=c")
		until(func() bool { return seen["c"] == plant.Value{} })
		s.space.set("s=c", int32(99))
		for i := range d.targets {
			d.targets[i].retry = time.Time{}
		}
		until(func() bool { return seen["c"] == plant.Integer(99) })
	})
}

// A group all of whose nodes are away has no subscription until one is back.
func TestGroupWithoutNodesAtFirst(t *testing.T) {
	s := useServer(t)
	s.space.set("s=a", int32(1))
	s.space.set("s=b", int32(2))
	d := connected(t, s, Config{Groups: []Group{{Name: "events", Mode: ModeSubscribe, Publishing: 10 * time.Millisecond, Sampling: 5 * time.Millisecond}}},
		Signal{Name: "a", Node: nsu("s=a"), Type: "int32"}, Signal{Name: "b", Node: "nsu=urn:late;s=b", Type: "int32", Group: "events"})
	if len(d.feeds) != 0 {
		t.Fatal("a subscription for no node")
	}
	r := poll(t, d).Readings
	if len(r) != 2 || r[0].Signal != "b" || !strings.Contains(r[0].Reason, `no namespace "urn:late"`) || r[1].Value != plant.Integer(1) {
		t.Fatalf("%v", r)
	}
	if r := poll(t, d).Readings; len(r) != 1 {
		t.Errorf("told again: %v", r)
	}
	d.targets[1].node, _ = parseNode(nsu("s=b"))
	d.targets[1].retry = time.Time{}
	gather(t, d, func(all []plant.Reading) bool {
		return slices.ContainsFunc(all, func(r plant.Reading) bool { return r.Signal == "b" && r.Value == plant.Integer(2) })
	})
	if len(d.feeds) != 1 || d.feeds[0].node == nil {
		t.Errorf("%d subscriptions, want one with a heartbeat", len(d.feeds))
	}
}

func TestRevisedSettingsAreToldAndUsed(t *testing.T) {
	s := useServer(t)
	s.space.set("s=a", int32(1))
	d := connected(t, s, Config{Mode: ModeSubscribe, Publishing: 40 * time.Millisecond, Sampling: 5 * time.Millisecond, Queue: 8}, Signal{Name: "a", Node: nsu("s=a"), Type: "int32"})
	want := []string{"the server made sampling of 1 nodes up to 40ms in place of 5ms", "the server made queue as short as 1 in place of 8"} // as the library's server does
	if !slices.Equal(d.Notes(), want) {
		t.Errorf("notes %q, want %q", d.Notes(), want)
	}
	if d.feeds[0].sampling != 40*time.Millisecond {
		t.Errorf("claims up to %v before a report", d.feeds[0].sampling)
	}
	d.targets[0].sampling = time.Minute // far more slowly than asked: a resolution of its own
	if d.settle(d.feeds[0]); d.feeds[0].sampling != 5*time.Millisecond {
		t.Errorf("claims up to %v before a report", d.feeds[0].sampling)
	}
}

func TestMostItems(t *testing.T) {
	p := NewPool(nil, quiet())
	cfg := Config{URL: "opc.tcp://127.0.0.1:1", Security: "None", Mode: ModeSubscribe, MaxItems: 5}
	signals := []Signal{{Name: "a", Node: "i=1", Type: "int32"}, {Name: "b", Node: "i=2", Type: "int32"}, {Name: "again", Node: "i=2", Type: "int32"}}
	device := func(machine string) error {
		_, err := p.Device(machine, time.Second, cfg, signals)
		return err
	}
	for range 2 { // one that is built anew counts once
		if err := device("one"); err != nil {
			t.Fatal(err)
		}
	}
	if err := device("two"); err == nil || !strings.Contains(err.Error(), "max_items: found 6 subscribed nodes of all machines of this server") {
		t.Errorf("error %v", err)
	}
	cfg.Groups = []Group{{Name: "polled", Mode: ModePoll}}
	for i := range signals {
		signals[i].Group = "polled"
	}
	if err := device("two"); err != nil {
		t.Errorf("polled signals need no items: %v", err)
	}
	signals[0].Group = "none"
	if err := device("three"); err == nil || !strings.Contains(err.Error(), `signals[0].group: found "none"`) {
		t.Errorf("error %v", err)
	}
}

func TestOverflowIsTold(t *testing.T) {
	d := offlineDevice(t, 5)
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	lost := func(target, n int) {
		for range n {
			d.overflow(target, now)
		}
	}
	lost(1, 2)
	d.count(now)
	if want := "the server's queues lost 2 values since 2026-03-01T08:00:00Z, most of: s1 2"; !slices.Equal(d.Notes(), []string{want}) {
		t.Errorf("notes %q, want %q", d.Notes(), want)
	}
	for i := range 4 {
		lost(i, 10*i)
	}
	now = now.Add(59 * time.Second)
	if d.count(now); !strings.Contains(d.Notes()[0], "lost 2 values") {
		t.Errorf("told again within a minute: %q", d.Notes())
	}
	now = now.Add(time.Second)
	if d.count(now); !strings.Contains(d.Notes()[0], "lost 62 values since 2026-03-01T08:00:00Z, most of: s3 30, s2 20, s1 12") {
		t.Errorf("notes %q", d.Notes())
	}
}

func offlineDevice(t testing.TB, n int) *Device {
	signals := make([]Signal, n)
	for i := range signals {
		signals[i] = Signal{Name: fmt.Sprintf("s%d", i), Node: fmt.Sprintf("ns=2;i=%d", 1000+i), Type: "float64"}
	}
	d, err := New("m", time.Second, Config{URL: "opc.tcp://127.0.0.1", Security: "None"}, signals, testLog(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
