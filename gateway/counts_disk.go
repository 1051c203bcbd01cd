package gateway

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"go.etcd.io/bbolt"

	"linetwin/plant"
)

// countsChange is what a transaction does to the counts.
type countsChange struct {
	state  []byte // nil: as it is
	key    uint64 // of report
	report []byte // nil: none
	told   []uint64
	moves  uint64 // that state knows of
}

func (c *countsChange) apply(tx *bbolt.Tx) error {
	reports := tx.Bucket([]byte(bucketCounts))
	for _, key := range c.told {
		if err := reports.Delete(bigEndian(key)); err != nil {
			return fmt.Errorf("delete report: %w", err)
		}
	}
	if c.report != nil {
		if err := reports.Put(bigEndian(c.key), c.report); err != nil {
			return fmt.Errorf("put report: %w", err)
		}
	}
	if c.state == nil {
		return nil
	}
	return tx.Bucket([]byte(bucketState)).Put([]byte(keyCounts), c.state)
}

// counts gives the counts of the database, and the keys of its reports.
func (s *store) counts() (state countsState, keys []uint64, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	err = guarded(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			err := tx.Bucket([]byte(bucketCounts)).ForEach(func(k, _ []byte) error {
				if len(k) == 8 {
					keys = append(keys, binary.BigEndian.Uint64(k))
				}
				return nil
			})
			if v := tx.Bucket([]byte(bucketState)).Get([]byte(keyCounts)); v != nil && err == nil {
				state, err = readCountsState(v)
			}
			return err
		})
	})
	return state, keys, err
}

// report reads a report.
func (s *store) report(key uint64) (r plant.CountReport, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	err = guarded(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			v := tx.Bucket([]byte(bucketCounts)).Get(bigEndian(key))
			if v == nil {
				return damaged("report is missing")
			}
			r, err = decodeReport(v)
			return err
		})
	})
	return r, err
}

// countsNow encodes what is open, and lost besides. The caller holds mu.
func (q *buffer) countsNow(counted uint64, lost *losses) []byte {
	k := &q.book
	s := countsState{counted: counted, since: k.since, rows: k.rows(), gaps: k.gapList(), cuts: k.cuts}
	if r := k.closing; r != nil {
		s.since, s.rows, s.gaps = r.From, append(s.rows, r.Counts...), append(s.gaps, r.Gaps...)
	}
	if lost != nil {
		s.rows, s.gaps = append(s.rows, lost.rows...), append(s.gaps, lost.gaps...)
	}
	s.rows = merged(s.rows)
	s.placing = q.placingNow()
	return s.encode()
}

// mark gives what the tail's mark says: what is counted below a number.
func (q *buffer) mark() (next uint64, counts []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.next, q.countsNow(q.next, nil)
}

// markSkipped writes a mark where batches were acknowledged before they came to
// the tail, which has to count them all the same, and where times moved.
func (q *buffer) markSkipped() {
	q.mu.Lock()
	skipped := q.written < q.pendingFirst || q.untold
	q.untold = false
	q.mu.Unlock()
	if skipped {
		next, counts := q.mark()
		_ = q.tail.write(appendMark(nil, next, counts)) // a later mark says it too
	}
}

// closeReport makes a report of what is open, if one is due.
func (c *committer) closeReport(now time.Time, last bool) *plant.CountReport {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, at := &c.book, plant.At(now)
	if !k.due(at, c.hold == 0) && !(last && k.moved) {
		return nil
	}
	k.closing = k.close(at)
	return k.closing
}

// countsChange gives what the transaction that keeps a report does, or one that
// loses something.
func (c *committer) countsChange(report *plant.CountReport, lost *losses) (ch countsChange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := &c.book
	if report != nil {
		k.closing = nil
		if over := len(k.waiting) + 1 - countReports; over > 0 {
			k.lost += uint64(over)
			k.told, k.waiting = append(k.told, k.waiting[:over]...), k.waiting[over:]
		}
		ch.key, ch.report = k.next, encodeReport(report)
	}
	if lost == nil {
		k.deleting, ch.told = len(k.told), slices.Clone(k.told)
	}
	ch.state, ch.moves = c.countsNow(c.next, lost), c.moves
	return ch
}

// deleted notes that confirmed reports are out of the database. The caller holds
// mu.
func (k *book) deleted() {
	k.told, k.deleting = k.told[k.deleting:], 0
}

// keepReport notes that a report is in the database, or was not written.
func (c *committer) keepReport(report *plant.CountReport, err error) {
	if report == nil {
		return
	}
	c.mu.Lock()
	k := &c.book
	k.closing = nil
	if err != nil {
		k.reopen(report)
	} else {
		k.waiting, k.next = append(k.waiting, k.next), k.next+1
	}
	c.mu.Unlock()
	poke(c.toTell)
}

// losses gives what is lost when blocks are dropped: their batches that are not
// acknowledged.
func (c *committer) losses(blocks []*block) *losses {
	l := &losses{}
	for _, b := range blocks {
		if err := c.loseBlock(b, l); err != nil {
			l.unreadable(b.waiting, b.info)
		}
	}
	return l
}

func (c *committer) loseBlock(b *block, l *losses) error {
	if err := c.read(b); err != nil {
		return err
	}
	var part losses
	var batch plant.Batch
	for n := b.first; ; n++ {
		more, err := c.reader.next(&batch)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		c.mu.Lock()
		stored := c.acks.has(n)
		c.mu.Unlock()
		if !stored {
			batch.Sequence = n
			part.batch(c.place(&batch))
		}
	}
	l.join(&part)
	return nil
}

func (l *losses) join(o *losses) {
	l.rows = merged(append(l.rows, o.rows...))
	for i := range o.gaps {
		l.gap(o.gaps[i])
	}
	for machine, c := range o.cuts {
		l.cut(machine, c)
	}
}

// numbered gives a batch of runs of consecutive numbers.
func numbered(runs [][]*plant.Batch, n uint64) *plant.Batch {
	i := sort.Search(len(runs), func(i int) bool { return runs[i][len(runs[i])-1].Sequence >= n })
	return runs[i][n-runs[i][0].Sequence]
}

// recount brings the counts to where the process before left them: as the
// database or the tail's mark has them, whichever is newer, and the batches
// that came after it. It gives how what they counted is placed.
func (q *buffer) recount(records []tailRecord) (placingState, error) {
	k := &q.book
	state, keys, err := q.store.counts()
	if err != nil && !errors.Is(err, errCodec) {
		return placingState{}, fmt.Errorf("read counts of buffer %s: %w", q.store.path, err)
	}
	if err != nil {
		q.log.Error("counts of the buffer cannot be read: readings of the last minutes are in no audit", "error", err)
		k.lost++
	}
	k.waiting = keys
	if n := len(keys); n > 0 {
		k.next = keys[n-1] + 1
	}
	odd := map[uint64][]plant.Count{}
	for _, r := range records {
		if r.odd != nil {
			c := cursor{b: r.odd}
			odd[r.number] = readCounts(&c)
		}
		if r.counts == nil || r.number < state.counted {
			continue
		}
		newer, err := readCountsState(r.counts)
		if err == nil && (r.number > state.counted || newer.placing.moves > state.placing.moves) {
			state = newer
		}
	}
	k.add(state.rows)
	for i := range state.gaps {
		k.widen(&state.gaps[i])
	}
	for machine, c := range state.cuts {
		k.cuts[machine] = c
	}
	if state.since != 0 {
		k.since = state.since
	}
	var r blockReader
	var b plant.Batch
	for _, rec := range records {
		if rec.block == nil || rec.number < state.counted || openBlock(&r, q.disk.pack, rec.block) != nil {
			continue
		}
		if _, err := r.next(&b); err == nil {
			k.add(made(&b))
			k.add(odd[rec.number])
		}
	}
	return state.placing, nil
}
