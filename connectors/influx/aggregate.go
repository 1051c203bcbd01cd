package influx

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	wire "github.com/influxdata/influxdb-client-go/v2/api/http"

	"linetwin/plant"
)

// Names of what is made of readings; docs/stores.md describes it.
const (
	measurementMinutes = "reading_1m"
	measurementHourly  = "reading_1h"
	measurementHours   = "reading_hours" // which hours are made
	measurementLast    = "reading_last"  // the last reading of an hour, where minutes and hours are apart
)

const (
	settled   = time.Minute      // how long an hour is due, and over, before it is made
	lookEvery = 20 * time.Second // how often it is looked whether hours are due

	firstRead   = 5 * time.Minute // of an hour is read at once; twice as much after
	fewReadings = 20_000          // so few
)

// Run makes minutes and hours of the readings that were stored, until ctx ends.
func (h *History) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	failed := false
	for {
		more, err := h.round(ctx, plant.At(time.Now()))
		if err != nil && !failed && ctx.Err() == nil {
			h.log.Warn("history cannot sum readings up; it tries again, and charts read all readings until then", "error", err)
		}
		failed = err != nil
		if more && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// round does what is to be done by a time, and tells whether more is.
func (h *History) round(ctx context.Context, now plant.Time) (more bool, err error) {
	if err := h.ready(ctx); err != nil {
		return false, err
	}
	if _, err := h.Aggregate(ctx, now); err != nil || !h.apart() {
		return false, err
	}
	if more, err = h.fill(ctx, now); err != nil {
		return false, err
	}
	return more, h.keep(ctx, now)
}

// Aggregate makes the minutes and hours of what is due by a time, and gives how
// many hours of machines that were. What it leaves after an error is still due.
func (h *History) Aggregate(ctx context.Context, now plant.Time) (int, error) {
	h.aggregating.Lock()
	defer h.aggregating.Unlock()
	if !h.recalled {
		if err := h.recall(ctx); err != nil {
			return 0, err
		}
		if err := h.found(ctx, now); err != nil {
			return 0, err
		}
		h.recalled = true
	}
	taken := h.due.take(now)
	made := 0
	order := slices.SortedFunc(maps.Keys(taken), func(a, b hourOf) int {
		return cmp.Or(cmp.Compare(a.hour, b.hour), cmp.Compare(a.machine, b.machine))
	})
	var failed error
	for _, at := range order {
		err := h.aggregateHour(ctx, at, taken[at])
		if err == nil {
			delete(taken, at)
			made++
			continue
		}
		failed = cmp.Or(failed, err)
		if ctx.Err() != nil || errors.Is(err, plant.ErrOffline) {
			break
		}
	}
	h.due.giveBack(taken)
	return made, failed
}

// aggregateHour writes what an hour of a machine was, then that it is made.
func (h *History) aggregateHour(ctx context.Context, at hourOf, stamp int64) error {
	if stays, err := h.stays(ctx, at); err != nil || stays {
		if err == nil {
			err = h.put(ctx, h.hours, appendMark(nil, at, "done", stamp))
		}
		return err
	}
	hour := map[string]*digest{}
	lasts := map[string]plant.Reading{}
	var body []byte
	end := at.hour.Add(time.Hour)
	next, step := plant.Time(0), firstRead
	for from := at.hour; from < end; from = next {
		next = min(from.Add(step), end)
		readings, err := h.readings(ctx, at.machine, plant.Span{From: from, To: next})
		if err != nil {
			return err
		}
		if len(readings) < fewReadings {
			step *= 2
		}
		for i := 0; i < len(readings); {
			minute, digests := readings[i].Time.Floor(time.Minute), map[string]*digest{}
			for ; i < len(readings) && readings[i].Time.Floor(time.Minute) == minute; i++ {
				digestOf(digests, readings[i].Signal).add(&readings[i])
				digestOf(hour, readings[i].Signal).add(&readings[i])
				lasts[readings[i].Signal] = readings[i]
			}
			body = appendDigests(body, measurementMinutes, at.machine, minute, digests)
		}
		if len(body) >= bytesPerRequest {
			if err := h.put(ctx, h.minutes, body); err != nil {
				return err
			}
			body = body[:0]
		}
	}
	if err := h.put(ctx, h.minutes, body); err != nil {
		return err
	}
	body = appendDigests(body[:0], measurementHourly, at.machine, at.hour, hour)
	if h.apart() {
		body = appendLasts(body, at.machine, lasts)
	}
	if err := h.put(ctx, h.hours, body); err != nil {
		return err
	}
	return h.put(ctx, h.hours, appendMark(nil, at, "done", stamp))
}

// put writes what is made of readings. What the bucket's retention does not take
// any more is left out.
func (h *History) put(ctx context.Context, bucket string, body []byte) error {
	if len(body) == 0 {
		return nil
	}
	err := h.post(ctx, bucket, string(body))
	var answer *wire.Error
	if errors.As(err, &answer) && refuses(answer) && strings.Contains(said(answer), "beyond retention policy") {
		return nil
	}
	return h.wrap("write to", err)
}

// digest is what a signal was in an interval.
type digest struct {
	count, bad     int64
	low, high, sum float64
	last           plant.Value
}

func digestOf(all map[string]*digest, signal string) *digest {
	d := all[signal]
	if d == nil {
		d = &digest{}
		all[signal] = d
	}
	return d
}

// add takes a reading that is later than those before.
func (d *digest) add(r *plant.Reading) {
	if r.Quality == plant.Bad {
		d.bad++
		return
	}
	d.last = r.Value
	if x, ok := r.Value.Number(); ok {
		if d.count == 0 {
			d.low, d.high = x, x
		}
		d.low, d.high, d.sum = min(d.low, x), max(d.high, x), d.sum+x
	}
	d.count++
}

// appendDigests appends the point of an interval. Counts are there always, so
// that a bad reading that was written again with a value leaves none behind.
func appendDigests(dst []byte, measurement, machine string, at plant.Time, digests map[string]*digest) []byte {
	if len(digests) == 0 {
		return dst
	}
	dst = append(appendTag(append(dst, measurement...), ",machine=", machine), ' ')
	for _, signal := range slices.Sorted(maps.Keys(digests)) {
		d := digests[signal]
		integer := func(name string, n int64) {
			dst = append(strconv.AppendInt(append(appendField(dst, signal), name...), n, 10), 'i', ',')
		}
		float := func(name string, x float64) {
			dst = append(strconv.AppendFloat(append(appendField(dst, signal), name...), x, 'g', -1, 64), ',')
		}
		integer(".count=", d.count)
		integer(".bad=", d.bad)
		if d.count == 0 {
			continue
		}
		dst = append(appendValue(append(appendField(dst, signal), ".last="...), d.last), ',')
		if d.last.Kind() != plant.KindText {
			float(".min=", d.low)
			float(".max=", d.high)
			float(".sum=", d.sum)
		}
	}
	dst[len(dst)-1] = ' '
	return append(strconv.AppendInt(dst, at.Milli(), 10), '\n')
}

// appendLasts appends the last readings of an hour as they are.
func appendLasts(dst []byte, machine string, lasts map[string]plant.Reading) []byte {
	for _, signal := range slices.Sorted(maps.Keys(lasts)) {
		r := lasts[signal]
		dst = append(appendTag(append(dst, measurementLast...), ",machine=", machine), ' ')
		dst = appendReading(dst, &r)
		dst[len(dst)-1] = ' ' // the last comma
		dst = append(strconv.AppendInt(dst, r.Time.Milli(), 10), '\n')
	}
	return dst
}

// appendMark appends a field of the point of a machine's hour.
func appendMark(dst []byte, at hourOf, field string, n int64) []byte {
	dst = appendTag(append(dst, measurementHours...), ",machine=", at.machine)
	dst = append(append(append(dst, ' '), field...), '=')
	dst = strconv.AppendInt(dst, n, 10)
	dst = append(dst, "i "...)
	dst = strconv.AppendInt(dst, markTime(at.hour).Milli(), 10)
	return append(dst, '\n')
}
