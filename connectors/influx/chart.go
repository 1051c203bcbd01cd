package influx

import (
	"context"
	"fmt"

	"linetwin/plant"
)

// Chart gives what a signal was in each of at most points equal parts of span
// (plant.Buckets), those without readings included; the server does the sums.
// Text has no numbers, only counts and last values; booleans count as 0 and 1.
// A bad reading that was written again with a value counts as both.
func (h *History) Chart(ctx context.Context, machine, signal string, span plant.Span, points int) ([]plant.Bucket, error) {
	if points < 1 || points > plant.MaxBuckets {
		return nil, fmt.Errorf("chart of %s %s: %d points, want 1 to %d", machine, signal, points, plant.MaxBuckets)
	}
	buckets := plant.Buckets(span, points)
	if len(buckets) == 0 {
		return nil, nil
	}
	key := fieldKey(signal)
	begin, width := border(span.From), plant.BucketWidth(span, points)
	data := func(field, more string) string {
		return fmt.Sprintf("%s |> filter(fn: (r) => r._field == %s)%s |> window(every: %dms, offset: %dns)",
			h.from(measurementReading, machine, span), quote(field), more, width.Milli(), int64(begin%width))
	}
	c := chart{buckets: buckets, begin: begin, width: width, lastAt: make([]plant.Time, len(buckets)), counts: map[part]int64{}}
	what := "chart of " + machine + " " + signal + " from"
	flux := "data = " + data(key, "") + "\n" +
		`data |> count() |> yield(name: "count")` + "\n" +
		`data |> last() |> yield(name: "last")` + "\n" +
		data(key+qualitySuffix, " |> filter(fn: (r) => r._value =~ /^bad: /)") + ` |> count() |> yield(name: "bad")`
	if err := h.query(ctx, what, flux, c.add); err != nil {
		return nil, err
	}
	more := ""
	switch c.kind {
	case plant.KindNone, plant.KindText:
		return buckets, nil
	case plant.KindBoolean:
		more = " |> map(fn: (r) => ({r with _value: if r._value then 1.0 else 0.0}))"
	}
	flux = "data = " + data(key, more) + "\n" +
		`data |> min() |> yield(name: "min")` + "\n" +
		`data |> max() |> yield(name: "max")` + "\n" +
		`data |> mean() |> yield(name: "mean")`
	if err := h.query(ctx, what, flux, c.add); err != nil {
		return nil, err
	}
	return buckets, nil
}

// chart puts the server's windows into buckets. A machine that changed its
// line has several of each; they are added up.
type chart struct {
	buckets []plant.Bucket
	begin   plant.Time // of the first window
	width   plant.Time
	lastAt  []plant.Time
	counts  map[part]int64
	kind    plant.Kind
}

// part is a bucket of one series.
type part struct {
	bucket int
	series string
}

func (c *chart) add(r row) error {
	i := int((r.start - c.begin) / c.width)
	if r.start < c.begin || i >= len(c.buckets) {
		return fmt.Errorf("a window from %s outside of the chart", r.start)
	}
	b := &c.buckets[i]
	switch r.result {
	case "count", "bad":
		n, ok := r.value.(int64)
		if !ok {
			return fmt.Errorf("a count of type %T", r.value)
		}
		if r.result == "bad" {
			b.Bad += n
		} else {
			b.Count += n
			c.counts[part{i, r.series}] = n
		}
		return nil
	case "last":
		v, err := valueOf(r.value)
		if err == nil && r.time >= c.lastAt[i] {
			b.Last, c.lastAt[i], c.kind = v, r.time, v.Kind()
		}
		return err
	}
	v, err := valueOf(r.value)
	x, ok := v.Number()
	if err != nil || !ok {
		return fmt.Errorf("a %s of type %T", r.result, r.value)
	}
	switch {
	case r.result == "min" && (b.Min == nil || x < *b.Min):
		b.Min = &x
	case r.result == "max" && (b.Max == nil || x > *b.Max):
		b.Max = &x
	case r.result == "mean":
		x *= float64(c.counts[part{i, r.series}]) / float64(b.Count)
		if b.Mean != nil {
			x += *b.Mean
		}
		b.Mean = &x
	}
	return nil
}
