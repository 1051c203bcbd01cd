package connectors

import (
	"fmt"
	"time"

	"linetwin/plant"
)

// watched is a group of signals whose age is watched by itself.
type watched struct {
	name    string
	every   time.Duration
	limit   time.Duration // without data for longer it is stale
	signals []int
}

// grouped is a device that reads its groups at different times.
type grouped interface {
	// Looked gives when a group was last read, or when the server last vouched
	// for it; never is 0. The device's own signals are the group "".
	Looked(group string) time.Time
}

// clocked is a device with a clock of its own; Modbus has none.
type clocked interface {
	// Clock gives it minus the gateway's time; false while it is not known.
	Clock() (offset time.Duration, known bool)
}

// noting is a device that has something to tell although its data flows.
type noting interface{ Notes() []string }

// tell takes over what the device says of its groups and of itself. mu is held.
func (s *Supervisor) tell() {
	if n, ok := s.device.(noting); ok {
		s.state.Notes = n.Notes()
	}
	if c, ok := s.device.(clocked); ok {
		s.state.ClockMs = nil
		if offset, known := c.Clock(); known {
			ms := offset.Milliseconds()
			s.state.ClockMs = &ms
		}
	}
	g, ok := s.device.(grouped)
	if !ok || len(s.groups) == 0 {
		return
	}
	all := make([]plant.GroupStatus, 0, len(s.groups))
	newest := plant.Time(0)
	for _, w := range s.groups {
		is := plant.GroupStatus{Name: w.name, EveryMs: w.every.Milliseconds(), Signals: len(w.signals), BadNow: s.bad.among(w.signals)}
		if at := g.Looked(w.name); !at.IsZero() {
			is.LastData = s.at(at)
			newest = max(newest, is.LastData)
		}
		all = append(all, is)
	}
	s.state.Groups = all
	if s.state.Link == plant.LinkFlowing {
		s.state.LastData = newest
	}
}

// judge says which groups are stale: those of which nothing came for longer
// than three of their own intervals, or than a subscription may be silent. A stale group makes a stale device.
func (s *Supervisor) judge(state *plant.DeviceStatus, now plant.Time) {
	if len(state.Groups) == 0 {
		return
	}
	all := make([]plant.GroupStatus, len(state.Groups)) // the state's own are shared with others
	copy(all, state.Groups)
	state.Groups = all
	for i := range all {
		g := &all[i]
		limit := s.groups[i].limit
		g.Stale = now.Sub(g.LastData) > limit
		if g.Stale && state.Link == plant.LinkFlowing {
			state.Link, state.Since = plant.LinkStale, g.LastData.Add(limit)
			state.Reason = fmt.Sprintf("no data of group %q for more than %v", g.Name, limit)
			if g.Name == "" {
				state.Reason = fmt.Sprintf("no data for more than %v", limit)
			}
		}
	}
}

// among counts the bad ones of some signals.
func (b *badness) among(signals []int) int {
	n := 0
	for _, i := range signals {
		if b.bad[i] {
			n++
		}
	}
	return n
}
