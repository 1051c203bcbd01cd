package web

import (
	"context"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"linetwin/plant"
)

// now gives the twin's clock, which is not the computer's where the plant is
// simulated faster than time passes.
func (s *Server) now() plant.Time { return s.from.Plant.Snapshot().Time }

// line gives a line as it is now, or a 404 problem.
func (s *Server) line(id string) (*plant.LineSnapshot, error) {
	lines := s.from.Plant.Snapshot().Lines
	for i := range lines {
		if lines[i].ID == id {
			return &lines[i], nil
		}
	}
	return nil, s.noLine(id)()
}

// lineSpan checks a line and a span.
func (s *Server) lineSpan(in *LineSpanInput, length, most time.Duration) (plant.Span, error) {
	if _, err := s.line(in.Line); err != nil {
		return plant.Span{}, err
	}
	var bad faults
	span := bad.span(in.SpanInput, s.now(), length, most)
	return span, bad.err()
}

// noLine says that a line does not exist, and which ones do.
func (s *Server) noLine(id string) func() *huma.ErrorModel {
	return func() *huma.ErrorModel {
		var ids []string
		for _, l := range s.from.Plant.Snapshot().Lines {
			ids = append(ids, l.ID)
		}
		return absent("line", id, ids, "path.line")
	}
}

// noMachine says that a machine does not exist, and which ones do.
func (s *Server) noMachine(id string) func() *huma.ErrorModel {
	return func() *huma.ErrorModel {
		var ids []string
		for _, l := range s.from.Plant.Snapshot().Lines {
			for _, m := range l.Machines {
				ids = append(ids, m.ID)
			}
		}
		return absent("machine", id, ids, "path.machine")
	}
}

// failed turns a source's error into a problem, and logs it where it is ours.
func (s *Server) failed(ctx context.Context, doing string, err error, absent func() *huma.ErrorModel) error {
	p := failure(doing, err, absent)
	if p.Status >= 500 && ctx.Err() == nil {
		s.log.WarnContext(ctx, "request failed", "doing", doing, "error", err)
	}
	return p
}

// orNone gives the words as a list to choose from.
func orNone(words []string) string {
	if len(words) == 0 {
		return "nothing, there is none yet"
	}
	return strings.Join(words, ", ")
}
