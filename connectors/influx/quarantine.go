package influx

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"linetwin/plant"
)

const (
	quarantineKept = 1000     // readings in memory
	quarantineFile = 64 << 20 // bytes of the file, from which a new one is begun; one old one is kept
)

// quarantine is where readings go that the database refuses for good.
type quarantine struct {
	path  string
	log   *slog.Logger
	count atomic.Int64

	mu     sync.Mutex
	ring   []plant.Refused // oldest at next once it is full
	next   int
	file   *os.File
	size   int64
	failed bool // the file cannot be written, and was complained of
}

func (q *quarantine) add(r plant.Refused) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count.Add(1) == 1 {
		q.log.Warn("influxdb refuses readings, see its quarantine", "machine", r.Machine, "signal", r.Signal, "why", r.Why)
	}
	if len(q.ring) < quarantineKept {
		q.ring = append(q.ring, r)
	} else {
		q.ring[q.next] = r
		q.next = (q.next + 1) % quarantineKept
	}
	if q.path == "" {
		return
	}
	err := q.append(r)
	if err != nil && !q.failed {
		q.log.Error("refused readings cannot be kept in a file", "error", err)
	}
	q.failed = err != nil
}

// append writes a line of JSON.
func (q *quarantine) append(r plant.Refused) error {
	if q.file != nil && q.size >= quarantineFile {
		err := errors.Join(q.file.Close(), os.Rename(q.path, q.path+".1"))
		q.file = nil
		if err != nil {
			return err
		}
	}
	if q.file == nil {
		if err := os.MkdirAll(filepath.Dir(q.path), 0o750); err != nil {
			return err
		}
		f, err := os.OpenFile(q.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			return errors.Join(err, f.Close())
		}
		q.file, q.size = f, info.Size()
	}
	if f := r.Value.Float(); f-f != 0 { // JSON has neither NaN nor infinities
		r.Value = plant.Text(r.Value.String())
	}
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode a refused reading: %w", err)
	}
	n, err := q.file.Write(append(line, '\n'))
	q.size += int64(n)
	return err
}

// last gives the latest refused readings, the latest first.
func (q *quarantine) last(limit int) []plant.Refused {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := append(slices.Clone(q.ring[q.next:]), q.ring[:q.next]...)
	slices.Reverse(all)
	return all[:min(limit, len(all))]
}

func (q *quarantine) close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.file == nil {
		return nil
	}
	err := q.file.Close()
	q.file = nil
	return err
}
