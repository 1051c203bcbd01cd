package twin

import (
	"linetwin/plant"
)

// stop gives the stop of a machine that a segment is, or is a part of.
func (l *line) stop(from source, m *machine, s *plant.Segment) plant.Stop {
	said, entry := l.told(m, s)
	stop := plant.Stop{
		ID: plant.AtKey(m.cfg.ID, s.From), Line: l.cfg.ID, Machine: m.cfg.ID, Span: s.Span, Open: s.Unended(),
		Class: s.Class, Small: l.small(s), Fault: s.Fault, Reason: said.Reason, Comment: said.Comment, Entry: entry, StoodS: s.Stood().Seconds(),
	}
	if w := s.Whole; w != nil {
		stop.ID, stop.Span, stop.Split, stop.Merge = plant.AtKey(m.cfg.ID, w.From), w.Span, w.Split, w.Merge
		if w.Merge != 0 {
			stop.Fault = w.Fault
			for _, part := range from(m, w.Span).Segments {
				if part.Whole != nil && part.Whole.Merge == w.Merge {
					stop.Parts = append(stop.Parts, part.Span)
				}
			}
		} else {
			whole := w.Stop
			stop.Whole, stop.Open = &whole, s.Open
		}
	}
	if c, _ := l.causeAt(from, m, s); c != nil {
		stop.Cause = c.cfg.ID
	}
	return stop
}
