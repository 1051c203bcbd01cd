package sqlite

import (
	"bytes"
	"database/sql/driver"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"

	"linetwin/plant"
)

// columnOf makes a column of values a second apart.
func columnOf(values ...plant.Value) *column {
	c := &column{}
	for i, v := range values {
		q := plant.Good
		if v.IsNone() {
			q = plant.Bad
		}
		c.add(int64(i)*1000, v, q, "")
	}
	return c
}

func floats(of ...float64) *column {
	var values []plant.Value
	for _, f := range of {
		values = append(values, plant.Float(f))
	}
	return columnOf(values...)
}

// readingsOf tells all that a column says.
func readingsOf(c *column) []plant.Reading {
	all := make([]plant.Reading, c.len())
	for i := range all {
		c.put(i, &all[i])
	}
	return all
}

func TestColumnComesBack(t *testing.T) {
	steps, odd, mixed := &column{}, &column{}, &column{}
	random := rand.New(rand.NewPCG(1, 2))
	at := int64(1_700_000_000_000)
	for i := range 1000 {
		at += 1 + random.Int64N(5000)
		steps.add(1_700_000_000_000+int64(i)*200, plant.Float(math.Round(200+random.NormFloat64()*50)/10), plant.Good, "")
		odd.add(at, plant.Float(random.NormFloat64()), plant.Good, "")
		mixed.add(at, plant.Text(fmt.Sprint("state ", random.IntN(5))), plant.Quality(random.IntN(3)), []string{"", "timeout"}[random.IntN(2)])
	}
	for _, c := range []struct {
		name string
		col  *column
		most int // bytes
	}{
		{"one", floats(1.5), 12},
		{"zeros", floats(0, math.Copysign(0, -1), 0), 40},
		{"extremes", floats(math.MaxFloat64, math.SmallestNonzeroFloat64, -math.MaxFloat64, 1<<53), 60},
		{"float32", floats(float64(float32(23.4)), float64(float32(23.5)), float64(float32(-0.1))), 20},
		{"integers", columnOf(plant.Integer(math.MinInt64), plant.Integer(math.MaxInt64), plant.Integer(0), plant.Value{}), 60},
		{"booleans", columnOf(plant.Value{}, plant.Boolean(true), plant.Boolean(false)), 30},
		{"only bad", columnOf(plant.Value{}, plant.Value{}), 30},
		{"measured", steps, 2600},
		{"noise", odd, 11000},
		{"texts with qualities", mixed, 6000},
	} {
		t.Run(c.name, func(t *testing.T) {
			written := appendColumn(nil, c.col)
			var got column
			if err := readColumn(written, &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(readingsOf(&got), readingsOf(c.col)) {
				t.Errorf("got %v, want %v", readingsOf(&got), readingsOf(c.col))
			}
			if len(written) > c.most {
				t.Errorf("%d bytes, want at most %d", len(written), c.most)
			}
			for i := 0; i < len(written); i += 1 + len(written)/100 { // cut anywhere, it is an error
				if err := readColumn(written[:i], &column{}); err == nil {
					t.Fatalf("its first %d bytes are no error", i)
				}
			}
		})
	}
}

func TestPackedComesBack(t *testing.T) {
	p, err := newPacker()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for _, raw := range [][]byte{{}, []byte("short"), bytes.Repeat([]byte("long "), 100)} {
		for _, compress := range []bool{false, true} {
			packed := p.pack(raw, compress)
			got, err := p.unpack(packed, nil)
			if err != nil || !bytes.Equal(got, raw) {
				t.Errorf("%d bytes come back as %d, %v", len(raw), len(got), err)
			}
			for i := range packed {
				packed[i] ^= 0x10
				if _, err := p.unpack(packed, nil); err == nil {
					t.Errorf("byte %d of %d changed, and nobody notices", i, len(packed))
				}
				packed[i] ^= 0x10
			}
		}
	}
}

// FuzzColumn: no bytes do harm, and what they are read as is written again.
func FuzzColumn(f *testing.F) {
	f.Add(appendColumn(nil, floats(1.5, 2.25)))
	f.Add(appendColumn(nil, floats(1.0/3, 2e300)))
	f.Add(appendColumn(nil, columnOf(plant.Text("a"), plant.Value{}, plant.Text("b"))))
	f.Add(appendColumn(nil, columnOf(plant.Integer(-5), plant.Integer(1<<60))))
	f.Add([]byte{2, 3, 4, 0, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var first, second column
		if readColumn(b, &first) != nil {
			return
		}
		if err := readColumn(appendColumn(nil, &first), &second); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(readingsOf(&first), readingsOf(&second)) {
			t.Errorf("%v, then %v", readingsOf(&first), readingsOf(&second))
		}
	})
}

// FuzzPiece: no bytes do harm.
func FuzzPiece(f *testing.F) {
	f.Add([]byte{1, 7, 2, 1, 2})
	f.Add([]byte{2, 7, 1, 8, 1, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		size := 0
		err := readPiece(b, func(_ int64, column []byte) error {
			size += len(column)
			return nil
		})
		if err == nil && size > len(b) {
			t.Errorf("%d bytes of %d", size, len(b))
		}
	})
}

// TestFileOfRows opens a file as it was before there were chunks.
func TestFileOfRows(t *testing.T) {
	folder := t.TempDir()
	db := &database{path: filepath.Join(folder, "history.db")}
	var err error
	files, _ := fs.Sub(migrations, "migrations/history")
	if db.write, db.read, err = pools(db.path, "full"); err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db.write, files, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err == nil {
		_, err = p.UpTo(t.Context(), 2)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"INSERT INTO machines VALUES (1, 'm', 'assembly', 'mcb-a')", "INSERT INTO signals VALUES (1, 1, 'a', 'float'), (2, 1, 'b', 'text')",
		"WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 4999) INSERT INTO readings SELECT 1, 1700000000000 + i * 1000, i / 4.0, 0, NULL FROM n",
		"INSERT INTO readings VALUES (2, 1700000000000, 'C16', 0, NULL), (2, 1700000001000, NULL, 2, 'timeout')",
		"INSERT INTO complete VALUES (1, 1700000000000, 1700009999000)",
	} {
		if _, err := db.write.Exec(sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.close(); err != nil {
		t.Fatal(err)
	}
	h := openIn(t, folder)
	defer h.Close()
	var before plant.Record
	for _, what := range []string{"rows", "chunks"} {
		r, err := h.Record(t.Context(), "m", nil, plant.Span{From: 1, To: everything})
		if err != nil || len(r.Readings) != 5_002 || len(r.Complete) != 1 || r.Readings[1].Value != plant.Text("C16") || r.Readings[5_001].Value != plant.Float(4999/4.0) {
			t.Fatalf("%s: %d readings, complete %v, %v", what, len(r.Readings), r.Complete, err)
		}
		if what == "chunks" && !reflect.DeepEqual(r, before) {
			t.Error("chunks say something else than rows did")
		}
		before = r
		if n, err := h.Seal(t.Context(), everything); err != nil || what == "rows" && n != 5_002 {
			t.Fatalf("%d sealed, %v", n, err)
		}
	}
}

// TestSealIsOneTransaction: what cannot become chunks as a whole stays as it is,
// and damage is an error that names the signal.
func TestSealIsOneTransaction(t *testing.T) {
	h := openIn(t, t.TempDir())
	defer h.Close()
	write := func(at int64) {
		b := batchOf("m")
		for _, signal := range []string{"a", "b"} {
			for i := range int64(100) {
				b[0].Readings = append(b[0].Readings, plant.Reading{Machine: "m", Signal: signal, Time: epoch + plant.FromMilli(at+i), Value: plant.Integer(i)})
			}
		}
		if err := h.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	write(0)
	if n, err := h.Seal(t.Context(), everything); err != nil || n != 200 {
		t.Fatalf("%d sealed, %v", n, err)
	}
	write(50)
	if err := pragma(h, "UPDATE chunks SET data = substr(data, 1, 20) WHERE signal = (SELECT id FROM signals WHERE name = 'b')"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Seal(t.Context(), everything); err == nil || !strings.Contains(err.Error(), "signal b: damaged chunk: checksum") {
		t.Errorf("seal: %v", err)
	}
	if _, err := h.Record(t.Context(), "m", nil, plant.Span{From: 1, To: everything}); err == nil || !strings.Contains(err.Error(), "signal b: damaged chunk: checksum") {
		t.Errorf("record: %v", err)
	}
	r, err := h.Record(t.Context(), "m", []string{"a"}, plant.Span{From: 1, To: everything})
	if err != nil || len(r.Readings) != 150 {
		t.Errorf("%d readings of the other signal, %v; want 150", len(r.Readings), err)
	}
	var pieces int64
	if err := h.writer.Raw(func(c any) error {
		return query(c.(raw), "SELECT count(*) FROM pieces", func(v []driver.Value) error { pieces = v[0].(int64); return nil })
	}); err != nil || pieces != 1 {
		t.Errorf("%d pieces left, %v; want the one that could not be sealed", pieces, err)
	}
}
