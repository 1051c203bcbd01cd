package configs

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// ImportOptions say what an import may do.
type ImportOptions struct {
	// Remove takes out the signals that a machine of the table has in the file
	// and not in the table. Machines that the table does not have stay as they
	// are.
	Remove bool
}

// Import is a gateway's file with the signals of a table in it. Nothing is
// written yet.
type Import struct {
	File string
	Text []byte // the file as it should be
	// Changed tells whether Text is anything else than what the file has.
	Changed bool
	// Notes tell what changes, machine by machine, and what was left out.
	Notes []string
}

// ImportSignals puts a table of signals into a gateway's file. What stands
// outside the lists of signals stays as it is, to the letter. The error is
// Problems if the table or what would become of the file is wrong.
func ImportSignals(file, csvFile string, o ImportOptions) (*Import, error) {
	old, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	root, err := document(file, old)
	if err != nil {
		return nil, err
	}
	devices, err := writtenDevices(file, root)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(csvFile)
	if err != nil {
		return nil, fmt.Errorf("read signals: %w", err)
	}
	t, err := readTable(csvFile, raw)
	if err != nil {
		return nil, err
	}
	p := &importer{table: t, devices: devices, written: map[string]*writtenSignal{}, rowOf: map[string]*tableRow{}}
	for i := range devices {
		for j := range devices[i].signals {
			s := &devices[i].signals[j]
			p.written[devices[i].machine+"\x00"+s.name()] = s
		}
	}
	wanted, problems := p.plan(o)
	if len(problems) > 0 {
		return nil, sorted(problems)
	}
	text, err := splice(old, devices, wanted)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := p.check(file, old, text); err != nil {
		return nil, err
	}
	return &Import{File: file, Text: text, Changed: string(text) != string(old), Notes: p.notes()}, nil
}

// wantedSignal is a signal as it should stand in a file.
type wantedSignal struct {
	old     *writtenSignal // nil for a new one
	keys    []string
	cells   signalCells
	changed bool
	removed bool
}

type importer struct {
	*table
	devices []writtenDevice
	written map[string]*writtenSignal // by machine and name
	rowOf   map[string]*tableRow      // the same
	told    []string
}

func (p *importer) notes() []string { return append(p.told, p.table.notes...) }

// plan gives each device the signals that it should have.
func (p *importer) plan(o ImportOptions) (wanted [][]wantedSignal, problems []Problem) {
	rows := map[string][]*tableRow{} // by machine
	for i := range p.rows {
		r := &p.rows[i]
		problems = append(problems, p.row(r)...)
		rows[p.at(r, "machine")] = append(rows[p.at(r, "machine")], r)
	}
	for i := range p.devices {
		d := &p.devices[i]
		want := p.device(d, rows[d.machine], o)
		wanted = append(wanted, want)
		p.tell(d.machine, want, len(rows[d.machine]) > 0)
	}
	return wanted, problems
}

// row tells what is wrong with a row by itself, and that a signal has two.
func (p *importer) row(r *tableRow) (problems []Problem) {
	machine, name := p.at(r, "machine"), p.at(r, "name")
	key := machine + "\x00" + name
	wrong := func(head, found, allowed string) {
		problems = append(problems, cellProblem(p.file, r.number, slices.Index(p.heads, head), head, found, allowed))
	}
	before := signalCells{}
	if s := p.written[key]; s != nil {
		before = s.cells
	}
	known := slices.Contains(machineNames(p.devices), machine)
	numbers := numberColumns()
	spoilt := map[string]bool{}
	for c, head := range p.heads {
		if head == "" || c >= len(r.cells) || r.cells[c] == "" {
			continue
		}
		was := before[head]
		if head == "machine" && known {
			was = machine
		}
		if strings.ContainsRune(r.cells[c], '\r') {
			wrong(head, shown(r.cells[c]), "no carriage return within a cell")
		}
		if allowed := damage(head, r.cells[c], was, numbers[head]); allowed != "" {
			wrong(head, shown(r.cells[c]), allowed)
			spoilt[head] = true
		}
	}
	if !known && !spoilt["machine"] {
		wrong("machine", shown(machine), "a machine of the settings file: "+strings.Join(machineNames(p.devices), ", "))
	}
	if first := p.rowOf[key]; first != nil && name != "" {
		wrong("name", shown(name), fmt.Sprintf("each signal of %s once; row %d has this one", machine, first.number))
	}
	if name == "" {
		wrong("name", "", "the signal's name")
	}
	p.rowOf[key] = r
	return problems
}

// device gives the signals that a device should have: those of the file in
// their order, then new ones.
func (p *importer) device(d *writtenDevice, rows []*tableRow, o ImportOptions) []wantedSignal {
	var want []wantedSignal
	byName := map[string]*tableRow{}
	for _, r := range rows {
		byName[p.at(r, "name")] = r
	}
	for i := range d.signals {
		s := &d.signals[i]
		w := wantedSignal{old: s, keys: s.keys, cells: s.cells}
		switch r := byName[s.name()]; {
		case r != nil:
			w.keys, w.cells, w.changed = p.cells(r, s)
			delete(byName, s.name())
		case len(rows) > 0 && o.Remove:
			w.removed = true
		}
		want = append(want, w)
	}
	for _, r := range rows {
		if byName[p.at(r, "name")] == r {
			keys, cells, _ := p.cells(r, &writtenSignal{})
			want = append(want, wantedSignal{keys: keys, cells: cells})
		}
	}
	return want
}

// cells gives what a row makes of a signal. Columns that the table does not
// have stay as they were.
func (p *importer) cells(r *tableRow, s *writtenSignal) (keys []string, cells signalCells, changed bool) {
	cells = signalCells{}
	for head, text := range s.cells {
		cells[head] = text
	}
	for _, head := range columns()[1:] {
		if !slices.Contains(p.heads, head) {
			continue
		}
		text := p.at(r, head)
		changed = changed || text != s.cells[head]
		if text == "" {
			delete(cells, head)
		} else {
			cells[head] = text
		}
	}
	for _, head := range s.keys {
		if _, ok := cells[head]; ok {
			keys = append(keys, head)
		}
	}
	for _, head := range columns()[1:] {
		if _, ok := cells[head]; ok && !slices.Contains(keys, head) {
			keys = append(keys, head)
		}
	}
	return keys, cells, changed
}

// tell notes what becomes of a machine's signals.
func (p *importer) tell(machine string, want []wantedSignal, inTable bool) {
	var added, changed int
	var removed, absent []string
	for _, w := range want {
		switch {
		case w.old == nil:
			added++
		case w.removed:
			removed = append(removed, w.old.name())
		case w.changed:
			changed++
		case inTable && p.rowOf[machine+"\x00"+w.old.name()] == nil:
			absent = append(absent, w.old.name())
		}
	}
	if added+changed+len(removed) > 0 {
		text := fmt.Sprintf("%s: %d changed, %d added, %d removed", machine, changed, added, len(removed))
		if len(removed) > 0 {
			text += " (" + strings.Join(removed, ", ") + ")"
		}
		p.told = append(p.told, text)
	}
	if len(absent) > 0 {
		p.told = append(p.told, fmt.Sprintf("%s: %d are not in the table and stay: %s; --remove takes them out", machine, len(absent), strings.Join(absent, ", ")))
	}
}

var signalKey = regexp.MustCompile(`^devices\[([0-9]+)\]\.signals\[([0-9]+)\](?:\.([a-z_]+))?`)

// check holds the new text against all that a gateway's file must be. What a
// row of the table has brought is told with the row.
func (p *importer) check(file string, old, text []byte) error {
	root, err := document(file, text)
	if err != nil {
		return err
	}
	devices, err := writtenDevices(file, root)
	if err != nil {
		return err
	}
	problems, ok := decode(file, root, &Gateway{}, Options{WithoutSecrets: true}).(Problems)
	if !ok || len(problems) == 0 {
		return nil
	}
	before := p.before(file, old)
	for i, wrong := range problems {
		if wrong.File != file {
			continue
		}
		if row, head := p.rowAt(devices, wrong.Key); row != nil {
			problems[i] = cellProblem(p.file, row.number, slices.Index(p.heads, head), head, wrong.Found, wrong.Allowed)
			if head == "address" && fewDigits.MatchString(wrong.Found) {
				problems[i].Allowed += "; a spreadsheet drops zeros at the beginning of 00001"
			}
			continue
		}
		problems[i].Line, problems[i].Column = 0, 0
		if place, ok := before[wrong.Key]; ok {
			problems[i].Line, problems[i].Column = place.Line, place.Column
		}
	}
	return sorted(problems)
}

// before gives the problems that the file has already, by key.
func (p *importer) before(file string, old []byte) map[string]Problem {
	by := map[string]Problem{}
	root, err := document(file, old)
	if err != nil {
		return by
	}
	problems, _ := decode(file, root, &Gateway{}, Options{WithoutSecrets: true}).(Problems)
	for _, wrong := range problems {
		by[wrong.Key] = wrong
	}
	return by
}

// rowAt gives the row that a key of the new file came from, and its column; nil
// where it is none of the table's.
func (p *importer) rowAt(devices []writtenDevice, key string) (*tableRow, string) {
	parts := signalKey.FindStringSubmatch(key)
	if parts == nil {
		return nil, ""
	}
	i, _ := strconv.Atoi(parts[1])
	j, _ := strconv.Atoi(parts[2])
	if i >= len(devices) || j >= len(devices[i].signals) {
		return nil, ""
	}
	head := parts[3]
	if !slices.Contains(p.heads, head) {
		head = "name"
	}
	return p.rowOf[devices[i].machine+"\x00"+devices[i].signals[j].name()], head
}

// sameBut tells whether two documents are the same but for lists of signals.
func sameBut(a, b *yaml.Node, depth int) bool {
	if a.Kind != b.Kind || a.Tag != b.Tag || a.Value != b.Value || a.Anchor != b.Anchor {
		return false
	}
	one, other := a.Content, b.Content
	if depth == 3 && a.Kind == yaml.MappingNode { // document's mapping, devices, device
		one, other = withoutSignals(one), withoutSignals(other)
	}
	if len(one) != len(other) {
		return false
	}
	for i := range one {
		next := 0
		switch {
		case depth == 1 && a.Kind == yaml.MappingNode && i%2 == 1 && one[i-1].Value == "devices", depth == 2:
			next = depth + 1
		}
		if !sameBut(one[i], other[i], next) {
			return false
		}
	}
	return true
}

func withoutSignals(pairs []*yaml.Node) []*yaml.Node {
	var out []*yaml.Node
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i].Value != "signals" {
			out = append(out, pairs[i], pairs[i+1])
		}
	}
	return out
}
