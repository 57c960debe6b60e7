//! Cursors, items on their way out, and flights.

use async_trait::async_trait;
use mimi_linearized::id::{RoomId, ServerName};
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use super::super::{
    Cursor, DeliveryStore, Flight, FlightRange, InboxItem, Outgoing, OutgoingItem, StoreError,
};
use super::decode::{Undecodable, all, execute, first, id, integer, number, sealed_bytes, text, to_limit};
use super::sealed::seal;
use super::{SqliteStore, broken, inbox};

/// Cursors are compared with their rooms' lengths one by one; the queue, which can be long, is only looked at once for
/// each destination.
pub(super) const DESTINATIONS: &str = "
    WITH RECURSIVE queues (destination) AS (
        SELECT min(destination) FROM outgoing
        UNION ALL
        SELECT (SELECT min(destination) FROM outgoing WHERE destination > queues.destination)
        FROM queues WHERE destination IS NOT NULL
    )
    SELECT destination FROM queues WHERE destination IS NOT NULL
    UNION SELECT destination FROM flights
    UNION SELECT destination FROM cursors JOIN rooms USING (room) WHERE position < length";

pub(super) const LAGGING_CURSORS: &str =
    "SELECT room_id, position, length FROM cursors JOIN rooms USING (room)
     WHERE destination = ?1 AND position < length";

pub(super) const ROOM_DESTINATIONS: &str =
    "SELECT destination FROM cursors WHERE room = (SELECT room FROM rooms WHERE room_id = ?1)";

/// Begins with the columns that [`item`] reads.
macro_rules! select_item {
    ($which:literal) => {
        concat!("SELECT sequence, kind, room_id, sender, lpdu_id, bytes FROM outgoing ", $which)
    };
}

pub(super) const WAITING: &str =
    select_item!("WHERE destination = ?1 AND kind = ?2 ORDER BY sequence LIMIT ?3");
pub(super) const ITEM: &str = select_item!("WHERE sequence = ?1 AND destination = ?2");

const LPDU: i64 = 0;
const EDU: i64 = 1;

/// The part of a [`Flight`] that is kept as JSON.
#[derive(Serialize, Deserialize)]
struct Carries {
    ranges: Vec<FlightRange>,
    items: Vec<i64>,
}

fn destinations(connection: &Connection) -> Result<Vec<ServerName>, StoreError> {
    all(connection, DESTINATIONS, [], |row| {
        id(row, 0, "destination").map_err(|fault| fault.at("the destinations"))
    })
}

fn lagging_cursors(connection: &Connection, destination: &ServerName) -> Result<Vec<Cursor>, StoreError> {
    all(connection, LAGGING_CURSORS, [destination.as_str()], |row| {
        let decode = || {
            Ok(Cursor {
                room_id: id(row, 0, "room id")?,
                position: number(row, 1, "position")?,
                length: number(row, 2, "length")?,
            })
        };
        decode().map_err(|fault: Undecodable| fault.at(format_args!("the cursors of {destination}")))
    })
}

fn room_destinations(connection: &Connection, room_id: &RoomId) -> Result<Vec<ServerName>, StoreError> {
    all(connection, ROOM_DESTINATIONS, [room_id.as_str()], |row| {
        id(row, 0, "destination").map_err(|fault| fault.at(format_args!("the cursors in {room_id}")))
    })
}

pub(super) fn enqueue(
    connection: &Connection,
    destination: &ServerName,
    outgoing: &Outgoing,
) -> Result<i64, StoreError> {
    let (kind, room_id, sender, lpdu_id, bytes) = match outgoing {
        Outgoing::Lpdu { room_id, sender, lpdu_id, bytes } => {
            (LPDU, Some(room_id.as_str()), Some(sender.as_str()), Some(lpdu_id.as_str()), bytes)
        }
        Outgoing::Edu { bytes } => (EDU, None, None, None, bytes),
    };
    execute(
        connection,
        "INSERT INTO outgoing (destination, kind, room_id, sender, lpdu_id, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![destination.as_str(), kind, room_id, sender, lpdu_id, seal(bytes, &[])],
    )?;
    Ok(connection.last_insert_rowid())
}

fn item(row: &Row<'_>, destination: &ServerName) -> Result<OutgoingItem, StoreError> {
    let sequence = integer(row, 0, "place in a queue")
        .map_err(|fault| fault.at(format_args!("the queue to {destination}")))?;
    let decode = || {
        let bytes = sealed_bytes(row, 5, "item", &[])?;
        let outgoing = match integer(row, 1, "kind of item")? {
            LPDU => Outgoing::Lpdu {
                room_id: id(row, 2, "room id")?,
                sender: id(row, 3, "sender")?,
                lpdu_id: id(row, 4, "LPDU id")?,
                bytes,
            },
            EDU => Outgoing::Edu { bytes },
            other => return Err(Undecodable::new("kind of item", format_args!("{other} means nothing"))),
        };
        Ok(OutgoingItem { sequence, outgoing })
    };
    decode().map_err(|fault| fault.at(format_args!("item {sequence} of the queue to {destination}")))
}

fn waiting(
    connection: &Connection,
    destination: &ServerName,
    lpdus: usize,
    edus: usize,
) -> Result<Vec<OutgoingItem>, StoreError> {
    let mut items = Vec::new();
    for (kind, limit) in [(LPDU, lpdus), (EDU, edus)] {
        let params = params![destination.as_str(), kind, to_limit(limit)];
        items.extend(all(connection, WAITING, params, |row| item(row, destination))?);
    }
    items.sort_unstable_by_key(|item| item.sequence);
    Ok(items)
}

fn items(
    connection: &Connection,
    destination: &ServerName,
    mut sequences: Vec<i64>,
) -> Result<Vec<OutgoingItem>, StoreError> {
    sequences.sort_unstable();
    sequences.dedup();
    let found = sequences.iter().map(|sequence| {
        first(connection, ITEM, params![sequence, destination.as_str()], |row| item(row, destination))
    });
    found.filter_map(Result::transpose).collect()
}

pub(super) fn flight(
    connection: &Connection,
    destination: &ServerName,
) -> Result<Option<Flight>, StoreError> {
    let sql = "SELECT txn_id, carries FROM flights WHERE destination = ?1";
    first(connection, sql, [destination.as_str()], |row| {
        let decode = || {
            let Carries { ranges, items } = serde_json::from_str(text(row, 1, "flight")?)
                .map_err(|error| Undecodable::new("flight", error))?;
            Ok(Flight { txn_id: text(row, 0, "transaction id")?.to_owned(), ranges, items })
        };
        decode().map_err(|fault: Undecodable| fault.at(format_args!("the flight to {destination}")))
    })
}

pub(super) fn depart(
    connection: &Connection,
    destination: &ServerName,
    flight: &Flight,
) -> Result<Option<Flight>, StoreError> {
    if let Some(under_way) = self::flight(connection, destination)? {
        return Ok(Some(under_way));
    }
    if has_arrived(connection, destination, flight)? {
        return Ok(None);
    }
    let carries = Carries { ranges: flight.ranges.clone(), items: flight.items.clone() };
    let carries = serde_json::to_string(&carries).map_err(broken)?;
    let sql = "INSERT INTO flights (destination, txn_id, carries) VALUES (?1, ?2, ?3)";
    execute(connection, sql, [destination.as_str(), &flight.txn_id, &carries])?;
    Ok(Some(flight.clone()))
}

/// Whether something that a flight carries has arrived with another one.
fn has_arrived(
    connection: &Connection,
    destination: &ServerName,
    flight: &Flight,
) -> Result<bool, StoreError> {
    let found = |sql, params: &[&dyn rusqlite::ToSql]| -> Result<bool, StoreError> {
        Ok(first(connection, sql, params, |_| Ok(()))?.is_some())
    };
    for range in &flight.ranges {
        let from = i64::try_from(range.from).unwrap_or(i64::MAX);
        let sql = "SELECT 1 FROM cursors JOIN rooms USING (room)
             WHERE destination = ?1 AND room_id = ?2 AND position > ?3";
        if found(sql, params![destination.as_str(), range.room_id.as_str(), from])? {
            return Ok(true);
        }
    }
    for sequence in &flight.items {
        let sql = "SELECT 1 FROM sqlite_sequence WHERE name = 'outgoing' AND seq >= ?1
             AND NOT EXISTS (SELECT 1 FROM outgoing WHERE sequence = ?1 AND destination = ?2)";
        if found(sql, params![sequence, destination.as_str()])? {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn arrive(
    connection: &Connection,
    destination: &ServerName,
    flight: &Flight,
    notices: &[InboxItem],
) -> Result<(), StoreError> {
    for range in &flight.ranges {
        // Beyond every list; a cursor stops at the end of its own.
        let to = i64::try_from(range.to).unwrap_or(i64::MAX);
        execute(
            connection,
            "UPDATE cursors SET position = max(position, min(?3, rooms.length)) FROM rooms
             WHERE destination = ?1 AND cursors.room = rooms.room AND rooms.room_id = ?2",
            params![destination.as_str(), range.room_id.as_str(), to],
        )?;
    }
    for sequence in &flight.items {
        let sql = "DELETE FROM outgoing WHERE sequence = ?1 AND destination = ?2";
        execute(connection, sql, params![sequence, destination.as_str()])?;
    }
    // A late repetition must not end the next flight.
    let sql = "DELETE FROM flights WHERE destination = ?1 AND txn_id = ?2";
    execute(connection, sql, [destination.as_str(), &flight.txn_id])?;
    inbox::put(connection, notices)
}

#[async_trait]
impl DeliveryStore for SqliteStore {
    async fn destinations(&self) -> Result<Vec<ServerName>, StoreError> {
        self.readers.run(destinations).await
    }

    async fn lagging_cursors(&self, destination: &ServerName) -> Result<Vec<Cursor>, StoreError> {
        let destination = destination.clone();
        self.readers.run(move |connection| lagging_cursors(connection, &destination)).await
    }

    async fn room_destinations(&self, room_id: &RoomId) -> Result<Vec<ServerName>, StoreError> {
        let room_id = room_id.clone();
        self.readers.run(move |connection| room_destinations(connection, &room_id)).await
    }

    async fn enqueue(&self, destination: &ServerName, outgoing: Outgoing) -> Result<i64, StoreError> {
        let destination = destination.clone();
        self.writer.run(move |connection| enqueue(connection, &destination, &outgoing)).await
    }

    async fn waiting(
        &self,
        destination: &ServerName,
        lpdus: usize,
        edus: usize,
    ) -> Result<Vec<OutgoingItem>, StoreError> {
        let destination = destination.clone();
        self.readers.run(move |connection| waiting(connection, &destination, lpdus, edus)).await
    }

    async fn items(
        &self,
        destination: &ServerName,
        sequences: &[i64],
    ) -> Result<Vec<OutgoingItem>, StoreError> {
        let (destination, sequences) = (destination.clone(), sequences.to_vec());
        self.readers.run(move |connection| items(connection, &destination, sequences)).await
    }

    async fn flight(&self, destination: &ServerName) -> Result<Option<Flight>, StoreError> {
        let destination = destination.clone();
        self.readers.run(move |connection| flight(connection, &destination)).await
    }

    async fn depart(&self, destination: &ServerName, flight: &Flight) -> Result<Option<Flight>, StoreError> {
        let (destination, flight) = (destination.clone(), flight.clone());
        self.writer.run(move |connection| depart(connection, &destination, &flight)).await
    }

    async fn arrive(
        &self,
        destination: &ServerName,
        flight: &Flight,
        notices: Vec<InboxItem>,
    ) -> Result<(), StoreError> {
        let (destination, flight) = (destination.clone(), flight.clone());
        self.writer.run(move |connection| arrive(connection, &destination, &flight, &notices)).await
    }
}
