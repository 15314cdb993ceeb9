-- What jigpress remembers of mirror files. A file's row counts only while size, mtime_ns, ctime_ns and inode are what stat says.

CREATE TABLE tree (
    id INTEGER PRIMARY KEY,
    root BLOB NOT NULL UNIQUE           -- absolute, free of symbolic links
);

-- One b-tree holds it all, in the order in which files are stored and asked for: that of their paths.
CREATE TABLE file (
    tree INTEGER NOT NULL REFERENCES tree,
    path BLOB NOT NULL,                 -- relative to the tree's root
    id INTEGER NOT NULL,                -- unique, and never used again: no head can pass to another file
    size INTEGER NOT NULL,              -- bytes
    mtime_ns INTEGER NOT NULL,          -- nanoseconds since 1970
    ctime_ns INTEGER NOT NULL,          -- the same; no program can set it, but chmod and hard links change it, too
    inode INTEGER NOT NULL,
    device INTEGER NOT NULL,            -- not compared: it may change when the machine starts anew
    md5 BLOB,                           -- each sum is NULL until an image that wants it may contain the file
    sha256 BLOB,
    blake3 BLOB,                        -- of the same bytes: what an image's bytes are compared by
    md5_check INTEGER,                  -- of blake3 and md5 together: a sum that was damaged here is read again
    sha256_check INTEGER,
    sums_from TEXT,                     -- 'bytes': read from the file
    PRIMARY KEY (tree, path)
) WITHOUT ROWID;

-- The last id that a file got.
CREATE TABLE last_file (
    id INTEGER NOT NULL
);
INSERT INTO last_file VALUES (0);

-- The block by which the scan finds a file, for each block length in use.
CREATE TABLE head (
    file INTEGER NOT NULL,              -- the id of a file
    block_length INTEGER NOT NULL,
    first_rsync64 INTEGER NOT NULL,     -- the sum of the first block; hi in the upper half, lo in the lower
    block_offset INTEGER,               -- the first block that has no short period of its own, and its sum,
    block_rsync64 INTEGER,
    period INTEGER,                     -- or, if there is none, the period of the whole file
    anchor_offset INTEGER,              -- the anchor of that block, or of the first one of a file with a period: its
    anchor_key INTEGER,                 -- place in the block, and what stands for the bytes there; NULL if it has none
    PRIMARY KEY (file, block_length)
) WITHOUT ROWID;

-- When a file's row was last of use. Only rows of which it is known are ever deleted for their age.
CREATE TABLE used (
    file INTEGER PRIMARY KEY,           -- the id of a file
    seconds INTEGER NOT NULL            -- since 1970
);

CREATE TRIGGER file_deleted AFTER DELETE ON file BEGIN
    DELETE FROM head WHERE file = old.id;
    DELETE FROM used WHERE file = old.id;
END;

-- What publish keeps of earlier runs: a check, and JSON.
CREATE TABLE record (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- For people.
CREATE VIEW file_sums AS
    SELECT CAST(root AS TEXT) AS root, CAST(path AS TEXT) AS path, size, datetime(mtime_ns / 1000000000, 'unixepoch') AS modified,
           lower(hex(md5)) AS md5, lower(hex(sha256)) AS sha256, sums_from
    FROM file JOIN tree ON tree.id = file.tree;

CREATE VIEW file_heads AS
    SELECT CAST(root AS TEXT) AS root, CAST(path AS TEXT) AS path, block_length, printf('%016x', first_rsync64) AS first_rsync64,
           block_offset, printf('%016x', block_rsync64) AS block_rsync64, period,
           anchor_offset, printf('%08x', anchor_key) AS anchor_key
    FROM head JOIN file ON file.id = head.file JOIN tree ON tree.id = file.tree;
