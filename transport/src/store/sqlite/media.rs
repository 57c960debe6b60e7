//! The items of a shared store's media, as the view has them.

use mimi_linearized::id::UserId;
use rusqlite::{Connection, Row, params};

use super::super::{SharedItem, StoreError};
use super::SqliteStore;
use super::decode::{Undecodable, all, bytes, execute, first, id, number, optional_text, text, to_integer};

/// The table, one of the view's.
pub(super) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS log_media (
        id       TEXT    PRIMARY KEY,
        owner    TEXT    NOT NULL,
        sha256   BLOB    NOT NULL,
        size     INTEGER NOT NULL,
        type     TEXT    NOT NULL,
        filename TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS log_media_by_owner ON log_media (owner);";

impl SqliteStore {
    /// An item.
    pub(in crate::store) async fn media_item(&self, id: &str) -> Result<Option<SharedItem>, StoreError> {
        let id = id.to_owned();
        let sql = "SELECT id, owner, sha256, size, type, filename FROM log_media WHERE id = ?1";
        self.readers.run(move |connection| first(connection, sql, [id], item)).await
    }

    /// A user's items.
    pub(in crate::store) async fn media_of(&self, owner: &UserId) -> Result<Vec<SharedItem>, StoreError> {
        let owner = owner.clone();
        let sql =
            "SELECT id, owner, sha256, size, type, filename FROM log_media WHERE owner = ?1 ORDER BY id";
        self.readers.run(move |connection| all(connection, sql, [owner.as_str()], item)).await
    }
}

fn item(row: &Row<'_>) -> Result<SharedItem, StoreError> {
    let decode = || {
        let sha256 = bytes(row, 2, "sha256")?;
        Ok(SharedItem {
            id: text(row, 0, "id")?.to_owned(),
            owner: id(row, 1, "owner")?,
            sha256: sha256.try_into().map_err(|_| Undecodable::new("sha256", "it has not 32 bytes"))?,
            size: number(row, 3, "size")?,
            content_type: text(row, 4, "type")?.to_owned(),
            filename: optional_text(row, 5, "filename")?.map(str::to_owned),
        })
    };
    decode().map_err(|fault: Undecodable| fault.at("an item of the media"))
}

/// Adds an item, if its owner's have at most `quota` bytes then.
pub(super) fn add(connection: &Connection, item: &SharedItem, quota: u64) -> Result<bool, StoreError> {
    let sql = "SELECT coalesce(sum(size), 0) FROM log_media WHERE owner = ?1";
    let used = first(connection, sql, [item.owner.as_str()], |row| {
        number::<u64>(row, 0, "size").map_err(|fault| fault.at("a user's media"))
    })?;
    if used.unwrap_or(0).saturating_add(item.size) > quota {
        return Ok(false);
    }
    let sql = "INSERT INTO log_media (id, owner, sha256, size, type, filename)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING";
    let SharedItem { id, owner, sha256, size, content_type, filename } = item;
    let size = to_integer(*size, "size")?;
    execute(connection, sql, params![id, owner.as_str(), sha256, size, content_type, filename])?;
    Ok(true)
}

/// Deletes an item of a user. Returns whether there was one.
pub(super) fn delete(connection: &Connection, owner: &UserId, id: &str) -> Result<bool, StoreError> {
    let sql = "DELETE FROM log_media WHERE id = ?1 AND owner = ?2";
    Ok(execute(connection, sql, params![id, owner.as_str()])? > 0)
}
