package modbus

import (
	"encoding/binary"
	"errors"
)

// Bounds of what a connection may owe before it is closed.
const (
	mostOwed   = 32 // answers that did not come in time
	mostSilent = 3  // time-outs in a row in which nothing came at all: it may be dead
)

// keptError is a failed exchange after which the connection can be used on:
// no answer came in time, and nothing else. Units that share a connection then
// need not lose it because of one that is dead.
type keptError struct{ error }

func (k keptError) Unwrap() error { return k.error }

func kept(err error) bool {
	_, ok := errors.AsType[keptError](err)
	return ok
}

// owed are the requests of one connection whose answers did not come in time
// and may still come. Modbus TCP gives every request a number that its answer
// repeats, so such an answer can be told from the one that is waited for, and
// be thrown away, as long as no number is used again before: none of a request
// that is owed is. An answer counts as owed only if number, unit, function and
// size are those of its request. Anything else is a surprise, and closes the
// connection.
type owed struct {
	requests [][headerSize + 5]byte
	silent   int // time-outs since something came
}

// add notes a request that got no answer in time, and tells whether the
// connection may be kept.
func (o *owed) add(request []byte) bool {
	var r [headerSize + 5]byte
	if o.silent++; o.silent >= mostSilent || len(o.requests) >= mostOwed || copy(r[:], request) != len(request) {
		return false
	}
	o.requests = append(o.requests, r)
	return true
}

// find gives the place of a transaction number; -1 where nothing is owed under it.
func (o *owed) find(transaction uint16) int {
	for i := range o.requests {
		if binary.BigEndian.Uint16(o.requests[i][:]) == transaction {
			return i
		}
	}
	return -1
}

// settle takes late answers off the front of b and gives how many bytes they
// are. It stops at the answer to request, which is nil between two exchanges,
// and at a part of one that is owed. The error is that of bytes that are neither.
func (o *owed) settle(b, request []byte) (done int, err error) {
	for len(b)-done >= headerSize {
		frame := b[done:]
		if request != nil && sameNumber(frame, request) {
			return done, nil
		}
		i := o.find(binary.BigEndian.Uint16(frame))
		switch {
		case i >= 0:
		case request != nil:
			return done, checkHeader(request, frame[:headerSize])
		default:
			return done, errors.New("bytes came that nobody asked for")
		}
		late := o.requests[i][:]
		if err := checkHeader(late, frame[:headerSize]); err != nil {
			return done, err
		}
		whole := headerSize - 1 + int(binary.BigEndian.Uint16(frame[4:]))
		if len(frame) < whole {
			break
		}
		if err := checkReply(late[headerSize:], frame[headerSize:whole]); err != nil {
			return done, err
		}
		last := len(o.requests) - 1
		o.requests[i] = o.requests[last]
		o.requests, o.silent = o.requests[:last], 0
		done += whole
	}
	return done, nil
}

// hold keeps what came between two exchanges while answers are owed, and tells
// whether it can be part of them.
func (t *tcp) hold(b []byte) bool {
	t.rest = append(t.rest, b...)
	n, err := t.owed.settle(t.rest, nil)
	t.rest = t.rest[:copy(t.rest, t.rest[n:])]
	return err == nil && len(t.rest) < frameSize
}
