//! Stripped state: a glimpse of a room for those outside it (LM-04 §3.5.2.1).

use serde_json::{Value, json};

use super::Event;
use crate::json::Object;

/// A state event reduced to `sender`, `type`, `state_key` and `content`. Nothing proves it (LM-04 §3.5.2.1).
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StrippedEvent {
    /// Who sent the event.
    pub sender: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its state key.
    pub state_key: String,
    /// Its content.
    pub content: Object,
}

impl StrippedEvent {
    /// The stripped form of a state event; `None` if it is no state event.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        Some(Self {
            sender: event.sender().to_string(),
            kind: event.kind().to_owned(),
            state_key: event.state_key()?.to_owned(),
            content: event.content().clone(),
        })
    }

    /// The form as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({"sender": self.sender, "type": self.kind, "state_key": self.state_key, "content": self.content})
    }
}
