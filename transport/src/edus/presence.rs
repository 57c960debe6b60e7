//! `m.presence`: whether somebody is there (Matrix 1.4, server-server API, "Presence").

use std::time::Duration;

use mimi_linearized::id::UserId;
use mimi_linearized::json::{Object, as_integer};
use serde_json::{Value, json};

/// Its `type`.
pub(super) const TYPE: &str = "m.presence";

/// The longest status, in bytes.
pub const MAX_STATUS_LEN: usize = 1024;
/// How long somebody who is active is taken to be so.
const ACTIVE_FOR: Duration = Duration::from_secs(60);

/// Whether somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresenceState {
    /// There.
    Online,
    /// Not reachable.
    Offline,
    /// There, and idle.
    Unavailable,
}

impl PresenceState {
    /// Its name in the EDU.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Unavailable => "unavailable",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Online, Self::Offline, Self::Unavailable].into_iter().find(|state| state.as_str() == name)
    }
}

/// A user's presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Whether the user is there.
    pub state: PresenceState,
    /// How long ago the user last did something, in milliseconds.
    pub last_active_ago: u64,
    /// What the user says about it, at most [`MAX_STATUS_LEN`] bytes.
    pub status: Option<String>,
    /// Whether the user does something now.
    pub currently_active: bool,
}

impl Presence {
    /// Whether it is within the bounds: the status has at most [`MAX_STATUS_LEN`] bytes.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.status.as_ref().is_none_or(|status| status.len() <= MAX_STATUS_LEN)
    }

    /// Reads the content of the EDU: the first entry of `push` that is about the sender. Nothing, if that is malformed or
    /// there is none.
    #[must_use]
    pub fn parse(sender: &UserId, content: &Object) -> Option<Self> {
        let is_own = |update: &&Value| update.get("user_id").and_then(Value::as_str) == Some(sender.as_str());
        let update = content.get("push")?.as_array()?.iter().find(is_own)?;
        let status = match update.get("status_msg") {
            None | Some(Value::Null) => None,
            Some(status) => Some(status.as_str()?.to_owned()),
        };
        let currently_active = match update.get("currently_active") {
            None => false,
            Some(active) => active.as_bool()?,
        };
        let presence = Self {
            state: PresenceState::parse(update.get("presence")?.as_str()?)?,
            last_active_ago: update.get("last_active_ago").and_then(as_integer)?.try_into().ok()?,
            status,
            currently_active,
        };
        presence.is_bounded().then_some(presence)
    }

    /// The content of the EDU, this long after it was said.
    #[must_use]
    pub fn content(&self, sender: &UserId, age: Duration) -> Value {
        let mut update = self.fields(age);
        update.insert("user_id".to_owned(), json!(sender));
        json!({"push": [update]})
    }

    /// The item of an inbox.
    pub(super) fn item(&self, sender: &UserId, age: Duration) -> Value {
        let mut item = self.fields(age);
        item.insert("type".to_owned(), json!("presence"));
        item.insert("sender".to_owned(), json!(sender));
        Value::Object(item)
    }

    fn fields(&self, age: Duration) -> Object {
        let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let ago = self.last_active_ago.saturating_add(age_ms).min(MAX_AGO);
        let mut fields = Object::new();
        fields.insert("presence".to_owned(), json!(self.state.as_str()));
        fields.insert("last_active_ago".to_owned(), json!(ago));
        fields.insert("currently_active".to_owned(), json!(self.currently_active && age < ACTIVE_FOR));
        if let Some(status) = &self.status {
            fields.insert("status_msg".to_owned(), json!(status));
        }
        fields
    }
}

/// The largest number that canonical JSON has exactly (LM-04 §3.1).
const MAX_AGO: u64 = (1 << 53) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn bob() -> UserId {
        UserId::parse("@bob:b.example").unwrap()
    }

    #[test]
    fn presence_is_read_back_and_grows_old() {
        for state in [PresenceState::Online, PresenceState::Offline, PresenceState::Unavailable] {
            for status in [None, Some("here".to_owned()), Some("x".repeat(MAX_STATUS_LEN))] {
                let said = Presence { state, last_active_ago: 7, status, currently_active: true };
                let read = |age| Presence::parse(&bob(), said.content(&bob(), age).as_object().unwrap());
                assert_eq!(read(Duration::ZERO).as_ref(), Some(&said));
                let later = read(ACTIVE_FOR).unwrap();
                assert_eq!((later.last_active_ago, later.currently_active), (60_007, false));
            }
        }
        let ancient = Presence {
            state: PresenceState::Offline,
            last_active_ago: u64::MAX,
            status: None,
            currently_active: false,
        };
        assert!(
            Presence::parse(&bob(), ancient.content(&bob(), Duration::MAX).as_object().unwrap()).is_some()
        );
    }

    #[test]
    fn only_a_sound_entry_about_the_sender_counts() {
        let good = json!({"user_id": bob(), "presence": "online", "last_active_ago": 1});
        let carol = json!({"user_id": "@carol:b.example", "presence": "offline", "last_active_ago": 1});
        let read = |push: Value| Presence::parse(&bob(), json!({"push": push}).as_object().unwrap());
        assert_eq!(read(json!([7, carol, good])).unwrap().state, PresenceState::Online);
        assert_eq!(read(json!([carol])), None);
        assert_eq!(read(json!({})), None);
        for (field, value) in [
            ("presence", json!("busy")),
            ("presence", json!(1)),
            ("last_active_ago", json!(-1)),
            ("last_active_ago", Value::Null),
            ("status_msg", json!(1)),
            ("status_msg", json!("x".repeat(MAX_STATUS_LEN + 1))),
            ("currently_active", json!("yes")),
        ] {
            let mut bad = good.clone();
            bad[field] = value;
            assert_eq!(read(json!([bad])), None, "{field}");
        }
    }
}
