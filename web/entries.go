package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"linetwin/plant"
)

// entryBody is what a client says.
type entryBody struct {
	Kind   plant.EntryKind `json:"kind,omitempty" doc:"what is said; see docs/api.md"`
	Key    string          `json:"key,omitempty" doc:"what it is about"`
	From   plant.Time      `json:"from,omitempty" doc:"since when it is so, a whole minute; null or left out: always"`
	Value  plant.RawJSON   `json:"value,omitempty"`
	By     string          `json:"by" doc:"who says so"`
	Why    string          `json:"why,omitempty"`
	Undoes uint64          `json:"undoes,omitempty" doc:"id of an entry to take back; then nothing else is needed but by"`
}

func (b *entryBody) entry() plant.Entry {
	return plant.Entry{Kind: b.Kind, Key: b.Key, From: b.From, Value: b.Value, By: b.By, Why: b.Why, Undoes: b.Undoes}
}

type entryInput struct{ Body entryBody }

type entriesInput struct {
	Kind string `query:"kind" doc:"only of this kind"`
	Key  string `query:"key" doc:"only about this"`
}

type resultsInput struct {
	Since timeParam `query:"since" required:"true" doc:"RFC 3339; what was published or restated at this time or after it"`
	Most  intParam  `query:"most" minimum:"1" maximum:"10000" doc:"the most results to give; 1000 without it"`
}

// resultBody is a result with its figures.
type resultBody struct {
	plant.Revision
	Withdrawn bool           `json:"withdrawn" doc:"another calendar: there is no such shift any more"`
	Figures   *plant.Figures `json:"figures"`
}

func (s *Server) registerEntries(api huma.API) {
	huma.Register(api, get("entries", "/entries", "What people and other systems said", "Orders, calendars, ideal cycles, switches and words about stops, the newest first. Nothing of it is ever changed; undoes tells what was taken back."),
		func(_ context.Context, in *entriesInput) (*body[[]plant.Entry], error) {
			var bad faults
			bad.oneOf("kind", in.Kind, plant.EntryKindNames()...)
			if err := bad.err(); err != nil {
				return nil, err
			}
			return list(s.from.Entries.Entries(plant.EntryKind(in.Kind), in.Key)), nil
		})
	huma.Register(api, s.action("tell", "/entries", "Say something", "Appends an entry. Figures from its time on are computed again; closed shifts that change get a revision."),
		func(ctx context.Context, in *entryInput) (*body[plant.Entry], error) {
			e, err := s.from.Entries.Tell(ctx, in.Body.entry())
			if err != nil {
				return nil, s.refused(ctx, "take the entry", err)
			}
			s.log.InfoContext(ctx, "entry taken", "entry", e.ID, "kind", e.Kind, "key", e.Key, "by", e.By, "undoes", e.Undoes)
			return &body[plant.Entry]{e}, nil
		})
	huma.Register(api, s.action("preview", "/entries/preview", "What an entry would change", "Gives the shifts of the last 8 days whose figures would be others, as they are and as they would be. Nothing is kept. The header Older-Shifts counts the older published shifts in the time that the entry is of: those that it changes are restated, too."),
		s.preview)
	huma.Register(api, get("results", "/results", "Closed shifts that were published or restated", "Each revision of each closed shift since a time, in the order in which they came: for ERP and Grafana."), s.results)
}

type previewOutput struct {
	Older int `header:"Older-Shifts" doc:"published shifts of before the last 8 days that are in the entry's time"`
	Body  []plant.Effect
}

func (s *Server) preview(ctx context.Context, in *entryInput) (*previewOutput, error) {
	e := in.Body.entry()
	effects, err := s.from.Entries.Preview(ctx, e)
	if err != nil {
		return nil, s.refused(ctx, "preview the entry", err)
	}
	older, err := s.from.Entries.Older(ctx, e)
	if err != nil {
		return nil, s.refused(ctx, "preview the entry", err)
	}
	return &previewOutput{older, list(effects).Body}, nil
}

// action describes a POST under /api/v1.
func (s *Server) action(id, path, summary, description string) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: http.MethodPost, Path: "/api/v1" + path, Summary: summary,
		Description: description + " Taken from this computer only, until there is sign-in.", SkipValidateParams: true, MaxBodyBytes: 2 * plant.MostEntryValue,
		Middlewares: huma.Middlewares{s.actionsOnly},
	}
}

// refused turns the error of an entry into a problem.
func (s *Server) refused(ctx context.Context, doing string, err error) error {
	var wrong interface{ Faults() []plant.Fault }
	switch {
	case errors.As(err, &wrong):
		var bad faults
		for _, f := range wrong.Faults() {
			bad.add("body."+f.Key, f.Found, f.Allowed)
		}
		return bad.err()
	case errors.Is(err, plant.ErrConflict):
		return problem(http.StatusConflict, "%s", err)
	}
	return s.failed(ctx, doing, err, func() *huma.ErrorModel { return problem(http.StatusNotFound, "%s", err) })
}

// results gives what was published or restated since a time.
func (s *Server) results(ctx context.Context, in *resultsInput) (*body[[]resultBody], error) {
	var bad faults
	since := bad.time("since", in.Since)
	most := bad.integer("most", in.Most, 1000, 1, 10_000)
	if in.Since == "" {
		bad.add("query.since", "", aTime)
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	results, err := s.from.Entries.Results(ctx, since, most)
	if err != nil {
		return nil, s.failed(ctx, "read the results", err, nil)
	}
	all := make([]resultBody, len(results))
	for i := range results {
		all[i].Revision = results[i].Revision
		if all[i].Withdrawn = results[i].Window.Span.Empty(); !all[i].Withdrawn {
			f := results[i].Window.Figures()
			f.Revision, f.Switches = results[i].Number, results[i].Switches
			all[i].Figures = &f
		}
	}
	return list(all), nil
}
