package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

func TestProblems(t *testing.T) {
	const lines = "there are: mcb-a, mcb-b, mcb-c, mcb-d, moulding"
	const aTimeText = "allowed: a time like 2026-03-02T08:00:00+08:00 or 2026-03-02T00:00:00Z (RFC 3339)"
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		detail                   string
	}{
		{"unknown line", "GET", "/api/v1/lines/mcb-z", "", 404, `no line "mcb-z"; ` + lines},
		{"unknown line of oee", "GET", "/api/v1/lines/mcb-z/oee", "", 404, `no line "mcb-z"; ` + lines},
		{"unknown line of timeline", "GET", "/api/v1/lines/mcb-z/timeline", "", 404, `no line "mcb-z"; ` + lines},
		{"unknown line of stops", "GET", "/api/v1/lines/mcb-z/stops", "", 404, `no line "mcb-z"; ` + lines},
		{"unknown line of events", "GET", "/api/v1/events?line=mcb-z", "", 404, `no line "mcb-z"; ` + lines},
		{"unknown area", "GET", "/api/v1/areas/paint/oee", "", 404, `no area "paint"; there is only assembly`},
		{"unknown machine of oee", "GET", "/api/v1/machines/x/oee?by=year", "", 404, `no machine "x"; there are: a-assembly, a-welding, a-riveting, a-calibration, a-trip-test, a-packing, b-assembly, b-welding, b-riveting, b-calibration, b-trip-test, b-packing, c-assembly, c-welding, c-riveting, c-calibration, c-trip-test, c-packing, d-assembly, d-welding, d-riveting, d-calibration, d-trip-test, d-packing, press-1, press-2`},
		{"unknown split of an area", "GET", "/api/v1/areas/assembly/oee?by=month", "", 400, `query.by: found "month", allowed: shift, hour, day, week, product, order`},
		{"too long by hour of the plant", "GET", "/api/v1/plant/oee?by=hour&from=2026-01-01T00:00:00Z", "", 400,
			`query.from: found "2026-01-01T00:00:00.000Z", allowed: at most 31 days before to, 2026-03-02T04:34:56.000Z`},
		{"too long a yield", "GET", "/api/v1/lines/mcb-a/yield?from=2026-03-01T03:00:00Z", "", 400, `query.from: found "2026-03-01T03:00:00.000Z", allowed: at most 1 days before to, 2026-03-02T04:34:56.000Z`},
		{"unknown line of yield", "GET", "/api/v1/lines/mcb-z/yield", "", 404, `no line "mcb-z"; ` + lines},
		{"unknown signal", "GET", "/api/v1/machines/a-riveting/readings?signal=heat", "", 404,
			`no signal "heat"; there are: temperature, force, good, speed, state, fault, door_closed, pressure, vibration, energy`},
		{"no signal", "GET", "/api/v1/machines/a-riveting/readings", "", 400,
			`query.signal: missing, allowed: temperature, force, good, speed, state, fault, door_closed, pressure, vibration, energy`},
		{"not a time", "GET", "/api/v1/lines/mcb-a/oee?from=yesterday", "", 400, `query.from: found "yesterday", ` + aTimeText},
		{"not a year that can be held", "GET", "/api/v1/alerts?to=9999-01-01T00:00:00Z", "", 400, `query.to: found "9999-01-01T00:00:00Z", ` + aTimeText},
		{"two wrong at once", "GET", "/api/v1/alerts?from=x&open=perhaps", "", 400, `query.from: found "x", ` + aTimeText + `; query.open: found "perhaps", allowed: true or false`},
		{"from after to", "GET", "/api/v1/lines/mcb-a/stops?from=2026-03-02T03:00:00Z&to=2026-03-02T02:00:00Z", "", 400,
			`query.from: found "2026-03-02T03:00:00Z", allowed: a time before to, 2026-03-02T02:00:00.000Z`},
		{"from equals to", "GET", "/api/v1/scorecard?from=2026-03-02T02:00:00Z&to=2026-03-02T02:00:00Z", "", 400,
			`query.from: found "2026-03-02T02:00:00Z", allowed: a time before to, 2026-03-02T02:00:00.000Z`},
		{"from in the future", "GET", "/api/v1/alerts?from=2026-03-02T05:00:00Z", "", 400,
			`query.from: found "2026-03-02T05:00:00Z", allowed: a time before now, 2026-03-02T04:34:56.000Z`},
		{"too long a span", "GET", "/api/v1/lines/mcb-a/timeline?from=2026-01-01T00:00:00Z", "", 400,
			`query.from: found "2026-01-01T00:00:00.000Z", allowed: at most 31 days before to, 2026-03-02T04:34:56.000Z`},
		{"too long by hour", "GET", "/api/v1/lines/mcb-a/oee?by=hour&from=2026-01-01T00:00:00Z", "", 400,
			`query.from: found "2026-01-01T00:00:00.000Z", allowed: at most 31 days before to, 2026-03-02T04:34:56.000Z`},
		{"unknown split", "GET", "/api/v1/lines/mcb-a/oee?by=month", "", 400, `query.by: found "month", allowed: shift, hour, day, week, product, order`},
		{"too many points", "GET", "/api/v1/machines/a-riveting/readings?signal=force&points=5001", "", 400, `query.points: found "5001", allowed: a whole number from 1 to 5000`},
		{"no points", "GET", "/api/v1/machines/a-riveting/readings?signal=force&points=many", "", 400, `query.points: found "many", allowed: a whole number from 1 to 5000`},
		{"unknown parameter", "GET", "/api/v1/lines/mcb-a/oee?form=1", "", 400, `query.form: unknown parameter, allowed: from, to, by`},
		{"no parameters", "GET", "/api/v1/lines?a=1", "", 400, `query.a: unknown parameter, allowed: no parameters`},
		{"given twice", "GET", "/api/v1/alerts?open=true&open=false", "", 400, `query.open: given 2 times, allowed: once`},
		{"not a whole minute", "GET", "/api/v1/audit?from=2026-03-02T03:00:30Z", "", 400, `query.from: found "2026-03-02T03:00:30.000Z", allowed: a whole minute`},
		{"audit of the future", "GET", "/api/v1/audit?from=2026-03-02T03:00:00Z&to=2026-03-02T05:00:00Z", "", 400, `query.to: found "2026-03-02T05:00:00.000Z", allowed: not after now, 2026-03-02T04:34:56.000Z`},
		{"too long an audit", "GET", "/api/v1/audit?from=2026-03-01T03:00:00Z&to=2026-03-02T04:00:00Z", "", 400, `query.from: found "2026-03-01T03:00:00.000Z", allowed: at most 1 days before to, 2026-03-02T04:00:00.000Z`},
		{"unknown gateway", "GET", "/api/v1/audit?gateway=edge-9", "", 404, `no gateway "edge-9"; there are: assembly/edge-1, assembly/edge-2, assembly/ignition-7`},
		{"unknown alert", "POST", "/api/v1/alerts/none/acknowledge", `{"by":"li"}`, 404, `no alert "none"; open ones are at /api/v1/alerts?open=true`},
		{"a name without a signal", "POST", "/api/v1/quarantine/retry", `{"as":"x"}`, 422, `body.signal: missing, allowed: the signal whose readings are to be stored as "x"`},
		{"a bad name", "POST", "/api/v1/quarantine/retry", `{"signal":"good","as":"a b"}`, 422, `body.as: found "a b", allowed: an identifier: 1 to 64 of a-z A-Z 0-9 _ -`},
		{"too many refused", "GET", "/api/v1/quarantine/readings?limit=0", "", 400, `query.limit: found "0", allowed: a whole number from 1 to 100000`},
		{"nobody", "POST", "/api/v1/alerts/none/acknowledge", `{"by":""}`, 422, `validation failed`},
		{"no body", "POST", "/api/v1/alerts/none/acknowledge", "", 400, `request body is required`},
		{"broken body", "POST", "/api/v1/alerts/none/acknowledge", `{"by`, 400, `validation failed`},
		{"unknown path", "GET", "/api/v1/losses", "", 404, `no path /api/v1/losses; the paths are described at /api/openapi.json`},
		{"wrong method", "DELETE", "/api/v1/lines", "", 405, `DELETE /api/v1/lines: found method DELETE, allowed: GET`},
		{"wrong method for an action", "GET", "/api/v1/alerts/a/acknowledge", "", 405, `GET /api/v1/alerts/a/acknowledge: found method GET, allowed: POST`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := serve(t)
			w := ask(s, c.method, c.path, c.body)
			var p struct {
				Title, Detail string
				Status        int
			}
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
				t.Fatalf("%v in %s", err, w.Body)
			}
			if w.Code != c.status || p.Status != c.status || p.Detail != c.detail || p.Title != http.StatusText(c.status) {
				t.Errorf("got %d %q\n%s\nwant %d\n%s", w.Code, p.Title, p.Detail, c.status, c.detail)
			}
			if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type %q", got)
			}
		})
	}
}

func TestUnknownMachineNamesAll(t *testing.T) {
	s, _ := serve(t)
	for _, path := range []string{"/api/v1/machines/x/signals", "/api/v1/machines/x/readings?signal=a", "/api/v1/events?machine=x"} {
		w := ask(s, "GET", path, "")
		if w.Code != 404 || !strings.Contains(w.Body.String(), `no machine \"x\"; there are: a-assembly, a-welding,`) || !strings.Contains(w.Body.String(), "press-2") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		path string
		want []string // parts of the body
	}{
		{"/healthz", []string{"ok"}},
		{"/readyz", []string{`{"ready":true,"why":["history fills"]}`}},
		{"/api/v1/lines", []string{`[{"id":"mcb-a","area":"assembly"`, `"id":"moulding"`, `"oee":null`}},
		{"/api/v1/lines/mcb-a", []string{`{"id":"mcb-a"`, `"cause":"a-riveting","fault":"feeder jam"`, `"class":"starved"`}},
		{"/api/v1/lines/moulding", []string{`"shift":null`, `"why":{`, `"oee":"no ideal cycle for press-1"`}},
		{"/api/v1/lines/mcb-a/oee", []string{`[{"from":"2026-03-01T23:00:00.000Z","to":"2026-03-02T04:34:56.000Z"`}},
		{"/api/v1/lines/mcb-a/oee?by=hour", []string{`"from":"2026-03-01T23:00:00.000Z","to":"2026-03-02T00:00:00.000Z"`, `"to":"2026-03-02T04:34:56.000Z"`}},
		{"/api/v1/lines/mcb-a/oee?from=2026-03-02T08:00:00+08:00&to=2026-03-02T10:00:00%2B08:00", []string{`[{"from":"2026-03-02T00:00:00.000Z","to":"2026-03-02T02:00:00.000Z"`}},
		{"/api/v1/lines/mcb-a/oee?to=2026-03-02T02:00:00Z", []string{`[{"from":"2026-03-01T18:00:00.000Z","to":"2026-03-02T02:00:00.000Z"`}},
		{"/api/v1/lines/mcb-a/timeline", []string{`{"from":"2026-03-01T20:34:56.000Z","to":"2026-03-02T04:34:56.000Z","shifts":[{"name":"day"`, `"machine":"a-packing"`, `"class":"blocked"`}},
		{"/api/v1/lines/mcb-a/stops", []string{`"machine":"a-riveting"`, `"open":true`}},
		{"/api/v1/machines/a-riveting/signals", []string{`[{"name":"temperature","kind":"float","unit":"°C","machine":"a-riveting"`, `"value":null,"quality":"bad","reason":"illegal data address (2)"`, `"state":"never"`}},
		{"/api/v1/machines/a-riveting/readings?signal=force&points=3", []string{`"mean":`, `[{"from":"2026-03-02T03:34:56.000Z"`}},
		{"/api/v1/alerts", []string{`"id":"old"`}},
		{"/api/v1/alerts?open=true", []string{`"id":"feeder-jam/a-riveting/1"`}},
		{"/api/v1/gateways", []string{`[{"area":"assembly","gateway":"edge-1"`, `"link":"stale"`, `"foreign":true`}},
		{"/api/v1/audit", []string{`{"from":"2026-03-02T03:34:00.000Z","to":"2026-03-02T04:34:00.000Z","proven":false,"sums":{"made":600,`, `"dropped":7`}},
		{"/api/v1/audit?gateway=edge-2&from=2026-03-02T01:00:00Z&to=2026-03-02T02:00:00Z", []string{`{"from":"2026-03-02T01:00:00.000Z"`, `"gateways":["assembly/edge-2"]`}},
		{"/api/v1/scorecard", []string{`{"from":"2026-02-23T04:34:56.000Z"`, `"source":"missing"`}},
		{"/api/v1/session", []string{`{"actions":true}`}},
		{"/api/v1/lines/mcb-a/losses", []string{`[{"class":"stop","small":false,"machine":"a-riveting","reason":"jam","stops":3,"seconds":1500,"share":0.75}`}},
		{"/api/v1/lines/mcb-a/yield", []string{`{"from":"2026-03-01T20:34:56.000Z","to":"2026-03-02T04:34:56.000Z","method":"serial","serials":1000,"passed":930,"fpy":0.93,"rty":0.93`}},
		{"/api/v1/areas", []string{`[{"id":"assembly","name":{"en":"Assembly","zh":"装配"},"lines":["mcb-a","mcb-b","mcb-c","mcb-d","moulding"]}]`}},
		{"/api/v1/areas/assembly/oee?by=day", []string{`[{"from":"2026-03-01T23:00:00.000Z","to":"2026-03-02T04:34:56.000Z"`}},
		{"/api/v1/plant/oee", []string{`[{"from":"2026-03-01T23:00:00.000Z","to":"2026-03-02T04:34:56.000Z"`, `"iso_22400":{"availability":`, `"changeover":{"count":1,`, `"mtbf_s":`, `"small_stop":"2m0s"`}},
		{"/api/v1/machines/a-riveting/oee", []string{`[{"from":"2026-03-01T23:00:00.000Z","to":"2026-03-02T04:34:56.000Z"`}},
		{"/api/v1/calendars", []string{`[{"id":"day","lines":["mcb-a"],"versions":[{"from":null,"calendar":{"zone":"Asia/Shanghai"}},{"from":"2026-03-02T00:00:00.000Z","entry":7,"calendar":{"zone":"Asia/Shanghai"}}]}]`}},
		{"/api/v1/products", []string{`[{"id":"C16","name":{"en":"C16","zh":"C16"},"cycles":[{"machine":"a-riveting","from":null,"cycle":"1.8s"},{"machine":"a-riveting","from":"2026-03-02T00:00:00.000Z","entry":8,"cycle":null}]}]`}},
		{"/api/v1/reasons", []string{`"id":"technical"`, `"children":[{"id":"jam","name":{"en":"Jam","zh":"卡料"},"class":"stop"}]`}},
	} {
		t.Run(c.path, func(t *testing.T) {
			s, _ := serve(t)
			w := ask(s, "GET", c.path, "")
			if w.Code != 200 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			for _, part := range c.want {
				if !strings.Contains(w.Body.String(), part) {
					t.Errorf("no %s in\n%.2000s", part, w.Body)
				}
			}
			if strings.HasPrefix(c.path, "/api/") && w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("cache control %q", w.Header().Get("Cache-Control"))
			}
		})
	}
	s, _ := serve(t)
	if w := ask(s, "GET", "/api/v1/alerts?open=true", ""); strings.Contains(w.Body.String(), `"id":"old"`) {
		t.Error("open=true gives a closed alert")
	}
}

func TestReadinessWithoutData(t *testing.T) {
	s, f := serve(t)
	f.quiet = false
	if w := ask(s, "GET", "/readyz", ""); w.Code != 503 || w.Body.String() != `{"ready":false,"why":["history fills"]}`+"\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestMetrics(t *testing.T) {
	s, f := serve(t)
	if w := ask(s, "GET", "/metrics", ""); w.Code != 404 || !strings.Contains(w.Body.String(), "this program keeps no metrics") {
		t.Errorf("without metrics: %d %s", w.Code, w.Body)
	}
	from := f.sources()
	from.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("up 1\n")) })
	s, err := New(DefaultConfig(), from, "1", s.log)
	if err != nil {
		t.Fatal(err)
	}
	if w := ask(s, "GET", "/metrics", ""); w.Body.String() != "up 1\n" {
		t.Errorf("with metrics: %s", w.Body)
	}
}

// failing is a source that cannot answer.
type failing struct {
	*fixture
	err error
}

func (f failing) Figures(context.Context, string, plant.Span, string) ([]plant.Figures, error) {
	return nil, f.err
}

func TestSourceFailures(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		status int
		detail string
	}{
		{"broken", errors.New("disk gone"), 500, "compute OEE of line mcb-a: disk gone"},
		{"away", fmt.Errorf("ask history: %w", plant.ErrOffline), 503, "compute OEE of line mcb-a: ask history: offline; try again"},
		{"too slow", context.DeadlineExceeded, 503, "compute OEE of line mcb-a: context deadline exceeded; try again"},
		{"gone meanwhile", plant.ErrNotFound, 404, `no line "mcb-a"; there are: mcb-a, mcb-b, mcb-c, mcb-d, moulding`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, f := serve(t)
			s.from.Plant = failing{f, c.err}
			w := ask(s, "GET", "/api/v1/lines/mcb-a/oee", "")
			var p struct{ Detail string }
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != c.status || p.Detail != c.detail {
				t.Errorf("%d %s, %v", w.Code, w.Body, err)
			}
		})
	}
}

// panicking is a source with a fault of its own.
type panicking struct{ *fixture }

func (panicking) Snapshot() plant.Snapshot { panic("broken") }

func TestPanicIsAnswered(t *testing.T) {
	s, f := serve(t)
	s.from.Plant = panicking{f}
	if w := ask(s, "GET", "/api/v1/lines", ""); w.Code != 500 || !strings.Contains(w.Body.String(), "LineTwin failed on this request") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

var update = flag.Bool("update", false, "write the golden files anew")

// TestGoldenOEE holds one window, byte for byte, and with it the field names
// that others rely on.
func TestGoldenOEE(t *testing.T) {
	s, _ := serve(t)
	w := ask(s, "GET", "/api/v1/lines/mcb-a/oee?from=2026-03-02T00:00:00Z&to=2026-03-02T04:00:00Z", "")
	var got bytes.Buffer
	if err := json.Indent(&got, w.Body.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "oee.json")
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("got\n%s\nwant\n%s", got.Bytes(), want)
	}
	var windows []map[string]any
	if err := json.Unmarshal(want, &windows); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields("from to planned_s known_s coverage run_s good reject total availability performance quality oee oee_low oee_high provisional revision losses") {
		if _, ok := windows[0][name]; !ok {
			t.Errorf("the contract's field %s is missing", name)
		}
	}
}

func TestOpenAPI(t *testing.T) {
	s, _ := serve(t)
	w := ask(s, "GET", "/api/openapi.json", "")
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Parameters []struct{ Name string }
		}
		Components struct {
			Schemas map[string]struct {
				Properties map[string]map[string]any
			}
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("openapi %q", doc.OpenAPI)
	}
	want := map[string][]string{
		"/api/v1/lines": {}, "/api/v1/lines/{line}": {"line"}, "/api/v1/lines/{line}/oee": {"line", "from", "to", "by"},
		"/api/v1/lines/{line}/timeline": {"line", "from", "to"}, "/api/v1/lines/{line}/stops": {"line", "from", "to"},
		"/api/v1/machines/{machine}/signals": {"machine"}, "/api/v1/machines/{machine}/readings": {"machine", "from", "to", "signal", "points"},
		"/api/v1/alerts": {"from", "to", "open"}, "/api/v1/alerts/{id}/acknowledge": {"id"}, "/api/v1/gateways": {},
		"/api/v1/scorecard": {"from", "to"}, "/api/v1/events": {"line", "machine"}, "/api/v1/session": {},
		"/api/v1/lines/{line}/losses": {"line", "from", "to"}, "/api/v1/reasons": {}, "/api/v1/areas": {}, "/api/v1/lines/{line}/yield": {"line", "from", "to"}, "/api/v1/areas/{area}/oee": {"area", "from", "to", "by"}, "/api/v1/plant/oee": {"from", "to", "by"}, "/api/v1/machines/{machine}/oee": {"machine", "from", "to", "by"}, "/api/v1/entries": {"kind", "key"}, "/api/v1/entries/preview": {}, "/api/v1/entries/csv": {"by", "kind", "preview", "why"}, "/api/v1/results": {"since", "most"},
		"/api/v1/calendars": {}, "/api/v1/products": {}, "/api/v1/recompute": {}, "/api/v1/audit": {"from", "to", "gateway"}, "/api/v1/quarantine": {}, "/api/v1/quarantine/readings": {"machine", "signal", "limit"}, "/api/v1/quarantine/retry": {},
	}
	manual, err := os.ReadFile(filepath.Join("..", "docs", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	for path, names := range want {
		for method, op := range doc.Paths[path] {
			if method == "post" && path == "/api/v1/entries" {
				continue // its parameters are in the body
			}
			want := names
			if method == "get" && path == "/api/v1/entries/csv" {
				want = []string{"kind"} // the others are of a POST
			}
			var got []string
			for _, p := range op.Parameters {
				got = append(got, p.Name)
			}
			if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
				t.Errorf("%s has parameters %v, want %v", path, got, want)
			}
		}
		methods := 1
		if path == "/api/v1/entries" || path == "/api/v1/entries/csv" {
			methods = 2
		}
		if len(doc.Paths[path]) != methods {
			t.Errorf("%s is described %d times", path, len(doc.Paths[path]))
		}
		if !bytes.Contains(manual, []byte("`"+path+"`")) {
			t.Errorf("docs/api.md does not tell of %s", path)
		}
	}
	if len(doc.Paths) != len(want) {
		t.Errorf("%d paths, want %d", len(doc.Paths), len(want))
	}
	figures := doc.Components.Schemas["Figures"].Properties
	if _, ok := figures["from"]; !ok || fmt.Sprint(figures["from"]["type"]) != "[string null]" || figures["Span"] != nil {
		t.Errorf("an OEE window's from is described as %v", figures["from"])
	}
}

func FuzzSpan(f *testing.F) {
	f.Add("2026-03-02T08:00:00+08:00", "2026-03-02T08:00:00Z")
	f.Add("2026-03-02T08:00:00 08:00", "")
	f.Add("", "x")
	f.Fuzz(func(t *testing.T, from, to string) {
		var bad faults
		s := bad.span(SpanInput{timeParam(from), timeParam(to)}, noon(), time.Hour, 400*day)
		if len(bad) == 0 && (s.Empty() || s.Length() > 400*day) {
			t.Errorf("%q to %q gave %v without a fault", from, to, s)
		}
	})
}
