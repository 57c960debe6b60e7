//! Linearized PDUs: events on their way from a participant to the hub (LM-04 §3.5.1).

use super::hash::{self, is_hash};
use super::shape::{self, ShapeError};
use super::{Event, redact};
use crate::id::{EventId, ServerName};
use crate::json::{Object, canonical, strict};
use crate::signing::{KeyRing, SignatureError, check_entity};
use crate::version::{Hashing, RedactionRules, RoomVersion};

/// An LPDU of the right shape. Nothing is known of who made it.
#[derive(Debug)]
pub struct Lpdu {
    event: Event,
    id: EventId,
    signing_bytes: Vec<u8>,
    rules: RedactionRules,
    hashing: Hashing,
}

/// An LPDU that its sender's server has signed. If its content hash did not match, it is the redacted copy
/// (LM-04 §5.1 step 3).
#[derive(Debug)]
pub struct VerifiedLpdu {
    pub(crate) event: Event,
    pub(crate) id: EventId,
    redacted: bool,
}

impl Lpdu {
    /// Reads an LPDU (LM-04 §5.1 step 1).
    ///
    /// # Errors
    /// [`ShapeError`]: the event is to be dropped.
    pub fn parse(bytes: &[u8], version: &RoomVersion) -> Result<Self, ShapeError> {
        match strict::parse(bytes)? {
            serde_json::Value::Object(object) => Self::from_object(object, version),
            _ => Err(ShapeError::NotAnObject),
        }
    }

    /// Checks the shape of an LPDU that was read already (LM-04 §5.1 step 1).
    ///
    /// # Errors
    /// [`ShapeError`]: the event is to be dropped.
    pub fn from_object(object: Object, version: &RoomVersion) -> Result<Self, ShapeError> {
        shape::event_fits(canonical::object_to_vec(&object).len(), &version.limits)?;
        if let Some(field) =
            ["auth_events", "prev_events"].into_iter().find(|field| object.contains_key(*field))
        {
            return Err(ShapeError::NotAnLpdu(field));
        }
        let event = Event::check(object, version)?;
        match version.hashing {
            Hashing::Sha256WithLpdu => {
                let hashes = shape::hashes(event.as_object())?;
                if let Some(extra) = hashes.other.or(hashes.sha256.and(Some("sha256"))) {
                    return Err(ShapeError::LpduExtraHash(extra.to_owned()));
                }
                if hashes.lpdu_sha256.is_none() {
                    return Err(ShapeError::Missing("hashes.lpdu"));
                }
            }
            Hashing::Sha256 if event.as_object().contains_key("hashes") => {
                return Err(ShapeError::LpduHashed);
            }
            Hashing::Sha256 => {}
        }
        shape::signatures(event.as_object())?;
        let signing_bytes = hash::signing_bytes(event.as_object(), &version.redaction);
        let id = EventId::from_reference_hash(&hash::sha256(&signing_bytes));
        Ok(Self { event, id, signing_bytes, rules: version.redaction, hashing: version.hashing })
    }

    /// Its fields.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The id it is known by until the hub makes a PDU of it: the reference hash of the LPDU as received
    /// (reading R20).
    #[must_use]
    pub fn id(&self) -> &EventId {
        &self.id
    }

    /// The servers whose keys [`Self::verify`] needs, each with the key ids that the event names.
    pub fn signers(&self) -> impl Iterator<Item = &ServerName> {
        std::iter::once(self.event.sender_server())
    }

    /// Checks the sender's server's signature and the LPDU's content hash, if it has one (LM-04 §5.1 steps 2 and 3).
    ///
    /// # Errors
    /// [`SignatureError`]: the event is to be dropped. A hash that does not match is no error: the event goes on
    /// redacted (reading R05).
    pub fn verify(self, keys: &impl KeyRing) -> Result<VerifiedLpdu, SignatureError> {
        let Self { mut event, id, signing_bytes, rules, hashing } = self;
        check_entity(
            event.as_object().get("signatures"),
            event.sender_server(),
            keys,
            event.origin_server_ts(),
            &signing_bytes,
        )?;
        let intact = !hashing.covers_lpdu() || is_intact(&event);
        if !intact {
            event.body.change(|object| redact(object, &rules));
        }
        Ok(VerifiedLpdu { event, id, redacted: !intact })
    }
}

/// What tells an LPDU apart from others of its room: its id where that covers its contents, and else a hash of them.
/// Without a hash in the LPDU, two messages of one user in one millisecond have the same id.
pub(crate) fn key(id: &EventId, event: &Event, hashing: Hashing) -> EventId {
    if hashing.covers_lpdu() {
        return id.clone();
    }
    EventId::from_reference_hash(&hash::lpdu_content_hash(event.as_object()))
}

/// Whether the LPDU's content hash matches (LM-04 §5.1 step 3).
fn is_intact(event: &Event) -> bool {
    let hash = hash::lpdu_content_hash(event.as_object());
    let hashes = event.as_object().get("hashes");
    let claimed = hashes.and_then(|hashes| hashes.get("lpdu")?.get("sha256")?.as_str());
    claimed.is_some_and(|claimed| is_hash(claimed, &hash))
}

impl VerifiedLpdu {
    /// Its fields.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The id it is known by until the hub makes a PDU of it.
    #[must_use]
    pub fn id(&self) -> &EventId {
        &self.id
    }

    /// Whether its content hash did not match, so that this is the redacted copy.
    #[must_use]
    pub fn is_redacted(&self) -> bool {
        self.redacted
    }
}
