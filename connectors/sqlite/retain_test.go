package sqlite

import (
	"math"
	"reflect"
	"testing"
	"time"

	"linetwin/plant"
)

// hourOf gives a time after a full hour.
func hourOf(n float64) plant.Time {
	return plant.Time(472_000*time.Hour) + plant.Time(n*float64(time.Hour))
}

// filled is a history of 40 hours of a reading each ten seconds, of which each
// seventh is bad, and of a text that changed once.
func filled(t *testing.T, cfg HistoryConfig) *History {
	t.Helper()
	cfg.Folder, cfg.Sync = t.TempDir(), "normal"
	h, err := OpenHistory(t.Context(), cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	b := batchOf("m", plant.Reading{Machine: "m", Signal: "product", Time: hourOf(0.1), Value: plant.Text("C16")})
	for i := range 40 * 360 {
		r := plant.Reading{Machine: "m", Signal: "a", Time: hourOf(0).Add(time.Duration(i) * 10 * time.Second), Value: plant.Float(float64(i*i%977) / 10)}
		if i%7 == 3 {
			r.Value, r.Quality, r.Reason = plant.Value{}, plant.Bad, "timeout"
		}
		b[0].Readings = append(b[0].Readings, r)
	}
	if err := h.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return h
}

// chartIs holds a chart against what it was, but for the rounding of means.
func chartIs(t *testing.T, what string, h *History, span plant.Span, points int, want []plant.Bucket) []plant.Bucket {
	t.Helper()
	got, err := h.Chart(t.Context(), "m", "a", span, points)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		g, w := got[i], want[i]
		if g.Mean != nil && w.Mean != nil && math.Abs(*g.Mean-*w.Mean) <= 1e-9*math.Abs(*w.Mean) {
			g.Mean = w.Mean
		}
		if !reflect.DeepEqual(g, w) {
			t.Fatalf("%s: bucket %d is %+v, want %+v", what, i, g, w)
		}
	}
	return got
}

func TestDroppedReadingsLeaveMinutesAndHours(t *testing.T) {
	h := filled(t, HistoryConfig{})
	all := plant.Span{From: hourOf(0), To: hourOf(40)}
	hours, minutes := chartIs(t, "hours", h, all, 40, nil), chartIs(t, "minutes", h, all, 2400, nil)
	counts, err := h.Counts(t.Context(), "m", all)
	if err != nil || len(counts) != 2400 {
		t.Fatalf("%d minutes, %v", len(counts), err)
	}
	for _, cut := range []float64{3, 3.7, 20.5, 30} {
		if _, err := h.Prune(t.Context(), hourOf(cut)); err != nil {
			t.Fatal(err)
		}
		chartIs(t, "hours", h, all, 40, hours)
		chartIs(t, "minutes", h, all, 2400, minutes)
		if got, err := h.Counts(t.Context(), "m", all); err != nil || !reflect.DeepEqual(got, counts) {
			t.Fatalf("%d minutes counted, %v; want %d as before", len(got), err, len(counts))
		}
	}
	r, err := h.Record(t.Context(), "m", nil, all)
	if err != nil || len(r.Readings) != 10*360+2 || r.Readings[0].Signal != "product" || r.Readings[1].Time != hourOf(30).Add(-10*time.Second) {
		t.Errorf("%d readings, %v; want those of ten hours, the one before, and the product", len(r.Readings), err)
	}
	if got := h.Retained(); got.Readings != 30*360-1 {
		t.Errorf("retained %+v", got)
	}
	// What comes of a dropped time is counted; what comes later is kept.
	late := batchOf("m", plant.Reading{Machine: "m", Signal: "a", Time: hourOf(5), Value: plant.Float(1e6)}, plant.Reading{Machine: "m", Signal: "a", Time: hourOf(31) + plant.Millisecond, Value: plant.Float(50)})
	if err := h.Write(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	if got := h.Retained(); got.Late != 1 {
		t.Errorf("retained %+v, want one that came late", got)
	}
	if got := chartIs(t, "hours", h, all, 40, hours[:31]); got[31].Count != hours[31].Count+1 {
		t.Errorf("%d readings in the hour with a late one, want %d", got[31].Count, hours[31].Count+1)
	}
	// Hours stay when minutes go, of which a row has a day at least.
	if from, err := h.CountedFrom(t.Context(), "m"); err != nil || from != 0 {
		t.Errorf("counted from %s, %v; nothing is dropped of minutes yet", from, err)
	}
	if n, err := h.dropAggregates(t.Context(), minuteStep, milli(hourOf(24))); err != nil || n == 0 {
		t.Errorf("%d rows of minutes dropped, %v", n, err)
	}
	chartIs(t, "hours without minutes", h, all, 40, hours[:31])
	got, err := h.Counts(t.Context(), "m", all)
	from, err2 := h.CountedFrom(t.Context(), "m")
	if err != nil || err2 != nil || len(got) == 2400 || len(got) < 600 || got[0].Minute != from {
		t.Errorf("%d minutes counted from %s, %v %v; want some, and those of ten hours at least", len(got), from, err, err2)
	}
}

func TestSizeIsBounded(t *testing.T) {
	h := filled(t, HistoryConfig{})
	if _, err := h.Seal(t.Context(), everything); err != nil {
		t.Fatal(err)
	}
	used, err := h.used(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.cfg.MaxBytes = plant.Bytes(used)
	if err := h.retain(t.Context(), hourOf(40)); err != nil || h.Retained().Readings != 0 {
		t.Errorf("%v, %+v; want that nothing is dropped", err, h.Retained())
	}
	h.cfg.MaxBytes--
	if err := h.retain(t.Context(), hourOf(40)); err != nil {
		t.Fatal(err)
	}
	got := h.Retained()
	if got.Bytes > used-1 || got.Readings == 0 {
		t.Errorf("%+v, want less than %d bytes", got, used)
	}
	r, err := h.Record(t.Context(), "m", []string{"a"}, plant.Span{From: 1, To: everything})
	if err != nil || int64(len(r.Readings)) != 40*360-got.Readings {
		t.Errorf("%d readings left, %v; %d were dropped", len(r.Readings), err, got.Readings)
	}
	// The last day stays, and that it is too much is told.
	h.cfg.MaxBytes = 1
	if err := h.retain(t.Context(), hourOf(40)); err == nil {
		t.Error("one byte is enough")
	}
	if r, err = h.Record(t.Context(), "m", []string{"a"}, plant.Span{From: hourOf(16), To: everything}); err != nil || len(r.Readings) != 24*360 {
		t.Errorf("%d readings of the last day, %v; want %d", len(r.Readings), err, 24*360)
	}
}

// FuzzAggregates: no bytes do harm.
func FuzzAggregates(f *testing.F) {
	f.Add(appendAggregates([]digest{{start: 60_000, readings: 2, bad: 1, low: 1, high: 2, total: 3, last: plant.Float(2)}}))
	f.Add(appendAggregates([]digest{{start: 60_000, readings: 1, last: plant.Text("x")}, {start: 120_000, readings: 1, bad: 1}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := readAggregates(b)
		if err != nil || len(all) == 0 {
			return
		}
		for i := range all {
			if i > 0 && all[i].start <= all[i-1].start {
				t.Fatal("intervals do not ascend")
			}
		}
	})
}
