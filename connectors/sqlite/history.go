package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"linetwin/plant"
)

// HistoryConfig says where the embedded history lies and how long it keeps.
type HistoryConfig struct {
	Folder string        `yaml:"folder"`  // folder of history.db; made where missing
	MaxAge time.Duration `yaml:"max_age"` // older readings are dropped, their minutes and hours are kept; 0 keeps all
	// MinutesMaxAge and HoursMaxAge: what older readings were in each minute and
	// hour is dropped then; 0 keeps all.
	MinutesMaxAge time.Duration `yaml:"minutes_max_age"`
	HoursMaxAge   time.Duration `yaml:"hours_max_age"`
	// MaxBytes bounds what is in use of the file: the oldest is dropped, readings
	// first. 0: no bound.
	MaxBytes plant.Bytes `yaml:"max_bytes"`
	// Sync is "full", the default, or "normal". Full: every write is synced to
	// disk before it counts as stored. Normal: a power cut of this machine can
	// take the last moments with it, which gateways were already told are stored
	// and do not send again.
	Sync string `yaml:"sync"`
}

// minAge is the least MaxAge: shifts of the last days can always be restated.
const minAge = 24 * time.Hour

const minBytes plant.Bytes = 16 << 20

// Check gives all that is wrong with the settings.
func (c *HistoryConfig) Check() []plant.Fault {
	var faults []plant.Fault
	if c.Folder == "" {
		faults = append(faults, plant.Fault{Key: "folder", Allowed: "a folder on a local disk"})
	}
	if c.MaxAge != 0 && c.MaxAge < minAge {
		faults = append(faults, plant.Fault{Key: "max_age", Found: c.MaxAge.String(), Allowed: "0 (keep all) or at least 24h"})
	}
	for _, s := range []struct {
		key        string
		age, least time.Duration
	}{{"minutes_max_age", c.MinutesMaxAge, max(c.MaxAge, minAge)}, {"hours_max_age", c.HoursMaxAge, max(c.MinutesMaxAge, c.MaxAge, minAge)}} {
		if s.age != 0 && s.age < s.least {
			faults = append(faults, plant.Fault{Key: s.key, Found: s.age.String(), Allowed: "0 (keep all) or at least " + s.least.String() + ", as long as what it is made of"})
		}
	}
	if c.MaxBytes != 0 && c.MaxBytes < minBytes {
		faults = append(faults, plant.Fault{Key: "max_bytes", Found: c.MaxBytes.String(), Allowed: "0 (no bound) or at least " + minBytes.String()})
	}
	if c.Sync != "" && c.Sync != "normal" && c.Sync != "full" {
		faults = append(faults, plant.Fault{Key: "sync", Found: c.Sync, Allowed: "normal or full"})
	}
	return faults
}

// History is the embedded store of readings: one file, history.db, that one
// process opens at a time. All methods may be called from several goroutines;
// writes happen one after the other, reads beside them.
//
// A reading is known by machine, signal and time: the same one again changes
// nothing. Where two contradict each other at one time, one with a value beats
// one without, else the later written one stays.
type History struct {
	cfg    HistoryConfig
	log    *slog.Logger
	db     *database
	lock   func() error // gives the folder free
	writer *sql.Conn
	pack   *packer
	urgent chan struct{} // pieces wait to be made chunks of

	mu   sync.Mutex // one write at a time; guards what follows
	dict dictionary
	stmt statements
	late int64 // readings of the write that is going on that are too old to be kept

	refused atomic.Int64

	retained struct {
		sync.Mutex
		Retained
	}
}

// OpenHistory opens the history in cfg.Folder, which it makes where missing.
// It fails where another process has it open, where the folder cannot be
// written and where the file is damaged.
func OpenHistory(ctx context.Context, cfg HistoryConfig, log *slog.Logger) (*History, error) {
	if faults := cfg.Check(); len(faults) > 0 {
		return nil, fmt.Errorf("open history: %s", faults[0])
	}
	if err := os.MkdirAll(cfg.Folder, 0o750); err != nil {
		return nil, fmt.Errorf("open history: make folder: %w", err)
	}
	pack, err := newPacker()
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	h := &History{cfg: cfg, log: log, pack: pack, urgent: make(chan struct{}, 1)}
	if err := h.hold(ctx); err != nil {
		return nil, err
	}
	db, err := open(ctx, filepath.Join(cfg.Folder, "history.db"), "history", cmp.Or(cfg.Sync, "full"))
	if err != nil {
		return nil, errors.Join(err, h.lock())
	}
	h.db = db
	if h.writer, err = db.write.Conn(ctx); err != nil {
		return nil, errors.Join(db.explain("open", err), db.close(), h.lock())
	}
	return h, nil
}

// hold takes the folder for this process: history.lock is an empty database
// with a transaction that stays open. The operating system ends it with the
// process, however that dies.
func (h *History) hold(ctx context.Context) error {
	path := filepath.Join(h.cfg.Folder, "history.lock")
	pool, err := sql.Open("sqlite", source(path, "exclusive", 0))
	if err != nil {
		return fmt.Errorf("open history in %s: %w", h.cfg.Folder, err)
	}
	lock, err := pool.Conn(ctx)
	if err == nil {
		_, err = lock.ExecContext(ctx, "BEGIN EXCLUSIVE")
	}
	if err != nil {
		d := database{path: path}
		return errors.Join(fmt.Errorf("open history in %s: %w", h.cfg.Folder, d.explain("hold", err)), pool.Close())
	}
	h.lock = func() error { return errors.Join(lock.Close(), pool.Close()) }
	return nil
}

// Close ends all reading and writing and gives the folder free.
func (h *History) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pack.close()
	return errors.Join(h.stmt.close(), h.writer.Close(), h.db.close(), h.lock())
}

// Quarantined gives how many readings were set aside since the history was
// opened. A reading that is sent again counts once.
func (h *History) Quarantined() int64 { return h.refused.Load() }

// Aside gives the quarantine, which is in the history's file and closes with
// it.
func (h *History) Aside() *Aside {
	return &Aside{db: h.db, alter: h.alter, close: func() error { return nil }}
}

// Quarantine gives the readings that were set aside last, the latest first.
func (h *History) Quarantine(ctx context.Context, limit int) ([]plant.Refused, error) {
	return h.Aside().Refused(ctx, plant.QuarantineFilter{}, limit)
}
