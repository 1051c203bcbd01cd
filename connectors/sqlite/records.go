package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"linetwin/plant"
)

// ErrSignalType tells that a signal's name has another kind or unit already:
// it has one of each in a whole site.
var ErrSignalType = fmt.Errorf("%w: one name of a signal has one type", plant.ErrConflict)

// SaveAlert takes an alert as it now is, new or known by its ID.
func (l *Ledger) SaveAlert(ctx context.Context, a plant.Alert) error {
	return l.change(ctx, "save alert "+a.ID+" in", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO alerts (id, rule, severity, state, quality, line, machine, signal, message_en, message_zh,
 value, unit, "limit", since, fired, returned, acked, acked_by, count) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
			a.ID, a.Rule, a.Severity, a.State, a.Quality, a.Line, a.Machine, a.Signal, a.Message.En, a.Message.Zh,
			a.Value, a.Unit, a.Limit, a.Since, a.Fired, a.Returned, a.Acked, a.AckedBy, a.Count)
		return err
	})
}

// Alerts gives the alerts that fired in span, the earliest first; openOnly
// leaves out those that are closed. The zero Span is all time.
func (l *Ledger) Alerts(ctx context.Context, span plant.Span, openOnly bool) ([]plant.Alert, error) {
	query := `SELECT id, rule, severity, state, quality, line, machine, signal, message_en, message_zh,
 value, unit, "limit", since, fired, returned, acked, acked_by, count FROM alerts WHERE fired >= ? AND fired < ?`
	if openOnly {
		query += " AND state <> 'normal'"
	}
	from, to := ends(span)
	alerts, err := rows(ctx, l.db.read, func(r *sql.Rows) (plant.Alert, error) {
		var a plant.Alert
		err := r.Scan(&a.ID, &a.Rule, &a.Severity, &a.State, &a.Quality, &a.Line, &a.Machine, &a.Signal, &a.Message.En, &a.Message.Zh,
			&a.Value, &a.Unit, &a.Limit, &a.Since, &a.Fired, &a.Returned, &a.Acked, &a.AckedBy, &a.Count)
		return a, err
	}, query+" ORDER BY fired, id", from, to)
	return alerts, l.db.explain("read alerts from", err)
}

// Audit is one entry of the audit log: who changed what, when, from what to
// what.
type Audit struct {
	At   plant.Time `json:"at"`
	Who  string     `json:"who"`
	What string     `json:"what"`
	Old  string     `json:"old"`
	New  string     `json:"new"`
}

// SaveAudit appends to the audit log, which nothing changes or deletes.
func (l *Ledger) SaveAudit(ctx context.Context, at plant.Time, who, what, old, new string) error {
	return l.change(ctx, "append to the audit log of", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO audit (at, who, what, old, new) VALUES (?,?,?,?,?)", at, who, what, old, new)
		return err
	})
}

// Audits gives the audit log of a span in the order in which it was written.
// The zero Span is all time.
func (l *Ledger) Audits(ctx context.Context, span plant.Span) ([]Audit, error) {
	from, to := ends(span)
	log, err := rows(ctx, l.db.read, func(r *sql.Rows) (Audit, error) {
		var a Audit
		err := r.Scan(&a.At, &a.Who, &a.What, &a.Old, &a.New)
		return a, err
	}, "SELECT at, who, what, old, new FROM audit WHERE at >= ? AND at < ? ORDER BY id", from, to)
	return log, l.db.explain("read the audit log of", err)
}

// Value gives what SetValue has set for a key; false where nothing was.
func (l *Ledger) Value(ctx context.Context, key string) (value string, ok bool, err error) {
	err = l.db.read.QueryRowContext(ctx, "SELECT value FROM settings WHERE key = ?", key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return value, err == nil, l.db.explain("read setting "+key+" from", err)
}

// SetValue keeps a small setting.
func (l *Ledger) SetValue(ctx context.Context, key, value string) error {
	return l.change(ctx, "save setting "+key+" in", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO settings (key, value) VALUES (?,?)", key, value)
		return err
	})
}

// Signals gives every name of a signal with its kind and unit, in order of
// name.
func (l *Ledger) Signals(ctx context.Context) ([]plant.Signal, error) {
	signals, err := rows(ctx, l.db.read, func(r *sql.Rows) (plant.Signal, error) {
		var s plant.Signal
		var kind string
		if err := r.Scan(&s.Name, &kind, &s.Unit); err != nil {
			return s, err
		}
		return s, s.Kind.UnmarshalText([]byte(kind))
	}, "SELECT name, kind, unit FROM signal_type ORDER BY name")
	return signals, l.db.explain("read the types of signals from", err)
}

// in names a kind with its unit.
func in(kind, unit string) string {
	if unit == "" {
		return kind
	}
	return kind + " in " + unit
}

// SaveSignal keeps the kind and unit of a signal's name. It fails with
// ErrSignalType where the name has others already; the first stay.
func (l *Ledger) SaveSignal(ctx context.Context, s plant.Signal) error {
	if s.Name == "" || s.Kind == plant.KindNone || s.Kind > plant.KindText {
		return fmt.Errorf("save the type of signal %q: kind %s, want a name and float, integer, boolean or text", s.Name, s.Kind)
	}
	return l.change(ctx, "save the type of signal "+s.Name+" in", func(tx *sql.Tx) error {
		var kind, unit string
		err := tx.QueryRowContext(ctx, "SELECT kind, unit FROM signal_type WHERE name = ?", s.Name).Scan(&kind, &unit)
		if errors.Is(err, sql.ErrNoRows) {
			_, err = tx.ExecContext(ctx, "INSERT INTO signal_type (name, kind, unit) VALUES (?,?,?)", s.Name, s.Kind.String(), s.Unit)
			return err
		}
		if err == nil && (kind != s.Kind.String() || unit != s.Unit) {
			return fmt.Errorf("%w: %s is %s, not %s", ErrSignalType, s.Name, in(kind, unit), in(s.Kind.String(), s.Unit))
		}
		return err
	})
}

// ends gives the ends of a span for a query; the zero Span is all time.
func ends(s plant.Span) (from, to plant.Time) {
	if s == (plant.Span{}) {
		return -1 << 63, 1<<63 - 1
	}
	return s.From, s.To
}
