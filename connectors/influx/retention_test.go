package influx

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"linetwin/plant"
)

func TestBucketAge(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		rules  string
		want   time.Duration
	}{
		{"for a day", 200, `{"type":"expire","everySeconds":86400}`, 24 * time.Hour},
		{"for ever", 200, `{"type":"expire","everySeconds":0}`, 0},
		{"no rule", 200, "", 0},
		{"no right", 401, "", 0},
	} {
		h := answering(t, func(w http.ResponseWriter, _ string) {
			if c.status != 200 {
				say(w, c.status, "unauthorized access")
				return
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"buckets":[{"id":"0000000000000001","name":"linetwin","orgID":"0000000000000002","retentionRules":[%s]}]}`, c.rules)
		})
		before := plant.At(time.Now())
		from, err := h.CountedFrom(t.Context(), "m")
		if err != nil || c.want == 0 && from != 0 || c.want > 0 && (from < before.Add(-c.want) || from > plant.At(time.Now()).Add(-c.want)) {
			t.Errorf("%s: counted from %s, %v", c.name, from, err)
		}
	}
	for _, cfg := range []Config{{Database: "d"}, {Org: "o", Bucket: "b", Token: "t"}} {
		cfg.URL = "http://127.0.0.1:1"
		h, err := Open(cfg, quiet())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.CountedFrom(t.Context(), "m"); !errors.Is(err, plant.ErrOffline) {
			t.Errorf("nobody answers: %v", err)
		}
		h.Close()
	}
}

func FuzzReadPolicies(f *testing.F) {
	f.Add([]byte(`{"results":[{"series":[{"columns":["name","duration","shardGroupDuration","replicaN","default"],"values":[["day","24h0m0s","1h0m0s",1,true]]}]}]}`))
	f.Add([]byte(`{"results":[{"series":[{"columns":["name","duration"],"values":[["day"]]}]}]}`))
	f.Add([]byte(`{"results":[{"error":"database not found: d"}]}`))
	f.Add([]byte(`not authorized`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if all, err := readPolicies(text); err != nil && all != nil {
			t.Errorf("%v and %v", all, err)
		}
	})
}
