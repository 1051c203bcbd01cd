package sparkplug

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var tckID = regexp.MustCompile(`tck-id-[A-Za-z0-9-]+`)

// TestConformanceTable holds docs/sparkplug-conformance.md and the tests against
// each other: each statement is there once and names a test that is there, and
// the tests hold the statements that the table says they do.
func TestConformanceTable(t *testing.T) {
	const root = "../.."
	text, err := os.ReadFile(root + "/docs/sparkplug-conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]string{} // statement -> test
	for _, s := range edgeStatements() {
		for _, id := range strings.Fields(s.ids) {
			held["tck-id-"+id] = "connectors/sparkplug TestEdgeConformance"
		}
	}
	for _, s := range hostStatements() {
		for _, id := range strings.Fields(s.ids) {
			if _, twice := held["tck-id-"+id]; twice {
				t.Errorf("%s is held twice", id)
			}
			held["tck-id-"+id] = "connectors/sparkplug TestHostConformance"
		}
	}
	documented := map[string]bool{}
	table, rest, _ := strings.Cut(string(text), "## Where we deviate")
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 4 || !strings.HasPrefix(cells[0], "| `tck-id-") {
			continue
		}
		if who := cells[1]; who != "edge" && who != "host" && who != "both" {
			t.Errorf("%q is neither edge nor host", who)
		}
		test := strings.Trim(strings.TrimSuffix(cells[3], " |"), "`")
		folder, name, _ := strings.Cut(test, " ")
		if !hasTest(t, filepath.Join(root, folder), name) {
			t.Errorf("there is no test %s", test)
		}
		for _, id := range tckID.FindAllString(cells[0], -1) {
			if documented[id] {
				t.Errorf("%s is there twice", id)
			}
			documented[id] = true
			if by := held[id]; by != test && (by != "" || strings.HasSuffix(name, "Conformance")) {
				t.Errorf("%s: the table says %q, the tests %q", id, test, by)
			}
		}
	}
	for id, test := range held {
		if !documented[id] {
			t.Errorf("%s, which %s holds, is not in the table", id, test)
		}
	}
	for _, id := range tckID.FindAllString(rest, -1) {
		if documented[id] {
			t.Errorf("%s is in the table, and not ours", id)
		}
	}
	if want := "All 285 normative statements"; len(documented) != 285 || !strings.Contains(table, want) {
		t.Errorf("%d statements, want %q", len(documented), want)
	}
}

// hasTest tells whether a test is in a package's folder.
func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(folder + "/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", folder, err)
	}
	for _, f := range files {
		source, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "\nfunc "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}
