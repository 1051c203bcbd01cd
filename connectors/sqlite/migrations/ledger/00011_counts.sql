-- +goose Up
-- What gateways counted of readings whose time lies in a minute.
CREATE TABLE counts (
    minute   INTEGER NOT NULL,
    machine  TEXT NOT NULL,
    area     TEXT NOT NULL,
    gateway  TEXT NOT NULL,
    made     INTEGER NOT NULL,
    repeated INTEGER NOT NULL, -- of made: of a time that was there already
    late     INTEGER NOT NULL, -- of made: of a time that may have been there
    dropped  INTEGER NOT NULL, -- of made: left the gateway's buffer unstored
    PRIMARY KEY (minute, machine, area, gateway)
) STRICT, WITHOUT ROWID;

-- How far each life of a gateway has told its counts.
CREATE TABLE count_books (
    area    TEXT NOT NULL,
    gateway TEXT NOT NULL,
    book    TEXT NOT NULL,
    number  INTEGER NOT NULL, -- of the last report
    start   INTEGER NOT NULL, -- when it began to count
    stop    INTEGER NOT NULL, -- up to when it has told
    PRIMARY KEY (area, gateway, book)
) STRICT, WITHOUT ROWID;

-- Times of which a gateway dropped readings.
CREATE TABLE gaps (
    id       INTEGER PRIMARY KEY,
    area     TEXT NOT NULL,
    gateway  TEXT NOT NULL,
    machine  TEXT NOT NULL, -- '' where nobody knows whose they were
    start    INTEGER NOT NULL,
    stop     INTEGER NOT NULL,
    readings INTEGER NOT NULL
) STRICT;
CREATE INDEX gaps_stop ON gaps (stop);
