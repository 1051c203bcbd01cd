package web

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"linetwin/plant"
)

type auditInput struct {
	SpanInput
	Gateway string `query:"gateway" doc:"only the machines that this gateway counted: area/gateway, or the gateway's name"`
}

func (s *Server) registerAudit(api huma.API) {
	huma.Register(api, get("audit", "/audit", "Made against stored",
		"Holds what gateways counted, per machine and minute of readings' time, against what history has, and names every difference. From and to are whole minutes; without to, the last minute that has ended; without from, one hour before. At most 24 hours."),
		func(ctx context.Context, in *auditInput) (*body[plant.Audit], error) {
			var bad faults
			span := bad.minutes(in.SpanInput, s.now())
			if err := bad.err(); err != nil {
				return nil, err
			}
			audit, err := s.from.Audits.Audit(ctx, span, in.Gateway)
			if err != nil {
				return nil, s.failed(ctx, "audit", err, s.noGateway(in.Gateway))
			}
			return &body[plant.Audit]{audit}, nil
		})
}

// minutes reads a span of whole minutes.
func (f *faults) minutes(in SpanInput, now plant.Time) plant.Span {
	before := len(*f)
	ended := now.Floor(time.Minute)
	span := f.span(in, ended, time.Hour, day)
	if len(*f) > before {
		return span
	}
	for _, end := range []struct {
		name string
		at   plant.Time
	}{{"from", span.From}, {"to", span.To}} {
		if end.at != end.at.Floor(time.Minute) {
			f.add("query."+end.name, end.at.String(), "a whole minute")
		}
	}
	if span.To > now {
		f.add("query.to", span.To.String(), "not after now, "+now.String())
	}
	return span
}

// noGateway says that a gateway was never heard of, and which were.
func (s *Server) noGateway(name string) func() *huma.ErrorModel {
	return func() *huma.ErrorModel {
		var names []string
		for _, g := range s.from.Plant.Snapshot().Gateways {
			names = append(names, g.Area+"/"+g.Gateway)
		}
		return absent("gateway", name, names, "query.gateway")
	}
}
