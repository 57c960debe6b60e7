//! What of a room's list goes to a server (LM-04 §12.5, reading R21).

use std::sync::Arc;

use mimi_linearized::event::Recorded;
use mimi_linearized::id::{RoomId, ServerName};
use mimi_linearized::room::{Position, Room};

use super::{Role, RoomError};
use crate::node::Node;
use crate::store::{FlightRange, Record};

/// How many records are looked at at a time: as many as are wanted, within these bounds.
const PAGE: std::ops::RangeInclusive<usize> = 10..=100;

impl Node {
    /// The stretch of a room's list, from `from` on, that holds the next events for a server, at most `limit` of them,
    /// and these events.
    pub(crate) async fn next_stretch(
        &self,
        room_id: &RoomId,
        server: &ServerName,
        from: Position,
        limit: usize,
    ) -> Result<(FlightRange, Vec<Arc<[u8]>>), RoomError> {
        self.walk(room_id, server, from, Position::MAX, limit).await
    }

    /// The events of a stretch, as [`Node::next_stretch`] gave them.
    pub(crate) async fn stretch(
        &self,
        range: &FlightRange,
        server: &ServerName,
    ) -> Result<Vec<Arc<[u8]>>, RoomError> {
        let (_, events) = self.walk(&range.room_id, server, range.from, range.to, usize::MAX).await?;
        Ok(events)
    }

    async fn walk(
        &self,
        room_id: &RoomId,
        server: &ServerName,
        from: Position,
        end: Position,
        limit: usize,
    ) -> Result<(FlightRange, Vec<Arc<[u8]>>), RoomError> {
        let mut range = FlightRange { room_id: room_id.clone(), from, to: from };
        let mut events = Vec::new();
        let Some(cell) = self.room(room_id).await? else { return Ok((range, events)) };
        loop {
            let page = limit.saturating_sub(events.len()).clamp(*PAGE.start(), *PAGE.end());
            let records = self.store.records(room_id, range.to, page).await?;
            let role = cell.lock().await;
            let Some(room) = role.as_ref().map(Role::room) else { return Err(RoomError::OutOfStep) };
            // A record may be stored and not yet applied: who it goes to is known only then.
            let end = end.min(room.head().length);
            if records.is_empty() || range.to >= end || events.len() >= limit {
                return Ok((range, events));
            }
            for record in records {
                if record.position >= end || events.len() >= limit {
                    return Ok((range, events));
                }
                range.to = record.position.saturating_add(1);
                if goes_to(room, server, &record)? {
                    events.push(record.bytes);
                }
            }
        }
    }
}

/// Whether a record's event goes to a server. The event is read only if the server is not in the room.
fn goes_to(room: &Room, server: &ServerName, record: &Record) -> Result<bool, RoomError> {
    if room.presence().was_joined_around(server, record.position) {
        return Ok(true);
    }
    let event = Recorded::read(&record.bytes, &record.event_id, room.version())?;
    Ok(room.presence().is_target(server, record.position, event.event().event()))
}
