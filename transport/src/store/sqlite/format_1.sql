-- Format 1.
--
-- All tables are STRICT, so that a value of a wrong type is refused when it is written and not found when it is read.
-- Events, snapshots and JSON can be far larger than a page; tables that hold them keep their rowid, because without it
-- whole rows, large values included, would stand in the inner nodes of the tree that every look-up goes through.
-- Tables of short rows that are only reached by their key are WITHOUT ROWID: one tree instead of two.

-- A room has a small number, so that its id, which can be 255 bytes long, is not repeated in every row and every index.
-- `length` is the number of its records: cursors compare with it without looking at any record.
CREATE TABLE rooms (
    room    INTEGER PRIMARY KEY,
    room_id TEXT    NOT NULL UNIQUE,
    length  INTEGER NOT NULL DEFAULT 0 CHECK (length >= 0)
) STRICT;

-- The rooms' lists. New rows of all rooms go to the end of one tree. `effect`: 0 applied, 1 soft-failed, 2 rejected.
CREATE TABLE records (
    room     INTEGER NOT NULL REFERENCES rooms,
    position INTEGER NOT NULL CHECK (position >= 0),
    event_id TEXT    NOT NULL UNIQUE,
    lpdu_id  TEXT,
    effect   INTEGER NOT NULL CHECK (effect IN (0, 1, 2)),
    bytes    BLOB    NOT NULL,
    origin   TEXT,
    txn_id   TEXT,
    PRIMARY KEY (room, position)
) STRICT;

-- A hub's own events have no LPDU and take no space here. The position makes the first of several the first found.
CREATE INDEX records_by_lpdu ON records (room, lpdu_id, position) WHERE lpdu_id IS NOT NULL;

-- The states that participants' lists start from.
CREATE TABLE snapshots (
    room INTEGER PRIMARY KEY REFERENCES rooms,
    hub  TEXT NOT NULL,
    prev TEXT NOT NULL
) STRICT;

-- `part`: 0 the state, 1 what it cites.
CREATE TABLE snapshot_events (
    room     INTEGER NOT NULL REFERENCES snapshots,
    part     INTEGER NOT NULL CHECK (part IN (0, 1)),
    place    INTEGER NOT NULL CHECK (place >= 0),
    event_id TEXT    NOT NULL,
    bytes    BLOB    NOT NULL,
    PRIMARY KEY (room, part, place)
) STRICT;

-- MLS groups; each has followed its room's list up to, not including, `position`.
CREATE TABLE mls_groups (
    room     INTEGER PRIMARY KEY REFERENCES rooms,
    position INTEGER NOT NULL CHECK (position >= 0),
    snapshot BLOB    NOT NULL
) STRICT;

-- Events that break a rule, in the order in which they were kept.
CREATE TABLE evidence (
    evidence INTEGER PRIMARY KEY,
    room     INTEGER NOT NULL REFERENCES rooms,
    event_id TEXT    NOT NULL,
    origin   TEXT    NOT NULL,
    rule     TEXT    NOT NULL,
    detail   TEXT    NOT NULL,
    bytes    BLOB    NOT NULL,
    UNIQUE (event_id, room)
) STRICT;

-- An index ends with the rowid, so this one gives a room's evidence in order.
CREATE INDEX evidence_by_room ON evidence (room);

-- Invites come and go and often concern rooms that never have a list here, so they leave no row in `rooms` behind. The
-- room's id stands once in each row: the only tree is the table.
CREATE TABLE invites (
    room_id      TEXT NOT NULL,
    user_id      TEXT NOT NULL,
    hub          TEXT NOT NULL,
    room_version TEXT NOT NULL,
    event_id     TEXT NOT NULL,
    PRIMARY KEY (room_id, user_id)
) STRICT, WITHOUT ROWID;

-- Answers to transactions. An answer can carry the state of a whole room.
CREATE TABLE answers (
    origin      TEXT    NOT NULL,
    endpoint    TEXT    NOT NULL,
    txn_id      TEXT    NOT NULL,
    status      INTEGER NOT NULL CHECK (status BETWEEN 0 AND 65535),
    body        BLOB    NOT NULL,
    answered_at INTEGER NOT NULL,
    PRIMARY KEY (origin, endpoint, txn_id)
) STRICT;

CREATE INDEX answers_by_time ON answers (answered_at);

-- How far each destination has been sent each room's list.
CREATE TABLE cursors (
    destination TEXT    NOT NULL,
    room        INTEGER NOT NULL REFERENCES rooms,
    position    INTEGER NOT NULL CHECK (position >= 0),
    PRIMARY KEY (destination, room)
) STRICT, WITHOUT ROWID;

CREATE INDEX cursors_by_room ON cursors (room);

-- What goes out besides the rooms' lists. AUTOINCREMENT never gives a number out again, so a flight that names an item
-- which is gone cannot mean a later one. `kind`: 0 an LPDU, 1 an EDU.
CREATE TABLE outgoing (
    sequence    INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT    NOT NULL,
    kind        INTEGER NOT NULL CHECK (kind IN (0, 1)),
    room_id     TEXT,
    sender      TEXT,
    lpdu_id     TEXT,
    bytes       BLOB    NOT NULL,
    CHECK ((kind = 0) = (room_id IS NOT NULL AND sender IS NOT NULL AND lpdu_id IS NOT NULL))
) STRICT;

-- The end is the rowid: the items of one kind in their order.
CREATE INDEX outgoing_by_destination ON outgoing (destination, kind);

-- The transaction in flight to each destination; `carries` is the JSON of its ranges and items.
CREATE TABLE flights (
    destination TEXT PRIMARY KEY NOT NULL,
    txn_id      TEXT NOT NULL,
    carries     TEXT NOT NULL
) STRICT;

CREATE TABLE devices (
    user_id   TEXT NOT NULL,
    device_id TEXT NOT NULL,
    object    BLOB NOT NULL,
    PRIMARY KEY (user_id, device_id)
) STRICT;

-- Key packages, numbered in the order of their upload. `offered`: it may be given out. `given`: it was, at least once;
-- then the row stays, even when its device goes, because it is what keeps the package from being offered afresh. A
-- one-time package is never both.
CREATE TABLE key_packages (
    key_package INTEGER PRIMARY KEY,
    user_id     TEXT    NOT NULL,
    device_id   TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    algorithm   TEXT    NOT NULL,
    last_resort INTEGER NOT NULL CHECK (last_resort IN (0, 1)),
    expires     INTEGER NOT NULL,
    offered     INTEGER NOT NULL DEFAULT 1 CHECK (offered IN (0, 1)),
    given       INTEGER NOT NULL DEFAULT 0 CHECK (given IN (0, 1)),
    UNIQUE (user_id, device_id, key),
    CHECK (last_resort OR NOT (offered AND given))
) STRICT;

-- Holds what can still be given out, however many were given out before, in the order in which it is; `expires` saves
-- the count of what is left from looking at the table.
CREATE INDEX key_packages_offered
    ON key_packages (user_id, device_id, algorithm, last_resort, key_package, expires) WHERE offered;

-- Inboxes are logs; each user's places count from 0 without gaps.
CREATE TABLE inbox (
    user_id TEXT    NOT NULL,
    place   INTEGER NOT NULL CHECK (place >= 0),
    bytes   BLOB    NOT NULL,
    once    TEXT,
    PRIMARY KEY (user_id, place)
) STRICT;

CREATE UNIQUE INDEX inbox_once ON inbox (user_id, once) WHERE once IS NOT NULL;

-- Key responses of other servers; one for each different set of keys.
CREATE TABLE server_keys (
    response_number INTEGER PRIMARY KEY,
    server          TEXT    NOT NULL,
    key_set         TEXT    NOT NULL,
    response        BLOB    NOT NULL,
    fetched_at      INTEGER NOT NULL,
    UNIQUE (server, key_set)
) STRICT;
