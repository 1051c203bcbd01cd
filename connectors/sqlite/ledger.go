package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"linetwin/plant"
)

// Ledger is what the twin has made of readings and what people have said, in
// one file that is synced to disk with every change: segments, pieces,
// checkpoints, alerts, revisions, the audit log, settings and the types of
// signals. All methods may be called from several goroutines, and several
// processes may have the file open.
type Ledger struct{ db *database }

// OpenLedger opens the ledger in the file at path (in settings:
// "sqlite: data/ledger.db"), which it makes where missing.
func OpenLedger(ctx context.Context, path string) (*Ledger, error) {
	if path == "" {
		return nil, errors.New("open ledger: the path is empty, want a file on a local disk")
	}
	db, err := open(ctx, path, "ledger", "full")
	if err != nil {
		return nil, err
	}
	return &Ledger{db: db}, nil
}

// Close ends all reading and writing.
func (l *Ledger) Close() error { return l.db.close() }

// Checkpoints are kept one per hour, the first of each, and besides them the
// latest one; those older than ten days before the latest are forgotten, all
// but the last of them.
const (
	checkpointEvery = time.Hour
	checkpointAge   = 240 * time.Hour
)

// Save takes the progress of machines, all of it or, with an error, none: what
// starts at or after each From is replaced (plant.Progress).
func (l *Ledger) Save(ctx context.Context, progress []plant.Progress) error {
	return l.change(ctx, "save progress in", func(tx *sql.Tx) error {
		for i := range progress {
			if err := saveProgress(ctx, tx, &progress[i]); err != nil {
				return fmt.Errorf("machine %s from %s: %w", progress[i].Machine, progress[i].From, err)
			}
		}
		return nil
	})
}

func saveProgress(ctx context.Context, tx *sql.Tx, p *plant.Progress) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM segments WHERE machine = ? AND start >= ?", p.Machine, p.From); err != nil {
		return err
	}
	minute := p.Since.Floor(time.Minute)
	if _, err := tx.ExecContext(ctx, "DELETE FROM pieces WHERE machine = ? AND minute >= ?", p.Machine, minute); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM orders_told WHERE machine = ? AND at >= ?", p.Machine, minute); err != nil {
		return err
	}
	if err := insertPast(ctx, tx, p.Machine, plant.Past{Segments: p.Segments, Pieces: p.Pieces, Orders: p.Orders}); err != nil {
		return err
	}
	return saveCheckpoint(ctx, tx, p)
}

// insertPast adds what a machine did.
func insertPast(ctx context.Context, tx *sql.Tx, machine string, past plant.Past) error {
	for i := range past.Segments {
		s := &past.Segments[i]
		_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO segments (machine, start, stop, class, state, fault, pieces, product, open) VALUES (?,?,?,?,?,?,?,?,?)",
			machine, s.From, s.To, s.Class.String(), s.State, s.Fault, s.Pieces, s.Product, s.Open)
		if err != nil {
			return fmt.Errorf("segment at %s: %w", s.From, err)
		}
	}
	for i := range past.Pieces {
		c := &past.Pieces[i]
		_, err := tx.ExecContext(ctx, `INSERT INTO pieces (machine, minute, product, "order", good, reject, startup, resets, flags) VALUES (?,?,?,?,?,?,?,?,?)`,
			machine, c.Minute, c.Product, c.Order, c.Good, c.Reject, c.Startup, c.Resets, c.Flags)
		if err != nil {
			return fmt.Errorf("pieces at %s: %w", c.Minute, err)
		}
	}
	for _, o := range past.Orders {
		if _, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO orders_told (machine, at, "order") VALUES (?,?,?)`, machine, o.At, o.Order); err != nil {
			return fmt.Errorf("order told at %s: %w", o.At, err)
		}
	}
	return nil
}

func saveCheckpoint(ctx context.Context, tx *sql.Tx, p *plant.Progress) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM checkpoints WHERE machine = ? AND at > ?", p.Machine, p.Since); err != nil {
		return err
	}
	if len(p.Checkpoint) == 0 {
		return nil
	}
	// All but the latest are the first of their hour already.
	_, err := tx.ExecContext(ctx, `DELETE FROM checkpoints AS c WHERE machine = ?1 AND at = (SELECT max(at) FROM checkpoints WHERE machine = ?1 AND at < ?2)
 AND EXISTS (SELECT 1 FROM checkpoints WHERE machine = ?1 AND at < c.at AND at >= c.at - c.at % ?3)`, p.Machine, p.At, checkpointEvery)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "DELETE FROM checkpoints WHERE machine = ?1 AND at < (SELECT max(at) FROM checkpoints WHERE machine = ?1 AND at <= ?2)",
		p.Machine, p.At.Add(-checkpointAge))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT OR REPLACE INTO checkpoints (machine, at, state) VALUES (?,?,?)", p.Machine, p.At, p.Checkpoint)
	return err
}

// Past gives the segments of a machine that overlap span, whole, the pieces of
// the minutes that start in it, and the orders that were told in it, after the
// last one before it; all in order of time.
func (l *Ledger) Past(ctx context.Context, machine string, span plant.Span) (plant.Past, error) {
	var past plant.Past
	err := l.look(ctx, "read the past of "+machine+" from", func(tx *sql.Tx) error {
		var err error
		past.Segments, err = rows(ctx, tx, func(r *sql.Rows) (plant.Segment, error) {
			s := plant.Segment{Machine: machine}
			var class string
			if err := r.Scan(&s.From, &s.To, &class, &s.State, &s.Fault, &s.Pieces, &s.Product, &s.Open); err != nil {
				return s, err
			}
			return s, s.Class.UnmarshalText([]byte(class))
		}, `SELECT start, stop, class, state, fault, pieces, product, open FROM segments WHERE machine = ?1 AND start < ?3 AND stop > ?2
 AND start >= coalesce((SELECT max(start) FROM segments WHERE machine = ?1 AND start <= ?2), ?2) ORDER BY start`, machine, span.From, span.To)
		if err != nil {
			return err
		}
		past.Pieces, err = rows(ctx, tx, func(r *sql.Rows) (plant.Pieces, error) {
			p := plant.Pieces{Machine: machine}
			err := r.Scan(&p.Minute, &p.Product, &p.Order, &p.Good, &p.Reject, &p.Startup, &p.Resets, &p.Flags)
			return p, err
		}, `SELECT minute, product, "order", good, reject, startup, resets, flags FROM pieces WHERE machine = ? AND minute >= ? AND minute < ?
 ORDER BY minute, product, "order"`, machine, span.From, span.To)
		if err != nil {
			return err
		}
		past.Orders, err = rows(ctx, tx, func(r *sql.Rows) (o plant.OrderTold, err error) {
			return o, r.Scan(&o.At, &o.Order)
		}, `SELECT at, "order" FROM orders_told WHERE machine = ?1 AND at < ?3
 AND at >= coalesce((SELECT max(at) FROM orders_told WHERE machine = ?1 AND at <= ?2), ?2) ORDER BY at`, machine, span.From, span.To)
		return err
	})
	return past, err
}

// Checkpoint gives a machine's latest checkpoint at or before a time, and its
// own time; both are zero where there is none.
func (l *Ledger) Checkpoint(ctx context.Context, machine string, at plant.Time) ([]byte, plant.Time, error) {
	var state []byte
	var when plant.Time
	err := l.db.read.QueryRowContext(ctx, "SELECT state, at FROM checkpoints WHERE machine = ? AND at <= ? ORDER BY at DESC LIMIT 1", machine, at).Scan(&state, &when)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, nil
	}
	return state, when, l.db.explain("read a checkpoint of "+machine+" from", err)
}

// change runs f in one transaction that writes.
func (l *Ledger) change(ctx context.Context, what string, f func(tx *sql.Tx) error) error {
	return l.db.explain(what, inTx(ctx, l.db.write, nil, f))
}

// look runs f in one transaction that reads.
func (l *Ledger) look(ctx context.Context, what string, f func(tx *sql.Tx) error) error {
	return l.db.explain(what, inTx(ctx, l.db.read, &sql.TxOptions{ReadOnly: true}, f))
}

func inTx(ctx context.Context, db *sql.DB, opts *sql.TxOptions, f func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// querier is a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// rows gives what scan makes of each row.
func rows[T any](ctx context.Context, q querier, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	r, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var all []T
	for r.Next() {
		one, err := scan(r)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, r.Err()
}
