//! Rooms: the trait's methods, evidence and invites.

use std::sync::Arc;

use async_trait::async_trait;
use mimi_linearized::id::{EventId, RoomId, UserId};
use mimi_linearized::room::{Place, Position};
use rusqlite::{Connection, params};

use super::super::{
    AppendError, Evidence, ExpectedHead, InviteRecord, Location, NewRecord, Record, RoomStore, StoreError,
    StoredSnapshot,
};
use super::SqliteStore;
use super::decode::{
    Undecodable, all, bytes, execute, first, id, number, sealed_bytes, text, to_integer, to_limit,
};
use super::list::{RECORD_OF_LPDU, record, room, room_or_new};
use super::sealed::seal;
use super::{list, snapshot};

pub(super) const EVIDENCE: &str = "SELECT event_id, origin, rule, detail, bytes FROM evidence
     WHERE room = ?1 ORDER BY evidence LIMIT ?2";

pub(super) fn put_evidence(connection: &Connection, evidence: &Evidence) -> Result<(), StoreError> {
    let room = room_or_new(connection, &evidence.room_id)?;
    execute(
        connection,
        "INSERT INTO evidence (room, event_id, origin, rule, detail, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (event_id, room) DO NOTHING",
        params![
            room.number,
            evidence.event_id.as_str(),
            evidence.origin.as_str(),
            evidence.rule,
            evidence.detail,
            seal(&evidence.bytes, &[]),
        ],
    )?;
    Ok(())
}

fn evidence(connection: &Connection, room_id: &RoomId, limit: usize) -> Result<Vec<Evidence>, StoreError> {
    let Some(room) = room(connection, room_id)? else { return Ok(Vec::new()) };
    all(connection, EVIDENCE, [room.number, to_limit(limit)], |row| {
        let decode = || {
            Ok(Evidence {
                room_id: room_id.clone(),
                event_id: id(row, 0, "event id")?,
                origin: id(row, 1, "origin")?,
                rule: text(row, 2, "rule")?.to_owned(),
                detail: text(row, 3, "detail")?.to_owned(),
                bytes: sealed_bytes(row, 4, "event", &[])?,
            })
        };
        decode().map_err(|fault: Undecodable| fault.at(format_args!("the evidence of {room_id}")))
    })
}

fn invite(
    connection: &Connection,
    room_id: &RoomId,
    user_id: &UserId,
) -> Result<Option<InviteRecord>, StoreError> {
    let sql = "SELECT hub, room_version, event_id FROM invites WHERE room_id = ?1 AND user_id = ?2";
    first(connection, sql, [room_id.as_str(), user_id.as_str()], |row| {
        let decode = || {
            Ok(InviteRecord {
                room_id: room_id.clone(),
                user_id: user_id.clone(),
                hub: id(row, 0, "hub")?,
                room_version: text(row, 1, "room version")?.to_owned(),
                event_id: id(row, 2, "event id")?,
            })
        };
        decode().map_err(|fault: Undecodable| fault.at(format_args!("the invite of {user_id} to {room_id}")))
    })
}

pub(super) fn put_group(
    connection: &Connection,
    room_id: &RoomId,
    position: Position,
    snapshot: &[u8],
) -> Result<(), StoreError> {
    let position = to_integer(position, "position")?;
    // Two tasks may come here in either order; the one that has followed the list further is kept.
    let sql = "INSERT INTO mls_groups (room, position, snapshot) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET position = excluded.position, snapshot = excluded.snapshot
         WHERE excluded.position >= position";
    let room = room_or_new(connection, room_id)?;
    execute(connection, sql, params![room.number, position, snapshot]).map(drop)
}

pub(super) fn put_invite(connection: &Connection, invite: &InviteRecord) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO invites (room_id, user_id, hub, room_version, event_id) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE
         SET hub = excluded.hub, room_version = excluded.room_version, event_id = excluded.event_id";
    let InviteRecord { room_id, user_id, hub, room_version, event_id } = invite;
    let params = [room_id.as_str(), user_id.as_str(), hub.as_str(), room_version, event_id.as_str()];
    execute(connection, sql, params).map(drop)
}

pub(super) fn remove_invite(
    connection: &Connection,
    room_id: &RoomId,
    user_id: &UserId,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM invites WHERE room_id = ?1 AND user_id = ?2";
    execute(connection, sql, [room_id.as_str(), user_id.as_str()]).map(drop)
}

#[async_trait]
impl RoomStore for SqliteStore {
    async fn append(
        &self,
        room_id: &RoomId,
        expected: ExpectedHead,
        record: NewRecord,
    ) -> Result<Position, AppendError> {
        let room_id = room_id.clone();
        self.writer.run(move |connection| list::append(connection, &room_id, &expected, &record)).await
    }

    async fn rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        let sql = "SELECT room_id FROM rooms
             WHERE length > 0 OR EXISTS (SELECT 1 FROM snapshots WHERE snapshots.room = rooms.room)";
        self.readers
            .run(move |connection| {
                all(connection, sql, [], |row| id(row, 0, "room id").map_err(|fault| fault.at("the rooms")))
            })
            .await
    }

    async fn records(
        &self,
        room_id: &RoomId,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let room_id = room_id.clone();
        self.readers.run(move |connection| list::records(connection, &room_id, from, limit)).await
    }

    async fn read_back(
        &self,
        room_id: &RoomId,
        wanted: Vec<(EventId, Place)>,
    ) -> Result<Vec<Arc<[u8]>>, StoreError> {
        let room_id = room_id.clone();
        self.readers.run(move |connection| list::read_back(connection, &room_id, &wanted)).await
    }

    async fn length(&self, room_id: &RoomId) -> Result<u64, StoreError> {
        let room_id = room_id.clone();
        self.readers
            .run(move |connection| Ok(room(connection, &room_id)?.map_or(0, |room| room.length)))
            .await
    }

    async fn locate(&self, event_id: &EventId) -> Result<Option<Location>, StoreError> {
        let event_id = event_id.clone();
        self.readers.run(move |connection| list::locate(connection, &event_id)).await
    }

    async fn record_of_lpdu(
        &self,
        room_id: &RoomId,
        lpdu_id: &EventId,
    ) -> Result<Option<Record>, StoreError> {
        let (room_id, lpdu_id) = (room_id.clone(), lpdu_id.clone());
        self.readers
            .run(move |connection| {
                let Some(room) = room(connection, &room_id)? else { return Ok(None) };
                first(connection, RECORD_OF_LPDU, params![room.number, lpdu_id.as_str()], |row| {
                    record(row, &room_id)
                })
            })
            .await
    }

    async fn put_snapshot(&self, room_id: &RoomId, snapshot: StoredSnapshot) -> Result<(), StoreError> {
        let room_id = room_id.clone();
        self.writer.run(move |connection| snapshot::put(connection, &room_id, &snapshot)).await
    }

    async fn snapshot(&self, room_id: &RoomId) -> Result<Option<StoredSnapshot>, StoreError> {
        let room_id = room_id.clone();
        self.readers.run(move |connection| snapshot::get(connection, &room_id)).await
    }

    async fn put_group(
        &self,
        room_id: &RoomId,
        position: Position,
        snapshot: Vec<u8>,
    ) -> Result<(), StoreError> {
        let room_id = room_id.clone();
        self.writer.run(move |connection| put_group(connection, &room_id, position, &snapshot)).await
    }

    async fn group(&self, room_id: &RoomId) -> Result<Option<(Position, Vec<u8>)>, StoreError> {
        let room_id = room_id.clone();
        let sql = "SELECT position, snapshot FROM mls_groups JOIN rooms USING (room) WHERE room_id = ?1";
        self.readers
            .run(move |connection| {
                first(connection, sql, [room_id.as_str()], |row| {
                    let decode = || Ok((number(row, 0, "position")?, bytes(row, 1, "group")?.to_vec()));
                    decode()
                        .map_err(|fault: Undecodable| fault.at(format_args!("the MLS group of {room_id}")))
                })
            })
            .await
    }

    async fn put_evidence(&self, evidence: Evidence) -> Result<(), StoreError> {
        self.writer.run(move |connection| put_evidence(connection, &evidence)).await
    }

    async fn evidence(&self, room_id: &RoomId, limit: usize) -> Result<Vec<Evidence>, StoreError> {
        let room_id = room_id.clone();
        self.readers.run(move |connection| evidence(connection, &room_id, limit)).await
    }

    async fn put_invite(&self, invite: InviteRecord) -> Result<(), StoreError> {
        self.writer.run(move |connection| put_invite(connection, &invite)).await
    }

    async fn invite(&self, room_id: &RoomId, user_id: &UserId) -> Result<Option<InviteRecord>, StoreError> {
        let (room_id, user_id) = (room_id.clone(), user_id.clone());
        self.readers.run(move |connection| invite(connection, &room_id, &user_id)).await
    }

    async fn remove_invite(&self, room_id: &RoomId, user_id: &UserId) -> Result<(), StoreError> {
        let (room_id, user_id) = (room_id.clone(), user_id.clone());
        self.writer.run(move |connection| remove_invite(connection, &room_id, &user_id)).await
    }
}
