package modbus

import (
	"strconv"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for _, c := range []struct {
		in    string
		from  int
		table table
		start uint16
		fault string
	}{
		{in: "holding:0", table: holding, start: 0},
		{in: "input:65535", table: input, start: 65535},
		{in: "coil:16", table: coils, start: 16},
		{in: "discrete:7", table: discrete, start: 7},
		{in: "Holding:1", table: holding, start: 1},
		{in: "DISCRETE:007", table: discrete, start: 7},
		{in: "holding:0x10", table: holding, start: 16},
		{in: "input:0XfFfF", table: input, start: 65535},
		{in: "holding:40001", table: holding, start: 40001},
		{in: "HR0", table: holding, start: 0},
		{in: "HR:0", table: holding, start: 0},
		{in: "hr100", table: holding, start: 100},
		{in: "IR0x1F", table: input, start: 31},
		{in: "CO3", table: coils, start: 3},
		{in: "DI:3", table: discrete, start: 3},

		{in: "holding:1", from: 1, table: holding, start: 0},
		{in: "holding:65536", from: 1, table: holding, start: 65535},
		{in: "HR0x10", from: 1, table: holding, start: 15},
		{in: "40001", from: 1, table: holding, start: 0},
		{in: "4x1", from: 1, table: holding, start: 0},
		{in: "%MW10", from: 1, table: holding, start: 10},
		{in: "holding:0", from: 1, fault: "holding:N with N from 1 to 65536, as count_from is 1"},
		{in: "coil:65537", from: 1, fault: "coil:N with N from 1 to 65536"},

		{in: "40001", table: holding, start: 0},
		{in: "400001", table: holding, start: 0},
		{in: "49999", table: holding, start: 9998},
		{in: "465536", table: holding, start: 65535},
		{in: "30010", table: input, start: 9},
		{in: "10001", table: discrete, start: 0},
		{in: "00017", table: coils, start: 16},
		{in: "000017", table: coils, start: 16},
		{in: "4x0001", table: holding, start: 0},
		{in: "4X1", table: holding, start: 0},
		{in: "4x65536", table: holding, start: 65535},
		{in: "3x00010", table: input, start: 9},
		{in: "1x16", table: discrete, start: 15},

		{in: "%MW0", table: holding, start: 0},
		{in: "%mw10", table: holding, start: 10},
		{in: "%M7", table: coils, start: 7},
		{in: "%IW65535", table: input, start: 65535},

		{in: "40000", fault: "40001 to 49999, because this form counts from 1: 40001 is holding:0 on the wire; a manual that counts from 0"},
		{in: "400000", fault: "400001 to 465536, because this form counts from 1"},
		{in: "465537", fault: "400001 to 465536, because this form counts from 1: 400001 is holding:0 on the wire; a table has 65536 places"},
		{in: "00000", fault: "00001 to 09999"},
		{in: "4x0", fault: "4x1 to 4x65536"},
		{in: "4x65537", fault: "a table has 65536 places"},
		{in: "4x", fault: "counted from 0"},
		{in: "4x0x10", fault: "4x1 to 4x65536"},
		{in: "2x1", fault: "no table begins with 2"},
		{in: "20001", fault: "no table begins with 2; a register that is number 20001 in its table is holding:20001"},
		{in: "4000001", fault: "5 or 6 digits"},
		{in: "100", fault: "register 100 may be holding:100, counted from 0; or 40100, counted from 1, which is holding:99; or input:100 and 30100"},
		{in: "100", from: 1, fault: "register 100 may be holding:100, which is 40100, as count_from is 1; or holding:101, if the manual counts from 0"},
		{in: "0", fault: "the first holding register is holding:0 or 40001"},
		{in: "0", from: 1, fault: "the first holding register is holding:1 or 40001"},
		{in: "0x10", fault: "hexadecimal number, which needs a table, as in holding:0x10"},
		{in: "0x00001", fault: "a coil of a manual"},
		{in: "", fault: "counted from 0"},
		{in: "4000A", fault: "counted from 0"},
		{in: "holding:65536", fault: "N from 0 to 65535"},
		{in: "holding:-1", fault: "N from 0 to 65535"},
		{in: "holding:+1", fault: "N from 0 to 65535"},
		{in: "holding:1F", fault: "hexadecimal as in 0x1F"},
		{in: "holding:0x1_0", fault: "N from 0 to 65535"},
		{in: "holding:0x10000", fault: "N from 0 to 65535"},
		{in: "holding:0x", fault: "N from 0 to 65535"},
		{in: "holding", fault: "holding:N"},
		{in: "holding0", fault: "holding:N"},
		{in: "HR", fault: "holding:N"},
		{in: "register:1", fault: "want holding:N"},
		{in: "di\u017fcrete:1", fault: "want holding:N"}, // a long s, which is S in capitals
		{in: "%MW65536", fault: "%MW0 to %MW65535"},
		{in: "%MX0.3", fault: "Others, such as %MX"},
		{in: "%MD10", fault: "Others, such as %MX"},
		{in: "%IW0.1.2", fault: "Others, such as %MX"},
		{in: "%MW0x10", fault: "Others, such as %MX"},
		{in: "%", fault: "Others, such as %MX"},
	} {
		t.Run(c.in+" from "+strconv.Itoa(c.from), func(t *testing.T) {
			table, start, err := parseAddress(c.in, c.from)
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

// TestCountFrom: named addresses count from what the settings say, and what a
// device is found to hold is shown as the wire counts.
func TestCountFrom(t *testing.T) {
	s := newSlave(t)
	s.set(0, 11, 22, 33)
	cfg := Config{URL: "tcp://" + s.address, CountFrom: 1}
	d := connect(t, newDevice(t, cfg, nil, register("first", 1), Signal{Name: "digits", Address: "40002", Type: "uint16"},
		Signal{Name: "word", Address: "%MW2", Type: "uint16"}))
	got := poll(t, d)
	if value(got["first"]) != "11" || value(got["digits"]) != "22" || value(got["word"]) != "33" {
		t.Errorf("got %v", got)
	}
	all, err := d.Look(t.Context(), false)
	if err != nil || all[0].Address != "holding:0" {
		t.Errorf("inspection %+v, error %v; want holding:0", all, err)
	}
	if faults := (&Config{URL: "tcp://a", CountFrom: 1}).CheckSignals([]Signal{register("a", 0)}); len(faults) != 1 || faults[0].Key != "[0].address" {
		t.Errorf("faults %v of register 0 where the first is 1", faults)
	}
	last := Signal{Name: "a", Address: "coil:65536"}
	if faults := (&Config{URL: "tcp://a", CountFrom: 1}).CheckSignals([]Signal{last}); len(faults) != 0 || last.Kind().String() != "boolean" {
		t.Errorf("faults %v of the last coil, kind %v", faults, last.Kind())
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"holding:0", "40001", "400001", "000000", ":", "coil:", "４0001", "HR0x1F", "4x1", "0x1", "%MW10", "%MX0.1", "9", "IR:65536"} {
		f.Add(s, 0)
		f.Add(s, 1)
	}
	f.Fuzz(func(t *testing.T, s string, from int) {
		from &= 1
		table, start, err := parseAddress(s, from)
		if err != nil {
			if strings.HasSuffix(err.Error(), "want ") {
				t.Errorf("%q is refused without a reason", s)
			}
			return
		}
		if tableOf(s) != table {
			t.Errorf("%q is of table %v and of table %v", s, table, tableOf(s))
		}
		again, same, err := parseAddress(table.String()+":"+strconv.Itoa(int(start)+from), from)
		if err != nil || again != table || same != start {
			t.Errorf("%q is %v:%d, which reads back as %v:%d, %v", s, table, start, again, same, err)
		}
	})
}
