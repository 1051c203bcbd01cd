package gateway

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

// machine is press under another name.
func machine(name string, s Source) Device {
	d := press(s)
	d.Machine = name
	return d
}

func (s *fakeSource) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// of gives the batches of a machine.
func (w *fakeWire) of(machine string) []plant.Batch {
	var own []plant.Batch
	for _, b := range w.batches() {
		if b.Machine == machine {
			own = append(own, b)
		}
	}
	return own
}

func (w *fakeWire) told() []plant.DeviceBirth {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]plant.DeviceBirth(nil), w.births...)
}

func TestReloadLeavesWhatDidNotChange(t *testing.T) {
	wire, same, old, gone := &fakeWire{}, newSource(), newSource(), newSource()
	g := run(t, testConfig(t.TempDir()), wire, machine("same", same), machine("changed", old), machine("gone", gone))
	g.Birth()
	for _, s := range []*fakeSource{same, old, gone} {
		s.rounds <- round(1)
	}
	until(t, "first looks", func() bool { return len(wire.batches()) == 3 })

	changed, added := newSource(), newSource()
	changed.link, added.link = plant.LinkConnecting, plant.LinkConnecting
	other := machine("changed", changed)
	other.Signals = append(other.Signals, plant.Signal{Name: "speed", Kind: plant.KindFloat})
	if err := g.Reload(t.Context(), []Device{machine("added", added), other, machine("same", same)}); err != nil {
		t.Fatal(err)
	}
	if same.isClosed() || !old.isClosed() || !gone.isClosed() {
		t.Errorf("closed: same %v, changed %v, gone %v", same.isClosed(), old.isClosed(), gone.isClosed())
	}
	// The wire knows of all before the first new reading; of what stayed, nothing.
	heard := map[string]plant.DeviceBirth{}
	for _, b := range wire.told() {
		heard[b.Machine] = b
	}
	if len(heard) != 3 || heard["gone"].Online || len(heard["changed"].Signals) != 3 || len(heard["added"].Signals) != 2 {
		t.Errorf("told %+v", heard)
	}
	// Unchanged values: the filter of what stayed still knows them, the others'
	// is new.
	for _, s := range []*fakeSource{same, changed, added} {
		r := round(1)
		r.Through += plant.Millisecond
		s.rounds <- r
	}
	until(t, "looks of the new ones", func() bool { return len(wire.of("changed")) == 2 && len(wire.of("added")) == 1 })
	same.rounds <- round(2)
	until(t, "a change of the one that stayed", func() bool { return len(wire.of("same")) == 2 })
	if b := wire.of("same")[1]; b.Readings[0].Value.Integer() != 2 || b.Complete.From != round(1).Through {
		t.Errorf("the device that stayed went on with %+v", b)
	}
	s := g.Status()
	if len(s.Devices) != 3 || s.Devices[0].Machine != "added" || s.Devices[2].Machine != "same" {
		t.Errorf("status %+v", s.Devices)
	}
	if b := g.Birth(); len(b.Devices) != 3 || len(b.Devices[1].Signals) != 3 {
		t.Errorf("birth %+v", b.Devices)
	}
}

func TestReloadKeepsTheClaimOfWhatLeaves(t *testing.T) {
	wire, gone := &fakeWire{offline: true}, newSource()
	cfg := testConfig(t.TempDir())
	cfg.Delivery.Heartbeat = 10 * time.Second
	g := run(t, cfg, wire, machine("gone", gone))
	for n := range int64(3) {
		r := round(0) // nothing changes
		r.Through += plant.Time(n) * plant.Time(time.Second)
		gone.rounds <- r
	}
	until(t, "looks", func() bool { return g.Status().Read == 3 })
	until(t, "the round is taken", func() bool { return len(gone.rounds) == 0 })
	if err := g.Reload(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if s := g.Status(); len(s.Devices) != 0 || s.Waiting != 1 {
		t.Errorf("status %+v", s)
	}
	// What the removed machine left is delivered when somebody is there.
	g.acknowledging(wire)
	wire.setOffline(false)
	g.Linked(true)
	until(t, "delivery", func() bool { return g.Status().Waiting == 0 && len(wire.of("gone")) == 2 })
	if b := wire.of("gone")[1]; len(b.Readings) != 0 || b.Complete.To != round(2).Through || b.Complete.From != start {
		t.Errorf("last claim %+v", b)
	}
}

// deaf hangs in Close, panics there, or does not hear that its Next should end.
type deaf struct {
	*fakeSource
	panics  bool
	release chan struct{}
}

func (d *deaf) Close() error {
	if d.panics {
		panic("device driver is broken")
	}
	<-d.release
	return nil
}

func TestReloadIsNotHeldUpByADeviceThatHangs(t *testing.T) {
	wire, same, fresh := &fakeWire{}, newSource(), newSource()
	hangs := &deaf{fakeSource: newSource(), release: make(chan struct{})}
	broken := &deaf{fakeSource: newSource(), panics: true}
	g, err := New(testConfig(t.TempDir()), []Device{machine("hangs", hangs), machine("broken", broken), machine("same", same)}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	g.closing = 50 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan error, 1)
	go func() { end <- g.Run(ctx, wire) }()
	err = g.Reload(t.Context(), []Device{machine("same", same), machine("hangs", fresh)})
	if err == nil || !strings.Contains(err.Error(), "machine hangs has not ended within 50ms") {
		t.Errorf("error %v", err)
	}
	fresh.rounds <- round(1)
	until(t, "the new one", func() bool { return len(wire.of("hangs")) == 1 })
	close(hangs.release)
	cancel()
	if err := <-end; err != nil {
		t.Error(err)
	}
	if err := g.Reload(t.Context(), nil); err == nil {
		t.Error("reload after the end")
	}
}

func TestDeviceThatHasEndedIsNotLeftBehind(t *testing.T) {
	limit, cancel := context.WithCancel(t.Context())
	cancel()
	d := &device{ended: make(chan struct{})}
	if d.ends(limit) {
		t.Error("a device that hangs has ended")
	}
	close(d.ended)
	for range 200 { // a select with two ready channels takes either
		if !d.ends(limit) {
			t.Fatal("a device that has ended is left behind")
		}
	}
}

// slowWire calls hook before it tells a birth.
type slowWire struct {
	fakeWire
	hook func(plant.DeviceBirth)
}

func (w *slowWire) Device(b plant.DeviceBirth) error {
	w.hook(b)
	return w.fakeWire.Device(b)
}

// TestRemovedDeviceIsNotBornAgain: whoever tells devices while one is removed
// does not tell its birth after its end.
func TestRemovedDeviceIsNotBornAgain(t *testing.T) {
	g, err := New(testConfig(t.TempDir()), []Device{machine("same", newSource()), machine("gone", newSource())}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	wire := &slowWire{}
	told := make(chan struct{})
	wire.hook = func(b plant.DeviceBirth) {
		if b.Machine != "same" {
			return
		}
		all := g.list()
		g.mu.Lock()
		g.devices = all[:1]
		g.mu.Unlock()
		go func() { defer close(told); g.tellGone(wire, all[1]) }()
		select { // it has to wait; where it does not, it is heard first
		case <-told:
		case <-time.After(50 * time.Millisecond):
		}
	}
	g.tellDevices(wire)
	<-told
	births := wire.told()
	if last := births[len(births)-1]; last.Machine != "gone" || last.Online {
		t.Errorf("told %+v", births)
	}
}

func TestReloadRefusesWhatNewWouldRefuse(t *testing.T) {
	source := newSource()
	g := run(t, testConfig(t.TempDir()), &fakeWire{}, press(source))
	err := g.Reload(t.Context(), []Device{press(newSource()), press(nil)})
	for _, want := range []string{"machine press: two devices", "machine press: no source"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
	if source.isClosed() {
		t.Error("the running device was ended")
	}
	g.Settings("gateway.yaml:3: no")
	if s := g.Status(); s.SettingsError != "gateway.yaml:3: no" || len(s.Devices) != 1 {
		t.Errorf("status %+v", s)
	}
}

func TestManyReloadsLeaveNoGoroutines(t *testing.T) {
	wire, same := &fakeWire{}, newSource()
	g := run(t, testConfig(t.TempDir()), wire, machine("same", same), machine("other", newSource()))
	reload := func() {
		if err := g.Reload(t.Context(), []Device{machine("same", same), machine("other", newSource())}); err != nil {
			t.Fatal(err)
		}
	}
	reload()
	before := runtime.NumGoroutine()
	for range 50 {
		reload()
	}
	until(t, "goroutines", func() bool { return runtime.NumGoroutine() <= before })
	if same.isClosed() {
		t.Error("the device that stayed was closed")
	}
}
