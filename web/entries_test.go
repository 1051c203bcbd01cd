package web

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

// wrong is an entry's faults.
type wrong []plant.Fault

func (w wrong) Error() string         { return "wrong" }
func (w wrong) Faults() []plant.Fault { return w }

func (f *fixture) Entries(kind plant.EntryKind, key string) []plant.Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []plant.Entry
	for _, e := range f.said {
		if (kind == "" || e.Kind == kind) && (key == "" || e.Key == key) {
			found = append(found, e)
		}
	}
	slices.Reverse(found)
	return found
}

func (f *fixture) Tell(_ context.Context, e plant.Entry) (plant.Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if u := e.Undoes; u != 0 {
		if u > uint64(len(f.said)) {
			return e, fmt.Errorf("entry %d: %w", u, plant.ErrNotFound)
		}
		for i := range f.said {
			if f.said[i].Undoes == u {
				return e, fmt.Errorf("entry %d: %w, entry %d has undone it", u, plant.ErrConflict, f.said[i].ID)
			}
		}
		e.Kind, e.Key = f.said[u-1].Kind, f.said[u-1].Key
	}
	if faults := e.Check(); len(faults) > 0 {
		return e, wrong(faults)
	}
	e.ID, e.Said = uint64(len(f.said)+1), f.clock()
	f.said = append(f.said, e)
	return e, nil
}

func (f *fixture) Preview(_ context.Context, e plant.Entry) ([]plant.Effect, error) {
	if faults := e.Check(); len(faults) > 0 {
		return nil, wrong(faults)
	}
	figures := plant.Figures{Good: 5}
	return []plant.Effect{{Line: "mcb-a", Shift: e.From, After: &figures}}, nil
}

func (f *fixture) Older(_ context.Context, e plant.Entry) (int, error) { return len(e.Key), nil }

func (f *fixture) Losses(_ context.Context, line string, _ plant.Span) ([]plant.Loss, error) {
	return []plant.Loss{
		{Class: plant.ClassStop, Machine: "a-riveting", Reason: "jam", Stops: 3, Seconds: 1500, Share: 0.75},
		{Class: plant.ClassStarved, Small: true, Machine: "a-welding", Fault: "7", Stops: 9, Seconds: 500, Share: 0.25},
	}, nil
}

func (f *fixture) Reasons() []plant.Reason {
	return []plant.Reason{
		{ID: "technical", Name: name("Technical", "技术"), Children: []plant.Reason{{ID: "jam", Name: name("Jam", "卡料"), Class: plant.ClassStop}}},
		{ID: "cleaning", Name: name("Cleaning", "清洁"), Class: plant.ClassPlannedStop},
	}
}

func (f *fixture) Results(_ context.Context, since plant.Time, most int) ([]plant.Result, error) {
	shift := since.Add(-8 * time.Hour)
	all := []plant.Result{
		{Revision: plant.Revision{Line: "mcb-a", Shift: shift, At: since}, Window: plant.Window{Span: plant.Span{From: shift, To: since}, Run: 8 * time.Hour, Good: 5}},
		{Revision: plant.Revision{Line: "mcb-a", Shift: shift, Number: 1, At: since, Reason: "another calendar"}},
	}
	return all[:min(most, len(all))], nil
}

func TestEntries(t *testing.T) {
	s, _ := serve(t)
	const cycle = `{"kind": "ideal_cycle", "key": "NB1-C16/a-calibration", "from": "2026-03-02T00:00:00Z", "value": {"cycle": "1.83s"}, "by": "li.wei", "why": "measured"}`
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/entries", "", 200, `[]`},
		{"POST", "/entries/preview", cycle, 200, `[{"line":"mcb-a","shift":"2026-03-02T00:00:00.000Z","before":null,"after":{`},
		{"POST", "/entries", cycle, 200, `{"id":1,"said":"2026-03-02T04:34:56.000Z","by":"li.wei","why":"measured","kind":"ideal_cycle","key":"NB1-C16/a-calibration","from":"2026-03-02T00:00:00.000Z","value":{"cycle":"1.83s"}}`},
		{"POST", "/entries", `{"undoes": 1, "by": "wang"}`, 200, `{"id":2,"said":"2026-03-02T04:34:56.000Z","by":"wang","kind":"ideal_cycle","key":"NB1-C16/a-calibration","from":null,"value":null,"undoes":1}`},
		{"POST", "/entries", `{"undoes": 1, "by": "wang"}`, 409, `entry 1: conflict, entry 2 has undone it`},
		{"POST", "/entries", `{"undoes": 9, "by": "wang"}`, 404, `entry 9: not found`},
		{"POST", "/entries", strings.Replace(cycle, "1.83s", "0s", 1), 400, `body.value.cycle: found \"0s\", allowed: a time above zero and at most 24h, as in 1.83s`},
		{"POST", "/entries", `{"kind": "weather", "key": "x", "by": "li.wei"}`, 400, `body.kind: found \"weather\", allowed: ideal_cycle, calendar`},
		{"POST", "/entries", `{"kind": "stop", "key": "x", "by": "li.wei", "form": 1}`, 422, `unexpected property`},
		{"POST", "/entries/preview", `{"kind": "stop", "key": "x", "by": ""}`, 400, `body.by: missing`},
		{"GET", "/entries?kind=ideal_cycle&key=NB1-C16/a-calibration", "", 200, `[{"id":2,`},
		{"GET", "/entries?kind=order", "", 200, `[]`},
		{"GET", "/entries?kind=weather", "", 400, `query.kind: found \"weather\", allowed: ideal_cycle, calendar`},
		{"GET", "/results", "", 400, `query.since: missing`},
		{"GET", "/results?since=yesterday", "", 400, `query.since: found \"yesterday\"`},
		{"GET", "/results?since=2026-03-02T00:00:00Z&most=1", "", 200, `[{"line":"mcb-a","shift":"2026-03-01T16:00:00.000Z","revision":0,"at":"2026-03-02T00:00:00.000Z","reason":"","withdrawn":false,"figures":{`},
		{"GET", "/results?since=2026-03-02T00:00:00Z", "", 200, `"reason":"another calendar","withdrawn":true,"figures":null}]`},
	} {
		w := ask(s, c.method, "/api/v1"+c.path, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s %s: %d %s, want %d %s", c.method, c.path, c.body, w.Code, w.Body, c.status, c.want)
		}
		if got := w.Header().Get("Older-Shifts"); c.path == "/entries/preview" && c.status == 200 && got != "21" {
			t.Errorf("%s: %q older shifts, want 21", c.body, got)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s: %s is no JSON", c.method, c.path, w.Body)
		}
	}
}
