package configs

import (
	"encoding"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"linetwin/plant"
)

// keys gives every key of a settings type, as docs/configuration.md writes it:
// "devices[].signals[].name", "calendars.<name>.days".
func keys(t reflect.Type, path string, into map[string]bool) {
	switch {
	case t.Kind() == reflect.Pointer:
		keys(t.Elem(), path, into)
	case t.Kind() == reflect.Slice:
		if t.Elem() == reflect.TypeFor[plant.Reason]() && strings.HasSuffix(path, ".children") {
			into[path+"[]"] = true // as its parent
			return
		}
		keys(t.Elem(), path+"[]", into)
	case t.Kind() == reflect.Map:
		keys(t.Elem(), path+".<name>", into)
	case t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		for i := range t.NumField() {
			name, opts, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
			switch {
			case opts == "inline":
				keys(t.Field(i).Type, path, into)
			case name != "" && name != "-":
				keys(t.Field(i).Type, join(path, name), into)
			}
		}
	default:
		into[path] = true
	}
}

// documented gives the keys that a section of docs/configuration.md has in the
// first columns of its tables.
func documented(t *testing.T, doc, title string) map[string]bool {
	t.Helper()
	_, section, ok := strings.Cut(doc, "\n## "+title+"\n")
	if !ok {
		t.Fatalf("docs/configuration.md has no part %q", title)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	found := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| (`[^|]+`) \\|").FindAllStringSubmatch(section, -1) {
		for _, k := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(m[1], -1) {
			if found[k[1]] {
				t.Errorf("%s: %s is there twice", title, k[1])
			}
			found[k[1]] = true
		}
	}
	return found
}

// TestKeysAreDocumented holds docs/configuration.md against the types.
func TestKeysAreDocumented(t *testing.T) {
	raw, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	names := func(tp reflect.Type) map[string]bool {
		all := map[string]bool{}
		keys(tp, "", all)
		return all
	}
	demo := map[string]bool{}
	for k := range names(reflect.TypeFor[Demo]()) {
		if !strings.HasPrefix(k, "gateways[]") && !strings.HasPrefix(k, "twin.") {
			demo[k] = true
		}
	}
	for title, want := range map[string]map[string]bool{
		"The gateway's file": names(reflect.TypeFor[Gateway]()), "The twin's file": names(reflect.TypeFor[Twin]()), "The demo's file": demo,
	} {
		got := documented(t, string(raw), title)
		for _, k := range slices.Sorted(maps.Keys(want)) {
			if !got[k] {
				t.Errorf("%s: %s is not documented", title, k)
			}
		}
		for _, k := range slices.Sorted(maps.Keys(got)) {
			if !want[k] {
				t.Errorf("%s: %s is documented and does not exist", title, k)
			}
		}
	}
}

var block = regexp.MustCompile("(?ms)^ *```yaml\\n(.*?)^ *```")

// TestSnippets reads every YAML block of the documents: all are parts of a
// gateway's or a twin's file, whose keys must exist and whose values must be
// of their types.
func TestSnippets(t *testing.T) {
	files, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, file := range append(files, "../README.md", "../CONTRIBUTING.md") {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
			continue
		}
		for i, m := range block.FindAllSubmatch(raw, -1) {
			count++
			t.Run(fmt.Sprintf("%s/%d", filepath.Base(file), i+1), func(t *testing.T) {
				root, err := document("snippet", m[1])
				if err != nil {
					t.Fatal(err)
				}
				var into section = &Twin{}
				if kindOf(root) == KindGateway {
					into = &Gateway{}
				}
				d := &decoder{file: "snippet", refs: references{without: true}}
				d.value(root, reflect.ValueOf(into).Elem(), "")
				if len(d.problems) > 0 {
					t.Error(Problems(d.problems))
				}
			})
		}
	}
	if count < 5 {
		t.Errorf("only %d blocks found", count)
	}
}
