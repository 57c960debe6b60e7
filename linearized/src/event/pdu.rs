//! PDUs: events with a place in a room (LM-04 §3.5).

use std::sync::Arc;

use super::fields::Share;
use super::hash::{self, is_hash};
use super::shape::{self, ShapeError};
use super::{Event, lpdu, redact};
use crate::id::{EventId, RoomId, ServerName};
use crate::json::{Object, canonical, strict};
use crate::signing::{KeyRing, SignatureError, check_entity};
use crate::version::{Hashing, HubSelection, RedactionRules, RoomVersion};

/// An event with its place: what comes before it, what allows it, its id, and its canonical bytes.
#[derive(Debug, Clone)]
pub struct RoomEvent {
    event: Event,
    id: EventId,
    auth_events: Vec<EventId>,
    prev_events: Vec<EventId>,
    lpdu_id: Option<EventId>,
    bytes: Arc<[u8]>,
}

impl RoomEvent {
    /// Its fields.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// Its id (LM-04 §3.5).
    #[must_use]
    pub fn id(&self) -> &EventId {
        &self.id
    }

    /// The same event as faulty rules read it.
    #[cfg(feature = "mutants")]
    pub(crate) fn with_content(&self, change: impl FnOnce(&mut Object)) -> Self {
        let mut changed = self.clone();
        changed.event.body.change(|event| {
            if let Some(content) = event.get_mut("content").and_then(serde_json::Value::as_object_mut) {
                change(content);
            }
        });
        changed
    }

    /// The state events that allow it (LM-04 §5.2.1).
    #[must_use]
    pub fn auth_events(&self) -> &[EventId] {
        &self.auth_events
    }

    /// The events it follows: in a Linearized Matrix room exactly one, and none for `m.room.create`.
    #[must_use]
    pub fn prev_events(&self) -> &[EventId] {
        &self.prev_events
    }

    /// The id of the LPDU that its hub made it of, if its sender's server is another one.
    #[must_use]
    pub fn lpdu_id(&self) -> Option<&EventId> {
        self.lpdu_id.as_ref()
    }

    /// What tells that LPDU apart from others of the room: two events with the same key were made of the same LPDU. It is
    /// the LPDU's id where that covers its contents (reading R14). `None` if there is no LPDU, or if the event does not
    /// show which of several it was, because its contents were taken away.
    #[must_use]
    pub fn lpdu_key(&self, version: &RoomVersion) -> Option<EventId> {
        let id = self.lpdu_id.as_ref()?;
        let told = version.hashing.covers_lpdu() || is_intact(&self.event, version.hashing);
        told.then(|| lpdu::key(id, &self.event, version.hashing))
    }

    /// Its canonical JSON, signatures included.
    #[must_use]
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// The slot that it fills: its type and state key. `None` if it is no state event.
    #[must_use]
    pub fn slot(&self) -> Option<(&str, &str)> {
        Some((self.event.kind(), self.event.state_key()?))
    }

    /// The same event in less memory: its object stays in its canonical JSON until somebody asks for it, and names that
    /// other events have too are shared with them.
    pub(crate) fn compact(&self, room_id: &RoomId, share: &dyn Share) -> Self {
        let ids = |ids: &[EventId]| ids.iter().map(|id| share.event_id(id)).collect();
        Self {
            event: self.event.compact(&self.bytes, room_id, share),
            id: self.id.clone(),
            auth_events: ids(&self.auth_events),
            prev_events: ids(&self.prev_events),
            lpdu_id: self.lpdu_id.clone(),
            bytes: Arc::clone(&self.bytes),
        }
    }

    /// Whether its object is in memory beside its canonical JSON.
    #[cfg(test)]
    pub(crate) fn is_parsed(&self) -> bool {
        self.event.body.is_parsed()
    }

    pub(super) fn from_record(bytes: &[u8], version: &RoomVersion) -> Result<Self, ShapeError> {
        Pdu::parse(bytes, version).map(|pdu| pdu.event)
    }

    /// Assembles an event whose parts were made here.
    pub(crate) fn assemble(
        event: Event,
        id: EventId,
        auth_events: Vec<EventId>,
        prev_events: Vec<EventId>,
        lpdu_id: Option<EventId>,
    ) -> Self {
        let bytes = canonical::object_to_vec(event.as_object()).into();
        Self { event, id, auth_events, prev_events, lpdu_id, bytes }
    }

    /// The event without what redaction takes away (LM-04 §8). Its id and its place stay the same.
    #[must_use]
    pub fn redacted(&self, rules: &RedactionRules) -> Self {
        let mut redacted = self.clone();
        redacted.event.body.change(|object| redact(object, rules));
        redacted.bytes = canonical::object_to_vec(redacted.event.as_object()).into();
        redacted
    }

    /// Puts a server's signatures beside the others. Its id stays the same (LM-04 §9.2).
    pub(crate) fn set_signature(&mut self, server: &ServerName, entry: serde_json::Value) {
        self.event.set_signature(server, entry);
        self.bytes = canonical::object_to_vec(self.event.as_object()).into();
    }
}

/// How an event's contents relate to its hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integrity {
    /// Every content hash matched.
    Intact,
    /// A content hash did not match: this is the redacted copy (LM-04 §5.1 step 3).
    Redacted,
}

/// A PDU of the right shape. Nothing is known of who made it.
#[derive(Debug)]
pub struct Pdu {
    event: RoomEvent,
    signing_bytes: Vec<u8>,
    /// What the sender's server signed, where that is not the whole PDU.
    lpdu_signing_bytes: Option<Vec<u8>>,
    /// The next hub, whose consent the event needs beside the signatures of sender and hub.
    consenting: Option<ServerName>,
    rules: RedactionRules,
    hashing: Hashing,
}

/// A PDU that was signed by everybody who had to (LM-04 §5.1 steps 2 and 3).
#[derive(Debug, Clone)]
pub struct VerifiedPdu {
    event: RoomEvent,
    integrity: Integrity,
    objection: Option<SignatureError>,
}

impl Pdu {
    /// Reads a PDU (LM-04 §5.1 step 1).
    ///
    /// # Errors
    /// [`ShapeError`]: the event is to be dropped.
    pub fn parse(bytes: &[u8], version: &RoomVersion) -> Result<Self, ShapeError> {
        match strict::parse(bytes)? {
            serde_json::Value::Object(object) => Self::from_object(object, version),
            _ => Err(ShapeError::NotAnObject),
        }
    }

    /// Checks the shape of a PDU that was read already (LM-04 §5.1 step 1).
    ///
    /// # Errors
    /// [`ShapeError`]: the event is to be dropped.
    pub fn from_object(object: Object, version: &RoomVersion) -> Result<Self, ShapeError> {
        let unsigned = object.contains_key("unsigned");
        let mut bytes = canonical::object_to_vec(&object);
        shape::event_fits(bytes.len(), &version.limits)?;
        let auth_events = shape::event_ids(&object, "auth_events")?;
        let prev_events = shape::event_ids(&object, "prev_events")?;
        let event = Event::check(object, version)?;
        if unsigned {
            bytes = canonical::object_to_vec(event.as_object());
        }
        let hashes = shape::hashes(event.as_object())?;
        if hashes.sha256.is_none() {
            return Err(ShapeError::Missing("hashes.sha256"));
        }
        match (version.hashing, event.hub_server(), hashes.lpdu_sha256) {
            (Hashing::Sha256WithLpdu, Some(_), None) => return Err(ShapeError::Missing("hashes.lpdu")),
            (Hashing::Sha256WithLpdu, None, Some(_)) => return Err(ShapeError::LpduHashWithoutHub),
            (Hashing::Sha256, _, Some(_)) => return Err(ShapeError::LpduHashUnknown),
            _ => {}
        }
        shape::signatures(event.as_object())?;
        let rules = version.redaction;
        let signing_bytes = hash::signing_bytes(event.as_object(), &rules);
        let id = EventId::from_reference_hash(&hash::sha256(&signing_bytes));
        // A hub's own event is signed once, over the whole (reading R04).
        let sealed = event.hub_server().is_some_and(|hub| hub != event.sender_server());
        let lpdu_signing_bytes = sealed.then(|| hash::lpdu_signing_bytes(event.as_object(), &rules));
        let lpdu_id =
            lpdu_signing_bytes.as_deref().map(|bytes| EventId::from_reference_hash(&hash::sha256(bytes)));
        let consenting = needs_consent(&event, version);
        let event = RoomEvent { event, id, auth_events, prev_events, lpdu_id, bytes: bytes.into() };
        let (rules, hashing) = (version.redaction, version.hashing);
        Ok(Self { event, signing_bytes, lpdu_signing_bytes, consenting, rules, hashing })
    }

    /// The event, unverified.
    #[must_use]
    pub fn event(&self) -> &RoomEvent {
        &self.event
    }

    /// The server that the event makes the hub, and whose consent it needs (reading R32).
    #[must_use]
    pub fn asks(&self) -> Option<&ServerName> {
        self.consenting.as_ref()
    }

    /// The servers whose keys [`Self::verify`] needs.
    pub fn signers(&self) -> impl Iterator<Item = &ServerName> {
        let event = self.event.event();
        let hub = event.hub_server().filter(|hub| *hub != event.sender_server());
        let next =
            self.consenting.as_ref().filter(|next| *next != event.sender_server() && Some(*next) != hub);
        std::iter::once(event.sender_server()).chain(hub).chain(next)
    }

    /// Checks every signature and hash that counts (LM-04 §5.1 steps 2 and 3, readings R04 and R05).
    ///
    /// # Errors
    /// [`SignatureError`]: the event is to be dropped. A hash that does not match is no error: the event goes on
    /// redacted.
    pub fn verify(self, keys: &impl KeyRing) -> Result<VerifiedPdu, SignatureError> {
        let event = &self.event.event;
        let signatures = event.as_object().get("signatures");
        let at = event.origin_server_ts();
        if let Some(hub) = event.hub_server() {
            check_entity(signatures, hub, keys, at, &self.signing_bytes)?;
        }
        match (&self.lpdu_signing_bytes, event.hub_server()) {
            (Some(lpdu), _) => check_entity(signatures, event.sender_server(), keys, at, lpdu)?,
            (None, None) => check_entity(signatures, event.sender_server(), keys, at, &self.signing_bytes)?,
            (None, Some(_)) => {}
        }
        // Without the next hub's consent the event is a sound one that breaks a rule (reading R32).
        let objection = self.consenting.as_ref().and_then(|server| self.check_signature(server, keys).err());
        Ok(VerifiedPdu { objection, ..self.settle() })
    }

    /// Checks one server's signatures over the whole PDU, and nobody else's.
    pub(crate) fn check_signature(
        &self,
        server: &ServerName,
        keys: &impl KeyRing,
    ) -> Result<(), SignatureError> {
        let event = &self.event.event;
        let signatures = event.as_object().get("signatures");
        check_entity(signatures, server, keys, event.origin_server_ts(), &self.signing_bytes)
    }

    /// The copy that counts: redacted if a content hash does not match (LM-04 §5.1 step 3).
    pub(crate) fn settle(self) -> VerifiedPdu {
        let Self { event: mut room_event, rules, hashing, .. } = self;
        let integrity =
            if is_intact(&room_event.event, hashing) { Integrity::Intact } else { Integrity::Redacted };
        if integrity == Integrity::Redacted {
            room_event.event.body.change(|object| redact(object, &rules));
            room_event.bytes = canonical::object_to_vec(room_event.event.as_object()).into();
        }
        VerifiedPdu { event: room_event, integrity, objection: None }
    }

    /// Checks an event that its hub offers for consent and has not sealed yet: the sender's signature, if the sender
    /// is another server's, and the content hashes. Returns the event and the bytes to sign.
    pub(crate) fn verify_offer(
        self,
        keys: &impl KeyRing,
    ) -> Result<Option<(RoomEvent, Vec<u8>)>, SignatureError> {
        let Self { event: room_event, signing_bytes, lpdu_signing_bytes, hashing, .. } = self;
        let event = &room_event.event;
        if let Some(lpdu) = lpdu_signing_bytes {
            let (signatures, at) = (event.as_object().get("signatures"), event.origin_server_ts());
            check_entity(signatures, event.sender_server(), keys, at, &lpdu)?;
        }
        Ok(is_intact(event, hashing).then_some((room_event, signing_bytes)))
    }
}

/// The server whose consent an event needs, as a signature of the whole event: that which it names as the next hub
/// (reading R32).
pub(crate) fn needs_consent(event: &Event, version: &RoomVersion) -> Option<ServerName> {
    match version.hub_selection {
        HubSelection::Creator => None,
        HubSelection::StateEvent => event.next_hub(),
    }
}

/// Whether every content hash matches (LM-04 §5.1 step 3).
fn is_intact(event: &Event, hashing: Hashing) -> bool {
    let object = event.as_object();
    let Some(hashes) = object.get("hashes") else { return false };
    let matches = |claimed: Option<&serde_json::Value>, hash| {
        claimed.and_then(serde_json::Value::as_str).is_some_and(|claimed| is_hash(claimed, &hash))
    };
    matches(hashes.get("sha256"), hash::pdu_content_hash(object))
        && (!hashing.covers_lpdu()
            || event.hub_server().is_none()
            || matches(
                hashes.get("lpdu").and_then(|lpdu| lpdu.get("sha256")),
                hash::lpdu_content_hash(object),
            ))
}

impl VerifiedPdu {
    /// The event.
    #[must_use]
    pub fn event(&self) -> &RoomEvent {
        &self.event
    }

    /// Whether its contents are what was hashed.
    #[must_use]
    pub fn integrity(&self) -> Integrity {
        self.integrity
    }

    /// Why the server that the event names as the next hub has not consented to that; `None` for other events
    /// (reading R32).
    #[must_use]
    pub fn objection(&self) -> Option<&SignatureError> {
        self.objection.as_ref()
    }

    /// Gives up the stage and returns the event.
    #[must_use]
    pub fn into_event(self) -> RoomEvent {
        self.event
    }
}
