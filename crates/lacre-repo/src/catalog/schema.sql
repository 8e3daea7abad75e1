-- A cache of what the store says. It can be deleted at any time; `repo rebuild` and the next command make it again.
-- It holds no key, no capability and no plaintext.

-- Small signed objects, byte for byte, so that a nightly run does not fetch them again: policies, log entries, snapshots, sessions.
CREATE TABLE object (
    name   TEXT PRIMARY KEY,
    bytes  BLOB NOT NULL,
    -- 1: it came out of a rollup, and nobody has read it under its own name.
    rolled INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Packs, from index segments or from their own footers.
CREATE TABLE pack (
    id     BLOB NOT NULL,
    name   BLOB NOT NULL,
    bytes  INTEGER NOT NULL,
    footer BLOB NOT NULL,
    PRIMARY KEY (id, name)
) WITHOUT ROWID;
CREATE UNIQUE INDEX pack_by_name ON pack (name);

-- Packs that hold frames born in another pack: outputs of a garbage collection, and what claims to be one.
CREATE TABLE place (
    born BLOB NOT NULL,
    name BLOB NOT NULL,
    PRIMARY KEY (born, name)
) WITHOUT ROWID;
CREATE INDEX place_by_name ON place (name);

-- Which packs a segment names.
CREATE TABLE segment_pack (
    digest BLOB NOT NULL,
    name   BLOB NOT NULL,
    PRIMARY KEY (digest, name)
) WITHOUT ROWID;

CREATE INDEX segment_pack_by_name ON segment_pack (name);

-- Segments already read into `pack`.
CREATE TABLE segment (
    digest BLOB PRIMARY KEY
) WITHOUT ROWID;

-- When a pack was last proved, at which level (2: bytes hash to the name; 4: frames opened).
CREATE TABLE audit (
    name  BLOB NOT NULL,
    level INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (name, level)
) WITHOUT ROWID;
