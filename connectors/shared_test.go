package connectors

import (
	"testing"
	"time"

	"linetwin/plant"
)

// TestSharedLineOutages: devices that share a real connection are all lost when
// it fails and all found again, and never read a wrong value.
func TestSharedLineOutages(t *testing.T) {
	t.Parallel()
	r := newSite(t, protocols()[0]).rig(t)
	all := r.open(3)
	n := 0
	look := func() {
		for _, s := range all {
			n = (n + 1) % 1000
			r.peer.hold(n)
			round, err := s.Next(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range round.Readings {
				if x.Quality == plant.Good && (x.Signal == "n" && x.Value != plant.Integer(int64(n)) || x.Signal == "far" && x.Value != plant.Integer(int64(n+5000))) {
					t.Errorf("reading %+v while the device held %d", x, n)
				}
			}
		}
	}
	until := func(what string, link plant.Link) {
		t.Helper()
		began := time.Now()
		for ok := false; !ok; {
			if time.Since(began) > patience {
				t.Fatalf("%s: not within %v; %+v", what, patience, all[0].Status())
			}
			look()
			ok = true
			for _, s := range all {
				ok = ok && s.Status().Link == link
			}
		}
	}
	until("flow", plant.LinkFlowing)
	for name, w := range map[string]wire{"refused": refused, "frozen": frozen, "half open": swallows} {
		r.proxy.set(w)
		until("known to be lost: "+name, plant.LinkDown)
		r.proxy.set(whole)
		until("flow again: "+name, plant.LinkFlowing)
	}
	for _, s := range all {
		if s.demoted.demoted() {
			t.Errorf("%s is demoted although its line was dead as a whole", s.Machine())
		}
	}
}
