package connectors

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"linetwin/plant"
)

// mischief is what happens to a peer's answers on their way. Each connection
// has one of its own, made when it is accepted; nil leaves it whole.
type mischief func(to net.Conn, frame []byte) error

// modbusFrame, rtuFrame and opcuaFrame give the length of the frame that begins with
// head; 0 while head is too short to tell.
func modbusFrame(head []byte) int {
	if len(head) < 6 {
		return 0
	}
	return 6 + int(binary.BigEndian.Uint16(head[4:]))
}

// rtuFrame is of a Modbus answer without header: unit, function, length of what
// follows but its checksum; an exception has a code in place of the length.
func rtuFrame(head []byte) int {
	switch {
	case len(head) < 3:
		return 0
	case head[1]&0x80 != 0:
		return 5
	}
	return 5 + int(head[2])
}

func opcuaFrame(head []byte) int {
	if len(head) < 8 {
		return 0
	}
	return int(binary.LittleEndian.Uint32(head[4:]))
}

// disturb has answers pass through what makes gives for each connection that
// is made from now on, until it is called with nil. Those that are open are
// cut.
func (p *proxy) disturb(length func([]byte) int, makes func() mischief) {
	p.mu.Lock()
	p.frame, p.makes = length, makes
	p.mu.Unlock()
	p.cut()
}

// calm lets everything pass again, also what comes over connections that were
// disturbed until now.
func (p *proxy) calm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.makes = nil
}

// answers carries a peer's answers, frame by frame.
func (p *proxy) answers(from, to net.Conn, do mischief) {
	defer p.part(from, to)
	buf := make([]byte, 64<<10)
	var held []byte
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		held = append(held, buf[:n]...)
		for {
			size := p.frame(held)
			if size == 0 || size > len(held) {
				break
			}
			p.mu.Lock()
			calm := p.makes == nil
			p.mu.Unlock()
			if calm {
				_, err = to.Write(held[:size])
			} else {
				err = do(to, held[:size])
			}
			if err != nil {
				return
			}
			held = slices.Delete(held, 0, size)
		}
	}
}

// reset closes a connection as a crash does: with RST in place of FIN.
func reset(c net.Conn) error {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	return net.ErrClosed
}

func written(to net.Conn, b []byte) error {
	_, err := to.Write(b)
	return err
}

// late holds each answer back for up to most: some come in time, some do not.
func late(most time.Duration) func() mischief {
	return func() mischief {
		return func(to net.Conn, frame []byte) error {
			time.Sleep(time.Duration(rand.Int64N(int64(most))))
			return written(to, frame)
		}
	}
}

func doubled() mischief {
	return func(to net.Conn, frame []byte) error { return written(to, append(slices.Clone(frame), frame...)) }
}

// swapped holds every other answer back until the next one has passed. A peer
// that is asked for one thing at a time never gives a next one: its answer
// comes when the next request has been answered, which is too late.
func swapped() mischief {
	var held []byte
	n := 0
	return func(to net.Conn, frame []byte) error {
		if n++; n > 6 && held == nil && n%3 == 0 {
			held = slices.Clone(frame)
			return nil
		}
		err := written(to, append(slices.Clone(frame), held...))
		held = nil
		return err
	}
}

// repeated gives an old answer, as like as can be to the one that is due, in
// its place; that follows.
func repeated() mischief {
	var before [][]byte
	n := 0
	return func(to net.Conn, frame []byte) error {
		if n++; n > 6 && rand.IntN(3) == 0 {
			for _, old := range before {
				if len(old) == len(frame) {
					if err := written(to, old); err != nil {
						return err
					}
					break
				}
			}
			time.Sleep(5 * time.Millisecond) // so that it is read by itself
		}
		before = append(before, slices.Clone(frame))
		return written(to, frame)
	}
}

// littered puts bytes that nobody sent before an answer, into its head and
// behind it. (Not into what it carries: neither protocol could tell without
// signatures.)
func littered() mischief {
	n := 0
	return func(to net.Conn, frame []byte) error {
		litter := []byte{0xA5, 0x5A, 0xA5, 0x5A, 0xA5}[:1+rand.IntN(5)]
		at := []int{0, 3, len(frame)}[n%3]
		if n++; n > 6 && n%4 != 0 {
			return written(to, frame)
		}
		return written(to, slices.Insert(slices.Clone(frame), at, litter...))
	}
}

// crumbled sends each byte by itself.
func crumbled() mischief {
	return func(to net.Conn, frame []byte) error {
		for i := range frame {
			if err := written(to, frame[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
}

// trickling sends 400 bytes a second.
func trickling() mischief {
	return func(to net.Conn, frame []byte) error {
		for part := range slices.Chunk(frame, 8) {
			time.Sleep(20 * time.Millisecond)
			if err := written(to, part); err != nil {
				return err
			}
		}
		return nil
	}
}

// broken resets a connection in the middle of its n-th answer: of the hello,
// the opening of the channel and so on.
func broken(n int) func() mischief {
	return func() mischief {
		seen := 0
		return func(to net.Conn, frame []byte) error {
			if seen++; seen < n {
				return written(to, frame)
			}
			if err := written(to, frame[:len(frame)/2]); err != nil {
				return err
			}
			return reset(to)
		}
	}
}

// testMischief: whatever becomes of answers on their way, no reading is wrong,
// and signals flow again soon after it has ended.
func testMischief(t *testing.T, s *site) {
	length := opcuaFrame
	switch s.name {
	case "modbus":
		length = modbusFrame
	case "modbus rtu over tcp":
		length = rtuFrame
	}
	for _, c := range []struct {
		name  string
		makes func() mischief
		flows bool // in spite of it
	}{
		{"delayed replies", late(2 * s.rig(t).timeout), false},
		{"duplicated frames", doubled, false},
		{"reordered frames", swapped, false},
		{"repeated frames", repeated, false},
		{"garbage", littered, false},
		{"a byte at a time", crumbled, true},
		{"400 bytes a second", trickling, false},
		{"reset in the first answer", broken(1), false},
		{"reset in the second answer", broken(2), false},
		{"reset in the fourth answer", broken(4), false},
		{"reset after accept", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if s.name == "modbus rtu over tcp" && c.name == "repeated frames" {
				t.Skip("RTU does not number its answers: nobody can tell an old one that comes when another is due")
			}
			r := s.rig(t)
			r.until("flow", r.flows)
			if c.makes == nil {
				r.proxy.set(resets)
				r.proxy.cut()
			} else {
				r.proxy.disturb(length, c.makes)
			}
			r.rounds(600 * time.Millisecond)
			if c.flows {
				before := r.Status().Rounds
				r.until("flow all the same", func() bool { return r.Status().Rounds > before+3 && r.flows() })
			}
			r.proxy.calm()
			r.proxy.set(whole)
			r.recovers()
		})
	}
}

// testReplaced: after a program download nodes are gone and namespace indexes
// have moved; what is still there flows, the rest is bad, and comes back with
// the next program.
func testReplaced(r *rig) {
	served, ok := r.peer.(*space)
	if !ok {
		r.t.Skip("the protocol knows neither names nor nodes")
	}
	r.until("flow", r.flows)
	replace := func(before int, gone string) {
		r.proxy.set(refused)
		r.peer.stop()
		r.until("known to be gone", r.lost)
		served.replace(before, gone)
		r.peer.start(r.t)
		r.proxy.set(whole)
	}
	replace(3, "far")
	began := r.Status().Rounds
	took := r.until("flow of what is left", func() bool {
		return r.Status().Rounds > began+3 && r.last["n"].Quality == plant.Good && r.last["text"].Quality == plant.Good && r.last["far"].Quality == plant.Bad
	})
	r.t.Logf("flows %v after the program was replaced; far: %s", took, r.last["far"].Reason)
	replace(1, "")
	r.recovers()
}
