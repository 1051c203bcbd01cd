package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"linetwin/plant"
)

const is32bit = strconv.IntSize == 32

// openBuffer opens the buffer's folder, takes over what a process before left
// in the tail, and numbers everything that is held anew, without holes, after
// the last number that was given: acknowledgements of earlier sessions may
// have left holes, and a receiver could not know that nothing is missing.
func openBuffer(cfg Config, log *slog.Logger) (*buffer, error) {
	folder := cfg.Buffer.Folder
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return nil, fmt.Errorf("make buffer folder: %w", err)
	}
	store, c, blocks, notice, err := openStore(folder, log)
	if err != nil {
		return nil, err
	}
	tail, records, torn, err := openTail(folder)
	if err != nil {
		return nil, errors.Join(err, store.close())
	}
	q := &buffer{
		cfg: cfg, log: log, store: store, tail: tail, blocks: blocks,
		live: make(chan *plant.Batch, liveQueue), toTail: make(chan struct{}, 1),
		toDisk: make(chan struct{}, 1), toSend: make(chan struct{}, 1), toTell: make(chan struct{}, 1),
		clock: time.Now, steady: func() bool { return true },
		book:      newBook(plant.At(time.Now())),
		freeSpace: freeDisk, dropped: c.dropped, span: c.span,
		flight: flight{backlog: map[uint64]sentOne{}, backoff: 1},
	}
	if notice != "" {
		q.tell("%s", notice)
	}
	if torn > 0 {
		log.Warn("tail of the buffer was torn, as after a power cut", "bytes", torn)
	}
	if q.disk, err = newCommitter(q); err == nil {
		err = q.takeOver(c, records)
	}
	if err != nil {
		return nil, errors.Join(err, store.close(), tail.close())
	}
	if len(q.blocks) > 0 {
		log.Info("buffer holds readings that history does not have yet", "readings", q.waiting, "bytes", q.stored)
	}
	return q, nil
}

// takeOver numbers the blocks, and makes blocks of the tail's records.
func (q *buffer) takeOver(c counters, records []tailRecord) error {
	slices.SortStableFunc(records, func(a, b tailRecord) int { return cmp.Compare(a.number, b.number) })
	next := c.next
	for _, r := range records {
		if r.mark() {
			next = max(next, r.number)
		} else {
			next = max(next, r.number+1)
		}
	}
	for _, b := range q.blocks {
		b.first = next
		next = b.numbers().Last + 1
		q.stored += int64(b.bytes)
		q.waiting += uint64(b.waiting)
	}
	placed, err := q.recount(records)
	if err != nil {
		return err
	}
	batches, kept, was := q.readTail(q.disk.pack, records, c.next, next)
	q.placeAgain(placed, was, next)
	next += uint64(len(batches))
	q.pendingFirst = next
	m := blockMaker{enc: q.disk.enc}
	for i, b := range batches {
		m.add(b, kept[i])
	}
	m.flush()
	ch := change{put: m.blocks, values: m.values}
	for _, b := range ch.put {
		q.stored += int64(b.bytes)
		q.waiting += uint64(b.waiting)
	}
	q.blocks = append(q.blocks, ch.put...)
	ch.counters = counters{next: next, dropped: q.dropped, span: q.span}
	ch.counts.state = q.countsNow(next, nil)
	err = q.store.apply(ch)
	if isDamage(err) {
		err = q.disk.renew(err, ch)
	}
	if err != nil {
		return fmt.Errorf("write buffer %s: %w", q.store.path, err)
	}
	q.disk.saved, q.disk.savedAt = ch.counters, time.Now()
	q.next, q.pendingFirst, q.written, q.scan = next, next, next, 0
	q.apart = next
	for _, b := range q.blocks {
		b.counts = nil
		if b.bad {
			q.badBlocks = true
			poke(q.toDisk)
		}
	}
	return q.tail.clearAll()
}

// readTail gives the batches of records that were not committed, numbered from
// first on, and which numbers they had.
func (q *buffer) readTail(pack *packer, records []tailRecord, committed, first uint64) (batches []*plant.Batch, kept []plant.Time, was []uint64) {
	var r blockReader
	for _, rec := range records {
		if rec.block == nil || rec.number < committed {
			continue
		}
		b := &plant.Batch{}
		err := openBlock(&r, pack, rec.block)
		if err == nil {
			_, err = r.next(b)
		}
		if err != nil {
			q.log.Error("record of the buffer's tail cannot be read and is skipped", "number", rec.number, "error", err)
			q.dropped += uint64(max(r.info.readings, 1))
			continue
		}
		b.Area, b.Gateway = q.cfg.Area, q.cfg.Gateway
		b.Sequence = first + uint64(len(batches))
		batches = append(batches, b)
		kept = append(kept, r.info.kept)
		was = append(was, rec.number)
	}
	return batches, kept, was
}

// close commits what is left, if it can, and lets the folder go. Nobody else
// works on the buffer any more.
func (q *buffer) close() error {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	var errs []error
	q.disk.settle()
	err := q.disk.commit(q.clock(), true)
	if err == nil {
		err = q.tail.clearAll()
	} else {
		// The tail may be on a better part of the disk.
		q.flushTail(newEncoder(nil), nil)
	}
	if err != nil {
		errs = append(errs, fmt.Errorf("write buffer at the end: %w", err))
	}
	return errors.Join(append(errs, q.tail.close(), q.store.close())...)
}

// newestIn gives the newest time at which a process before wrote to the
// buffer's folder, by its clock; 0 for none.
func newestIn(folder string) (newest plant.Time) {
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		return 0
	}
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && info.Mode().IsRegular() {
			newest = max(newest, plant.At(info.ModTime()))
		}
	}
	return newest
}
