package opcua

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/gopcua/opcua/ua"
)

// plainChunk is a chunk without security of token 1.
func plainChunk(final byte, sequence, request uint32, body []byte) []byte {
	b := putPrefix(nil, "MSG", final, 1)
	b = putSequence(binary.LittleEndian.AppendUint32(b, 1), sequence, request)
	b = append(b, body...)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
	return b
}

// plainChannel is an open channel without security, with the server's side.
func plainChannel(t *testing.T) (*channel, net.Conn) {
	t.Helper()
	ours, theirs := net.Pipe()
	c := &channel{conn: ours, in: bufio.NewReaderSize(ours, readAhead), sec: security{ua.SecurityPolicyURINone, ua.MessageSecurityModeNone},
		tokens: []token{{id: 1}}, waiting: make(map[uint32]chan answer), done: make(chan struct{})}
	go c.read()
	t.Cleanup(func() {
		c.fail(errClosed)
		theirs.Close()
		<-c.done
	})
	return c, theirs
}

// A chunk that is left out, sent again or put elsewhere ends the channel.
func TestNumbersOfChunks(t *testing.T) {
	for _, c := range []struct {
		name    string
		numbers []uint32
		broken  bool
	}{
		{"one after another", []uint32{51, 52, 53}, false},
		{"from the start again", []uint32{1<<32 - 1025, 1, 2}, false},
		{"from the start again, later", []uint32{1<<32 - 2, 1<<32 - 1, 0, 1}, false},
		{"as far as allowed", []uint32{1<<32 - 1, 1023, 1024}, false},
		{"too far", []uint32{1<<32 - 1, 1024}, true},
		{"too early", []uint32{1<<32 - 1026, 1}, true},
		{"a hole", []uint32{1, 3}, true},
		{"twice", []uint32{7, 7}, true},
		{"backwards", []uint32{7, 6}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ch := &channel{sec: security{ua.SecurityPolicyURINone, ua.MessageSecurityModeNone}, tokens: []token{{id: 1}}}
			for i, n := range c.numbers {
				_, _, err := ch.openChunk(plainChunk('F', n, 1, nil))
				if last := i == len(c.numbers)-1; (err != nil) != (c.broken && last) || err != nil && !errors.Is(err, errChunk) {
					t.Errorf("%d: %v", n, err)
				}
			}
		})
	}
	c, server := plainChannel(t)
	server.Write(plainChunk('F', 1, 1, nil))
	server.Write(plainChunk('F', 1, 1, nil))
	<-c.done
	if err := c.failure(); err == nil || !strings.Contains(err.Error(), "number 1 after 1") {
		t.Error(err)
	}
}

// Parts of answers that nobody waits for are not kept, however many come, and
// those in between are whole.
func TestPartsThatNobodyWaitsFor(t *testing.T) {
	c, server := plainChannel(t)
	got := make(chan answer, 1)
	c.mu.Lock()
	c.waiting[7] = got
	c.mu.Unlock()
	n := uint32(0)
	send := func(final byte, request uint32, body []byte) {
		t.Helper()
		n++
		if _, err := server.Write(plainChunk(final, n, request, body)); err != nil {
			t.Fatal(err, c.failure())
		}
	}
	send('C', 7, []byte("whole "))
	much := make([]byte, bufferSize-24)
	for range 2 * mostMessage / len(much) {
		send('C', 8, much)
	}
	for range 2 * mostChunks {
		send('C', 9, nil)
	}
	send('F', 8, nil)
	send('F', 7, []byte("answer"))
	if a := <-got; string(a.data) != "whole answer" {
		t.Errorf("%q", a.data)
	}
	// Its parts are let go where who waited has left.
	c.mu.Lock()
	c.waiting[10] = got
	c.mu.Unlock()
	for range mostMessage / len(much) {
		send('C', 10, much)
	}
	c.mu.Lock()
	delete(c.waiting, 10)
	c.waiting[11] = got
	c.mu.Unlock()
	send('C', 10, much)
	for range mostMessage / len(much) {
		send('C', 11, much)
	}
	send('F', 11, nil)
	if a := <-got; len(a.data) != mostMessage/len(much)*len(much) {
		t.Errorf("%d bytes", len(a.data))
	}
}

// A request that panics leaves history to the session's other devices.
func TestHistoryIsGivenBackInAPanic(t *testing.T) {
	w := &learner{session: &session{history: make(baton, 1)}}
	func() {
		defer func() { recover() }()
		w.turn(t.Context(), nil, func() ([]*ua.HistoryReadResult, error) { panic("!") })
	}()
	if len(w.session.history) != 0 {
		t.Error("it is still held")
	}
}
