package opcua

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/server"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uasc"

	"linetwin/plant"
)

func subscribing() Config {
	return Config{Mode: ModeSubscribe, Publishing: 10 * time.Millisecond, Sampling: 5 * time.Millisecond, Timeout: 2 * time.Second}
}

// gather polls until so is satisfied with the readings of all rounds.
func gather(t *testing.T, d *Device, so func(all []plant.Reading) bool) ([]plant.Reading, plant.Round) {
	t.Helper()
	var all []plant.Reading
	var last plant.Round
	waitFor(t, func() bool {
		r := poll(t, d)
		if r.Through < last.Through {
			t.Fatalf("through went back from %v to %v", last.Through, r.Through)
		}
		last = r
		all = append(all, r.Readings...)
		return so(all)
	})
	return all, last
}

func TestSubscribeTellsChanges(t *testing.T) {
	s := useServer(t)
	s.space.set("s=a", int32(1))
	s.space.set("s=b", []float64{0.5, 1.5})
	d := connected(t, s, subscribing(), Signal{Name: "a", Node: nsu("s=a"), Type: "int32"},
		Signal{Name: "b0", Node: nsu("s=b"), Type: "float64", Index: new(0)}, Signal{Name: "b1", Node: nsu("s=b"), Type: "float64", Index: new(1)})
	first, _ := gather(t, d, func(all []plant.Reading) bool { return len(all) >= 3 })
	values := map[string]plant.Value{}
	for _, r := range first {
		values[r.Signal] = r.Value
	}
	if values["a"] != plant.Integer(1) || values["b0"] != plant.Float(0.5) || values["b1"] != plant.Float(1.5) {
		t.Fatalf("at first: %v", first)
	}
	claimed := poll(t, d).Through
	for i := range 30 {
		at := plant.Stamp(time.Now())
		s.space.set("s=a", int32(100+i))
		got, round := gather(t, d, func(all []plant.Reading) bool { return len(all) > 0 })
		r := got[len(got)-1]
		if r.Value != plant.Integer(int64(100+i)) || r.Quality != plant.Good {
			t.Fatalf("change %d: %v", i, r)
		}
		if r.Time <= claimed || r.Time > round.Through {
			t.Errorf("change at %v, claimed before %v, now %v", r.Time, claimed, round.Through)
		}
		if late := r.Time.Sub(at); late < 0 || late > time.Second {
			t.Errorf("change of %v has the time %v", at, r.Time)
		}
		claimed = round.Through
	}
}

func TestSubscribeClaimsQuietTime(t *testing.T) {
	s := useServer(t)
	s.space.set("s=a", int32(1))
	for _, heartbeat := range []string{"", "none"} {
		t.Run("heartbeat "+heartbeat, func(t *testing.T) {
			cfg := subscribing()
			cfg.Heartbeat = heartbeat
			d := connected(t, s, cfg, Signal{Name: "a", Node: nsu("s=a"), Type: "int32"})
			gather(t, d, func(all []plant.Reading) bool { return len(all) == 1 })
			from := poll(t, d).Through
			all, _ := gather(t, d, func([]plant.Reading) bool { return d.stamper.floor > from.Add(100*time.Millisecond) })
			if len(all) != 0 {
				t.Errorf("nothing changed, but: %v", all)
			}
			if ahead := d.stamper.floor.Sub(plant.At(time.Now())); ahead > 0 {
				t.Errorf("claims the future, by %v", ahead)
			}
		})
	}
}

func TestSubscribeFlagsNodes(t *testing.T) {
	s := useServer(t)
	s.space.set("s=a", int32(1))
	s.space.set("s=b", int32(2))
	d := connected(t, s, subscribing(), Signal{Name: "a", Node: nsu("s=a"), Type: "int32"}, Signal{Name: "b", Node: nsu("s=b"), Type: "int32"},
		Signal{Name: "gone", Node: nsu("s=gone"), Type: "int32"}, Signal{Name: "nowhere", Node: "nsu=urn:nowhere;i=1", Type: "int32"})
	all, _ := gather(t, d, func(all []plant.Reading) bool { return len(all) >= 4 })
	for _, r := range all {
		if bad := r.Signal == "gone" || r.Signal == "nowhere"; bad != (r.Quality == plant.Bad) || bad != (r.Reason != "") {
			t.Errorf("%+v", r)
		}
	}
	reconnect(t, d) // whoever was told that the device is lost must hear all of them again
	gather(t, d, func(all []plant.Reading) bool {
		seen := map[string]bool{}
		for _, r := range all {
			seen[r.Signal] = true
		}
		return len(seen) == 4
	})
	s.space.delete("s=b")
	all, _ = gather(t, d, func(all []plant.Reading) bool { return len(all) > 0 })
	if r := all[0]; len(all) != 1 || r.Signal != "b" || r.Reason != "BadNodeIdUnknown" {
		t.Errorf("after b was deleted: %v", all)
	}
	s.space.set("s=gone", int32(3))
	s.space.set("s=b", int32(4))
	for i := range d.targets {
		d.targets[i].retry = time.Time{}
	}
	got := map[string]plant.Value{}
	gather(t, d, func(all []plant.Reading) bool {
		for _, r := range all {
			if r.Quality == plant.Good {
				got[r.Signal] = r.Value
			}
		}
		return got["gone"] == plant.Integer(3) && got["b"] == plant.Integer(4)
	})
	s.space.delete("s=a")
	s.space.delete("s=b")
	s.space.delete("s=gone")
	waitFor(t, func() bool {
		_, err := d.Poll(t.Context(), nil)
		return err != nil && strings.Contains(err.Error(), "none of the 4 nodes")
	})
}

func TestSubscriptionOnAFrozenServer(t *testing.T) {
	s := useServer(t)
	s.space.set("s=a", int32(1))
	cfg := subscribing()
	cfg.Timeout = 500 * time.Millisecond
	d := connected(t, s, cfg, Signal{Name: "a", Node: nsu("s=a"), Type: "int32"})
	gather(t, d, func(all []plant.Reading) bool { return len(all) == 1 })
	s.proxy.freeze()
	defer s.proxy.thaw()
	var err error
	began := time.Now()
	waitFor(t, func() bool {
		_, err = d.Poll(t.Context(), nil)
		return err != nil
	})
	if !strings.Contains(err.Error(), "silent") && !strings.Contains(err.Error(), "no answer") {
		t.Errorf("error %v", err)
	}
	t.Logf("noticed after %v", time.Since(began))
	if d.session.broken() == nil {
		t.Error("the session with a frozen server goes on")
	}
	s.proxy.thaw()
	reconnect(t, d)
	s.space.set("s=a", int32(2))
	gather(t, d, func(all []plant.Reading) bool { return len(all) > 0 && all[len(all)-1].Value == plant.Integer(2) })
}

func TestSubscriptionThatTheServerForgot(t *testing.T) {
	s := useServer(t)
	s.space.set("s=a", int32(1))
	cfg := subscribing()
	cfg.Timeout = 500 * time.Millisecond
	d := connected(t, s, cfg, Signal{Name: "a", Node: nsu("s=a"), Type: "int32"})
	gather(t, d, func(all []plant.Reading) bool { return len(all) == 1 })
	s.SubscriptionService.DeleteSubscription(d.feeds[0].sub.id)
	var err error
	waitFor(t, func() bool {
		_, err = d.Poll(t.Context(), nil)
		return err != nil
	})
	if !strings.Contains(err.Error(), "silent, though the server lives") {
		t.Errorf("error %v", err)
	}
	reconnect(t, d)
	gather(t, d, func(all []plant.Reading) bool { return len(all) > 0 })
}

func TestSubscriptionAfterACut(t *testing.T) {
	s := useServer(t)
	s.space.set("s=a", int32(1))
	d := connected(t, s, subscribing(), Signal{Name: "a", Node: nsu("s=a"), Type: "int32"})
	gather(t, d, func(all []plant.Reading) bool { return len(all) == 1 })
	for i := range 5 {
		s.proxy.cut()
		waitFor(t, func() bool {
			_, err := d.Poll(t.Context(), nil)
			return err != nil
		})
		s.space.set("s=a", int32(10+i))
		reconnect(t, d)
		gather(t, d, func(all []plant.Reading) bool {
			return len(all) > 0 && all[len(all)-1].Value == plant.Integer(int64(10+i))
		})
	}
}

// A report may hold several changes of one node, and changes that come late.
func TestReportTimes(t *testing.T) {
	base := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	ms := func(n int) time.Time { return base.Add(time.Duration(n) * time.Millisecond) }
	type change struct{ value, at int }
	for _, c := range []struct {
		name    string
		claimed int // before, in ms
		server  int // when the server reported
		changes []change
		times   []int
		through int
	}{
		{"quiet", 100, 200, nil, nil, 150},
		{"one", 100, 200, []change{{1, 120}}, []int{120}, 150},
		{"newer than one sampling", 100, 200, []change{{1, 180}}, []int{180}, 180},
		{"two of a node", 100, 200, []change{{1, 120}, {2, 140}}, []int{120, 140}, 150},
		{"two at the same time", 100, 200, []change{{1, 120}, {2, 120}}, []int{120, 121}, 150},
		{"late", 100, 200, []change{{1, 90}}, []int{101}, 150},
		{"two late ones", 100, 200, []change{{1, 90}, {2, 95}}, []int{101, 102}, 150},
		{"from the future", 100, 200, []change{{1, 250}}, []int{150}, 150},
		{"a clock that went back", 100, 90, []change{{1, 80}}, []int{101}, 101},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &Device{machine: "m", log: quiet(), targets: []target{{signals: []int{0}}},
				signals: []signal{{name: "a", decoder: newDecoder(Signal{Type: "int32"})}}}
			d.stamper.claimed(plant.At(ms(c.claimed)))
			d.signals[0].history = history{seen: true, source: plant.At(ms(50)), last: plant.Reading{Machine: "m", Signal: "a", Time: plant.At(ms(60)), Value: plant.Integer(0)}}
			n := note{server: ms(c.server), at: ms(c.server)}
			for _, x := range c.changes {
				n.items = append(n.items, &ua.MonitoredItemNotification{ClientHandle: 1, Value: &ua.DataValue{Value: ua.MustVariant(int32(x.value)), SourceTimestamp: ms(x.at)}})
			}
			f := &feed{sub: &subscription{}, sampling: 50 * time.Millisecond}
			d.feeds = []*feed{f}
			got, missed := d.report(&session{}, f, &n, nil)
			var times []int
			for _, r := range got {
				times = append(times, int(r.Time.Sub(plant.At(base)).Milliseconds()))
			}
			through := int(d.claim(0).Sub(plant.At(base)).Milliseconds())
			if fmt.Sprint(times) != fmt.Sprint(c.times) || through != c.through || missed != 0 {
				t.Errorf("times %v through %d, want %v and %d", times, through, c.times, c.through)
			}
		})
	}
}

func TestOverflowIsCounted(t *testing.T) {
	d := &Device{machine: "m", log: quiet(), targets: []target{{signals: []int{0}}}, signals: []signal{{name: "a", decoder: newDecoder(Signal{Type: "int32"})}}}
	value := &ua.DataValue{Value: ua.MustVariant(int32(1)), Status: 0x0480}
	n := note{server: time.Now(), at: time.Now(), items: []*ua.MonitoredItemNotification{{ClientHandle: 1, Value: value}, nil, {ClientHandle: 9, Value: value}, {ClientHandle: 1}}}
	got, missed := d.report(&session{}, &feed{}, &n, nil)
	if missed != 1 || len(got) != 1 || got[0].Quality != plant.Good || got[0].Value != plant.Integer(1) {
		t.Errorf("missed %d, readings %v", missed, got)
	}
}

func TestReportsThatNobodyTakes(t *testing.T) {
	s := &subscription{fresh: make(chan struct{}, 1)}
	items := make([]*ua.MonitoredItemNotification, mostQueued/4)
	for range 6 {
		s.add(note{items: items})
	}
	notes, missed, _, _ := s.take()
	if len(notes) != 4 || missed != 2*len(items) {
		t.Errorf("%d reports wait, %d changes are missed", len(notes), missed)
	}
}

func TestMissingReportFailsTheSubscription(t *testing.T) {
	report := func(number uint32, status ua.StatusCode) *ua.PublishResponse {
		data := ua.NewExtensionObject(&ua.DataChangeNotification{})
		if status != 0 {
			data = ua.NewExtensionObject(&ua.StatusChangeNotification{Status: status})
		}
		return &ua.PublishResponse{ResponseHeader: &ua.ResponseHeader{}, NotificationMessage: &ua.NotificationMessage{SequenceNumber: number, NotificationData: []*ua.ExtensionObject{data}}}
	}
	for _, c := range []struct {
		name    string
		reports []*ua.PublishResponse
		want    string
	}{
		{"in order", []*ua.PublishResponse{report(1, 0), report(2, 0)}, ""},
		{"a hole", []*ua.PublishResponse{report(1, 0), report(3, 0)}, "a report of the subscription is missing"},
		{"ended", []*ua.PublishResponse{report(1, ua.StatusBadTimeout)}, "the server ended the subscription: BadTimeout"},
		{"given to another", []*ua.PublishResponse{report(1, ua.StatusGoodSubscriptionTransferred)}, "the server ended the subscription: GoodSubscriptionTransferred"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := publisher{}
			s := &subscription{next: 1, fresh: make(chan struct{}, 1)}
			for _, r := range c.reports {
				p.deliver(s, r, time.Now())
			}
			_, _, _, err := s.take()
			if got := fmt.Sprint(err); err != nil && got != c.want || (err == nil) != (c.want == "") {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if len(p.acks) != len(c.reports) {
				t.Errorf("%d acknowledged", len(p.acks))
			}
		})
	}
}

// A subscription that nobody knows, as after a create whose answer came too
// late, is deleted once, and no known one is.
func TestStraySubscriptionsAreDeleted(t *testing.T) {
	var mu sync.Mutex
	var deleted []uint32
	var s *testServer
	s = startServer(t, serverOptions{handlers: map[uint16]server.Handler{
		id.DeleteSubscriptionsRequest_Encoding_DefaultBinary: func(sc *uasc.SecureChannel, r ua.Request, n uint32) (ua.Response, error) {
			mu.Lock()
			deleted = append(deleted, r.(*ua.DeleteSubscriptionsRequest).SubscriptionIDs...)
			mu.Unlock()
			return s.SubscriptionService.DeleteSubscriptions(sc, r, n)
		},
	}})
	s.space.set("s=a", int32(1))
	d := connected(t, s, subscribing(), Signal{Name: "a", Node: nsu("s=a"), Type: "int32"})
	known := d.feeds[0].sub.id
	res, err := d.session.call(t.Context(), 10*time.Second, &ua.CreateSubscriptionRequest{RequestedPublishingInterval: 20,
		RequestedMaxKeepAliveCount: 1, RequestedLifetimeCount: 1000, PublishingEnabled: true})
	if err != nil {
		t.Fatal(err)
	}
	stray := res.(*ua.CreateSubscriptionResponse).SubscriptionID
	waitFor(t, func() bool { mu.Lock(); defer mu.Unlock(); return slices.Contains(deleted, stray) })
	s.space.set("s=a", int32(2))
	gather(t, d, func(all []plant.Reading) bool { return len(all) > 0 && all[len(all)-1].Value == plant.Integer(2) })
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(deleted, []uint32{stray}) {
		t.Errorf("deleted %d; %d is nobody's, %d is known", deleted, stray, known)
	}
}

func TestStraysAreDeletedOnce(t *testing.T) {
	p := publisher{subs: map[uint32]*subscription{1: {fresh: make(chan struct{}, 1)}}}
	deletes := 0
	for range 3 {
		for id := range uint32(2 * mostStrays) {
			if p.take(&ua.PublishResponse{SubscriptionID: id}, time.Now()) {
				deletes++
			}
		}
	}
	if deletes != mostStrays || p.strays[0] || p.strays[1] {
		t.Errorf("%d are deleted", deletes)
	}
}

// A server without room for another subscription has that device's nodes
// polled, and the others of its session keep theirs.
func TestServerWithoutRoomForSubscriptions(t *testing.T) {
	var s *testServer
	var room atomic.Int64
	room.Store(1)
	s = startServer(t, serverOptions{handlers: map[uint16]server.Handler{
		id.CreateSubscriptionRequest_Encoding_DefaultBinary: func(sc *uasc.SecureChannel, r ua.Request, n uint32) (ua.Response, error) {
			if room.Add(-1) < 0 {
				return nil, ua.StatusBadTooManySubscriptions
			}
			return s.SubscriptionService.CreateSubscription(sc, r, n)
		},
	}})
	s.space.set("s=a", int32(1))
	pool := NewPool(nil, quiet())
	cfg := subscribing()
	cfg.URL, cfg.Security = s.url(), "None"
	var devices []*Device
	for _, name := range []string{"m1", "m2"} {
		d, err := pool.Device(name, 20*time.Millisecond, cfg, []Signal{{Name: "a", Node: nsu("s=a"), Type: "int32"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		if err := d.Connect(t.Context()); err != nil {
			t.Fatal(name, err)
		}
		devices = append(devices, d)
	}
	for value := range int32(3) {
		s.space.set("s=a", 10+value)
		for _, d := range devices {
			gather(t, d, func(all []plant.Reading) bool {
				return len(all) > 0 && all[len(all)-1].Value == plant.Integer(int64(10+value))
			})
		}
	}
	first, second := devices[0], devices[1]
	if first.session != second.session || first.session.broken() != nil {
		t.Error("they do not share a session")
	}
	if first.targets[0].polled || !second.targets[0].polled || len(second.feeds) != 0 {
		t.Errorf("polled: %v, %v", first.targets[0].polled, second.targets[0].polled)
	}
	if want := "polled in place of subscribed, because the server says BadTooManySubscriptions: a"; !slices.Contains(second.Notes(), want) {
		t.Errorf("notes %q", second.Notes())
	}
}
