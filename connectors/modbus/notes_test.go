package modbus

import (
	"strings"
	"testing"
)

func TestNotes(t *testing.T) {
	s := func(name, address, typ string) Signal { return Signal{Name: name, Address: address, Type: typ} }
	bit := func(name, address string, n int) Signal {
		return Signal{Name: name, Address: address, Type: "bool", Bit: &n}
	}
	ordered := func(name, address, typ, order string) Signal {
		return Signal{Name: name, Address: address, Type: typ, Order: order}
	}
	for _, c := range []struct {
		name    string
		cfg     Config
		signals []Signal
		want    []string // key and a part of each note
	}{
		{"beside each other", Config{}, []Signal{s("a", "holding:0", "float32"), s("b", "holding:2", "uint16"), s("c", "input:1", "uint16")}, nil},
		{"one register of two tables", Config{}, []Signal{s("a", "holding:0", "uint16"), s("b", "input:0", "uint16")}, nil},
		{"a word and its bits", Config{}, []Signal{s("a", "holding:0", "uint16"), bit("b", "holding:0", 0), bit("c", "holding:0", 1)}, nil},
		{"a bit twice, not in order", Config{}, []Signal{bit("b", "holding:0", 1), bit("c", "holding:0", 0), bit("d", "holding:0", 1)}, []string{"[2].address bool at holding:0 bit 1, as b has it"}},
		{"a coil twice", Config{}, []Signal{s("a", "coil:3", ""), s("b", "coil:3", "")}, []string{"[1].address bool at coil:3, as a has it"}},
		{"the later one is told", Config{}, []Signal{s("a", "holding:1", "uint16"), s("b", "holding:0", "float32")}, []string{"[1].address float32 at holding:0 to 1, into which a reaches (uint16 at holding:1)"}},
		{"a long one over several", Config{}, []Signal{{Name: "a", Address: "holding:0", Type: "string", Length: 20}, s("b", "holding:2", "uint16"), s("c", "holding:9", "uint16"), s("d", "holding:10", "uint16")},
			[]string{"[1].address", "[2].address"}},
		{"other order", Config{}, []Signal{ordered("a", "holding:0", "float32", "CDAB"), ordered("b", "holding:0", "float32", "ABCD")}, []string{"[1].address float32 at holding:0 to 1, where a reads"}},
		{"at the end", Config{}, []Signal{s("a", "holding:65534", "uint32"), s("b", "holding:65535", "uint16")}, []string{"[1].address uint16 at holding:65535"}},
		{"many", Config{}, []Signal{s("a", "holding:0", "float32"), s("b", "holding:1", "float32"), s("c", "holding:2", "float32"), s("d", "holding:3", "float32"), s("e", "holding:4", "float32"), s("f", "holding:5", "float32")},
			[]string{"[1].address", "[2].address", "[3].address"}},
		{"orders half and half", Config{}, []Signal{ordered("a", "holding:0", "float32", "CDAB"), s("b", "holding:2", "float32"), ordered("c", "holding:4", "float32", "CDAB"), s("d", "holding:6", "float32")}, nil},
		{"two ways of counting", Config{}, []Signal{s("a", "HR5", "uint16"), s("b", "4x9", "uint16")}, []string{"[0].address HR5, counted from 0, beside 4x9 of b"}},
		{"words of Schneider PLCs", Config{}, []Signal{s("a", "%MW5", "uint16"), s("b", "40009", "uint16")}, nil},
		{"from 1, and said so", Config{CountFrom: 1}, []Signal{s("a", "holding:1", "uint16"), s("b", "holding:2", "uint16"), s("c", "holding:3", "uint16"), s("d", "40009", "uint16")}, nil},
		{"from 1 with holes", Config{}, []Signal{s("a", "holding:1", "uint16"), s("b", "holding:4", "uint16"), s("c", "holding:5", "uint16")}, nil},
		{"input as in manuals", Config{}, []Signal{s("a", "input:30001", "uint16")}, []string{"[0].address input:30001"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.cfg.Notes(c.signals)
			if len(got) != len(c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			for i, n := range got {
				key, part, _ := strings.Cut(c.want[i], " ")
				if n.Key != key || !strings.Contains(n.Found, part) {
					t.Errorf("got %s %q, want %s", n.Key, n.Found, c.want[i])
				}
			}
		})
	}
}

// TestShared: two devices of one unit have a register in common, however each
// counts.
func TestShared(t *testing.T) {
	zero, one := &Config{}, &Config{CountFrom: 1}
	a := []Signal{{Name: "x", Address: "holding:8", Type: "uint16"}, {Name: "a", Address: "holding:0", Type: "float32"}}
	for _, c := range []struct {
		address, typ string
		want         int
	}{{"holding:2", "uint16", 1}, {"holding:3", "uint16", -1}, {"input:2", "uint16", -1}, {"40009", "uint16", 0}, {"40001", "float64", 1}} {
		i, j := zero.Shared(a, one, []Signal{{Name: "b", Address: c.address, Type: c.typ}})
		if i != c.want || j != min(c.want, 0) {
			t.Errorf("%s: got %d and %d, want %d", c.address, i, j, c.want)
		}
	}
}
