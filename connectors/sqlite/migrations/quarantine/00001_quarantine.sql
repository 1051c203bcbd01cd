-- +goose Up
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
    why     TEXT NOT NULL,
    area    TEXT NOT NULL,
    line    TEXT NOT NULL,
    gateway TEXT NOT NULL,
    tries   INTEGER NOT NULL -- how often it was refused again
) STRICT;

-- A reading that is sent again is set aside once.
CREATE UNIQUE INDEX quarantine_once ON quarantine (machine, signal, time, kind, why);

CREATE TABLE quarantine_lost (readings INTEGER NOT NULL) STRICT; -- how many the bound has cost
INSERT INTO quarantine_lost VALUES (0);
