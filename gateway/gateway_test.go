package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

func TestLiveBatchIsPublishedAtOnceAndForgottenWhenAcknowledged(t *testing.T) {
	wire, source := &fakeWire{}, newSource()
	g := run(t, testConfig(t.TempDir()), wire, press(source))
	for n := range int64(3) {
		source.rounds <- round(n)
	}
	until(t, "batches", func() bool { return len(wire.batches()) == 3 })
	for i, b := range wire.batches() {
		if b.Sequence != uint64(i+1) || b.Historical || b.Machine != "press" || b.Area != "assembly" || b.Gateway != "edge-1" {
			t.Errorf("batch %d: %+v", i, b)
		}
	}
	// The first look claims nothing, later ones what was since.
	second := start + plant.Time(time.Second)
	if got := wire.batches()[0].Complete; got != (plant.Span{From: start, To: start}) {
		t.Errorf("first claim %v", got)
	}
	if got := wire.batches()[1].Complete; got != (plant.Span{From: start, To: second}) {
		t.Errorf("second claim %v", got)
	}
	if s := g.Status(); s.Made != 3 || s.Waiting != 3 || s.Stored != 0 || s.OldestWaits != start || s.LastSequence != 3 {
		t.Errorf("status before: %+v", s)
	}
	g.Acknowledge(plant.Acknowledgement{Gateway: "edge-1", Session: "another", Through: 3})
	if s := g.Status(); s.Stored != 0 {
		t.Errorf("acknowledgement of another session counted: %+v", s)
	}
	g.Acknowledge(plant.Acknowledgement{Gateway: "edge-1", Session: g.Birth().Session, Through: 3})
	until(t, "stored", func() bool { s := g.Status(); return s.Stored == 3 && s.Waiting == 0 && s.BufferBytes == 0 })
	if b := g.Birth(); b.First != 4 || len(b.Devices) != 1 || len(b.Devices[0].Last) != 1 || !b.Devices[0].Online {
		t.Errorf("birth %+v", b)
	}
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	if !source.closed {
		t.Error("source was not closed")
	}
	if n := len(wire.batches()); n != 3 {
		t.Errorf("%d batches were published", n)
	}
}

func TestOfflineThenBacklogBesideLive(t *testing.T) {
	wire, source := &fakeWire{offline: true}, newSource()
	g := run(t, testConfig(t.TempDir()), wire, press(source))
	for n := range int64(50) {
		source.rounds <- round(n)
	}
	until(t, "made", func() bool { return g.Status().Made == 50 })
	until(t, "committed", func() bool { return g.Status().BufferBytes > 0 })
	if len(wire.batches()) != 0 {
		t.Fatal("published while offline")
	}
	g.acknowledging(wire)
	wire.setOffline(false)
	g.Linked(true)
	until(t, "backlog", func() bool { return g.Status().Waiting == 0 })
	for i, b := range wire.batches() {
		if b.Sequence != uint64(i+1) || !b.Historical || b.Readings[0].Value.Integer() != int64(i) || b.Area != "assembly" {
			t.Fatalf("batch %d: %+v", i, b)
		}
	}
	source.rounds <- round(50)
	until(t, "live", func() bool { return len(wire.batches()) == 51 })
	if b := wire.batches()[50]; b.Historical || b.Sequence != 51 {
		t.Errorf("live batch %+v", b)
	}
}

func TestLostMessagesAreSentAgain(t *testing.T) {
	// Each third message is lost on the way, also when it is sent again.
	wire, source := &fakeWire{drop: func(n int) bool { return n%3 == 0 }}, newSource()
	cfg := testConfig(t.TempDir())
	cfg.Delivery.Resend = 100 * time.Millisecond
	g := run(t, cfg, wire, press(source))
	g.acknowledging(wire)
	for n := range int64(90) {
		source.rounds <- round(n)
	}
	until(t, "made", func() bool { return g.Status().Made == 90 })
	until(t, "all stored", func() bool { s := g.Status(); return s.Stored == 90 && s.Waiting == 0 && s.BufferBytes == 0 })
}

func TestReconnectSendsAgainAtOnceWhatWasInFlight(t *testing.T) {
	wire, source := &fakeWire{}, newSource()
	g := run(t, testConfig(t.TempDir()), wire, press(source))
	source.rounds <- round(1)
	until(t, "live", func() bool { return len(wire.batches()) == 1 })
	g.Linked(false)
	g.Linked(true)
	until(t, "again", func() bool { return len(wire.batches()) == 2 })
	if b := wire.batches()[1]; !b.Historical || b.Sequence != 1 {
		t.Errorf("sent again: %+v", b)
	}
}

func TestRefusedBatchHoldsUpNoOther(t *testing.T) {
	wire, source := &fakeWire{fail: errors.New("too big")}, newSource()
	cfg := testConfig(t.TempDir())
	cfg.Delivery.Resend = 100 * time.Millisecond
	g := run(t, cfg, wire, press(source))
	source.rounds <- round(1)
	until(t, "made", func() bool { return g.Status().Made == 1 })
	g.acknowledging(wire)
	wire.mu.Lock()
	wire.fail = nil
	wire.mu.Unlock()
	source.rounds <- round(2)
	until(t, "both stored", func() bool { return g.Status().Stored == 2 })
}

func TestPanicStaysInItsDevice(t *testing.T) {
	wire, broken, sound := &fakeWire{}, newSource(), newSource()
	broken.panics = 1
	other := press(sound)
	other.Machine = "saw"
	g := run(t, testConfig(t.TempDir()), wire, press(broken), other)
	sound.rounds <- round(1)
	until(t, "the sound device", func() bool { return len(wire.batches()) == 1 })
	until(t, "the fault", func() bool { s := g.Status().Devices[0]; return strings.Contains(s.Reason, "driver is broken") })
	if s := g.Status().Devices[0]; s.Link != plant.LinkDown || strings.Contains(s.Reason, "\n") || s.Machine != "press" {
		t.Errorf("status %+v", s)
	}
	broken.rounds <- round(2)
	until(t, "the broken one again", func() bool { return len(wire.batches()) == 2 })
	if s := g.Status().Devices[0]; s.Link != plant.LinkFlowing {
		t.Errorf("status after: %+v", s)
	}
}

func TestHeartbeatOfAnUnchangedMachine(t *testing.T) {
	wire, source := &fakeWire{}, newSource()
	cfg := testConfig(t.TempDir())
	cfg.Delivery.Heartbeat = 100 * time.Millisecond
	g := run(t, cfg, wire, press(source))
	r := round(0)
	for len(wire.batches()) < 3 {
		source.rounds <- r
		r.Through += 10 * plant.Millisecond
		time.Sleep(2 * time.Millisecond)
	}
	got := wire.batches()
	if len(got[1].Readings) != 0 || got[1].Complete.From != got[0].Complete.To || got[2].Complete.From != got[1].Complete.To {
		t.Errorf("heartbeats %+v", got)
	}
	if s := g.Status(); s.Made != 1 || s.Read < 10 {
		t.Errorf("made %d of %d read", s.Made, s.Read)
	}
}

func TestClockSetBackClaimsNothing(t *testing.T) {
	wire, source := &fakeWire{}, newSource()
	run(t, testConfig(t.TempDir()), wire, press(source))
	source.rounds <- round(100)
	source.rounds <- round(10)
	source.rounds <- round(11)
	until(t, "batches", func() bool { return len(wire.batches()) == 3 })
	got := wire.batches()
	if !got[1].Complete.Empty() || got[2].Complete.Length() != time.Second {
		t.Errorf("claims %v, %v", got[1].Complete, got[2].Complete)
	}
}

func TestDeviceComesAndGoes(t *testing.T) {
	wire, source := &fakeWire{}, newSource()
	g := run(t, testConfig(t.TempDir()), wire, press(source))
	g.Birth()
	told := func() int { wire.mu.Lock(); defer wire.mu.Unlock(); return len(wire.births) }
	for i, link := range []plant.Link{plant.LinkDown, plant.LinkStale} {
		source.mu.Lock()
		source.link = link
		source.mu.Unlock()
		source.rounds <- round(int64(i))
		until(t, "told", func() bool { return told() == i+1 })
		if b := wire.births[i]; b.Online != (link == plant.LinkStale) || len(b.Signals) != 2 {
			t.Errorf("%s: %+v", link, b)
		}
	}
	until(t, "status", func() bool { wire.mu.Lock(); defer wire.mu.Unlock(); return len(wire.status.Devices) == 1 })
}

func TestNewTellsEverythingWrong(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Delivery.Window = -1
	_, err := New(cfg, []Device{press(newSource()), press(nil)}, quiet())
	for _, want := range []string{"delivery.window: found -1", "machine press: two devices", "machine press: no source"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
}

func TestRunTwiceAndCloseWithoutRun(t *testing.T) {
	folder := t.TempDir()
	g, err := New(testConfig(folder), nil, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if err := g.Run(context.Background(), &fakeWire{}); err == nil {
		t.Error("ran after it was closed")
	}
	g, err = New(testConfig(folder), nil, quiet())
	if err != nil {
		t.Fatalf("folder is not free: %v", err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}

func TestImport(t *testing.T) {
	wire, source := &fakeWire{offline: true}, newSource()
	g := run(t, testConfig(t.TempDir()), wire, press(source))
	source.rounds <- round(5000)
	for n := range int64(1200) {
		if err := g.Import(t.Context(), "press", round(n), n == 600); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Import(t.Context(), "nobody", round(1), false); !errors.Is(err, plant.ErrNotFound) {
		t.Errorf("unknown machine: %v", err)
	}
	until(t, "made", func() bool { return g.Status().Made == 1201 })
	g.acknowledging(wire)
	wire.setOffline(false)
	g.Linked(true)
	until(t, "stored", func() bool { return g.Status().Stored == 1201 })
	var last plant.Time
	readings := 0
	for _, b := range wire.batches() {
		if b.Readings[0].Time > round(4000).Through {
			continue
		}
		readings += len(b.Readings)
		switch {
		case last == round(599).Through: // nobody looked from there on
			last = round(600).Through
		case last == 0:
			last = b.Complete.From
		}
		if b.Complete.From != last {
			t.Errorf("claim %v does not follow %v", b.Complete, last)
		}
		last = b.Complete.To
	}
	if readings != 1200 || last != round(1199).Through {
		t.Errorf("%d readings up to %v", readings, last)
	}
}

// learningSource is a source that learns of its past.
type learningSource struct {
	*fakeSource
	past []plant.Reading // only between rounds
}

func (s *learningSource) Past(into []plant.Reading) []plant.Reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	into = append(into, s.past...)
	s.past = nil
	return into
}

func TestPastGoesOutAsBacklogThatClaimsNothing(t *testing.T) {
	wire, source := &fakeWire{}, &learningSource{fakeSource: newSource()}
	g := run(t, testConfig(t.TempDir()), wire, press(source))
	g.acknowledging(wire)
	lost := round(2)
	lost.Readings = []plant.Reading{{Machine: "press", Signal: "good", Time: lost.Through, Quality: plant.Bad, Reason: "timeout"}}
	for _, r := range []plant.Round{round(1), lost} {
		source.rounds <- r
	}
	until(t, "lost", func() bool { return len(wire.batches()) == 2 })
	at := func(n int64) plant.Time { return round(n).Through }
	source.mu.Lock()
	source.past = []plant.Reading{good(1, at(2)), good(1, at(3)), {Signal: "force", Time: at(3), Value: plant.Text("no number")}, {Signal: "unknown", Time: at(3)}}
	source.mu.Unlock()
	source.rounds <- round(9)
	until(t, "past", func() bool { return len(wire.batches()) == 4 && g.Status().Waiting == 0 })
	b := wire.batches()[3]
	if !b.Historical || b.Complete != (plant.Span{From: at(9), To: at(9)}) || b.Sequence != 4 || b.Machine != "press" {
		t.Errorf("batch %+v", b)
	}
	// What says nothing new goes out too, for it takes the place of a bad
	// reading; what cannot be stored is bad; a strange signal is refused.
	want := []plant.Reading{good(1, at(2)), good(1, at(3)), {Machine: "press", Signal: "force", Time: at(3), Quality: plant.Bad, Reason: "value is text, not float"}}
	if !slices.Equal(b.Readings, want) {
		t.Errorf("readings %+v, want %+v", b.Readings, want)
	}
	// The past is not news: what goes on is compared with what was live.
	source.rounds <- plant.Round{Readings: []plant.Reading{good(9, at(10))}, Through: at(10)}
	if last := g.Birth().Devices[0].Last; len(last) != 1 || last[0] != good(9, at(9)) {
		t.Errorf("last readings %+v", last)
	}
}

func TestImportWaitsWhileTooMuchWaits(t *testing.T) {
	wire := &fakeWire{offline: true}
	device := Device{Machine: "press", Source: newSource()}
	var r plant.Round
	for i := range 1000 {
		name := "s" + string(rune('a'+i%26)) + strings.Repeat("x", i/26)
		device.Signals = append(device.Signals, plant.Signal{Name: name, Kind: plant.KindInteger})
		r.Readings = append(r.Readings, plant.Reading{Signal: name, Value: plant.Integer(0)})
	}
	g := run(t, testConfig(t.TempDir()), wire, device)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		for n := int64(1); ; n++ {
			r.Through = start + plant.Time(n)*plant.Time(time.Second)
			for i := range r.Readings {
				r.Readings[i].Value = plant.Integer(n)
			}
			if err := g.Import(ctx, "press", r, false); err != nil {
				ended <- err
				return
			}
		}
	}()
	until(t, "enough", func() bool { return g.Status().Waiting > pastWaiting })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if n := g.Status().Waiting; n > pastWaiting+2000 {
		t.Errorf("%d readings wait", n)
	}
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	if err := g.Import(context.Background(), "press", r, false); err == nil {
		t.Error("import after the end")
	}
}

// TestAcknowledgedIsNoReasonToSync: what history has costs a power cut
// nothing, so that a fast gateway whose data is stored at once is not slowed
// by its disk.
func TestAcknowledgedIsNoReasonToSync(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Buffer.SyncBytes = 64 << 10
	q, err := openBuffer(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer q.close()
	batches := machineLike(5000)
	e, records := newEncoder(nil), []byte(nil)
	for i := range batches {
		q.append(&batches[i], false)
		records = q.flushTail(e, records)
		q.acknowledge(plant.Acknowledgement{Through: uint64(i)}) // all but the last
		if q.disk.hurry() {
			t.Fatalf("batch %d would be synced at once", i)
		}
	}
	for !q.disk.hurry() {
		q.append(&plant.Batch{Machine: "a", Readings: batches[0].Readings}, false)
		records = q.flushTail(e, records) // nobody else does, here
		if n := q.pendingBytes.tail; n > 2*int(cfg.Buffer.SyncBytes) {
			t.Fatalf("%d bytes wait for their sync", n)
		}
	}
}

// TestFirstClaim: a first look claims from what it found on, and nothing of
// long before.
func TestFirstClaim(t *testing.T) {
	wire, source := &fakeWire{}, newSource()
	g := run(t, testConfig(t.TempDir()), wire, press(source))
	g.Linked(true)
	first, second := round(5000), round(5001)
	old := first.Readings[0]
	old.Signal, old.Time = "speed", first.Through.Add(-time.Hour)
	first.Readings = append(first.Readings, old)
	first.Readings[0].Time = first.Through.Add(-30 * time.Millisecond)
	source.rounds <- first
	source.rounds <- second
	until(t, "both are sent", func() bool { return len(wire.batches()) >= 2 })
	found := first.Readings[0].Time
	for i, want := range []plant.Span{{From: found, To: first.Through}, {From: first.Through, To: second.Through}} {
		if got := wire.batches()[i].Complete; got != want {
			t.Errorf("batch %d claims %v, want %v", i, got, want)
		}
	}
}
