package modbus

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name      string
		addresses []string // address, or address*registers for longer ones
		limits    limits
		want      []string // table:start+count
	}{
		{"neighbours", []string{"holding:0", "holding:1", "holding:2"}, limits{8, 125, 2000}, []string{"holding:0+3"}},
		{"in any order", []string{"holding:9", "holding:1", "holding:5"}, limits{8, 125, 2000}, []string{"holding:1+9"}},
		{"gap of 8", []string{"holding:0", "holding:9"}, limits{8, 125, 2000}, []string{"holding:0+10"}},
		{"gap of 9", []string{"holding:0", "holding:10"}, limits{8, 125, 2000}, []string{"holding:0+1", "holding:10+1"}},
		{"no gap", []string{"holding:0", "holding:1", "holding:3"}, limits{0, 125, 2000}, []string{"holding:0+2", "holding:3+1"}},
		{"two tables", []string{"holding:0", "input:1"}, limits{8, 125, 2000}, []string{"holding:0+1", "input:1+1"}},
		{"overlap", []string{"holding:0*4", "holding:1", "holding:2*2"}, limits{8, 125, 2000}, []string{"holding:0+4"}},
		{"same register twice", []string{"holding:7", "holding:7"}, limits{8, 125, 2000}, []string{"holding:7+1"}},
		{"most registers", []string{"holding:0*100", "holding:100*25", "holding:125"}, limits{8, 125, 2000}, []string{"holding:0+125", "holding:125+1"}},
		{"a value is not torn", []string{"holding:0*3", "holding:3*2"}, limits{8, 4, 2000}, []string{"holding:0+3", "holding:3+2"}},
		{"bits", []string{"coil:0", "coil:128", "coil:1999"}, limits{8, 125, 2000}, []string{"coil:0+129", "coil:1999+1"}},
		{"the end", []string{"holding:65535", "holding:65530"}, limits{8, 125, 2000}, []string{"holding:65530+6"}},
		{"nothing", nil, limits{8, 125, 2000}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var points []point
			for _, a := range c.addresses {
				n := 1
				var name string
				if _, err := fmt.Sscanf(a, "%s", &name); err != nil {
					t.Fatal(err)
				}
				if i := slices.Index([]byte(a), '*'); i >= 0 {
					fmt.Sscan(a[i+1:], &n)
					a = a[:i]
				}
				table, start, err := parseAddress(a, 0)
				if err != nil {
					t.Fatal(err)
				}
				points = append(points, point{table: table, start: start, count: uint16(n)})
			}
			var got []string
			for _, b := range plan(points, c.limits) {
				got = append(got, fmt.Sprintf("%v:%d+%d", b.table, b.start, b.count))
			}
			slices.Sort(got)
			want := slices.Clone(c.want)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// TestPlanCoversEverySignalOnce: whatever the signals, each lies whole in
// exactly one request, and no request breaks a limit.
func TestPlanCoversEverySignalOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := limits{rapid.IntRange(0, 20).Draw(t, "gap"), rapid.IntRange(4, 125).Draw(t, "registers"), rapid.IntRange(1, 2000).Draw(t, "bits")}
		n := rapid.IntRange(1, 60).Draw(t, "n")
		points := make([]point, n)
		for i := range points {
			p := point{table: table(rapid.IntRange(1, 4).Draw(t, "table")), count: 1}
			if !p.table.bits() {
				p.count = uint16(rapid.SampledFrom([]int{1, 2, 4}).Draw(t, "count"))
			}
			p.start = uint16(rapid.IntRange(0, 300).Draw(t, "start"))
			if rapid.Bool().Draw(t, "high") {
				p.start = 65535 - p.start - p.count + 1
			}
			points[i] = p
		}
		seen := make([]int, n)
		for _, b := range plan(points, l) {
			if _, most := l.of(b.table); int(b.count) > most || int(b.start)+int(b.count) > 1<<16 {
				t.Fatalf("request %+v breaks the limits %+v", b, l)
			}
			for _, i := range b.points {
				seen[i]++
				p := points[i]
				if p.table != b.table || p.start < b.start || int(p.start)+int(p.count) > int(b.start)+int(b.count) {
					t.Fatalf("point %+v is not in its request %+v", p, b)
				}
			}
		}
		for i, s := range seen {
			if s != 1 {
				t.Fatalf("point %d is read %d times", i, s)
			}
		}
	})
}
