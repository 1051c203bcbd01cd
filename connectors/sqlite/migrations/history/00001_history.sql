-- +goose Up
CREATE TABLE machines (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    area TEXT NOT NULL, -- as the last batch said
    line TEXT NOT NULL  -- as the last batch said; '' while it is in none
) STRICT;

CREATE TABLE signals (
    id      INTEGER PRIMARY KEY,
    machine INTEGER NOT NULL REFERENCES machines (id),
    name    TEXT NOT NULL,
    kind    TEXT NOT NULL CHECK (kind IN ('none', 'float', 'integer', 'boolean', 'text')), -- none: no value yet
    UNIQUE (machine, name)
) STRICT;

CREATE TABLE readings (
    signal  INTEGER NOT NULL,
    time    INTEGER NOT NULL, -- milliseconds since 1970
    value   ANY,              -- NULL in a bad reading; booleans are 0 and 1
    quality INTEGER NOT NULL, -- 0 good, 1 uncertain, 2 bad
    reason  TEXT,             -- why quality is not good
    PRIMARY KEY (signal, time)
) STRICT, WITHOUT ROWID;

-- Claims of completeness: every change of the machine in [start, stop] is in
-- readings. Spans of one machine neither touch nor overlap.
CREATE TABLE complete (
    machine INTEGER NOT NULL,
    start   INTEGER NOT NULL, -- milliseconds since 1970
    stop    INTEGER NOT NULL, -- milliseconds since 1970
    PRIMARY KEY (machine, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE quarantine (
    id      INTEGER PRIMARY KEY,
    seen    INTEGER NOT NULL, -- nanoseconds since 1970
    machine TEXT NOT NULL,
    signal  TEXT NOT NULL,
    time    INTEGER NOT NULL, -- nanoseconds since 1970
    kind    TEXT NOT NULL,
    value   ANY,
    quality INTEGER NOT NULL,
    reason  TEXT NOT NULL,
    why     TEXT NOT NULL
) STRICT;

-- A reading that is sent again is set aside once.
CREATE UNIQUE INDEX quarantine_once ON quarantine (machine, signal, time, kind, why);
