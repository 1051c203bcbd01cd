package simulator

import (
	"context"
	"errors"
	"testing"
	"time"
)

// offline is a plant that is not run.
func offline(t *testing.T, seed uint64, anchor int64) *Plant {
	t.Helper()
	p, err := New(Config{Seed: seed, Anchor: time.UnixMilli(anchor), Folder: folder(t)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// heard is what a listener to the past knows of one machine.
type heard struct {
	values map[string]Value
	last   time.Time
	states []stretch
	good   []int64 // as counted on the wire
}

func listen(t *testing.T, p *Plant, from, to time.Time, every time.Duration) (map[string]*heard, int) {
	t.Helper()
	all, values := map[string]*heard{}, 0
	last := from
	err := p.Past(t.Context(), from, to, every, func(s Sample) error {
		if s.At.Before(last) || !s.At.Before(to) {
			t.Fatalf("sample of %s at %s after %s, past ends at %s", s.Machine, s.At, last, to)
		}
		last = s.At
		h := all[s.Machine]
		if h == nil {
			h = &heard{values: map[string]Value{}}
			all[s.Machine] = h
		}
		h.last = s.At
		for _, v := range s.Values {
			values++
			h.values[v.Signal] = v.Value
			switch v.Signal {
			case "state":
				h.states = append(h.states, stretch{s.At.UnixMilli(), v.Value.Integer})
			case "good":
				h.good = append(h.good, v.Value.Integer)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, values
}

func TestPastEndsWhereLiveBegins(t *testing.T) {
	anchor := monday()
	p := offline(t, 1, anchor)
	from := time.UnixMilli(anchor)
	end := from.Add(5 * time.Hour)
	all, _ := listen(t, p, from, end.Add(time.Millisecond), 10*time.Second)
	m := newModel(1, anchor, linePlans())
	m.advance(end.UnixMilli())
	for _, s := range m.stations {
		h := all[s.id]
		if h == nil {
			t.Fatalf("nothing heard of %s", s.id)
		}
		for i := range slots {
			if name := s.signalOf(i); name != "" && h.values[name] != s.wire(i) {
				t.Errorf("%s %s: past ends with %v, the plant has %v", s.id, name, h.values[name], s.wire(i))
			}
		}
		truth := m.ledger.accounts[s.index].segments
		var changes []stretch
		for _, g := range h.states {
			if n := len(changes); n == 0 || changes[n-1].state != g.state {
				changes = append(changes, g)
			}
		}
		if len(changes) != len(truth) {
			t.Fatalf("%s: %d states heard, %d in the ledger", s.id, len(changes), len(truth))
		}
		for i := range truth {
			if changes[i] != truth[i] {
				t.Fatalf("%s: heard %v, the ledger has %v", s.id, changes[i], truth[i])
			}
		}
	}
}

func TestPastInPartsIsThePast(t *testing.T) {
	anchor := monday()
	p := offline(t, 1, anchor)
	from := time.UnixMilli(anchor)
	whole, _ := listen(t, p, from, from.Add(3*time.Hour), 10*time.Second)
	part, _ := listen(t, p, from.Add(2*time.Hour), from.Add(3*time.Hour), 10*time.Second)
	for id, h := range whole {
		for name, v := range h.values {
			if part[id].values[name] != v {
				t.Errorf("%s %s: %v after the part, %v after the whole", id, name, part[id].values[name], v)
			}
		}
	}
}

func TestCountersRollOverInThePast(t *testing.T) {
	anchor := monday()
	p := offline(t, 1, anchor)
	from := time.UnixMilli(anchor)
	all, _ := listen(t, p, from, from.Add(40*time.Hour), time.Minute)
	m := newModel(1, anchor, linePlans())
	m.advance(from.Add(40*time.Hour).UnixMilli() - 1)
	for _, s := range m.stations {
		if s.protocol != modbusTCP {
			continue
		}
		h, sum, rollovers := all[s.id], int64(0), 0
		for i := 1; i < len(h.good); i++ {
			if h.good[i] > 65535 {
				t.Fatalf("%s counts to %d in 16 bits", s.id, h.good[i])
			}
			d := h.good[i] - h.good[i-1]
			if d < 0 {
				d, rollovers = d+65536, rollovers+1
			}
			sum += d
		}
		if made := s.stats.good; sum > made || sum < made-60 {
			t.Errorf("%s: counters add up to %d, %d were made", s.id, sum, made)
		}
		if s.stats.good > 65536 && rollovers == 0 {
			t.Errorf("%s made %d and never rolled over", s.id, s.stats.good)
		}
	}
}

func TestGapInThePast(t *testing.T) {
	anchor := monday()
	p := offline(t, 1, anchor)
	gap := time.UnixMilli(anchor + gapStart)
	resumed, seen := map[string]int{}, map[string]bool{}
	err := p.Past(t.Context(), gap.Add(-time.Minute), gap.Add(time.Hour), 10*time.Second, func(s Sample) error {
		in := !s.At.Before(gap) && s.At.Before(gap.Add(45*time.Minute))
		if in && s.Machine[0] == 'b' {
			t.Fatalf("sample of %s at %s, its gateway is off", s.Machine, s.At)
		}
		if !s.At.Before(gap.Add(45*time.Minute)) && resumed[s.Machine] == 0 {
			resumed[s.Machine] = len(s.Values)
			if s.Machine[0] == 'b' && !s.First {
				t.Errorf("%s: nobody looked before %s", s.Machine, s.At)
			}
		} else if s.First && seen[s.Machine] {
			t.Errorf("%s was looked at before %s", s.Machine, s.At)
		}
		seen[s.Machine] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range p.Describe().Machines {
		if m.Line == gapLine && resumed[m.ID] != len(m.Signals) {
			t.Errorf("%s: the first sample after the gap has %d values of %d", m.ID, resumed[m.ID], len(m.Signals))
		}
	}
}

func TestPastErrors(t *testing.T) {
	p := offline(t, 1, monday())
	from := time.UnixMilli(monday())
	quiet := func(Sample) error { return nil }
	if err := p.Past(t.Context(), from.Add(-time.Second), from, time.Second, quiet); err == nil {
		t.Error("a past from before the anchor")
	}
	if err := p.Past(t.Context(), from, from.Add(time.Hour), 0, quiet); err == nil {
		t.Error("a past with no interval")
	}
	stop := errors.New("full")
	if err := p.Past(t.Context(), from, from.Add(time.Hour), time.Second, func(Sample) error { return stop }); err != stop {
		t.Errorf("error %v, want that of emit", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Past(ctx, from, from.Add(time.Hour), time.Second, quiet); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want canceled", err)
	}
	if err := p.Past(t.Context(), from, from, time.Second, func(s Sample) error { t.Errorf("sample %v in an empty past", s); return nil }); err != nil {
		t.Error(err)
	}
}

func liveGoesOnFromThePast(t *testing.T, p *Plant) {
	all, _ := listen(t, p, p.cfg.Anchor.Truncate(time.Millisecond), p.Start(), 10*time.Second)
	l := p.Ledger()
	for _, a := range l.Machines {
		heard := map[stretch]bool{}
		for _, g := range all[a.Machine].states {
			heard[g] = true
		}
		for _, g := range a.Segments {
			if g[0] < l.Start && !heard[stretch{g[0], g[1]}] {
				t.Fatalf("%s: the ledger's %v is not in the past", a.Machine, g)
			}
		}
	}
}

func BenchmarkPastWeek(b *testing.B) {
	for _, every := range []time.Duration{10 * time.Second, 30 * time.Second} {
		b.Run(every.String(), func(b *testing.B) {
			p, err := New(Config{Seed: 1, Anchor: time.UnixMilli(monday()), Folder: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			var samples, values int
			for range b.N {
				samples, values = 0, 0
				err := p.Past(b.Context(), p.cfg.Anchor, p.cfg.Anchor.Add(7*24*time.Hour), every, func(s Sample) error {
					samples, values = samples+1, values+len(s.Values)
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(samples), "samples")
			b.ReportMetric(float64(values), "values")
		})
	}
}
