//! Whether a room's hub came by its role rightly, as far as the state shows (reading R32).
//!
//! Every `m.room.hub` event cites the one before it, so the state with its auth chain has them all. Each has to be
//! sealed by the hub that the one before it made, and the first by the creator's server.

use std::collections::HashMap;

use super::SnapshotError;
use crate::auth::{Because, HubRule, Refusal};
use crate::event::{RoomEvent, VerifiedPdu, kind};
use crate::id::EventId;

/// Checks that a server which an event makes the hub has consented.
pub(super) fn check_consent(pdu: &VerifiedPdu) -> Result<(), SnapshotError> {
    let Some(error) = pdu.objection() else { return Ok(()) };
    let refusal = Refusal::new(HubRule::NoConsent, Because::Signature(error.clone()));
    Err(SnapshotError::Succession { event: pdu.event().id().clone(), refusal })
}

/// Checks the hubs of a room, from the present one back to the creator's server.
pub(super) fn check(
    create: &RoomEvent,
    state: &[RoomEvent],
    chain: &[RoomEvent],
) -> Result<(), SnapshotError> {
    let is_transfer = |event: &&RoomEvent| event.event().is_state(kind::HUB, "");
    let mut earlier: HashMap<&EventId, &RoomEvent> =
        chain.iter().filter(is_transfer).map(|event| (event.id(), event)).collect();
    let mut next = state.iter().find(is_transfer);
    while let Some(event) = next {
        // Each is taken once, so this ends.
        let before = event.auth_events().iter().find_map(|id| earlier.remove(id));
        let named = before.and_then(|before| before.event().next_hub());
        let hub = named.as_ref().unwrap_or(create.event().sender_server());
        if event.event().sealer() != hub {
            let (found, expected) = (event.event().sealer().to_string(), hub.to_string());
            let because = Because::Differs { what: "the hub that sealed it", found, expected };
            let refusal = Refusal::new(HubRule::OtherSealer, because);
            return Err(SnapshotError::Succession { event: event.id().clone(), refusal });
        }
        next = before;
    }
    Ok(())
}
