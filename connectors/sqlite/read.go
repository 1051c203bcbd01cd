package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"linetwin/plant"
)

// session is one consistent look at the file.
type session struct {
	ctx  context.Context
	c    raw
	pack *packer // nil where there is none to read
}

// view runs f on a reading connection inside one transaction, so that claims
// and readings fit each other however much is written meanwhile.
func (db *database) view(ctx context.Context, f func(s session) error) error {
	conn, err := db.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(c any) (err error) {
		s := session{ctx: ctx, c: c.(raw)}
		if err := exec(s.c, "BEGIN"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, exec(s.c, "ROLLBACK")) }()
		return f(s)
	})
}

// view is the database's, for who reads chunks and pieces too.
func (h *History) view(ctx context.Context, f func(s session) error) error {
	return h.db.view(ctx, func(s session) error {
		s.pack = h.pack
		return f(s)
	})
}

// each calls f with every row, whose slice it uses again.
func (s session) each(sql string, f func([]driver.Value) error, args ...driver.Value) error {
	rows, err := s.c.QueryContext(s.ctx, sql, named(args...))
	if err != nil {
		return err
	}
	return drain(rows, f)
}

// kept is a signal as the file knows it.
type kept struct {
	id   int64
	name string
	kind plant.Kind
}

// machine gives a machine's id and its signals in order of name: those asked
// for, or all where names is nil. It is false for an unknown machine.
func (s session) machine(name string, names []string) (id int64, signals []kept, known bool, err error) {
	err = s.each("SELECT id FROM machines WHERE name = ?", func(v []driver.Value) error {
		id, known = v[0].(int64), true
		return nil
	}, name)
	if err != nil || !known {
		return 0, nil, false, err
	}
	signals, err = s.signals(id, names)
	return id, signals, true, err
}

// signals gives those of a machine's signals that are asked for, or all where
// names is nil, in order of name.
func (s session) signals(machine int64, names []string) (signals []kept, err error) {
	err = s.each("SELECT id, name, kind FROM signals WHERE machine = ? ORDER BY name", func(v []driver.Value) error {
		k := kept{id: v[0].(int64), name: v[1].(string)}
		if names != nil && !slices.Contains(names, k.name) {
			return nil
		}
		signals = append(signals, k)
		return signals[len(signals)-1].kind.UnmarshalText([]byte(v[2].(string)))
	}, machine)
	return signals, err
}

// Record gives the readings of a machine with a time in span, in order of time
// and then of signal, and what is claimed to be complete of span. Signals nil
// means all. A machine that nobody knows has an empty record.
func (h *History) Record(ctx context.Context, machine string, signals []string, span plant.Span) (plant.Record, error) {
	var record plant.Record
	from, to := milli(span.From), milli(span.To)
	err := h.view(ctx, func(s session) error {
		id, kept, known, err := s.machine(machine, signals)
		if err != nil || !known {
			return err
		}
		if record.Complete, err = s.claims(id, span); err != nil {
			return err
		}
		fresh, err := s.fresh(id, kept, from, to)
		if err != nil {
			return err
		}
		columns := make([]column, len(kept))
		for i, k := range kept {
			err := s.walk(k, from, to, fresh[k.id], nil, func(c *column, a, b int) error {
				columns[i].appendOf(c, a, b)
				return nil
			})
			if err != nil {
				return fmt.Errorf("signal %s: %w", k.name, err)
			}
		}
		record.Readings = merge(machine, kept, columns)
		return nil
	})
	if err != nil {
		return plant.Record{}, fmt.Errorf("read %s: %w", machine, h.db.explain("history of", err))
	}
	return record, nil
}

// merge makes readings of settled columns, in order of time and then of signal.
func merge(machine string, kept []kept, columns []column) []plant.Reading {
	total := 0
	for i := range columns {
		total += columns[i].len()
	}
	if total == 0 {
		return nil
	}
	readings := make([]plant.Reading, total)
	next := make([]int, len(columns)) // reading of each column
	for n := 0; n < total; {
		at := int64(math.MaxInt64)
		for i := range columns {
			if j := next[i]; j < len(columns[i].times) {
				at = min(at, columns[i].times[j])
			}
		}
		for i := range columns {
			c, j := &columns[i], next[i]
			if j == len(c.times) || c.times[j] != at {
				continue
			}
			readings[n].Machine, readings[n].Signal = machine, kept[i].name
			c.put(j, &readings[n])
			next[i]++
			n++
		}
	}
	return readings
}

// claims gives the parts of span that are claimed to be complete.
func (s session) claims(machine int64, span plant.Span) ([]plant.Span, error) {
	var spans []plant.Span
	from := milli(span.From)
	err := s.each(`SELECT start, stop FROM complete WHERE machine = ? AND start < ?
 AND start >= coalesce((SELECT max(start) FROM complete WHERE machine = ? AND start <= ?), ?) ORDER BY start`,
		func(v []driver.Value) error {
			c := plant.Span{From: plant.FromMilli(v[0].(int64)), To: plant.FromMilli(v[1].(int64))}.Overlap(span)
			if !c.Empty() {
				spans = append(spans, c)
			}
			return nil
		}, machine, milli(span.To), machine, from, from)
	return spans, err
}

// Before gives the last reading strictly before at of each signal that has
// one, in order of signal. Signals nil means all.
func (h *History) Before(ctx context.Context, machine string, signals []string, at plant.Time) ([]plant.Reading, error) {
	var last []plant.Reading
	err := h.view(ctx, func(s session) error {
		id, kept, _, err := s.machine(machine, signals)
		if err != nil {
			return err
		}
		latest := make([]plant.Reading, len(kept))
		if err := s.latest(id, kept, milli(at), latest); err != nil {
			return err
		}
		for i := range latest {
			if latest[i].Time != 0 {
				latest[i].Machine, latest[i].Signal = machine, kept[i].name
				last = append(last, latest[i])
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s before %s: %w", machine, at, h.db.explain("history of", err))
	}
	return last, nil
}

// latest gives the last reading before at of each signal: of chunks, of pieces,
// of rows. A later one of the same time takes its place as it does in a write.
func (s session) latest(machine int64, kept []kept, at int64, latest []plant.Reading) error {
	take := func(i int, c *column) {
		n := c.from(at)
		if n == 0 {
			return
		}
		var r plant.Reading
		c.put(n-1, &r)
		if was := &latest[i]; r.Time > was.Time || r.Time == was.Time && (r.Quality != plant.Bad || was.Quality == plant.Bad) {
			*was = r
		}
	}
	var part column
	for i, k := range kept {
		err := s.each("SELECT data FROM chunks WHERE signal = ? AND start < ? ORDER BY start DESC LIMIT 1", func(v []driver.Value) error {
			err := s.chunk(k, v[0], &part)
			if err == nil {
				take(i, &part)
			}
			return err
		}, k.id, at)
		if err != nil {
			return err
		}
	}
	err := s.pieces(kept, func(i int, c *column) error {
		take(i, c)
		return nil
	}, "machine = ? AND start < ?", machine, at)
	if err != nil {
		return err
	}
	for i, k := range kept {
		err := s.each("SELECT time, value, quality, reason FROM readings WHERE signal = ? AND time < ? ORDER BY time DESC LIMIT 1", func(v []driver.Value) error {
			part.reset()
			err := part.addRow(k.kind, v)
			if err == nil {
				take(i, &part)
			}
			return err
		}, k.id, at)
		if err != nil {
			return err
		}
	}
	return nil
}

// value gives the value that a column holds, as a kind.
func value(kind plant.Kind, column driver.Value) (plant.Value, error) {
	switch x := column.(type) {
	case nil:
		return plant.Value{}, nil
	case float64:
		if kind == plant.KindFloat {
			return plant.Float(x), nil
		}
	case int64:
		if kind == plant.KindInteger {
			return plant.Integer(x), nil
		}
		if kind == plant.KindBoolean {
			return plant.Boolean(x != 0), nil
		}
	case string:
		if kind == plant.KindText {
			return plant.Text(x), nil
		}
	}
	return plant.Value{}, fmt.Errorf("a value of type %T where a %s is kept", column, kind)
}

// milli gives the first whole millisecond at or after t: readings, which have
// whole ones, are before t where they are before that.
func milli(t plant.Time) int64 {
	return (t + plant.Millisecond - 1).Floor(time.Millisecond).Milli()
}
