package opcua

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

func TestPollReadsValues(t *testing.T) {
	s := useServer(t)
	s.space.set("s=state", int32(6))
	s.space.set("s=temperature", 21.5)
	d := connected(t, s, Config{}, Signal{Name: "state", Node: nsu("s=state"), Type: "int32"}, Signal{Name: "temperature", Node: "ns=2;s=temperature", Type: "float64"})
	before := plant.Stamp(time.Now())
	r := poll(t, d)
	after := plant.At(time.Now())
	if len(r.Readings) != 2 || r.Readings[0].Value != plant.Integer(6) || r.Readings[1].Value != plant.Float(21.5) {
		t.Fatalf("readings: %v", r.Readings)
	}
	if r.Through < before || r.Through > after {
		t.Errorf("through %v is not within the round, %v to %v", r.Through, before, after)
	}
	for _, x := range r.Readings {
		if x.Quality != plant.Good || x.Time > r.Through || x.Time%plant.Millisecond != 0 || x.Machine != "m" {
			t.Errorf("reading %+v", x)
		}
	}
}

// unregistered is a structure that the client has no type for.
type unregistered struct{ A, B uint32 }

func TestEveryTypeOverTheWire(t *testing.T) {
	at := time.Date(2026, 3, 1, 7, 30, 0, 123_000_000, time.UTC)
	cases := []struct {
		name   string
		value  any
		status ua.StatusCode
		signal Signal
		want   plant.Value
		reason string // with no value: bad
	}{
		{name: "boolean", value: true, want: plant.Boolean(true)},
		{name: "int8", value: int8(-8), want: plant.Integer(-8)},
		{name: "uint8", value: uint8(200), want: plant.Integer(200)},
		{name: "int16", value: int16(-300), want: plant.Integer(-300)},
		{name: "uint16", value: uint16(65535), want: plant.Integer(65535)},
		{name: "int32", value: int32(math.MinInt32), want: plant.Integer(math.MinInt32)},
		{name: "uint32", value: uint32(math.MaxUint32), want: plant.Integer(math.MaxUint32)},
		{name: "int64", value: int64(1<<53 + 1), want: plant.Integer(1<<53 + 1)},
		{name: "uint64", value: uint64(math.MaxInt64), want: plant.Integer(math.MaxInt64)},
		{name: "uint64", value: uint64(math.MaxInt64 + 1), reason: "above the largest integer"},
		{name: "float32", value: float32(1.5), want: plant.Float(1.5)},
		{name: "float64", value: math.Pi, want: plant.Float(math.Pi)},
		{name: "float64", value: math.NaN(), reason: "not a number"},
		{name: "float32", value: float32(math.Inf(-1)), reason: "infinite"},
		{name: "string", value: "零件 A-7", want: plant.Text("零件 A-7")},
		{name: "string", value: "42", want: plant.Text("42")},
		{name: "localizedtext", value: ua.NewLocalizedText("fertig"), want: plant.Text("fertig")},
		{name: "qualifiedname", value: &ua.QualifiedName{NamespaceIndex: 1, Name: "Motor"}, want: plant.Text("Motor")},
		{name: "datetime", value: at, want: plant.Text("2026-03-01T07:30:00.123Z")},
		{name: "bytestring", value: []byte{0xCA, 0xFE}, want: plant.Text("cafe")},
		{name: "statuscode", value: ua.StatusBadTimeout, want: plant.Integer(int64(ua.StatusBadTimeout))},
		{name: "guid", value: ua.NewGUID("72962B91-FA75-4AE6-8D28-B404DC7DAF63"), want: plant.Text("72962b91-fa75-4ae6-8d28-b404dc7daf63")},
		{name: "int16", value: []int16{5, -6, 7}, signal: Signal{Index: new(1)}, want: plant.Integer(-6)},
		{name: "int16", value: []int16{5, -6, 7}, signal: Signal{Index: new(3)}, reason: "the array has no index 3"},
		{name: "int16", value: []int16{5, -6, 7}, reason: "set index"},
		{name: "int16", value: int16(4), signal: Signal{Index: new(0)}, reason: "sent a single int16"},
		{name: "int16", value: [][]int16{{1, 2}, {3, 4}}, signal: Signal{Index: new(0)}, reason: "an array of 2 dimensions"},
		{name: "uint8", value: ua.ByteArray{1, 2, 3}, signal: Signal{Index: new(2)}, want: plant.Integer(3)},
		{name: "int16", value: int16(205), signal: Signal{Scale: new(0.1), Offset: new(-2.0)}, want: plant.Float(205*0.1 - 2)},
		{name: "int32", value: 2.5, reason: "configured int32, but the server sent float64"},
		{name: "float64", value: int32(2), reason: "configured float64, but the server sent int32"},
		{name: "string", value: int32(2), reason: "configured string, but the server sent int32"},
		{name: "int32", value: "2", reason: "configured int32, but the server sent string"},
		{name: "int32", value: &ua.ExtensionObject{EncodingMask: ua.ExtensionObjectBinary, TypeID: ua.NewFourByteExpandedNodeID(2, 3001), Value: &unregistered{1, 2}},
			reason: "configured int32, but the server sent a structure (ns=2;i=3001)"},
		{name: "int32", reason: "no value"},
		{name: "int32", status: ua.StatusBadCommunicationError, reason: "BadCommunicationError"},
		{name: "int32", value: int32(3), status: ua.StatusBadSensorFailure, reason: "BadSensorFailure"},
		{name: "int32", value: int32(3), status: ua.StatusUncertainLastUsableValue, want: plant.Integer(3), reason: "UncertainLastUsableValue"},
	}
	s := useServer(t)
	signals := make([]Signal, len(cases))
	for i, c := range cases {
		node := fmt.Sprintf("s=%d", i)
		s.space.setAt(node, c.value, time.Now(), c.status)
		signals[i] = c.signal
		signals[i].Name, signals[i].Node, signals[i].Type = fmt.Sprintf("s%d", i), nsu(node), c.name
	}
	r := poll(t, connected(t, s, Config{}, signals...))
	for i, c := range cases {
		t.Run(fmt.Sprintf("%s %v", c.name, c.value), func(t *testing.T) {
			got, quality := r.Readings[i], plant.Good
			switch {
			case c.reason != "" && c.want.IsNone():
				quality = plant.Bad
			case c.reason != "":
				quality = plant.Uncertain
			}
			if got.Value != c.want || got.Quality != quality || !strings.Contains(got.Reason, c.reason) || (c.reason == "") != (got.Reason == "") {
				t.Errorf("got %v %v %q, want %v %v %q", got.Value, got.Quality, got.Reason, c.want, quality, c.reason)
			}
		})
	}
}

func TestManySignalsAreReadInBatches(t *testing.T) {
	s := useServer(t)
	var signals []Signal
	for i := range 70 {
		s.space.set(fmt.Sprintf("i=%d", 1000+i), int32(i))
		signals = append(signals, Signal{Name: fmt.Sprintf("s%d", i), Node: nsu(fmt.Sprintf("i=%d", 1000+i)), Type: "int32"})
	}
	d := connected(t, s, Config{}, signals...)
	s.requests()
	r := poll(t, d)
	for i, x := range r.Readings {
		if x.Value != plant.Integer(int64(i)) {
			t.Errorf("reading %d: %v", i, x)
		}
	}
	if got := s.requests(); !slices.Equal(got, []int{32, 32, 6}) { // the server says 32
		t.Errorf("requests of %v nodes", got)
	}
	t.Run("a limit that the server does not tell", func(t *testing.T) {
		s.with(func() {
			s.refuse = func(r *ua.ReadRequest) error {
				if len(r.NodesToRead) > 10 {
					return ua.StatusBadTooManyOperations
				}
				return nil
			}
		})
		poll(t, d)
		s.requests()
		r := poll(t, d)
		if got := s.requests(); slices.Max(got) > 10 || len(r.Readings) != 70 || r.Readings[69].Value != plant.Integer(69) {
			t.Errorf("requests of %v nodes, last reading %v", got, r.Readings[69])
		}
	})
}

func TestOneBadNodeDoesNotHarmOthers(t *testing.T) {
	s := useServer(t)
	var signals []Signal
	for i := range 20 {
		s.space.set(fmt.Sprintf("i=%d", 1000+i), int32(i))
		signals = append(signals, Signal{Name: fmt.Sprintf("s%d", i), Node: nsu(fmt.Sprintf("i=%d", 1000+i)), Type: "int32"})
	}
	signals = append(signals, Signal{Name: "lost", Node: "nsu=urn:nowhere;s=x", Type: "int32"})
	s.space.delete("i=1003")
	s.space.set("i=1007", make([]bool, 70_000)) // larger than the library decodes
	d := connected(t, s, Config{}, signals...)
	check := func(r plant.Round, want map[int]string) {
		t.Helper()
		for i, x := range r.Readings {
			if reason, bad := want[i]; bad != (x.Quality == plant.Bad) || !strings.Contains(x.Reason, reason) {
				t.Errorf("%s: %v %v %q", x.Signal, x.Value, x.Quality, x.Reason)
			}
		}
	}
	bad := map[int]string{3: "BadNodeIdUnknown", 7: "cannot be decoded", 20: "no namespace \"urn:nowhere\""}
	check(poll(t, d), bad)
	s.requests()
	check(poll(t, d), bad)
	if got := s.requests(); !slices.Equal(got, []int{18}) {
		t.Errorf("bad nodes are asked for in every round: requests of %v", got)
	}
	s.space.set("i=1003", int32(33))
	s.space.set("i=1007", int32(77))
	for i := range d.targets {
		d.targets[i].retry = time.Time{}
	}
	check(poll(t, d), map[int]string{20: "no namespace"})
	if r := poll(t, d); r.Readings[3].Value != plant.Integer(33) || r.Readings[7].Value != plant.Integer(77) {
		t.Errorf("after they came back: %v %v", r.Readings[3], r.Readings[7])
	}
}

func TestAllNodesUnknownIsAnError(t *testing.T) {
	s := useServer(t)
	s.space.set("s=a", int32(1))
	s.space.set("s=b", int32(1))
	d := connected(t, s, Config{}, Signal{Name: "a", Node: nsu("s=a"), Type: "int32"}, Signal{Name: "b", Node: nsu("s=b"), Type: "int32"})
	poll(t, d)
	s.space.delete("s=a")
	s.space.delete("s=b")
	if _, err := d.Poll(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "none of the 2 nodes") {
		t.Fatalf("poll: %v", err)
	}
	s.space.set("s=a", int32(2))
	s.space.set("s=b", int32(3))
	if err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := poll(t, d); r.Readings[0].Value != plant.Integer(2) {
		t.Errorf("after connecting again: %v", r.Readings)
	}
}

func TestServiceFaultsEndTheSession(t *testing.T) {
	s := useServer(t)
	s.space.set("s=a", int32(1))
	d := connected(t, s, Config{}, Signal{Name: "a", Node: nsu("s=a"), Type: "int32"})
	for _, c := range []struct {
		name   string
		change func()
		want   string
	}{
		{"a fault", func() { s.refuse = func(*ua.ReadRequest) error { return ua.StatusBadSessionIDInvalid } }, "BadSessionIdInvalid"},
		{"too few results", func() { s.empty = true }, "asked for 1 values, the server sent 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := d.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			held := d.session
			s.with(c.change)
			_, err := d.Poll(t.Context(), nil)
			s.with(func() { s.refuse, s.empty = nil, false })
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("poll: %v", err)
			}
			if held.broken() == nil {
				t.Error("the session goes on")
			}
			if _, again := d.Poll(t.Context(), nil); again == nil {
				t.Error("a device whose session has ended can be polled")
			}
		})
	}
}

func TestRestartWithMovedNamespace(t *testing.T) {
	s := useServer(t)
	s.space.set("s=a", int32(1))
	d := connected(t, s, Config{}, Signal{Name: "a", Node: nsu("s=a"), Type: "int32"})
	poll(t, d)
	again := startServer(t, serverOptions{before: 3})
	t.Cleanup(func() {
		d.Close()
		s.proxy.cut() // before that server stops: it waits for who is connected
	})
	again.space.set("s=a", int32(2))
	s.proxy.redirect(again.address) // as if it were the same server after a start
	if _, err := d.Poll(t.Context(), nil); err == nil {
		t.Fatal("a server that is gone can be polled")
	}
	if err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := poll(t, d); r.Readings[0].Value != plant.Integer(2) || d.ways[0].nodes[0].NodeID.Namespace() != 4 {
		t.Errorf("after the restart: %v from namespace %d", r.Readings, d.ways[0].nodes[0].NodeID.Namespace())
	}
}

func TestConnectErrors(t *testing.T) {
	s := useServer(t)
	s.space.set("s=a", int32(1))
	for _, c := range []struct {
		name   string
		cfg    Config
		signal Signal
		want   string
	}{
		{"no server", Config{URL: "opc.tcp://127.0.0.1:1"}, Signal{Node: nsu("s=a")}, "connection refused"},
		{"not offered", Config{Security: "Basic256Sha256/Sign"}, Signal{Node: nsu("s=a")}, `does not offer Basic256Sha256/Sign, only ["None"]`},
		{"no user names", Config{User: User{Name: "u", Password: "p"}}, Signal{Node: nsu("s=a")}, "takes no user names"},
		{"no namespace", Config{}, Signal{Node: "nsu=urn:x;s=a"}, `none of the 1 nodes can be read; the first, nsu=urn:x;s=a: the server has no namespace "urn:x"`},
		{"no such path", Config{}, Signal{Node: "path:/Objects/Nothing"}, "none of the 1 nodes can be read; the first, path:/Objects/Nothing: browse path: i=85 has no 0:Nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.signal.Name, c.signal.Type = "a", "int32"
			d := newTestDevice(t, s, c.cfg, c.signal)
			err := d.Connect(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("connect: %v, want %q", err, c.want)
			}
			if _, again := d.Poll(t.Context(), nil); again == nil || !strings.Contains(again.Error(), "not connected") {
				t.Errorf("poll: %v", again)
			}
			if second := d.Connect(t.Context()); second == nil || second.Error() != err.Error() {
				t.Errorf("the same fault has another error the second time: %v", second)
			}
		})
	}
}

func TestBrowsePath(t *testing.T) {
	s := useServer(t)
	d := connected(t, s, Config{}, Signal{Name: "clock", Node: "path:/Objects/Server/ServerStatus/CurrentTime", Type: "datetime"})
	if r := poll(t, d); r.Readings[0].Quality != plant.Good || d.ways[0].nodes[0].NodeID.IntID() != 2258 {
		t.Errorf("%v from %v", r.Readings, d.ways[0].nodes[0].NodeID)
	}
}

func TestServerClock(t *testing.T) {
	s := useServer(t)
	for _, c := range []struct {
		name   string
		behind time.Duration
		reason string
	}{
		{"right", 0, ""},
		{"behind", 5 * time.Second, ""},
		{"ahead", -5 * time.Second, ""},
		{"far behind", time.Hour, reasonClock},
		{"far ahead", -time.Hour, reasonClock},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.with(func() { s.behind = c.behind })
			s.space.set("s=a", int32(0))
			d := connected(t, s, Config{}, Signal{Name: "a", Node: nsu("s=a"), Type: "int32"})
			last := poll(t, d)
			for i := range 20 {
				s.space.setAt("s=a", int32(i), time.Now().Add(-c.behind), ua.StatusOK)
				r := poll(t, d)
				x := r.Readings[0]
				if x.Value != last.Readings[0].Value && x.Time <= last.Through {
					t.Errorf("a change at %v, but all up to %v was claimed", x.Time, last.Through)
				}
				if x.Time > r.Through || r.Through <= last.Through || r.Through > plant.At(time.Now())+plant.Millisecond {
					t.Errorf("reading at %v, through %v after %v", x.Time, r.Through, last.Through)
				}
				if x.Reason != c.reason || (x.Quality == plant.Uncertain) != (c.reason != "") {
					t.Errorf("%v %q", x.Quality, x.Reason)
				}
				last = r
				time.Sleep(2 * time.Millisecond)
			}
			if got := d.Offset(); (got + c.behind).Abs() > time.Second {
				t.Errorf("offset %v", got)
			}
		})
	}
}

func TestReconnectingLeavesNothingBehind(t *testing.T) {
	s := useServer(t)
	s.space.set("s=a", int32(1))
	for _, mode := range []string{ModePoll, ModeSubscribe} {
		t.Run(mode, func(t *testing.T) {
			d := newTestDevice(t, s, Config{Mode: mode, Publishing: 10 * time.Millisecond}, Signal{Name: "a", Node: nsu("s=a"), Type: "int32"})
			once := func() {
				reconnect(t, d)
				poll(t, d)
			}
			once()
			d.Close()
			before := runtime.NumGoroutine()
			for range 30 {
				once()
			}
			d.Close()
			waitFor(t, func() bool { return runtime.NumGoroutine() <= before+2 })
		})
	}
}
