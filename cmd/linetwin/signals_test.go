package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const pressYAML = `site: songjiang
area: assembly
gateway: edge-1
wire: {brokers: ["tcp://127.0.0.1:1883"]}
devices:
  - machine: press-1
    modbus: {url: "tcp://127.0.0.1:5020"}
    signals:
      - {name: state, address: "holding:0", type: uint16} # as in the manual
      - {name: good, address: "holding:1", type: uint16}
`

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestSignalsCommands takes signals to a table, changes one, and brings them
// back: first only told, then written.
func TestSignalsCommands(t *testing.T) {
	t.Chdir(t.TempDir())
	writeFile(t, "gateway.yaml", pressYAML)
	if _, _, err := command(t.Context(), "signals", "export", "gateway.yaml", "-o", "s.csv", "--excel", "--separator", ";"); err != nil {
		t.Fatal(err)
	}
	table := readFile(t, "s.csv")
	if !strings.HasPrefix(table, "\ufeffmachine;name;group;address;") {
		t.Errorf("table begins with %.40q", table)
	}
	writeFile(t, "s.csv", strings.Replace(table, "holding:1", "holding:7", 1))
	stdout, stderr, err := command(t.Context(), "signals", "import", "gateway.yaml", "s.csv")
	if err != nil || readFile(t, "gateway.yaml") != pressYAML || !strings.Contains(stdout, "nothing is written") || !strings.Contains(stderr, "press-1: 1 changed") {
		t.Errorf("told only: %q %q, error %v", stdout, stderr, err)
	}
	if stdout, _, err = command(t.Context(), "signals", "import", "gateway.yaml", "s.csv", "--in-place"); err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(pressYAML, "holding:1", "holding:7", 1)
	if readFile(t, "gateway.yaml") != want || readFile(t, "gateway.yaml.bak") != pressYAML || !strings.Contains(stdout, "gateway.yaml.bak") {
		t.Errorf("written: %q\n%s", stdout, readFile(t, "gateway.yaml"))
	}
	if stdout, _, err = command(t.Context(), "signals", "import", "gateway.yaml", "s.csv", "--in-place"); err != nil || !strings.Contains(stdout, "nothing to change") {
		t.Errorf("again: %q, error %v", stdout, err)
	}
	if stdout, _, err = command(t.Context(), "signals", "import", "gateway.yaml", "s.csv", "-o", "other.yaml"); err != nil || readFile(t, "other.yaml") != want {
		t.Errorf("elsewhere: %q, error %v", stdout, err)
	}
	writeFile(t, "s.csv", strings.Replace(table, "holding:1", "holdin:7", 1))
	if _, stderr, err = command(t.Context(), "signals", "import", "gateway.yaml", "s.csv", "--in-place"); err == nil || readFile(t, "gateway.yaml") != want || !strings.Contains(stderr, "s.csv: row 3, column D (address): found holdin:7") {
		t.Errorf("a wrong table: %q, error %v", stderr, err)
	}
	for _, args := range [][]string{
		{"signals", "export", "gateway.yaml", "--machine", "press-9"},
		{"signals", "export", "gateway.yaml", "--separator", "|"},
		{"signals", "export", "none.yaml"},
		{"signals", "import", "gateway.yaml", "none.csv"},
		{"signals", "import", "gateway.yaml", "s.csv", "--in-place", "-o", "x"},
	} {
		if _, _, err := command(t.Context(), args...); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}

// TestCheckJSON holds what other programs get.
func TestCheckJSON(t *testing.T) {
	t.Chdir(t.TempDir())
	writeFile(t, "right.yaml", pressYAML)
	writeFile(t, "wrong.yaml", strings.Replace(pressYAML, "type: uint16}", "typ: uint16}", 1))
	stdout, _, err := command(t.Context(), "check", "--output", "json", "right.yaml", "wrong.yaml", "none.yaml")
	if err == nil {
		t.Error("no error although files are wrong")
	}
	var got checked
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err, stdout)
	}
	if got.OK || len(got.Files) != 3 || !got.Files[0].OK || got.Files[0].Kind != "gateway" || got.Files[1].OK || got.Files[2].OK {
		t.Errorf("files %+v", got.Files)
	}
	if len(got.Problems) != 2 || got.Problems[0].File != "none.yaml" && got.Problems[1].File != "none.yaml" {
		t.Errorf("problems %+v", got.Problems)
	}
	for _, p := range got.Problems {
		if p.File == "wrong.yaml" && (p.Line != 9 || p.Column != 45 || p.Key != "devices[0].signals[0].typ" || p.Found != "an unknown key" || !strings.Contains(p.Allowed, "type")) {
			t.Errorf("problem %+v", p)
		}
	}
	if len(got.Notes) != 1 || got.Notes[0].Line != 10 || !strings.Contains(got.Notes[0].Allowed, "counter: 16") {
		t.Errorf("notes %+v", got.Notes)
	}
	stdout, stderr, err := command(t.Context(), "check", "--output", "json", "right.yaml")
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if err != nil || !got.OK || stderr != "" {
		t.Errorf("right: %v %q %v", got.OK, stderr, err)
	}
	if stdout, _, err = command(t.Context(), "check", "right.yaml"); err != nil || !strings.Contains(stdout, "right.yaml: ok (gateway)\nnote: right.yaml:10: devices[0].signals[1].counter: ") {
		t.Errorf("as text: %q %v", stdout, err)
	}
	if _, _, err := command(t.Context(), "check", "--output", "xml", "right.yaml"); err == nil {
		t.Error("xml is taken")
	}
}

// TestProfilesCommand: each profile is listed, and can be printed, changed and
// checked.
func TestProfilesCommand(t *testing.T) {
	t.Chdir(t.TempDir())
	list, _, err := command(t.Context(), "profiles")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"breaker", "kepware", "packml", "s7-1200", "s7-1500", "sunspec-meter"} {
		if !strings.Contains(list, "\n"+name+" ") {
			t.Errorf("%s is not listed", name)
		}
		text, _, err := command(t.Context(), "profiles", name)
		if err != nil {
			t.Error(err)
			continue
		}
		mine := writeFile(t, filepath.Join(".", "mine.yaml"), text)
		if out, _, err := command(t.Context(), "check", mine); err != nil || !strings.Contains(out, "mine.yaml: ok (profile)") {
			t.Errorf("%s: %q %v", name, out, err)
		}
	}
	if _, stderr, err := command(t.Context(), "profiles", "none"); err == nil || !strings.Contains(stderr, "linetwin profiles lists them") {
		t.Errorf("none: %q %v", stderr, err)
	}
}
