package configs

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"linetwin/connectors"
	"linetwin/plant"
)

// columns gives the columns of a table of signals: the machine, and every key
// of a signal, in the order in which connectors.Signal has them.
func columns() []string {
	all := []string{"machine"}
	t := reflect.TypeFor[connectors.Signal]()
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); name != "" && name != "-" {
			all = append(all, name)
		}
	}
	return all
}

// numbers tells which columns hold numbers.
func numberColumns() map[string]bool {
	is := map[string]bool{}
	t := reflect.TypeFor[connectors.Signal]()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		typ := t.Field(i).Type
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		is[name] = typ.Kind() == reflect.Int || typ.Kind() == reflect.Float64
	}
	return is
}

// signalCells are what a signal's keys hold, as text; what is not set is not
// there.
type signalCells map[string]string

// writtenSignal is a signal as a settings file has it.
type writtenSignal struct {
	node  *yaml.Node // the mapping, or the alias of one
	keys  []string   // in the order of the file
	cells signalCells
}

func (s *writtenSignal) name() string { return s.cells["name"] }

// writtenDevice is a device's own signals as a settings file has them, without
// those of a profile.
type writtenDevice struct {
	machine string
	profile string
	node    *yaml.Node
	signals []writtenSignal
}

// writtenDevices reads the devices of a gateway's document.
func writtenDevices(file string, root *yaml.Node) ([]writtenDevice, error) {
	if kind := kindOf(root); kind != KindGateway {
		return nil, fmt.Errorf("%s is a %s's file; signals stand in a gateway's", file, kind)
	}
	d := &decoder{file: file}
	list := lookup(root, "devices")
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("%s has no list of devices", file)
	}
	var all []writtenDevice
	for i, entry := range list.Content {
		key := fmt.Sprintf("devices[%d]", i)
		w := writtenDevice{node: target(entry)}
		for name, into := range map[string]*string{"machine": &w.machine, "profile": &w.profile} {
			if v := lookup(w.node, name); v != nil && v.Kind == yaml.ScalarNode && !isNull(v) {
				*into = v.Value
			}
		}
		if w.machine == "" {
			d.wrong(entry, key+".machine", "", "the machine whose signals these are")
		}
		if n := lookup(w.node, "signals"); n != nil && !isNull(n) {
			if n.Kind != yaml.SequenceNode {
				d.wrong(n, key+".signals", found(n), "a list of signals")
				continue
			}
			for j, s := range n.Content {
				w.signals = append(w.signals, d.writtenSignal(s, fmt.Sprintf("%s.signals[%d]", key, j)))
			}
		}
		all = append(all, w)
	}
	if len(d.problems) > 0 {
		return nil, sorted(d.problems)
	}
	return all, nil
}

func (d *decoder) writtenSignal(n *yaml.Node, key string) writtenSignal {
	w := writtenSignal{node: n, cells: signalCells{}}
	n = target(n)
	if n.Kind != yaml.MappingNode {
		d.wrong(n, key, found(n), "keys and values: "+strings.Join(columns()[1:], ", "))
		return w
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], target(n.Content[i+1])
		switch {
		case !slices.Contains(columns()[1:], k.Value):
			d.wrong(k, join(key, k.Value), "an unknown key", strings.Join(columns()[1:], ", "))
		case slices.Contains(w.keys, k.Value):
			d.wrong(k, join(key, k.Value), "the key a second time", "each key once")
		case v.Kind != yaml.ScalarNode:
			d.wrong(v, join(key, k.Value), found(v), "a single value")
		case strings.ContainsRune(v.Value, '\r'):
			d.wrong(v, join(key, k.Value), found(v), "no carriage return, which a table in CSV does not keep")
		default:
			w.keys = append(w.keys, k.Value)
			if !isNull(v) && v.Value != "" {
				w.cells[k.Value] = v.Value
			}
		}
	}
	if w.name() == "" {
		d.wrong(n, join(key, "name"), "", "the signal's name")
	}
	return w
}

// ExportOptions say how a table of signals is written.
type ExportOptions struct {
	Machine   string // only this one's
	Excel     bool   // with a byte order mark, by which Excel knows UTF-8
	Semicolon bool   // between cells, as Excel wants it where commas part decimals
}

// ExportSignals writes the signals of a gateway's file as CSV, as they stand in
// it, and gives notes on what is not in the table.
func ExportSignals(file string, to io.Writer, o ExportOptions) (notes []string, err error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	root, err := document(file, raw)
	if err != nil {
		return nil, err
	}
	devices, err := writtenDevices(file, root)
	if err != nil {
		return nil, err
	}
	if o.Machine != "" {
		all := machineNames(devices)
		devices = slices.DeleteFunc(devices, func(d writtenDevice) bool { return d.machine != o.Machine })
		if len(devices) == 0 {
			return nil, fmt.Errorf("--machine: found %s, allowed: a machine of %s: %s", o.Machine, file, strings.Join(all, ", "))
		}
	}
	for _, d := range devices {
		if d.profile != "" {
			notes = append(notes, fmt.Sprintf("%s has the signals of profile %s too; a row with the name of one changes what its cells say", d.machine, d.profile))
		}
	}
	return notes, writeTable(to, devices, o)
}

func writeTable(to io.Writer, devices []writtenDevice, o ExportOptions) error {
	heads := columns()
	rows := [][]string{heads}
	for i := range devices {
		for _, s := range devices[i].signals {
			row := make([]string, len(heads))
			row[0] = devices[i].machine
			for c, head := range heads[1:] {
				row[c+1] = s.cells[head]
			}
			rows = append(rows, row)
		}
	}
	if o.Excel {
		if _, err := io.WriteString(to, "\ufeff"); err != nil {
			return err
		}
	}
	w := csv.NewWriter(to)
	if o.Semicolon {
		w.Comma = ';'
	}
	return w.WriteAll(rows)
}

func machineNames(devices []writtenDevice) []string {
	names := make([]string, len(devices))
	for i := range devices {
		names[i] = devices[i].machine
	}
	return names
}

// cellProblem tells of a cell, by the row and the letter that a spreadsheet
// shows.
func cellProblem(file string, row, column int, head, found, allowed string) Problem {
	key := fmt.Sprintf("row %d", row)
	if column >= 0 {
		key += ", column " + columnLetters(column)
	}
	if head != "" {
		key += " (" + head + ")"
	}
	return Problem{File: file, Fault: plant.Fault{Key: key, Found: found, Allowed: allowed}, order: row}
}

// columnLetters gives A for 0, Z for 25, AA for 26.
func columnLetters(i int) string {
	s := ""
	for i++; i > 0; i = (i - 1) / 26 {
		s = string(rune('A'+(i-1)%26)) + s
	}
	return s
}
