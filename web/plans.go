package web

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"linetwin/plant"
)

// Plans gives what a plant means to do: calendars and ideal cycles, with what
// the settings and what people say of them.
type Plans interface {
	Calendars() ([]plant.CalendarPlan, error)
	Products() []plant.ProductPlan
}

func (s *Server) registerPlans(api huma.API) {
	huma.Register(api, get("calendars", "/calendars", "Calendars with all their versions", "Each with the lines that work by it; a version holds from its time until the next one's. The first is that of the settings."),
		func(ctx context.Context, _ *struct{}) (*body[[]plant.CalendarPlan], error) {
			plans, err := s.from.Plans.Calendars()
			if err != nil {
				return nil, s.failed(ctx, "read the calendars", err, nil)
			}
			return list(plans), nil
		})
	huma.Register(api, get("products", "/products", "Products with their ideal cycles", "Each version of a cycle holds from its time until the next one's of the same machine; null: none any more."),
		func(context.Context, *struct{}) (*body[[]plant.ProductPlan], error) {
			return list(s.from.Plans.Products()), nil
		})
}
