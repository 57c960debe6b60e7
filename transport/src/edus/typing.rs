//! `m.typing`: somebody writes in a room, or has ceased to (Matrix 1.4, server-server API, "Typing Notifications").

use std::time::Duration;

use mimi_linearized::id::{RoomId, UserId};
use mimi_linearized::json::Object;
use serde_json::{Value, json};

/// Its `type`.
pub(super) const TYPE: &str = "m.typing";

/// How long somebody is taken to write who does not say so again.
pub(super) const HOLDS: Duration = Duration::from_secs(30);

/// A typing notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typing {
    /// The room.
    pub room_id: RoomId,
    /// Whether its sender writes.
    pub typing: bool,
}

impl Typing {
    /// Reads the content of the EDU; what is malformed, or about another user than the sender, is nothing.
    #[must_use]
    pub fn parse(sender: &UserId, content: &Object) -> Option<Self> {
        let text = |field: &str| content.get(field).and_then(Value::as_str);
        if text("user_id") != Some(sender.as_str()) {
            return None;
        }
        let room_id = RoomId::parse(text("room_id")?).ok()?;
        Some(Self { room_id, typing: content.get("typing")?.as_bool()? })
    }

    /// The content of the EDU, this long after it was said.
    #[must_use]
    pub fn content(&self, sender: &UserId, age: Duration) -> Value {
        json!({"room_id": self.room_id, "user_id": sender, "typing": self.after(age)})
    }

    /// The item of an inbox.
    pub(super) fn item(&self, sender: &UserId, age: Duration) -> Value {
        json!({"type": "typing", "room_id": self.room_id, "sender": sender, "typing": self.after(age)})
    }

    /// Whether the sender still writes. It is said, rather than left out, that somebody has ceased to: a notice that
    /// went out before may have said otherwise.
    fn after(&self, age: Duration) -> bool {
        self.typing && age < HOLDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_read_back_until_it_no_longer_holds() {
        let bob = UserId::parse("@bob:b.example").unwrap();
        let said = Typing { room_id: RoomId::parse("!r:a.example").unwrap(), typing: true };
        let read = |sender: &UserId, age| {
            Typing::parse(sender, said.content(&bob, age).as_object().unwrap()).map(|read| read.typing)
        };
        assert_eq!(read(&bob, Duration::ZERO), Some(true));
        assert_eq!(read(&bob, HOLDS), Some(false));
        assert_eq!(read(&UserId::parse("@carol:b.example").unwrap(), Duration::ZERO), None);
    }

    #[test]
    fn malformed_notices_are_nothing() {
        let bob = UserId::parse("@bob:b.example").unwrap();
        let good = json!({"room_id": "!r:a.example", "user_id": bob, "typing": false});
        assert!(Typing::parse(&bob, good.as_object().unwrap()).is_some());
        for (field, value) in [
            ("room_id", json!("r")),
            ("room_id", json!(1)),
            ("user_id", Value::Null),
            ("typing", json!("yes")),
            ("typing", json!(1)),
        ] {
            let mut bad = good.clone();
            bad[field] = value;
            assert_eq!(Typing::parse(&bob, bad.as_object().unwrap()), None, "{bad}");
        }
    }
}
