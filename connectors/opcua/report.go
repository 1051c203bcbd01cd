package opcua

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

// told is a report and the subscription that it came by.
type told struct {
	*feed
	note
}

// drain turns what the server reported since the last call into readings.
func (d *Device) drain(ctx context.Context, s *session, begin time.Time, into []plant.Reading) ([]plant.Reading, int, error) {
	missed := 0
	var all []told
	for _, f := range d.feeds {
		notes, lost, heard, err := f.sub.take()
		if err != nil {
			return nil, 0, err
		}
		f.heard = heard
		if err := d.watch(ctx, s, f, begin); err != nil {
			return nil, 0, err
		}
		missed += lost
		for _, n := range notes {
			all = append(all, told{f, n})
		}
	}
	if len(d.feeds) > 1 {
		slices.SortStableFunc(all, func(a, b told) int { return a.at.Compare(b.at) })
	}
	for i := range all {
		var lost int
		into, lost = d.report(s, all[i].feed, &all[i].note, into)
		missed += lost
	}
	into, err := d.retryParked(ctx, s, begin, into)
	if err == nil {
		err = d.crossCheck(ctx, s, begin)
	}
	return into, missed, err
}

// claim gives up to when a round may claim to know all: what its look knows (0
// for no look), and no further than the subscriptions have reported. Slow ones
// are not waited for where anything else tells of the device: theirs is a
// resolution of their own.
func (d *Device) claim(looked plant.Time) plant.Time {
	claim, slow, any := looked, plant.Time(0), looked != 0
	for _, f := range d.feeds {
		switch {
		case f.sub.publishing+f.sampling > mostLag:
			slow = max(slow, f.through)
		case !any:
			claim, any = f.through, true
		default:
			claim = min(claim, f.through)
		}
	}
	if !any {
		return slow
	}
	return claim
}

// sort brings the items into the order of the device's targets, those of one
// target in the order in which they came: whoever comes next finds signals
// without searching for each.
func (n *note) sort() {
	handle := func(i *ua.MonitoredItemNotification) uint32 {
		if i == nil {
			return 0
		}
		return i.ClientHandle
	}
	byHandle := func(a, b *ua.MonitoredItemNotification) int { return cmp.Compare(handle(a), handle(b)) }
	if !slices.IsSortedFunc(n.items, byHandle) {
		slices.SortStableFunc(n.items, byHandle)
	}
}

// report makes readings of one report. The server vouches for all changes up
// to one sampling interval before it reported, and for those it told.
func (d *Device) report(s *session, f *feed, n *note, into []plant.Reading) (_ []plant.Reading, missed int) {
	n.sort()
	_, trusted := d.note(s)
	latest := d.own.at(n.at)
	if trusted && !n.server.IsZero() {
		latest = min(latest, plant.At(n.server))
	}
	bound := latest.Add(-f.sampling)
	if trusted {
		for _, item := range n.items {
			if item != nil && item.Value != nil && item.ClientHandle != heartbeatHandle {
				if t := plant.At(item.Value.SourceTimestamp); t <= latest {
					bound = max(bound, t)
				}
			}
		}
	}
	d.stamper.begin(bound, trusted)
	for _, item := range n.items {
		if item == nil || item.Value == nil || int(item.ClientHandle) > len(d.targets) {
			continue
		}
		if item.ClientHandle == heartbeatHandle {
			f.beat(item.Value)
			continue
		}
		target := int(item.ClientHandle) - 1
		if overflowed(item.Value.Status) {
			missed++
			d.overflow(target, n.at)
		}
		into = d.reported(target, item.Value, n.at, into)
	}
	f.through = max(f.through, d.stamper.bound)
	return into, missed
}

// reported makes readings of all signals of a target.
func (d *Device) reported(target int, data *ua.DataValue, now time.Time, into []plant.Reading) []plant.Reading {
	t := &d.targets[target]
	if t.polled {
		return into // it was subscribed before
	}
	d.audit.heard = true
	t.data, t.parked = data, ""
	if unknown(data.Status) {
		d.park(target, statusName(data.Status), now)
	}
	for _, i := range t.signals {
		into = d.tell(into, i)
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
		if t.polled || t.parked == "" {
			continue
		}
		parked = true
		if last := &sg.history.last; !sg.told || last.Quality != plant.Bad || last.Reason != t.parked {
			w := &d.ways[t.way]
			bound := d.own.at(now).Add(-w.Sampling)
			if w.feed != nil {
				bound = w.feed.through
			}
			d.stamper.begin(bound, true)
			into = d.tell(into, i)
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
		if t := &d.targets[i]; !t.polled && t.parked != "" && !now.Before(t.retry) {
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
	if err := d.find(ctx, s, due, now); err != nil {
		return err
	}
	for i := range d.ways {
		if err := d.monitorWayAgain(ctx, s, i, due, now); err != nil {
			return err
		}
	}
	d.regroup()
	d.account()
	return nil
}

// monitorWayAgain does so for the due targets of one way.
func (d *Device) monitorWayAgain(ctx context.Context, s *session, way int, due []int, now time.Time) error {
	var old []uint32
	var again []int
	for _, i := range due {
		t := &d.targets[i]
		if t.way != way {
			continue
		}
		t.retry = now.Add(retryAfter)
		if t.item != 0 {
			old, t.item = append(old, t.item), 0
		}
		if t.read == nil {
			continue
		}
		if err := d.sieve(ctx, s, []int{i}, now); err != nil {
			return err
		}
		if !d.sift || t.data != nil { // else it is parked again
			again = append(again, i)
		}
	}
	w := &d.ways[way]
	if len(old) > 0 {
		if _, err := s.call(ctx, d.cfg.Timeout, &ua.DeleteMonitoredItemsRequest{SubscriptionID: w.feed.sub.id, MonitoredItemIDs: old}); err != nil {
			return fmt.Errorf("delete monitored items: %w", err)
		}
	}
	if len(again) == 0 {
		return nil
	}
	if w.feed != nil {
		return d.monitor(ctx, s, again, now)
	}
	before := len(d.feeds)
	if err := d.feedFor(ctx, s, w); err != nil {
		return err
	}
	if err := d.monitor(ctx, s, again, now); err != nil || len(d.feeds) == before {
		return err
	}
	d.settle(w.feed)
	return d.monitorHeartbeat(ctx, s, w.feed)
}
