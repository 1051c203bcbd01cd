package configs

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"linetwin/plant"
)

// tableRow is a row of a table of signals.
type tableRow struct {
	number int // as a spreadsheet counts, from 1
	cells  []string
}

// table is a CSV of signals as it was read.
type table struct {
	file  string
	heads []string // "" for columns that are empty
	rows  []tableRow
	notes []string
}

// at gives a row's cell; "" where the row or the table has none.
func (t *table) at(r *tableRow, head string) string {
	if i := slices.Index(t.heads, head); i >= 0 && i < len(r.cells) {
		return r.cells[i]
	}
	return ""
}

const asUTF8 = `UTF-8: in Excel, "Save as" with the type "CSV UTF-8 (comma delimited)", in Chinese "CSV UTF-8 (逗号分隔)"`

// readTable reads a CSV of signals. The error is Problems.
func readTable(file string, raw []byte) (*table, error) {
	t := &table{file: file}
	if p := notText(file, raw); p != nil {
		return nil, Problems{*p}
	}
	raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
	comma, skip := separator(raw)
	if comma == 0 {
		return nil, Problems{cellProblem(file, 1, -1, "", shown(firstLine(raw)), "names of columns with , or ; between them: "+strings.Join(columns(), ", "))}
	}
	r := csv.NewReader(bytes.NewReader(raw[skip:]))
	r.Comma, r.FieldsPerRecord = comma, -1
	before := bytes.Count(raw[:skip], []byte("\n"))
	inside := 0 // line breaks within cells so far
	for {
		cells, err := r.Read()
		if err == io.EOF {
			break
		}
		var wrong *csv.ParseError
		if errors.As(err, &wrong) {
			return nil, Problems{notCSV(file, wrong.Line+before, "a mistake in writing ("+wrong.Err.Error()+")", `CSV; a cell with a quote in it stands in quotes, with "" for each one`)}
		} else if err != nil {
			return nil, err
		}
		line, _ := r.FieldPos(0)
		row := tableRow{number: line - inside + before, cells: cells}
		for _, c := range cells {
			inside += strings.Count(c, "\n")
		}
		t.rows = append(t.rows, row)
	}
	if len(t.rows) == 0 {
		return nil, Problems{notCSV(file, 0, "nothing", "a row of column names, and a row for each signal")}
	}
	return t, t.arrange()
}

func notCSV(file string, line int, found, allowed string) Problem {
	return Problem{File: file, Line: line, Fault: plant.Fault{Key: "csv", Found: found, Allowed: allowed}}
}

// notText finds what is no UTF-8 text.
func notText(file string, raw []byte) *Problem {
	wrong := func(line int, found, allowed string) *Problem {
		p := notCSV(file, line, found, allowed)
		return &p
	}
	switch {
	case len(raw) > maxFile:
		return wrong(0, fmt.Sprintf("%d bytes", len(raw)), fmt.Sprintf("at most %d", maxFile))
	case bytes.HasPrefix(raw, []byte("PK\x03\x04")), bytes.HasPrefix(raw, []byte("\xd0\xcf\x11\xe0")):
		return wrong(0, "an Excel workbook", asUTF8)
	case bytes.HasPrefix(raw, []byte("\xff\xfe")), bytes.HasPrefix(raw, []byte("\xfe\xff")):
		return wrong(0, "UTF-16 text (Excel's \"Unicode text\")", asUTF8)
	case len(bytes.TrimSpace(raw)) == 0:
		return wrong(0, "nothing", "a row of column names, and a row for each signal")
	}
	for i, line := range bytes.Split(raw, []byte("\n")) {
		if !utf8.Valid(line) {
			return wrong(i+1, "bytes that are not UTF-8; GB18030 (GBK) is likely, in which Excel on Chinese Windows writes plain CSV", asUTF8)
		}
		if bytes.IndexByte(line, 0) >= 0 {
			return wrong(i+1, "a zero byte", asUTF8)
		}
	}
	return nil
}

func firstLine(raw []byte) string {
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	return strings.TrimSuffix(string(line), "\r")
}

// shown gives a piece of text for a message; "" stays, so that it says
// "missing".
func shown(text string) string {
	if r := []rune(text); len(r) > mostShown {
		return quote(string(r[:mostShown])) + "..."
	}
	return quote(text)
}

// separator finds what parts the cells, , or ;, by the first line, and how much
// of the file says so itself (Excel's "sep=;"). It is 0 where there is none.
func separator(raw []byte) (comma rune, skip int) {
	first := firstLine(raw)
	if sep, ok := strings.CutPrefix(first, "sep="); ok && (sep == "," || sep == ";") {
		return rune(sep[0]), min(len(raw), bytes.IndexByte(raw, '\n')+1)
	}
	count := map[rune]int{}
	quoted := false
	for _, r := range first {
		if r == '"' {
			quoted = !quoted
		}
		if !quoted {
			count[r]++
		}
	}
	switch {
	case count[','] == 0 && count[';'] == 0:
		return 0, 0
	case count[';'] > count[',']:
		return ';', 0
	}
	return ',', 0
}

// arrange takes the first row as names of columns, and leaves out empty rows.
func (t *table) arrange() error {
	var problems []Problem
	head := t.rows[0]
	t.rows = t.rows[1:]
	known := columns()
	for i, name := range head.cells {
		name = strings.TrimSpace(name)
		switch {
		case name == "":
		case !slices.Contains(known, name):
			problems = append(problems, cellProblem(t.file, head.number, i, "", shown(name), "one of the columns "+strings.Join(known, ", ")))
		case slices.Contains(t.heads, name):
			problems = append(problems, cellProblem(t.file, head.number, i, "", "column "+name+" a second time", "each column once"))
		}
		t.heads = append(t.heads, name)
	}
	for _, need := range known[:2] {
		if !slices.Contains(t.heads, need) {
			problems = append(problems, cellProblem(t.file, head.number, -1, "", "no column "+need, "columns machine and name, and any of "+strings.Join(known[2:], ", ")))
		}
	}
	kept := t.rows[:0]
	var empty []int
	for _, r := range t.rows {
		full := false
		for i, c := range r.cells {
			full = full || c != ""
			if c != "" && (i >= len(t.heads) || t.heads[i] == "") {
				problems = append(problems, cellProblem(t.file, r.number, i, "", shown(c), "a name at the head of this column, or nothing in it"))
			}
		}
		if full {
			kept = append(kept, r)
		} else {
			empty = append(empty, r.number)
		}
	}
	t.rows = kept
	if len(empty) > 0 {
		t.notes = append(t.notes, fmt.Sprintf("%s: %d empty rows are left out, the first is row %d", t.file, len(empty), empty[0]))
	}
	if len(problems) > 0 {
		return sorted(problems)
	}
	return nil
}

// What spreadsheets make of what people type.
var (
	likeDate    = regexp.MustCompile(`(?i)^([0-9]{1,2}-(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)|(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)-[0-9]{2}|[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}|[0-9]{1,2}/[0-9]{1,2}|.*[0-9]月.*)$`)
	likePower   = regexp.MustCompile(`^-?[0-9](\.[0-9]+)?E[+-][0-9]+$`)
	likeDecimal = regexp.MustCompile(`^-?[0-9]*,[0-9]+$`)
	likeError   = regexp.MustCompile(`^#(NAME\?|REF!|VALUE!|N/A|DIV/0!|NUM!|NULL!|SPILL!)$`)
	fewDigits   = regexp.MustCompile(`^[0-9]{1,4}$`)
)

// damage tells what a spreadsheet has made of a cell; before is what the
// settings file has there. "" is none.
func damage(head, text, before string, number bool) (allowed string) {
	const asText = "; format the column as text before values are typed or opened"
	free := head == "description" || head == "unit"
	switch {
	case text == before:
		return ""
	case likeError.MatchString(text):
		return "a value; this is an error of the spreadsheet's"
	case number && likeDecimal.MatchString(text):
		return "a point before decimals, and none between thousands: " + strings.Replace(text, ",", ".", 1)
	case !free && likePower.MatchString(text):
		return "all digits; a spreadsheet has shortened the number" + asText
	case !free && !number && likeDate.MatchString(text):
		return "a " + head + " that a spreadsheet has not made a date of" + asText
	case head == "address" && fewDigits.MatchString(text) && before != "" && strings.TrimLeft(before, "0") == strings.TrimLeft(text, "0"):
		return before + "; a spreadsheet has dropped the zeros at its beginning" + asText
	}
	return ""
}
