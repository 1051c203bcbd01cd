package gateway

import (
	"fmt"
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"

	"linetwin/plant"
)

// protocol drives a buffer by hand: each step of its goroutines is called by
// the test, so that rapid chooses their order and can repeat it.
type protocol struct {
	t         *rapid.T
	parent    string
	folder    string
	cfg       Config
	q         *buffer
	c         *committer
	d         *drainer
	tailSpace []byte

	made      int64            // readings appended: their values are 0, 1, 2, ...
	owner     map[uint64]int64 // value by number in this session
	stored    map[int64]bool   // values that "history" has and acknowledged or was about to
	delivered map[int64]bool

	numbers map[int64]uint64        // of values that this session appended
	moved   map[int64]time.Duration // by how much the time of a value was wrong
}

func (p *protocol) open() {
	q, err := openBuffer(p.cfg, quiet())
	if err != nil {
		p.t.Fatal(err)
	}
	p.q = q
	p.c = q.disk
	pub := &publisher{buffer: q, cfg: p.cfg, log: quiet()}
	p.d = &drainer{publisher: pub, pack: p.c.pack, done: make(chan error, 1), paid: time.Now()}
	p.owner = map[uint64]int64{}
	p.delivered = map[int64]bool{}
	p.numbers = map[int64]uint64{}
	q.linked(true)
}

func (p *protocol) append(live bool) {
	p.q.append(&plant.Batch{Machine: "press", Complete: plant.Span{From: start, To: start},
		Readings: []plant.Reading{good(p.made, start+plant.Time(p.made)*plant.Millisecond)}}, live)
	p.numbers[p.made] = p.q.next - 1
	p.made++
}

// move puts the clock right: what has not left moves with it.
func (p *protocol) move(by time.Duration) {
	from := p.q.unsentFrom()
	for v, n := range p.numbers {
		if n >= from {
			p.moved[v] += by
		}
	}
	p.q.correct(move{by: by})
}

// receive is history's side: it learns which value has which number.
func (p *protocol) receive(b *plant.Batch) {
	b = p.q.place(b)
	v := b.Readings[0].Value.Integer()
	if was, known := p.owner[b.Sequence]; known && was != v {
		p.t.Fatalf("number %d is value %d, and was %d", b.Sequence, v, was)
	}
	if len(b.Readings) != 1 || b.Readings[0] != good(v, start.Add(p.moved[v])+plant.Time(v)*plant.Millisecond) || b.Complete.To != start.Add(p.moved[v]) {
		p.t.Fatalf("batch came as %+v", b)
	}
	p.owner[b.Sequence] = v
	p.delivered[v] = true
}

func (p *protocol) publishLive(lose func() bool) {
	for {
		select {
		case b := <-p.q.live:
			if !lose() {
				p.receive(b)
			}
		default:
			return
		}
	}
}

// drain sends backlog as the drainer does, without its waiting.
func (p *protocol) drain(n int, lose func() bool) {
	for range n {
		c, ok := p.q.candidate(p.cfg.Delivery.Window)
		if !ok {
			return
		}
		b := &p.d.batch
		if c.batch != nil {
			b = c.batch
		} else if err := p.d.load(c); err != nil {
			p.t.Fatalf("number %d: %v", c.number, err)
		}
		if p.q.acks.has(c.number) {
			p.t.Fatalf("number %d is acknowledged and sent again", c.number)
		}
		copied := *b
		copied.Sequence = c.number
		if !lose() {
			p.receive(&copied)
		}
		p.q.sent(c.number, len(b.Readings))
	}
}

// acknowledge acknowledges some of what was received.
func (p *protocol) acknowledge(pick func() bool) {
	var a plant.Acknowledgement
	var set seqSet
	for n := range p.owner {
		if pick() {
			set.add(plant.Range{First: n, Last: n})
			p.stored[p.owner[n]] = true
		}
	}
	a.Beyond = set
	p.q.acknowledge(a)
}

// kill leaves what is on the disk, opens it again, and closes what was left
// running. Unless the power went too, the kernel kept what was written.
func (p *protocol) kill(power bool) {
	next, err := os.MkdirTemp(p.parent, "")
	if err != nil {
		p.t.Fatal(err)
	}
	p.crash(next, power)
	_ = p.q.tail.close()
	_ = p.q.store.close()
	_ = os.RemoveAll(p.folder)
	p.folder, p.cfg.Buffer.Folder = next, next
	p.open()
}

func (p *protocol) crash(to string, power bool) {
	for _, name := range []string{"buffer.db", "tail-0", "tail-1"} {
		data, err := os.ReadFile(p.folder + "/" + name)
		if err == nil && power && name != "buffer.db" {
			data = data[:rapid.IntRange(0, len(data)).Draw(p.t, "left of the tail")]
		}
		if err == nil {
			err = os.WriteFile(to+"/"+name, data, 0o600)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

// check compares the buffer's account with a count of what it holds.
func (p *protocol) check(*rapid.T) {
	q := p.q
	waiting, held := 0, int64(0)
	for i, b := range q.blocks {
		waiting += b.waiting
		held += int64(b.bytes)
		if i > 0 && b.first <= q.blocks[i-1].numbers().Last || b.numbers().Last >= q.pendingFirst {
			p.t.Fatalf("block %d of numbers %v is out of order", i, b.numbers())
		}
		if b.waiting < 0 {
			p.t.Fatalf("block %d has %d readings waiting", i, b.waiting)
		}
	}
	for _, e := range q.pending {
		if !e.done {
			waiting += len(e.b.Readings)
		}
	}
	if uint64(waiting) != q.waiting || held != q.stored {
		p.t.Fatalf("waiting %d, counted %d; %d bytes, counted %d", q.waiting, waiting, q.stored, held)
	}
	if q.pendingFirst+uint64(len(q.pending)) != q.next {
		p.t.Fatalf("pending from %d, %d long, next %d", q.pendingFirst, len(q.pending), q.next)
	}
	if len(q.flight.backlog) > p.cfg.Delivery.Window {
		p.t.Fatalf("%d in flight", len(q.flight.backlog))
	}
	if q.dropped != 0 {
		p.t.Fatalf("%d dropped", q.dropped)
	}
}

func (p *protocol) commit() {
	p.c.settle()
	if err := p.c.commit(time.Now(), false); err != nil {
		p.t.Fatal(err)
	}
}

// TestNothingIsLost lets messages and acknowledgements get lost, repeated and
// out of order, and the process be killed or restarted at any point, and the
// clock be put right. In the end history has every reading, at the time where it
// belongs, and the buffer is empty.
func TestNothingIsLost(t *testing.T) {
	parent := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		folder, err := os.MkdirTemp(parent, "")
		if err != nil {
			t.Fatal(err)
		}
		p := &protocol{t: t, parent: parent, folder: folder, cfg: testConfig(folder), stored: map[int64]bool{}, moved: map[int64]time.Duration{}}
		p.cfg.Delivery.Window = 8
		p.open()
		defer func() {
			_ = p.q.close()
			_ = os.RemoveAll(p.folder)
		}()
		chance := func(what string, percent int) func() bool {
			return func() bool { return rapid.IntRange(0, 99).Draw(t, what) < percent }
		}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(*rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "n") {
					p.append(true)
				}
			},
			"import":      func(*rapid.T) { p.append(false) },
			"publish":     func(*rapid.T) { p.publishLive(chance("lose", 20)) },
			"not sent":    func(*rapid.T) { p.notSent() },
			"drain":       func(*rapid.T) { p.drain(rapid.IntRange(1, 10).Draw(t, "n"), chance("lose", 20)) },
			"acknowledge": func(*rapid.T) { p.acknowledge(chance("ack", 50)) },
			"write tail":  func(*rapid.T) { p.tailSpace = p.q.flushTail(p.c.enc, p.tailSpace) },
			"settle":      func(*rapid.T) { p.c.settle() },
			"commit":      func(*rapid.T) { p.commit() },
			"time-out":    func(*rapid.T) { p.q.expire(time.Now().Add(time.Hour), time.Second) },
			"link":        func(*rapid.T) { p.q.linked(!p.q.online) },
			"clock put right": func(*rapid.T) {
				p.move(time.Duration(rapid.IntRange(-9, 9).Draw(t, "by")) * time.Hour)
			},
			"stop, start": func(*rapid.T) { p.restart() },
			"kill -9":     func(*rapid.T) { p.q.flushTail(p.c.enc, nil); p.kill(false) },
			"power cut":   func(*rapid.T) { p.commit(); p.kill(true) },
			"":            p.check,
		})
		p.finish(chance("lose", 20))
	})
}

func (p *protocol) notSent() {
	select {
	case b := <-p.q.live:
		p.q.notSent(b.Sequence)
	default:
	}
}

func (p *protocol) restart() {
	if err := p.q.close(); err != nil {
		p.t.Fatal(err)
	}
	p.open()
}

// finish lets the link be, at first bad and then good, until nothing waits.
func (p *protocol) finish(bad func() bool) {
	always, lose := func() bool { return true }, bad
	p.q.linked(false)
	p.q.linked(true)
	for n := 0; p.q.waiting > 0; n++ {
		if n > 10_000 {
			p.t.Fatalf("%d readings wait for ever", p.q.waiting)
		}
		if n > 5 {
			lose = func() bool { return false }
		}
		p.publishLive(lose)
		p.q.expire(time.Now().Add(time.Hour), time.Second)
		p.drain(8, lose)
		p.acknowledge(always)
		p.c.settle()
	}
	p.commit()
	for v := range p.made {
		if !p.stored[v] {
			p.t.Fatalf("value %d of %d never came to history", v, p.made)
		}
	}
	if len(p.q.blocks) != 0 || p.q.stored != 0 {
		p.t.Fatalf("%d blocks are left", len(p.q.blocks))
	}
}

func TestSequenceSetAgainstAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s seqSet
		model := map[uint64]bool{}
		number := rapid.Uint64Range(1, 60)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				r := plant.Range{First: number.Draw(t, "first"), Last: number.Draw(t, "last")}
				s.add(r)
				for n := r.First; n <= r.Last; n++ {
					model[n] = true
				}
			},
			"forget": func(t *rapid.T) {
				below := number.Draw(t, "below")
				s.forget(below)
				for n := range below {
					delete(model, n)
				}
			},
			"": func(t *rapid.T) {
				for i := 1; i < len(s); i++ {
					if s[i].First <= s[i-1].Last+1 {
						t.Fatalf("ranges %v", s)
					}
				}
				for n := uint64(1); n <= 62; n++ {
					if s.has(n) != model[n] {
						t.Fatalf("has(%d) in %v", n, s)
					}
				}
				r := plant.Range{First: number.Draw(t, "from")}
				r.Last = r.First + 5
				all, some, missing := true, false, map[uint64]bool{}
				s.missing(r, func(m plant.Range) {
					for n := m.First; n <= m.Last; n++ {
						missing[n] = true
					}
				})
				for n := r.First; n <= r.Last; n++ {
					all, some = all && model[n], some || model[n]
					if missing[n] == model[n] {
						t.Fatalf("%d missing: %v", n, missing[n])
					}
				}
				if s.covers(r) != all || s.meets(r) != some {
					t.Fatalf("%v in %v: covers %v, meets %v", r, s, s.covers(r), s.meets(r))
				}
				free := r.First
				for model[free] {
					free++
				}
				if s.after(r.First) != free {
					t.Fatalf("after(%d) = %d, want %d", r.First, s.after(r.First), free)
				}
			},
		})
	})
}

func TestResendTimeOutGrowsWhileNobodyAcknowledges(t *testing.T) {
	f := flight{backlog: map[uint64]sentOne{}, backoff: 1}
	now := time.Unix(1_790_000_000, 0)
	waited := []string{}
	for range 6 {
		f.sentBacklog(7, 10, now)
		sent := now
		for {
			now = now.Add(time.Second)
			if n, any := f.expire(now, time.Second); any {
				if n != 7 {
					t.Fatalf("expired %d", n)
				}
				break
			}
		}
		waited = append(waited, now.Sub(sent).String())
	}
	if got := fmt.Sprint(waited); got != "[1s 2s 4s 8s 12s 12s]" {
		t.Errorf("waited %s", got)
	}
	f.arrived(nil, 0)
	if f.backoff != 1 || f.readings != 0 {
		t.Errorf("after an acknowledgement: %+v", f)
	}
}

func TestLiveFlight(t *testing.T) {
	var f flight
	f.reset()
	now := time.Unix(1_790_000_000, 0)
	for n := uint64(5); n < 10; n++ {
		f.sentLive(n, now)
	}
	f.sentLive(10, now.Add(time.Second))
	f.unsent(7)
	f.unsent(99)
	for n, want := range map[uint64]uint64{4: 4, 5: 7, 7: 7, 8: 11, 10: 11, 12: 12} {
		if got := f.after(n); got != want {
			t.Errorf("after(%d) = %d, want %d in %v", n, got, want, f.live)
		}
	}
	if lowest, any := f.expire(now.Add(500*time.Millisecond), 400*time.Millisecond); !any || lowest != 5 || len(f.live) != 1 {
		t.Errorf("expired from %d, left %v", lowest, f.live)
	}
}

// A block is acknowledged in full while the committer accounts a part of it.
func TestAcknowledgedWhileAccounting(t *testing.T) {
	h := open(t, testConfig(t.TempDir()))
	defer end(t, h)
	h.fill(t, 0, 20)
	h.acknowledge(plant.Acknowledgement{Through: 10})
	h.store.mu.Lock() // so that settle waits for the block's counts
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		h.c.settle()
	}()
	until(t, "settle at work", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.uncounted) == 0
	})
	h.acknowledge(plant.Acknowledgement{Through: 20})
	h.store.mu.Unlock()
	<-settled
	h.c.settle()
	if h.storedReadings != 2000 || h.waiting != 0 || len(h.blocks) != 0 {
		t.Errorf("stored %d, waiting %d, %d blocks", h.storedReadings, h.waiting, len(h.blocks))
	}
}
