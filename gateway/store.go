package gateway

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"linetwin/plant"
)

// The buckets of the database. A block's info stands a second time in its own
// bucket, so that a start reads a few pages and not each block.
const (
	bucketBlocks = "blocks" // big-endian number of the first batch -> block
	bucketInfos  = "infos"  // the same key -> info, stored bytes, checksum
	bucketState  = "state"
	keyState     = "counters"
	keyCounts    = "counts"  // countsState
	bucketCounts = "reports" // big-endian number -> report that is not confirmed
)

// lockWait is how long a start waits for another process to let go.
const lockWait = time.Second

// store is the database of blocks. Only the committer writes.
type store struct {
	path string
	file *os.File // of db, for when db itself can no longer be closed

	mu sync.RWMutex // guards db against renew
	db *bbolt.DB
}

// counters are what survives a restart beside the blocks.
type counters struct {
	next    uint64 // number of the next batch; all below are in blocks, stored or dropped
	dropped uint64 // readings
	span    plant.Span
}

// change is one transaction: blocks gone, blocks come, counters as they are then.
type change struct {
	remove   []uint64
	put      []*block
	values   [][]byte // of put
	counters counters
	counts   countsChange
}

// openStore opens the database, or sets a damaged one aside and begins a new
// one; notice then says so.
func openStore(folder string, log *slog.Logger) (s *store, c counters, blocks []*block, notice string, err error) {
	path := filepath.Join(folder, "buffer.db")
	s, c, blocks, err = tryStore(path)
	if err == nil || !isDamage(err) {
		return s, c, blocks, "", err
	}
	notice, err = s.setAside(err, log)
	if err != nil {
		return nil, c, nil, "", err
	}
	s, c, blocks, err = tryStore(path)
	return s, c, blocks, notice, err
}

// setAside renames the damaged file, and frees it for good. A database that
// panicked may hold its locks for ever, so it is not closed but left.
func (s *store) setAside(damage error, log *slog.Logger) (notice string, err error) {
	aside := s.path + ".damaged"
	log.Error("buffer is damaged and set aside; what it held is lost unless the file can be mended",
		"file", s.path, "aside", aside, "error", damage)
	if err := os.Rename(s.path, aside); err != nil {
		return "", fmt.Errorf("set damaged buffer aside: %w", err)
	}
	if s.file != nil {
		_ = s.file.Close() // it may be closed already
	}
	return fmt.Sprintf("buffer was damaged (%v) and set aside as %s", damage, filepath.Base(aside)), nil
}

// renew sets a database aside that turned out to be damaged and begins an empty
// one in its place.
func (s *store) renew(damage error, log *slog.Logger) (notice string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if notice, err = s.setAside(damage, log); err != nil {
		return "", err
	}
	fresh, _, _, err := tryStore(s.path)
	if err != nil {
		return "", err
	}
	s.db, s.file = fresh.db, fresh.file
	return notice, nil
}

func tryStore(path string) (*store, counters, []*block, error) {
	s := &store{path: path}
	var c counters
	var blocks []*block
	err := guarded(func() error {
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout: lockWait, FreelistType: bbolt.FreelistMapType, NoStatistics: true,
			OpenFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
				f, err = os.OpenFile(name, flag, mode)
				s.file = f
				return f, err
			},
		})
		if errors.Is(err, bolterrors.ErrTimeout) {
			return fmt.Errorf("open buffer %s: %w", path, errInUse)
		}
		if err != nil {
			return fmt.Errorf("open buffer %s: %w", path, err)
		}
		s.db = db
		if err := db.View(s.whole); err != nil {
			return err
		}
		err = db.Update(func(tx *bbolt.Tx) error {
			for _, name := range []string{bucketBlocks, bucketInfos, bucketState, bucketCounts} {
				if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
					return fmt.Errorf("make bucket: %w", err)
				}
			}
			c, blocks, err = loadAll(tx)
			return err
		})
		if err != nil {
			return fmt.Errorf("begin buffer %s: %w", path, err)
		}
		return nil
	})
	if err != nil && s.db != nil && !isDamage(err) {
		err = errors.Join(err, s.db.Close())
	}
	return s, c, blocks, err
}

var errInUse = errors.New("in use by another process")

// errDamage marks what a panic or a fault of memory in the database left.
var errDamage = errors.New("database is damaged")

// whole tells whether the file has all the pages that it counts. Pages behind
// its end would kill the process, or send bbolt round in circles.
func (s *store) whole(tx *bbolt.Tx) error {
	info, err := s.file.Stat()
	if err != nil {
		return fmt.Errorf("measure buffer %s: %w", s.path, err)
	}
	if info.Size() < tx.Size() {
		return fmt.Errorf("%w: file has %d bytes of %d", errDamage, info.Size(), tx.Size())
	}
	return nil
}

// isDamage tells faults of the file from those of the disk, of permissions, of
// memory and of another process that has it: only the former set it aside.
func isDamage(err error) bool {
	for _, e := range []error{errDamage, errCodec, bolterrors.ErrInvalid, bolterrors.ErrVersionMismatch, bolterrors.ErrChecksum} {
		if errors.Is(err, e) {
			return true
		}
	}
	// bbolt has no name for this one.
	return err != nil && strings.Contains(err.Error(), "file size too small")
}

// guarded runs f; a panic, also that of a page beyond the end of a mapped file
// that was cut short, becomes an error.
func guarded(f func() error) (err error) {
	was := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(was)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamage, p)
		}
	}()
	return f()
}

func loadAll(tx *bbolt.Tx) (counters, []*block, error) {
	c := counters{next: 1}
	if v := tx.Bucket([]byte(bucketState)).Get([]byte(keyState)); v != nil {
		var err error
		if c, err = readCounters(v); err != nil {
			return c, nil, fmt.Errorf("%w: counters: %v", errDamage, err)
		}
	}
	var blocks []*block
	infos, values := tx.Bucket([]byte(bucketInfos)), tx.Bucket([]byte(bucketBlocks))
	err := infos.ForEach(func(k, v []byte) error {
		if len(k) != 8 {
			return fmt.Errorf("%w: key of %d bytes", errDamage, len(k))
		}
		b := &block{key: binary.BigEndian.Uint64(k)}
		var err error
		if b.info, b.bytes, err = readStoredInfo(v); err != nil {
			// The block says it of itself too.
			value := values.Get(k)
			b.bytes = len(value)
			if len(value) > blockHead {
				cur := cursor{b: value[blockHead:]}
				b.info, err = readInfo(&cur), cur.err
			}
			b.bad = err != nil
		}
		b.waiting = b.info.readings
		blocks = append(blocks, b)
		return nil
	})
	return c, blocks, err
}

// apply makes one change, synced to the disk when it returns.
func (s *store) apply(c change) error {
	return guarded(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			blocks, infos := tx.Bucket([]byte(bucketBlocks)), tx.Bucket([]byte(bucketInfos))
			// Keys come in ascending order, so that full pages are good pages.
			blocks.FillPercent, infos.FillPercent = 0.95, 0.95
			for _, key := range c.remove {
				k := bigEndian(key)
				if err := errors.Join(blocks.Delete(k), infos.Delete(k)); err != nil {
					return fmt.Errorf("delete block: %w", err)
				}
			}
			for i, b := range c.put {
				k := bigEndian(b.key)
				if err := errors.Join(blocks.Put(k, c.values[i]), infos.Put(k, storedInfo(b))); err != nil {
					return fmt.Errorf("put block: %w", err)
				}
			}
			if err := c.counts.apply(tx); err != nil {
				return err
			}
			return tx.Bucket([]byte(bucketState)).Put([]byte(keyState), c.counters.encode())
		})
	})
}

// get copies a block into dst.
func (s *store) get(key uint64, dst []byte) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	err := guarded(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			v := tx.Bucket([]byte(bucketBlocks)).Get(bigEndian(key))
			if v == nil {
				return damaged("is missing")
			}
			dst = append(dst[:0], v...)
			return nil
		})
	})
	return dst, err
}

// fileSize gives the size of the database file.
func (s *store) fileSize() int64 {
	if i, err := os.Stat(s.path); err == nil {
		return i.Size()
	}
	return 0
}

func (s *store) close() error { return guarded(s.db.Close) }

func bigEndian(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func storedInfo(b *block) []byte {
	v := b.info.append(nil)
	v = binary.AppendUvarint(v, uint64(b.bytes))
	return sealed(v)
}

func readStoredInfo(v []byte) (blockInfo, int, error) {
	v, err := unsealed(v)
	if err != nil {
		return blockInfo{}, 0, err
	}
	c := cursor{b: v}
	info := readInfo(&c)
	size := c.count(maxBlockRaw)
	return info, size, c.err
}

func (c counters) encode() []byte {
	v := binary.AppendUvarint(nil, c.next)
	v = binary.AppendUvarint(v, c.dropped)
	v = binary.AppendVarint(v, int64(c.span.From))
	return sealed(binary.AppendVarint(v, int64(c.span.To)))
}

func readCounters(v []byte) (counters, error) {
	v, err := unsealed(v)
	if err != nil {
		return counters{}, err
	}
	c := cursor{b: v}
	r := counters{next: c.uvarint(), dropped: c.uvarint()}
	r.span = plant.Span{From: plant.Time(c.varint()), To: plant.Time(c.varint())}
	return r, c.err
}

// sealed appends the checksum of v.
func sealed(v []byte) []byte { return binary.LittleEndian.AppendUint32(v, checksum(v)) }

func unsealed(v []byte) ([]byte, error) {
	n := len(v) - 4
	if n < 0 || binary.LittleEndian.Uint32(v[n:]) != checksum(v[:n]) {
		return nil, damaged("checksum")
	}
	return v[:n], nil
}
