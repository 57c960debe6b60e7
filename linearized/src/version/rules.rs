//! The parts of a room version.

use crate::id::{IdError, UserId};

/// Whether a version is meant for production (LM-04 §3.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stability {
    /// Meant for production.
    Stable,
    /// For trials.
    Unstable,
}

/// Bounds on an event's fields, in bytes (LM-04 §3.5; "characters" are bytes, reading R07).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventLimits {
    /// The whole event in canonical JSON, signatures included.
    pub event: usize,
    /// `type`.
    pub kind: usize,
    /// `state_key`.
    pub state_key: usize,
}

/// Which fields events have beyond those that all versions share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventFormat {
    /// How a hub marks the events of its own users.
    pub own_events: OwnEvents,
}

/// Whether a hub names itself in the events of its own users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnEvents {
    /// Its own events have no `hub_server` (LM-04 §3.5, reading R04).
    WithoutHub,
    /// All events have `hub_server` (draft -01, Events).
    WithHub,
}

/// The identifiers in events. Event ids are the reference hash in every version so far, and names of servers and
/// rooms are the same in all: one server is in rooms of several versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identifiers {
    /// What the localpart of a sender may hold beside `a` to `z` and `0` to `9`.
    pub localpart_marks: &'static str,
}

impl Identifiers {
    /// Checks a sender's user id.
    pub(crate) fn user_id(&self, text: &str) -> Result<UserId, IdError> {
        let user = UserId::parse(text)?;
        let fits =
            |c: &char| c.is_ascii_digit() || c.is_ascii_lowercase() || self.localpart_marks.contains(*c);
        match user.localpart().chars().find(|c| !fits(c)) {
            Some(found) => Err(IdError::Character { part: "the localpart", found }),
            None => Ok(user),
        }
    }
}

/// What redaction keeps of an event's `content`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Everything.
    All,
    /// These keys, with all that is below them.
    Keys(&'static [&'static str]),
}

/// What redaction keeps of an event (LM-04 §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedactionRules {
    /// The fields of the event that stay.
    pub fields: &'static [&'static str],
    /// What stays of `content`, by event type; of every other type, nothing.
    pub content: &'static [(&'static str, Keep)],
}

/// How an event's content hashes are made (LM-04 §9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hashing {
    /// SHA-256; an LPDU has a hash of its own under `hashes.lpdu`, which the hash of the whole event covers.
    Sha256WithLpdu,
    /// SHA-256 of the whole event without `hashes`; an LPDU has no `hashes` (draft -01, Content hash calculation).
    Sha256,
}

impl Hashing {
    /// Whether an LPDU carries a hash of its content.
    #[must_use]
    pub fn covers_lpdu(self) -> bool {
        match self {
            Self::Sha256WithLpdu => true,
            Self::Sha256 => false,
        }
    }
}

/// Which authorization rules hold (LM-04 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Authorization {
    /// The rules of LM-04 §5.2.3, which are those of the drafts before it. Where the hub is found by a state event, the
    /// rules about that event come on top (reading R32).
    Lm04,
    /// Those rules with faults, to see whether a test notices.
    #[cfg(feature = "mutants")]
    Faulty(super::Faults),
}

/// How a room's hub is found (LM-04 §11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HubSelection {
    /// The server of the sender of `m.room.create`, for the room's whole life (reading R16).
    Creator,
    /// The server that the current `m.room.hub` names; while there is none, that of the creator (reading R32).
    StateEvent,
}
