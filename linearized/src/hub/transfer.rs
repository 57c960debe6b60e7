//! Changing a room's hub, in room versions that allow it (reading R32, `docs/hub-transfer.md`).
//!
//! ```text
//! old hub      Hub::authorise -> Authorised::offer ------------------.
//! next hub                                   Participant::consent <--'--.
//! old hub      Authorised::consented <----------------------------------'
//!              -> Authorised::seal -> (store it) -> Hub::append -> Hub::hand_over
//! next hub     Participant::judge -> Participant::append -> Participant::take_over
//! ```
//!
//! The old hub's signature is the last one and is made only when the event is about to be stored at the head. Until
//! then nobody has an event that would do for a transfer, so an offer that comes to nothing cannot fork the list.

use serde_json::{Value, json};

use super::proposal::Consent;
use super::seal::place;
use super::{Authorised, Hub, ReplayError};
use crate::event::Recorded;
use crate::id::{EventId, ServerName};
use crate::json::canonical;
use crate::participant::Participant;
use crate::room::{Effect, Room};
use crate::signing::{KeyRing, SignatureError, verified_entry};
use crate::version::RoomVersion;

impl Authorised {
    /// The server whose consent is needed before the event can be sealed: that which it makes the hub.
    #[must_use]
    pub fn asks(&self) -> Option<&ServerName> {
        match &self.consent {
            Consent::Needed(server) => Some(server),
            Consent::NotNeeded | Consent::Given(..) => None,
        }
    }

    /// The event as it will be, without this server's signature, for the server that is asked to consent to. It serves
    /// for that and nothing else: not being sealed, it is no event of the room.
    #[must_use]
    pub fn offer(&self, version: &RoomVersion) -> Vec<u8> {
        let mut event = self.proposal.event.clone();
        let prev_events: Vec<EventId> = self.after.iter().map(|head| head.event_id.clone()).collect();
        place(&mut event, &self.auth_events, &prev_events, version);
        let mut object = event.as_object().clone();
        object.entry("signatures").or_insert_with(|| json!({}));
        canonical::object_to_vec(&object)
    }

    /// Takes the consent of the server that was asked: what it wants to stand under its name in `signatures`.
    ///
    /// # Errors
    /// [`SignatureError`] if that is no signature of this very event.
    pub fn consented(
        self,
        entry: &Value,
        keys: &impl KeyRing,
        version: &RoomVersion,
    ) -> Result<Self, SignatureError> {
        let Consent::Needed(server) = &self.consent else { return Ok(self) };
        let server = server.clone();
        let prev_events: Vec<EventId> = self.after.iter().map(|head| head.event_id.clone()).collect();
        let mut placed = self.proposal.event.clone();
        let signing_bytes = place(&mut placed, &self.auth_events, &prev_events, version);
        let entry = verified_entry(entry, &server, keys, placed.origin_server_ts(), &signing_bytes)?;
        Ok(Self { consent: Consent::Given(server, entry), ..self })
    }
}

impl Hub {
    /// Becomes a participant, if the list says that another server is the hub.
    ///
    /// # Errors
    /// The hub as it was, if this server still is the hub.
    pub fn hand_over(self) -> Result<Participant, Box<Self>> {
        match self.is_still_hub() {
            Ok(()) => Err(Box::new(self)),
            Err(_) => Ok(Participant::new(self.room)),
        }
    }
}

/// A room in the role that this server has in it at this point of the list.
#[derive(Debug)]
pub enum Role {
    /// This server is the hub.
    Hub(Hub),
    /// Another server is.
    Participant(Participant),
}

impl Role {
    /// The room.
    #[must_use]
    pub fn room(&self) -> &Room {
        match self {
            Self::Hub(hub) => hub.room(),
            Self::Participant(participant) => participant.room(),
        }
    }

    /// The role that the list gives this server, `name`: to be called after an event that changed the hub.
    #[must_use]
    pub fn settled(self, name: &ServerName) -> Self {
        match self {
            Self::Hub(hub) => match hub.hand_over() {
                Ok(participant) => Self::Participant(participant),
                Err(hub) => Self::Hub(*hub),
            },
            Self::Participant(participant) => match participant.take_over(name) {
                Ok(hub) => Self::Hub(hub),
                Err(participant) => Self::Participant(*participant),
            },
        }
    }

    /// Appends a recorded event when a room is read back, and changes the role where the event does.
    ///
    /// # Errors
    /// [`ReplayError`] if the event does not follow the head, or its commit the group.
    pub fn replay(
        mut self,
        recorded: Recorded,
        effect: Effect,
        follow_commit: bool,
        name: &ServerName,
    ) -> Result<Self, ReplayError> {
        match &mut self {
            Self::Hub(hub) => hub.replay(recorded, follow_commit)?,
            Self::Participant(participant) => participant.replay(recorded, effect, follow_commit)?,
        }
        Ok(self.settled(name))
    }
}

#[cfg(test)]
mod exploration;
#[cfg(test)]
mod tests;
