package opcua

import (
	"context"
	"strings"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
)

// The companion specifications that are known, and the numbers of their types.
const (
	packMLURI    = "http://opcfoundation.org/UA/PackML/"    // OPC 30050
	machineryURI = "http://opcfoundation.org/UA/Machinery/" // OPC 40001-1

	packMLBase        = 6 // PackMLBaseObjectType
	packMLStatus      = 4 // PackMLStatusObjectType
	packMLAdmin       = 5 // PackMLAdminObjectType
	packMLTop         = 3 // PackMLBaseStateMachineType: cleared, aborting, aborted
	packMLMachine     = 2 // PackMLMachineStateMachineType, within cleared
	packMLExecute     = 1 // PackMLExecuteStateMachineType, within running
	machineryMachines = 1001
	machineryState    = 1002 // MachineryItemState_StateMachineType
	machineryMode     = 1008 // MachineryOperationModeStateMachineType
)

// The specifications, as Machine names them.
const (
	PackML    = "PackML"
	Machinery = "Machinery"
)

// Machine is a machine that a server shows by a companion specification.
type Machine struct {
	Name string
	Spec string   // PackML or Machinery
	Path []string // from where the walk began
}

// The roles that variables have for a machine: those of the twin, and those
// that only stand beside them.
const (
	RoleState      = "state"       // of what the machine does; text
	RoleStateUpper = "state_upper" // PackML nests its state: stopped, clearing, running
	RoleStateTop   = "state_top"   // aborted, or cleared
	RoleMode       = "mode"
	RoleTotal      = "total"
	RoleReject     = "reject"
	RoleSpeed      = "speed"
	RoleFault      = "fault"
)

// part is what a node is to the machine that it is in.
type part struct {
	spec   string
	number uint32 // of the type of the nearest known object; 0 for the machine itself
	role   string // of the variable itself
}

// guide recognises machines by the types of a server.
type guide struct {
	types    *typeTree
	machines map[string]bool     // below Machinery's folder of machines
	found    map[string]*Machine // by path
	start    string              // name of the node at which the walk began
}

// newGuide asks for the folder in which Machinery lists machines: they may be
// reached by other ways first.
func newGuide(ctx context.Context, types *typeTree) (*guide, error) {
	g := &guide{types: types, machines: map[string]bool{}, found: map[string]*Machine{}}
	ns, err := namespaceIndex(machineryURI, types.explorer.namespaces)
	if err != nil {
		return g, nil
	}
	refs, err := types.explorer.references(ctx, ua.NewNumericNodeID(ns, machineryMachines), id.HierarchicalReferences, ua.BrowseDirectionForward)
	if err != nil {
		return nil, err
	}
	for _, r := range refs {
		if r.NodeClass == ua.NodeClassObject && r.NodeID != nil && r.NodeID.NodeID != nil {
			g.machines[ua.NewNodeIDFromExpandedNodeID(r.NodeID).String()] = true
		}
	}
	return g, nil
}

// enter sets what a place is to a machine. c is the reference that led to it
// from above, nil where the walk begins.
func (g *guide) enter(ctx context.Context, p *place, c *child, above *place) error {
	p.part.role = ""
	switch {
	case c == nil:
		return g.enterFirst(ctx, p)
	case p.kind == ua.NodeClassVariable:
		p.part.role = p.part.roleOf(c.name.Name, above.kind)
		return nil
	}
	return g.enterObject(ctx, p, c.typ)
}

// enterFirst asks for the type of the node at which the walk begins.
func (g *guide) enterFirst(ctx context.Context, p *place) error {
	if p.kind != ua.NodeClassObject {
		return nil
	}
	e := g.types.explorer
	refs, err := e.references(ctx, p.id, id.HasTypeDefinition, ua.BrowseDirectionForward)
	if err != nil {
		return err
	}
	got, err := e.read(ctx, []*ua.ReadValueID{readAttribute(p.id, ua.AttributeIDBrowseName)})
	if err != nil {
		return err
	}
	var typ *ua.NodeID
	if len(refs) > 0 && refs[0].NodeID != nil && refs[0].NodeID.NodeID != nil {
		typ = ua.NewNodeIDFromExpandedNodeID(refs[0].NodeID)
	}
	g.start = nameOf(goodValue(got[0].data))
	return g.enterObject(ctx, p, typ)
}

func (g *guide) enterObject(ctx context.Context, p *place, typ *ua.NodeID) error {
	p.part.number = 0
	if g.machines[p.id.String()] {
		p.machine, p.part = g.machine(p.trail, Machinery), part{spec: Machinery}
	}
	if typ == nil || typ.Namespace() == 0 {
		return nil // no companion specification's
	}
	for _, known := range [...]struct {
		spec, uri string
		number    uint32
	}{
		{PackML, packMLURI, packMLBase}, {PackML, packMLURI, packMLStatus}, {PackML, packMLURI, packMLAdmin},
		{PackML, packMLURI, packMLTop}, {PackML, packMLURI, packMLMachine}, {PackML, packMLURI, packMLExecute},
		{Machinery, machineryURI, machineryState}, {Machinery, machineryURI, machineryMode},
	} {
		is, err := g.types.is(ctx, typ, known.uri, known.number)
		if err != nil {
			return err
		}
		if !is {
			continue
		}
		switch {
		case known.spec == PackML && known.number == packMLBase:
			p.machine = g.machine(p.trail, PackML)
		case p.machine == nil:
			p.machine = g.machine(holder(p.trail), known.spec)
		}
		p.part = part{spec: known.spec, number: known.number}
		return nil
	}
	return nil
}

// holder gives the machine of a part that is met outside of any machine: what
// holds it, but for the folder that Machinery puts between.
func holder(t *trail) *trail {
	if t != nil {
		t = t.up
	}
	if t != nil && t.name == "MachineryBuildingBlocks" {
		t = t.up
	}
	return t
}

// machine gives the machine at a path, which may be known already.
func (g *guide) machine(at *trail, spec string) *Machine {
	path := at.names()
	key := strings.Join(path, "\x00")
	m := g.found[key]
	if m == nil {
		m = &Machine{Name: g.start, Spec: spec, Path: path}
		if at != nil {
			m.Name = at.name
		}
		g.found[key] = m
	}
	if spec == PackML {
		m.Spec = spec // says more than Machinery
	}
	return m
}

// roleOf tells what a variable of this name is, directly below a part or below
// one of its variables.
func (p part) roleOf(name string, above ua.NodeClass) string {
	if above == ua.NodeClassVariable {
		return ""
	}
	switch p.spec {
	case PackML:
		return packMLRole(p.number, name)
	case Machinery:
		switch {
		case p.number == machineryState && name == "CurrentState":
			return RoleState
		case p.number == machineryMode && name == "CurrentState":
			return RoleMode
		}
	}
	return ""
}

func packMLRole(number uint32, name string) string {
	switch number {
	case packMLExecute, packMLMachine, packMLTop:
		if name == "CurrentState" {
			return map[uint32]string{packMLExecute: RoleState, packMLMachine: RoleStateUpper, packMLTop: RoleStateTop}[number]
		}
	case packMLStatus:
		switch name {
		case "CurMachSpeed", "CurrentMachineSpeed":
			return RoleSpeed
		case "UnitModeCurrent":
			return RoleMode
		}
	case packMLAdmin:
		switch name {
		case "ProdProcessedCount":
			return RoleTotal
		case "ProdDefectiveCount":
			return RoleReject
		case "StopReason":
			return RoleFault
		}
	}
	return ""
}
