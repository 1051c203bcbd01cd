package sparkplug

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"linetwin/plant"
)

// modelSeeds is how many seeds are tried; LINETWIN_MODEL_SEEDS asks for more,
// and LINETWIN_MODEL_SEED for one alone.
const modelSeeds = 60

func modelRange(t *testing.T) (from, to uint64) {
	if s := os.Getenv("LINETWIN_MODEL_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n, n + 1
	}
	to = modelSeeds
	if s := os.Getenv("LINETWIN_MODEL_SEEDS"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		to = n
	}
	return 0, to
}

// TestDeliveryModel plays out factories that go wrong, each by its seed: what
// happens is the seed's, how goroutines take turns within a step is not. What a
// gateway deletes is in history; one number is one batch; and once all is well
// again, everything that was made is in history once, under its own time, and
// the buffers are empty.
func TestDeliveryModel(t *testing.T) {
	parent := modelFolder(t)
	did := map[string]int{}
	from, to := modelRange(t)
	for seed := from; seed < to; seed++ {
		dir, err := os.MkdirTemp(parent, "")
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(t, seed, dir, did) })
		})
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("again: LINETWIN_MODEL_SEED=%d", seed)
		}
	}
	if to-from >= modelSeeds {
		for _, what := range []string{"kill gateway", "stop gateway", "reinstall", "restore a backup", "clone", "kill twin", "cut host", "cut gateway", "lost", "repeated", "late", "rivals", "strays"} {
			if did[what] < int(to-from)/20 {
				t.Errorf("%q happened %d times: the model does not try it", what, did[what])
			}
		}
	}
	t.Log(did)
}

// modelFolder is in memory where there is such a file system: thousands of
// synced writes are not what is tested here.
func modelFolder(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "linetwin-model-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func play(t *testing.T, seed uint64, dir string, did map[string]int) {
	rng := rand.New(rand.NewPCG(seed, 4))
	w := &world{t: t, rng: rng, fate: rand.New(rand.NewPCG(seed, 5)), url: "tcp://model:1883", dir: dir, takeover: rng.IntN(2) == 0, rough: rng.IntN(3) > 0, did: did}
	w.history = &modelHistory{w: w, rows: map[plant.Time]int64{}}
	w.startTwin()
	w.startBox(w.newFolder()).connect()
	for range 30 + rng.IntN(50) {
		w.step()
	}
	w.heal()
	w.end()
}

func (w *world) some() *box {
	if len(w.boxes) == 0 {
		return nil
	}
	return w.boxes[w.rng.IntN(len(w.boxes))]
}

// step lets one thing happen, and then some time.
func (w *world) step() {
	b := w.some()
	if b == nil {
		w.run(w.attic[len(w.attic)-1])
		w.attic = w.attic[:len(w.attic)-1]
		return
	}
	switch n := w.rng.IntN(100); {
	case n < 40:
		w.make(b, 1+w.rng.IntN(6))
	case n < 52:
		if b.session == nil {
			b.connect()
		} else if w.rng.IntN(2) == 0 {
			w.note("cut gateway")
			b.cut()
		}
	case n < 60:
		w.hostStep()
	case n < 68:
		w.history.set([]string{"", "", "fail", "stored but failed", "hang"}[w.rng.IntN(5)])
	case n < 72:
		w.note("kill twin")
		w.killTwin()
		if w.rng.IntN(2) == 0 { // what a hung write left behind is not there again
			w.history.set("")
		}
		w.startTwin()
	case n < 90:
		w.boxStep(b)
	}
	w.pass(time.Duration(10+w.rng.IntN(700)) * time.Millisecond)
	if w.rng.IntN(12) == 0 {
		w.pass(time.Duration(w.rng.IntN(15)) * time.Second)
	}
}

func (w *world) hostStep() {
	if !w.host.up {
		w.linkHost()
		return
	}
	w.note("cut host")
	w.cutHost()
}

// boxStep lets something happen to a process of the gateway or its folder.
func (w *world) boxStep(b *box) {
	switch n := w.rng.IntN(10); {
	case n < 3:
		w.note("kill gateway")
		w.run(b.kill())
	case n < 5:
		w.note("stop gateway")
		w.run(b.stop())
	case n < 6:
		w.note("reinstall")
		w.attic = append(w.attic, b.kill())
		w.run(w.newFolder())
	case n < 7:
		w.pass(time.Second) // all is in the copy that will be
		w.backups = append(w.backups, w.copyFolder(b.folder))
	case n < 8 && len(w.backups) > 0:
		w.note("restore a backup")
		w.attic = append(w.attic, b.kill())
		w.run(w.copyFolder(w.backups[w.rng.IntN(len(w.backups))]))
	case n < 10 && len(w.boxes) < 3:
		w.note("clone")
		folder := w.newFolder()
		if w.rng.IntN(2) == 0 {
			synctest.Wait()
			folder = w.copyFolder(b.folder)
		}
		w.run(folder)
	}
}

// run starts a process on a folder, and mostly connects it.
func (w *world) run(folder string) {
	b := w.startBox(folder)
	if w.rng.IntN(4) > 0 {
		b.connect()
	}
}

func (w *world) make(b *box, n int) {
	for range n {
		r := modelReading(w.made)
		w.made++
		b.given++
		b.source.rounds <- plant.Round{Readings: []plant.Reading{r}, Through: r.Time}
	}
}

func (w *world) note(what string) { w.did[what]++ }

// pass lets time go by, and messages with it.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	for range 4 {
		synctest.Wait()
		w.carry()
		w.deliver()
	}
	synctest.Wait()
	for _, b := range w.boxes { // it left of itself, because the host did
		select {
		case <-b.gone:
			b.session = nil
		default:
		}
	}
}

// carry takes what was published into the air, or not.
func (w *world) carry() {
	w.mu.Lock()
	out := w.outbox
	w.outbox = nil
	w.mu.Unlock()
	for _, p := range out {
		targets := []*box{nil}
		if t, ok := parseTopic(p.topic); ok && t.kind == kindNCmd {
			targets = w.boxes // each that has the name hears it
		}
		for _, to := range targets {
			q := p
			q.to = to
			w.throw(q)
		}
	}
}

// throw gives a message its fate.
func (w *world) throw(p packet) {
	if w.healed || !w.rough {
		w.air = append(w.air, p)
		return
	}
	switch n := w.fate.IntN(100); {
	case n < 12:
		w.note("lost")
	case n < 20:
		w.note("repeated")
		w.air = append(w.air, p)
		p.wait = w.fate.IntN(12)
		w.air = append(w.air, p)
	case n < 40:
		w.note("late")
		p.wait = 1 + w.fate.IntN(12)
		w.air = append(w.air, p)
	default:
		w.air = append(w.air, p)
	}
}

// deliver brings what has waited long enough.
func (w *world) deliver() {
	air := w.air
	w.air = nil
	for _, p := range air {
		switch {
		case p.wait > 0:
			p.wait--
			w.air = append(w.air, p)
		case p.to == nil:
			if w.host.up {
				w.host.host.receive(inbound{p.topic, p.payload, false}, w.host.session)
			}
		case p.to.session != nil:
			p.to.session.receive(inbound{p.topic, p.payload, false})
		}
	}
}

// heal lets everything work, and delivers what each folder still holds, one
// after the other.
func (w *world) heal() {
	w.count()
	w.healed = true
	w.history.set("")
	w.killTwin() // a write may hang
	w.startTwin()
	for len(w.boxes) > 0 || len(w.attic) > 0 {
		var b *box
		if len(w.boxes) > 0 {
			b = w.boxes[0]
			for _, o := range w.boxes[1:] { // the operator ends all but one
				w.attic = append(w.attic, o.stop())
			}
		} else {
			last := len(w.attic) - 1
			folder := w.attic[last]
			w.attic = w.attic[:last]
			b = w.startBox(folder)
		}
		w.drain(b)
		b.stop()
	}
	w.count()
	w.killTwin()
}

// drain waits until a box is empty.
func (w *world) drain(b *box) {
	for n := 0; ; n++ {
		if b.session == nil {
			b.connect()
		}
		w.pass(time.Second)
		s := b.core.Status()
		if s.Waiting == 0 && s.BufferBytes == 0 {
			w.whole(b, s.LastSequence)
			return
		}
		if s.Dropped > 0 || n > 300 {
			w.failf("%d readings wait for ever, %d dropped", s.Waiting, s.Dropped)
		}
	}
}

// whole checks that the numbers of a process have no holes.
func (w *world) whole(b *box, last uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n := b.first; n <= last; n++ {
		if _, sent := b.numbers[n]; !sent {
			w.failf("number %d of %d to %d was never sent, and nothing waits", n, b.first, last)
		}
	}
}

func (w *world) count() {
	s := w.host.host.Stats()
	w.did["strays"] += int(s.Strays)
	for _, g := range w.host.twin.Snapshot().Gateways {
		if g.Rivals != nil {
			w.did["rivals"]++
		}
	}
}

// end checks that all is in history, and nothing else.
func (w *world) end() {
	for n := range w.made {
		if !w.history.has(n) {
			w.failf("value %d of %d never came to history", n, w.made)
		}
	}
	if len(w.history.rows) != int(w.made) {
		w.failf("%d rows of %d readings", len(w.history.rows), w.made)
	}
	w.did["readings"] += int(w.made)
	w.did["written"] += w.history.writes
}
