//! Rooms' lists.

use std::sync::Arc;

use mimi_linearized::id::{EventId, RoomId, ServerName};
use mimi_linearized::room::{Effect, Place, Position};
use rusqlite::{Connection, Row, params};

use super::super::{AppendError, ExpectedHead, Location, NewRecord, Record, StoreError};
use super::decode::{
    Undecodable, all, execute, first, id, number, optional_id, optional_text, sealed_bytes, to_integer,
    to_limit,
};
use super::sealed::seal;

/// Begins with the columns that [`record`] reads.
macro_rules! select_record {
    ($which:literal) => {
        concat!("SELECT position, event_id, lpdu_id, effect, bytes, origin, txn_id FROM records ", $which)
    };
}

pub(super) const RECORDS: &str =
    select_record!("WHERE room = ?1 AND position >= ?2 ORDER BY position LIMIT ?3");
pub(super) const TEXT_IN_LIST: &str = select_record!("WHERE room = ?1 AND event_id = ?2 AND position = ?3");
pub(super) const TEXT_IN_SNAPSHOT: &str =
    "SELECT event_id, bytes FROM snapshot_events WHERE room = ?1 AND event_id = ?2 LIMIT 1";
pub(super) const RECORD_OF_LPDU: &str =
    select_record!("WHERE room = ?1 AND lpdu_id = ?2 ORDER BY position LIMIT 1");

/// A room's number and the length of its list.
pub(super) struct Room {
    pub(super) number: i64,
    pub(super) length: u64,
}

pub(super) fn room(connection: &Connection, room_id: &RoomId) -> Result<Option<Room>, StoreError> {
    let sql = "SELECT room, length FROM rooms WHERE room_id = ?1";
    first(connection, sql, [room_id.as_str()], |row| {
        let decode =
            || Ok(Room { number: number(row, 0, "room number")?, length: number(row, 1, "length")? });
        decode().map_err(|fault: Undecodable| fault.at(format_args!("room {room_id}")))
    })
}

/// A room, given a number if it has none yet.
pub(super) fn room_or_new(connection: &Connection, room_id: &RoomId) -> Result<Room, StoreError> {
    if let Some(room) = room(connection, room_id)? {
        return Ok(room);
    }
    execute(connection, "INSERT INTO rooms (room_id) VALUES (?1)", [room_id.as_str()])?;
    Ok(Room { number: connection.last_insert_rowid(), length: 0 })
}

fn encode_effect(effect: Effect) -> i64 {
    match effect {
        Effect::Applied => 0,
        Effect::SoftFailed => 1,
        Effect::Rejected => 2,
    }
}

fn decode_effect(row: &Row<'_>, column: usize) -> Result<Effect, Undecodable> {
    match number(row, column, "effect")? {
        0_i64 => Ok(Effect::Applied),
        1 => Ok(Effect::SoftFailed),
        2 => Ok(Effect::Rejected),
        other => Err(Undecodable::new("effect", format_args!("{other} means nothing"))),
    }
}

pub(super) fn record(row: &Row<'_>, room_id: &RoomId) -> Result<Record, StoreError> {
    let position =
        number(row, 0, "position").map_err(|fault| fault.at(format_args!("a record of {room_id}")))?;
    let decode = || {
        let event_id: EventId = id(row, 1, "event id")?;
        let lpdu_id: Option<EventId> = optional_id(row, 2, "LPDU id")?;
        let effect = decode_effect(row, 3)?;
        let origin: Option<ServerName> = optional_id(row, 5, "origin")?;
        let txn_id = optional_text(row, 6, "transaction id")?.map(ToOwned::to_owned);
        let beside = beside(&event_id, lpdu_id.as_ref(), effect, origin.as_ref(), txn_id.as_deref());
        let bytes = sealed_bytes(row, 4, "event", &beside)?;
        Ok(Record { position, event_id, lpdu_id, effect, bytes, origin, txn_id })
    };
    decode().map_err(|fault: Undecodable| fault.at(format_args!("record {position} of {room_id}")))
}

/// What an event is sealed with.
fn beside<'r>(
    event_id: &'r EventId,
    lpdu_id: Option<&'r EventId>,
    effect: Effect,
    origin: Option<&'r ServerName>,
    txn_id: Option<&'r str>,
) -> [&'r str; 5] {
    let effect = match effect {
        Effect::Applied => "applied",
        Effect::SoftFailed => "soft-failed",
        Effect::Rejected => "rejected",
    };
    let lpdu_id = lpdu_id.map_or("", EventId::as_str);
    [event_id.as_str(), lpdu_id, effect, origin.map_or("", ServerName::as_str), txn_id.unwrap_or_default()]
}

/// The last event of a list.
pub(super) fn head(
    connection: &Connection,
    room: &Room,
    room_id: &RoomId,
) -> Result<ExpectedHead, StoreError> {
    let Some(last) = room.length.checked_sub(1) else { return Ok(ExpectedHead::Empty) };
    let sql = "SELECT event_id FROM records WHERE room = ?1 AND position = ?2";
    let found = first(connection, sql, [room.number, to_integer(last, "position")?], |row| {
        id(row, 0, "event id").map_err(|fault| fault.at(format_args!("record {last} of {room_id}")))
    })?;
    found.map(ExpectedHead::Event).ok_or_else(|| missing(last, room_id))
}

fn missing(position: Position, room_id: &RoomId) -> StoreError {
    Undecodable::new("list", format_args!("record {position} is missing")).at(format_args!("room {room_id}"))
}

pub(super) fn locate(connection: &Connection, event_id: &EventId) -> Result<Option<Location>, StoreError> {
    let sql = "SELECT room_id, position FROM records JOIN rooms USING (room) WHERE event_id = ?1";
    first(connection, sql, [event_id.as_str()], |row| {
        let decode =
            || Ok(Location { room_id: id(row, 0, "room id")?, position: number(row, 1, "position")? });
        decode().map_err(|fault: Undecodable| fault.at(format_args!("event {event_id}")))
    })
}

pub(super) fn append(
    connection: &Connection,
    room_id: &RoomId,
    expected: &ExpectedHead,
    record: &NewRecord,
) -> Result<Position, AppendError> {
    let room = room_or_new(connection, room_id)?;
    if head(connection, &room, room_id)? != *expected {
        return Err(AppendError::HeadMoved);
    }
    let position = to_integer(room.length, "position")?;
    let NewRecord { event_id, lpdu_id, effect, origin, txn_id, .. } = record;
    let beside = beside(event_id, lpdu_id.as_ref(), *effect, origin.as_ref(), txn_id.as_deref());
    let inserted = execute(
        connection,
        "INSERT INTO records (room, position, event_id, lpdu_id, effect, bytes, origin, txn_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (event_id) DO NOTHING",
        params![
            room.number,
            position,
            record.event_id.as_str(),
            record.lpdu_id.as_ref().map(EventId::as_str),
            encode_effect(record.effect),
            seal(&record.bytes, &beside),
            record.origin.as_ref().map(AsRef::<str>::as_ref),
            record.txn_id.as_deref(),
        ],
    )?;
    if inserted == 0 {
        return Err(duplicate(connection, room_id, &record.event_id).into());
    }
    execute(connection, "UPDATE rooms SET length = length + 1 WHERE room = ?1", [room.number])?;
    for destination in &record.queue_for {
        execute(
            connection,
            "INSERT INTO cursors (destination, room, position) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![destination.as_str(), room.number, position],
        )?;
    }
    Ok(room.length)
}

/// The list ends where it was said to, and still holds the event already. An event's id covers what it follows, so
/// whoever asked has taken another list for this one; trying again from the present head would never end.
fn duplicate(connection: &Connection, room_id: &RoomId, event_id: &EventId) -> StoreError {
    let place = match locate(connection, event_id) {
        Ok(Some(location)) => format!("is already record {} of {}", location.position, location.room_id),
        Ok(None) => "is already a record of no room".to_owned(),
        Err(error) => return error,
    };
    Undecodable::new("list", format_args!("event {event_id} {place}")).at(format_args!("append to {room_id}"))
}

pub(super) fn records(
    connection: &Connection,
    room_id: &RoomId,
    from: Position,
    limit: usize,
) -> Result<Vec<Record>, StoreError> {
    let Some(room) = room(connection, room_id)? else { return Ok(Vec::new()) };
    if from >= room.length {
        return Ok(Vec::new());
    }
    let start = to_integer(from, "position")?;
    let mut next = from;
    let records = all(connection, RECORDS, [room.number, start, to_limit(limit)], |row| {
        let record = record(row, room_id)?;
        if record.position != next {
            return Err(missing(next, room_id));
        }
        next = next.saturating_add(1);
        Ok(record)
    })?;
    if records.len() < limit && next < room.length {
        return Err(missing(next, room_id));
    }
    if next > room.length {
        let what = format_args!("it goes on after its {} records", room.length);
        return Err(Undecodable::new("list", what).at(format_args!("room {room_id}")));
    }
    Ok(records)
}

pub(super) fn read_back(
    connection: &Connection,
    room_id: &RoomId,
    wanted: &[(EventId, Place)],
) -> Result<Vec<Arc<[u8]>>, StoreError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let at = |fault: Undecodable, id: &EventId| fault.at(format_args!("event {id} of {room_id}"));
    let room = room(connection, room_id)?.map_or(-1, |room| room.number);
    let read = |(id, place): &(EventId, Place)| {
        let found = match place {
            Place::List(position) => {
                let position = to_integer(*position, "position")?;
                let text = |row: &Row<'_>| record(row, room_id).map(|record| record.bytes);
                first(connection, TEXT_IN_LIST, params![room, id.as_str(), position], text)?
            }
            Place::Snapshot => {
                let text = |row: &Row<'_>| {
                    let text = sealed_bytes(row, 1, "event", &[id.as_str()]);
                    text.map_err(|fault: Undecodable| at(fault, id))
                };
                first(connection, TEXT_IN_SNAPSHOT, params![room, id.as_str()], text)?
            }
        };
        found.ok_or_else(|| at(Undecodable::new("event", format_args!("it is missing")), id))
    };
    wanted.iter().map(read).collect()
}
