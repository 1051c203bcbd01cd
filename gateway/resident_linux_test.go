package gateway

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

// mapped gives how many bytes of a file that is mapped are in this process.
func mapped(t *testing.T, file string) (bytes int) {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	ours, found := false, false
	for line := range strings.Lines(string(raw)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch {
		case strings.HasSuffix(strings.TrimSpace(line), file):
			ours, found = true, true
		case strings.Contains(key, "-"): // the next mapping's addresses
			ours = false
		case ours && key == "Rss":
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			bytes += kib << 10
		}
	}
	if !found {
		t.Fatalf("%s is not mapped", file)
	}
	return bytes
}

// TestBacklogDoesNotStayInMemory reads a backlog from its beginning to its end.
func TestBacklogDoesNotStayInMemory(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Buffer.MaxBytes = 1 << 30
	h := open(t, cfg)
	text, rnd := make([]byte, 30<<10), rand.New(rand.NewPCG(1, 2))
	const batches = 1200
	for i := range batches {
		for j := range text {
			text[j] = byte(' ' + rnd.IntN(95))
		}
		at := start + plant.Time(i)*plant.Time(time.Second)
		h.append(&plant.Batch{Machine: "press", Complete: plant.Span{From: at, To: at},
			Readings: []plant.Reading{{Machine: "press", Signal: "log", Time: at, Value: plant.Text(string(text))}}}, false)
		if i%200 == 199 {
			if err := h.c.commit(time.Now(), false); err != nil {
				t.Fatal(err)
			}
		}
	}
	end(t, h)
	h = open(t, cfg)
	defer end(t, h)
	if n := len(h.drainAll(t)); n != batches {
		t.Fatalf("%d of %d batches", n, batches)
	}
	file := filepath.Join(cfg.Buffer.Folder, "buffer.db")
	if n := mapped(t, file); n > 2*residentMost {
		t.Errorf("%d of %d bytes stay in memory", n, h.stored)
	}
}
