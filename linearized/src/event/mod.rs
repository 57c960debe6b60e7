//! Events and their stages (LM-04 §3.5).
//!
//! An event goes through stages, and each stage is a type, so that a step cannot be left out:
//!
//! | from | by | to |
//! |---|---|---|
//! | bytes | shape check (§5.1 step 1) | [`Lpdu`] or [`Pdu`] |
//! | [`Lpdu`] | signature and LPDU hash (§5.1 steps 2 and 3) | [`VerifiedLpdu`] |
//! | [`Pdu`] | signatures and hashes | [`VerifiedPdu`] |
//! | [`VerifiedLpdu`] | [`Hub::authorise`](crate::hub::Hub::authorise) | [`Authorised`](crate::hub::Authorised) |
//! | [`Authorised`](crate::hub::Authorised) | [`Authorised::seal`](crate::hub::Authorised::seal) | [`Sealed`](crate::hub::Sealed) |
//! | [`VerifiedPdu`] | [`Participant::judge`](crate::participant::Participant::judge) | a verdict |
//!
//! An event is read once. Its canonical bytes are made once and are what is stored, sent and served; the bytes that
//! are signed are the bytes whose hash is its id.

mod body;
mod draft;
mod fields;
pub mod hash;
mod incoming;
mod lpdu;
mod pdu;
mod record;
mod redaction;
mod shape;
mod stripped;

pub use draft::{Draft, OutgoingLpdu};
pub use fields::Event;
pub(crate) use fields::Share;
pub use incoming::{Incoming, peek_room_id, reference_id};
pub(crate) use lpdu::key as lpdu_key;
pub use lpdu::{Lpdu, VerifiedLpdu};
pub(crate) use pdu::needs_consent;
pub use pdu::{Integrity, Pdu, RoomEvent, VerifiedPdu};
pub use record::{RecordError, Recorded};
pub use redaction::redact;
pub use shape::ShapeError;
pub use stripped::StrippedEvent;

/// Event types that the room model itself looks at (LM-04 §3.5.3, §4.5).
pub mod kind {
    /// `m.room.create`
    pub const CREATE: &str = "m.room.create";
    /// `m.room.member`
    pub const MEMBER: &str = "m.room.member";
    /// `m.room.power_levels`
    pub const POWER_LEVELS: &str = "m.room.power_levels";
    /// `m.room.join_rules`
    pub const JOIN_RULES: &str = "m.room.join_rules";
    /// `m.room.history_visibility`
    pub const HISTORY_VISIBILITY: &str = "m.room.history_visibility";
    /// `m.room.name`
    pub const NAME: &str = "m.room.name";
    /// `m.room.topic`
    pub const TOPIC: &str = "m.room.topic";
    /// `m.room.avatar`
    pub const AVATAR: &str = "m.room.avatar";
    /// `m.room.canonical_alias`
    pub const CANONICAL_ALIAS: &str = "m.room.canonical_alias";
    /// `m.room.hub`: of meaning only where the room version finds the hub by it (reading R32)
    pub const HUB: &str = "m.room.hub";
    /// `m.room.redaction` (reading R31)
    pub const REDACTION: &str = "m.room.redaction";
    /// `m.mls.commit`
    pub const MLS_COMMIT: &str = "m.mls.commit";
    /// `m.room.encrypted`
    pub const ENCRYPTED: &str = "m.room.encrypted";
}

#[cfg(test)]
mod tests;
