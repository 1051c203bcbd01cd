package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLinks: what the documents point to in the tree is there.
func TestLinks(t *testing.T) {
	files, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, "../README.md", "../CONTRIBUTING.md", "../CHANGELOG.md")
	link := regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)
	count := 0
	for _, file := range files {
		for _, m := range link.FindAllStringSubmatch(read(t, file), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			count++
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	if count < 20 {
		t.Errorf("only %d links found", count)
	}
}

// TestMetrics: docs/operations.md names every metric, and none that is not
// there.
func TestMetrics(t *testing.T) {
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("`linetwin_([a-z_]+)`").FindAllStringSubmatch(read(t, "../docs/operations.md"), -1) {
		documented[m[1]] = true
	}
	source := read(t, "../cmd/linetwin/meters.go") + read(t, "../cmd/linetwin/wire.go")
	real := regexp.MustCompile(`desc\("([a-z_]+)"`).FindAllStringSubmatch(source, -1)
	if len(real) < 10 {
		t.Fatalf("only %d metrics found", len(real))
	}
	for _, m := range real {
		if !documented[m[1]] {
			t.Errorf("linetwin_%s is not in docs/operations.md", m[1])
		}
		delete(documented, m[1])
	}
	for name := range documented {
		t.Errorf("docs/operations.md names linetwin_%s, which does not exist", name)
	}
}

// TestDemoFlags: docs/operations.md has a row for every flag of the demo, with
// its default.
func TestDemoFlags(t *testing.T) {
	docs := read(t, "../docs/operations.md")
	flags := regexp.MustCompile(`flags\.\w+Var\(&f\.\w+, "([a-z]+)", ("?)([^",]*)"?,`).FindAllStringSubmatch(read(t, "../cmd/linetwin/demo.go"), -1)
	if len(flags) < 5 {
		t.Fatalf("only %d flags found", len(flags))
	}
	for _, f := range flags {
		row := "| `--" + f[1] + "` | `" + f[3] + "` |"
		if f[3] == "" {
			row = "| `--" + f[1] + "` | none |"
		}
		if !strings.Contains(docs, row) {
			t.Errorf("docs/operations.md has no row %s", row)
		}
	}
}

// TestDependencies: each direct dependency has its line of reason.
func TestDependencies(t *testing.T) {
	_, list, _ := strings.Cut(read(t, "../go.mod"), "require (")
	list, _, _ = strings.Cut(list, ")")
	reasons := read(t, "../CONTRIBUTING.md")
	version := regexp.MustCompile(`/v\d+$`)
	for _, line := range strings.Split(strings.TrimSpace(list), "\n") {
		module, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		name := version.ReplaceAllString(module, "")
		name = name[strings.LastIndex(name, "/")+1:]
		if !strings.Contains(reasons, name) {
			t.Errorf("CONTRIBUTING.md gives no reason for %s", module)
		}
	}
}
