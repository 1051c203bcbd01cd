package opcua

import (
	"context"
	"errors"
	"fmt"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

const (
	browseBatch = 50  // nodes in a Browse where the server says nothing
	browsePage  = 200 // references of a node in one answer; the rest follows
)

// references gives a node's references of one kind and its subtypes.
func (e *Explorer) references(ctx context.Context, n *ua.NodeID, kind uint32, direction ua.BrowseDirection) ([]*ua.ReferenceDescription, error) {
	all, err := e.browse(ctx, []*ua.NodeID{n}, description(kind, direction, 0))
	if err != nil {
		return nil, err
	}
	return all[0].references, nil
}

func description(kind uint32, direction ua.BrowseDirection, classes ua.NodeClass) ua.BrowseDescription {
	return ua.BrowseDescription{BrowseDirection: direction, ReferenceTypeID: ua.NewNumericNodeID(0, kind), IncludeSubtypes: true,
		NodeClassMask: uint32(classes), ResultMask: uint32(ua.BrowseResultMaskAll)}
}

// browsed is what Browse told of one node.
type browsed struct {
	references []*ua.ReferenceDescription
	why        string // it could not be browsed, or not to the end
}

// browse browses nodes and follows continuation points to the end (Part 4,
// 5.8.2 and 5.8.3). A request that is too large for the server is halved, and a
// server that has too few continuation points is asked node by node. The error
// is that of the session.
func (e *Explorer) browse(ctx context.Context, nodes []*ua.NodeID, how ua.BrowseDescription) ([]browsed, error) {
	req := &ua.BrowseRequest{View: &ua.ViewDescription{ViewID: ua.NewTwoByteNodeID(0)}, RequestedMaxReferencesPerNode: browsePage}
	for _, n := range nodes {
		d := how
		d.NodeID = n
		req.NodesToBrowse = append(req.NodesToBrowse, &d)
	}
	res, err := e.session.call(ctx, e.timeout, req)
	if err != nil {
		var garbled undecodableError
		if !tooLarge(err) && !errors.As(err, &garbled) {
			return nil, fmt.Errorf("browse: %w", err)
		}
		if len(nodes) == 1 {
			return []browsed{{why: err.Error()}}, nil
		}
		return e.browseHalves(ctx, nodes, how)
	}
	r, ok := res.(*ua.BrowseResponse)
	if !ok || len(r.Results) != len(nodes) {
		return nil, protocolError{fmt.Errorf("browse: asked for %d nodes, the answer is a %T", len(nodes), res)}
	}
	all, again := make([]browsed, len(nodes)), []int(nil)
	points := map[int][]byte{}
	for i, b := range r.Results {
		switch {
		case b == nil:
			all[i].why = "the server sent nothing"
		case b.StatusCode == ua.StatusBadNoContinuationPoints && len(nodes) > 1:
			again = append(again, i)
		default:
			all[i] = result(b)
			if len(b.ContinuationPoint) > 0 {
				points[i] = b.ContinuationPoint
			}
		}
	}
	if err := e.rest(ctx, all, points); err != nil {
		return nil, err
	}
	for _, i := range again {
		one, err := e.browse(ctx, nodes[i:i+1], how)
		if err != nil {
			return nil, err
		}
		all[i] = one[0]
	}
	return all, nil
}

func (e *Explorer) browseHalves(ctx context.Context, nodes []*ua.NodeID, how ua.BrowseDescription) ([]browsed, error) {
	half := len(nodes) / 2
	first, err := e.browse(ctx, nodes[:half], how)
	if err != nil {
		return nil, err
	}
	second, err := e.browse(ctx, nodes[half:], how)
	return append(first, second...), err
}

func result(b *ua.BrowseResult) browsed {
	if severity(b.StatusCode) == plant.Bad {
		return browsed{why: statusName(b.StatusCode)}
	}
	return browsed{references: b.References}
}

// rest fetches what did not fit into the first answer. Where the walk ends
// before that, the server gets its continuation points back.
func (e *Explorer) rest(ctx context.Context, all []browsed, points map[int][]byte) (err error) {
	defer func() {
		if err != nil && len(points) > 0 {
			e.next(context.WithoutCancel(ctx), points, true) // best effort: the session ends anyhow
		}
	}()
	for len(points) > 0 {
		order, results, err := e.next(ctx, points, false)
		if err != nil {
			return err
		}
		for k, i := range order {
			b := results[k]
			delete(points, i)
			if b == nil || severity(b.StatusCode) == plant.Bad {
				all[i].why = "more could not be fetched"
				if b != nil {
					all[i].why += ": " + statusName(b.StatusCode)
				}
				continue
			}
			all[i].references = append(all[i].references, b.References...)
			if len(b.ContinuationPoint) > 0 {
				if len(b.References) == 0 {
					all[i].why = "more could not be fetched: the server goes on without sending any"
					continue
				}
				points[i] = b.ContinuationPoint
			}
		}
	}
	return nil
}

// next calls BrowseNext, and gives the results with the places they are for.
func (e *Explorer) next(ctx context.Context, points map[int][]byte, release bool) ([]int, []*ua.BrowseResult, error) {
	req := &ua.BrowseNextRequest{ReleaseContinuationPoints: release}
	var order []int
	for i, p := range points {
		order, req.ContinuationPoints = append(order, i), append(req.ContinuationPoints, p)
	}
	res, err := e.session.call(ctx, e.timeout, req)
	if err != nil {
		return nil, nil, fmt.Errorf("browse on: %w", err)
	}
	r, ok := res.(*ua.BrowseNextResponse)
	if !ok || !release && len(r.Results) != len(order) {
		return nil, nil, protocolError{fmt.Errorf("browse on: asked for %d nodes, the answer is a %T", len(order), res)}
	}
	return order, r.Results, nil
}
