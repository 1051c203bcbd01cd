package influx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	client "github.com/influxdata/influxdb-client-go/v2"
	"github.com/influxdata/influxdb-client-go/v2/api"

	"linetwin/plant"
)

// History is the readings in an InfluxDB bucket. All methods may be called
// from several goroutines. Nothing is retried and nothing kept here: an error
// means that the caller does it again later, and every write may be repeated.
//
// A reading is known by machine, signal and time. Where two contradict each
// other at one time, one with a value beats one without, else the later
// written one stays.
type History struct {
	cfg     Config
	log     *slog.Logger
	where   string // server and bucket, for errors
	org     string
	bucket  string // of readings
	minutes string // buckets of minutes and hours; the same where no lifetimes are given
	hours   string
	http    *http.Client
	client  client.Client
	writers map[string]api.WriteAPIBlocking // by bucket
	keeper  keeper
	scratch sync.Pool // of *request
	aside   quarantine
	due     due

	lifetimes lifetimes
	figuring  sync.Mutex // figures are written, or moved

	aggregating sync.Mutex
	recalled    bool         // what an earlier process left due is known
	marked      atomic.Int64 // since when hours are marked (plant.Time); 0: not known yet
}

// Open makes the history of a bucket. It reads cfg.CA and dials nobody: Ping
// tells whether the database is there.
func Open(cfg Config, log *slog.Logger) (*History, error) {
	if faults := cfg.Check(); len(faults) > 0 {
		return nil, fmt.Errorf("open influxdb history: %s", faults[0])
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: cfg.Timeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: cfg.Timeout,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     90 * time.Second,
	}
	if cfg.CA != "" {
		pem, err := os.ReadFile(cfg.CA)
		if err != nil {
			return nil, fmt.Errorf("open influxdb history: read ca: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("open influxdb history: ca %s: no certificate in PEM", cfg.CA)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	org, bucket, token := cfg.place()
	h := &History{
		cfg: cfg, log: log, org: org, bucket: bucket,
		where: fmt.Sprintf("influxdb %s bucket %s", cfg.URL, bucket),
		http:  &http.Client{Transport: transport},
	}
	options := client.DefaultOptions().SetHTTPClient(h.http).SetUseGZip(true).SetPrecision(time.Millisecond).SetApplicationName("linetwin")
	h.client = client.NewClientWithOptions(cfg.URL, token, options)
	h.minutes, h.hours = cfg.aggregates()
	h.writers = map[string]api.WriteAPIBlocking{}
	for _, b := range []string{h.bucket, h.minutes, h.hours} {
		h.writers[b] = h.client.WriteAPIBlocking(org, b)
	}
	h.keeper = buckets{h.client, org, bucket}
	if cfg.Database != "" {
		h.keeper = policies{&h.cfg, h.http}
	}
	h.lifetimes.set, h.lifetimes.seen = map[string]bool{}, map[string]keeping{}
	h.scratch.New = func() any { return &request{} }
	h.aside.log = log
	h.due.writing, h.due.waiting = map[hourOf]int{}, map[hourOf]int64{}
	return h, nil
}

// Close gives the connections up.
func (h *History) Close() error {
	h.client.Close()
	h.http.CloseIdleConnections()
	return nil
}

// Ping asks the database for nothing, which tells whether it can be reached,
// lets us in, has the bucket and answers queries. It makes the buckets of minutes
// and hours where lifetimes are given.
func (h *History) Ping(ctx context.Context) error {
	if err := h.ready(ctx); err != nil {
		return err
	}
	return h.query(ctx, "ask", "from(bucket: "+quote(h.bucket)+") |> range(start: -1s) |> limit(n: 1)", func(row) error { return nil })
}

// Quarantined gives how many readings were set aside since Open. One that is
// sent again counts again.
func (h *History) Quarantined() int64 { return h.aside.count.Load() }

// Quarantine gives the readings that were set aside last, the latest first: at
// most a thousand, those since Open. Who KeepAside names has them all.
func (h *History) Quarantine(_ context.Context, limit int) ([]plant.Refused, error) {
	return h.aside.last(limit), nil
}
