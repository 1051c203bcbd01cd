package influx

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"linetwin/plant"
)

// row is one row of an answer.
type row struct {
	result  string // name of the yield
	time    plant.Time
	start   plant.Time // of the window
	field   string
	series  string // area and line
	machine string
	value   any
	all     map[string]any // every column
}

// readTimeouts is how many times longer than a write a read may take.
const readTimeouts = 6

// query runs Flux and calls each with every row.
func (h *History) query(ctx context.Context, what, flux string, each func(row) error) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeouts*h.cfg.Timeout)
	defer cancel()
	// One QueryAPI per query: v2.14.0 writes its address into a shared one
	// without a lock when it first asks.
	answer, err := h.client.QueryAPI(h.org).Query(ctx, flux)
	if err != nil {
		return h.wrap(what, err)
	}
	for answer.Next() {
		v := answer.Record().Values()
		r := row{value: v["_value"], all: v}
		r.result, _ = v["result"].(string)
		r.field, _ = v["_field"].(string)
		r.machine, _ = v["machine"].(string)
		area, _ := v["area"].(string)
		line, _ := v["line"].(string)
		r.series = area + "\n" + line
		if t, ok := v["_time"].(time.Time); ok {
			r.time = plant.At(t)
		}
		if t, ok := v["_start"].(time.Time); ok {
			r.start = plant.At(t)
		}
		if err := each(r); err != nil {
			answer.Close()
			return err
		}
	}
	if err := answer.Err(); err != nil {
		answer.Close()
		return h.wrap(what, err)
	}
	return nil
}

// from begins a query of a machine's points of a measurement in span.
func (h *History) from(measurement, machine string, span plant.Span) string {
	return fmt.Sprintf("from(bucket: %s) |> range(start: %s, stop: %s) |> filter(fn: (r) => r._measurement == %s and r.machine == %s)",
		quote(h.bucketOf(measurement)), literal(border(span.From)), literal(border(span.To)), quote(measurement), quote(string(appendPlain(nil, machine))))
}

// border gives a time that parts whole milliseconds as t does: those before t
// are before it, the others after it. No reading is at it, so that it does not
// matter that the end of a range belongs to it in InfluxDB 1.8 and not in 2.x.
func border(t plant.Time) plant.Time {
	return (t + plant.Millisecond - 1).Floor(time.Millisecond) - plant.Millisecond/2
}

// literal gives a time as Flux writes it.
func literal(t plant.Time) string { return time.Unix(0, int64(t)).UTC().Format(time.RFC3339Nano) }

// ofSignals is the filter on the fields of signals.
func ofSignals(signals []string) string {
	if signals == nil {
		return ""
	}
	terms := make([]string, 0, 2*len(signals))
	for _, s := range signals {
		key := fieldKey(s)
		terms = append(terms, "r._field == "+quote(key), "r._field == "+quote(key+qualitySuffix))
	}
	return " |> filter(fn: (r) => " + strings.Join(terms, " or ") + ")"
}

const dropColumns = ` |> drop(columns: ["_start", "_stop", "_measurement", "machine"])`

// Record gives the readings of a machine with a time in span, in order of time
// and then of signal, and what is claimed to be complete of span. Signals nil
// means all. A machine that nobody knows has an empty record.
func (h *History) Record(ctx context.Context, machine string, signals []string, span plant.Span) (plant.Record, error) {
	var record plant.Record
	if span.From.Milli() >= span.To.Milli() { // Flux refuses an empty range
		return record, nil
	}
	// Claims first: what they claim was stored before them.
	var err error
	if record.Complete, err = h.claims(ctx, machine, span); err != nil {
		return plant.Record{}, err
	}
	if signals != nil && len(signals) == 0 {
		return record, nil
	}
	var found fields
	err = h.query(ctx, "read "+machine+" from", h.from(measurementReading, machine, span)+ofSignals(signals)+dropColumns, found.add)
	if err != nil {
		return plant.Record{}, err
	}
	record.Readings = found.readings(machine)
	return record, nil
}

// Before gives the last reading strictly before at of each signal that has
// one, in order of signal. Signals nil means all, and looks through all of the
// machine's past; for signals that are named it looks back step by step.
func (h *History) Before(ctx context.Context, machine string, signals []string, at plant.Time) ([]plant.Reading, error) {
	var last []plant.Reading
	steps := []time.Duration{time.Hour, 24 * time.Hour, 30 * 24 * time.Hour, 0}
	if signals == nil {
		steps = steps[3:]
	}
	missing := slices.Clone(signals)
	for _, step := range steps {
		if signals != nil && len(missing) == 0 {
			break
		}
		span := plant.Span{From: 1, To: at}
		if step > 0 {
			span.From = max(1, at.Add(-step))
		}
		if span.Empty() {
			break
		}
		var found fields
		err := h.query(ctx, "read "+machine+" from", h.from(measurementReading, machine, span)+ofSignals(missing)+" |> last()"+dropColumns, found.add)
		if err != nil {
			return nil, err
		}
		latest := map[string]plant.Reading{}
		for _, r := range found.readings(machine) { // in order of time
			latest[r.Signal] = r
		}
		for _, r := range latest {
			last = append(last, r)
		}
		missing = slices.DeleteFunc(missing, func(s string) bool { _, ok := latest[s]; return ok })
	}
	last, err := h.droppedBefore(ctx, machine, missing, at, last)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(last, func(a, b plant.Reading) int { return strings.Compare(a.Signal, b.Signal) })
	return last, nil
}

// droppedBefore adds the last reading of each signal that last has none of, where
// it was dropped: by the end of its hour. Missing nil means all signals.
func (h *History) droppedBefore(ctx context.Context, machine string, missing []string, at plant.Time, last []plant.Reading) ([]plant.Reading, error) {
	if h.readingsFrom() == 0 || at <= plant.Millisecond || missing != nil && len(missing) == 0 {
		return last, nil
	}
	var found fields
	flux := h.from(measurementLast, machine, plant.Span{From: 1, To: at}) + ofSignals(missing) + " |> last()" + dropColumns
	if err := h.query(ctx, "read "+machine+" from", flux, found.add); err != nil {
		return nil, err
	}
	latest := map[string]plant.Reading{}
	for _, r := range found.readings(machine) {
		latest[r.Signal] = r
	}
	for i := range last {
		delete(latest, last[i].Signal)
	}
	for _, r := range latest {
		last = append(last, r)
	}
	return last, nil
}

// claims gives the parts of span that are claimed to be complete.
func (h *History) claims(ctx context.Context, machine string, span plant.Span) ([]plant.Span, error) {
	var spans []plant.Span
	add := func(r row) error {
		from, ok := r.value.(int64)
		if c := (plant.Span{From: plant.FromMilli(from), To: r.time}); ok {
			spans = append(spans, c)
		}
		return nil
	}
	columns := ` |> filter(fn: (r) => r._field == "from")` + dropColumns
	if err := h.query(ctx, "read claims of "+machine+" from", h.from(measurementComplete, machine, span)+columns, add); err != nil {
		return nil, err
	}
	// A claim is kept at its end: the first one after span may have begun in
	// it. It is near, or nobody looked for long and it is far.
	inside := len(spans)
	for after := span.To; len(spans) == inside && after < never; {
		next := plant.Span{From: after, To: never}
		if after == span.To {
			next.To = after.Add(time.Hour)
		}
		if err := h.query(ctx, "read claims of "+machine+" from", h.from(measurementComplete, machine, next)+` |> first()`+columns, add); err != nil {
			return nil, err
		}
		after = next.To
	}
	return merge(spans, span), nil
}

// never is after every reading: the year 2200.
const never = plant.Time(7258118400_000_000_000)

// merge makes one span of those that touch or overlap, and cuts all to within.
func merge(spans []plant.Span, within plant.Span) []plant.Span {
	slices.SortFunc(spans, func(a, b plant.Span) int { return cmp.Compare(a.From, b.From) })
	var merged []plant.Span
	for _, s := range spans {
		s = s.Overlap(within)
		if s.Empty() {
			continue
		}
		if n := len(merged); n > 0 && s.From <= merged[n-1].To {
			merged[n-1].To = max(merged[n-1].To, s.To)
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// fields gathers the fields of answers and makes readings of them.
type fields struct {
	all    []field
	decode map[string]name // of keys, so that each is decoded once
}

type name struct {
	signal  string
	quality bool
}

type field struct {
	name
	time  plant.Time
	value plant.Value
}

func (f *fields) add(r row) error {
	n, ok := f.decode[r.field]
	if !ok {
		if f.decode == nil {
			f.decode = map[string]name{}
		}
		n.signal, n.quality = signalOf(r.field)
		f.decode[r.field] = n
	}
	v, err := valueOf(r.value)
	if err != nil {
		return fmt.Errorf("field %s at %s: %w", r.field, r.time, err)
	}
	f.all = append(f.all, field{n, r.time, v})
	return nil
}

// valueOf gives the value of a column. An empty text is nothing in CSV.
func valueOf(column any) (plant.Value, error) {
	switch x := column.(type) {
	case nil:
		return plant.Text(""), nil
	case float64:
		return plant.Float(x), nil
	case int64:
		return plant.Integer(x), nil
	case bool:
		return plant.Boolean(x), nil
	case string:
		return plant.Text(x), nil
	}
	return plant.Value{}, fmt.Errorf("a value of type %T, which we do not write", column)
}

// readings puts values and qualities together, in order of time and signal.
func (f *fields) readings(machine string) []plant.Reading {
	slices.SortStableFunc(f.all, func(a, b field) int {
		if a.time != b.time {
			return cmp.Compare(a.time, b.time)
		}
		return strings.Compare(a.signal, b.signal)
	})
	readings := make([]plant.Reading, 0, len(f.all))
	for i := 0; i < len(f.all); {
		first := f.all[i]
		r := plant.Reading{Machine: machine, Signal: first.signal, Time: first.time}
		quality := ""
		for ; i < len(f.all) && f.all[i].time == first.time && f.all[i].signal == first.signal; i++ {
			if f.all[i].quality {
				quality = f.all[i].value.Text()
			} else {
				r.Value = f.all[i].value
			}
		}
		r.Quality, r.Reason = qualityOf(quality, r.Value)
		readings = append(readings, r)
	}
	return readings
}

// qualityOf reads "uncertain: reason" and "bad: reason". A bad reading that
// was written again with a value is the one with the value.
func qualityOf(text string, v plant.Value) (plant.Quality, string) {
	if v.IsNone() {
		return plant.Bad, strings.TrimPrefix(text, "bad: ")
	}
	if reason, ok := strings.CutPrefix(text, "uncertain: "); ok {
		return plant.Uncertain, reason
	}
	return plant.Good, ""
}
