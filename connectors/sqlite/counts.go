package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"linetwin/plant"
)

const (
	countsAge = 92 * 24 * time.Hour // of counts; older ones are forgotten, gaps are not
	gapJoins  = time.Minute         // gaps of a machine that are nearer are one
)

// SaveCounts takes a gateway's report, once: one that it has already, or that
// is older than the last one of its book, changes nothing.
func (l *Ledger) SaveCounts(ctx context.Context, r plant.CountReport) error {
	return l.change(ctx, "save counts of "+r.Gateway+" in", func(tx *sql.Tx) error {
		var number uint64
		err := tx.QueryRowContext(ctx, "SELECT number FROM count_books WHERE area = ? AND gateway = ? AND book = ?", r.Area, r.Gateway, r.Book).Scan(&number)
		if err != nil && !errors.Is(err, sql.ErrNoRows) || r.Number <= number {
			return err
		}
		for i := range r.Counts {
			c := &r.Counts[i]
			_, err := tx.ExecContext(ctx, `INSERT INTO counts (minute, machine, area, gateway, made, repeated, late, dropped) VALUES (?,?,?,?,?,?,?,?)
 ON CONFLICT DO UPDATE SET made = made + excluded.made, repeated = repeated + excluded.repeated, late = late + excluded.late, dropped = dropped + excluded.dropped`,
				c.Minute, c.Machine, r.Area, r.Gateway, c.Made, c.Repeated, c.Late, c.Dropped)
			if err != nil {
				return fmt.Errorf("machine %s at %s: %w", c.Machine, c.Minute, err)
			}
		}
		for i := range r.Gaps {
			if err := saveGap(ctx, tx, &r, &r.Gaps[i]); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO count_books (area, gateway, book, number, start, stop) VALUES (?,?,?,?,?,?)
 ON CONFLICT DO UPDATE SET number = excluded.number, start = min(start, excluded.start), stop = max(stop, excluded.stop)`,
			r.Area, r.Gateway, r.Book, r.Number, r.From, r.To)
		if err != nil || r.Number%60 != 1 {
			return err
		}
		return forgetCounts(ctx, tx, r.To.Add(-countsAge))
	})
}

func forgetCounts(ctx context.Context, tx *sql.Tx, before plant.Time) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM counts WHERE minute < ?", before); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM count_books AS b WHERE stop < ?
 AND EXISTS (SELECT 1 FROM count_books WHERE area = b.area AND gateway = b.gateway AND stop > b.stop)`, before)
	return err
}

// saveGap widens a gap that is near, or makes a new one.
func saveGap(ctx context.Context, tx *sql.Tx, r *plant.CountReport, g *plant.Gap) error {
	found, err := tx.ExecContext(ctx, `UPDATE gaps SET start = min(start, ?1), stop = max(stop, ?2), readings = readings + ?3
 WHERE id = (SELECT max(id) FROM gaps WHERE area = ?4 AND gateway = ?5 AND machine = ?6 AND start <= ?2 + ?7 AND stop >= ?1 - ?7)`,
		g.From, g.To, g.Readings, r.Area, r.Gateway, g.Machine, gapJoins)
	if err != nil {
		return err
	}
	if n, err := found.RowsAffected(); err != nil || n > 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO gaps (area, gateway, machine, start, stop, readings) VALUES (?,?,?,?,?,?)",
		r.Area, r.Gateway, g.Machine, g.From, g.To, g.Readings)
	return err
}

// Counts gives what gateways counted of the minutes that start in span, in
// order of machine and minute.
func (l *Ledger) Counts(ctx context.Context, span plant.Span) ([]plant.GatewayCount, error) {
	counts, err := rows(ctx, l.db.read, func(r *sql.Rows) (plant.GatewayCount, error) {
		var c plant.GatewayCount
		err := r.Scan(&c.Area, &c.Gateway, &c.Machine, &c.Minute, &c.Made, &c.Repeated, &c.Late, &c.Dropped)
		return c, err
	}, `SELECT area, gateway, machine, minute, made, repeated, late, dropped FROM counts WHERE minute >= ? AND minute < ?
 ORDER BY machine, minute, area, gateway`, span.From, span.To)
	return counts, l.db.explain("read counts from", err)
}

// Counted gives from when to when each gateway has told its counts.
func (l *Ledger) Counted(ctx context.Context) ([]plant.Counted, error) {
	all, err := rows(ctx, l.db.read, func(r *sql.Rows) (plant.Counted, error) {
		var c plant.Counted
		err := r.Scan(&c.Area, &c.Gateway, &c.From, &c.To)
		return c, err
	}, "SELECT area, gateway, min(start), max(stop) FROM count_books GROUP BY area, gateway ORDER BY area, gateway")
	return all, l.db.explain("read counts from", err)
}

// Gaps gives the times of which gateways dropped readings that overlap span, in
// order of time. The zero Span is all time.
func (l *Ledger) Gaps(ctx context.Context, span plant.Span) ([]plant.GatewayGap, error) {
	from, to := ends(span)
	gaps, err := rows(ctx, l.db.read, func(r *sql.Rows) (plant.GatewayGap, error) {
		var g plant.GatewayGap
		err := r.Scan(&g.Area, &g.Gateway, &g.Machine, &g.From, &g.To, &g.Readings)
		return g, err
	}, "SELECT area, gateway, machine, start, stop, readings FROM gaps WHERE stop > ? AND start < ? ORDER BY start, area, gateway, machine", from, to)
	return gaps, l.db.explain("read gaps from", err)
}
