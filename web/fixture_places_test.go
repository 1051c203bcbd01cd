package web

import (
	"context"
	"fmt"
	"time"

	"linetwin/plant"
)

func (f *fixture) Areas() []plant.Area {
	a := plant.Area{ID: "assembly", Name: name("Assembly", "装配")}
	for _, l := range lineSeeds() {
		a.Lines = append(a.Lines, l.id)
	}
	return []plant.Area{a}
}

func (f *fixture) AreaFigures(ctx context.Context, area string, span plant.Span, by string) ([]plant.Figures, error) {
	if area != "assembly" {
		return nil, fmt.Errorf("area %q: %w", area, plant.ErrNotFound)
	}
	return f.PlantFigures(ctx, span, by)
}

func (f *fixture) PlantFigures(_ context.Context, span plant.Span, _ string) ([]plant.Figures, error) {
	return []plant.Figures{beside(figures(span, 0.79))}, nil
}

func (f *fixture) MachineFigures(_ context.Context, _ string, span plant.Span, _ string) ([]plant.Figures, error) {
	return []plant.Figures{beside(figures(span, 0.83))}, nil
}

// beside adds what stands beside OEE.
func beside(f plant.Figures) plant.Figures {
	a := plant.Account{Window: plant.Window{Run: 4 * time.Hour, Good: f.Good, Reject: f.Reject, IdealGood: 3 * time.Hour},
		Reliability: plant.Reliability{Operating: 4 * time.Hour, Failures: 2, Restored: 2, Restoring: 20 * time.Minute}}
	a.AddChangeover(plant.Changeover{From: "NB1-C16", To: "NB1-C63", Count: 1, Ended: 1, Time: 25 * time.Minute})
	more := a.Figures()
	f.ISO, f.Reliability, f.Yield, f.Changes = more.ISO, more.Reliability, more.Yield, more.Changes
	return f
}
