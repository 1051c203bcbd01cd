package gateway

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// The tail holds what the database has not committed yet: it survives the
// process, though not the power. It is two files of records, filled in turn;
// one is emptied when all it holds is committed. A record is
//
//	magic     4 bytes
//	length    4 bytes little endian, of the block
//	number    8 bytes little endian: of the batch
//	checksum  4 bytes: CRC32C of length, number and block
//	block     one batch; in a mark, whose number is the next to be given, none or
//	          what is counted; or what of the next record's batch is counted oddly
//
// The first byte of a block tells them apart.
const (
	tailMagic = "LTr1"
	tailHead  = 20
	tailMax   = 64 << 20 // bytes of one file, while nothing can be committed
	tailMark  = 0xC0     // first byte of a mark's counts
	tailOdd   = 0xC1     // first byte of odd counts
)

var errTailFull = errors.New("tail file is full: nothing was committed for too long")

type tail struct {
	mu     sync.Mutex
	files  [2]*os.File
	size   [2]int64
	active int
}

// tailRecord is one record read back.
type tailRecord struct {
	number uint64
	block  []byte // of a batch
	counts []byte // of a mark, where it has them
	odd    []byte
}

func (r *tailRecord) mark() bool { return r.block == nil && r.odd == nil }

// openTail opens both files and gives the records in them, and how many bytes
// were no records.
func openTail(folder string) (t *tail, records []tailRecord, torn int, err error) {
	t = &tail{}
	for i := range t.files {
		name := filepath.Join(folder, fmt.Sprintf("tail-%d", i))
		if t.files[i], err = os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			return nil, nil, 0, errors.Join(fmt.Errorf("open tail: %w", err), t.close())
		}
		data, err := io.ReadAll(io.LimitReader(t.files[i], 2*tailMax))
		if err != nil {
			return nil, nil, 0, errors.Join(fmt.Errorf("read tail: %w", err), t.close())
		}
		t.size[i] = int64(len(data))
		found, bad := scanTail(data)
		records, torn = append(records, found...), torn+bad
	}
	return t, records, torn, nil
}

// scanTail gives the sound records of a file. After a power cut any page of it
// may be missing, so what lies behind a torn record is looked for too.
func scanTail(data []byte) (records []tailRecord, torn int) {
	for len(data) > 0 {
		if r, n := readTail(data); n > 0 {
			records, data = append(records, r), data[n:]
			continue
		}
		skip := bytes.Index(data[1:], []byte(tailMagic)) + 1
		if skip == 0 {
			skip = len(data)
		}
		torn += skip
		data = data[skip:]
	}
	return records, torn
}

// readTail gives the record at the start of data and its length, or 0.
func readTail(data []byte) (tailRecord, int) {
	if len(data) < tailHead || string(data[:4]) != tailMagic {
		return tailRecord{}, 0
	}
	n := binary.LittleEndian.Uint32(data[4:])
	if uint64(n) > uint64(len(data)-tailHead) {
		return tailRecord{}, 0
	}
	block := data[tailHead : tailHead+int(n)]
	if binary.LittleEndian.Uint32(data[16:]) != tailSum(data[4:16], block) {
		return tailRecord{}, 0
	}
	r := tailRecord{number: binary.LittleEndian.Uint64(data[8:])}
	switch {
	case n == 0:
	case block[0] == tailMark:
		r.counts = block[1:]
	case block[0] == tailOdd:
		r.odd = block[1:]
	default:
		r.block = block
	}
	return r, tailHead + int(n)
}

// tailSum runs over the twelve bytes of length and number, and the block.
func tailSum(head, block []byte) uint32 {
	return crc32.Update(checksum(head), castagnoli(), block)
}

// appendRecord appends to dst the record whose block body appends.
func appendRecord(dst []byte, number uint64, body func([]byte) []byte) []byte {
	at := len(dst)
	dst = append(dst, tailMagic...)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, number)
	dst = append(dst, 0, 0, 0, 0)
	if body != nil {
		dst = body(dst)
	}
	r := dst[at:]
	binary.LittleEndian.PutUint32(r[4:], uint32(len(r)-tailHead))
	binary.LittleEndian.PutUint32(r[16:], tailSum(r[4:16], r[tailHead:]))
	return dst
}

// appendMark appends the record of a mark.
func appendMark(dst []byte, next uint64, counts []byte) []byte {
	return appendRecord(dst, next, func(dst []byte) []byte { return append(append(dst, tailMark), counts...) })
}

// write appends whole records. After a failure nothing of them is left.
func (t *tail) write(records []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.put(records)
}

func (t *tail) put(records []byte) error {
	at := t.size[t.active]
	if at+int64(len(records)) > tailMax {
		return errTailFull
	}
	if _, err := t.files[t.active].WriteAt(records, at); err != nil {
		// The next write begins at the same place in any case.
		return errors.Join(fmt.Errorf("write tail: %w", err), t.files[t.active].Truncate(at))
	}
	t.size[t.active] = at + int64(len(records))
	return nil
}

// turn begins the other file with a mark of the next number and of what is
// counted below it. It does nothing while the other file still holds what is
// not committed. All that is in the file before has lower numbers.
func (t *tail) turn(mark func() (next uint64, counts []byte)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.size[t.active] == 0 || t.size[1-t.active] != 0 {
		return nil
	}
	t.active = 1 - t.active
	next, counts := mark()
	// Should it fail, the numbers may be given again, which does no harm: the
	// next process has another session.
	return t.put(appendMark(nil, next, counts))
}

// clear empties the file that turn left behind.
func (t *tail) clear() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	other := 1 - t.active
	if t.size[other] == 0 {
		return nil
	}
	if err := t.files[other].Truncate(0); err != nil {
		return fmt.Errorf("empty tail: %w", err)
	}
	t.size[other] = 0
	return nil
}

// clearAll empties both files, when all is committed and nobody writes.
func (t *tail) clearAll() error {
	first := t.clear()
	t.mu.Lock()
	t.active = 1 - t.active
	t.mu.Unlock()
	return errors.Join(first, t.clear())
}

func (t *tail) close() error {
	var errs []error
	for _, f := range t.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
