package influx

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"linetwin/plant"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// answering gives a history whose server answers as told; answer gets the
// lines that were written.
func answering(t *testing.T, answer func(w http.ResponseWriter, body string)) *History {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(body)
			if err != nil {
				t.Error(err)
				return
			}
			body = z
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Influxdb-Version", "2.7.0")
		answer(w, string(text))
	}))
	t.Cleanup(server.Close)
	h, err := Open(Config{URL: server.URL, Org: "plant", Bucket: "linetwin", Token: "secret", Timeout: 5 * time.Second}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func say(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": "said", "message": message})
}

func readings(n int) []*plant.Batch {
	b := &plant.Batch{Area: "assembly", Line: "mcb-a", Gateway: "edge-1", Machine: "m"}
	for i := range n {
		b.Readings = append(b.Readings, plant.Reading{Machine: "m", Signal: "a", Time: plant.FromMilli(1_700_000_000_000 + int64(i)), Value: plant.Integer(int64(i))})
	}
	return []*plant.Batch{b}
}

func TestWhatMayPassIsReturned(t *testing.T) {
	for _, c := range []struct {
		name    string
		status  int
		message string
		header  [2]string
		want    string
		after   time.Duration
	}{
		{"unauthorised", 401, "unauthorized access", [2]string{}, "unauthorised: the token, or user and password, is refused (HTTP 401: unauthorized access)", 0},
		{"forbidden", 403, "insufficient permissions for write", [2]string{}, "forbidden: the token may not read and write this bucket (HTTP 403: insufficient permissions for write)", 0},
		{"no bucket", 404, `bucket "linetwin" not found`, [2]string{}, `the bucket (1.8: database) is not there: create it (HTTP 404: bucket "linetwin" not found)`, 0},
		{"elsewhere", 404, "page not found", [2]string{}, "nothing is at this address: is it InfluxDB 2.x or 1.8? (HTTP 404: page not found)", 0},
		{"too often", 429, "slow down", [2]string{"Retry-After", "7"}, "the server limits the rate of requests (HTTP 429: slow down)", 7 * time.Second},
		{"unwell", 503, "queue full", [2]string{"Retry-After", "30"}, "the server is unwell (HTTP 503: queue full)", 30 * time.Second},
		{"broken", 500, "engine: shard is disabled", [2]string{}, "the server is unwell (HTTP 500: engine: shard is disabled)", 0},
		{"a proxy's 400", 400, "bad request", [2]string{"X-Influxdb-Version", ""}, "refused (HTTP 400: bad request)", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := answering(t, func(w http.ResponseWriter, _ string) {
				if c.header[0] != "" {
					w.Header().Set(c.header[0], c.header[1])
				}
				say(w, c.status, c.message)
			})
			err := h.Write(t.Context(), readings(3))
			want := "write to " + h.where + ": " + c.want
			var e *Error
			if !errors.As(err, &e) || err.Error() != want || e.Status != c.status || e.RetryAfter != c.after {
				t.Errorf("%v\nwant %s, retry after %s", err, want, c.after)
			}
			if h.Quarantined() != 0 {
				t.Errorf("%d readings set aside", h.Quarantined())
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, e, h.cfg), "secret") {
				t.Error("the error tells the token")
			}
		})
	}
}

func TestNoAnswer(t *testing.T) {
	release := make(chan struct{})
	t.Run("in time", func(t *testing.T) {
		h := answering(t, func(http.ResponseWriter, string) { <-release })
		t.Cleanup(func() { close(release) })
		h.cfg.Timeout = 100 * time.Millisecond
		err := h.Write(t.Context(), readings(1))
		if !errors.Is(err, plant.ErrOffline) || !strings.HasSuffix(err.Error(), "no answer within 100ms") {
			t.Error(err)
		}
	})
	t.Run("at all", func(t *testing.T) {
		h, err := Open(Config{URL: "http://127.0.0.1:1", Database: "d"}, quiet())
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		for _, err := range []error{h.Write(t.Context(), readings(1)), h.Ping(t.Context())} {
			if !errors.Is(err, plant.ErrOffline) || !strings.Contains(err.Error(), "no answer: ") {
				t.Error(err)
			}
		}
	})
	t.Run("cut off", func(t *testing.T) {
		h := answering(t, func(w http.ResponseWriter, _ string) { panic(http.ErrAbortHandler) })
		if err := h.Write(t.Context(), readings(1)); !errors.Is(err, plant.ErrOffline) {
			t.Error(err)
		}
	})
	t.Run("canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		h := answering(t, func(http.ResponseWriter, string) { cancel() })
		if err := h.Write(ctx, readings(1)); err == nil {
			t.Skip("the answer was faster")
		} else if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestTooLarge: requests are halved until the server takes them.
func TestTooLarge(t *testing.T) {
	var stored, asked atomic.Int64
	h := answering(t, func(w http.ResponseWriter, body string) {
		asked.Add(1)
		if strings.HasPrefix(body, measurementHours) {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if len(body) > 5000 {
			say(w, http.StatusRequestEntityTooLarge, "too large")
			return
		}
		stored.Add(int64(strings.Count(body, "\n")))
		w.WriteHeader(http.StatusNoContent)
	})
	batches := readings(1000)
	batches[0].Readings = append(batches[0].Readings, plant.Reading{Signal: "t", Time: batches[0].Readings[999].Time + plant.Millisecond, Value: plant.Text(strings.Repeat("x", 6000))})
	if err := h.Write(t.Context(), batches); err != nil {
		t.Fatal(err)
	}
	if stored.Load() != 1000 || h.Quarantined() != 1 || asked.Load() > 100 {
		t.Errorf("%d lines stored, %d set aside, %d requests; want 1000, 1, some tens", stored.Load(), h.Quarantined(), asked.Load())
	}
}

// TestBadLinesAreFound: a server that names nothing refuses requests with any
// of some lines in them.
func TestBadLinesAreFound(t *testing.T) {
	stored := map[string]bool{}
	h := answering(t, func(w http.ResponseWriter, body string) {
		for line := range strings.Lines(body) {
			if strings.Contains(line, "7i ") {
				say(w, http.StatusUnprocessableEntity, "something in it is wrong")
				return
			}
		}
		for line := range strings.Lines(body) {
			if !strings.HasPrefix(line, measurementHours) {
				stored[line] = true
			}
		}
		w.WriteHeader(http.StatusNoContent)
	})
	aside := &failsOnce{}
	h.KeepAside(aside)
	if err := h.Write(t.Context(), readings(200)); err == nil || h.Quarantined() != 0 {
		t.Fatalf("%v, %d set aside although that failed", err, h.Quarantined())
	}
	if err := h.Write(t.Context(), readings(200)); err != nil {
		t.Fatal(err)
	}
	if len(stored) != 180 || h.Quarantined() != 20 {
		t.Errorf("%d lines stored, %d set aside; want 180 and 20", len(stored), h.Quarantined())
	}
	last, err := h.Quarantine(t.Context(), 1)
	if err != nil || len(last) != 1 || last[0].Value != plant.Integer(197) || last[0].Why != "something in it is wrong" {
		t.Errorf("%+v %v", last, err)
	}
	if len(aside.kept) != 20 || aside.kept[0].Gateway != "edge-1" || aside.kept[0].Kind != plant.KindInteger {
		t.Errorf("%+v", aside.kept)
	}
}

// failsOnce cannot keep anything the first time.
type failsOnce struct {
	calls int
	kept  []plant.Refused
}

func (f *failsOnce) SetAside(_ context.Context, r []plant.Refused) error {
	if f.calls++; f.calls == 1 {
		return errors.New("disk full")
	}
	f.kept = append(f.kept, r...)
	return nil
}

func TestQuarantineIsBounded(t *testing.T) {
	q := quarantine{log: quiet()}
	for i := range quarantineKept + 10 {
		if err := q.add(t.Context(), []plant.Refused{{Why: fmt.Sprint(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	last := q.last(quarantineKept * 2)
	if len(last) != quarantineKept || last[0].Why != "1009" || last[quarantineKept-1].Why != "10" || q.count.Load() != quarantineKept+10 {
		t.Errorf("%d kept from %s to %s, %d counted", len(last), last[0].Why, last[len(last)-1].Why, q.count.Load())
	}
}
