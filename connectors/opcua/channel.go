package opcua

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uapolicy"

	"linetwin/plant"
)

const (
	readAhead     = 16 << 10
	bufferSize    = 0xFFFF  // largest chunk that we take
	mostMessage   = 4 << 20 // largest message that we take
	mostChunks    = 256
	tokenLifetime = time.Hour
)

var (
	errTimeout = errors.New("no answer in time")
	errClosed  = errors.New("closed")
)

// faultError is a service that the server refused as a whole.
type faultError struct{ status ua.StatusCode }

func (e faultError) Error() string { return "the server says " + statusName(e.status) }

// undecodableError is an answer that came but could not be decoded.
type undecodableError struct{ err error }

func (e undecodableError) Error() string { return e.err.Error() }
func (e undecodableError) Unwrap() error { return e.err }

// protocolError is an answer that no server may give.
type protocolError struct{ err error }

func (e protocolError) Error() string { return e.err.Error() }
func (e protocolError) Unwrap() error { return e.err }

// token is a set of keys that client and server agreed upon for a time.
type token struct {
	id    uint32
	keys  keys
	made  time.Time
	lives time.Duration
}

// answer is an encoded response, or why the server broke it off.
type answer struct {
	data    []byte
	aborted ua.StatusCode
}

// channel is a secure channel (Part 6, 6.7 and 7.1) over which any number of
// goroutines may call services at the same time. It has exactly the security
// that it was made with, and the server that holds the given certificate.
type channel struct {
	conn    net.Conn
	in      *bufio.Reader // of conn
	url     string
	sec     security
	own     *identity // nil without security
	server  []byte    // the server's certificate, nil without security
	id      uint32
	opening keys

	heard    bool   // of the server; this and what follows are the reader's
	received uint32 // number of its last chunk

	sendSize    int
	sendMessage int // largest message the server takes; 0 for any

	writing  sync.Mutex // guards conn's writing side and what follows
	sequence uint32
	body     []byte // of the request in hand; kept for the next one
	chunk    []byte // so too

	mu      sync.Mutex // guards what follows
	request uint32
	waiting map[uint32]chan answer
	tokens  []token // newest first; the one before may still be used by the server
	nonce   []byte  // ours, of the opening under way
	err     error

	done chan struct{} // closed when the reader has ended
}

// dialChannel connects and opens a secure channel. ctx bounds all of it.
func dialChannel(ctx context.Context, u *url.URL, sec security, own *identity, server []byte) (*channel, error) {
	opening, err := asymmetric(sec, own, server)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	c := &channel{conn: conn, in: bufio.NewReaderSize(conn, readAhead), url: u.String(), sec: sec, own: own, server: server, opening: opening,
		waiting: make(map[uint32]chan answer), done: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	err = c.hello()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("say hello: %w", err)
	}
	go c.read()
	if err := c.renew(ctx, ua.SecurityTokenRequestTypeIssue); err != nil {
		c.close()
		return nil, fmt.Errorf("open secure channel %s: %w", sec, err)
	}
	return c, nil
}

// read hands each answer to whoever waits for it, until the connection ends.
func (c *channel) read() {
	defer close(c.done)
	partial := make(map[uint32][][]byte)
	held := 0
	for {
		b, err := c.readChunk()
		if err != nil {
			c.fail(err)
			return
		}
		opened, final := string(b[:3]) == "OPN", b[3]
		request, data, err := c.openChunk(b)
		if err != nil {
			c.fail(err)
			return
		}
		switch final {
		case 'C':
			if !c.awaited(request) { // nor anything of it kept
				held -= size(partial[request])
				delete(partial, request)
				continue
			}
			if held += len(data); held > mostMessage || len(partial[request]) >= mostChunks {
				c.fail(fmt.Errorf("%w: longer than %d bytes", errChunk, mostMessage))
				return
			}
			partial[request] = append(partial[request], data)
			continue
		case 'F':
			if parts := partial[request]; parts != nil {
				data = bytes.Join(append(parts, data), nil)
			}
		}
		a := answer{data: data}
		if final == 'A' { // the server gave up half way: its reason is the answer
			a = answer{aborted: ua.StatusBadUnexpectedError}
			if len(data) >= 4 {
				a.aborted = ua.StatusCode(binary.LittleEndian.Uint32(data))
			}
		}
		if opened && final == 'F' {
			if err := c.install(data); err != nil {
				c.fail(err)
				return
			}
		}
		held -= size(partial[request])
		delete(partial, request)
		c.mu.Lock()
		w := c.waiting[request]
		delete(c.waiting, request)
		c.mu.Unlock()
		if w != nil {
			w <- a // has room for the one answer
		}
	}
}

func size(parts [][]byte) (n int) {
	for _, p := range parts {
		n += len(p)
	}
	return n
}

// awaited tells whether anyone waits for the answer to a request.
func (c *channel) awaited(request uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting[request] != nil
}

func (c *channel) keysOf(id uint32) (keys, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.tokens {
		if t.id == id {
			return t.keys, true
		}
	}
	return keys{}, false
}

// renew opens the channel, or gives it a new token.
func (c *channel) renew(ctx context.Context, kind ua.SecurityTokenRequestType) error {
	req := &ua.OpenSecureChannelRequest{RequestType: kind, SecurityMode: c.sec.mode, RequestedLifetime: uint32(tokenLifetime.Milliseconds())}
	if !c.sec.none() {
		var err error
		if req.ClientNonce, err = c.opening.algorithm.MakeNonce(); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.nonce = req.ClientNonce
	c.mu.Unlock()
	_, err := c.call(ctx, req, nil)
	return err
}

// install takes the token of an opening into use. The reader does so before
// it reads on, because the server may use the token at once.
func (c *channel) install(b []byte) error {
	got, err := answer{data: b}.decode()
	if fault := (faultError{}); errors.As(err, &fault) {
		return nil // who asked will see it
	}
	if err != nil {
		return err
	}
	res, ok := got.(*ua.OpenSecureChannelResponse)
	if !ok || res.SecurityToken == nil {
		return fmt.Errorf("open secure channel: the answer is a %T", got)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.sec.none() && len(res.ServerNonce) < max(len(c.nonce), 1) {
		return errors.New("open secure channel: the server's nonce is too short")
	}
	k, err := symmetric(c.sec, c.nonce, res.ServerNonce)
	if err != nil {
		return err
	}
	lives := time.Duration(res.SecurityToken.RevisedLifetime) * time.Millisecond
	if lives <= 0 || lives > tokenLifetime {
		lives = tokenLifetime
	}
	if len(c.tokens) == 0 {
		c.id = res.SecurityToken.ChannelID // and stays: senders read it without a lock
	} else if c.id != res.SecurityToken.ChannelID {
		return errors.New("renew secure channel: the server gave another channel")
	}
	c.nonce = nil
	c.tokens = append([]token{{id: res.SecurityToken.TokenID, keys: k, made: time.Now(), lives: lives}}, c.tokens[:min(1, len(c.tokens))]...)
	return nil
}

// life gives how long the token lives.
func (c *channel) life() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tokens[0].lives
}

// due tells whether three quarters of the token's life are over, when it shall
// be renewed (Part 4, 5.5.2).
func (c *channel) due(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return now.Sub(c.tokens[0].made) >= c.tokens[0].lives*3/4
}

// call sends a request and waits for its answer until ctx ends. A refusal of
// the whole service is a faultError.
func (c *channel) call(ctx context.Context, req ua.Request, session *ua.NodeID) (ua.Response, error) {
	got := make(chan answer, 1)
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return nil, c.err
	}
	c.request++
	id := c.request
	c.waiting[id] = got
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waiting, id)
		c.mu.Unlock()
	}()
	if err := c.send(ctx, id, req, session); err != nil {
		return nil, err
	}
	select {
	case a := <-got:
		return a.decode()
	case <-c.done:
		select {
		case a := <-got:
			return a.decode()
		default:
		}
		return nil, c.failure()
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, errTimeout
		}
		return nil, ctx.Err()
	}
}

// decode gives the response; one that tells of a refusal is a faultError.
func (a answer) decode() (ua.Response, error) {
	if a.aborted != 0 {
		return nil, faultError{a.aborted}
	}
	res, err := decodeMessage(a.data)
	if err != nil {
		return nil, undecodableError{err}
	}
	if status := res.Header().ServiceResult; severity(status) == plant.Bad {
		return nil, faultError{status}
	}
	return res, nil
}

// send writes a request in as many chunks as it needs. Half a request cannot
// be taken back, so that a write that fails ends the channel.
func (c *channel) send(ctx context.Context, id uint32, req ua.Request, session *ua.NodeID) error {
	if session == nil {
		session = ua.NewTwoByteNodeID(0)
	}
	now := time.Now()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = now.Add(time.Minute)
	}
	hint := min(max(deadline.Sub(now), time.Millisecond), time.Hour)
	req.SetHeader(&ua.RequestHeader{AuthenticationToken: session, Timestamp: now, RequestHandle: id, TimeoutHint: uint32(hint.Milliseconds())})
	c.writing.Lock()
	defer c.writing.Unlock()
	body, err := appendMessage(c.body[:0], req)
	if err != nil {
		return fmt.Errorf("encode %T: %w", req, err)
	}
	c.body = body
	if c.sendMessage > 0 && len(body) > c.sendMessage {
		return faultError{ua.StatusBadRequestTooLarge}
	}
	kind, k, header, err := c.header(req)
	if err != nil {
		return err
	}
	room := k.largestBody(c.sendSize, len(header))
	if room <= 0 {
		return fmt.Errorf("the server's chunks of %d bytes have no room", c.sendSize)
	}
	c.conn.SetWriteDeadline(deadline)
	for first := true; first || len(body) > 0; first = false {
		n, final := len(body), byte('F')
		if n > room {
			n, final = room, 'C'
		}
		c.sequence++
		b := putPrefix(c.chunk[:0], kind, final, c.id)
		b = append(b, header...)
		b = putSequence(b, c.sequence, id)
		b, err = k.seal(append(b, body[:n]...), prefixSize+len(header))
		if err == nil {
			c.chunk = b
			_, err = c.conn.Write(b)
		}
		if err != nil {
			if why := c.failure(); why != nil {
				return why // the reader closed the connection, and knows better why
			}
			err = fmt.Errorf("send: %w", plain(err))
			c.fail(err)
			return err
		}
		body = body[n:]
	}
	return nil
}

// header gives the kind of a request's chunks, their keys and security header.
func (c *channel) header(req ua.Request) (kind string, k keys, header []byte, err error) {
	switch req.(type) {
	case *ua.OpenSecureChannelRequest:
		b := ua.NewBuffer(nil)
		b.WriteString(c.sec.policy)
		if c.sec.none() {
			b.WriteByteString(nil)
			b.WriteByteString(nil)
		} else {
			b.WriteByteString(c.own.der)
			b.WriteByteString(uapolicy.Thumbprint(c.server))
		}
		return "OPN", c.opening, b.Bytes(), b.Error()
	case *ua.CloseSecureChannelRequest:
		kind = "CLO"
	default:
		kind = "MSG"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.tokens) == 0 {
		return "", keys{}, nil, errClosed
	}
	return kind, c.tokens[0].keys, binary.LittleEndian.AppendUint32(nil, c.tokens[0].id), nil
}

// fail ends the channel with the reason that those who wait shall see. The
// first one stays.
func (c *channel) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	c.conn.Close()
}

func (c *channel) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// close says goodbye if it can and returns when the reader has ended.
func (c *channel) close() {
	if c.failure() == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		c.mu.Lock()
		c.request++
		id := c.request
		c.mu.Unlock()
		c.send(ctx, id, &ua.CloseSecureChannelRequest{}, nil) // has no answer, and nobody is left to tell
		cancel()
	}
	c.fail(errClosed)
	<-c.done
}
