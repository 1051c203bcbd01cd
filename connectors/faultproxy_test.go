package connectors

import (
	"net"
	"sync"
	"testing"
)

// wire is how a proxy treats what passes through it.
type wire int

const (
	whole    wire = iota // passes
	frozen               // is held back, and passes late: a peer that hangs
	swallows             // is lost although the connection stays: half open
	refused              // connections are closed at once: the device is gone
	resets               // connections are reset at once: the device crashes
)

// proxy stands between a device and its peer and does what networks do.
type proxy struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu       sync.Mutex
	changed  *sync.Cond
	wire     wire
	closed   bool
	conns    map[net.Conn]bool // both ends of all that passes
	accepted int
	frame    func([]byte) int // where an answer ends
	makes    func() mischief  // what becomes of answers; nil for nothing
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target, conns: map[net.Conn]bool{}}
	p.changed = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		p.closed = true
		p.changed.Broadcast()
		p.mu.Unlock()
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// set changes how the wire is from now on.
func (p *proxy) set(w wire) {
	p.mu.Lock()
	p.wire = w
	p.changed.Broadcast()
	p.mu.Unlock()
	if w == refused {
		p.cut()
	}
}

// cut closes every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
		delete(p.conns, c)
	}
}

// open gives how many connections pass through now, and how many were ever
// accepted.
func (p *proxy) open() (now, ever int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns) / 2, p.accepted
}

func (p *proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		gone, makes := p.wire, p.makes
		p.mu.Unlock()
		switch gone {
		case refused:
			near.Close()
			continue
		case resets:
			reset(near)
			continue
		}
		far, err := net.Dial("tcp", p.target)
		if err != nil {
			near.Close()
			continue
		}
		p.mu.Lock()
		p.conns[near], p.conns[far] = true, true
		p.accepted++
		p.mu.Unlock()
		p.wg.Go(func() { p.pipe(near, far) })
		if makes != nil {
			p.wg.Go(func() { p.answers(far, near, makes()) })
		} else {
			p.wg.Go(func() { p.pipe(far, near) })
		}
	}
}

// pipe carries one direction until either end closes.
func (p *proxy) pipe(from, to net.Conn) {
	defer p.part(from, to)
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		for p.wire == frozen && !p.closed {
			p.changed.Wait()
		}
		drop := p.wire == swallows
		p.mu.Unlock()
		if drop {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// part closes both ends.
func (p *proxy) part(from, to net.Conn) {
	from.Close()
	to.Close()
	p.mu.Lock()
	delete(p.conns, from)
	delete(p.conns, to)
	p.mu.Unlock()
}
