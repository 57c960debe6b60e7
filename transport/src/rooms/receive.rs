//! An entry of `pdus` (LM-04 §12.5.1).

use std::collections::BTreeSet;
use std::sync::Arc;

use mimi_linearized::auth::{Because, Refusal, RoomRule};
use mimi_linearized::event::{self, Incoming, Lpdu, Pdu, VerifiedPdu};
use mimi_linearized::hub::Proposal;
use mimi_linearized::id::{EventId, KeyId, ServerName};
use mimi_linearized::json::Object;

use super::hub::Provenance;
use super::others::ATTEMPTS;
use super::{Cell, Role, RoomError, settle};
use crate::node::Node;

/// What became of an entry.
#[derive(Debug)]
pub(crate) enum Received {
    /// It is in the room's list, now or since earlier.
    Accepted,
    /// It is ignored, and its sender is not told (LM-04 §5.1).
    Dropped(String),
    /// It is refused, and its sender is told under this id (LM-04 §12.5.1, reading R20).
    Rejected(EventId, Refusal),
    /// No rule of the room refuses it, but a policy of this server, the hub, does; its sender is told likewise (reading R50).
    Unwelcome(EventId, String),
}

impl Node {
    /// Takes an entry of a transaction through everything that applies to it.
    pub(crate) async fn receive(&self, object: Object, from: &Provenance) -> Result<Received, RoomError> {
        let id = |node: &Self| event::reference_id(&object, node.versions.default_version());
        let unknown = |because| Refusal::new(RoomRule::UnknownRoom, because);
        let Ok(room_id) = event::peek_room_id(&object) else {
            return Ok(Received::Rejected(id(self), unknown(Because::Field("room_id"))));
        };
        let Some(cell) = self.room(&room_id).await? else {
            return Ok(Received::Rejected(id(self), unknown(Because::Nothing)));
        };
        let Some(facts) = cell.facts().await else {
            return Ok(Received::Rejected(id(self), unknown(Because::Nothing)));
        };
        let is_hub = facts.hub == self.name;
        match (Incoming::from_object(object, &facts.version), is_hub) {
            (Err(error), _) => Ok(Received::Dropped(error.to_string())),
            (Ok(Incoming::Lpdu(lpdu)), true) => self.receive_lpdu(&cell, lpdu, from).await,
            (Ok(Incoming::Lpdu(_)), false) => Ok(Received::Dropped("this server is not the hub".to_owned())),
            (Ok(Incoming::Pdu(pdu)), true) => self.refuse_pdu(&pdu).await,
            (Ok(Incoming::Pdu(_)), false) if from.origin.as_ref() != Some(&facts.hub) => {
                Ok(Received::Dropped("only the hub sends events of this room".to_owned()))
            }
            (Ok(Incoming::Pdu(pdu)), false) => self.receive_pdu(&cell, pdu, from).await,
        }
    }

    /// An LPDU at the hub.
    async fn receive_lpdu(
        &self,
        cell: &Arc<Cell>,
        lpdu: Lpdu,
        from: &Provenance,
    ) -> Result<Received, RoomError> {
        let id = lpdu.id().clone();
        let proposal = match self.verify_lpdu(lpdu, from).await {
            Ok(proposal) => proposal,
            Err(error) => return Ok(Received::Dropped(error.to_string())),
        };
        match self.accept_into(cell, proposal, from).await {
            Ok(_) => Ok(Received::Accepted),
            Err(RoomError::Refused(refusal)) => Ok(Received::Rejected(id, refusal)),
            Err(error @ (RoomError::Forbidden(_) | RoomError::Outsider(_))) => {
                Ok(Received::Unwelcome(id, error.to_string()))
            }
            Err(error) => Err(error),
        }
    }

    /// A whole event at the hub: its own, or none of its business (reading R10).
    async fn refuse_pdu(&self, pdu: &Pdu) -> Result<Received, RoomError> {
        let id = pdu.event().id();
        if self.store.locate(id).await?.is_some() {
            return Ok(Received::Accepted);
        }
        Ok(Received::Rejected(id.clone(), Refusal::new(RoomRule::PduToHub, Because::Nothing)))
    }

    /// A PDU from the hub.
    async fn receive_pdu(
        &self,
        cell: &Arc<Cell>,
        pdu: Pdu,
        from: &Provenance,
    ) -> Result<Received, RoomError> {
        let id = pdu.event().id().clone();
        if self.store.locate(&id).await?.is_some() {
            return Ok(Received::Accepted);
        }
        let keys = self.keys.on_behalf_of(from.asker());
        let ring = keys.ring_for_events(&keys_of(std::slice::from_ref(&pdu))).await;
        let verified = match pdu.verify(&ring) {
            Ok(verified) => verified,
            Err(error) => {
                tracing::warn!(event = %id, %error, "dropped an event of the hub");
                if !ring.unavailable().is_empty() {
                    self.catch_up(&cell.id, id, ring.unavailable().keys().cloned().collect());
                }
                return Ok(Received::Dropped(error.to_string()));
            }
        };
        let mut role = cell.lock().await;
        let mut attempts = 0..ATTEMPTS;
        let result = loop {
            let Some(participant) = role.as_mut().and_then(Role::as_participant) else {
                return Err(RoomError::OutOfStep);
            };
            let result = self.follow(participant, verified.clone(), from).await;
            if !self.is_overtaken(&result) || attempts.next().is_none() {
                break result;
            }
            // What was appended of several events is not in the room in memory.
            *role = None;
            self.bring_up_to_date(&cell.id, &mut role).await?;
        };
        match settle(&mut role, result)? {
            None => Ok(Received::Accepted),
            Some(refusal) => {
                self.metrics.refused(&refusal);
                if refusal.rule == RoomRule::UnknownPredecessor.into() {
                    self.catch_up(&cell.id, id.clone(), BTreeSet::new());
                }
                Ok(Received::Rejected(id, refusal))
            }
        }
    }

    /// Checks an LPDU's signature and hash, fetching the key it needs on behalf of who sent it.
    pub(super) async fn verify_lpdu(&self, lpdu: Lpdu, from: &Provenance) -> Result<Proposal, RoomError> {
        let event = lpdu.event();
        let needed = needed_keys(event.as_object(), lpdu.signers(), event.origin_server_ts());
        let ring = self.keys.on_behalf_of(from.asker()).ring_for_events(&needed).await;
        Ok(Proposal::of_lpdu(lpdu.verify(&ring)?))
    }

    /// The PDUs of an answer that verify, in order.
    pub(super) async fn verify_pdus(&self, pdus: Vec<Pdu>) -> Vec<VerifiedPdu> {
        let ring = self.keys.ring_for_events(&keys_of(&pdus)).await;
        let verify = |pdu: Pdu| {
            let id = pdu.event().id().clone();
            pdu.verify(&ring)
                .inspect_err(
                    |error| tracing::warn!(event = %id, %error, "left out an event that does not verify"),
                )
                .ok()
        };
        pdus.into_iter().filter_map(verify).collect()
    }
}

/// A server, when it signed, and the keys it says it signed with.
pub(super) type NeededKeys = (ServerName, i64, Vec<KeyId>);

/// The keys that PDUs need.
pub(super) fn keys_of(pdus: &[Pdu]) -> Vec<NeededKeys> {
    let of = |pdu: &Pdu| {
        let event = pdu.event().event();
        needed_keys(event.as_object(), pdu.signers(), event.origin_server_ts())
    };
    pdus.iter().flat_map(of).collect()
}

fn needed_keys<'s>(
    object: &Object,
    signers: impl Iterator<Item = &'s ServerName>,
    at: i64,
) -> Vec<NeededKeys> {
    let signatures = object.get("signatures").and_then(serde_json::Value::as_object);
    signers
        .map(|server| {
            let entry = signatures.and_then(|signatures| signatures.get(server.as_str())?.as_object());
            let ids = entry.into_iter().flat_map(Object::keys).filter_map(|id| KeyId::parse(id).ok());
            (server.clone(), at, ids.collect())
        })
        .collect()
}
