package gateway

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"linetwin/plant"
)

// audited drives a buffer by hand, and counts beside it what it is given.
type audited struct {
	protocol
	newest map[string]plant.Time // by signal, as this process knows it
	want   map[countKey]plant.Count
	kept   map[string]uint64 // number of the last report by book: the twin's ledger
	ledger map[countKey]plant.Count
	gaps   uint64 // readings in gaps that the ledger has
	now    time.Time
	copies []string // folders as a kill in the midst of a commit leaves them
}

func (a *audited) open() {
	a.protocol.open()
	a.newest = map[string]plant.Time{}
}

// make appends a batch whose times may repeat, go back, and lie in several minutes.
func (a *audited) make(t *rapid.T) {
	n := rapid.IntRange(0, 6).Draw(t, "readings")
	b := &plant.Batch{Machine: rapid.SampledFrom([]string{"press", "oven"}).Draw(t, "machine"), Complete: plant.Span{From: start, To: start + 1}}
	for range n {
		r := plant.Reading{Machine: b.Machine, Signal: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "signal"),
			Time: start.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "at")) * 5 * time.Second), Value: plant.Integer(1)}
		b.Readings = append(b.Readings, r)
		key := countKey{b.Machine, r.Time.Floor(time.Minute)}
		c := a.want[key]
		c.Made++
		signal := b.Machine + "/" + r.Signal
		newest, known := a.newest[signal]
		switch {
		case known && r.Time == newest:
			c.Repeated++
		case r.Time < newest || !known: // start is long before the process
			c.Late++
		}
		a.newest[signal] = max(newest, r.Time)
		a.want[key] = c
	}
	a.q.append(b, false)
}

// tell takes the first report to the ledger; its confirmation may get lost.
func (a *audited) tell(lost bool) {
	key, r := a.q.report()
	if r == nil {
		return
	}
	a.keep(r)
	if !lost {
		a.q.confirm(key)
	}
}

func (a *audited) keep(r *plant.CountReport) {
	if r.Number <= a.kept[r.Book] {
		return
	}
	a.kept[r.Book] = r.Number
	sum(a.ledger, r.Counts)
	for _, g := range r.Gaps {
		a.gaps += g.Readings
	}
}

func sum(to map[countKey]plant.Count, rows []plant.Count) {
	for i := range rows {
		key := countKey{rows[i].Machine, rows[i].Minute}
		c := to[key]
		c.Add(&plant.Count{Made: rows[i].Made, Repeated: rows[i].Repeated, Late: rows[i].Late, Dropped: rows[i].Dropped})
		to[key] = c
	}
}

// agree tells whether ledger, reports and what is open make up what was given.
func (a *audited) agree(*rapid.T) {
	got, gaps := maps.Clone(a.ledger), a.gaps
	for _, key := range a.q.book.waiting {
		r, err := a.q.store.report(key)
		if err != nil {
			a.t.Fatal(err)
		}
		if r.Number > a.kept[r.Book] {
			sum(got, r.Counts)
			for _, g := range r.Gaps {
				gaps += g.Readings
			}
		}
	}
	sum(got, a.q.book.rows())
	for _, g := range a.q.book.gaps {
		gaps += g.Readings
	}
	dropped := uint64(0)
	for key, c := range got {
		dropped += c.Dropped
		c.Dropped = 0
		if got[key] = c; c == (plant.Count{}) {
			delete(got, key)
		}
	}
	if !reflect.DeepEqual(got, a.want) {
		a.t.Fatalf("counted %v\nwant    %v", got, a.want)
	}
	if dropped != a.q.dropped || gaps != a.q.dropped || a.q.book.lost != 0 {
		a.t.Fatalf("%d dropped, %d by minute, %d in gaps, %d lost", a.q.dropped, dropped, gaps, a.q.book.lost)
	}
}

// commitKilled commits, and gives folders as kills in its midst would leave
// them: before its transaction, and after it with the tail as it was.
func (a *audited) commitKilled() {
	before, after := a.folderOf("before"), a.folderOf("after")
	a.q.freeSpace = func(string) (int64, bool) {
		a.crash(before, false)
		a.crash(after, false)
		return 0, false
	}
	a.c.settle()
	if err := a.c.commit(a.now, false); err != nil {
		a.t.Fatal(err)
	}
	a.q.freeSpace = freeDisk
	db, err := os.ReadFile(a.folder + "/buffer.db")
	if err == nil {
		err = os.WriteFile(after+"/buffer.db", db, 0o600)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	a.copies = []string{before, after}
}

func (a *audited) folderOf(name string) string {
	folder, err := os.MkdirTemp(a.parent, name)
	if err != nil {
		a.t.Fatal(err)
	}
	return folder
}

// killed goes on in another folder, as after kill -9.
func (a *audited) killed(folder string) {
	_ = a.q.tail.close()
	_ = a.q.store.close()
	_ = os.RemoveAll(a.folder)
	a.folder, a.cfg.Buffer.Folder = folder, folder
	a.open()
}

// TestCountsSurviveKills kills the process at any point, in the midst of
// commits too, loses confirmations and drops what is above a cap: what the
// ledger has, what is to be told and what is open is always what was made.
func TestCountsSurviveKills(t *testing.T) {
	parent := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		folder, err := os.MkdirTemp(parent, "")
		if err != nil {
			t.Fatal(err)
		}
		a := &audited{protocol: protocol{t: t, parent: parent, folder: folder, cfg: testConfig(folder), stored: map[int64]bool{}},
			want: map[countKey]plant.Count{}, kept: map[string]uint64{}, ledger: map[countKey]plant.Count{}, now: time.Now()}
		a.cfg.Buffer.MaxBytes = 400
		a.open()
		defer func() {
			_ = a.q.close()
			_ = os.RemoveAll(a.folder)
		}()
		flush := func() { a.tailSpace = a.q.flushTail(a.c.enc, a.tailSpace) }
		t.Repeat(map[string]func(*rapid.T){
			"make":       func(t *rapid.T) { a.make(t) },
			"write tail": func(*rapid.T) { flush() },
			"time":       func(t *rapid.T) { a.now = a.now.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "s")) * time.Second) },
			"commit":     func(*rapid.T) { flush(); a.commitKilled() },
			"tell":       func(t *rapid.T) { a.tell(rapid.Bool().Draw(t, "lost")) },
			"acknowledge": func(t *rapid.T) {
				a.q.acknowledge(plant.Acknowledgement{Through: a.q.lowest() + uint64(rapid.IntRange(0, 5).Draw(t, "n"))})
			},
			"kill -9": func(*rapid.T) {
				flush()
				next := a.folderOf("")
				a.crash(next, false)
				a.killed(next)
			},
			"kill -9 in a commit": func(t *rapid.T) {
				flush()
				a.commitKilled()
				// Which drops were written is known by the counter in the same transaction.
				a.killed(rapid.SampledFrom(a.copies).Draw(t, "when"))
			},
			"stop, start": func(*rapid.T) {
				if err := a.q.close(); err != nil {
					t.Fatal(err)
				}
				a.open()
			},
			"": a.agree,
		})
	})
}

func TestCountsOfABrokenDiskAreKept(t *testing.T) {
	h := open(t, testConfig(t.TempDir()))
	defer end(t, h)
	h.append(hundred(1), false)
	report := h.c.closeReport(time.Now().Add(time.Hour), false)
	if report == nil || len(h.book.open) != 0 {
		t.Fatalf("report %v, open %v", report, h.book.open)
	}
	h.c.keepReport(report, os.ErrPermission)
	if rows := h.book.rows(); len(rows) != 1 || rows[0].Made != 100 || h.book.number != 0 || len(h.book.waiting) != 0 {
		t.Errorf("open %v, number %d, waiting %v", rows, h.book.number, h.book.waiting)
	}
}

func TestClaimOfARoundThatLostAPart(t *testing.T) {
	cfg := testConfig(t.TempDir())
	h := open(t, cfg)
	b := &plant.Batch{Machine: "press", Complete: plant.Span{From: start, To: start.Add(time.Second)}}
	for i := range maxReadings + 10 {
		b.Readings = append(b.Readings, plant.Reading{Machine: "press", Signal: fmt.Sprint("s", i), Time: start.Add(time.Duration(i%900) * time.Millisecond), Value: plant.Integer(1)})
	}
	var lost losses
	parts := split(b)
	lost.batch(parts[0])
	h.book.lose(&lost)
	want := plant.Span{From: start.Add(899 * time.Millisecond), To: start.Add(time.Second)}
	if got := h.claim(parts[1]); got != want {
		t.Errorf("claim %v, want %v", got, want)
	}
	end(t, h)
	h = open(t, cfg) // also in the next process
	defer end(t, h)
	if got := h.claim(parts[1]); got != want {
		t.Errorf("after a restart: claim %v, want %v", got, want)
	}
	next := &plant.Batch{Machine: "press", Complete: plant.Span{From: want.To, To: want.To.Add(time.Second)}}
	if got := h.claim(next); got != next.Complete {
		t.Errorf("claim of the next round %v", got)
	}
}

func FuzzCounts(f *testing.F) {
	rows := []plant.Count{{Machine: "oven", Minute: start, Made: 3, Late: 1}, {Machine: "press", Minute: start.Add(time.Minute), Made: 1 << 40, Dropped: 7}}
	gaps := []plant.Gap{{Span: plant.Span{From: start, To: start + 5}, Readings: 9}}
	s := countsState{counted: 7, since: start, rows: rows, gaps: gaps, cuts: map[string]cut{"press": {from: start, newest: start + 1}}}
	f.Add(s.encode())
	s.placing = placingState{moved: []keptMove{{move{start, -time.Hour}, []plant.Range{{First: 3, Last: 5}, {First: 9, Last: 9}}}}, left: []plant.Range{{First: 4, Last: 4}}}
	f.Add(s.encode())
	f.Add(encodeReport(&plant.CountReport{Book: "b", Number: 3, Span: plant.Span{From: start, To: start + 9}, Counts: rows, Gaps: gaps}))
	f.Fuzz(func(t *testing.T, v []byte) {
		for _, v := range [][]byte{v, sealed(v)} { // a right checksum too
			if s, err := readCountsState(v); err == nil {
				again, err := readCountsState(s.encode())
				if err != nil || !reflect.DeepEqual(again, s) {
					t.Errorf("state %+v came back as %+v, %v", s, again, err)
				}
			}
			if r, err := decodeReport(v); err == nil {
				again, err := decodeReport(encodeReport(&r))
				if err != nil || !reflect.DeepEqual(again, r) {
					t.Errorf("report %+v came back as %+v, %v", r, again, err)
				}
			}
		}
	})
}

// countingWire confirms reports as a twin would, once it is told to.
type countingWire struct {
	*fakeWire
	reports chan plant.CountReport
}

func (w *countingWire) Counts(r *plant.CountReport) error {
	if !w.Online() {
		return plant.ErrOffline
	}
	w.reports <- *r
	return nil
}

func TestReportsAreToldUntilConfirmed(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Delivery.Resend = 100 * time.Millisecond
	wire := &countingWire{&fakeWire{offline: true}, make(chan plant.CountReport, 1000)}
	source := newSource()
	first := run(t, cfg, wire, press(source))
	for n := range int64(5) {
		source.rounds <- round(n)
	}
	until(t, "all is made", func() bool { return first.Status().Made == 5 })
	if err := first.stop(); err != nil { // which closes a report
		t.Fatal(err)
	}
	second := run(t, cfg, wire, press(newSource()))
	if s := second.Status(); s.ReportsWaiting != 1 || s.CountsLost != 0 {
		t.Fatalf("%d reports wait, %d are lost", s.ReportsWaiting, s.CountsLost)
	}
	wire.setOffline(false)
	one, again := <-wire.reports, <-wire.reports
	if one.Number != 1 || one.Gateway != "edge-1" || len(one.Counts) == 0 || !reflect.DeepEqual(one, again) {
		t.Errorf("told %+v, then %+v", one, again)
	}
	second.Confirm(plant.CountConfirmation{Book: "of another life", Number: 9})
	if r := <-wire.reports; r.Number != 1 {
		t.Errorf("a strange confirmation was taken: %+v", r)
	}
	second.Confirm(plant.CountConfirmation{Book: one.Book, Number: one.Number})
	until(t, "nothing is to be told", func() bool { return second.Status().ReportsWaiting == 0 })
	if err := second.stop(); err != nil {
		t.Fatal(err)
	}
	third := run(t, cfg, wire, press(newSource()))
	if s := third.Status(); s.ReportsWaiting != 0 {
		t.Errorf("%d reports wait after they were confirmed", s.ReportsWaiting)
	}
}
