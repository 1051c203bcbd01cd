package twin

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"linetwin/plant"
)

// Flow is a line's machines in the order in which pieces pass them. Where
// several machines stand beside each other, so that each piece passes one of
// them, the settings write a list, as in [a, [b1, b2], c]; here their ids are
// one step, joined by "+", which no id has.
type Flow []string

// Join gives the step of machines beside each other.
func (Flow) Join(machines []string) string { return strings.Join(machines, "+") }

// machinesOf gives the machines of a step.
func machinesOf(step string) []string { return strings.Split(step, "+") }

// String gives the flow as the settings write it.
func (f Flow) String() string {
	steps := make([]string, len(f))
	for i, s := range f {
		if ids := machinesOf(s); len(ids) > 1 || s == "" {
			s = "[" + strings.Join(ids, ", ") + "]"
		}
		steps[i] = s
	}
	return strings.Join(steps, ", ")
}

// flow checks a line's flow and bottleneck; own are the line's machines.
func (k *check) flow(key string, l *LineConfig, own map[string]bool) {
	if len(l.Flow) == 0 {
		k.add(key+".flow", "", "the line's machines in the order in which pieces pass them")
	}
	seen := map[string]bool{}
	for i, s := range l.Flow {
		at := fmt.Sprintf("%s.flow[%d]", key, i)
		if s == "" {
			k.add(at, "", "a machine of the line, or several beside each other as in [b1, b2]")
			continue
		}
		for _, id := range machinesOf(s) {
			switch {
			case !own[id]:
				k.add(at, id, "one of the line's machines: "+list(maps.Keys(own)))
			case seen[id]:
				k.add(at, id, "each machine once")
			}
			seen[id] = true
		}
	}
	if !seen[l.Bottleneck] {
		k.add(key+".bottleneck", l.Bottleneck, "one of the line's flow: "+l.Flow.String())
	}
}

// step is a place of a line's flow: the machines beside each other there.
type step []*machine

func (s step) ids() []string {
	ids := make([]string, len(s))
	for i, m := range s {
		ids[i] = m.cfg.ID
	}
	return ids
}

// flow gives the line's machines by the steps of its flow.
func (l *line) flow() [][]string {
	all := make([][]string, len(l.steps))
	for i, s := range l.steps {
		all[i] = s.ids()
	}
	return all
}

// stepOf gives the step that a machine is in; -1 where it is in none.
func (l *line) stepOf(id string) int {
	return slices.IndexFunc(l.steps, func(s step) bool {
		return slices.ContainsFunc(s, func(m *machine) bool { return m.cfg.ID == id })
	})
}

// end gives the last step of the flow: its good pieces are the line's.
func (l *line) end() step { return l.steps[len(l.steps)-1] }

// ends gives the machines from which the line's time and pieces come.
func (l *line) ends() []*machine {
	all := slices.Clone([]*machine(l.neck))
	for _, m := range l.end() {
		if !slices.Contains(all, m) {
			all = append(all, m)
		}
	}
	return all
}

// through is how far the line's data is complete: time comes from its
// bottleneck, pieces from the end of its flow.
func (l *line) through() plant.Time {
	through := l.neck[0].track.cp.Through
	for _, m := range l.ends() {
		through = min(through, m.track.cp.Through)
	}
	return through
}

// stands is what a machine does now or did at a time, for the walk over the
// flow.
type stands struct {
	class plant.Class
	since plant.Time
	known bool
}

// leading gives the machine of the bottleneck whose state is the line's: of
// several one that runs, and while none does the one that came to stand last,
// since when none runs; one that nobody sees only where nobody sees any.
func (l *line) leading(of func(*machine) stands) *machine {
	rank := func(s stands) int {
		switch {
		case s.known && s.class == plant.ClassRun:
			return 2
		case s.known && s.class != plant.ClassUnknown:
			return 1
		}
		return 0
	}
	lead := l.neck[0]
	for _, m := range l.neck[1:] {
		a, b := of(lead), of(m)
		if rank(b) > rank(a) || rank(a) == 1 && rank(b) == 1 && b.since > a.since {
			lead = m
		}
	}
	return lead
}

// cause walks the flow from a machine of a class: from a starved one upstream,
// from a blocked one downstream, over machines that only wait themselves. It
// gives the machine that stands by itself, of several beside each other the
// one that stands longest; nil when none is found. A step of which one machine
// waits and the others run is held up by what is behind it; where nobody sees
// one of its machines, nobody knows.
func (l *line) cause(from string, class plant.Class, of func(*machine) stands) *machine {
	at := l.stepOf(from)
	if at < 0 {
		return nil
	}
	move := 0
	switch {
	case class == plant.ClassStarved:
		move = -1
	case class == plant.ClassBlocked:
		move = 1
	case byItself(class):
		i := slices.IndexFunc(l.steps[at], func(m *machine) bool { return m.cfg.ID == from })
		return l.steps[at][i]
	default:
		return nil
	}
	for at += move; at >= 0 && at < len(l.steps); at += move {
		var found *machine
		var since plant.Time
		waits, unseen := false, false
		for _, m := range l.steps[at] {
			switch s := of(m); {
			case !s.known || s.class == plant.ClassUnknown:
				unseen = true
			case byItself(s.class) && (found == nil || s.since < since):
				found, since = m, s.since
			case s.class == class:
				waits = true
			}
		}
		if found != nil {
			return found
		}
		if unseen || !waits {
			return nil
		}
	}
	return nil
}

// byItself tells whether a machine of a class stands because of itself.
func byItself(c plant.Class) bool {
	return c == plant.ClassStop || c == plant.ClassChangeover || c == plant.ClassPlannedStop
}
