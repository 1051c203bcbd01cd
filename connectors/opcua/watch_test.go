package opcua

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/server"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uasc"

	"linetwin/plant"
)

// failing polls until that fails, and gives why.
func failing(t *testing.T, d *Device, meanwhile func()) string {
	t.Helper()
	var err error
	waitFor(t, func() bool {
		meanwhile()
		_, err = d.Poll(t.Context(), nil)
		return err != nil
	})
	return err.Error()
}

// A subscription that speaks may be dead for a node: reading tells.
func TestItemThatDiedSilently(t *testing.T) {
	s := useServer(t)
	s.space.set("s=dead", int32(1))
	s.space.set("s=lives", int32(1))
	cfg := subscribing()
	cfg.Timeout = 300 * time.Millisecond
	d := connected(t, s, cfg, Signal{Name: "dead", Node: nsu("s=dead"), Type: "int32"}, Signal{Name: "lives", Node: nsu("s=lives"), Type: "int32"})
	gather(t, d, func(all []plant.Reading) bool { return len(all) == 2 })
	check := func() { d.audit.next = time.Unix(1, 0) }
	n := int32(1)
	lively := func() {
		n++
		s.space.set("s=lives", n)
	}
	for range 20 { // nothing is wrong yet
		check()
		lively()
		poll(t, d)
	}
	gather(t, d, func([]plant.Reading) bool { return len(d.audit.doubts) == 0 })
	s.MonitoredItemService.DeleteMonitoredItem(d.targets[0].item)
	s.space.set("s=dead", int32(2))
	check()
	why := failing(t, d, lively)
	if !strings.Contains(why, "the subscription is dead: "+nsu("s=dead")+" has changed, and no report tells of it") {
		t.Fatal(why)
	}
	reconnect(t, d)
	gather(t, d, func(all []plant.Reading) bool {
		for _, r := range all {
			if r.Signal == "dead" && r.Value == plant.Integer(2) {
				return true
			}
		}
		return false
	})
	if d.audit.rebuilt != 1 {
		t.Errorf("rebuilt %d times", d.audit.rebuilt)
	}
	t.Run("a node that went with its item", func(t *testing.T) {
		s.MonitoredItemService.DeleteMonitoredItem(d.targets[0].item)
		s.space.delete("s=dead")
		poll(t, d)
		check()
		if why := failing(t, d, lively); !strings.Contains(why, "the subscription is dead") {
			t.Error(why)
		}
	})
}

func TestWhatReadsOtherwise(t *testing.T) {
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	value := func(v any, later time.Duration, status ua.StatusCode) *ua.DataValue {
		dv := &ua.DataValue{Status: status, SourceTimestamp: at.Add(later)}
		if v != nil {
			dv.Value = ua.MustVariant(v)
		}
		return dv
	}
	for _, c := range []struct {
		name     string
		signal   Signal
		reported *ua.DataValue
		read     *ua.DataValue
		want     bool
	}{
		{"the same", Signal{Type: "float64"}, value(1.0, 0, 0), value(1.0, time.Second, 0), false},
		{"another", Signal{Type: "float64"}, value(1.0, 0, 0), value(1.1, time.Second, 0), true},
		{"another, no newer", Signal{Type: "float64"}, value(1.0, 0, 0), value(1.1, 0, 0), false},
		{"another, no time", Signal{Type: "float64"}, value(1.0, 0, 0), &ua.DataValue{Value: ua.MustVariant(1.1)}, true},
		{"within the deadband", Signal{Type: "float64", Deadband: 0.2}, value(1.0, 0, 0), value(1.1, time.Second, 0), false},
		{"outside of the deadband", Signal{Type: "float64", Deadband: 0.2}, value(1.0, 0, 0), value(1.3, time.Second, 0), true},
		{"percent of a range that only the server knows", Signal{Type: "float64", DeadbandPercent: 1}, value(1.0, 0, 0), value(9.0, time.Second, 0), false},
		{"text", Signal{Type: "string"}, value("a", 0, 0), value("b", time.Second, 0), true},
		{"quality", Signal{Type: "float64"}, value(1.0, 0, 0), value(1.0, time.Second, ua.StatusUncertainLastUsableValue), true},
		{"gone", Signal{Type: "float64"}, value(1.0, 0, 0), value(nil, time.Second, ua.StatusBadNodeIDUnknown), true},
		{"may not be read", Signal{Type: "float64"}, value(1.0, 0, 0), value(nil, time.Second, ua.StatusBadUserAccessDenied), false},
		{"element of an array", Signal{Type: "int16", Index: new(1)}, value([]int16{1, 2}, 0, 0), value([]int16{9, 2}, time.Second, 0), false},
		{"nothing", Signal{Type: "float64"}, value(1.0, 0, 0), nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &Device{targets: []target{{signals: []int{0}, data: c.reported}}, signals: []signal{{decoder: newDecoder(c.signal), deadband: newDeadband(c.signal)}}}
			if got := d.differs(0, c.read); got != c.want {
				t.Errorf("differs: %v", got)
			}
		})
	}
}

// A heartbeat that goes on without being reported is a dead subscription, long
// before a keep-alive is overdue.
func TestHeartbeatThatIsNotReported(t *testing.T) {
	s := useServer(t)
	s.space.set("s=a", int32(1))
	s.space.set("s=beat", int32(0))
	cfg := subscribing()
	cfg.Publishing, cfg.Timeout, cfg.Heartbeat = 50*time.Millisecond, 300*time.Millisecond, nsu("s=beat")
	d := connected(t, s, cfg, Signal{Name: "a", Node: nsu("s=a"), Type: "int32"})
	n := int32(0)
	beat := func() {
		n++
		s.space.set("s=beat", n)
	}
	waitFor(t, func() bool {
		beat()
		poll(t, d)
		return d.feeds[0].regular()
	})
	s.SubscriptionService.DeleteSubscription(d.feeds[0].sub.id)
	if why := failing(t, d, beat); !strings.Contains(why, "though the heartbeat goes on") {
		t.Error(why)
	}
}

// Whatever the server says of a subscription or session, data flows again.
func TestFaultsOfPublish(t *testing.T) {
	var fault atomic.Uint32
	var s *testServer
	s = startServer(t, serverOptions{before: 1, handlers: map[uint16]server.Handler{
		id.PublishRequest_Encoding_DefaultBinary: func(sc *uasc.SecureChannel, r ua.Request, n uint32) (ua.Response, error) {
			if f := fault.Swap(0); f != 0 {
				return nil, ua.StatusCode(f)
			}
			return s.SubscriptionService.Publish(sc, r, n)
		},
	}})
	s.space.set("s=a", int32(0))
	d := connected(t, s, subscribing(), Signal{Name: "a", Node: nsu("s=a"), Type: "int32"})
	for i, status := range []ua.StatusCode{ua.StatusBadNoSubscription, ua.StatusBadSessionIDInvalid, ua.StatusBadSessionClosed, ua.StatusBadSecureChannelIDInvalid, ua.StatusBadInternalError} {
		t.Run(statusName(status), func(t *testing.T) {
			n := int32(100 * i)
			fault.Store(uint32(status))
			why := failing(t, d, func() { n++; s.space.set("s=a", n) })
			if !strings.Contains(why, statusName(status)) {
				t.Error(why)
			}
			reconnect(t, d)
			gather(t, d, func(all []plant.Reading) bool {
				return len(all) > 0 && all[len(all)-1].Value == plant.Integer(int64(n))
			})
		})
	}
}
