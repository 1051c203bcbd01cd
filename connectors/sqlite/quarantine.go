package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"

	"linetwin/plant"
)

const (
	quarantineMax   = 100_000 // rows; the oldest go first, counted
	quarantineChunk = 2_000   // rows that are tried again at a time
)

// Aside is the quarantine: it keeps readings that a history store cannot store, each once, in a
// file: that of the embedded history, or one of its own beside a database
// elsewhere. All methods may be called from several goroutines.
type Aside struct {
	db    *database
	alter func(ctx context.Context, f func(c raw) error) error
	close func() error
}

// OpenAside opens or makes the file at path.
func OpenAside(ctx context.Context, path string) (*Aside, error) {
	db, err := open(ctx, path, "quarantine", "full")
	if err != nil {
		return nil, err
	}
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return nil, errors.Join(db.explain("open", err), db.close())
	}
	var mu sync.Mutex
	q := &Aside{db: db, close: func() error { return errors.Join(conn.Close(), db.close()) }}
	q.alter = func(ctx context.Context, f func(c raw) error) error { return alter(ctx, &mu, conn, f) }
	return q, nil
}

// alter runs f in a transaction of its own.
func alter(ctx context.Context, mu *sync.Mutex, conn *sql.Conn, f func(c raw) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	return conn.Raw(func(c any) error { return transact(c.(raw), f) })
}

// Close gives the file up.
func (q *Aside) Close() error { return q.close() }

// SetAside keeps readings on the disk; nil means that they are there.
func (q *Aside) SetAside(ctx context.Context, refused []plant.Refused) error {
	err := q.alter(ctx, func(c raw) error {
		for i := range refused {
			if _, err := setAside(c, &refused[i]); err != nil {
				return err
			}
		}
		return boundQuarantine(c)
	})
	return q.db.explain("set readings aside in", err)
}

// setAside adds a reading; fresh is false where it is there already.
func setAside(c raw, r *plant.Refused) (fresh bool, err error) {
	value := cell(r.Value)
	if f, ok := value.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
		value = r.Value.String()
	}
	res, err := c.ExecContext(context.Background(), `INSERT INTO quarantine
 (seen, machine, signal, time, kind, value, quality, reason, why, area, line, gateway, tries)
 VALUES (?,?,?,?,?,?,?,?,?,?,?,?,0) ON CONFLICT DO NOTHING`, named(int64(r.Seen), r.Machine, r.Signal, int64(r.Time),
		r.Value.Kind().String(), value, int64(r.Quality), r.Reason, r.Why, r.Area, r.Line, r.Gateway))
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return n > 0, err
	}
	return false, exec(c, "UPDATE quarantine SET tries = tries + 1 WHERE machine = ? AND signal = ? AND time = ? AND kind = ? AND why = ?",
		r.Machine, r.Signal, int64(r.Time), r.Value.Kind().String(), r.Why)
}

// boundQuarantine drops the oldest where there are too many, and counts them.
func boundQuarantine(c raw) error {
	return dropRefused(c, "id <= (SELECT max(id) FROM quarantine) - ?", int64(quarantineMax))
}

// dropRefused deletes rows for good, and counts them.
func dropRefused(c raw, where string, arg driver.Value) error {
	res, err := c.ExecContext(context.Background(), "DELETE FROM quarantine WHERE "+where, named(arg))
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil || n == 0 {
		return err
	}
	return exec(c, "UPDATE quarantine_lost SET readings = readings + ?", n)
}

// Quarantine tells what is set aside.
func (q *Aside) Quarantine(ctx context.Context) (plant.Quarantine, error) {
	sum := plant.Quarantine{Groups: []plant.QuarantineGroup{}}
	err := q.db.view(ctx, func(s session) error {
		err := s.each("SELECT readings FROM quarantine_lost", func(v []driver.Value) error {
			sum.Dropped = v[0].(int64)
			return nil
		})
		if err != nil {
			return err
		}
		return s.each(`SELECT machine, signal, kind, why, count(*), min(time), max(time), max(seen) FROM quarantine
 GROUP BY machine, signal, kind, why ORDER BY count(*) DESC, machine, signal`, func(v []driver.Value) error {
			g := plant.QuarantineGroup{Machine: v[0].(string), Signal: v[1].(string), Why: v[3].(string), Count: v[4].(int64),
				Span: plant.Span{From: plant.Time(v[5].(int64)), To: plant.Time(v[6].(int64)) + plant.Millisecond}, Seen: plant.Time(v[7].(int64))}
			sum.Waiting += g.Count
			sum.Groups = append(sum.Groups, g)
			return sum.Groups[len(sum.Groups)-1].Kind.UnmarshalText([]byte(v[2].(string)))
		})
	})
	return sum, q.db.explain("read the quarantine of", err)
}

// Refused gives the readings that were set aside last, the latest first.
func (q *Aside) Refused(ctx context.Context, f plant.QuarantineFilter, limit int) ([]plant.Refused, error) {
	rows, err := q.rows(ctx, "ORDER BY id DESC LIMIT ?", f, int64(limit))
	set := make([]plant.Refused, len(rows))
	for i := range rows {
		set[i] = rows[i].Refused
	}
	return set, err
}

// row is a reading with the row that it is in.
type row struct {
	plant.Refused
	id int64
}

func (q *Aside) rows(ctx context.Context, order string, f plant.QuarantineFilter, args ...driver.Value) ([]row, error) {
	var set []row
	err := q.db.view(ctx, func(s session) error {
		return s.each(`SELECT machine, signal, time, kind, value, quality, reason, why, seen, area, line, gateway, tries, id FROM quarantine
 WHERE (? = '' OR machine = ?) AND (? = '' OR signal = ?) `+order, func(v []driver.Value) error {
			r, err := refusedOf(v)
			set = append(set, row{r, v[13].(int64)})
			return err
		}, append([]driver.Value{f.Machine, f.Machine, f.Signal, f.Signal}, args...)...)
	})
	return set, q.db.explain("read the quarantine of", err)
}

func refusedOf(v []driver.Value) (plant.Refused, error) {
	r := plant.Refused{
		Reading: plant.Reading{Machine: v[0].(string), Signal: v[1].(string), Time: plant.Time(v[2].(int64)),
			Quality: plant.Quality(v[5].(int64)), Reason: v[6].(string)},
		Why: v[7].(string), Seen: plant.Time(v[8].(int64)),
		Area: v[9].(string), Line: v[10].(string), Gateway: v[11].(string), Tries: v[12].(int64),
	}
	if err := r.Kind.UnmarshalText([]byte(v[3].(string))); err != nil {
		return r, err
	}
	if text, odd := v[4].(string); odd && r.Kind == plant.KindFloat {
		r.Value = plant.Text(text) // NaN or an infinity
		return r, nil
	}
	var err error
	r.Value, err = value(r.Kind, v[4])
	return r, err
}

// Retry has write store again what f chooses, under the signal's name as where
// that is not empty. What is stored then leaves the quarantine; what is refused
// again stays. An error leaves all in quarantine that was not tried.
func (q *Aside) Retry(ctx context.Context, f plant.QuarantineFilter, as string, write func(context.Context, []*plant.Batch) error) (plant.Retried, error) {
	var done plant.Retried
	for after := int64(0); ; {
		// What has no name or no time is no reading, whatever is mended.
		rows, err := q.rows(ctx, "AND id > ? AND machine <> '' AND signal <> '' AND time > 0 ORDER BY id LIMIT ?", f, after, int64(quarantineChunk))
		if err != nil || len(rows) == 0 {
			return done, err
		}
		after = rows[len(rows)-1].id
		newest, err := q.newest(ctx)
		if err != nil {
			return done, err
		}
		if err := write(ctx, again(rows, as)); err != nil {
			return done, fmt.Errorf("store again what was set aside: %w", err)
		}
		stored, err := q.release(ctx, rows)
		if err != nil {
			return done, err
		}
		refused, err := q.refusedSince(ctx, newest, rows, as)
		if err != nil {
			return done, err
		}
		done.Tried += int64(len(rows))
		done.Refused += int64(len(rows)) - stored + refused
		done.Stored += stored - refused
	}
}

// again makes batches of rows.
func again(rows []row, as string) []*plant.Batch {
	var batches []*plant.Batch
	for i := range rows {
		r := rows[i].Refused
		reading := r.Reading
		if as != "" {
			reading.Signal = as
		}
		if reading.Value.Kind() != r.Kind { // NaN or an infinity
			if f, err := strconv.ParseFloat(reading.Value.Text(), 64); err == nil {
				reading.Value = plant.Float(f)
			}
		}
		if n := len(batches); n == 0 || batches[n-1].Machine != r.Machine || batches[n-1].Area != r.Area || batches[n-1].Line != r.Line {
			batches = append(batches, &plant.Batch{Area: r.Area, Line: r.Line, Gateway: r.Gateway, Machine: r.Machine})
		}
		b := batches[len(batches)-1]
		b.Readings = append(b.Readings, reading)
	}
	return batches
}

// release takes rows out that were not refused again, and gives their number.
func (q *Aside) release(ctx context.Context, rows []row) (n int64, err error) {
	err = q.alter(ctx, func(c raw) error {
		for i := range rows {
			res, err := c.ExecContext(context.Background(), "DELETE FROM quarantine WHERE id = ? AND tries = ?", named(rows[i].id, rows[i].Tries))
			if err != nil {
				return err
			}
			gone, err := res.RowsAffected()
			if err != nil {
				return err
			}
			n += gone
		}
		return nil
	})
	return n, q.db.explain("release readings from the quarantine of", err)
}

// newest gives the id of the newest row.
func (q *Aside) newest(ctx context.Context) (id int64, err error) {
	err = q.db.view(ctx, func(s session) error {
		return s.each("SELECT coalesce(max(id), 0) FROM quarantine", func(v []driver.Value) error {
			id = v[0].(int64)
			return nil
		})
	})
	return id, q.db.explain("read the quarantine of", err)
}

// refusedSince counts readings of rows that came anew after the row newest:
// they were refused again, for another reason or under another name.
func (q *Aside) refusedSince(ctx context.Context, newest int64, rows []row, as string) (n int64, err error) {
	err = q.db.view(ctx, func(s session) error {
		for i := range rows {
			signal := rows[i].Signal
			if as != "" {
				signal = as
			}
			err := s.each("SELECT count(*) FROM quarantine WHERE machine = ? AND signal = ? AND time = ? AND kind = ? AND id > ?", func(v []driver.Value) error {
				n += min(v[0].(int64), 1)
				return nil
			}, rows[i].Machine, signal, int64(rows[i].Time), rows[i].Kind.String(), newest)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return n, q.db.explain("read the quarantine of", err)
}
