package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
)

// named gives arguments as the driver wants them.
func named(args ...driver.Value) []driver.NamedValue {
	n := make([]driver.NamedValue, len(args))
	for i, a := range args {
		n[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	return n
}

// exec runs one statement. It is not to be interrupted: a transaction ends as
// a whole.
func exec(c driver.ExecerContext, sql string, args ...driver.Value) error {
	_, err := c.ExecContext(context.Background(), sql, named(args...))
	return err
}

// insert runs an INSERT and gives the id of the new row.
func insert(c driver.ExecerContext, sql string, args ...driver.Value) (int64, error) {
	res, err := c.ExecContext(context.Background(), sql, named(args...))
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// query calls each with every row, whose slice it uses again.
func query(c driver.QueryerContext, sql string, each func([]driver.Value) error, args ...driver.Value) error {
	rows, err := c.QueryContext(context.Background(), sql, named(args...))
	if err != nil {
		return err
	}
	return drain(rows, each)
}

// transact runs f in one transaction, which an error undoes.
func transact(c raw, f func(c raw) error) error {
	if err := exec(c, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := f(c)
	if err == nil {
		err = exec(c, "COMMIT")
	}
	if err != nil {
		// SQLite has rolled back by itself after some errors; there is then
		// nothing to undo.
		_ = exec(c, "ROLLBACK")
	}
	return err
}

func drain(rows driver.Rows, each func([]driver.Value) error) (err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, len(rows.Columns()))
	for {
		if err := rows.Next(row); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := each(row); err != nil {
			return err
		}
	}
}

// prepare makes the statements that insert readings: one for many, one for
// those that are left over.
func (s *statements) prepare(ctx context.Context, c driver.ConnPrepareContext) error {
	for rows, into := range map[int]*driver.StmtExecContext{rowsAtOnce: &s.rows, 1: &s.row} {
		st, err := c.PrepareContext(ctx, insertReading+strings.Repeat(",(?,?,?,?,?)", rows-1)+onRepeat)
		if err != nil {
			return err
		}
		e, ok := st.(driver.StmtExecContext)
		if !ok {
			return fmt.Errorf("the driver's statement %T cannot be executed with a context", st)
		}
		*into = e
	}
	st, err := c.PrepareContext(ctx, "SELECT 1 FROM readings WHERE signal = ? AND time BETWEEN ? AND ? LIMIT 1")
	if err != nil {
		return err
	}
	q, ok := st.(driver.StmtQueryContext)
	if !ok {
		return fmt.Errorf("the driver's statement %T cannot be queried with a context", st)
	}
	s.holds = q
	s.args = make([]driver.NamedValue, 0, rowsAtOnce*rowArgs)
	return nil
}

// add inserts one reading, perhaps later.
func (s *statements) add(values ...driver.Value) error {
	for _, v := range values {
		s.args = append(s.args, driver.NamedValue{Ordinal: len(s.args) + 1, Value: v})
	}
	if len(s.args) < rowsAtOnce*rowArgs {
		return nil
	}
	_, err := s.rows.ExecContext(context.Background(), s.args)
	s.args = s.args[:0]
	return err
}

// flush inserts what add has kept.
func (s *statements) flush() error {
	for i := 0; i < len(s.args); i += rowArgs {
		row := s.args[i : i+rowArgs]
		for j := range row {
			row[j].Ordinal = j + 1
		}
		if _, err := s.row.ExecContext(context.Background(), row); err != nil {
			return err
		}
	}
	s.args = s.args[:0]
	return nil
}

// close finalizes the statements.
func (s *statements) close() error {
	var errs []error
	for _, st := range []any{s.rows, s.row, s.holds} {
		if st != nil {
			errs = append(errs, st.(driver.Stmt).Close())
		}
	}
	return errors.Join(errs...)
}
