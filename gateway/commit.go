package gateway

import (
	"context"
	"fmt"
	"slices"
	"time"

	"linetwin/plant"
)

// Blocks are merged when this many small ones stand at the end, so that a slow
// plant's week is a few thousand blocks and not one for each second.
const (
	mergeCount = 16
	mergeSmall = 16 << 10 // bytes
	mergeMost  = 64       // blocks at a time
	ageGrain   = 32       // blocks in max_age, at the least, however little they hold
	bridge     = 16       // acknowledged batches that may stand inside a run
	slack      = 64       // bytes that a block costs beside its value
	deleteSoon = 256      // blocks that may be deleted before a commit is due
	stateEvery = time.Minute
)

// writeTail writes what is appended to the tail, at once, until ctx ends. A
// disk that hangs holds up nobody else.
func (q *buffer) writeTail(ctx context.Context) {
	e := newEncoder(nil)
	var records []byte
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.toTail:
			records = q.flushTail(e, records)
		}
	}
}

// flushTail writes everything that is not in the tail yet, and gives back the
// space it used.
func (q *buffer) flushTail(e *encoder, records []byte) []byte {
	var space [tailChunk]entry
	var lengths [tailChunk]int
	q.markSkipped()
	for {
		todo := q.unwritten(space[:0])
		if len(todo) == 0 {
			return records
		}
		records = records[:0]
		for i, one := range todo {
			before := len(records)
			if len(one.odd) > 0 {
				records = appendRecord(records, one.b.Sequence, func(dst []byte) []byte { return appendCounts(append(dst, tailOdd), one.odd) })
			}
			records = appendRecord(records, one.b.Sequence, func(dst []byte) []byte {
				e.reset()
				e.add(one.b, one.kept)
				dst, _ = e.finish(dst)
				return dst
			})
			lengths[i] = len(records) - before
		}
		q.began(&q.tailing)
		q.tailWritten(todo[0].b.Sequence, lengths[:len(todo)], q.tail.write(records))
	}
}

// tailChunk is how many batches go to the tail in one write.
const tailChunk = 256

func (q *buffer) unwritten(to []entry) []entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.written = max(q.written, q.pendingFirst)
	from := int(q.written - q.pendingFirst)
	return append(to, q.pending[from:min(len(q.pending), from+tailChunk)]...)
}

// tailWritten notes that first and the next ones are in the tail, in so many
// bytes each, or never will be: then only the next commit saves them.
func (q *buffer) tailWritten(first uint64, lengths []int, err error) {
	q.mu.Lock()
	q.written, q.tailing = max(q.written, first+uint64(len(lengths))), time.Time{}
	for i, n := range lengths {
		if at := first + uint64(i); at >= q.pendingFirst {
			q.pending[at-q.pendingFirst].size.tail = n
			q.pendingBytes.tail += n
			q.fresh.tail += n
		}
	}
	was := q.tailFault
	q.tailFault = faultText(err)
	late := q.full()
	q.mu.Unlock()
	q.logChange(was, err)
	if err != nil || late {
		poke(q.toDisk)
	}
}

// began notes when a write began, so that one that hangs is seen.
func (q *buffer) began(at *time.Time) {
	q.mu.Lock()
	*at = time.Now()
	q.mu.Unlock()
}

func faultText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// logChange logs that something began to fail, or works again.
func (q *buffer) logChange(was string, err error) {
	switch {
	case was == "" && err != nil:
		q.log.Error("buffer cannot be written; reading and publishing go on from memory", "error", err)
	case was != "" && err == nil:
		q.log.Info("buffer can be written again")
	}
}

// committer alone changes the database and the list of blocks.
type committer struct {
	*buffer
	pack     *packer
	enc      *encoder
	reader   blockReader
	block    []byte
	doomed   []uint64 // keys of blocks that are out of the list but not of the database
	saved    counters
	savedAt  time.Time
	dropping bool // caps are exceeded

	savedMoves uint64
}

func newCommitter(q *buffer) (*committer, error) {
	pack, err := newPacker()
	if err != nil {
		return nil, err
	}
	return &committer{buffer: q, pack: pack, enc: newEncoder(pack)}, nil
}

// commitAll commits each sync interval or as many bytes, and accounts what is
// acknowledged, until ctx ends.
func (q *buffer) commitAll(ctx context.Context) {
	c := q.disk
	tick := time.NewTicker(q.cfg.Buffer.Sync)
	defer tick.Stop()
	for {
		due := false
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			due = true
		case <-q.toDisk:
		}
		c.settle()
		if !due && !c.hurry() {
			continue
		}
		q.began(&q.committing)
		err := c.commit(q.clock(), false)
		q.mu.Lock()
		q.committing = time.Time{}
		was := q.commitFault
		q.commitFault = faultText(err)
		if err == nil {
			q.overflowing = false
		}
		q.mu.Unlock()
		q.logChange(was, err)
		if err != nil {
			sleep(ctx, q.cfg.Buffer.Sync)
		}
	}
}

// hurry tells whether a commit is due before its time.
func (c *committer) hurry() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.full() || c.tailFault != "" && len(c.pending) > 0 || len(c.doomed) >= deleteSoon
}

// commit writes what is pending as blocks, deletes what is acknowledged, and
// drops the oldest above the caps, in one synced transaction. Afterwards the
// tail holds nothing older. Where all was acknowledged before it was due, and
// that is how it should be, nothing is written at all.
func (c *committer) commit(now time.Time, last bool) error {
	report := c.closeReport(now, last)
	err := c.write(now, last, report)
	c.keepReport(report, err)
	return err
}

func (c *committer) write(now time.Time, last bool, report *plant.CountReport) error {
	// The tail's file that is left now holds nothing that pendingRuns does not see.
	unmarked := c.tail.turn(c.mark) != nil

	runs, kept, through := c.pendingRuns()
	maker := blockMaker{enc: c.enc}
	for i := range runs {
		for j, b := range runs[i] {
			maker.add(b, kept[i][j])
		}
		maker.flush()
	}
	put := maker.blocks
	if err := c.makeRoom(c.overCaps(put, now)); err != nil && !isDamage(err) {
		return fmt.Errorf("make room in buffer: %w", err)
	}
	m := c.merge()
	ch := change{
		remove: append([]uint64(nil), c.doomed...), put: append(m.put, put...),
		values: append(m.values, maker.values...), counters: c.countersAfter(nil, through),
	}
	for _, b := range m.old {
		ch.remove = append(ch.remove, b.key)
	}
	ch.counts = c.countsChange(report, nil)
	if len(ch.remove)+len(ch.put) > 0 || report != nil || unmarked || last && len(ch.counts.told) > 0 || ch.counters.dropped != c.saved.dropped ||
		ch.counts.moves != c.savedMoves || ch.counters.next != c.saved.next && (last || now.Sub(c.savedAt) >= stateEvery) {
		c.setLeaving(m.old, true)
		err := c.store.apply(ch)
		if isDamage(err) {
			m, err = merging{}, c.renew(err, change{put: put, values: maker.values, counters: ch.counters, counts: ch.counts})
		}
		if err != nil {
			c.setLeaving(m.old, false)
			return fmt.Errorf("commit buffer: %w", err)
		}
		c.saved, c.savedAt, c.doomed = ch.counters, now, c.doomed[:0]
		c.savedMoves = ch.counts.moves
		c.mu.Lock()
		c.book.deleted()
		c.mu.Unlock()
	}
	c.committed(through, put, m, runs)
	return c.tail.clear()
}

// pendingRuns gives the pending batches that are not acknowledged, in runs of
// consecutive numbers, and the next number behind them. A few acknowledged
// ones inside a run are kept: that is cheaper than many blocks.
func (c *committer) pendingRuns() (runs [][]*plant.Batch, kept [][]plant.Time, next uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fresh = size{}
	last := -1 // index of the last batch taken
	for i := range c.pending {
		e := &c.pending[i]
		if e.done {
			continue
		}
		n := len(runs) - 1
		if last < 0 || i-last > bridge {
			runs, kept, n = append(runs, nil), append(kept, nil), n+1
			last = i - 1
		}
		for j := last + 1; j <= i; j++ {
			runs[n], kept[n] = append(runs[n], c.pending[j].b), append(kept[n], c.pending[j].kept)
		}
		last = i
	}
	return runs, kept, c.next
}

// blockMaker makes blocks of batches with consecutive numbers.
type blockMaker struct {
	enc    *encoder
	blocks []*block
	values [][]byte
	counts []int
	first  uint64
}

func (m *blockMaker) add(b *plant.Batch, kept plant.Time) {
	if len(m.counts) == 0 {
		m.enc.reset()
		m.first = b.Sequence
	}
	m.enc.add(b, kept)
	m.counts = append(m.counts, len(b.Readings))
	if m.enc.size() >= blockTarget {
		m.flush()
	}
}

// flush ends a block; the next batch may have any number.
func (m *blockMaker) flush() {
	if len(m.counts) == 0 {
		return
	}
	value, info := m.enc.finish(nil)
	m.values = append(m.values, value)
	m.blocks = append(m.blocks, &block{
		key: m.first, first: m.first, info: info, bytes: len(value) + slack,
		waiting: info.readings, counts: slices.Clone(m.counts),
	})
	m.counts = m.counts[:0]
}

// setLeaving marks blocks that the commit under way takes out.
func (c *committer) setLeaving(blocks []*block, leaving bool) {
	c.mu.Lock()
	for _, b := range blocks {
		b.leaving = leaving
	}
	c.mu.Unlock()
	poke(c.toSend)
}

// countersAfter gives the counters as they are once victims are dropped.
func (c *committer) countersAfter(victims []*block, next uint64) counters {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := counters{next: next, dropped: c.dropped, span: c.span}
	for _, b := range victims {
		s.dropped += uint64(b.waiting)
		s.span = spanWith(s.span, b.waiting, b.info)
	}
	return s
}

// committed brings the memory in line with what the database now holds: put
// came from pending, m replaced blocks.
func (c *committer) committed(next uint64, put []*block, m merging, runs [][]*plant.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(m.old) > 0 {
		c.takeOut(m.old)
		c.putIn(m.put)
	}
	for _, b := range put {
		c.accountNew(b, runs)
	}
	c.putIn(put)
	for len(c.pending) > 0 && c.pendingFirst < next {
		c.pop()
	}
	c.acks.forget(c.lowest())
	c.uncounted.forget(c.lowest())
	if c.online {
		poke(c.toSend)
	}
}

// accountNew finds what of a block that came from memory still waits. What
// memory had to drop while the commit was under way, the disk has after all.
func (c *committer) accountNew(b *block, runs [][]*plant.Batch) {
	b.waiting = 0
	for i, readings := range b.counts {
		n := b.first + uint64(i)
		if c.acks.has(n) && !c.uncounted.has(n) {
			continue
		}
		b.waiting += readings
		if n < c.pendingFirst {
			c.dropped -= uint64(readings)
			c.waiting += uint64(readings)
			c.book.restore(c.placeLocked(numbered(runs, n)))
		}
	}
	if !c.acks.meets(b.numbers()) {
		b.counts = nil
	} else if c.acks.covers(b.numbers()) {
		c.ackedBlocks = true
		poke(c.toDisk)
	}
}
