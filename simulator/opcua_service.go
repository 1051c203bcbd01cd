package simulator

import (
	"slices"
	"time"

	"github.com/gopcua/opcua/server"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uasc"
)

// shortestPublishing is the least publishing interval that a client gets, in
// ms; the library falls over below 1.
const shortestPublishing = 20

func header(r *ua.RequestHeader, status ua.StatusCode) *ua.ResponseHeader {
	return &ua.ResponseHeader{
		Timestamp: time.Now(), RequestHandle: r.RequestHandle, ServiceResult: status,
		ServiceDiagnostics: &ua.DiagnosticInfo{}, StringTable: []string{}, AdditionalHeader: ua.NewExtensionObject(nil),
	}
}

// endpoints tells only of the front (Part 4, 5.5.4), not of the port behind it.
func (i *opcuaInstance) endpoints(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
	req, ok := r.(*ua.GetEndpointsRequest)
	if !ok {
		return nil, ua.StatusBadRequestTypeInvalid
	}
	all := slices.DeleteFunc(i.server.Endpoints(), func(e *ua.EndpointDescription) bool { return e.EndpointURL != i.url })
	for _, e := range all {
		e.Server.DiscoveryURLs = []string{i.url}
	}
	return &ua.GetEndpointsResponse{ResponseHeader: header(req.RequestHeader, ua.StatusOK), Endpoints: all}, nil
}

// read answers all nodes of a request from one state of the plant (Part 4,
// 5.10.2).
func (i *opcuaInstance) read(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
	req, ok := r.(*ua.ReadRequest)
	if !ok {
		return nil, ua.StatusBadRequestTypeInvalid
	}
	if len(req.NodesToRead) > maxNodesPerRead {
		return &ua.ServiceFault{ResponseHeader: header(req.RequestHeader, ua.StatusBadTooManyOperations)}, nil
	}
	results := make([]*ua.DataValue, len(req.NodesToRead))
	i.owner.lock.Lock()
	i.owner.sync()
	for k, n := range req.NodesToRead {
		if node := i.nodes[n.NodeID.String()]; node != nil && n.AttributeID == ua.AttributeIDValue {
			results[k] = node.read()
		}
	}
	i.owner.lock.Unlock()
	for k, n := range req.NodesToRead {
		if results[k] == nil {
			results[k] = i.attribute(n.NodeID, n.AttributeID)
		}
	}
	return &ua.ReadResponse{ResponseHeader: header(req.RequestHeader, ua.StatusOK), Results: results}, nil
}

func (i *opcuaInstance) attribute(n *ua.NodeID, attribute ua.AttributeID) *ua.DataValue {
	space, err := i.server.Namespace(int(n.Namespace()))
	if err != nil {
		return &ua.DataValue{EncodingMask: ua.DataValueStatusCode, Status: ua.StatusBadNodeIDUnknown}
	}
	return space.Attribute(n, attribute)
}

// subscribe keeps the library from two falls: a publishing interval below a
// millisecond, and a new subscription that takes the number of a living one,
// which it does once an older one is deleted.
func (i *opcuaInstance) subscribe(sc *uasc.SecureChannel, r ua.Request, reqID uint32) (ua.Response, error) {
	req, ok := r.(*ua.CreateSubscriptionRequest)
	if !ok {
		return nil, ua.StatusBadRequestTypeInvalid
	}
	if !(req.RequestedPublishingInterval >= shortestPublishing) {
		req.RequestedPublishingInterval = shortestPublishing
	}
	req.RequestedPublishingInterval = min(req.RequestedPublishingInterval, 3_600_000)
	subs := i.server.SubscriptionService
	subs.Mu.Lock()
	var placeholders []uint32
	for taken := true; taken; {
		if _, taken = subs.Subs[uint32(len(subs.Subs))+1]; taken {
			n := ^uint32(len(placeholders))
			subs.Subs[n] = server.NewSubscription()
			placeholders = append(placeholders, n)
		}
	}
	subs.Mu.Unlock()
	res, err := subs.CreateSubscription(sc, r, reqID)
	subs.Mu.Lock()
	for _, n := range placeholders {
		delete(subs.Subs, n)
	}
	subs.Mu.Unlock()
	return res, err
}

// monitor makes monitored items, with a result for each (Part 4, 5.13.2).
func (i *opcuaInstance) monitor(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
	req, ok := r.(*ua.CreateMonitoredItemsRequest)
	if !ok {
		return nil, ua.StatusBadRequestTypeInvalid
	}
	subs, items := i.server.SubscriptionService, i.server.MonitoredItemService
	subs.Mu.Lock()
	sub := subs.Subs[req.SubscriptionID]
	subs.Mu.Unlock()
	session := i.server.Session(req.RequestHeader)
	if sub == nil || sub.Session == nil || session == nil || sub.Session.AuthTokenID.String() != session.AuthTokenID.String() {
		return &ua.ServiceFault{ResponseHeader: header(req.RequestHeader, ua.StatusBadSubscriptionIDInvalid)}, nil
	}
	results := make([]*ua.MonitoredItemCreateResult, len(req.ItemsToCreate))
	for k, want := range req.ItemsToCreate {
		results[k] = &ua.MonitoredItemCreateResult{StatusCode: ua.StatusBadNodeIDUnknown, FilterResult: ua.NewExtensionObject(nil)}
		n := want.ItemToMonitor.NodeID
		if i.server.Node(n) == nil {
			continue
		}
		item := &server.MonitoredItem{ID: items.NextID(), Sub: sub, Req: want}
		items.Mu.Lock()
		items.Items[item.ID] = item
		items.Nodes[n.String()] = append(items.Nodes[n.String()], item)
		items.Subs[sub.ID] = append(items.Subs[sub.ID], item)
		items.Mu.Unlock()
		results[k].StatusCode, results[k].MonitoredItemID = ua.StatusOK, item.ID
		results[k].RevisedSamplingInterval, results[k].RevisedQueueSize = sub.RevisedPublishingInterval, 1
		i.touch(n)
	}
	return &ua.CreateMonitoredItemsResponse{
		ResponseHeader: header(req.RequestHeader, ua.StatusOK), Results: results, DiagnosticInfos: []*ua.DiagnosticInfo{},
	}, nil
}

// touch has a node published with the next tick.
func (i *opcuaInstance) touch(n *ua.NodeID) {
	i.mu.Lock()
	i.dirty[n.String()] = n
	i.mu.Unlock()
}

// patienceWithQueue is how long a full queue of a subscription is waited for.
const patienceWithQueue = 20 * time.Millisecond

// publish hands what has changed to the subscriptions. One whose queue stays
// full gets the value of a later tick.
func (i *opcuaInstance) publish() {
	i.findChanges()
	i.mu.Lock()
	dirty := i.dirty
	i.dirty = map[string]*ua.NodeID{}
	i.mu.Unlock()
	stuck := map[*server.Subscription]bool{}
	items := i.server.MonitoredItemService
	for key, n := range dirty {
		items.Mu.Lock()
		monitored := len(items.Nodes[key]) > 0
		items.Mu.Unlock()
		if !monitored {
			continue
		}
		value := i.current(key, n)
		items.Mu.Lock()
		again := false
		for _, item := range items.Nodes[key] {
			v := value
			if a := item.Req.ItemToMonitor.AttributeID; a != ua.AttributeIDValue {
				v = i.attribute(n, a)
			}
			if !stuck[item.Sub] && !offer(item, v) {
				stuck[item.Sub] = true
			}
			again = again || stuck[item.Sub]
		}
		items.Mu.Unlock()
		if again {
			i.touch(n)
		}
	}
}

// offer puts a notification into a subscription's queue, and tells whether
// there was room.
func offer(item *server.MonitoredItem, v *ua.DataValue) bool {
	n := &ua.MonitoredItemNotification{ClientHandle: item.Req.RequestedParameters.ClientHandle, Value: v}
	select {
	case item.Sub.NotifyChannel <- n:
		return true
	default:
	}
	select {
	case item.Sub.NotifyChannel <- n:
		return true
	case <-time.After(patienceWithQueue):
		return false
	}
}

// findChanges marks the monitored variables with a new revision as dirty.
func (i *opcuaInstance) findChanges() {
	items := i.server.MonitoredItemService
	items.Mu.Lock()
	watched := make([]string, 0, len(items.Nodes))
	for key := range items.Nodes {
		watched = append(watched, key)
	}
	items.Mu.Unlock()
	i.owner.lock.Lock()
	defer i.owner.lock.Unlock()
	i.owner.sync()
	for _, key := range watched {
		n := i.nodes[key]
		if n == nil {
			continue
		}
		if rev := n.rev(); rev != i.seen[key] {
			i.seen[key] = rev
			if parsed, err := ua.ParseNodeID(key); err == nil {
				i.touch(parsed)
			}
		}
	}
}

func (i *opcuaInstance) current(key string, n *ua.NodeID) *ua.DataValue {
	if node := i.nodes[key]; node != nil {
		i.owner.lock.Lock()
		defer i.owner.lock.Unlock()
		return node.read()
	}
	return i.attribute(n, ua.AttributeIDValue)
}
