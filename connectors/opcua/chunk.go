package opcua

import (
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uapolicy"
	"github.com/gopcua/opcua/uasc"
)

// Sizes of the parts of a chunk (Part 6, 6.7.2).
const (
	prefixSize   = 12 // type, final, size, channel
	tokenSize    = 4
	sequenceSize = 8
)

// Numbers of chunks begin again from here, and there.
const (
	wrapsFrom = 1<<32 - 1024 - 1
	wrapsTo   = 1024
)

var errChunk = errors.New("broken message")

// keys sign and encrypt one way of a channel and check the other (Part 6,
// 6.7): asymmetric ones for opening, symmetric ones of a token for the rest.
type keys struct {
	algorithm *uapolicy.EncryptionAlgorithm
	sign      bool
	encrypt   bool
}

// asymmetric gives the keys to open a channel with a server.
func asymmetric(sec security, own *identity, server []byte) (keys, error) {
	if sec.none() {
		return keys{}, nil
	}
	x, err := uapolicy.ParseCertificate(server)
	if err != nil {
		return keys{}, fmt.Errorf("the server's certificate cannot be read: %w", err)
	}
	pub, ok := x.PublicKey.(*rsa.PublicKey)
	if !ok {
		return keys{}, fmt.Errorf("the server's certificate holds no RSA key")
	}
	a, err := uapolicy.Asymmetric(sec.policy, own.key, pub)
	return keys{a, true, true}, err
}

// symmetric gives the keys of a token.
func symmetric(sec security, ours, theirs []byte) (keys, error) {
	if sec.none() {
		return keys{}, nil
	}
	a, err := uapolicy.Symmetric(sec.policy, ours, theirs)
	return keys{a, true, sec.encrypts()}, err
}

// largestBody gives how many bytes of a message fit into a chunk of size with
// a security header of so many bytes.
func (k keys) largestBody(size, header int) int {
	room := size - prefixSize - header
	if !k.sign {
		return room - sequenceSize
	}
	if !k.encrypt {
		return room - sequenceSize - k.algorithm.SignatureLength()
	}
	a := k.algorithm
	return a.PlaintextBlockSize()*(room/a.BlockSize()) - sequenceSize - a.SignatureLength() - k.paddingSize()
}

// paddingSize is how many bytes tell the length of the padding: two where the
// receiver's key is longer than 2048 bits.
func (k keys) paddingSize() int {
	if k.algorithm.BlockSize() > 256 {
		return 2
	}
	return 1
}

// seal pads, signs and encrypts a chunk whose first header bytes stay plain,
// and writes its final size.
func (k keys) seal(b []byte, header int) ([]byte, error) {
	if !k.sign {
		binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
		return b, nil
	}
	a := k.algorithm
	total := len(b) + a.SignatureLength()
	if k.encrypt {
		n := k.paddingSize()
		pad := (a.PlaintextBlockSize() - (len(b)-header+n+a.SignatureLength())%a.PlaintextBlockSize()) % a.PlaintextBlockSize()
		for range pad + 1 {
			b = append(b, byte(pad))
		}
		if n == 2 {
			b = append(b, byte(pad>>8))
		}
		total = header + (len(b)-header+a.SignatureLength())/a.PlaintextBlockSize()*a.BlockSize()
	}
	binary.LittleEndian.PutUint32(b[4:], uint32(total))
	sig, err := a.Signature(b)
	if err != nil {
		return nil, err
	}
	b = append(b, sig...)
	if !k.encrypt {
		return b, nil
	}
	c, err := a.Encrypt(b[header:])
	if err != nil {
		return nil, err
	}
	return append(b[:header:header], c...), nil
}

// open decrypts and checks a chunk and gives what follows its header.
func (k keys) open(b []byte, header int) ([]byte, error) {
	if !k.sign {
		return b[header:], nil
	}
	a := k.algorithm
	if k.encrypt {
		p, err := a.Decrypt(b[header:])
		if err != nil {
			return nil, fmt.Errorf("%w: %v", errChunk, err)
		}
		b = append(b[:header:header], p...)
	}
	end := len(b) - a.RemoteSignatureLength()
	if end < header {
		return nil, errChunk
	}
	if err := a.VerifySignature(b[:end], b[end:]); err != nil {
		return nil, fmt.Errorf("%w: signature: %v", errChunk, err)
	}
	if !k.encrypt {
		return b[header:end], nil
	}
	// The sender pads to our key's block when it used it.
	n := 1
	if a.SignatureLength() > 256 {
		n = 2
	}
	if end-header < n {
		return nil, errChunk
	}
	pad := int(b[end-n])
	if n == 2 {
		pad |= int(b[end-1]) << 8
	}
	if end -= n + pad; end < header {
		return nil, errChunk
	}
	return b[header:end], nil
}

// putPrefix begins a chunk; the size is written when it is sealed.
func putPrefix(b []byte, kind string, final byte, channel uint32) []byte {
	b = append(b, kind...)
	b = append(b, final, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint32(b, channel)
}

func putSequence(b []byte, sequence, request uint32) []byte {
	b = binary.LittleEndian.AppendUint32(b, sequence)
	return binary.LittleEndian.AppendUint32(b, request)
}

// takeSequence gives the request that a chunk belongs to, and its data.
func takeSequence(b []byte) (request uint32, data []byte, err error) {
	if len(b) < sequenceSize {
		return 0, nil, errChunk
	}
	return binary.LittleEndian.Uint32(b[4:]), b[sequenceSize:], nil
}

// asymmetricHeader reads the security header of an OPN chunk.
func asymmetricHeader(b []byte) (h uasc.AsymmetricSecurityHeader, end int, err error) {
	if len(b) < prefixSize {
		return h, 0, errChunk
	}
	n, err := h.Decode(b[prefixSize:])
	return h, prefixSize + n, err
}

// appendMessage appends a service's type and content.
func appendMessage(b []byte, req ua.Request) ([]byte, error) {
	if p, ok := req.(*prepared); ok {
		return p.appendTo(b)
	}
	id := ua.ServiceTypeID(req)
	if id == 0 {
		return b, fmt.Errorf("%T is no service", req)
	}
	head, err := ua.NewFourByteExpandedNodeID(0, id).Encode()
	if err != nil {
		return b, err
	}
	body, err := ua.Encode(req)
	return append(append(b, head...), body...), err
}

// decodeMessage gives the answer in b. What the library cannot decode, or
// panics over, is an error: it runs in the goroutine that asked.
func decodeMessage(b []byte) (res ua.Response, err error) {
	defer func() {
		if r := recover(); r != nil {
			res, err = nil, fmt.Errorf("the answer cannot be decoded: %v", r)
		}
	}()
	if res, err := decodeDirect(b); res != nil || err != nil {
		if err != nil {
			return nil, fmt.Errorf("the answer cannot be decoded: %w", err)
		}
		return res, nil
	}
	if err := survey(b); err != nil {
		return nil, fmt.Errorf("the answer cannot be decoded: %w", err)
	}
	_, v, err := ua.DecodeService(b)
	if err != nil {
		return nil, fmt.Errorf("the answer cannot be decoded: %w", err)
	}
	res, ok := v.(ua.Response)
	if !ok || res.Header() == nil {
		return nil, fmt.Errorf("the answer is a %T", v)
	}
	return res, nil
}
