package web

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

func (f *fixture) Recompute(_ context.Context, r plant.Recompute) ([]plant.Effect, error) {
	if r.By == "" {
		return nil, wrong{{Key: "by", Allowed: "who wants it"}}
	}
	for _, l := range r.Lines {
		if l != "mcb-a" {
			return nil, fmt.Errorf("line %q: %w, there are mcb-a", l, plant.ErrNotFound)
		}
	}
	figures := plant.Figures{Good: 5, Revision: 1, Shift: r.Why}
	e := plant.Effect{Line: "mcb-a", Shift: r.From, After: &figures, Why: plant.EffectOther}
	if r.Dry {
		e.Why = plant.EffectKept
	}
	return []plant.Effect{e}, nil
}

func TestRecompute(t *testing.T) {
	s, f := serve(t)
	now := f.clock().Floor(time.Minute)
	span := func(length time.Duration) string {
		return fmt.Sprintf(`"from": "%s", "to": "%s"`, now.Add(-length), now)
	}
	for _, c := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"a week", `{` + span(168*time.Hour) + `, "lines": ["mcb-a"], "by": "li.wei", "why": "asked"}`, 200, plant.EffectOther},
		{"dry", `{` + span(time.Hour) + `, "by": "li.wei", "dry_run": true}`, 200, plant.EffectKept},
		{"a year", `{` + span(8760*time.Hour) + `, "by": "li.wei"}`, 400, "at most 31 days before to"},
		{"nobody", `{` + span(time.Hour) + `, "by": ""}`, 400, "body.by"},
		{"no such line", `{` + span(time.Hour) + `, "by": "li.wei", "lines": ["lime"]}`, 400, "there are mcb-a"},
		{"no such field", `{` + span(time.Hour) + `, "by": "li.wei", "line": "mcb-a"}`, 422, "unexpected property"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := ask(s, "POST", "/api/v1/recompute", c.body)
			if res.Code != c.status || !strings.Contains(res.Body.String(), c.want) {
				t.Fatalf("%d %s", res.Code, res.Body)
			}
			if c.status == 200 {
				var effects []plant.Effect
				if err := json.Unmarshal(res.Body.Bytes(), &effects); err != nil || len(effects) != 1 || effects[0].After.Good != 5 {
					t.Errorf("%v %+v", err, effects)
				}
			}
		})
	}
}
