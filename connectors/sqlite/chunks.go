package sqlite

import (
	"database/sql/driver"
	"fmt"
	"math"

	"linetwin/plant"
)

const (
	chunkMost = 4096    // readings of a chunk
	chunkLong = 1 << 20 // bytes of its texts, but for a single reading that is longer
)

// The columns of chunks that digestOf reads, and the chunks of a signal that
// reach into a time.
const (
	digestColumns = "start, stop, readings, bad, low, high, total, last"
	chunksIn      = "SELECT " + digestColumns + ", data FROM chunks WHERE signal = ?1 AND start < ?3" +
		" AND start >= coalesce((SELECT max(start) FROM chunks WHERE signal = ?1 AND start <= ?2), ?2) ORDER BY start"
)

func digestOf(k kept, v []driver.Value) (d digest, err error) {
	d = digest{start: v[0].(int64), stop: v[1].(int64), readings: v[2].(int64), bad: v[3].(int64)}
	d.low, _ = v[4].(float64)
	d.high, _ = v[5].(float64)
	var summed bool
	d.total, summed = v[6].(float64)
	d.last, err = value(k.kind, v[7])
	d.whole = d.readings == d.bad || !d.last.IsNone() && (summed || k.kind == plant.KindText)
	return d, err
}

func (s session) unpack(data driver.Value, into []byte) ([]byte, error) {
	packed, ok := data.([]byte)
	if !ok {
		return nil, damaged("it is a %T", data)
	}
	return s.pack.unpack(packed, into)
}

// chunk reads the data of a chunk of a signal.
func (s session) chunk(k kept, data driver.Value, to *column) error {
	raw, err := s.unpack(data, nil)
	if err != nil {
		return err
	}
	to.reset()
	if err := readColumn(raw, to); err != nil {
		return err
	}
	return k.holds(to)
}

// holds tells what is wrong with a column that is said to be a signal's.
func (k kept) holds(c *column) error {
	if c.kind != k.kind && c.kind != plant.KindNone {
		return fmt.Errorf("values of kind %s where %s is kept", c.kind, k.kind)
	}
	return nil
}

// walk gives the readings of a signal in [from, to) in order of time, by parts:
// those from a to b of a column, which is used again. over is what is not in
// chunks, or nil. whole, where it is given, may take the digest of a chunk in
// place of its readings.
func (s session) walk(k kept, from, to int64, over *column, whole func(*digest) bool, each func(c *column, a, b int) error) error {
	if over == nil {
		over = &column{}
	}
	var part, both column
	given := 0 // of over
	err := s.each(chunksIn, func(v []driver.Value) error {
		d, err := digestOf(k, v)
		if err != nil || d.stop < from {
			return err
		}
		i, j := max(given, over.from(d.start)), over.from(d.stop+1)
		if i > given {
			if err := each(over, given, i); err != nil {
				return err
			}
		}
		given = max(i, j)
		if i >= j && d.start >= from && d.stop < to && d.whole && whole != nil && whole(&d) {
			return nil
		}
		if err := s.chunk(k, v[8], &part); err != nil {
			return err
		}
		a, b := part.from(from), part.from(to)
		if i >= j {
			return each(&part, a, b)
		}
		both.reset()
		both.appendOf(&part, a, b)
		both.appendOf(over, i, j)
		both.settle()
		return each(&both, 0, both.len())
	}, k.id, from, to)
	if err == nil && given < over.len() {
		err = each(over, given, over.len())
	}
	return err
}

// put stores a settled column as chunks.
func (h *History) put(c raw, signal int64, col *column) error {
	for i := 0; i < col.len(); {
		j, long := i, 0
		for ; j < col.len() && j-i < chunkMost; j++ {
			n := len(col.reason(j))
			if col.kind == plant.KindText {
				n += len(col.texts[j])
			}
			if long += n; long > chunkLong && j > i {
				break
			}
		}
		var part column
		part.appendOf(col, i, j)
		if err := h.putChunk(c, signal, &part); err != nil {
			return err
		}
		i = j
	}
	return nil
}

// lastLong is the longest text that a chunk tells beside its data.
const lastLong = 256

func (h *History) putChunk(c raw, signal int64, part *column) error {
	d := part.digest()
	var low, high, total, last driver.Value
	if d.readings > d.bad && part.kind != plant.KindText {
		low, high, total = d.low, d.high, d.total
	}
	if len(d.last.Text()) <= lastLong {
		last = cell(d.last)
	}
	if math.IsInf(d.total, 0) || math.IsNaN(d.total) { // of the greatest floats
		total = nil
	}
	return exec(c, "INSERT INTO chunks (signal, "+digestColumns+", data) VALUES (?,?,?,?,?,?,?,?,?,?)",
		signal, d.start, d.stop, d.readings, d.bad, low, high, total, last, h.pack.pack(appendColumn(nil, part), true))
}
