package opcua

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gopcua/opcua/ua"
)

// resolve finds the node id of every target anew: namespace indexes may have
// moved since the last connection. Targets that cannot be found are parked; if
// that is all of them, it is an error.
func (d *Device) resolve(ctx context.Context, s *session, now time.Time) error {
	all := make([]int, len(d.targets))
	for i := range d.targets {
		all[i] = i
		t := &d.targets[i]
		t.read, t.parked, t.data, t.item = nil, "", nil, 0
		t.polled, t.filtered, t.sampling, t.queue = d.ways[t.way].Mode == ModePoll, false, 0, 0
	}
	for i := range d.ways {
		d.ways[i].next = time.Time{}
	}
	d.audit = audit{rebuilt: d.audit.rebuilt}
	d.tally.refused, d.tally.unsubscribed = nil, ""
	if err := d.find(ctx, s, all, now); err != nil {
		return err
	}
	d.regroup()
	return d.anyLeft()
}

// find resolves those of the targets that have no node id yet.
func (d *Device) find(ctx context.Context, s *session, targets []int, now time.Time) error {
	targets = slices.DeleteFunc(slices.Clone(targets), func(i int) bool { return d.targets[i].read != nil })
	if len(targets) == 0 {
		return nil
	}
	namespaces, err := s.namespaces(ctx, d.cfg.Timeout)
	if err != nil {
		return err
	}
	found := func(i int, n *ua.NodeID, err error) {
		if err != nil {
			d.park(i, err.Error(), now)
			return
		}
		d.targets[i].read, d.targets[i].parked = readValue(n), ""
	}
	var paths []int
	var ways [][]step
	for _, i := range targets {
		t := &d.targets[i]
		if t.node.kind == 'p' {
			paths, ways = append(paths, i), append(ways, t.node.path)
			continue
		}
		n, err := t.node.resolve(namespaces)
		found(i, n, err)
	}
	if len(paths) == 0 {
		return nil
	}
	ends, err := s.walkAll(ctx, d.cfg.Timeout, ways, namespaces)
	if err != nil {
		return err
	}
	for i, end := range ends {
		found(paths[i], end.node, end.err)
	}
	return nil
}

// park takes a target out of the regular rounds for a while.
func (d *Device) park(i int, why string, now time.Time) {
	t := &d.targets[i]
	if t.parked != why {
		d.log.Warn("node cannot be read", "node", t.text, "reason", why)
	}
	t.parked, t.retry, t.data = why, now.Add(retryAfter), nil
}

// regroup lists the polled targets of the regular rounds anew.
func (d *Device) regroup() {
	d.away, d.listens = 0, false
	for i := range d.ways {
		w := &d.ways[i]
		w.polls, w.active, w.nodes, w.batches = false, nil, nil, nil // batches hold parts of them
	}
	for i := range d.targets {
		t := &d.targets[i]
		d.ways[t.way].polls = d.ways[t.way].polls || t.polled
		switch {
		case !t.polled:
			d.listens = true
		case t.parked != "":
			d.away++
		default:
			w := &d.ways[t.way]
			w.active, w.nodes = append(w.active, i), append(w.nodes, t.read)
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
