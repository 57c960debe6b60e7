//! What local users have decided.

use async_trait::async_trait;
use mimi_linearized::id::UserId;
use rusqlite::{Connection, params};

use super::super::{StoreError, UserStore};
use super::SqliteStore;
use super::decode::{Undecodable, bytes, execute, first};

#[async_trait]
impl UserStore for SqliteStore {
    async fn invite_permissions(&self, user_id: &UserId) -> Result<Option<Vec<u8>>, StoreError> {
        let user_id = user_id.clone();
        let sql = "SELECT permissions FROM invite_permissions WHERE user_id = ?1";
        self.readers
            .run(move |connection| {
                first(connection, sql, [user_id.as_str()], |row| {
                    let permissions = bytes(row, 0, "permissions").map(<[u8]>::to_vec);
                    permissions
                        .map_err(|fault: Undecodable| fault.at(format_args!("who may invite {user_id}")))
                })
            })
            .await
    }

    async fn put_invite_permissions(&self, user_id: &UserId, permissions: Vec<u8>) -> Result<(), StoreError> {
        let user_id = user_id.clone();
        self.writer.run(move |connection| put_invite_permissions(connection, &user_id, &permissions)).await
    }
}

pub(super) fn put_invite_permissions(
    connection: &Connection,
    user_id: &UserId,
    permissions: &[u8],
) -> Result<(), StoreError> {
    let sql = "INSERT INTO invite_permissions (user_id, permissions) VALUES (?1, ?2)
         ON CONFLICT (user_id) DO UPDATE SET permissions = excluded.permissions";
    execute(connection, sql, params![user_id.as_str(), permissions]).map(drop)
}
