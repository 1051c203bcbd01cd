package opcua

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

// limits is how much a server takes in one request, as far as is known (Part
// 5, 6.3.11).
type limits struct {
	reads     atomic.Int64 // nodes in Read
	monitors  atomic.Int64 // items in CreateMonitoredItems
	paths     atomic.Int64 // paths in TranslateBrowsePathsToNodeIds
	browses   atomic.Int64 // nodes in Browse
	histories atomic.Int64 // nodes in HistoryRead of raw data
}

// askLimits reads what the server can take in one request. Many do not say.
func (s *session) askLimits(ctx context.Context, timeout time.Duration) error {
	into := []*atomic.Int64{&s.reads, &s.monitors, &s.paths, &s.browses, &s.histories}
	for _, to := range into {
		to.Store(defaultBatch)
	}
	nodes := []*ua.NodeID{
		ua.NewNumericNodeID(0, id.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead),
		ua.NewNumericNodeID(0, id.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall),
		ua.NewNumericNodeID(0, id.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIDs),
		ua.NewNumericNodeID(0, id.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse),
		ua.NewNumericNodeID(0, id.Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData),
	}
	res, err := s.read(ctx, timeout, nodes...)
	if tooLarge(err) { // five are too many: one by one
		for i := 0; i < len(nodes) && (i == 0 || err == nil); i++ {
			var one []*ua.DataValue
			one, err = s.read(ctx, timeout, nodes[i])
			res = append(res, one...)
		}
	}
	if err != nil {
		return fmt.Errorf("read operation limits: %w", err)
	}
	for i, to := range into {
		if dv := res[i]; severity(dv.Status) == plant.Good && dv.Value != nil {
			if n, ok := dv.Value.Value().(uint32); ok && n > 0 {
				to.Store(int64(min(n, mostBatch)))
			}
		}
	}
	return nil
}

// refusedAs tells whether the server refused a whole service with this status.
func refusedAs(err error, status ua.StatusCode) bool {
	var fault faultError
	return errors.As(err, &fault) && fault.status&0xFFFF0000 == status
}
