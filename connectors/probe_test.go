package connectors

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

// devices gives some machines of a protocol at one address.
func devices(p protocol, address string, n int) []Config {
	var all []Config
	for i := range n {
		c := p.config(address)
		c.Machine = fmt.Sprint("press-", i)
		all = append(all, c)
	}
	return all
}

// probed gives the protocols, modbus first.
func probed() []protocol {
	return slices.DeleteFunc(protocols(), func(p protocol) bool { return p.name != "modbus" && p.name != "opcua poll" })
}

// Each protocol's signals are read once, over one connection for all devices
// of an endpoint, and what is wrong with one is told beside the others.
func TestProbe(t *testing.T) {
	for _, p := range probed() {
		t.Run(p.name, func(t *testing.T) {
			served, address := p.peer(t)
			proxy := newProxy(t, address)
			served.advertise(proxy.listener.Addr().(*net.TCPAddr).Port)
			served.start(t)
			t.Cleanup(served.stop)
			served.hold(7)
			told := 0
			all, err := Probe(t.Context(), devices(p, proxy.address(), 3), ProbeOptions{Progress: func(done int, machine string) {
				if told++; done != told || machine != fmt.Sprint("press-", told-1) {
					t.Errorf("%d done, %s", done, machine)
				}
			}})
			if err != nil || len(all) != 3 {
				t.Fatalf("got %+v, %v", all, err)
			}
			for _, d := range all {
				if d.Err != nil || d.Endpoint == "" {
					t.Fatalf("got %+v", d)
				}
				for _, f := range d.Signals {
					reason, wrong := p.reasons[f.Signal.Name]
					if (f.Reading.Quality == plant.Bad) != wrong || reason != "" && f.Reading.Reason != reason {
						t.Errorf("%s: %+v", f.Signal.Name, f.Reading)
					}
				}
				if n, speed := d.Signals[0].Reading.Value.Integer(), d.Signals[2].Reading.Value.Float(); n != 7 || speed != 3.5 {
					t.Errorf("n %d, speed %v", n, speed)
				}
			}
			if _, ever := proxy.open(); ever != 1 {
				t.Errorf("%d connections", ever)
			}
			for now := 1; now > 0; now, _ = proxy.open() { // until the connection is closed
				time.Sleep(time.Millisecond)
			}
		})
	}
}

// What cannot be read is told of every device and signal.
func TestProbeOfWhatIsGone(t *testing.T) {
	for _, p := range probed() {
		t.Run(p.name, func(t *testing.T) {
			proxy := newProxy(t, "127.0.0.1:1") // closes whatever comes
			all, err := Probe(t.Context(), devices(p, proxy.address(), 20), ProbeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range all {
				if d.Err == nil || len(d.Signals) == 0 {
					t.Fatalf("got %+v", d)
				}
				for _, f := range d.Signals {
					if f.Reading.Quality != plant.Bad || f.Reading.Reason != d.Err.Error() {
						t.Errorf("got %+v", f.Reading)
					}
				}
			}
		})
	}
}

func TestProbeInterrupted(t *testing.T) {
	for _, p := range probed() {
		t.Run(p.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never answers
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer time.AfterFunc(50*time.Millisecond, cancel).Stop()
			cfgs := devices(p, l.Addr().String(), 3)
			for i := range cfgs {
				if cfgs[i].Modbus != nil {
					cfgs[i].Modbus.Timeout = time.Minute
				} else {
					cfgs[i].OPCUA.Timeout = time.Minute
				}
			}
			all, err := Probe(ctx, cfgs, ProbeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range all {
				if d.Err == nil || !strings.Contains(d.Err.Error(), "interrupted") {
					t.Errorf("%s: %v", d.Machine, d.Err)
				}
			}
		})
	}
}

func TestProbeChecks(t *testing.T) {
	p := probed()[1]
	c := p.config("127.0.0.1:1")
	c.Signals[0].Type = ""
	if _, err := Probe(t.Context(), []Config{c}, ProbeOptions{}); err == nil || !strings.Contains(err.Error(), "devices[0].signals[0].type") {
		t.Errorf("got %v", err)
	}
	if _, err := Probe(t.Context(), []Config{c}, ProbeOptions{AnyType: true}); err != nil {
		t.Errorf("got %v", err)
	}
}
