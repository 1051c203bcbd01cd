package twin

import (
	"context"
	"time"

	"linetwin/plant"
)

const (
	tickEvery = 100 * time.Millisecond
	slowTicks = 10 // each how many ticks the slow things are done
)

// tickLoop shows what changed, lets on-delays run out and puts the figures to
// the rules.
func (t *Twin) tickLoop(ctx context.Context) error {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	clock := ticking{}
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		t.showLines(n%slowTicks == 0)
		if n%slowTicks == 0 {
			if t.opts.Elapsed != nil {
				t.clockSet(clock.look(t.now(), t.opts.Elapsed()))
			}
			t.slowTick()
		}
	}
}

// showLines sends the lines that changed; all of them when all is set, for
// time in state and data age go on also when nothing comes in.
func (t *Twin) showLines(all bool) {
	if !t.live.watched() {
		return
	}
	now := t.now()
	var changed []plant.LineSnapshot
	t.mu.Lock()
	for _, l := range t.lines {
		if all || l.version != l.sent {
			l.sent = l.version
			changed = append(changed, t.lineLocked(l, now))
		}
	}
	t.mu.Unlock()
	for i := range changed {
		t.live.send(plant.Change{Line: &changed[i]})
	}
}

// slowTick does once a second what need not be at once.
func (t *Twin) slowTick() {
	t.tellHistory()
	now := t.now()
	var alerts []plant.Alert
	var gateways []plant.GatewayLive
	t.mu.Lock()
	alerts = append(alerts, t.rules.Tick(now)...)
	for _, l := range t.lines {
		if shift, running := l.shiftAt(now); running {
			f := l.figures(plant.Span{From: shift.From, To: min(shift.To, l.known(now, t.cfg.LateAfter))})
			alerts = append(alerts, t.rules.OEE(l.cfg.ID, now, f.OEE)...)
		}
	}
	t.sharesLocked(now)
	for _, g := range t.gateways {
		if g.outdated(now) || g.changed {
			g.changed = false
			gateways = append(gateways, g.live)
		}
	}
	today, backlog, notices := t.todayLocked(now), t.backlogLocked(), t.noticesLocked()
	t.mu.Unlock()
	t.alerted(alerts)
	for i := range gateways {
		t.live.send(plant.Change{Gateway: &gateways[i]})
	}
	t.live.send(plant.Change{Plant: &today})
	if backlog == nil {
		backlog = &plant.BacklogReport{Done: 1} // there is none (any more)
	}
	t.live.send(plant.Change{Backlog: backlog})
	if len(notices) > 0 {
		t.live.send(plant.Change{Notices: notices})
	}
}
