package influx

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"linetwin/plant"
)

// fillAhead is how many hours of machines may be due of what fill went through:
// what is new waits no longer than these take.
const fillAhead = 2000

// fill brings to the buckets of minutes and hours what was stored before there
// were any, a day at a time, the oldest first, and tells whether there is more:
// the figures of lines, and hours of readings, which it marks as due. How
// far it is stands in "filled".
func (h *History) fill(ctx context.Context, now plant.Time) (more bool, err error) {
	l := &h.lifetimes
	until, err := h.since(ctx)
	if err != nil || until == 0 {
		return false, err
	}
	if l.filled == 0 {
		if l.filled, err = h.filledTo(ctx); err != nil {
			return false, err
		}
	}
	if l.filled >= until || h.due.before(l.filled) >= fillAhead {
		return false, nil
	}
	first, err := h.firstStored(ctx, l.filled, until)
	if err != nil {
		return false, err
	}
	day := plant.Span{From: first, To: min(first.Add(24*time.Hour), until)}
	if err := h.markUnmarked(ctx, day); err != nil {
		return false, err
	}
	if err := h.moveFigures(ctx, day); err != nil {
		return false, err
	}
	if err := h.put(ctx, h.hours, fmt.Appendf(nil, "%s filled=%di %d\n", measurementHours, day.To.Milli(), now.Milli())); err != nil {
		return false, err
	}
	l.filled = day.To
	if l.filled >= until {
		h.log.Info("influxdb has minutes and hours of all readings in their own buckets, but for what is due", "minutes", h.minutes, "hours", h.hours)
	}
	return l.filled < until, nil
}

// filledTo gives how far an earlier process came.
func (h *History) filledTo(ctx context.Context) (plant.Time, error) {
	filled := plant.Time(1)
	flux := fmt.Sprintf(`from(bucket: %s) |> range(start: %s, stop: %s) |> filter(fn: (r) => r._measurement == %s and r._field == "filled") |> last()`,
		quote(h.hours), literal(1), literal(never), quote(measurementHours))
	err := h.query(ctx, "read marks of", flux, func(r row) error {
		if ms, ok := r.value.(int64); ok {
			filled = plant.FromMilli(ms)
		}
		return nil
	})
	return filled, err
}

// firstStored gives the hour of the first reading, or figure, in [from, until); or
// until.
func (h *History) firstStored(ctx context.Context, from, until plant.Time) (plant.Time, error) {
	first := until
	flux := fmt.Sprintf(`from(bucket: %s) |> range(start: %s, stop: %s) |> filter(fn: (r) => r._measurement == %s or r._measurement == %s) |> first() |> keep(columns: ["_time"])`,
		quote(h.bucket), literal(border(from)), literal(border(until)), quote(measurementReading), quote(measurementOEE))
	err := h.query(ctx, "read the first readings of", flux, func(r row) error {
		first = min(first, r.time.Floor(time.Hour))
		return nil
	})
	return first, err
}

// markUnmarked marks the hours of span as due that have readings and no mark.
func (h *History) markUnmarked(ctx context.Context, span plant.Span) error {
	if span.Empty() { // Flux refuses an empty range
		return nil
	}
	hours := map[hourOf]struct{}{}
	flux := fmt.Sprintf(`from(bucket: %s) |> range(start: %s, stop: %s) |> filter(fn: (r) => r._measurement == %s) |> window(every: 1h) |> count() |> keep(columns: ["_start", "machine"])`,
		quote(h.bucket), literal(border(span.From)), literal(border(span.To)), quote(measurementReading))
	err := h.query(ctx, "count readings of", flux, func(r row) error {
		// The first window begins at a border, half a millisecond before its readings.
		hours[hourOf{nameOf(r.machine), (r.start + plant.Millisecond).Floor(time.Hour)}] = struct{}{}
		return nil
	})
	if err != nil || len(hours) == 0 {
		return err
	}
	h.due.marking.Lock() // nobody else marks between looking and marking
	defer h.due.marking.Unlock()
	flux = fmt.Sprintf(`from(bucket: %s) |> range(start: %s, stop: %s) |> filter(fn: (r) => r._measurement == %s and r._field == "written") |> keep(columns: ["_time", "machine"])`,
		quote(h.hours), literal(border(span.From)), literal(border(span.To)), quote(measurementHours))
	err = h.query(ctx, "read marks of", flux, func(r row) error {
		delete(hours, hourOf{nameOf(r.machine), r.time.Floor(time.Hour)})
		return nil
	})
	if err != nil {
		return err
	}
	fresh, stamp := h.due.fresh(hours)
	var body []byte
	for _, at := range fresh {
		body = appendMark(body, at, "written", stamp)
	}
	if err := h.put(ctx, h.hours, body); err != nil {
		return err
	}
	h.due.mu.Lock()
	defer h.due.mu.Unlock()
	for _, at := range fresh {
		h.due.waiting[at] = stamp
	}
	return nil
}

// moveFigures copies the figures of lines that lie with the readings to where
// they belong now, but for those that are there: these are newer.
func (h *History) moveFigures(ctx context.Context, span plant.Span) error {
	if span.Empty() {
		return nil
	}
	h.figuring.Lock()
	defer h.figuring.Unlock()
	of := func(bucket string) string {
		return fmt.Sprintf(`from(bucket: %s) |> range(start: %s, stop: %s) |> filter(fn: (r) => r._measurement == %s)`,
			quote(bucket), literal(border(span.From)), literal(border(span.To)), quote(measurementOEE))
	}
	there := map[figureOf]bool{}
	for _, bucket := range []string{h.minutes, h.hours} {
		if err := h.query(ctx, "read figures of", of(bucket)+` |> filter(fn: (r) => r._field == "revision")`, func(r row) error {
			there[figureOf{pointOf(r), r.time}] = true
			return nil
		}); err != nil {
			return err
		}
	}
	bodies := map[string][]byte{}
	err := h.query(ctx, "read figures of", of(h.bucket), func(r row) error {
		point := pointOf(r)
		if there[figureOf{point, r.time}] {
			return nil
		}
		v, err := valueOf(r.value)
		if err != nil {
			return err
		}
		by, _ := r.all["by"].(string)
		bucket := h.bucketOfFigures(by)
		body := append(append(append(bodies[bucket], point...), ' '), r.field...)
		body = append(appendValue(append(body, '='), v), ' ')
		body = append(strconv.AppendInt(body, r.time.Milli(), 10), '\n')
		if len(body) >= bytesPerRequest {
			if err := h.put(ctx, bucket, body); err != nil {
				return err
			}
			body = body[:0]
		}
		bodies[bucket] = body
		return nil
	})
	for _, bucket := range []string{h.minutes, h.hours} {
		if err == nil {
			err = h.put(ctx, bucket, bodies[bucket])
		}
	}
	return err
}

// figureOf is a point of figures.
type figureOf struct {
	point string
	time  plant.Time
}

// pointOf gives measurement and tags of figures.
func pointOf(r row) string {
	dst := []byte(measurementOEE)
	for _, tag := range []string{"area", "by", "line", "site"} {
		value, _ := r.all[tag].(string)
		dst = appendTag(dst, ","+tag+"=", nameOf(value))
	}
	return string(dst)
}

// summedUp tells whether all readings before a time are in minutes and hours.
func (h *History) summedUp(before plant.Time) bool {
	if until := plant.Time(h.marked.Load()); until == 0 || h.lifetimes.filled < until {
		return false
	}
	if h.due.before(before) > 0 {
		return false
	}
	h.due.mu.Lock()
	defer h.due.mu.Unlock()
	return !h.due.unsure
}

// stays tells whether an hour is to stay as it was made, because readings of it
// were dropped since: there are fewer by now. What came late is left out then.
func (h *History) stays(ctx context.Context, at hourOf) (bool, error) {
	if !h.apart() {
		return false, nil // all is dropped together
	}
	hour := plant.Span{From: at.hour, To: at.hour.Add(time.Hour)}
	was, is := uint64(0), uint64(0)
	flux := h.from(measurementHourly, at.machine, hour) + ` |> filter(fn: (r) => r._field =~ /[.](count|bad)$/)` + dropColumns
	err := h.query(ctx, "read "+at.machine+" from", flux, func(r row) error {
		if n, ok := r.value.(int64); ok {
			was += uint64(n)
		}
		return nil
	})
	if err != nil || was == 0 {
		return false, err
	}
	c := minutes{found: map[plant.Time]uint64{}, series: map[plant.Time]string{}, odd: map[plant.Time]bool{}}
	if err := h.countReadings(ctx, at.machine, hour, &c); err != nil {
		return false, err
	}
	for _, n := range c.found {
		is += n
	}
	if is < was {
		h.log.Warn("readings came late for an hour whose readings were dropped: its minutes and hour stay as they are", "machine", at.machine, "hour", at.hour, "were", was, "readings", is)
	}
	return is < was, nil
}
