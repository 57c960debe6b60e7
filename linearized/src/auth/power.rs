//! Power levels (LM-04 §5.2.2).

use serde_json::Value;

use crate::id::UserId;
use crate::json::{Object, as_integer};

/// The level of a room's creator while there are no power levels (LM-04 §3.5.3.4, reading R12).
const CREATOR_LEVEL: i64 = 100;
/// The level that state events need by default.
const STATE_DEFAULT: i64 = 50;

/// An action with a level of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Banning a user.
    Ban,
    /// Removing a user.
    Kick,
    /// Inviting a user.
    Invite,
    /// Redacting another user's event.
    Redact,
}

impl Action {
    fn key_and_default(self) -> (&'static str, i64) {
        match self {
            Self::Ban => ("ban", 50),
            Self::Kick => ("kick", 50),
            Self::Invite => ("invite", 0),
            Self::Redact => ("redact", 50),
        }
    }
}

/// A room's power levels, read where they stand: looking one up costs the same however many there are.
#[derive(Debug, Clone, Copy)]
pub struct Levels<'s> {
    content: Option<&'s Object>,
    creator: &'s UserId,
}

impl<'s> Levels<'s> {
    /// The levels of an `m.room.power_levels` content, or of a room without one.
    #[must_use]
    pub fn new(content: Option<&'s Object>, creator: &'s UserId) -> Self {
        Self { content, creator }
    }

    /// A user's level.
    #[must_use]
    pub fn user(&self, user: &UserId) -> i64 {
        let Some(content) = self.content else {
            return if user == self.creator { CREATOR_LEVEL } else { 0 };
        };
        level_in(content, "users", user.as_str()).or_else(|| level(content, "users_default")).unwrap_or(0)
    }

    /// The level that an action needs.
    #[must_use]
    pub fn action(&self, action: Action) -> i64 {
        let (key, default) = action.key_and_default();
        self.content.and_then(|content| level(content, key)).unwrap_or(default)
    }

    /// The level that sending an event of a type with a default of its own needs.
    #[must_use]
    pub fn event_or(&self, kind: &str, default: i64) -> i64 {
        self.content.and_then(|content| level_in(content, "events", kind)).unwrap_or(default)
    }

    /// The level that sending an event of this type needs.
    #[must_use]
    pub fn event(&self, kind: &str, is_state: bool) -> i64 {
        let (key, default) = if is_state { ("state_default", STATE_DEFAULT) } else { ("events_default", 0) };
        self.content
            .and_then(|content| level_in(content, "events", kind).or_else(|| level(content, key)))
            .unwrap_or(default)
    }
}

/// One of the seven single levels of a power levels content: as stated, or its default (LM-04 §5.2.2).
pub(super) fn stated_or_default(content: &Object, field: &str) -> i64 {
    let default = match field {
        "ban" | "kick" | "redact" | "state_default" => 50,
        _ => 0,
    };
    level(content, field).unwrap_or(default)
}

pub(super) fn level(content: &Object, key: &str) -> Option<i64> {
    as_integer(content.get(key)?)
}

fn level_in(content: &Object, map: &str, key: &str) -> Option<i64> {
    as_integer(content.get(map).and_then(Value::as_object)?.get(key)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn user(localpart: &str) -> UserId {
        UserId::parse(&format!("@{localpart}:a.example")).unwrap()
    }

    #[test]
    fn without_power_levels_the_creator_has_100() {
        let creator = user("alice");
        let levels = Levels::new(None, &creator);
        assert_eq!((levels.user(&creator), levels.user(&user("bob"))), (100, 0));
        assert_eq!((levels.event("m.room.name", true), levels.event("m.room.message", false)), (50, 0));
        assert_eq!(
            [Action::Ban, Action::Kick, Action::Invite, Action::Redact].map(|a| levels.action(a)),
            [50, 50, 0, 50]
        );
    }

    #[test]
    fn with_power_levels_the_creator_is_nobody_special() {
        let content = json!({"users": {"@bob:a.example": 70.0}, "users_default": 5, "events": {"m.room.name": 1},
                             "state_default": 60, "events_default": 2, "ban": 3});
        let creator = user("alice");
        let levels = Levels::new(content.as_object(), &creator);
        assert_eq!((levels.user(&creator), levels.user(&user("bob"))), (5, 70));
        assert_eq!(levels.event("m.room.name", true), 1);
        assert_eq!(levels.event("m.room.name", false), 1);
        assert_eq!((levels.event("m.room.topic", true), levels.event("m.room.message", false)), (60, 2));
        assert_eq!((levels.action(Action::Ban), levels.action(Action::Kick)), (3, 50));
        let empty = json!({});
        assert_eq!(Levels::new(empty.as_object(), &creator).user(&creator), 0);
    }
}
