// Package sqlite keeps history and ledger in files of this machine, so that a
// plant needs no database server: History is the embedded store of readings,
// Ledger what the twin has made of them and what people have said.
//
// Each is one SQLite file in WAL mode with one writing connection and a few
// reading ones. Tables and how to query them by hand: docs/stores.md.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/pressly/goose/v3"
	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

//go:embed migrations
var migrations embed.FS

const (
	readers     = 4                // connections that read beside the one that writes
	busyTimeout = 10 * time.Second // how long a statement waits for another process
)

// database is one file: a connection that writes and some that read.
type database struct {
	path  string
	write *sql.DB
	read  *sql.DB
}

// open opens or makes the file at path and brings its tables up to date.
// kind names the folder of its migrations.
func open(ctx context.Context, path, kind, synchronous string) (*database, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("open %s: make its folder: %w", path, err)
	}
	db := &database{path: path}
	var err error
	if db.write, db.read, err = pools(path, synchronous); err != nil {
		return nil, errors.Join(db.explain("open", err), db.close())
	}
	if err := db.migrate(ctx, kind); err != nil {
		return nil, errors.Join(db.explain("open", err), db.close())
	}
	return db, nil
}

// pools makes the connections of a file.
func pools(path, synchronous string) (write, read *sql.DB, err error) {
	write, err = sql.Open("sqlite", source(path, "immediate", busyTimeout, "journal_mode(WAL)", "synchronous("+synchronous+")", "cache_size(-32768)", "temp_store(MEMORY)", "wal_autocheckpoint(8192)"))
	if err != nil {
		return nil, nil, err
	}
	write.SetMaxOpenConns(1)
	read, err = sql.Open("sqlite", source(path, "deferred", busyTimeout, "query_only(1)", "cache_size(-8192)"))
	if err != nil {
		return write, nil, err
	}
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	return write, read, nil
}

// source gives the data source name of a file.
func source(path, lock string, wait time.Duration, pragmas ...string) string {
	q := url.Values{"_txlock": {lock}}
	q.Add("_pragma", "busy_timeout("+strconv.FormatInt(wait.Milliseconds(), 10)+")")
	for _, p := range pragmas {
		q.Add("_pragma", p)
	}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath(), RawQuery: q.Encode()}).String()
}

func (db *database) migrate(ctx context.Context, kind string) error {
	files, err := fs.Sub(migrations, "migrations/"+kind)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db.write, files, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > want {
		return fmt.Errorf("it was written by a newer LineTwin (tables of version %d, this one knows %d): install that or a newer one", have, want)
	}
	_, err = p.Up(ctx)
	return err
}

// close closes all connections; the last one to close folds the WAL back into
// the file.
func (db *database) close() error {
	var errs []error
	for _, p := range []*sql.DB{db.read, db.write} {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(errs...)
}

// explain adds to an error of SQLite which file it is about, and what can be
// done about it.
func (db *database) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	var e *driver.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s %s: %w", what, db.path, err)
	}
	hint := ""
	switch e.Code() & 0xff {
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		hint = "the file is damaged or is no SQLite file: move it and its -wal and -shm away, restore a copy or start with an empty one: "
	case lib.SQLITE_READONLY, lib.SQLITE_PERM:
		hint = "the file or its folder is read-only: "
	case lib.SQLITE_CANTOPEN:
		hint = "the file cannot be opened or made: look at the folder's permissions: "
	case lib.SQLITE_FULL:
		hint = "the disk is full: "
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		hint = "another process uses the file: "
	}
	return fmt.Errorf("%s %s: %s%w", what, db.path, hint, err)
}
