-- +goose Up
-- Readings that are no longer rows: those of one signal, compressed. Chunks of a
-- signal do not overlap. Where readings or pieces have one of the same time,
-- that was written later.
CREATE TABLE chunks (
    id       INTEGER PRIMARY KEY,
    signal   INTEGER NOT NULL,
    start    INTEGER NOT NULL, -- of the first reading, milliseconds since 1970
    stop     INTEGER NOT NULL, -- of the last reading
    readings INTEGER NOT NULL,
    bad      INTEGER NOT NULL, -- of readings
    low      REAL,             -- of numbers; booleans count as 0 and 1
    high     REAL,
    total    REAL,
    last     ANY,              -- value of the last reading that is not bad
    data     BLOB NOT NULL,
    UNIQUE (signal, start)
) STRICT;

-- Readings that came many at once, of all signals of one machine, until they are
-- in chunks. Of the same time, the one with the higher id was written later, and
-- the one in readings after all of them.
CREATE TABLE pieces (
    id       INTEGER PRIMARY KEY,
    machine  INTEGER NOT NULL,
    start    INTEGER NOT NULL, -- of the first reading, milliseconds since 1970
    stop     INTEGER NOT NULL, -- of the last reading
    readings INTEGER NOT NULL,
    data     BLOB NOT NULL
) STRICT;
CREATE INDEX pieces_machine ON pieces (machine, start);
