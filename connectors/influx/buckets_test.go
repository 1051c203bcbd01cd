package influx

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"linetwin/plant"
)

// fakeTwo answers as an InfluxDB 2.x does about its buckets, as far as its
// interface's description tells; there is no such server to test with here.
type fakeTwo struct {
	mu      sync.Mutex
	buckets []map[string]any
	refuse  string   // a method that the token may not
	asked   []string // what changed something: method, path, body
	written []string // bucket and measurement
}

func (f *fakeTwo) add(org, name string, seconds, shard int) {
	f.buckets = append(f.buckets, map[string]any{"id": fmt.Sprintf("b%d", len(f.buckets)), "orgID": "id-" + org, "name": name,
		"retentionRules": []map[string]any{{"type": "expire", "everySeconds": seconds, "shardGroupDurationSeconds": shard}}})
}

func (f *fakeTwo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	answer := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	if r.URL.Path == "/api/v2/write" {
		f.written = append(f.written, r.URL.Query().Get("bucket"))
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if !strings.HasPrefix(r.URL.Path, "/api/v2/buckets") {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8") // a query finds nothing
		return
	}
	if r.Method != http.MethodGet {
		f.asked = append(f.asked, r.Method+" "+r.URL.Path+" "+strings.TrimSpace(string(body)))
	}
	if r.Method == f.refuse {
		answer(http.StatusForbidden, map[string]string{"code": "forbidden", "message": "insufficient permissions"})
		return
	}
	var sent struct {
		Name  string
		OrgID string
		Rules []map[string]any `json:"retentionRules"`
	}
	_ = json.Unmarshal(body, &sent)
	switch r.Method {
	case http.MethodGet:
		for _, b := range f.buckets {
			if b["name"] == r.URL.Query().Get("name") && b["orgID"] == "id-"+r.URL.Query().Get("org") {
				answer(http.StatusOK, map[string]any{"buckets": []any{b}})
				return
			}
		}
		answer(http.StatusNotFound, map[string]string{"code": "not found", "message": "bucket not found"})
	case http.MethodPost:
		b := map[string]any{"id": fmt.Sprintf("b%d", len(f.buckets)), "orgID": sent.OrgID, "name": sent.Name, "retentionRules": sent.Rules}
		f.buckets = append(f.buckets, b)
		answer(http.StatusCreated, b)
	case http.MethodPatch:
		for _, b := range f.buckets {
			if "/api/v2/buckets/"+b["id"].(string) == r.URL.Path {
				b["retentionRules"] = sent.Rules
				answer(http.StatusOK, b)
			}
		}
	}
}

// TestBuckets: what is asked of a 2.x.
func TestBuckets(t *testing.T) {
	const (
		day  = 24 * 3600
		made = `POST /api/v2/buckets {"name":"linetwin_minutes","orgID":"id-plant","retentionRules":[{"everySeconds":34560000}]}` + "\n" +
			`POST /api/v2/buckets {"name":"linetwin_hours","orgID":"id-plant","retentionRules":[{"everySeconds":0}]}`
	)
	for _, c := range []struct {
		name    string
		had     func(f *fakeTwo)
		shorten bool
		refuse  string
		asked   string
		err     string
		log     string
	}{
		{"made", func(f *fakeTwo) { f.add("plant", "linetwin", 40*day, 7*day) }, false, "", made, "", "influxdb bucket created"},
		{"lengthened", func(f *fakeTwo) { f.add("plant", "linetwin", 10*day, day) }, false, "",
			made + "\n" + `PATCH /api/v2/buckets/b1 {"name":"linetwin","retentionRules":[{"everySeconds":3456000}]}`, "", `from=240h to=960h key=history.influxdb.max_age`},
		{"not shortened", func(f *fakeTwo) { f.add("plant", "linetwin", 0, 7*day) }, false, "", made, "", `keeps="for ever" max_age=960h`},
		{"shortened", func(f *fakeTwo) { f.add("plant", "linetwin", 0, 70*day) }, true, "",
			made + "\n" + `PATCH /api/v2/buckets/b1 {"name":"linetwin","retentionRules":[{"everySeconds":3456000,"shardGroupDurationSeconds":86400}]}`, "", `from="for ever" to=960h`},
		{"all there", func(f *fakeTwo) {
			f.add("plant", "linetwin", 40*day, day)
			f.add("plant", "linetwin_minutes", 400*day, day)
			f.add("plant", "linetwin_hours", 7*day, day)
		}, true, "", "", "", ""},
		{"of another organization", func(f *fakeTwo) {}, true, "", "", "look for influxdb URL bucket linetwin: the bucket (1.8: database or retention policy) is not there: create it", ""},
		{"may not create", func(f *fakeTwo) { f.add("plant", "linetwin", 40*day, day) }, true, "POST",
			made[:strings.Index(made, "\n")], "create bucket linetwin_minutes of influxdb URL: forbidden: insufficient permissions: the token needs the right to read and write buckets of organization plant; " +
				`or do "influx bucket create --org 'plant' --name 'linetwin_minutes' --retention 9600h", and give LineTwin a token that may read and write that bucket too`, ""},
		{"may not change", func(f *fakeTwo) { f.add("plant", "linetwin", 0, 70*day) }, true, "PATCH",
			made + "\n" + `PATCH /api/v2/buckets/b1 {"name":"linetwin","retentionRules":[{"everySeconds":3456000,"shardGroupDurationSeconds":86400}]}`,
			"change how long bucket linetwin of influxdb URL keeps: forbidden: insufficient permissions: the token needs the right to write this bucket's settings (write:buckets); " +
				`or do "influx bucket update --id b1 --retention 960h --shard-group-duration 24h"`, ""},
		{"may not read", func(f *fakeTwo) {}, true, "GET", "", "ask how long bucket linetwin of influxdb URL keeps: forbidden: insufficient permissions: the token needs the right to read buckets of organization plant", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fakeTwo{refuse: c.refuse}
			f.add("other", "linetwin", day, day)
			c.had(f)
			server := httptest.NewServer(f)
			defer server.Close()
			h, log := opened(t, Config{URL: server.URL, Org: "plant", Bucket: "linetwin", Token: "t0ken", MaxAge: 960 * time.Hour, MinutesMaxAge: 9600 * time.Hour, Shorten: c.shorten})
			h.marked.Store(1) // as if all were summed up
			h.lifetimes.filled = 1
			now := readings(1)
			now[0].Readings[0].Time = plant.Stamp(time.Now())
			err := h.Write(t.Context(), now)
			if err == nil {
				err = h.keep(t.Context(), plant.At(time.Now()))
			}
			if got := ""; err != nil || c.err != "" {
				if err != nil {
					got = strings.ReplaceAll(err.Error(), server.URL, "URL")
				}
				if got != c.err {
					t.Errorf("%s\nwant %s", got, c.err)
				}
			}
			if got := strings.Join(f.asked, "\n"); got != c.asked {
				t.Errorf("asked\n%s\nwant\n%s", got, c.asked)
			}
			if !strings.Contains(log.String(), c.log) || strings.Contains(log.String(), "t0ken") {
				t.Errorf("log has no %s:\n%s", c.log, log)
			}
			if want := []string{"linetwin_hours", "linetwin"}; (c.err == "" || c.refuse == "PATCH") && !slices.Equal(f.written, want) {
				t.Errorf("written to %v, want %v", f.written, want)
			} else if c.refuse == "POST" && len(f.written) > 0 {
				t.Errorf("written to %v before it is ready", f.written)
			}
		})
	}
}
