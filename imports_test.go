package linetwin_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "linetwin"

// TestImports holds every package against the table of allowed imports in
// docs/architecture.md. Tests may import more: they fit parts together.
func TestImports(t *testing.T) {
	rules := importRules(t)
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != "." || d.Name() == "node_modules" || d.Name() == "data") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || filepath.Dir(file) == "." {
			return nil
		}
		pkg := filepath.ToSlash(filepath.Dir(file))
		rule, ok := ruleFor(rules, pkg)
		if !ok {
			t.Errorf("%s: package %s is not in the table of docs/architecture.md", file, pkg)
			return nil
		}
		seen[rule.pattern] = true
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range f.Imports {
			p, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			own, ok := strings.CutPrefix(p, module+"/")
			if ok && !rule.allows(own) {
				t.Errorf("%s imports %s; %s may import %s", file, own, rule.pattern, strings.Join(rule.may, ", "))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		if !seen[r.pattern] {
			t.Errorf("the table of docs/architecture.md names %s, which is not there", r.pattern)
		}
	}
}

type importRule struct {
	pattern string   // a package, or one folder of packages as connectors/*
	may     []string // the same; "everything" and "nothing" are words
}

func (r *importRule) allows(pkg string) bool {
	return slices.ContainsFunc(r.may, func(m string) bool { return m == "everything" || match(m, pkg) })
}

func match(pattern, pkg string) bool {
	ok, _ := path.Match(pattern, pkg)
	return ok
}

// ruleFor gives the rule that names the package, an exact one first.
func ruleFor(rules []importRule, pkg string) (importRule, bool) {
	for _, exact := range []bool{true, false} {
		for _, r := range rules {
			if exact && r.pattern == pkg || !exact && match(r.pattern, pkg) {
				return r, true
			}
		}
	}
	return importRule{}, false
}

var row = regexp.MustCompile("(?m)^\\| `([^|]+)` \\| ([^|]+) \\|")

func importRules(t *testing.T) []importRule {
	t.Helper()
	doc, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(doc), "| package | may import |")
	if !ok {
		t.Fatal("docs/architecture.md has no table of imports")
	}
	var rules []importRule
	for _, m := range row.FindAllStringSubmatch(table, -1) {
		r := importRule{pattern: m[1]}
		for _, p := range strings.Split(m[2], ",") {
			r.may = append(r.may, strings.Trim(strings.TrimSpace(p), "`"))
		}
		rules = append(rules, r)
	}
	if len(rules) < 10 {
		t.Fatalf("only %d rules found", len(rules))
	}
	return rules
}
