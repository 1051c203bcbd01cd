// Package plant holds the words that every part of LineTwin speaks: the
// equipment hierarchy of ISA-95 (site, area, line, machine, signal), readings
// and batches, states and time classes, stops, windows, alerts, and the
// snapshots that screens show.
//
// It imports only the standard library, and everything else of ours imports
// it; nothing here does I/O, reads a clock or starts a goroutine.
package plant

import "errors"

// ErrOffline tells that a peer cannot be reached now; the caller keeps what it
// wanted to say and tries again later.
var ErrOffline = errors.New("offline")

// ErrNotFound tells that no line, machine, signal or alert has this name.
var ErrNotFound = errors.New("not found")

// ErrConflict tells that something else has been said or done meanwhile.
var ErrConflict = errors.New("conflict")
