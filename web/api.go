package web

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"linetwin/plant"
)

const day = 24 * time.Hour

// body is an answer with a JSON body.
type body[T any] struct{ Body T }

// list answers with a list that is [] when it is empty.
func list[T any](items []T) *body[[]T] {
	if items == nil {
		items = []T{}
	}
	return &body[[]T]{items}
}

// get describes a GET under /api/v1. Parameters are checked by the handler.
func get(id, path, summary, description string) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: http.MethodGet, Path: "/api/v1" + path, Summary: summary, Description: description,
		SkipValidateParams: true,
	}
}

// register adds every operation under /api/v1.
func (s *Server) register(api huma.API) {
	api.UseMiddleware(known)
	s.registerLines(api)
	s.registerPlaces(api)
	s.registerMachines(api)
	s.registerAlerts(api)
	s.registerEntries(api)
	s.registerTables(api)
	s.registerPlans(api)
	s.registerEvents(api)
	s.registerQuarantine(api)
	s.registerAudit(api)
	s.registerRecompute(api)

	huma.Register(api, get("gateways", "/gateways", "Gateways and their devices", "Link, data age, buffer, lag and clock of each gateway that was ever seen."),
		func(context.Context, *struct{}) (*body[[]plant.GatewayLive], error) {
			return list(s.from.Plant.Snapshot().Gateways), nil
		})
	huma.Register(api, get("scorecard", "/scorecard", "Transformation scorecard", "Five domains with their KPIs, each with source and evidence. Without from, the last 7 days; at most 400 days."),
		func(ctx context.Context, in *struct{ SpanInput }) (*body[plant.Scorecard], error) {
			var bad faults
			span := bad.span(in.SpanInput, s.now(), 7*day, 400*day)
			if err := bad.err(); err != nil {
				return nil, err
			}
			card, err := s.from.Scorecard.Scorecard(ctx, span)
			if err != nil {
				return nil, s.failed(ctx, "compute the scorecard", err, nil)
			}
			return &body[plant.Scorecard]{card}, nil
		})
}

// LineInput is the line in a path. (Embedded inputs are exported because huma
// looks into no others.)
type LineInput struct {
	Line string `path:"line" doc:"id of a line"`
}

// LineSpanInput is a line and a span.
type LineSpanInput struct {
	LineInput
	SpanInput
}

type oeeInput struct {
	LineInput
	SplitInput
}

func (s *Server) registerLines(api huma.API) {
	huma.Register(api, get("lines", "/lines", "All lines", "What each line is doing now."),
		func(context.Context, *struct{}) (*body[[]plant.LineSnapshot], error) {
			return list(s.from.Plant.Snapshot().Lines), nil
		})
	huma.Register(api, get("line", "/lines/{line}", "One line", "What the line is doing now."),
		func(_ context.Context, in *LineInput) (*body[plant.LineSnapshot], error) {
			line, err := s.line(in.Line)
			if err != nil {
				return nil, err
			}
			return &body[plant.LineSnapshot]{*line}, nil
		})
	huma.Register(api, get("oee", "/lines/{line}/oee", "OEE windows of a line",
		"Without from and to: the running shift up to now, or the last one while there is none. At most 400 days, 31 days by hour."), s.oee)
	huma.Register(api, get("timeline", "/lines/{line}/timeline", "What the machines did", "State segments of each machine in the order of flow. Without from, the last 8 hours; at most 31 days."),
		func(ctx context.Context, in *LineSpanInput) (*body[plant.Timeline], error) {
			span, err := s.lineSpan(in, 8*time.Hour, 31*day)
			if err != nil {
				return nil, err
			}
			t, err := s.from.Plant.Timeline(ctx, in.Line, span)
			if err != nil {
				return nil, s.failed(ctx, "read the timeline of line "+in.Line, err, s.noLine(in.Line))
			}
			return &body[plant.Timeline]{t}, nil
		})
	huma.Register(api, get("stops", "/lines/{line}/stops", "Stops of a line", "Whole stops that overlap the span. Without from, the last 8 hours; at most 92 days."),
		func(ctx context.Context, in *LineSpanInput) (*body[[]plant.Stop], error) {
			span, err := s.lineSpan(in, 8*time.Hour, 92*day)
			if err != nil {
				return nil, err
			}
			stops, err := s.from.Plant.Stops(ctx, in.Line, span)
			if err != nil {
				return nil, s.failed(ctx, "read the stops of line "+in.Line, err, s.noLine(in.Line))
			}
			return list(stops), nil
		})
	huma.Register(api, get("losses", "/lines/{line}/losses", "What stops cost a line", "Stops of the line's bottleneck by class, the machine that caused them and the reason, the greatest first. Seconds are of planned time. Without from, the last 8 hours; at most 92 days."),
		func(ctx context.Context, in *LineSpanInput) (*body[[]plant.Loss], error) {
			span, err := s.lineSpan(in, 8*time.Hour, 92*day)
			if err != nil {
				return nil, err
			}
			losses, err := s.from.Losses.Losses(ctx, in.Line, span)
			if err != nil {
				return nil, s.failed(ctx, "sum the losses of line "+in.Line, err, s.noLine(in.Line))
			}
			return list(losses), nil
		})
	huma.Register(api, get("reasons", "/reasons", "Why lines stop", "The tree of reasons; a stop may have one without children."),
		func(context.Context, *struct{}) (*body[[]plant.Reason], error) {
			return list(s.from.Losses.Reasons()), nil
		})
}

// oee gives a line's windows.
func (s *Server) oee(ctx context.Context, in *oeeInput) (*body[[]plant.Figures], error) {
	line, err := s.line(in.Line)
	if err != nil {
		return nil, err
	}
	span, by, err := s.split(in.SplitInput, func() plant.Span { return line.Figures.Span })
	if err != nil {
		return nil, err
	}
	figures, err := s.from.Plant.Figures(ctx, in.Line, span, by)
	if err != nil {
		return nil, s.failed(ctx, "compute OEE of line "+in.Line, err, s.noLine(in.Line))
	}
	return list(figures), nil
}

// MachineInput is the machine in a path.
type MachineInput struct {
	Machine string `path:"machine" doc:"id of a machine"`
}

type readingsInput struct {
	MachineInput
	SpanInput
	Signal string   `query:"signal" required:"true" doc:"name of a signal of the machine"`
	Points intParam `query:"points" minimum:"1" maximum:"5000" doc:"the most buckets to give; 500 without it"`
}

func (s *Server) registerMachines(api huma.API) {
	huma.Register(api, get("signals", "/machines/{machine}/signals", "Signals of a machine", "Each signal with its last reading, age and quality."),
		func(ctx context.Context, in *MachineInput) (*body[[]plant.SignalNow], error) {
			signals, err := s.from.Signals.Signals(in.Machine)
			if err != nil {
				return nil, s.failed(ctx, "read the signals of machine "+in.Machine, err, s.noMachine(in.Machine))
			}
			return list(signals), nil
		})
	huma.Register(api, get("readings", "/machines/{machine}/readings", "History of a signal",
		"Least, greatest, mean and last value in each of at most points intervals. Without from, the last hour; at most 400 days."), s.readings)
}

// readings gives the history of one signal.
func (s *Server) readings(ctx context.Context, in *readingsInput) (*body[[]plant.Bucket], error) {
	signals, err := s.from.Signals.Signals(in.Machine)
	if err != nil {
		return nil, s.failed(ctx, "read the signals of machine "+in.Machine, err, s.noMachine(in.Machine))
	}
	names := make([]string, len(signals))
	for i := range signals {
		names[i] = signals[i].Name
	}
	var bad faults
	if in.Signal == "" {
		bad.add("query.signal", "", orNone(names))
	}
	span := bad.span(in.SpanInput, s.now(), time.Hour, 400*day)
	points := bad.integer("points", in.Points, 500, 1, 5000)
	if err := bad.err(); err != nil {
		return nil, err
	}
	buckets, err := s.from.Signals.Readings(ctx, in.Machine, in.Signal, span, points)
	if err != nil {
		return nil, s.failed(ctx, "read signal "+in.Signal+" of machine "+in.Machine, err,
			func() *huma.ErrorModel { return absent("signal", in.Signal, names, "query.signal") })
	}
	return list(buckets), nil
}

type alertsInput struct {
	SpanInput
	Open boolParam `query:"open" doc:"only those that are open now"`
}

type acknowledgeInput struct {
	ID   string `path:"id" doc:"id of an alert"`
	Body struct {
		By string `json:"by" minLength:"1" maxLength:"64" doc:"who has seen it"`
	}
}

func (s *Server) registerAlerts(api huma.API) {
	huma.Register(api, get("alerts", "/alerts", "Alerts", "Alerts that were open at some time in the span. Without from, the last 24 hours; at most 400 days."),
		func(ctx context.Context, in *alertsInput) (*body[[]plant.Alert], error) {
			var bad faults
			span := bad.span(in.SpanInput, s.now(), day, 400*day)
			open := bad.boolean("open", in.Open)
			if err := bad.err(); err != nil {
				return nil, err
			}
			alerts, err := s.from.Alerts.Alerts(ctx, span, open)
			if err != nil {
				return nil, s.failed(ctx, "read the alerts", err, nil)
			}
			return list(alerts), nil
		})
	huma.Register(api, huma.Operation{
		OperationID: "acknowledge", Method: http.MethodPost, Path: "/api/v1/alerts/{id}/acknowledge", Summary: "Acknowledge an alert",
		Description: "Notes who has seen it. Taken from this computer only, until there is sign-in.", SkipValidateParams: true, MaxBodyBytes: 4096,
		Middlewares: huma.Middlewares{s.actionsOnly},
	}, func(ctx context.Context, in *acknowledgeInput) (*body[plant.Alert], error) {
		alert, err := s.from.Alerts.Acknowledge(ctx, in.ID, in.Body.By)
		if err != nil {
			return nil, s.failed(ctx, "acknowledge alert "+in.ID, err, func() *huma.ErrorModel {
				return problem(http.StatusNotFound, "no alert %q; open ones are at /api/v1/alerts?open=true", in.ID)
			})
		}
		s.log.InfoContext(ctx, "alert acknowledged", "alert", in.ID, "by", alert.AckedBy, "asked_by", in.Body.By)
		return &body[plant.Alert]{alert}, nil
	})
	huma.Register(api, get("session", "/session", "What the caller may do", "Tells whether actions are taken from where the caller is, and if not, why."), s.session)
}
