package main

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// cable carries TCP connections to a target and does what cables do. While it
// is pulled nothing passes in either direction and nobody is told; what was
// sent comes through when it is plugged again, as TCP would send it again.
type cable struct {
	listener net.Listener
	target   string
	group    sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond
	pulled  bool
	closed  bool
	strands map[*strand]bool
}

// strand is one connection through a cable.
type strand struct {
	near, far net.Conn
	forgotten bool // what is sent goes nowhere, and neither end is told
}

func newCable(t testing.TB, target string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{listener: l, target: target, strands: map[*strand]bool{}}
	c.changed = sync.NewCond(&c.mu)
	c.group.Go(c.accept)
	t.Cleanup(func() {
		l.Close()
		c.mu.Lock()
		c.closed = true
		for s := range c.strands {
			s.near.Close()
			s.far.Close()
		}
		c.mu.Unlock()
		c.changed.Broadcast()
		c.group.Wait()
	})
	return c
}

func (c *cable) address() string { return c.listener.Addr().String() }

func (c *cable) pull() { c.set(true) }
func (c *cable) plug() { c.set(false) }

func (c *cable) set(pulled bool) {
	c.mu.Lock()
	c.pulled = pulled
	c.mu.Unlock()
	c.changed.Broadcast()
}

// forget makes every connection of now half open, as when a router between
// forgets them. New ones pass.
func (c *cable) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.strands {
		s.forgotten = true
	}
}

func (c *cable) accept() {
	for {
		near, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.group.Go(func() { c.connect(near) })
	}
}

func (c *cable) connect(near net.Conn) {
	if !c.passes() {
		near.Close()
		return
	}
	far, err := net.Dial("tcp", c.target)
	if err != nil {
		near.Close()
		return
	}
	s := &strand{near: near, far: far}
	c.mu.Lock()
	c.strands[s] = true
	closed := c.closed
	c.mu.Unlock()
	if closed {
		near.Close()
		far.Close()
	}
	var both sync.WaitGroup
	both.Go(func() { c.carry(s, near, far) })
	both.Go(func() { c.carry(s, far, near) })
	both.Wait()
	near.Close()
	far.Close()
	c.mu.Lock()
	delete(c.strands, s)
	c.mu.Unlock()
}

// passes waits while the cable is pulled; false at the test's end.
func (c *cable) passes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.pulled && !c.closed {
		c.changed.Wait()
	}
	return !c.closed
}

// carry carries one direction until it ends, and then ends the other, unless
// the connection is forgotten.
func (c *cable) carry(s *strand, from, to net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if !c.passes() {
			return
		}
		c.mu.Lock()
		forgotten := s.forgotten
		c.mu.Unlock()
		if forgotten && err != nil {
			return
		}
		if n > 0 && !forgotten {
			if _, wrong := to.Write(buf[:n]); wrong != nil {
				err = wrong
			}
		}
		if err != nil {
			from.Close()
			to.Close()
			return
		}
	}
}

// How a storeFront treats requests to the database.
const (
	storeWhole   int32 = iota
	storeSlow          // each takes three seconds longer
	storeHangs         // none is answered
	storeFails         // 500, though nothing is wrong with the request
	storeBusy          // 503 with Retry-After
	storeForgets       // it is done, but nobody hears of it
)

// storeFront stands before InfluxDB.
type storeFront struct {
	address string
	mode    atomic.Int32
}

const slowStore = 3 * time.Second

func newStoreFront(t testing.TB, target string) *storeFront {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &storeFront{address: "http://" + l.Addr().String()}
	transport := &http.Transport{}
	pass := httputil.NewSingleHostReverseProxy(to)
	pass.Transport = transport
	pass.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) }
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, pass) })}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
		transport.CloseIdleConnections()
	})
	return f
}

func (f *storeFront) serve(w http.ResponseWriter, r *http.Request, pass http.Handler) {
	switch f.mode.Load() {
	case storeSlow:
		select {
		case <-time.After(slowStore):
		case <-r.Context().Done():
			return
		}
	case storeHangs:
		<-r.Context().Done()
		return
	case storeFails:
		http.Error(w, `{"error":"engine: cannot"}`, http.StatusInternalServerError)
		return
	case storeBusy:
		w.Header().Set("Retry-After", "1")
		http.Error(w, `{"code":"unavailable","message":"busy"}`, http.StatusServiceUnavailable)
		return
	case storeForgets:
		pass.ServeHTTP(discarded{http.Header{}}, r)
		panic(http.ErrAbortHandler)
	}
	pass.ServeHTTP(w, r)
}

// discarded takes an answer that nobody gets.
type discarded struct{ header http.Header }

func (d discarded) Header() http.Header         { return d.header }
func (d discarded) Write(b []byte) (int, error) { return len(b), nil }
func (d discarded) WriteHeader(int)             {}
