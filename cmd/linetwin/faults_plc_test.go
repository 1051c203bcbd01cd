package main

import (
	endian "encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// countingPLC is a controller whose registers, or nodes, tell how often they were
// read: the first look at them gets 1, the next one 2, and so on, in each of
// its values. What it has handed out is the truth that history is held
// against; the gateway has no part in it.
type countingPLC struct {
	machine  string
	values   int    // of 32 bits each, at holding registers 0, 2, 4 ...
	noise    bool   // values are scrambled, so that nothing can compress them
	salt     uint32 // of the noise, so that machines do not resemble each other
	listener net.Listener
	group    sync.WaitGroup
	opcua    *opcuaFront // nil: it speaks Modbus

	mu     sync.Mutex
	looks  []look          // the look that got n is the one at n-1
	doubt  map[uint32]bool // looks whose answer nobody may have taken
	rests  bool            // answers nothing more
	gone   bool            // lets nobody in
	conns  map[net.Conn]bool
	ending bool
}

// look is one read of the registers, from the first of them on.
type look struct {
	at     time.Time
	values int
}

func newCountingPLC(t testing.TB, machine string, values int, noise bool) *countingPLC {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &countingPLC{machine: machine, values: values, noise: noise, salt: rand.Uint32(), listener: l, doubt: map[uint32]bool{}, conns: map[net.Conn]bool{}}
	p.group.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		p.ending = true
		p.hangUp()
		p.mu.Unlock()
		p.group.Wait()
	})
	return p
}

func (p *countingPLC) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		if p.gone || p.ending {
			c.Close()
		} else {
			p.conns[c] = true
			p.group.Go(func() { p.serve(c) })
		}
		p.mu.Unlock()
	}
}

// serve answers requests to read holding registers until the connection ends.
func (p *countingPLC) serve(c net.Conn) {
	defer func() {
		c.Close()
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
	}()
	request := make([]byte, 12)
	for {
		if _, err := io.ReadFull(c, request); err != nil {
			return
		}
		if !p.answer(c, request) {
			return
		}
	}
}

// answer gives the next count; it is handed out once it is written.
func (p *countingPLC) answer(c net.Conn, request []byte) bool {
	start, count := endian.BigEndian.Uint16(request[8:]), endian.BigEndian.Uint16(request[10:])
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.conns[c] {
		return false
	}
	reply := append([]byte(nil), request[:8]...)
	if request[7] != 3 || start != 0 || count < 2 || int(count) > 2*p.values || p.rests {
		reply[7] |= 0x80
		reply = append(reply, 6) // busy
		endian.BigEndian.PutUint16(reply[4:], 3)
		_, err := c.Write(reply)
		return err == nil
	}
	reply = append(reply, byte(2*count))
	n := uint32(len(p.looks) + 1)
	for i := range int(count) / 2 {
		reply = endian.BigEndian.AppendUint32(reply, p.shown(n, i))
	}
	endian.BigEndian.PutUint16(reply[4:], uint16(len(reply)-6))
	if _, err := c.Write(reply); err != nil {
		return false
	}
	p.looks = append(p.looks, look{time.Now(), int(count) / 2})
	return true
}

// shown gives what value i is at look n, and counted the look of a value.
func (p *countingPLC) shown(n uint32, i int) uint32 {
	if p.noise {
		return scramble(scramble(n^uint32(i)<<24) + p.salt)
	}
	return n
}

func (p *countingPLC) counted(shown uint32, i int) uint32 {
	if p.noise {
		return unscramble(unscramble(shown)-p.salt) ^ uint32(i)<<24
	}
	return shown
}

// scramble is a permutation of 32 bits without a pattern (Murmur3's finalizer).
func scramble(x uint32) uint32 {
	x = (x ^ x>>16) * 0x85ebca6b
	x = (x ^ x>>13) * 0xc2b2ae35
	return x ^ x>>16
}

func unscramble(x uint32) uint32 {
	x = (x ^ x>>16) * 0x7ed1b41d
	x ^= x>>13 ^ x>>26
	x *= 0xa5cb9243
	return x ^ x>>16
}

// readerDied notes that the gateway was killed, or cut off: nobody can tell
// whether it still took the answer before. No answer is given to what it may
// have asked since.
func (p *countingPLC) readerDied() {
	if p.opcua != nil && p.opcua.subscribed == nil {
		time.Sleep(100 * time.Millisecond) // what was asked before is being answered
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.opcua != nil && p.opcua.subscribed != nil && !p.gone {
		p.opcua.subscribed.waiting = nil // nobody takes a report any more
	}
	p.hangUp()
	n := len(p.looks)
	if n > 0 {
		p.doubt[uint32(n)] = true
	}
	// A report is asked for while the one before is taken.
	if n > 1 && p.opcua != nil && p.opcua.subscribed != nil {
		p.doubt[uint32(n-1)] = true
	}
}

// hangUp closes what is open. The caller holds mu.
func (p *countingPLC) hangUp() {
	for c := range p.conns {
		c.Close()
		delete(p.conns, c)
	}
}

// leave has the PLC lose its network, and let nobody in until come.
func (p *countingPLC) leave() {
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	p.readerDied()
}

func (p *countingPLC) come() {
	p.mu.Lock()
	p.gone = false
	p.mu.Unlock()
}

// rest ends the handing out of values.
func (p *countingPLC) rest() {
	p.mu.Lock()
	p.rests = true
	p.mu.Unlock()
}

// handedOut gives the looks so far and those in doubt.
func (p *countingPLC) handedOut() (looks []look, doubt map[uint32]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.looks[:len(p.looks):len(p.looks)], p.doubt
}

// lookAt gives when look n was, or false where there was none.
func (p *countingPLC) lookAt(n uint32) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n == 0 || int(n) > len(p.looks) {
		return time.Time{}, false
	}
	return p.looks[n-1].at, true
}

// settings gives the settings of a gateway's device that reads the PLC. An
// answer that comes and is not taken would be a loss of the test's making, on a
// machine that is short of time: there is time for it.
func (p *countingPLC) settings(every time.Duration) map[string]any {
	device := map[string]any{"machine": p.machine, "every": every.String()}
	var signals []any
	for i := range p.values {
		signal := map[string]any{"name": valueName(i), "type": "uint32"}
		if p.opcua != nil {
			signal["node"] = p.opcua.node(i)
		} else {
			signal["address"] = fmt.Sprintf("holding:%d", 2*i)
		}
		signals = append(signals, signal)
	}
	device["signals"] = signals
	if p.opcua != nil {
		device["opcua"] = map[string]any{"url": p.opcua.url, "security": "None", "timeout": "10s"}
		if p.opcua.subscribed != nil {
			device["opcua"] = map[string]any{"url": p.opcua.url, "security": "None", "timeout": "10s", "mode": "subscribe", "publishing": every.String()}
		}
	} else {
		device["modbus"] = map[string]any{"url": "tcp://" + p.listener.Addr().String(), "timeout": "10s"}
	}
	return device
}

func TestScramble(t *testing.T) {
	p := countingPLC{noise: true, salt: 77}
	for _, n := range []uint32{1, 2, 77, 1 << 20, 1<<24 - 1} {
		for _, i := range []int{0, 1, 59} {
			if got := p.counted(p.shown(n, i), i); got != n {
				t.Errorf("look %d of value %d comes back as %d", n, i, got)
			}
		}
	}
}
