package opcua

import (
	"strings"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

func TestLook(t *testing.T) {
	s := useServer(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s.space.setAt("s=temp", 20.5, at, ua.StatusOK)
	s.space.setAt("s=old", int32(3), at, ua.StatusUncertainLastUsableValue)
	s.space.setAt("s=bad", nil, at, ua.StatusBadSensorFailure)
	s.space.set("s=array", []uint16{7, 8, 9})
	s.space.set("s=range", ua.NewExtensionObject(&ua.Range{Low: 1, High: 2}))
	e := explore(t, s.url())
	zero, nine := 0, 9
	for _, test := range []struct {
		node, typ string
		index     *int
		want      string // type, value, quality, reason, status
		hint      string
	}{
		{"s=temp", "float64", nil, "float64 20.5 good  Good", ""},
		{"s=temp", "", nil, "float64 20.5 good  Good", ""},
		{"s=temp", "int32", nil, "float64 – bad configured int32, but the server sent float64 Good", "type: float64 would fit"},
		{"s=temp", "float64", &zero, "float64 – bad configured index 0, but the server sent a single float64 Good", "no index would fit"},
		{"s=old", "int32", nil, "int32 3 uncertain UncertainLastUsableValue UncertainLastUsableValue", ""},
		{"s=bad", "int32", nil, " – bad BadSensorFailure BadSensorFailure", ""},
		{"s=bad", "", nil, " – bad BadSensorFailure BadSensorFailure", ""},
		{"s=array", "uint16", &zero, "uint16 7 good  Good", ""},
		{"s=array", "", &zero, "uint16 7 good  Good", ""},
		{"s=array", "", nil, "uint16 [7 8 9] good  Good", "an array of 3: with index a signal takes one element"},
		{"s=array", "uint16", nil, "uint16 – bad configured a single uint16, but the server sent an array: set index Good", "index: 0 to 2 would fit"},
		{"s=array", "int32", &nine, "uint16 – bad configured int32, but the server sent an array of uint16 Good", "type: uint16 and index: 0 to 2 would fit"},
		{"s=range", "", nil, "a structure – bad it is a structure, which no signal can be Good", ""},
		{"s=gone", "int32", nil, " – bad BadNodeIdUnknown BadNodeIdUnknown", ""},
	} {
		seen, err := e.Look(t.Context(), []Signal{{Name: "x", Node: nsu(test.node), Type: test.typ, Index: test.index}})
		if err != nil {
			t.Fatal(err)
		}
		g := seen[0]
		if got := strings.Join([]string{g.Type, g.Value.String(), g.Quality.String(), g.Reason, g.Status}, " "); got != test.want || g.Hint != test.hint {
			t.Errorf("%s as %q: got %q, hint %q", test.node, test.typ, got, g.Hint)
		}
		if test.node == "s=temp" && (g.Source != plant.At(at) || g.Server == 0) {
			t.Errorf("times %v, %v", g.Source, g.Server)
		}
	}
	seen, err := e.Look(t.Context(), []Signal{{Name: "a", Node: "nsu=urn:nobody;i=1", Type: "int32"}, {Name: "b", Node: nsu("s=temp"), Type: "float64"}})
	if err != nil || !strings.Contains(seen[0].Reason, `no namespace "urn:nobody"`) || seen[1].Value.Float() != 20.5 {
		t.Errorf("got %+v, %v", seen, err)
	}
}

// A server that takes few nodes at once is asked more often.
func TestLookInBatches(t *testing.T) {
	s := useServer(t)
	var signals []Signal
	for i := range 30 {
		name := string(rune('a' + i))
		s.space.set("s="+name, int32(i))
		signals = append(signals, Signal{Name: name, Node: nsu("s=" + name), Type: "int32"})
	}
	e := explore(t, s.url())
	s.with(func() {
		s.refuse = func(r *ua.ReadRequest) error {
			if len(r.NodesToRead) > 4 {
				return ua.StatusBadTooManyOperations
			}
			return nil
		}
	})
	seen, err := e.Look(t.Context(), signals)
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range seen {
		if g.Value.Integer() != int64(i) || g.Reason != "" {
			t.Errorf("got %+v", g)
		}
	}
}

func TestOffers(t *testing.T) {
	s := useServer(t)
	offers, err := Offers(t.Context(), s.url(), time.Minute)
	if err != nil || len(offers) != 1 || offers[0].Security != "None" || !offers[0].Usable || strings.Join(offers[0].Users, " ") != "anonymous" {
		t.Errorf("got %+v, %v", offers, err)
	}
	s.proxy.stop()
	if _, err := Offers(t.Context(), s.url(), time.Second); err == nil {
		t.Error("a server that is gone offers something")
	}
	if _, err := Offers(t.Context(), "opc.tcp://", time.Second); err == nil {
		t.Error("no server offers something")
	}
}

func TestExploreChecks(t *testing.T) {
	s := useServer(t)
	for _, c := range []Config{{URL: s.url()}, {URL: s.url(), Security: "Basic256Sha256/Sign"}, {URL: "tcp://x", Security: "None"}} {
		if e, err := Explore(t.Context(), c, nil, quiet()); err == nil {
			e.Close()
			t.Errorf("%+v is taken", c)
		}
	}
}
