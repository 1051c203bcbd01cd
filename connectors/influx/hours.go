package influx

import (
	"context"
	"fmt"
	"slices"
	"time"

	"linetwin/plant"
)

// foundSlack is how far ahead of the time of its writing a reading may have been
// that was stored before hours were marked.
const foundSlack = 24 * time.Hour

// found notes, once per database, since when every write marks its hours: before
// that, an hour without a mark may have readings.
func (h *History) found(ctx context.Context, now plant.Time) error {
	since, err := h.since(ctx)
	if err != nil || since != 0 {
		return err
	}
	since = now.Floor(time.Hour).Add(foundSlack)
	return h.put(ctx, h.hours, fmt.Appendf(nil, "%s since=%di %d\n", measurementHours, since.Milli(), now.Milli()))
}

// since gives the time from which on an hour without a mark has no readings;
// 0: none is known.
func (h *History) since(ctx context.Context) (plant.Time, error) {
	if t := plant.Time(h.marked.Load()); t != 0 {
		return t, nil
	}
	var since plant.Time
	flux := fmt.Sprintf(`from(bucket: %s) |> range(start: %s, stop: %s) |> filter(fn: (r) => r._measurement == %s and r._field == "since") |> first()`,
		quote(h.hours), literal(1), literal(never), quote(measurementHours))
	err := h.query(ctx, "read marks of", flux, func(r row) error {
		if ms, ok := r.value.(int64); ok {
			since = plant.FromMilli(ms)
		}
		return nil
	})
	h.marked.Store(int64(since))
	return since, err
}

// madeHours gives which whole hours of span are made of a machine, in order, and
// which parts of span are to be read from the readings.
func (h *History) madeHours(ctx context.Context, machine string, span plant.Span) (made []plant.Time, raw []plant.Span, err error) {
	first, last := span.From.Add(time.Hour-1).Floor(time.Hour), span.To.Floor(time.Hour)
	h.due.mu.Lock()
	unsure := h.due.unsure
	h.due.mu.Unlock()
	if first >= last || unsure {
		return nil, []plant.Span{span}, nil
	}
	since, err := h.since(ctx)
	if err != nil || since == 0 {
		return nil, []plant.Span{span}, err
	}
	marks := map[plant.Time][2]int64{}
	err = h.query(ctx, "read marks of "+machine+" from", h.from(measurementHours, machine, plant.Span{From: first, To: last}), func(r row) error {
		n, _ := r.value.(int64)
		hour := r.time.Floor(time.Hour)
		m := marks[hour]
		switch r.field {
		case "written":
			m[0] = n
		case "done":
			m[1] = n
		}
		marks[hour] = m
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	raw = []plant.Span{{From: span.From, To: first}, {From: last, To: span.To}, {From: first, To: min(since, last)}}
	for hour, m := range marks {
		if m[0] == m[1] {
			made = append(made, hour)
		} else {
			raw = append(raw, plant.Span{From: hour, To: hour.Add(time.Hour)})
		}
	}
	slices.Sort(made)
	return made, without(merge(raw, span), made), nil
}

// without cuts hours out of spans; both are in order.
func without(spans []plant.Span, hours []plant.Time) []plant.Span {
	var rest []plant.Span
	keep := func(s plant.Span) {
		if !s.Empty() {
			rest = append(rest, s)
		}
	}
	for _, s := range spans {
		i, _ := slices.BinarySearch(hours, s.From)
		for ; i < len(hours) && hours[i] < s.To; i++ {
			keep(plant.Span{From: s.From, To: hours[i]})
			s.From = hours[i].Add(time.Hour)
		}
		keep(s)
	}
	return rest
}
