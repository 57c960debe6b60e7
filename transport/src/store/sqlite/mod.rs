//! A store in one SQLite file.
//!
//! One thread owns the only connection that writes. It takes one change, then whatever else is waiting, makes each
//! inside its own savepoint and commits all of them at once, so that many tasks share the cost of one `fsync`; nobody
//! is answered before that. Reads use a few read-only connections of their own; thanks to the write-ahead log they
//! neither wait for the writer nor stop it, and each sees one consistent state that holds every change answered before.
//!
//! A change whose future is dropped may still be made.

mod apart;
mod apply;
mod decode;
mod delivery;
mod devices;
mod file;
mod format;
mod inbox;
mod keys;
mod list;
mod media;
mod readers;
mod rooms;
mod sealed;
mod snapshot;
mod transactions;
mod users;
pub(super) mod view;
mod writer;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use self::file::DatabaseFile;
use self::readers::Readers;
use self::writer::Writer;
use super::StoreError;

/// How long a statement waits for a lock that somebody outside holds, for example a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The number of prepared statements that a connection keeps: more than there are in this module.
const STATEMENTS: usize = 96;

/// A store in one SQLite file, with its companions `-wal`, `-shm` and `-lock`.
///
/// A file has one store at a time, in one process: the queues rest on it. Dropping the store waits, on the thread that
/// drops it, until what was handed in is written; [`SqliteStore::close`] does the same without holding up a task.
///
/// Its asynchronous methods have to be called within a tokio runtime.
#[derive(Debug)]
pub struct SqliteStore {
    readers: Readers,
    writer: Writer,
}

impl SqliteStore {
    /// Opens a database, and makes it if there is none; only its owner may read a new one. The folder must exist. This
    /// reads and writes files on the calling thread.
    ///
    /// # Errors
    /// - [`StoreError::InUse`] if another store has it open.
    /// - [`StoreError::Format`] if a newer version of this program made it; nothing is changed then.
    /// - [`StoreError::Malformed`] if it is no database of this program.
    /// - [`StoreError::Database`] if SQLite or the file system refuses.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, |_| Ok(()), |_| Ok(()))
    }

    /// As [`SqliteStore::open`], and looks for damage first: all of the file is read, every row and every index. That
    /// takes some six seconds for each gigabyte, and what a disk takes for what is not in memory.
    ///
    /// # Errors
    /// As [`SqliteStore::open`]; [`StoreError::Malformed`] also if something is damaged.
    pub fn open_checked(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, check_file, |_| Ok(()))
    }

    /// `damaged` is asked before anything is changed; `more` makes further settings and tables.
    fn open_with(
        path: &Path,
        damaged: impl FnOnce(&Connection) -> Result<(), StoreError>,
        more: impl FnOnce(&Connection) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let file = DatabaseFile::lock(path)?;
        let mut connection = file.connect()?;
        set_up(&connection)?;
        format::check(&connection)?;
        damaged(&connection)?;
        make_durable(&connection)?;
        format::bring_up_to_date(&mut connection)?;
        more(&connection)?;
        let readers = Readers::open(file.path())?;
        let writer = Writer::start(connection, file)?;
        Ok(Self { readers, writer })
    }

    /// Refuses further calls, waits until the changes handed in are written and the reads under way are done, and
    /// releases the file. Later calls, also of this method, find the store closed.
    ///
    /// # Errors
    /// [`StoreError::Closed`] if it was closed before.
    pub async fn close(&self) -> Result<(), StoreError> {
        let closing = self.writer.close()?;
        // Readers go first: the last connection to close empties the write-ahead log, and only a writer can.
        self.readers.close().await;
        tokio::task::spawn_blocking(move || closing.wait()).await.map_err(broken)
    }
}

/// The settings that every connection has.
fn set_up(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(
        "PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;",
    )?;
    Ok(())
}

/// Looks for damage in tables and indexes. What is inside of values is [`sealed`].
fn check_file(connection: &Connection) -> Result<(), StoreError> {
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    Err(StoreError::Malformed { what: "database file", detail: found })
}

/// Makes a commit survive a crash of the machine.
fn make_durable(connection: &Connection) -> Result<(), StoreError> {
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(broken(NoWriteAheadLog));
    }
    // FULL syncs the log at every commit. Without `fullfsync`, macOS leaves data in the disk's own cache; elsewhere it
    // means nothing.
    connection.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA fullfsync = ON;
         PRAGMA checkpoint_fullfsync = ON;",
    )?;
    Ok(())
}

/// The file system or SQLite's build cannot keep a write-ahead log.
#[derive(Debug, thiserror::Error)]
#[error("the database cannot be switched to a write-ahead log")]
struct NoWriteAheadLog;

/// Wraps what made an operation impossible.
fn broken(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Database(Box::new(error))
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Malformed { what: "database file", detail: error.to_string() }
            }
            _ => broken(error),
        }
    }
}

impl super::SharedStore for SqliteStore {}

#[cfg(test)]
mod tests;
