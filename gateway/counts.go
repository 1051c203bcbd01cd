package gateway

import (
	"cmp"
	"crypto/rand"
	"slices"
	"time"

	"linetwin/plant"
)

// Bounds of counts.
const (
	countRows     = 500              // rows of one report; more are told before their time
	countGrace    = 2 * time.Second  // after a minute's end, before it is told
	countsOpen    = 100_000          // rows in memory while nothing can be written
	countReports  = 31 * 24 * 60     // reports that wait for the twin: 31 days
	cutLongest    = time.Minute      // a reading that is further ahead is of a wrong clock
	repeatLongest = 10 * time.Minute // between two tries to tell a report
)

// book counts, for each machine and minute of its readings' time, what came to
// the buffer and what was dropped, so that what is in history can be held
// against it. What is open is in the tail's mark, in the tail's batches behind
// it, or in the database, whichever is newer; each minute it is closed into a
// report, which the database keeps until the twin has confirmed it. buffer.mu
// guards all of it.
type book struct {
	id     string // of this process's book
	number uint64 // of its last report
	began  plant.Time
	since  plant.Time // when open begins
	open   map[countKey]*plant.Count
	gaps   map[string]*plant.Gap // by machine
	cuts   map[string]cut
	series map[string]*latest
	moved  bool // something came since the last report

	waiting  []uint64           // keys of reports that are not confirmed, ascending
	told     []uint64           // keys of reports that are, and still in the database
	deleting int                // of told, by the transaction under way
	lost     uint64             // rows and reports that could not be kept
	next     uint64             // key of the next report
	closing  *plant.CountReport // on its way to the database
}

type countKey struct {
	machine string
	minute  plant.Time
}

// cut is where readings were dropped that a later batch claims: a part of a
// round, of which the last part claims all, or readings that were ahead of
// their round. Claims that begin at from or later claim nothing before newest.
type cut struct {
	from, newest plant.Time
	number       uint64 // of the batch that was dropped, in this process
}

// latest holds the newest time of each signal of a machine.
type latest struct {
	names []string
	times []plant.Time
	index map[string]int32
}

// find gives a signal's place. Readings mostly come in the order of the signals.
func (s *latest) find(name string, guess int) (at int, known bool) {
	if guess < len(s.names) && s.names[guess] == name {
		return guess, true
	}
	if i, ok := s.index[name]; ok {
		return int(i), true
	}
	s.index[name] = int32(len(s.names))
	s.names, s.times = append(s.names, name), append(s.times, 0)
	return len(s.names) - 1, false
}

func newBook(now plant.Time) book {
	return book{
		id: rand.Text(), began: now, since: now, open: map[countKey]*plant.Count{}, gaps: map[string]*plant.Gap{},
		cuts: map[string]cut{}, series: map[string]*latest{},
	}
}

func (k *book) row(machine string, minute plant.Time) *plant.Count {
	key := countKey{machine, minute}
	c := k.open[key]
	if c == nil {
		if len(k.open) >= countsOpen {
			k.lost++
			return &plant.Count{} // counted nowhere
		}
		c = &plant.Count{Machine: machine, Minute: minute}
		k.open[key] = c
	}
	return c
}

// add puts counts to those that are open.
func (k *book) add(rows []plant.Count) {
	for i := range rows {
		k.row(rows[i].Machine, rows[i].Minute).Add(&rows[i])
		k.moved = true
	}
}

// take counts a batch that got its number. It gives those readings of it that
// are no new ones for sure, which is seldom any: who reads the batch again
// cannot tell them.
func (k *book) take(b *plant.Batch) (odd []plant.Count) {
	k.moved = true
	name := b.Machine
	if b.Historical && b.Complete.From != b.Complete.To {
		name += "\x00" // a past that is imported, beside what is read now
	}
	s := k.series[name]
	if s == nil {
		s = &latest{index: map[string]int32{}}
		k.series[name] = s
	}
	var row *plant.Count
	at := -1
	for i := range b.Readings {
		r := &b.Readings[i]
		if row == nil || r.Time < row.Minute || r.Time >= row.Minute.Add(time.Minute) {
			row = k.row(b.Machine, r.Time.Floor(time.Minute))
		}
		row.Made++
		known := false
		at, known = s.find(r.Signal, at+1)
		switch newest := s.times[at]; {
		case known && r.Time == newest:
			row.Repeated++
			odd = append(odd, plant.Count{Machine: b.Machine, Minute: row.Minute, Repeated: 1})
		case known && r.Time < newest || !known && r.Time < k.began:
			row.Late++
			odd = append(odd, plant.Count{Machine: b.Machine, Minute: row.Minute, Late: 1})
			s.times[at] = max(newest, r.Time)
		default:
			s.times[at] = r.Time
		}
	}
	return merged(odd)
}

// merged puts rows of one machine and minute together, in order.
func merged(rows []plant.Count) []plant.Count {
	slices.SortFunc(rows, func(a, b plant.Count) int {
		return cmp.Or(cmp.Compare(a.Machine, b.Machine), cmp.Compare(a.Minute, b.Minute))
	})
	n := 0
	for i := range rows {
		if n > 0 && rows[n-1].Machine == rows[i].Machine && rows[n-1].Minute == rows[i].Minute {
			rows[n-1].Add(&rows[i])
			continue
		}
		rows[n] = rows[i]
		n++
	}
	return rows[:n:n]
}

// made gives how many readings a batch has in each minute.
func made(b *plant.Batch) []plant.Count {
	var rows []plant.Count
	for i := range b.Readings {
		minute := b.Readings[i].Time.Floor(time.Minute)
		if n := len(rows); n == 0 || rows[n-1].Minute != minute {
			rows = append(rows, plant.Count{Machine: b.Machine, Minute: minute})
		}
		rows[len(rows)-1].Made++
	}
	return rows
}

// losses is what was dropped at one time.
type losses struct {
	rows []plant.Count
	gaps []plant.Gap
	cuts map[string]cut
}

// batch takes a batch that is dropped.
func (l *losses) batch(b *plant.Batch) {
	if len(b.Readings) == 0 {
		return
	}
	rows := made(b)
	for i := range rows {
		rows[i].Made, rows[i].Dropped = 0, rows[i].Made
	}
	l.rows = merged(append(l.rows, rows...))
	gap := plant.Gap{Machine: b.Machine, Span: plant.Span{From: b.Complete.From, To: b.Complete.To + plant.Millisecond}, Readings: uint64(len(b.Readings))}
	newest := b.Readings[0].Time
	for i := range b.Readings {
		gap.From, gap.To = min(gap.From, b.Readings[i].Time), max(gap.To, b.Readings[i].Time+plant.Millisecond)
		newest = max(newest, b.Readings[i].Time)
	}
	l.gap(gap)
	if newest > b.Complete.To {
		l.cut(b.Machine, cut{b.Complete.From, min(newest, b.Complete.To.Add(cutLongest)), b.Sequence})
	}
}

// cut notes that claims of a machine from c.from on have nothing to say before
// c.newest.
func (l *losses) cut(machine string, c cut) {
	if l.cuts == nil {
		l.cuts = map[string]cut{}
	}
	if was, ok := l.cuts[machine]; ok {
		c.newest = max(c.newest, was.newest)
	}
	l.cuts[machine] = c
}

// unreadable takes readings of which nobody can tell whose they were.
func (l *losses) unreadable(readings int, info blockInfo) {
	if readings > 0 {
		l.gap(plant.Gap{Span: plant.Span{From: info.oldest, To: info.newest + plant.Millisecond}, Readings: uint64(readings)})
	}
}

func (l *losses) gap(g plant.Gap) {
	for i := range l.gaps {
		if l.gaps[i].Machine == g.Machine {
			l.gaps[i].Widen(&g)
			return
		}
	}
	l.gaps = append(l.gaps, g)
}

// lose counts what was dropped.
func (k *book) lose(l *losses) {
	k.add(l.rows)
	for i := range l.gaps {
		k.widen(&l.gaps[i])
	}
	for machine, c := range l.cuts {
		k.cuts[machine] = c
	}
}

func (k *book) widen(g *plant.Gap) {
	k.moved = true
	if k.gaps[g.Machine] == nil {
		k.gaps[g.Machine] = &plant.Gap{Machine: g.Machine}
	}
	k.gaps[g.Machine].Widen(g)
}

// restore takes back that a batch was dropped, which the disk has after all.
func (k *book) restore(b *plant.Batch) {
	for _, m := range made(b) {
		if c := k.open[countKey{b.Machine, m.Minute}]; c != nil {
			c.Dropped -= min(c.Dropped, m.Made)
		}
	}
	if g := k.gaps[b.Machine]; g != nil {
		if g.Readings -= min(g.Readings, uint64(len(b.Readings))); g.Readings == 0 {
			delete(k.gaps, b.Machine)
		}
	}
}

// clipped gives the claim of a batch as it is once others before it may have
// been dropped: a claim speaks of those too.
func (k *book) clipped(machine string, claim plant.Span) plant.Span {
	if c, ok := k.cuts[machine]; ok && claim.From >= c.from && claim.From < c.newest {
		claim.From = min(c.newest, claim.To)
	}
	return claim
}

// due tells whether a report is to be made: a minute has ended, or there is
// much to tell. While the clock is not sure, minutes do not end.
func (k *book) due(now plant.Time, sure bool) bool {
	if !sure {
		return k.moved && len(k.open) >= countRows
	}
	ended := now.Add(-countGrace).Floor(time.Minute)
	return k.moved && (len(k.open) >= countRows || ended > k.since.Add(-countGrace).Floor(time.Minute) || now < k.since)
}

// close makes a report of what is open, or of as much of it as one message
// carries; then its span is empty, because the rest of that time is still open.
func (k *book) close(now plant.Time) *plant.CountReport {
	k.number++
	r := &plant.CountReport{Book: k.id, Number: k.number, Span: plant.Span{From: k.since, To: now}, Counts: k.rows(), Gaps: k.gapList()}
	rest := r.Counts[min(len(r.Counts), 2*countRows):]
	r.Counts = r.Counts[:len(r.Counts)-len(rest)]
	k.open, k.gaps, k.moved = map[countKey]*plant.Count{}, map[string]*plant.Gap{}, false
	k.add(rest)
	if len(rest) > 0 {
		r.To = k.since
	}
	k.since = r.To
	return r
}

// reopen takes back a report that could not be written down, and was told to
// nobody.
func (k *book) reopen(r *plant.CountReport) {
	k.number--
	k.since = r.From
	k.add(r.Counts)
	for i := range r.Gaps {
		k.widen(&r.Gaps[i])
	}
	k.moved = true
}

func (k *book) rows() []plant.Count {
	rows := make([]plant.Count, 0, len(k.open))
	for _, c := range k.open {
		rows = append(rows, *c)
	}
	return merged(rows)
}

func (k *book) gapList() []plant.Gap {
	var gaps []plant.Gap
	for _, g := range k.gaps {
		gaps = append(gaps, *g)
	}
	slices.SortFunc(gaps, func(a, b plant.Gap) int { return cmp.Compare(a.Machine, b.Machine) })
	return gaps
}
