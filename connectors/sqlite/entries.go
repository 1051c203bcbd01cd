package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"linetwin/plant"
)

// AddEntry appends what somebody said and gives it with its ID. An entry can
// be undone once: of a second undo the error is plant.ErrConflict.
func (l *Ledger) AddEntry(ctx context.Context, e plant.Entry) (plant.Entry, error) {
	all, err := l.AddEntries(ctx, []plant.Entry{e})
	if err != nil {
		return e, err
	}
	return all[0], nil
}

// AddEntries appends entries as AddEntry does, all or none of them.
func (l *Ledger) AddEntries(ctx context.Context, all []plant.Entry) ([]plant.Entry, error) {
	all = slices.Clone(all)
	err := l.change(ctx, "append entries to", func(tx *sql.Tx) error {
		for i := range all {
			if err := addEntry(ctx, tx, &all[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}

func addEntry(ctx context.Context, tx *sql.Tx, e *plant.Entry) error {
	if e.Undoes != 0 {
		var by uint64
		err := tx.QueryRowContext(ctx, "SELECT id FROM entries WHERE undoes = ?", e.Undoes).Scan(&by)
		if err == nil {
			return fmt.Errorf("entry %d: %w, entry %d has undone it", e.Undoes, plant.ErrConflict, by)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	r, err := tx.ExecContext(ctx, "INSERT INTO entries (said, by, why, kind, key, since, value, undoes) VALUES (?,?,?,?,?,?,?,?)",
		e.Said, e.By, e.Why, string(e.Kind), e.Key, e.From, string(e.Value), e.Undoes)
	if err != nil {
		return err
	}
	id, err := r.LastInsertId()
	e.ID = uint64(id)
	return err
}

// Entries gives all that was said after the entry with an ID, in the order in
// which it was said.
func (l *Ledger) Entries(ctx context.Context, after uint64) ([]plant.Entry, error) {
	entries, err := rows(ctx, l.db.read, func(r *sql.Rows) (plant.Entry, error) {
		var e plant.Entry
		var value string
		err := r.Scan(&e.ID, &e.Said, &e.By, &e.Why, &e.Kind, &e.Key, &e.From, &value, &e.Undoes)
		if value != "" {
			e.Value = []byte(value)
		}
		return e, err
	}, "SELECT id, said, by, why, kind, key, since, value, undoes FROM entries WHERE id > ? ORDER BY id", after)
	return entries, l.db.explain("read entries from", err)
}

// SaveResult appends the account of a closed shift. The same revision of the
// same shift again changes nothing.
func (l *Ledger) SaveResult(ctx context.Context, r plant.Result) error {
	account, err := json.Marshal(r.Window)
	if err != nil {
		return fmt.Errorf("save the result of %s: %w", r.Line, err)
	}
	return l.change(ctx, "save the result of "+r.Line+" in", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO results (line, shift, number, at, reason, account) VALUES (?,?,?,?,?,?)",
			r.Line, r.Shift, r.Number, r.At, r.Reason, string(account))
		return err
	})
}

const selectResults = "SELECT line, shift, number, at, reason, account FROM results "

// Results gives every revision of a line's shifts that start in span, by shift
// and number; a line that is empty means all. The zero Span is all time.
func (l *Ledger) Results(ctx context.Context, line string, span plant.Span) ([]plant.Result, error) {
	from, to := ends(span)
	results, err := rows(ctx, l.db.read, scanResult, selectResults+"WHERE (line = ?1 OR ?1 = '') AND shift >= ?2 AND shift < ?3 ORDER BY shift, line, number", line, from, to)
	return results, l.db.explain("read results from", err)
}

// ResultsSince gives what was published or restated at a time or after it, in
// that order, at most so many.
func (l *Ledger) ResultsSince(ctx context.Context, since plant.Time, most int) ([]plant.Result, error) {
	results, err := rows(ctx, l.db.read, scanResult, selectResults+"WHERE at >= ? ORDER BY at, line, shift, number LIMIT ?", since, most)
	return results, l.db.explain("read results from", err)
}

func scanResult(r *sql.Rows) (plant.Result, error) {
	var v plant.Result
	var account string
	if err := r.Scan(&v.Line, &v.Shift, &v.Number, &v.At, &v.Reason, &account); err != nil {
		return v, err
	}
	return v, json.Unmarshal([]byte(account), &v.Window)
}
