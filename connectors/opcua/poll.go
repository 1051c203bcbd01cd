package opcua

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

// look reads the polled signals whose time has come. It gives up to when it
// knows them; 0 where reports alone tell what is known.
func (d *Device) look(ctx context.Context, s *session, begin time.Time, into []plant.Reading) ([]plant.Reading, plant.Time, error) {
	due := false
	for i := range d.ways {
		due = d.ways[i].begin(begin) || due
	}
	if !due && (d.listens || len(d.feeds) > 0) {
		return into, 0, nil
	}
	if err := d.readTargets(ctx, s, begin); err != nil {
		return nil, 0, err
	}
	// What the server stamped with a clock that runs behind ours is complete
	// only up to that clock's time.
	offset, trusted := d.note(s)
	bound := d.own.at(begin)
	if trusted && offset < 0 {
		bound = bound.Add(offset)
	}
	d.stamper.begin(bound, trusted)
	for i := range d.signals {
		if t := &d.targets[d.signals[i].target]; t.polled && d.ways[t.way].now {
			into = d.tell(into, i)
		}
	}
	for i := range d.ways {
		d.ways[i].done(begin)
	}
	return into, d.stamper.bound, nil
}

// tell appends the reading of a signal from what its node has, unless it is
// within the signal's deadband.
func (d *Device) tell(into []plant.Reading, i int) []plant.Reading {
	sg := &d.signals[i]
	t := &d.targets[sg.target]
	r := plant.Reading{Machine: d.machine, Signal: sg.name}
	var source plant.Time
	if t.parked != "" {
		r.Quality, r.Reason = plant.Bad, t.parked
	} else {
		r.Value, r.Quality, r.Reason = sg.data(t.data)
		if t.data != nil {
			source = plant.At(t.data.SourceTimestamp)
		}
	}
	if sg.told && sg.holds(&r, &sg.history.last) {
		return into
	}
	r = d.stamper.stamp(&sg.history, r, source)
	if !sg.told {
		sg.told, sg.first = true, r.Time
	}
	return append(into, r)
}

// readTargets reads the nodes whose turn it is, and those parked ones among
// them whose time has come.
func (d *Device) readTargets(ctx context.Context, s *session, now time.Time) error {
	changed := false
	for i := range d.ways {
		w := &d.ways[i]
		if !w.now || len(w.active) == 0 {
			continue
		}
		if err := d.readInBatches(ctx, s, w, now); err != nil {
			return err
		}
		changed = d.parkUnknown(w.active, now) || changed
		for j := 0; !changed && j < len(w.active); j++ {
			changed = d.targets[w.active[j]].parked != ""
		}
	}
	if due := d.due(now); len(due) > 0 {
		if err := d.readDue(ctx, s, due, now); err != nil {
			return err
		}
		changed = true
	}
	if changed {
		d.regroup()
		return d.anyLeft()
	}
	return nil
}

// due lists the parked targets among the polled ones to be tried again.
func (d *Device) due(now time.Time) []int {
	if d.away == 0 {
		return nil
	}
	var due []int
	for i := range d.targets {
		if t := &d.targets[i]; t.polled && t.parked != "" && d.ways[t.way].now && !now.Before(t.retry) {
			due = append(due, i)
		}
	}
	return due
}

// readDue tries parked targets, each in a request of its own so that one that
// cannot be decoded does not take others with it.
func (d *Device) readDue(ctx context.Context, s *session, due []int, now time.Time) error {
	if err := d.find(ctx, s, due, now); err != nil {
		return err
	}
	for _, i := range due {
		t := &d.targets[i]
		if t.read == nil {
			d.park(i, t.parked, now)
			continue
		}
		was := t.parked
		t.parked = ""
		if err := d.readSome(ctx, s, []int{i}, now); err != nil {
			t.parked = was
			return err
		}
		if t.parked == "" && !d.parkUnknown([]int{i}, now) {
			d.log.Info("node can be read again", "node", t.text)
		}
	}
	return nil
}

// parkUnknown parks those targets whose node the server does not know.
func (d *Device) parkUnknown(targets []int, now time.Time) bool {
	parked := false
	for _, i := range targets {
		if t := &d.targets[i]; t.data != nil && unknown(t.data.Status) {
			d.park(i, statusName(t.data.Status), now)
			parked = true
		}
	}
	return parked
}

// readInBatches reads the regular targets of a way in as few requests as the
// server allows.
func (d *Device) readInBatches(ctx context.Context, s *session, w *way, now time.Time) error {
	most := d.cfg.Batch
	if most == 0 {
		most = int(s.reads.Load())
	}
	if most != w.most || w.batches == nil {
		w.most, w.batches = most, nil
		for from := 0; from < len(w.active); from += most {
			to := min(from+most, len(w.active))
			p, err := prepare(w.active[from:to], w.nodes[from:to])
			if err != nil {
				return err
			}
			w.batches = append(w.batches, p)
		}
	}
	for _, p := range w.batches {
		if err := d.readBatch(ctx, s, p, now); err != nil {
			return err
		}
	}
	return nil
}

// readBatch reads some nodes in one request. If the server finds that too
// much, or the answer cannot be decoded, it reads each half, down to the node
// that is to blame, which is parked.
func (d *Device) readBatch(ctx context.Context, s *session, p *prepared, now time.Time) error {
	data, err := s.values(ctx, d.cfg.Timeout, p, len(p.targets))
	if err == nil {
		for i, t := range p.targets {
			d.targets[t].data = data[i]
		}
		return nil
	}
	var garbled undecodableError
	large := tooLarge(err)
	if !large && !errors.As(err, &garbled) {
		return err
	}
	if len(p.targets) == 1 {
		d.park(p.targets[0], err.Error(), now)
		return nil
	}
	half := len(p.targets) / 2
	if large {
		s.reads.Store(min(s.reads.Load(), int64(half)))
		d.cfg.Batch = min(d.cfg.Batch, half)
	}
	for piece := range slices.Chunk(p.targets, half) {
		if err := d.readSome(ctx, s, piece, now); err != nil {
			return err
		}
	}
	return nil
}

// readSome reads targets that are not the regular ones of a way.
func (d *Device) readSome(ctx context.Context, s *session, targets []int, now time.Time) error {
	nodes := make([]*ua.ReadValueID, len(targets))
	for i, t := range targets {
		nodes[i] = d.targets[t].read
	}
	p, err := prepare(targets, nodes)
	if err != nil {
		return err
	}
	return d.readBatch(ctx, s, p, now)
}

// tooLarge tells whether the server could not take or answer so much at once.
func tooLarge(err error) bool {
	var fault faultError
	if !errors.As(err, &fault) {
		return false
	}
	switch fault.status & 0xFFFF0000 {
	case ua.StatusBadTooManyOperations, ua.StatusBadEncodingLimitsExceeded, ua.StatusBadResponseTooLarge,
		ua.StatusBadRequestTooLarge, ua.StatusBadTCPMessageTooLarge:
		return true
	}
	return false
}
