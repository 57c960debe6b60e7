//! Other servers' keys.

use async_trait::async_trait;
use mimi_linearized::id::ServerName;
use rusqlite::{Connection, params};

use super::super::{KeyStore, MAX_KEY_RESPONSES, StoreError, StoredKeys};
use super::SqliteStore;
use super::decode::{Undecodable, all, bytes, execute, integer, text};

pub(super) fn put(connection: &Connection, server: &ServerName, keys: &StoredKeys) -> Result<(), StoreError> {
    // Replacing gives the response a new number: of two fetched in one millisecond, the later one counts as newer.
    let sql =
        "INSERT OR REPLACE INTO server_keys (server, key_set, response, fetched_at) VALUES (?1, ?2, ?3, ?4)";
    let StoredKeys { key_set, response, fetched_at } = keys;
    execute(connection, sql, params![server.as_str(), key_set, response, fetched_at])?;
    let surplus = "DELETE FROM server_keys WHERE server = ?1 AND response_number NOT IN (
         SELECT response_number FROM server_keys WHERE server = ?1
         ORDER BY fetched_at DESC, response_number DESC LIMIT ?2)";
    execute(connection, surplus, params![server.as_str(), MAX_KEY_RESPONSES]).map(drop)
}

pub(super) fn forget(connection: &Connection, servers: u64) -> Result<(), StoreError> {
    let servers = i64::try_from(servers).unwrap_or(i64::MAX);
    let sql = "DELETE FROM server_keys WHERE server IN (
         SELECT server FROM server_keys GROUP BY server
         ORDER BY max(fetched_at) DESC, max(response_number) DESC LIMIT -1 OFFSET ?1)";
    execute(connection, sql, [servers]).map(drop)
}

#[async_trait]
impl KeyStore for SqliteStore {
    async fn server_keys(&self, server: &ServerName) -> Result<Vec<StoredKeys>, StoreError> {
        let server = server.clone();
        let sql = "SELECT key_set, response, fetched_at FROM server_keys
             WHERE server = ?1 ORDER BY fetched_at, response_number";
        self.readers
            .run(move |connection| {
                all(connection, sql, [server.as_str()], |row| {
                    let decode = || {
                        Ok(StoredKeys {
                            key_set: text(row, 0, "key set")?.to_owned(),
                            response: bytes(row, 1, "key response")?.to_vec(),
                            fetched_at: integer(row, 2, "time")?,
                        })
                    };
                    decode().map_err(|fault: Undecodable| fault.at(format_args!("the keys of {server}")))
                })
            })
            .await
    }

    async fn put_server_keys(&self, server: &ServerName, keys: StoredKeys) -> Result<(), StoreError> {
        let server = server.clone();
        self.writer.run(move |connection| put(connection, &server, &keys)).await
    }

    async fn forget_server_keys(&self, servers: u64) -> Result<(), StoreError> {
        self.writer.run(move |connection| forget(connection, servers)).await
    }
}
