package gateway

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

func TestFilter(t *testing.T) {
	f64, num, bad := plant.Float, plant.Integer, func(why string) plant.Reading {
		return plant.Reading{Signal: "force", Quality: plant.Bad, Reason: why}
	}
	force := func(v plant.Value) plant.Reading { return plant.Reading{Signal: "force", Value: v} }
	uncertain := force(f64(1))
	uncertain.Quality = plant.Uncertain
	valued := bad("time-out")
	valued.Value = f64(3)
	for _, c := range []struct {
		name string
		in   []plant.Reading
		out  string // index of those that go out, with the reason of bad ones
	}{
		{"first always, unchanged never", []plant.Reading{force(f64(1)), force(f64(1))}, "0"},
		{"deadband is against what was sent", []plant.Reading{force(f64(1)), force(f64(1.4)), force(f64(1.5)), force(f64(1.6))}, "0 3"},
		{"deadband is exact", []plant.Reading{force(f64(1)), force(f64(1.5)), force(f64(0.5)), force(f64(0.25))}, "0 3"},
		{"quality always", []plant.Reading{force(f64(1)), uncertain, uncertain, force(f64(1))}, "0 1 3"},
		{"bad once, again with another reason", []plant.Reading{bad("a"), bad("a"), bad("b"), force(f64(1))}, "0:a 2:b 3"},
		{"bad has no value", []plant.Reading{valued}, "0:time-out"},
		{"not a number", []plant.Reading{force(f64(math.NaN())), force(f64(math.Inf(1)))}, "0:value is NaN 1:value is +Inf"},
		{"another kind", []plant.Reading{force(num(1))}, "0:value is integer, not float"},
		{"no value", []plant.Reading{force(plant.Value{})}, "0:no value"},
		{"unknown signal", []plant.Reading{{Signal: "other", Value: num(1)}, force(f64(1))}, "1"},
		{"counter without deadband", []plant.Reading{{Signal: "good", Value: num(1)}, {Signal: "good", Value: num(2)}}, "0 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFilter(press(nil), quiet())
			for i := range c.in {
				c.in[i].Time = start.Add(time.Duration(i) * time.Millisecond)
			}
			var got []string
			for _, r := range f.pass(nil, c.in, start) {
				s := string(rune('0' + r.Time.Sub(start)/time.Millisecond))
				if r.Quality == plant.Bad {
					s += ":" + r.Reason
					if !r.Value.IsNone() {
						t.Errorf("bad reading has value %v", r.Value)
					}
				}
				if r.Machine != "press" {
					t.Errorf("machine %q", r.Machine)
				}
				got = append(got, s)
			}
			if strings.Join(got, " ") != c.out {
				t.Errorf("out %q, want %q", strings.Join(got, " "), c.out)
			}
		})
	}
}

func TestFilterMendsTimeAndText(t *testing.T) {
	d := Device{Machine: "press", Signals: []plant.Signal{{Name: "log", Kind: plant.KindText}}}
	f := newFilter(d, quiet())
	got := f.pass(nil, []plant.Reading{{Signal: "log", Value: plant.Text(strings.Repeat("x", maxText+1))}}, start)
	if len(got) != 1 || got[0].Quality != plant.Bad || got[0].Time != start || !strings.Contains(got[0].Reason, "longer than") {
		t.Errorf("got %+v", got)
	}
}

func TestSplit(t *testing.T) {
	claim := plant.Span{From: start, To: start.Add(time.Second)}
	readings := func(n int, text string) *plant.Batch {
		b := &plant.Batch{Machine: "press", Complete: claim}
		for i := range n {
			b.Readings = append(b.Readings, plant.Reading{Signal: "s", Time: start.Add(time.Duration(i)), Value: plant.Text(text)})
		}
		return b
	}
	for _, c := range []struct {
		name string
		b    *plant.Batch
		want []int
	}{
		{"empty", readings(0, ""), []int{0}},
		{"as many as may be", readings(maxReadings, ""), []int{maxReadings}},
		{"one more", readings(maxReadings+1, ""), []int{maxReadings, 1}},
		{"long texts", readings(5, strings.Repeat("x", 30<<10)), []int{2, 2, 1}},
		{"one that is too big alone", readings(2, strings.Repeat("x", 70<<10)), []int{1, 1}},
	} {
		var sizes []int
		var all []plant.Reading
		parts := split(c.b)
		for i, p := range parts {
			sizes, all = append(sizes, len(p.Readings)), append(all, p.Readings...)
			if last := i == len(parts)-1; last && p.Complete != claim || !last && !p.Complete.Empty() {
				t.Errorf("%s: part %d claims %v", c.name, i, p.Complete)
			}
		}
		if !reflect.DeepEqual(sizes, c.want) || !reflect.DeepEqual(all, c.b.Readings) && len(all) > 0 {
			t.Errorf("%s: parts of %v, want %v", c.name, sizes, c.want)
		}
	}
}

func TestConfigCheck(t *testing.T) {
	var c Config
	if f := c.Check(); f != nil || c != DefaultConfig() {
		t.Errorf("an empty section gives %+v, %v", c, f)
	}
	c = Config{Buffer: BufferConfig{MaxBytes: 1 << 10, MaxAge: time.Second, Sync: time.Hour, SyncBytes: 1, MinFreeDisk: -1},
		Delivery: DeliveryConfig{Window: 5000, Resend: time.Hour, BacklogRate: 1, Heartbeat: time.Minute}}
	var keys []string
	for _, f := range c.Check() {
		keys = append(keys, f.Key)
		if f.Found == "" || f.Allowed == "" {
			t.Errorf("%+v", f)
		}
	}
	want := "buffer.max_bytes buffer.max_age buffer.sync buffer.sync_bytes buffer.min_free_disk delivery.window delivery.resend delivery.backlog_rate delivery.heartbeat"
	if strings.Join(keys, " ") != want {
		t.Errorf("keys %v", keys)
	}
}
