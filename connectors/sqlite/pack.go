package sqlite

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"
)

// What the file holds of columns begins with
//
//	version     1 byte
//	checksum    4 bytes little endian, CRC32C of everything behind it
//	compression 1 byte: 0 none, 1 zstd
//	size        uvarint, of what follows when it is expanded
const (
	packVersion = 1
	packHead    = 6
	packNone    = 0
	packZstd    = 1
	packMost    = 32 << 20 // bytes that are compressed; larger ones are kept as they are
	packLeast   = 64
)

// packer compresses and expands. One encoder and decoder do for all goroutines.
type packer struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newPacker() (*packer, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(64<<10), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("make compressor: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(readers), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(packMost))
	if err != nil {
		return nil, fmt.Errorf("make decompressor: %w", err)
	}
	return &packer{enc, dec}, nil
}

func (p *packer) close() {
	p.dec.Close()
	_ = p.enc.Close() // has no writer
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// pack makes what the file holds of raw. Small parts that are soon packed again
// are not worth compressing.
func (p *packer) pack(raw []byte, compress bool) []byte {
	dst := make([]byte, packHead, packHead+binary.MaxVarintLen64+len(raw))
	dst[0], dst[5] = packVersion, packNone
	dst = binary.AppendUvarint(dst, uint64(len(raw)))
	start := len(dst)
	if compress && len(raw) >= packLeast && len(raw) <= packMost {
		dst = p.enc.EncodeAll(raw, dst)
		dst[5] = packZstd
	}
	if n := len(dst) - start; n == 0 || n >= len(raw) {
		dst = append(dst[:start], raw...)
		dst[5] = packNone
	}
	binary.LittleEndian.PutUint32(dst[1:], checksum(dst[5:]))
	return dst
}

// unpack checks what the file holds and gives what was packed, in into's space
// or packed's.
func (p *packer) unpack(packed, into []byte) ([]byte, error) {
	if len(packed) < packHead {
		return nil, damaged("%d bytes long", len(packed))
	}
	if packed[0] != packVersion {
		return nil, damaged("version %d", packed[0])
	}
	if binary.LittleEndian.Uint32(packed[1:]) != checksum(packed[5:]) {
		return nil, damaged("checksum")
	}
	c := cursor{b: packed[packHead:]}
	size, raw := c.uvarint(), c.b
	if c.err == nil && packed[5] == packZstd {
		if raw, c.err = p.dec.DecodeAll(c.b, into[:0]); c.err != nil {
			return nil, damaged("expand: %v", c.err)
		}
	}
	switch {
	case c.err != nil:
		return nil, c.err
	case packed[5] > packZstd:
		return nil, damaged("compression %d", packed[5])
	case uint64(len(raw)) != size:
		return nil, damaged("%d bytes, want %d", len(raw), size)
	}
	return raw, nil
}
