package gateway

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"linetwin/plant"
)

// hold is a buffer with its committer, driven by the test.
type hold struct {
	*buffer
	c *committer
}

func open(t *testing.T, cfg Config) hold {
	t.Helper()
	q, err := openBuffer(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	return hold{q, q.disk}
}

// fill appends n batches of 100 readings, with a commit after each 20.
func (h hold) fill(t *testing.T, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		h.append(hundred(i), false)
		if i%20 == 19 {
			if err := h.c.commit(time.Now(), false); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func hundred(i int) *plant.Batch {
	at := start + plant.Time(i)*plant.Time(time.Second)
	b := &plant.Batch{Machine: "press", Complete: plant.Span{From: at, To: at}}
	rnd := rand.New(rand.NewPCG(uint64(i), 0))
	for range 100 {
		// Texts that do not compress make sizes easy to foresee.
		text := strconv.FormatUint(rnd.Uint64(), 36)
		b.Readings = append(b.Readings, plant.Reading{Machine: "press", Signal: "serial", Time: at, Value: plant.Text(text)})
	}
	return b
}

// drainAll gives the times of all batches that can be read.
func (h hold) drainAll(t *testing.T) (times []plant.Time) {
	t.Helper()
	h.linked(true)
	d := &drainer{publisher: &publisher{buffer: h.buffer, cfg: h.cfg}, pack: h.c.pack}
	for {
		c, ok := h.candidate(1 << 30)
		if !ok {
			return times
		}
		b := &d.batch
		if c.batch != nil {
			b = c.batch
		} else if err := d.load(c); err != nil {
			h.markBad(c.block, err)
			h.c.settle()
			continue
		}
		times = append(times, b.Complete.To)
		h.sent(c.number, 0)
	}
}

func end(t *testing.T, h hold) {
	t.Helper()
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	cfg := testConfig(t.TempDir())
	h := open(t, cfg)
	defer end(t, h)
	_, err := openBuffer(cfg, quiet())
	if err == nil || !strings.Contains(err.Error(), "in use by another process") || !strings.Contains(err.Error(), cfg.Buffer.Folder) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(cfg.Buffer.Folder, "buffer.db.damaged")); err == nil {
		t.Error("a buffer in use was set aside")
	}
}

func TestFolderThatCannotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openBuffer(testConfig(file), quiet()); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file as folder: %v", err)
	}
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := openBuffer(testConfig(folder), quiet()); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("read-only folder: %v", err)
	}
}

// small mounts a file system of a size, or skips the test.
func small(t *testing.T, size string) string {
	t.Helper()
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("mount tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Error(err)
		}
	})
	return folder
}

func TestDiskFullAtStart(t *testing.T) {
	folder := small(t, "16k")
	if _, err := openBuffer(testConfig(folder), quiet()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v", err)
	}
}

func TestReadOnlyDiskAtStart(t *testing.T) {
	folder := small(t, "1m")
	if err := syscall.Mount("", folder, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skip(err)
	}
	if _, err := openBuffer(testConfig(folder), quiet()); !errors.Is(err, syscall.EROFS) {
		t.Errorf("error %v", err)
	}
}

func TestDiskFullWhileRunning(t *testing.T) {
	folder := small(t, "3m")
	wire, source := &fakeWire{}, newSource()
	g := run(t, testConfig(folder), wire, press(source))
	ballast := filepath.Join(folder, "ballast")
	full := func() bool {
		f, err := os.OpenFile(ballast, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return true
		}
		defer f.Close()
		for err == nil {
			_, err = f.Write(make([]byte, 4096))
		}
		return errors.Is(err, syscall.ENOSPC)
	}
	n := int64(0)
	until(t, "alarm", func() bool {
		if !full() {
			t.Fatal("disk is not full")
		}
		source.rounds <- round(n)
		n++
		return g.Status().BufferError != ""
	})
	if s := g.Status().BufferError; !strings.Contains(s, "no space left") {
		t.Errorf("alarm %q", s)
	}
	for range 50 {
		source.rounds <- round(n)
		n++
	}
	until(t, "live goes on", func() bool { return len(wire.batches()) == int(n) })
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	until(t, "recovered", func() bool {
		source.rounds <- round(n)
		n++
		return g.Status().BufferError == ""
	})
	until(t, "made", func() bool { return g.Status().Made == uint64(n) })
	if s := g.Status(); s.Dropped != 0 {
		t.Errorf("dropped %d", s.Dropped)
	}
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	h := open(t, testConfig(folder))
	defer end(t, h)
	if times := h.drainAll(t); len(times) != int(n) {
		t.Errorf("%d of %d batches are on disk", len(times), n)
	}
}

func TestMemoryIsBoundedWhileNothingCanBeWritten(t *testing.T) {
	h := open(t, testConfig(t.TempDir()))
	big := strings.Repeat("x", 30<<10)
	n := 2 * pendingMax / len(big)
	for i := range n {
		at := start + plant.Time(i)*plant.Time(time.Second)
		h.append(&plant.Batch{Machine: "press", Complete: plant.Span{From: at, To: at},
			Readings: []plant.Reading{{Signal: "log", Time: at, Value: plant.Text(big)}}}, true)
	}
	if h.pendingBytes.memory > pendingMax {
		t.Errorf("%d bytes are held", h.pendingBytes.memory)
	}
	var s plant.GatewayStatus
	h.account(&s)
	if s.Dropped == 0 || s.Dropped+s.Waiting != uint64(n) || s.DroppedSpan.From != start ||
		s.DroppedSpan.To != start+plant.Time(s.Dropped-1)*plant.Time(time.Second)+plant.Millisecond {
		t.Errorf("dropped %d (%v), waiting %d of %d", s.Dropped, s.DroppedSpan, s.Waiting, n)
	}
	end(t, h)
}

func TestCapByBytes(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Buffer.MaxBytes = 1 << 20
	h := open(t, cfg)
	h.fill(t, 0, 2000)
	var s plant.GatewayStatus
	h.account(&s)
	if s.BufferBytes > 1<<20 || s.BufferBytes < 1<<19 {
		t.Errorf("%d bytes", s.BufferBytes)
	}
	if s.Dropped == 0 || s.Dropped+s.Waiting != 200_000 || s.DroppedSpan.From != start || s.DroppedSpan.To > s.OldestWaits+plant.Millisecond {
		t.Errorf("dropped %d in %v, waiting %d from %v", s.Dropped, s.DroppedSpan, s.Waiting, s.OldestWaits)
	}
	end(t, h)
	again := open(t, cfg)
	defer end(t, again)
	var after plant.GatewayStatus
	again.account(&after)
	if after.Dropped != s.Dropped || after.DroppedSpan != s.DroppedSpan || after.Waiting != s.Waiting {
		t.Errorf("after a restart dropped %d in %v, waiting %d; before %d, %v, %d",
			after.Dropped, after.DroppedSpan, after.Waiting, s.Dropped, s.DroppedSpan, s.Waiting)
	}
	if times := again.drainAll(t); uint64(len(times))*100 != s.Waiting {
		t.Errorf("%d batches came back, %d readings waited", len(times), s.Waiting)
	}
}

func TestCapByAge(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Buffer.MaxAge = time.Hour
	h := open(t, cfg)
	defer end(t, h)
	h.fill(t, 0, 40)
	if err := h.c.commit(time.Now().Add(2*time.Hour), false); err != nil {
		t.Fatal(err)
	}
	if h.dropped != 4000 || len(h.blocks) != 0 || h.waiting != 0 {
		t.Errorf("dropped %d, %d blocks left", h.dropped, len(h.blocks))
	}
}

func TestCapByFreeDisk(t *testing.T) {
	h := open(t, testConfig(t.TempDir()))
	defer end(t, h)
	h.fill(t, 0, 1000)
	before := h.store.fileSize()
	h.freeSpace = func(string) (int64, bool) { return 0, true }
	h.fill(t, 1000, 1000)
	if after := h.store.fileSize(); after > before {
		t.Errorf("file grew from %d to %d", before, after)
	}
	if h.dropped == 0 || h.waiting == 0 {
		t.Errorf("dropped %d, waiting %d", h.dropped, h.waiting)
	}
}

func TestSmallBlocksAreMerged(t *testing.T) {
	cfg := testConfig(t.TempDir())
	h := open(t, cfg)
	for i := range 500 {
		h.append(&plant.Batch{Machine: "press", Complete: plant.Span{From: start, To: round(int64(i)).Through}, Readings: round(int64(i)).Readings}, false)
		if err := h.c.commit(time.Now(), false); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.blocks) > 2*mergeCount {
		t.Errorf("%d blocks", len(h.blocks))
	}
	end(t, h)
	again := open(t, cfg)
	defer end(t, again)
	times := again.drainAll(t)
	for i, at := range times {
		if at != round(int64(i)).Through {
			t.Fatalf("batch %d is of %v", i, at)
		}
	}
	if len(times) != 500 {
		t.Errorf("%d batches", len(times))
	}
}

func TestDamagedBlockIsSkippedAndCounted(t *testing.T) {
	cfg := testConfig(t.TempDir())
	h := open(t, cfg)
	h.fill(t, 0, 100)
	victim := h.blocks[2]
	value, err := h.store.get(victim.key, nil)
	if err != nil {
		t.Fatal(err)
	}
	value[len(value)/2] ^= 1
	err = h.store.apply(change{put: []*block{victim}, values: [][]byte{value}, counters: counters{next: h.next}})
	if err != nil {
		t.Fatal(err)
	}
	want := plant.Span{From: victim.info.oldest, To: victim.info.newest + plant.Millisecond}
	end(t, h)
	again := open(t, cfg)
	defer end(t, again)
	times := again.drainAll(t)
	if len(times) != 80 {
		t.Errorf("%d batches came back", len(times))
	}
	var s plant.GatewayStatus
	again.account(&s)
	if s.Dropped != 2000 || s.DroppedSpan != want || s.Waiting != 8000 || !strings.Contains(s.BufferError, "damaged") {
		t.Errorf("dropped %d in %v, want %v; %q", s.Dropped, s.DroppedSpan, want, s.BufferError)
	}
}

func TestDamagedFileIsSetAside(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(data []byte) []byte
	}{
		{"not a database", func([]byte) []byte { return []byte("hello") }},
		{"both heads", func(d []byte) []byte { clear(d[:8192]); return d }},
		{"cut behind the heads", func(d []byte) []byte { return d[:8192] }},
		{"noise inside", func(d []byte) []byte {
			for i := 8192; i < len(d); i += 7 {
				d[i] ^= 0xa5
			}
			return d
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig(t.TempDir())
			h := open(t, cfg)
			h.fill(t, 0, 200)
			end(t, h)
			path := filepath.Join(cfg.Buffer.Folder, "buffer.db")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, c.damage(data), 0o600); err != nil {
				t.Fatal(err)
			}
			again := open(t, cfg)
			defer end(t, again)
			if _, err := os.Stat(path + ".damaged"); err != nil {
				t.Error(err)
			}
			var s plant.GatewayStatus
			again.account(&s)
			if !strings.Contains(s.BufferError, "set aside") {
				t.Errorf("alarm %q", s.BufferError)
			}
			again.fill(t, 0, 20)
			if times := again.drainAll(t); len(times) != 20 {
				t.Errorf("%d batches in the new one", len(times))
			}
		})
	}
}

// A file that lost its end, as after a power cut on a bad card, may still have
// its roots. Then what can be read comes back, and the rest is counted.
func TestFileThatLostItsEnd(t *testing.T) {
	for _, left := range []int{2, 4, 8, 16} {
		cfg := testConfig(t.TempDir())
		h := open(t, cfg)
		h.fill(t, 0, 200)
		end(t, h)
		path := filepath.Join(cfg.Buffer.Folder, "buffer.db")
		size := h.store.fileSize()
		if err := os.Truncate(path, size/int64(left)); err != nil {
			t.Fatal(err)
		}
		again := open(t, cfg)
		times := again.drainAll(t)
		var s plant.GatewayStatus
		again.account(&s)
		aside := strings.Contains(s.BufferError, "set aside")
		if !aside && uint64(len(times))*100+s.Dropped != 20_000 {
			t.Errorf("1/%d left: %d batches came back, %d readings dropped", left, len(times), s.Dropped)
		}
		if len(times) < 200 && s.BufferError == "" {
			t.Errorf("1/%d left: no alarm", left)
		}
		again.fill(t, 1000, 20)
		end(t, again)
	}
}

func TestNumbersGoOnWithoutHolesAfterRestart(t *testing.T) {
	cfg := testConfig(t.TempDir())
	h := open(t, cfg)
	h.fill(t, 0, 60)
	h.linked(true)
	// History has the batches 21 to 40 of 60.
	h.acknowledge(plant.Acknowledgement{Beyond: []plant.Range{{First: 21, Last: 40}}})
	h.c.settle()
	end(t, h)
	again := open(t, cfg)
	defer end(t, again)
	if again.first() != 61 || again.next != 101 {
		t.Errorf("first %d, next %d", again.first(), again.next)
	}
	again.append(hundred(60), false)
	if times := again.drainAll(t); len(times) != 41 || times[20] != hundred(40).Complete.To {
		t.Errorf("%d batches: %v", len(times), times)
	}
}

func TestStuckDiskHoldsUpNobody(t *testing.T) {
	wire, source := &fakeWire{}, newSource()
	g := run(t, testConfig(t.TempDir()), wire, press(source))
	source.rounds <- round(0)
	until(t, "first", func() bool { return len(wire.batches()) == 1 })
	// Whoever writes to the tail now hangs, as on a card that died.
	g.buffer.tail.mu.Lock()
	free := sync.OnceFunc(g.buffer.tail.mu.Unlock)
	defer free()
	for n := range int64(50) {
		source.rounds <- round(n + 1)
	}
	until(t, "live", func() bool { return len(wire.batches()) == 51 })
	g.buffer.began(&g.buffer.tailing)
	g.buffer.mu.Lock()
	g.buffer.tailing = g.buffer.tailing.Add(-2 * writeHangs)
	g.buffer.mu.Unlock()
	if s := g.Status(); !strings.Contains(s.BufferError, "has not answered for 10s") {
		t.Errorf("alarm %q", s.BufferError)
	}
	free()
}
