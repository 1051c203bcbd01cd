package gateway

import (
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"linetwin/plant"
)

// Bounds of what is held in memory.
const (
	liveQueue     = 1024     // batches on their way to the wire; more become backlog
	pendingMax    = 64 << 20 // bytes of readings that could not be committed
	pendingMax32  = 24 << 20 // the same on 32 bit
	pendingSync   = 8        // a commit is due when memory has this part of that
	maxAckRanges  = 4096     // ranges of acknowledged numbers; above, the highest are ignored
	windowFactor  = 64       // readings in flight for each batch of the window
	noticeLasts   = time.Hour
	writeHangs    = 5 * time.Second   // after which a write is reported
	readingsStamp = int64(1704067200) // 2024-01-01: a clock before that was never set
)

// buffer keeps batches until they are acknowledged. A batch lives first in
// memory and in the tail, then in a block of the database. Three goroutines
// share the work: appenders number and queue, writeTail writes the tail, and
// commitAll alone changes the database and the list of blocks. mu guards
// everything in memory and is never held over input or output.
type buffer struct {
	cfg    Config
	log    *slog.Logger
	store  *store
	tail   *tail
	disk   *committer
	live   chan *plant.Batch
	toTail chan struct{} // something was appended
	toDisk chan struct{} // a commit, an acknowledgement or a damaged block waits
	toSend chan struct{} // backlog may be sent

	clock  func() time.Time
	steady func() bool // the clock may decide on what is too old

	freeSpace func(folder string) (int64, bool)

	mu           sync.Mutex
	pending      []entry // numbers pendingFirst, pendingFirst+1, ...
	pendingFirst uint64
	pendingBytes size   // of pending
	fresh        size   // appended since the last commit began
	written      uint64 // all below are in the tail, or were given up
	blocks       []*block
	stored       int64  // bytes of blocks
	acks         seqSet // acknowledged numbers from the lowest held on
	uncounted    seqSet // of those, what is in blocks and not accounted there yet
	next         uint64
	scan         uint64 // all below are acknowledged or in flight
	flight       flight
	online       bool
	closed       bool

	placing

	made, storedReadings, waiting uint64
	dropped                       uint64
	span                          plant.Span
	tailFault, commitFault        string
	notice                        string
	noticed                       time.Time
	committing, tailing           time.Time // since when a write is under way; zero for none
	overflowing                   bool
	ackedBlocks                   bool // a block was acknowledged before it was in the list
	badBlocks                     bool // a block turned out to be unreadable

	book   book
	toTell chan struct{} // a report waits, or was confirmed
}

// entry is a batch that is not in a block yet.
type entry struct {
	b    *plant.Batch
	size size
	kept plant.Time
	odd  []plant.Count // readings that are no new ones for sure
	done bool          // acknowledged
}

// size is how many bytes batches take in memory and, once they are there, in
// the tail.
type size struct{ memory, tail int }

func (s *size) add(o size) { s.memory, s.tail = s.memory+o.memory, s.tail+o.tail }
func (s *size) sub(o size) { s.memory, s.tail = s.memory-o.memory, s.tail-o.tail }

// block is a stored block. Its batches have the numbers first, first+1, ... in
// this session.
type block struct {
	key     uint64
	first   uint64
	info    blockInfo
	bytes   int
	waiting int   // readings that are not acknowledged
	counts  []int // readings of each batch, once only some are acknowledged
	bad     bool  // cannot be read
	leaving bool  // a commit under way takes it out of the database
}

func (b *block) numbers() plant.Range {
	return plant.Range{First: b.first, Last: b.first + uint64(max(b.info.batches, 1)) - 1}
}

// append numbers b, or its parts, and queues them. With live they are offered
// to the wire at once. It does not wait for anything.
func (q *buffer) append(b *plant.Batch, live bool) {
	now, kept := time.Now(), plant.At(q.clock())
	q.mu.Lock()
	for _, p := range split(b) {
		q.push(p, live, now, kept)
	}
	late := q.full()
	backlog := !live && q.online
	q.mu.Unlock()
	poke(q.toTail)
	if late {
		poke(q.toDisk)
	}
	if backlog {
		poke(q.toSend)
	}
}

// full tells whether a power cut would cost more than it may, so that a commit
// is due: what is acknowledged costs nothing any more. The caller holds mu.
func (q *buffer) full() bool {
	return min(q.fresh.tail, q.pendingBytes.tail) >= int(q.cfg.Buffer.SyncBytes) ||
		min(q.fresh.memory, q.pendingBytes.memory) >= pendingLimit()/pendingSync
}

// pendingLimit is how many bytes of readings memory holds that could not be
// committed.
func pendingLimit() int {
	if is32bit {
		return pendingMax32
	}
	return pendingMax
}

func (q *buffer) push(b *plant.Batch, live bool, now time.Time, kept plant.Time) {
	b.Sequence = q.next
	q.next++
	held := size{memory: heldSize(b)}
	odd := q.book.take(b)
	q.noteOdd(b.Sequence, odd)
	q.pending = append(q.pending, entry{b: b, size: held, kept: kept, odd: odd})
	q.pendingBytes.add(held)
	q.fresh.add(held)
	q.made += uint64(len(b.Readings))
	q.waiting += uint64(len(b.Readings))
	if live && q.online && q.hold == 0 {
		select {
		case q.live <- b:
			q.flight.sentLive(b.Sequence, now)
		default: // the wire is slow: this one goes out as backlog
			q.rescan(b.Sequence)
		}
	}
	for q.pendingBytes.memory > pendingLimit() && len(q.pending) > 1 {
		q.dropPending()
	}
}

// dropPending drops the oldest batch of which only memory knows.
func (q *buffer) dropPending() {
	e := &q.pending[0]
	if !e.done {
		b := q.placeLocked(e.b)
		var info blockInfo
		info.widen(b.Complete.From)
		info.widen(b.Complete.To)
		info.readings = len(b.Readings)
		q.drop(info.readings, info)
		var lost losses
		lost.batch(b)
		q.book.lose(&lost)
		if !q.overflowing {
			q.overflowing = true
			q.log.Error("buffer cannot be written and memory is full: the oldest readings are dropped")
		}
	}
	q.pop()
}

// pop takes the oldest entry out of memory.
func (q *buffer) pop() {
	q.pendingBytes.sub(q.pending[0].size)
	q.pending[0] = entry{}
	q.pending = q.pending[1:]
	q.pendingFirst++
}

// drop accounts readings as lost.
func (q *buffer) drop(readings int, info blockInfo) {
	q.waiting -= uint64(readings)
	q.dropped += uint64(readings)
	q.span = spanWith(q.span, readings, info)
}

// spanWith widens the span of dropped time by that of a block whose readings
// were dropped.
func spanWith(s plant.Span, readings int, info blockInfo) plant.Span {
	if readings == 0 || info.oldest == 0 {
		return s
	}
	if s.From == 0 || info.oldest < s.From {
		s.From = info.oldest
	}
	s.To = max(s.To, info.newest+plant.Millisecond)
	return s
}

// rescan makes n a candidate for being sent again.
func (q *buffer) rescan(n uint64) { q.scan = min(q.scan, n) }

// lowest gives the lowest number held, or the next one.
func (q *buffer) lowest() uint64 {
	if len(q.blocks) > 0 {
		return q.blocks[0].first
	}
	return q.pendingFirst
}

// unacked gives the lowest number from n on that is held and not acknowledged,
// or the next one to be given.
func (q *buffer) unacked(n uint64) uint64 {
	for {
		n = q.acks.after(n)
		if n >= q.pendingFirst {
			return n
		}
		i := q.findBlock(n)
		switch {
		case i == len(q.blocks):
			n = q.pendingFirst
		case q.blocks[i].bad:
			n = q.blocks[i].numbers().Last + 1
		case q.blocks[i].first <= n:
			return n
		default:
			n = q.blocks[i].first
		}
	}
}

// findBlock gives the index of the first block that ends at n or after it.
func (q *buffer) findBlock(n uint64) int {
	return sort.Search(len(q.blocks), func(i int) bool { return q.blocks[i].numbers().Last >= n })
}

// first gives the lowest number that waits, or the next one to be given.
func (q *buffer) first() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.unacked(q.lowest())
}

// acknowledge takes what is stored. What is in memory is accounted at once,
// what is in blocks by the committer.
func (q *buffer) acknowledge(a plant.Acknowledgement) {
	q.mu.Lock()
	q.acked(plant.Range{First: q.lowest(), Last: a.Through})
	for _, r := range a.Beyond {
		if len(q.acks) >= maxAckRanges {
			break
		}
		q.acked(r)
	}
	for len(q.pending) > 0 && q.pending[0].done {
		q.pop()
	}
	q.flight.arrived(q.acks, q.lowest())
	inBlocks := len(q.uncounted) > 0
	q.mu.Unlock()
	if inBlocks {
		poke(q.toDisk)
	}
	poke(q.toSend)
}

func (q *buffer) acked(r plant.Range) {
	r.First, r.Last = max(r.First, q.lowest()), min(r.Last, q.next-1)
	if r.First > r.Last {
		return
	}
	q.acks.missing(r, func(m plant.Range) {
		if m.First < q.pendingFirst {
			q.uncounted.add(plant.Range{First: m.First, Last: min(m.Last, q.pendingFirst-1)})
		}
		for n := max(m.First, q.pendingFirst); n <= m.Last; n++ {
			e := &q.pending[n-q.pendingFirst]
			e.done = true
			q.storedReadings += uint64(len(e.b.Readings))
			q.waiting -= uint64(len(e.b.Readings))
		}
	})
	q.acks.add(r)
}

// linked takes whether somebody stores what is sent. What was in flight when
// the link broke may be lost, and is sent again.
func (q *buffer) linked(online bool) {
	q.mu.Lock()
	if q.online != online {
		if !online {
			q.apart = q.unsentFrom()
		}
		q.online = online
		q.flight.reset()
		q.scan = 0
	}
	q.mu.Unlock()
	poke(q.toSend)
}

func (q *buffer) isOnline() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.online
}

func (q *buffer) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// crowded tells whether past rounds should wait.
func (q *buffer) crowded() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.closed && (q.waiting > pastWaiting || q.pendingBytes.memory > pastPending)
}

// account fills in what the buffer knows of the status.
func (q *buffer) account(s *plant.GatewayStatus) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.Made, s.Stored, s.Waiting = q.made, q.storedReadings, q.waiting
	s.Dropped, s.DroppedSpan = q.dropped, q.span
	s.BufferBytes, s.BufferMax = q.stored, int64(q.cfg.Buffer.MaxBytes)
	s.LastSequence = q.next - 1
	s.ReportsWaiting, s.CountsLost = uint64(len(q.book.waiting)), q.book.lost
	if n := q.unacked(q.lowest()); n < q.pendingFirst {
		s.OldestWaits = q.blocks[q.findBlock(n)].info.oldest
	} else if n < q.next {
		b := q.pending[n-q.pendingFirst].b
		s.OldestWaits = b.Complete.From
		if len(b.Readings) > 0 {
			s.OldestWaits = min(b.Complete.From, b.Readings[0].Time)
		}
	}
	faults := []string{q.commitFault, q.tailFault}
	for _, since := range []time.Time{q.committing, q.tailing} {
		if !since.IsZero() && time.Since(since) > writeHangs {
			faults = append(faults, fmt.Sprintf("disk has not answered for %s", time.Since(since).Round(time.Second)))
		}
	}
	if time.Since(q.noticed) < noticeLasts {
		faults = append(faults, q.notice)
	}
	s.BufferError = strings.Join(slices.DeleteFunc(faults, func(f string) bool { return f == "" }), "; ")
}

// tell keeps a message for the status for some time. The caller holds mu.
func (q *buffer) tell(format string, args ...any) {
	q.notice, q.noticed = fmt.Sprintf(format, args...), time.Now()
}

// poke signals without waiting; a signal that is already there says it all.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
