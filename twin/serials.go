package twin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"linetwin/plant"
)

// serialsBefore is how far before a span a serial is looked for that comes
// again in it.
const serialsBefore = 24 * time.Hour

// SerialYield gives a line's yield by serial number, from what history has: of
// machines with characteristics that have limits and a trigger.
func (t *Twin) SerialYield(ctx context.Context, id string, span plant.Span) (plant.SerialYield, error) {
	l, err := t.lineOf(id)
	if err != nil {
		return plant.SerialYield{}, err
	}
	y := plant.SerialYield{Span: span, Machines: []plant.MachineYield{}}
	line := serials{span: span, first: map[string]plant.Time{}, failed: map[string]bool{}}
	for _, m := range l.machines {
		for _, s := range m.stations() {
			rec, err := t.opts.History.Record(ctx, m.cfg.ID, s.signals(), plant.Span{From: span.From.Add(-serialsBefore), To: span.To})
			if err != nil {
				return plant.SerialYield{}, fmt.Errorf("serials of %s: %w", m.cfg.ID, err)
			}
			y.Machines = append(y.Machines, line.machine(m.cfg.ID, s.passes(rec.Readings)))
		}
	}
	for serial, at := range line.first {
		if !span.Has(at) {
			continue
		}
		y.Serials++
		if !line.failed[serial] {
			y.Passed++
		}
	}
	y.Rate()
	return y, nil
}

// serials is what became of a line's serials.
type serials struct {
	span   plant.Span
	first  map[string]plant.Time // when each was first measured on the line
	failed map[string]bool       // at its first measurement by a machine in the span
}

// machine counts what passed a machine.
func (l *serials) machine(id string, passes []pass) plant.MachineYield {
	row := plant.MachineYield{Machine: id}
	seen := map[string]bool{}
	for _, p := range passes {
		before := seen[p.serial]
		seen[p.serial] = true
		if at, ok := l.first[p.serial]; !ok || p.at < at {
			l.first[p.serial] = p.at
		}
		switch {
		case !l.span.Has(p.at):
		case before:
			row.Repeated++
		case p.within:
			row.Serials, row.Passed = row.Serials+1, row.Passed+1
		default:
			row.Serials++
			l.failed[p.serial] = true
		}
	}
	return row
}

// station is where serials are measured: the characteristics of a machine with
// one trigger.
type station struct {
	trigger string
	of      []CharacteristicConfig
}

func (m *machine) stations() []station {
	var all []station
	for _, c := range m.cfg.Characteristics {
		if c.Trigger == "" || c.LSL == nil && c.USL == nil {
			continue
		}
		i := slices.IndexFunc(all, func(s station) bool { return s.trigger == c.Trigger })
		if i < 0 {
			all, i = append(all, station{trigger: c.Trigger}), len(all)
		}
		all[i].of = append(all[i].of, c)
	}
	return all
}

func (s *station) signals() []string {
	names := []string{s.trigger}
	for _, c := range s.of {
		names = append(names, c.Signal)
	}
	return names
}

// pass is one piece at a station.
type pass struct {
	serial string
	at     plant.Time
	within bool // each measurement within its limits
}

// passes tells the pieces apart that a station measured. A piece begins with a
// new serial, and what is measured first from then on, until the next serial,
// is its measurement. A value that did not change is not told again: then it is
// that of the piece before. A piece of which nothing is known is none.
func (s *station) passes(readings []plant.Reading) []pass {
	readings = slices.Clone(readings)
	slices.SortStableFunc(readings, func(a, b plant.Reading) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(rank(a.Signal == s.trigger), rank(b.Signal == s.trigger)))
	})
	var all []pass
	last := make([]*float64, len(s.of)) // known when the piece came
	own := make([]*float64, len(s.of))  // measured since
	var now pass
	end := func() {
		within, measured := true, now.serial != ""
		for i := range s.of {
			if own[i] != nil {
				last[i], own[i] = own[i], nil
			}
			measured = measured && last[i] != nil
			within = within && measured && s.of[i].within(*last[i])
		}
		if measured {
			now.within = within
			all = append(all, now)
		}
	}
	for i := range readings {
		r := &readings[i]
		if r.Quality == plant.Bad {
			continue
		}
		if r.Signal == s.trigger {
			if serial := r.Value.String(); serial != now.serial {
				end()
				now = pass{serial: serial, at: r.Time}
			}
			continue
		}
		x, ok := r.Value.Number()
		if !ok {
			continue
		}
		for j := range s.of {
			if s.of[j].Signal == r.Signal && own[j] == nil {
				own[j] = &x
			}
		}
	}
	end()
	return all
}

// rank puts what is true first.
func rank(first bool) int {
	if first {
		return 0
	}
	return 1
}

func (c *CharacteristicConfig) within(x float64) bool {
	return (c.LSL == nil || x >= *c.LSL) && (c.USL == nil || x <= *c.USL)
}
