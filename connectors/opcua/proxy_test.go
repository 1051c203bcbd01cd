package opcua

import (
	"net"
	"strconv"
	"sync"
	"testing"
	"time"
)

// proxy stands between client and server and can cut or freeze what passes.
type proxy struct {
	listener net.Listener
	server   string

	mu      sync.Mutex
	conns   map[net.Conn]bool
	made    int
	frozen  chan struct{} // not nil while frozen; closed to thaw
	running sync.WaitGroup
}

// startProxy listens on any port, or on the one of an earlier proxy.
func startProxy(t testing.TB, port int, server string) *proxy {
	t.Helper()
	var l net.Listener
	waitFor(t, func() bool {
		var err error
		l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		return err == nil
	})
	p := &proxy{listener: l, server: server, conns: make(map[net.Conn]bool)}
	p.running.Go(p.accept)
	return p
}

func (p *proxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		server := p.server
		p.mu.Unlock()
		out, err := net.Dial("tcp", server)
		if err != nil {
			in.Close()
			continue
		}
		p.mu.Lock()
		p.conns[in], p.conns[out] = true, true
		p.made++
		p.mu.Unlock()
		p.running.Go(func() { p.copy(in, out) })
		p.running.Go(func() { p.copy(out, in) })
	}
}

func (p *proxy) copy(to, from net.Conn) {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		p.mu.Lock()
		frozen := p.frozen
		p.mu.Unlock()
		if frozen != nil {
			<-frozen
		}
		if n > 0 {
			if _, werr := to.Write(b[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil {
			to.Close()
			from.Close()
			p.mu.Lock()
			delete(p.conns, to)
			delete(p.conns, from)
			p.mu.Unlock()
			return
		}
	}
}

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// redirect leads to another server from now on.
func (p *proxy) redirect(server string) {
	p.mu.Lock()
	p.server = server
	p.mu.Unlock()
	p.cut()
}

// freeze lets nothing pass, with all connections open.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = make(chan struct{})
}

func (p *proxy) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen != nil {
		close(p.frozen)
		p.frozen = nil
	}
}

// connections tells how many there were, and how many are open.
func (p *proxy) connections() (made, open int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made, len(p.conns) / 2
}

func (p *proxy) stop() {
	p.listener.Close()
	p.thaw()
	p.cut()
	p.running.Wait()
}

// waitFor waits until something is so.
func waitFor(t testing.TB, so func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited too long")
		}
	}
}
