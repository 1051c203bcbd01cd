-- +goose Up
ALTER TABLE quarantine ADD COLUMN area TEXT NOT NULL DEFAULT '';
ALTER TABLE quarantine ADD COLUMN line TEXT NOT NULL DEFAULT '';
ALTER TABLE quarantine ADD COLUMN gateway TEXT NOT NULL DEFAULT '';
ALTER TABLE quarantine ADD COLUMN tries INTEGER NOT NULL DEFAULT 0; -- how often it was refused again

CREATE TABLE quarantine_lost (readings INTEGER NOT NULL) STRICT; -- how many the bound has cost
INSERT INTO quarantine_lost VALUES (0);
