package modbus

import (
	"fmt"
	"strconv"
	"strings"
)

// table is one of the four address spaces of a Modbus device (MODBUS
// Application Protocol Specification V1.1b3, 4.3), named by the function code
// that reads it.
type table byte

const (
	coils    table = 1
	discrete table = 2
	holding  table = 3
	input    table = 4
)

// String gives the table's name as addresses write it.
func (t table) String() string {
	switch t {
	case coils:
		return "coil"
	case discrete:
		return "discrete"
	case holding:
		return "holding"
	case input:
		return "input"
	}
	return "table " + strconv.Itoa(int(t))
}

// bits tells whether the table holds single bits, not 16-bit registers.
func (t table) bits() bool { return t == coils || t == discrete }

// addressForms is what a fault says about addresses; the forms that count from
// 1 are where most installations go wrong by one.
const addressForms = "holding:N, input:N, coil:N or discrete:N (also HR, IR, CO, DI), counted from 0 or from count_from, N decimal or as in 0x1F; " +
	"or 5 or 6 digits counted from 1, as in manuals: 40001, 400001 and 4x1 are the first holding register, 30001 the first input register, " +
	"10001 the first discrete input, 00001 the first coil; or %MW10, %M10, %IW10 of Schneider PLCs, counted from 0"

// places is how many registers or bits a table has.
const places = 1 << 16

// prefixes are the first digits of the forms that count from 1.
var prefixes = [...]struct {
	digit byte
	table table
}{{'0', coils}, {'1', discrete}, {'3', input}, {'4', holding}}

// names are the forms that count from count_from; those of two letters need no
// colon.
var names = [...]struct {
	name  string
	table table
}{
	{"HOLDING", holding}, {"INPUT", input}, {"COIL", coils}, {"DISCRETE", discrete},
	{"HR", holding}, {"IR", input}, {"CO", coils}, {"DI", discrete},
}

// wrongAddress is an address that cannot be told for certain, and what could
// stand in its place.
type wrongAddress struct{ address, want string }

func (w *wrongAddress) Error() string { return fmt.Sprintf("address %q: want %s", w.address, w.want) }

// parseAddress takes an address in any of the forms and gives its table and
// its number counted from 0, as the wire counts. from is what the named forms
// count from, 0 or 1; all others say it themselves. What could mean two things
// is an error that says which.
func parseAddress(s string, from int) (table, uint16, error) {
	t, n, want := readAddress(s, from)
	if want != "" {
		return 0, 0, &wrongAddress{s, want}
	}
	return t, uint16(n), nil
}

// tableOf gives the table of an address, also of one whose number is wrong; 0
// where it names none.
func tableOf(s string) table {
	t, _, _ := readAddress(s, 0)
	return t
}

// readAddress gives what parseAddress does, or what is wanted instead.
func readAddress(s string, from int) (t table, n int, want string) {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return 0, 0, addressForms
		}
	}
	u := strings.ToUpper(s)
	switch {
	case u == "":
		return 0, 0, addressForms
	case u[0] == '%':
		return readSchneider(u)
	case len(u) > 2 && u[1] == 'X' && digits(u[:1]):
		return readModicon(u)
	case digits(u):
		return readDigits(u, from)
	}
	return readNamed(u, from)
}

// readNamed takes holding:N, HR:N and HRN.
func readNamed(u string, from int) (table, int, string) {
	for _, form := range names {
		number, ok := strings.CutPrefix(u, form.name)
		if !ok {
			continue
		}
		number, colon := strings.CutPrefix(number, ":")
		if !colon && len(form.name) > 2 {
			continue
		}
		n, ok := parseNumber(number)
		if !ok || n < from || n >= places+from {
			return form.table, 0, fmt.Sprintf("%v:N with N from %d to %d, as count_from is %d; N is decimal, or hexadecimal as in 0x1F",
				form.table, from, places-1+from, from)
		}
		return form.table, n - from, ""
	}
	return 0, 0, addressForms
}

// readDigits takes 40001 and 400001, and explains what else people write.
func readDigits(u string, from int) (table, int, string) {
	n, err := strconv.Atoi(u)
	switch {
	case len(u) < 5:
		return 0, 0, twoMeanings(n, from)
	case len(u) > 6 || err != nil:
		return 0, 0, "5 or 6 digits, of which the first names the table, as in 40001; " + addressForms
	}
	number, _ := strconv.Atoi(u[1:])
	for _, p := range prefixes {
		if p.digit == u[0] {
			most := places
			if len(u) == 5 {
				most = 9999
			}
			return fromOne(p.table, number, most, u[:1]+"%0"+strconv.Itoa(len(u)-1)+"d")
		}
	}
	want := "4xxxx (holding registers), 3xxxx (input registers), 1xxxx (discrete inputs) or 0xxxx (coils), because no table begins with " + u[:1]
	if n < places {
		want += fmt.Sprintf("; a register that is number %d in its table is holding:%d or input:%d", n, n, n)
	}
	return 0, 0, want
}

// twoMeanings explains a number that names no table.
func twoMeanings(n, from int) string {
	if n == 0 {
		return fmt.Sprintf("a table with it: the first holding register is holding:%d or 40001, the first input register input:%d or 30001", from, from)
	}
	if from == 1 {
		return fmt.Sprintf("a table with it: register %d may be holding:%d, which is 4%04d, as count_from is 1; or holding:%d, if the manual counts from 0; "+
			"or input:%d and input:%d", n, n, n, n+1, n, n+1)
	}
	return fmt.Sprintf("a table with it: register %d may be holding:%d, counted from 0; or 4%04d, counted from 1, which is holding:%d; or input:%d and 3%04d",
		n, n, n, n-1, n, n)
}

// readModicon takes 4x0001 and 4x1.
func readModicon(u string) (table, int, string) {
	n, ok := parseNumber(u[2:])
	if u[0] == '0' {
		want := "a form with one meaning: 0x may begin a coil of a manual, which is coil:N or 0xxxx without x, or a hexadecimal number, which needs a table"
		if hex, ok := parseNumber(u); ok && hex < places {
			want += ", as in holding:0x" + u[2:]
		}
		return 0, 0, want
	}
	for _, p := range prefixes {
		if p.digit != u[0] {
			continue
		}
		if !ok || strings.HasPrefix(u[2:], "0X") {
			n = 0
		}
		return fromOne(p.table, n, places, u[:1]+"x%d")
	}
	return 0, 0, "4x, 3x or 1x, because no table begins with " + u[:1] + "; " + addressForms
}

// fromOne checks a number that counts from 1; format writes such an address.
func fromOne(t table, n, most int, format string) (table, int, string) {
	if n >= 1 && n <= most {
		return t, n - 1, ""
	}
	want := fmt.Sprintf(format+" to "+format+", because this form counts from 1: "+format+" is %v:0 on the wire", 1, most, 1, t)
	if n == 0 {
		want += "; a manual that counts from 0 means that one by 0"
	} else {
		want += fmt.Sprintf("; a table has %d places", places)
	}
	return t, 0, want
}

// readSchneider takes the memory words and bits that Schneider PLCs map to
// Modbus number by number. Other IEC addresses are mapped differently from one
// PLC family to another.
func readSchneider(u string) (table, int, string) {
	for _, form := range [...]struct {
		name  string
		table table
	}{{"%MW", holding}, {"%IW", input}, {"%M", coils}} {
		number, ok := strings.CutPrefix(u, form.name)
		if !ok || !digits(number) {
			continue
		}
		n, ok := parseNumber(number)
		if !ok || n >= places {
			return form.table, 0, fmt.Sprintf("%s0 to %s%d", form.name, form.name, places-1)
		}
		return form.table, n, ""
	}
	return 0, 0, "%MWn (holding register n), %Mn (coil n) or %IWn (input register n), n from 0 to 65535. Others, such as %MX, %MD, %MF, %I and %Q, " +
		"lie at other places from one PLC to another: look up the Modbus table of the PLC, and write holding:N with a type that has as many words, or a bit"
}

// parseNumber reads decimal digits, or hexadecimal ones after 0X.
func parseNumber(s string) (int, bool) {
	base := 10
	if hex, ok := strings.CutPrefix(s, "0X"); ok {
		s, base = hex, 16
	} else if !digits(s) {
		return 0, false
	}
	n, err := strconv.ParseUint(s, base, 31)
	return int(n), err == nil
}

// digits tells whether s consists of decimal digits, and there is one.
func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
