package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linetwin/connectors/sqlite"
	"linetwin/plant"
)

// TestRecompute: readings that lie in history since long before the twin kept
// anything become results: foretold by a dry run, then published, and then
// there is nothing more to do.
func TestRecompute(t *testing.T) {
	b := &auditBench{t: t, dir: t.TempDir(), broker: "tcp://" + freePort(t)}
	history, _ := embeddedHistory(b)
	b.settings = filepath.Join(b.dir, "twin.yaml")
	text := fmt.Sprintf(`site: songjiang
zone: UTC
broker: {embedded: {listen: "%s", folder: "%s"}}
history: %s
ledger: {sqlite: "%s"}
web: {listen: "%s"}
calendars: {all: {shifts: [{name: day, start: "08:00", length: 8h}]}}
products: [{id: p, ideal_cycle: {press: 1s}}]
areas: [{id: assembly, lines: [{id: l, calendar: all, product: p, flow: [press], bottleneck: press, machines: [{id: press, roles: {state: state, good: good}}]}]}]
`, strings.TrimPrefix(b.broker, "tcp://"), filepath.Join(b.dir, "broker"), history, filepath.Join(b.dir, "ledger.db"), freePort(t))
	if err := os.WriteFile(b.settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	day := plant.At(time.Now()).Floor(24 * time.Hour).Add(-20 * 24 * time.Hour)
	shift := plant.Span{From: day.Add(8 * time.Hour), To: day.Add(16 * time.Hour)}
	b.worked(plant.Span{From: shift.From.Add(-time.Hour), To: shift.To.Add(time.Hour)})
	b.startTwin()
	recompute := func(args ...string) (stdout, stderr string) {
		t.Helper()
		out, errs, err := command(t.Context(), append([]string{"recompute", b.settings, "--from", day.Add(-24 * time.Hour).Std().Format(time.RFC3339), "--by", "li.wei"}, args...)...)
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, errs)
		}
		return out, errs
	}
	var foretold, done []plant.Effect
	out, errs := recompute("--dry-run", "--output", "json", "--line", "l")
	if err := json.Unmarshal([]byte(out), &foretold); err != nil || len(foretold) != 1 {
		t.Fatalf("%v %s", err, out)
	}
	if e := foretold[0]; e.Shift != shift.From || e.Why != plant.EffectNew || e.Before != nil || e.After.Good != 8*60*50 || *e.After.OEE != 50./60 {
		t.Errorf("%+v", e)
	}
	if !strings.Contains(errs, "recomputed up to") || !strings.Contains(errs, "1 shifts would be restated") {
		t.Errorf("on stderr: %s", errs)
	}
	if out, _ := recompute("--output", "json"); json.Unmarshal([]byte(out), &done) != nil || len(done) != 1 || *done[0].After.OEE != *foretold[0].After.OEE {
		t.Errorf("foretold was %+v, it came %s", foretold, out)
	}
	if out, errs := recompute(); out != "" || !strings.Contains(errs, "0 shifts restated") {
		t.Errorf("the second time: %s%s", out, errs)
	}
	out, _ = recompute("--output", "csv")
	if rows, err := csv.NewReader(strings.NewReader(out)).ReadAll(); err != nil || len(rows) != 1 || rows[0][4] != "oee_after" {
		t.Errorf("%v %q", err, out)
	}
	if _, _, err := command(t.Context(), "recompute", b.settings, "--from", "720h", "--line", "lime", "--by", "li.wei"); err == nil || !strings.Contains(err.Error(), "there are l") {
		t.Errorf("a line that there is not: %v", err)
	}
	b.twin()
	if _, _, err := command(t.Context(), "recompute", b.settings, "--from", "720h", "--by", "li.wei"); err == nil || !strings.Contains(err.Error(), "is it running?") {
		t.Errorf("without a twin: %v", err)
	}
}

// worked puts a press into history that makes 50 pieces a minute.
func (b *auditBench) worked(span plant.Span) {
	b.t.Helper()
	cfg := sqlite.HistoryConfig{Folder: filepath.Join(b.dir, "history")}
	cfg.Check()
	h, err := sqlite.OpenHistory(b.t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		b.t.Fatal(err)
	}
	defer h.Close()
	batch := &plant.Batch{Area: "assembly", Gateway: "edge-1", Machine: "press", Line: "l", Complete: span}
	for at := span.From; at <= span.To; at = at.Add(time.Minute) {
		batch.Readings = append(batch.Readings,
			plant.Reading{Machine: "press", Signal: "state", Time: at, Value: plant.Integer(6)},
			plant.Reading{Machine: "press", Signal: "good", Time: at, Value: plant.Integer(50 * (at.Sub(span.From).Milliseconds() / 60_000))})
	}
	if err := h.Write(b.t.Context(), []*plant.Batch{batch}); err != nil {
		b.t.Fatal(err)
	}
}
