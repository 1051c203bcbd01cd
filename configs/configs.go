// Package configs reads settings files. Each section's type, defaults and
// checks stand in the package that uses it; here they are put together into
// one file per role, and a file is read strictly: unknown keys, keys given
// twice, values of the wrong type and whatever a section's check finds all
// come at once, each with file, line and key, what was found and what is
// allowed.
package configs

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	_ "time/tzdata" // the zones that settings name, for a box without any

	"go.yaml.in/yaml/v4"

	"linetwin/plant"
)

// section is one role's settings.
type section interface {
	// Check fills the defaults in and tells everything that is wrong.
	Check() []plant.Fault
}

// Problem is one thing wrong in a file.
type Problem struct {
	File   string
	Line   int // from 1; 0 where the file has no such place
	Column int
	plant.Fault

	order int // where there is no line: its place among problems of the file
}

// String gives "file:line: key: found X, allowed Y".
func (p Problem) String() string {
	at := p.File
	if p.Line > 0 {
		at += fmt.Sprintf(":%d", p.Line)
	}
	return at + ": " + p.Fault.String()
}

// Place gives "file:line:column", as far as it is known.
func (p Problem) Place() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Problems is everything wrong in a file, in the order of lines.
type Problems []Problem

// Error gives one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// maxFile bounds a settings file; ten thousand signals take less than 2 MiB.
const maxFile = 16 << 20

// Options say how a file is read.
type Options struct {
	// WithoutSecrets leaves ${env:NAME} and ${file:PATH} as they stand in
	// passwords and tokens whose variable or file is not there, so that a file
	// can be checked on another machine.
	WithoutSecrets bool
}

// read loads file into a section. Relative paths in references are taken from
// the file's folder.
func read(file string, into section) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	root, err := document(file, raw)
	if err != nil {
		return err
	}
	if err := rightRole(file, root, into); err != nil {
		return err
	}
	return decode(file, root, into, Options{})
}

// rightRole tells at once when a role is given another role's file, in place
// of every key that it does not know.
func rightRole(file string, root *yaml.Node, into section) error {
	twins := child(root, "areas") != nil
	switch kind := kindOf(root); into.(type) {
	case *Gateway:
		if kind == KindTwin && twins {
			return fmt.Errorf("%s is a twin's file, not a gateway's; run: linetwin twin %s", file, file)
		}
	case *Twin:
		if kind == KindGateway && !twins {
			return fmt.Errorf("%s is a gateway's file, not a twin's; run: linetwin gateway %s", file, file)
		}
	}
	return nil
}

// decode brings a document into a section and has it checked.
func decode(file string, root *yaml.Node, into section, o Options) error {
	return withProfiles(file, root).decode(into, o)
}

func (s *source) decode(into section, o Options) error {
	d := &decoder{file: s.file, from: s.from, problems: s.problems,
		refs: references{folder: filepath.Dir(s.file), without: o.WithoutSecrets}}
	d.value(s.root, reflect.ValueOf(into).Elem(), "")
	problems := d.problems
	if len(problems) == 0 {
		// The checks see a file whose shape is right, or they would tell of
		// what only follows from the first mistake.
		problems = s.placed(into.Check())
	}
	for i := range problems {
		problems[i].Fault = d.refs.hide(problems[i].Fault)
	}
	if len(problems) == 0 {
		return nil
	}
	return sorted(problems)
}

// placed gives the faults their files and lines.
func (s *source) placed(faults []plant.Fault) []Problem {
	problems := make([]Problem, len(faults))
	for i, f := range faults {
		at := place(s.root, f.Key)
		problems[i] = Problem{File: s.fileOf(at), Line: at.Line, Column: at.Column, Fault: f}
	}
	return problems
}

func placed(file string, root *yaml.Node, faults []plant.Fault) []Problem {
	return (&source{file: file, root: root}).placed(faults)
}

// sorted brings problems in the order of files and lines, each once.
func sorted(problems []Problem) Problems {
	slices.SortStableFunc(problems, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.File, b.File), a.Line-b.Line, a.order-b.order) })
	return Problems(slices.Compact(problems))
}

// document parses YAML and gives the top mapping.
func document(file string, raw []byte) (*yaml.Node, error) {
	wrong := func(line, column int, found, allowed string) error {
		return Problems{{File: file, Line: line, Column: column, Fault: plant.Fault{Key: "yaml", Found: found, Allowed: allowed}}}
	}
	const allowed = "keys and values, as in the examples in configs"
	if len(raw) > maxFile {
		return nil, wrong(0, 0, fmt.Sprintf("%d bytes", len(raw)), fmt.Sprintf("at most %d", maxFile))
	}
	var doc yaml.Node
	if err := yaml.Load(raw, &doc); err != nil {
		message, line, column := err.Error(), 0, 0
		var le *yaml.LoadError
		if errors.As(err, &le) {
			message, line, column = le.Message, le.Mark.Line, le.Mark.Column
		}
		switch message = strings.TrimPrefix(message, "yaml: "); message {
		case "no documents in stream":
			return nil, wrong(0, 0, "no settings", allowed)
		case "expected single document, found multiple":
			return nil, wrong(0, 0, "several documents, parted by ---", "one document in a file")
		}
		return nil, wrong(line, column, "a mistake in writing ("+message+")", "well-formed YAML, indented with blanks, not tabs")
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind == yaml.ScalarNode && doc.Content[0].Tag == "!!null" {
		return nil, wrong(0, 0, "no settings", allowed)
	}
	if root := doc.Content[0]; root.Kind != yaml.MappingNode {
		return nil, wrong(root.Line, root.Column, found(root), allowed)
	}
	return doc.Content[0], nil
}

// place gives the node at a key path such as "devices[2].signals[0].type": the
// key, or the entry of a list. A part that is missing gives what should hold
// it.
func place(n *yaml.Node, path string) *yaml.Node {
	at := n
	for path != "" {
		var part string
		if path[0] == '[' {
			end := strings.IndexByte(path, ']')
			if end < 0 {
				return at
			}
			part, path = path[1:end], path[end+1:]
			var i int
			if _, err := fmt.Sscan(part, &i); err != nil || n.Kind != yaml.SequenceNode || i < 0 || i >= len(n.Content) {
				return at
			}
			n = n.Content[i]
			at = n
			continue
		}
		path = strings.TrimPrefix(path, ".")
		next := child(n, path)
		if next == nil {
			return at
		}
		part = next.key.Value
		path = path[len(part):]
		n, at = next.value, next.key
	}
	return at
}

type pair struct{ key, value *yaml.Node }

// child finds the longest key of a mapping that path begins with: keys may
// have dots of their own.
func child(n *yaml.Node, path string) *pair {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	var found *pair
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i].Value
		rest, ok := strings.CutPrefix(path, k)
		if ok && (rest == "" || rest[0] == '.' || rest[0] == '[') && (found == nil || len(k) > len(found.key.Value)) {
			found = &pair{n.Content[i], n.Content[i+1]}
		}
	}
	return found
}
