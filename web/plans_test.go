package web

import (
	"time"

	"linetwin/plant"
)

// The fixture's plant has one calendar that was changed and one ideal cycle
// that was taken back.

func (f *fixture) Calendars() ([]plant.CalendarPlan, error) {
	c := plant.RawJSON(`{"zone":"Asia/Shanghai"}`)
	return []plant.CalendarPlan{{ID: "day", Lines: []string{"mcb-a"}, Versions: []plant.CalendarVersion{{Calendar: c}, {From: planned, Entry: 7, Calendar: c}}}}, nil
}

func (f *fixture) Products() []plant.ProductPlan {
	cycle := plant.Length(1800 * time.Millisecond)
	return []plant.ProductPlan{{
		Product: plant.Product{ID: "C16", Name: plant.Name{En: "C16", Zh: "C16"}},
		Cycles:  []plant.CycleVersion{{Machine: "a-riveting", Cycle: &cycle}, {Machine: "a-riveting", From: planned, Entry: 8}},
	}}
}

var planned = plant.At(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC))
