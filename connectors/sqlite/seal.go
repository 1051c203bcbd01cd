package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math"
	"time"

	"linetwin/plant"
)

const (
	sealEvery  = 5 * time.Minute
	sealAge    = 15 * time.Minute // rows stay rows so long
	piecesWait = 64               // pieces of a machine that are not kept waiting

	// What becomes chunks in one transaction, for which writers wait.
	sealRows     = 30_000
	sealPieces   = piecesWait
	sealReadings = 200_000 // of pieces
)

// hurry wakes Run where pieces wait.
func (h *History) hurry() {
	select {
	case h.urgent <- struct{}{}:
	default:
	}
}

// Seal makes chunks of all pieces, and of the rows with a time before a time.
// What is asked for gives the same answers before, meanwhile and after. It gives
// the number of readings that are in chunks now and were not. Writers wait for
// one transaction of it at most.
func (h *History) Seal(ctx context.Context, before plant.Time) (readings int64, err error) {
	ids, err := h.ids(ctx, "SELECT id FROM machines")
	for _, id := range ids {
		for n := 1; n > 0 && err == nil; {
			n, err = h.sealSome(ctx, id, milli(before), 1)
			readings += int64(n)
		}
	}
	if err != nil {
		return readings, fmt.Errorf("seal: %w", h.db.explain("write history to", err))
	}
	return readings, nil
}

// sealFull makes chunks of the pieces of machines that have many.
func (h *History) sealFull(ctx context.Context) error {
	ids, err := h.ids(ctx, "SELECT machine FROM pieces GROUP BY machine HAVING count(*) >= ?", int64(piecesWait))
	for _, id := range ids {
		for n := 1; n > 0 && err == nil; {
			n, err = h.sealSome(ctx, id, math.MinInt64, piecesWait)
		}
	}
	if err != nil {
		return fmt.Errorf("seal: %w", h.db.explain("write history to", err))
	}
	return nil
}

// ids gives what a query of ids gives.
func (h *History) ids(ctx context.Context, sql string, args ...driver.Value) (ids []int64, err error) {
	err = h.view(ctx, func(s session) error {
		return s.each(sql, func(v []driver.Value) error {
			ids = append(ids, v[0].(int64))
			return nil
		}, args...)
	})
	return ids, err
}

// sealing is one transaction that makes chunks of what a machine has.
type sealing struct {
	session
	h       *History
	machine int64
	kept    []kept
	fresh   []column // by signal of kept
	total   int      // readings in fresh
	gone    int      // pieces
}

// sealSome makes chunks of a machine's earliest written pieces, where it has so
// many, and, where it has no others, of rows before a time. It gives how many
// readings they were.
func (h *History) sealSome(ctx context.Context, machine, before int64, pieces int) (int, error) {
	s := &sealing{h: h, machine: machine}
	err := h.alter(ctx, func(c raw) error {
		s.session = session{ctx: context.Background(), c: c, pack: h.pack}
		return s.run(before, pieces)
	})
	if err != nil {
		return 0, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.dict {
		if m.id == machine {
			m.pieces -= s.gone
		}
	}
	return s.total, nil
}

func (s *sealing) run(before int64, pieces int) (err error) {
	if s.kept, err = s.signals(s.machine, nil); err != nil {
		return err
	}
	s.fresh = make([]column, len(s.kept))
	left, err := s.takePieces(pieces)
	if err != nil {
		return err
	}
	if !left {
		if err := s.takeRows(before); err != nil {
			return err
		}
	}
	for i := range s.fresh {
		if s.fresh[i].len() == 0 {
			continue
		}
		s.fresh[i].settle()
		if err := s.fold(s.kept[i], &s.fresh[i]); err != nil {
			return fmt.Errorf("signal %s: %w", s.kept[i].name, err)
		}
	}
	return nil
}

// takePieces moves what the earliest written pieces hold to fresh, where there
// are at least so many, and tells whether others are left: then rows must not
// become chunks, which count as written before all pieces.
func (s *sealing) takePieces(least int) (left bool, err error) {
	var last, readings int64
	n := 0
	err = s.each("SELECT id, readings FROM pieces WHERE machine = ? ORDER BY id", func(v []driver.Value) error {
		if left = left || n == sealPieces || n > 0 && readings > sealReadings; !left {
			last, readings, n = v[0].(int64), readings+v[1].(int64), n+1
		}
		return nil
	}, s.machine)
	if err != nil || n == 0 {
		return false, err
	}
	if n < least {
		return true, nil
	}
	err = s.pieces(s.kept, func(i int, c *column) error {
		s.fresh[i].appendOf(c, 0, c.len())
		s.total += c.len()
		return nil
	}, "machine = ? AND id <= ?", s.machine, last)
	if err != nil {
		return left, err
	}
	s.gone = n
	return left, exec(s.c, "DELETE FROM pieces WHERE machine = ? AND id <= ?", s.machine, last)
}

// takeRows moves rows before a time to fresh.
func (s *sealing) takeRows(before int64) error {
	for i, k := range s.kept {
		c, n, last := &s.fresh[i], 0, int64(0)
		err := s.each("SELECT time, value, quality, reason FROM readings WHERE signal = ? AND time < ? ORDER BY time LIMIT ?", func(v []driver.Value) error {
			n, last = n+1, v[0].(int64)
			return c.addRow(k.kind, v)
		}, k.id, before, int64(sealRows))
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		if err := exec(s.c, "DELETE FROM readings WHERE signal = ? AND time <= ?", k.id, last); err != nil {
			return err
		}
		if s.total += n; s.total >= sealRows {
			return nil
		}
	}
	return nil
}

// fold puts what is fresh of a signal into its chunks: into those that it
// reaches into, and else into the one before it where that has room.
func (s *sealing) fold(k kept, fresh *column) error {
	var old, all column
	for i := 0; i < fresh.len(); {
		at, end := fresh.times[i], fresh.len()
		var id, stop, readings int64
		var data driver.Value
		err := s.each("SELECT id, stop, readings, data FROM chunks WHERE signal = ? AND start <= ? ORDER BY start DESC LIMIT 1", func(v []driver.Value) error {
			id, stop, readings, data = v[0].(int64), v[1].(int64), v[2].(int64), v[3]
			return nil
		}, k.id, at)
		if err != nil {
			return err
		}
		err = s.each("SELECT min(start) FROM chunks WHERE signal = ? AND start > ?", func(v []driver.Value) error {
			if next, ok := v[0].(int64); ok {
				end = fresh.from(next)
			}
			return nil
		}, k.id, at)
		if err != nil {
			return err
		}
		all.reset()
		if id != 0 && (stop >= at || readings < chunkMost) {
			if err := s.chunk(k, data, &old); err != nil {
				return err
			}
			all.appendOf(&old, 0, old.len())
			if err := exec(s.c, "DELETE FROM chunks WHERE id = ?", id); err != nil {
				return err
			}
		}
		all.appendOf(fresh, i, end)
		all.settle()
		if err := s.h.put(s.c, k.id, &all); err != nil {
			return err
		}
		i = end
	}
	return nil
}
