package opcua

import (
	"context"
	"fmt"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

// mostSupertypes bounds the walk from a type up to the standard's, for servers
// whose types go in a circle.
const mostSupertypes = 32

// typeTree knows the types of a server as far as they were asked for.
type typeTree struct {
	explorer *Explorer
	chains   map[string][]*ua.NodeID // a type and its supertypes, by the type's id
	enums    map[string][]string
	names    map[string]string
}

func newTypeTree(e *Explorer) *typeTree {
	return &typeTree{explorer: e, chains: map[string][]*ua.NodeID{}, enums: map[string][]string{}, names: map[string]string{}}
}

// chain gives a type and its supertypes (Part 3, 7.10: HasSubtype, backwards).
func (t *typeTree) chain(ctx context.Context, n *ua.NodeID) ([]*ua.NodeID, error) {
	if c, ok := t.chains[n.String()]; ok {
		return c, nil
	}
	chain := []*ua.NodeID{n}
	for at := n; len(chain) < mostSupertypes && builtin(at) == 0; {
		refs, err := t.explorer.references(ctx, at, id.HasSubtype, ua.BrowseDirectionInverse)
		if err != nil {
			return nil, err
		}
		if len(refs) == 0 || refs[0].NodeID == nil || refs[0].NodeID.NodeID == nil {
			break
		}
		at = ua.NewNodeIDFromExpandedNodeID(refs[0].NodeID)
		chain = append(chain, at)
	}
	t.chains[n.String()] = chain
	return chain, nil
}

// builtin gives the number of a built-in data type that can be a node's (Part
// 6, 5.1.2), 0 for others. BaseDataType, Number, Integer and so on are none.
func builtin(n *ua.NodeID) ua.TypeID {
	if n.Namespace() != 0 || n.Type() == ua.NodeIDTypeString || n.Type() == ua.NodeIDTypeGUID || n.Type() == ua.NodeIDTypeByteString {
		return 0
	}
	switch i := n.IntID(); {
	case i >= 1 && i <= 23:
		return ua.TypeID(i)
	case i == id.Enumeration:
		return ua.TypeIDInt32
	}
	return 0
}

// dataType gives the built-in type that a data type comes as; 0 where only the
// value itself can tell.
func (t *typeTree) dataType(ctx context.Context, n *ua.NodeID) (ua.TypeID, error) {
	chain, err := t.chain(ctx, n)
	if err != nil {
		return 0, err
	}
	return builtin(chain[len(chain)-1]), nil // a structure is number 22
}

// is tells whether a type is, or comes from, the type with this number in this
// namespace.
func (t *typeTree) is(ctx context.Context, n *ua.NodeID, uri string, number uint32) (bool, error) {
	ns, err := namespaceIndex(uri, t.explorer.namespaces)
	if err != nil || n == nil {
		return false, nil
	}
	chain, err := t.chain(ctx, n)
	if err != nil {
		return false, err
	}
	want := ua.NewNumericNodeID(ns, number).String()
	for _, c := range chain {
		if c.String() == want {
			return true, nil
		}
	}
	return false, nil
}

// enum gives what the numbers of an enumeration mean, as in "0 idle"; nothing
// where the server does not say.
func (t *typeTree) enum(ctx context.Context, n *ua.NodeID) ([]string, error) {
	key := n.String()
	if e, ok := t.enums[key]; ok {
		return e, nil
	}
	t.enums[key] = nil
	refs, err := t.explorer.references(ctx, n, id.HasProperty, ua.BrowseDirectionForward)
	if err != nil {
		return nil, err
	}
	for _, r := range refs {
		if r.BrowseName == nil || r.NodeID == nil || r.NodeID.NodeID == nil || r.BrowseName.Name != "EnumStrings" && r.BrowseName.Name != "EnumValues" {
			continue
		}
		got, err := t.explorer.read(ctx, []*ua.ReadValueID{readValue(ua.NewNodeIDFromExpandedNodeID(r.NodeID))})
		if err != nil {
			return nil, err
		}
		t.enums[key] = enumTexts(got[0].data)
	}
	return t.enums[key], nil
}

// name gives a type's name, for what is told to people.
func (t *typeTree) name(ctx context.Context, n *ua.NodeID) (string, error) {
	key := n.String()
	if name, ok := t.names[key]; ok {
		return name, nil
	}
	got, err := t.explorer.read(ctx, []*ua.ReadValueID{readAttribute(n, ua.AttributeIDBrowseName)})
	if err != nil {
		return "", err
	}
	name := address(n, t.explorer.namespaces)
	if q, ok := goodValue(got[0].data).(*ua.QualifiedName); ok && q != nil && q.Name != "" {
		name = q.Name
	}
	t.names[key] = name
	return name, nil
}

// enumTexts reads EnumStrings or EnumValues (Part 3, 5.8.3; Part 8, 5.3.3).
func enumTexts(dv *ua.DataValue) []string {
	var all []string
	switch v := goodValue(dv).(type) {
	case []*ua.LocalizedText:
		for i, t := range v {
			if t != nil && t.Text != "" {
				all = append(all, fmt.Sprintf("%d %s", i, t.Text))
			}
		}
	case []*ua.ExtensionObject:
		for _, o := range v {
			if e, ok := structure(o).(*ua.EnumValueType); ok && e.DisplayName != nil {
				all = append(all, fmt.Sprintf("%d %s", e.Value, e.DisplayName.Text))
			}
		}
	}
	return all
}

func structure(o *ua.ExtensionObject) any {
	if o == nil {
		return nil
	}
	return o.Value
}

// goodValue gives what a data value holds; nil if it is bad or empty.
func goodValue(dv *ua.DataValue) any {
	if dv == nil || dv.Value == nil || severity(dv.Status) == plant.Bad {
		return nil
	}
	return dv.Value.Value()
}

func readAttribute(n *ua.NodeID, a ua.AttributeID) *ua.ReadValueID {
	return &ua.ReadValueID{NodeID: n, AttributeID: a, DataEncoding: &ua.QualifiedName{}}
}
