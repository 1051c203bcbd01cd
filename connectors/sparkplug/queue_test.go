package sparkplug

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"testing"
	"time"
)

// TestLittleWaitsInTheSocket fills the connection to a peer that reads nothing:
// what it takes is what live data may have to stand behind on a slow link.
func TestLittleWaitsInTheSocket(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux bounds what waits in a socket")
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_ = c.(*net.TCPConn).SetReadBuffer(16 << 10)
		}
		peer <- c
	}()
	c := connection("tcp://" + l.Addr().String())
	c.ConnectTimeout = 10 * time.Second
	conn, err := c.dial(t.Context(), l.Addr().String(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	far := <-peer
	defer far.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	took, message := 0, make([]byte, 1000)
	for err == nil {
		var n int
		n, err = conn.Write(message)
		took += n
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	// The peer's buffer is part of it, and more than what was asked for.
	if took > 512<<10 {
		t.Errorf("%d bytes wait in a connection that stands still", took)
	}
}
