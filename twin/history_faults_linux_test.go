package twin_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"linetwin/connectors/historytest"
	"linetwin/connectors/influx"
	"linetwin/connectors/sqlite"
	"linetwin/plant"
	"linetwin/twin"
)

// faultProxy stands before a real InfluxDB. A fault gets a write before the
// database does, and tells whether it has answered it.
type faultProxy struct {
	mu    sync.Mutex
	to    *url.URL
	fault func(w http.ResponseWriter, r *http.Request, pass http.Handler) (answered bool)
}

func (p *faultProxy) set(f func(w http.ResponseWriter, r *http.Request, pass http.Handler) bool) {
	p.mu.Lock()
	p.fault = f
	p.mu.Unlock()
}

func (p *faultProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	fault, to := p.fault, p.to
	p.mu.Unlock()
	pass := httputil.NewSingleHostReverseProxy(to)
	pass.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if fault == nil || !strings.HasSuffix(r.URL.Path, "/write") || !fault(w, r, pass) {
		pass.ServeHTTP(w, r)
	}
}

// answers makes a fault that is an answer.
func answers(status int, message string, header ...string) func(http.ResponseWriter, *http.Request, http.Handler) bool {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"code": "x", "message": %q}`, message)
		return true
	}
}

// resets makes a fault that hangs up, before or after the database has stored.
func resets(stored bool) func(http.ResponseWriter, *http.Request, http.Handler) bool {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) bool {
		if stored {
			pass.ServeHTTP(httptest.NewRecorder(), r)
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return false
		}
		_ = conn.(*net.TCPConn).SetLinger(0) // RST
		conn.Close()
		return true
	}
}

// influxRig is a twin on a real InfluxDB.
type influxRig struct {
	*rig
	store *influx.History
}

func startOn(t *testing.T, cfg influx.Config) *influxRig {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	r := &influxRig{rig: &rig{t: t, now: begin}}
	var err error
	if r.store, err = influx.Open(cfg, log); err != nil {
		t.Fatal(err)
	}
	if r.ledger, err = sqlite.OpenLedger(t.Context(), filepath.Join(t.TempDir(), "ledger.db")); err != nil {
		t.Fatal(err)
	}
	if r.twin, err = twin.New(siteConfig(t), twin.Options{History: r.store, Ledger: r.ledger, Log: log, Clock: r.clock}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.twin.Run(ctx, r) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		r.store.Close()
		r.ledger.Close()
	})
	r.twin.Birth(plant.GatewayBirth{Area: area, Gateway: gatewayID, Session: "s1", First: 1, Time: r.now})
	return r
}

const signalsEach = 10

// send delivers the batches after from, up to through.
func (r *influxRig) send(from, through uint64, historical bool) {
	for n := from + 1; n <= through; n++ {
		at := begin.Add(time.Duration(n) * 100 * time.Millisecond)
		b := &plant.Batch{Area: area, Gateway: gatewayID, Machine: "press", Sequence: n, Historical: historical,
			Complete: plant.Span{From: at.Add(-100 * time.Millisecond), To: at}}
		for i := range signalsEach {
			b.Readings = append(b.Readings, plant.Reading{Machine: "press", Signal: fmt.Sprint("s", i), Time: at, Value: plant.Integer(int64(n))})
		}
		r.twin.Batch(b)
	}
}

// has checks that all batches up to through are stored, and claimed.
func (r *influxRig) has(through uint64) {
	r.t.Helper()
	span := plant.Span{From: begin, To: begin.Add(time.Hour)}
	got, err := r.store.Record(r.t.Context(), "press", nil, span)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(got.Readings) != int(through)*signalsEach || len(got.Complete) != 1 || r.store.Quarantined() != 0 {
		r.t.Errorf("%d readings, complete %v, %d set aside; want %d, one span, none", len(got.Readings), got.Complete, r.store.Quarantined(), through*signalsEach)
	}
}

func (r *influxRig) notice(kind string) string {
	for _, n := range r.twin.Snapshot().Notices {
		if n.Kind == kind {
			return n.Text
		}
	}
	return ""
}

// TestInfluxFaults: a twin on a real InfluxDB under every fault that we know:
// nothing is acknowledged before it is stored, IT is told why in exact words,
// and afterwards each reading is there once.
func TestInfluxFaults(t *testing.T) {
	disk, small := smallDisk(t)
	d := historytest.StartInfluxdIn(t, disk)
	for i, c := range []struct {
		name  string
		fault func(p *faultProxy, lift chan struct{})
		told  string // in the notice while it lasts; "" where nothing fails
	}{
		{"unauthorised", status(answers(401, "unauthorized access")), "unauthorised: the token, or user and password, is refused (HTTP 401: unauthorized access)"},
		{"forbidden", status(answers(403, "no rights")), "forbidden: the token may not read and write this bucket (HTTP 403: no rights)"},
		{"no bucket", status(answers(404, `bucket "x" not found`)), `the bucket (1.8: database) is not there: create it (HTTP 404: bucket "x" not found)`},
		{"a proxy's 400", status(answers(400, "bad gateway settings")), "refused (HTTP 400: bad gateway settings)"},
		{"too often", status(answers(429, "slow down", "Retry-After", "1")), "the server limits the rate of requests (HTTP 429: slow down)"},
		{"broken", status(answers(500, "engine: write /x: no space left on device")), "the server's disk is full: make room, then start it again if it is 1.8 (HTTP 500: engine: write /x: no space left on device)"},
		{"unwell", status(answers(503, "queue full")), "the server is unwell (HTTP 503: queue full)"},
		{"no answer in time", func(p *faultProxy, lift chan struct{}) {
			p.set(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
				select {
				case <-lift:
				case <-r.Context().Done():
				}
				return false
			})
		}, "no answer within 1s"},
		{"reset before", status(resets(false)), "no answer: "},
		{"stored, then reset", status(resets(true)), "no answer: "},
		{"stored, answered too late", func(p *faultProxy, lift chan struct{}) {
			p.set(func(_ http.ResponseWriter, r *http.Request, pass http.Handler) bool {
				pass.ServeHTTP(httptest.NewRecorder(), r)
				select {
				case <-lift:
				case <-r.Context().Done():
				}
				return true
			})
		}, "no answer within 1s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &faultProxy{}
			p.to, _ = url.Parse(d.URL)
			server := httptest.NewServer(p)
			defer server.Close()
			database := fmt.Sprintf("faults%d", i)
			d.CreateDatabase(t, database)
			r := startOn(t, influx.Config{URL: server.URL, Database: database, Timeout: time.Second})
			r.send(0, 40, false)
			r.acknowledged(40)
			lift := make(chan struct{})
			c.fault(p, lift)
			r.send(40, 80, false)
			r.send(80, 100, true)
			r.eventually("notice: "+c.told, func() bool {
				return strings.Contains(r.notice("history"), "history does not store since ") && strings.Contains(r.notice("history"), c.told)
			})
			if ok, why := r.twin.Ready(); ok || !strings.Contains(strings.Join(why, "\n"), c.told) {
				t.Errorf("ready: %v %q", ok, why)
			}
			r.send(100, 120, false)
			r.send(60, 90, true) // the gateway sends again what nobody acknowledged
			r.mu.Lock()
			through := r.ack.Through
			r.mu.Unlock()
			if through != 40 {
				t.Errorf("acknowledged through %d while nothing is stored", through)
			}
			close(lift)
			p.set(nil)
			r.acknowledged(120)
			// The very last failure may have been another one: the proxy's 502, say,
			// for a connection that had idled too long.
			r.eventually("notice that it stores", func() bool {
				return strings.HasPrefix(r.notice("history"), "history stores again since ") && strings.Contains(r.notice("history"), "; before that: ")
			})
			r.has(120)
		})
	}
	t.Run("a signal becomes a float", func(t *testing.T) { typeChanges(t, d) })
	t.Run("disk full, then killed", func(t *testing.T) { fullAndKilled(t, d, disk, small) })
}

func status(f func(http.ResponseWriter, *http.Request, http.Handler) bool) func(*faultProxy, chan struct{}) {
	return func(p *faultProxy, _ chan struct{}) { p.set(f) }
}

// typeChanges: a controller's program makes a float of an integer. What
// InfluxDB refuses is kept in a file, is acknowledged, holds up nothing, and is
// stored under another name. So is what is older than it keeps, once it keeps
// longer.
func typeChanges(t *testing.T, d *historytest.Influxd) {
	d.Query(t, "", `CREATE DATABASE "types" WITH DURATION 24h NAME "day"`)
	r := startOn(t, influx.Config{URL: d.URL, Database: "types", Timeout: 10 * time.Second})
	aside, err := sqlite.OpenAside(t.Context(), filepath.Join(t.TempDir(), "quarantine.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer aside.Close()
	r.store.KeepAside(aside)
	now := plant.Stamp(time.Now())
	n := uint64(0)
	send := func(at plant.Time, v plant.Value) {
		n++
		r.twin.Batch(&plant.Batch{Area: area, Gateway: gatewayID, Machine: "press", Sequence: n, Readings: []plant.Reading{
			{Signal: "s", Time: at, Value: v}, {Signal: "other", Time: at, Value: plant.Integer(1)}}})
	}
	send(now.Add(-time.Minute), plant.Integer(1))
	r.acknowledged(1)
	for i := range 20 {
		send(now.Add(time.Duration(i-20)*time.Second), plant.Float(float64(i)+0.5))
	}
	send(now.Add(-48*time.Hour), plant.Integer(7))
	r.acknowledged(22)
	sum, err := aside.Quarantine(t.Context())
	if err != nil || sum.Waiting != 22 || len(sum.Groups) != 3 ||
		sum.Groups[0].Why != `partial write: field type conflict: input field "s" on measurement "reading" is type float, already exists as type integer` {
		t.Fatalf("%+v %v", sum, err)
	}
	done, err := aside.Retry(t.Context(), plant.QuarantineFilter{}, "", r.store.Write)
	if err != nil || done != (plant.Retried{Tried: 22, Refused: 22}) {
		t.Errorf("nothing is mended: %+v %v", done, err)
	}
	d.Query(t, "", `ALTER RETENTION POLICY "day" ON "types" DURATION INF`)
	done, err = aside.Retry(t.Context(), plant.QuarantineFilter{}, "", r.store.Write)
	if err != nil || done != (plant.Retried{Tried: 22, Stored: 2, Refused: 20}) {
		t.Errorf("kept longer: %+v %v", done, err)
	}
	done, err = aside.Retry(t.Context(), plant.QuarantineFilter{Machine: "press", Signal: "s"}, "s_float", r.store.Write)
	if err != nil || done != (plant.Retried{Tried: 20, Stored: 20}) {
		t.Errorf("under another name: %+v %v", done, err)
	}
	got, err := r.store.Record(t.Context(), "press", nil, plant.Span{From: now.Add(-72 * time.Hour), To: now + 1})
	if err != nil || len(got.Readings) != 44 {
		t.Errorf("%d readings, want 44; %v", len(got.Readings), err)
	}
}

// fullAndKilled: a real disk that is full, and a database that is killed while
// it is asked to write.
func fullAndKilled(t *testing.T, d *historytest.Influxd, disk string, small bool) {
	d.CreateDatabase(t, "full")
	r := startOn(t, influx.Config{URL: d.URL, Database: "full", Timeout: 10 * time.Second})
	r.send(0, 40, false)
	r.acknowledged(40)
	sent := uint64(40)
	if small {
		ballast := filepath.Join(disk, "ballast")
		fill(t, ballast)
		// The log of the database had some space that was its own.
		r.eventually("notice that the disk is full", func() bool {
			if sent < 8_000 {
				r.send(sent, sent+200, false)
				sent += 200
			}
			return strings.Contains(r.notice("history"), "the server's disk is full: make room, then start it again if it is 1.8 (HTTP 500: ")
		})
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	}
	// InfluxDB 1.8 holds on to the error of its log until it is started again.
	r.send(sent, sent+200, true)
	sent += 200
	d.Stop(t)
	r.send(sent, sent+200, false)
	sent += 200
	r.eventually("notice that it is away", func() bool { return strings.Contains(r.notice("history"), "no answer: ") })
	d.Start(t)
	r.acknowledged(sent)
	r.has(sent)
}

// smallDisk gives a folder on a disk of its own, where that can be made.
func smallDisk(t *testing.T) (folder string, small bool) {
	folder = t.TempDir()
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size=16m"); err != nil {
		t.Logf("a full disk is not tried, mounting a small one needs root: %v", err)
		return folder, false
	}
	t.Cleanup(func() {
		if err := unix.Unmount(folder, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return folder, true
}

// fill writes a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for {
		if _, err := f.Write(block); err != nil {
			if !errors.Is(err, unix.ENOSPC) {
				t.Fatal(err)
			}
			return
		}
	}
}
