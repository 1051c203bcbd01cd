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

func rewrite(ctx context.Context, tx *sql.Tx, w *plant.Rewrite) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM segments WHERE machine = ? AND start >= ? AND start < ?", w.Machine, w.Span.From, w.Span.To); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM pieces WHERE machine = ? AND minute >= ? AND minute < ?", w.Machine, w.Minutes.From, w.Minutes.To); err != nil {
		return err
	}
	return insertPast(ctx, tx, w.Machine, w.Segments, w.Pieces)
}
