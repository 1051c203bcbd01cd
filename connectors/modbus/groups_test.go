package modbus

import (
	"context"
	"slices"
	"testing"
	"time"

	"linetwin/plant"
)

// readBy gives the names of the signals that a poll reads.
func readBy(t *testing.T, d *Device) []string {
	t.Helper()
	round, err := d.Poll(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range round.Readings {
		names = append(names, r.Signal)
	}
	return names
}

func TestSlowGroupsAreReadAtTheirOwnInterval(t *testing.T) {
	s := newSlave(t)
	slow, slower := register("slow", 2), register("slower", 4)
	slow.Group, slow.Every = "slow", 500*time.Millisecond
	slower.Group, slower.Every = "slower", time.Second
	d := connect(t, newDevice(t, Config{URL: "tcp://" + s.address}, nil, register("fast", 0), slow, slower, register("fast2", 6)))
	start := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	now := start
	d.now = func() time.Time { return now }
	var slows, slowers []int
	for i := range 21 { // every 200 ms, a little early or late
		now = start.Add(time.Duration(i)*200*time.Millisecond + time.Duration(i%3-1)*2*time.Millisecond)
		got := readBy(t, d)
		if !slices.Contains(got, "fast") || !slices.Contains(got, "fast2") {
			t.Fatalf("look %d reads %v", i, got)
		}
		if slices.Contains(got, "slow") {
			slows = append(slows, i)
		}
		if slices.Contains(got, "slower") {
			slowers = append(slowers, i)
		}
		if n := len(s.asked()); n != 1+(len(got)-2) {
			t.Errorf("look %d needs %d requests for %v", i, n, got)
		}
	}
	if want := []int{0, 3, 5, 8, 10, 13, 15, 18, 20}; !slices.Equal(slows, want) {
		t.Errorf("the slow group is read in looks %v, want %v", slows, want)
	}
	if want := []int{0, 5, 10, 15, 20}; !slices.Equal(slowers, want) {
		t.Errorf("the slower group is read in looks %v, want %v", slowers, want)
	}
	if got := d.Looked("slow"); !got.Equal(now) || !d.Looked("").Equal(now) || !d.Looked("none").IsZero() {
		t.Errorf("looked at %v, %v, %v", got, d.Looked(""), d.Looked("none"))
	}
	t.Run("after a long pause once, and in step again", func(t *testing.T) {
		now = start.Add(7300 * time.Millisecond)
		if got := readBy(t, d); len(got) != 4 {
			t.Errorf("reads %v", got)
		}
		now = start.Add(7400 * time.Millisecond)
		if got := readBy(t, d); len(got) != 2 {
			t.Errorf("reads %v", got)
		}
		now = start.Add(7500 * time.Millisecond)
		if got := readBy(t, d); len(got) != 3 {
			t.Errorf("reads %v", got)
		}
	})
	t.Run("a new connection reads all", func(t *testing.T) {
		d.Close()
		connect(t, d)
		if got := readBy(t, d); len(got) != 4 {
			t.Errorf("reads %v", got)
		}
	})
}

// TestNothingDueNeedsNoLine: a look in which nothing is due does not wait for
// others, and claims the time at which it is made.
func TestNothingDueNeedsNoLine(t *testing.T) {
	s := newSlave(t)
	slow := register("slow", 0)
	slow.Group, slow.Every = "slow", time.Hour
	d := connect(t, newDevice(t, Config{URL: "tcp://" + s.address}, nil, slow))
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	d.now = func() time.Time { return now }
	if got := readBy(t, d); len(got) != 1 {
		t.Fatalf("reads %v", got)
	}
	<-d.line.turn // another device has it
	defer d.line.give()
	now = now.Add(time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	round, err := d.Poll(ctx, nil)
	if err != nil || len(round.Readings) != 0 || round.Through != plant.Stamp(now) {
		t.Errorf("round %+v, error %v; want nothing through %v", round, err, plant.Stamp(now))
	}
}

// Signals of different groups with the same interval share requests.
func TestEqualIntervalsShareRequests(t *testing.T) {
	s := newSlave(t)
	a, b := register("a", 0), register("b", 1)
	a.Group, a.Every, b.Group, b.Every = "one", time.Hour, "two", time.Hour
	d := connect(t, newDevice(t, Config{URL: "tcp://" + s.address}, nil, a, b))
	if got := readBy(t, d); len(got) != 2 || len(s.asked()) != 1 {
		t.Errorf("reads %v", got)
	}
	if got := readBy(t, d); len(got) != 0 || len(s.asked()) != 0 {
		t.Errorf("reads %v before their time", got)
	}
}

// A look that began late and the next one in time can be in one millisecond.
func TestLooksHaveTimesOfTheirOwn(t *testing.T) {
	s := newSlave(t)
	d := connect(t, newDevice(t, Config{URL: "tcp://" + s.address}, nil, register("fast", 0)))
	start := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	var now time.Time
	d.now = func() time.Time { return now }
	const us = time.Microsecond
	for i, c := range []struct{ at, want time.Duration }{
		{100, 0}, {900, 1000 * us}, {1100, 2000 * us}, {1900, 3000 * us}, {20_000, 20_000 * us},
		{-5_000_000, -5_000_000 * us}, {-4_980_000, -4_980_000 * us}, // the clock was set back
	} {
		now = start.Add(c.at * us)
		round, err := d.Poll(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := plant.At(start.Add(c.want)); len(round.Readings) != 1 || round.Readings[0].Time != want || round.Through != want {
			t.Errorf("look %d: %+v, want one reading of %s", i, round, want)
		}
	}
}
