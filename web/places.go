package web

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"linetwin/plant"
)

// Places gives the figures of what is smaller and larger than a line: sums of
// the same terms as a line's. Splits are those of Plant.Figures; what does not
// exist is plant.ErrNotFound.
type Places interface {
	Areas() []plant.Area
	AreaFigures(ctx context.Context, area string, span plant.Span, by string) ([]plant.Figures, error)
	PlantFigures(ctx context.Context, span plant.Span, by string) ([]plant.Figures, error)
	MachineFigures(ctx context.Context, machine string, span plant.Span, by string) ([]plant.Figures, error)
}

// SplitInput is a span and how to split it.
type SplitInput struct {
	SpanInput
	By string `query:"by" enum:"shift,hour,day,week,product,order" doc:"how to split the span; one window without it"`
}

type areaOEEInput struct {
	Area string `path:"area" doc:"id of an area"`
	SplitInput
}

type machineOEEInput struct {
	MachineInput
	SplitInput
}

func (s *Server) registerPlaces(api huma.API) {
	huma.Register(api, get("areas", "/areas", "Areas with their lines", "The areas of the site in the order of the settings."),
		func(context.Context, *struct{}) (*body[[]plant.Area], error) { return list(s.from.Places.Areas()), nil })
	huma.Register(api, get("areaOEE", "/areas/{area}/oee", "OEE windows of an area",
		"Sums over the area's lines, never a mean of percentages. Shifts of the same name and day are one. Without from and to: today, in the site's zone. At most 400 days, 31 days by hour."),
		func(ctx context.Context, in *areaOEEInput) (*body[[]plant.Figures], error) {
			span, by, err := s.split(in.SplitInput, s.today)
			if err != nil {
				return nil, err
			}
			figures, err := s.from.Places.AreaFigures(ctx, in.Area, span, by)
			if err != nil {
				return nil, s.failed(ctx, "compute OEE of area "+in.Area, err, s.noArea(in.Area))
			}
			return list(figures), nil
		})
	huma.Register(api, get("plantOEE", "/plant/oee", "OEE windows of the plant",
		"Sums over all lines, as the overview shows them. Without from and to: today, in the site's zone. At most 400 days, 31 days by hour."),
		func(ctx context.Context, in *SplitInput) (*body[[]plant.Figures], error) {
			span, by, err := s.split(*in, s.today)
			if err != nil {
				return nil, err
			}
			figures, err := s.from.Places.PlantFigures(ctx, span, by)
			if err != nil {
				return nil, s.failed(ctx, "compute OEE of the plant", err, nil)
			}
			return list(figures), nil
		})
	huma.Register(api, get("machineOEE", "/machines/{machine}/oee", "OEE windows of a machine",
		"The machine's own time and pieces, in the shifts of its line. Without from and to: its line's running shift up to now, or the last one. At most 400 days, 31 days by hour."),
		func(ctx context.Context, in *machineOEEInput) (*body[[]plant.Figures], error) {
			line, err := s.lineWith(in.Machine)
			if err != nil {
				return nil, err
			}
			span, by, err := s.split(in.SplitInput, func() plant.Span { return line.Figures.Span })
			if err != nil {
				return nil, err
			}
			figures, err := s.from.Places.MachineFigures(ctx, in.Machine, span, by)
			if err != nil {
				return nil, s.failed(ctx, "compute OEE of machine "+in.Machine, err, s.noMachine(in.Machine))
			}
			return list(figures), nil
		})
}

// today gives the running day of the site's zone, up to now.
func (s *Server) today() plant.Span { return s.from.Plant.Snapshot().Plant.Span }

// split reads a span and how to split it; absent gives the span that is taken
// without from and to.
func (s *Server) split(in SplitInput, absent func() plant.Span) (plant.Span, string, error) {
	var bad faults
	by := bad.oneOf("by", in.By, "shift", "hour", "day", "week", "product", "order")
	most := 400 * day
	if by == "hour" {
		most = 31 * day
	}
	var span plant.Span
	if in.From == "" && in.To == "" {
		span = absent()
	}
	if span.Empty() {
		span = bad.span(in.SpanInput, s.now(), day/3, most)
	}
	return span, by, bad.err()
}

// lineWith gives the line that has a machine, or a 404 problem.
func (s *Server) lineWith(machine string) (*plant.LineSnapshot, error) {
	lines := s.from.Plant.Snapshot().Lines
	for i := range lines {
		for j := range lines[i].Machines {
			if lines[i].Machines[j].ID == machine {
				return &lines[i], nil
			}
		}
	}
	return nil, s.noMachine(machine)()
}

// noArea says that an area does not exist, and which ones do.
func (s *Server) noArea(id string) func() *huma.ErrorModel {
	return func() *huma.ErrorModel {
		var ids []string
		for _, a := range s.from.Places.Areas() {
			ids = append(ids, a.ID)
		}
		return absent("area", id, ids, "path.area")
	}
}
