package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/server"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uasc"
)

const countingSpace = "urn:linetwin:counting"

// opcuaFront serves a counting PLC over OPC UA, with the library's own server:
// each request that reads values is a look.
type opcuaFront struct {
	*server.Server
	plc   *countingPLC
	space uint16
	url   string

	subscribed *subscribedFront // nil: it is polled
}

// newCountingOPCUA makes a counting PLC that is polled over OPC UA.
func newCountingOPCUA(t testing.TB, machine string, values int) *countingPLC {
	t.Helper()
	p := opcuaPLC(t, machine, values)
	p.opcua.serve(t)
	return p
}

// opcuaPLC makes a counting PLC whose server is not started yet.
func opcuaPLC(t testing.TB, machine string, values int) *countingPLC {
	t.Helper()
	p := &countingPLC{machine: machine, values: values, doubt: map[uint32]bool{}}
	address := freeAddress(t) // the library wants to know its port beforehand
	port := 0
	if _, text, err := net.SplitHostPort(address); err == nil {
		_, _ = fmt.Sscan(text, &port)
	}
	f := &opcuaFront{plc: p, url: "opc.tcp://" + address}
	f.Server = server.New(server.EndPoint("127.0.0.1", port), server.EnableAuthMode(ua.UserTokenTypeAnonymous),
		server.EnableSecurity("None", ua.MessageSecurityModeNone), server.ServerName("counting"))
	f.space = server.NewNodeNameSpace(f.Server, countingSpace).ID()
	f.RegisterHandler(id.ReadRequest_Encoding_DefaultBinary, f.read)
	p.opcua = f
	return p
}

// serve starts the server. The services that it answers for itself are registered
// before: of two handlers the library takes the first.
func (f *opcuaFront) serve(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	if err := f.Start(ctx); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = f.Close() // the library's way to say that it was open
	})
}

// node gives the address of value i.
func (f *opcuaFront) node(i int) string {
	return fmt.Sprintf("nsu=%s;s=%s", countingSpace, valueName(i))
}

// read is the read service. All values of a request are of one look.
func (f *opcuaFront) read(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
	req := r.(*ua.ReadRequest)
	res := &ua.ReadResponse{ResponseHeader: &ua.ResponseHeader{Timestamp: time.Now(), RequestHandle: req.RequestHeader.RequestHandle,
		ServiceDiagnostics: &ua.DiagnosticInfo{}, AdditionalHeader: ua.NewExtensionObject(nil)}}
	f.plc.mu.Lock()
	defer f.plc.mu.Unlock()
	n, asked := uint32(len(f.plc.looks)+1), 0
	now := time.Now()
	for _, one := range req.NodesToRead {
		if one.NodeID.Namespace() != f.space {
			res.Results = append(res.Results, f.other(one))
			continue
		}
		dv := &ua.DataValue{Status: ua.StatusBadNotReadable}
		if i, ok := f.value(one.NodeID); ok && one.AttributeID == ua.AttributeIDValue && !f.plc.gone {
			switch {
			case f.subscribed != nil:
				dv = f.subscribed.stands(i)
			case !f.plc.rests:
				dv = f.shows(n, i, now)
				asked++
			}
		}
		dv.UpdateMask()
		res.Results = append(res.Results, dv)
	}
	if asked > 0 {
		f.plc.looks = append(f.plc.looks, look{now, asked})
	}
	return res, nil
}

// value gives which value a node of ours is.
func (f *opcuaFront) value(node *ua.NodeID) (i int, ok bool) {
	name, ours := strings.CutPrefix(node.StringID(), "value_")
	_, err := fmt.Sscan(strings.TrimPrefix(name, "0"), &i)
	return i, ours && err == nil
}

// shows gives value i as look n has it.
func (f *opcuaFront) shows(n uint32, i int, at time.Time) *ua.DataValue {
	dv := &ua.DataValue{Value: ua.MustVariant(f.plc.shown(n, i)), SourceTimestamp: at, ServerTimestamp: time.Now()}
	dv.UpdateMask()
	return dv
}

// other answers for nodes that are the server's own.
func (f *opcuaFront) other(one *ua.ReadValueID) *ua.DataValue {
	if ns, err := f.Namespace(int(one.NodeID.Namespace())); err == nil {
		return ns.Attribute(one.NodeID, one.AttributeID)
	}
	return &ua.DataValue{EncodingMask: ua.DataValueStatusCode, Status: ua.StatusBadNodeIDUnknown}
}
