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

// subscribe makes the device's subscription and waits until the server has
// reported something, so that a connected device is one whose data flows.
func (d *Device) subscribe(ctx context.Context, s *session) error {
	sub, err := s.publisher.create(ctx, d.cfg.Timeout, d.cfg.Publishing)
	if err != nil {
		return err
	}
	d.sub = sub
	now := time.Now()
	if d.sift {
		if err := d.readInBatches(ctx, s, slices.Clone(d.active), slices.Clone(d.nodes), now); err != nil {
			return err
		}
		d.regroup()
	}
	if err := d.monitor(ctx, s, d.active, now); err != nil {
		return err
	}
	d.regroup()
	if err := d.anyLeft(); err != nil {
		return err
	}
	if err := d.monitorHeartbeat(ctx, s, now); err != nil {
		return err
	}
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

// monitor has the server watch targets. Those that it refuses are parked.
func (d *Device) monitor(ctx context.Context, s *session, targets []int, now time.Time) error {
	targets = append([]int(nil), targets...) // parking may change the list
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

func (d *Device) monitorBatch(ctx context.Context, s *session, targets []int, now time.Time) error {
	items := make([]*ua.MonitoredItemCreateRequest, len(targets))
	for i, t := range targets {
		items[i] = d.item(d.targets[t].read, uint32(t)+1, d.cfg.Sampling, d.cfg.Queue)
	}
	results, err := d.createItems(ctx, s, items)
	if tooLarge(err) && len(targets) > 1 {
		half := len(targets) / 2
		s.monitors.Store(min(s.monitors.Load(), int64(half)))
		d.cfg.Batch = min(d.cfg.Batch, half)
		if err := d.monitorBatch(ctx, s, targets[:half], now); err != nil {
			return err
		}
		return d.monitorBatch(ctx, s, targets[half:], now)
	}
	if err != nil {
		return err
	}
	for i, t := range targets {
		if severity(results[i].StatusCode) == plant.Bad {
			d.park(t, statusName(results[i].StatusCode), now)
			continue
		}
		d.targets[t].item, d.targets[t].parked = results[i].MonitoredItemID, ""
	}
	return nil
}

func (d *Device) item(read *ua.ReadValueID, handle uint32, sampling time.Duration, queue int) *ua.MonitoredItemCreateRequest {
	return &ua.MonitoredItemCreateRequest{ItemToMonitor: read, MonitoringMode: ua.MonitoringModeReporting,
		RequestedParameters: &ua.MonitoringParameters{ClientHandle: handle, DiscardOldest: true, QueueSize: uint32(queue),
			SamplingInterval: float64(sampling) / float64(time.Millisecond)}}
}

func (d *Device) createItems(ctx context.Context, s *session, items []*ua.MonitoredItemCreateRequest) ([]*ua.MonitoredItemCreateResult, error) {
	res, err := s.call(ctx, d.cfg.Timeout, &ua.CreateMonitoredItemsRequest{SubscriptionID: d.sub.id,
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
func (d *Device) monitorHeartbeat(ctx context.Context, s *session, now time.Time) error {
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
		var r []*ua.MonitoredItemCreateResult
		if r, err = d.createItems(ctx, s, []*ua.MonitoredItemCreateRequest{d.item(readValue(id), heartbeatHandle, d.sub.publishing, 1)}); err != nil {
			return err
		}
		if severity(r[0].StatusCode) == plant.Bad {
			err = errors.New(statusName(r[0].StatusCode))
		}
	}
	if err != nil {
		d.log.Warn("no heartbeat from the server, only keep-alives", "node", d.cfg.Heartbeat, "reason", err)
	}
	return nil
}

// drain turns what the server reported since the last call into readings.
func (d *Device) drain(ctx context.Context, s *session, begin time.Time, into []plant.Reading) (plant.Round, error) {
	notes, missed, heard, err := d.sub.take()
	if err != nil {
		return plant.Round{}, err
	}
	if err := d.watch(ctx, s, begin.Sub(heard)); err != nil {
		return plant.Round{}, err
	}
	for i := range notes {
		into, missed = d.report(s, &notes[i], begin, into, missed)
	}
	if into, err = d.retryParked(ctx, s, begin, into); err != nil {
		return plant.Round{}, err
	}
	return plant.Round{Readings: into, Through: d.stamper.floor, Missed: missed}, nil
}

// watch tells when the subscription is silent for too long. After three
// publishing cycles the server is asked whether it lives; when even a
// keep-alive is overdue the subscription is dead, whatever the server says.
func (d *Device) watch(ctx context.Context, s *session, silent time.Duration) error {
	patience := 3*d.sub.publishing + d.cfg.Timeout
	if silent <= patience {
		return nil
	}
	if idle := time.Since(time.Unix(0, s.used.Load())); idle > patience {
		if err := s.alive(ctx, d.cfg.Timeout); err != nil {
			return fmt.Errorf("the subscription is silent, and so is the server: %w", err)
		}
	}
	if silent > d.sub.keepAlive+patience {
		return errors.New("the subscription is silent, though the server lives")
	}
	return nil
}

// report makes readings of one report. The server vouches for all changes up
// to one sampling interval before it reported, and for those it told.
func (d *Device) report(s *session, n *note, now time.Time, into []plant.Reading, missed int) ([]plant.Reading, int) {
	_, trusted := d.note(s)
	latest := plant.At(n.at)
	if trusted && !n.server.IsZero() {
		latest = min(latest, plant.At(n.server))
	}
	through := latest.Add(-d.cfg.Sampling)
	if trusted {
		for _, item := range n.items {
			if item != nil && item.Value != nil && item.ClientHandle != heartbeatHandle {
				if t := plant.At(item.Value.SourceTimestamp); t <= latest {
					through = max(through, t)
				}
			}
		}
	}
	d.stamper.begin(through, trusted)
	for _, item := range n.items {
		if item == nil || item.Value == nil || item.ClientHandle == heartbeatHandle || int(item.ClientHandle) > len(d.targets) {
			continue
		}
		if overflowed(item.Value.Status) {
			missed++
		}
		into = d.reported(int(item.ClientHandle)-1, item.Value, now, into)
	}
	d.stamper.end()
	return into, missed
}

// reported makes readings of all signals of a target.
func (d *Device) reported(target int, data *ua.DataValue, now time.Time, into []plant.Reading) []plant.Reading {
	t := &d.targets[target]
	t.data, t.parked = data, ""
	if unknown(data.Status) {
		d.park(target, statusName(data.Status), now)
	}
	for _, i := range t.signals {
		into = append(into, d.reading(i))
	}
	return into
}

// retryParked tells of parked targets once, and tries them again when their
// time has come. If nothing is left, all must be found anew.
func (d *Device) retryParked(ctx context.Context, s *session, now time.Time, into []plant.Reading) ([]plant.Reading, error) {
	parked := false
	for i := range d.signals {
		sg := &d.signals[i]
		t := &d.targets[sg.target]
		if t.parked == "" {
			continue
		}
		parked = true
		if last := &sg.history.last; !sg.told || last.Quality != plant.Bad || last.Reason != t.parked {
			d.stamper.begin(max(d.stamper.floor, plant.At(now).Add(-d.cfg.Sampling)), true)
			into = append(into, d.reading(i))
			d.stamper.end()
		}
	}
	if !parked {
		return into, nil
	}
	if err := d.anyLeft(); err != nil {
		return into, err
	}
	var due []int
	for i := range d.targets {
		if t := &d.targets[i]; t.parked != "" && !now.Before(t.retry) {
			due = append(due, i)
		}
	}
	if len(due) == 0 {
		return into, nil
	}
	return into, d.monitorAgain(ctx, s, due, now)
}

// monitorAgain replaces the items of parked targets.
func (d *Device) monitorAgain(ctx context.Context, s *session, due []int, now time.Time) error {
	var old []uint32
	var again []int
	missing := false
	for _, i := range due {
		missing = missing || d.targets[i].read == nil
	}
	if missing {
		if err := d.find(ctx, s, now); err != nil {
			return err
		}
	}
	for _, i := range due {
		t := &d.targets[i]
		if t.item != 0 {
			old, t.item = append(old, t.item), 0
		}
		t.retry = now.Add(retryAfter)
		if t.read == nil {
			continue
		}
		if d.sift {
			if err := d.readBatch(ctx, s, []int{i}, []*ua.ReadValueID{t.read}, now); err != nil {
				return err
			}
			if t.data == nil {
				continue // parked again
			}
		}
		again = append(again, i)
	}
	if len(old) > 0 {
		if _, err := s.call(ctx, d.cfg.Timeout, &ua.DeleteMonitoredItemsRequest{SubscriptionID: d.sub.id, MonitoredItemIDs: old}); err != nil {
			return fmt.Errorf("delete monitored items: %w", err)
		}
	}
	return d.monitor(ctx, s, again, now)
}
