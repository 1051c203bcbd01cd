package web

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"linetwin/plant"
)

// Quarantine gives the readings that history refused, and tries them again.
type Quarantine interface {
	Quarantine(ctx context.Context) (plant.Quarantine, error)
	// Refused gives the latest ones first.
	Refused(ctx context.Context, f plant.QuarantineFilter, limit int) ([]plant.Refused, error)
	// Retry stores again what f chooses, under the signal's name as where that
	// is not empty.
	Retry(ctx context.Context, f plant.QuarantineFilter, as string) (plant.Retried, error)
}

const mostRefused = 100_000

type refusedInput struct {
	Machine string   `query:"machine" doc:"only of this machine"`
	Signal  string   `query:"signal" doc:"only of signals of this name"`
	Limit   intParam `query:"limit" doc:"how many, 1 to 100000; 1000 when absent"`
}

type retryInput struct {
	Body struct {
		Machine string `json:"machine,omitempty" doc:"only of this machine"`
		Signal  string `json:"signal,omitempty" doc:"only of signals of this name"`
		As      string `json:"as,omitempty" maxLength:"64" doc:"store them under this name; needs signal"`
	}
}

func (s *Server) registerQuarantine(api huma.API) {
	huma.Register(api, get("quarantine", "/quarantine", "What history refused", "Readings that were set aside because they cannot be stored, by signal and reason."),
		func(ctx context.Context, _ *struct{}) (*body[plant.Quarantine], error) {
			q, err := s.from.Quarantine.Quarantine(ctx)
			if err != nil {
				return nil, s.failed(ctx, "read the quarantine", err, nil)
			}
			return &body[plant.Quarantine]{q}, nil
		})
	huma.Register(api, get("refused", "/quarantine/readings", "Readings that history refused", "The latest first."),
		func(ctx context.Context, in *refusedInput) (*body[[]plant.Refused], error) {
			var bad faults
			limit := bad.integer("limit", in.Limit, 1000, 1, mostRefused)
			if err := bad.err(); err != nil {
				return nil, err
			}
			refused, err := s.from.Quarantine.Refused(ctx, plant.QuarantineFilter{Machine: in.Machine, Signal: in.Signal}, limit)
			if err != nil {
				return nil, s.failed(ctx, "read the quarantine", err, nil)
			}
			return list(refused), nil
		})
	huma.Register(api, huma.Operation{
		OperationID: "retry", Method: http.MethodPost, Path: "/api/v1/quarantine/retry", Summary: "Store again what history refused",
		Description: "What is stored then leaves the quarantine; the rest stays. Taken from this computer only, until there is sign-in.", SkipValidateParams: true, MaxBodyBytes: 4096,
		Middlewares: huma.Middlewares{s.actionsOnly},
	}, func(ctx context.Context, in *retryInput) (*body[plant.Retried], error) {
		if in.Body.As != "" && in.Body.Signal == "" {
			return nil, problem(http.StatusUnprocessableEntity, "body.signal: missing, allowed: the signal whose readings are to be stored as %q", in.Body.As)
		}
		if err := plant.CheckID(in.Body.As); in.Body.As != "" && err != nil {
			return nil, problem(http.StatusUnprocessableEntity, "body.as: found %q, allowed: an identifier: 1 to 64 of a-z A-Z 0-9 _ -", in.Body.As)
		}
		done, err := s.from.Quarantine.Retry(ctx, plant.QuarantineFilter{Machine: in.Body.Machine, Signal: in.Body.Signal}, in.Body.As)
		if err != nil {
			return nil, s.failed(ctx, "store again what is in quarantine", err, nil)
		}
		s.log.InfoContext(ctx, "quarantine tried again", "machine", in.Body.Machine, "signal", in.Body.Signal, "as", in.Body.As, "stored", done.Stored, "refused", done.Refused)
		return &body[plant.Retried]{done}, nil
	})
}
