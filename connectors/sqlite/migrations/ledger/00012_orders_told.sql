-- +goose Up
-- Which order a machine tells from a time on; '' is none. Of before, pieces tell:
-- to the minute, and from the first piece on.
CREATE TABLE orders_told (
    machine TEXT NOT NULL,
    at      INTEGER NOT NULL,
    "order" TEXT NOT NULL,
    PRIMARY KEY (machine, at)
) STRICT, WITHOUT ROWID;
INSERT OR REPLACE INTO orders_told (machine, at, "order")
SELECT machine, minute, "order"
FROM (SELECT machine, minute, "order", lag("order", 1, '') OVER (PARTITION BY machine ORDER BY minute, "order") AS before
      FROM pieces WHERE good <> 0 OR reject <> 0)
WHERE "order" <> before;
