package opcua

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

// walkDepth bounds a walk for which no depth is given: an address space that
// makes up nodes as one looks has no end.
const walkDepth = 64

// Walk says which part of an address space Browse goes through.
type Walk struct {
	From  string // a node; "" is the Objects folder
	Depth int    // steps from there; 0 is as far as it goes
	Limit int    // variables that are found at most; 0 is any number
	// Match picks variables by their path, names with / between; nil takes all.
	Match func(path string) bool
	// Progress is told now and then how far the walk is; nil for nobody.
	Progress func(Walked)
}

// Walked says how far a walk came.
type Walked struct {
	Nodes     int
	Variables int      // that were given
	Cut       bool     // by the limit
	Failed    int      // nodes that could not be browsed, or not to the end
	Why       []string // the first of them, with the reasons
}

// Variable is a variable of an address space as a signal would read it.
type Variable struct {
	Path        []string // names from where the walk began
	Node        string   // as settings write it, with the namespace's URI
	Type        string   // as settings write it; "" where no signal can be made of it
	Why         string   // why not
	Length      int      // of an array of known length
	Unit        string
	Description string
	Low, High   float64  // its usual range; both 0 where it has none
	Enum        []string // what its numbers mean, "0 idle"
	Machine     *Machine // that it belongs to, by a companion specification
	Role        string   // what it is to that machine; "" for nothing special
}

// place is a node that is still to be browsed.
type place struct {
	id      *ua.NodeID
	trail   *trail
	depth   int
	kind    ua.NodeClass
	machine *Machine
	part    part // of the machine
}

// trail is a path from its end, so that nodes share what is above them.
type trail struct {
	name string
	up   *trail
}

func (t *trail) names() []string {
	var all []string
	for ; t != nil; t = t.up {
		all = append(all, t.name)
	}
	slices.Reverse(all)
	return all
}

// walker is a walk under way. It keeps a small hash of each node that it has
// met, and the places on the way that are still to be browsed.
type walker struct {
	*Explorer
	walk   Walk
	visit  func(Variable) error
	types  *typeTree
	guide  *guide
	seed   maphash.Seed
	met    map[uint64]struct{}
	stack  []place
	walked Walked
}

// Browse walks the hierarchy below a node and gives each variable to visit, in
// the order of the walk. Each node is met once, whatever circles there are.
// The server's own object is left out, unless the walk begins in it. The error
// is visit's, ctx's, or that of the session; what was walked before it counts.
func (e *Explorer) Browse(ctx context.Context, walk Walk, visit func(Variable) error) (Walked, error) {
	w := &walker{Explorer: e, walk: walk, visit: visit, types: newTypeTree(e), seed: maphash.MakeSeed(), met: map[uint64]struct{}{}}
	if w.walk.Depth <= 0 {
		w.walk.Depth = walkDepth
	}
	start := ua.NewNumericNodeID(0, id.ObjectsFolder)
	if walk.From != "" {
		var err error
		if start, err = e.find(ctx, walk.From); err != nil {
			return w.walked, fmt.Errorf("begin at %s: %w", walk.From, err)
		}
	}
	w.meet(start)
	if walk.From == "" {
		w.meet(ua.NewNumericNodeID(0, id.Server))
	}
	first, err := w.begin(ctx, start)
	if err != nil {
		return w.walked, err
	}
	if w.guide, err = newGuide(ctx, w.types); err != nil {
		return w.walked, err
	}
	if err := w.guide.enter(ctx, &first, nil, nil); err != nil {
		return w.walked, err
	}
	w.stack = []place{first}
	size := e.browseSize(ctx)
	for len(w.stack) > 0 && !w.walked.Cut {
		if ctx.Err() != nil {
			return w.walked, ctx.Err()
		}
		if err := w.step(ctx, size); err != nil {
			return w.walked, err
		}
		if w.walk.Progress != nil {
			w.walk.Progress(w.walked)
		}
	}
	return w.walked, nil
}

// begin gives the place where a walk begins; its own name is in no path, unless
// it is a variable itself.
func (w *walker) begin(ctx context.Context, n *ua.NodeID) (place, error) {
	got, err := w.read(ctx, []*ua.ReadValueID{readAttribute(n, ua.AttributeIDNodeClass), readAttribute(n, ua.AttributeIDBrowseName)})
	if err != nil {
		return place{}, err
	}
	if got[0].data == nil || severity(got[0].data.Status) == plant.Bad {
		why := got[0].why
		if got[0].data != nil {
			why = statusName(got[0].data.Status)
		}
		return place{}, fmt.Errorf("begin at %s: %s", address(n, w.namespaces), why)
	}
	p := place{id: n, kind: ua.NodeClassObject}
	if class, ok := goodValue(got[0].data).(int32); ok && ua.NodeClass(class) == ua.NodeClassVariable {
		p.kind = ua.NodeClassVariable
		p.trail = &trail{name: nameOf(goodValue(got[1].data))}
	}
	return p, nil
}

func nameOf(v any) string {
	if q, ok := v.(*ua.QualifiedName); ok && q != nil {
		return q.Name
	}
	return ""
}

// meet tells whether a node is met for the first time.
func (w *walker) meet(n *ua.NodeID) bool {
	h := maphash.String(w.seed, n.String())
	if _, known := w.met[h]; known {
		return false
	}
	w.met[h] = struct{}{}
	return true
}

// browseSize gives how many nodes the server takes in one Browse.
func (e *Explorer) browseSize(ctx context.Context) int {
	got, err := e.read(ctx, []*ua.ReadValueID{readValue(ua.NewNumericNodeID(0, id.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse))})
	if err != nil {
		return browseBatch // the next request tells what is wrong
	}
	if n, ok := goodValue(got[0].data).(uint32); ok && n > 0 {
		return int(min(n, browseBatch))
	}
	return browseBatch
}

// step browses the places on the top of the stack, visits the variables among
// them, and puts what is below them on the stack.
func (w *walker) step(ctx context.Context, size int) error {
	n := min(size, len(w.stack))
	places := slices.Clone(w.stack[len(w.stack)-n:])
	slices.Reverse(places)
	w.stack = w.stack[:len(w.stack)-n]
	nodes := make([]*ua.NodeID, n)
	for i := range places {
		nodes[i] = places[i].id
	}
	found, err := w.browse(ctx, nodes, description(id.HierarchicalReferences, ua.BrowseDirectionForward, ua.NodeClassObject|ua.NodeClassVariable))
	if err != nil {
		return err
	}
	w.walked.Nodes += n
	var variables []candidate
	var below []place
	for i := range places {
		p := &places[i]
		if why := found[i].why; why != "" {
			w.failed(p, why)
		}
		children, properties := w.children(p, found[i].references)
		if p.kind == ua.NodeClassVariable {
			variables = append(variables, candidate{place: p, properties: properties})
		}
		if p.depth >= w.walk.Depth {
			continue
		}
		more, err := w.descend(ctx, p, children)
		if err != nil {
			return err
		}
		below = append(below, more...)
	}
	slices.Reverse(below)
	w.stack = append(w.stack, below...)
	return w.visitAll(ctx, variables)
}

// mostWhy is how many failures a walk tells of.
const mostWhy = 10

func (w *walker) failed(p *place, why string) {
	if w.walked.Failed++; w.walked.Failed <= mostWhy {
		w.walked.Why = append(w.walked.Why, strings.Join(p.trail.names(), "/")+" ("+address(p.id, w.namespaces)+"): "+why)
	}
}

// child is a reference to a node of this server.
type child struct {
	id   *ua.NodeID
	kind ua.NodeClass
	name ua.QualifiedName
	typ  *ua.NodeID // definition; nil where it is not told
}

// children parts the nodes below a place from the properties that say what a
// variable means.
func (w *walker) children(p *place, refs []*ua.ReferenceDescription) (children []child, properties map[string]*ua.NodeID) {
	for _, r := range refs {
		if r == nil || r.NodeID == nil || r.NodeID.NodeID == nil || r.NodeID.ServerIndex != 0 || r.BrowseName == nil {
			continue // on another server, or no reference at all
		}
		if r.NodeClass != ua.NodeClassObject && r.NodeClass != ua.NodeClassVariable {
			continue
		}
		c := child{id: ua.NewNodeIDFromExpandedNodeID(r.NodeID), kind: r.NodeClass, name: *r.BrowseName}
		if r.NodeID.HasNamespaceURI() {
			ns, err := namespaceIndex(r.NodeID.NamespaceURI, w.namespaces)
			if err != nil || c.id.SetNamespace(ns) != nil {
				continue
			}
		}
		if r.TypeDefinition != nil && r.TypeDefinition.NodeID != nil {
			c.typ = ua.NewNodeIDFromExpandedNodeID(r.TypeDefinition)
		}
		if p.kind == ua.NodeClassVariable && c.name.NamespaceIndex == 0 && explains(c.name.Name) {
			if properties == nil {
				properties = map[string]*ua.NodeID{}
			}
			properties[c.name.Name] = c.id
			continue
		}
		children = append(children, c)
	}
	return children, properties
}

// descend gives the places below p that nobody has met yet.
func (w *walker) descend(ctx context.Context, p *place, children []child) ([]place, error) {
	var below []place
	for _, c := range children {
		if !w.meet(c.id) {
			continue
		}
		next := place{id: c.id, kind: c.kind, depth: p.depth + 1, trail: &trail{name: c.name.Name, up: p.trail}, machine: p.machine, part: p.part}
		if err := w.guide.enter(ctx, &next, &c, p); err != nil {
			return nil, err
		}
		below = append(below, next)
	}
	return below, nil
}
