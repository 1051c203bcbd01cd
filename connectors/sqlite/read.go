package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"linetwin/plant"
)

// session is one consistent look at the file.
type session struct {
	ctx context.Context
	c   raw
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
	err = s.each("SELECT id, name, kind FROM signals WHERE machine = ? ORDER BY name", func(v []driver.Value) error {
		k := kept{id: v[0].(int64), name: v[1].(string)}
		if names != nil && !slices.Contains(names, k.name) {
			return nil
		}
		signals = append(signals, k)
		return signals[len(signals)-1].kind.UnmarshalText([]byte(v[2].(string)))
	}, id)
	return id, signals, true, err
}

// Record gives the readings of a machine with a time in span, in order of time
// and then of signal, and what is claimed to be complete of span. Signals nil
// means all. A machine that nobody knows has an empty record.
func (h *History) Record(ctx context.Context, machine string, signals []string, span plant.Span) (plant.Record, error) {
	var record plant.Record
	err := h.db.view(ctx, func(s session) error {
		id, kept, known, err := s.machine(machine, signals)
		if err != nil || !known {
			return err
		}
		if record.Complete, err = s.claims(id, span); err != nil {
			return err
		}
		for _, k := range kept {
			err := s.each("SELECT time, value, quality, reason FROM readings WHERE signal = ? AND time >= ? AND time < ? ORDER BY time",
				func(v []driver.Value) error {
					r, err := k.reading(machine, v)
					record.Readings = append(record.Readings, r)
					return err
				}, k.id, milli(span.From), milli(span.To))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return plant.Record{}, fmt.Errorf("read %s: %w", machine, h.db.explain("history of", err))
	}
	slices.SortStableFunc(record.Readings, func(a, b plant.Reading) int {
		if a.Time != b.Time {
			return cmp.Compare(a.Time, b.Time)
		}
		return strings.Compare(a.Signal, b.Signal)
	})
	return record, nil
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
	err := h.db.view(ctx, func(s session) error {
		_, kept, _, err := s.machine(machine, signals)
		if err != nil {
			return err
		}
		for _, k := range kept {
			err := s.each("SELECT time, value, quality, reason FROM readings WHERE signal = ? AND time < ? ORDER BY time DESC LIMIT 1",
				func(v []driver.Value) error {
					r, err := k.reading(machine, v)
					last = append(last, r)
					return err
				}, k.id, milli(at))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s before %s: %w", machine, at, h.db.explain("history of", err))
	}
	return last, nil
}

// reading makes a reading of a row: time, value, quality, reason.
func (k kept) reading(machine string, v []driver.Value) (plant.Reading, error) {
	r := plant.Reading{Machine: machine, Signal: k.name, Time: plant.FromMilli(v[0].(int64)), Quality: plant.Quality(v[2].(int64))}
	r.Reason, _ = v[3].(string)
	var err error
	r.Value, err = value(k.kind, v[1])
	return r, err
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
