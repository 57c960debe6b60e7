//! `m.receipt`: how far somebody has read a room (Matrix 1.4, server-server API, "Receipts").
//!
//! Only public read receipts, `m.read`, go between servers.

use mimi_linearized::id::{EventId, RoomId, UserId};
use mimi_linearized::json::{Object, as_integer};
use serde_json::{Value, json};

/// Its `type`.
pub(super) const TYPE: &str = "m.receipt";

/// The most events that one receipt names.
pub const MAX_RECEIPT_EVENTS: usize = 16;
/// The longest id of a thread, in bytes.
pub const MAX_THREAD_ID_LEN: usize = 255;
/// The most rooms that are read of one EDU.
const MAX_ROOMS: usize = 100;

/// A public read receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The room.
    pub room_id: RoomId,
    /// Up to where its sender has read: at least one event. A room with a hub has one order, so that one is enough.
    pub event_ids: Vec<EventId>,
    /// Which thread it is about; without one, about all of the room.
    pub thread_id: Option<String>,
    /// When it was read, in milliseconds since the Unix epoch.
    pub ts: i64,
}

impl Receipt {
    /// Whether it is within the bounds: from 1 to [`MAX_RECEIPT_EVENTS`] events, and a thread's id, if there is one, of
    /// 1 to [`MAX_THREAD_ID_LEN`] bytes.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        (1..=MAX_RECEIPT_EVENTS).contains(&self.event_ids.len())
            && self.thread_id.as_ref().is_none_or(|thread| (1..=MAX_THREAD_ID_LEN).contains(&thread.len()))
    }

    /// Reads the content of the EDU, at most 100 rooms of it. What is malformed, or about other users than the sender, is
    /// left out.
    #[must_use]
    pub fn parse(sender: &UserId, content: &Object) -> Vec<Self> {
        let rooms = content.iter().take(MAX_ROOMS);
        rooms.filter_map(|(room, receipts)| Self::parse_one(sender, room, receipts)).collect()
    }

    fn parse_one(sender: &UserId, room: &str, receipts: &Value) -> Option<Self> {
        let receipt = receipts.get("m.read")?.get(sender.as_str())?;
        let data = receipt.get("data")?;
        let events = receipt.get("event_ids")?.as_array().filter(|ids| ids.len() <= MAX_RECEIPT_EVENTS)?;
        let event_ids: Option<Vec<EventId>> =
            events.iter().map(|id| EventId::parse(id.as_str()?).ok()).collect();
        let thread_id = match data.get("thread_id") {
            None => None,
            Some(thread) => Some(thread.as_str()?.to_owned()),
        };
        let receipt = Self {
            room_id: RoomId::parse(room).ok()?,
            event_ids: event_ids?,
            thread_id,
            ts: data.get("ts").and_then(as_integer)?,
        };
        receipt.is_bounded().then_some(receipt)
    }

    /// The content of the EDU.
    #[must_use]
    pub fn content(&self, sender: &UserId) -> Value {
        let mut data = json!({"ts": self.ts});
        if let (Some(data), Some(thread)) = (data.as_object_mut(), &self.thread_id) {
            data.insert("thread_id".to_owned(), json!(thread));
        }
        let receipt = json!({"data": data, "event_ids": self.event_ids});
        json!({self.room_id.as_str(): {"m.read": {sender.as_str(): receipt}}})
    }

    /// The item of an inbox.
    pub(super) fn item(&self, sender: &UserId) -> Value {
        json!({
            "type": "receipt",
            "room_id": self.room_id,
            "sender": sender,
            "event_ids": self.event_ids,
            "thread_id": self.thread_id,
            "ts": self.ts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bob() -> UserId {
        UserId::parse("@bob:b.example").unwrap()
    }

    fn receipt(events: usize, thread: Option<&str>) -> Receipt {
        Receipt {
            room_id: RoomId::parse("!r:a.example").unwrap(),
            event_ids: (0..events).map(|number| EventId::parse(&format!("$e{number}")).unwrap()).collect(),
            thread_id: thread.map(ToOwned::to_owned),
            ts: 5,
        }
    }

    #[test]
    fn a_receipt_is_read_back() {
        for said in [receipt(1, None), receipt(2, Some("main")), receipt(MAX_RECEIPT_EVENTS, Some("$t"))] {
            let content = said.content(&bob());
            assert_eq!(Receipt::parse(&bob(), content.as_object().unwrap()), [said]);
            let carol = UserId::parse("@carol:b.example").unwrap();
            assert_eq!(Receipt::parse(&carol, content.as_object().unwrap()), [], "it is not hers");
        }
    }

    #[test]
    fn what_is_malformed_is_left_out_alone() {
        let good = json!({"data": {"ts": 1}, "event_ids": ["$e"]});
        let mut content = json!({"!good:a.example": {"m.read": {"@bob:b.example": good}}});
        let long = "x".repeat(MAX_THREAD_ID_LEN + 1);
        let many = vec![json!("$e"); MAX_RECEIPT_EVENTS + 1];
        for (number, bad) in [
            json!({"data": {"ts": 1}, "event_ids": []}),
            json!({"data": {"ts": 1}, "event_ids": ["e"]}),
            json!({"data": {"ts": 1}, "event_ids": many}),
            json!({"data": {"ts": 1}}),
            json!({"data": {"ts": "1"}, "event_ids": ["$e"]}),
            json!({"event_ids": ["$e"]}),
            json!({"data": {"ts": 1, "thread_id": 1}, "event_ids": ["$e"]}),
            json!({"data": {"ts": 1, "thread_id": long}, "event_ids": ["$e"]}),
            json!("read"),
        ]
        .into_iter()
        .enumerate()
        {
            content[format!("!bad{number}:a.example")] = json!({"m.read": {"@bob:b.example": bad}});
        }
        content["no room"] = content["!good:a.example"].clone();
        content["!private:a.example"] = json!({"m.read.private": {"@bob:b.example": good}});
        let read = Receipt::parse(&bob(), content.as_object().unwrap());
        assert_eq!(read.iter().map(|read| read.room_id.as_str()).collect::<Vec<_>>(), ["!good:a.example"]);
    }

    #[test]
    fn no_more_rooms_are_read_than_are_bounded() {
        let good = json!({"m.read": {"@bob:b.example": {"data": {"ts": 1}, "event_ids": ["$e"]}}});
        let content: Object =
            (0..=MAX_ROOMS).map(|number| (format!("!r{number}:a.example"), good.clone())).collect();
        assert_eq!(Receipt::parse(&bob(), &content).len(), MAX_ROOMS);
    }
}
