package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// The forms in which commands print rows.
const (
	outTable = "table"
	outJSON  = "json"
	outCSV   = "csv"
	outYAML  = "yaml"
)

// checkOutput tells whether a form is one of those that a command has.
func checkOutput(found string, allowed ...string) error {
	if slices.Contains(allowed, found) {
		return nil
	}
	return fmt.Errorf("--output: found %q, allowed: %s", found, strings.Join(allowed, ", "))
}

// rows prints rows of cells in one of three forms: a table whose columns are
// aligned, a JSON array of objects with the columns as keys, or CSV (RFC 4180)
// with a line of columns. JSON and CSV are printed as they come; a table when
// it is closed, because it has to know its widths.
type rows struct {
	form    string
	columns []string
	out     *bufio.Writer
	csv     *csv.Writer
	began   bool
	held    [][]string
}

func newRows(w io.Writer, form string, columns ...string) *rows {
	r := &rows{form: form, columns: columns, out: bufio.NewWriter(w)}
	if form == outCSV {
		r.csv = csv.NewWriter(r.out)
		r.csv.UseCRLF = true
	}
	return r
}

// add takes one row, a cell for each column. What is nil is empty, in JSON
// null; everything else JSON gets as it is, the other forms as text.
func (r *rows) add(cells ...any) error {
	switch r.form {
	case outJSON:
		return r.object(cells)
	case outCSV:
		if !r.began {
			r.began = true
			if err := r.csv.Write(r.columns); err != nil {
				return err
			}
		}
		return r.csv.Write(texts(cells))
	}
	r.held = append(r.held, texts(cells))
	return nil
}

func texts(cells []any) []string {
	all := make([]string, len(cells))
	for i, c := range cells {
		if c != nil {
			all[i] = fmt.Sprint(c)
		}
	}
	return all
}

func (r *rows) object(cells []any) error {
	sep := ",\n"
	if !r.began {
		r.began, sep = true, "[\n"
	}
	r.out.WriteString(sep + "  {") // an error shows when it is flushed
	for i, c := range cells {
		if i > 0 {
			r.out.WriteString(", ")
		}
		value, err := json.Marshal(c)
		if err != nil {
			return fmt.Errorf("column %s: %w", r.columns[i], err)
		}
		fmt.Fprintf(r.out, "%q: %s", r.columns[i], value)
	}
	_, err := r.out.WriteString("}")
	return err
}

// close prints what is left. It does not close what rows are printed to.
func (r *rows) close() error {
	switch r.form {
	case outJSON:
		if !r.began {
			r.out.WriteString("[")
		}
		r.out.WriteString("\n]\n")
	case outCSV:
		if !r.began {
			r.csv.Write(r.columns)
		}
		if r.csv.Flush(); r.csv.Error() != nil {
			return r.csv.Error()
		}
	default:
		r.align()
	}
	return r.out.Flush()
}

// align prints the table, without the columns in which nothing stands.
func (r *rows) align() {
	head := make([]string, len(r.columns))
	for i, c := range r.columns {
		head[i] = strings.ToUpper(strings.ReplaceAll(c, "_", " "))
	}
	all := append([][]string{head}, r.held...)
	widths := make([]int, len(head))
	for _, row := range all {
		for i := range row {
			row[i] = printable(row[i])
			widths[i] = max(widths[i], width(row[i]))
		}
	}
	for _, row := range all {
		var line strings.Builder
		for i, c := range row {
			if !slices.ContainsFunc(r.held, func(held []string) bool { return held[i] != "" }) {
				continue
			}
			line.WriteString(c + strings.Repeat(" ", widths[i]-width(c)+2))
		}
		r.out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// printable replaces what would confuse a terminal: names and texts come from
// devices.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return '·'
	}, s)
}

// wide holds the characters that take two columns of a terminal (Unicode
// UAX #11, wide and fullwidth; the blocks, not each character).
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{{Lo: 0x1100, Hi: 0x115F, Stride: 1}, {Lo: 0x2E80, Hi: 0x303E, Stride: 1}, {Lo: 0x3041, Hi: 0x33FF, Stride: 1},
		{Lo: 0x3400, Hi: 0x4DBF, Stride: 1}, {Lo: 0x4E00, Hi: 0x9FFF, Stride: 1}, {Lo: 0xA000, Hi: 0xA4CF, Stride: 1},
		{Lo: 0xA960, Hi: 0xA97F, Stride: 1}, {Lo: 0xAC00, Hi: 0xD7A3, Stride: 1}, {Lo: 0xF900, Hi: 0xFAFF, Stride: 1},
		{Lo: 0xFE30, Hi: 0xFE6F, Stride: 1}, {Lo: 0xFF01, Hi: 0xFF60, Stride: 1}, {Lo: 0xFFE0, Hi: 0xFFE6, Stride: 1}},
	R32: []unicode.Range32{{Lo: 0x1F300, Hi: 0x1F64F, Stride: 1}, {Lo: 0x1F900, Hi: 0x1F9FF, Stride: 1}, {Lo: 0x20000, Hi: 0x3FFFD, Stride: 1}},
}

// width gives the columns that a text takes in a terminal.
func width(s string) int {
	n := 0
	for _, c := range s {
		switch {
		case unicode.Is(unicode.Mn, c):
		case unicode.Is(wide, c):
			n += 2
		default:
			n++
		}
	}
	return n
}
