//! Commits and trees that stand apart from their events.

use async_trait::async_trait;
use mimi_linearized::id::{RoomId, ServerName};
use mimi_linearized::room::Position;
use rusqlite::{Connection, params};

use super::super::StoreError;
use super::super::apart::{ApartStore, Sha256, TREES, WAITING};
use super::SqliteStore;
use super::decode::{Undecodable, bytes, execute, first, to_integer, to_limit};
use super::list::room_or_new;

pub(super) fn put_message(
    connection: &Connection,
    room_id: &RoomId,
    origin: &ServerName,
    sha256: &Sha256,
    message: &[u8],
) -> Result<(), StoreError> {
    let room = room_or_new(connection, room_id)?.number;
    execute(
        connection,
        "INSERT INTO apart_messages (room, sha256, origin, bytes, named) VALUES (?1, ?2, ?3, ?4, 0)
         ON CONFLICT (room, sha256) DO NOTHING",
        params![room, sha256, origin.as_str(), message],
    )?;
    execute(
        connection,
        "DELETE FROM apart_messages WHERE apart_message IN
         (SELECT apart_message FROM apart_messages WHERE room = ?1 AND origin = ?2 AND NOT named
          ORDER BY apart_message DESC LIMIT -1 OFFSET ?3)",
        params![room, origin.as_str(), to_limit(WAITING)],
    )
    .map(drop)
}

pub(super) fn name_message(
    connection: &Connection,
    room_id: &RoomId,
    sha256: &Sha256,
) -> Result<(), StoreError> {
    let sql = "UPDATE apart_messages SET named = 1
         WHERE sha256 = ?2 AND room = (SELECT room FROM rooms WHERE room_id = ?1)";
    execute(connection, sql, params![room_id.as_str(), sha256]).map(drop)
}

pub(super) fn put_tree(
    connection: &Connection,
    room_id: &RoomId,
    position: Position,
    tree: &[u8],
) -> Result<(), StoreError> {
    let position = to_integer(position, "position")?;
    let room = room_or_new(connection, room_id)?.number;
    execute(
        connection,
        "INSERT INTO trees (room, position, tree) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET tree = excluded.tree",
        params![room, position, tree],
    )?;
    execute(
        connection,
        "DELETE FROM trees WHERE room = ?1 AND position IN
         (SELECT position FROM trees WHERE room = ?1 ORDER BY position DESC LIMIT -1 OFFSET ?2)
         AND position > (SELECT min(position) FROM trees WHERE room = ?1)",
        params![room, to_limit(TREES)],
    )
    .map(drop)
}

#[async_trait]
impl ApartStore for SqliteStore {
    async fn put_message(
        &self,
        room_id: &RoomId,
        origin: &ServerName,
        sha256: &Sha256,
        message: Vec<u8>,
    ) -> Result<(), StoreError> {
        let (room_id, origin, sha256) = (room_id.clone(), origin.clone(), *sha256);
        self.writer.run(move |connection| put_message(connection, &room_id, &origin, &sha256, &message)).await
    }

    async fn name_message(&self, room_id: &RoomId, sha256: &Sha256) -> Result<(), StoreError> {
        let (room_id, sha256) = (room_id.clone(), *sha256);
        self.writer.run(move |connection| name_message(connection, &room_id, &sha256)).await
    }

    async fn message(&self, room_id: &RoomId, sha256: &Sha256) -> Result<Option<Vec<u8>>, StoreError> {
        let (room_id, sha256) = (room_id.clone(), *sha256);
        let sql =
            "SELECT bytes FROM apart_messages JOIN rooms USING (room) WHERE room_id = ?1 AND sha256 = ?2";
        self.readers
            .run(move |connection| {
                first(connection, sql, params![room_id.as_str(), sha256], |row| {
                    let message = bytes(row, 0, "commit").map(<[u8]>::to_vec);
                    message.map_err(|fault: Undecodable| {
                        fault.at(format_args!("a commit of {room_id} that stands apart"))
                    })
                })
            })
            .await
    }

    async fn put_tree(&self, room_id: &RoomId, position: Position, tree: Vec<u8>) -> Result<(), StoreError> {
        let room_id = room_id.clone();
        self.writer.run(move |connection| put_tree(connection, &room_id, position, &tree)).await
    }

    async fn tree(&self, room_id: &RoomId, position: Position) -> Result<Option<Vec<u8>>, StoreError> {
        let room_id = room_id.clone();
        let position = to_integer(position, "position")?;
        let sql = "SELECT tree FROM trees JOIN rooms USING (room) WHERE room_id = ?1 AND position = ?2";
        self.readers
            .run(move |connection| {
                first(connection, sql, params![room_id.as_str(), position], |row| {
                    let tree = bytes(row, 0, "tree").map(<[u8]>::to_vec);
                    tree.map_err(|fault: Undecodable| fault.at(format_args!("a tree of {room_id}")))
                })
            })
            .await
    }
}
