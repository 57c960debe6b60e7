//! Which items there are, whose they are, and what was found in them: a small SQLite file beside the contents.

use std::path::Path;

use mimi_linearized::id::UserId;
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};

use super::files::{Arrived, Files, Sha256, name_of};
use super::{About, MediaError, MxcUri};

/// What is kept of contents and of the items that have them. A content goes with its last item.
const FORMAT: &str = "
    CREATE TABLE IF NOT EXISTS contents (
        sha256  BLOB PRIMARY KEY CHECK (length(sha256) = 32),
        size    INTEGER NOT NULL,
        clean   INTEGER,
        finding TEXT,
        scanned INTEGER
    ) STRICT;
    CREATE TABLE IF NOT EXISTS items (
        server   TEXT    NOT NULL,
        id       TEXT    NOT NULL,
        owner    TEXT,
        sha256   BLOB    NOT NULL REFERENCES contents,
        size     INTEGER NOT NULL,
        type     TEXT    NOT NULL,
        filename TEXT,
        used     INTEGER NOT NULL,
        PRIMARY KEY (server, id)
    ) STRICT;
    CREATE INDEX IF NOT EXISTS items_by_owner ON items (owner) WHERE owner IS NOT NULL;
    CREATE INDEX IF NOT EXISTS items_by_content ON items (sha256);
    CREATE INDEX IF NOT EXISTS items_of_others ON items (used) WHERE owner IS NULL;
    PRAGMA user_version = 1;";

/// The index. Items with an owner are this server's; those without are copies of others'.
#[derive(Debug)]
pub(super) struct Index(Connection);

/// An item as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) sha256: Sha256,
    pub(super) size: u64,
    pub(super) about: About,
}

/// What a scanner said of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) clean: bool,
    pub(super) finding: String,
    /// When, in milliseconds since the Unix epoch.
    pub(super) at: i64,
}

impl Index {
    pub(super) fn open(path: &Path) -> Result<Self, MediaError> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA foreign_keys = ON;
             PRAGMA trusted_schema = OFF;",
        )?;
        let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if format > 1 {
            return Err(std::io::Error::other(format!("{}: a newer version made it", path.display())).into());
        }
        connection.execute_batch(FORMAT)?;
        Ok(Self(connection))
    }

    /// Adds an item of a user, if all of the user's have at most `quota` bytes then.
    pub(super) fn add_own(
        &mut self,
        files: &Files,
        uri: &MxcUri,
        owner: &UserId,
        arrived: &Arrived,
        about: &About,
        (quota, now): (u64, i64),
    ) -> Result<(), MediaError> {
        let transaction = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let used = used_by(&transaction, owner)?;
        if used.saturating_add(arrived.size) > quota {
            return Err(MediaError::Quota(quota));
        }
        // The content comes first: an item that is in the index has it.
        files.place(arrived)?;
        insert(&transaction, uri, Some(owner), arrived, about, now)?;
        Ok(transaction.commit()?)
    }

    /// Adds a copy of another server's item. The copies that were not used for longest go, until all of them have at most
    /// `cache` bytes.
    pub(super) fn add_copy(
        &mut self,
        files: &Files,
        uri: &MxcUri,
        arrived: &Arrived,
        about: &About,
        (cache, now): (u64, i64),
    ) -> Result<(), MediaError> {
        let transaction = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        files.place(arrived)?;
        insert(&transaction, uri, None, arrived, about, now)?;
        transaction.commit()?;
        loop {
            let of_copies = "SELECT coalesce(sum(size), 0) FROM items WHERE owner IS NULL";
            let size: u64 = self.0.query_row(of_copies, [], |row| number(row, 0))?;
            if size <= cache {
                return Ok(());
            }
            let oldest = "SELECT server, id FROM items WHERE owner IS NULL AND (server, id) <> (?1, ?2)
                 ORDER BY used LIMIT 1";
            let oldest = self.0.query_row(oldest, params![uri.server.as_str(), uri.id.as_str()], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            });
            // The one that was just fetched is there to be served.
            let Some((server, id)) = oldest.optional()? else { return Ok(()) };
            self.delete(files, &server, &id, None)?;
        }
    }

    /// An item, which is in use now.
    pub(super) fn find(&self, uri: &MxcUri, now: i64) -> Result<Option<Entry>, MediaError> {
        let sql =
            "UPDATE items SET used = ?3 WHERE server = ?1 AND id = ?2 RETURNING sha256, size, type, filename";
        let found = self.0.query_row(sql, params![uri.server.as_str(), uri.id.as_str(), now], entry);
        Ok(found.optional()?)
    }

    /// Deletes an item, and its content if no other has it; of `owner` alone, if there is one. Returns whether it was there.
    pub(super) fn delete(
        &mut self,
        files: &Files,
        server: &str,
        id: &str,
        owner: Option<&UserId>,
    ) -> Result<bool, MediaError> {
        let transaction = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let sql = "DELETE FROM items WHERE server = ?1 AND id = ?2 AND owner IS ?3 RETURNING sha256";
        let deleted = transaction
            .query_row(sql, params![server, id, owner.map(UserId::as_str)], |row| row.get::<_, Sha256>(0));
        let Some(sha256) = deleted.optional()? else { return Ok(false) };
        let sql =
            "DELETE FROM contents WHERE sha256 = ?1 AND NOT EXISTS (SELECT 1 FROM items WHERE sha256 = ?1)";
        let last = transaction.execute(sql, [sha256])? > 0;
        transaction.commit()?;
        if last {
            files.remove(&sha256)?;
        }
        Ok(true)
    }

    /// A user's items, and how many bytes they have.
    pub(super) fn of_user(&self, owner: &UserId) -> Result<(u64, Vec<(String, Entry)>), MediaError> {
        let sql = "SELECT sha256, size, type, filename, id FROM items WHERE owner = ?1 ORDER BY used, id";
        let mut statement = self.0.prepare_cached(sql)?;
        let items = statement.query_map([owner.as_str()], |row| Ok((row.get(4)?, entry(row)?)))?;
        Ok((used_by(&self.0, owner)?, items.collect::<Result<_, _>>()?))
    }

    /// What a scanner said of a content.
    pub(super) fn verdict(&self, sha256: &Sha256) -> Result<Option<Verdict>, MediaError> {
        let sql = "SELECT clean, finding, scanned FROM contents WHERE sha256 = ?1 AND clean IS NOT NULL";
        let verdict = self.0.query_row(sql, [sha256], |row| {
            Ok(Verdict { clean: row.get(0)?, finding: row.get(1)?, at: row.get(2)? })
        });
        Ok(verdict.optional()?)
    }

    pub(super) fn put_verdict(&self, sha256: &Sha256, verdict: &Verdict) -> Result<(), MediaError> {
        let Verdict { clean, finding, at } = verdict;
        let sql = "UPDATE contents SET clean = ?2, finding = ?3, scanned = ?4 WHERE sha256 = ?1";
        self.0.execute(sql, params![sha256, clean, finding, at])?;
        Ok(())
    }

    /// Removes contents that no item has.
    pub(super) fn sweep(&self, files: &Files) -> Result<(), MediaError> {
        let mut statement = self.0.prepare("SELECT sha256 FROM contents")?;
        let wanted = statement.query_map([], |row| row.get::<_, Sha256>(0))?;
        let wanted: Result<std::collections::HashSet<String>, _> =
            wanted.map(|sha256| sha256.map(|sha256| name_of(&sha256))).collect();
        let wanted = wanted?;
        Ok(files.sweep(|name| wanted.contains(name))?)
    }
}

fn used_by(connection: &Connection, owner: &UserId) -> Result<u64, MediaError> {
    let sql = "SELECT coalesce(sum(size), 0) FROM items WHERE owner = ?1";
    Ok(connection.query_row(sql, [owner.as_str()], |row| number(row, 0))?)
}

fn insert(
    connection: &Connection,
    uri: &MxcUri,
    owner: Option<&UserId>,
    arrived: &Arrived,
    about: &About,
    now: i64,
) -> Result<(), MediaError> {
    let MxcUri { server, id } = uri;
    let sha256 = &arrived.sha256;
    let size = i64::try_from(arrived.size).unwrap_or(i64::MAX);
    let sql = "INSERT INTO contents (sha256, size) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    connection.execute(sql, params![sha256, size])?;
    let sql = "INSERT OR REPLACE INTO items (server, id, owner, sha256, size, type, filename, used)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let owner = owner.map(UserId::as_str);
    let About { content_type, filename } = about;
    connection.execute(
        sql,
        params![server.as_str(), id.as_str(), owner, sha256, size, content_type, filename, now],
    )?;
    Ok(())
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let about = About { content_type: row.get(2)?, filename: row.get(3)? };
    Ok(Entry { sha256: row.get(0)?, size: number(row, 1)?, about })
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}
