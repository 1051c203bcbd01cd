package web

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"linetwin/plant"
)

func (f *fixture) Table(kind plant.EntryKind) ([]byte, error) {
	if kind != plant.EntryOrder {
		return nil, wrong{{Key: "kind", Found: string(kind), Allowed: "order"}}
	}
	return []byte("id\r\n4711\r\n"), nil
}

func (f *fixture) TellTable(_ context.Context, in plant.Table) (plant.TableTaken, error) {
	if in.By == "" || string(in.Text) != "id\r\n4711\r\n" {
		return plant.TableTaken{}, wrong{{Key: "by", Allowed: "who says so"}, {Key: "line 2, id", Found: string(in.Text), Allowed: "4711"}}
	}
	taken := plant.TableTaken{Taken: []plant.Entry{}, Unchanged: 1}
	if in.Dry {
		taken.Effects = []plant.Effect{{Line: in.Why}}
	}
	return taken, nil
}

func TestTables(t *testing.T) {
	s, _ := serve(t)
	w := ask(s, "GET", "/api/v1/entries/csv?kind=order", "")
	if got := w.Header().Get("Content-Type"); w.Code != 200 || !strings.HasPrefix(got, "text/csv; charset=utf-8") || w.Body.String() != "id\r\n4711\r\n" {
		t.Errorf("%d %s %q", w.Code, got, w.Body)
	}
	file := w.Body.String()
	for _, c := range []struct {
		method, query, body string
		status              int
		want                string
	}{
		{"POST", "kind=order&by=li.wei", file, 200, `{"taken":[],"unchanged":1}`},
		{"POST", "kind=order&by=li.wei&why=mcb-a&preview=true", file, 200, `"effects":[{"line":"mcb-a",`},
		{"POST", "kind=order", "id\n", 400, `"location":"line 2, id"`},
		{"POST", "kind=order", "id\n", 400, `"location":"query.by"`},
		{"POST", "kind=order&by=a&preview=perhaps", file, 400, `query.preview: found \"perhaps\", allowed: true or false`},
		{"POST", "kind=order&by=a", strings.Repeat("x", tableMost+1), 413, ``},
		{"GET", "kind=weather", "", 400, `query.kind: found \"weather\", allowed: order`},
	} {
		w := ask(s, c.method, "/api/v1/entries/csv?"+c.query, c.body, func(r *http.Request) { r.Header.Set("Content-Type", "text/csv") })
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.query, w.Code, w.Body, c.status, c.want)
		}
	}
}
