-- +goose Up
-- What people and other systems tell the twin. Nothing is changed or deleted.
CREATE TABLE entries (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    said   INTEGER NOT NULL,
    by     TEXT NOT NULL,
    why    TEXT NOT NULL,
    kind   TEXT NOT NULL,
    key    TEXT NOT NULL,
    since  INTEGER NOT NULL,
    value  TEXT NOT NULL,
    undoes INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX entries_undone ON entries (undoes) WHERE undoes <> 0;
-- +goose StatementBegin
CREATE TRIGGER entries_keep BEFORE UPDATE ON entries BEGIN
    SELECT RAISE(ABORT, 'entries are append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER entries_stay BEFORE DELETE ON entries BEGIN
    SELECT RAISE(ABORT, 'entries are append-only');
END;
-- +goose StatementEnd

-- The account of each closed shift, as often as it changed.
CREATE TABLE results (
    line   TEXT NOT NULL,
    shift  INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    reason TEXT NOT NULL,
    account TEXT NOT NULL,
    PRIMARY KEY (line, shift, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX results_at ON results (at);

-- Results tell more.
DROP TABLE revisions;
