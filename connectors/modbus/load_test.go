package modbus

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// close to a tenth of a millisecond: hand-made sums are rounded.
func about(a, b time.Duration) bool { return (a - b).Abs() < 100*time.Microsecond }

func TestExchangeTakes(t *testing.T) {
	registers := func(n uint16) block { return block{table: holding, count: n} }
	for _, c := range []struct {
		name  string
		url   string
		pause time.Duration
		turn  time.Duration
		block block
		want  time.Duration
	}{
		{"TCP", "tcp://a", 0, 0, registers(125), 5 * time.Millisecond},
		{"TCP with a pause", "tcp://a", 20 * time.Millisecond, 0, registers(1), 25 * time.Millisecond},
		{"RTU over TCP is taken for TCP", "rtu+tcp://a", 0, 0, registers(1), 5 * time.Millisecond},
		// 9600 baud, 11 bits a character: 1.1458 ms each. 8 + 3.5 + 25 + 3.5 = 40
		// characters, and 10 ms to think.
		{"RTU at 9600", "rtu:///dev/ttyUSB0?baud=9600", 0, 0, registers(10), 55833 * time.Microsecond},
		{"two stop bits are as long as parity", "rtu:///dev/ttyUSB0?baud=9600&parity=none", 0, 0, registers(10), 55833 * time.Microsecond},
		{"no parity, one stop bit", "rtu:///dev/ttyUSB0?baud=9600&parity=none&stop_bits=1", 0, 0, registers(10), 51667 * time.Microsecond},
		{"default of 19200", "rtu:///dev/ttyUSB0", 0, 0, registers(10), 32917 * time.Microsecond},
		// 115200: 0.0955 ms each; 33 characters, and two silences of 1.75 ms.
		{"RTU at 115200", "rtu:///dev/ttyUSB0?baud=115200", 0, 0, registers(10), 16651 * time.Microsecond},
		{"a pause is silence too", "rtu:///dev/ttyUSB0?baud=115200", 50 * time.Millisecond, 0, registers(10), 64901 * time.Microsecond},
		{"a quick unit", "rtu:///dev/ttyUSB0?baud=115200", 0, time.Millisecond, registers(10), 7651 * time.Microsecond},
		{"bits", "rtu:///dev/ttyUSB0?baud=115200", 0, 0, block{table: coils, count: 17}, 15028 * time.Microsecond},
		// 10 bits a character, 1.0417 ms each: 17 + 51 characters.
		{"ASCII at 9600", "ascii:///dev/ttyUSB0?baud=9600", 0, 0, registers(10), 80833 * time.Microsecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Config{URL: c.url, Pause: c.pause}
			m := cfg.Medium()
			m.Turnaround = c.turn
			if got := m.exchange(&c.block); !about(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
	if m := (Medium{RoundTrip: 3 * time.Millisecond}); m.exchange(&block{table: holding, count: 1}) != 3*time.Millisecond {
		t.Error("a measured round trip does not count")
	}
	for want, m := range map[string]Medium{"guessed: 5ms for a round trip": {}, "guessed: 10ms for a unit to think": {Characters: 960},
		"nothing guessed": {RoundTrip: time.Millisecond}} {
		if got := m.Guess(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPredict(t *testing.T) {
	cfg := func(pause time.Duration) Config {
		c := Config{URL: "tcp://a", Pause: pause}
		if faults := c.Check(); len(faults) > 0 {
			t.Fatal(faults)
		}
		return c
	}
	l, err := Predict(Medium{}, []Asked{
		{"a", 100 * time.Millisecond, cfg(0), []Signal{register("x", 0), register("y", 1), register("far", 500), {Name: "c", Address: "coil:0"}}},
		{"b", 200 * time.Millisecond, cfg(15 * time.Millisecond), []Signal{register("x", 0)}},
		{"b", time.Second, cfg(0), []Signal{register("slow", 0), register("slower", 900)}},
	})
	want := "[{a 100ms 3 60ms} {b 200ms 1 20ms} {b 1s 2 40ms}]"
	if got := fmt.Sprint(l.Shares); err != nil || got != want {
		t.Errorf("got %s (%v), want %s", got, err, want)
	}
	if math.Abs(l.Utilisation-0.74) > 1e-9 || l.Names() != "a, b" {
		t.Errorf("%v of %s, want 0.74 of a, b", l.Utilisation, l.Names())
	}
	// 100 ms x 0.74 / 0.7 is 105.7 ms.
	if got := l.Reachable(100*time.Millisecond, 0.7); got != 110*time.Millisecond {
		t.Errorf("reachable %v, want 110ms", got)
	}
	if got := l.Reachable(100*time.Millisecond, 0.74); got != 100*time.Millisecond {
		t.Errorf("reachable %v, want what is asked", got)
	}
	if got := l.Reachable(time.Hour, 0.74); got != time.Hour {
		t.Errorf("reachable %v, want what is asked", got)
	}
	if _, err := Predict(Medium{}, []Asked{{"a", time.Second, cfg(0), []Signal{{Name: "x", Address: "7", Type: "uint16"}}}}); err == nil {
		t.Error("an address that means two things is no error")
	}
	var many []Asked
	for i := range 9 {
		many = append(many, Asked{fmt.Sprint("m", i), time.Second, cfg(0), []Signal{register("x", 0)}})
	}
	if l, _ := Predict(Medium{}, many); l.Names() != "m0, m1, m2, m3, m4 and 4 more" {
		t.Errorf("names %s", l.Names())
	}
}
