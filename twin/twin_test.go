package twin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"linetwin/connectors/sqlite"
	"linetwin/plant"
	"linetwin/twin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	gatewayID = "edge-1"
	area      = "assembly"
)

// begin is 06:00 on a Monday in Shanghai: the first shift's start.
var begin = plant.At(time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC))

func siteConfig(t testing.TB) twin.Config {
	t.Helper()
	machine := func(id string) twin.MachineConfig {
		return twin.MachineConfig{ID: id, Roles: map[plant.Role]string{
			plant.RoleState: "state", plant.RoleGood: "good", plant.RoleReject: "reject", plant.RoleFault: "fault"},
			Faults:   map[string]string{"17": "jam"},
			Counters: map[plant.Role]int{plant.RoleGood: 16}}
	}
	usl := 10.0
	press := machine("press")
	press.Characteristics = []twin.CharacteristicConfig{{ID: "force", Signal: "force", USL: &usl, Unit: "kN"}}
	cfg := twin.Config{
		Site: "songjiang", Zone: "Asia/Shanghai",
		Calendars: map[string]plant.Calendar{"three": {Shifts: []plant.Shift{
			{Name: "early", Start: "06:00", Length: 8 * time.Hour, Breaks: []plant.Break{{Start: "10:00", Length: 30 * time.Minute}}},
			{Name: "late", Start: "14:00", Length: 8 * time.Hour}, {Name: "night", Start: "22:00", Length: 8 * time.Hour}}}},
		Products: []twin.ProductConfig{{ID: "C16", IdealCycle: map[string]time.Duration{"press": 2 * time.Second, "pack": 2 * time.Second, "feed": time.Second}},
			{ID: "C32", IdealCycle: map[string]time.Duration{"press": 3 * time.Second}}},
		Reasons: []plant.Reason{{ID: "technical", Children: []plant.Reason{{ID: "jam"}, {ID: "tool"}}}, {ID: "cleaning", Class: plant.ClassPlannedStop}},
		Areas: []twin.AreaConfig{{ID: area, Lines: []twin.LineConfig{{ID: "line", Calendar: "three", Flow: []string{"feed", "press", "pack"},
			Bottleneck: "press", Product: "C16", Machines: []twin.MachineConfig{machine("feed"), press, machine("pack")}}}}},
	}
	if faults := cfg.Check(); len(faults) > 0 {
		t.Fatal(faults)
	}
	return cfg
}

// rig is a twin on real stores with a clock of its own.
type rig struct {
	t       *testing.T
	dir     string
	history *faultyHistory
	ledger  *sqlite.Ledger
	books   *faultyBooks
	twin    *twin.Twin
	stop    func()
	deaf    atomic.Bool // the ledger does not tell its entries, and keeps no signals

	outlet  twin.Outlet
	elapsed func() time.Duration // nil: nothing looks for steps of the clock

	settings func(*twin.Config) // changes them before a start; nil: not

	mu  sync.Mutex
	now plant.Time
	ack plant.Acknowledgement
}

// faultyHistory is the real store with a switch.
type faultyHistory struct {
	*sqlite.History
	mu   sync.Mutex
	down bool
}

func (h *faultyHistory) Write(ctx context.Context, bs []*plant.Batch) error {
	h.mu.Lock()
	down := h.down
	h.mu.Unlock()
	if down {
		return errors.New("history is down")
	}
	return h.History.Write(ctx, bs)
}

func (h *faultyHistory) set(down bool) {
	h.mu.Lock()
	h.down = down
	h.mu.Unlock()
}

// deafLedger is the real ledger with a switch.
type deafLedger struct {
	*sqlite.Ledger
	deaf *atomic.Bool
}

func (l deafLedger) Entries(ctx context.Context, after uint64) ([]plant.Entry, error) {
	if l.deaf.Load() {
		return nil, errors.New("the ledger does not answer")
	}
	return l.Ledger.Entries(ctx, after)
}

func (l deafLedger) SaveSignal(ctx context.Context, s plant.Signal) error {
	if l.deaf.Load() {
		return errors.New("the ledger does not answer")
	}
	return l.Ledger.SaveSignal(ctx, s)
}

func (r *rig) Acknowledge(a plant.Acknowledgement) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ack = a
	return nil
}

// Recycle spoils a batch, so that a twin that still needs it tells nonsense.
func (r *rig) Recycle(b *plant.Batch) {
	for i := range b.Readings {
		b.Readings[i] = plant.Reading{Signal: "recycled", Time: begin, Value: plant.Integer(6)}
	}
	*b = plant.Batch{Machine: "recycled", Readings: b.Readings[:0]}
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now.Std()
}

func (r *rig) setClock(at plant.Time) {
	r.mu.Lock()
	r.now = at
	r.mu.Unlock()
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, dir: t.TempDir(), now: begin}
	r.start()
	t.Cleanup(func() { r.close() })
	return r
}

func (r *rig) start() {
	r.t.Helper()
	ctx := context.Background()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	cfg := sqlite.HistoryConfig{Folder: r.dir}
	if faults := cfg.Check(); len(faults) > 0 {
		r.t.Fatal(faults)
	}
	h, err := sqlite.OpenHistory(ctx, cfg, log)
	if err != nil {
		r.t.Fatal(err)
	}
	if r.ledger, err = sqlite.OpenLedger(ctx, r.dir+"/ledger.db"); err != nil {
		r.t.Fatal(err)
	}
	r.history = &faultyHistory{History: h}
	r.books = &faultyBooks{rig: r}
	site := siteConfig(r.t)
	if r.settings != nil {
		r.settings(&site)
	}
	if r.twin, err = twin.New(site, twin.Options{History: r.history, Ledger: deafLedger{r.ledger, &r.deaf}, Books: r.books, Counter: h, Outlet: r.outlet, Log: log, Clock: r.clock, Elapsed: r.elapsed}); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- r.twin.Run(ctx, r) }()
	r.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("run: %v", err)
		}
		h.Close()
		r.ledger.Close()
	}
	r.twin.Birth(plant.GatewayBirth{Area: area, Gateway: gatewayID, Session: "s1", First: 1, Time: r.now})
}

// patience is how long a condition may take on a very slow machine: the race
// detector makes two minutes of a shuffled day.
const patience = 8 * time.Minute

func (r *rig) close() {
	if r.stop != nil {
		r.stop()
		r.stop = nil
	}
}

// eventually waits until ok; its message tells what was awaited.
func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			r.t.Fatalf("still not: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (r *rig) acknowledged(through uint64) {
	r.t.Helper()
	r.eventually(fmt.Sprintf("acknowledged through %d", through), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.ack.Through >= through
	})
}

// day makes batches of one machine as a gateway would: a look each second,
// changes only, with stops, rejects, a rollover and a PLC that is away.
func day(machine string, seed uint64, hours int, first uint64) []*plant.Batch {
	rng := rand.New(rand.NewPCG(seed, 7))
	var bs []*plant.Batch
	state, good, reject, fault := int64(6), int64(65000), int64(0), int64(0)
	wasAway := false
	until, prev := 0, begin
	for s := 0; s <= hours*3600; s++ {
		at := begin.Add(time.Duration(s) * time.Second)
		var rs []plant.Reading
		put := func(signal string, v plant.Value) {
			rs = append(rs, plant.Reading{Machine: machine, Signal: signal, Time: at, Value: v})
		}
		away := s%5400 > 5300 && machine == "pack"
		if away != wasAway || s == 0 {
			wasAway = away
			if away {
				for _, sig := range []string{"state", "good", "reject", "fault"} {
					rs = append(rs, plant.Reading{Machine: machine, Signal: sig, Time: at, Quality: plant.Bad, Reason: "timeout"})
				}
			}
		}
		if s >= until {
			until = s + 20 + rng.IntN(600)
			state, fault = 6, 0
			if rng.IntN(3) == 0 {
				state, fault = 11, int64(1+rng.IntN(5))
			}
			if rng.IntN(5) == 0 {
				state = 5
			}
		}
		if state == 6 && s%2 == 0 {
			if rng.IntN(50) == 0 {
				reject++
			} else {
				good = (good + 1) % 65536
			}
		}
		if !away {
			put("state", plant.Integer(state))
			put("good", plant.Integer(good))
			put("reject", plant.Integer(reject))
			put("fault", plant.Integer(fault))
		}
		if len(rs) > 0 || s%10 == 0 {
			first++
			bs = append(bs, &plant.Batch{Area: area, Gateway: gatewayID, Machine: machine, Sequence: first - 1,
				Complete: plant.Span{From: prev, To: at}, Readings: rs})
			prev = at
		}
	}
	return bs
}

const dayHours = 3

// plantDay gives a line's batches, thinned to changes, in the order of time.
func plantDay() []*plant.Batch {
	var all []*plant.Batch
	for i, m := range []string{"feed", "press", "pack"} {
		all = append(all, thin(day(m, uint64(i+1), dayHours, 1))...)
	}
	slices.SortStableFunc(all, func(a, b *plant.Batch) int { return int(a.Complete.To - b.Complete.To) })
	for i := range all {
		all[i].Sequence = uint64(i + 1)
	}
	return all
}

// thin drops readings that say nothing new, as a gateway does.
func thin(bs []*plant.Batch) []*plant.Batch {
	last := map[string]plant.Reading{}
	for _, b := range bs {
		b.Readings = slices.DeleteFunc(b.Readings, func(r plant.Reading) bool {
			was, ok := last[r.Signal]
			last[r.Signal] = r
			return ok && was.Same(&r)
		})
	}
	return bs
}

func copyOf(b *plant.Batch) *plant.Batch {
	c := *b
	c.Readings = slices.Clone(b.Readings)
	return &c
}

// account is everything that must not depend on how data came.
type account struct {
	hours, shifts []plant.Figures
	timeline      plant.Timeline
}

func (r *rig) account() account {
	r.t.Helper()
	ctx := context.Background()
	span := plant.Span{From: begin, To: begin.Add(dayHours * time.Hour)}
	var a account
	var err error
	if a.hours, err = r.twin.Figures(ctx, "line", span, "hour"); err != nil {
		r.t.Fatal(err)
	}
	if a.shifts, err = r.twin.Figures(ctx, "line", span, "shift"); err != nil {
		r.t.Fatal(err)
	}
	if a.timeline, err = r.twin.Timeline(ctx, "line", span); err != nil {
		r.t.Fatal(err)
	}
	for _, f := range [][]plant.Figures{a.hours, a.shifts} {
		for i := range f {
			f[i].Provisional, f[i].Revision = false, 0 // tell of the way, not of the plant
		}
	}
	return a
}

// straight is the account of the day delivered in order.
func straight(t *testing.T) account {
	r := newRig(t)
	r.setClock(begin.Add(dayHours*time.Hour + 5*time.Second))
	all := plantDay()
	for _, b := range all {
		r.twin.Batch(copyOf(b))
	}
	r.acknowledged(uint64(len(all)))
	a := r.account()
	if len(a.hours) != dayHours || a.shifts[0].OEE == nil || a.shifts[0].Good < 1500 {
		t.Fatalf("the straight run is no day: %+v", a.shifts)
	}
	return a
}

// TestSameAnswerWhateverTheOrder delivers one day in several ways; the account
// must be the same to the bit.
func TestSameAnswerWhateverTheOrder(t *testing.T) {
	want := straight(t)
	ways := map[string]func(r *rig, all []*plant.Batch){
		"shuffled": func(r *rig, all []*plant.Batch) {
			rng := rand.New(rand.NewPCG(1, 1))
			rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			r.deliver(all)
		},
		"doubled": func(r *rig, all []*plant.Batch) {
			for i := 0; i < len(all); i += 100 {
				part := all[i:min(i+100, len(all))]
				r.deliver(part)
				r.deliver(part)
			}
		},
		"live first, then the backlog": func(r *rig, all []*plant.Batch) {
			cut := len(all) * 2 / 3
			r.deliver(all[cut:])
			r.deliver(all[:cut])
		},
		"outage of history in the middle": func(r *rig, all []*plant.Batch) {
			r.deliver(all[:1000])
			r.history.set(true)
			r.deliver(all[1000:3000])
			r.history.set(false)
			r.deliver(all[3000:])
		},
		"twin restarted in the middle": func(r *rig, all []*plant.Batch) {
			half := len(all) / 2
			r.deliver(all[:half])
			r.acknowledged(uint64(half))
			r.close()
			r.start()
			r.deliver(all[half:])
			r.deliver(all) // the gateway does not know what was acknowledged
		},
		"restarted and late": func(r *rig, all []*plant.Batch) {
			third := len(all) / 3
			r.deliver(all[:third])
			r.deliver(all[2*third:])
			r.close()
			r.start()
			r.deliver(all)
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.setClock(begin.Add(dayHours*time.Hour + 5*time.Second))
			all := plantDay()
			way(r, all)
			r.acknowledged(uint64(len(all)))
			var got account
			deadline := time.Now().Add(patience)
			for time.Now().Before(deadline) {
				if got = r.account(); reflect.DeepEqual(got, want) {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
			t.Errorf("shift: got %s\nwant %s", describe(got.shifts), describe(want.shifts))
			for i, row := range got.timeline.Machines {
				w := want.timeline.Machines[i].Segments
				for j := range min(len(row.Segments), len(w)) {
					if row.Segments[j] != w[j] {
						t.Errorf("%s segment %d: got %+v\nwant %+v", row.Machine, j, row.Segments[j], w[j])
						break
					}
				}
				if len(row.Segments) != len(w) {
					t.Errorf("%s: %d segments, want %d", row.Machine, len(row.Segments), len(w))
				}
			}
		})
	}
}

func (r *rig) deliver(bs []*plant.Batch) {
	for _, b := range bs {
		r.twin.Batch(copyOf(b))
	}
}

func describe(fs []plant.Figures) string {
	s := ""
	for _, f := range fs {
		oee := 0.0
		if f.OEE != nil {
			oee = *f.OEE
		}
		s += fmt.Sprintf("[%s good %d reject %d run %.3f known %.3f oee %.6f flags %v] ", f.Shift, f.Good, f.Reject, f.RunS, f.KnownS, oee, f.Flags)
	}
	return s
}
