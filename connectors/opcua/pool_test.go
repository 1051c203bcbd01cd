package opcua

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

func poolDevices(t *testing.T, s *testServer, p *Pool, n int, cfg Config) []*Device {
	t.Helper()
	cfg.URL, cfg.Security = s.url(), "None"
	var all []*Device
	for i := range n {
		node := fmt.Sprintf("s=m%d", i)
		s.space.set(node, int32(i))
		d, err := p.Device(fmt.Sprintf("m%d", i), 20*time.Millisecond, cfg, []Signal{{Name: "a", Node: nsu(node), Type: "int32"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		all = append(all, d)
	}
	return all
}

// together does something with all devices at once.
func together(devices []*Device, do func(i int, d *Device)) {
	var wg sync.WaitGroup
	for i, d := range devices {
		wg.Go(func() { do(i, d) })
	}
	wg.Wait()
}

func TestDevicesShareOneSession(t *testing.T) {
	s := useServer(t)
	devices := poolDevices(t, s, NewPool(nil, testLog(t)), 6, Config{})
	connect := func(_ int, d *Device) {
		if err := d.Connect(t.Context()); err != nil {
			t.Error(err)
		}
	}
	pollAll := func(i int, d *Device) {
		for range 20 {
			r, err := d.Poll(t.Context(), nil)
			if err != nil || r.Readings[0].Value != plant.Integer(int64(i)) {
				t.Errorf("device %d: %v %v", i, r.Readings, err)
				return
			}
		}
	}
	together(devices, connect)
	together(devices, pollAll)
	if made, open := s.proxy.connections(); made != 1 || open != 1 {
		t.Fatalf("%d connections were made, %d are open", made, open)
	}
	t.Run("a broken session is rebuilt once", func(t *testing.T) {
		s.proxy.cut()
		together(devices, func(i int, d *Device) {
			waitFor(t, func() bool { _, err := d.Poll(t.Context(), nil); return err != nil })
			d.Close()
		})
		together(devices, connect)
		together(devices, pollAll)
		if made, open := s.proxy.connections(); made != 2 || open != 1 {
			t.Errorf("%d connections were made, %d are open", made, open)
		}
	})
	t.Run("the last one closes", func(t *testing.T) {
		for i, d := range devices[:5] {
			d.Close()
			d.Close()
			if devices[5].session.broken() != nil {
				t.Fatalf("device %d closed the others' session", i)
			}
		}
		devices[5].Close()
		waitFor(t, func() bool { _, open := s.proxy.connections(); return open == 0 })
	})
}

func TestDevicesOfOtherUsersHaveTheirOwnSession(t *testing.T) {
	s := useServer(t)
	p := NewPool(nil, quiet())
	a := poolDevices(t, s, p, 1, Config{})[0]
	b := poolDevices(t, s, p, 1, Config{User: User{Name: "u"}})[0]
	if a.link == b.link {
		t.Error("devices of two users share a session")
	}
	if c := poolDevices(t, s, p, 1, Config{Mode: ModeSubscribe, Timeout: time.Second})[0]; a.link != c.link {
		t.Error("devices of one user do not share a session")
	}
}

func TestOneStalledRequestLetsOthersGoOn(t *testing.T) {
	stall := make(chan struct{})
	s := useServer(t)
	devices := poolDevices(t, s, NewPool(nil, testLog(t)), 2, Config{Timeout: 200 * time.Millisecond})
	for _, d := range devices {
		if err := d.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// A fault of the kind "no answer" only for what device 0 reads: the library's
	// server answers in order, so that it must not answer at all.
	s.with(func() {
		s.mute = func(r *ua.ReadRequest) bool { return r.NodesToRead[0].NodeID.StringID() == "m0" }
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(stall)
		if _, err := devices[0].Poll(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "no answer in time") {
			t.Errorf("stalled device: %v", err)
		}
	})
	rounds := 0
	for done := false; !done; rounds++ {
		poll(t, devices[1])
		select {
		case <-stall:
			done = true
		default:
		}
	}
	wg.Wait()
	if rounds < 5 {
		t.Errorf("only %d rounds of the other device", rounds)
	}
	if devices[1].session.broken() != nil {
		t.Error("the session was given up although the server answers")
	}
	t.Run("a server that answers nothing", func(t *testing.T) {
		s.proxy.freeze()
		defer s.proxy.thaw()
		if _, err := devices[1].Poll(t.Context(), nil); err == nil {
			t.Fatal("a frozen server was polled")
		}
		if devices[1].session.broken() == nil {
			t.Error("the session with a frozen server goes on")
		}
	})
}

func TestConnectEndsWithItsContext(t *testing.T) {
	s := useServer(t)
	devices := poolDevices(t, s, NewPool(nil, quiet()), 3, Config{})
	s.proxy.freeze()
	defer s.proxy.thaw()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	together(devices, func(_ int, d *Device) {
		if err := d.Connect(ctx); err == nil {
			t.Error("connected to a frozen server")
		}
	})
}

func TestSubscribersShareOneSession(t *testing.T) {
	s := useServer(t)
	devices := poolDevices(t, s, NewPool(nil, testLog(t)), 4, subscribing())
	together(devices, func(i int, d *Device) {
		if err := d.Connect(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		return
	}
	together(devices, func(i int, d *Device) {
		for n := range 5 {
			want := int32(100*i + n)
			s.space.set(fmt.Sprintf("s=m%d", i), want)
			gather(t, d, func(all []plant.Reading) bool {
				return len(all) > 0 && all[len(all)-1].Value == plant.Integer(int64(want))
			})
		}
	})
	if made, _ := s.proxy.connections(); made != 1 {
		t.Errorf("%d connections were made", made)
	}
	devices[0].Close()
	s.space.set("s=m1", int32(7))
	gather(t, devices[1], func(all []plant.Reading) bool { return len(all) > 0 && all[len(all)-1].Value == plant.Integer(7) })
}

func TestSettingsAreChecked(t *testing.T) {
	_, err := NewPool(nil, quiet()).Device("press", 0, Config{URL: "http://x", Mode: "push"}, []Signal{{Name: "a"}})
	for _, want := range []string{"settings of press", "url: found \"http://x\"", "security: missing", "mode", "every", "signals[0].node: missing", "signals[0].type: missing"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not tell of %q", err, want)
		}
	}
}
