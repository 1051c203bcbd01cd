package opcua

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uacp"
	"github.com/gopcua/opcua/uapolicy"

	"linetwin/plant"
)

// hello agrees on sizes (Part 6, 7.1.3).
func (c *channel) hello() error {
	body, err := (&uacp.Hello{ReceiveBufSize: bufferSize, SendBufSize: bufferSize, MaxMessageSize: mostMessage, MaxChunkCount: mostChunks, EndpointURL: c.url}).Encode()
	if err != nil {
		return err
	}
	b := append([]byte("HELF\x00\x00\x00\x00"), body...)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
	if _, err := c.conn.Write(b); err != nil {
		return plain(err)
	}
	b, err = c.readChunk()
	if err != nil {
		return err
	}
	var ack uacp.Acknowledge
	if string(b[:4]) != "ACKF" {
		return fmt.Errorf("the server answered %q", b[:4])
	}
	if _, err := ack.Decode(b[8:]); err != nil {
		return fmt.Errorf("the server's acknowledgement: %w", err)
	}
	if ack.ReceiveBufSize < 1024 {
		return fmt.Errorf("the server takes %d bytes at a time, too few", ack.ReceiveBufSize)
	}
	c.sendSize, c.sendMessage = int(min(ack.ReceiveBufSize, bufferSize)), int(min(ack.MaxMessageSize, 1<<30))
	return nil
}

// plain takes the addresses out of a network error: our port is another one in
// each connection, and the error of the same fault shall be the same.
func plain(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the server closed the connection")
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return fmt.Errorf("%s: %w", op.Op, op.Err)
	}
	return err
}

// readChunk reads one chunk. The server's error message is an error.
func (c *channel) readChunk() ([]byte, error) {
	head, err := c.in.Peek(8)
	if err != nil {
		return nil, plain(err)
	}
	size := binary.LittleEndian.Uint32(head[4:])
	if size < 8 || size > bufferSize {
		return nil, fmt.Errorf("%w: a chunk of %d bytes", errChunk, size)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(c.in, b); err != nil {
		return nil, plain(err)
	}
	if string(b[:3]) == "ERR" {
		var e uacp.Error
		if _, err := e.Decode(b[8:]); err != nil {
			return nil, fmt.Errorf("%w: error message", errChunk)
		}
		if severity(ua.StatusCode(e.ErrorCode)) != plant.Bad {
			return nil, strayRefusal(b)
		}
		return nil, serverError{ua.StatusCode(e.ErrorCode), strings.TrimSpace(e.Reason)}
	}
	return b, nil
}

// strayRefusal gives the reason in an error message that is laid out like the
// opening of a channel, with a service fault in it: node-opcua sends such ones
// to a client that it does not trust.
func strayRefusal(b []byte) (err error) {
	unclear := fmt.Errorf("%w: an error message without an error", errChunk)
	defer func() {
		if r := recover(); r != nil { // the library's, over a hostile message
			err = unclear
		}
	}()
	_, end, err := asymmetricHeader(b)
	if err != nil || end > len(b) {
		return unclear
	}
	_, data, err := takeSequence(b[end:])
	if err != nil {
		return unclear
	}
	res, err := decodeMessage(data)
	if err != nil || severity(res.Header().ServiceResult) != plant.Bad {
		return unclear
	}
	return serverError{status: res.Header().ServiceResult}
}

// openChunk checks and decrypts a chunk of any kind. It never panics: a
// library's panic over a hostile chunk becomes an error.
func (c *channel) openChunk(b []byte) (request uint32, data []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errChunk, r)
		}
	}()
	var k keys
	header := prefixSize + tokenSize
	switch kind := string(b[:3]); kind {
	case "OPN":
		h, end, err := asymmetricHeader(b)
		if err != nil {
			return 0, nil, err
		}
		if h.SecurityPolicyURI != c.sec.policy {
			return 0, nil, fmt.Errorf("the server opened with policy %q in place of %q", h.SecurityPolicyURI, c.sec.policy)
		}
		if !c.sec.none() && !sameLeaf(h.SenderCertificate, c.server) {
			return 0, nil, errors.New("the server opened with another certificate than it had announced")
		}
		k, header = c.opening, end
	case "MSG":
		if len(b) < header {
			return 0, nil, errChunk
		}
		var ok bool
		if k, ok = c.keysOf(binary.LittleEndian.Uint32(b[prefixSize:])); !ok {
			return 0, nil, fmt.Errorf("%w: unknown security token", errChunk)
		}
	case "CLO":
		return 0, nil, errors.New("the server closed the secure channel")
	default:
		return 0, nil, fmt.Errorf("%w: of kind %q", errChunk, kind)
	}
	if final := b[3]; final != 'F' && final != 'C' && final != 'A' {
		return 0, nil, errChunk
	}
	plain, err := k.open(b, header)
	if err != nil {
		return 0, nil, err
	}
	if err := c.follow(plain); err != nil {
		return 0, nil, err
	}
	return takeSequence(plain)
}

// follow checks that a chunk is the one after the last (Part 6, 6.7.2): the
// numbers start anywhere, and near their end begin again below 1024. Only the
// reader calls it.
func (c *channel) follow(b []byte) error {
	if len(b) < sequenceSize {
		return errChunk
	}
	last, got := c.received, binary.LittleEndian.Uint32(b)
	again := last >= wrapsFrom && got < wrapsTo
	if c.heard && got != last+1 && !again {
		return fmt.Errorf("%w: number %d after %d", errChunk, got, last)
	}
	c.heard, c.received = true, got
	return nil
}

// sameLeaf compares the first certificates of two chains.
func sameLeaf(a, b []byte) bool {
	x, err := uapolicy.ParseCertificate(a)
	if err != nil {
		return false
	}
	y, err := uapolicy.ParseCertificate(b)
	return err == nil && bytes.Equal(x.Raw, y.Raw)
}
