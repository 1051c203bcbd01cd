package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"io"
	"slices"

	"linetwin/plant"
)

const (
	pieceLeast = 8       // readings of a signal in one write that make it part of a piece
	pieceLong  = 1 << 18 // bytes of texts of a signal in one write above which it does not
	stageKept  = 4096    // readings for which a signal's stage keeps its space
)

// place stores what a write has staged: of signals with few readings as rows, of
// those with many as one piece for each machine, which costs a tenth.
func (h *History) place(c raw) error {
	for _, m := range h.dict {
		if len(m.staged) == 0 {
			continue
		}
		var piece []*signal
		for _, s := range m.staged {
			s.stage.settle()
			fits, err := h.fits(s)
			if err != nil {
				return err
			}
			if fits {
				piece = append(piece, s)
			} else if err := h.stmt.addAll(s); err != nil {
				return err
			}
		}
		if err := h.stmt.flush(); err != nil {
			return err
		}
		if err := h.putPiece(c, m, piece); err != nil {
			return err
		}
		for _, s := range m.staged {
			if s.stage.reset(); cap(s.stage.times) > stageKept {
				s.stage = column{}
			}
		}
		m.staged = m.staged[:0]
	}
	return nil
}

// fits tells whether a signal's staged readings may be part of a piece: there
// are no rows among them, which would then count as written later.
func (h *History) fits(s *signal) (bool, error) {
	n := s.stage.len()
	if n < pieceLeast || s.stage.long > pieceLong {
		return false, nil
	}
	rows, err := h.stmt.holds.QueryContext(context.Background(), named(s.id, s.stage.times[0], s.stage.times[n-1]))
	if err != nil {
		return false, err
	}
	defer rows.Close()
	err = rows.Next(make([]driver.Value, 1))
	if err == io.EOF {
		return true, nil
	}
	return false, err
}

func (h *History) putPiece(c raw, m *machine, signals []*signal) error {
	if len(signals) == 0 {
		return nil
	}
	slices.SortFunc(signals, func(a, b *signal) int { return int(a.id.(int64) - b.id.(int64)) })
	head := binary.AppendUvarint(nil, uint64(len(signals)))
	var body []byte
	first := &signals[0].stage
	start, stop, readings := first.times[0], first.times[0], 0
	for _, s := range signals {
		before := len(body)
		body = appendColumn(body, &s.stage)
		head = binary.AppendUvarint(head, uint64(s.id.(int64)))
		head = binary.AppendUvarint(head, uint64(len(body)-before))
		start, stop = min(start, s.stage.times[0]), max(stop, s.stage.times[s.stage.len()-1])
		readings += s.stage.len()
	}
	m.pieces++
	return exec(c, "INSERT INTO pieces (machine, start, stop, readings, data) VALUES (?,?,?,?,?)",
		m.id, start, stop, int64(readings), h.pack.pack(append(head, body...), false))
}

// readPiece calls each with every signal of a piece and its column.
func readPiece(raw []byte, each func(signal int64, column []byte) error) error {
	c := cursor{b: raw}
	type part struct{ id, size int }
	parts := make([]part, c.count(len(raw)))
	for i := range parts {
		parts[i] = part{int(c.uvarint()), c.count(len(raw))}
	}
	for _, p := range parts {
		column := c.bytes(p.size)
		if c.err != nil {
			return c.err
		}
		if err := each(int64(p.id), column); err != nil {
			return err
		}
	}
	if c.err == nil && len(c.b) > 0 {
		c.fail("there is more behind it")
	}
	return c.err
}

// pieces calls each with the columns of the pieces that are asked for, the
// earliest written first: of the signals of kept, by their index.
func (s session) pieces(kept []kept, each func(i int, c *column) error, which string, args ...driver.Value) error {
	index := make(map[int64]int, len(kept))
	for i, k := range kept {
		index[k.id] = i
	}
	var part column
	return s.each("SELECT data FROM pieces WHERE "+which+" ORDER BY id", func(v []driver.Value) error {
		raw, err := s.unpack(v[0], nil)
		if err != nil {
			return err
		}
		return readPiece(raw, func(signal int64, b []byte) error {
			i, wanted := index[signal]
			if !wanted {
				return nil
			}
			part.reset()
			if err := readColumn(b, &part); err != nil {
				return err
			}
			if err := kept[i].holds(&part); err != nil {
				return err
			}
			return each(i, &part)
		})
	}, args...)
}

// fresh gives, by signal, what in [from, to) is not in chunks, settled. A signal
// that has none is not there.
func (s session) fresh(machine int64, signals []kept, from, to int64) (map[int64]*column, error) {
	found := map[int64]*column{}
	at := func(k kept) *column {
		if found[k.id] == nil {
			found[k.id] = &column{}
		}
		return found[k.id]
	}
	err := s.pieces(signals, func(i int, c *column) error {
		if a, b := c.from(from), c.from(to); a < b {
			at(signals[i]).appendOf(c, a, b)
		}
		return nil
	}, "machine = ? AND start < ? AND stop >= ?", machine, to, from)
	if err != nil {
		return nil, err
	}
	for _, k := range signals {
		err := s.each("SELECT time, value, quality, reason FROM readings WHERE signal = ? AND time >= ? AND time < ? ORDER BY time",
			func(v []driver.Value) error { return at(k).addRow(k.kind, v) }, k.id, from, to)
		if err != nil {
			return nil, err
		}
	}
	for _, c := range found {
		c.settle()
	}
	return found, nil
}

// addAll inserts a signal's staged readings as rows, perhaps later.
func (s *statements) addAll(sig *signal) error {
	c := &sig.stage
	for i := range c.times {
		var value, reason driver.Value
		if c.quality[i] != plant.Bad {
			value = cell(c.value(i))
		}
		if r := c.reason(i); r != "" {
			reason = r
		}
		if err := s.add(sig.id, c.times[i], value, int64(c.quality[i]), reason); err != nil {
			return err
		}
	}
	return nil
}

// cell gives a value as the file holds it.
func cell(v plant.Value) driver.Value {
	switch v.Kind() {
	case plant.KindFloat:
		return v.Float()
	case plant.KindInteger:
		return v.Integer()
	case plant.KindBoolean:
		if v.Boolean() {
			return int64(1)
		}
		return int64(0)
	case plant.KindText:
		return v.Text()
	}
	return nil
}
