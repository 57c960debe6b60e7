//! Our events as `ruma` wants to see them.

use mimi_linearized::event::Event;
use mimi_linearized::id;
use ruma_common::{MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use ruma_events::TimelineEventType;
use serde_json::value::{RawValue, to_raw_value};

/// An event with a place.
#[derive(Debug)]
pub(crate) struct PeerEvent {
    id: OwnedEventId,
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    ts: MilliSecondsSinceUnixEpoch,
    kind: TimelineEventType,
    state_key: Option<String>,
    content: Box<RawValue>,
    prev_events: Vec<OwnedEventId>,
    auth_events: Vec<OwnedEventId>,
}

fn ids(ids: &[id::EventId]) -> Vec<OwnedEventId> {
    ids.iter().map(|id| id.as_str().try_into().unwrap()).collect()
}

impl PeerEvent {
    /// An event of ours. `m.room.create` names the room version that the peer is asked about.
    pub(crate) fn new(
        event: &Event,
        id: &id::EventId,
        prev_events: &[id::EventId],
        auth_events: &[id::EventId],
    ) -> Self {
        let mut content = event.content().clone();
        if event.kind() == "m.room.create"
            && content.get("room_version").is_some_and(|version| version == "I.1")
        {
            content.insert("room_version".to_owned(), "11".into());
        }
        Self {
            id: id.as_str().try_into().unwrap(),
            room_id: event.room_id().as_str().try_into().unwrap(),
            sender: event.sender().as_str().try_into().unwrap(),
            ts: MilliSecondsSinceUnixEpoch(event.origin_server_ts().try_into().unwrap()),
            kind: event.kind().into(),
            state_key: event.state_key().map(ToOwned::to_owned),
            content: to_raw_value(&content).unwrap(),
            prev_events: ids(prev_events),
            auth_events: ids(auth_events),
        }
    }
}

impl ruma_state_res::Event for PeerEvent {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.id
    }

    fn room_id(&self) -> Option<&RoomId> {
        Some(&self.room_id)
    }

    fn sender(&self) -> &UserId {
        &self.sender
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.ts
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.kind
    }

    fn content(&self) -> &RawValue {
        &self.content
    }

    fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.prev_events.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.auth_events.iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        None
    }

    fn rejected(&self) -> bool {
        false
    }
}
