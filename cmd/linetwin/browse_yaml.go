package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"linetwin/connectors/opcua"
	"linetwin/plant"
)

// settings writes what a walk finds as devices of a gateway. Signals of no
// known machine are written as they come; those of machines are kept, and
// written as devices of their own at the end.
type settings struct {
	out   *bufio.Writer
	reach string // the opcua section
	names *names
	name  string // of the device for what belongs to no machine
	plain bool   // that device is there
	twin  bool   // write only the mapping for the twin
	ids   int    // variables that hold node ids: plumbing, not worth a line each

	machines []*foundMachine
	known    map[*opcua.Machine]*foundMachine
}

// foundMachine is a machine that follows a companion specification.
type foundMachine struct {
	*opcua.Machine
	id    string
	lines []string
	roles map[string]string // role to signal
	kinds map[string]plant.Kind
	other []string // what would be a role but cannot be read
}

func newSettings(w io.Writer, f *browseFlags, cfg opcua.Config, server string) *settings {
	s := &settings{out: bufio.NewWriter(w), reach: section(f, cfg), names: newNames(), name: f.machine, twin: f.twin, known: map[*opcua.Machine]*foundMachine{}}
	s.names.device(f.machine)
	if !s.twin {
		from := "the Objects folder"
		if f.walk.From != "" {
			from = f.walk.From
		}
		s.comment("", fmt.Sprintf("From %s (%s), walked from %s.", cfg.URL, server, from))
		s.comment("", "Put this into a gateway's file, name the machines, keep what is needed, then run: linetwin check FILE")
		s.line("devices:")
	}
	return s
}

// section gives a device's opcua settings; its password stays where it is.
func section(f *browseFlags, cfg opcua.Config) string {
	text := "{url: " + quote(cfg.URL) + ", security: " + cfg.Security
	if cfg.User.Name != "" {
		text += ", user: {name: " + quote(cfg.User.Name)
		switch {
		case f.passwordEnv != "":
			text += `, password: "${env:` + f.passwordEnv + `}"`
		case f.passwordFile != "":
			text += `, password: ` + strconv.Quote("${file:"+f.passwordFile+"}")
		}
		if cfg.User.Plain {
			text += ", plain: true"
		}
		text += "}"
	}
	if cfg.User.Certificate != "" {
		text += ", user: {certificate: " + quote(cfg.User.Certificate) + ", key: " + quote(cfg.User.Key) + "}"
	}
	return text + "}"
}

// quote writes text as YAML has it; ${ is no reference here.
func quote(s string) string {
	return strconv.Quote(strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "${", "$${"))
}

func (s *settings) line(text string) { s.out.WriteString(text + "\n") } // errors show when it is flushed

// comment writes a line that is none for YAML, whatever its text holds.
func (s *settings) comment(indent, text string) { s.line(indent + "# " + printable(text)) }

func (s *settings) variable(v opcua.Variable) error {
	if v.Why == opcua.WhyNodeID {
		s.ids++
		return nil
	}
	if v.Machine != nil {
		s.machine(v.Machine).take(v, s.names)
		return nil
	}
	if s.twin {
		return nil
	}
	if v.Why != "" {
		s.line("    " + left(v))
		return s.out.Flush()
	}
	if !s.plain {
		s.plain = true
		s.device(s.name)
	}
	s.line("      " + signalLine(s.names.signal(s.name, joined(v.Path), v), v))
	return s.out.Flush()
}

func (s *settings) device(machine string) {
	s.line("  - machine: " + quote(machine))
	s.line("    opcua: " + s.reach)
	s.line("    signals:")
}

// signalLine gives one line of a device's signals.
func signalLine(name string, v opcua.Variable) string {
	text := "- {name: " + quote(name) + ", node: " + quote(v.Node) + ", type: " + v.Type
	if v.Unit != "" {
		text += ", unit: " + quote(v.Unit)
	}
	if v.Description != "" {
		text += ", description: " + quote(v.Description)
	}
	text += "}"
	var notes []string
	if v.Low != 0 || v.High != 0 {
		notes = append(notes, fmt.Sprintf("%g to %g", v.Low, v.High))
	}
	if len(v.Enum) > 0 {
		notes = append(notes, strings.Join(v.Enum, ", "))
	}
	if len(notes) > 0 {
		text += " # " + printable(strings.Join(notes, "; "))
	}
	return text
}

// left gives the comment for a variable of which no signal is made.
func left(v opcua.Variable) string {
	text := "# " + strings.Join(v.Path, "/") + " (" + v.Node + "): " + v.Why
	if v.Length > 0 {
		text += fmt.Sprintf(", 0 to %d", v.Length-1)
	}
	return printable(text)
}

func (s *settings) machine(m *opcua.Machine) *foundMachine {
	f := s.known[m]
	if f == nil {
		f = &foundMachine{Machine: m, id: s.names.device(m.Name), roles: map[string]string{}, kinds: map[string]plant.Kind{}}
		s.known[m] = f
		s.machines = append(s.machines, f)
	}
	return f
}

// take takes a variable of the machine. What has a role gets its name.
func (f *foundMachine) take(v opcua.Variable, n *names) {
	if v.Why != "" {
		f.lines = append(f.lines, left(v))
		if v.Role != "" {
			f.other = append(f.other, v.Role+": "+strings.Join(v.Path, "/")+" is "+v.Why)
		}
		return
	}
	name := joined(v.Path[min(len(f.Path), len(v.Path)-1):])
	role := v.Role
	if role != "" && f.roles[role] == "" {
		name = role
	} else {
		role = ""
	}
	name = n.signal(f.id, name, v)
	if role != "" {
		f.roles[role], f.kinds[role] = name, opcua.Signal{Type: v.Type}.Kind()
	}
	f.lines = append(f.lines, signalLine(name, v))
}

func (s *settings) end(notes []string) error {
	if s.twin {
		for _, l := range mapping(s.machines) {
			s.line(l)
		}
		return s.out.Flush()
	}
	empty := !s.plain
	for _, m := range s.machines {
		if len(m.kinds) == 0 && !hasSignal(m.lines) {
			for _, l := range m.lines {
				s.line("    " + l)
			}
			continue
		}
		empty = false
		s.comment("  ", m.Name+" follows "+m.Spec+".")
		s.device(m.id)
		for _, l := range m.lines {
			s.line("      " + l)
		}
	}
	if empty {
		s.line("  []")
	}
	if len(s.machines) > 0 {
		s.comment("", "For twin.yaml (linetwin browse ... --twin prints it alone):")
		for _, l := range mapping(s.machines) {
			s.line("# " + l)
		}
	}
	if s.ids > 0 {
		notes = append(notes, fmt.Sprintf("%d variables that hold node ids are left out.", s.ids))
	}
	for _, n := range notes {
		s.comment("", n)
	}
	return s.out.Flush()
}

func hasSignal(lines []string) bool {
	for _, l := range lines {
		if strings.HasPrefix(l, "- ") {
			return true
		}
	}
	return false
}

// names keeps names apart: a signal's in its device, and those of one name but
// of another kind or unit in the whole file, as a site wants it.
type names struct {
	devices map[string]bool
	used    map[string]bool // device and signal
	kinds   map[string]meaning
}

type meaning struct {
	kind plant.Kind
	unit string
}

func newNames() *names {
	return &names{devices: map[string]bool{}, used: map[string]bool{}, kinds: map[string]meaning{}}
}

const longestName = 64

// device makes an identifier of a machine's name that no other one has.
func (n *names) device(name string) string {
	base := safe(name, "-_")
	if base == "" {
		base = "machine"
	}
	id := numbered(base, func(id string) bool { return n.devices[id] })
	n.devices[id] = true
	return id
}

// signal makes a signal's name of its path.
func (n *names) signal(device, path string, v opcua.Variable) string {
	base := safe(path, ".-_")
	if base == "" {
		base = "signal"
	}
	m := meaning{opcua.Signal{Type: v.Type}.Kind(), v.Unit}
	name := numbered(base, func(name string) bool {
		known, ok := n.kinds[name]
		return n.used[device+"\x00"+name] || ok && known != m
	})
	n.used[device+"\x00"+name], n.kinds[name] = true, m
	return name
}

// numbered gives base, or base_2 and so on where that is taken; long ones keep
// their end, which says most.
func numbered(base string, taken func(string) bool) string {
	for i := 1; ; i++ {
		suffix := ""
		if i > 1 {
			suffix = "_" + strconv.Itoa(i)
		}
		name := base
		if over := len(name) + len(suffix) - longestName; over > 0 {
			name = name[over:]
		}
		if name += suffix; !taken(name) {
			return name
		}
	}
}

// joined makes one text of a path; a dot parts what was parted.
func joined(path []string) string {
	all := make([]string, len(path))
	for i, p := range path {
		all[i] = strings.ReplaceAll(p, ".", "_")
	}
	return strings.Join(all, ".")
}

// safe replaces what identifiers may not have. Letters of other scripts cannot
// be kept: a name of nothing but them becomes one of its code points, so that
// it still says which it was.
func safe(s, also string) string {
	var b strings.Builder
	for _, part := range strings.SplitAfter(s, ".") {
		b.WriteString(safePart(part, also))
	}
	return strings.Trim(b.String(), "_.")
}

func safePart(s, also string) string {
	var b strings.Builder
	kept := false
	for _, c := range s {
		switch {
		case c < unicode.MaxASCII && (unicode.IsLetter(c) || unicode.IsDigit(c)):
			kept = true
			b.WriteRune(c)
		case strings.ContainsRune(also, c):
			b.WriteRune(c)
		case c > unicode.MaxASCII && (unicode.IsLetter(c) || unicode.IsDigit(c)):
			kept = true
			fmt.Fprintf(&b, "u%x", c)
		case !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
	}
	if !kept {
		return ""
	}
	return b.String()
}

func validMachine(name string) bool { return plant.CheckID(name) == nil }
