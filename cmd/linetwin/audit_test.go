package main

import (
	"context"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"linetwin/configs"
	"linetwin/connectors/historytest"
	"linetwin/connectors/sparkplug"
	"linetwin/connectors/sqlite"
	"linetwin/gateway"
	"linetwin/plant"
)

// scripted is a device that finds the rounds it is given.
type scripted struct {
	rounds chan plant.Round
}

func (s *scripted) Next(ctx context.Context, into []plant.Reading) (plant.Round, error) {
	select {
	case <-ctx.Done():
		return plant.Round{}, ctx.Err()
	case r := <-s.rounds:
		r.Readings = append(into, r.Readings...)
		return r, nil
	}
}

func (s *scripted) Status() plant.DeviceStatus { return plant.DeviceStatus{Link: plant.LinkFlowing} }
func (s *scripted) Close() error               { return nil }

// auditBench is a twin and gateways in this process, with a real broker and store.
type auditBench struct {
	t        *testing.T
	dir      string
	settings string // file of the twin
	broker   string
	twin     func() // ends it
	signals  []plant.Signal
}

// pressSignals are those of the machine in pressing and overfull.
var pressSignals = []plant.Signal{{Name: "force", Kind: plant.KindFloat}, {Name: "good", Kind: plant.KindInteger}, {Name: "serial", Kind: plant.KindText}}

func newAuditBench(t *testing.T) *auditBench {
	return &auditBench{t: t, dir: t.TempDir(), broker: "tcp://" + freePort(t), signals: pressSignals}
}

// settle writes the twin's settings with a history, and gives the address of
// its pages.
func (b *auditBench) settle(history string) string {
	b.t.Helper()
	web := freePort(b.t)
	b.settings = filepath.Join(b.dir, "twin.yaml")
	text := fmt.Sprintf(`site: songjiang
zone: Asia/Shanghai
broker: {embedded: {listen: "%s", folder: "%s"}}
history: %s
ledger: {sqlite: "%s"}
web: {listen: "%s"}
calendars: {all: {shifts: [{name: day, start: "08:00", length: 8h}]}}
products: [{id: p, ideal_cycle: {press: 1s}}]
areas: [{id: assembly, lines: [{id: l, calendar: all, flow: [press], bottleneck: press, machines: [{id: press, roles: {good: good}}]}]}]
`, strings.TrimPrefix(b.broker, "tcp://"), filepath.Join(b.dir, "broker"), history, filepath.Join(b.dir, "ledger.db"), web)
	if err := os.WriteFile(b.settings, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return "http://" + web
}

func (b *auditBench) startTwin() {
	b.t.Helper()
	cfg, err := configs.LoadTwin(b.settings)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	role, err := newTwin(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		b.t.Fatal(err)
	}
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- role.run(ctx, func(url string) { ready <- url }) }()
	b.twin = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-ended, role.close()); err != nil {
			b.t.Error(err)
		}
	})
	b.t.Cleanup(b.twin)
	<-ready
}

// gateway runs one whose machine finds the rounds; it gives how to end it.
func (b *auditBench) gateway(name, machine string, rounds ...plant.Round) (*gateway.Gateway, func()) {
	b.t.Helper()
	cfg := gateway.DefaultConfig()
	cfg.Area, cfg.Gateway, cfg.Version = "assembly", name, "test"
	cfg.Buffer.Folder, cfg.Buffer.MaxBytes, cfg.Buffer.MinFreeDisk = filepath.Join(b.dir, name), 1<<20, 1
	cfg.Buffer.Sync, cfg.Delivery.Resend = 100*time.Millisecond, 2*time.Second
	source := &scripted{rounds: make(chan plant.Round, len(rounds)+1)}
	for _, r := range rounds {
		source.rounds <- r
	}
	core, err := gateway.New(cfg, []gateway.Device{{Machine: machine, Signals: b.signals, Source: source}}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.t.Fatal(err)
	}
	wire := sparkplug.EdgeConfig{Area: "assembly", Gateway: name, Connection: sparkplug.Connection{Brokers: []string{b.broker}}}
	if faults := wire.Check(); len(faults) > 0 {
		b.t.Fatal(faults)
	}
	edge, err := sparkplug.NewEdge(wire, core, slog.New(slog.DiscardHandler))
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- together(ctx, func(ctx context.Context) error { return core.Run(ctx, edge) }, edge.Run)
	}()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	})
	b.t.Cleanup(stop)
	eventually(b.t, name+" has taken all rounds", func() bool { return len(source.rounds) == 0 })
	return core, stop
}

// told runs a gateway until all that it has is stored and counted.
func (b *auditBench) told(name, machine string, rounds ...plant.Round) {
	b.t.Helper()
	_, stop := b.gateway(name, machine, rounds...)
	stop() // what is counted is closed into a report
	g, stop := b.gateway(name, machine)
	eventually(b.t, name+" has told all", func() bool {
		s := g.Status()
		return s.Waiting == 0 && s.ReportsWaiting == 0
	})
	stop()
}

func (b *auditBench) audit(span plant.Span, args ...string) (plant.Audit, error) {
	b.t.Helper()
	args = append([]string{"audit", b.settings, "--from", span.From.Std().Format(time.RFC3339), "--to", span.To.Std().Format(time.RFC3339), "--output", "json"}, args...)
	out, errs, err := command(b.t.Context(), args...)
	var a plant.Audit
	if json.Unmarshal([]byte(out), &a) != nil {
		b.t.Fatalf("%v\n%s\n%s", err, out, errs)
	}
	return a, err
}

// pressing gives rounds of ten minutes, each of whose readings is a new one.
func pressing(from plant.Time) []plant.Round {
	var rounds []plant.Round
	for i := range 100 {
		at := from.Add(time.Duration(i) * 6 * time.Second)
		r := plant.Round{Through: at}
		r.Readings = append(r.Readings, plant.Reading{Signal: "force", Time: at, Value: plant.Float(float64(i) / 3)},
			plant.Reading{Signal: "good", Time: at + plant.Millisecond, Value: plant.Integer(int64(i))})
		if i%10 == 3 { // a second value in the same millisecond takes the place of the first
			r.Readings = append(r.Readings, plant.Reading{Signal: "good", Time: at + plant.Millisecond, Value: plant.Integer(int64(-i))})
		}
		rounds = append(rounds, r)
	}
	return rounds
}

// overfull gives rounds that are more than the buffer's cap holds.
func overfull(from plant.Time) []plant.Round {
	var rounds []plant.Round
	for i := range 300 {
		r := plant.Round{Through: from.Add(time.Duration(i) * 2 * time.Second)}
		for j := range 200 {
			text := strconv.FormatUint(rand.Uint64(), 36) + strconv.FormatUint(rand.Uint64(), 36)
			r.Readings = append(r.Readings, plant.Reading{Signal: "serial", Time: r.Through + plant.Time(j)*plant.Millisecond, Value: plant.Text(text)})
		}
		rounds = append(rounds, r)
	}
	return rounds
}

// TestAudit loses readings on purpose: one is deleted from history, and a cap
// drops a range. The audit names just these. History refuses others, which the
// quarantine keeps.
func TestAudit(t *testing.T) {
	for name, prepare := range map[string]func(b *auditBench) (history string, remove func(at plant.Time)){
		"embedded store": embeddedHistory,
		"InfluxDB":       influxHistory,
	} {
		t.Run(name, func(t *testing.T) {
			b := newAuditBench(t)
			history, remove := prepare(b)
			url := b.settle(history)
			from := plant.At(time.Now()).Floor(time.Hour).Add(-2 * time.Hour)
			span := plant.Span{From: from, To: from.Add(time.Hour)}
			b.refusals(span)
			b.startTwin()
			b.deleted(span, remove)
			later := plant.Span{From: span.To, To: span.To.Add(30 * time.Minute)}
			b.refused(url, later)
			b.capped(plant.Span{From: span.From.Add(20 * time.Minute), To: span.To})
			b.storedAgain(later)
		})
	}
}

// audited holds what the gateways of a factory made in whole minutes, over all
// that was done to it, against its history.
func (f *factory) audited(began plant.Time) {
	t := f.t
	t.Helper()
	// Of the minute in which they began, gateways have told a part only.
	from := began.Floor(time.Minute).Add(time.Minute)
	span := plant.Span{From: from, To: plant.At(time.Now()).Floor(time.Minute)}
	var a plant.Audit
	var asked error
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last audit: %v, gateways %+v, %+v", asked, a.Gateways, a.Sums)
		}
	})
	eventually(t, "the gateways have told their counts", func() bool {
		if span.Empty() { // its first whole minute is not over
			span.To = plant.At(time.Now()).Floor(time.Minute)
			return false
		}
		q := url.Values{"from": {span.From.String()}, "to": {span.To.String()}}
		a = plant.Audit{} // what an answer leaves out would stay from the one before
		if asked = ask(t.Context(), http.MethodGet, f.api+"/api/v1/audit?"+q.Encode(), nil, &a); asked != nil {
			return false
		}
		told := 0
		for _, g := range a.Gateways {
			if g.Problem == "" {
				told++
			}
		}
		return told == len(f.edges)
	})
	// What had just been sent when a gateway was killed may be in history alone.
	const inFlight = 200
	if s := &a.Sums; s.Made == 0 || s.Missing() > 0 || s.Surplus > inFlight {
		t.Errorf("audit: %+v\n%+v", a.Sums, a.Differences)
	}
	t.Logf("audit of %s to %s: %+v", span.From, span.To, a.Sums)
}

// refusals are answers to audits that cannot be made.
func (b *auditBench) refusals(span plant.Span) {
	b.t.Helper()
	for want, args := range map[string][]string{
		"ask the twin, is it running?":        {},
		`--from: found "yesterday", allowed:`: {"--from", "yesterday"},
		"allowed: a time before --to":         {"--from", "1h", "--to", "2h"},
		"allowed: not after now":              {"--to", "2099-01-01T00:00:00Z"},
		`--output: found "xml"`:               {"--output", "xml"},
	} {
		if _, _, err := command(b.t.Context(), append([]string{"audit", b.settings}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			b.t.Errorf("%v: error %v, want %s", args, err, want)
		}
	}
}

func (b *auditBench) deleted(span plant.Span, remove func(at plant.Time)) {
	t := b.t
	t.Helper()
	b.told("edge-1", "press", pressing(span.From)...)
	a, err := b.audit(span)
	// Of its time only minutes that were over before the gateway began could not
	// be told to be whole.
	if len(a.Differences) != 0 || a.Sums.Made != 210 || a.Sums.Repeated != 10 || a.Sums.Stored != 200 || a.Sums.Missing() != 0 {
		t.Fatalf("nothing is lost: %+v", a)
	}
	var code exitError
	if !errors.As(err, &code) || code.code != 2 || len(a.Gateways) != 1 || !strings.Contains(a.Gateways[0].Problem, "which is none of this span") {
		t.Errorf("error %v, gateways %+v", err, a.Gateways)
	}
	remove(span.From.Add(4*time.Minute + 12*time.Second))
	a, _ = b.audit(span)
	if len(a.Differences) != 1 {
		t.Fatalf("one reading was deleted: %+v", a)
	}
	d := a.Differences[0]
	minute := plant.Span{From: span.From.Add(4 * time.Minute), To: span.From.Add(5 * time.Minute)}
	if d.Machine != "press" || d.Span != minute || d.Unexplained != 1 || d.Missing() != 1 || d.Surplus+d.Uncounted != 0 || d.Made != 21 || d.Stored != 19 || fmt.Sprint(d.Gateways) != "[assembly/edge-1]" {
		t.Errorf("one reading was deleted: %+v", d)
	}
	out, _, _ := command(t.Context(), "audit", b.settings, "--from", span.From.Std().Format(time.RFC3339), "--to", span.To.Std().Format(time.RFC3339), "--output", "csv", "--gateway", "assembly/edge-1")
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][0] != "press" || rows[1][11] != "1" {
		t.Errorf("as CSV: %v %q", err, out)
	}
	if _, _, err := command(t.Context(), "audit", b.settings, "--gateway", "edge-7"); err == nil || !strings.Contains(err.Error(), `no gateway "edge-7"; there is only assembly/edge-1`) {
		t.Errorf("unknown gateway: %v", err)
	}
}

func (b *auditBench) capped(span plant.Span) {
	t := b.t
	t.Helper()
	b.twin()
	g, stop := b.gateway("edge-2", "oven", overfull(span.From)...)
	eventually(t, "the cap drops readings", func() bool { return g.Status().Dropped > 0 && g.Status().BufferBytes > 0 })
	stop()
	b.startTwin()
	b.told("edge-2", "oven")
	a, _ := b.audit(span, "--gateway", "edge-2")
	g, stop = b.gateway("edge-2", "oven")
	dropped := g.Status().Dropped
	stop()
	if dropped == 0 || a.Sums.Dropped != dropped || a.Sums.Missing() != dropped || a.Sums.Made != 60_000 || a.Sums.Stored != 60_000-dropped || a.Sums.Surplus+a.Sums.Uncounted != 0 {
		t.Errorf("%d dropped: %+v", dropped, a.Sums)
	}
	for _, d := range a.Differences {
		if d.Machine != "oven" || d.Unexplained+d.Waiting+d.Quarantined > 0 {
			t.Errorf("difference %+v", d)
		}
	}
	if len(a.Gaps) != 1 || a.Gaps[0].Machine != "oven" || a.Gaps[0].Readings != dropped || a.Gaps[0].From < span.From || a.Gaps[0].To > a.Differences[len(a.Differences)-1].To {
		t.Errorf("gaps %+v", a.Gaps)
	}
	b.unknown(span, &a)
}

// unknown holds what is claimed to be complete against what was dropped.
func (b *auditBench) unknown(span plant.Span, a *plant.Audit) {
	b.t.Helper()
	record := b.record("oven", nil, span)
	if len(record.Complete) == 0 {
		b.t.Fatal("nothing is claimed to be complete")
	}
	for _, c := range record.Complete {
		c.From++ // a claim begins behind its From
		if !c.Overlap(plant.Span{From: a.Gaps[0].From, To: a.Gaps[0].To - plant.Millisecond + 1}).Empty() {
			b.t.Errorf("claim %v to %v lies in the gap %v to %v", c.From, c.To, a.Gaps[0].From, a.Gaps[0].To)
		}
	}
}

// record ends the twin, and reads what its history has of a machine.
func (b *auditBench) record(machine string, signals []string, span plant.Span) plant.Record {
	b.t.Helper()
	cfg, err := configs.LoadTwin(b.settings)
	if err != nil {
		b.t.Fatal(err)
	}
	b.twin()
	role := &twinRole{cfg: cfg, log: slog.New(slog.DiscardHandler), meters: newMeters()}
	defer role.close()
	store, err := role.openHistory(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	record, err := store.Record(b.t.Context(), machine, signals, span)
	if err != nil {
		b.t.Fatal(err)
	}
	return record
}

// embeddedHistory removes a reading by hand from the file that a twin has open:
// what is compressed becomes rows again, all but those of one time.
func embeddedHistory(b *auditBench) (string, func(plant.Time)) {
	folder := filepath.Join(b.dir, "history")
	return fmt.Sprintf(`{embedded: {folder: "%s"}}`, folder), func(at plant.Time) {
		db, err := sql.Open("sqlite", filepath.Join(folder, "history.db")+"?_pragma=busy_timeout(10000)")
		if err != nil {
			b.t.Fatal(err)
		}
		defer db.Close()
		change := func(statement string, args ...any) {
			b.t.Helper()
			if _, err := db.Exec(statement, args...); err != nil {
				b.t.Fatal(err)
			}
		}
		copied := b.t.TempDir()
		change("VACUUM INTO ?", filepath.Join(copied, "history.db"))
		h, err := sqlite.OpenHistory(b.t.Context(), sqlite.HistoryConfig{Folder: copied}, slog.New(slog.DiscardHandler))
		if err != nil {
			b.t.Fatal(err)
		}
		defer h.Close()
		record, err := h.Record(b.t.Context(), "press", nil, plant.Span{From: 1, To: plant.At(time.Now())})
		if err != nil {
			b.t.Fatal(err)
		}
		for _, table := range []string{"readings", "pieces", "chunks"} {
			change("DELETE FROM " + table)
		}
		for _, r := range record.Readings {
			if r.Time != at {
				change("INSERT INTO readings SELECT id, ?, NULL, 2, NULL FROM signals WHERE name = ?", r.Time.Milli(), r.Signal)
			}
		}
	}
}

func influxHistory(b *auditBench) (string, func(plant.Time)) {
	server := historytest.StartInfluxd(b.t)
	server.CreateDatabase(b.t, database)
	return fmt.Sprintf(`{influxdb: {url: "%s", database: %s, quarantine: "%s"}}`, server.URL, database, filepath.Join(b.dir, "quarantine.db")), func(at plant.Time) {
		q := url.Values{"db": {database}, "q": {fmt.Sprintf(`DELETE FROM "reading" WHERE "machine" = 'press' AND time = %d`, at)}}
		res, err := http.Post(server.URL+"/query?"+q.Encode(), "", nil)
		if err != nil {
			b.t.Fatal(err)
		}
		res.Body.Close()
	}
}
