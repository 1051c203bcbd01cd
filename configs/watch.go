package configs

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// How a file is watched. Editors and tools write in several steps: truncate and
// write, write beside it and rename, or swap a link.
const (
	settled = 150 * time.Millisecond // that a file must stay as it is to count as written
	longest = 2 * time.Second        // after which it is looked at although its folder is never quiet
	anyway  = 10 * time.Second       // how often it is looked at where the file system tells nothing
)

// Mark tells one content of a file from another.
type Mark string

// MarkOf gives the mark of a file as it is now. One that cannot be read has a
// mark of its own.
func MarkOf(file string) Mark {
	raw, err := os.ReadFile(file)
	if err != nil {
		return Mark(err.Error())
	}
	return Mark(fmt.Sprintf("%x", sha256.Sum256(raw)))
}

// Watch calls changed whenever the content of a file is another one than
// before, at first than seen, and stays so for a moment, until ctx ends. Only
// content counts: a file that is written as it was is no change.
func Watch(ctx context.Context, file string, seen Mark, changed func(), log *slog.Logger) {
	w := watch{file: file, seen: seen, look: time.NewTimer(0)}
	defer w.look.Stop()
	var events chan fsnotify.Event
	var errs chan error
	if notify, err := fsnotify.NewWatcher(); err != nil {
		log.Warn("settings file is looked at from time to time only", "every", anyway, "error", err)
	} else {
		defer notify.Close()
		w.notify, events, errs = notify, notify.Events, notify.Errors
	}
	slow := time.NewTicker(anyway)
	defer slow.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			w.stir()
		case <-errs: // events were lost: look
			w.stir()
		case <-slow.C:
			w.stir()
		case <-w.look.C:
			w.stirred = time.Time{}
			if w.isOther() {
				changed()
			}
		}
	}
}

type watch struct {
	file    string
	notify  *fsnotify.Watcher // nil for none
	look    *time.Timer
	stirred time.Time // since when look is put off; zero while it is not
	seen    Mark      // what was told last
	next    Mark      // what may be told if it stays
}

// stir puts the next look off until all is quiet.
func (w *watch) stir() {
	if w.stirred.IsZero() {
		w.stirred = time.Now()
	}
	w.look.Reset(max(0, min(settled, longest-time.Since(w.stirred))))
}

// isOther tells whether the file has become another one, and was the same in
// two looks.
func (w *watch) isOther() bool {
	w.follow()
	now := MarkOf(w.file)
	switch {
	case now == w.seen:
		w.next = ""
		return false
	case now != w.next:
		w.next = now
		w.stir()
		return false
	}
	w.seen, w.next = now, ""
	return true
}

// follow watches the file's folder, and that of the file to which it is a
// link. Folders that are watched already stay so; one that is gone is tried
// again with the next look.
func (w *watch) follow() {
	if w.notify == nil {
		return
	}
	folders := []string{filepath.Dir(w.file)}
	if real, err := filepath.EvalSymlinks(w.file); err == nil {
		folders = append(folders, filepath.Dir(real))
	}
	for _, f := range folders {
		_ = w.notify.Add(f)
	}
}
