package modbus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	goburrow "github.com/goburrow/modbus"
)

// carrier moves frames over one kind of line, each with its packager: tcp is
// Modbus TCP, multidrop is RTU and ASCII. It is used by one caller at a time.
type carrier interface {
	// open makes the connection anew.
	open(ctx context.Context) error
	// ready tells whether the connection is open, as far as can be told without
	// asking, and throws away what came in since the last exchange.
	ready() bool
	// exchange sends one request frame and gives the answer to it, in into. The
	// answer is whole and belongs to the request, or there is an error, after
	// which the connection must be closed hard. After a keptError it need not be.
	exchange(ctx context.Context, deadline time.Time, request, into []byte) ([]byte, error)
	// close hangs up. A hard close is for a connection on which an exchange
	// failed: it makes the device forget it at once where the network can. A
	// carrier that knows how to go on may keep the connection then.
	close(hard bool) error
}

// least is how long a connection attempt may take at least: a lost first
// packet is sent again after a second.
const least = 2 * time.Second

// Dial makes a connection, as net.Dialer's DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Line is the connection to one endpoint, shared by the units behind it. One
// request is on its way at a time; units take turns in the order in which they
// asked. It opens when its first device connects, and closes with the last.
type Line struct {
	endpoint string
	carrier  carrier
	packager func(unit byte) goburrow.Packager

	dials atomic.Uint64 // connections made
	pause atomic.Int64  // between two exchanges
	joins atomic.Int64  // devices that wait to become users

	// turn holds one token; who has it may use everything below. Channels give
	// it to those who wait in the order in which they came, and nobody keeps it
	// for long: units with requests to send take turns.
	turn     chan struct{}
	users    int
	ended    time.Time // when the last exchange ended
	failedAt time.Time // when the last attempt to connect failed
	failure  error
}

// NewLine gives the line to the endpoint of cfg, which is checked, with its
// pause. It does not dial.
func NewLine(cfg Config) (*Line, error) { return NewLineOver(cfg, new(net.Dialer).DialContext) }

// NewLineOver gives a line whose connections dial makes: through a tunnel, or
// in a test. Serial ports are not dialled.
func NewLineOver(cfg Config, dial Dial) (*Line, error) {
	t, fault := parseURL(cfg.URL)
	if fault != nil {
		return nil, errors.New(fault.String())
	}
	endpoint := t.scheme + "://" + t.address
	if t.scheme != schemeTCP {
		m := newMultidrop(&t, dial)
		l := newLine(endpoint, m, m.framing.packager)
		m.pause = &l.pause
		l.SetPause(cfg.Pause)
		return l, nil
	}
	l := newLine(endpoint, &tcp{address: t.address, dial: dial}, func(unit byte) goburrow.Packager {
		h := goburrow.NewTCPClientHandler("") // only its packager is used
		h.SlaveId = unit
		return h
	})
	l.SetPause(cfg.Pause)
	return l, nil
}

func newLine(endpoint string, c carrier, packager func(byte) goburrow.Packager) *Line {
	l := &Line{endpoint: endpoint, carrier: c, packager: packager, turn: make(chan struct{}, 1)}
	l.turn <- struct{}{}
	return l
}

func (l *Line) take(ctx context.Context) error {
	select {
	case <-l.turn:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the line: %w", ctx.Err())
	}
}

func (l *Line) give() { l.turn <- struct{}{} }

// join makes the caller a user of the line and opens it if it is not open.
func (l *Line) join(ctx context.Context, timeout time.Duration) error {
	asked := time.Now()
	l.joins.Add(1)
	defer l.joins.Add(-1)
	if err := l.take(ctx); err != nil {
		return err
	}
	defer l.give()
	if err := l.connect(ctx, asked, timeout); err != nil {
		return err
	}
	l.users++
	return nil
}

// leave ends the caller's use of the line.
func (l *Line) leave() error {
	<-l.turn
	defer l.give()
	if l.users--; l.users > 0 {
		return nil
	}
	return l.carrier.close(false)
}

// connect opens the line where it is not open. An attempt that failed while
// the caller waited for its turn counts as the caller's own, so that many units
// behind a dead endpoint do not queue up for one time-out each.
func (l *Line) connect(ctx context.Context, asked time.Time, timeout time.Duration) error {
	if l.carrier.ready() {
		return nil
	}
	if l.failure != nil && l.failedAt.After(asked) {
		return l.failure
	}
	allowed := max(timeout, least)
	dial, cancel := context.WithTimeout(ctx, allowed)
	defer cancel()
	if err := l.carrier.open(dial); err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err() // the caller's own end, which says nothing of the device
		}
		l.failure, l.failedAt = fmt.Errorf("connect: %w", plain(err, allowed)), time.Now()
		return l.failure
	}
	l.failure = nil
	l.dials.Add(1)
	return nil
}

// turnLasts is how long a device may keep the line for the requests of one
// look while others wait. On a fast line a look is over in one turn, and its
// readings are of one moment; on a slow one units take turns with each request.
const turnLasts = 2 * time.Millisecond

// slower is by which part of the difference the time that a unit is thought to
// need for an exchange grows with one that took longer: so little that a process
// that is short of time for a while does not take its own slowness for the
// unit's, and enough that a unit ten times slower than it was keeps nobody
// waiting after some dozen exchanges.
const slower = 512

// turn is one device's hold on its line.
type turn struct {
	line  *Line
	held  bool
	asked time.Time     // when the device came for it
	spent time.Duration // of it
	// takes is what an exchange with the unit needs: the least of late. What it
	// took beyond that was this process's own doing, which has too much to do,
	// and is no reason to tear looks apart: they would only take longer.
	takes time.Duration
}

// keep takes the line, or keeps it if it has not had it for too long.
func (t *turn) keep(ctx context.Context) error {
	if t.held && t.spent < turnLasts {
		return nil
	}
	t.end()
	t.asked = time.Now()
	if err := t.line.take(ctx); err != nil {
		return err
	}
	t.held, t.spent = true, 0
	return nil
}

// spend takes the time of an exchange off the turn.
func (t *turn) spend(took time.Duration) {
	if t.takes == 0 || took < t.takes {
		t.takes = took
	} else {
		t.takes += (took - t.takes) / slower
	}
	t.spent += t.takes
}

// end gives the line to who waits for it.
func (t *turn) end() {
	if t.held {
		t.held = false
		t.line.give()
	}
}

// exchange sends a request and gives its answer, which lies in into. A
// connection that the device has closed since the last request (many do when
// they are not asked for a while), or that a failure of another unit has
// closed, is opened anew first. Outside a look, the turn ends with it.
func (t *turn) exchange(ctx context.Context, timeout time.Duration, request, into []byte) ([]byte, error) {
	if !t.held {
		defer t.end()
	}
	if err := t.keep(ctx); err != nil {
		return nil, err
	}
	l := t.line
	if err := l.connect(ctx, t.asked, timeout); err != nil {
		return nil, err
	}
	if err := l.rest(ctx); err != nil {
		return nil, err
	}
	if l.users > 1 {
		// Others need the line, and an answer that is not awaited costs the
		// connection: whoever stops waits for what is on its way.
		ctx = context.WithoutCancel(ctx)
	}
	began := time.Now()
	reply, err := l.carrier.exchange(ctx, before(ctx, began, timeout), request, into)
	l.ended = time.Now()
	t.spend(l.ended.Sub(began))
	if err != nil {
		// Where nobody else is on the line, a new connection harms nobody.
		if !kept(err) || l.users+int(l.joins.Load()) < 2 {
			l.carrier.close(true)
		}
		return nil, plain(err, timeout)
	}
	return reply, nil
}

// SetPause says how long the line rests between two exchanges, for all its
// devices. It may be called at any time.
func (l *Line) SetPause(d time.Duration) { l.pause.Store(int64(d)) }

// rest waits until the pause after the last exchange is over.
func (l *Line) rest(ctx context.Context) error {
	left := time.Duration(l.pause.Load())
	if left == 0 {
		return nil
	}
	if left -= time.Since(l.ended); left <= 0 {
		return nil
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the line: %w", ctx.Err())
	}
}

// confirmer is a carrier whose answers may need a last look before they count.
type confirmer interface {
	confirm(ctx context.Context, deadline time.Time, unit byte) error
}

// confirm tells, at the end of a poll, whether the unit's answers count.
func (t *turn) confirm(ctx context.Context, timeout time.Duration, unit byte) error {
	c, ok := t.line.carrier.(confirmer)
	if !ok {
		return nil
	}
	if !t.held {
		defer t.end()
	}
	if err := t.keep(ctx); err != nil {
		return err
	}
	if err := c.confirm(ctx, before(ctx, time.Now(), timeout), unit); err != nil {
		t.line.carrier.close(true)
		return fmt.Errorf("confirm the answers of unit %d: %w", unit, plain(err, timeout))
	}
	return nil
}

// before gives when the time is up, which is not later than ctx says.
func before(ctx context.Context, now time.Time, timeout time.Duration) time.Time {
	deadline := now.Add(timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		return d
	}
	return deadline
}

// plain gives err in words that are the same each time: without local ports,
// so that a fault that stays is one fault.
func plain(err error, timeout time.Duration) error {
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer within %v", timeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the device closed the connection")
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errors.New("the connection was reset")
	}
	var op *net.OpError
	if errors.As(err, &op) {
		if op.Timeout() {
			return fmt.Errorf("no answer within %v", timeout)
		}
		return op.Err
	}
	return err
}
