package configs

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// splice changes the lists of signals in a settings file's text, and nothing
// else in it: comments and layout stay. What was made is read again and held
// against what was wanted; a layout that this cannot edit is an error.
func splice(text []byte, devices []writtenDevice, wanted [][]wantedSignal) ([]byte, error) {
	s := newSplicer(text)
	for i := range devices {
		if !touched(wanted[i]) {
			continue
		}
		if p := pairOf(devices[i].node, "signals"); p != nil && p.value.Anchor != "" {
			return nil, fmt.Errorf("the signals of %s are those of other machines too (&%s); write them out for each machine", devices[i].machine, p.value.Anchor)
		}
		if err := s.device(&devices[i], wanted[i]); err != nil {
			return nil, fmt.Errorf("the signals of %s cannot be put in place (%w); write each on a line of its own, as in configs/gateway.yaml", devices[i].machine, err)
		}
	}
	out := s.apply()
	return out, verify(text, out, wanted)
}

func touched(want []wantedSignal) bool {
	return slices.ContainsFunc(want, func(w wantedSignal) bool { return w.old == nil || w.changed || w.removed })
}

// verify reads the text again and compares.
func verify(old, text []byte, wanted [][]wantedSignal) error {
	before, err := document("", old)
	if err != nil {
		return err
	}
	after, err := document("", text)
	if err != nil {
		return fmt.Errorf("what would be written cannot be read again: %w", err)
	}
	if !sameBut(before, after, 1) {
		return errors.New("more than signals would change; write each signal on a line of its own, as in configs/gateway.yaml")
	}
	devices, err := writtenDevices("", after)
	if err != nil {
		return err
	}
	for i := range devices {
		want := slices.DeleteFunc(slices.Clone(wanted[i]), func(w wantedSignal) bool { return w.removed })
		same := slices.EqualFunc(devices[i].signals, want, func(s writtenSignal, w wantedSignal) bool { return maps.Equal(s.cells, w.cells) })
		if !same {
			return fmt.Errorf("the signals of %s would not be those of the table; if they are an alias (*name) of another machine's, write them out", devices[i].machine)
		}
	}
	return nil
}

// edit puts text in place of bytes.
type edit struct {
	from, to int
	text     string
}

type splicer struct {
	text  []byte
	lines []int // where each line begins
	eol   string
	edits []edit
	done  map[*yaml.Node]bool // lists; aliases share them
}

func newSplicer(text []byte) *splicer {
	s := &splicer{text: text, lines: []int{0}, eol: "\n", done: map[*yaml.Node]bool{}}
	for i, c := range text {
		if c == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	if len(s.lines) > 1 && s.lines[1] >= 2 && text[s.lines[1]-2] == '\r' {
		s.eol = "\r\n"
	}
	return s
}

func (s *splicer) apply() []byte {
	slices.SortStableFunc(s.edits, func(a, b edit) int { return cmp.Or(a.from-b.from, a.to-b.to) })
	var out bytes.Buffer
	at := 0
	for _, e := range s.edits {
		out.Write(s.text[at:max(at, e.from)])
		out.WriteString(e.text)
		at = max(at, e.to)
	}
	out.Write(s.text[at:])
	return out.Bytes()
}

func (s *splicer) put(from, to int, text string) { s.edits = append(s.edits, edit{from, to, text}) }

// offset gives where a node begins in the text.
func (s *splicer) offset(n *yaml.Node) (int, error) {
	if n.Line < 1 || n.Line > len(s.lines) {
		return 0, errors.New("line ends of an unusual kind")
	}
	at := s.lines[n.Line-1]
	if n.Line == 1 {
		at += len(s.text) - len(bytes.TrimPrefix(s.text, []byte("\ufeff")))
	}
	for range n.Column - 1 {
		if at >= len(s.text) {
			return 0, errors.New("line ends of an unusual kind")
		}
		_, size := utf8.DecodeRune(s.text[at:])
		at += size
	}
	return at, nil
}

// line gives a line without its end, from 0.
func (s *splicer) line(i int) string {
	end := len(s.text)
	if i+1 < len(s.lines) {
		end = s.lines[i+1]
	}
	return strings.TrimRight(string(s.text[s.lines[i]:end]), "\r\n")
}

// after gives where the line behind line i begins.
func (s *splicer) after(i int) int {
	if i+1 < len(s.lines) {
		return s.lines[i+1]
	}
	return len(s.text)
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// blank tells of a line that holds nothing or only a comment.
func blank(line string) bool {
	t := strings.TrimSpace(line)
	return t == "" || t[0] == '#'
}

// last gives the last line of a block that begins at line from and whose lines
// are indented by at least indent.
func (s *splicer) last(from, indent int) int {
	last := from
	for i := from + 1; i < len(s.lines); i++ {
		line := s.line(i)
		switch {
		case blank(line):
		case indentOf(line) < indent:
			return last
		default:
			last = i
		}
	}
	return last
}

// flowEnd gives where the { or [ at a place is closed, behind the bracket.
func (s *splicer) flowEnd(at int) (int, error) {
	depth := 0
	for i := at; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"' || c == '\'':
			end := s.quoteEnd(i)
			if end < 0 {
				return 0, errors.New("a quote that does not end")
			}
			i = end
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return i + 1, nil
			}
		case c == '#' && i > 0 && (s.text[i-1] == ' ' || s.text[i-1] == '\n' || s.text[i-1] == '\t'):
			for i+1 < len(s.text) && s.text[i+1] != '\n' {
				i++
			}
		}
		if depth == 0 {
			return 0, errors.New("an anchor or a tag before it")
		}
	}
	return 0, errors.New("a bracket that does not end")
}

// quoteEnd gives the closing quote of a quoted text; a quote in the middle of a
// plain one is none.
func (s *splicer) quoteEnd(at int) int {
	if p := s.text[at-1]; !strings.ContainsRune(" \n\t{[,:", rune(p)) {
		return at
	}
	for i := at + 1; i < len(s.text); i++ {
		switch {
		case s.text[at] == '"' && s.text[i] == '\\':
			i++
		case s.text[i] != s.text[at]:
		case s.text[at] == '\'' && i+1 < len(s.text) && s.text[i+1] == '\'':
			i++
		default:
			return i
		}
	}
	return -1
}

// plainWord needs no quotes, whatever YAML makes of words.
var plainWord = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

var plainNumber = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

// scalar writes a value.
func scalar(head, text string, number bool) string {
	switch strings.ToLower(text) {
	case "null", "true", "false", "yes", "no", "on", "off", "y", "n":
		return `"` + text + `"`
	}
	if (plainWord.MatchString(text) && head != "address" && head != "node") || number && plainNumber.MatchString(text) {
		return text
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == ' ' || unicode.IsPrint(r) && r != '\ufeff':
			b.WriteRune(r)
		case r <= 0xFFFF:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			fmt.Fprintf(&b, `\U%08X`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// pairs writes the keys and values of a signal.
func (w *wantedSignal) pairs() []string {
	numbers := numberColumns()
	all := make([]string, len(w.keys))
	for i, k := range w.keys {
		all[i] = k + ": " + scalar(k, w.cells[k], numbers[k])
	}
	return all
}

func (w *wantedSignal) flow() string { return "{" + strings.Join(w.pairs(), ", ") + "}" }
