package twin

import (
	"context"
	"errors"
	"slices"
	"time"

	"linetwin/plant"
	"linetwin/rules"
)

// signalNow is a signal with its last reading.
type signalNow struct {
	signal plant.Signal
	last   plant.Reading
	gone   bool // its device no longer has it: last says nothing about now

	watch *rules.Watch // what rules want of it; nil before a reading was put to them
	next  *signalNow   // what followed it in the batch before: mostly it does again
}

// Birth takes a gateway's introduction: its session, and what signals its
// machines have.
func (t *Twin) Birth(b plant.GatewayBirth) {
	t.hist.begin(gatewayKey{b.Area, b.Gateway}, b.Session, b.First)
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gatewayLocked(b.Area, b.Gateway)
	if !g.live.Online {
		t.log.Info("gateway is there", "area", b.Area, "gateway", b.Gateway, "version", b.Version, "away_since", g.live.Since)
	}
	g.born(b, now)
	t.recognizedLocked(g, &b, now)
	for i := range b.Devices {
		d := &b.Devices[i]
		t.introducedLocked(d, now)
		t.standsLocked(gatewayKey{b.Area, b.Gateway}, d, now)
		if m := t.machines[d.Machine]; m != nil {
			if d.Online || m.gateway == "" { // it may have moved to another gateway
				m.gateway = b.Gateway
			}
			m.widths(d.Signals)
			m.line.version++
		}
	}
}

// introducedLocked takes what signals a device has.
func (t *Twin) introducedLocked(d *plant.DeviceBirth, now plant.Time) {
	known := t.signals[d.Machine]
	if known == nil {
		known = map[string]*signalNow{}
		t.signals[d.Machine] = known
	}
	listed := make(map[string]bool, len(d.Signals))
	for _, s := range d.Signals {
		listed[s.Name] = true
		n := known[s.Name]
		if n == nil {
			n = &signalNow{}
			known[s.Name] = n
		}
		if d.Online || n.signal.Name == "" {
			n.signal = s
		}
		t.typeLocked(s)
	}
	for name, n := range known {
		// One that is listed again may be there for the backlog alone: a new
		// reading tells.
		n.gone = n.gone || d.Online && !listed[name]
	}
	for _, r := range d.Last {
		if n := known[r.Signal]; n != nil && (r.Time > n.last.Time || fromAhead(n.last.Time, now)) {
			n.last, n.gone = r, false
		}
	}
}

// typeLocked notes a signal's kind and unit, to be held against what its name
// means elsewhere in the site.
func (t *Twin) typeLocked(s plant.Signal) {
	s = plant.Signal{Name: s.Name, Kind: s.Kind, Unit: s.Unit}
	if _, ok := t.types[s]; !ok && s.Kind != plant.KindNone {
		t.types[s] = false
	}
}

// checkTypes holds the kinds and units that births told against the ledger.
func (t *Twin) checkTypes(ctx context.Context) {
	t.mu.Lock()
	var fresh []plant.Signal
	for s, checked := range t.types {
		if !checked {
			fresh = append(fresh, s)
			t.types[s] = true
		}
	}
	t.mu.Unlock()
	for _, s := range fresh {
		switch err := t.opts.Ledger.SaveSignal(ctx, s); {
		case errors.Is(err, plant.ErrConflict):
			t.log.Warn("signal has another type elsewhere", "signal", s.Name, "error", err)
			t.notice("signal_type", err.Error())
		case err != nil: // it is asked again
			t.notice("ledger", err.Error())
			t.mu.Lock()
			t.types[s] = false
			t.mu.Unlock()
		}
	}
}

// Death takes that a gateway went away at a time.
func (t *Twin) Death(area, gateway string, at plant.Time) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gatewayLocked(area, gateway)
	if g.live.Online {
		t.log.Warn("gateway is away", "area", area, "gateway", gateway, "last_data", g.newest)
	}
	g.died(now)
	t.wentLocked(gatewayKey{area, gateway}, g.live.Waiting)
	t.leftLocked(gatewayKey{area, gateway}, now)
}

// Status takes a gateway's account of itself.
func (t *Twin) Status(s plant.GatewayStatus) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gatewayLocked(s.Area, s.Gateway)
	g.told(s, now)
	t.clockLocked(g)
}

// Batch takes a batch: it is queued for history and, without waiting for
// that, applied to its machine, the signals and the rules. The batch is the
// twin's from now on; a Recycler gets it back.
func (t *Twin) Batch(b *plant.Batch) {
	<-t.loaded
	b.Hold()
	defer t.hist.drop(b)
	now := t.now()
	b.Site = t.cfg.Site
	m := t.machines[b.Machine] // the map is never changed
	if m != nil {
		b.Line = m.line.cfg.ID
	}
	if t.untimed(b) {
		misplaced(b, now)
	}
	t.mu.Lock()
	late := false
	if m != nil {
		late = m.track.late(b.Readings) && t.hist.isNew(b)
		t.lateLocked(m, b) // before it is queued
	}
	t.hist.add(b) // what does not fit the gateway keeps and sends again; it is applied all the same
	g := t.gatewayLocked(b.Area, b.Gateway)
	g.got(b, now)
	if g.live.Foreign {
		t.clockLocked(g)
	}
	t.toldLocked(b, now)
	alerts := t.signalsLocked(b, now)
	if m != nil {
		if why := m.take(b, now, late); why != "" {
			t.noticeLocked("clock", "gateway "+b.Gateway+": "+why)
		}
	}
	t.mu.Unlock()
	t.alerted(alerts)
}

// signalsLocked keeps the newest reading of each signal, shows it to who
// watches the machine, and to the rules.
func (t *Twin) signalsLocked(b *plant.Batch, now plant.Time) []plant.Alert {
	known := t.signals[b.Machine]
	if known == nil {
		known = map[string]*signalNow{}
		t.signals[b.Machine] = known
	}
	var alerts []plant.Alert
	watched := t.live.watched()
	var shown []plant.SignalNow
	before := &signalNow{}
	for i := range b.Readings {
		r := &b.Readings[i]
		n := before.next
		if n == nil || n.signal.Name != r.Signal {
			if n = known[r.Signal]; n == nil {
				n = &signalNow{signal: plant.Signal{Name: r.Signal, Kind: r.Value.Kind()}}
				known[r.Signal] = n
			}
			before.next = n
		}
		before = n
		if r.Time < n.last.Time && !fromAhead(n.last.Time, now) {
			continue // backlog: what is newer is known
		}
		n.last, n.gone = *r, n.gone && b.Historical
		if watched {
			shown = append(shown, t.signalLocked(b.Machine, n, now))
		}
		// What is long past raises no alarm now: nobody can act on it.
		if now.Sub(r.Time) <= t.cfg.LateAfter && !r.Misplaced() {
			if n.watch == nil {
				n.watch = t.rules.Watch(b.Line, r.Machine, r.Signal)
			}
			alerts = append(alerts, t.rules.Watched(n.watch, r)...)
		}
	}
	if len(shown) > 0 {
		t.live.send(plant.Change{Signals: shown})
	}
	return alerts
}

// ahead is how far a gateway's clock may be before the twin's.
const ahead = time.Minute

// hinted tells whether a signal has a role.
type hinted struct {
	signal string
	has    bool
}

// mostHints bounds what is remembered of where signals stand in batches.
const mostHints = 256

// folds tells whether a signal has a role. It is asked of the i-th reading of a
// batch, which mostly is of the signal that stood there before.
func (m *machine) folds(i int, signal string) bool {
	if i < len(m.hints) && m.hints[i].signal == signal {
		return m.hints[i].has
	}
	_, has := m.roles[signal]
	switch h := (hinted{signal, has}); {
	case i < len(m.hints):
		m.hints[i] = h
	case i == len(m.hints) && i < mostHints:
		m.hints = append(m.hints, h)
	}
	return has
}

// take brings a batch to the machine's track. What it leaves to history alone,
// because no figure can hold it, it names: data from before all that can be
// folded again, and data from the future. late: it is of
// before what is folded, and no repeat.
func (m *machine) take(b *plant.Batch, now plant.Time, late bool) (left string) {
	if !b.Historical || m.gateway == "" { // a backlog may be of a gateway that had it before
		m.gateway = b.Gateway
	}
	claim, limit := b.Complete, now.Add(ahead)
	if claim.To < now.Add(-memory) {
		return "data older than 8 days is in history only: " + claim.To.String()
	}
	readings := m.scratch[:0]
	lost := false
	for i := range b.Readings {
		r := &b.Readings[i]
		if r.Misplaced() {
			lost = true
			continue
		}
		if !m.folds(i, r.Signal) {
			continue
		}
		if r.Time > limit {
			m.leave(r.Time)
			continue
		}
		readings = append(readings, *r)
	}
	m.scratch = readings
	if claim.To > limit {
		left = "its clock is ahead: data of " + claim.To.String() + " is in history only until then"
		m.leave(max(claim.From, limit))
		claim.To = limit
	}
	if lost && len(readings) == 0 && claim.From == claim.To {
		return left // says nothing of any time that is known
	}
	claim.From = max(claim.From, now.Add(-memory))
	if claim.From > claim.To {
		return left
	}
	if m.folding {
		m.tail = append(m.tail, tailed{slices.Clone(readings), claim, late})
	}
	if m.track.apply(readings, claim, late) {
		m.line.version++
	}
	return left
}
