package opcua

import (
	"context"
	"errors"
	"math"
	"strconv"
	"sync/atomic"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

// The values of Config.ServerDeadband.
const (
	deadbandAuto  = "auto"
	deadbandNever = "never"
)

// checkPercent tells what is wrong with a signal's deadbands.
func (s Signal) checkPercent() []plant.Fault {
	p := s.DeadbandPercent
	found := strconv.FormatFloat(p, 'g', -1, 64)
	switch {
	case p == 0:
		return nil
	case !(p > 0 && p <= 100): // NaN too
		return []plant.Fault{{Key: "deadband_percent", Found: found, Allowed: "more than 0, to 100"}}
	case s.Deadband != 0:
		return []plant.Fault{{Key: "deadband_percent", Found: found, Allowed: "deadband or deadband_percent, not both"}}
	}
	if t, ok := typeOf(s.Type); ok && !t.numeric() {
		return []plant.Fault{{Key: "deadband_percent", Found: found, Allowed: "only with a number; this is " + t.name}}
	}
	return nil
}

// deadband is by how much a signal must change to be told.
type deadband struct {
	absolute float64 // in the signal's unit; applied by whoever takes the readings
	percent  float64 // of the node's range; applied here
	slope    float64 // of the signal's unit over the node's
	band     float64 // percent in the signal's unit; 0 while the range is not known
}

func newDeadband(s Signal) deadband {
	d := deadband{absolute: s.Deadband, percent: s.DeadbandPercent, slope: 1}
	if s.Scale != nil {
		d.slope = math.Abs(*s.Scale)
	}
	return d
}

// holds tells whether a reading differs from the last one by no more than the
// percent deadband: only its value counts, any change of quality is told.
func (d *deadband) holds(r, last *plant.Reading) bool {
	if d.band == 0 || r.Quality != last.Quality || r.Reason != last.Reason {
		return false
	}
	a, ok := r.Value.Number()
	b, was := last.Value.Number()
	return ok && was && math.Abs(a-b) <= d.band
}

// filters is which kinds of deadband a server cannot do at all.
type filters struct{ absolute, percent atomic.Bool }

func (f *filters) of(kind ua.DeadbandType) *atomic.Bool {
	if kind == ua.DeadbandTypePercent {
		return &f.percent
	}
	return &f.absolute
}

// wanted gives the deadband that serves all signals of a target, in the node's
// unit: the smallest, if all of them have one, and of the same kind.
func (d *Device) wanted(target int) (ua.DeadbandType, float64) {
	kind, least := ua.DeadbandTypeNone, 0.0
	for _, i := range d.targets[target].signals {
		own, value := ua.DeadbandTypeNone, 0.0
		switch b := &d.signals[i].deadband; {
		case b.percent > 0:
			own, value = ua.DeadbandTypePercent, b.percent
		case b.absolute > 0:
			own, value = ua.DeadbandTypeAbsolute, b.absolute/b.slope
		}
		if own == ua.DeadbandTypeNone || !finite(value) || kind != ua.DeadbandTypeNone && kind != own {
			return ua.DeadbandTypeNone, 0
		}
		if kind == ua.DeadbandTypeNone || value < least {
			kind, least = own, value
		}
	}
	return kind, least
}

// filter asks for a target's deadband with its item, unless it is known that
// the server refuses. Changes of the status are told all the same.
func (d *Device) filter(s *session, target int, item *ua.MonitoredItemCreateRequest) {
	if d.cfg.ServerDeadband == deadbandNever || d.tally.refused[target] != "" {
		return
	}
	kind, value := d.wanted(target)
	if kind == ua.DeadbandTypeNone {
		return
	}
	if s.filters.of(kind).Load() {
		d.tally.refuse(target, "as for others before")
		return
	}
	item.RequestedParameters.Filter = ua.NewExtensionObject(&ua.DataChangeFilter{
		Trigger: ua.DataChangeTriggerStatusValue, DeadbandType: uint32(kind), DeadbandValue: value})
}

// filterRefused tells whether an item was refused for its filter.
func filterRefused(s ua.StatusCode) bool {
	switch s & 0xFFFF0000 {
	case ua.StatusBadMonitoredItemFilterUnsupported, ua.StatusBadMonitoredItemFilterInvalid, ua.StatusBadFilterNotAllowed,
		ua.StatusBadDeadbandFilterInvalid, ua.StatusBadNotSupported:
		return true
	}
	return false
}

// refuseFilter remembers for the session that the server does not apply the
// deadband of a target, or any of its kind.
func (d *Device) refuseFilter(s *session, target int, status ua.StatusCode) {
	d.tally.refuse(target, statusName(status))
	if status&0xFFFF0000 == ua.StatusBadMonitoredItemFilterUnsupported {
		kind, _ := d.wanted(target)
		s.filters.of(kind).Store(true)
	}
}

// findRanges finds the deadbands that are percents of a node's EURange (Part 8,
// 5.3.2.3), and remembers why where it cannot.
func (d *Device) findRanges(ctx context.Context, s *session) error {
	targets := d.ranged()
	var trips []trip
	for i, t := range targets {
		trips = append(trips, trip{path: i, start: d.targets[t].read.NodeID, elements: []*ua.RelativePathElement{{
			ReferenceTypeID: ua.NewNumericNodeID(0, id.HasProperty), IncludeSubtypes: true, TargetName: &ua.QualifiedName{Name: "EURange"}}}})
	}
	ends := make([]end, len(targets))
	if err := s.follow(ctx, d.cfg.Timeout, trips, ends); err != nil {
		return err
	}
	for i, t := range targets {
		width, why := 0.0, ""
		if ends[i].err != nil {
			why = "the node has no EURange"
		} else {
			var err error
			if width, why, err = d.readRange(ctx, s, ends[i].node); err != nil {
				return err
			}
		}
		if why != "" {
			d.tally.noRange[t] = why
		}
		for _, sg := range d.targets[t].signals {
			b := &d.signals[sg].deadband
			b.band = b.percent / 100 * width * b.slope
		}
	}
	return nil
}

// ranged lists the targets with a deadband in percent, as far as they are
// found, and forgets what was known of their ranges.
func (d *Device) ranged() []int {
	var targets []int
	d.tally.noRange = map[int]string{}
	for i := range d.targets {
		percent := false
		for _, sg := range d.targets[i].signals {
			b := &d.signals[sg].deadband
			b.band, percent = 0, percent || b.percent > 0
		}
		switch {
		case percent && d.targets[i].read == nil:
			d.tally.noRange[i] = "the node was not found when the device was connected"
		case percent:
			targets = append(targets, i)
		}
	}
	return targets
}

// readRange reads how wide a range is, or why that is not known.
func (d *Device) readRange(ctx context.Context, s *session, node *ua.NodeID) (width float64, why string, _ error) {
	res, err := s.read(ctx, d.cfg.Timeout, node)
	var garbled undecodableError
	if errors.As(err, &garbled) {
		return 0, "its EURange cannot be decoded", nil
	}
	if err != nil {
		return 0, "", err
	}
	dv := res[0]
	if severity(dv.Status) == plant.Bad {
		return 0, "its EURange is " + statusName(dv.Status), nil
	}
	if dv.Value != nil {
		if eo, ok := dv.Value.Value().(*ua.ExtensionObject); ok && eo != nil {
			if r, ok := eo.Value.(*ua.Range); ok && r != nil && finite(r.High-r.Low) && r.High > r.Low {
				return r.High - r.Low, "", nil
			}
		}
	}
	return 0, "its EURange is no range", nil
}
