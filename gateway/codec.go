package gateway

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/klauspost/compress/zstd"

	"linetwin/plant"
)

// A block is one or more batches with consecutive numbers:
//
//	version     1 byte
//	checksum    4 bytes little endian, CRC32C of everything behind it
//	compression 1 byte: 0 none, 1 zstd
//	info        varints: see blockInfo
//	payload     perhaps compressed
//
// The payload holds the number of readings of each batch, then the batches. A
// batch is its machine, its claim, and its readings; a reading is one control
// byte and what that calls for. Names are written at first use and referred to
// by index; times and values are differences to what stood there before. A
// block holds neither numbers nor area nor gateway: who reads it knows them.
const (
	blockVersion  = 1
	blockHead     = 6 // bytes before the info
	packNone      = 0
	packZstd      = 1
	maxBlockRaw   = 4 << 20 // bytes of payload that a decoder accepts
	blockTarget   = 64 << 10
	packThreshold = 128 // bytes below which compression is not tried
)

// The bits of a reading's control byte. The upper three bits say how the value
// is written, by the kind of its series.
const (
	ctlNext    = 1 << 0 // the series is the one after the last reading's
	ctlTime    = 1 << 1 // same time as the reading before it
	ctlQuality = 2      // shift of two bits: good, uncertain, bad, or a byte follows
	ctlReason  = 1 << 4 // a reason follows
	ctlForm    = 5      // shift
)

// Forms of a float: unchanged; a decimal number m/10^k whose m differs by a
// varint (with the series' k or a new one; of float64 or float32 precision);
// or the bytes that differ.
const (
	floatSame = iota
	floatDec64
	floatDec32
	floatNew64
	floatNew32
	floatXOR
)

// formFollows is the form of an integer whose difference follows as a varint;
// lower forms are the difference itself, zigzag.
const formFollows = 7

// maxDecimals is the most decimals that are looked for in a float.
const maxDecimals = 6

func pow10(k int) float64 {
	return [maxDecimals + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6}[k]
}

// blockInfo is what is known of a block without reading it. Times are of
// readings and claims, but for kept.
type blockInfo struct {
	batches  int
	readings int
	kept     plant.Time // when the first batch came to the buffer
	oldest   plant.Time // least time of its readings and claims
	newest   plant.Time // greatest
}

var errCodec = errors.New("damaged block")

func damaged(what string, args ...any) error {
	return fmt.Errorf("%w: %s", errCodec, fmt.Sprintf(what, args...))
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli()) }

func (i blockInfo) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(i.batches))
	dst = binary.AppendUvarint(dst, uint64(i.readings))
	dst = binary.AppendVarint(dst, int64(i.kept))
	dst = binary.AppendVarint(dst, int64(i.oldest))
	return binary.AppendVarint(dst, int64(i.newest-i.oldest))
}

func readInfo(c *cursor) blockInfo {
	i := blockInfo{
		batches:  c.count(math.MaxInt32),
		readings: c.count(math.MaxInt32),
		kept:     plant.Time(c.varint()),
		oldest:   plant.Time(c.varint()),
	}
	i.newest = i.oldest + plant.Time(c.varint())
	return i
}

// widen makes the span of times hold t.
func (i *blockInfo) widen(t plant.Time) {
	if t == 0 {
		return
	}
	if i.oldest == 0 || t < i.oldest {
		i.oldest = t
	}
	i.newest = max(i.newest, t)
}

// packer compresses and expands payloads. It is not for concurrent use.
type packer struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newPacker() (*packer, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(2*blockTarget), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("make compressor: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxBlockRaw))
	if err != nil {
		return nil, fmt.Errorf("make decompressor: %w", err)
	}
	return &packer{enc, dec}, nil
}

// cursor reads varints; after the first fault it gives zeros and keeps err.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) fail(what string) {
	if c.err == nil {
		c.err = damaged("%s", what)
	}
	c.b = nil
}

func (c *cursor) byte() byte {
	if len(c.b) == 0 {
		c.fail("ends early")
		return 0
	}
	v := c.b[0]
	c.b = c.b[1:]
	return v
}

func (c *cursor) uvarint() uint64 {
	if len(c.b) > 0 && c.b[0] < 0x80 {
		v := c.b[0]
		c.b = c.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.fail("bad varint")
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) varint() int64 {
	u := c.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// count gives a number of things, at most limit.
func (c *cursor) count(limit int) int {
	v := c.uvarint()
	if v > uint64(limit) {
		c.fail("count out of range")
		return 0
	}
	return int(v)
}

func (c *cursor) bytes(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.fail("ends early")
		return nil
	}
	v := c.b[:n]
	c.b = c.b[n:]
	return v
}

func zigzag(v int64) uint64 { return uint64(v<<1) ^ uint64(v>>63) }
