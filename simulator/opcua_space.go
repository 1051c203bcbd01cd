package simulator

import (
	"slices"
	"strings"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/server"
	"github.com/gopcua/opcua/server/attrs"
	"github.com/gopcua/opcua/ua"
)

// maxNodesPerRead is the operation limit that the server tells and keeps.
const maxNodesPerRead = 1000

// build makes the address space, with the namespaces rotated by turn.
func (i *opcuaInstance) build(turn int) {
	nodes := i.owner.nodes
	var uris []string
	for k := range nodes {
		if !slices.Contains(uris, nodes[k].namespace) {
			uris = append(uris, nodes[k].namespace)
		}
	}
	slices.Sort(uris)
	spaces := map[string]*server.NodeNameSpace{}
	for k := range uris {
		uri := uris[(k+turn)%len(uris)]
		spaces[uri] = server.NewNodeNameSpace(i.server, uri)
	}
	root, _ := i.server.Namespace(0)
	root.AddNode(server.NewNode(
		ua.NewNumericNodeID(0, id.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead),
		server.Attributes{
			ua.AttributeIDNodeClass:  server.DataValueFromValue(uint32(ua.NodeClassVariable)),
			ua.AttributeIDBrowseName: server.DataValueFromValue(attrs.BrowseName("MaxNodesPerRead")),
		}, nil,
		func() *ua.DataValue { return server.DataValueFromValue(uint32(maxNodesPerRead)) }))
	folders := map[string]*server.Node{"": root.Node(server.ObjectsFolder)}
	for k := range nodes {
		n := &nodes[k]
		space := spaces[n.namespace]
		parent := i.folder(space, folders, n.folders)
		node := variable(space.ID(), n, i.owner.tick, i.lockedRead(n))
		space.AddNode(node)
		parent.AddRef(node, id.HasComponent, true)
		i.nodes[node.ID().String()] = n
	}
}

// folder gives the object at a path, and makes those that are missing.
func (i *opcuaInstance) folder(space *server.NodeNameSpace, known map[string]*server.Node, path []string) *server.Node {
	key := strings.Join(path, "/")
	if n := known[key]; n != nil {
		return n
	}
	parent := i.folder(space, known, path[:len(path)-1])
	name := path[len(path)-1]
	n := server.NewNode(ua.NewStringNodeID(space.ID(), key), server.Attributes{
		ua.AttributeIDNodeClass:     server.DataValueFromValue(uint32(ua.NodeClassObject)),
		ua.AttributeIDBrowseName:    server.DataValueFromValue(&ua.QualifiedName{NamespaceIndex: space.ID(), Name: name}),
		ua.AttributeIDDisplayName:   server.DataValueFromValue(attrs.DisplayName(name, "en")),
		ua.AttributeIDEventNotifier: server.DataValueFromValue(byte(0)),
	}, nil, nil)
	space.AddNode(n)
	parent.AddRef(n, id.Organizes, true)
	known[key] = n
	return n
}

func variable(space uint16, n *opcuaNode, tick time.Duration, read func() *ua.DataValue) *server.Node {
	description := &ua.LocalizedText{Locale: "en", Text: n.description}
	description.UpdateMask()
	readOnly := byte(ua.AccessLevelTypeCurrentRead)
	return server.NewNode(ua.NewStringNodeID(space, n.name), server.Attributes{
		ua.AttributeIDNodeClass:               server.DataValueFromValue(uint32(ua.NodeClassVariable)),
		ua.AttributeIDBrowseName:              server.DataValueFromValue(&ua.QualifiedName{NamespaceIndex: space, Name: n.browse}),
		ua.AttributeIDDisplayName:             server.DataValueFromValue(attrs.DisplayName(n.browse, "en")),
		ua.AttributeIDDescription:             server.DataValueFromValue(description),
		ua.AttributeIDDataType:                server.DataValueFromValue(ua.NewNumericNodeID(0, n.dataType)),
		ua.AttributeIDValueRank:               server.DataValueFromValue(int32(-1)),
		ua.AttributeIDAccessLevel:             server.DataValueFromValue(readOnly),
		ua.AttributeIDUserAccessLevel:         server.DataValueFromValue(readOnly),
		ua.AttributeIDHistorizing:             server.DataValueFromValue(false),
		ua.AttributeIDMinimumSamplingInterval: server.DataValueFromValue(float64(tick / time.Millisecond)),
	}, nil, read)
}

// lockedRead is for the library's own services.
func (i *opcuaInstance) lockedRead(n *opcuaNode) func() *ua.DataValue {
	return func() *ua.DataValue {
		i.owner.lock.Lock()
		defer i.owner.lock.Unlock()
		i.owner.sync()
		return n.read()
	}
}
