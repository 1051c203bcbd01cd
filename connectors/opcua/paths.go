package opcua

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

// missingError is a browse path that leads nowhere.
type missingError struct{ why string }

func (e missingError) Error() string { return e.why }

// end is where a browse path leads, or why it leads nowhere: a missingError,
// or what the server's answer was spoilt by.
type end struct {
	node *ua.NodeID
	err  error
}

// walk follows one browse path from the root.
func (s *session) walk(ctx context.Context, timeout time.Duration, path []step, namespaces []string) (*ua.NodeID, error) {
	ends, err := s.walkAll(ctx, timeout, [][]step{path}, namespaces)
	if err != nil {
		return nil, err
	}
	return ends[0].node, ends[0].err
}

// walkAll follows browse paths from the root (Part 4, 5.8.4), as many in a
// request as the server takes, by its own service if it has it, else step by
// step. A path that leads nowhere harms no other.
func (s *session) walkAll(ctx context.Context, timeout time.Duration, paths [][]step, namespaces []string) ([]end, error) {
	root := ua.NewNumericNodeID(0, id.RootFolder)
	ends := make([]end, len(paths))
	var trips []trip
	for i, path := range paths {
		elements, err := elementsOf(path, namespaces)
		if err != nil {
			ends[i].err = err
			continue
		}
		trips = append(trips, trip{path: i, start: root, elements: elements})
	}
	return ends, s.follow(ctx, timeout, trips, ends)
}

// trip is a browse path on its way.
type trip struct {
	path     int // whose end it finds
	start    *ua.NodeID
	elements []*ua.RelativePathElement
}

func elementsOf(path []step, namespaces []string) ([]*ua.RelativePathElement, error) {
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
	return elements, nil
}

// follow finds the ends of trips.
func (s *session) follow(ctx context.Context, timeout time.Duration, trips []trip, ends []end) error {
	for len(trips) > 0 {
		n := min(int(s.paths.Load()), len(trips))
		err := s.translate(ctx, timeout, trips[:n], ends)
		if refusedAs(err, ua.StatusBadServiceUnsupported) {
			return s.stepwise(ctx, timeout, trips, ends)
		}
		if err != nil {
			return err
		}
		trips = trips[n:]
	}
	return nil
}

// translate has the server follow some trips. If that is too much for it, or
// its answer cannot be decoded, it follows each half, down to the path that is
// to blame.
func (s *session) translate(ctx context.Context, timeout time.Duration, trips []trip, ends []end) error {
	req := &ua.TranslateBrowsePathsToNodeIDsRequest{}
	for _, t := range trips {
		req.BrowsePaths = append(req.BrowsePaths, &ua.BrowsePath{StartingNode: t.start, RelativePath: &ua.RelativePath{Elements: t.elements}})
	}
	res, err := s.call(ctx, timeout, req)
	r, ok := res.(*ua.TranslateBrowsePathsToNodeIDsResponse)
	if err == nil && (!ok || len(r.Results) != len(trips)) {
		err = undecodableError{fmt.Errorf("follow browse path: the answer is a %T that does not fit", res)}
	}
	if err == nil {
		for i, t := range trips {
			ends[t.path] = endOf(r.Results[i])
		}
		return nil
	}
	var garbled undecodableError
	if !tooLarge(err) && !errors.As(err, &garbled) {
		return fmt.Errorf("follow browse path: %w", err)
	}
	return s.halve(err, trips, ends, &s.paths, func(half []trip) error { return s.translate(ctx, timeout, half, ends) })
}

// halve does with each half (and one more, of an odd number) what did not go with all; a single one has err for
// its end. A server that took too much is not asked for so much again.
func (s *session) halve(err error, trips []trip, ends []end, limit *atomic.Int64, do func([]trip) error) error {
	if len(trips) == 1 {
		ends[trips[0].path].err = err
		return nil
	}
	half := len(trips) / 2
	if tooLarge(err) {
		limit.Store(min(limit.Load(), int64(half)))
	}
	for piece := range slices.Chunk(trips, half) {
		if err := do(piece); err != nil {
			return err
		}
	}
	return nil
}

func endOf(r *ua.BrowsePathResult) end {
	if severity(r.StatusCode) == plant.Bad {
		return end{err: missingError{"browse path: " + statusName(r.StatusCode)}}
	}
	for _, t := range r.Targets {
		if t.RemainingPathIndex == 0xFFFFFFFF && t.TargetID != nil && t.TargetID.NodeID != nil {
			return end{node: ua.NewNodeIDFromExpandedNodeID(t.TargetID)}
		}
	}
	return end{err: missingError{"browse path: it leads to another server"}}
}

// stepwise follows trips by browsing: the next step of all of them in as few
// requests as the server takes.
func (s *session) stepwise(ctx context.Context, timeout time.Duration, trips []trip, ends []end) error {
	for len(trips) > 0 {
		var on []trip
		for rest := trips; len(rest) > 0; {
			n := min(int(s.browses.Load()), len(rest))
			if err := s.browseStep(ctx, timeout, rest[:n], ends); err != nil {
				return err
			}
			rest = rest[n:]
		}
		for _, t := range trips {
			e := &ends[t.path]
			if e.err == nil && len(t.elements) > 1 {
				on = append(on, trip{path: t.path, start: e.node, elements: t.elements[1:]})
			}
		}
		trips = on
	}
	return nil
}

// browseStep finds the first step of each trip.
func (s *session) browseStep(ctx context.Context, timeout time.Duration, trips []trip, ends []end) error {
	req := &ua.BrowseRequest{View: &ua.ViewDescription{ViewID: ua.NewTwoByteNodeID(0)}}
	for _, t := range trips {
		req.NodesToBrowse = append(req.NodesToBrowse, &ua.BrowseDescription{NodeID: t.start, BrowseDirection: ua.BrowseDirectionForward,
			ReferenceTypeID: t.elements[0].ReferenceTypeID, IncludeSubtypes: true, ResultMask: uint32(ua.BrowseResultMaskBrowseName)})
	}
	res, err := s.call(ctx, timeout, req)
	r, ok := res.(*ua.BrowseResponse)
	if err == nil && (!ok || len(r.Results) != len(trips)) {
		err = undecodableError{fmt.Errorf("browse: the answer is a %T that does not fit", res)}
	}
	if err != nil {
		var garbled undecodableError
		if !tooLarge(err) && !errors.As(err, &garbled) {
			return fmt.Errorf("browse: %w", err)
		}
		return s.halve(err, trips, ends, &s.browses, func(half []trip) error { return s.browseStep(ctx, timeout, half, ends) })
	}
	for i, t := range trips {
		var err error
		if ends[t.path], err = s.pick(ctx, timeout, t, r.Results[i]); err != nil {
			return err
		}
	}
	return nil
}

// pick finds a trip's first step among what a browse gave, asking for the rest
// of it where the server gave only a part.
func (s *session) pick(ctx context.Context, timeout time.Duration, t trip, r *ua.BrowseResult) (end, error) {
	want := t.elements[0].TargetName
	for {
		if r == nil || severity(r.StatusCode) == plant.Bad {
			break
		}
		for _, ref := range r.References {
			if ref.BrowseName != nil && *ref.BrowseName == *want && ref.NodeID != nil && ref.NodeID.NodeID != nil {
				if len(r.ContinuationPoint) > 0 {
					s.call(ctx, timeout, &ua.BrowseNextRequest{ReleaseContinuationPoints: true, ContinuationPoints: [][]byte{r.ContinuationPoint}}) // it would end with the session
				}
				return end{node: ua.NewNodeIDFromExpandedNodeID(ref.NodeID)}, nil
			}
		}
		if len(r.ContinuationPoint) == 0 {
			break
		}
		res, err := s.call(ctx, timeout, &ua.BrowseNextRequest{ContinuationPoints: [][]byte{r.ContinuationPoint}})
		if err != nil {
			return end{}, fmt.Errorf("browse %s further: %w", t.start, err)
		}
		next, ok := res.(*ua.BrowseNextResponse)
		if !ok || len(next.Results) != 1 {
			return end{}, undecodableError{fmt.Errorf("browse %s further: the answer is a %T that does not fit", t.start, res)}
		}
		r = next.Results[0]
	}
	return end{err: missingError{fmt.Sprintf("browse path: %s has no %d:%s", t.start, want.NamespaceIndex, want.Name)}}, nil
}
