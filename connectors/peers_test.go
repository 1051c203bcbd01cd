package connectors

import (
	"context"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua/server"
	"github.com/gopcua/opcua/ua"
	vetter "github.com/simonvetter/modbus"

	"linetwin/connectors/modbus"
	"linetwin/connectors/opcua"
)

// peer is a real server of a protocol that holds the signals of the contract:
//
//	n        a whole number
//	far      n + 5000, where another request has to fetch it
//	speed    n / 2
//	text     "run-" and n
//	missing  is not there
//	wrong    does not hold what the settings say
//	nan      is not a number
//	huge     is above what can be held
type peer interface {
	start(t testing.TB)
	stop()
	hold(n int)
	// advertise tells the port at which clients see the server.
	advertise(port int)
}

// protocol is one connector, as the contract sees it.
type protocol struct {
	name    string
	fresh   bool  // a reading is never older than the look that gave it
	cuts    int   // how often it is lost and found; the OPC UA server keeps dead subscriptions for long and slows down
	grows   int64 // bytes that the heap may grow by meanwhile; the OPC UA server's sessions are in it
	peer    func(t testing.TB) (peer, string)
	config  func(address string) Config
	reasons map[string]string // of the signals that are bad
}

func protocols() []protocol {
	nodes := []Signal{
		{Name: "n", Node: "nsu=urn:linetwin:contract;s=n", Type: "int32"}, {Name: "far", Node: "nsu=urn:linetwin:contract;s=far", Type: "int32"},
		{Name: "speed", Node: "nsu=urn:linetwin:contract;s=speed", Type: "float64"}, {Name: "text", Node: "nsu=urn:linetwin:contract;s=text", Type: "string"},
		{Name: "missing", Node: "nsu=urn:linetwin:contract;s=missing", Type: "int32"}, {Name: "wrong", Node: "nsu=urn:linetwin:contract;s=wrong", Type: "int32"},
		{Name: "nan", Node: "nsu=urn:linetwin:contract;s=nan", Type: "float64"}, {Name: "huge", Node: "nsu=urn:linetwin:contract;s=huge", Type: "uint64"},
	}
	ua := func(mode string) func(string) Config {
		return func(address string) Config {
			return Config{Machine: "press", Every: 20 * time.Millisecond, Signals: nodes,
				OPCUA: &opcua.Config{URL: "opc.tcp://" + address, Security: "None", Mode: mode, Timeout: 400 * time.Millisecond, Publishing: 50 * time.Millisecond}}
		}
	}
	return []protocol{
		{name: "modbus", fresh: true, cuts: 1000, grows: 256 << 10, peer: newRegisters, config: registersConfig("tcp://"), reasons: registersReasons},
		{name: "modbus rtu over tcp", fresh: true, cuts: 1000, grows: 256 << 10, peer: newBridge, config: registersConfig("rtu+tcp://"), reasons: registersReasons},
		{name: "opcua poll", fresh: true, cuts: 1000, grows: 8 << 20, peer: newSpace, config: ua("poll"), reasons: map[string]string{"missing": "", "wrong": "", "nan": "", "huge": ""}},
		{name: "opcua subscribe", cuts: 15, grows: 8 << 20, peer: newSpace, config: ua("subscribe"), reasons: map[string]string{"missing": "", "wrong": "", "nan": "", "huge": ""}},
	}
}

func registersConfig(scheme string) func(string) Config {
	return func(address string) Config {
		return Config{Machine: "press", Every: 20 * time.Millisecond, Modbus: &modbus.Config{URL: scheme + address, Timeout: 200 * time.Millisecond},
			Signals: []Signal{
				{Name: "n", Address: "holding:0", Type: "uint16"}, {Name: "far", Address: "holding:1000", Type: "uint16"},
				{Name: "speed", Address: "holding:1", Type: "float32"}, {Name: "text", Address: "holding:4", Type: "string", Length: 16},
				{Name: "missing", Address: "holding:3", Type: "uint16"}, {Name: "wrong", Address: "holding:12", Type: "bcd16"},
				{Name: "nan", Address: "holding:13", Type: "float32"}, {Name: "huge", Address: "holding:15", Type: "uint64"},
			}}
	}
}

var registersReasons = map[string]string{
	"missing": "illegal data address (Modbus exception 2)", "wrong": "not a BCD number", "nan": "not a number (NaN)",
	"huge": "above 9223372036854775807, which a 64-bit integer cannot hold",
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// listening tries start until the port is free again.
func listening(t testing.TB, start func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := start()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// registers is a Modbus server.
type registers struct {
	address string
	server  *vetter.ModbusServer
	mu      sync.Mutex
	n       int
}

func newRegisters(t testing.TB) (peer, string) {
	r := &registers{address: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	return r, r.address
}

func (r *registers) start(t testing.TB) {
	listening(t, func() (err error) {
		r.server, err = vetter.NewServer(&vetter.ServerConfiguration{URL: "tcp://" + r.address, MaxClients: 4, Logger: log.New(io.Discard, "", 0)}, r)
		if err != nil {
			return err
		}
		return r.server.Start()
	})
}

func (r *registers) advertise(int) {}

func (r *registers) stop() { r.server.Stop() }

func (r *registers) hold(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n = n
}

func (r *registers) HandleHoldingRegisters(q *vetter.HoldingRegistersRequest) ([]uint16, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[uint16]uint16{0: uint16(r.n), 1000: uint16(r.n + 5000), 12: 0x12AB, 13: 0x7FC0, 15: 0xFFFF}
	bits := math.Float32bits(float32(r.n) / 2)
	all[1], all[2] = uint16(bits>>16), uint16(bits)
	text := fmt.Sprintf("run-%d", r.n)
	text += string(make([]byte, 16-len(text)))
	for i := range 8 {
		all[uint16(4+i)] = uint16(text[2*i])<<8 | uint16(text[2*i+1])
	}
	out := make([]uint16, q.Quantity)
	for i := range out {
		if at := q.Addr + uint16(i); at != 3 {
			out[i] = all[at]
			continue
		}
		return nil, vetter.ErrIllegalDataAddress
	}
	return out, nil
}

func (r *registers) HandleInputRegisters(*vetter.InputRegistersRequest) ([]uint16, error) {
	return nil, vetter.ErrIllegalFunction
}
func (r *registers) HandleCoils(*vetter.CoilsRequest) ([]bool, error) {
	return nil, vetter.ErrIllegalFunction
}
func (r *registers) HandleDiscreteInputs(*vetter.DiscreteInputsRequest) ([]bool, error) {
	return nil, vetter.ErrIllegalFunction
}

// space is an OPC UA server.
type space struct {
	*server.NodeNameSpace
	port   int
	public int
	mu     sync.Mutex
	values map[string]*ua.DataValue
	before int    // namespaces before this one
	gone   string // a node that is not there
	server *server.Server
	cancel context.CancelFunc
}

func newSpace(t testing.TB) (peer, string) {
	s := &space{port: freePort(t), values: map[string]*ua.DataValue{}}
	s.hold(0)
	return s, fmt.Sprintf("127.0.0.1:%d", s.port)
}

func (s *space) start(t testing.TB) {
	listening(t, func() error {
		srv := server.New(server.EndPoint("127.0.0.1", s.port), server.EndPoint("127.0.0.1", s.public), server.EnableAuthMode(ua.UserTokenTypeAnonymous),
			server.EnableSecurity("None", ua.MessageSecurityModeNone), server.ServerName("contract"))
		s.mu.Lock()
		s.NodeNameSpace = server.NewNameSpace("urn:linetwin:contract")
		s.server = srv
		s.mu.Unlock()
		for i := range s.before {
			server.NewNodeNameSpace(srv, fmt.Sprintf("urn:linetwin:before:%d", i))
		}
		srv.AddNamespace(s)
		ctx, cancel := context.WithCancel(context.Background())
		if err := srv.Start(ctx); err != nil {
			cancel()
			return err
		}
		s.cancel = cancel
		return nil
	})
}

// replace makes the server another one at its next start: with other
// namespaces before this one, and without a node.
func (s *space) replace(before int, gone string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.gone = before, gone
}

func (s *space) advertise(port int) { s.public = port }

func (s *space) stop() {
	s.server.Close()
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server = nil
}

func (s *space) hold(n int) {
	now := time.Now()
	value := func(v any) *ua.DataValue {
		dv := &ua.DataValue{Value: ua.MustVariant(v), SourceTimestamp: now, ServerTimestamp: now}
		dv.UpdateMask()
		return dv
	}
	s.mu.Lock()
	s.values = map[string]*ua.DataValue{"n": value(int32(n)), "far": value(int32(n + 5000)), "speed": value(float64(n) / 2), "text": value(fmt.Sprintf("run-%d", n)),
		"wrong": value("no number"), "nan": value(math.NaN()), "huge": value(uint64(math.MaxUint64))}
	srv := s.server
	s.mu.Unlock()
	if srv == nil {
		return
	}
	for _, name := range []string{"n", "far", "speed", "text"} {
		srv.ChangeNotification(ua.NewStringNodeID(s.ID(), name))
	}
}

func (s *space) Attribute(id *ua.NodeID, attr ua.AttributeID) *ua.DataValue {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.values[id.StringID()]; v != nil && attr == ua.AttributeIDValue && id.StringID() != s.gone {
		return v
	}
	return &ua.DataValue{EncodingMask: ua.DataValueStatusCode, Status: ua.StatusBadNodeIDUnknown}
}
