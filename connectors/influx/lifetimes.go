package influx

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"linetwin/plant"
)

// keeper tells and changes how long a database keeps what lies in a bucket: that
// of a 2.x, or a retention policy of a 1.8. What it cannot do is an error, with
// what somebody can do who may.
type keeper interface {
	// find gives how long a bucket keeps; false: there is none.
	find(ctx context.Context, bucket string) (keeping, bool, error)
	create(ctx context.Context, bucket string, age time.Duration) error
	change(ctx context.Context, bucket string, to keeping) error
}

// keeping is how long a bucket keeps, 0 for ever, and in parts of which length;
// 0: the database chooses.
type keeping struct {
	age, shard time.Duration
}

func (k keeping) String() string {
	if k.age == 0 {
		return "for ever"
	}
	return inFull(k.age)
}

// lifetimes are how long readings, minutes and hours are kept.
type lifetimes struct {
	setting  sync.Mutex
	there    bool               // the buckets of minutes and hours are
	next     plant.Time         // when it is to be looked again
	set      map[string]bool    // buckets that are as the settings want them, or stay as they are
	seen     map[string]keeping // what was found last
	readings atomic.Int64       // how long readings are kept (time.Duration); 0: for ever, or not known yet
	minutes  atomic.Int64       // and minutes
	filled   plant.Time         // hours before it are due or made; 0: not known yet
}

const (
	lifetimesEvery = time.Hour        // how often it is looked how long the database keeps
	lifetimesAgain = 10 * time.Minute // after an error
)

// apart tells whether minutes and hours have buckets of their own.
func (h *History) apart() bool { return h.hours != h.bucket }

// bucketOf gives where a measurement lies.
func (h *History) bucketOf(measurement string) string {
	switch measurement {
	case measurementMinutes:
		return h.minutes
	case measurementHourly, measurementHours, measurementLast:
		return h.hours
	}
	return h.bucket
}

// ready makes the buckets of minutes and hours where they are not there. Nothing
// is written before.
func (h *History) ready(ctx context.Context) error {
	if !h.apart() {
		return nil
	}
	l := &h.lifetimes
	l.setting.Lock()
	defer l.setting.Unlock()
	if l.there {
		return nil
	}
	for _, b := range h.buckets() {
		kept, found, err := h.find(ctx, b.name)
		switch {
		case err != nil:
			return err
		case !found && b.name == h.bucket:
			return &Error{Op: "look for " + h.where, Message: "the bucket (1.8: database or retention policy) is not there: create it"}
		case !found:
			ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
			err := h.keeper.create(ctx, b.name, b.want)
			cancel()
			if err != nil {
				return h.told("create bucket "+b.name+" of influxdb "+h.cfg.URL, err)
			}
			kept = keeping{age: b.want}
			h.log.Info("influxdb bucket created", "bucket", b.name, "for", b.of, "keeps", kept.String())
		}
		h.see(b, kept)
	}
	l.there = true
	return nil
}

// lifetime is a bucket and how long the settings want it to keep; 0: as it is.
type lifetime struct {
	name, of, key string
	want          time.Duration
}

func (h *History) buckets() []lifetime {
	return []lifetime{
		{h.bucket, "readings", "max_age", h.cfg.MaxAge},
		{h.minutes, "minutes", "minutes_max_age", h.cfg.MinutesMaxAge},
		{h.hours, "hours", "hours_max_age", h.cfg.HoursMaxAge},
	}
}

// see notes how long a bucket keeps. What somebody else changed is told.
func (h *History) see(b lifetime, kept keeping) {
	l := &h.lifetimes
	if before, seen := l.seen[b.name]; seen && before.age != kept.age {
		h.log.Warn("influxdb keeps a bucket for another time than before; this was not LineTwin", "bucket", b.name, "of", b.of, "from", before.String(), "to", kept.String())
	}
	l.seen[b.name] = kept
	switch b.name {
	case h.bucket:
		l.readings.Store(int64(kept.age))
	case h.minutes:
		l.minutes.Store(int64(kept.age))
	}
}

// keep has the database keep as long as the settings say, once, and looks from
// then on whether it still does.
func (h *History) keep(ctx context.Context, now plant.Time) error {
	l := &h.lifetimes
	l.setting.Lock()
	defer l.setting.Unlock()
	if now < l.next {
		return nil
	}
	l.next = now.Add(lifetimesAgain)
	waits := false
	for _, b := range h.buckets() {
		kept, found, err := h.find(ctx, b.name)
		if err != nil {
			return err
		}
		if !found {
			l.there = false // the next write makes it again, or says so
			continue
		}
		h.see(b, kept)
		if l.set[b.name] {
			continue
		}
		done, err := h.keepAs(ctx, b, kept, now)
		if err != nil {
			return err
		}
		l.set[b.name] = done
		waits = waits || !done
	}
	if !waits {
		l.next = now.Add(lifetimesEvery)
	} else {
		l.next = now.Add(lookEvery)
	}
	return nil
}

// keepAs changes how long a bucket keeps. False: that waits until minutes and
// hours are made of what it would drop.
func (h *History) keepAs(ctx context.Context, b lifetime, kept keeping, now plant.Time) (bool, error) {
	shorter := kept.age == 0 || kept.age > b.want
	switch {
	case b.want == 0 || b.want == kept.age:
		return true, nil
	case shorter && !h.cfg.Shorten:
		h.log.Warn("influxdb keeps a bucket longer than the settings say, and goes on doing so: to have older data dropped set history.influxdb.shorten: true",
			"bucket", b.name, "of", b.of, "keeps", kept.String(), b.key, inFull(b.want))
		return true, nil
	case shorter && b.name == h.bucket && !h.summedUp(now.Add(-b.want)):
		return false, nil
	}
	to := keeping{age: b.want}
	if kept.shard > b.want { // InfluxDB refuses to keep less than a shard
		to.shard = shardOf(b.want)
	}
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	if err := h.keeper.change(ctx, b.name, to); err != nil {
		return false, h.told("change how long bucket "+b.name+" of influxdb "+h.cfg.URL+" keeps", err)
	}
	h.log.Warn("influxdb keeps a bucket for another time, as the settings say", "bucket", b.name, "of", b.of, "from", kept.String(), "to", inFull(b.want), "key", "history.influxdb."+b.key)
	delete(h.lifetimes.seen, b.name)
	h.see(b, to)
	return true, nil
}

// shardOf gives how long the parts are that InfluxDB itself would choose.
func shardOf(age time.Duration) time.Duration {
	switch {
	case age < 2*24*time.Hour:
		return time.Hour
	case age < 180*24*time.Hour:
		return 24 * time.Hour
	}
	return 7 * 24 * time.Hour
}

func (h *History) find(ctx context.Context, bucket string) (keeping, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	kept, found, err := h.keeper.find(ctx, bucket)
	if err != nil {
		err = h.told("ask how long bucket "+bucket+" of influxdb "+h.cfg.URL+" keeps", err)
	}
	return kept, found, err
}

// told makes an Error of what a keeper says.
func (h *History) told(what string, err error) error {
	var unreached *url.Error
	if errors.As(err, &unreached) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return h.wrap(what+" at", err)
	}
	return &Error{Op: what, Message: strings.TrimSpace(err.Error())}
}

// dropSlack is how much earlier than it happens data counts as dropped: what a
// query finds is still there when the next one looks.
const dropSlack = 2 * time.Hour

// cut gives the whole hour before which something may be dropped that is kept
// so long; 0: nothing is.
func cut(now plant.Time, age *atomic.Int64) plant.Time {
	kept := time.Duration(age.Load())
	if kept == 0 {
		return 0
	}
	return now.Add(dropSlack - kept).Floor(time.Hour)
}

// readingsFrom gives the time before which minutes stand for readings.
func (h *History) readingsFrom() plant.Time {
	if !h.apart() {
		return 0 // all is dropped together
	}
	return cut(plant.At(time.Now()), &h.lifetimes.readings)
}

// minutesFrom gives the time before which hours stand for minutes.
func (h *History) minutesFrom() plant.Time {
	if !h.apart() {
		return 0
	}
	return cut(plant.At(time.Now()), &h.lifetimes.minutes)
}

// inFull gives a time as settings and the commands of InfluxDB write it.
func inFull(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
