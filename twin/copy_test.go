package twin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"linetwin/connectors/historytest"
	"linetwin/connectors/influx"
	"linetwin/plant"
)

// sums gives what InfluxDB has of the shift's windows of a kind: how many there
// are, their good pieces and their highest revision.
func (w *worked) sums(d *historytest.Influxd, by string) (n, good, revision int64) {
	w.t.Helper()
	answer := d.Query(w.t, "plant", fmt.Sprintf(`SELECT count(good), sum(good), max(revision) FROM oee WHERE "line" = 'line' AND "by" = '%s' AND withdrawn = false AND time >= %d AND time < %d`,
		by, int64(w.shift.From), int64(w.shift.To)))
	var got struct {
		Results []struct{ Series []struct{ Values [][]any } }
	}
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		w.t.Fatal(answer, err)
	}
	if len(got.Results) != 1 || len(got.Results[0].Series) != 1 {
		return 0, 0, 0
	}
	number := func(i int) int64 { // 0 where there is none yet: a point may be seen before all of its fields
		x, _ := got.Results[0].Series[0].Values[0][i].(float64)
		return int64(x)
	}
	return number(1), number(2), number(3)
}

// copiedAll waits until InfluxDB has the shift as the twin has it.
func (w *worked) copiedAll(d *historytest.Influxd) {
	w.t.Helper()
	f := w.figures()
	last := ""
	defer func() {
		if w.t.Failed() {
			w.t.Log(last, f.Good, f.Revision)
		}
	}()
	w.eventually("InfluxDB has all windows", func() bool {
		minutes, byMinute, _ := w.sums(d, "minute")
		hours, byHour, _ := w.sums(d, "hour")
		shifts, byShift, revision := w.sums(d, "shift")
		last = fmt.Sprint(minutes, byMinute, hours, byHour, shifts, byShift, revision)
		return minutes == 480 && byMinute == f.Good && hours == 8 && byHour == f.Good && shifts == 1 && byShift == f.Good && revision == int64(f.Revision)
	})
}

// TestFiguresInInfluxDB: every minute, hour and shift of a line is a point, also
// those that were restated while InfluxDB was away, and over a restart.
func TestFiguresInInfluxDB(t *testing.T) {
	d := historytest.StartInfluxd(t)
	d.CreateDatabase(t, "plant")
	h, err := influx.Open(influx.Config{URL: d.URL, Database: "plant", Timeout: time.Minute}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	w := newWorked(t)
	w.revision(0)
	w.close()
	w.outlet = h
	w.start()
	w.revision(0)
	w.copiedAll(d)

	correct := func(n int) {
		t.Helper()
		w.tell(plant.EntryCount, plant.AtKey("pack", w.shift.From.Add(time.Duration(n)*time.Hour)), 0, `{"good": -5}`)
		w.revision(n)
	}
	correct(1)
	w.copiedAll(d)

	d.Stop(t)
	correct(2)
	w.eventually("the ledger knows what is to be copied again", func() bool {
		text, _, err := w.ledger.Value(context.Background(), "copied.line")
		var c struct{ Again plant.Spans }
		return err == nil && json.Unmarshal([]byte(text), &c) == nil && c.Again.Covers(plant.Span{From: w.shift.From.Add(2 * time.Hour), To: w.shift.To})
	})
	w.close()
	w.start()
	if f := w.revision(2); f.Good == 0 {
		t.Fatalf("%+v", f)
	}
	d.Start(t)
	w.copiedAll(d)
	w.close()
}
