package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"linetwin/connectors"
	"linetwin/connectors/modbus"
	"linetwin/connectors/opcua"
	"linetwin/plant"
)

// printProbed prints what was found: a table with notes below it, or rows with
// everything for programs.
func (a *app) printProbed(all []connectors.Probed, output string, direct, views bool) error {
	if output != outTable {
		return a.printRows(all, output)
	}
	columns := []string{"machine", "signal", "address", "type", "raw", "value", "unit", "quality", "time", "reason"}
	if direct {
		columns = columns[2:]
	}
	r := newRows(a.stdout, outTable, columns...)
	for _, d := range all {
		for i, s := range d.Signals {
			reason := s.Reading.Reason
			if d.Err != nil {
				reason = "see below"
			}
			name := s.Signal.Name
			if d.Err != nil && len(d.Signals) > 1 {
				name = fmt.Sprintf("(all %d)", len(d.Signals))
			}
			cells := []any{d.Machine, name, s.Signal.Address + s.Signal.Node, typeShown(s), spaced(s.Raw), shown(s), s.Signal.Unit, s.Reading.Quality,
				clockTime(s.Reading.Time), reason}
			if direct {
				cells = cells[2:]
			}
			if err := r.add(cells...); err != nil {
				return err
			}
			if d.Err != nil && i == 0 {
				break
			}
		}
	}
	if err := r.close(); err != nil {
		return err
	}
	a.failures(all, direct)
	for _, d := range all {
		a.notes(d, direct)
	}
	for _, d := range all {
		for _, s := range d.Signals {
			if views && len(s.Views) > 0 {
				if err := a.printViews(d.Machine, s, direct); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// failures tells why devices could not be read, each reason once.
func (a *app) failures(all []connectors.Probed, direct bool) {
	var reasons []string
	names := map[string][]string{}
	for _, d := range all {
		if d.Err == nil {
			continue
		}
		reason := d.Err.Error()
		if names[reason] == nil {
			reasons = append(reasons, reason)
		}
		names[reason] = append(names[reason], d.Machine)
	}
	for _, r := range reasons {
		fmt.Fprintf(a.stdout, "%s%s\n", nameOr(strings.Join(names[r], ", ")+": ", direct, ""), printable(r))
	}
}

// clockTold is how far a server's clock must be off to be told of.
const clockTold = 100 * time.Millisecond

// notes tells below the table what does not fit into it.
func (a *app) notes(d connectors.Probed, direct bool) {
	if d.OffsetKnown && d.Offset.Abs() > clockTold {
		fmt.Fprintf(a.stdout, "note: %s: the server's clock is %s\n", nameOr(d.Machine, direct, d.Endpoint), offsetText(d.Offset))
	}
	for _, s := range d.Signals {
		if s.Hint != "" {
			fmt.Fprintf(a.stdout, "hint: %s: %s\n", printable(strings.TrimPrefix(nameOr(d.Machine+" "+s.Signal.Name, direct, s.Signal.Address+s.Signal.Node), " ")), printable(s.Hint))
		}
	}
}

func nameOr(name string, direct bool, other string) string {
	if direct {
		return other
	}
	return name
}

func offsetText(d time.Duration) string {
	if d < 0 {
		return (-d).Round(time.Millisecond).String() + " behind this computer's"
	}
	return d.Round(time.Millisecond).String() + " ahead of this computer's"
}

// typeShown gives the type as configured, with byte order or what was sent
// where that is another one.
func typeShown(s connectors.Found) string {
	t := s.Signal.Type
	if t == "" {
		t = s.Sent
	}
	if s.Order != "" && s.Order != "AB" && !strings.HasPrefix(s.Order, "ABCD") {
		t += " " + s.Order
	}
	for _, n := range s.Dimensions {
		t += fmt.Sprintf("[%d]", n)
	}
	return t
}

func spaced(raw []byte) string {
	if len(raw) == 0 {
		return ""
	}
	var words []string
	for i := 0; i < len(raw); i += 2 {
		words = append(words, hex.EncodeToString(raw[i:min(i+2, len(raw))]))
	}
	return strings.Join(words, " ")
}

// shown gives the value for people: a 32-bit float with its own digits.
func shown(s connectors.Found) string {
	v := s.Reading.Value
	if float := s.Signal.Type == "float32" || s.Sent == "float32"; float && v.Kind() == plant.KindFloat && s.Signal.Scale == nil && s.Signal.Offset == nil {
		return strconv.FormatFloat(v.Float(), 'g', -1, 32)
	}
	return v.String()
}

// clockTime gives a time of today as people read it; with its date if it is
// older than a day.
func clockTime(t plant.Time) string {
	if t == 0 {
		return ""
	}
	at := t.Std().Local()
	if time.Since(at).Abs() > 24*time.Hour {
		return at.Format("2006-01-02 15:04:05")
	}
	return at.Format("15:04:05.000")
}

// viewRow is a View for programs.
type viewRow struct {
	Address    string         `json:"address"`
	Order      string         `json:"order,omitempty"`
	Configured bool           `json:"configured,omitempty"`
	Raw        string         `json:"raw,omitempty"`
	Value      plant.Value    `json:"value"`
	Reason     string         `json:"reason,omitempty"`
	Types      map[string]any `json:"types,omitempty"`
	Plausible  []string       `json:"plausible,omitempty"` // of the types
}

func viewRows(views []modbus.View) []viewRow {
	var all []viewRow
	for _, v := range views {
		row := viewRow{Address: v.Address, Order: v.Order, Configured: v.Configured, Raw: hex.EncodeToString(v.Raw), Value: v.Value, Reason: v.Reason}
		for _, f := range v.Forms {
			if row.Types == nil {
				row.Types = map[string]any{}
			}
			if row.Types[f.Type] = f.Value; f.Plausible {
				row.Plausible = append(row.Plausible, f.Type)
			}
		}
		all = append(all, row)
	}
	return all
}

// printRows prints one row for each signal, for programs.
func (a *app) printRows(all []connectors.Probed, output string) error {
	columns := []string{"machine", "signal", "address", "type", "order", "sent", "raw", "value", "unit", "quality", "status",
		"time", "server_time", "clock_offset_ms", "reason", "hint"}
	if output == outJSON {
		columns = append(columns, "dimensions", "views")
	}
	r := newRows(a.stdout, output, columns...)
	for _, d := range all {
		for _, s := range d.Signals {
			var value, offset any
			if !s.Reading.Value.IsNone() {
				value = s.Reading.Value
			}
			if d.OffsetKnown {
				offset = d.Offset.Milliseconds()
			}
			cells := []any{d.Machine, s.Signal.Name, s.Signal.Address + s.Signal.Node, text(s.Signal.Type), text(s.Order), text(s.Sent), text(hex.EncodeToString(s.Raw)), value,
				text(s.Signal.Unit), s.Reading.Quality, text(s.Status), stamp(s.Reading.Time), stamp(s.Server), offset, text(s.Reading.Reason), text(s.Hint)}
			if output == outJSON {
				cells = append(cells, s.Dimensions, viewRows(s.Views))
			}
			if err := r.add(cells...); err != nil {
				return err
			}
		}
	}
	return r.close()
}

// text gives nil for what is missing.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func stamp(t plant.Time) any {
	if t == 0 {
		return nil
	}
	return t.Std().Format("2006-01-02T15:04:05.000Z07:00")
}

// printViews prints the ways to read one Modbus signal.
func (a *app) printViews(machine string, s connectors.Found, direct bool) error {
	fmt.Fprintf(a.stdout, "\n%s: every way to read %s (> as configured, * plausible)\n",
		printable(strings.TrimSpace(nameOr(machine+" "+s.Signal.Name, direct, s.Signal.Address))), s.Signal.Type)
	columns := []string{"", "address", "order", "raw", "value"}
	own := s.Signal.Scale == nil && s.Signal.Offset == nil && len(s.Views[0].Forms) > 0 // the type's column is the value
	for _, f := range s.Views[0].Forms {
		columns = append(columns, f.Type)
	}
	r := newRows(a.stdout, outTable, columns...)
	for _, v := range s.Views {
		mark := ""
		if v.Configured {
			mark = ">"
		}
		value := v.Value.String()
		if v.Reason != "" {
			value = v.Reason
		}
		if own {
			value = ""
		}
		cells := []any{mark, v.Address, v.Order, spaced(v.Raw), value}
		for _, f := range v.Forms {
			cells = append(cells, formText(f))
		}
		if err := r.add(cells...); err != nil {
			return err
		}
	}
	return r.close()
}

func formText(f modbus.Form) string {
	text := f.Value.String()
	if f.Value.Kind() == plant.KindFloat {
		text = fmt.Sprintf("%.7g", f.Value.Float())
	}
	if n, _ := f.Value.Number(); f.Plausible && n != 0 {
		text += " *"
	}
	return text
}

// showOffers lists the ways in to an OPC UA server.
func (a *app) showOffers(ctx context.Context, url string, f *probeFlags) error {
	offers, err := opcua.Offers(ctx, url, f.timeout)
	if err != nil {
		return err
	}
	r := newRows(a.stdout, f.output, "security", "users", "certificate_sha256", "subject", "expires", "note")
	for _, o := range offers {
		var expires, note any
		if o.Certificate.To != 0 {
			expires = o.Certificate.To.Std().Format(time.DateOnly)
		}
		if !o.Usable {
			note = "withdrawn by the standard or unknown: not used"
		}
		if err := r.add(o.Security, strings.Join(slices.Compact(slices.Sorted(slices.Values(o.Users))), " "), text(o.Certificate.Fingerprint), text(o.Certificate.Subject), expires, note); err != nil {
			return err
		}
	}
	if err := r.close(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stderr, "choose one with --security, and give nodes, such as: linetwin probe %s --security None i=2258\n", url)
	return err
}
