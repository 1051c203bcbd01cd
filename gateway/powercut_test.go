package gateway

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"linetwin/plant"
)

// pageSize is what a disk keeps or loses as one.
const pageSize = 4096

// synced is what a power cut leaves for certain: the database as it was when the
// last commit had been synced. Everything that was written since may be there,
// in part, in any order, or not at all.
type synced struct {
	database []byte
	before   int // readings that were appended by then
}

// afterCut makes a folder as it may be after a power cut: the database as it was
// synced, or as it is, for that was not synced yet; of the tails, which never
// are, each page is as it is, as zeros, or, at the end, gone.
func afterCut(t *rapid.T, from, to string, s synced) {
	if err := os.MkdirAll(to, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, "buffer.db"), s.database, 0o600); err != nil {
		t.Fatal(err)
	}
	seed := rapid.Uint64().Draw(t, "pages")
	rnd := rand.New(rand.NewPCG(seed, 0))
	for _, name := range []string{"tail-0", "tail-1"} {
		raw, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(raw); at += pageSize {
			if rnd.IntN(3) == 0 {
				clear(raw[at:min(at+pageSize, len(raw))])
			}
		}
		if rnd.IntN(2) == 0 {
			raw = raw[:rnd.IntN(len(raw)+1)]
		}
		if err := os.WriteFile(filepath.Join(to, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// tear makes the database one that was being committed: some pages are written
// already, but not the one that makes them count, which is synced after them.
func tear(t *rapid.T, folder string, was, is []byte) {
	rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "written pages"), 0))
	torn := make([]byte, max(len(was), len(is)))
	copy(torn, was)
	for at := 2 * pageSize; at < len(is); at += pageSize {
		if rnd.IntN(2) == 0 {
			copy(torn[at:at+pageSize], is[at:])
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "buffer.db"), torn, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestPowerCut cuts the power at any moment. What was synced is all there, and
// what was not is never more than the settings allow; nothing that was not
// written comes up, and nothing twice in other words.
func TestPowerCut(t *testing.T) {
	parent := t.TempDir()
	most := 0
	rapid.Check(t, func(t *rapid.T) {
		folder, err := os.MkdirTemp(parent, "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(folder)
		cfg := testConfig(filepath.Join(folder, "buffer"))
		cfg.Buffer.SyncBytes = 64 << 10
		q, err := openBuffer(cfg, quiet())
		if err != nil {
			t.Fatal(err)
		}
		var space []byte
		last := synced{readDatabase(t, cfg), 0}
		made, tailed := 0, 0
		for range rapid.IntRange(1, 200).Draw(t, "batches") {
			q.append(hundred(made), false)
			made++
			if rapid.IntRange(0, 3).Draw(t, "written") > 0 {
				continue
			}
			// As writeTail and commitAll do: the commit is due by bytes or by time.
			space = q.flushTail(q.disk.enc, space)
			tailed = q.pendingBytes.tail
			if q.disk.hurry() || rapid.IntRange(0, 30).Draw(t, "second passed") == 0 {
				if err := q.disk.commit(time.Now(), false); err != nil {
					t.Fatal(err)
				}
				last, tailed = synced{readDatabase(t, cfg), made}, 0
			}
		}
		cut := filepath.Join(folder, "cut")
		afterCut(t, cfg.Buffer.Folder, cut, last)
		if tailed >= int(cfg.Buffer.SyncBytes) {
			t.Fatalf("%d bytes are not synced, allowed are less than %d", tailed, cfg.Buffer.SyncBytes)
		}
		if rapid.Bool().Draw(t, "amid a commit") {
			if err := q.disk.commit(time.Now(), false); err != nil {
				t.Fatal(err)
			}
			tear(t, cut, last.database, readDatabase(t, cfg))
		}
		if err := q.close(); err != nil {
			t.Fatal(err)
		}
		cfg.Buffer.Folder = cut
		lost := survived(t, cfg, last.before, made)
		most = max(most, lost)
	})
	t.Logf("a cut cost up to %d batches of 100 readings", most)
}

func readDatabase(t *rapid.T, cfg Config) []byte {
	f, err := os.Open(filepath.Join(cfg.Buffer.Folder, "buffer.db"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return raw
}

// survived opens what a cut left and gives how many batches are gone. The first
// so many were synced and must be there.
func survived(t *rapid.T, cfg Config, synced, made int) (lost int) {
	q, err := openBuffer(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	q.linked(true)
	d := &drainer{publisher: &publisher{buffer: q, cfg: cfg}, pack: q.disk.pack}
	seen := make([]bool, made)
	for {
		c, ok := q.candidate(1 << 30)
		if !ok {
			break
		}
		if err := d.load(c); err != nil {
			t.Fatalf("block after a cut: %v", err)
		}
		i := int((d.batch.Complete.To - start) / plant.Time(time.Second))
		if i < 0 || i >= made || seen[i] {
			t.Fatalf("batch %d came up of %d, or twice", i, made)
		}
		want := hundred(i)
		want.Sequence = d.batch.Sequence
		if !same(want, &d.batch) {
			t.Fatalf("batch %d came up as another", i)
		}
		seen[i] = true
		q.sent(c.number, 0)
	}
	for i, there := range seen {
		if !there && i < synced {
			t.Fatalf("batch %d was synced and is gone", i)
		}
		if !there {
			lost++
		}
	}
	var s plant.GatewayStatus
	q.account(&s)
	if s.Dropped != 0 || s.BufferError != "" {
		t.Fatalf("dropped %d, %s", s.Dropped, s.BufferError)
	}
	if err := q.close(); err != nil {
		t.Fatal(err)
	}
	return lost
}
