package sqlite

import (
	"context"
	"math"
	"path/filepath"
	"testing"

	"linetwin/plant"
)

// TestTypeChanges: a controller's program makes a float of an integer. What is
// refused outlives a restart, and is stored under another name.
func TestTypeChanges(t *testing.T) {
	folder := t.TempDir()
	h := openIn(t, folder)
	write := func(readings ...plant.Reading) {
		t.Helper()
		if err := h.Write(t.Context(), batchOf("m", readings...)); err != nil {
			t.Fatal(err)
		}
	}
	at := func(i int64) plant.Time { return plant.FromMilli(1_700_000_000_000 + i) }
	write(plant.Reading{Signal: "good", Time: at(0), Value: plant.Integer(1)})
	var all []plant.Reading
	for i := range int64(5000) {
		all = append(all, plant.Reading{Signal: "good", Time: at(1 + i), Value: plant.Float(float64(i) / 2)}, plant.Reading{Signal: "ok", Time: at(1 + i), Value: plant.Integer(i)})
	}
	write(all...)
	write(plant.Reading{Signal: "good", Time: at(1), Value: plant.Float(0)}) // again
	write(plant.Reading{Signal: "nan", Time: at(1), Value: plant.Float(math.NaN())}, plant.Reading{Time: at(1), Value: plant.Integer(1)})
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h = openIn(t, folder)
	defer h.Close()
	q := h.Aside()
	sum, err := q.Quarantine(t.Context())
	if err != nil || sum.Waiting != 5002 || len(sum.Groups) != 3 {
		t.Fatalf("%+v %v", sum, err)
	}
	want := plant.QuarantineGroup{Machine: "m", Signal: "good", Kind: plant.KindFloat, Count: 5000, Span: plant.Span{From: at(1), To: at(5001)},
		Why: "its value is of kind float, the signal of kind integer", Seen: sum.Groups[0].Seen}
	if sum.Groups[0] != want {
		t.Errorf("%+v\nwant %+v", sum.Groups[0], want)
	}
	refused, err := q.Refused(t.Context(), plant.QuarantineFilter{Signal: "good"}, 1)
	if err != nil || len(refused) != 1 || refused[0].Area != "assembly" || refused[0].Gateway != "edge-1" || refused[0].Value != plant.Float(2499.5) {
		t.Errorf("%+v %v", refused, err)
	}
	// Nothing is mended: all stay.
	done, err := q.Retry(t.Context(), plant.QuarantineFilter{}, "", h.Write)
	if err != nil || done != (plant.Retried{Tried: 5001, Refused: 5001}) {
		t.Errorf("%+v %v", done, err)
	}
	done, err = q.Retry(t.Context(), plant.QuarantineFilter{Machine: "m", Signal: "good"}, "ok", h.Write) // of the wrong kind, too
	if err != nil || done != (plant.Retried{Tried: 5000, Refused: 5000}) {
		t.Errorf("%+v %v", done, err)
	}
	done, err = q.Retry(t.Context(), plant.QuarantineFilter{Signal: "ok"}, "good_mm", h.Write)
	if err != nil || done != (plant.Retried{Tried: 5000, Stored: 5000}) {
		t.Errorf("%+v %v", done, err)
	}
	r, err := h.Record(t.Context(), "m", []string{"good", "good_mm"}, plant.Span{From: at(0), To: at(10_000)})
	if err != nil || len(r.Readings) != 5001 || r.Readings[5000].Value != plant.Float(2499.5) {
		t.Errorf("%d readings, %v", len(r.Readings), err)
	}
	if sum, err = q.Quarantine(t.Context()); err != nil || sum.Waiting != 2 || sum.Dropped != 0 {
		t.Errorf("left %+v %v", sum, err)
	}
}

// TestAsideAlone: the file beside a database elsewhere: a store that fails
// leaves all where it is, and what does not fit is counted.
func TestAsideAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "quarantine.db")
	q, err := OpenAside(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	err = q.alter(t.Context(), func(c raw) error {
		return exec(c, `INSERT INTO quarantine (id, seen, machine, signal, time, kind, value, quality, reason, why, area, line, gateway, tries)
 WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i, 5, 'old', 's', i, 'text', 'x', 0, '', 'w', '', '', '', 0 FROM n`, int64(quarantineMax))
	})
	if err != nil {
		t.Fatal(err)
	}
	var set []plant.Refused
	for i := range int64(10) {
		r := plant.Reading{Signal: "a", Time: plant.FromMilli(i + 1), Value: plant.Text("x")}
		set = append(set, plant.Refuse(&plant.Batch{Area: "x", Line: "l", Gateway: "g", Machine: "m"}, r, "w", 5))
	}
	for range 2 { // each counts once
		if err := q.SetAside(t.Context(), set); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if q, err = OpenAside(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	sum, err := q.Quarantine(t.Context())
	if err != nil || sum.Waiting != quarantineMax || sum.Dropped != 10 {
		t.Errorf("%+v %v", sum, err)
	}
	_, err = q.Retry(t.Context(), plant.QuarantineFilter{}, "", func(context.Context, []*plant.Batch) error { return plant.ErrOffline })
	if err == nil {
		t.Error("a store that is away is no error")
	}
	n := 0
	done, err := q.Retry(t.Context(), plant.QuarantineFilter{Machine: "m"}, "", func(_ context.Context, bs []*plant.Batch) error {
		if len(bs) != 1 || bs[0].Line != "l" || bs[0].Machine != "m" || bs[0].Sequence != 0 {
			t.Fatalf("%+v", bs)
		}
		n += len(bs[0].Readings)
		return nil
	})
	if err != nil || n != 10 || done.Stored != 10 {
		t.Errorf("%d, %+v, %v", n, done, err)
	}
}
