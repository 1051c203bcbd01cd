package gateway

import (
	"fmt"
	"slices"
	"time"

	"linetwin/plant"
)

// settle accounts the acknowledged numbers of blocks, takes fully acknowledged
// blocks out of the list, and drops those that cannot be read.
func (c *committer) settle() {
	c.mu.Lock()
	todo, all := c.uncounted, c.ackedBlocks
	c.uncounted, c.ackedBlocks = nil, false
	c.mu.Unlock()
	var done []*block
	for _, r := range todo {
		// Only this goroutine changes the list.
		for _, b := range c.blocks[c.findBlock(r.First):] {
			if b.first > r.Last {
				break
			}
			n := b.numbers()
			c.countAcked(b, plant.Range{First: max(r.First, n.First), Last: min(r.Last, n.Last)})
			done = append(done, b)
		}
	}
	if all {
		done = append(done, c.blocks...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// What was acknowledged while this ran is counted the next time.
	done = slices.DeleteFunc(done, func(b *block) bool {
		return !c.acks.covers(b.numbers()) || c.uncounted.meets(b.numbers())
	})
	if c.badBlocks {
		c.badBlocks = false
		done = append(done, c.dropBad()...)
	}
	for _, b := range done {
		c.doomed = append(c.doomed, b.key)
	}
	c.takeOut(done)
	c.acks.forget(c.lowest())
}

// countAcked accounts the batches r of b as stored.
func (c *committer) countAcked(b *block, r plant.Range) {
	readings := b.info.readings
	if r != b.numbers() {
		if b.counts == nil && !c.loadCounts(b) {
			return
		}
		readings = 0
		for _, n := range b.counts[r.First-b.first : r.Last-b.first+1] {
			readings += n
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b.waiting -= readings
	c.waiting -= uint64(readings)
	c.storedReadings += uint64(readings)
}

// loadCounts reads how many readings each batch of a block has.
func (c *committer) loadCounts(b *block) bool {
	if err := c.read(b); err != nil {
		c.markBad(b, err)
		return false
	}
	b.counts = slices.Clone(c.reader.counts)
	return true
}

// read opens a block in the committer's reader.
func (c *committer) read(b *block) (err error) {
	if c.block, err = c.store.get(b.key, c.block); err != nil {
		return err
	}
	return openSame(&c.reader, c.pack, c.block, b)
}

// openSame opens a block and checks that it is what the list says.
func openSame(r *blockReader, p *packer, value []byte, b *block) error {
	if err := openBlock(r, p, value); err != nil {
		return err
	}
	if r.info.batches != b.info.batches || r.info.readings != b.info.readings {
		return damaged("%d batches, %d readings, want %d, %d", r.info.batches, r.info.readings, b.info.batches, b.info.readings)
	}
	return nil
}

// markBad notes that a block cannot be read; the committer will drop it.
func (q *buffer) markBad(b *block, err error) {
	q.mu.Lock()
	first := !b.bad
	b.bad, q.badBlocks = true, true
	if first {
		q.tell("block of %d readings from %s to %s is damaged and skipped", b.waiting, b.info.oldest, b.info.newest)
	}
	q.mu.Unlock()
	if first {
		q.log.Error("block of the buffer is damaged and skipped", "error", err, "readings", b.info.readings,
			"from", b.info.oldest, "to", b.info.newest)
	}
	poke(q.toDisk)
}

// dropBad accounts the blocks that cannot be read. Where not even their size is
// known they count as one reading: it is not nothing. The caller holds mu.
func (c *committer) dropBad() []*block {
	var bad []*block
	for _, b := range c.blocks {
		if !b.bad {
			continue
		}
		bad = append(bad, b)
		if b.info.batches == 0 {
			c.dropped++
		}
		c.drop(b.waiting, b.info)
		var lost losses
		lost.unreadable(b.waiting, b.info)
		c.book.lose(&lost)
	}
	return bad
}

// renew begins an empty database in place of a damaged one and writes ch to it.
// The blocks of the old one are lost, but not those of ch.
func (c *committer) renew(damage error, ch change) error {
	notice, err := c.store.renew(damage, c.log)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.tell("%s", notice)
	for _, b := range c.blocks {
		b.bad = !slices.Contains(ch.put, b)
	}
	c.doomed = nil
	c.takeOut(c.dropBad())
	c.badBlocks = false
	ch.remove, ch.counters.dropped, ch.counters.span = nil, c.dropped, c.span
	c.book.lost += uint64(len(c.book.waiting))
	c.book.waiting, c.book.told, c.book.deleting = nil, nil, 0
	c.mu.Unlock()
	return c.store.apply(ch)
}

// takeOut takes blocks out of the list. The caller holds mu.
func (c *committer) takeOut(gone []*block) {
	if len(gone) == 0 {
		return
	}
	out := make(map[*block]bool, len(gone))
	for _, b := range gone {
		if !out[b] {
			out[b] = true
			c.stored -= int64(b.bytes)
		}
	}
	c.blocks = slices.DeleteFunc(c.blocks, func(b *block) bool { return out[b] })
}

// putIn appends blocks to the list. The caller holds mu.
func (c *committer) putIn(blocks []*block) {
	c.blocks = append(c.blocks, blocks...)
	for _, b := range blocks {
		c.stored += int64(b.bytes)
	}
}

// overCaps gives the blocks, oldest first, that must go for put to come.
func (c *committer) overCaps(put []*block, now time.Time) []*block {
	limit := int64(c.cfg.Buffer.MaxBytes)
	why := "max_bytes"
	if free, ok := c.freeSpace(c.cfg.Buffer.Folder); ok && free < int64(c.cfg.Buffer.MinFreeDisk) {
		// The file never shrinks. What is freed inside it takes what comes, if
		// enough is free that a run of pages is found.
		if room := c.store.fileSize() / 2; room < limit {
			limit, why = room, "min_free_disk"
		}
	}
	oldest := plant.At(now.Add(-c.cfg.Buffer.MaxAge))
	old := c.steady()
	total := c.stored
	for _, b := range put {
		total += int64(b.bytes)
	}
	var victims []*block
	for i, b := range c.blocks {
		aged := old && c.newestKept(i, put) < oldest && b.info.kept.Std().Unix() > readingsStamp
		if total <= limit && !aged {
			break
		}
		if aged && total <= limit {
			why = "max_age"
		}
		victims = append(victims, b)
		total -= int64(b.bytes)
	}
	c.logDropping(len(victims) > 0, why)
	return victims
}

// newestKept gives a time before which all of a block had come: a block of many
// hours must not be dropped for its first one. A block knows its oldest batch;
// the one behind it came later than all of it.
func (c *committer) newestKept(i int, put []*block) plant.Time {
	next := c.blocks[i].info.kept // the last one has nobody behind it
	switch {
	case i+1 < len(c.blocks):
		next = c.blocks[i+1].info.kept
	case len(put) > 0:
		next = put[0].info.kept
	}
	return max(next, c.blocks[i].info.kept)
}

// makeRoom drops victims in a transaction of its own, since the pages of what a
// transaction deletes are free only for the next one.
func (c *committer) makeRoom(victims []*block) error {
	if len(victims) == 0 {
		return nil
	}
	c.setLeaving(victims, true)
	lost := c.losses(victims)
	ch := change{counters: c.countersAfter(victims, c.saved.next), counts: c.countsChange(nil, lost)}
	for _, b := range victims {
		ch.remove = append(ch.remove, b.key)
	}
	if err := c.store.apply(ch); err != nil {
		c.setLeaving(victims, false)
		return err
	}
	c.saved = ch.counters
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range victims {
		if c.uncounted.covers(b.numbers()) {
			// Stored in the meantime.
			c.storedReadings, c.waiting = c.storedReadings+uint64(b.waiting), c.waiting-uint64(b.waiting)
			continue
		}
		c.drop(b.waiting, b.info)
	}
	c.book.lose(lost)
	c.takeOut(victims)
	return nil
}

func (c *committer) logDropping(dropping bool, why string) {
	if dropping && !c.dropping {
		c.log.Error("buffer is full: the oldest readings are dropped", "limit", why)
	}
	if !dropping && c.dropping {
		c.mu.Lock()
		lost, span := c.dropped, c.span
		c.mu.Unlock()
		c.log.Warn("buffer drops no more", "dropped", lost, "from", span.From, "to", span.To)
	}
	c.dropping = dropping
}

// merging is a run of small blocks and the larger ones that replace it.
type merging struct {
	old, put []*block
	values   [][]byte
}

// merge gathers the small blocks at the end of the list into larger ones, once
// there are enough of them.
func (c *committer) merge() merging {
	old := c.smallOnes()
	if len(old) < mergeCount {
		return merging{}
	}
	maker := blockMaker{enc: c.enc}
	var batch plant.Batch
	for _, b := range old {
		if err := c.read(b); err != nil {
			c.markBad(b, err)
			return merging{}
		}
		for batch.Sequence = b.first; ; batch.Sequence++ {
			more, err := c.reader.next(&batch)
			if err != nil {
				c.markBad(b, fmt.Errorf("batch %d: %w", batch.Sequence, err))
				return merging{}
			}
			if !more {
				break
			}
			maker.add(&batch, b.info.kept)
		}
	}
	maker.flush()
	m := merging{old: old, put: maker.blocks, values: maker.values}
	for _, b := range m.put {
		b.counts = nil
	}
	// Blocks of a session before may have another key than number: the first
	// one keeps its key, and the others follow it in the order of keys.
	offset := m.put[0].first - old[0].key
	for _, b := range m.put {
		b.key = b.first - offset
	}
	return m
}

// wide tells whether a block lasts so long, up to the next one, that merging it
// would make max_age coarse.
func (c *committer) wide(b, next *block) bool {
	return next.info.kept.Sub(b.info.kept) > c.cfg.Buffer.MaxAge/ageGrain
}

// smallOnes gives the run of small, consecutive, untouched blocks at the end.
func (c *committer) smallOnes() []*block {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := len(c.blocks)
	for i > 0 && len(c.blocks)-i < mergeMost {
		b := c.blocks[i-1]
		if b.bad || b.bytes > mergeSmall || b.waiting != b.info.readings || c.acks.meets(b.numbers()) {
			break
		}
		if i < len(c.blocks) && (b.numbers().Last+1 != c.blocks[i].first || c.wide(b, c.blocks[i])) {
			break
		}
		// What is known by its block's key keeps it.
		if i < len(c.blocks) && len(c.moved) > 0 && b.key-b.first != c.blocks[i].key-c.blocks[i].first {
			break
		}
		i--
	}
	return slices.Clone(c.blocks[i:])
}
