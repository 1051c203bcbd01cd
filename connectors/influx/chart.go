package influx

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"linetwin/plant"
)

// Chart gives what a signal was in each of at most points equal parts of span
// (plant.Buckets), those without readings included. Text has no numbers, only
// counts and last values; booleans count as 0 and 1. Parts of a minute or more are
// read from the minutes of hours that are made, those of an hour or more from the
// hours: one counts where it begins. So is a time whose readings, or minutes, were
// dropped, however short the parts are. All else the server sums up of the readings;
// there a bad reading that was written again with a value counts as both.
func (h *History) Chart(ctx context.Context, machine, signal string, span plant.Span, points int) ([]plant.Bucket, error) {
	if points < 1 || points > plant.MaxBuckets {
		return nil, fmt.Errorf("chart of %s %s: %d points, want 1 to %d", machine, signal, points, plant.MaxBuckets)
	}
	buckets := plant.Buckets(span, points)
	if len(buckets) == 0 {
		return nil, nil
	}
	c := &chart{h: h, machine: machine, signal: signal, buckets: buckets, begin: border(span.From), width: plant.BucketWidth(span, points),
		lastAt: make([]plant.Time, len(buckets)), numbers: make([]int64, len(buckets))}
	old, fresh := span, plant.Span{} // what minutes stand for, and what not
	if c.width < plant.Time(time.Minute) {
		old.To = max(span.From, min(span.To, h.readingsFrom()))
		fresh = plant.Span{From: old.To, To: span.To}
	}
	made, raw, err := h.madeHours(ctx, machine, old)
	if err != nil {
		return nil, err
	}
	from, _ := slices.BinarySearch(made, h.minutesFrom())
	if c.width >= plant.Time(time.Hour) {
		from = len(made)
	}
	if err := c.aggregates(ctx, measurementHourly, made[:from]); err != nil {
		return nil, err
	}
	if err := c.aggregates(ctx, measurementMinutes, made[from:]); err != nil {
		return nil, err
	}
	raw = append(raw, fresh)
	for _, part := range raw {
		if err := c.raw(ctx, part); err != nil {
			return nil, err
		}
	}
	return buckets, nil
}

// chart puts windows of readings, and minutes and hours, into buckets.
type chart struct {
	h               *History
	machine, signal string
	buckets         []plant.Bucket
	begin           plant.Time // of the first window
	width           plant.Time
	lastAt          []plant.Time
	numbers         []int64        // how many readings the mean of each bucket is of
	counts          map[part]int64 // of the part of the span that is being read
	kind            plant.Kind
}

// part is a bucket of one series.
type part struct {
	bucket int
	series string
}

func (c *chart) what() string { return "chart of " + c.machine + " " + c.signal + " from" }

// raw takes readings. A machine that changed its line has several series; they
// are added up.
func (c *chart) raw(ctx context.Context, span plant.Span) error {
	if border(span.From) >= border(span.To) { // Flux refuses an empty range
		return nil
	}
	key := fieldKey(c.signal)
	data := func(field, more string) string {
		return fmt.Sprintf("%s |> filter(fn: (r) => r._field == %s)%s |> window(every: %dms, offset: %dns)",
			c.h.from(measurementReading, c.machine, span), quote(field), more, c.width.Milli(), int64(c.begin%c.width))
	}
	c.counts, c.kind = map[part]int64{}, plant.KindNone
	flux := "data = " + data(key, "") + "\n" +
		`data |> count() |> yield(name: "count")` + "\n" +
		`data |> last() |> yield(name: "last")` + "\n" +
		data(key+qualitySuffix, " |> filter(fn: (r) => r._value =~ /^bad: /)") + ` |> count() |> yield(name: "bad")`
	if err := c.h.query(ctx, c.what(), flux, c.add); err != nil {
		return err
	}
	more := ""
	switch c.kind {
	case plant.KindNone, plant.KindText:
		return nil
	case plant.KindBoolean:
		more = " |> map(fn: (r) => ({r with _value: if r._value then 1.0 else 0.0}))"
	}
	flux = "data = " + data(key, more) + "\n" +
		`data |> min() |> yield(name: "min")` + "\n" +
		`data |> max() |> yield(name: "max")` + "\n" +
		`data |> mean() |> yield(name: "mean")`
	return c.h.query(ctx, c.what(), flux, c.add)
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
			c.counts[part{i, r.series}] += n
		}
		return nil
	case "last":
		v, err := valueOf(r.value)
		c.last(i, r.time, v)
		return err
	}
	v, err := valueOf(r.value)
	x, ok := v.Number()
	if err != nil || !ok {
		return fmt.Errorf("a %s of type %T", r.result, r.value)
	}
	if r.result == "mean" {
		c.mean(i, x, c.counts[part{i, r.series}])
	} else {
		c.extreme(i, r.result, x)
	}
	return nil
}

func (c *chart) last(i int, at plant.Time, v plant.Value) {
	if at >= c.lastAt[i] && !v.IsNone() {
		c.buckets[i].Last, c.lastAt[i], c.kind = v, at, v.Kind()
	}
}

func (c *chart) extreme(i int, which string, x float64) {
	b := &c.buckets[i]
	if which == "min" && (b.Min == nil || x < *b.Min) {
		b.Min = &x
	}
	if which == "max" && (b.Max == nil || x > *b.Max) {
		b.Max = &x
	}
}

// mean takes the mean of n readings.
func (c *chart) mean(i int, x float64, n int64) {
	if before := c.numbers[i]; before > 0 && n > 0 {
		x = (*c.buckets[i].Mean*float64(before) + x*float64(n)) / float64(before+n)
	}
	c.buckets[i].Mean = &x
	c.numbers[i] += n
}

// aggregates takes the minutes, or hours, of hours that are made.
func (c *chart) aggregates(ctx context.Context, measurement string, made []plant.Time) error {
	if len(made) == 0 {
		return nil
	}
	key := fieldKey(c.signal)
	fields := make([]string, 0, 6)
	for _, name := range []string{"count", "bad", "min", "max", "sum", "last"} {
		fields = append(fields, "r._field == "+quote(key+"."+name))
	}
	flux := c.h.from(measurement, c.machine, plant.Span{From: made[0], To: made[len(made)-1].Add(time.Hour)}) +
		" |> filter(fn: (r) => " + strings.Join(fields, " or ") + ")" + dropColumns
	found := map[plant.Time]*digest{}
	err := c.h.query(ctx, c.what(), flux, func(r row) error {
		if _, ok := slices.BinarySearch(made, r.time.Floor(time.Hour)); !ok {
			return nil
		}
		d := found[r.time]
		if d == nil {
			d = &digest{}
			found[r.time] = d
		}
		return d.read(strings.TrimPrefix(r.field, key+"."), r.value)
	})
	for _, at := range slices.Sorted(maps.Keys(found)) {
		c.digest(at, found[at])
	}
	return err
}

// read takes a field of an interval.
func (d *digest) read(field string, column any) error {
	if field == "last" {
		v, err := valueOf(column)
		d.last = v
		return err
	}
	switch x := column.(type) {
	case int64:
		if field == "count" {
			d.count = x
		} else {
			d.bad = x
		}
		return nil
	case float64:
		switch field {
		case "min":
			d.low = x
		case "max":
			d.high = x
		default:
			d.sum = x
		}
		return nil
	}
	return fmt.Errorf("a %s of type %T", field, column)
}

func (c *chart) digest(at plant.Time, d *digest) {
	i := int((at - c.begin) / c.width)
	b := &c.buckets[i]
	b.Bad += d.bad
	if d.count == 0 {
		return
	}
	b.Count += d.count
	c.last(i, at, d.last)
	if d.last.Kind() == plant.KindText {
		return
	}
	c.extreme(i, "min", d.low)
	c.extreme(i, "max", d.high)
	c.mean(i, d.sum/float64(d.count), d.count)
}
