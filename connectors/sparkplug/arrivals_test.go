package sparkplug

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"linetwin/plant"
)

// fed is a gateway whose goroutine runs, and which is handed messages.
type fed struct {
	*gateway
	sink testSink
	mu   sync.Mutex // held while the gateway works, and while it is looked at
}

// feeding runs f with the gateway of a foreign edge node, born at seq 0, in a
// bubble with a clock of its own.
func feeding(t *testing.T, session string, f func(t *testing.T, g *fed)) {
	synctest.Test(t, func(t *testing.T) {
		sink := newSink()
		g := &fed{gateway: newGateway(offline(t, sink), "a", "g"), sink: sink}
		done := make(chan struct{})
		stop := make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case m := <-g.queue:
					g.host.queued.Add(-int64(len(m.payload)))
					g.mu.Lock()
					g.take(m)
					g.mu.Unlock()
				case <-g.timer.C:
					g.mu.Lock()
					g.giveUp()
					g.mu.Unlock()
				case <-stop:
					return
				}
			}
		}()
		g.born(1000, session)
		f(t, g)
		close(stop)
		<-done
	})
}

func (g *fed) born(at uint64, session string) {
	metrics := []outMetric{bd(1)}
	if session != "" {
		metrics = append(metrics, outMetric{name: metricSession, time: at, datatype: typeString, field: metricFieldString, text: session})
	}
	g.say(kindNBirth, 0, at, metrics...)
	g.say(kindDBirth, 1, at, double("x", 5, at, 0))
}

func (g *fed) say(k kind, seq int, at uint64, metrics ...outMetric) {
	g.enqueue(message{kind: k, device: "d", payload: pack(at, seq, metrics...), session: 1})
	synctest.Wait()
}

func (g *fed) data(seq int) {
	g.say(kindDData, seq, uint64(2000+seq), double("", 5, uint64(2000+seq), float64(seq)))
}

// told gives the values that the sink got.
func (g *fed) told() (values []int) {
	synctest.Wait()
	for len(g.sink) > 0 {
		if e := <-g.sink; e.batch != nil {
			for _, r := range e.batch.Readings {
				x, _ := r.Value.Number()
				values = append(values, int(x))
			}
		}
	}
	return values
}

func (g *fed) check(t *testing.T, what string, want []int, gaps, reordered uint64) {
	t.Helper()
	if got := g.told(); !slices.Equal(got, want) {
		t.Errorf("%s: told %v, want %v", what, got, want)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.host.Stats(); s.Gaps != gaps || s.Reordered != reordered || s.Queued != 0 && len(g.held) == 0 {
		t.Errorf("%s: gaps %d, reordered %d, queued %d; want %d and %d", what, s.Gaps, s.Reordered, s.Queued, gaps, reordered)
	}
}

func TestArrivals(t *testing.T) {
	t.Run("foreign", func(t *testing.T) {
		feeding(t, "", func(t *testing.T, g *fed) {
			g.check(t, "birth", []int{0}, 0, 0)
			g.data(2)
			g.data(5)
			g.data(4)
			g.data(5) // repeated
			g.check(t, "held", []int{2}, 0, 0)
			g.data(3)
			g.check(t, "released in order", []int{3, 4, 5}, 0, 2)
			time.Sleep(time.Minute)
			g.data(8)
			time.Sleep(g.host.cfg.Reorder - 1)
			g.check(t, "still held", nil, 0, 2)
			time.Sleep(time.Nanosecond)
			g.check(t, "given up", []int{8}, 2, 2)
			g.data(7)
			g.check(t, "late all the same", []int{7}, 2, 3)
			g.data(9)
			g.check(t, "goes on", []int{9}, 2, 3)
			g.data(3)
			g.data(4)
			g.check(t, "counts otherwise", []int{3, 4}, 2+249, 3)
			g.data(6)
			g.say(kindNDeath, -1, 1, bd(1))
			g.check(t, "death lets go", []int{6}, 2+249+1, 3)
		})
	})
	t.Run("ours", func(t *testing.T) {
		feeding(t, "s", func(t *testing.T, g *fed) {
			g.told()
			g.data(2)
			g.data(5)
			g.data(6)
			g.check(t, "taken as they come", []int{2, 5, 6}, 0, 0)
			g.data(4)
			g.data(3)
			g.check(t, "what was missing", []int{4, 3}, 0, 2)
			time.Sleep(time.Minute)
			g.check(t, "nothing is missing", nil, 0, 2)
			g.data(9)
			time.Sleep(g.host.cfg.Reorder)
			g.check(t, "given up", []int{9}, 2, 2)
		})
	})
	t.Run("overtaken birth", func(t *testing.T) {
		feeding(t, "", func(t *testing.T, g *fed) {
			g.told()
			g.say(kindDData, 4, 1500, double("", 5, 1500, 15))                                                            // of the old session
			g.say(kindDBirth, 1, 3000, double("x", 9, 3000, 30))                                                          // of the new one, whose NBIRTH is on its way
			g.enqueue(message{kind: kindDData, device: "d", payload: pack(3001, 2, double("", 9, 3001, 31)), session: 1}) // too
			g.say(kindNBirth, 0, 3000, bd(2))
			if got := g.told(); !slices.Contains(got, 15) || !slices.Contains(got, 31) || slices.Index(got, 15) > slices.Index(got, 31) {
				t.Errorf("told %v", got)
			}
		})
	})
}

// Whatever the order in which messages come within the timeout, a foreign
// node's are told in the order in which they were said, each once.
func TestArrivalsInAnyOrder(t *testing.T) {
	for seed := range uint64(200) {
		feeding(t, "", func(t *testing.T, g *fed) {
			g.told()
			r := rand.New(rand.NewPCG(seed, 1))
			var said, want []int
			for seq := 2; seq < 500; seq++ {
				said, want = append(said, seq), append(want, seq)
			}
			for i := range said { // each moves by a few places at most
				j := min(i+r.IntN(5), len(said)-1)
				if said[j]-i < 20 {
					said[i], said[j] = said[j], said[i]
				}
			}
			for _, seq := range said {
				at := uint64(2000 + seq)
				g.enqueue(message{kind: kindDData, device: "d", payload: pack(at, seq%256, double("", 5, at, float64(seq))), session: 1})
				if r.IntN(50) == 0 {
					time.Sleep(g.host.cfg.Reorder / 50)
				}
			}
			if got := g.told(); !slices.Equal(got, want) {
				t.Errorf("seed %d: %v", seed, got)
			}
			if s := g.host.Stats(); s.Gaps != 0 || s.Dropped != 0 || s.Queued != 0 {
				t.Errorf("seed %d: %+v", seed, s)
			}
		})
	}
}

// FuzzGateway: whatever an edge node says, in whatever order, nothing panics,
// and every batch that is told is well-formed.
func FuzzGateway(f *testing.F) {
	f.Add([]byte{1, 0, 3, 1, 6, 2, 6, 9, 2, 0}, pack(1000, 2, double("x", 5, 1000, 1)))
	f.Add([]byte{1, 0, 3, 1, 6, 200, 6, 100}, []byte{0x12, 0x00})
	f.Fuzz(func(t *testing.T, script, raw []byte) {
		sink := make(testSink, 100000)
		h, err := NewHost(HostConfig{Connection: connection("tcp://127.0.0.1:1883")}, sink, quiet())
		if err != nil {
			t.Fatal(err)
		}
		g := newGateway(h, "a", "g")
		for i := 0; i+1 < len(script) && i < 2000; i += 2 {
			k, seq := kind(script[i]%7), script[i+1]
			payload := pack(uint64(1000+i), int(seq), bd(uint64(seq)), double("x", 5, 1000, 1))
			if k == kindOther {
				k, payload = kind(seq%6)+1, raw
			}
			g.take(message{kind: k, device: fmt.Sprint("d", seq%2), payload: payload, session: 1})
		}
		g.giveUp()
		if len(g.held) != 0 || h.queued.Load() != 0 || g.missing != 0 {
			t.Fatalf("%d held, %d bytes, %d missing", len(g.held), h.queued.Load(), g.missing)
		}
		for len(sink) > 0 {
			e := <-sink
			if e.batch == nil {
				continue
			}
			for _, r := range e.batch.Readings {
				if r.Machine == "" || (r.Quality == plant.Bad) != r.Value.IsNone() {
					t.Fatalf("reading %+v", r)
				}
			}
		}
	})
}

// keeps is a Sink that remembers what it was told and gives each batch back.
type keeps struct {
	testSink
	back func(*plant.Batch)
	got  []string
}

func (k *keeps) Batch(b *plant.Batch) {
	k.got = append(k.got, fmt.Sprintf("%s %d %v %v %v", b.Machine, b.Sequence, b.Historical, b.Complete, b.Readings))
	k.back(b)
}

// A batch that was given back tells nothing of what was in it before.
func TestRecycledBatchesAreEmpty(t *testing.T) {
	tell := func(back bool) []string {
		k := &keeps{testSink: newSink(), back: func(*plant.Batch) {}}
		h, err := NewHost(HostConfig{Connection: connection("tcp://127.0.0.1:1")}, k, quiet())
		if err != nil {
			t.Fatal(err)
		}
		if back {
			k.back = h.Recycle
		}
		birth, batch := fifty()
		signals := birth.Devices[0].Signals
		e := edgeOf(t)
		d := e.device("m", signals)
		g := newGateway(h, "assembly", "edge-1")
		g.take(message{kind: kindNBirth, payload: appendSeq(e.appendNBirth(nil, 0, &birth), 0), session: 1})
		g.take(message{kind: kindDBirth, device: "m", payload: appendSeq(d.appendBirth(appendHead(nil, 1), 1, nil), 1), session: 1})
		all := batch.Readings
		for i, n := range []int{50, 3, 0, 20, 1} {
			batch.Readings = slices.Clone(all[:n])
			if n > 0 {
				batch.Readings[0] = plant.Reading{Machine: "m", Signal: all[0].Signal, Time: t0, Quality: plant.Bad, Reason: fmt.Sprint("wire ", i)}
			}
			batch.Sequence, batch.Historical = uint64(i+1), i == 0
			g.take(message{kind: kindDData, device: "m", payload: appendBatch(nil, 5, d, batch), session: 1})
		}
		return k.got
	}
	want := tell(false)
	if got := tell(true); len(want) != 5 || !slices.Equal(got, want) {
		t.Errorf("recycled: %q\nwant %q", got, want)
	}
}
