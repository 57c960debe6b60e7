//! The next hub's part of a transfer: consenting to it, and taking the room over (reading R32).

use serde_json::Value;

use super::Participant;
use crate::auth::Refusal;
use crate::event::{Pdu, ShapeError};
use crate::hub::Hub;
use crate::id::{EventId, ServerName};
use crate::signing::{KeyRing, SignatureError, SigningKey, signature_entry};

/// Why this server does not consent to become a room's hub.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// The offer is no event.
    #[error("the offer is no event: {0}")]
    Shape(#[from] ShapeError),
    /// The sender's server has not signed what is offered.
    #[error("the offer is not the sender's: {0}")]
    Signature(#[from] SignatureError),
    /// A content hash does not match.
    #[error("the offer's content is not what was hashed")]
    Altered,
    /// The offer is for another room.
    #[error("the offer is for another room")]
    OtherRoom,
    /// The offer does not ask this server.
    #[error("the offer does not ask for the consent of {0}")]
    NotAsked(ServerName),
    /// This server does not have the list up to the offer yet, or the list has gone on without it.
    #[error("the offer follows {0:?}, which is not the head of the list here")]
    OtherHead(Vec<EventId>),
    /// The room is encrypted, and this server does not know its group: it came later and has seen no commit since.
    #[error("the room's MLS group is not known here, so that no commit could be judged")]
    UnknownGroup,
    /// A rule refuses the transfer.
    #[error("the transfer is not allowed: {0}")]
    Refused(#[from] Refusal),
}

impl Participant {
    /// Consents to an offer of the room's hub: an event that makes this server, `name`, the hub. Returns the entry for
    /// `signatures` that the hub needs to seal the event. Nothing changes here, and the offer comes to nothing unless
    /// the hub seals it: the hub's signature is the last one.
    ///
    /// Whoever embeds this takes offers from the room's hub alone, and makes sure first that it has as much of the
    /// room's history as it wants to serve.
    ///
    /// # Errors
    /// [`OfferError`]. Above all, this server has the whole list up to the offer, so that it can go on from there.
    pub fn consent(
        &self,
        offer: &[u8],
        name: &ServerName,
        key: &SigningKey,
        keys: &impl KeyRing,
    ) -> Result<Value, OfferError> {
        let pdu = Pdu::parse(offer, self.room.version())?;
        if pdu.asks() != Some(name) {
            return Err(OfferError::NotAsked(name.clone()));
        }
        let (event, signing_bytes) = pdu.verify_offer(keys)?.ok_or(OfferError::Altered)?;
        if event.event().room_id() != self.room.id() {
            return Err(OfferError::OtherRoom);
        }
        if event.prev_events() != std::slice::from_ref(&self.room.head().event_id) {
            return Err(OfferError::OtherHead(event.prev_events().to_vec()));
        }
        if !self.room.knows_its_group() {
            return Err(OfferError::UnknownGroup);
        }
        self.allow_next(&event)?;
        Ok(signature_entry(key.id().as_str(), &key.sign(&signing_bytes)))
    }

    /// Becomes the room's hub, if the list says that this server, `name`, is it.
    ///
    /// # Errors
    /// The participant as it was, if another server is the hub.
    pub fn take_over(self, name: &ServerName) -> Result<Hub, Box<Self>> {
        if self.room.hub() == name { Ok(Hub::of(self.room)) } else { Err(Box::new(self)) }
    }
}
