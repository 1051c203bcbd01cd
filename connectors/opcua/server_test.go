package opcua

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/server"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uasc"
	"go.uber.org/goleak"

	"linetwin/plant"
)

const spaceURI = "urn:linetwin:test"

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // the library's server prints what it does
	code := m.Run()
	if shared.server != nil {
		shared.server.stop()
	}
	// The library's server keeps what ran for a subscription whose client was cut
	// off, and may give its number to another one, so that it cannot be stopped.
	if err := goleak.Find(goleak.IgnoreTopFunction("github.com/gopcua/opcua/server.(*Subscription).run")); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// shared is the server of all tests that need none of their own: to make one
// takes the library seconds when tests run with the race detector.
var shared struct {
	sync.Mutex
	server *testServer
}

// useServer gives the shared server behind a proxy of the test's own, without
// values.
func useServer(t testing.TB) *testServer {
	t.Helper()
	shared.Lock() // one test at a time
	if shared.server == nil {
		s, err := newServer(serverOptions{before: 1})
		if err != nil {
			shared.Unlock()
			t.Fatal(err)
		}
		shared.server = s
	}
	s := shared.server
	s.proxy = startProxy(t, 0, s.address)
	s.with(func() { s.behaviour = behaviour{} })
	s.space.mu.Lock()
	s.space.values = make(map[string]*ua.DataValue)
	s.space.mu.Unlock()
	t.Cleanup(func() {
		s.proxy.stop()
		s.forget()
		shared.Unlock()
	})
	return s
}

// space is a namespace whose values the test sets.
type space struct {
	*server.NodeNameSpace
	srv *server.Server

	mu     sync.Mutex
	values map[string]*ua.DataValue
}

func (s *space) Attribute(id *ua.NodeID, attr ua.AttributeID) *ua.DataValue {
	s.mu.Lock()
	v := s.values[id.String()[len(fmt.Sprintf("ns=%d;", id.Namespace())):]]
	s.mu.Unlock()
	if v == nil || attr != ua.AttributeIDValue {
		return &ua.DataValue{EncodingMask: ua.DataValueStatusCode, Status: ua.StatusBadNodeIDUnknown}
	}
	return v
}

// set gives a node a value, with the time of now.
func (s *space) set(node string, value any) { s.setAt(node, value, time.Now(), ua.StatusOK) }

func (s *space) setAt(node string, value any, at time.Time, status ua.StatusCode) {
	dv := &ua.DataValue{SourceTimestamp: at, ServerTimestamp: time.Now(), Status: status}
	if value != nil {
		dv.Value = ua.MustVariant(value)
	}
	dv.UpdateMask()
	s.put(node, dv)
}

func (s *space) put(node string, dv *ua.DataValue) {
	s.mu.Lock()
	s.values[node] = dv
	s.mu.Unlock()
	id, err := ua.ParseNodeID(fmt.Sprintf("ns=%d;%s", s.ID(), node))
	if err != nil {
		panic(err)
	}
	s.srv.ChangeNotification(id)
}

func (s *space) delete(node string) { s.put(node, nil) }

// testServer is the library's own server in this process.
type testServer struct {
	*server.Server
	space   *space
	address string
	proxy   *proxy
	cancel  context.CancelFunc

	mu sync.Mutex
	behaviour
}

// behaviour is how a server misbehaves.
type behaviour struct {
	behind time.Duration               // how far the server's clock is
	refuse func(*ua.ReadRequest) error // a fault of the whole service, if it gives one
	mute   func(*ua.ReadRequest) bool  // requests that are never answered
	sizes  []int                       // of the read requests
	empty  bool                        // answers hold no results
	// history answers for nodes of which it is then said that they have one.
	history func(*ua.HistoryReadRequest) (ua.Response, error)
}

// with changes how the server behaves.
func (t *testServer) with(change func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change()
}

// requests gives the sizes of the read requests since the last call.
func (t *testServer) requests() []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.sizes
	t.sizes = nil
	return all
}

// read is the library's read service with faults on demand.
func (t *testServer) read(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
	req := r.(*ua.ReadRequest)
	t.mu.Lock()
	refuse, behind, empty, mute, history := t.refuse, t.behind, t.empty, t.mute, t.history != nil
	t.sizes = append(t.sizes, len(req.NodesToRead))
	t.mu.Unlock()
	if refuse != nil {
		if err := refuse(req); err != nil {
			return nil, err
		}
	}
	if mute != nil && mute(req) {
		return nil, nil
	}
	res := &ua.ReadResponse{ResponseHeader: header(req, behind)}
	for _, n := range req.NodesToRead {
		dv := &ua.DataValue{EncodingMask: ua.DataValueStatusCode, Status: ua.StatusBadNodeIDUnknown}
		if ns, err := t.Namespace(int(n.NodeID.Namespace())); err == nil {
			dv = ns.Attribute(n.NodeID, n.AttributeID)
		}
		if history && n.AttributeID != ua.AttributeIDValue {
			dv = historized(n.AttributeID)
		}
		if !empty {
			res.Results = append(res.Results, dv)
		}
	}
	return res, nil
}

func header(req ua.Request, behind time.Duration) *ua.ResponseHeader {
	return &ua.ResponseHeader{Timestamp: time.Now().Add(-behind), RequestHandle: req.Header().RequestHandle,
		ServiceDiagnostics: &ua.DiagnosticInfo{}, AdditionalHeader: ua.NewExtensionObject(nil)}
}

type serverOptions struct {
	port     int // 0 for any
	before   int // namespaces before the one of the test
	cert     []byte
	key      *rsa.PrivateKey
	more     []server.Option
	handlers map[uint16]server.Handler // in place of the library's
}

func (t *testServer) url() string { return fmt.Sprintf("opc.tcp://127.0.0.1:%d", t.proxy.port()) }

// startServer starts a server of the test's own behind a proxy.
func startServer(t testing.TB, o serverOptions) *testServer {
	t.Helper()
	for try := 0; ; try++ {
		s, err := newServer(o)
		if err == nil {
			s.proxy = startProxy(t, o.port, s.address)
			t.Cleanup(s.stop)
			return s
		}
		if try == 20 {
			t.Fatal(err)
		}
	}
}

func newServer(o serverOptions) (*testServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close() // the library wants to know its port beforehand
	opts := []server.Option{server.EndPoint("127.0.0.1", port), server.EnableAuthMode(ua.UserTokenTypeAnonymous),
		server.EnableSecurity("None", ua.MessageSecurityModeNone), server.ServerName("test")}
	if o.key != nil {
		opts = append(opts, server.Certificate(o.cert), server.PrivateKey(o.key))
	}
	s := &testServer{Server: server.New(append(opts, o.more...)...), address: l.Addr().String()}
	for i := range o.before {
		server.NewNodeNameSpace(s.Server, fmt.Sprintf("urn:linetwin:other:%d", i))
	}
	s.space = &space{NodeNameSpace: server.NewNameSpace(spaceURI), srv: s.Server, values: make(map[string]*ua.DataValue)}
	s.AddNamespace(s.space)
	for kind, h := range o.handlers {
		s.RegisterHandler(kind, h)
	}
	s.RegisterHandler(id.ReadRequest_Encoding_DefaultBinary, s.read)
	s.RegisterHandler(id.GetEndpointsRequest_Encoding_DefaultBinary, s.getEndpoints)
	s.RegisterHandler(id.HistoryReadRequest_Encoding_DefaultBinary, s.historyRead)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	if err := s.Start(ctx); err != nil {
		cancel()
		return nil, err
	}
	return s, nil
}

// getEndpoints gives all endpoints, whatever name the server is called by: the
// library would not know the proxy's.
func (t *testServer) getEndpoints(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
	return &ua.GetEndpointsResponse{ResponseHeader: header(r, 0), Endpoints: t.Endpoints()}, nil
}

// forget deletes the subscriptions that are left.
func (t *testServer) forget() {
	t.SubscriptionService.Mu.Lock()
	var ids []uint32
	for id := range t.SubscriptionService.Subs {
		ids = append(ids, id)
	}
	t.SubscriptionService.Mu.Unlock()
	for _, id := range ids {
		t.SubscriptionService.DeleteSubscription(id)
	}
}

func (t *testServer) stop() {
	if t.proxy != nil {
		t.proxy.stop()
	}
	t.forget()
	t.Close()
	t.cancel()
}

// testKeys are made once: that takes seconds with the race detector.
var testKeys struct {
	sync.Mutex
	made map[int]*rsa.PrivateKey
}

func testKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	testKeys.Lock()
	defer testKeys.Unlock()
	if k := testKeys.made[bits]; k != nil {
		return k
	}
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	if testKeys.made == nil {
		testKeys.made = make(map[int]*rsa.PrivateKey)
	}
	testKeys.made[bits] = key
	return key
}

// serverIdentity makes a certificate for a server.
func serverIdentity(t testing.TB, name string, bits int) ([]byte, *rsa.PrivateKey) {
	t.Helper()
	key := testKey(t, bits)
	uri, _ := url.Parse("urn:linetwin:test:" + name)
	x := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), URIs: []*url.URL{uri},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageDataEncipherment | x509.KeyUsageKeyEncipherment}
	der, err := x509.CreateCertificate(rand.Reader, x, x, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func testLog(t testing.TB) *slog.Logger {
	if testing.Verbose() {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return quiet()
}

// nsu names a node of the test's namespace.
func nsu(node string) string { return "nsu=" + spaceURI + ";" + node }

// connected gives a device that is connected and closed when the test ends.
func connected(t testing.TB, s *testServer, cfg Config, signals ...Signal) *Device {
	t.Helper()
	d := newTestDevice(t, s, cfg, signals...)
	if err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func newTestDevice(t testing.TB, s *testServer, cfg Config, signals ...Signal) *Device {
	t.Helper()
	if cfg.URL == "" {
		cfg.URL = s.url()
	}
	if cfg.Security == "" {
		cfg.Security = "None"
	}
	d, err := New("m", 20*time.Millisecond, cfg, signals, testLog(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func poll(t testing.TB, d *Device) plant.Round {
	t.Helper()
	r, err := d.Poll(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// reconnect connects until it succeeds: the library's server deletes a
// subscription a moment after it said so, and may then hit the next one, which
// has got the same number.
func reconnect(t testing.TB, d *Device) {
	t.Helper()
	waitFor(t, func() bool { return d.Connect(t.Context()) == nil })
}
