package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"linetwin/connectors/historytest"
	"linetwin/plant"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func openIn(t testing.TB, folder string) *History {
	t.Helper()
	h, err := OpenHistory(t.Context(), HistoryConfig{Folder: folder}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func batchOf(machine string, readings ...plant.Reading) []*plant.Batch {
	return []*plant.Batch{{Area: "assembly", Line: "mcb-a", Gateway: "edge-1", Machine: machine, Readings: readings}}
}

func TestHistoryKeepsTheContract(t *testing.T) {
	historytest.Run(t, func(t testing.TB) func() historytest.Store {
		folder := filepath.Join(t.TempDir(), "it's a folder? 100%#1")
		return func() historytest.Store { return openIn(t, folder) }
	})
}

func TestHistoryConfigCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  HistoryConfig
		want string
	}{
		{"well", HistoryConfig{Folder: "data", MaxAge: 48 * time.Hour, Sync: "full"}, ""},
		{"least", HistoryConfig{Folder: "data"}, ""},
		{"no folder", HistoryConfig{}, "folder: missing, allowed: a folder on a local disk"},
		{"too little", HistoryConfig{Folder: "data", MaxAge: 48 * time.Hour, MinutesMaxAge: 24 * time.Hour, HoursMaxAge: time.Hour, MaxBytes: 1 << 20},
			"minutes_max_age: found 24h0m0s, allowed: 0 (keep all) or at least 48h0m0s, as long as what it is made of; hours_max_age: found 1h0m0s, allowed: 0 (keep all) or at least 48h0m0s, as long as what it is made of; max_bytes: found 1MiB, allowed: 0 (no bound) or at least 16MiB"},
		{"all wrong", HistoryConfig{MaxAge: time.Hour, Sync: "yes"}, "folder: missing, allowed: a folder on a local disk; max_age: found 1h0m0s, allowed: 0 (keep all) or at least 24h; sync: found yes, allowed: normal or full"},
	} {
		var got []string
		for _, f := range c.cfg.Check() {
			got = append(got, f.String())
		}
		if s := strings.Join(got, "; "); s != c.want {
			t.Errorf("%s: %s, want %s", c.name, s, c.want)
		}
	}
}

func TestOpenHistoryFails(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, folder string)
		want    string
	}{
		{"a file in place of the folder", func(t *testing.T, folder string) { put(t, folder, "x") }, "make folder"},
		{"no database", func(t *testing.T, folder string) {
			put(t, filepath.Join(folder, "history.db"), strings.Repeat("no database ", 1000))
		}, "is damaged or is no SQLite file"},
		{"a folder in place of the file", func(t *testing.T, folder string) {
			put(t, filepath.Join(folder, "history.db", "x"), "")
		}, "cannot be opened"},
		{"in use", func(t *testing.T, folder string) {
			h := openIn(t, folder)
			t.Cleanup(func() { h.Close() })
		}, "another process uses the file"},
		{"from the future", func(t *testing.T, folder string) {
			openIn(t, folder).Close()
			db, err := sql.Open("sqlite", filepath.Join(folder, "history.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)"); err != nil {
				t.Fatal(err)
			}
		}, "written by a newer LineTwin (tables of version 99"},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "history")
			c.prepare(t, folder)
			h, err := OpenHistory(t.Context(), HistoryConfig{Folder: folder}, quiet())
			if err == nil {
				h.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), folder) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestOpenByTwoProcesses: what TestOpenHistoryFails shows in one process holds
// for another one, and ends with it, killed.
func TestOpenByTwoProcesses(t *testing.T) {
	if folder := os.Getenv("SQLITE_TEST_FOLDER"); folder != "" {
		h := openIn(t, folder)
		if err := h.Write(t.Context(), batchOf("m", plant.Reading{Signal: "a", Time: 1e9, Value: plant.Integer(1)})); err != nil {
			t.Fatal(err)
		}
		fmt.Println("held")
		time.Sleep(time.Hour) // until it is killed
	}
	folder := t.TempDir()
	other := osexec.Command(os.Args[0], "-test.run=^TestOpenByTwoProcesses$")
	other.Env = append(os.Environ(), "SQLITE_TEST_FOLDER="+folder)
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 5)
	if _, err := out.Read(line); err != nil || !bytes.HasPrefix(line, []byte("held")) {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	if h, err := OpenHistory(t.Context(), HistoryConfig{Folder: folder}, quiet()); err == nil {
		h.Close()
		t.Error("both processes have it")
	} else if !strings.Contains(err.Error(), "another process uses the file") {
		t.Error(err)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait() // killed
	h := openIn(t, folder)
	defer h.Close()
	r, err := h.Record(t.Context(), "m", nil, plant.Span{From: 1, To: 1e18})
	if err != nil || len(r.Readings) != 1 {
		t.Errorf("%d readings of the killed process, %v; want 1", len(r.Readings), err)
	}
}

// TestDamage: pages overwritten in the middle are an error that names the
// file, and no panic.
func TestDamage(t *testing.T) {
	folder := t.TempDir()
	h := openIn(t, folder)
	var batches []*plant.Batch
	for r := range 50 {
		batches = append(batches, stream(r)...)
	}
	if err := h.Write(t.Context(), batches); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "history.db")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	junk := bytes.Repeat([]byte{0xa5}, int(info.Size())/2)
	if _, err := f.WriteAt(junk, info.Size()/2); err != nil {
		t.Fatal(err)
	}
	f.Close()
	h = openIn(t, folder)
	defer h.Close()
	failed := false
	for m := range 20 {
		_, err := h.Record(t.Context(), fmt.Sprintf("machine-%02d", m), nil, plant.Span{From: 1, To: 1e18 * 2})
		if err != nil {
			failed = true
			if !strings.Contains(err.Error(), "history.db: the file is damaged") {
				t.Fatal(err)
			}
		}
	}
	if !failed {
		t.Error("nobody notices the damage")
	}
}

// TestFull: a disk without room is an error; when there is room again, the
// same write succeeds.
func TestFull(t *testing.T) {
	h := openIn(t, t.TempDir())
	defer h.Close()
	if err := pragma(h, "PRAGMA max_page_count = 20"); err != nil {
		t.Fatal(err)
	}
	var batches []*plant.Batch
	for r := range 20 {
		batches = append(batches, stream(r)...)
	}
	err := h.Write(t.Context(), batches)
	if err == nil || !strings.Contains(err.Error(), "history.db: the disk is full") {
		t.Fatalf("write to a full disk: %v", err)
	}
	if err := pragma(h, "PRAGMA max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	if err := h.Write(t.Context(), batches); err != nil {
		t.Fatal(err)
	}
	r, err := h.Record(t.Context(), "machine-07", nil, plant.Span{From: 1, To: 2e18})
	if err != nil || len(r.Readings) != 1000 || len(r.Complete) != 1 {
		t.Errorf("%d readings, complete %v, %v", len(r.Readings), r.Complete, err)
	}
}

func TestReadOnly(t *testing.T) {
	h := openIn(t, t.TempDir())
	defer h.Close()
	if err := pragma(h, "PRAGMA query_only = 1"); err != nil {
		t.Fatal(err)
	}
	err := h.Write(t.Context(), stream(0))
	if err == nil || !strings.Contains(err.Error(), "history.db: the file or its folder is read-only") {
		t.Errorf("write to a read-only file: %v", err)
	}
}

func TestPrune(t *testing.T) {
	h := openIn(t, t.TempDir())
	defer h.Close()
	at := func(hour int) plant.Time { return plant.Time(hour+1000) * plant.Time(time.Hour) }
	var readings []plant.Reading
	for hour := range 100 {
		readings = append(readings, plant.Reading{Signal: "a", Time: at(hour), Value: plant.Integer(int64(hour))})
	}
	readings = append(readings, plant.Reading{Signal: "product", Time: at(1), Value: plant.Text("C16")}, plant.Reading{Signal: "late", Time: at(80), Value: plant.Text("x")})
	b := batchOf("m", readings...)
	for _, s := range []plant.Span{{From: at(0), To: at(10)}, {From: at(20), To: at(70)}, {From: at(80), To: at(99)}} {
		b[0].Complete = s
		if err := h.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	n, err := h.Prune(t.Context(), at(60)+1)
	if err != nil || n != 59 {
		t.Errorf("%d deleted, %v; want 59", n, err)
	}
	r, err := h.Record(t.Context(), "m", nil, plant.Span{From: 1, To: at(1000)})
	if err != nil || len(r.Readings) != 43 || r.Readings[0].Signal != "product" || r.Readings[1].Time != at(59) {
		t.Errorf("%d readings left, %v; want product, and 40 from the 60th hour on and the one before, and late", len(r.Readings), err)
	}
	if len(r.Complete) != 2 || r.Complete[0].From < at(60) || r.Complete[1].From != at(80) {
		t.Errorf("complete %v", r.Complete)
	}
	// What goes on after it goes on where it was.
	b[0].Complete = plant.Span{From: at(99), To: at(110)}
	if err := h.Write(t.Context(), b[:1]); err != nil {
		t.Fatal(err)
	}
	r, err = h.Record(t.Context(), "m", []string{}, plant.Span{From: 1, To: at(1000)})
	if err != nil || len(r.Complete) != 2 || r.Complete[1] != (plant.Span{From: at(80), To: at(110)}) {
		t.Errorf("complete %v, %v", r.Complete, err)
	}
}

func TestRunPrunes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		h, err := OpenHistory(ctx, HistoryConfig{Folder: t.TempDir(), MaxAge: 24 * time.Hour}, quiet())
		if err != nil {
			t.Fatal(err)
		}
		now := plant.Stamp(time.Now())
		for i := range 48 {
			err := h.Write(ctx, batchOf("m", plant.Reading{Signal: "a", Time: now.Add(-time.Duration(i) * time.Hour), Value: plant.Integer(int64(i))}))
			if err != nil {
				t.Fatal(err)
			}
		}
		left := func() int {
			r, err := h.Record(ctx, "m", nil, plant.Span{From: 1, To: now + 1})
			if err != nil {
				t.Fatal(err)
			}
			return len(r.Readings)
		}
		done := make(chan error)
		go func() { done <- h.Run(ctx) }()
		synctest.Wait()
		if n := left(); n != 26 {
			t.Errorf("%d readings left at once, want the 25 of a day and the one before", n)
		}
		time.Sleep(10*time.Hour + time.Minute)
		synctest.Wait()
		if n := left(); n != 16 {
			t.Errorf("%d readings left after ten hours, want 16", n)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestQuarantineIsBounded(t *testing.T) {
	h := openIn(t, t.TempDir())
	defer h.Close()
	b := batchOf("m")
	for i := range 1000 {
		b[0].Readings = append(b[0].Readings, plant.Reading{Signal: "a", Time: plant.FromMilli(int64(i) + 1)}) // no value
	}
	for range 2 {
		if err := h.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.Quarantined(); n != 1000 {
		t.Errorf("%d set aside, want 1000: a repeat counts once", n)
	}
	set, err := h.Quarantine(t.Context(), 3)
	if err != nil || len(set) != 3 || set[0].Time != plant.FromMilli(1000) || set[0].Why != "it is good and has no value" {
		t.Errorf("%+v %v", set, err)
	}
}

func pragma(h *History, text string) error {
	return h.writer.Raw(func(c any) error { return query(c.(raw), text, func([]driver.Value) error { return nil }) })
}
