package main

import (
	"context"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uasc"
)

// subscribedFront is what of a counting PLC is told by subscription: each report
// is a look, and all values count on in it. The library's server keeps one change
// of a node and forgets the others, and nobody could say which were handed out;
// so this answers for itself. It has one subscription, that which was made last.
type subscribedFront struct {
	*opcuaFront
	every time.Duration

	sub     uint32 // 0: none. plc.mu guards these
	subs    uint32 // that there were
	number  uint32 // of the next report
	items   []*ua.MonitoredItemCreateRequest
	waiting *publishing // the request for a report that is not answered; nil: none
}

// publishing is a request for a report.
type publishing struct {
	channel *uasc.SecureChannel
	id      uint32
	req     *ua.PublishRequest
}

// newSubscribedOPCUA makes a counting PLC that tells its values by subscription.
func newSubscribedOPCUA(t testing.TB, machine string, values int, every time.Duration) *countingPLC {
	t.Helper()
	p := opcuaPLC(t, machine, values)
	f := &subscribedFront{opcuaFront: p.opcua, every: every}
	p.opcua.subscribed = f
	f.RegisterHandler(id.CreateSubscriptionRequest_Encoding_DefaultBinary, f.create)
	f.RegisterHandler(id.CreateMonitoredItemsRequest_Encoding_DefaultBinary, f.monitor)
	f.RegisterHandler(id.PublishRequest_Encoding_DefaultBinary, f.publish)
	f.RegisterHandler(id.DeleteSubscriptionsRequest_Encoding_DefaultBinary, f.delete)
	f.serve(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f.run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return p
}

func answered(r ua.Request) *ua.ResponseHeader {
	return &ua.ResponseHeader{Timestamp: time.Now(), RequestHandle: r.Header().RequestHandle,
		ServiceDiagnostics: &ua.DiagnosticInfo{}, StringTable: []string{}, AdditionalHeader: ua.NewExtensionObject(nil)}
}

func (f *subscribedFront) create(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
	req := r.(*ua.CreateSubscriptionRequest)
	f.plc.mu.Lock()
	defer f.plc.mu.Unlock()
	f.subs++
	f.sub, f.number, f.items, f.waiting = f.subs, 1, nil, nil
	return &ua.CreateSubscriptionResponse{ResponseHeader: answered(r), SubscriptionID: f.sub, RevisedPublishingInterval: req.RequestedPublishingInterval,
		RevisedLifetimeCount: req.RequestedLifetimeCount, RevisedMaxKeepAliveCount: req.RequestedMaxKeepAliveCount}, nil
}

func (f *subscribedFront) monitor(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
	req := r.(*ua.CreateMonitoredItemsRequest)
	res := &ua.CreateMonitoredItemsResponse{ResponseHeader: answered(r), DiagnosticInfos: []*ua.DiagnosticInfo{}}
	f.plc.mu.Lock()
	defer f.plc.mu.Unlock()
	for _, one := range req.ItemsToCreate {
		if req.SubscriptionID != f.sub {
			res.Results = append(res.Results, &ua.MonitoredItemCreateResult{StatusCode: ua.StatusBadSubscriptionIDInvalid, FilterResult: ua.NewExtensionObject(nil)})
			continue
		}
		f.items = append(f.items, one)
		res.Results = append(res.Results, &ua.MonitoredItemCreateResult{MonitoredItemID: uint32(len(f.items)), RevisedSamplingInterval: one.RequestedParameters.SamplingInterval,
			RevisedQueueSize: one.RequestedParameters.QueueSize, FilterResult: ua.NewExtensionObject(nil)})
	}
	return res, nil
}

func (f *subscribedFront) publish(c *uasc.SecureChannel, r ua.Request, id uint32) (ua.Response, error) {
	f.plc.mu.Lock()
	defer f.plc.mu.Unlock()
	f.waiting = &publishing{c, id, r.(*ua.PublishRequest)}
	return nil, nil // answered by the next report
}

func (f *subscribedFront) delete(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
	req := r.(*ua.DeleteSubscriptionsRequest)
	res := &ua.DeleteSubscriptionsResponse{ResponseHeader: answered(r), DiagnosticInfos: []*ua.DiagnosticInfo{}}
	f.plc.mu.Lock()
	defer f.plc.mu.Unlock()
	for _, id := range req.SubscriptionIDs {
		if id == f.sub {
			f.sub, f.items, f.waiting = 0, nil, nil
		}
		res.Results = append(res.Results, ua.StatusOK)
	}
	return res, nil
}

// run reports as often as it shall, where it is asked to.
func (f *subscribedFront) run(ctx context.Context) {
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.report(ctx)
		}
	}
}

// report hands out the next count in all values, and what time it is for whoever
// asks for that. A PLC that rests tells the time alone.
func (f *subscribedFront) report(ctx context.Context) {
	p := f.plc
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.sub == 0 || f.waiting == nil || len(f.items) == 0 || p.gone {
		return
	}
	n, asked, now := uint32(len(p.looks)+1), 0, time.Now()
	change := &ua.DataChangeNotification{DiagnosticInfos: []*ua.DiagnosticInfo{}}
	for _, one := range f.items {
		var dv *ua.DataValue
		if one.ItemToMonitor.NodeID.Namespace() != f.space {
			dv = f.other(one.ItemToMonitor)
		} else if i, ok := f.value(one.ItemToMonitor.NodeID); ok && !p.rests {
			dv = f.shows(n, i, now)
			asked++
		} else {
			continue
		}
		change.MonitoredItems = append(change.MonitoredItems, &ua.MonitoredItemNotification{ClientHandle: one.RequestedParameters.ClientHandle, Value: dv})
	}
	if len(change.MonitoredItems) == 0 {
		return
	}
	data := ua.NewExtensionObject(change)
	data.UpdateMask()
	w := f.waiting
	res := &ua.PublishResponse{ResponseHeader: answered(w.req), SubscriptionID: f.sub, AvailableSequenceNumbers: []uint32{}, DiagnosticInfos: []*ua.DiagnosticInfo{},
		NotificationMessage: &ua.NotificationMessage{SequenceNumber: f.number, PublishTime: now, NotificationData: []*ua.ExtensionObject{data}},
		Results:             make([]ua.StatusCode, len(w.req.SubscriptionAcknowledgements))}
	f.waiting = nil
	if w.channel.SendResponseWithContext(ctx, w.id, res) != nil {
		return // nobody was there to take it
	}
	f.number++
	if asked > 0 {
		p.looks = append(p.looks, look{now, asked})
	}
}

// stands answers a read of a value: it is what the last report said of it. The
// caller holds plc.mu.
func (f *subscribedFront) stands(i int) *ua.DataValue {
	n := len(f.plc.looks)
	if n == 0 {
		return &ua.DataValue{EncodingMask: ua.DataValueStatusCode, Status: ua.StatusBadWaitingForInitialData}
	}
	return f.shows(uint32(n), i, f.plc.looks[n-1].at)
}
