package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"linetwin/plant"
)

// refused changes the type of a signal under the history, which refuses what
// does not fit. The command lists it, writes it out, and stores it under
// another name.
func (b *auditBench) refused(url string, span plant.Span) {
	t := b.t
	t.Helper()
	q := func(args ...string) string {
		t.Helper()
		out, errs, err := command(t.Context(), append([]string{"quarantine", "--url", url}, args...)...)
		if err != nil {
			t.Fatalf("%v: %v %s", args, err, errs)
		}
		return out
	}
	if out := q(); out != "0 readings are kept; 0 were too many or too old to keep\n" {
		t.Errorf("nothing was refused yet: %q", out)
	}
	b.signals = []plant.Signal{{Name: "good", Kind: plant.KindText}}
	round := plant.Round{Through: span.To}
	for i := range 3 {
		round.Readings = append(round.Readings, plant.Reading{Signal: "good", Time: span.From.Add(time.Duration(i) * time.Second), Value: plant.Text(fmt.Sprint("many ", i))})
	}
	b.told("edge-2", "press", round)
	b.signals = pressSignals

	if out := q(); !strings.Contains(out, "3 readings are kept; 0 were") || !strings.Contains(out, "press    good    text") {
		t.Errorf("list: %s", out)
	}
	if out := q("--machine", "oven"); strings.Contains(out, "press") {
		t.Errorf("list of another machine: %s", out)
	}
	lines := strings.Split(strings.TrimSpace(q("download", "--signal", "good")), "\n")
	var r struct{ Machine, Value, Why string }
	if len(lines) != 3 || json.Unmarshal([]byte(lines[0]), &r) != nil || r.Machine != "press" || r.Value != "many 2" || r.Why == "" {
		t.Errorf("download: %q", lines)
	}
	if out := q("retry"); out != "3 tried, 0 stored, 3 refused again\n" {
		t.Errorf("nothing was mended: %q", out)
	}
	for want, args := range map[string][]string{
		"body.signal: missing":       {"retry", "--as", "good_text"},
		`body.as: found "good text"`: {"retry", "--signal", "good", "--as", "good text"},
	} {
		if _, _, err := command(t.Context(), append([]string{"quarantine", "--url", url}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, want %s", args, err, want)
		}
	}
	if out := q("retry", "--signal", "good", "--as", "good_text"); out != "3 tried, 3 stored, 0 refused again\n" {
		t.Errorf("under another name: %q", out)
	}
	if out := q(); !strings.HasPrefix(out, "0 readings are kept") {
		t.Errorf("all is stored: %s", out)
	}
}

// storedAgain holds what refused had stored against history.
func (b *auditBench) storedAgain(span plant.Span) {
	b.t.Helper()
	stored := b.record("press", []string{"good_text"}, span).Readings
	if len(stored) != 3 || stored[2].Value != plant.Text("many 2") {
		b.t.Errorf("history has %+v", stored)
	}
}
