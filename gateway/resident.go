package gateway

import (
	"sync/atomic"

	"go.etcd.io/bbolt"
)

// residentMost is how many bytes of the database may stay mapped into the
// process, about. bbolt maps the whole file, and what was touched of it once
// counts as memory of the process until the kernel is short of memory: with a
// backlog of a gibibyte, a gibibyte.
const residentMost = 4 << 20

// faultAround is how much the kernel maps where one byte is touched.
const faultAround = 64 << 10

// resident counts what is touched of a database's map.
type resident struct{ bytes atomic.Int64 }

// touched counts bytes, and takes everything out of the process that is mapped
// once there is too much. It costs nothing but that the next look at a page
// finds it in the kernel's cache again. The caller holds tx open, so that the
// map stays where it is.
func (r *resident) touched(db *bbolt.DB, tx *bbolt.Tx, bytes int) {
	if r.bytes.Add(int64(bytes)) < residentMost {
		return
	}
	r.bytes.Store(0)
	dropMapped(db.Info().Data, uintptr(tx.Size()))
}
