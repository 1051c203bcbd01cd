package twin

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"linetwin/plant"
)

// tableColumns are the columns of each kind of table; noCycle stands in one for
// no ideal cycle any more.
func tableColumns(k plant.EntryKind) []string {
	switch k {
	case plant.EntryOrder:
		return []string{"id", "line", "product", "quantity", "due", "from", "to"}
	case plant.EntryProduct:
		return []string{"id", "name_en", "name_zh"}
	}
	return []string{"product", "machine", "from", "cycle"}
}

const noCycle = "none"

// tableRow is one line of a table.
type tableRow struct {
	line  int
	cells map[string]string
}

// table is a file that is being read, with what is wrong with it.
type table struct {
	rows   []tableRow
	faults []plant.Fault
}

func (t *table) add(line int, column, found, allowed string) {
	key := fmt.Sprintf("line %d", line)
	if column != "" {
		key += ", " + column
	}
	t.faults = append(t.faults, plant.Fault{Key: key, Found: found, Allowed: allowed})
}

// readTable reads a file with a header line that names the columns, in any order.
func readTable(text []byte, columns []string) *table {
	t := &table{}
	if !utf8.Valid(text) {
		t.add(1+bytes.Count(text[:validUpTo(text)], []byte("\n")), "", "bytes of another encoding", "UTF-8 (in a spreadsheet: save as \"CSV UTF-8\")")
		return t
	}
	text = bytes.TrimPrefix(text, []byte("\uFEFF"))
	first, _, _ := bytes.Cut(text, []byte("\n"))
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord = -1
	if bytes.Count(first, []byte(";")) > bytes.Count(first, []byte(",")) {
		r.Comma = ';'
	}
	head, err := r.Read()
	if err != nil {
		t.add(1, "", strings.TrimSpace(string(first)), "the columns "+strings.Join(columns, ", "))
		return t
	}
	if t.header(head, columns); len(t.faults) == 0 {
		t.read(r, head)
	}
	return t
}

// read reads the lines after the header.
func (t *table) read(r *csv.Reader, head []string) {
	for {
		cells, err := r.Read()
		var broken *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return
		case errors.As(err, &broken):
			t.add(broken.Line, "", broken.Err.Error(), "cells with their quotes in pairs")
			return
		}
		line, _ := r.FieldPos(0)
		if len(t.rows) == plant.MostTableLines {
			t.add(line, "", "more lines", fmt.Sprintf("at most %d in one file", plant.MostTableLines))
			return
		}
		if len(cells) != len(head) {
			t.add(line, "", fmt.Sprintf("%d cells", len(cells)), fmt.Sprintf("%d, as in the header", len(head)))
			continue
		}
		row := tableRow{line, map[string]string{}}
		for i, c := range cells {
			row.cells[strings.TrimSpace(head[i])] = c
		}
		t.rows = append(t.rows, row)
	}
}

// validUpTo gives where text stops being UTF-8.
func validUpTo(text []byte) (n int) {
	for n < len(text) {
		r, size := utf8.DecodeRune(text[n:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		n += size
	}
	return n
}

func (t *table) header(head, columns []string) {
	seen := map[string]bool{}
	for _, c := range head {
		c = strings.TrimSpace(c)
		if !slices.Contains(columns, c) || seen[c] {
			t.add(1, "", c, "each of the columns "+strings.Join(columns, ", ")+" once")
		}
		seen[c] = true
	}
	for _, c := range columns {
		if !seen[c] {
			t.add(1, c, "", "each of the columns "+strings.Join(columns, ", ")+" once")
		}
	}
}

// time reads a time; an empty cell is none.
func (t *table) time(r *tableRow, column string) plant.Time {
	cell := strings.TrimSpace(r.cells[column])
	if cell == "" {
		return 0
	}
	at, err := time.Parse(time.RFC3339Nano, cell)
	if err != nil || at.Year() < 1971 || at.Year() > 2260 {
		t.add(r.line, column, cell, "a time as 2026-03-02T08:00:00+08:00 or 2026-03-02T00:00:00Z, or nothing")
		return 0
	}
	return plant.At(at)
}

// order reads one line of orders.
func (t *table) order(r *tableRow) plant.Order {
	o := plant.Order{ID: r.cells["id"], Line: strings.TrimSpace(r.cells["line"]), Product: strings.TrimSpace(r.cells["product"])}
	n, err := strconv.ParseInt(strings.TrimSpace(r.cells["quantity"]), 10, 64)
	if err != nil {
		t.add(r.line, "quantity", r.cells["quantity"], "a whole number of pieces, as in 5000")
	}
	o.Quantity = n
	o.Due, o.From, o.To = t.time(r, "due"), t.time(r, "from"), t.time(r, "to")
	return o
}

// cycle reads one line of ideal cycles; nil is none any more.
func (t *table) cycle(r *tableRow) *plant.CycleSaid {
	cell := strings.TrimSpace(r.cells["cycle"])
	if cell == noCycle {
		return nil
	}
	var c plant.CycleSaid
	if err := c.Cycle.UnmarshalText([]byte(cell)); err != nil {
		t.add(r.line, "cycle", cell, "time per piece with its unit, as in 1.83s, or "+noCycle)
	}
	return &c
}

// writeTable gives a file that readTable takes.
func writeTable(columns []string, rows [][]string) ([]byte, error) {
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	w.UseCRLF = true
	if err := errors.Join(w.Write(columns), w.WriteAll(rows)); err != nil {
		return nil, fmt.Errorf("write a table: %w", err)
	}
	return text.Bytes(), nil
}

// tableTime writes a time so that nothing of it is lost.
func tableTime(t plant.Time) string {
	if t == 0 {
		return ""
	}
	return t.Std().UTC().Format(time.RFC3339Nano)
}

// orderRows gives all orders, by their start.
func (b *book) orderRows() (rows [][]string) {
	var all []plant.Order
	for _, orders := range b.orders {
		all = append(all, orders...)
	}
	slices.SortFunc(all, func(a, b plant.Order) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.ID, b.ID)) })
	for _, o := range all {
		rows = append(rows, []string{o.ID, o.Line, o.Product, strconv.FormatInt(o.Quantity, 10), tableTime(o.Due), tableTime(o.From), tableTime(o.To)})
	}
	return rows
}

// productRows gives all products as they are called.
func productRows(products []ProductConfig) (rows [][]string) {
	for i := range products {
		p := &products[i]
		rows = append(rows, []string{p.ID, p.Name.En, p.Name.Zh})
	}
	return rows
}

// cycleRows gives all ideal cycles of a plan as they hold.
func cycleRows(plans []plant.ProductPlan) (rows [][]string) {
	for i := range plans {
		cycles := plans[i].Cycles
		for j, c := range cycles {
			if c.Entry == 0 && j+1 < len(cycles) && cycles[j+1].Machine == c.Machine && cycles[j+1].From == 0 {
				continue // somebody said what holds in place of the settings
			}
			cell := noCycle
			if c.Cycle != nil {
				cell = c.Cycle.String()
			}
			rows = append(rows, []string{plans[i].ID, c.Machine, tableTime(c.From), cell})
		}
	}
	return rows
}
