//! The states that participants' lists start from.

use mimi_linearized::id::{EventId, RoomId};
use rusqlite::{Connection, params};

use super::super::{SnapshotEvent, StoreError, StoredSnapshot};
use super::decode::{Undecodable, all, execute, first, id, number, sealed_bytes};
use super::list::room_or_new;
use super::sealed::seal;

pub(super) fn put(
    connection: &Connection,
    room_id: &RoomId,
    snapshot: &StoredSnapshot,
) -> Result<(), StoreError> {
    let room = room_or_new(connection, room_id)?.number;
    execute(
        connection,
        "INSERT INTO snapshots (room, hub, prev) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET hub = excluded.hub, prev = excluded.prev",
        params![room, snapshot.hub.as_str(), snapshot.prev.as_str()],
    )?;
    execute(connection, "DELETE FROM snapshot_events WHERE room = ?1", [room])?;
    for (part, events) in [(0, &snapshot.state), (1, &snapshot.chain)] {
        for (place, event) in (0_i64..).zip(events) {
            execute(
                connection,
                "INSERT INTO snapshot_events (room, part, place, event_id, bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    room,
                    part,
                    place,
                    event.event_id.as_str(),
                    seal(&event.bytes, &[event.event_id.as_str()])
                ],
            )?;
        }
    }
    Ok(())
}

pub(super) fn get(connection: &Connection, room_id: &RoomId) -> Result<Option<StoredSnapshot>, StoreError> {
    let at = |fault: Undecodable| fault.at(format_args!("the snapshot of {room_id}"));
    let sql = "SELECT room, hub, prev FROM snapshots JOIN rooms USING (room) WHERE room_id = ?1";
    let found = first(connection, sql, [room_id.as_str()], |row| {
        let decode =
            || Ok((number::<i64>(row, 0, "room number")?, id(row, 1, "hub")?, id(row, 2, "event id")?));
        decode().map_err(at)
    })?;
    let Some((room, hub, prev)) = found else { return Ok(None) };
    let (mut state, mut chain) = (Vec::new(), Vec::new());
    let sql = "SELECT part, event_id, bytes FROM snapshot_events WHERE room = ?1 ORDER BY part, place";
    all(connection, sql, [room], |row| {
        let mut decode = || {
            let event_id: EventId = id(row, 1, "event id")?;
            let bytes = sealed_bytes(row, 2, "event", &[event_id.as_str()])?;
            let event = SnapshotEvent { event_id, bytes };
            match number(row, 0, "part of a snapshot")? {
                0_i64 => state.push(event),
                1 => chain.push(event),
                other => {
                    return Err(Undecodable::new(
                        "part of a snapshot",
                        format_args!("{other} means nothing"),
                    ));
                }
            }
            Ok(())
        };
        decode().map_err(at)
    })?;
    Ok(Some(StoredSnapshot { hub, prev, state, chain }))
}
