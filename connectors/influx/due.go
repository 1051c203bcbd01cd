package influx

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	wire "github.com/influxdata/influxdb-client-go/v2/api/http"

	"linetwin/plant"
)

// hourOf is an hour of a machine, by its start.
type hourOf struct {
	machine string
	hour    plant.Time
}

// due knows the hours whose minutes and hours are still to be made of their
// readings. The database has it too: the point of an hour says in "written" by
// which stamp it became due and in "done" which stamp it was made at; where these
// differ, or done is missing, the hour is due. A stamp is used once, so that a
// write that lands late makes its hour due again and never done.
type due struct {
	marking sync.Mutex // one request with marks at a time: memory and database agree

	mu      sync.Mutex
	writing map[hourOf]int   // writes that go on
	waiting map[hourOf]int64 // by which stamp it is due
	last    int64            // the last stamp
	unsure  bool             // a mark was refused: what the marks say is not all
}

// markTime is where an hour's mark is: a database whose retention takes a reading
// of an hour takes its mark.
func markTime(hour plant.Time) plant.Time { return hour.Add(time.Hour) - plant.Millisecond }

// touched gives the hours that items are of.
func touched(items []item) map[hourOf]struct{} {
	hours := map[hourOf]struct{}{}
	var last hourOf
	for _, it := range items {
		if it.r == nil {
			continue
		}
		if at := (hourOf{it.b.Machine, it.r.Time.Floor(time.Hour)}); at != last {
			hours[at] = struct{}{}
			last = at
		}
	}
	return hours
}

// begin says that a write touches hours, and marks those as due that are not.
// The marks are stored when it returns nil: before the readings, so that no end
// of the process leaves readings without their mark. end is called in any case.
func (h *History) begin(ctx context.Context, hours map[hourOf]struct{}) error {
	d := &h.due
	d.mu.Lock()
	for at := range hours {
		d.writing[at]++
	}
	d.mu.Unlock()
	d.marking.Lock()
	defer d.marking.Unlock()
	fresh, stamp := d.fresh(hours)
	if len(fresh) == 0 {
		return nil
	}
	var body []byte
	for _, at := range fresh {
		body = appendMark(body, at, "written", stamp)
	}
	err := h.post(ctx, h.hours, string(body))
	var answer *wire.Error
	if errors.As(err, &answer) && refuses(answer) {
		if strings.Contains(said(answer), "beyond retention policy") {
			return nil // nor are the readings taken
		}
		d.mu.Lock()
		d.unsure = true
		d.mu.Unlock()
		h.log.Warn("influxdb refuses to note which hours are to be summed up; charts read all readings", "error", h.wrap("write to", err))
		return nil
	}
	if err != nil {
		return h.wrap("write to", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, at := range fresh {
		d.waiting[at] = stamp
	}
	return nil
}

// fresh gives those of the hours that are not marked yet, and a new stamp.
func (d *due) fresh(hours map[hourOf]struct{}) ([]hourOf, int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var fresh []hourOf
	for at := range hours {
		if _, marked := d.waiting[at]; !marked {
			fresh = append(fresh, at)
		}
	}
	d.last = max(d.last+1, time.Now().UnixNano())
	return fresh, d.last
}

// end says that a write is over.
func (h *History) end(hours map[hourOf]struct{}) {
	h.due.mu.Lock()
	defer h.due.mu.Unlock()
	for at := range hours {
		if h.due.writing[at]--; h.due.writing[at] <= 0 {
			delete(h.due.writing, at)
		}
	}
}

// take gives hours that are over and due since before a time, with their stamps,
// and counts on them being made now: a write from now on marks them again. What
// is being written waits.
func (d *due) take(now plant.Time) map[hourOf]int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	taken := map[hourOf]int64{}
	for at, stamp := range d.waiting {
		if d.writing[at] == 0 && at.hour.Add(time.Hour+settled) <= now && plant.Time(stamp).Add(settled) <= now {
			taken[at] = stamp
			delete(d.waiting, at)
		}
	}
	return taken
}

// giveBack makes hours due again that could not be made.
func (d *due) giveBack(hours map[hourOf]int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for at, stamp := range hours {
		if _, again := d.waiting[at]; !again {
			d.waiting[at] = stamp
		}
	}
}

// before gives how many hours are due that begin before a time.
func (d *due) before(at plant.Time) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for one := range d.waiting {
		if one.hour < at {
			n++
		}
	}
	return n
}

// recall reads which hours an earlier process left due.
func (h *History) recall(ctx context.Context) error {
	written, done := map[hourOf]int64{}, map[hourOf]int64{}
	flux := fmt.Sprintf(`from(bucket: %s) |> range(start: %s, stop: %s) |> filter(fn: (r) => r._measurement == %s and (r._field == "written" or r._field == "done"))`,
		quote(h.hours), literal(1), literal(never), quote(measurementHours))
	err := h.query(ctx, "read what is to be summed up of", flux, func(r row) error {
		stamp, ok := r.value.(int64)
		if !ok {
			return fmt.Errorf("a mark of type %T", r.value)
		}
		at := hourOf{nameOf(r.machine), r.time.Floor(time.Hour)}
		if r.field == "done" {
			done[at] = stamp
		} else {
			written[at] = stamp
		}
		return nil
	})
	if err != nil {
		return err
	}
	for at, stamp := range written {
		if done[at] == stamp {
			delete(written, at)
		}
	}
	h.due.giveBack(written)
	return nil
}
