//! Making a PDU: what the hub adds to an event (LM-04 §5.1, §6.1, §9.1).

use serde_json::Value;

use super::proposal::Consent;
use super::{Authorised, Proposal};
use crate::auth::{Because, HubRule, Refusal, RoomRule};
use crate::encryption::StagedCommit;
use crate::event::{Event, RoomEvent, hash};
use crate::id::{EventId, ServerName};
use crate::room::Head;
use crate::signing::{KeyRing, SignatureError, SigningKey, signature_entry, verified_entry};
use crate::version::RoomVersion;

/// What is kept free for the target server's signature on an invite, in bytes (reading R23).
pub const INVITE_RESERVE: usize = 1_024;

/// A whole event, hashed and signed by the hub, not yet in the room's list.
#[derive(Debug)]
pub struct Sealed {
    pub(super) event: RoomEvent,
    pub(super) after: Option<Head>,
    pub(super) commit: Option<StagedCommit>,
    signing_bytes: Vec<u8>,
    limit: usize,
}

/// Why an event cannot be countersigned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CountersignError {
    /// The server has not signed this event: its fault.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The event would become too large.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Authorised {
    /// Adds the event's place, its content hash and the hub's signature. `reserve` bytes are kept free for signatures
    /// to come.
    ///
    /// # Errors
    /// [`Refusal`] if the event would be too large (LM-04 §3.5), or makes another server the hub that has not consented
    /// (reading R32).
    pub fn seal(
        self,
        hub: &ServerName,
        key: &SigningKey,
        version: &RoomVersion,
        reserve: usize,
    ) -> Result<Sealed, Refusal> {
        let Self { proposal: Proposal { mut event, lpdu_id }, after, auth_events, commit, consent, .. } =
            self;
        let prev_events: Vec<EventId> = after.iter().map(|head| head.event_id.clone()).collect();
        let signing_bytes = place(&mut event, &auth_events, &prev_events, version);
        match consent {
            Consent::NotNeeded => {}
            Consent::Needed(server) => {
                let because = Because::Signature(SignatureError::Missing(server));
                return Err(Refusal::new(HubRule::NoConsent, because));
            }
            Consent::Given(server, entry) => event.set_signature(&server, entry),
        }
        let id = EventId::from_reference_hash(&hash::sha256(&signing_bytes));
        event.set_signature(hub, signature_entry(key.id().as_str(), &key.sign(&signing_bytes)));
        let event = RoomEvent::assemble(event, id, auth_events, prev_events, lpdu_id);
        let limit = version.limits.event;
        check_size(&event, reserve, limit)?;
        Ok(Sealed { event, after, commit, signing_bytes, limit })
    }
}

impl Sealed {
    /// The event.
    #[must_use]
    pub fn event(&self) -> &RoomEvent {
        &self.event
    }

    /// The head it was made to follow; `None` for `m.room.create`.
    #[must_use]
    pub fn after(&self) -> Option<&Head> {
        self.after.as_ref()
    }

    /// Adds a server's signatures, as the target of an invite returns them (LM-04 §12.7.2.1), if they hold at `at`, in
    /// milliseconds since the Unix epoch. Nothing else of what that server returned is taken (reading R23), and the
    /// event's id stays the same. What stands under its name already is not replaced.
    ///
    /// # Errors
    /// [`CountersignError`] if the server has not signed this event, or the event would become too large.
    pub fn countersign(
        mut self,
        server: &ServerName,
        signatures: &Value,
        keys: &impl KeyRing,
        at: i64,
    ) -> Result<Self, CountersignError> {
        let entry = verified_entry(signatures, server, keys, at, &self.signing_bytes)?;
        let signed =
            |event: &Event| Some(event.as_object().get("signatures")?.get(server.as_str())?.is_object());
        if signed(self.event.event()).is_none() {
            self.event.set_signature(server, entry);
            check_size(&self.event, 0, self.limit)?;
        }
        Ok(self)
    }
}

/// Gives an event its place and its content hash. Returns the bytes to sign, which no signature changes.
pub(super) fn place(
    event: &mut Event,
    auth_events: &[EventId],
    prev_events: &[EventId],
    version: &RoomVersion,
) -> Vec<u8> {
    event.set_place(auth_events, prev_events);
    event.set_content_hash(&hash::pdu_content_hash(event.as_object()));
    hash::signing_bytes(event.as_object(), &version.redaction)
}

fn check_size(event: &RoomEvent, reserve: usize, limit: usize) -> Result<(), Refusal> {
    let bytes = event.bytes().len().saturating_add(reserve);
    if bytes > limit {
        return Err(Refusal::new(RoomRule::TooLarge, Because::Size { bytes, limit }));
    }
    Ok(())
}
