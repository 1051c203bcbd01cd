package influx

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"linetwin/plant"
)

// Counts gives how many readings there are of a machine in each minute of span
// that has any: each signal and time once, of any quality. Minutes that span
// cuts are counted as far as they lie in it. The server counts values; where a
// minute has bad readings, or lies in two series because the machine changed its
// line, its readings are read and counted here. Where readings may be dropped,
// minutes are counted that begin in span.
func (h *History) Counts(ctx context.Context, machine string, span plant.Span) ([]plant.MinuteCount, error) {
	if span.From.Milli() >= span.To.Milli() { // Flux refuses an empty range
		return nil, nil
	}
	c := minutes{found: map[plant.Time]uint64{}, series: map[plant.Time]string{}, odd: map[plant.Time]bool{}}
	raw := []plant.Span{span}
	if from := h.readingsFrom(); span.From < from {
		old := plant.Span{From: span.From.Floor(time.Hour), To: min(from, (span.To - 1).Floor(time.Hour).Add(time.Hour))}
		made, rest, err := h.madeHours(ctx, machine, old)
		if err != nil {
			return nil, err
		}
		if err := h.countMinutes(ctx, machine, made, span, c.found); err != nil {
			return nil, err
		}
		raw = append(rest, plant.Span{From: old.To, To: span.To})
	}
	for _, part := range raw {
		if err := h.countReadings(ctx, machine, part.Overlap(span), &c); err != nil {
			return nil, err
		}
	}
	var counts []plant.MinuteCount
	for _, minute := range slices.Sorted(maps.Keys(c.found)) {
		counts = append(counts, plant.MinuteCount{Minute: minute, Readings: c.found[minute]})
	}
	return counts, nil
}

// countMinutes adds what hours that are made have in span.
func (h *History) countMinutes(ctx context.Context, machine string, made []plant.Time, span plant.Span, found map[plant.Time]uint64) error {
	if len(made) == 0 {
		return nil
	}
	flux := h.from(measurementMinutes, machine, plant.Span{From: made[0], To: made[len(made)-1].Add(time.Hour)}) +
		` |> filter(fn: (r) => r._field =~ /[.](count|bad)$/) |> group(columns: ["_time"]) |> sum()`
	return h.query(ctx, "count "+machine+" in", flux, func(r row) error {
		n, ok := r.value.(int64)
		if !ok {
			return fmt.Errorf("a count of type %T", r.value)
		}
		if _, ok := slices.BinarySearch(made, r.time.Floor(time.Hour)); ok && n > 0 && span.Has(r.time) {
			found[r.time] += uint64(n)
		}
		return nil
	})
}

// countReadings adds what there is in span.
func (h *History) countReadings(ctx context.Context, machine string, span plant.Span, c *minutes) error {
	if span.From.Milli() >= span.To.Milli() {
		return nil
	}
	each := ` |> window(every: 1m) |> count() |> group(columns: ["_start", "area", "line"]) |> sum()`
	flux := "data = " + h.from(measurementReading, machine, span) + "\n" +
		`data |> filter(fn: (r) => r._field !~ /[.]quality$/)` + each + ` |> yield(name: "values")` + "\n" +
		`data |> filter(fn: (r) => r._field =~ /[.]quality$/) |> filter(fn: (r) => r._value =~ /^bad: /)` + each + ` |> yield(name: "bad")`
	what := "count " + machine + " in"
	if err := h.query(ctx, what, flux, c.add); err != nil {
		return err
	}
	for _, s := range c.oddSpans(span) {
		record, err := h.readings(ctx, machine, s)
		if err != nil {
			return err
		}
		for i := range record {
			c.found[record[i].Time.Floor(time.Minute)]++
		}
	}
	clear(c.odd)
	return nil
}

// readings gives the readings of a machine in span.
func (h *History) readings(ctx context.Context, machine string, span plant.Span) ([]plant.Reading, error) {
	var found fields
	err := h.query(ctx, "read "+machine+" from", h.from(measurementReading, machine, span)+dropColumns, found.add)
	return found.readings(machine), err
}

// minutes gathers the server's counts.
type minutes struct {
	found  map[plant.Time]uint64
	series map[plant.Time]string
	odd    map[plant.Time]bool
}

func (m *minutes) add(r row) error {
	n, ok := r.value.(int64)
	if !ok {
		return fmt.Errorf("a count of type %T", r.value)
	}
	// The first window begins at a border, half a millisecond before its readings.
	minute := (r.start + plant.Millisecond).Floor(time.Minute)
	if r.result == "bad" {
		m.odd[minute] = true
		return nil
	}
	if series, seen := m.series[minute]; seen && series != r.series {
		m.odd[minute] = true
	}
	m.series[minute] = r.series
	m.found[minute] += uint64(n)
	return nil
}

// oddTogether is how many minutes side by side are read at once.
const oddTogether = 10

// oddSpans gives the odd minutes as parts of span, and forgets what was counted
// of them.
func (m *minutes) oddSpans(span plant.Span) []plant.Span {
	var spans []plant.Span
	for _, minute := range slices.Sorted(maps.Keys(m.odd)) {
		delete(m.found, minute)
		s := plant.Span{From: minute, To: minute.Add(time.Minute)}.Overlap(span)
		if n := len(spans); n > 0 && spans[n-1].To == s.From && spans[n-1].Length() < oddTogether*time.Minute {
			spans[n-1].To = s.To
			continue
		}
		spans = append(spans, s)
	}
	return spans
}
