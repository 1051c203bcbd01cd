package configs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestSignalsRoundTrip takes the shipped gateway out to CSV and back: nothing
// changes.
func TestSignalsRoundTrip(t *testing.T) {
	folder := secrets(t)
	file := filepath.Join(folder, "gateway.yaml")
	for name, o := range map[string]ExportOptions{"plain": {}, "excel": {Excel: true}, "semicolon": {Semicolon: true}, "one": {Machine: "a-riveting"}} {
		t.Run(name, func(t *testing.T) {
			csv := filepath.Join(folder, name+".csv")
			var table bytes.Buffer
			if _, err := ExportSignals(file, &table, o); err != nil {
				t.Fatal(err)
			}
			write(t, csv, table.String())
			i, err := ImportSignals(file, csv, ImportOptions{Remove: true})
			if err != nil {
				t.Fatal(err)
			}
			if i.Changed || len(i.Notes) > 0 {
				t.Errorf("changed %v, notes %q", i.Changed, i.Notes)
			}
			if rows := strings.Count(table.String(), "\n"); name == "one" && rows != 9 || name != "one" && rows != 49 {
				t.Errorf("%d rows", rows)
			}
		})
	}
}

// TestSignalsGolden holds what an import makes of files of many layouts, and
// what it tells of wrong tables, to the letter.
func TestSignalsGolden(t *testing.T) {
	folders, err := filepath.Glob("testdata/signals/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("%d folders, %v", len(folders), err)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Chdir(folder)
			_, err := os.Stat("remove")
			i, err := ImportSignals("gateway.yaml", "signals.csv", ImportOptions{Remove: err == nil})
			var got string
			var problems Problems
			switch {
			case errors.As(err, &problems):
				got = problems.Error() + "\n"
			case err != nil:
				got = err.Error() + "\n"
			default:
				for _, n := range i.Notes {
					got += "# note: " + n + "\n"
				}
				got += string(i.Text)
			}
			if *update {
				write(t, "want", got)
			}
			want, err := os.ReadFile("want")
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// genSignal makes a signal that is right.
func genSignal(r *rapid.T, name string) signalCells {
	cells := signalCells{"name": name, "type": "uint16", "address": fmt.Sprintf("holding:%d", rapid.IntRange(0, 65000).Draw(r, "address"))}
	maybe := func(key string, values ...string) {
		if rapid.Bool().Draw(r, key+" is set") {
			cells[key] = rapid.SampledFrom(values).Draw(r, key)
		}
	}
	maybe("order", "AB", "BA")
	maybe("deadband", "0.5", "12", "1e-3")
	if rapid.Bool().Draw(r, "counts") {
		cells["counter"] = rapid.SampledFrom([]string{"16", "0x10"}).Draw(r, "counter")
	} else {
		maybe("scale", "0.1", "-3", "1e6", "1.5e-7")
		maybe("offset", "-40", "273.15")
	}
	maybe("description", "a, b", "a; b", `say "x"`, "null", "~", "# no comment", "*no alias", "- dash", "two\nlines", " blanks ", "温度 °C", "{a: [b]}", "'", "yes", "\u2028", "a: b", "1.0", "007", "tab\there", "=1+1", "\x01", "🌡", "#", "[", "}")
	return cells
}

// genTable makes the signals of some machines.
func genTable(r *rapid.T, machines int) [][]signalCells {
	all := make([][]signalCells, machines)
	for m := range all {
		for n := range rapid.IntRange(1, 6).Draw(r, "signals") {
			// Names are of one machine each, or kinds would have to agree.
			all[m] = append(all[m], genSignal(r, fmt.Sprintf("s%d.%d", m, n)))
		}
	}
	return all
}

// genFile writes signals in one of many layouts.
func genFile(r *rapid.T, table [][]signalCells) string {
	var b strings.Builder
	b.WriteString("# a gateway\nsite: songjiang   # here\narea: assembly\ngateway: edge-1\nwire: {brokers: [\"tcp://127.0.0.1:1883\"]}\n\ndevices:\n")
	for m, signals := range table {
		lead := rapid.SampledFrom([]string{"", "  ", "    "}).Draw(r, "indent")
		device := fmt.Sprintf("machine: m%d", m)
		protocol := fmt.Sprintf("modbus: {url: \"tcp://127.0.0.1:%d\"} # 新", 5020+m)
		var items []string
		for i := range signals {
			w := wantedSignal{cells: signals[i]}
			for _, k := range columns()[1:] {
				if _, ok := signals[i][k]; ok {
					w.keys = append(w.keys, k)
				}
			}
			items = append(items, w.flow())
			if !strings.Contains(items[i], "\\") && rapid.IntRange(0, 3).Draw(r, "block") == 0 {
				items[i] = "\x00" + strings.Join(w.pairs(), "\x00")
			}
		}
		if lead != "" && m == 0 {
			b.WriteString(lead + "# the first\n")
		}
		lead = strings.Repeat(" ", 2)
		b.WriteString(lead + "- " + device + "\n")
		list := func() {
			if !strings.Contains(strings.Join(items, ""), "\x00") && rapid.IntRange(0, 4).Draw(r, "brackets") == 0 {
				b.WriteString(lead + "  signals: [" + strings.Join(items, ",\n"+lead+"    ") + "]\n")
				return
			}
			in := rapid.SampledFrom([]string{"  ", "    ", "      "}).Draw(r, "list indent")
			b.WriteString(lead + "  signals: # all\n")
			for _, it := range items {
				if rapid.IntRange(0, 3).Draw(r, "comment") == 0 {
					b.WriteString(lead + in + "# of the next\n\n")
				}
				if rest, ok := strings.CutPrefix(it, "\x00"); ok {
					b.WriteString(lead + in + "- " + strings.ReplaceAll(rest, "\x00", "\n"+lead+in+"  ") + "\n")
				} else {
					b.WriteString(lead + in + "- " + it + " # kept\n")
				}
			}
		}
		if rapid.Bool().Draw(r, "signals first") {
			list()
			b.WriteString(lead + "  " + protocol + "\n\n")
		} else {
			b.WriteString(lead + "  " + protocol + "\n")
			list()
		}
	}
	b.WriteString("# the end\n")
	text := b.String()
	if rapid.Bool().Draw(r, "after") {
		text += "certificates: data/pki\n"
	}
	if rapid.Bool().Draw(r, "windows") {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	if rapid.Bool().Draw(r, "no end") {
		text = strings.TrimRight(text, "\r\n")
	}
	return text
}

// outside gives a file's lines that are not in a list of signals.
func outside(text string) []string {
	return slices.DeleteFunc(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), func(line string) bool {
		for _, of := range []string{"site", "area", "gateway", "wire", "devices", "machine", "modbus", "#", "certificates"} {
			if strings.HasPrefix(strings.TrimLeft(line, " -"), of) && !strings.HasPrefix(strings.TrimSpace(line), "# of the next") {
				return false
			}
		}
		return true
	})
}

// TestSignalsProperty: whatever the layout, signals go out and come back as
// they were; and what was edited in the table is what the file then has, with
// all that is outside of its lists untouched.
func TestSignalsProperty(t *testing.T) {
	folder := t.TempDir()
	file, csv := filepath.Join(folder, "gateway.yaml"), filepath.Join(folder, "signals.csv")
	rapid.Check(t, func(r *rapid.T) {
		before := genTable(r, rapid.IntRange(1, 3).Draw(r, "machines"))
		text := genFile(r, before)
		write(t, file, text)
		o := ExportOptions{Excel: rapid.Bool().Draw(r, "excel"), Semicolon: rapid.Bool().Draw(r, "semicolon")}
		out := func() string {
			var table bytes.Buffer
			if _, err := ExportSignals(file, &table, o); err != nil {
				r.Fatalf("export: %v\n%s", err, text)
			}
			return table.String()
		}
		write(t, csv, out())
		i, err := ImportSignals(file, csv, ImportOptions{Remove: true})
		if err != nil || i.Changed {
			r.Fatalf("a table that nobody edited changes the file: %v\n%s", err, text)
		}

		// Somebody edits: signals are changed, added, left out.
		after := make([][]signalCells, len(before))
		for m := range before {
			for n, cells := range before[m] {
				switch rapid.IntRange(0, 3).Draw(r, "edit") {
				case 0:
					after[m] = append(after[m], genSignal(r, cells["name"]))
				case 1:
					if len(before[m]) > 1 && n > 0 {
						continue
					}
					fallthrough
				default:
					after[m] = append(after[m], cells)
				}
			}
			for n := range rapid.IntRange(0, 2).Draw(r, "new") {
				after[m] = append(after[m], genSignal(r, fmt.Sprintf("new%d.%d", m, n)))
			}
		}
		var edited bytes.Buffer
		devices := make([]writtenDevice, len(after))
		for m := range after {
			devices[m].machine = fmt.Sprintf("m%d", m)
			for _, cells := range after[m] {
				devices[m].signals = append(devices[m].signals, writtenSignal{cells: cells})
			}
		}
		if err := writeTable(&edited, devices, o); err != nil {
			r.Fatal(err)
		}
		write(t, csv, edited.String())
		if i, err = ImportSignals(file, csv, ImportOptions{Remove: true}); err != nil {
			r.Fatalf("import: %v\n%s\n%s", err, text, edited.String())
		}
		write(t, file, string(i.Text))
		if got := out(); got != edited.String() {
			r.Fatalf("got\n%s\nwant\n%s\nfrom\n%s\nwritten\n%s", got, edited.String(), text, i.Text)
		}
		if was, is := outside(text), outside(string(i.Text)); !slices.Equal(was, is) {
			r.Fatalf("outside of signals\n%q\nbecame\n%q", was, is)
		}
	})
}

// TestSignalsMany takes a few hundred signals out, has a spreadsheet's changes
// made, and in again.
func TestSignalsMany(t *testing.T) {
	folder := t.TempDir()
	file, csv := filepath.Join(folder, "gateway.yaml"), filepath.Join(folder, "signals.csv")
	var b strings.Builder
	b.WriteString(strings.SplitAfter(oneGateway, "devices:\n")[0])
	for m := range 4 {
		fmt.Fprintf(&b, "  - machine: m%d\n    modbus: {url: \"tcp://127.0.0.1:%d\"}\n    signals:\n", m, 5020+m)
		for n := range 150 {
			fmt.Fprintf(&b, "      - {name: s%03d, address: \"holding:%d\", type: float32, order: CDAB, unit: \"°C\"} # %d\n", n, 2*n, n)
		}
	}
	write(t, file, b.String())
	var table bytes.Buffer
	if _, err := ExportSignals(file, &table, ExportOptions{Excel: true, Semicolon: true}); err != nil {
		t.Fatal(err)
	}
	write(t, csv, strings.ReplaceAll(table.String(), ";CDAB;", ";ABCD;"))
	i, err := ImportSignals(file, csv, ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.ReplaceAll(b.String(), "CDAB", "ABCD"); string(i.Text) != want {
		t.Errorf("got\n%.2000s", i.Text)
	}
	if want := []string{"m0: 150 changed, 0 added, 0 removed", "m1: 150 changed, 0 added, 0 removed", "m2: 150 changed, 0 added, 0 removed", "m3: 150 changed, 0 added, 0 removed"}; !slices.Equal(i.Notes, want) {
		t.Errorf("notes %q", i.Notes)
	}
}

// TestSave: the old file is kept, links stay links, and modes stay.
func TestSave(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "gateway.yaml")
	if backup, err := Save(file, []byte("one")); err != nil || backup != "" {
		t.Fatal(backup, err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(folder, "link.yaml")
	if err := os.Symlink("gateway.yaml", link); err != nil {
		t.Fatal(err)
	}
	backup, err := Save(link, []byte("two"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{file: "two", backup: "one"} {
		got, err := os.ReadFile(name)
		info, statErr := os.Stat(name)
		if err != nil || statErr != nil || string(got) != want || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: %q %v, errors %v %v", name, got, info.Mode(), err, statErr)
		}
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link is none any more", err)
	}
	if left, _ := filepath.Glob(filepath.Join(folder, ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if _, err := Save(filepath.Join(folder, "none", "x"), nil); err == nil {
		t.Error("a folder that is not there is taken")
	}
}

// FuzzReadTable: whatever is in a file, reading it gives rows or problems.
func FuzzReadTable(f *testing.F) {
	for _, seed := range []string{"machine,name\na,b\n", "sep=;\nmachine;name\n\"x\ny\";z\n;;\n", "\ufeffmachine,name,,\na,b,c", "\xff\xfem", "a;b\n\"", "machine,name\n\"a\"b,c", "sep=,", "\n\n,"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		table, err := readTable("f.csv", raw)
		var problems Problems
		if err != nil {
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		lines := bytes.Count(raw, []byte("\n")) + bytes.Count(raw, []byte("\r")) + 1
		for _, r := range table.rows {
			if r.number < 2 || r.number > lines {
				t.Fatalf("row %d of %d lines", r.number, lines)
			}
		}
	})
}
