//! Evidence: documents that prove to anybody that a hub misbehaved (readings R11, R13 and R14).
//!
//! A hub signs every event that it seals, and an event's id is a hash that covers its place, what it cites and all
//! content that authorization looks at. What follows from such signatures can be shown to somebody who trusts neither
//! side: [`Evidence`] holds the documents, and [`Evidence::verify`] needs the hub's public keys and nothing else.
//!
//! # What can be proved
//!
//! | claim | what the hub signed | rule |
//! |---|---|---|
//! | [`Claim::Fork`] | two events that follow the same one, or two beginnings of a room | R13 |
//! | [`Claim::SealedTwice`] | two events made of one LPDU | R14 |
//! | [`Claim::Forbidden`] | an event that the events it cites do not allow, that cites what it may not, or that does not follow exactly one event | the rule |
//! | [`Claim::IgnoredState`] | an event that does not cite the state that the list before it made | 4.2 |
//!
//! Two lists of one room that are not the same differ somewhere first, and there two events follow the same one. So
//! whatever a hub does to its list after the fact (leaving events out, putting others in, changing their order, telling
//! two servers two stories) is a fork, once both lists are in one pair of hands. What a hub seals, the events of its
//! own users included, follows one event: one that follows several is forbidden by itself (reading R13).
//!
//! # What cannot be proved
//!
//! - *That an event was withheld.* Answers are not signed, and silence leaves no trace. An event whose `prev_events`
//!   names one that nobody can get shows that the hub has it, not that it refused it. Nor does a hub sign that it
//!   refuses an LPDU.
//! - *That an event was served with other contents.* Signatures and ids cover contents through a hash, so a copy with
//!   other contents has the same valid signature, whoever changed it. Receivers redact it, and it accuses nobody.
//! - *That the hub changed an event before it sealed it.* The hub's hash is then of contents that the sender's server
//!   did not hash. But the same comes of a hub that hashes what it got before it redacts it, which is acceptable
//!   (reading R05): what it then sends is redacted, and the sender, who has the contents, can put them back into the
//!   event without spoiling a signature.
//! - *That a signature of the sender is missing or wrong.* `signatures` is covered by nothing: whoever passes the event
//!   on can spoil it.
//! - *That an event came through the wrong hub.* The one that passed it on has not signed it.
//! - *That a commit does not fit its MLS group.* That would take the whole group.
//! - *That a knock was refused or let through against the join rule*, unless it cites the join rules, which it need not
//!   (reading R11).
//! - *That an LPDU was sealed twice, in a room version whose LPDUs have no hash*, unless both events are whole and have
//!   the same contents. Without the hash, two messages of one user in one millisecond have the same LPDU id.
//! - *That the hub put an event of the event graph where it does not belong*: what has no `hub_server` and comes from
//!   another server's user the hub has not signed, and it may follow several events (reading R10).
//! - *Anything in a room whose hub can change* (reading R32): one hub's signatures do not show whose a place was.
//!
//! # Invites are not in the list until something follows them
//!
//! A hub seals an invite before it asks the invited user's server for its signature (LM-04 §12.7.2), and seals it anew
//! if the room has moved on meanwhile. An honest hub has then signed two events of one LPDU, and two that follow the same
//! one. Therefore a fork and a double sealing count an invite to another server only with an event by the hub that
//! follows it: a hub goes on from nothing that is not in its list.
//!
//! Evidence shows what was done, not why. A hub that was restored from an old copy of its list forks it as well.

mod accuse;
mod proof;
mod proved;

use serde_json::{Value, json};

pub use accuse::{Accusation, Excerpt, Need, Unprovable};
pub(super) use proof::is_tentative;
pub use proved::{EvidenceError, Fault, Proved};

use crate::event::RoomEvent;
use crate::json::strict::{self, JsonError};
use crate::json::{Object, canonical};

/// The `kind` of a document that holds evidence.
pub const KIND: &str = "mimi.evidence";
/// The only `format` that is read, and the one that is written.
pub const FORMAT: i64 = 1;

/// What is held against a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Claim {
    /// It sealed two events that follow the same one.
    Fork,
    /// It sealed one LPDU as two events.
    SealedTwice,
    /// It sealed an event that what it cites does not allow.
    Forbidden,
    /// It sealed an event that passes over the state before it.
    IgnoredState,
}

impl Claim {
    /// Every claim.
    pub const ALL: [Self; 4] = [Self::Fork, Self::SealedTwice, Self::Forbidden, Self::IgnoredState];

    /// Its name in a document.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::SealedTwice => "sealed_twice",
            Self::Forbidden => "forbidden",
            Self::IgnoredState => "ignored_state",
        }
    }
}

/// Why a document is no evidence at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// Not JSON, or JSON that readers would disagree on.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Not a JSON object with the right `kind`.
    #[error("evidence is a JSON object whose `kind` is {KIND:?}")]
    Kind,
    /// Of another format than the one that is known.
    #[error("evidence of `format` {FORMAT} is read, and no other")]
    Format,
    /// A claim that is not known.
    #[error("`claim` is none of those that are known")]
    Claim,
    /// A field that is missing or malformed.
    #[error("`{0}` is missing or malformed")]
    Field(&'static str),
}

/// The documents that show that a hub misbehaved. What they show is found out by [`Self::verify`].
///
/// As JSON: `kind` and `format`, the `claim`, the room's `create` event, the `events` that the claim is about, and the
/// events that `support` it. All are whole events as the hub sealed them; those that are larger than need be may be
/// redacted (not those of `sealed_twice` where LPDUs have no hash).
///
/// | `claim` | `events` | `support` |
/// |---|---|---|
/// | `fork` | the two | an event after each that is an invite to another server |
/// | `sealed_twice` | the two | likewise |
/// | `forbidden` | the one | everything that it cites |
/// | `ignored_state` | the one | the list from the state event on to just before it |
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    claim: Claim,
    create: Object,
    events: Vec<Object>,
    support: Vec<Object>,
}

impl Evidence {
    /// The claim that a hub sealed two events that follow the same one. `listed` holds an event that follows each of
    /// them that is an invite to another server.
    pub fn fork<'e>(
        create: &RoomEvent,
        one: &RoomEvent,
        other: &RoomEvent,
        listed: impl IntoIterator<Item = &'e RoomEvent>,
    ) -> Self {
        Self::new(Claim::Fork, create, [one, other], listed)
    }

    /// The claim that a hub sealed one LPDU as two events. `listed` is as for [`Self::fork`].
    pub fn sealed_twice<'e>(
        create: &RoomEvent,
        one: &RoomEvent,
        other: &RoomEvent,
        listed: impl IntoIterator<Item = &'e RoomEvent>,
    ) -> Self {
        Self::new(Claim::SealedTwice, create, [one, other], listed)
    }

    /// The claim that an event is not allowed by what it cites. `cited` are the events that it cites, all of them.
    pub fn forbidden<'e>(
        create: &RoomEvent,
        event: &RoomEvent,
        cited: impl IntoIterator<Item = &'e RoomEvent>,
    ) -> Self {
        Self::new(Claim::Forbidden, create, [event], cited)
    }

    /// The claim that an event does not cite the state before it. `path` is a part of the list, in order: from the state
    /// event that should be cited to the one that `event` follows.
    pub fn ignored_state<'e>(
        create: &RoomEvent,
        event: &RoomEvent,
        path: impl IntoIterator<Item = &'e RoomEvent>,
    ) -> Self {
        Self::new(Claim::IgnoredState, create, [event], path)
    }

    fn new<'e, 's>(
        claim: Claim,
        create: &RoomEvent,
        events: impl IntoIterator<Item = &'e RoomEvent>,
        support: impl IntoIterator<Item = &'s RoomEvent>,
    ) -> Self {
        let object = |event: &RoomEvent| event.event().as_object().clone();
        Self {
            claim,
            create: object(create),
            events: events.into_iter().map(object).collect(),
            support: support.into_iter().map(object).collect(),
        }
    }

    /// What is claimed.
    #[must_use]
    pub fn claim(&self) -> Claim {
        self.claim
    }

    /// The events that it is about.
    #[must_use]
    pub fn events(&self) -> &[Object] {
        &self.events
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`DocumentError`] if it is none. Nothing is said of its being true.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        Self::from_json(strict::parse(bytes)?)
    }

    /// Reads a document that is JSON already.
    ///
    /// # Errors
    /// [`DocumentError`] if it is none.
    pub fn from_json(value: Value) -> Result<Self, DocumentError> {
        let Value::Object(mut object) = value else { return Err(DocumentError::Kind) };
        if object.get("kind").and_then(Value::as_str) != Some(KIND) {
            return Err(DocumentError::Kind);
        }
        if object.get("format").and_then(Value::as_i64) != Some(FORMAT) {
            return Err(DocumentError::Format);
        }
        let claim = object.get("claim").and_then(Value::as_str).ok_or(DocumentError::Claim)?;
        let claim =
            Claim::ALL.into_iter().find(|known| known.as_str() == claim).ok_or(DocumentError::Claim)?;
        let Some(Value::Object(create)) = object.remove("create") else {
            return Err(DocumentError::Field("create"));
        };
        let mut list = |field: &'static str| match object.remove(field) {
            Some(Value::Array(elements)) => elements
                .into_iter()
                .map(|element| match element {
                    Value::Object(event) => Ok(event),
                    _ => Err(DocumentError::Field(field)),
                })
                .collect::<Result<Vec<_>, _>>(),
            _ => Err(DocumentError::Field(field)),
        };
        Ok(Self { claim, create, events: list("events")?, support: list("support")? })
    }

    /// The document.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "kind": KIND,
            "format": FORMAT,
            "claim": self.claim.as_str(),
            "create": self.create,
            "events": self.events,
            "support": self.support,
        })
    }

    /// The document as canonical JSON.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        canonical::to_vec(&self.to_json())
    }
}

#[cfg(test)]
mod tests;
