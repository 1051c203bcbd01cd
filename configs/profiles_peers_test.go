package configs

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math"
	"net"
	"strings"
	"testing"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/server"
	"github.com/gopcua/opcua/server/attrs"
	"github.com/gopcua/opcua/ua"
	vetter "github.com/simonvetter/modbus"

	"linetwin/connectors"
	"linetwin/connectors/modbus"
	"linetwin/connectors/opcua"
	"linetwin/plant"
)

// registers is a Modbus server that has nothing but a map of registers.
type registers map[uint16]uint16

func (r registers) read(at, n uint16) ([]uint16, error) {
	out := make([]uint16, n)
	for i := range out {
		v, ok := r[at+uint16(i)]
		if !ok {
			return nil, vetter.ErrIllegalDataAddress
		}
		out[i] = v
	}
	return out, nil
}

func (r registers) HandleHoldingRegisters(q *vetter.HoldingRegistersRequest) ([]uint16, error) {
	return r.read(q.Addr, q.Quantity)
}
func (r registers) HandleInputRegisters(q *vetter.InputRegistersRequest) ([]uint16, error) {
	return nil, vetter.ErrIllegalFunction
}
func (r registers) HandleCoils(*vetter.CoilsRequest) ([]bool, error) {
	return nil, vetter.ErrIllegalFunction
}
func (r registers) HandleDiscreteInputs(*vetter.DiscreteInputsRequest) ([]bool, error) {
	return nil, vetter.ErrIllegalFunction
}

func (r registers) serve(t *testing.T) string {
	t.Helper()
	address := freePort(t)
	s, err := vetter.NewServer(&vetter.ServerConfiguration{URL: "tcp://" + address, MaxClients: 5, Logger: log.New(io.Discard, "", 0)}, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	return "tcp://" + address
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// float puts a big-endian float into two registers.
func (r registers) float(at int, f float64) {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], math.Float32bits(float32(f)))
	r[uint16(at)], r[uint16(at+1)] = binary.BigEndian.Uint16(b[:]), binary.BigEndian.Uint16(b[2:])
}

// deviceOf gives the device that a gateway's file with a profile makes.
func deviceOf(t *testing.T, text string) connectors.Config {
	t.Helper()
	g, err := load[Gateway](t, strings.SplitAfter(oneGateway, "devices:\n")[0]+text)
	if err != nil {
		t.Fatal(err)
	}
	return g.Devices[0]
}

// readModbus reads every signal of a Modbus device and compares; nil in place of a
// value is a bad reading.
func readModbus(t *testing.T, c connectors.Config, want map[string]any) {
	t.Helper()
	line, err := modbus.NewLine(*c.Modbus)
	if err != nil {
		t.Fatal(err)
	}
	signals := make([]modbus.Signal, len(c.Signals))
	for i, s := range c.Signals {
		signals[i] = modbus.Signal{Name: s.Name, Address: s.Address, Type: s.Type, Order: s.Order, Bit: s.Bit, Length: s.Length, Scale: s.Scale, Offset: s.Offset, Counter: s.Counter}
	}
	d, err := modbus.New(c.Machine, *c.Modbus, signals, line)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	round, err := d.Poll(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, round.Readings, len(c.Signals), want)
}

func compare(t *testing.T, got []plant.Reading, signals int, want map[string]any) {
	t.Helper()
	if len(got) != signals || len(want) != signals {
		t.Errorf("%d readings of %d signals, %d wanted", len(got), signals, len(want))
	}
	for _, r := range got {
		w, known := want[r.Signal]
		shown := any(nil)
		if r.Quality == plant.Good {
			shown = r.Value.String()
		}
		if w != nil {
			w = fmt.Sprint(w)
		}
		if !known || shown != w {
			t.Errorf("%s: got %v (%v %s), want %v", r.Signal, shown, r.Quality, r.Reason, w)
		}
	}
}

// TestProfileSunSpec reads a meter that serves model 213 where the profile
// looks for it, and one elsewhere.
func TestProfileSunSpec(t *testing.T) {
	for base, with := range map[int]string{40070: "", 39999: "\n    with: {base: 39999}"} {
		r := registers{uint16(base): 213, uint16(base + 1): 124, uint16(base + 124): 0, uint16(base + 125): 4}
		for i := range 61 {
			r.float(base+2+2*i, float64(i)+0.5)
		}
		r.float(base+2+2*9, math.NaN()) // PPVphAB is not implemented
		want := map[string]any{"model_id": 213, "events": 4, "voltage_l1_l2": nil}
		for name, at := range map[string]int{"current": 0, "current_l1": 1, "current_l2": 2, "current_l3": 3, "voltage_ln": 4, "voltage_l1": 5,
			"voltage_l2": 6, "voltage_l3": 7, "voltage_ll": 8, "voltage_l2_l3": 10, "voltage_l3_l1": 11, "frequency": 12, "power": 13,
			"power_l1": 14, "power_l2": 15, "power_l3": 16, "apparent_power": 17, "reactive_power": 21, "power_factor": 25,
			"energy_exported": 29, "energy_imported": 33} {
			want[name] = float64(at) + 0.5
		}
		c := deviceOf(t, "  - machine: meter\n    profile: sunspec-meter"+with+"\n    modbus: {url: \""+r.serve(t)+"\"}\n")
		readModbus(t, c, want)
	}
}

// TestProfileBreaker reads a breaker that serves the profile's example of a
// map.
func TestProfileBreaker(t *testing.T) {
	r := registers{}
	for i, v := range []uint16{101, 102, 103, 4, 5, 4001, 4002, 4003, 5001, 655, 65535, 970, 1, 2, 415} {
		r[uint16(100+i)] = v
	}
	for i, v := range []uint16{0b10101, 3, 0, 1600, 65535, 7, 12} {
		r[uint16(120+i)] = v
	}
	c := deviceOf(t, "  - machine: q1\n    profile: breaker\n    with: {base: 100}\n    modbus: {url: \""+r.serve(t)+"\", unit: 3}\n")
	tenth, hundredth, thousandth := 0.1, 0.01, 0.001
	readModbus(t, c, map[string]any{"current_l1": 101, "current_l2": 102, "current_l3": 103, "current_n": 4, "current_ground": 5,
		"voltage_l1_l2": 4001 * tenth, "voltage_l2_l3": 4002 * tenth, "voltage_l3_l1": 4003 * tenth, "frequency": 5001 * hundredth, "power": 65500, "reactive_power": -100,
		"power_factor": 970 * thousandth, "energy_imported": float64(65538000), "temperature": 415 * tenth, "breaker_open": true, "breaker_closed": false, "breaker_tripped": true,
		"alarm": false, "spring_charged": true, "trip_cause": 3, "last_trip_current": 1600, "operation_count": 65535, "trip_count": 7, "contact_wear": 12})
}

// TestProfilePackML reads a unit by the standard's browse names, from a server
// with more namespaces before the standard's. One node is missing.
func TestProfilePackML(t *testing.T) {
	const packML, own = "http://opcfoundation.org/UA/PackML/", "urn:line:plc"
	address, space := startPackML(t, packML, own)
	value := func(path string, v any) { space(path, v) }
	value("Status/StateCurrent", int32(6))
	value("BaseStateMachine/MachineState/ExecuteState/0:CurrentState", &ua.LocalizedText{EncodingMask: ua.LocalizedTextText, Text: "Execute"})
	value("Status/UnitModeCurrent", int32(1))
	value("Status/CurMachSpeed", float32(59.5))
	value("Status/MachSpeed", float32(60))
	value("Admin/MachDesignSpeed", float32(75))
	value("Status/EquipmentBlocked", false)
	value("Admin/ProdProcessedCount/[0]/AccCount", int32(123456))
	value("Admin/ProdDefectiveCount/[0]/AccCount", int32(78))
	c := deviceOf(t, `  - machine: filler
    profile: packml
    with: {unit: "{`+packML+`}PackMLObjects/{`+own+`}Filler1"}
    opcua: {url: "opc.tcp://`+address+`", security: None}
`)
	signals := make([]opcua.Signal, len(c.Signals))
	for i, s := range c.Signals {
		signals[i] = opcua.Signal{Name: s.Name, Node: s.Node, Type: s.Type, Index: s.Index, Scale: s.Scale, Offset: s.Offset}
	}
	d, err := opcua.NewPool(&opcua.PKI{}, slog.New(slog.DiscardHandler)).Device(c.Machine, c.Every, *c.OPCUA, signals)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	round, err := d.Poll(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, round.Readings, len(c.Signals), map[string]any{"state": 6, "state_name": "Execute", "mode": 1, "speed": 59.5, "speed_set": 60,
		"speed_design": 75, "blocked": false, "starved": nil, "total": 123456, "reject": 78})
}

// startPackML serves a unit Filler1 below PackMLObjects. The function puts a
// variable below the unit; a name with 0: before it is the base standard's.
func startPackML(t *testing.T, packML, own string) (address string, put func(path string, v any)) {
	t.Helper()
	log.SetOutput(io.Discard) // the library's server prints what it does
	address = freePort(t)
	var port int
	if _, err := fmt.Sscanf(address, "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	s := server.New(server.EndPoint("127.0.0.1", port), server.EnableAuthMode(ua.UserTokenTypeAnonymous), server.EnableSecurity("None", ua.MessageSecurityModeNone))
	server.NewNodeNameSpace(s, "urn:another")
	std, plc := server.NewNodeNameSpace(s, packML), server.NewNodeNameSpace(s, own)
	base, err := s.Namespace(0)
	if err != nil {
		t.Fatal(err)
	}
	nodes := map[string]*server.Node{"": base.Node(server.ObjectsFolder)}
	node := func(parent, name string, ns uint16, v any) {
		key := parent + "/" + name
		if nodes[key] != nil {
			return
		}
		a := server.Attributes{ua.AttributeIDNodeClass: server.DataValueFromValue(uint32(ua.NodeClassObject)),
			ua.AttributeIDBrowseName:  server.DataValueFromValue(&ua.QualifiedName{NamespaceIndex: ns, Name: name}),
			ua.AttributeIDDisplayName: server.DataValueFromValue(attrs.DisplayName(name, "en"))}
		var read func() *ua.DataValue
		if v != nil {
			a[ua.AttributeIDNodeClass] = server.DataValueFromValue(uint32(ua.NodeClassVariable))
			a[ua.AttributeIDAccessLevel] = server.DataValueFromValue(byte(ua.AccessLevelTypeCurrentRead))
			a[ua.AttributeIDUserAccessLevel] = server.DataValueFromValue(byte(ua.AccessLevelTypeCurrentRead))
			read = func() *ua.DataValue { return server.DataValueFromValue(v) }
		}
		n := server.NewNode(ua.NewStringNodeID(plc.ID(), key), a, nil, read)
		plc.AddNode(n)
		nodes[parent].AddRef(n, id.HasComponent, true)
		nodes[key] = n
	}
	node("", "PackMLObjects", std.ID(), nil)
	node("/PackMLObjects", "Filler1", plc.ID(), nil)
	ctx, cancel := context.WithCancel(context.Background())
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); cancel() })
	return address, func(path string, v any) {
		parent := "/PackMLObjects/Filler1"
		parts := strings.Split(path, "/")
		for i, name := range parts {
			ns := std.ID()
			if plain, ok := strings.CutPrefix(name, "0:"); ok {
				ns, name = 0, plain
			}
			if i < len(parts)-1 {
				node(parent, name, ns, nil)
			} else {
				node(parent, name, ns, v)
			}
			parent += "/" + name
		}
	}
}
