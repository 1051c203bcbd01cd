package influx

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	wire "github.com/influxdata/influxdb-client-go/v2/api/http"

	"linetwin/plant"
)

const (
	pointsPerRequest = 5000
	bytesPerRequest  = 1 << 20
)

// item is what one request carries of one batch: a reading, or the batch's
// claim of completeness where r is nil. Items of one batch and time that
// follow each other are one point.
type item struct {
	b *plant.Batch
	r *plant.Reading
}

func (i item) time() plant.Time {
	if i.r == nil {
		return i.b.Complete.To
	}
	return i.r.Time
}

// request is the scratch space of one Write.
type request struct {
	items   []item
	body    []byte
	refused []plant.Refused
}

// Write stores batches. nil means that the database has every reading, or has
// refused it for good and it is in quarantine. An error (*Error, or ctx's)
// means that some may be stored; all of them are to be written again.
func (h *History) Write(ctx context.Context, batches []*plant.Batch) error {
	q := h.scratch.Get().(*request)
	defer func() {
		clear(q.items) // holds batches that are not ours
		clear(q.refused)
		q.items, q.refused = q.items[:0], q.refused[:0]
		h.scratch.Put(q)
	}()
	for _, b := range batches {
		h.gather(q, b)
	}
	if err := h.ready(ctx); err != nil {
		return err
	}
	hours := touched(q.items)
	defer h.end(hours)
	if err := h.begin(ctx, hours); err != nil {
		return err
	}
	for rest := q.items; len(rest) > 0; {
		n := 0
		q.body, n, _ = encode(q.body[:0], rest, bytesPerRequest)
		if err := h.send(ctx, q, rest[:n], string(q.body)); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return h.aside.add(ctx, q.refused)
}

// gather adds what can be stored of a batch, in order of time.
func (h *History) gather(q *request, b *plant.Batch) {
	first := len(q.items)
	sorted := true
	for i := range b.Readings {
		r := &b.Readings[i]
		if why := wrong(b, r); why != "" {
			q.refuse(item{b, r}, why)
			continue
		}
		sorted = sorted && (len(q.items) == first || q.items[len(q.items)-1].r.Time <= r.Time)
		q.items = append(q.items, item{b, r})
	}
	if !sorted {
		slices.SortStableFunc(q.items[first:], func(x, y item) int { return cmp.Compare(x.r.Time, y.r.Time) })
	}
	switch c := b.Complete; {
	case c.From == c.To || b.Machine == "": // no claim, or a gateway's first look
	case c.From <= 0 || c.To < c.From:
		q.refuse(item{b: b}, "the batch's claim of completeness is from "+c.From.String()+" to "+c.To.String())
	default:
		q.items = append(q.items, item{b: b})
	}
}

// wrong tells why a reading cannot be stored at all, or "".
func wrong(b *plant.Batch, r *plant.Reading) string {
	switch {
	case b.Machine == "":
		return "its machine has no name"
	case r.Signal == "":
		return "its signal has no name"
	case r.Machine != "" && r.Machine != b.Machine:
		return "it is of machine " + r.Machine + " in a batch of machine " + b.Machine
	case r.Time <= 0:
		return "it has no time"
	case r.Quality > plant.Bad:
		return "its quality is unknown: " + r.Quality.String()
	case r.Quality != plant.Bad && r.Value.IsNone():
		return "it is " + r.Quality.String() + " and has no value"
	case !utf8.ValidString(r.Value.Text()) || !utf8.ValidString(r.Signal) || !utf8.ValidString(r.Reason):
		return "its text is not UTF-8"
	}
	if f := r.Value.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
		return "its value is " + r.Value.String() + ", which is no number"
	}
	return ""
}

// encode appends items as line protocol until a request is full, and gives how
// many items and points that are: at least one.
func encode(dst []byte, items []item, limit int) (body []byte, n, points int) {
	for n < len(items) {
		mark, next := len(dst), n
		if it := items[n]; it.r == nil {
			dst = appendClaim(dst, it.b)
			next++
		} else {
			dst = append(appendSeries(dst, measurementReading, it.b), ' ')
			for ; next < len(items) && items[next].b == it.b && items[next].r != nil && items[next].r.Time == it.r.Time; next++ {
				dst = appendReading(dst, items[next].r)
				if len(dst)-mark > limit { // a round of texts: the point is written in parts
					next++
					break
				}
			}
			dst[len(dst)-1] = ' ' // the last comma
			dst = strconv.AppendInt(dst, it.r.Time.Milli(), 10)
			dst = append(dst, '\n')
		}
		if n > 0 && len(dst) > limit {
			return dst[:mark], n, points
		}
		n, points = next, points+1
		if points == pointsPerRequest || len(dst) >= limit {
			break
		}
	}
	return dst, n, points
}

// send writes items. What the database refuses for good is looked for by
// halves and set aside.
func (h *History) send(ctx context.Context, q *request, items []item, body string) error {
	err := h.post(ctx, h.bucket, body)
	if err == nil {
		return nil
	}
	var answer *wire.Error
	if !errors.As(err, &answer) || !refuses(answer) {
		return h.wrap("write to", err)
	}
	why := said(answer)
	dropped, partial := droppedPoints(why)
	switch {
	case partial && strings.Contains(why, "beyond retention policy"):
		q.refuseOldest(items, dropped, why)
		return nil
	case len(items) == 1 || partial && dropped == len(items): // each item is a point
		for _, it := range items {
			q.refuse(it, why)
		}
		return nil
	}
	a, b := split(items, why)
	for _, part := range [][]item{a, b} {
		if err := h.sendAll(ctx, q, part); err != nil {
			return err
		}
	}
	return nil
}

func (h *History) sendAll(ctx context.Context, q *request, items []item) error {
	for len(items) > 0 {
		body, n, _ := encode(nil, items, bytesPerRequest)
		if err := h.send(ctx, q, items[:n], string(body)); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

func (h *History) post(ctx context.Context, bucket, body string) error {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	err := h.writers[bucket].WriteRecord(ctx, body)
	var answer *wire.Error
	if bucket != h.bucket && errors.As(err, &answer) && missing(&Error{Status: answer.StatusCode, Message: said(answer)}) {
		h.lifetimes.setting.Lock()
		h.lifetimes.there = false // the next write makes it again
		h.lifetimes.setting.Unlock()
	}
	return err
}

// refuses tells whether an answer is about what was written, so that parts of
// it will never be stored. Anything else may pass. A 400 counts only when it
// comes from the database: that of a proxy must not throw data away.
func refuses(e *wire.Error) bool {
	switch e.StatusCode {
	case http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	case http.StatusBadRequest:
		return e.Header.Get("X-Influxdb-Version") != "" || e.Header.Get("X-Influxdb-Build") != "" ||
			strings.Contains(e.Message, "partial write") || strings.Contains(e.Message, "unable to parse")
	}
	return false
}

// droppedPoints reads "partial write: ... dropped=N".
func droppedPoints(why string) (n int, ok bool) {
	if !strings.Contains(why, "partial write") {
		return 0, false
	}
	_, number, ok := strings.Cut(why, "dropped=")
	if !ok {
		return 0, false
	}
	end := strings.IndexFunc(number, func(r rune) bool { return r < '0' || r > '9' })
	if end >= 0 {
		number = number[:end]
	}
	n, err := strconv.Atoi(number)
	return n, err == nil
}

// split divides the items of a refused request: those of the field that the
// server complains of from the others, else in halves.
func split(items []item, why string) (a, b []item) {
	_, rest, found := strings.Cut(why, `input field "`)
	field, rest, closed := strings.Cut(rest, `" on measurement "`)
	_, kind, typed := strings.Cut(rest, `" is type `)
	if found && closed && typed {
		for _, it := range items {
			if it.r != nil && strings.HasPrefix(kind, typeName(it.r.Value.Kind())) && fieldKey(it.r.Signal) == field {
				b = append(b, it)
			} else {
				a = append(a, it)
			}
		}
		if len(a) > 0 && len(b) > 0 {
			return a, b
		}
	}
	return items[:len(items)/2], items[len(items)/2:]
}

// typeName gives what InfluxDB calls a kind.
func typeName(k plant.Kind) string {
	if k == plant.KindText {
		return "string"
	}
	return k.String()
}

// refuseOldest sets aside what is older than the bucket keeps: of the points
// of a request, the server drops the oldest n and stores the others.
func (q *request) refuseOldest(items []item, n int, why string) {
	items = slices.Clone(items)
	slices.SortStableFunc(items, func(x, y item) int { return cmp.Compare(x.time(), y.time()) })
	for i, it := range items {
		if i == 0 || it.b != items[i-1].b || it.time() != items[i-1].time() || (it.r == nil) != (items[i-1].r == nil) {
			n--
		}
		if n < 0 {
			return
		}
		q.refuse(it, why)
	}
}

func (q *request) refuse(it item, why string) {
	r := plant.Reading{Time: it.b.Complete.To}
	if it.r != nil {
		r = *it.r
	}
	q.refused = append(q.refused, plant.Refuse(it.b, r, reason(why), plant.At(time.Now())))
}
