package connectors

import (
	"slices"
	"testing"

	"linetwin/connectors/modbus"
)

func TestNamesThatDifferInCase(t *testing.T) {
	device := func(machine string, signals ...string) Config {
		c := Config{Machine: machine, Modbus: &modbus.Config{URL: "tcp://127.0.0.1:502"}}
		for _, s := range signals {
			c.Signals = append(c.Signals, Signal{Name: s, Address: "holding:0", Type: "uint16"})
		}
		return c
	}
	var got []string
	for _, n := range caseNotes([]Config{device("press", "Speed", "state", "speed"), device("Press", "speed"), device("press", "state")}) {
		got = append(got, n.String())
	}
	const why = ", allowed: names that differ in more than case: some Sparkplug hosts take these for one"
	want := []string{"[0].signals[2].name: found speed beside Speed" + why, "[1].machine: found Press beside press" + why}
	if !slices.Equal(got, want) {
		t.Errorf("notes %q, want %q", got, want)
	}
}
