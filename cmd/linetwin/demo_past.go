package main

import (
	"context"
	"fmt"
	"time"

	"linetwin/plant"
	"linetwin/simulator"
)

// pastEvery is how often the past is looked at: states change at their exact
// time all the same.
const pastEvery = 10 * time.Second

// fill brings the plant's past through the gateways, as a backlog. A demo that
// was stopped in the middle goes on where it was.
func (d *demo) fill(ctx context.Context, owner map[string]*gatewayRole) error {
	from, to := d.state.Anchor, d.state.Start
	if d.state.Through.After(from) {
		from = d.state.Through
	}
	began, readings, saved := time.Now(), 0, from
	err := d.plant.Past(ctx, from, to, pastEvery, func(s simulator.Sample) error {
		g := owner[s.Machine]
		if g == nil {
			return nil // a machine that no gateway has
		}
		readings += len(s.Values)
		if s.At.Sub(saved) > 6*time.Hour {
			saved, d.state.Through = s.At, s.At
			if err := d.saveState(); err != nil {
				return err
			}
			fmt.Fprintf(d.app.stdout, "past: %s of %s produced\n", s.At.Sub(d.state.Anchor).Round(time.Hour), to.Sub(d.state.Anchor).Round(time.Hour))
		}
		return g.core.Import(ctx, s.Machine, round(s), s.First)
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("fill the past: %w", err)
	}
	d.state.Filled = true
	if err := d.saveState(); err != nil {
		return err
	}
	d.log.Info("the past is produced", "readings", readings, "took", time.Since(began).Round(time.Millisecond))
	<-ctx.Done()
	return nil
}

// round makes a sample what a look at the machine would have given.
func round(s simulator.Sample) plant.Round {
	at := plant.Stamp(s.At)
	r := plant.Round{Through: at, Readings: make([]plant.Reading, 0, len(s.Values))}
	for _, v := range s.Values {
		r.Readings = append(r.Readings, plant.Reading{Machine: s.Machine, Signal: v.Signal, Time: at, Value: value(v.Value)})
	}
	return r
}

func value(v simulator.Value) plant.Value {
	switch v.Kind {
	case simulator.Float:
		return plant.Float(v.Float)
	case simulator.Text:
		return plant.Text(v.Text)
	}
	return plant.Integer(v.Integer)
}
