package web

import (
	"context"
	"errors"

	"github.com/danielgtaylor/huma/v2"

	"linetwin/plant"
)

// tableMost is how large a table may be.
const tableMost = 1 << 20

type tableInput struct {
	Kind string `query:"kind" required:"true" doc:"order, ideal_cycle or product"`
}

type tableOutput struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

type tellTableInput struct {
	Kind    string    `query:"kind" required:"true" doc:"order, ideal_cycle or product"`
	By      string    `query:"by" required:"true" doc:"who says so"`
	Why     string    `query:"why"`
	Preview boolParam `query:"preview" doc:"true: tell what would change, and keep nothing"`
	RawBody []byte    `contentType:"text/csv"`
}

func (s *Server) registerTables(api huma.API) {
	huma.Register(api, get("table", "/entries/csv", "What holds of a kind, as CSV", "A file that POST takes: telling it again changes nothing."),
		func(ctx context.Context, in *tableInput) (*tableOutput, error) {
			text, err := s.from.Entries.Table(plant.EntryKind(in.Kind))
			if err != nil {
				return nil, s.refusedTable(ctx, err)
			}
			return &tableOutput{"text/csv; charset=utf-8; header=present", `attachment; filename="` + in.Kind + `.csv"`, text}, nil
		})
	op := s.action("tell_table", "/entries/csv", "Say what the lines of a CSV file hold", "All of it or nothing: each wrong line is named with its column. Lines that say what holds already are counted.")
	op.MaxBodyBytes = tableMost
	huma.Register(api, op, func(ctx context.Context, in *tellTableInput) (*body[plant.TableTaken], error) {
		var bad faults
		dry := bad.boolean("preview", in.Preview)
		if err := bad.err(); err != nil {
			return nil, err
		}
		taken, err := s.from.Entries.TellTable(ctx, plant.Table{Kind: plant.EntryKind(in.Kind), By: in.By, Why: in.Why, Text: in.RawBody, Dry: dry})
		if err != nil {
			return nil, s.refusedTable(ctx, err)
		}
		s.log.InfoContext(ctx, "table taken", "kind", in.Kind, "by", in.By, "entries", len(taken.Taken), "unchanged", taken.Unchanged, "preview", dry)
		return &body[plant.TableTaken]{taken}, nil
	})
}

// refusedTable turns the error of a table into a problem: faults of lines are at
// "line 3, quantity", the others are of parameters.
func (s *Server) refusedTable(ctx context.Context, err error) error {
	var wrong interface{ Faults() []plant.Fault }
	if !errors.As(err, &wrong) {
		return s.failed(ctx, "take the table", err, nil)
	}
	var bad faults
	for _, f := range wrong.Faults() {
		location := f.Key
		if location == "kind" || location == "by" || location == "why" {
			location = "query." + location
		}
		bad.add(location, f.Found, f.Allowed)
	}
	return bad.err()
}
