-- +goose Up
-- All times are nanoseconds since 1970-01-01T00:00:00Z; 0 is "never".
CREATE TABLE segments (
    machine TEXT NOT NULL,
    start   INTEGER NOT NULL,
    stop    INTEGER NOT NULL,
    class   TEXT NOT NULL,
    state   TEXT NOT NULL,
    fault   TEXT NOT NULL,
    pieces  INTEGER NOT NULL,
    product TEXT NOT NULL,
    open    INTEGER NOT NULL,
    PRIMARY KEY (machine, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE pieces (
    machine TEXT NOT NULL,
    minute  INTEGER NOT NULL,
    product TEXT NOT NULL,
    "order" TEXT NOT NULL,
    good    INTEGER NOT NULL,
    reject  INTEGER NOT NULL,
    startup INTEGER NOT NULL,
    resets  INTEGER NOT NULL,
    flags   INTEGER NOT NULL,
    PRIMARY KEY (machine, minute, product, "order")
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoints (
    machine TEXT NOT NULL,
    at      INTEGER NOT NULL,
    state   BLOB NOT NULL,
    PRIMARY KEY (machine, at)
) STRICT;

CREATE TABLE alerts (
    id         TEXT NOT NULL PRIMARY KEY,
    rule       TEXT NOT NULL,
    severity   TEXT NOT NULL,
    state      TEXT NOT NULL,
    quality    INTEGER NOT NULL,
    line       TEXT NOT NULL,
    machine    TEXT NOT NULL,
    signal     TEXT NOT NULL,
    message_en TEXT NOT NULL,
    message_zh TEXT NOT NULL,
    value      REAL,
    unit       TEXT NOT NULL,
    "limit"    REAL,
    since      INTEGER NOT NULL,
    fired      INTEGER NOT NULL,
    returned   INTEGER NOT NULL,
    acked      INTEGER NOT NULL,
    acked_by   TEXT NOT NULL,
    count      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX alerts_fired ON alerts (fired);
CREATE INDEX alerts_open ON alerts (fired) WHERE state <> 'normal';

CREATE TABLE revisions (
    line   TEXT NOT NULL,
    shift  INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (line, shift)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    at   INTEGER NOT NULL,
    who  TEXT NOT NULL,
    what TEXT NOT NULL,
    old  TEXT NOT NULL,
    new  TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at);
-- +goose StatementBegin
CREATE TRIGGER audit_keeps BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_stays BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
-- +goose StatementEnd

CREATE TABLE settings (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE signal_type (
    name TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('float', 'integer', 'boolean', 'text')),
    unit TEXT NOT NULL
) STRICT, WITHOUT ROWID;
