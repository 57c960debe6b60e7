//! A database that follows a log of changes which is elsewhere.
//!
//! It holds nothing that the log does not, so that its commits need no `fsync`: after a crash of the machine it may be a
//! little older than it was, and follows the log from there. How far it has come stands in the database itself and is
//! changed in the transaction that makes the change.

use std::path::Path;

use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use mimi_linearized::id::{DeviceId, RoomId, UserId};

use super::super::command::{Command, Identity, Message, Outcome, WrittenKey, decode};
use super::super::{Claimed, ExpectedHead, StoreError};
use super::apply::apply;
use super::decode::{Undecodable, bytes, execute, first, id, number, optional_text, text, to_integer};
use super::{SqliteStore, check_file, devices, list, media};

/// For how long a process keeps a transaction that it has begun, in milliseconds. After that another one may begin it.
pub(in crate::store) const HOLD_MS: i64 = 30_000;

/// For how long a process that was not fast enough has the next turn in a room, in milliseconds.
pub(in crate::store) const TURN_MS: i64 = 1_000;

/// For how long it is remembered that a message was seen, and pieces wait for the others, in milliseconds of the log's
/// own time. Nobody repeats a message for as long.
const REMEMBERED_MS: i64 = 10 * 60 * 1_000;

/// Forgetting is done once in so many messages.
const FORGET_EACH: u64 = 1_024;

/// Tables beside the store's own. `one` is a table of one row.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS log_followed (
        one      INTEGER PRIMARY KEY CHECK (one = 1),
        log      TEXT    NOT NULL,
        sequence INTEGER NOT NULL,
        last_id  TEXT
    ) STRICT;
    CREATE TABLE IF NOT EXISTS log_identity (
        one         INTEGER PRIMARY KEY CHECK (one = 1),
        server_name TEXT NOT NULL,
        key_id      TEXT NOT NULL,
        verify_key  TEXT NOT NULL
    ) STRICT;
    -- The last message of each room's subject.
    CREATE TABLE IF NOT EXISTS log_subjects (
        room_id  TEXT    PRIMARY KEY,
        sequence INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    -- Rooms of which one process has the next turn.
    CREATE TABLE IF NOT EXISTS log_turns (
        room_id TEXT    PRIMARY KEY,
        process TEXT    NOT NULL,
        until   INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS log_seen (
        id       TEXT    PRIMARY KEY,
        sequence INTEGER NOT NULL,
        at       INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS log_seen_by_time ON log_seen (at);
    CREATE TABLE IF NOT EXISTS log_parts (
        whole TEXT    NOT NULL,
        part  INTEGER NOT NULL,
        at    INTEGER NOT NULL,
        bytes BLOB    NOT NULL,
        PRIMARY KEY (whole, part)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS log_transactions (
        origin   TEXT    NOT NULL,
        endpoint TEXT    NOT NULL,
        txn_id   TEXT    NOT NULL,
        holder   TEXT    NOT NULL,
        until    INTEGER NOT NULL,
        PRIMARY KEY (origin, endpoint, txn_id)
    ) STRICT, WITHOUT ROWID;";

/// Where a message stands in its log.
#[derive(Debug, Clone)]
pub(in crate::store) struct Stamp {
    /// Its place, from 1, without gaps.
    pub(in crate::store) sequence: u64,
    /// When the log took it, in milliseconds since the Unix epoch.
    pub(in crate::store) at: i64,
    /// Its id, which is repeated when it is sent again.
    pub(in crate::store) id: String,
}

/// How far a view has followed its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Followed {
    /// What tells the log apart from others of its name.
    pub(in crate::store) log: String,
    /// The last message; 0 if there was none.
    pub(in crate::store) sequence: u64,
    /// Its id.
    pub(in crate::store) last_id: Option<String>,
}

/// What a message came to.
#[derive(Debug)]
pub(in crate::store) struct Applied {
    /// The change that it made or would have made; `None` for a piece, and for a message that came before.
    pub(in crate::store) command: Option<Box<Command>>,
    /// What came of it, if it is a change that comes for the first time.
    pub(in crate::store) outcome: Option<Result<Outcome, StoreError>>,
}

impl SqliteStore {
    /// Opens a view, and makes it if there is none.
    pub(in crate::store) fn open_view(path: &Path) -> Result<Self, StoreError> {
        let unsynced = |connection: &Connection| {
            connection.execute_batch("PRAGMA synchronous = NORMAL")?;
            connection.execute_batch(TABLES)?;
            Ok(connection.execute_batch(media::TABLE)?)
        };
        Self::open_with(path, check_file, unsynced)
    }

    /// How far it has come; `None` for a new one.
    pub(in crate::store) async fn followed(&self) -> Result<Option<Followed>, StoreError> {
        self.readers.run(followed).await
    }

    /// Begins to follow a log.
    pub(in crate::store) async fn follow(&self, log: String) -> Result<(), StoreError> {
        let sql = "INSERT INTO log_followed (one, log, sequence, last_id) VALUES (1, ?1, 0, NULL)";
        self.writer.run(move |connection| execute(connection, sql, [log]).map(drop)).await
    }

    /// Puts a message of the log into the queue. The answer comes once it is committed; an error means that neither this
    /// message nor any after it was followed.
    pub(in crate::store) async fn submit_message(
        &self,
        stamp: Stamp,
        payload: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<Applied, StoreError>>, StoreError> {
        self.writer.submit(move |connection| follow_message(connection, &stamp, payload.as_ref())).await
    }

    /// The end of a room's list, and the last message of its subject, 0 if there was none.
    pub(in crate::store) async fn end_of(&self, room_id: &RoomId) -> Result<(ExpectedHead, u64), StoreError> {
        let room_id = room_id.clone();
        self.readers.run(move |connection| end_of(connection, &room_id)).await
    }

    /// Which process has the next turn in a room, if one has asked for it.
    pub(in crate::store) async fn turn(&self, room_id: &RoomId) -> Result<Option<String>, StoreError> {
        let room_id = room_id.clone();
        self.readers.run(move |connection| Ok(turn(connection, &room_id)?.map(|(process, _)| process))).await
    }

    /// What a claim would give out now.
    pub(in crate::store) async fn foresee_claim(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        algorithm: &str,
        now: i64,
    ) -> Result<Option<Claimed>, StoreError> {
        /// Fails in any case, so that nothing stays.
        struct Foreseen(Result<Option<Claimed>, StoreError>);
        impl From<StoreError> for Foreseen {
            fn from(error: StoreError) -> Self {
                Self(Err(error))
            }
        }
        let (user_id, device_id, algorithm) = (user_id.clone(), device_id.clone(), algorithm.to_owned());
        let tried = self.writer.run(move |connection| -> Result<(), Foreseen> {
            Err(Foreseen(devices::take(connection, &user_id, &device_id, &algorithm, now)))
        });
        match tried.await {
            Ok(()) => Ok(None),
            Err(Foreseen(foreseen)) => foreseen,
        }
    }

    /// Whose log it is, if anybody has said so.
    pub(in crate::store) async fn identity(&self) -> Result<Option<Identity>, StoreError> {
        self.readers.run(identity).await
    }
}

#[cfg(test)]
impl SqliteStore {
    /// Leaves a mark that nothing in the log makes.
    pub(in crate::store) async fn mark(&self) -> Result<(), StoreError> {
        self.writer.run(|connection| Ok(connection.execute_batch("CREATE TABLE mark (x)")?)).await
    }

    pub(in crate::store) async fn is_marked(&self) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM sqlite_schema WHERE name = 'mark'";
        self.readers.run(move |connection| Ok(first(connection, sql, [], |_| Ok(()))?.is_some())).await
    }
}

fn followed(connection: &Connection) -> Result<Option<Followed>, StoreError> {
    first(connection, "SELECT log, sequence, last_id FROM log_followed", [], |row| {
        let decode = || {
            Ok(Followed {
                log: text(row, 0, "log")?.to_owned(),
                sequence: number(row, 1, "place in a log")?,
                last_id: optional_text(row, 2, "message id")?.map(ToOwned::to_owned),
            })
        };
        decode().map_err(|fault: Undecodable| fault.at("how far the log was followed"))
    })
}

fn identity(connection: &Connection) -> Result<Option<Identity>, StoreError> {
    first(connection, "SELECT server_name, key_id, verify_key FROM log_identity", [], |row| {
        let decode = || {
            Ok(Identity {
                server_name: id(row, 0, "server name")?,
                key_id: text(row, 1, "key id")?.to_owned(),
                verify_key: text(row, 2, "key")?.to_owned(),
            })
        };
        decode().map_err(|fault: Undecodable| fault.at("whose log it is"))
    })
}

fn end_of(connection: &Connection, room_id: &RoomId) -> Result<(ExpectedHead, u64), StoreError> {
    let head = match list::room(connection, room_id)? {
        Some(room) => list::head(connection, &room, room_id)?,
        None => ExpectedHead::Empty,
    };
    let sql = "SELECT sequence FROM log_subjects WHERE room_id = ?1";
    let sequence = first(connection, sql, [room_id.as_str()], |row| {
        number(row, 0, "place in a log").map_err(|fault| fault.at(format_args!("the subject of {room_id}")))
    })?;
    Ok((head, sequence.unwrap_or(0)))
}

/// Makes the change in a message, if it is the next one.
fn follow_message(connection: &Connection, stamp: &Stamp, payload: &[u8]) -> Result<Applied, StoreError> {
    let before = followed(connection)?.map_or(0, |followed| followed.sequence);
    if before.checked_add(1) != Some(stamp.sequence) {
        let detail = format!("message {} comes after message {before}", stamp.sequence);
        return Err(StoreError::Malformed { what: "log", detail });
    }
    let sequence = to_integer(stamp.sequence, "place in a log")?;
    let sql = "UPDATE log_followed SET sequence = ?1, last_id = ?2";
    execute(connection, sql, params![sequence, stamp.id])?;
    if stamp.sequence.is_multiple_of(FORGET_EACH) {
        let before = stamp.at.saturating_sub(REMEMBERED_MS);
        execute(connection, "DELETE FROM log_seen WHERE at < ?1", [before])?;
        execute(connection, "DELETE FROM log_parts WHERE at < ?1", [before])?;
        execute(connection, "DELETE FROM log_transactions WHERE until < ?1", [before])?;
    }
    let sql = "INSERT INTO log_seen (id, sequence, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    let is_new = execute(connection, sql, params![stamp.id, sequence, stamp.at])? > 0;
    let command = match decode(payload)? {
        Message::Part { of, index, bytes } => {
            let sql = "INSERT INTO log_parts (whole, part, at, bytes) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO NOTHING";
            execute(connection, sql, params![of, index, stamp.at, bytes])?;
            return Ok(Applied { command: None, outcome: is_new.then_some(Ok(Outcome::Done)) });
        }
        Message::Whole(command) => command,
        Message::Parts { of, count } if is_new => match join(connection, &of, count)? {
            Ok(joined) => Box::new(decode(&joined)?),
            Err(missing) => return Ok(Applied { command: None, outcome: Some(Err(missing)) }),
        },
        Message::Parts { .. } => return Ok(Applied { command: None, outcome: None }),
    };
    if let Command::Append { room_id, .. } = &*command {
        let sql = "INSERT INTO log_subjects (room_id, sequence) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET sequence = excluded.sequence";
        execute(connection, sql, params![room_id.as_str(), sequence])?;
    }
    if !is_new {
        return Ok(Applied { command: None, outcome: None });
    }
    let outcome = apply_or_undo(connection, &command, stamp)?;
    Ok(Applied { command: Some(command), outcome: Some(outcome) })
}

/// Makes a change, or nothing of it. The inner error is what came of the change, and the same in every view; the outer
/// one is about this view.
fn apply_or_undo(
    connection: &Connection,
    command: &Command,
    stamp: &Stamp,
) -> Result<Result<Outcome, StoreError>, StoreError> {
    execute(connection, "SAVEPOINT command", [])?;
    let outcome = match apply(connection, command, stamp) {
        Err(error @ (StoreError::Database(_) | StoreError::Malformed { what: "database file", .. })) => {
            return Err(error);
        }
        outcome => outcome,
    };
    if outcome.as_ref().map_or(true, Outcome::undoes) {
        execute(connection, "ROLLBACK TO command", [])?;
    }
    execute(connection, "RELEASE command", [])?;
    Ok(outcome)
}

/// The pieces of a change, which are not needed any more then. The inner error is that one is missing.
fn join(connection: &Connection, whole: &str, count: u32) -> Result<Result<Vec<u8>, StoreError>, StoreError> {
    let mut joined = Vec::new();
    for part in 0..count {
        let sql = "SELECT bytes FROM log_parts WHERE whole = ?1 AND part = ?2";
        let at = |fault: Undecodable| fault.at(format_args!("piece {part} of {whole}"));
        let found = first(connection, sql, params![whole, part], |row| {
            joined.extend_from_slice(bytes(row, 0, "piece").map_err(at)?);
            Ok(())
        })?;
        if found.is_none() {
            return Ok(Err(at(Undecodable::new("piece", "it is missing"))));
        }
    }
    execute(connection, "DELETE FROM log_parts WHERE whole = ?1", [whole])?;
    Ok(Ok(joined))
}

/// Lets a process hold a transaction. Returns who holds it, if that is another one.
pub(super) fn hold(
    connection: &Connection,
    key: &WrittenKey,
    holder: &str,
    gone: Option<&str>,
    stamp: &Stamp,
) -> Result<Option<String>, StoreError> {
    let WrittenKey { origin, endpoint, txn_id } = key;
    let sql = "SELECT holder FROM log_transactions
         WHERE origin = ?1 AND endpoint = ?2 AND txn_id = ?3 AND until > ?4";
    let other = first(connection, sql, params![origin.as_str(), endpoint, txn_id, stamp.at], |row| {
        let holder = text(row, 0, "process").map(ToOwned::to_owned);
        holder.map_err(|fault: Undecodable| fault.at(format_args!("transaction {txn_id} of {origin}")))
    })?;
    if let Some(other) = other.filter(|other| other != holder && Some(other.as_str()) != gone) {
        return Ok(Some(other));
    }
    let sql = "INSERT OR REPLACE INTO log_transactions (origin, endpoint, txn_id, holder, until)
         VALUES (?1, ?2, ?3, ?4, ?5)";
    let until = stamp.at.saturating_add(HOLD_MS);
    execute(connection, sql, params![origin.as_str(), endpoint, txn_id, holder, until])?;
    Ok(None)
}

/// Ends that a transaction is held, by that process or whichever.
pub(super) fn release(
    connection: &Connection,
    key: &WrittenKey,
    holder: Option<&str>,
) -> Result<(), StoreError> {
    let WrittenKey { origin, endpoint, txn_id } = key;
    let sql = "DELETE FROM log_transactions
         WHERE origin = ?1 AND endpoint = ?2 AND txn_id = ?3 AND holder = coalesce(?4, holder)";
    execute(connection, sql, params![origin.as_str(), endpoint, txn_id, holder]).map(drop)
}

fn turn(connection: &Connection, room_id: &RoomId) -> Result<Option<(String, i64)>, StoreError> {
    first(connection, "SELECT process, until FROM log_turns WHERE room_id = ?1", [room_id.as_str()], |row| {
        let decode = || Ok((text(row, 0, "process")?.to_owned(), number(row, 1, "time")?));
        decode().map_err(|fault: Undecodable| fault.at(format_args!("the turn in {room_id}")))
    })
}

/// Gives a process the next turn in a room, if no other has it; more time, if it has it already.
pub(super) fn reserve(
    connection: &Connection,
    room_id: &RoomId,
    process: &str,
    stamp: &Stamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO log_turns (room_id, process, until) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET process = excluded.process, until = excluded.until
         WHERE until <= ?4 OR process = excluded.process";
    let until = stamp.at.saturating_add(TURN_MS);
    execute(connection, sql, params![room_id.as_str(), process, until, stamp.at]).map(drop)
}

/// Whether a process may append to a room now. If so, nobody has the next turn any more.
pub(super) fn take_turn(
    connection: &Connection,
    room_id: &RoomId,
    process: &str,
    stamp: &Stamp,
) -> Result<bool, StoreError> {
    let Some((holder, until)) = turn(connection, room_id)? else { return Ok(true) };
    if holder != process && stamp.at < until {
        return Ok(false);
    }
    execute(connection, "DELETE FROM log_turns WHERE room_id = ?1", [room_id.as_str()])?;
    Ok(true)
}

/// Says whose log it is, if nobody has or it is to be replaced. Returns whose it is then.
pub(super) fn introduce(
    connection: &Connection,
    new: &Identity,
    replaced: bool,
) -> Result<Identity, StoreError> {
    if let Some(known) = identity(connection)?.filter(|_| !replaced) {
        return Ok(known);
    }
    let sql =
        "INSERT OR REPLACE INTO log_identity (one, server_name, key_id, verify_key) VALUES (1, ?1, ?2, ?3)";
    execute(connection, sql, [new.server_name.as_str(), &new.key_id, &new.verify_key])?;
    Ok(new.clone())
}
