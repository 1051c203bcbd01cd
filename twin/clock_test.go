package twin_test

import (
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"linetwin/plant"
)

// live delivers batches as they are made: the twin's clock stands at their time
// plus off.
func (r *rig) live(bs []*plant.Batch, off time.Duration) {
	for _, b := range bs {
		r.setClock(max(b.Complete.To.Add(off), begin))
		r.twin.Batch(copyOf(b))
	}
}

// becomes waits until the account is that one.
func (r *rig) becomes(want account) {
	r.t.Helper()
	var got account
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if got = r.account(); reflect.DeepEqual(got, want) {
			return
		}
	}
	r.t.Errorf("shift: got %s\nwant %s", describe(got.shifts), describe(want.shifts))
}

// cut gives the batches up to from, those up to to, and the rest, which begins
// with claims of its own, as after a step of a gateway's clock.
func cut(all []*plant.Batch, from, to plant.Time) (before, middle, after []*plant.Batch) {
	fresh := map[string]bool{}
	for _, b := range all {
		switch {
		case b.Complete.To <= from:
			before = append(before, b)
		case b.Complete.To <= to:
			middle = append(middle, b)
		default:
			if !fresh[b.Machine] {
				fresh[b.Machine] = true
				b = copyOf(b)
				b.Complete.From = b.Complete.To
			}
			after = append(after, b)
		}
	}
	return before, middle, after
}

func shifted(bs []*plant.Batch, by time.Duration) []*plant.Batch {
	var out []*plant.Batch
	for _, b := range bs {
		c := copyOf(b)
		c.Complete = plant.Span{From: c.Complete.From.Add(by), To: c.Complete.To.Add(by)}
		for i := range c.Readings {
			c.Readings[i].Time = c.Readings[i].Time.Add(by)
		}
		out = append(out, c)
	}
	return out
}

const ended = dayHours*time.Hour + 5*time.Second

// morning gives what is made in the first hundred minutes.
func morning() []*plant.Batch {
	return slices.DeleteFunc(plantDay(), func(b *plant.Batch) bool { return b.Complete.To > begin.Add(100*time.Minute) })
}

// What a gateway said while its clock ran ten minutes ahead stays in history,
// marked; the figures are those of a day on which it said nothing then.
func TestClockOfGatewayAheadAndSetBack(t *testing.T) {
	from, to := begin.Add(time.Hour), begin.Add(80*time.Minute)
	r := newRig(t)
	before, middle, after := cut(morning(), from, to)
	r.live(before, 0)
	r.live(after, 0)
	r.setClock(begin.Add(ended))
	want := r.account()
	if u := want.hours[1].Coverage; u == nil || *u > 0.99 {
		t.Fatalf("coverage of the second hour is %v, though twenty minutes are missing", *u)
	}

	r = newRig(t)
	r.live(before, 0)
	r.live(shifted(middle, 10*time.Minute+137*time.Millisecond), -10*time.Minute)
	signals, err := r.twin.Signals("press")
	if err != nil {
		t.Fatal(err)
	}
	r.live(after, 0)
	r.setClock(begin.Add(ended))
	r.becomes(want)

	r.acknowledged(uint64(len(before) + len(middle) + len(after)))
	rec, err := r.history.Record(t.Context(), "press", []string{"good"}, plant.Span{From: begin, To: begin.Add(ended)})
	if err != nil {
		t.Fatal(err)
	}
	marked := 0
	for i := range rec.Readings {
		if rec.Readings[i].Misplaced() {
			marked++
		}
	}
	made := 0
	for _, b := range middle {
		for i := range b.Readings {
			if b.Machine == "press" && b.Readings[i].Signal == "good" {
				made++
			}
		}
	}
	if marked != made {
		t.Errorf("%d readings are marked, %d were made with a wrong clock", marked, made)
	}
	now, err := r.twin.Signals("press")
	if err != nil {
		t.Fatal(err)
	}
	for i := range now {
		if now[i].Name == "good" && (now[i].Time <= signals[i].Time.Add(-10*time.Minute) || now[i].Quality != plant.Good) {
			t.Errorf("signal still shows what came from ahead: %+v", now[i])
		}
	}
}

// told has the gateway say that it has compared its clock with the twin's.
func (r *rig) told() {
	r.mu.Lock()
	now := r.now
	r.mu.Unlock()
	off := int64(0)
	r.twin.Status(plant.GatewayStatus{Area: area, Gateway: gatewayID, Time: now, Clock: &plant.ClockStatus{State: plant.ClockSet, OffsetMs: &off, BoundMs: 1}})
}

// The twin's clock is wrong for a while: all is folded in the end.
func TestClockOfTwinWrongForAWhile(t *testing.T) {
	right := newRig(t)
	right.setClock(begin.Add(ended))
	right.deliver(morning())
	right.acknowledged(uint64(len(morning())))
	want := right.account()
	for name, off := range map[string]time.Duration{
		"ten minutes behind": -10 * time.Minute, "thirty days ahead": 720 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var passed, looked atomic.Int64
			r := &rig{t: t, dir: t.TempDir(), now: begin, elapsed: func() time.Duration {
				looked.Add(1)
				return time.Duration(passed.Load())
			}}
			r.start()
			t.Cleanup(func() { r.close() })
			r.told()
			pass := func(to plant.Time) {
				passed.Store(int64(to.Sub(begin)))
				// The second look from now has begun after this.
				n := looked.Load() + 2
				r.eventually("the twin looks at its clock", func() bool { return looked.Load() >= n })
			}
			all := morning()
			third := len(all) / 3
			r.live(all[:third], 0)
			pass(all[third].Complete.To)
			r.live(all[third:2*third], off)
			pass(all[2*third].Complete.To)
			r.live(all[2*third:], 0)
			r.setClock(begin.Add(ended))
			pass(begin.Add(ended))
			r.becomes(want)
		})
	}
}
