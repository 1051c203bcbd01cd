package twin_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

func (r *rig) gateways() []plant.GatewayLive { return r.twin.Snapshot().Gateways }

func (r *rig) noticed(kind string) string {
	for _, n := range r.twin.Snapshot().Notices {
		if n.Kind == kind {
			return n.Text
		}
	}
	return ""
}

func (r *rig) born(session, installation string, start uint64) {
	r.twin.Birth(plant.GatewayBirth{Area: area, Gateway: gatewayID, Session: session, First: 1,
		Identity: plant.Identity{Installation: installation, Start: start, Host: "box-" + installation, Address: "10.0.0.1"}})
}

// TestInstalledAnew: a restart is told from another installation and from an
// older state of the folder, also when the twin was away meanwhile.
func TestInstalledAnew(t *testing.T) {
	r := newRig(t)
	r.eventually("the ledger is read", func() bool {
		r.born("s1", "one", 4)
		r.born("s2", "two", 1)
		return r.gateways()[0].Replaced != nil
	})
	r.born("s3", "two", 2)
	if g := r.gateways()[0]; g.Replaced.Before.Installation != "one" || g.Identity.Host != "box-two" {
		t.Errorf("after a restart: %+v", g)
	}
	r.twin.Status(plant.GatewayStatus{Area: area, Gateway: gatewayID, Time: r.now, Waiting: 77})
	r.twin.Death(area, gatewayID, r.now)
	r.close()
	r.start()
	r.born("s4", "three", 1)
	r.eventually("the ledger knows who it was", func() bool { return r.gateways()[0].Replaced != nil })
	if p := r.gateways()[0].Replaced; p.Before.Installation != "two" || p.Waiting != 77 || p.Restored {
		t.Errorf("while the twin was away: %+v", p)
	}
	if text := r.noticed("replaced"); !strings.Contains(text, "still held 77 readings") || !strings.Contains(text, "host box-three") {
		t.Errorf("notice %q", text)
	}
	r.born("s5", "three", 1)
	if p := r.gateways()[0].Replaced; !p.Restored {
		t.Errorf("the same start twice: %+v", p)
	}
	r.setClock(r.now.Add(25 * time.Hour))
	r.eventually("it is forgotten after a day", func() bool { return r.gateways()[0].Replaced == nil })
}

// TestRivalsEnd: what the wire found is shown to both and in the notices until
// nobody took the other's place for a while.
func TestRivalsEnd(t *testing.T) {
	r := newRig(t)
	here, other := plant.Identity{Installation: "one", Host: "box-1"}, plant.Identity{Installation: "two", Host: "box-2"}
	b := plant.GatewayBirth{Area: area, Gateway: gatewayID, Session: "s9", First: 1, Identity: here,
		Rivals: &plant.Rivals{Since: r.now, Last: r.now, Turns: 2, Here: here, Other: other}}
	r.twin.Birth(b)
	if g := r.gateways()[0]; g.Rivals == nil || g.Replaced != nil {
		t.Errorf("%+v", g)
	}
	if text := r.noticed("rivals"); !strings.Contains(text, "host box-1, installation one; and host box-2") {
		t.Errorf("notice %q", text)
	}
	r.setClock(r.now.Add(11 * time.Minute))
	r.eventually("they are over", func() bool { return r.gateways()[0].Rivals == nil })
}

// TestMachineOfTwoGateways: two gateways that tell of one machine are named,
// and one that a machine moves to is not.
func TestMachineOfTwoGateways(t *testing.T) {
	r := newRig(t)
	tell := func(gateway string, n int, historical bool) {
		at := begin.Add(time.Duration(n) * time.Second)
		r.setClock(at)
		r.twin.Batch(&plant.Batch{Area: area, Gateway: gateway, Machine: "press", Complete: plant.Span{From: at, To: at}, Historical: historical})
	}
	shared := func() (names []string) {
		for _, g := range r.gateways() {
			for _, s := range g.Shared {
				names = append(names, g.Gateway+": "+s.Machine+" with "+s.Area+"/"+s.Gateway)
			}
		}
		return names
	}
	for n := range 10 { // it moves, and the old gateway's backlog drains
		tell("edge-1", n, false)
	}
	for n := 10; n < 20; n++ {
		tell("edge-2", n, false)
		tell("edge-1", n, true)
	}
	time.Sleep(1100 * time.Millisecond) // a tick that could find something
	if got := shared(); got != nil {
		t.Errorf("a machine that moved is shared: %v", got)
	}
	n := 20
	r.eventually("both are named", func() bool {
		n++
		tell("edge-1", n%40+20, false)
		tell("edge-2", n%40+20, false)
		return len(shared()) == 2
	})
	if got, want := shared(), []string{"edge-1: press with assembly/edge-2", "edge-2: press with assembly/edge-1"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if text := r.noticed("shared"); text != "machine press is told of by two gateways: assembly/edge-1 and assembly/edge-2" {
		t.Errorf("notice %q", text)
	}
	tell("edge-1", 200, false)
	r.setClock(begin.Add(400 * time.Second))
	r.eventually("it is over", func() bool { return len(shared()) == 0 })
}
