//! One transaction: what goes into it, sending it, and what its answer means.

use std::sync::Arc;

use mimi_linearized::id::{RoomId, ServerName};
use serde_json::{Value, json};

use super::load::Load;
use crate::api::send;
use crate::client::Failed;
use crate::node::Node;
use crate::rooms::RoomError;
use crate::store::{Cursor, Flight, FlightRange, InboxItem, Outgoing, OutgoingItem};

impl Node {
    /// What to send next: events of rooms that lag behind, a share of each, then LPDUs and EDUs. `None` if there is
    /// nothing. The rooms have their turn one after the other, beginning after `turn`, so that none waits for another
    /// to be done; neither do events wait for LPDUs to be done.
    pub(super) async fn plan(
        &self,
        destination: &ServerName,
        turn: Option<&RoomId>,
        load: &Load,
    ) -> Result<Option<Flight>, RoomError> {
        let mut cursors = self.store.lagging_cursors(destination).await?;
        take_turns(&mut cursors, turn);
        let lpdus_at_most = if cursors.is_empty() { load.pdus() } else { load.pdus().div_ceil(2) };
        let mut waiting = self.store.waiting(destination, lpdus_at_most, load.edus(true)).await?;
        let lpdus = waiting.iter().filter(|item| matches!(item.outgoing, Outgoing::Lpdu { .. })).count();
        let edus = waiting.len().saturating_sub(lpdus);
        waiting.extend(self.take_ephemeral(destination, load.edus(true).saturating_sub(edus)).await?);
        let mut free = load.pdus().saturating_sub(lpdus);
        let mut ranges = Vec::new();
        let mut rooms_left = cursors.len();
        for cursor in cursors {
            // Every room gets its share, and what others leave.
            let share = free.div_ceil(rooms_left.max(1));
            rooms_left = rooms_left.saturating_sub(1);
            if share == 0 {
                break;
            }
            let (range, events) =
                self.next_stretch(&cursor.room_id, destination, cursor.position, share).await?;
            free = free.saturating_sub(events.len());
            if range.to > range.from {
                ranges.push(range);
            }
        }
        if ranges.is_empty() && waiting.is_empty() && load.edus(true) == 0 {
            let alone = load.edus(false);
            waiting = self.store.waiting(destination, 0, alone).await?;
            waiting.extend(self.take_ephemeral(destination, alone.saturating_sub(waiting.len())).await?);
        }
        if ranges.is_empty() && waiting.is_empty() {
            return Ok(None);
        }
        let txn_id = mimi_linearized::base64::encode_url_safe(&rand::random::<[u8; 12]>());
        let items = waiting.iter().map(|item| item.sequence).collect();
        Ok(Some(Flight { txn_id, ranges, items }))
    }

    /// Sends a transaction once, and takes note of the answer.
    pub(super) async fn fly(&self, destination: &ServerName, flight: &Flight) -> Result<(), RoomError> {
        let mut events: Vec<Arc<[u8]>> = Vec::new();
        for range in &flight.ranges {
            events.extend(self.stretch(range, destination).await?);
        }
        let items = self.store.items(destination, &flight.items).await?;
        let failed = if events.is_empty() && items.is_empty() {
            Vec::new()
        } else {
            let body = body_of(&events, &items);
            send::call(self, destination, &flight.txn_id, &body).await?
        };
        for Failed { event_id, error } in &failed {
            tracing::warn!(%destination, event = %event_id, error, "the destination rejected an event");
        }
        self.store.arrive(destination, flight, notices(&items, &failed)).await?;
        self.news.tell();
        Ok(())
    }

    /// Ends a transaction that the destination will never take as it is: what it carries goes in other ones. Returns
    /// whether it has ended.
    pub(super) async fn divide(&self, destination: &ServerName, flight: &Flight) -> Result<bool, RoomError> {
        tracing::info!(%destination, txn = flight.txn_id, "a transaction is too large, and is divided");
        let nothing = Flight { txn_id: flight.txn_id.clone(), ranges: Vec::new(), items: Vec::new() };
        self.store.arrive(destination, &nothing, Vec::new()).await?;
        Ok(true)
    }

    /// Ends a transaction of one thing that the destination does not take: an event it can still ask for, the sender of an
    /// LPDU is told, an EDU is lost. One of more things, as another process may have begun, is divided. Returns whether it
    /// has ended.
    pub(super) async fn give_up(
        &self,
        destination: &ServerName,
        flight: &Flight,
        why: &RoomError,
    ) -> Result<bool, RoomError> {
        let mut things = flight.items.len();
        for range in &flight.ranges {
            things = things.saturating_add(self.stretch(range, destination).await?.len());
        }
        if things > 1 {
            return self.divide(destination, flight).await;
        }
        for FlightRange { room_id, from, to } in &flight.ranges {
            tracing::error!(%destination, %room_id, from, to, error = %why, "an event is too large for its destination");
        }
        let items = self.store.items(destination, &flight.items).await?;
        let mut failed = Vec::new();
        for OutgoingItem { sequence, outgoing } in &items {
            tracing::error!(%destination, sequence, error = %why, "what waits is too large for its destination");
            if let Outgoing::Lpdu { lpdu_id, .. } = outgoing {
                failed.push(Failed { event_id: lpdu_id.clone(), error: why.to_string() });
            }
        }
        self.store.arrive(destination, flight, notices(&items, &failed)).await?;
        self.news.tell();
        Ok(true)
    }
}

/// Puts cursors in the order of their rooms, beginning after the room `turn`.
fn take_turns(cursors: &mut [Cursor], turn: Option<&RoomId>) {
    cursors.sort_unstable_by(|one, other| one.room_id.cmp(&other.room_id));
    if let Some(turn) = turn {
        let next = cursors.partition_point(|cursor| cursor.room_id <= *turn);
        cursors.rotate_left(next);
    }
}

fn body_of(events: &[Arc<[u8]>], items: &[OutgoingItem]) -> Value {
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let lpdus = items.iter().filter_map(|item| match &item.outgoing {
        Outgoing::Lpdu { bytes, .. } => Some(read(bytes)),
        Outgoing::Edu { .. } => None,
    });
    let pdus: Vec<Value> = events.iter().map(|event| read(event)).chain(lpdus).collect();
    let edus: Vec<Value> = items
        .iter()
        .filter_map(|item| match &item.outgoing {
            Outgoing::Edu { bytes } => Some(read(bytes)),
            Outgoing::Lpdu { .. } => None,
        })
        .collect();
    json!({"pdus": pdus, "edus": edus})
}

/// What the senders of rejected LPDUs are told.
fn notices(items: &[OutgoingItem], failed: &[Failed]) -> Vec<InboxItem> {
    let notice = |item: &OutgoingItem| {
        let Outgoing::Lpdu { sender, lpdu_id, .. } = &item.outgoing else { return None };
        let Failed { error, .. } = failed.iter().find(|failed| failed.event_id == *lpdu_id)?;
        let notice = json!({"type": "rejected", "lpdu_id": lpdu_id, "error": error});
        Some(InboxItem {
            user_id: sender.clone(),
            bytes: notice.to_string().into_bytes().into(),
            once: Some(format!("rejected {lpdu_id}")),
        })
    };
    items.iter().filter_map(notice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_take_turns() {
        let room = |name: &str| RoomId::parse(&format!("!{name}:a.org")).unwrap();
        let cursor = |name: &str| Cursor { room_id: room(name), position: 0, length: 1 };
        let order = |turn: Option<&str>| {
            let mut cursors = ["c", "a", "d", "b"].map(cursor);
            take_turns(&mut cursors, turn.map(room).as_ref());
            cursors.map(|cursor| cursor.room_id.as_str()[1..2].to_owned()).concat()
        };
        assert_eq!(order(None), "abcd");
        assert_eq!(order(Some("b")), "cdab");
        assert_eq!(order(Some("d")), "abcd");
        assert_eq!(order(Some("bb")), "cdab", "a room that has nothing to send any more");
    }
}
