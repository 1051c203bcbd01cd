package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"linetwin/plant"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden holds text against a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

func printRows(t *testing.T, form string, cells ...[]any) string {
	t.Helper()
	var b bytes.Buffer
	r := newRows(&b, form, "name", "unit_text", "value", "nothing", "note")
	for _, c := range cells {
		if err := r.add(c...); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRows(t *testing.T) {
	cells := [][]any{
		{"temperature", "°C", plant.Float(20.5), nil, nil},
		{"产品", "件", plant.Text("断路器, \"C16\"\nB"), nil, "wide"},
		{"e\u0301tat", nil, plant.Integer(-3), nil, "a combining mark"},
		{"evil", "\x1b[31m", plant.Boolean(true), nil, "no escape reaches a terminal"},
	}
	for _, form := range []string{outTable, outJSON, outCSV} {
		golden(t, "rows."+form, printRows(t, form, cells...))
	}
	for _, line := range strings.Split(strings.TrimSpace(printRows(t, outTable, cells[:3]...)), "\n") {
		if i := strings.Index(line, "  "); i < 0 {
			t.Errorf("no columns in %q", line)
		}
	}

	var objects []map[string]any
	if err := json.Unmarshal([]byte(printRows(t, outJSON, cells...)), &objects); err != nil {
		t.Fatal(err)
	}
	if want := map[string]any{"name": "产品", "unit_text": "件", "value": "断路器, \"C16\"\nB", "nothing": nil, "note": "wide"}; !reflect.DeepEqual(objects[1], want) {
		t.Errorf("got %v, want %v", objects[1], want)
	}
	records, err := csv.NewReader(strings.NewReader(printRows(t, outCSV, cells...))).ReadAll()
	if err != nil || len(records) != 5 || records[2][2] != "断路器, \"C16\"\nB" {
		t.Errorf("got %q, %v", records, err)
	}
}

func TestNoRows(t *testing.T) {
	for form, want := range map[string]string{outJSON: "[\n]\n", outCSV: "name,unit_text,value,nothing,note\r\n", outTable: "\n"} {
		if got := printRows(t, form); got != want {
			t.Errorf("%s: got %q, want %q", form, got, want)
		}
	}
}

func TestWidth(t *testing.T) {
	for text, want := range map[string]int{"": 0, "abc": 3, "°C": 2, "断路器": 6, "Ｃ１６": 6, "e\u0301": 1, "カ": 2, "한": 2, "–": 1} {
		if got := width(text); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}
