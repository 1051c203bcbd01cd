package opcua

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

// heartbeatHandle is the client handle of the heartbeat; the target i has i+1.
const heartbeatHandle = 0

// feed is a subscription as its device sees it. Groups that shall report in
// the same rhythm share one.
type feed struct {
	sub        *subscription
	publishing time.Duration // as asked for
	sampling   time.Duration // changes are vouched for up to so long before a report
	heard      time.Time     // when the server reported last
	through    plant.Time    // up to when its reports tell of all changes; 0 before the first one
	pulse
}

// subscribe makes the device's subscriptions and waits until the server has
// reported something, so that a connected device is one whose data flows.
func (d *Device) subscribe(ctx context.Context, s *session) error {
	now := time.Now()
	for i := range d.ways {
		targets := d.subscribed(i)
		if len(targets) == 0 {
			continue
		}
		if err := d.feedFor(ctx, s, &d.ways[i]); err != nil {
			return err
		}
		if err := d.sieve(ctx, s, targets, now); err != nil {
			return err
		}
		if err := d.monitor(ctx, s, d.subscribed(i), now); err != nil {
			return err
		}
	}
	d.regroup()
	d.prune(s)
	if err := d.anyLeft(); err != nil || len(d.feeds) == 0 {
		return err
	}
	for _, f := range d.feeds {
		d.settle(f)
		if err := d.monitorHeartbeat(ctx, s, f); err != nil {
			return err
		}
	}
	quickest := slices.MinFunc(d.feeds, func(a, b *feed) int { return int(a.sub.publishing - b.sub.publishing) })
	return d.first(ctx, s, quickest.sub)
}

// sieve reads targets before they are subscribed, once something could not be
// decoded: what is to blame is parked, and spoils no report.
func (d *Device) sieve(ctx context.Context, s *session, targets []int, now time.Time) error {
	if !d.sift {
		return nil
	}
	n := d.cfg.Batch
	if n == 0 {
		n = int(s.reads.Load())
	}
	for piece := range slices.Chunk(targets, n) {
		if err := d.readSome(ctx, s, piece, now); err != nil {
			return err
		}
	}
	return nil
}

// subscribed lists the targets of a way that the server shall watch.
func (d *Device) subscribed(way int) []int {
	var all []int
	for i := range d.targets {
		if t := &d.targets[i]; t.way == way && !t.polled && t.read != nil && t.parked == "" {
			all = append(all, i)
		}
	}
	return all
}

// feedFor gives a way the subscription with its rhythm; none where the server
// has no room for another one. That ends no session: its other devices have
// theirs.
func (d *Device) feedFor(ctx context.Context, s *session, w *way) error {
	for _, f := range d.feeds {
		if f.publishing == w.Publishing {
			w.feed = f
			return nil
		}
	}
	sub, err := s.publisher.create(ctx, d.cfg.Timeout, w.Publishing)
	if refusedAs(err, ua.StatusBadTooManySubscriptions) {
		return nil
	}
	if err != nil {
		return err
	}
	w.feed = &feed{sub: sub, publishing: w.Publishing, heard: time.Now()}
	d.feeds = append(d.feeds, w.feed)
	return nil
}

// unfeed forgets the subscriptions.
func (d *Device) unfeed() {
	d.feeds = nil
	for i := range d.ways {
		d.ways[i].feed = nil
	}
}

// prune gives those subscriptions back for which the server took no node.
func (d *Device) prune(s *session) {
	used := map[*feed]bool{}
	for i := range d.targets {
		if t := &d.targets[i]; t.item != 0 {
			used[d.ways[t.way].feed] = true
		}
	}
	d.feeds = slices.DeleteFunc(d.feeds, func(f *feed) bool {
		if !used[f] {
			s.publisher.remove(f.sub, d.cfg.Timeout)
		}
		return !used[f]
	})
	for i := range d.ways {
		if w := &d.ways[i]; !used[w.feed] {
			w.feed = nil
		}
	}
}

// first waits for the first report of a subscription.
func (d *Device) first(ctx context.Context, s *session, sub *subscription) error {
	wait := time.NewTimer(2*sub.publishing + d.cfg.Timeout)
	defer wait.Stop()
	select {
	case <-sub.fresh:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ch.done:
		return s.broken()
	case <-wait.C:
		return fmt.Errorf("the subscription reports nothing: %w", errTimeout)
	}
}

// settle works out up to how long before a report the server vouches for
// changes: one sampling interval of the quickest group, as the server revised
// it. What is sampled far more slowly has a resolution of its own.
func (d *Device) settle(f *feed) {
	quickest := -1
	for i := range d.ways {
		if w := &d.ways[i]; w.feed == f && (quickest < 0 || w.Sampling < d.ways[quickest].Sampling) {
			quickest = i
		}
	}
	asked := d.ways[quickest].Sampling
	f.sampling = asked
	for i := range d.targets {
		if t := &d.targets[i]; t.way == quickest && t.item != 0 && t.sampling <= max(4*asked, mostLag) {
			f.sampling = max(f.sampling, t.sampling)
		}
	}
}

// monitor has the server watch targets of one way. Those that it refuses are
// parked; without a subscription all are polled.
func (d *Device) monitor(ctx context.Context, s *session, targets []int, now time.Time) error {
	targets = append([]int(nil), targets...) // parking may change the list
	if len(targets) > 0 && d.ways[d.targets[targets[0]].way].feed == nil {
		for _, t := range targets {
			d.pollInstead(t, statusName(ua.StatusBadTooManySubscriptions))
		}
		return nil
	}
	for len(targets) > 0 {
		n := d.cfg.Batch
		if n == 0 {
			n = int(s.monitors.Load())
		}
		n = min(n, len(targets))
		if err := d.monitorBatch(ctx, s, targets[:n], now); err != nil {
			return err
		}
		targets = targets[n:]
	}
	return nil
}

// monitorBatch has the server watch targets of one way.
func (d *Device) monitorBatch(ctx context.Context, s *session, targets []int, now time.Time) error {
	w := &d.ways[d.targets[targets[0]].way]
	items := make([]*ua.MonitoredItemCreateRequest, len(targets))
	for i, t := range targets {
		items[i] = newItem(d.targets[t].read, uint32(t)+1, w.Sampling, w.Queue)
		d.filter(s, t, items[i])
	}
	results, err := d.createItems(ctx, s, w.feed.sub, items)
	large, full := tooLarge(err), refusedAs(err, ua.StatusBadTooManyMonitoredItems)
	if large && len(targets) == 1 || !large && !full && err != nil {
		return err
	}
	if full && len(targets) == 1 {
		d.pollInstead(targets[0], statusName(ua.StatusBadTooManyMonitoredItems))
		return nil
	}
	if err != nil {
		half := len(targets) / 2
		if large {
			s.monitors.Store(min(s.monitors.Load(), int64(half)))
			d.cfg.Batch = min(d.cfg.Batch, half)
		}
		for piece := range slices.Chunk(targets, half) {
			if err := d.monitorBatch(ctx, s, piece, now); err != nil {
				return err
			}
		}
		return nil
	}
	var unfiltered []int
	for i, t := range targets {
		if items[i].RequestedParameters.Filter != nil && filterRefused(results[i].StatusCode) {
			d.refuseFilter(s, t, results[i].StatusCode)
			unfiltered = append(unfiltered, t)
			continue
		}
		d.monitored(t, results[i], now)
		d.targets[t].filtered = items[i].RequestedParameters.Filter != nil
	}
	if len(unfiltered) == 0 {
		return nil
	}
	return d.monitorBatch(ctx, s, unfiltered, now)
}

// monitored takes over what the server made of a target's item.
func (d *Device) monitored(target int, r *ua.MonitoredItemCreateResult, now time.Time) {
	t := &d.targets[target]
	if r.StatusCode&0xFFFF0000 == ua.StatusBadTooManyMonitoredItems {
		d.pollInstead(target, statusName(r.StatusCode))
		return
	}
	if severity(r.StatusCode) == plant.Bad {
		d.park(target, statusName(r.StatusCode), now)
		return
	}
	t.item, t.parked = r.MonitoredItemID, ""
	t.queue, t.sampling = int(r.RevisedQueueSize), 0
	if ms := r.RevisedSamplingInterval; ms > 0 && ms <= float64(24*time.Hour/time.Millisecond) {
		t.sampling = time.Duration(ms * float64(time.Millisecond))
	}
}

// pollInstead has a target read that the server would not subscribe, until the
// next connection.
func (d *Device) pollInstead(target int, why string) {
	t := &d.targets[target]
	t.polled, t.item, t.parked = true, 0, ""
	d.tally.unsubscribed = why
}

func newItem(read *ua.ReadValueID, handle uint32, sampling time.Duration, queue int) *ua.MonitoredItemCreateRequest {
	return &ua.MonitoredItemCreateRequest{ItemToMonitor: read, MonitoringMode: ua.MonitoringModeReporting,
		RequestedParameters: &ua.MonitoringParameters{ClientHandle: handle, DiscardOldest: true, QueueSize: uint32(queue),
			SamplingInterval: float64(sampling) / float64(time.Millisecond)}}
}

func (d *Device) createItems(ctx context.Context, s *session, sub *subscription, items []*ua.MonitoredItemCreateRequest) ([]*ua.MonitoredItemCreateResult, error) {
	res, err := s.call(ctx, d.cfg.Timeout, &ua.CreateMonitoredItemsRequest{SubscriptionID: sub.id,
		TimestampsToReturn: ua.TimestampsToReturnBoth, ItemsToCreate: items})
	if err != nil {
		return nil, fmt.Errorf("create monitored items: %w", err)
	}
	r, ok := res.(*ua.CreateMonitoredItemsResponse)
	if !ok || len(r.Results) != len(items) {
		return nil, undecodableError{fmt.Errorf("create monitored items: the answer does not fit")}
	}
	return r.Results, nil
}

// monitorHeartbeat watches the heartbeat node, in the rhythm of the reports. A
// server without it still sends keep-alives.
func (d *Device) monitorHeartbeat(ctx context.Context, s *session, f *feed) error {
	if d.cfg.Heartbeat == "none" {
		return nil
	}
	n, err := parseNode(d.cfg.Heartbeat)
	if err != nil {
		return err
	}
	namespaces, err := s.namespaces(ctx, d.cfg.Timeout)
	if err != nil {
		return err
	}
	var id *ua.NodeID
	if n.kind == 'p' {
		id, err = s.walk(ctx, d.cfg.Timeout, n.path, namespaces)
	} else {
		id, err = n.resolve(namespaces)
	}
	if err == nil {
		f.pulse = pulse{node: readValue(id)}
		var r []*ua.MonitoredItemCreateResult
		if r, err = d.createItems(ctx, s, f.sub, []*ua.MonitoredItemCreateRequest{newItem(f.node, heartbeatHandle, f.sub.publishing, 1)}); err != nil && !refusedAs(err, ua.StatusBadTooManyMonitoredItems) {
			return err
		}
		if err == nil && severity(r[0].StatusCode) == plant.Bad {
			err = errors.New(statusName(r[0].StatusCode))
		}
	}
	if err != nil {
		d.log.Warn("no heartbeat from the server, only keep-alives", "node", d.cfg.Heartbeat, "reason", err)
	}
	return nil
}
