package opcua

import (
	"testing"
	"time"

	"linetwin/plant"
)

func TestPollReadsValues(t *testing.T) {
	s := startServer(t, serverOptions{before: 1})
	s.space.set("s=state", int32(6))
	s.space.set("s=temperature", 21.5)
	d := connected(t, s, Config{}, Signal{Name: "state", Node: nsu("s=state"), Type: "int32"}, Signal{Name: "temperature", Node: "ns=2;s=temperature", Type: "float64"})
	before := plant.Stamp(time.Now())
	r := poll(t, d)
	after := plant.At(time.Now())
	if len(r.Readings) != 2 || r.Readings[0].Value != plant.Integer(6) || r.Readings[1].Value != plant.Float(21.5) {
		t.Fatalf("readings: %v", r.Readings)
	}
	if r.Through < before || r.Through > after {
		t.Errorf("through %v is not within the round, %v to %v", r.Through, before, after)
	}
	for _, x := range r.Readings {
		if x.Quality != plant.Good || x.Time > r.Through || x.Time%plant.Millisecond != 0 || x.Machine != "m" {
			t.Errorf("reading %+v", x)
		}
	}
}
