package simulator

import (
	"net"
	"sync"
	"time"
)

// front is a TCP listener before the OPC UA library's server, which can
// neither tell its port nor cut a connection, and stops accepting while one
// that says nothing is open. It can freeze and refuse as a broken device does.
type front struct {
	host string

	mu       sync.Mutex // guards what follows
	port     int        // 0: any
	backend  string     // host:port
	listener net.Listener
	conns    map[net.Conn]bool
	gate     chan struct{} // closed on thaw; nil: bytes flow
	working  sync.WaitGroup
}

// open listens; the port that it was given once stays.
func (f *front) open() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listener != nil {
		return nil
	}
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: f.ip(), Port: f.port})
	if err != nil {
		return err
	}
	f.listener, f.port = l, l.Addr().(*net.TCPAddr).Port
	f.working.Go(func() { f.accept(l) })
	return nil
}

func (f *front) ip() net.IP {
	if ip := net.ParseIP(f.host); ip != nil {
		return ip
	}
	return net.IPv4(127, 0, 0, 1) // localhost
}

func (f *front) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return // closed
		}
		f.working.Go(func() { f.serve(c) })
	}
}

// close refuses connections and cuts those that are open.
func (f *front) close() {
	f.mu.Lock()
	if f.listener != nil {
		f.listener.Close()
		f.listener = nil
	}
	f.mu.Unlock()
	f.cut()
}

// cut closes all connections.
func (f *front) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		c.Close()
	}
}

// freeze stops all bytes; connections stay open and new ones are accepted.
func (f *front) freeze() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gate == nil {
		f.gate = make(chan struct{})
	}
}

// thaw undoes freeze.
func (f *front) thaw() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gate != nil {
		close(f.gate)
		f.gate = nil
	}
}

func (f *front) frozen() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gate != nil
}

func (f *front) hold(c net.Conn) (closed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listener == nil {
		return true
	}
	if f.conns == nil {
		f.conns = map[net.Conn]bool{}
	}
	f.conns[c] = true
	return false
}

func (f *front) drop(c net.Conn) {
	f.mu.Lock()
	delete(f.conns, c)
	f.mu.Unlock()
	c.Close()
}

// serve carries one connection; the server behind sees it with its first byte.
func (f *front) serve(client net.Conn) {
	defer f.drop(client)
	if f.hold(client) {
		return
	}
	buf := make([]byte, 32<<10)
	n, err := client.Read(buf)
	if err != nil {
		return
	}
	f.flow()
	f.mu.Lock()
	backend := f.backend
	f.mu.Unlock()
	server, err := net.DialTimeout("tcp", backend, 10*time.Second)
	if err != nil {
		return
	}
	defer f.drop(server)
	if f.hold(server) {
		return
	}
	if _, err := server.Write(buf[:n]); err != nil {
		return
	}
	f.working.Go(func() {
		defer client.Close()
		f.carry(client, server, make([]byte, 32<<10))
	})
	f.carry(server, client, buf)
}

func (f *front) carry(to, from net.Conn, buf []byte) {
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		f.flow()
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// flow blocks while the front is frozen.
func (f *front) flow() {
	f.mu.Lock()
	gate := f.gate
	f.mu.Unlock()
	if gate != nil {
		<-gate
	}
}
