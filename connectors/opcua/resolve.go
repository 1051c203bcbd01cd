package opcua

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

// resolve finds the node id of every target anew: namespace indexes may have
// moved since the last connection. Targets that cannot be found are parked; if
// that is all of them, it is an error.
func (d *Device) resolve(ctx context.Context, s *session, now time.Time) error {
	for i := range d.targets {
		t := &d.targets[i]
		t.read, t.parked, t.data, t.item = nil, "", nil, 0
	}
	if err := d.find(ctx, s, now); err != nil {
		return err
	}
	d.regroup()
	return d.anyLeft()
}

// find resolves the targets that have no node id yet.
func (d *Device) find(ctx context.Context, s *session, now time.Time) error {
	namespaces, err := s.namespaces(ctx, d.cfg.Timeout)
	if err != nil {
		return err
	}
	for i := range d.targets {
		t := &d.targets[i]
		if t.read != nil {
			continue
		}
		var n *ua.NodeID
		if t.node.kind == 'p' {
			n, err = s.walk(ctx, d.cfg.Timeout, t.node.path, namespaces)
		} else {
			n, err = t.node.resolve(namespaces)
		}
		var missing missingError
		switch {
		case err == nil:
			t.read, t.parked = readValue(n), ""
		case t.node.kind != 'p' || errors.As(err, &missing):
			d.park(i, err.Error(), now)
		default:
			return err
		}
	}
	return nil
}

// missingError is a browse path that leads nowhere.
type missingError struct{ why string }

func (e missingError) Error() string { return e.why }

// walk follows a browse path from the root (Part 4, 5.8.4), by the server's
// own service if it has it, else step by step.
func (s *session) walk(ctx context.Context, timeout time.Duration, path []step, namespaces []string) (*ua.NodeID, error) {
	elements := make([]*ua.RelativePathElement, len(path))
	for i, st := range path {
		name := &ua.QualifiedName{NamespaceIndex: st.ns, Name: st.name}
		if st.uri != "" {
			var err error
			if name.NamespaceIndex, err = namespaceIndex(st.uri, namespaces); err != nil {
				return nil, missingError{err.Error()}
			}
		}
		elements[i] = &ua.RelativePathElement{ReferenceTypeID: ua.NewNumericNodeID(0, id.HierarchicalReferences), IncludeSubtypes: true, TargetName: name}
	}
	root := ua.NewNumericNodeID(0, id.RootFolder)
	res, err := s.call(ctx, timeout, &ua.TranslateBrowsePathsToNodeIDsRequest{
		BrowsePaths: []*ua.BrowsePath{{StartingNode: root, RelativePath: &ua.RelativePath{Elements: elements}}}})
	if fault := (faultError{}); errors.As(err, &fault) && fault.status == ua.StatusBadServiceUnsupported {
		return s.stepwise(ctx, timeout, root, elements)
	}
	if err != nil {
		return nil, fmt.Errorf("follow browse path: %w", err)
	}
	r, ok := res.(*ua.TranslateBrowsePathsToNodeIDsResponse)
	if !ok || len(r.Results) != 1 {
		return nil, undecodableError{fmt.Errorf("follow browse path: the answer is a %T", res)}
	}
	if severity(r.Results[0].StatusCode) == plant.Bad {
		return nil, missingError{"browse path: " + statusName(r.Results[0].StatusCode)}
	}
	for _, t := range r.Results[0].Targets {
		if t.RemainingPathIndex == 0xFFFFFFFF && t.TargetID != nil && t.TargetID.NodeID != nil {
			return ua.NewNodeIDFromExpandedNodeID(t.TargetID), nil
		}
	}
	return nil, missingError{"browse path: it leads to another server"}
}

// stepwise follows a path by browsing each node for the next one.
func (s *session) stepwise(ctx context.Context, timeout time.Duration, at *ua.NodeID, path []*ua.RelativePathElement) (*ua.NodeID, error) {
	for _, e := range path {
		res, err := s.call(ctx, timeout, &ua.BrowseRequest{
			View: &ua.ViewDescription{ViewID: ua.NewTwoByteNodeID(0)},
			NodesToBrowse: []*ua.BrowseDescription{{NodeID: at, BrowseDirection: ua.BrowseDirectionForward, ReferenceTypeID: e.ReferenceTypeID,
				IncludeSubtypes: true, ResultMask: uint32(ua.BrowseResultMaskBrowseName)}}})
		if err != nil {
			return nil, fmt.Errorf("browse %s: %w", at, err)
		}
		r, ok := res.(*ua.BrowseResponse)
		if !ok || len(r.Results) != 1 {
			return nil, undecodableError{fmt.Errorf("browse %s: the answer is a %T", at, res)}
		}
		var next *ua.NodeID
		for _, ref := range r.Results[0].References {
			if ref.BrowseName != nil && *ref.BrowseName == *e.TargetName && ref.NodeID != nil && ref.NodeID.NodeID != nil {
				next = ua.NewNodeIDFromExpandedNodeID(ref.NodeID)
				break
			}
		}
		if next == nil {
			return nil, missingError{fmt.Sprintf("browse path: %s has no %d:%s", at, e.TargetName.NamespaceIndex, e.TargetName.Name)}
		}
		at = next
	}
	return at, nil
}

// park takes a target out of the regular rounds for a while.
func (d *Device) park(i int, why string, now time.Time) {
	t := &d.targets[i]
	if t.parked != why {
		d.log.Warn("node cannot be read", "node", t.text, "reason", why)
	}
	t.parked, t.retry, t.data = why, now.Add(retryAfter), nil
}

// regroup lists the targets of the regular rounds anew.
func (d *Device) regroup() {
	d.active, d.nodes = d.active[:0], d.nodes[:0]
	for i := range d.targets {
		if t := &d.targets[i]; t.parked == "" {
			d.active, d.nodes = append(d.active, i), append(d.nodes, t.read)
		}
	}
}

// anyLeft is an error if no target is left: then it is likely that the
// server's address space was replaced as a whole, and all must be found anew.
func (d *Device) anyLeft() error {
	for i := range d.targets {
		if d.targets[i].parked == "" {
			return nil
		}
	}
	t := &d.targets[0]
	return fmt.Errorf("none of the %d nodes can be read; the first, %s: %s", len(d.targets), t.text, t.parked)
}

// unknown tells whether a status means that the node is not there.
func unknown(s ua.StatusCode) bool {
	switch s & 0xFFFF0000 {
	case ua.StatusBadNodeIDUnknown, ua.StatusBadNodeIDInvalid, ua.StatusBadAttributeIDInvalid:
		return true
	}
	return false
}
