package opcua

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/server"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uasc"

	"linetwin/plant"
)

// folderServer cannot follow paths itself. It browses two nodes at a time, and
// tells one reference at a time.
type folderServer struct {
	*testServer
	mu    sync.Mutex
	sizes []int
	freed int // continuation points that were given back
}

// children are those of each node; all are nodes of the test's namespace.
var children = map[string][]string{"i=84": {"Lines"}, "Lines": {"A", "B"}, "A": {"Speed", "State"}, "B": {"Speed", "State"}}

func (s *folderServer) page(node string, from int) *ua.BrowseResult {
	all := children[node]
	if from >= len(all) {
		return &ua.BrowseResult{}
	}
	name := all[from]
	key := name
	if node == "A" || node == "B" {
		key = node + "." + name
	}
	r := &ua.BrowseResult{References: []*ua.ReferenceDescription{{ReferenceTypeID: ua.NewTwoByteNodeID(35), IsForward: true, NodeID: ua.NewStringExpandedNodeID(s.space.ID(), key),
		BrowseName: &ua.QualifiedName{NamespaceIndex: s.space.ID(), Name: name}, DisplayName: ua.NewLocalizedText(name), TypeDefinition: ua.NewTwoByteExpandedNodeID(0)}}}
	if from+1 < len(all) {
		r.ContinuationPoint = fmt.Appendf(nil, "%s %d", node, from+1)
	}
	return r
}

func (s *folderServer) browse(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
	req := r.(*ua.BrowseRequest)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes = append(s.sizes, len(req.NodesToBrowse))
	if len(req.NodesToBrowse) > 2 {
		return nil, ua.StatusBadTooManyOperations
	}
	res := &ua.BrowseResponse{ResponseHeader: header(r, 0)}
	for _, n := range req.NodesToBrowse {
		key := n.NodeID.StringID()
		if n.NodeID.Namespace() == 0 {
			key = n.NodeID.String()
		}
		res.Results = append(res.Results, s.page(key, 0))
	}
	return res, nil
}

func (s *folderServer) next(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
	req := r.(*ua.BrowseNextRequest)
	s.mu.Lock()
	defer s.mu.Unlock()
	res := &ua.BrowseNextResponse{ResponseHeader: header(r, 0)}
	for _, c := range req.ContinuationPoints {
		var node string
		var from int
		fmt.Sscan(string(c), &node, &from)
		if req.ReleaseContinuationPoints {
			s.freed++
			res.Results = append(res.Results, &ua.BrowseResult{})
			continue
		}
		res.Results = append(res.Results, s.page(node, from))
	}
	return res, nil
}

func TestPathsAreWalkedTogether(t *testing.T) {
	s := &folderServer{}
	s.testServer = startServer(t, serverOptions{before: 1, handlers: map[uint16]server.Handler{
		id.BrowseRequest_Encoding_DefaultBinary: s.browse, id.BrowseNextRequest_Encoding_DefaultBinary: s.next}})
	var signals []Signal
	for i, n := range []string{"A.Speed", "A.State", "B.Speed", "B.State"} {
		s.space.set("s="+n, int32(i))
		signals = append(signals, Signal{Name: n, Node: "path:/2:Lines/2:" + strings.ReplaceAll(n, ".", "/2:"), Type: "int32"})
	}
	signals = append(signals, Signal{Name: "lost", Node: "path:/2:Lines/2:C/2:State", Type: "int32"})
	d := connected(t, s.testServer, Config{}, signals...)
	for i, r := range poll(t, d).Readings {
		if i < 4 && r.Value != plant.Integer(int64(i)) || i == 4 && r.Reason != "browse path: ns=2;s=Lines has no 2:C" {
			t.Errorf("%+v", r)
		}
	}
	if s.freed == 0 {
		t.Error("what was left of a page is not given back")
	}
	// five are too many: two, two and one
	if n := len(s.sizes); n > 12 || slices.Max(s.sizes[3:]) > 2 {
		t.Errorf("requests of %v nodes", s.sizes)
	}
}
