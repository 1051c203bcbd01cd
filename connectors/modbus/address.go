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

// addressForms is what a fault says about addresses; the one-based forms are
// where most installations go wrong by one.
const addressForms = "holding:N, input:N, coil:N or discrete:N with N from 0 to 65535, counted from 0; " +
	"or 5 or 6 digits counted from 1, as in manuals: 40001 and 400001 are holding:0, 30001 is input:0, 10001 is discrete:0, 00001 is coil:0"

// parseAddress takes an address in either form and gives its table and its
// number counted from 0, as the wire counts.
func parseAddress(s string) (table, uint16, error) {
	if name, number, ok := strings.Cut(s, ":"); ok {
		return parseNamed(name, number)
	}
	if len(s) != 5 && len(s) != 6 || strings.Trim(s, "0123456789") != "" {
		return 0, 0, fmt.Errorf("address %q: want %s", s, addressForms)
	}
	var t table
	switch s[0] {
	case '0':
		t = coils
	case '1':
		t = discrete
	case '3':
		t = input
	case '4':
		t = holding
	default:
		return 0, 0, fmt.Errorf("address %q: no table begins with %c; want %s", s, s[0], addressForms)
	}
	n, err := strconv.Atoi(s[1:])
	if err != nil || n < 1 || n > 65536 {
		return 0, 0, fmt.Errorf("address %q: %d digits count from 1 to %d; want %s", s, len(s), min(65536, pow10(len(s)-1)-1), addressForms)
	}
	return t, uint16(n - 1), nil
}

// parseNamed takes the zero-based form, name and number apart.
func parseNamed(name, number string) (table, uint16, error) {
	for _, t := range [...]table{holding, input, coils, discrete} {
		if name != t.String() {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return 0, 0, fmt.Errorf("address %q: want %s:N with N from 0 to 65535", name+":"+number, name)
		}
		return t, uint16(n), nil
	}
	return 0, 0, fmt.Errorf("address %q: want %s", name+":"+number, addressForms)
}

func pow10(n int) int {
	p := 1
	for range n {
		p *= 10
	}
	return p
}
