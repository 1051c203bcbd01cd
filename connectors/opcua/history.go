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

// Sizes of requests for history, where the server does not ask for smaller
// ones: small, because live data waits behind each of them.
const (
	historyNodes  = 10
	historyValues = 500 // of each node
	leastValues   = 20
)

// historian is what a server says of its history, and how much of it is asked
// for at once. It counts for one connection.
type historian struct {
	session *session
	timeout time.Duration
	nodes   int           // in one request
	values  int           // of each node in one request
	most    int           // the most that values may be
	ahead   time.Duration // of the server's clock before ours
	started plant.Time    // when the server was started, by our clock; 0 if it does not say
}

// askHistorian reads what the server can (Part 5, 6.3.11 and Part 11, 5.4.2)
// and since when it runs.
func askHistorian(ctx context.Context, s *session, timeout time.Duration, batch int) (*historian, error) {
	h := &historian{session: s, timeout: timeout, nodes: historyNodes, most: historyValues}
	if batch > 0 {
		h.nodes = min(h.nodes, batch)
	}
	offset, _ := s.clock.now()
	h.ahead = max(offset, 0) // what a clock behind ours says is taken as it is, as in a live round
	res, err := s.read(ctx, timeout,
		ua.NewNumericNodeID(0, id.Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData),
		ua.NewNumericNodeID(0, id.HistoryServerCapabilities_MaxReturnDataValues),
		ua.NewNumericNodeID(0, id.Server_ServerStatus_StartTime))
	if err != nil {
		return nil, fmt.Errorf("read limits of history: %w", err)
	}
	limit := func(dv *ua.DataValue, n *int) {
		if dv != nil && severity(dv.Status) == plant.Good && dv.Value != nil {
			if most, ok := dv.Value.Value().(uint32); ok && most > 0 {
				*n = int(min(uint32(*n), most))
			}
		}
	}
	limit(res[0], &h.nodes)
	limit(res[1], &h.most)
	if dv := res[2]; dv != nil && severity(dv.Status) == plant.Good && dv.Value != nil {
		if t, ok := dv.Value.Value().(time.Time); ok && t.Year() >= 1990 {
			h.started = plant.At(t).Add(-h.ahead)
		}
	}
	h.values = h.most
	return h, nil
}

// historized tells which of the nodes have a history that this user may read
// and that is kept up: one that was kept once would lack the outage. Nodes
// that are nil have none.
func (h *historian) historized(ctx context.Context, nodes []*ua.NodeID) ([]bool, error) {
	attributes := []ua.AttributeID{ua.AttributeIDUserAccessLevel, ua.AttributeIDHistorizing}
	has := make([]bool, len(nodes))
	batch := max(int(h.session.reads.Load())/len(attributes), 1)
	for first := 0; first < len(nodes); first += batch {
		some := nodes[first:min(first+batch, len(nodes))]
		req := &ua.ReadRequest{TimestampsToReturn: ua.TimestampsToReturnNeither}
		var of []int
		for i, n := range some {
			if n == nil {
				continue
			}
			of = append(of, first+i)
			for _, a := range attributes {
				req.NodesToRead = append(req.NodesToRead, &ua.ReadValueID{NodeID: n, AttributeID: a, DataEncoding: &ua.QualifiedName{}})
			}
		}
		if len(of) == 0 {
			continue
		}
		res, err := h.session.readAll(ctx, h.timeout, req)
		if err != nil {
			return nil, fmt.Errorf("ask which nodes have a history: %w", err)
		}
		for i, at := range of {
			access, kept := res[2*i], res[2*i+1]
			has[at] = attribute[uint8](access)&uint8(ua.AccessLevelTypeHistoryRead) != 0 && attribute[bool](kept)
		}
	}
	return has, nil
}

// attribute gives an attribute's value, or nothing.
func attribute[T any](dv *ua.DataValue) (v T) {
	if dv != nil && severity(dv.Status) == plant.Good && dv.Value != nil {
		v, _ = dv.Value.Value().(T)
	}
	return v
}

// before asks for the last value of each node up to a time: end and number
// alone mean the latest first (Part 11, 6.4.3.2). Unlike bounds, which servers
// look for as far back as they like, this is raw data.
func (h *historian) before(ctx context.Context, nodes []*ua.HistoryReadValueID, at plant.Time) ([]*ua.HistoryReadResult, error) {
	return h.read(ctx, nodes, &ua.ReadRawModifiedDetails{EndTime: h.theirs(at), NumValuesPerNode: 1})
}

// page asks for the values of each node from a time until another one, or for
// those that follow where the nodes carry continuation points.
func (h *historian) page(ctx context.Context, nodes []*ua.HistoryReadValueID, span plant.Span) ([]*ua.HistoryReadResult, error) {
	return h.read(ctx, nodes, &ua.ReadRawModifiedDetails{StartTime: h.theirs(span.From), EndTime: h.theirs(span.To), NumValuesPerNode: uint32(h.values)})
}

// theirs gives a time by the server's clock.
func (h *historian) theirs(t plant.Time) time.Time { return t.Add(h.ahead).Std() }

func (h *historian) read(ctx context.Context, nodes []*ua.HistoryReadValueID, what *ua.ReadRawModifiedDetails) ([]*ua.HistoryReadResult, error) {
	res, err := h.session.call(ctx, h.timeout, &ua.HistoryReadRequest{
		HistoryReadDetails: ua.NewExtensionObject(what), TimestampsToReturn: ua.TimestampsToReturnSource, NodesToRead: nodes})
	if err != nil {
		return nil, err
	}
	r, ok := res.(*ua.HistoryReadResponse)
	if !ok || len(r.Results) != len(nodes) {
		return nil, undecodableError{errors.New("read history: the answer does not fit")}
	}
	return r.Results, nil
}

// free gives continuation points back to the server, as far as it listens.
func (h *historian) free(nodes []*ua.HistoryReadValueID) {
	if len(nodes) == 0 || h.session.broken() != nil {
		return
	}
	// Who asked may have ended; if this fails, they end with the session.
	h.session.call(context.Background(), h.timeout, &ua.HistoryReadRequest{
		HistoryReadDetails: ua.NewExtensionObject(&ua.ReadRawModifiedDetails{}), TimestampsToReturn: ua.TimestampsToReturnSource,
		ReleaseContinuationPoints: true, NodesToRead: nodes})
}

// values gives the values in a result, or why there are none.
func values(r *ua.HistoryReadResult) ([]*ua.DataValue, error) {
	if r == nil {
		return nil, errors.New("the server sent nothing")
	}
	if severity(r.StatusCode) == plant.Bad {
		return nil, faultError{r.StatusCode}
	}
	if r.HistoryData == nil || r.HistoryData.Value == nil {
		if r.StatusCode&0xFFFF0000 == ua.StatusGoodNoData || r.HistoryData == nil || r.HistoryData.EncodingMask == ua.ExtensionObjectEmpty {
			return nil, nil
		}
		return nil, errors.New("the server's history cannot be decoded")
	}
	d, ok := r.HistoryData.Value.(*ua.HistoryData)
	if !ok {
		return nil, fmt.Errorf("the server's history is a %T", r.HistoryData.Value)
	}
	return d.DataValues, nil
}
