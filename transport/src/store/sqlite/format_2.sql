-- Commits that stand apart from their events. `named`: an event names it, so that it stays; of the others only the newest
-- few of each server are kept.
CREATE TABLE apart_messages (
    apart_message INTEGER PRIMARY KEY,
    room          INTEGER NOT NULL REFERENCES rooms,
    sha256        BLOB    NOT NULL CHECK (length(sha256) = 32),
    origin        TEXT    NOT NULL,
    bytes         BLOB    NOT NULL,
    named         INTEGER NOT NULL CHECK (named IN (0, 1)),
    UNIQUE (room, sha256)
) STRICT;

CREATE INDEX apart_messages_waiting ON apart_messages (room, origin) WHERE NOT named;

-- The ratchet trees after the last commits of each room, where the commit's event leaves it out.
CREATE TABLE trees (
    room     INTEGER NOT NULL REFERENCES rooms,
    position INTEGER NOT NULL CHECK (position >= 0),
    tree     BLOB    NOT NULL,
    PRIMARY KEY (room, position)
) STRICT;

-- A room reads back what it only knows by id any more.
CREATE INDEX snapshot_events_by_id ON snapshot_events (room, event_id);
