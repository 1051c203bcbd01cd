package sqlite

import (
	"database/sql/driver"

	"linetwin/plant"
)

// grown is a span of completeness that a machine's claims go on from.
type grown struct {
	plant.Span
	extended bool       // it is not in the file as it is here
	limit    plant.Time // where the span behind it begins; 0 for none
}

// extend lets s go on from the span, and tells whether it can. What reaches the
// span behind it must be merged in the file.
func (g *grown) extend(s plant.Span) bool {
	if g.Empty() || s.From < g.From || s.From > g.To || g.limit != 0 && s.To >= g.limit {
		return false
	}
	if s.To > g.To {
		g.To, g.extended = s.To, true
	}
	return true
}

// claim adds what a batch claims to be complete. Nearly always it goes on
// where the machine's latest span ends, or, of a backlog, where the claim
// before it ended: then only the span in memory grows, and saveClaims writes it
// once per transaction.
func (h *History) claim(c raw, m *machine, b *plant.Batch) error {
	s := b.Complete
	if s.To == s.From { // no claim, or the first look of a gateway: what was before is known to nobody
		return nil
	}
	if s.To < s.From || s.From <= 0 {
		return h.refuse(c, b, &plant.Reading{Time: s.To}, "the batch's claim of completeness is from "+s.From.String()+" to "+s.To.String())
	}
	if m.last.extend(s) || m.past.extend(s) {
		return nil
	}
	if err := m.save(c); err != nil {
		return err
	}
	merged, err := mergeClaim(c, m.id, s.From.Milli(), s.To.Milli())
	if err != nil {
		return err
	}
	if m.last.Span, err = lastClaim(c, m.id); err != nil {
		return err
	}
	m.past = grown{}
	if merged.From >= m.last.From {
		return nil
	}
	m.past.Span = merged
	return query(c, "SELECT min(start) FROM complete WHERE machine = ? AND start > ?", func(v []driver.Value) error {
		m.past.limit = plant.FromMilli(v[0].(int64)) // last is behind it
		return nil
	}, m.id, merged.From.Milli())
}

// saveClaims writes the spans that have grown.
func (h *History) saveClaims(c raw) error {
	for _, m := range h.dict {
		if err := m.save(c); err != nil {
			return err
		}
	}
	return nil
}

func (m *machine) save(c raw) error {
	for _, g := range []*grown{&m.last, &m.past} {
		if !g.extended {
			continue
		}
		g.extended = false
		if err := exec(c, "UPDATE complete SET stop = ? WHERE machine = ? AND start = ?", g.To.Milli(), m.id, g.From.Milli()); err != nil {
			return err
		}
	}
	return nil
}

// mergeClaim puts [start, stop] into the spans of a machine and makes one of
// all that it touches, which it gives.
func mergeClaim(c raw, machine, start, stop int64) (plant.Span, error) {
	from, to := start, stop
	// Spans are disjoint: walking down from stop, the first that ends before
	// start ends the search.
	var touched []int64
	err := query(c, `SELECT start, stop FROM complete WHERE machine = ? AND start <= ?
 AND start >= coalesce((SELECT max(start) FROM complete WHERE machine = ? AND start <= ?), ?) ORDER BY start`,
		func(v []driver.Value) error {
			if v[1].(int64) < start {
				return nil
			}
			from, to = min(from, v[0].(int64)), max(to, v[1].(int64))
			touched = append(touched, v[0].(int64))
			return nil
		}, machine, stop, machine, start, start)
	merged := plant.Span{From: plant.FromMilli(from), To: plant.FromMilli(to)}
	if err != nil {
		return merged, err
	}
	for _, t := range touched {
		if err := exec(c, "DELETE FROM complete WHERE machine = ? AND start = ?", machine, t); err != nil {
			return merged, err
		}
	}
	return merged, exec(c, "INSERT INTO complete (machine, start, stop) VALUES (?,?,?)", machine, from, to)
}

// lastClaim gives a machine's latest span, or an empty one.
func lastClaim(c raw, machine int64) (plant.Span, error) {
	var last plant.Span
	err := query(c, "SELECT start, stop FROM complete WHERE machine = ? ORDER BY start DESC LIMIT 1", func(v []driver.Value) error {
		last = plant.Span{From: plant.FromMilli(v[0].(int64)), To: plant.FromMilli(v[1].(int64))}
		return nil
	}, machine)
	return last, err
}
