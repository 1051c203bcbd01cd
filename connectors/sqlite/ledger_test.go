package sqlite

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"linetwin/plant"
)

func openLedger(t testing.TB, path string) *Ledger {
	t.Helper()
	l, err := OpenLedger(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// minute gives a time in minutes; the ledger keeps nanoseconds.
func minute(n int) plant.Time { return plant.Time(28_000_000+n) * plant.Time(time.Minute) }

func segment(from, to int, class plant.Class) plant.Segment {
	return plant.Segment{Machine: "m", Span: plant.Span{From: minute(from), To: minute(to)}, Class: class}
}

func pieces(at int, product string, good int64) plant.Pieces {
	return plant.Pieces{Machine: "m", Minute: minute(at), Product: product, Good: good}
}

func TestProgress(t *testing.T) {
	full := segment(20, 30, plant.ClassUnknown)
	full.State, full.Fault, full.Pieces, full.Product = plant.StateHeld, "E12 卡料", 7, "C16"
	full.To += 123 // to the nanosecond
	counted := pieces(25, "C16", 3)
	counted.Order, counted.Reject, counted.Startup, counted.Resets, counted.Flags = "4711", 2, 1, 1, plant.FlagReset|plant.FlagClock
	first := plant.Progress{Machine: "m", From: minute(0),
		Segments: []plant.Segment{segment(0, 10, plant.ClassRun), segment(10, 20, plant.ClassStop), full},
		Pieces:   []plant.Pieces{pieces(5, "", 10), pieces(6, "", 11), counted}}
	later := plant.Progress{Machine: "m", From: minute(20) + 5, Since: minute(20), Segments: []plant.Segment{segment(31, 40, plant.ClassRun)}, Pieces: []plant.Pieces{pieces(20, "C32", 9)}}
	for _, c := range []struct {
		name     string
		saves    []plant.Progress
		span     plant.Span
		segments []plant.Segment
		pieces   []plant.Pieces
	}{
		{"all of it", []plant.Progress{first}, plant.Span{From: minute(0), To: minute(60)}, first.Segments, first.Pieces},
		{"what overlaps", []plant.Progress{first}, plant.Span{From: minute(12), To: minute(20) + 1}, first.Segments[1:], nil},
		{"half-open", []plant.Progress{first}, plant.Span{From: minute(10), To: minute(20)}, first.Segments[1:2], nil},
		{"in the middle of one", []plant.Progress{first}, plant.Span{From: minute(3), To: minute(6)}, first.Segments[:1], first.Pieces[:1]},
		{"nothing", []plant.Progress{first}, plant.Span{From: minute(40), To: minute(60)}, nil, nil},
		{"again", []plant.Progress{first, first}, plant.Span{From: minute(0), To: minute(60)}, first.Segments, first.Pieces},
		{"what is later is replaced", []plant.Progress{first, later}, plant.Span{From: minute(0), To: minute(60)},
			[]plant.Segment{first.Segments[0], first.Segments[1], full, later.Segments[0]}, []plant.Pieces{first.Pieces[0], first.Pieces[1], later.Pieces[0]}},
		{"from the beginning", []plant.Progress{first, {Machine: "m", From: minute(0)}}, plant.Span{From: minute(0), To: minute(60)}, nil, nil},
		{"another machine's", []plant.Progress{first, {Machine: "n", From: minute(0)}}, plant.Span{From: minute(0), To: minute(60)}, first.Segments, first.Pieces},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := openLedger(t, filepath.Join(t.TempDir(), "ledger.db"))
			for _, p := range c.saves {
				if err := l.Save(t.Context(), []plant.Progress{p}); err != nil {
					t.Fatal(err)
				}
			}
			past, err := l.Past(t.Context(), "m", c.span)
			if err != nil || !reflect.DeepEqual(past.Segments, c.segments) || !reflect.DeepEqual(past.Pieces, c.pieces) {
				t.Errorf("%v\n%+v\nwant\n%+v\n%+v", err, past, c.segments, c.pieces)
			}
		})
	}
}

// TestOrdersTold: of a span the ledger gives what held when it began and what was
// told in it; what is saved or rewritten replaces what was there.
func TestOrdersTold(t *testing.T) {
	l := openLedger(t, filepath.Join(t.TempDir(), "ledger.db"))
	told := func(at int, order string) plant.OrderTold { return plant.OrderTold{At: minute(at), Order: order} }
	want := func(from, to int, want ...plant.OrderTold) {
		t.Helper()
		past, err := l.Past(t.Context(), "m", plant.Span{From: minute(from), To: minute(to)})
		if err != nil || !slices.Equal(past.Orders, want) {
			t.Errorf("%d to %d: %v, %v, want %v", from, to, past.Orders, err, want)
		}
	}
	save := func(since int, orders ...plant.OrderTold) {
		t.Helper()
		for range 2 {
			if err := l.Save(t.Context(), []plant.Progress{{Machine: "m", From: minute(since), Since: minute(since), Orders: orders}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	save(0, told(5, "a"), told(10, ""), told(20, "a"), told(30, "b"))
	want(0, 60, told(5, "a"), told(10, ""), told(20, "a"), told(30, "b"))
	want(7, 20, told(5, "a"), told(10, ""))
	want(10, 11, told(10, ""))
	want(0, 5)
	save(30, told(40, "c"))
	want(35, 60, told(20, "a"), told(40, "c"))
	if span, ok, err := l.OrderTold(t.Context(), "m", "a"); err != nil || !ok || span != (plant.Span{From: minute(5), To: minute(40)}) {
		t.Errorf("%v %v %v", span, ok, err)
	}
	if span, ok, err := l.OrderTold(t.Context(), "m", "c"); err != nil || !ok || span != (plant.Span{From: minute(40), To: 1 << 62}) {
		t.Errorf("%v %v %v", span, ok, err)
	}
	if _, ok, err := l.OrderTold(t.Context(), "n", "a"); err != nil || ok {
		t.Errorf("another machine's: %v %v", ok, err)
	}
	span := plant.Span{From: minute(8), To: minute(20)}
	if err := l.Rewrite(t.Context(), []plant.Rewrite{{Machine: "m", Span: span, Minutes: span, Orders: []plant.OrderTold{told(8, "d"), told(20, "x")}}}); err != nil {
		t.Fatal(err)
	}
	want(0, 60, told(5, "a"), told(8, "d"), told(20, "a"), told(40, "c"))
}

// TestOrdersOfBefore: of a ledger that knew no orders, the pieces tell.
func TestOrdersOfBefore(t *testing.T) {
	db := &database{path: filepath.Join(t.TempDir(), "ledger.db")}
	var err error
	files, _ := fs.Sub(migrations, "migrations/ledger")
	if db.write, db.read, err = pools(db.path, "full"); err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db.write, files, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err == nil {
		_, err = p.UpTo(t.Context(), 11)
	}
	if err != nil {
		t.Fatal(err)
	}
	for n, order := range []string{"", "a", "a", "b", "", "c"} {
		if _, err := db.write.Exec(`INSERT INTO pieces VALUES ('m', ?, '', ?, 1, 0, 0, 0, 0)`, minute(n), order); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.close(); err != nil {
		t.Fatal(err)
	}
	past, err := openLedger(t, db.path).Past(t.Context(), "m", plant.Span{From: minute(0), To: minute(60)})
	want := []plant.OrderTold{{At: minute(1), Order: "a"}, {At: minute(3), Order: "b"}, {At: minute(4)}, {At: minute(5), Order: "c"}}
	if err != nil || !slices.Equal(past.Orders, want) {
		t.Errorf("%v, %v, want %v", past.Orders, err, want)
	}
}

// TestSaveIsAtomic: where one machine's progress fails, none is saved.
func TestSaveIsAtomic(t *testing.T) {
	l := openLedger(t, filepath.Join(t.TempDir(), "ledger.db"))
	err := l.Save(t.Context(), []plant.Progress{
		{Machine: "m", From: minute(0), Segments: []plant.Segment{segment(0, 1, plant.ClassRun)}, Checkpoint: []byte("x"), At: minute(1)},
		{Machine: "n", From: minute(0), Pieces: []plant.Pieces{pieces(0, "", 1), pieces(0, "", 2)}},
	})
	if err == nil || !strings.Contains(err.Error(), "machine n from") {
		t.Errorf("the same minute twice: %v", err)
	}
	past, err := l.Past(t.Context(), "m", plant.Span{From: minute(0), To: minute(9)})
	if err != nil || len(past.Segments) != 0 {
		t.Errorf("%+v, %v", past, err)
	}
	if state, _, err := l.Checkpoint(t.Context(), "m", minute(9)); err != nil || state != nil {
		t.Errorf("checkpoint %q, %v", state, err)
	}
}

func TestCheckpoints(t *testing.T) {
	l := openLedger(t, filepath.Join(t.TempDir(), "ledger.db"))
	save := func(from, at int) {
		t.Helper()
		if err := l.Save(t.Context(), []plant.Progress{{Machine: "m", From: minute(from), Since: minute(from), Checkpoint: []byte{byte(at / 256), byte(at)}, At: minute(at)}}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, at, want int) {
		t.Helper()
		state, when, err := l.Checkpoint(t.Context(), "m", minute(at))
		if want < 0 {
			if err != nil || state != nil || when != 0 {
				t.Errorf("%s: %v at %s, %v; want none", what, state, when, err)
			}
			return
		}
		if err != nil || when != minute(want) || string(state) != string([]byte{byte(want / 256), byte(want)}) {
			t.Errorf("%s: %v at %s, %v; want that of %s", what, state, when, err, minute(want))
		}
	}
	start := 60 - int(minute(0)/plant.Time(time.Minute)%60) // a full hour
	check("none", 1000, -1)
	for i := range 241 { // each minute for four hours
		save(start+i-1, start+i)
	}
	check("the latest", start+1000, start+240)
	check("the first of an hour", start+239, start+180)
	check("itself", start+120, start+120)
	check("before", start+119, start+60)
	check("before all", start-1, -1)
	if n := count(t, l, "checkpoints"); n != 5 {
		t.Errorf("%d checkpoints, want 5", n)
	}
	save(start+100, start+110) // late input: all after its From is forgotten
	check("after late input", start+1000, start+110)
	check("before late input", start+109, start+60)
	for i := range 15 * 24 {
		save(start+110+i*60, start+170+i*60)
	}
	if n := count(t, l, "checkpoints"); n < 240 || n > 243 {
		t.Errorf("%d checkpoints of fifteen days, want those of ten", n)
	}
	if err := l.Save(t.Context(), []plant.Progress{{Machine: "m", From: minute(start), Since: minute(start)}}); err != nil {
		t.Fatal(err)
	}
	check("begun again", start+100_000, -1)
}

func count(t *testing.T, l *Ledger, table string) (n int) {
	t.Helper()
	if err := l.db.read.QueryRow("SELECT count(*) FROM " + table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAlerts(t *testing.T) {
	l := openLedger(t, filepath.Join(t.TempDir(), "ledger.db"))
	x, limit := 10.5, 10.0
	alerts := []plant.Alert{
		{ID: "a", Rule: "temperature", Severity: plant.SeverityHigh, State: plant.AlertUnacknowledged, Quality: true, Line: "mcb-a", Machine: "m", Signal: "t",
			Message: plant.Name{En: "too hot", Zh: "过热"}, Value: &x, Unit: "°C", Limit: &limit, Since: minute(0) + 1, Fired: minute(1) + 2, Count: 3},
		{ID: "b", State: plant.AlertNormal, Fired: minute(2), Returned: minute(3), Acked: minute(4), AckedBy: "李"},
		{ID: "c", State: plant.AlertAcknowledged, Fired: minute(5)},
	}
	for _, a := range alerts {
		first := a
		first.State, first.Value = plant.AlertUnacknowledged, nil
		for _, v := range []plant.Alert{first, a} {
			if err := l.SaveAlert(t.Context(), v); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name string
		span plant.Span
		open bool
		want []plant.Alert
	}{
		{"all", plant.Span{}, false, alerts},
		{"open", plant.Span{}, true, []plant.Alert{alerts[0], alerts[2]}},
		{"half-open span", plant.Span{From: minute(2), To: minute(5)}, false, alerts[1:2]},
		{"none", plant.Span{From: minute(2), To: minute(5)}, true, nil},
	} {
		got, err := l.Alerts(t.Context(), c.span, c.open)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v\n%+v\nwant\n%+v", c.name, err, got, c.want)
		}
	}
}

func TestRecords(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := openLedger(t, path)
	t.Run("results", func(t *testing.T) {
		of := func(line string, shift, number, at int, good int64) plant.Result {
			return plant.Result{
				Revision: plant.Revision{Line: line, Shift: minute(shift), Number: number, At: minute(at), Reason: "late"},
				Window:   plant.Window{Span: plant.Span{From: minute(shift), To: minute(shift + 480)}, Good: good, Run: 7, Flags: plant.FlagReset | plant.FlagClock},
			}
		}
		all := []plant.Result{of("a", 0, 0, 490, 5), of("b", 0, 0, 490, 6), of("a", 5, 0, 491, 7), of("a", 0, 1, 500, 9)}
		for _, r := range append(all, of("a", 0, 1, 501, 8)) { // the last one is known
			if err := l.SaveResult(ctx, r); err != nil {
				t.Fatal(err)
			}
		}
		got, err := l.Results(ctx, "a", plant.Span{From: minute(0), To: minute(5)})
		if want := []plant.Result{all[0], all[3]}; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err := l.Results(ctx, "", plant.Span{}); err != nil || len(got) != 4 {
			t.Errorf("of all lines: %+v, %v", got, err)
		}
		if got, err := l.ResultsSince(ctx, minute(491), 5); err != nil || !reflect.DeepEqual(got, all[2:]) {
			t.Errorf("since: %+v, %v", got, err)
		}
		if got, err := l.ResultsSince(ctx, minute(0), 1); err != nil || len(got) != 1 {
			t.Errorf("at most one: %+v, %v", got, err)
		}
	})
	t.Run("entries", func(t *testing.T) {
		said := plant.Entry{Said: minute(1), By: "li.wei", Why: "measured", Kind: plant.EntryIdealCycle, Key: "p/m", From: minute(0), Value: plant.RawJSON(`{"cycle": "2s"}`)}
		one, err := l.AddEntry(ctx, said)
		if err != nil || one.ID != 1 {
			t.Fatalf("%+v, %v", one, err)
		}
		undo := plant.Entry{Said: minute(2), By: "li.wei", Kind: said.Kind, Key: said.Key, From: said.From, Undoes: one.ID}
		two, err := l.AddEntry(ctx, undo)
		if err != nil || two.ID != 2 {
			t.Fatalf("%+v, %v", two, err)
		}
		if _, err := l.AddEntry(ctx, undo); !errors.Is(err, plant.ErrConflict) {
			t.Errorf("undone twice: %v", err)
		}
		if _, err := l.AddEntries(ctx, []plant.Entry{said, undo}); !errors.Is(err, plant.ErrConflict) {
			t.Errorf("all or none, one of them undone twice: %v", err)
		}
		if got, err := l.Entries(ctx, 0); err != nil || !reflect.DeepEqual(got, []plant.Entry{one, two}) {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err := l.Entries(ctx, 1); err != nil || len(got) != 1 {
			t.Errorf("after the first: %+v, %v", got, err)
		}
		for _, q := range []string{"UPDATE entries SET by = 'x'", "DELETE FROM entries"} {
			if _, err := l.db.write.ExecContext(ctx, q); err == nil {
				t.Errorf("%s is possible", q)
			}
		}
	})
	t.Run("audit", func(t *testing.T) {
		for i, what := range []string{"sign in", "reason"} {
			if err := l.SaveAudit(ctx, minute(i), "op", what, "", "jam"); err != nil {
				t.Fatal(err)
			}
		}
		got, err := l.Audits(ctx, plant.Span{From: minute(1), To: minute(2)})
		if want := []Audit{{At: minute(1), Who: "op", What: "reason", New: "jam"}}; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v", got, err)
		}
		for _, change := range []string{"UPDATE audit SET who = 'x'", "DELETE FROM audit"} {
			if _, err := l.db.write.Exec(change); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: %v", change, err)
			}
		}
	})
	t.Run("settings", func(t *testing.T) {
		if v, ok, err := l.Value(ctx, "k"); v != "" || ok || err != nil {
			t.Errorf("%q %t %v", v, ok, err)
		}
		for _, v := range []string{"1", "", "二"} {
			if err := l.SetValue(ctx, "k", v); err != nil {
				t.Fatal(err)
			}
			if got, ok, err := l.Value(ctx, "k"); got != v || !ok || err != nil {
				t.Errorf("%q %t %v, want %q", got, ok, err, v)
			}
		}
	})
	t.Run("signals", func(t *testing.T) {
		temperature, state := plant.Signal{Name: "temperature", Kind: plant.KindFloat, Unit: "°C"}, plant.Signal{Name: "state", Kind: plant.KindInteger}
		for _, s := range []plant.Signal{temperature, state, temperature} {
			if err := l.SaveSignal(ctx, s); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range []plant.Signal{{Name: "temperature", Kind: plant.KindInteger, Unit: "°C"}, {Name: "temperature", Kind: plant.KindFloat, Unit: "K"}} {
			if err := l.SaveSignal(ctx, s); !errors.Is(err, ErrSignalType) {
				t.Errorf("%+v: %v", s, err)
			}
		}
		for _, s := range []plant.Signal{{Name: "x"}, {Kind: plant.KindText}, {Name: "x", Kind: 9}} {
			if err := l.SaveSignal(ctx, s); err == nil {
				t.Errorf("%+v: no error", s)
			}
		}
		got, err := l.Signals(ctx)
		if want := []plant.Signal{state, temperature}; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("opened again", func(t *testing.T) {
		again := openLedger(t, path)
		if v, ok, err := again.Value(ctx, "k"); v != "二" || !ok || err != nil {
			t.Errorf("%q %t %v", v, ok, err)
		}
	})
}

// TestLedgerBesideItself: two openers, as of two processes, wait for each
// other.
func TestLedgerBesideItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	var wg sync.WaitGroup
	for range 2 {
		l := openLedger(t, path)
		wg.Go(func() {
			for i := range 50 {
				if err := l.SaveAudit(t.Context(), minute(i), "", "", "", ""); err != nil {
					t.Error(err)
				}
				if _, err := l.Audits(t.Context(), plant.Span{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := count(t, openLedger(t, path), "audit"); n != 100 {
		t.Errorf("%d entries, want 100", n)
	}
}

func TestOpenLedgerFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	put(t, path, strings.Repeat("no database ", 100))
	for path, want := range map[string]string{"": "the path is empty", path: "is damaged or is no SQLite file", path + "/x.db": "make its folder"} {
		if l, err := OpenLedger(t.Context(), path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", path, err, want)
			if l != nil {
				l.Close()
			}
		}
	}
}

// TestByHand runs the examples of docs/stores.md.
func TestByHand(t *testing.T) {
	text, err := os.ReadFile("../../docs/stores.md")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	h := openIn(t, folder)
	defer h.Close()
	at := minute(0)
	b := batchOf("a-calibration", plant.Reading{Signal: "temperature", Time: at, Value: plant.Float(1)}, plant.Reading{Signal: "temperature", Time: at + 1e9, Value: plant.Integer(1)})
	b[0].Complete = plant.Span{From: at, To: at + 1e9}
	if err := h.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	b[0].Readings[0].Time, b[0].Readings = at-1e9, b[0].Readings[:1]
	if err := h.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Seal(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	l := openLedger(t, filepath.Join(folder, "ledger.db"))
	if err := errors.Join(l.Save(t.Context(), []plant.Progress{{Machine: "m", From: at, Segments: []plant.Segment{segment(0, 1, plant.ClassRun)}}}),
		l.SaveAudit(t.Context(), at, "", "", "", "")); err != nil {
		t.Fatal(err)
	}
	n := 0
	for language, file := range map[string]string{"sql": "history.db", "ledger": "ledger.db"} {
		db, err := sql.Open("sqlite", filepath.Join(folder, file))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, part := range strings.Split(string(text), "```"+language+"\n")[1:] {
			query, _, _ := strings.Cut(part, "```")
			n++
			found, err := rows(t.Context(), db, func(r *sql.Rows) (bool, error) { return true, nil }, query)
			if err != nil || len(found) == 0 {
				t.Errorf("%d rows, %v:\n%s", len(found), err, query)
			}
		}
	}
	if n < 5 {
		t.Errorf("%d examples", n)
	}
}
