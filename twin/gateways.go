package twin

import (
	"slices"
	"time"

	"linetwin/plant"
)

// gateway is a gateway as the twin sees it.
type gateway struct {
	live    plant.GatewayLive
	newest  plant.Time // newest claim of a live batch
	changed bool
	clock   clockOf
	session string
	// backlog is the span of what came in late in this session.
	backlogFrom, backlogTo plant.Time
	most                   uint64 // most readings that waited since the backlog began
}

func (t *Twin) gatewayLocked(area, id string) *gateway {
	key := gatewayKey{area, id}
	g := t.gateways[key]
	if g == nil {
		g = &gateway{}
		g.live.Area, g.live.Gateway = area, id
		t.gateways[key] = g
	}
	return g
}

func (g *gateway) born(b plant.GatewayBirth, now plant.Time) {
	if !g.live.Online {
		g.live.Online, g.live.Since = true, now
	}
	if g.session != b.Session {
		g.session, g.backlogFrom, g.backlogTo, g.most = b.Session, 0, 0, 0
	}
	g.live.Area, g.live.Version, g.live.Foreign = b.Area, b.Version, b.Session == ""
	if g.live.Foreign {
		g.live.Devices = foreignDevices(&b)
	}
	g.live.LastSeen, g.changed = now, true
}

func (g *gateway) died(now plant.Time) {
	if g.live.Online {
		g.live.Online, g.live.Since = false, now
		g.live.MadeRate, g.live.StoredRate, g.live.LagMs = 0, 0, nil
		// Nobody can vouch for its devices now.
		g.live.Devices = slices.Clone(g.live.Devices)
		for i := range g.live.Devices {
			d := &g.live.Devices[i]
			d.Link, d.Reason, d.Since, d.NextTry = plant.LinkDown, "the gateway is away", now, 0
		}
		g.changed = true
	}
}

func (g *gateway) told(s plant.GatewayStatus, now plant.Time) {
	last := g.live.GatewayStatus
	g.live.GatewayStatus = s
	g.live.LastSeen, g.changed = now, true
	if offset := s.Time.Sub(now).Milliseconds(); s.Clock == nil || s.Clock.OffsetMs == nil {
		g.live.ClockMs = &offset // with what the message took
	} else {
		g.live.ClockMs = s.Clock.OffsetMs
	}
	if dt := s.Time.Sub(last.Time); dt > 0 && dt < time.Minute && last.Started == s.Started {
		g.live.MadeRate = perSecond(last.Made, s.Made, dt)
		g.live.StoredRate = perSecond(last.Stored, s.Stored, dt)
	}
	g.most = max(g.most, s.Waiting)
}

func perSecond(before, after uint64, dt time.Duration) float64 {
	if after < before {
		return 0
	}
	return float64(after-before) / dt.Seconds()
}

func (g *gateway) got(b *plant.Batch, now plant.Time) {
	g.live.LastSeen = now
	if b.Historical {
		if g.backlogFrom == 0 {
			g.backlogFrom = b.Complete.From
		}
		g.backlogTo = max(g.backlogTo, b.Complete.To)
		return
	}
	if g.live.Foreign {
		g.apart(b.Complete.To, now)
	}
	if fromAhead(g.newest, now) {
		g.newest = 0
	}
	if b.Complete.To > g.newest && !fromAhead(b.Complete.To, now) {
		g.newest = b.Complete.To
		lag := max(0, now.Sub(g.newest).Milliseconds())
		g.live.LagMs = &lag
	}
}

// backlogWorth is the number of waiting readings from which a backlog is
// shown: less is on its way within a second.
const backlogWorth = 20_000

// backlog tells how far a backlog has come in; nil while there is none.
func (g *gateway) backlog() *plant.BacklogReport {
	waiting := g.live.Waiting
	if !g.live.Online || waiting < backlogWorth || g.backlogFrom == 0 {
		return nil
	}
	return &plant.BacklogReport{
		Gateway: g.live.Gateway, Waiting: waiting, Through: g.backlogTo,
		Done: span(g.backlogFrom, g.backlogTo, g.newest),
	}
}

// span gives how far at is between from and to, from 0 to 1.
func span(from, at, to plant.Time) float64 {
	if to <= from {
		return 1
	}
	return min(1, max(0, float64(at-from)/float64(to-from)))
}
