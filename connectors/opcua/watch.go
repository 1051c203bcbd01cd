package opcua

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

// How often a few subscribed nodes are read, to see whether the subscription
// tells the truth.
const (
	crossEvery = time.Minute
	crossQuiet = 10 * time.Second // where nothing has changed meanwhile
	crossNodes = 10
)

// pulse is what the heartbeat of a subscription has told.
type pulse struct {
	node  *ua.ReadValueID // nil for none
	last  *ua.DataValue
	beats int
	asked time.Time
}

func (p *pulse) beat(v *ua.DataValue) { p.last, p.beats = v, p.beats+1 }

// regular tells whether the server does report the heartbeat; some never
// update it, or have none.
func (p *pulse) regular() bool { return p.node != nil && p.last != nil && p.beats >= 3 }

// watch tells when a subscription is silent for too long. After three
// publishing cycles the server is asked whether it lives. A heartbeat that goes
// on but is not reported means that the subscription is dead; so does, whatever
// the server says, an overdue keep-alive.
func (d *Device) watch(ctx context.Context, s *session, f *feed, now time.Time) error {
	silent := now.Sub(f.heard)
	patience := 3*f.sub.publishing + d.cfg.Timeout
	if silent <= patience {
		return nil
	}
	if idle := time.Since(time.Unix(0, s.used.Load())); idle > patience {
		if err := s.alive(ctx, d.cfg.Timeout); err != nil {
			return fmt.Errorf("the subscription is silent, and so is the server: %w", err)
		}
	}
	if f.regular() && now.Sub(f.asked) >= f.sub.publishing {
		f.asked = now
		if err := d.checkPulse(ctx, s, f); err != nil {
			return err
		}
	}
	if silent > f.sub.keepAlive+patience {
		return errors.New("the subscription is silent, though the server lives")
	}
	return nil
}

// checkPulse reads the heartbeat of a silent subscription.
func (d *Device) checkPulse(ctx context.Context, s *session, f *feed) error {
	got, err := s.readAll(ctx, d.cfg.Timeout, &ua.ReadRequest{TimestampsToReturn: ua.TimestampsToReturnBoth, NodesToRead: []*ua.ReadValueID{f.node}})
	if err != nil {
		return fmt.Errorf("the subscription is silent: %w", err)
	}
	if severity(got[0].Status) != plant.Bad && got[0].SourceTimestamp.After(f.last.SourceTimestamp) && !sameVariant(got[0].Value, f.last.Value) {
		return errors.New("the subscription is silent, though the heartbeat goes on")
	}
	return nil
}

// audit reads a few of the subscribed nodes in turn. A node that has changed
// without a report of it for as long as one may take is dead at the server.
type audit struct {
	next   time.Time
	at     int  // the target that is read next
	heard  bool // a change was reported since the last time
	doubts []doubt
	// rebuilt counts connections in a row that ended because of a difference: a
	// server that answers otherwise than it reports is not left in vain for ever.
	rebuilt int
}

// doubt is a target that reads other than was reported last.
type doubt struct {
	target   int
	reported *ua.DataValue
	until    time.Time
}

// crossCheck holds what was reported against what is read. A difference that
// lasts is an error.
func (d *Device) crossCheck(ctx context.Context, s *session, now time.Time) error {
	a := &d.audit
	var lasting []int
	left := a.doubts[:0]
	for _, b := range a.doubts {
		switch t := &d.targets[b.target]; {
		case t.data != b.reported || t.item == 0 || t.parked != "": // it was told, or is known to be away
		case now.Before(b.until):
			left = append(left, b)
		default:
			lasting = append(lasting, b.target)
		}
	}
	a.doubts = left
	if len(lasting) > 0 {
		differ, err := d.differing(ctx, s, lasting)
		if err != nil {
			return err
		}
		if len(differ) > 0 {
			a.rebuilt = min(a.rebuilt+1, 9)
			return fmt.Errorf("the subscription is dead: %s has changed, and no report tells of it", d.targets[differ[0]].text)
		}
	}
	if now.Before(a.next) || len(a.doubts) > 0 {
		return nil
	}
	if a.next.IsZero() {
		a.next = now.Add(crossQuiet << a.rebuilt)
		return nil
	}
	a.next = now.Add(crossEvery)
	if !a.heard {
		a.next = now.Add(crossQuiet)
	}
	a.heard = false
	differ, err := d.differing(ctx, s, d.sample(min(crossNodes, int(s.reads.Load()))))
	for _, i := range differ {
		t := &d.targets[i]
		f := d.ways[t.way].feed
		a.doubts = append(a.doubts, doubt{target: i, reported: t.data,
			until: now.Add(2*f.sub.publishing + max(t.sampling, d.ways[t.way].Sampling) + d.cfg.Timeout)})
	}
	if err == nil && len(differ) == 0 {
		a.rebuilt = 0
	}
	return err
}

// sample gives the next few targets that have been reported.
func (d *Device) sample(most int) []int {
	var some []int
	for range d.targets {
		if len(some) == most {
			break
		}
		i := d.audit.at % len(d.targets)
		d.audit.at = i + 1
		if t := &d.targets[i]; !t.polled && t.item != 0 && t.parked == "" && t.data != nil {
			some = append(some, i)
		}
	}
	return some
}

// differing reads targets and gives those that are not as reported.
func (d *Device) differing(ctx context.Context, s *session, targets []int) ([]int, error) {
	if len(targets) == 0 {
		return nil, nil
	}
	req := &ua.ReadRequest{TimestampsToReturn: ua.TimestampsToReturnBoth}
	for _, i := range targets {
		req.NodesToRead = append(req.NodesToRead, d.targets[i].read)
	}
	got, err := s.readAll(ctx, d.cfg.Timeout, req)
	var garbled undecodableError
	if tooLarge(err) || errors.As(err, &garbled) {
		return nil, nil // what cannot be read so tells nothing
	}
	if err != nil {
		return nil, fmt.Errorf("read subscribed nodes: %w", err)
	}
	var differ []int
	for i, t := range targets {
		if d.differs(t, got[i]) {
			differ = append(differ, t)
		}
	}
	return differ, nil
}

// differs tells whether what was read of a target is newer than what was
// reported, and so much other that it had to be reported.
func (d *Device) differs(target int, read *ua.DataValue) bool {
	t := &d.targets[target]
	if read == nil || !readable(read.Status) || !read.SourceTimestamp.IsZero() && !t.data.SourceTimestamp.IsZero() && !read.SourceTimestamp.After(t.data.SourceTimestamp) {
		return false
	}
	for _, i := range t.signals {
		sg := &d.signals[i]
		is, quality, reason := sg.data(read)
		was, before, said := sg.data(t.data)
		if quality != before || reason != said {
			return true
		}
		a, number := is.Number()
		b, _ := was.Number()
		switch band := max(sg.absolute, sg.band); {
		case is == was:
		case !number || is.Kind() == plant.KindBoolean:
			return true
		case sg.percent > 0 && sg.band == 0: // the server knows the range, we do not
		case math.Abs(a-b) > band*(1+1e-9):
			return true
		}
	}
	return false
}

// readable tells whether a status says something of the value, not only of who
// may read it: some nodes may be subscribed but not read.
func readable(s ua.StatusCode) bool {
	switch s & 0xFFFF0000 {
	case ua.StatusBadUserAccessDenied, ua.StatusBadNotReadable, ua.StatusBadNotSupported, ua.StatusBadSecurityModeInsufficient:
		return false
	}
	return true
}

// sameVariant tells whether two single values are the same; any doubt is a no.
func sameVariant(a, b *ua.Variant) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, ok := a.Value().(time.Time)
	y, too := b.Value().(time.Time)
	if ok && too {
		return x.Equal(y)
	}
	return fmt.Sprint(a.Value()) == fmt.Sprint(b.Value())
}
