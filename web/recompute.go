package web

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"linetwin/plant"
)

// Recomputer makes past shifts anew from history.
type Recomputer interface {
	// Recompute gives the closed shifts whose account is another one, and keeps
	// it unless r is dry. The error tells the Faults of a request that is wrong,
	// and is plant.ErrNotFound for a line that there is not.
	Recompute(ctx context.Context, r plant.Recompute) ([]plant.Effect, error)
}

// recomputeMost is how long a span one request may name.
const recomputeMost = 31 * 24 * time.Hour

type recomputeBody struct {
	From  plant.Time `json:"from" doc:"the shifts that start at this time or after it"`
	To    plant.Time `json:"to" doc:"and before this one; at most 31 days later"`
	Lines []string   `json:"lines,omitempty" doc:"of these lines; left out: of all"`
	Dry   bool       `json:"dry_run,omitempty" doc:"tell what would change, and change nothing"`
	By    string     `json:"by" doc:"who wants it"`
	Why   string     `json:"why,omitempty"`
}

type recomputeInput struct{ Body recomputeBody }

func (s *Server) registerRecompute(api huma.API) {
	huma.Register(api, s.action("recompute", "/recompute", "Make past shifts anew from history",
		"Folds readings once more with the settings and entries of now, and gives the closed shifts whose figures are others than the published ones. Unless it is a dry run they get a revision with the reason \"recomputed by ...\": those of the last 8 days within about a minute, older ones at once."),
		func(ctx context.Context, in *recomputeInput) (*body[[]plant.Effect], error) {
			b := &in.Body
			if b.To.Sub(b.From) > recomputeMost {
				var bad faults
				bad.add("body.from", b.From.String(), "at most 31 days before to, "+b.To.String())
				return nil, bad.err()
			}
			effects, err := s.from.Recompute.Recompute(ctx, plant.Recompute{Span: plant.Span{From: b.From, To: b.To}, Lines: b.Lines, By: b.By, Why: b.Why, Dry: b.Dry})
			if errors.Is(err, plant.ErrNotFound) {
				var bad faults
				bad.add("body.lines", strings.Join(b.Lines, ", "), err.Error())
				return nil, bad.err()
			}
			if err != nil {
				return nil, s.refused(ctx, "recompute", err)
			}
			s.log.InfoContext(ctx, "recomputed", "from", b.From, "to", b.To, "dry", b.Dry, "by", b.By, "changed", len(effects))
			return list(effects), nil
		})
}
