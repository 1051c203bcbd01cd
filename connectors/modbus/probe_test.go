package modbus

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"linetwin/plant"
)

func lookAt(t *testing.T, d *Device, views bool) []Seen {
	t.Helper()
	all, err := d.Look(t.Context(), views)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestLook(t *testing.T) {
	s := newSlave(t)
	s.set(9, 0x0001, 0x0000, 0x41C8, 0x0007) // 25 as float32 at 10, words swapped
	s.illegal[50] = true
	s.coils[1] = true
	d := connect(t, newDevice(t, Config{URL: "tcp://" + s.address}, nil,
		Signal{Name: "temperature", Address: "40011", Type: "float32"}, register("gone", 50), register("first", 0), register("last", 65535),
		Signal{Name: "lamp", Address: "coil:1"}))
	all := lookAt(t, d, true)
	if len(all) != 5 || all[0].Signal != "temperature" || all[0].Address != "holding:10" || len(all[0].Views) != 12 || all[0].Order != "ABCD" {
		t.Fatalf("got %+v", all)
	}
	right := 0
	for _, v := range all[0].Views {
		if v.Value.Float() == 25 && v.Address == "holding:10" && v.Shift == 0 && v.Order == "CDAB" && !v.Configured && bytes.Equal(v.Raw, []byte{0, 0, 0x41, 0xC8}) {
			right++
			if got := fmt.Sprint(v.Forms); !strings.Contains(got, "{int32 1103626240  false}") || !strings.Contains(got, "{float32 25  true}") {
				t.Errorf("forms %s", got)
			}
		}
		if v.Configured != (v.Shift == 0 && v.Order == "ABCD") {
			t.Errorf("view %+v is not that of the settings", v)
		}
	}
	if right != 1 {
		t.Errorf("%d views show the right value: %+v", right, all[0].Views)
	}
	if want := "2.3598e-41 looks wrong; order CDAB gives 25"; all[0].Hint != want || !bytes.Equal(all[0].Raw, []byte{0, 0, 0x41, 0xC8}) {
		t.Errorf("hint %q, raw %x, want %q", all[0].Hint, all[0].Raw, want)
	}
	if all[1].Reading.Reason != exceptions[2] || len(all[1].Views) != 4 || !strings.HasPrefix(all[1].Hint, "holding:49 answers") {
		t.Errorf("refused: %+v, want the reason and what lies beside it", all[1])
	}
	if len(all[2].Views) != 4 || len(all[3].Views) != 4 {
		t.Errorf("at the ends of the table: %+v, %+v", all[2], all[3])
	}
	lamps := ""
	for _, v := range all[4].Views {
		lamps += fmt.Sprint(v.Shift, v.Value, v.Configured, " ")
	}
	if lamps != "-1 false false 0 true true 1 false false " || !all[4].Reading.Value.Boolean() {
		t.Errorf("lamps %q", lamps)
	}
	d.Close()
	if _, err := d.Look(t.Context(), true); err == nil {
		t.Error("a closed device is looked at")
	}
}

// Without views, only what looks wrong costs further requests.
func TestLookAsksLittle(t *testing.T) {
	s := newSlave(t)
	s.set(0, 5, 0x41C8, 0, 7)
	d := connect(t, newDevice(t, Config{URL: "tcp://" + s.address}, nil,
		register("a", 0), Signal{Name: "b", Address: "holding:1", Type: "float32"}, register("c", 3)))
	all := lookAt(t, d, false)
	if n := len(s.asked()); n != 1 || all[1].Reading.Value.Float() != 25 || all[1].Hint != "" || all[1].Views != nil {
		t.Errorf("%d requests for %+v", n, all)
	}
}

// More refused addresses than a poll would look for are all found at once.
func TestLookFindsAllRefused(t *testing.T) {
	s := newSlave(t)
	var signals []Signal
	for i := range 100 {
		signals = append(signals, register(fmt.Sprint("s", i), i))
		s.illegal[uint16(i)] = i%2 == 1
	}
	d := connect(t, newDevice(t, Config{URL: "tcp://" + s.address}, nil, signals...))
	for i, seen := range lookAt(t, d, false) {
		if bad := seen.Reading.Quality == plant.Bad; bad != (i%2 == 1) || bad && seen.Reading.Reason != exceptions[2] {
			t.Errorf("%s: %+v", seen.Signal, seen.Reading)
		}
	}
}

// A device that ignores one request answers the others; one that answers
// nothing is not asked for ever.
func TestLookAtSilentDevice(t *testing.T) {
	signals := []Signal{register("a", 0), register("b", 1000), register("c", 2000), register("d", 3000), register("e", 4000)}
	for name, test := range map[string]struct {
		ignored func(at byte) bool
		want    string
		asked   int
	}{
		"one":  {func(at byte) bool { return at == 0x07 }, "good good bad good good", 5}, // 2000 = 0x07D0
		"most": {func(at byte) bool { return at != 0 }, "good bad bad bad bad", 4},
		"all":  {func(byte) bool { return true }, "", 3},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			l := newLiar(t, func(n int, conn net.Conn, request, right []byte) {
				asked.Store(int64(n))
				if !test.ignored(request[8]) {
					conn.Write(right)
				}
			})
			d := connect(t, newDevice(t, Config{URL: "tcp://" + l.address, Timeout: 100 * time.Millisecond}, nil, signals...))
			all, err := d.Look(t.Context(), false)
			var got []string
			for _, s := range all {
				got = append(got, s.Reading.Quality.String())
			}
			if strings.Join(got, " ") != test.want || (err != nil) != (test.want == "") {
				t.Errorf("got %v, %v, want %s", got, err, test.want)
			}
			d.Close()
			if int(asked.Load()) != test.asked {
				t.Errorf("%d requests, want %d", asked.Load(), test.asked)
			}
		})
	}
}

func TestLookEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l := newLiar(t, func(int, net.Conn, []byte, []byte) { cancel() })
	d := connect(t, newDevice(t, Config{URL: "tcp://" + l.address, Timeout: time.Minute}, nil, register("a", 0)))
	if _, err := d.Look(ctx, false); err == nil {
		t.Error("no error although it was told to stop")
	}
}

func TestHints(t *testing.T) {
	f32 := func(f float32) []uint16 {
		u := math.Float32bits(f)
		return []uint16{uint16(u >> 16), uint16(u)}
	}
	swapped := func(w []uint16) []uint16 { return []uint16{w[1], w[0]} }
	for _, test := range []struct {
		name, typ, order string
		before           uint16
		words            []uint16
		after            uint16
		want             string
	}{
		{"right", "float32", "", 1, f32(25), 1, ""},
		{"zero", "float32", "", 1, f32(0), 1, ""},
		{"words swapped", "float32", "", 1, swapped(f32(25.5)), 1, "order CDAB gives 25.5"},
		{"not swapped", "float32", "CDAB", 1, f32(25.5), 1, "order ABCD gives 25.5"},
		{"a whole number", "float32", "", 7, []uint16{0, 25}, 3, "type int32 gives 25"},
		{"one too far", "float32", "", 0x41C9, []uint16{0x999A, 1}, 2, "address holding:9 gives 25.2"},
		{"NaN", "float32", "", 1, []uint16{0x7FC0, 0}, 1, ""},
		{"long swapped", "uint32", "", 1, []uint16{25, 0}, 1, "order CDAB gives 25"},
		{"a float", "int32", "", 1, f32(25), 0x8001, "type float32 gives 25"},
		{"no BCD", "bcd32", "", 1, []uint16{0, 0x1A}, 1, "type int32 gives 26"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSlave(t)
			s.set(9, append(append([]uint16{test.before}, test.words...), test.after)...)
			d := connect(t, newDevice(t, Config{URL: "tcp://" + s.address}, nil, Signal{Name: "x", Address: "holding:10", Type: test.typ, Order: test.order}))
			got := lookAt(t, d, false)[0].Hint
			if test.want == "" && got != "" || !strings.HasSuffix(got, test.want) {
				t.Errorf("hint %q, want %q", got, test.want)
			}
		})
	}
}

// Where settings count from 1, a hint says that it does not.
func TestHintCountsFrom(t *testing.T) {
	s := newSlave(t)
	s.set(9, 0x41C8, 0, 2)
	d := connect(t, newDevice(t, Config{URL: "tcp://" + s.address, CountFrom: 1}, nil, Signal{Name: "x", Address: "holding:11", Type: "float32"}))
	if got, want := lookAt(t, d, false)[0].Hint, "address holding:9 gives 25 (this address counts from 0)"; !strings.HasSuffix(got, want) {
		t.Errorf("hint %q, want %q", got, want)
	}
}

// On a serial line, where answers have no number, what is late or comes twice
// costs signals; it never becomes another register's value.
func TestLookAtLyingUnit(t *testing.T) {
	for name, lie := range map[string]func(right []byte) []piece{
		"late":       func(right []byte) []piece { return []piece{{150 * time.Millisecond, right}} },
		"twice":      func(right []byte) []piece { return []piece{{0, right}, {30 * time.Millisecond, right}} },
		"not at all": func([]byte) []piece { return nil },
	} {
		for _, l := range lines {
			t.Run(name+"/"+l.name, func(t *testing.T) {
				t.Parallel()
				s := newStation(t, l.framing)
				var signals []Signal
				for i := range 6 {
					signals = append(signals, pair(256+100*i))
				}
				d := connect(t, newDevice(t, Config{URL: l.url(t, s), Timeout: 100 * time.Millisecond}, nil, signals...))
				flow(t, s, d)
				s.set(func() {
					s.script = func(q asked, right []byte) []piece {
						if q.start != 356 {
							return whole(right)
						}
						return lie(right)
					}
				})
				all, err := d.Look(t.Context(), false)
				if err != nil {
					t.Fatal(err)
				}
				var readings []plant.Reading
				good := 0
				for _, seen := range all {
					readings = append(readings, seen.Reading)
					if seen.Reading.Quality == plant.Good {
						good++
					} else if seen.Raw != nil {
						t.Errorf("%s is bad and has registers", seen.Signal)
					}
				}
				checkPairs(t, 1, s.generation, readings)
				if good == 0 {
					t.Errorf("nothing is read: %+v", readings)
				}
			})
		}
	}
}
