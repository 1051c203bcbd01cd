package modbus

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	goburrow "github.com/goburrow/modbus"
)

const (
	// glitch is how many bytes may follow an answer unasked: transceivers that
	// are switched off leave a byte or two on the line.
	glitch = 2
	// settle is added to the silence on a line where something went wrong: USB
	// adapters deliver each 16 ms.
	settle = 20 * time.Millisecond
	// probes is how many reads may be tried at once to find the line in step.
	probes = 4
)

// wire moves bytes: a serial port or a TCP connection.
type wire interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
	// drain throws away what has come in, without waiting, and tells how many
	// bytes that were and whether the wire is still there.
	drain() (thrown int, open bool)
}

// multidrop carries frames whose answers have no number, RTU and ASCII, to the
// units on one wire. doubt.go says what makes an answer count.
//
// A time-out does not close the wire: a dead unit is no reason to take the port
// away from the others, and closing it would keep no late answer away. A TCP
// connection on which nobody has answered since the time-out before is closed
// all the same, because it may be dead without a word.
type multidrop struct {
	dial    func(ctx context.Context) (wire, error)
	framing framing
	silence time.Duration
	network bool

	wire   wire
	broken bool   // the wire is of no use any more
	heard  bool   // a unit has answered since the last time-out
	uneasy bool   // something went wrong since the line was last silent
	wary   bool   // frames have been repeated on this line
	noise  uint64 // counts what came that nobody had asked for
	moved  time.Time
	strays int   // bytes that nobody asked for since the last request
	latest *unit // whom the last request went to
	units  map[byte]*unit
	thrown [largestAnswer]byte

	patience time.Duration
	pause    *atomic.Int64 // the line's, between its own reads too
}

func newMultidrop(t *target, dial Dial) *multidrop {
	m := &multidrop{framing: rtu{}, units: map[byte]*unit{}, patience: patience, pause: new(atomic.Int64)}
	if t.ascii() {
		m.framing = ascii{}
	}
	if t.serial() {
		m.silence = t.port.silence()
		m.dial = func(context.Context) (wire, error) { return openPort(t.address, &t.port) }
		return m
	}
	m.network = true
	m.dial = func(ctx context.Context) (wire, error) { return dialWire(ctx, dial, t.address) }
	return m
}

func (m *multidrop) open(ctx context.Context) error {
	m.hangUp()
	w, err := m.dial(ctx)
	if err != nil {
		return err
	}
	m.wire, m.broken, m.heard, m.moved = w, false, false, time.Now()
	return nil
}

func (m *multidrop) ready() bool {
	if m.wire == nil {
		return false
	}
	if m.wire.SetDeadline(time.Time{}) != nil || !m.drain() {
		m.hangUp()
		return false
	}
	return true
}

func (m *multidrop) close(hard bool) error {
	if hard && !m.broken {
		return nil
	}
	return m.hangUp()
}

func (m *multidrop) hangUp() error {
	if m.wire == nil {
		return nil
	}
	err := m.wire.Close()
	m.wire = nil
	m.noise++ // what would have told of a frame that was repeated is gone
	return err
}

// exchange reads the answer to a request, in step with its unit.
func (m *multidrop) exchange(ctx context.Context, deadline time.Time, request, into []byte) ([]byte, error) {
	q, err := m.framing.parse(request)
	if err != nil {
		return nil, err
	}
	u := m.units[q.unit]
	if u == nil {
		u = &unit{due: []pending{{mark: q.mark()}}, answers: map[mark]answer{}}
		m.units[q.unit] = u
	}
	timeout := time.Until(deadline)
	for range 2 { // once more after an answer that was said before
		if err := m.catchUp(ctx, timeout, u, &q); err != nil {
			return nil, err
		}
		reply, err := m.ask(ctx, timeout, u, &q, request, into)
		if err == nil {
			return reply, nil
		}
		if !errors.Is(err, errRepeated) {
			u.unproven = false // what was read goes with the poll
			return nil, err
		}
	}
	return nil, errRepeated
}

// catchUp makes sure that no answer is due which could be taken for that to q.
func (m *multidrop) catchUp(ctx context.Context, timeout time.Duration, u *unit, q *asked) error {
	var tried []mark
	for range probes {
		if u.find(q.mark()) < 0 {
			return nil
		}
		p, ok := u.probe(q, func(m mark) bool { return !slices.Contains(tried, m) })
		if !ok {
			if time.Since(u.at) < m.patience {
				return cmp.Or(u.why, errUnclear)
			}
			u.due = nil
			return nil
		}
		tried = append(tried, p.mark())
		err := m.read(ctx, timeout, u, &p)
		if err != nil && !errors.Is(err, errUnclear) && !errors.Is(err, errRepeated) {
			return err
		}
	}
	return errUnclear
}

// confirm finds out, where it is in doubt, whether the unit's answers are in
// step with its requests.
func (m *multidrop) confirm(ctx context.Context, deadline time.Time, number byte) error {
	u := m.units[number]
	if u == nil || !u.unproven {
		return nil
	}
	u.unproven = false
	last := u.last
	if m.wire == nil { // another unit broke it
		u.doubt(last.mark())
		return errRepeated
	}
	p, ok := u.probe(&last, u.fresh)
	if !ok {
		if p, ok = u.probe(&last, anyMark); !ok {
			return errUnclear
		}
	}
	if err := m.read(ctx, time.Until(deadline), u, &p); err != nil {
		u.doubt(last.mark())
		return err
	}
	delete(u.answers, p.mark())
	if u.calm != m.noise {
		return errRepeated
	}
	return nil
}

// read makes a read of which only the mark matters.
func (m *multidrop) read(ctx context.Context, timeout time.Duration, u *unit, p *asked) error {
	pdu := &goburrow.ProtocolDataUnit{FunctionCode: p.function, Data: make([]byte, 4)}
	binary.BigEndian.PutUint16(pdu.Data, p.start)
	binary.BigEndian.PutUint16(pdu.Data[2:], p.count)
	request, err := m.framing.packager(p.unit).Encode(pdu)
	if err != nil {
		return err
	}
	_, err = m.ask(ctx, timeout, u, p, request, m.thrown[:])
	return err
}

// ask sends a request, takes what answers it, and keeps the unit's account.
func (m *multidrop) ask(ctx context.Context, timeout time.Duration, u *unit, q *asked, request, into []byte) (reply []byte, err error) {
	if err := m.quiet(ctx, time.Now().Add(timeout+settle)); err != nil {
		return nil, err
	}
	m.latest, m.strays = u, 0
	u.last, u.at, u.sent = *q, time.Now(), u.sent+1
	reply, exception, err := m.transfer(ctx, before(ctx, time.Now(), timeout), q, request, into)
	if err == nil && exception && !u.refusable(q.function) {
		err = errUnclear
	}
	if u.why = err; err != nil {
		u.alive = u.alive || errors.Is(err, errUnclear)
		u.doubt(q.mark())
		m.uneasy = true
		return nil, err
	}
	m.heard = true
	if u.answered(q.mark()); exception {
		u.due, u.alive = u.due[:0], false
	}
	if !u.repeated(q, exception, reply) {
		return reply, nil
	}
	if m.wary {
		u.why = errRepeated
		u.doubt(q.mark())
		return nil, errRepeated
	}
	if !u.unproven {
		u.unproven, u.calm = true, m.noise
	}
	return reply, nil
}

// quiet waits until the line is silent and nothing is left on it.
func (m *multidrop) quiet(ctx context.Context, deadline time.Time) error {
	for {
		wait := max(m.silence, time.Duration(m.pause.Load()))
		if m.uneasy {
			wait += settle
		}
		if wait -= time.Since(m.moved); wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return ctx.Err()
			}
		}
		moved := m.moved
		if !m.drain() {
			return m.fails(io.EOF)
		}
		if m.moved == moved {
			m.uneasy = false
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("the line is never silent: something talks all the time")
		}
	}
}

// drain throws away what came in unasked, and tells whether the wire is still
// there. More than a glitch is an answer: a late one, or one said twice.
func (m *multidrop) drain() bool {
	thrown, open := m.wire.drain()
	if thrown == 0 {
		return open
	}
	m.moved, m.uneasy = time.Now(), true
	if m.strays += thrown; m.strays > glitch && m.latest != nil {
		m.noise++
		m.wary = m.wary || len(m.latest.due) == 0
		m.latest.doubt(m.latest.last.mark())
	}
	return open
}

// transfer sends a request and reads what answers it.
func (m *multidrop) transfer(ctx context.Context, deadline time.Time, q *asked, request, into []byte) (reply []byte, exception bool, err error) {
	w := m.wire
	if err := w.SetDeadline(deadline); err != nil {
		return nil, false, m.fails(err)
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { w.SetDeadline(time.Unix(1, 0)); close(ended) })
	defer func() {
		if !stop() {
			<-ended // the wire is used again: the deadline of the past must not come later
			reply, err = nil, ctx.Err()
		}
	}()
	if _, err := w.Write(request); err != nil {
		return nil, false, m.fails(err)
	}
	n, whole := 0, 0
	for whole == 0 || n < whole {
		k, err := w.Read(into[n:])
		if k > 0 {
			n, m.moved = n+k, time.Now()
			var wrong error
			if whole, wrong = m.framing.length(q, into[:n]); wrong != nil {
				m.noise++
				return nil, false, echoes(request, into[:n], wrong)
			}
		}
		if err != nil && (whole == 0 || n < whole) {
			m.heard = m.heard || n > 0
			return nil, false, m.fails(err)
		}
	}
	if n > whole+glitch {
		m.noise++
		m.wary = m.wary || len(m.latest.due) == 0
		return nil, false, errors.New("answer is followed by bytes that nobody asked for")
	}
	m.strays = n - whole
	if exception, err = m.framing.check(q, into[:whole]); err != nil {
		m.noise++
		return nil, false, err
	}
	return into[:whole], exception, nil
}

// fails decides what an error of the wire means for it.
func (m *multidrop) fails(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		m.broken = m.network && !m.heard
		m.heard = false
		return err
	}
	m.broken = true
	if !m.network {
		return errors.New("the serial port went away: is its adapter unplugged?")
	}
	return err
}

// echoes gives a better reason where the answer is the request itself.
func echoes(request, got []byte, wrong error) error {
	if len(got) >= 5 && bytes.HasPrefix(got, request[:min(len(got), len(request))]) {
		return errors.New("the request came back: the adapter echoes what it sends")
	}
	return wrong
}

// netWire is a connection as a wire.
type netWire struct {
	net.Conn
	raw syscall.RawConn // nil where the connection has none
}

func (w *netWire) drain() (int, bool) {
	if w.raw == nil {
		return 0, true
	}
	return throwAway(w.Conn, w.raw)
}

// Close makes the other end forget the connection at once: a converter may
// serve one only.
func (w *netWire) Close() error {
	if tc, ok := w.Conn.(*net.TCPConn); ok {
		tc.SetLinger(0)
	}
	return w.Conn.Close()
}

func dialWire(ctx context.Context, dial Dial, address string) (wire, error) {
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	w := &netWire{Conn: conn}
	if s, ok := conn.(syscall.Conn); ok {
		if w.raw, err = s.SyscallConn(); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return w, nil
}

// throwAway drains a connection or port, and counts.
func throwAway(conn net.Conn, raw syscall.RawConn) (thrown int, open bool) {
	open = drain(conn, raw, func(b []byte) bool { thrown += len(b); return true })
	return thrown, open
}
