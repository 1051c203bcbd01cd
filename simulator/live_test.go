package simulator

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"math"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"
	"github.com/simonvetter/modbus"
)

// resolve turns "nsu=URI;s=ID" into a node id of the server as it is now.
func resolve(t *testing.T, c *opcua.Client, node string) *ua.NodeID {
	t.Helper()
	uri, text, _ := strings.Cut(strings.TrimPrefix(node, "nsu="), ";s=")
	index, err := c.FindNamespace(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	return ua.NewStringNodeID(index, text)
}

// readOPCUA reads all signals of a machine in one request.
func readOPCUA(t *testing.T, c *opcua.Client, m Machine) map[string]*ua.DataValue {
	t.Helper()
	req := &ua.ReadRequest{TimestampsToReturn: ua.TimestampsToReturnBoth}
	for _, s := range m.Signals {
		req.NodesToRead = append(req.NodesToRead, &ua.ReadValueID{NodeID: resolve(t, c, s.Node), AttributeID: ua.AttributeIDValue})
	}
	res, err := c.Read(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]*ua.DataValue{}
	for i, s := range m.Signals {
		values[s.Name] = res.Results[i]
	}
	return values
}

// readModbus reads one signal and decodes it as its description says.
func readModbus(t *testing.T, c *modbus.ModbusClient, s Signal) Value {
	t.Helper()
	table, text, _ := strings.Cut(s.Address, ":")
	address, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	kind, words := modbus.HOLDING_REGISTER, uint16(1)
	if table == "input" {
		kind = modbus.INPUT_REGISTER
	}
	if s.Type != "uint16" {
		words = 2
	}
	r, err := c.ReadRegisters(uint16(address), words, kind)
	if err != nil {
		t.Fatalf("%s: %v", s.Address, err)
	}
	if words == 1 {
		return Value{Kind: Integer, Integer: int64(r[0])}
	}
	var wire, ordered [4]byte
	binary.BigEndian.PutUint16(wire[:], r[0])
	binary.BigEndian.PutUint16(wire[2:], r[1])
	for i, letter := range s.Order {
		ordered[letter-'A'] = wire[i]
	}
	bits := binary.BigEndian.Uint32(ordered[:])
	if s.Type == "float32" {
		return Value{Kind: Float, Float: float64(math.Float32frombits(bits))}
	}
	return Value{Kind: Integer, Integer: int64(bits)}
}

func status(t *testing.T, p *Plant, id string) MachineStatus {
	t.Helper()
	for _, m := range p.Status().Machines {
		if m.Machine == id {
			return m
		}
	}
	t.Fatalf("no machine %s", id)
	return MachineStatus{}
}

// base gives what a machine's counters said at the anchor.
func base(p *Plant, id string) (good, reject int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.machines[id].station
	return s.cells[slotGood].n - s.stats.good, s.cells[slotReject].n - s.stats.reject
}

// TestLive runs on one plant: its start is what takes time.
func TestLive(t *testing.T) {
	p := startPlant(t, Config{Seed: 1, Anchor: time.Now().Add(-30 * time.Hour)})
	for _, c := range []struct {
		name string
		test func(*testing.T, *Plant)
	}{
		{"counters agree with the ledger", countersAgreeWithTheLedger},
		{"holes in a register table", holesInARegisterTable},
		{"subscription", subscription},
		{"source time is that of the process", sourceTimeIsThatOfTheProcess},
		{"encrypted channels", encryptedChannels},
		{"browse", browse},
		{"ledger as JSON", ledgerAsJSON},
		{"live goes on from the past", liveGoesOnFromThePast},
		{"every signal is served", everySignalIsServed},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, p) })
	}
}

func countersAgreeWithTheLedger(t *testing.T, p *Plant) {
	oc := opcuaClient(t, p.Endpoints()[0].URL)
	for _, m := range p.Describe().Machines {
		t.Run(m.ID, func(t *testing.T) {
			before := status(t, p, m.ID)
			var good, reject, state int64
			width := int64(1 << 16)
			if m.Protocol == "opcua" {
				width = 1 << 32
				got := readOPCUA(t, oc, m)
				good, reject = int64(got["good"].Value.Value().(uint32)), int64(got["reject"].Value.Value().(uint32))
				state = int64(got["state"].Value.Value().(int32))
			} else {
				c := modbusClient(t, m)
				for _, s := range m.Signals {
					switch v := readModbus(t, c, s); s.Name {
					case "good":
						good = v.Integer
					case "reject":
						reject = v.Integer
					case "state":
						state = v.Integer
					}
				}
			}
			after := status(t, p, m.ID)
			zero, none := base(p, m.ID)
			between := func(what string, served, zero, low, high int64) {
				if made := ((served-zero)%width + width) % width; made < low%width || made > high%width && low/width == high/width {
					t.Errorf("%s counter %d tells %d since the anchor, the ledger %d to %d", what, served, made, low, high)
				}
			}
			between("good", good, zero, before.Good, after.Good)
			between("reject", reject, none, before.Reject, after.Reject)
			if before.State == after.State && state != before.State {
				t.Errorf("state %d served, the ledger has %d", state, before.State)
			}
		})
	}
}

func everySignalIsServed(t *testing.T, p *Plant) {
	oc := opcuaClient(t, p.Endpoints()[0].URL)
	for _, m := range p.Describe().Machines {
		t.Run(m.ID, func(t *testing.T) {
			if m.Protocol == "modbus" {
				c := modbusClient(t, m)
				for _, s := range m.Signals {
					want, err := valueOf(s.Kind, 1234)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := p.Set(m.ID, s.Name, 1234); err != nil {
						t.Fatal(err)
					}
					if got := readModbus(t, c, s); got != want {
						t.Errorf("%s at %s: %v, want %v", s.Name, s.Address, got, want)
					}
					if _, err := p.Set(m.ID, s.Name, nil); err != nil {
						t.Fatal(err)
					}
				}
				return
			}
			now := time.Now()
			for name, v := range readOPCUA(t, oc, m) {
				if v.Status != ua.StatusOK || v.Value == nil {
					t.Errorf("%s: %v", name, v.Status)
					continue
				}
				if v.SourceTimestamp.After(now.Add(time.Minute)) || v.SourceTimestamp.Before(p.cfg.Anchor.Add(-time.Second)) {
					t.Errorf("%s: source time %s", name, v.SourceTimestamp)
				}
			}
		})
	}
}

func holesInARegisterTable(t *testing.T, p *Plant) {
	c := modbusClient(t, machineOf(t, p, "a-marking"))
	if _, err := c.ReadRegisters(0, 5, modbus.HOLDING_REGISTER); err != nil {
		t.Errorf("0 to 4: %v", err)
	}
	for _, first := range []uint16{4, 5, 14, 104} {
		if _, err := c.ReadRegisters(first, 4, modbus.HOLDING_REGISTER); err != modbus.ErrIllegalDataAddress {
			t.Errorf("%d and on: %v, want an illegal address", first, err)
		}
	}
	if err := c.WriteRegister(2, 0); err != modbus.ErrIllegalFunction {
		t.Errorf("write: %v, want an illegal function", err)
	}
}

// watch subscribes to all signals of a machine, by their index in the list.
func watch(t *testing.T, c *opcua.Client, m Machine) chan *opcua.PublishNotificationData {
	t.Helper()
	ch := make(chan *opcua.PublishNotificationData, 64)
	sub, err := c.Subscribe(t.Context(), &opcua.SubscriptionParameters{Interval: 50 * time.Millisecond}, ch)
	if err != nil {
		t.Fatal(err)
	}
	var items []*ua.MonitoredItemCreateRequest
	for i, s := range m.Signals {
		items = append(items, opcua.NewMonitoredItemCreateRequestWithDefaults(resolve(t, c, s.Node), ua.AttributeIDValue, uint32(i)))
	}
	bad := opcua.NewMonitoredItemCreateRequestWithDefaults(ua.NewStringNodeID(1, "A.Nobody"), ua.AttributeIDValue, 99)
	res, err := sub.Monitor(t.Context(), ua.TimestampsToReturnBoth, append(items, bad)...)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range res.Results {
		if want := map[bool]ua.StatusCode{true: ua.StatusOK, false: ua.StatusBadNodeIDUnknown}[i < len(items)]; r.StatusCode != want {
			t.Errorf("item %d: %v, want %v", i, r.StatusCode, want)
		}
	}
	return ch
}

// await takes notifications until ok is true for one.
func await(t *testing.T, ch chan *opcua.PublishNotificationData, ok func(handle uint32, v *ua.DataValue) bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case n := <-ch:
			if n.Error != nil {
				t.Fatal(n.Error)
			}
			change, _ := n.Value.(*ua.DataChangeNotification)
			if change == nil {
				continue
			}
			for _, item := range change.MonitoredItems {
				if ok(item.ClientHandle, item.Value) {
					return
				}
			}
		case <-deadline:
			t.Fatal("no such notification")
		}
	}
}

func subscription(t *testing.T, p *Plant) {
	c := opcuaClient(t, p.Endpoints()[0].URL)
	m := machineOf(t, p, "a-calibration")
	ch := watch(t, c, m)
	first := map[uint32]bool{}
	await(t, ch, func(handle uint32, v *ua.DataValue) bool {
		first[handle] = true
		return len(first) == len(m.Signals)
	})
	at, err := p.Set(m.ID, "temperature", 99.5)
	if err != nil {
		t.Fatal(err)
	}
	await(t, ch, func(handle uint32, v *ua.DataValue) bool {
		if m.Signals[handle].Name != "temperature" || v.Value.Value() != 99.5 {
			return false
		}
		if d := v.SourceTimestamp.Sub(at); d.Abs() > time.Microsecond {
			t.Errorf("source time off by %s", d)
		}
		return true
	})
}

func sourceTimeIsThatOfTheProcess(t *testing.T, p *Plant) {
	c := opcuaClient(t, p.Endpoints()[0].URL)
	var m Machine
	var at time.Time
	var ch chan *opcua.PublishNotificationData
	for _, id := range p.Endpoints()[0].Machines { // one that is not jammed by itself
		m = machineOf(t, p, id)
		ch = watch(t, c, m)
		var err error
		if at, err = p.Jam(id, 205, time.Minute); err == nil {
			break
		}
	}
	await(t, ch, func(handle uint32, v *ua.DataValue) bool {
		if m.Signals[handle].Name != "state" || v.Value.Value() != int32(stateAborted) {
			return false
		}
		if !v.SourceTimestamp.Equal(at) {
			t.Errorf("source time %s, the jam was at %s", v.SourceTimestamp, at)
		}
		return true
	})
	l := p.Ledger()
	a, err := l.find(m.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range a.Segments {
		if g == [2]int64{at.UnixMilli(), stateAborted} {
			return
		}
	}
	t.Errorf("no segment of the jam at %d in %v", at.UnixMilli(), a.Segments[max(0, len(a.Segments)-5):])
}

func encryptedChannels(t *testing.T, p *Plant) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := selfSigned(key, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	url := p.Endpoints()[0].URL
	endpoints, err := opcua.GetEndpoints(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		policy string
		mode   ua.MessageSecurityMode
	}{
		{"Basic256Sha256", ua.MessageSecurityModeSign},
		{"Basic256Sha256", ua.MessageSecurityModeSignAndEncrypt},
		{"Aes256_Sha256_RsaPss", ua.MessageSecurityModeSignAndEncrypt},
	} {
		t.Run(c.policy+" "+c.mode.String(), func(t *testing.T) {
			ep, err := opcua.SelectEndpoint(endpoints, c.policy, c.mode)
			if err != nil {
				t.Fatal(err)
			}
			if string(ep.ServerCertificate) != string(p.Certificate()) {
				t.Error("the endpoint's certificate is not the plant's")
			}
			client := opcuaClient(t, url, opcua.SecurityFromEndpoint(ep, ua.UserTokenTypeAnonymous),
				opcua.Certificate(der), opcua.PrivateKey(key), opcua.ApplicationURI("urn:linetwin:simulator"))
			if v := readOPCUA(t, client, machineOf(t, p, "b-assembly"))["product"]; v.Value == nil || v.Value.Value() != "NB1-D63" {
				t.Errorf("product: %v", v)
			}
		})
	}
}

func browse(t *testing.T, p *Plant) {
	c := opcuaClient(t, p.Endpoints()[0].URL)
	found := map[string]bool{}
	var walk func(n *opcua.Node, depth int)
	walk = func(n *opcua.Node, depth int) {
		refs, err := n.ReferencedNodes(t.Context(), 33 /* HierarchicalReferences */, ua.BrowseDirectionForward, ua.NodeClassAll, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range refs {
			if r.ID.Namespace() == 0 {
				continue
			}
			found[r.ID.StringID()] = true
			if depth < 3 {
				walk(r, depth+1)
			}
		}
	}
	walk(c.Node(ua.NewNumericNodeID(0, 85)), 0)
	for _, want := range []string{"mcb-a", "mcb-a/a-calibration", "A.Calibration.TripTime", "Packing.Boxes", "mcb-b/b-dielectric"} {
		if !found[want] {
			t.Errorf("%s is not found by browsing: %d nodes", want, len(found))
		}
	}
}

func TestFasterThanTheClock(t *testing.T) {
	p := startPlant(t, Config{Seed: 1, Speed: 200, Continuous: true}) // no breaks
	first := p.Status()
	deadline := time.Now().Add(30 * time.Second)
	var last Status
	for last = p.Status(); last.Now.Sub(first.Now) < 2*time.Second; last = p.Status() {
		if time.Now().After(deadline) {
			t.Fatal("the plant's clock stands")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if ahead := time.Until(last.Now); ahead > time.Second {
		t.Errorf("the plant is %s ahead of the clock", ahead)
	}
	made := func(s Status) (n int64) {
		for _, m := range s.Machines {
			n += m.Good
		}
		return n
	}
	if n := made(last) - made(first); n < 200 {
		t.Errorf("%d pieces in 2 s at two hundredfold speed", n)
	}
	if m := machineOf(t, p, "a-calibration"); m.Cycles["NB1-C16"] != 1830*time.Millisecond/200 {
		t.Errorf("best cycle %s on the wire", m.Cycles["NB1-C16"])
	}
}

func TestConfigFaults(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"no folder", Config{}, "folder: missing"},
		{"too fast", Config{Folder: "x", Speed: 1e9}, "speed: found 1e+09"},
		{"not loopback", Config{Folder: "x", OPCUA: "0.0.0.0:4840"}, "opcua: found \"0.0.0.0:4840\""},
		{"no port", Config{Folder: "x", Modbus: "127.0.0.1"}, "modbus: found"},
		{"no such line", Config{Folder: "x", Lines: []string{"mcb-a", "mcb-c"}}, "lines[1]: found \"mcb-c\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestCertificateIsKept(t *testing.T) {
	dir := t.TempDir()
	one, err := loadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	two, err := loadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if string(one.der) != string(two.der) || !one.key.Equal(two.key) {
		t.Error("another certificate at the second start")
	}
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	for _, cfg := range []Config{{OPCUA: "127.0.0.1:0", Modbus: taken}, {OPCUA: taken, Modbus: "127.0.0.1:0"}} {
		cfg.Folder = folder(t)
		p, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), taken) {
			t.Errorf("error %v, want one that names %s", err, taken)
		}
	}
}

func TestStoppedWhileItCatchesUp(t *testing.T) {
	p := offline(t, 1, monday())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Run(ctx); err != nil {
		t.Error(err)
	}
	if !p.Start().IsZero() {
		t.Error("it went live")
	}
}
