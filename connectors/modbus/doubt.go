package modbus

import (
	"bytes"
	"errors"
	"slices"
	"time"
)

// Answers in RTU and ASCII have no number. What an answer tells of its request
// is the unit, the function and how many bytes of data there are: its mark. So
// an answer that comes late looks like the answer to any later request with the
// same mark. These rules keep it from being taken for one:
//
//  1. Before each request the line is silent and drained.
//  2. A request without its answer (none, broken, wrong) leaves its mark with
//     its unit as due. Units answer in order: once an answer has come with a mark
//     that was first asked for after it, what is due will never come. A request
//     whose mark is due is not sent before that. Where need be, a read of another
//     length or table is made for that alone and thrown away.
//  3. An exception tells only the function; it counts if no answer to that
//     function is due.
//  4. All this is kept with the unit, not with the connection: converters hand
//     what was late for one connection to the next. A unit that was never asked
//     begins in doubt, for the answer may be due to the program before us.
//  5. A unit (or a converter) may say an answer twice. What comes before the
//     next request is drained, and makes the last mark due. Later it is the very
//     frame that answered the last request with that mark: an answer like that
//     for another address counts only if nothing else came unasked until the end
//     of the poll and a further read of another mark then found the line in step;
//     and, where frames have been repeated before, only if it comes again after
//     such a read.
//
// What is left is an answer that comes more than patience late to a unit for
// which no other mark works; a first repeated frame whose victim's true answer
// is lost at the same time; and a repeated frame that is delayed by more than
// one exchange with its mark, for only the last frame of each mark is kept.

// mark is what an answer tells of its request.
type mark struct {
	function byte // with the highest bit for an exception
	data     int
}

func (q *asked) mark() mark { return mark{q.function, q.data()} }

// answer is the last one with its mark.
type answer struct {
	start uint16
	frame []byte
}

// patience is how long is waited for an answer that could come late, where
// nothing but time can tell.
const patience = 10 * time.Second

// pending is a mark of which answers may still come, and the numbers of the
// first and last request that they may answer.
type pending struct {
	mark        mark
	first, last uint64
}

// unit is what is known of one unit on a line.
type unit struct {
	due      []pending
	sent     uint64    // number of the last request
	alive    bool      // it answers, though not what could be trusted
	last     asked     // the last request
	at       time.Time // when it was sent
	why      error     // what became of it, nil if it was answered
	answers  map[mark]answer
	unproven bool   // answers count only once confirm has found the line in step
	calm     uint64 // disturbances of the line before the first of those answers
}

// find gives the place of a mark among those that are due, or -1.
func (u *unit) find(m mark) int {
	return slices.IndexFunc(u.due, func(p pending) bool { return p.mark == m })
}

// doubt notes that the answer to the last request, of mark m, may still come.
func (u *unit) doubt(m mark) {
	if i := u.find(m); i >= 0 {
		u.due[i].last = u.sent
		return
	}
	u.due = append(u.due, pending{m, u.sent, u.sent})
}

// answered notes an answer to the last request, of mark m. If the mark was due,
// it may as well be the answer to the first of those requests.
func (u *unit) answered(m mark) {
	first := u.sent
	if i := u.find(m); i >= 0 {
		first = u.due[i].first
	}
	u.due = slices.DeleteFunc(u.due, func(p pending) bool { return p.last < first })
	u.alive = len(u.due) > 0
}

// refusable tells whether an exception to the function can be told from all
// that are due.
func (u *unit) refusable(function byte) bool {
	return !slices.ContainsFunc(u.due, func(p pending) bool { return p.mark.function == function })
}

// repeated notes an answer, and tells whether it is the frame that answered the
// last request with its mark, which was for another address.
func (u *unit) repeated(q *asked, exception bool, frame []byte) bool {
	m := q.mark()
	if exception {
		m = mark{q.function | 0x80, 0}
	}
	before, ok := u.answers[m]
	same := ok && before.start != q.start && bytes.Equal(before.frame, frame)
	u.answers[m] = answer{q.start, append(before.frame[:0], frame...)}
	return same
}

// later tells whether an answer of mark m would prove that none is due which
// could be taken for one to q. A mark that has been tried will do again as long
// as the unit says nothing at all.
func (u *unit) later(m mark, q *asked) bool {
	i, j := u.find(m), u.find(q.mark())
	return m != q.mark() && (i < 0 || j >= 0 && !u.alive && u.due[i].first > u.due[j].last)
}

// probe gives a read whose answer proves that the unit is in step for q: fewer
// values at the same place, which every unit has; then one more; then other
// tables, where an exception will do. fits says what else is wanted.
func (u *unit) probe(q *asked, fits func(mark) bool) (asked, bool) {
	var found asked
	try := func(function byte, start, count int) bool {
		p := asked{unit: q.unit, function: function, start: uint16(start), count: uint16(count)}
		most := maxRegisters
		if table(function).bits() {
			most = maxBits
		}
		if start < 0 || count > most || start+count > 1<<16 || !u.later(p.mark(), q) || !fits(p.mark()) {
			return false
		}
		found = p
		return true
	}
	step, start, count := 1, int(q.start), int(q.count)
	if table(q.function).bits() {
		step = 8
	}
	for n := step; n < count; n += step {
		if try(q.function, start, n) {
			return found, true
		}
	}
	if try(q.function, start, count+step) || try(q.function, start-step, count+step) {
		return found, true
	}
	for n := 1; n <= 4; n++ {
		for _, t := range [...]table{holding, input, coils, discrete} {
			if byte(t) != q.function && try(byte(t), start, n) {
				return found, true
			}
		}
	}
	return asked{}, false
}

func anyMark(mark) bool { return true }

// fresh tells whether no answer that is remembered has the mark.
func (u *unit) fresh(m mark) bool {
	_, ok := u.answers[m]
	return !ok
}

var (
	errUnclear  = errors.New("an exception that may answer an earlier request")
	errRepeated = errors.New("the same answer twice")
)
