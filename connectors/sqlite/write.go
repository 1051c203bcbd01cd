package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math"
	"time"

	"linetwin/plant"
)

// dictionary is what the writer knows of the file's machines and signals. It
// holds what the file holds, or nothing and is then loaded.
type dictionary map[string]*machine

type machine struct {
	id         int64
	area, line string
	signals    map[string]*signal
	staged     []*signal // that have readings in stage
	pieces     int       // in the file
	last       grown     // the latest claim of completeness; empty where there is none
	past       grown     // the one before it that grew last, as that of a backlog does
}

type signal struct {
	id    driver.Value // an int64, boxed once
	kind  plant.Kind
	from  int64  // readings before it were dropped
	stage column // readings of the write that is going on
}

// raw is what the writer uses of the driver's connection: without the layer of
// database/sql a row costs half.
type raw interface {
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
}

// statements are the prepared ones that run for every reading.
type statements struct {
	rows, row driver.StmtExecContext
	holds     driver.StmtQueryContext // whether a signal has rows in a time
	args      []driver.NamedValue     // of as many rows as wait
}

const (
	rowsAtOnce = 32 // readings per statement
	rowArgs    = 5

	insertReading = "INSERT INTO readings (signal, time, value, quality, reason) VALUES (?,?,?,?,?)"
	onRepeat      = ` ON CONFLICT (signal, time) DO UPDATE SET value = excluded.value, quality = excluded.quality, reason = excluded.reason
 WHERE (excluded.value IS NOT NULL OR value IS NULL)
 AND (value IS NOT excluded.value OR quality <> excluded.quality OR reason IS NOT excluded.reason)`
)

// Write stores batches in one transaction. It is idempotent, and nil means
// that every reading is on its way to the disk or in quarantine. A machine
// that stops at once can lose what was written in the last moments, never the
// file; a process that is killed loses nothing.
func (h *History) Write(ctx context.Context, batches []*plant.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.writer.Raw(func(c any) error { return h.transact(ctx, c.(raw), batches) })
	return h.db.explain("write history to", err)
}

func (h *History) transact(ctx context.Context, c raw, batches []*plant.Batch) error {
	if err := h.ready(ctx, c); err != nil {
		return err
	}
	before := h.refused.Load()
	h.late = 0
	err := transact(c, func(c raw) error {
		for _, b := range batches {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := h.batch(c, b); err != nil {
				return err
			}
		}
		if err := h.place(c); err != nil {
			return err
		}
		if err := h.saveClaims(c); err != nil {
			return err
		}
		if h.refused.Load() == before {
			return nil
		}
		return boundQuarantine(c)
	})
	if err != nil { // what is here may hold what was undone
		h.dict, h.stmt.args = nil, h.stmt.args[:0]
		h.refused.Store(before)
		return err
	}
	h.tellLate()
	for _, m := range h.dict {
		if m.pieces >= piecesWait {
			h.hurry()
			break
		}
	}
	return nil
}

// tellLate counts readings that came too late to be kept.
func (h *History) tellLate() {
	if h.late == 0 {
		return
	}
	first := false
	h.dropped(func(r *Retained) {
		first = r.Late == 0
		r.Late += h.late
	})
	if first {
		h.log.Warn("readings came of a time whose readings history has dropped; they are not kept", "readings", h.late)
	}
}

// batch adds one batch to the transaction.
func (h *History) batch(c raw, b *plant.Batch) error {
	if b.Machine == "" {
		return h.refuseAll(c, b, "its machine has no name")
	}
	m, err := h.machine(c, b)
	if err != nil {
		return err
	}
	for i := range b.Readings {
		if err := h.reading(c, b, m, &b.Readings[i]); err != nil {
			return err
		}
	}
	return h.claim(c, m, b)
}

func (h *History) reading(c raw, b *plant.Batch, m *machine, r *plant.Reading) error {
	if why := wrong(b, r); why != "" {
		return h.refuse(c, b, r, why)
	}
	s := m.signals[r.Signal]
	if s == nil {
		kind := plant.KindNone
		if r.Quality != plant.Bad {
			kind = r.Value.Kind()
		}
		id, err := insert(c, "INSERT INTO signals (machine, name, kind) VALUES (?,?,?)", m.id, r.Signal, kind.String())
		if err != nil {
			return err
		}
		s = &signal{id: id, kind: kind}
		m.signals[r.Signal] = s
	}
	if r.Quality != plant.Bad {
		kind := r.Value.Kind()
		if kind != s.kind {
			if s.kind != plant.KindNone {
				return h.refuse(c, b, r, "its value is of kind "+kind.String()+", the signal of kind "+s.kind.String())
			}
			if err := exec(c, "UPDATE signals SET kind = ? WHERE id = ?", kind.String(), s.id); err != nil {
				return err
			}
			s.kind = kind
		}
	}
	if r.Time.Milli() < s.from {
		h.late++
		return nil
	}
	if s.stage.len() == 0 {
		m.staged = append(m.staged, s)
	}
	s.stage.add(r.Time.Milli(), r.Value, r.Quality, r.Reason)
	return nil
}

// wrong tells why a reading cannot be stored at all, or "".
func wrong(b *plant.Batch, r *plant.Reading) string {
	switch {
	case r.Signal == "":
		return "its signal has no name"
	case r.Machine != "" && r.Machine != b.Machine:
		return "it is of machine " + r.Machine + " in a batch of machine " + b.Machine
	case r.Time <= 0:
		return "it has no time"
	case r.Quality > plant.Bad:
		return "its quality is unknown: " + r.Quality.String()
	case r.Quality != plant.Bad && r.Value.IsNone():
		return "it is " + r.Quality.String() + " and has no value"
	}
	if f := r.Value.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
		return "its value is " + r.Value.String() + ", which is no number"
	}
	return ""
}

// machine gives the machine of a batch, new or known, with its area and line
// as the batch says.
func (h *History) machine(c raw, b *plant.Batch) (*machine, error) {
	m := h.dict[b.Machine]
	if m == nil {
		id, err := insert(c, "INSERT INTO machines (name, area, line) VALUES (?,?,?)", b.Machine, b.Area, b.Line)
		if err != nil {
			return nil, err
		}
		m = &machine{id: id, area: b.Area, line: b.Line, signals: map[string]*signal{}}
		h.dict[b.Machine] = m
	}
	if m.area != b.Area || m.line != b.Line {
		if err := exec(c, "UPDATE machines SET area = ?, line = ? WHERE id = ?", b.Area, b.Line, m.id); err != nil {
			return nil, err
		}
		m.area, m.line = b.Area, b.Line
	}
	return m, nil
}

func (h *History) refuseAll(c raw, b *plant.Batch, why string) error {
	for i := range b.Readings {
		if err := h.refuse(c, b, &b.Readings[i], why); err != nil {
			return err
		}
	}
	return nil
}

// refuse puts a reading into quarantine.
func (h *History) refuse(c raw, b *plant.Batch, r *plant.Reading, why string) error {
	set := plant.Refuse(b, *r, why, plant.At(time.Now()))
	fresh, err := setAside(c, &set)
	if err != nil || !fresh {
		return err
	}
	if h.refused.Add(1) == 1 {
		h.log.Warn("history sets readings aside, see its quarantine", "machine", set.Machine, "signal", set.Signal, "why", why)
	}
	return nil
}

// ready prepares the statements and loads the dictionary where that is to be
// done.
func (h *History) ready(ctx context.Context, c raw) error {
	if h.stmt.rows == nil {
		if err := h.stmt.prepare(ctx, c); err != nil {
			return err
		}
	}
	if h.dict != nil {
		return nil
	}
	dict, byID := dictionary{}, map[int64]*machine{}
	err := query(c, "SELECT id, name, area, line FROM machines", func(v []driver.Value) error {
		m := &machine{id: v[0].(int64), area: v[2].(string), line: v[3].(string), signals: map[string]*signal{}}
		dict[v[1].(string)], byID[m.id] = m, m
		return nil
	})
	if err != nil {
		return err
	}
	err = query(c, "SELECT id, machine, name, kind, raw_from FROM signals", func(v []driver.Value) error {
		s := &signal{id: v[0], from: v[4].(int64)}
		m := byID[v[1].(int64)]
		if m == nil {
			return fmt.Errorf("signal %v is of machine %v, which is not there", v[2], v[1])
		}
		m.signals[v[2].(string)] = s
		return s.kind.UnmarshalText([]byte(v[3].(string)))
	})
	if err != nil {
		return err
	}
	for _, m := range dict {
		if m.last.Span, err = lastClaim(c, m.id); err != nil {
			return err
		}
	}
	err = query(c, "SELECT machine, count(*) FROM pieces GROUP BY machine", func(v []driver.Value) error {
		if m := byID[v[0].(int64)]; m != nil {
			m.pieces = int(v[1].(int64))
		}
		return nil
	})
	if err == nil {
		h.dict = dict
	}
	return err
}
