package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"
	"github.com/simonvetter/modbus"
)

func readState(t *testing.T, m Machine) error {
	t.Helper()
	c, err := modbus.NewClient(&modbus.ClientConfiguration{URL: m.URL, Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Open(); err != nil {
		return err
	}
	defer c.Close()
	c.SetUnitId(m.Unit)
	_, err = c.ReadRegister(0, modbus.HOLDING_REGISTER)
	return err
}

// TestForce runs on one plant: its start is what takes time.
func TestForce(t *testing.T) {
	p := startPlant(t, Config{Seed: 1})
	for _, c := range []struct {
		name string
		test func(*testing.T, *Plant)
	}{
		{"errors", forceErrors},
		{"frozen server", frozenServer},
		{"refusing server", refusingServer},
		{"stall Modbus", stallModbus},
		{"stalled unit behind a gateway", stalledUnitBehindAGateway},
		{"stall an OPC UA machine", stallOPCUAMachine},
		{"restart moves namespaces", restartMovesNamespaces},
		{"control", control},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, p) })
	}
}

func stallModbus(t *testing.T, p *Plant) {
	m := machineOf(t, p, "a-resistance")
	timeout := func(err error) bool {
		var n net.Error
		return errors.Is(err, modbus.ErrRequestTimedOut) || errors.As(err, &n) && n.Timeout()
	}
	for _, c := range []struct {
		mode string
		gone func(error) bool
	}{
		{Silent, timeout},
		{Refuse, func(err error) bool { return err != nil && !timeout(err) }},
	} {
		t.Run(c.mode, func(t *testing.T) {
			if err := readState(t, m); err != nil {
				t.Fatalf("before: %v", err)
			}
			if err := p.Stall(m.ID, c.mode); err != nil {
				t.Fatal(err)
			}
			if err := readState(t, m); !c.gone(err) {
				t.Errorf("stalled: %v", err)
			}
			if err := p.Resume(m.ID); err != nil {
				t.Fatal(err)
			}
			if err := readState(t, m); err != nil {
				t.Errorf("after: %v", err)
			}
		})
	}
}

func stalledUnitBehindAGateway(t *testing.T, p *Plant) {
	if err := p.Stall("b-welding", Silent); err != nil {
		t.Fatal(err)
	}
	defer p.Resume("b-welding")
	c := modbusClient(t, machineOf(t, p, "b-welding"))
	if _, err := c.ReadRegister(0, modbus.HOLDING_REGISTER); err != modbus.ErrGWTargetFailedToRespond {
		t.Errorf("dead unit: %v, want exception 11", err)
	}
	c.SetUnitId(machineOf(t, p, "b-packing").Unit)
	if _, err := c.ReadRegister(0, modbus.HOLDING_REGISTER); err != nil {
		t.Errorf("living unit: %v", err)
	}
	c.SetUnitId(77)
	if _, err := c.ReadRegister(0, modbus.HOLDING_REGISTER); err != modbus.ErrGWTargetFailedToRespond {
		t.Errorf("no such unit: %v, want exception 11", err)
	}
}

func stallOPCUAMachine(t *testing.T, p *Plant) {
	c := opcuaClient(t, p.Endpoints()[0].URL)
	m := machineOf(t, p, "b-calibration")
	if err := p.Stall(m.ID, Refuse); err != nil {
		t.Fatal(err)
	}
	if got := readOPCUA(t, c, m)["good"]; got.Status != ua.StatusBadNoCommunication {
		t.Errorf("refusing: %v", got.Status)
	}
	if err := p.Resume(m.ID); err != nil {
		t.Fatal(err)
	}
	if err := p.Stall(m.ID, Silent); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Set(m.ID, "speed", 1.5); err != nil {
		t.Fatal(err)
	}
	if got := readOPCUA(t, c, m)["speed"]; got.Status != ua.StatusOK || got.Value.Value() == 1.5 {
		t.Errorf("silent: %v %v, want the frozen value", got.Status, got.Value.Value())
	}
	if err := p.Resume(m.ID); err != nil {
		t.Fatal(err)
	}
	if got := readOPCUA(t, c, m)["speed"]; got.Value.Value() != 1.5 {
		t.Errorf("resumed: %v", got.Value.Value())
	}
}

func restartMovesNamespaces(t *testing.T, p *Plant) {
	url, m := p.Endpoints()[0].URL, machineOf(t, p, "a-packing")
	one := opcuaClient(t, url)
	before := resolve(t, one, m.Signals[0].Node)
	if err := p.RestartOPCUA(); err != nil {
		t.Fatal(err)
	}
	two := opcuaClient(t, url)
	if after := resolve(t, two, m.Signals[0].Node); after.Namespace() == before.Namespace() {
		t.Errorf("the namespace is at %d as before", after.Namespace())
	}
	if got := readOPCUA(t, two, m)["state"]; got.Status != ua.StatusOK {
		t.Errorf("state after the restart: %v", got.Status)
	}
}

func frozenServer(t *testing.T, p *Plant) {
	m := machineOf(t, p, "a-packing")
	c := opcuaClient(t, p.Endpoints()[0].URL)
	if err := p.Stall("opcua", Silent); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	node := resolveStatic(m.Signals[0].Node)
	go func() {
		_, err := c.Read(t.Context(), &ua.ReadRequest{NodesToRead: []*ua.ReadValueID{{NodeID: node, AttributeID: ua.AttributeIDValue}}})
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Fatalf("a frozen server answered: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	if err := p.Resume("opcua"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-answered:
		if err != nil {
			t.Errorf("after the thaw: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("no answer after the thaw")
	}
}

func refusingServer(t *testing.T, p *Plant) {
	address := strings.TrimPrefix(p.Endpoints()[0].URL, "opc.tcp://")
	open, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if err := p.Stall("opcua", Refuse); err != nil {
		t.Fatal(err)
	}
	open.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := open.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the open connection was not cut: %v", err)
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("a refusing server takes connections")
	}
	if err := p.Resume("opcua"); err != nil {
		t.Fatal(err)
	}
	opcuaClient(t, p.Endpoints()[0].URL)
}

// resolveStatic takes the namespace order of a fresh start.
func resolveStatic(node string) *ua.NodeID {
	uri, text, _ := strings.Cut(strings.TrimPrefix(node, "nsu="), ";s=")
	return ua.NewStringNodeID(map[string]uint16{namespacePlant: 1, namespaceA: 2, namespaceB: 3}[uri], text)
}

func forceErrors(t *testing.T, p *Plant) {
	for _, c := range []struct {
		name string
		do   func() error
		want string
	}{
		{"no machine", func() error { _, err := p.Set("a-painting", "state", 1); return err }, `machine "a-painting": not in the plant`},
		{"no signal", func() error { _, err := p.Set("a-welding", "lot", 1); return err }, "no such signal"},
		{"empty signal", func() error { _, err := p.Set("a-welding", "", 1); return err }, "no such signal"},
		{"text for a number", func() error { _, err := p.Set("a-welding", "state", "run"); return err }, "want integer"},
		{"number for a text", func() error { _, err := p.Set("a-welding", "product", 16); return err }, "want text"},
		{"fraction for a whole number", func() error { _, err := p.Set("a-welding", "state", 1.5); return err }, "want a whole number"},
		{"no mode", func() error { return p.Stall("a-welding", "slow") }, `mode "slow"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.do(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}

func control(t *testing.T, p *Plant) {
	srv := httptest.NewServer(p.Control())
	defer srv.Close()
	post := func(path, body string) (int, string) {
		t.Helper()
		res, err := srv.Client().Post(srv.URL+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(text)
	}
	for _, c := range []struct {
		path, body string
		code       int
		want       string
	}{
		{"/set", `{"machine":"a-riveting","signal":"state","value":9}`, 200, `"at":"20`},
		{"/set", `{"machine":"a-riveting","signal":"state","value":"x"}`, 400, "want integer"},
		{"/set", `{"machine":"a-riveting","sign":"state"}`, 400, "unknown field"},
		{"/jam", `{"machine":"nobody","fault":1,"seconds":20}`, 400, "not in the plant"},
		{"/stall", `{"machine":"a-marking"}`, 200, `"at"`},
		{"/resume", `{"machine":"a-marking"}`, 200, `"at"`},
		{"/restart", ``, 200, `"at"`},
	} {
		if code, text := post(c.path, c.body); code != c.code || !strings.Contains(text, c.want) {
			t.Errorf("POST %s %s: %d %s, want %d with %q", c.path, c.body, code, text, c.code, c.want)
		}
	}
	if v := readModbus(t, modbusClient(t, machineOf(t, p, "a-riveting")), machineOf(t, p, "a-riveting").Signals[0]); v.Integer != 9 {
		t.Errorf("state %d served after it was set to 9", v.Integer)
	}
	res, err := http.Get(srv.URL + "/status")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var st Status
	if err := json.NewDecoder(res.Body).Decode(&st); err != nil || len(st.Machines) != 16 {
		t.Errorf("status: %v, %d machines", err, len(st.Machines))
	}
	http.DefaultClient.CloseIdleConnections()
}

func ledgerAsJSON(t *testing.T, p *Plant) {
	var b bytes.Buffer
	if err := p.WriteLedger(&b); err != nil {
		t.Fatal(err)
	}
	var l Ledger
	if err := json.Unmarshal(b.Bytes(), &l); err != nil {
		t.Fatal(err)
	}
	from, to := time.UnixMilli(l.Anchor), time.UnixMilli(l.Now)
	for _, m := range l.Machines {
		for _, schedule := range []bool{false, true} {
			sums, err := l.Time(m.Machine, from, to, schedule)
			if err != nil {
				t.Fatal(err)
			}
			var total time.Duration
			for _, d := range sums {
				total += d
			}
			if total != to.Sub(from) {
				t.Errorf("%s: classes sum to %s of %s", m.Machine, total, to.Sub(from))
			}
			if schedule && sums[ClassNotScheduled] < 89*time.Minute {
				t.Errorf("%s: %s of breaks in 30 hours", m.Machine, sums[ClassNotScheduled])
			}
		}
		good, reject, err := l.Pieces(m.Machine, from.Truncate(time.Minute), to.Truncate(time.Minute).Add(time.Minute))
		if err != nil || good != m.Good || reject != m.Reject {
			t.Errorf("%s: minutes hold %d and %d (%v), totals %d and %d", m.Machine, good, reject, err, m.Good, m.Reject)
		}
	}
	if _, _, err := l.Pieces("a-welding", from.Add(time.Second), to); err == nil {
		t.Error("pieces of a part of a minute were counted")
	}
}
