package opcua

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/server"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uacp"
	"github.com/gopcua/opcua/uasc"

	"linetwin/plant"
)

// oddServer does what standards allow and the library's server does not do.
type oddServer struct {
	*testServer
}

func startOddServer(t *testing.T) *oddServer {
	t.Helper()
	s := &oddServer{}
	s.testServer = startServer(t, serverOptions{before: 1, handlers: map[uint16]server.Handler{
		id.CreateSessionRequest_Encoding_DefaultBinary: func(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
			return &ua.CreateSessionResponse{ResponseHeader: header(r, 0), SessionID: ua.NewTwoByteNodeID(1), AuthenticationToken: ua.NewTwoByteNodeID(2),
				RevisedSessionTimeout: 100, ServerSignature: &ua.SignatureData{}}, nil // a session of 100 ms
		},
		id.ActivateSessionRequest_Encoding_DefaultBinary: func(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
			return &ua.ActivateSessionResponse{ResponseHeader: header(r, 0)}, nil
		},
		id.TranslateBrowsePathsToNodeIDsRequest_Encoding_DefaultBinary: s.translate,
	}})
	return s
}

// translate takes two paths at a time, and chokes on one name.
func (s *oddServer) translate(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
	paths := r.(*ua.TranslateBrowsePathsToNodeIDsRequest).BrowsePaths
	if len(paths) > 2 {
		return nil, ua.StatusBadTooManyOperations
	}
	res := &ua.TranslateBrowsePathsToNodeIDsResponse{ResponseHeader: header(r, 0)}
	for _, p := range paths {
		one := &ua.BrowsePathResult{StatusCode: ua.StatusBadNoMatch}
		switch last := p.RelativePath.Elements[len(p.RelativePath.Elements)-1].TargetName; {
		case last.NamespaceIndex == s.space.ID() && last.Name == "State":
			one = &ua.BrowsePathResult{Targets: []*ua.BrowsePathTarget{
				{TargetID: ua.NewStringExpandedNodeID(s.space.ID(), "elsewhere"), RemainingPathIndex: 1},
				{TargetID: ua.NewStringExpandedNodeID(s.space.ID(), "state"), RemainingPathIndex: 0xFFFFFFFF}}}
		case last.Name == "Far":
			one = &ua.BrowsePathResult{Targets: []*ua.BrowsePathTarget{{TargetID: ua.NewStringExpandedNodeID(1, "x"), RemainingPathIndex: 1}}}
		case last.Name == "Choke":
			return &ua.TranslateBrowsePathsToNodeIDsResponse{ResponseHeader: header(r, 0)}, nil // no result for anyone
		}
		res.Results = append(res.Results, one)
	}
	return res, nil
}

func TestPathsThatTheServerResolves(t *testing.T) {
	s := startOddServer(t)
	s.space.set("s=state", int32(6))
	d := connected(t, s.testServer, Config{}, Signal{Name: "uri", Node: "path:/Objects/{" + spaceURI + "}State", Type: "int32"},
		Signal{Name: "index", Node: "path:/Objects/2:State", Type: "int32"}, Signal{Name: "none", Node: "path:/Objects/2:Other", Type: "int32"},
		Signal{Name: "far", Node: "path:/Objects/2:Far", Type: "int32"}, Signal{Name: "nowhere", Node: "path:/{urn:x}a", Type: "int32"},
		Signal{Name: "choke", Node: "path:/2:Choke", Type: "int32"}, Signal{Name: "last", Node: "path:/2:State", Type: "int32"})
	want := []string{"", "", "browse path: BadNoMatch", "browse path: it leads to another server", `the server has no namespace "urn:x"`, "does not fit", ""}
	for i, r := range poll(t, d).Readings {
		if !strings.Contains(r.Reason, want[i]) || (want[i] == "") != (r.Reason == "") || want[i] == "" && r.Value != plant.Integer(6) {
			t.Errorf("%s: %v %q", r.Signal, r.Value, r.Reason)
		}
	}
	t.Run("an idle session is kept alive", func(t *testing.T) {
		s.requests()
		waitFor(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.sizes) >= 3 })
		if d.session.broken() != nil {
			t.Error(d.session.broken())
		}
	})
	t.Run("one that cannot be kept is given up", func(t *testing.T) {
		s.with(func() { s.refuse = func(*ua.ReadRequest) error { return ua.StatusBadSessionClosed } })
		waitFor(t, func() bool { return d.session.broken() != nil })
	})
}

func TestSubscriptionLimits(t *testing.T) {
	var s *testServer
	var largest, refused atomic.Int64
	var once sync.Once
	s = startServer(t, serverOptions{handlers: map[uint16]server.Handler{
		id.CreateMonitoredItemsRequest_Encoding_DefaultBinary: func(sc *uasc.SecureChannel, r ua.Request, n uint32) (ua.Response, error) {
			req := r.(*ua.CreateMonitoredItemsRequest)
			if len(req.ItemsToCreate) > 4 {
				refused.Add(1)
				return nil, ua.StatusBadTooManyOperations
			}
			largest.Store(max(largest.Load(), int64(len(req.ItemsToCreate))))
			refusedItem := slices.IndexFunc(req.ItemsToCreate, func(i *ua.MonitoredItemCreateRequest) bool { return i.ItemToMonitor.NodeID.StringID() == "s3" })
			if refusedItem >= 0 {
				req.ItemsToCreate = slices.Delete(req.ItemsToCreate, refusedItem, refusedItem+1)
			}
			res, err := s.MonitoredItemService.CreateMonitoredItems(sc, r, n)
			if r, ok := res.(*ua.CreateMonitoredItemsResponse); ok && refusedItem >= 0 {
				r.Results = slices.Insert(r.Results, refusedItem, &ua.MonitoredItemCreateResult{StatusCode: ua.StatusBadTooManyMonitoredItems, FilterResult: ua.NewExtensionObject(nil)})
			}
			return res, err
		},
		id.PublishRequest_Encoding_DefaultBinary: func(sc *uasc.SecureChannel, r ua.Request, n uint32) (res ua.Response, err error) {
			once.Do(func() { err = ua.StatusBadTooManyPublishRequests })
			if err != nil {
				return nil, err
			}
			return s.SubscriptionService.Publish(sc, r, n)
		},
	}})
	var signals []Signal
	for i := range 10 {
		s.space.set(fmt.Sprintf("s=s%d", i), int32(i))
		signals = append(signals, Signal{Name: fmt.Sprintf("s%d", i), Node: nsu(fmt.Sprintf("s=s%d", i)), Type: "int32"})
	}
	d := connected(t, s, subscribing(), signals...)
	got := map[string]plant.Reading{}
	gather(t, d, func(all []plant.Reading) bool {
		for _, r := range all {
			got[r.Signal] = r
		}
		return len(got) == 10
	})
	if largest.Load() > 4 || refused.Load() == 0 {
		t.Errorf("items of up to %d at once, %d requests refused", largest.Load(), refused.Load())
	}
	for i := range 10 {
		r := got[fmt.Sprintf("s%d", i)]
		if r.Value != plant.Integer(int64(i)) {
			t.Errorf("%+v", r)
		}
	}
	s.space.set("s=s3", int32(33))
	gather(t, d, func(all []plant.Reading) bool {
		return slices.ContainsFunc(all, func(r plant.Reading) bool { return r.Signal == "s3" && r.Value == plant.Integer(33) })
	})
	if want := "polled in place of subscribed, because the server says BadTooManyMonitoredItems: s3"; !slices.Contains(d.Notes(), want) {
		t.Errorf("notes %q, want %q", d.Notes(), want)
	}
}

// A server that takes no item at all has every node polled; one that takes
// some has the rest polled, found in halves.
func TestServerThatIsFull(t *testing.T) {
	var room atomic.Int64
	var s *testServer
	s = startServer(t, serverOptions{handlers: map[uint16]server.Handler{
		id.CreateMonitoredItemsRequest_Encoding_DefaultBinary: func(sc *uasc.SecureChannel, r ua.Request, n uint32) (ua.Response, error) {
			if want := int64(len(r.(*ua.CreateMonitoredItemsRequest).ItemsToCreate)); room.Add(-want) < 0 {
				room.Add(want)
				return nil, ua.StatusBadTooManyMonitoredItems
			}
			return s.MonitoredItemService.CreateMonitoredItems(sc, r, n)
		},
	}})
	var signals []Signal
	for i := range 10 {
		signals = append(signals, Signal{Name: fmt.Sprintf("s%d", i), Node: nsu(fmt.Sprintf("s=s%d", i)), Type: "int32"})
	}
	for i := range 10 {
		s.space.set(fmt.Sprintf("s=s%d", i), int32(-1))
	}
	for _, c := range []struct{ room, polled, feeds int }{{0, 10, 0}, {4, 6, 1}, {100, 0, 1}} {
		t.Run(fmt.Sprint(c.room), func(t *testing.T) {
			d := newTestDevice(t, s, subscribing(), signals...)
			waitFor(t, func() bool {
				room.Store(int64(c.room))
				return d.Connect(t.Context()) == nil
			})
			for round := range int32(3) {
				for i := range int32(10) {
					s.space.set(fmt.Sprintf("s=s%d", i), 100*round+i)
				}
				seen := map[string]plant.Value{}
				gather(t, d, func(all []plant.Reading) bool {
					for _, r := range all {
						seen[r.Signal] = r.Value
					}
					for i := range 10 {
						if seen[fmt.Sprintf("s%d", i)] != plant.Integer(int64(100*round)+int64(i)) {
							return false
						}
					}
					return true
				})
			}
			polled := 0
			for i := range d.targets {
				if d.targets[i].polled {
					polled++
				}
			}
			if polled != c.polled || len(d.feeds) != c.feeds {
				t.Errorf("%d are polled over %d subscriptions, want %d and %d; notes %q", polled, len(d.feeds), c.polled, c.feeds, d.Notes())
			}
			d.Close()
		})
	}
}

func TestPanicsBecomeErrors(t *testing.T) {
	s := useServer(t)
	s.space.set("s=a", int32(1))
	d := connected(t, s, Config{}, Signal{Name: "a", Node: nsu("s=a"), Type: "int32"})
	held := d.session
	d.signals[0].target = 9 // which is not there
	if _, err := d.Poll(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "panic") {
		t.Errorf("poll: %v", err)
	}
	if held.broken() == nil {
		t.Error("the session goes on after a panic")
	}
	d.signals[0].target = 0
	if err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.session.start(func() { panic("in a session") })
	waitFor(t, func() bool { return d.session.broken() != nil })
	if len(d.Signals()) != 1 || d.Signals()[0].Kind != plant.KindInteger {
		t.Errorf("%v", d.Signals())
	}
}

// What answers at the other end need not be an OPC UA server.
func TestStrangePeers(t *testing.T) {
	message := func(kind string, body []byte) []byte {
		b := append([]byte(kind+"\x00\x00\x00\x00"), body...)
		binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
		return b
	}
	refusal, _ := (&uacp.Error{ErrorCode: uint32(ua.StatusBadTCPEndpointURLInvalid), Reason: "not me"}).Encode()
	bare, _ := (&uacp.Error{ErrorCode: uint32(ua.StatusBadTCPServerTooBusy)}).Encode()
	ack, _ := (&uacp.Acknowledge{ReceiveBufSize: 65535, SendBufSize: 65535}).Encode()
	small, _ := (&uacp.Acknowledge{ReceiveBufSize: 100, SendBufSize: 100}).Encode()
	for _, c := range []struct {
		name   string
		answer []byte
		want   string
	}{
		{"closes", nil, "the server closed the connection"},
		{"refuses", message("ERRF", refusal), `the server says BadTcpEndpointUrlInvalid: "not me"`},
		{"refuses without words", message("ERRF", bare), "the server says BadTcpServerTooBusy"},
		{"half an error", message("ERRF", []byte{1}), "broken message"},
		{"web server", []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), "broken message"},
		{"huge", []byte("ACKF\xff\xff\xff\x7f"), "broken message"},
		{"half an acknowledgement", message("ACKF", []byte{0}), "acknowledgement"},
		{"small buffers", message("ACKF", small), "takes 100 bytes at a time"},
		{"another message", message("MSGF", ack), `the server answered "MSGF"`},
		{"opens with another policy", append(message("ACKF", ack), message("OPNF", append([]byte("\x01\x00\x00\x00\x05\x00\x00\x00Other\xff\xff\xff\xff\xff\xff\xff\xff"), make([]byte, 8)...))...), `with policy "Other"`},
		{"token that was never given", append(message("ACKF", ack), message("MSGF", make([]byte, 16))...), "unknown security token"},
		{"closes the channel", append(message("ACKF", ack), message("CLOF", make([]byte, 16))...), "the server closed the secure channel"},
		{"of no kind", append(message("ACKF", ack), message("XYZF", make([]byte, 16))...), `of kind "XYZ"`},
		{"then refuses", append(message("ACKF", ack), message("ERRF", refusal)...), "BadTcpEndpointUrlInvalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			var peer sync.WaitGroup
			defer peer.Wait()
			peer.Go(func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				b := make([]byte, 4096)
				conn.Read(b)
				conn.Write(c.answer)
				if c.answer != nil {
					io.Copy(io.Discard, conn) // until the client hangs up
				}
			})
			d, err := New("m", time.Second, Config{URL: "opc.tcp://" + l.Addr().String(), Security: "None"}, []Signal{{Name: "a", Node: "i=1", Type: "int32"}}, quiet(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Connect(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "->") {
				t.Errorf("connect: %v, want %q", err, c.want)
			}
		})
	}
}

func TestChannelAnswers(t *testing.T) {
	if _, err := (answer{aborted: ua.StatusBadResponseTooLarge}).decode(); !tooLarge(err) {
		t.Errorf("an answer that was broken off: %v", err)
	}
	c := &channel{err: errClosed}
	if _, err := c.call(context.Background(), &ua.ReadRequest{}, nil); err != errClosed {
		t.Errorf("a call over a closed channel: %v", err)
	}
	if _, err := appendMessage(nil, nil); err == nil {
		t.Error("nothing is encoded as a request")
	}
}
