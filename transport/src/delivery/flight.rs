//! One transaction: what goes into it, sending it, and what its answer means.

use std::sync::Arc;

use mimi_linearized::id::ServerName;
use serde_json::{Value, json};

use crate::api::send::{self, MAX_EDUS, MAX_PDUS};
use crate::client::Failed;
use crate::node::Node;
use crate::rooms::RoomError;
use crate::store::{Flight, InboxItem, Outgoing, OutgoingItem};

impl Node {
    /// What to send next: events of rooms that lag behind, a share of each, then LPDUs and EDUs. `None` if there is
    /// nothing.
    pub(super) async fn plan(&self, destination: &ServerName) -> Result<Option<Flight>, RoomError> {
        let mut waiting = self.store.waiting(destination, MAX_PDUS, MAX_EDUS).await?;
        let lpdus = waiting.iter().filter(|item| matches!(item.outgoing, Outgoing::Lpdu { .. })).count();
        let edus = waiting.len().saturating_sub(lpdus);
        waiting.extend(self.take_ephemeral(destination, MAX_EDUS.saturating_sub(edus)).await?);
        let cursors = self.store.lagging_cursors(destination).await?;
        let mut free = MAX_PDUS.saturating_sub(lpdus);
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
