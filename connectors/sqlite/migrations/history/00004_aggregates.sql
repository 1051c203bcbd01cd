-- +goose Up
-- Readings before this, in milliseconds since 1970, were dropped, but for the
-- last of them. What they were is in aggregates.
ALTER TABLE signals ADD COLUMN raw_from INTEGER NOT NULL DEFAULT 0;
-- Minutes before this were dropped.
ALTER TABLE signals ADD COLUMN minutes_from INTEGER NOT NULL DEFAULT 0;

-- What a signal was in each minute and hour of a time whose readings were
-- dropped. Each begins at a whole hour.
CREATE TABLE aggregates (
    id     INTEGER PRIMARY KEY,
    signal INTEGER NOT NULL,
    step   INTEGER NOT NULL, -- 60000 or 3600000 milliseconds
    start  INTEGER NOT NULL, -- of the first interval, milliseconds since 1970
    stop   INTEGER NOT NULL, -- start of the last one
    data   BLOB NOT NULL,
    UNIQUE (signal, step, start)
) STRICT;
