package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"linetwin/plant"
)

// Rewrite replaces past stretches of machines, all of them or, with an error,
// none. Checkpoints stay: what goes on from one reads its events anew.
func (l *Ledger) Rewrite(ctx context.Context, rewrites []plant.Rewrite) error {
	return l.change(ctx, "rewrite the past in", func(tx *sql.Tx) error {
		for i := range rewrites {
			if err := rewrite(ctx, tx, &rewrites[i]); err != nil {
				return fmt.Errorf("machine %s from %s: %w", rewrites[i].Machine, rewrites[i].Span.From, err)
			}
		}
		return nil
	})
}

// OrderTold gives the time from which a machine first told an order until it last
// told another one in its place; false where it never did. To is beyond all time
// where it still does.
func (l *Ledger) OrderTold(ctx context.Context, machine, order string) (span plant.Span, ok bool, err error) {
	var from, to sql.NullInt64
	err = l.db.read.QueryRowContext(ctx, `SELECT min(at), max(coalesce((SELECT min(at) FROM orders_told WHERE machine = ?1 AND at > o.at), ?3))
 FROM orders_told AS o WHERE machine = ?1 AND "order" = ?2`, machine, order, int64(1)<<62).Scan(&from, &to)
	if err != nil {
		return span, false, l.db.explain("read the times of order "+order+" from", err)
	}
	return plant.Span{From: plant.Time(from.Int64), To: plant.Time(to.Int64)}, from.Valid, nil
}

func rewrite(ctx context.Context, tx *sql.Tx, w *plant.Rewrite) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM segments WHERE machine = ? AND start >= ? AND start < ?", w.Machine, w.Span.From, w.Span.To); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM pieces WHERE machine = ? AND minute >= ? AND minute < ?", w.Machine, w.Minutes.From, w.Minutes.To); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM orders_told WHERE machine = ? AND at >= ? AND at < ?", w.Machine, w.Minutes.From, w.Minutes.To); err != nil {
		return err
	}
	return insertPast(ctx, tx, w.Machine, plant.Past{Segments: w.Segments, Pieces: w.Pieces, Orders: w.Orders})
}
