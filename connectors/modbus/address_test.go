package modbus

import (
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for _, c := range []struct {
		in    string
		table table
		start uint16
		fault string
	}{
		{in: "holding:0", table: holding, start: 0},
		{in: "input:65535", table: input, start: 65535},
		{in: "coil:16", table: coils, start: 16},
		{in: "discrete:7", table: discrete, start: 7},
		{in: "40001", table: holding, start: 0},
		{in: "400001", table: holding, start: 0},
		{in: "49999", table: holding, start: 9998},
		{in: "465536", table: holding, start: 65535},
		{in: "30010", table: input, start: 9},
		{in: "10001", table: discrete, start: 0},
		{in: "00017", table: coils, start: 16},
		{in: "000017", table: coils, start: 16},
		{in: "40000", fault: "count from 1 to 9999"},
		{in: "400000", fault: "count from 1 to 65536"},
		{in: "465537", fault: "count from 1 to 65536"},
		{in: "20001", fault: "no table begins with 2"},
		{in: "100", fault: "40001 and 400001 are holding:0"},
		{in: "", fault: "counted from 0"},
		{in: "4000A", fault: "counted from 0"},
		{in: "holding:65536", fault: "N from 0 to 65535"},
		{in: "holding:-1", fault: "N from 0 to 65535"},
		{in: "holding:+1", fault: "N from 0 to 65535"},
		{in: "Holding:1", fault: "want holding:N"},
		{in: "register:1", fault: "want holding:N"},
	} {
		t.Run(c.in, func(t *testing.T) {
			table, start, err := parseAddress(c.in)
			if c.fault != "" {
				if err == nil || !strings.Contains(err.Error(), c.fault) {
					t.Fatalf("got %v %d, error %v; want an error with %q", table, start, err, c.fault)
				}
				return
			}
			if err != nil || table != c.table || start != c.start {
				t.Errorf("got %v %d, error %v; want %v %d", table, start, err, c.table, c.start)
			}
		})
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"holding:0", "40001", "400001", "000000", ":", "coil:", "４0001"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		table, start, err := parseAddress(s)
		if err != nil {
			return
		}
		again, same, err := parseAddress(table.String() + ":" + itoa(start))
		if err != nil || again != table || same != start {
			t.Errorf("%q is %v:%d, which reads back as %v:%d, %v", s, table, start, again, same, err)
		}
	})
}
