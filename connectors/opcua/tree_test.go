package opcua

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/server"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uasc"
)

// tree is an address space that a test makes up, served by the library's
// server with a Browse of its own. Nodes of namespace 0 that it does not have
// are the library's.
type tree struct {
	srv *testServer
	own uint16 // the test's namespace

	mu       sync.Mutex
	nodes    map[string]*branch
	lazy     func(n *ua.NodeID) *branch // makes nodes that are not in it; nil for none
	page     int                        // references in an answer; 0 is what the client says
	points   map[uint64][]*ua.ReferenceDescription
	last     uint64
	most     int // continuation points at a time
	atOnce   int // nodes in a request, beyond which it is refused; 0 is any
	released int
	onNext   func() // called when more is asked for
}

type branch struct {
	id         *ua.NodeID
	class      ua.NodeClass
	name       ua.QualifiedName
	typ        *ua.NodeID
	attributes map[ua.AttributeID]*ua.DataValue
	refs       []twig
}

type twig struct {
	kind    uint32
	to      *branch
	inverse bool
	server  uint32
}

// plantTree starts a server with an empty tree.
func plantTree(t *testing.T, namespaces ...string) *tree {
	t.Helper()
	tr := &tree{}
	s := startServer(t, serverOptions{handlers: map[uint16]server.Handler{
		id.BrowseRequest_Encoding_DefaultBinary: tr.browse, id.BrowseNextRequest_Encoding_DefaultBinary: tr.next, id.ReadRequest_Encoding_DefaultBinary: tr.read}})
	tr.srv = s
	for _, uri := range namespaces {
		s.AddNamespace(&space{NodeNameSpace: server.NewNameSpace(uri), srv: s.Server, values: map[string]*ua.DataValue{}})
	}
	tr.own = s.space.ID()
	tr.clear()
	return tr
}

// clear takes everything away but the Objects folder.
func (tr *tree) clear() *branch {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.nodes, tr.points, tr.lazy = map[string]*branch{}, map[uint64][]*ua.ReferenceDescription{}, nil
	tr.page, tr.most, tr.atOnce, tr.released, tr.onNext = 0, 1000, 0, 0, nil
	objects := &branch{id: ua.NewNumericNodeID(0, id.ObjectsFolder), class: ua.NodeClassObject, name: ua.QualifiedName{Name: "Objects"}, typ: ua.NewNumericNodeID(0, id.FolderType)}
	objects.attributes = named(objects)
	tr.nodes[objects.id.String()] = objects
	return objects
}

func named(b *branch) map[ua.AttributeID]*ua.DataValue {
	return map[ua.AttributeID]*ua.DataValue{ua.AttributeIDNodeClass: holds(int32(b.class)), ua.AttributeIDBrowseName: holds(&b.name)}
}

func holds(v any) *ua.DataValue {
	return &ua.DataValue{EncodingMask: ua.DataValueValue, Value: ua.MustVariant(v)}
}

// in gives the number of a namespace.
func (tr *tree) in(uri string) uint16 {
	for i := 0; ; i++ {
		ns, err := tr.srv.Namespace(i)
		if err != nil {
			panic("no namespace " + uri)
		}
		if ns.Name() == uri {
			return uint16(i)
		}
	}
}

func (tr *tree) grow(b *branch) *branch {
	b.attributes = named(b)
	tr.nodes[b.id.String()] = b
	return b
}

// object adds an object below another node.
func (tr *tree) object(below *branch, name string, typ *ua.NodeID) *branch {
	b := tr.grow(&branch{id: ua.NewStringNodeID(tr.own, below.id.StringID()+"/"+name), class: ua.NodeClassObject, name: ua.QualifiedName{NamespaceIndex: tr.own, Name: name}, typ: typ})
	below.refs = append(below.refs, twig{kind: id.HasComponent, to: b})
	return b
}

// variable adds a readable variable of a data type and rank.
func (tr *tree) variable(below *branch, name string, typ *ua.NodeID, rank int32, value any) *branch {
	b := tr.grow(&branch{id: ua.NewStringNodeID(tr.own, below.id.StringID()+"/"+name), class: ua.NodeClassVariable, name: ua.QualifiedName{NamespaceIndex: tr.own, Name: name}})
	for a, v := range map[ua.AttributeID]any{ua.AttributeIDDataType: typ, ua.AttributeIDValueRank: rank, ua.AttributeIDAccessLevel: uint8(3), ua.AttributeIDUserAccessLevel: uint8(3)} {
		b.attributes[a] = holds(v)
	}
	if value != nil {
		b.attributes[ua.AttributeIDValue] = holds(value)
	}
	below.refs = append(below.refs, twig{kind: id.HasComponent, to: b})
	return b
}

// property adds one of the standard's properties.
func (tr *tree) property(below *branch, name string, value any) *branch {
	p := tr.variable(&branch{id: below.id}, name, ua.NewNumericNodeID(0, id.BaseDataType), -1, value)
	p.name.NamespaceIndex = 0
	below.refs = append(below.refs, twig{kind: id.HasProperty, to: p})
	return p
}

// kind adds a type that comes from another one.
func (tr *tree) kind(ns uint16, number uint32, name string, super *ua.NodeID, class ua.NodeClass) *branch {
	b := tr.grow(&branch{id: ua.NewNumericNodeID(ns, number), class: class, name: ua.QualifiedName{NamespaceIndex: ns, Name: name}})
	b.refs = append(b.refs, twig{kind: id.HasSubtype, to: &branch{id: super, class: class}, inverse: true})
	return b
}

func (tr *tree) node(n *ua.NodeID) *branch {
	if b := tr.nodes[n.String()]; b != nil || tr.lazy == nil {
		return b
	}
	return tr.lazy(n)
}

func (tr *tree) browse(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
	req := r.(*ua.BrowseRequest)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.atOnce > 0 && len(req.NodesToBrowse) > tr.atOnce {
		return nil, ua.StatusBadTooManyOperations
	}
	res := &ua.BrowseResponse{ResponseHeader: header(req, 0)}
	page := int(req.RequestedMaxReferencesPerNode)
	if tr.page > 0 {
		page = tr.page
	}
	for _, d := range req.NodesToBrowse {
		b := tr.node(d.NodeID)
		if b == nil {
			if ns, err := tr.srv.Namespace(int(d.NodeID.Namespace())); err == nil && d.NodeID.Namespace() == 0 {
				res.Results = append(res.Results, ns.Browse(d))
				continue
			}
			res.Results = append(res.Results, &ua.BrowseResult{StatusCode: ua.StatusBadNodeIDUnknown})
			continue
		}
		res.Results = append(res.Results, tr.answer(b.matching(d), page))
	}
	return res, nil
}

// answer gives the first page, and keeps the rest.
func (tr *tree) answer(refs []*ua.ReferenceDescription, page int) *ua.BrowseResult {
	if len(refs) <= page {
		return &ua.BrowseResult{References: refs}
	}
	if len(tr.points) >= tr.most {
		return &ua.BrowseResult{StatusCode: ua.StatusBadNoContinuationPoints}
	}
	tr.last++
	tr.points[tr.last] = refs[page:]
	return &ua.BrowseResult{References: refs[:page], ContinuationPoint: binary.BigEndian.AppendUint64(nil, tr.last)}
}

func (tr *tree) next(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
	req := r.(*ua.BrowseNextRequest)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	res := &ua.BrowseNextResponse{ResponseHeader: header(req, 0)}
	if tr.onNext != nil && !req.ReleaseContinuationPoints {
		tr.onNext()
		return nil, nil // no answer
	}
	for _, p := range req.ContinuationPoints {
		refs, ok := tr.points[binary.BigEndian.Uint64(p)]
		delete(tr.points, binary.BigEndian.Uint64(p))
		switch {
		case req.ReleaseContinuationPoints:
			tr.released++
			res.Results = append(res.Results, &ua.BrowseResult{})
		case !ok:
			res.Results = append(res.Results, &ua.BrowseResult{StatusCode: ua.StatusBadContinuationPointInvalid})
		default:
			res.Results = append(res.Results, tr.answer(refs, max(tr.page, 1)))
		}
	}
	return res, nil
}

// matching gives the references that a client asks for, as the standard does:
// of the kind or hierarchical, in the direction, to the classes.
func (b *branch) matching(d *ua.BrowseDescription) []*ua.ReferenceDescription {
	var all []*ua.ReferenceDescription
	for _, r := range b.refs {
		want := d.ReferenceTypeID.IntID()
		fits := want == r.kind || want == id.HierarchicalReferences && r.kind != id.HasTypeDefinition
		if !fits || (d.BrowseDirection == ua.BrowseDirectionInverse) != r.inverse || d.NodeClassMask != 0 && d.NodeClassMask&uint32(r.to.class) == 0 {
			continue
		}
		all = append(all, &ua.ReferenceDescription{ReferenceTypeID: ua.NewNumericNodeID(0, r.kind), IsForward: !r.inverse,
			NodeID: ua.NewExpandedNodeID(r.to.id, "", r.server), BrowseName: &r.to.name, DisplayName: ua.NewLocalizedText(r.to.name.Name),
			NodeClass: r.to.class, TypeDefinition: expanded(r.to.typ)})
	}
	if d.ReferenceTypeID.IntID() == id.HasTypeDefinition && b.typ != nil {
		all = append(all, &ua.ReferenceDescription{ReferenceTypeID: d.ReferenceTypeID, IsForward: true, NodeID: expanded(b.typ),
			BrowseName: &ua.QualifiedName{}, DisplayName: ua.NewLocalizedText(""), NodeClass: ua.NodeClassObjectType, TypeDefinition: expanded(nil)})
	}
	return all
}

func expanded(n *ua.NodeID) *ua.ExpandedNodeID {
	if n == nil {
		return ua.NewTwoByteExpandedNodeID(0)
	}
	return ua.NewExpandedNodeID(n, "", 0)
}

func (tr *tree) read(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
	req := r.(*ua.ReadRequest)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	res := &ua.ReadResponse{ResponseHeader: header(req, 0)}
	for _, n := range req.NodesToRead {
		dv := &ua.DataValue{EncodingMask: ua.DataValueStatusCode, Status: ua.StatusBadNodeIDUnknown}
		if b := tr.node(n.NodeID); b != nil {
			if dv = b.attributes[n.AttributeID]; dv == nil {
				dv = &ua.DataValue{EncodingMask: ua.DataValueStatusCode, Status: ua.StatusBadAttributeIDInvalid}
			}
		} else if ns, err := tr.srv.Namespace(int(n.NodeID.Namespace())); err == nil && n.NodeID.Namespace() == 0 {
			dv = ns.Attribute(n.NodeID, n.AttributeID)
		}
		res.Results = append(res.Results, dv)
	}
	return res, nil
}

func builtinType(n uint32) *ua.NodeID { return ua.NewNumericNodeID(0, n) }

// line gives what was found of a variable, for tests.
func (v *Variable) line() string {
	s := fmt.Sprint(v.Type, " ", v.Why)
	if v.Length > 0 {
		s += fmt.Sprint(" length ", v.Length)
	}
	if v.Unit != "" {
		s += " unit " + v.Unit
	}
	if v.Low != 0 || v.High != 0 {
		s += fmt.Sprint(" range ", v.Low, " ", v.High)
	}
	if v.Enum != nil {
		s += fmt.Sprint(" enum ", v.Enum)
	}
	if v.Role != "" {
		s += " role " + v.Role
	}
	return s
}
