package sqlite

import (
	"database/sql/driver"

	"linetwin/plant"
)

// claim adds what a batch claims to be complete. Nearly always it goes on
// where the machine's latest span ends: then only the span in memory grows,
// and saveClaims writes it once per transaction.
func (h *History) claim(c raw, m *machine, b *plant.Batch) error {
	s := b.Complete
	if s.To == s.From { // no claim, or the first look of a gateway: what was before is known to nobody
		return nil
	}
	if s.To < s.From || s.From <= 0 {
		return h.refuse(c, b, &plant.Reading{Time: s.To}, "the batch's claim of completeness is from "+s.From.String()+" to "+s.To.String())
	}
	if !m.last.Empty() && m.last.From <= s.From && s.From <= m.last.To {
		if s.To > m.last.To {
			m.last.To, m.extended = s.To, true
		}
		return nil
	}
	if err := m.save(c); err != nil {
		return err
	}
	if err := mergeClaim(c, m.id, s.From.Milli(), s.To.Milli()); err != nil {
		return err
	}
	var err error
	m.last, err = lastClaim(c, m.id)
	return err
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
	if !m.extended {
		return nil
	}
	m.extended = false
	return exec(c, "UPDATE complete SET stop = ? WHERE machine = ? AND start = ?", m.last.To.Milli(), m.id, m.last.From.Milli())
}

// mergeClaim puts [start, stop] into the spans of a machine and makes one of
// all that it touches.
func mergeClaim(c raw, machine, start, stop int64) error {
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
	if err != nil {
		return err
	}
	for _, t := range touched {
		if err := exec(c, "DELETE FROM complete WHERE machine = ? AND start = ?", machine, t); err != nil {
			return err
		}
	}
	return exec(c, "INSERT INTO complete (machine, start, stop) VALUES (?,?,?)", machine, from, to)
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
