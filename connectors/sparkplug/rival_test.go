package sparkplug

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"linetwin/plant"
	"linetwin/twin"
)

// onBroker is a world with a real broker, and a twin that listens there.
func onBroker(t *testing.T, b *testBroker) (*world, *twin.Twin) {
	w := &world{t: t, rng: rand.New(rand.NewPCG(1, 1)), url: b.url, dir: t.TempDir(), did: map[string]int{}}
	w.history = &modelHistory{w: w, rows: map[plant.Time]int64{}}
	model, err := twin.New(twin.Config{Site: "site", Zone: "UTC", LateAfter: time.Hour}, twin.Options{History: w.history, Ledger: modelLedger{}, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	h, _ := runHost(t, HostConfig{Connection: connection(b.url)}, model)
	running(t, func(ctx context.Context) error {
		if err := model.Run(ctx, h); err != nil {
			return err
		}
		return ctx.Err()
	})
	return w, model
}

// power lets a box's edge connect by itself.
func (b *box) power(t *testing.T) (off func()) {
	stop := running(t, b.edge.Run)
	return func() { stop(); b.stop() }
}

func (w *world) emptied(t *testing.T, b *box) {
	t.Helper()
	until(t, "all is acknowledged", func() bool {
		s := b.core.Status()
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.id != "" && s.Made == uint64(b.given) && s.Waiting == 0
	})
	w.whole(b, b.core.Status().LastSequence)
}

// TestTwoGatewaysWithOneName: two processes, one on a copy of the other's
// folder, throw each other out. That is found on both ends and named, it does
// not go on at full speed, and no reading of either is lost or acknowledged to
// the other one.
func TestTwoGatewaysWithOneName(t *testing.T) {
	overBrokers(t, false, func(t *testing.T, broker *testBroker) {
		w, model := onBroker(t, broker)
		one := w.startBox(w.newFolder())
		w.make(one, 20)
		offOne := one.power(t)
		w.emptied(t, one)
		other := w.startBox(w.copyFolder(one.folder))
		w.make(one, 20)
		w.make(other, 20)
		began := time.Now()
		offOther := other.power(t)
		rivals := func() *plant.Rivals {
			for _, g := range model.Snapshot().Gateways {
				return g.Rivals
			}
			return nil
		}
		until(t, "the twin names both", func() bool {
			w.make(one, 1)
			w.make(other, 1)
			return rivals() != nil
		})
		r := *rivals()
		if !r.Copied() || r.Here.Host == "" || r.Here.Address != "127.0.0.1" || r.Other.Host == "" {
			t.Errorf("rivals %+v", r)
		}
		until(t, "a gateway knows", func() bool { return one.edge.crowded() || other.edge.crowded() })
		status := func(b *box) string {
			s := plant.GatewayStatus{}
			b.edge.mu.Lock()
			defer b.edge.mu.Unlock()
			b.edge.withRival(&s)
			return s.Rival
		}
		if said := status(one) + status(other); !strings.Contains(said, "address 127.0.0.1, installation "+r.Here.Installation) {
			t.Errorf("a gateway says of its rival: %q", said)
		}
		turns := one.edge.Stats().Connects + other.edge.Stats().Connects
		if most := uint64(20 + time.Since(began).Seconds()); turns > most {
			t.Errorf("%d connections in %v", turns, time.Since(began))
		}
		offOther()
		w.emptied(t, one)
		offOne()
		again := w.startBox(other.folder)
		off := again.power(t)
		w.emptied(t, again)
		off()
		w.end()
	})
}

// TestRestoredBuffer: a buffer's folder from a backup sends again what history
// has, under numbers that were given before, and harms nothing.
func TestRestoredBuffer(t *testing.T) {
	b := newNATS(t, false)
	b.start(t)
	w, model := onBroker(t, b)
	one := w.startBox(w.newFolder())
	w.make(one, 50)
	until(t, "readings are on the disk", func() bool { return one.core.Status().BufferBytes > 0 })
	backup := w.copyFolder(one.folder)
	off := one.power(t)
	w.emptied(t, one)
	w.make(one, 30)
	w.emptied(t, one)
	off()
	one = w.startBox(one.folder) // the second start: from then on the backup is older
	off = one.power(t)
	w.make(one, 1)
	w.emptied(t, one)
	off()
	written := w.history.writes

	restored := w.startBox(backup)
	w.make(restored, 5)
	off = restored.power(t)
	w.emptied(t, restored)
	if again := w.history.writes - written; again < 55 {
		t.Errorf("%d readings were written after the folder was put back, want the 50 of the backup and 5", again)
	}
	g := model.Snapshot().Gateways[0]
	if g.Replaced == nil || !g.Replaced.Restored || g.Identity.Start != 2 {
		t.Errorf("told as %+v, identity %+v", g.Replaced, g.Identity)
	}
	off()

	// An installation of its own is another thing, and a restart is none.
	for i, folder := range []string{filepath.Join(w.dir, "new"), filepath.Join(w.dir, "new")} {
		fresh := w.startBox(folder)
		off := fresh.power(t)
		until(t, "birth", func() bool {
			id := model.Snapshot().Gateways[0].Identity
			return id.Installation != g.Identity.Installation && id.Start == uint64(i+1)
		})
		r := model.Snapshot().Gateways[0].Replaced
		if r == nil || r.Restored || r.Before.Installation != g.Identity.Installation {
			t.Errorf("told as %+v", r)
		}
		off()
	}
	w.end()
}

// TestStrangeAcknowledgements: a gateway that goes on hearing acknowledgements
// for another process has a rival; late ones for the process before it are
// none.
func TestStrangeAcknowledgements(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, url: "tcp://model:1883", dir: dir, did: map[string]int{}}
		w.state = hostState{true, 1}.encode()
		b := w.startBox(w.newFolder())
		b.connect()
		synctest.Wait()
		hear := func(session string, times int) {
			for range times {
				a := plant.Acknowledgement{Session: session}
				b.session.receive(inbound{topic: b.session.commands, payload: appendAcknowledgement(nil, &a, 1)})
				synctest.Wait()
			}
		}
		hear("the one before", 20)
		if b.edge.crowded() {
			t.Error("late acknowledgements make a rival")
		}
		time.Sleep(strangeAfter + time.Second)
		hear(b.id, 20)
		hear("another", strangeEnough-1)
		if b.edge.crowded() {
			t.Error("two acknowledgements make a rival")
		}
		hear("another", 1)
		if !b.edge.crowded() {
			t.Error("a rival is not noticed")
		}
		time.Sleep(rivalsLast + time.Second)
		if b.edge.crowded() {
			t.Error("a rival is never over")
		}
		b.stop()
	})
}

// TestLives: who is a rival, and who is not.
func TestLives(t *testing.T) {
	minute := func(n int) plant.Time { return t0 + plant.Time(n)*plant.Time(time.Minute) }
	cases := map[string]struct {
		births string // sessions, one a minute; in capitals: an old birth that comes again
		rivals bool
	}{
		"one":                       {"aaaa", false},
		"restarts":                  {"abcdef", false},
		"a birth comes late":        {"abAbAb", false},
		"two in turn":               {"ababa", true},
		"one returned once":         {"aba", false},
		"three in turn":             {"abcabc", true},
		"two in turn, one restarts": {"abacaca", true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var l lives
			for i, s := range strings.Split(c.births, "") {
				told := minute(i)
				if strings.ToLower(s) != s {
					told = minute(0)
				}
				l.born(&plant.GatewayBirth{Session: strings.ToLower(s), Time: told}, minute(i))
			}
			now := minute(len(c.births))
			if r := l.rivals(now); (r != nil) != c.rivals {
				t.Errorf("rivals %+v", r)
			}
			if r := l.rivals(now.Add(rivalsLast)); r != nil {
				t.Errorf("still rivals after %v", rivalsLast)
			}
		})
	}
}

// TestPace: two clients with one name back off from each other, though each of
// their sessions lasts as long as the other waits.
func TestPace(t *testing.T) {
	lost := &lostError{err: os.ErrClosed}
	const runs = 20
	turns := 0
	for range runs {
		// One connects when its wait is over, which ends the other's session.
		var lasted time.Duration
		a, b := &pace{}, &pace{}
		for now := time.Duration(0); now < 10*time.Minute; turns++ {
			wait, _ := a.next(lost, lasted, 1)
			now += wait
			lasted, a, b = wait, b, a
		}
	}
	if turns > runs*65 { // 51 on average; over 90 where 5 s make a session good
		t.Errorf("%d turns in ten minutes, on average", turns/runs)
	}
	var flaky pace
	for range 20 { // a bad link is no rival: sessions of 20 s
		if wait, _ := flaky.next(lost, 20*time.Second, 1); wait != 0 {
			t.Fatalf("waits %v after a session of 20 s", wait)
		}
	}
	if wait, _ := flaky.next(&lostError{err: os.ErrClosed, crowded: true}, 20*time.Second, 1); wait < rivalPause {
		t.Errorf("waits %v for a rival", wait)
	}
}
