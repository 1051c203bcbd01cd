package web

import (
	"context"

	"linetwin/plant"
)

// shelf is a quarantine with one reading.
type shelf struct{ released bool }

func (s *shelf) Quarantine(context.Context) (plant.Quarantine, error) {
	if s.released {
		return plant.Quarantine{Groups: []plant.QuarantineGroup{}}, nil
	}
	return plant.Quarantine{Waiting: 1, Groups: []plant.QuarantineGroup{{Machine: "m", Signal: "good", Kind: plant.KindFloat, Why: "its kind", Count: 1}}}, nil
}

func (s *shelf) Refused(_ context.Context, f plant.QuarantineFilter, limit int) ([]plant.Refused, error) {
	if s.released || f.Machine != "" && f.Machine != "m" || limit < 1 {
		return nil, nil
	}
	return []plant.Refused{{Reading: plant.Reading{Machine: "m", Signal: "good", Time: 1, Value: plant.Float(1.5)}, Kind: plant.KindFloat, Why: "its kind"}}, nil
}

func (s *shelf) Retry(_ context.Context, f plant.QuarantineFilter, as string) (plant.Retried, error) {
	if f.Signal != "good" || as != "good_total" {
		return plant.Retried{Tried: 1, Refused: 1}, nil
	}
	s.released = true
	return plant.Retried{Tried: 1, Stored: 1}, nil
}
